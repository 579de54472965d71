CREATE TABLE scenarios (
  account text NOT NULL, symbol text NOT NULL, side text NOT NULL, lots numeric NOT NULL,
  steps bigint NOT NULL, verdict text NOT NULL, "check" text, reason text,
  limit_value text, observed text, margin_per_lot numeric NOT NULL,
  price_low bigint NOT NULL, price_high bigint NOT NULL, limits_version text NOT NULL,
  instruments_version text NOT NULL, session_expiry_ns bigint NOT NULL, template bytea NOT NULL,
  created_ns bigint NOT NULL,
  PRIMARY KEY (account, symbol, side, steps)
);

CREATE TABLE decisions (
  decision_id text PRIMARY KEY, symbol text NOT NULL, direction text NOT NULL,
  confidence double precision NOT NULL, raw_score double precision NOT NULL,
  edge_pips double precision NOT NULL, reason text NOT NULL, model text NOT NULL,
  model_version text NOT NULL, spec_fingerprint text NOT NULL, quote_seq bigint NOT NULL,
  ts_event bigint NOT NULL, ts_decide bigint NOT NULL, stages_us text NOT NULL
);

CREATE INDEX decisions_by_time ON decisions (ts_decide DESC);

CREATE TABLE orders (
  client_order_id text PRIMARY KEY, key text NOT NULL, account text NOT NULL,
  strategy text NOT NULL, instrument bigint NOT NULL, side text NOT NULL,
  quantity bigint NOT NULL, type text NOT NULL, limit_ticks bigint NOT NULL,
  time_in_force text NOT NULL, created_ns bigint NOT NULL, quote_seq bigint NOT NULL,
  status text NOT NULL, filled bigint NOT NULL, filled_value bigint NOT NULL,
  venue_order_id text NOT NULL, decision_id text NOT NULL, reason text NOT NULL,
  submitted_ns bigint NOT NULL
);

-- The primary key keeps ids unique; looking one up is the hash index's work.
CREATE INDEX orders_by_id ON orders USING hash (client_order_id);

CREATE INDEX orders_by_venue_id ON orders USING hash (venue_order_id);

CREATE INDEX orders_by_time ON orders (created_ns DESC);

CREATE INDEX orders_by_account ON orders (account, created_ns DESC);

CREATE TABLE fills (
  venue text NOT NULL, exec_id text NOT NULL, client_order_id text NOT NULL,
  instrument bigint NOT NULL, side text NOT NULL, quantity bigint NOT NULL,
  price_ticks bigint NOT NULL, ts_event bigint NOT NULL, quote_seq bigint NOT NULL,
  PRIMARY KEY (venue, exec_id)
);

CREATE INDEX fills_by_order ON fills USING hash (client_order_id);

CREATE TABLE positions (
  account text NOT NULL, instrument bigint NOT NULL, steps bigint NOT NULL,
  cost bigint NOT NULL, realised bigint NOT NULL, updated_ns bigint NOT NULL,
  PRIMARY KEY (account, instrument)
);

CREATE TABLE accounts (
  account text PRIMARY KEY, currency text NOT NULL, balance numeric NOT NULL,
  equity numeric NOT NULL, margin numeric NOT NULL, updated_ns bigint NOT NULL
);

CREATE TABLE limits (
  account text NOT NULL, name text NOT NULL, value text NOT NULL, version text NOT NULL,
  who text NOT NULL, changed_ns bigint NOT NULL,
  PRIMARY KEY (account, name)
);

CREATE TABLE audit (
  audit_id text PRIMARY KEY, ts bigint NOT NULL, who text NOT NULL, action text NOT NULL,
  subject text NOT NULL, detail text NOT NULL
);

CREATE INDEX audit_by_time ON audit (ts DESC);

CREATE TABLE market_data (
  symbol text NOT NULL, ts bigint NOT NULL, sequence bigint NOT NULL,
  bid double precision NOT NULL, ask double precision NOT NULL, volume double precision NOT NULL,
  PRIMARY KEY (symbol, ts, sequence)
);

CREATE INDEX market_data_by_time ON market_data (symbol, ts DESC) INCLUDE (bid, ask, volume);
