-- What the platform decided and how long it took, for analysis; the ledger is another store.
CREATE TABLE IF NOT EXISTS decisions (
  decision_id String, symbol String, direction String, confidence Float64, raw_score Float64,
  edge_pips Float64, reason String, model String, model_version String, spec_fingerprint String,
  quote_seq Int64, ts_event Int64, ts_decide Int64, stages_us String
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(toDateTime(intDiv(ts_decide, 1000000000), 'UTC'))
ORDER BY (symbol, ts_decide, decision_id);

CREATE TABLE IF NOT EXISTS latency_samples (
  stage String, ts Int64, elapsed_ns Int64
) ENGINE = MergeTree
PARTITION BY toYYYYMM(toDateTime(intDiv(ts, 1000000000), 'UTC'))
ORDER BY (stage, ts);
