"""Two promises of the features, checked on real columns: stream = batch, and no look-ahead."""

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.columns import QuoteColumns
from features import batch
from features.batch import FeatureRows
from features.engine import FeatureEngine
from features.peers import DollarTapes
from features.perturbation import PERTURBATIONS, with_other_future
from features.spec import MINUTE_NS, FeatureSpec
from features.strength import LAG_NS, Strength, clock

Compute = Callable[[FeatureSpec, QuoteColumns, float], FeatureRows]
Between = Callable[[FeatureEngine, int], FeatureEngine]


class ParityReport(msgspec.Struct, frozen=True):
    """Rows of the stream against rows of the batch, compared by their bits.

    `first_difference` is the position of the quote and the name of the column, or the position and
    an empty name when only one of the two gave a row there.
    """

    equal: bool
    rows: int
    warm_rows: int
    late: int
    first_difference: tuple[int, str] | None = None

    @property
    def ok(self) -> bool:
        """Equal, and something was compared."""
        return self.equal and self.warm_rows > 0


class LeakReport(msgspec.Struct, frozen=True):
    """Rows up to some quotes, with everything after those quotes changed.

    `leaks` holds the position of the first quote whose row moved and the column, once per point
    that was looked at and leaked.
    """

    points: int
    leaks: tuple[tuple[int, str], ...]

    @property
    def ok(self) -> bool:
        """No leak, and something was compared."""
        return self.points > 0 and not self.leaks


def check_parity(
    spec: FeatureSpec,
    columns: QuoteColumns,
    pip: float,
    compute: Compute | None = None,
    between: Between | None = None,
    strength: Strength | None = None,
) -> ParityReport:
    """Feed every quote to a `FeatureEngine` and compare with the batch, bit by bit.

    `between` may put another engine in its place before a quote, told the quote's position.
    """
    expected = (compute or with_strength(strength))(spec, columns, pip)
    warm = np.flatnonzero(expected.warm)
    engine = FeatureEngine(spec, (pip,))
    index, rows = [], []
    minutes = iter(()) if strength is None else zip(strength.minute, strength.values, strict=True)
    waiting = next(minutes, None)
    now = clock(columns).tolist()
    for position, quote in enumerate(columns.quotes(0)):
        if between is not None:
            engine = between(engine, position)
        while waiting is not None and waiting[0] * MINUTE_NS + LAG_NS <= now[position]:
            engine.push_strength(int(waiting[0]), waiting[1].tolist())
            waiting = next(minutes, None)
        row = engine.update(quote)
        if row is not None:
            index.append(position)
            rows.append(row.copy())
    streamed = np.array(rows, np.float32).reshape(-1, spec.n_features)
    difference = _first_difference(
        spec, np.array(index, np.int64), streamed, expected.index[warm], expected.rows[warm]
    )
    counted = engine.late == expected.late and engine.malformed == expected.malformed
    return ParityReport(
        difference is None and counted, len(expected), len(warm), expected.late, difference
    )


def with_strength(strength: Strength | None) -> Compute:
    """Return the batch, given the dollar's strength where there is one."""
    return batch.compute if strength is None else partial(batch.compute, strength=strength)


def _first_difference(
    spec: FeatureSpec,
    index: NDArray[np.int64],
    rows: NDArray[np.float32],
    expected_index: NDArray[np.int64],
    expected: NDArray[np.float32],
) -> tuple[int, str] | None:
    if not np.array_equal(index, expected_index):
        return int(np.setxor1d(index, expected_index)[0]), ""
    moved = np.argwhere(rows.view(np.uint32) != expected.view(np.uint32))
    if len(moved) == 0:
        return None
    row, column = moved[0]
    return int(index[row]), spec.names[column]


def check_snapshots(
    spec: FeatureSpec,
    columns: QuoteColumns,
    pip: float,
    n_points: int = 10,
    seed: int = 0,
    strength: Strength | None = None,
) -> ParityReport:
    """Save the stream after random quotes and go on with a fresh engine: no bit may differ."""
    rng = np.random.default_rng(seed)
    points = set(rng.permutation(len(columns))[:n_points].tolist())

    def resumed(engine: FeatureEngine, position: int) -> FeatureEngine:
        if position not in points:
            return engine
        fresh = FeatureEngine(spec, (pip,))
        fresh.restore(engine.snapshot())
        return fresh

    return check_parity(spec, columns, pip, between=resumed, strength=strength)


def check_leaks(
    spec: FeatureSpec,
    columns: QuoteColumns,
    pip: float,
    n_points: int = 16,
    seed: int = 0,
    compute: Compute = batch.compute,
    dollar: DollarTapes | None = None,
) -> LeakReport:
    """Change everything after a quote, at random quotes with a warm row: no row up to it may move.

    At each point every way of `features.perturbation` is tried, until one moves a row.

    Parameters
    ----------
    n_points : int
        Quotes to try, at most as many as have a warm row with something after it.
    seed : int
        Of the choice of quotes and of the changes.
    compute : callable
        What computes the rows; `features.batch.compute` unless a test plants a leak.
    dollar : DollarTapes, optional
        For a spec that needs the dollar's strength, in the place of `compute`: the tapes that it is
        made of have another future as well.
    """
    rng = np.random.default_rng(seed)
    if dollar is not None:
        compute = with_strength(dollar.strength())
    honest = compute(spec, columns, pip)
    candidates = honest.index[honest.warm]
    candidates = candidates[candidates < len(columns) - 1]
    chosen = rng.permutation(candidates)[:n_points]
    leaks = []
    for point in np.sort(chosen).tolist():
        if dollar is not None:
            now = int(clock(columns[: point + 1])[-1])
            compute = with_strength(dollar.with_other_future(now, rng).strength())
        for kind in PERTURBATIONS:
            changed = compute(spec, with_other_future(columns, point, kind, rng), pip)
            leak = _first_difference(spec, *_until(honest, point), *_until(changed, point))
            if leak is not None:
                leaks.append(leak)
                break
    return LeakReport(len(chosen), tuple(leaks))


def _until(rows: FeatureRows, point: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    kept = rows.warm & (rows.index <= point)
    return rows.index[kept], rows.rows[kept]
