"""One window of the full spec as it is served, beside eager torch; and how long a version loads.

The two take turns, so that both see the same machine. Bars: p99 of one window at most 500 us, load
and warm of a version at most 2 s. Also what a kept prediction costs against a new one, which says
for whom the prediction cache is.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.bars import beside
from benchmarks.bench_predict import fresh_start, start_figures
from features.spec import spec_named
from models import manifest as manifests
from models.calibration import Calibration
from models.domain import Domain
from models.inference.artifact import CANARY_FILES, LoadedModel, load_verified
from models.layers import Network, Shape
from models.manifest import Manifest
from models.network import margins_of
from models.onnx_graph import export
from models.prediction_cache import PredictionCache

KINDS, WINDOW, CHANNELS = ("tcn", "gru"), 64, 16
SPEC = spec_named("full-bar")
CALLS, COLD_CALLS, BLOCK, IDLE_SECS = 5_000, 200, 100, 0.005
STARTS = 3

Call = Callable[[int], object]


def run() -> dict[str, object]:
    """Latencies in us (`*_us`), loading in s, and each bar with what was found."""
    figures: dict[str, float] = {"window": WINDOW, "features": SPEC.n_features}
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(512, WINDOW, SPEC.n_features)).astype(np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            network = network_of(kind)
            sha256 = write(Path(folder), kind, network, windows[:64])
            figures |= {
                f"{kind}_{name}": value for name, value in loading(Path(folder), sha256).items()
            }
            model = load_verified(Path(folder), sha256)
            model.warm()
            figures |= {
                f"{kind}_{name}": value for name, value in single(model, network, windows).items()
            }
            ours, theirs = model.predict(windows), margins_of(network, windows)
            worst = np.abs(ours - Calibration().apply(theirs)).max()
            figures[f"{kind}_largest_difference_p"] = float(worst)
    torch.set_num_threads(threads)
    return {**figures, "bars": _bars(figures)}


def _bars(figures: dict[str, float]) -> dict[str, object]:
    told: dict[str, object] = {}
    for kind in KINDS:
        for name, bar, control in (
            (
                "served_hot_p99_us",
                "<= 500",
                ("served_cold_p99_us", "eager_torch_hot_p50_us", "eager_torch_hot_p99_us"),
            ),
            (
                "import_load_and_warm_secs",
                "<= 2",
                ("load_and_warm_secs", "import_load_and_warm_without_compiled_code_secs"),
            ),
            ("largest_difference_p", "<= 1e-5", ()),
        ):
            others = {other: figures[f"{kind}_{other}"] for other in control}
            told[f"{kind}_{name}"] = beside(figures[f"{kind}_{name}"], bar, others)
    return told


def network_of(kind: str) -> Network:
    torch.manual_seed(1)
    shape = Shape(kind=kind, window=WINDOW, n_features=SPEC.n_features, channels=CHANNELS)
    return Network(shape).eval()


def write(folder: Path, kind: str, network: Network, canaries: np.ndarray) -> str:
    """Write an artifact of an untrained network: it costs what a trained one does."""
    shape = Shape(kind=kind, window=WINDOW, n_features=SPEC.n_features, channels=CHANNELS)
    (folder / "model.onnx").write_bytes(export(shape, network.arrays()))
    np.save(folder / CANARY_FILES[0], canaries)
    np.save(folder / CANARY_FILES[1], Calibration().apply(margins_of(network, canaries)))
    n = SPEC.n_features
    manifest = Manifest(
        model="direction-EURUSD", family=kind, symbol="EURUSD", spec_name=SPEC.name,
        spec_fingerprint=SPEC.fingerprint, cadence=str(SPEC.cadence), bar_ns=SPEC.bar_ns,
        horizon_ns=SPEC.bar_ns, window=WINDOW, n_features=n,
        files={path.name: manifests.file_entry(path) for path in folder.iterdir()},
        metrics={}, calibration=Calibration(), expected_move_pips=1.0, train_start_ns=0,
        train_end_ns=0, holdout_start_ns=0, data_hash="", code_revision="", seed=0, parameters={},
        trials=1, engine="onnx", domain=Domain((-9.0,) * n, (9.0,) * n, 1.0),
    )  # fmt: skip
    return manifests.write(folder, manifest)


def loading(folder: Path, sha256: str) -> dict[str, float]:
    """Each start in a process of its own; only the first one has no compiled code on disk."""
    with tempfile.TemporaryDirectory(prefix="tickpath-bench-") as cache:
        starts = [fresh_start(folder, sha256, Path(cache)) for _ in range(STARTS + 1)]
    return start_figures(starts)


def single(model: LoadedModel, network: Network, windows: np.ndarray) -> dict[str, float]:
    cache = PredictionCache(time.monotonic_ns)

    def served(k: int) -> object:
        window = windows[k % len(windows)]
        return model.predict_row(window), model.domain_score(window)

    def eager(k: int) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(windows[k % len(windows)][None])).item()

    def kept(_: int) -> object:
        return cache.score("m/1", SPEC.fingerprint, windows[0], model.predict_row)

    out = {}
    calls = {"served": served, "eager_torch": eager, "kept": kept}
    for label, count, idle in (("hot", CALLS, 0.0), ("cold", COLD_CALLS, IDLE_SECS)):
        for name, times in take_turns(calls, count, idle).items():
            out[f"{name}_{label}_p50_us"] = round(float(np.percentile(times, 50)) / 1e3, 2)
            out[f"{name}_{label}_p99_us"] = round(float(np.percentile(times, 99)) / 1e3, 2)
    return out


def take_turns(calls: dict[str, Call], count: int, idle: float) -> dict[str, list[int]]:
    times: dict[str, list[int]] = {name: [] for name in calls}
    for call in calls.values():
        for k in range(50):
            call(k)
    block = 1 if idle else BLOCK
    for first in range(0, count, block):
        for name, call in calls.items():
            for k in range(first, min(first + block, count)):
                if idle:
                    time.sleep(idle)
                start = time.perf_counter_ns()
                call(k)
                times[name].append(time.perf_counter_ns() - start)
    return times
