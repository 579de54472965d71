"""Compare what came after a version's training with what it was trained on; plain functions.

Live rows are the stored quotes after the training, computed through the batch: the stream gives the
same bits (`features.parity`, and the sentinel of serving watches it), and the tape is there also
when nobody served. Nothing is remembered between two looks: windows are counted back from the
newest row, so that a look that was missed is made up for by the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from core.config import FAMILIES, Config, Family
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from core.upkeep import DriftConfig
from features.spec import spec_named
from models.dataset import Dataset
from models.inference.artifact import LoadedModel
from models.manifest import model_name
from models.reference import Reference, excess_loss, read_reference
from models.stored import stored_dataset
from models.windows import Windows, batches
from monitoring.distributions import threshold
from monitoring.drift import Sketch, distance, thresholds
from registry.loading import RegisteredVersion
from registry.opening import Registry, open_registry
from storage.adapters import open_ticks

SCORE, RESULTS = "score", "results"
MOST_WINDOWS = 12
"""Windows that are looked at; only the newest of them can hold."""


class Reading(msgspec.Struct, frozen=True):
    """One column, the score or the results in one window.

    Attributes
    ----------
    figures, limits : tuple of float
        PSI and KS, or the mean excess log-loss; what chance exceeds at the shared false-alarm rate.
    p_value : float
        Chance of at least these figures without drift.
    """

    subject: str
    figures: tuple[float, ...]
    limits: tuple[float, ...]
    p_value: float
    over: bool


class Window(msgspec.Struct, frozen=True):
    """Everything that was compared in one window of rows."""

    start_ns: int
    end_ns: int
    readings: tuple[Reading, ...]


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What one look came to.

    Attributes
    ----------
    rows : int
        Rows of each window; 0 when there was nothing to compare.
    windows : tuple of Window
        Oldest first.
    holding : tuple of str
        Subjects over their threshold in all of the newest windows that are asked for.
    note : str
        Why nothing was compared; empty when something was.
    """

    model: str
    symbol: str
    version: str
    rows: int = 0
    windows: tuple[Window, ...] = ()
    holding: tuple[str, ...] = ()
    note: str = ""


