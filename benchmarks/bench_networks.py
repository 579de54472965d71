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
CALLS, COLD_CALLS, BLOCK, IDLE_SECS, LOADS = 5_000, 200, 100, 0.005, 10
BAR_WINDOW_P99_US, BAR_LOAD_SECS = 500.0, 2.0

Call = Callable[[int], object]


def run() -> dict[str, float]:
    """Latencies in us (`*_us`), loading in s, and the bars beside them."""
    figures: dict[str, float] = {
        "window": WINDOW,
        "features": SPEC.n_features,
        "bar_window_p99_us": BAR_WINDOW_P99_US,
        "bar_load_and_warm_secs": BAR_LOAD_SECS,
    }
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(512, WINDOW, SPEC.n_features)).astype(np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            network = network_of(kind)
            sha256 = write(Path(folder), kind, network, windows[:64])
            figures |= {f"{kind}_{name}": value for name, value in loading(folder, sha256).items()}
            model = load_verified(Path(folder), sha256)
            model.warm()
            figures |= {
                f"{kind}_{name}": value for name, value in single(model, network, windows).items()
            }
            ours, theirs = model.predict(windows), margins_of(network, windows)
            worst = np.abs(ours - Calibration().apply(theirs)).max()
            figures[f"{kind}_largest_difference_p"] = float(worst)
    torch.set_num_threads(threads)
    return figures


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


def loading(folder: str, sha256: str) -> dict[str, float]:
    taken = []
    for _ in range(LOADS):
        start = time.perf_counter()
        load_verified(Path(folder), sha256).warm()
        taken.append(time.perf_counter() - start)
    return {"load_and_warm_first_secs": taken[0], "load_and_warm_worst_secs": max(taken)}


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


if __name__ == "__main__":
    for key, value in run().items():
        print(f"{key:36} {value:g}")
