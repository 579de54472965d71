CREATE TABLE journal_copies (
  projection text PRIMARY KEY, records bigint NOT NULL, position bigint NOT NULL,
  chain text NOT NULL
);

CREATE TABLE parked_records (
  projection text NOT NULL, position bigint NOT NULL, payload text NOT NULL, error text NOT NULL,
  PRIMARY KEY (projection, position)
);

GRANT SELECT ON journal_copies, parked_records TO tickpath_writer, tickpath_reader;

GRANT INSERT ON journal_copies, parked_records TO tickpath_writer;

GRANT UPDATE ON journal_copies TO tickpath_writer;