def drift(
    config: Config,
    symbol: str,
    version: str = "",
    *,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> Drift:
    """Look at the quotes after the training of a version, the one that serves when none is named.

    Raises
    ------
    BadInput
        When the symbol is unknown, or the stored quotes do not make a data set.
    NotFound, Unavailable, ArtifactRefused
        As the registry.
    """
    instruments.by_symbol(symbol)
    with open_registry(config) as registry:
        chosen = _chosen(registry, model_name(symbol), version)
        model, folder = registry.load(chosen)
    found = Drift(model=chosen.model, symbol=symbol, version=chosen.version)
    reference = read_reference(folder)
    if reference is None:
        return msgspec.structs.replace(found, note="the version has no reference to compare with")
    dataset = live_rows(config, model, instruments)
    return look(found, config.drift, reference, model, dataset)


def _chosen(registry: Registry, name: str, version: str) -> RegisteredVersion:
    return registry.reader.version(name, version) if version else registry.resolve_serving(name)


def live_rows(config: Config, model: LoadedModel, instruments: InstrumentTable) -> Dataset:
    """Rows of the stored quotes as the version reads them, those of its training included."""
    made = model.manifest
    family: Family = next((name for name in FAMILIES if name == made.family), "trees")
    return stored_dataset(
        open_ticks(config.storage),
        instruments.by_symbol(made.symbol),
        replace(
            config.training,
            family=family,
            window=made.window,
            horizon_bars=made.horizon_ns // made.bar_ns,
            horizon_secs=made.horizon_ns / 1e9,
        ),
        config.costs,
        "",
        spec=spec_named(made.spec_name),
        peers=made.peers,
        instruments=instruments,
    )


def look(
    found: Drift, config: DriftConfig, reference: Reference, model: LoadedModel, dataset: Dataset
) -> Drift:
    """Cut the rows after the training into windows and judge each."""
    fitting = [size for size in reference.sizes if size <= config.window_rows]
    if not fitting:
        raise BadInput(f"drift.window_rows must be at least {reference.sizes[0]}")
    rows, live = fitting[-1], _after_training(model, dataset)
    count = min(len(live) // rows, MOST_WINDOWS)
    if count < config.windows:
        note = f"{len(live)} rows came after the training; {config.windows * rows} are needed"
        return msgspec.structs.replace(found, rows=rows, note=note)
    judged = _Judge(config, reference, rows)
    scores = _scores(model, dataset, live)
    known = dataset.select(dataset.at >= live[0])
    known_p = scores[known.at - live[0]]
    windows = []
    for back in range(count, 0, -1):
        part = live[len(live) - back * rows :][:rows]
        last = len(known_p) - (back - 1) * rows
        results = slice(last - rows, last) if last >= rows else None
        readings = [
            *judged.features(dataset, part),
            judged.column(reference.score, scores[part - live[0]], 1),
            *judged.results(known_p, known.up, results),
        ]
        start, end = int(dataset.history.ts[part[0]]), int(dataset.history.ts[part[-1]])
        windows.append(Window(start, end, tuple(readings)))
    return msgspec.structs.replace(
        found, rows=rows, windows=tuple(windows), holding=holding(windows, config.windows)
    )


def holding(windows: Sequence[Window], needed: int) -> tuple[str, ...]:
    """Subjects that are over their threshold in each of the `needed` newest windows."""
    newest = windows[-needed:]
    if len(newest) < needed:
        return ()
    over = [{reading.subject for reading in window.readings if reading.over} for window in newest]
    common = set.intersection(*over)
    return tuple(r.subject for r in newest[-1].readings if r.subject in common)


class _Judge:
    """Thresholds for one size of window; the false-alarm rate is shared in equal thirds."""

    def __init__(self, config: DriftConfig, reference: Reference, rows: int) -> None:
        self._reference, self._rows = reference, rows
        self._level = config.false_alarm / 3.0
        self._limits: dict[str, tuple[float, ...]] = {}

    def features(self, dataset: Dataset, part: np.ndarray) -> list[Reading]:
        names = {name: k for k, name in enumerate(dataset.spec.names)}
        sketches = self._reference.features
        rows = dataset.history.rows[part]
        return [self.column(one, rows[:, names[one.name]], len(sketches)) for one in sketches]

    def column(self, sketch: Sketch, values: np.ndarray, of: int) -> Reading:
        level = self._level / of
        # Each of the two statistics takes half of the level.
        limits = self._limit(sketch.name, lambda: thresholds(sketch, self._rows, level / 2.0))
        seen = distance(sketch, values)
        return Reading(sketch.name, (seen.psi, seen.ks), limits, seen.p_value, seen.p_value < level)

    def results(self, p: np.ndarray, up: np.ndarray, rows: slice | None) -> list[Reading]:
        if rows is None:
            return []
        usual = next(one for one in self._reference.results if one.rows == self._rows)
        base = np.full(self._rows, self._reference.base_rate)
        mean = float(excess_loss(p[rows], base, up[rows]).mean())
        tail, level = usual.tail(mean), self._level
        above = self._limit(
            RESULTS,
            lambda: (usual.mean + threshold(lambda x: usual.tail(usual.mean + x), level, 1e-3),),
        )
        return [Reading(RESULTS, (mean,), above, tail, tail < level)]

    def _limit(self, subject: str, find: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
        if subject not in self._limits:
            self._limits[subject] = find()
        return self._limits[subject]


def _after_training(model: LoadedModel, dataset: Dataset) -> np.ndarray:
    """Positions in the history of the rows that the version was not made with."""
    start = int(np.searchsorted(dataset.history.ts, model.manifest.holdout_start_ns))
    return np.arange(max(start, dataset.window - 1), len(dataset.history.ts))


def _scores(model: LoadedModel, dataset: Dataset, live: np.ndarray) -> np.ndarray:
    history, window = dataset.history, dataset.window
    inputs = history.rows[live] if window == 1 else Windows(history, live, window)
    return np.concatenate([model.predict(block) for block in batches(inputs)])
