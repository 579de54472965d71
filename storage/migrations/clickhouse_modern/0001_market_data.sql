-- Volumes are whole millionths, so that a sum does not hang on the order of its parts.
CREATE TABLE IF NOT EXISTS market_data (
  symbol LowCardinality(String),
  ts DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD),
  sequence Int64 CODEC(DoubleDelta, ZSTD),
  bid Float64 CODEC(Gorilla, ZSTD),
  ask Float64 CODEC(Gorilla, ZSTD),
  volume Int64 CODEC(T64, ZSTD),
  span Int64 CODEC(ZSTD),
  open Float64 CODEC(Gorilla, ZSTD),
  high Float64 CODEC(Gorilla, ZSTD),
  low Float64 CODEC(Gorilla, ZSTD)
) ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (symbol, ts, sequence);

CREATE TABLE IF NOT EXISTS bars_minute (
  symbol LowCardinality(String),
  minute Int64 CODEC(DoubleDelta, ZSTD),
  open AggregateFunction(argMin, Float64, Tuple(DateTime64(9, 'UTC'), Int64)),
  high AggregateFunction(max, Float64),
  low AggregateFunction(min, Float64),
  close AggregateFunction(argMax, Float64, Tuple(DateTime64(9, 'UTC'), Int64)),
  spread AggregateFunction(argMax, Float64, Tuple(DateTime64(9, 'UTC'), Int64)),
  volume AggregateFunction(sum, Int64),
  ticks AggregateFunction(count)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(toDateTime(minute * 60, 'UTC'))
ORDER BY (symbol, minute);

-- The last ns of a span decides which minute it belongs to, not the ns after it.
CREATE MATERIALIZED VIEW IF NOT EXISTS bars_minute_view TO bars_minute AS
SELECT symbol, intDiv(toUnixTimestamp64Nano(ts) - (span > 0), 60000000000) AS minute,
  argMinState(open, (ts, sequence)) AS open,
  maxState(high) AS high,
  minState(low) AS low,
  argMaxState(0.5 * (bid + ask), (ts, sequence)) AS close,
  argMaxState(ask - bid, (ts, sequence)) AS spread,
  sumState(volume) AS volume,
  countState() AS ticks
FROM market_data GROUP BY symbol, minute;
