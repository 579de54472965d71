CREATE TABLE promotions (
  model TEXT NOT NULL, generation INTEGER NOT NULL, payload BLOB NOT NULL, link BLOB NOT NULL,
  PRIMARY KEY (model, generation)
) STRICT;

CREATE TABLE projections (model TEXT PRIMARY KEY, generation INTEGER NOT NULL) STRICT;
