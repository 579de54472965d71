"""Columns of quotes to a labelled data set with a holdout that training never sees."""

from dataclasses import dataclass, fields, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from core.columns import F8, I8, QuoteColumns
from core.config import TrainingConfig
from core.costs import CostModel
from core.errors import BadInput
from core.types import Cadence
from features import batch
from features.batch import FeatureRows
from features.parity import Compute, check_leaks, with_strength
from features.spec import FeatureSpec, spec_named
from features.strength import Strength
from models.labels import Flags, Labels, fixed_horizon, triple_barrier
from models.refusals import refuse_leaks, refuse_too_good
from models.validation import cut, rows_needed
from models.windows import History, Inputs, Windows

# Under this much tape there are too few closed bars, so tick files are read tick by tick.
_TICK_CADENCE_BELOW_NS = 3 * 86_400 * 10**9
_LEAK_QUOTES, _LEAK_POINTS = 20_000, 4
SEQUENCES = frozenset({"tcn", "gru"})
"""Families that read a window of rows; the others read one row."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Dataset:
    """Warm feature rows of one instrument with their labels, in time order.

    Attributes
    ----------
    rows : float32[m, n]
        Finite feature rows.
    ts, end_ns : int64[m]
        Label intervals: time of the row's quote, time of its exit quote.
    bid, ask : float64[m]
        Entry prices, in quote currency.
    up : bool[m]
        The label that is learnt.
    move_pips, net_long, net_short : float64[m]
        What followed over the horizon, as in `models.labels.Labels`.
    at : int64[m]
        Position of each row in `history`.
    holdout_start_ns : int
        Training sees only rows whose label ends before.
    peers : tuple of str
        Symbols that the dollar's strength in the rows was made of; often none.
    window : int
        Rows that one prediction reads, the newest included; each row has that many in `history`.
    history : History
        Every warm row of the tape, also those without a label, for the windows.
    """

    rows: NDArray[np.float32]
    ts: I8
    end_ns: I8
    bid: F8
    ask: F8
    up: Flags
    move_pips: F8
    net_long: F8
    net_short: F8
    at: I8
    symbol: str
    spec: FeatureSpec
    horizon_ns: int
    pip: float
    holdout_start_ns: int
    history: History
    window: int = 1
    data_hash: str = ""
    peers: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def start_ns(self) -> I8:
        """When the first sample of each row's window ended, int64[m]; `ts` for a window of 1."""
        return self.history.ts[self.at - (self.window - 1)]

    @property
    def inputs(self) -> Inputs:
        """What a model of this window reads of each row."""
        if self.window == 1:
            return self.rows
        return Windows(self.history, self.at, self.window)

    def select(self, rows: I8 | Flags) -> "Dataset":
        """Return the same data set with some of its rows."""
        arrays = {
            name: getattr(self, name)[rows]
            for name in (column.name for column in fields(self))
            if isinstance(getattr(self, name), np.ndarray)
        }
        return replace(self, **arrays)

    def training(self) -> "Dataset":
        """Rows whose label ends before the holdout."""
        return self.select(self.end_ns < self.holdout_start_ns)

    def cut(self, fraction: float, embargo: int) -> tuple["Dataset", "Dataset"]:
        """Earlier rows, purged and embargoed, and the later fraction."""
        early, late = cut(self.start_ns, self.end_ns, fraction, embargo)
        return self.select(early), self.select(late)

    def holdout(self) -> "Dataset":
        """Rows from the holdout's start on."""
        return self.select(self.ts >= self.holdout_start_ns)


def spec_for(columns: QuoteColumns, config: TrainingConfig) -> FeatureSpec:
    """Feature spec that the settings ask for; cadence "auto" takes ticks for short tick files."""
    cadence = config.cadence
    if cadence == "auto":
        short = len(columns) > 0 and columns.ts[-1] - columns.ts[0] < _TICK_CADENCE_BELOW_NS
        ticks = len(columns) > 0 and not columns.span.any()
        cadence = "tick" if short and ticks else "bar"
    return spec_named(f"{config.features}-{cadence}")


def window_of(config: TrainingConfig) -> int:
    """Feature rows that one prediction of the wished family reads."""
    return config.window if config.family in SEQUENCES else 1


def horizon_of(spec: FeatureSpec, config: TrainingConfig) -> int:
    """Horizon in ns: whole bars for closed-bar rows, seconds for tick rows."""
    if spec.cadence == Cadence.BAR:
        return config.horizon_bars * spec.bar_ns
    return round(config.horizon_secs * 1e9)


