-- For servers before 21: no DateTime64, codecs or TTL. Stamps are ns UTC; volumes are whole
-- millionths, so that a sum does not hang on the order of its parts.
CREATE TABLE IF NOT EXISTS market_data (
  symbol String, ts Int64, sequence Int64, bid Float64, ask Float64, volume Int64, span Int64,
  open Float64, high Float64, low Float64
) ENGINE = MergeTree
PARTITION BY toYYYYMM(toDateTime(intDiv(ts, 1000000000), 'UTC'))
ORDER BY (symbol, ts, sequence);

CREATE TABLE IF NOT EXISTS bars_minute (
  symbol String, minute Int64,
  open AggregateFunction(argMin, Float64, Tuple(Int64, Int64)),
  high AggregateFunction(max, Float64),
  low AggregateFunction(min, Float64),
  close AggregateFunction(argMax, Float64, Tuple(Int64, Int64)),
  spread AggregateFunction(argMax, Float64, Tuple(Int64, Int64)),
  volume AggregateFunction(sum, Int64),
  ticks AggregateFunction(count)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(toDateTime(minute * 60, 'UTC'))
ORDER BY (symbol, minute);

-- The last ns of a span decides which minute it belongs to, not the ns after it.
CREATE MATERIALIZED VIEW IF NOT EXISTS bars_minute_view TO bars_minute AS
SELECT symbol, intDiv(ts - (span > 0), 60000000000) AS minute,
  argMinState(open, (ts, sequence)) AS open,
  maxState(high) AS high,
  minState(low) AS low,
  argMaxState(0.5 * (bid + ask), (ts, sequence)) AS close,
  argMaxState(ask - bid, (ts, sequence)) AS spread,
  sumState(volume) AS volume,
  countState() AS ticks
FROM market_data GROUP BY symbol, minute;
