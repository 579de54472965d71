-- What the platform decided and how long it took, for analysis; the ledger is another store.
CREATE TABLE IF NOT EXISTS decisions (
  decision_id String, symbol LowCardinality(String), direction LowCardinality(String),
  confidence Float64 CODEC(Gorilla, ZSTD), raw_score Float64 CODEC(Gorilla, ZSTD),
  edge_pips Float64 CODEC(Gorilla, ZSTD), reason LowCardinality(String),
  model LowCardinality(String), model_version LowCardinality(String),
  spec_fingerprint LowCardinality(String), quote_seq Int64 CODEC(DoubleDelta, ZSTD),
  ts_event DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
  ts_decide DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD), stages_us String CODEC(ZSTD)
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts_decide)
ORDER BY (symbol, ts_decide, decision_id);

CREATE TABLE IF NOT EXISTS latency_samples (
  stage LowCardinality(String),
  ts DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
  elapsed_ns Int64 CODEC(T64, ZSTD)
) ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (stage, ts);