def build_dataset(
    columns: QuoteColumns,
    symbol: str,
    spec: FeatureSpec,
    pip: float,
    config: TrainingConfig,
    costs: CostModel,
    *,
    data_hash: str = "",
    features: FeatureRows | None = None,
    compute: Compute = batch.compute,
    strength: Strength | None = None,
    peers: tuple[str, ...] = (),
) -> Dataset:
    """Compute features and labels and keep the warm rows with a valid label.

    Parameters
    ----------
    columns : QuoteColumns
        The tape of one instrument, holdout included.
    pip : float
        Size of a pip in quote currency.
    data_hash : str
        Hash of the stored snapshot that `columns` came from.
    features : FeatureRows, optional
        Rows computed already from these columns and this spec.
    compute : callable
        What computes the rows otherwise, after a check that it does not look ahead.
    strength : Strength, optional
        The dollar's, made of `peers`, for a spec that needs it.

    Raises
    ------
    BadInput
        When a feature looks ahead or tells the outcome, a warm row is not finite, the training part
        has too few rows, or one class only.
    """
    if len(columns) == 0:
        raise BadInput(f"there are no quotes of {symbol} to learn from")
    if spec.needs_strength:
        compute = with_strength(strength)
    computed = features or _computed(spec, columns, pip, compute, symbol)
    horizon_ns = horizon_of(spec, config)
    window = window_of(config)
    labels = _labels(columns, computed.index, horizon_ns, pip, config, costs)
    place = np.cumsum(computed.warm) - 1
    kept = computed.warm & labels.valid & (place >= window - 1)
    history = History(computed.rows[computed.warm], columns.ts[computed.index][computed.warm])
    _refuse_not_finite(history.rows, spec, symbol)
    start, end = int(columns.ts[0]), int(columns.ts[-1])
    dataset = Dataset(
        rows=computed.rows[kept],
        ts=columns.ts[computed.index][kept],
        end_ns=labels.end_ns[kept],
        bid=columns.bid[computed.index][kept],
        ask=columns.ask[computed.index][kept],
        up=labels.up[kept],
        move_pips=labels.move_pips[kept],
        net_long=labels.net_long[kept],
        net_short=labels.net_short[kept],
        at=place[kept],
        symbol=symbol,
        spec=spec,
        horizon_ns=horizon_ns,
        pip=pip,
        holdout_start_ns=holdout_start(start, end, config),
        history=history,
        window=window,
        data_hash=data_hash,
        peers=peers if spec.needs_strength else (),
    )
    _refuse_too_little(dataset, config, len(columns), computed.warm)
    training = dataset.training()
    refuse_too_good(training.rows, training.up, spec.names, symbol)
    return dataset


def _computed(
    spec: FeatureSpec, columns: QuoteColumns, pip: float, compute: Compute, symbol: str
) -> FeatureRows:
    newest = columns[max(0, len(columns) - _LEAK_QUOTES) :]
    refuse_leaks(check_leaks(spec, newest, pip, _LEAK_POINTS, compute=compute), symbol)
    return compute(spec, columns, pip)


def _labels(
    columns: QuoteColumns,
    index: I8,
    horizon_ns: int,
    pip: float,
    config: TrainingConfig,
    costs: CostModel,
) -> Labels:
    """Outcomes over the horizon, as they are traded; with barriers only the side is another."""
    labels = fixed_horizon(columns, index, horizon_ns, pip, costs)
    if config.label == "horizon":
        return labels
    if config.barrier_pips <= 0.0:
        raise BadInput(f"barrier_pips must be greater than zero, not {config.barrier_pips}")
    touched = triple_barrier(columns, index, horizon_ns, pip, costs, config.barrier_pips)
    return replace(labels, up=touched.up)


def holdout_start(first_ns: int, last_ns: int, config: TrainingConfig) -> int:
    """First instant, ns UTC, that a training on quotes from `first_ns` to `last_ns` holds out."""
    return last_ns - round((last_ns - first_ns) * config.holdout_fraction)


def _refuse_not_finite(rows: NDArray[np.float32], spec: FeatureSpec, symbol: str) -> None:
    bad = ~np.isfinite(rows)
    if bad.any():
        row, column = (int(axis[0]) for axis in np.nonzero(bad))
        raise BadInput(
            f"{int(bad.any(axis=1).sum())} warm feature rows of {symbol} are not finite; the first "
            f"is row {row}, column {spec.columns[column].name!r}"
        )


def _refuse_too_little(
    dataset: Dataset, config: TrainingConfig, n_quotes: int, warm: Flags
) -> None:
    training = dataset.training()
    needed = rows_needed(config.folds, config.embargo_samples)
    if len(training) < needed:
        n_warm = int(np.count_nonzero(warm))
        raise BadInput(
            f"{dataset.symbol} gives {len(training)} training rows and {needed} are needed: "
            f"{n_quotes} quotes made {len(warm)} {dataset.spec.cadence} samples, {n_warm} of them "
            f"warm, {len(dataset)} with a quote {timedelta(microseconds=dataset.horizon_ns / 1e3)} "
            "ahead, the rest of those lie in the holdout"
        )
    n_up = int(np.count_nonzero(training.up))
    if n_up in (0, len(training)):
        side = "moved up" if n_up else "did not move up"
        raise BadInput(
            f"{dataset.symbol} {side} after every one of the {len(training)} training rows; "
            "a direction model needs both outcomes"
        )
