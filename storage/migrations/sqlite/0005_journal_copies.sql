CREATE TABLE journal_copies (
  projection TEXT PRIMARY KEY, records INTEGER NOT NULL, position INTEGER NOT NULL,
  chain TEXT NOT NULL
) STRICT;

CREATE TABLE parked_records (
  projection TEXT NOT NULL, position INTEGER NOT NULL, payload TEXT NOT NULL, error TEXT NOT NULL,
  PRIMARY KEY (projection, position)
) STRICT;
