CREATE TABLE positions (
  account TEXT NOT NULL, instrument INTEGER NOT NULL, steps INTEGER NOT NULL,
  cost INTEGER NOT NULL, realised INTEGER NOT NULL, updated_ns INTEGER NOT NULL,
  PRIMARY KEY (account, instrument)
) STRICT;

CREATE TABLE accounts (
  account TEXT PRIMARY KEY, currency TEXT NOT NULL, balance TEXT NOT NULL, equity TEXT NOT NULL,
  margin TEXT NOT NULL, updated_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE limits (
  account TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, version TEXT NOT NULL,
  who TEXT NOT NULL, changed_ns INTEGER NOT NULL,
  PRIMARY KEY (account, name)
) STRICT;

CREATE TABLE audit (
  audit_id TEXT PRIMARY KEY, ts INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,
  subject TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_time ON audit (ts);

CREATE TABLE market_data (
  symbol TEXT NOT NULL, ts INTEGER NOT NULL, sequence INTEGER NOT NULL, bid REAL NOT NULL,
  ask REAL NOT NULL, volume REAL NOT NULL,
  PRIMARY KEY (symbol, ts, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX market_data_by_time ON market_data (ts);

CREATE INDEX orders_by_account ON orders (account, created_ns);

CREATE INDEX orders_by_venue_id ON orders (venue_order_id);
