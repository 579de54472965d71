CREATE TABLE scenarios (
  account TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, lots TEXT NOT NULL,
  steps INTEGER NOT NULL, verdict TEXT NOT NULL, "check" TEXT, reason TEXT,
  limit_value TEXT, observed TEXT, margin_per_lot TEXT NOT NULL,
  price_low ANY NOT NULL, price_high ANY NOT NULL, limits_version ANY NOT NULL,
  instruments_version ANY NOT NULL, session_expiry_ns INTEGER NOT NULL, template BLOB NOT NULL,
  created_ns INTEGER NOT NULL,
  PRIMARY KEY (account, symbol, side, steps)
) STRICT;

CREATE TABLE decisions (
  decision_id TEXT PRIMARY KEY, symbol TEXT NOT NULL, direction TEXT NOT NULL,
  confidence REAL NOT NULL, raw_score REAL NOT NULL, edge_pips REAL NOT NULL,
  reason TEXT NOT NULL, model TEXT NOT NULL, model_version TEXT NOT NULL,
  spec_fingerprint TEXT NOT NULL, quote_seq INTEGER NOT NULL, ts_event INTEGER NOT NULL,
  ts_decide INTEGER NOT NULL, stages_us TEXT NOT NULL
) STRICT;

CREATE TABLE orders (
  client_order_id TEXT PRIMARY KEY, key TEXT NOT NULL, account TEXT NOT NULL,
  strategy TEXT NOT NULL, instrument INTEGER NOT NULL, side TEXT NOT NULL,
  quantity INTEGER NOT NULL, type TEXT NOT NULL, limit_ticks INTEGER NOT NULL,
  time_in_force TEXT NOT NULL, created_ns INTEGER NOT NULL, quote_seq INTEGER NOT NULL,
  status TEXT NOT NULL, filled INTEGER NOT NULL, filled_value INTEGER NOT NULL,
  venue_order_id TEXT NOT NULL, decision_id TEXT NOT NULL, reason TEXT NOT NULL,
  submitted_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE fills (
  venue TEXT NOT NULL, exec_id TEXT NOT NULL, client_order_id TEXT NOT NULL,
  instrument INTEGER NOT NULL, side TEXT NOT NULL, quantity INTEGER NOT NULL,
  price_ticks INTEGER NOT NULL, ts_event INTEGER NOT NULL, quote_seq INTEGER NOT NULL,
  PRIMARY KEY (venue, exec_id)
) STRICT;

CREATE INDEX decisions_by_time ON decisions (ts_decide);

CREATE INDEX orders_by_time ON orders (created_ns);

CREATE INDEX fills_by_order ON fills (client_order_id);
