"""A data set whose outcome lies in the order of rows: no single row tells anything."""

from dataclasses import replace

import numpy as np

from core.config import TrainingConfig
from models.dataset import Dataset, window_of
from models.windows import History
from tests.models.synthetic import CONFIG, COSTS, MINUTE, PIP, make_dataset

WINDOW, LAG = 8, 3
NETWORK = replace(
    CONFIG,
    family="tcn",
    window=WINDOW,
    channels=12,
    epochs=12,
    patience=4,
    epoch_rows=3_000,
    batch_rows=64,
    network_rate=0.01,
    dropout=0.0,
    folds=2,
)
BASE: list[Dataset] = []


def ordered(config: TrainingConfig = NETWORK, seed: int = 0, n: int = 5_000) -> Dataset:
    """Up in 95 % of the rows whose first feature has the sign that it had `LAG` rows before."""
    if not BASE:
        BASE.append(make_dataset(0, n=2_000))
    base, rng = BASE[0], np.random.default_rng(seed)
    window = window_of(config)
    rows = np.zeros((n + window - 1, base.rows.shape[1]), np.float32)
    rows[:, :3] = rng.normal(size=(len(rows), 3))
    rows[:, 0] = rng.choice([-1.0, 1.0], len(rows)) * rng.uniform(0.5, 1.5, len(rows))
    at = np.arange(window - 1, len(rows))
    before = rows[np.maximum(at - LAG, 0), 0]
    up = (rows[at, 0] * before > 0.0) ^ (rng.random(n) < 0.05)
    move = np.where(up, 1.0, -1.0) * rng.exponential(4.0, n)
    cost = COSTS.round_trip_pips(0.5)
    ts = base.ts[0] + 6 * MINUTE * np.arange(len(rows), dtype=np.int64)
    return replace(
        base,
        rows=rows[at],
        ts=ts[at],
        end_ns=ts[at] + 5 * MINUTE,
        bid=np.full(n, 1.1),
        ask=np.full(n, 1.1 + 0.5 * PIP),
        up=up,
        move_pips=move,
        net_long=move - cost,
        net_short=-move - cost,
        at=at,
        history=History(rows, ts),
        window=window,
        holdout_start_ns=int(ts[-1]) + 6 * MINUTE,
    )
