"""Rows per second of the CSV loader, beside the bare CSV engine on the same file."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from core.config import MarketConfig
from core.instruments import DEFAULT_INSTRUMENTS
from market.loaders import load

ROUNDS = 3
SYMBOL = "EURUSD"


def write_ticks(path: Path, rows: int, seed: int = 3) -> None:
    """Write a tick file (timestamp, bid, ask, volume) with random-walk prices."""
    rng = np.random.default_rng(seed)
    stamps = 1_700_000_000_000 + np.cumsum(rng.integers(1, 2_000, rows))
    mid = np.round(1.1 + 1e-5 * np.cumsum(rng.integers(-1, 2, rows)), 5)
    table = pa.table(
        {
            "timestamp": pa.array(stamps).cast(pa.timestamp("ms")),
            "bid": mid,
            "ask": np.round(mid + 1e-5 * rng.integers(1, 12, rows), 5),
            "volume": rng.integers(0, 10, rows),
        }
    )
    pa.csv.write_csv(table, path)


def median_secs(action: Callable[[], object]) -> float:
    """Run the action `ROUNDS` times; return the median wall time."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def run(rows: int = 5_000_000) -> dict[str, float]:
    """Measure the loader and its control on a generated file of `rows` rows."""
    instrument = DEFAULT_INSTRUMENTS.by_symbol(SYMBOL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{SYMBOL}-ticks.csv"
        write_ticks(path, rows)
        kept = load(path, instrument, MarketConfig()).report.rows_kept
        if kept != rows:
            raise RuntimeError(f"kept {kept} of {rows} rows")
        load_secs = median_secs(lambda: load(path, instrument, MarketConfig()))
        bare_secs = median_secs(lambda: pa.csv.read_csv(path))
        size = path.stat().st_size
    return {
        "rows": rows,
        "file_mib": round(size / 2**20, 1),
        "load_secs": round(load_secs, 3),
        "load_rows_per_sec": round(rows / load_secs),
        "bare_engine_secs": round(bare_secs, 3),
        "bare_engine_rows_per_sec": round(rows / bare_secs),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
