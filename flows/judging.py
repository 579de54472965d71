"""The figures that the gates of a version are judged by."""

import math
import resource
import time
from pathlib import Path

import numpy as np

from core.config import Config
from core.instruments import DEFAULT_INSTRUMENTS, Instrument
from features.parity import check_leaks, check_parity
from features.peers import dollar_tapes
from features.spec import spec_named
from models.conformal import radius_of
from models.dataset import Dataset
from models.evaluation import Policy, signals, trades_of
from models.inference.artifact import LoadedModel
from models.manifest import Manifest
from models.stored import rows_of
from models.windows import batches
from storage.adapters import open_ticks
from trading.decision import decide

_TAPE_QUOTES = 50_000
_ROUNDS = 20

Figures = dict[str, float]


def figures_of(
    config: Config,
    instrument: Instrument,
    model: LoadedModel,
    folder: Path,
    champion: LoadedModel | None,
) -> Figures:
    """Measure a version as the policy's gates name it.

    Parameters
    ----------
    model, folder : LoadedModel, Path
        The version as loaded back from the registry, and its files.
    champion : LoadedModel, optional
        The version to beat; on the same held-out rows, that neither has learnt from.
    """
    made = model.manifest
    return {
        **made.metrics,
        **_skill(made),
        **_tape(config, made, instrument.pip),
        **_held_out(config, instrument, model, champion),
        "canary_error": canary_error(model, folder),
        "predict_p99_us": predict_p99_us(model),
        "size_bytes": float(sum(entry.size for entry in made.files.values())),
    }


def _skill(made: Manifest) -> Figures:
    def figure(name: str) -> float:
        return made.metrics.get(name, math.nan)

    return {
        "net_pips_over_no_skill": figure("net_pips") - figure("no_skill_net_pips"),
        "log_loss_ratio": figure("log_loss") / (figure("base_log_loss") or math.nan),
    }


def _tape(config: Config, made: Manifest, pip: float) -> Figures:
    """Parity and leaks on the newest quotes that were trained on; nothing compared is nothing."""
    store, until = open_ticks(config.storage), made.holdout_start_ns
    columns = store.read(made.symbol, end_ns=until)
    newest = columns[slice(max(0, len(columns) - _TAPE_QUOTES), None)]
    spec = spec_named(made.spec_name)
    dollar = dollar_tapes(store, made.peers, DEFAULT_INSTRUMENTS, end_ns=until)
    strength = None if dollar is None else dollar.strength()
    parity = check_parity(spec, newest, pip, strength=strength)
    leaks = check_leaks(spec, newest, pip, dollar=dollar)
    return {
        "parity_differs": float(not parity.equal) if parity.warm_rows else math.nan,
        "leaks": float(len(leaks.leaks)) if leaks.points else math.nan,
    }


def _held_out(
    config: Config, instrument: Instrument, model: LoadedModel, champion: LoadedModel | None
) -> Figures:
    rivals = [model] if champion is None else [model, champion]
    start = max(rival.manifest.holdout_start_ns for rival in rivals)
    rows = [_rows_from(config, instrument, rival, start) for rival in rivals]
    found = {
        "domain_coverage": float(np.mean(_inside(model, rows[0]))) if len(rows[0]) else math.nan
    }
    if champion is not None:
        gains = [_net(config, *pair) for pair in zip(rivals, rows, strict=True)]
        found["net_pips_over_champion"] = gains[0] - gains[1]
    return found


def _rows_from(config: Config, instrument: Instrument, model: LoadedModel, start: int) -> Dataset:
    store = open_ticks(config.storage)
    dataset = rows_of(model.manifest, store, instrument, config.training, config.costs)
    return dataset.select(dataset.ts >= start)


def _inside(model: LoadedModel, dataset: Dataset) -> np.ndarray:
    scores = [
        model.domain_score(window if model.reads_windows else window[0])
        for block in batches(dataset.inputs)
        for window in block
    ]
    return np.array(scores) <= model.domain_limit


def _net(config: Config, model: LoadedModel, dataset: Dataset) -> float:
    """Net pips of all round trips that the decision function makes; NaN without rows."""
    if not len(dataset):
        return math.nan
    move = np.full(len(dataset), model.manifest.expected_move_pips)
    policy = Policy(decide, config.costs, config.decision)
    p = np.concatenate([model.predict(block) for block in batches(dataset.inputs)])
    radius = np.full(len(dataset), radius_of(model.manifest.conformal))
    acted = signals(dataset, p, move, policy, _inside(model, dataset), radius)
    return float(trades_of(dataset, acted).net_pips.sum())


def canary_error(model: LoadedModel, folder: Path) -> float:
    """Worst error in p over the canary rows, each scored alone as live rows are.

    In units of what the version's engine is allowed, which is more for networks than for trees.
    """
    expected = np.load(folder / "canary_p.npy", allow_pickle=False)
    scored = [model.predict_row(row) for row in model.canary_rows]
    return float(np.max(np.abs(np.array(scored) - expected))) / model.tolerance


def predict_p99_us(model: LoadedModel) -> float:
    """99th percentile of one prediction over the canary rows, warm, in microseconds.

    Of calls in the course of which the processor was not given to somebody else: else the figure
    is the scheduler's, some milliseconds on a busy machine however short the call. NaN, which fails
    its gate, when too few calls were left alone.
    """
    model.warm()
    taken = []
    for _ in range(_ROUNDS):
        for row in model.canary_rows:
            before, start = _preempted(), time.perf_counter_ns()
            model.predict_row(row)
            ended = time.perf_counter_ns()
            if _preempted() == before:
                taken.append(ended - start)
    called = _ROUNDS * len(model.canary_rows)
    return float(np.quantile(taken, 0.99)) / 1e3 if 2 * len(taken) > called else math.nan


def _preempted() -> int:
    """Count how often the kernel has taken the processor from this thread."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
