"""Networks learn what lies in the order of rows, survive kills, and serve as they were trained."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch

from core.errors import ArtifactRefused, BadInput
from models import manifest as manifests
from models.epochs import Course, Epochs
from models.evaluation import log_loss
from models.explain import explain_row
from models.export import write_artifact
from models.families import learner_of
from models.family import silent
from models.fitting import FittedModel, fit_calibrated
from models.inference.artifact import LoadedModel, load_verified
from models.inference.network import OnnxNetwork
from models.layers import FARTHEST, Network, Shape
from models.network import (
    NetworkModel,
    NetworkParams,
    device,
    margins_of,
    reproducible,
    scaler_of,
)
from models.onnx_graph import OPSET, export
from models.pool import ModelPool
from models.prediction_cache import PredictionCache
from models.weights import sample_weights
from tests.models.sequences import NETWORK, WINDOW, ordered
from tests.models.synthetic import Made, make_dataset, train_on

ROOT = Path(__file__).resolve().parents[2]
SMALL = replace(NETWORK, epochs=3, patience=3, epoch_rows=600, channels=4)
KINDS = ("tcn", "gru", "mlp")


def fitted(kind: str) -> tuple[FittedModel, float]:
    """Model of the first rows, and its share of hits on the later ones."""
    config = replace(NETWORK, family=kind)
    data = ordered(config)
    model = fit_calibrated(data.select(np.arange(4_000)), learner_of(config), 10)
    test = data.select(np.arange(4_020, len(data)))
    return model, float(np.mean((model.predict(test.inputs) > 0.5) == test.up))


@pytest.mark.parametrize("kind", ["tcn", "gru"])
def test_a_planted_sequence_is_found(kind: str) -> None:
    model, hits = fitted(kind)
    assert hits > 0.9, "95 % are to be had"
    assert model.calibration.kind == "platt"


def test_a_planted_sequence_is_not_to_be_found_in_single_rows() -> None:
    model, hits = fitted("mlp")
    assert 0.4 < hits < 0.6
    assert np.abs(model.predict(ordered(replace(NETWORK, family="mlp")).inputs) - 0.5).max() < 0.2


# --- engine against torch ---


def network_of(kind: str, window: int, n_features: int, channels: int, seed: int) -> Network:
    torch.manual_seed(seed)
    shape = Shape(kind=kind, window=window, n_features=n_features, channels=channels)
    network = Network(shape).eval()
    with torch.no_grad():
        for weight in network.body.parameters():
            weight.mul_(1.5)
        network.scaler.mean.normal_()
        network.scaler.scale.uniform_(0.0, 3.0)
        network.scaler.scale[0] = 0.0  # a feature that never changed
    return network


def hard_windows(seed: int, count: int, window: int, n_features: int) -> np.ndarray:
    """Windows with gaps, infinities and huge numbers, some of nothing else."""
    rng = np.random.default_rng(seed)
    out = (3.0 * rng.normal(size=(count, window, n_features))).astype(np.float32)
    for value in (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-42):
        out[rng.random(out.shape) < 0.01] = value
    out[0], out[1], out[2], out[3, -1] = np.nan, np.inf, -np.inf, np.nan
    return out


def logistic(margins: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-margins.astype(np.float64)))


def worst_difference(kind: str, count: int) -> float:
    worst = 0.0
    for seed, (window, n_features, channels) in enumerate(
        ((64, 61, 16), (64, 32, 24), (5, 7, 3), (1, 61, 16))
    ):
        network = network_of(kind, window, n_features, channels, seed)
        shape = Shape(kind=kind, window=window, n_features=n_features, channels=channels)
        engine = OnnxNetwork(export(shape, network.arrays()), window, n_features)
        block = 2_000
        for first in range(0, count, block):
            windows = hard_windows(seed + first, min(block, count - first), window, n_features)
            theirs = margins_of(network, windows)
            ours = engine.margins(windows)
            assert np.isfinite(theirs).all()
            worst = max(worst, float(np.abs(logistic(ours) - logistic(theirs)).max()))
            alone = np.array([engine.margin(one) for one in windows[:200]])
            worst = max(worst, float(np.abs(logistic(alone) - logistic(theirs[:200])).max()))
    return worst


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_gives_what_torch_gives(kind: str) -> None:
    assert worst_difference(kind, 400) <= 1e-5


@pytest.mark.proof
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_gives_what_torch_gives_in_full(kind: str, record_property) -> None:
    count = 25_000
    worst = worst_difference(kind, count)
    record_property("windows", 4 * count)
    record_property("worst_difference_in_p", worst)
    assert worst <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_has_a_meaning(kind: str) -> None:
    network = network_of(kind, 4, 3, 4, 0)
    shape = Shape(kind=kind, window=4, n_features=3, channels=4)
    engine = OnnxNetwork(export(shape, network.arrays()), 4, 3)
    mean, scale = (value.numpy() for value in (network.scaler.mean, network.scaler.scale))
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    for value, stands_for in (
        (np.nan, mean[2]),
        (np.inf, mean[2] + FARTHEST / scale[2]),
        (-np.inf, mean[2] - FARTHEST / scale[2]),
    ):
        strange, plain = rows.copy(), rows.copy()
        strange[1, 2], plain[1, 2] = value, stands_for
        assert engine.margin(strange) == pytest.approx(engine.margin(plain), abs=1e-5)


def test_the_engine_refuses_other_shapes_and_types() -> None:
    network = network_of("tcn", 4, 3, 4, 0)
    data = export(Shape(kind="tcn", window=4, n_features=3, channels=4), network.arrays())
    engine = OnnxNetwork(data, 4, 3)
    with pytest.raises(ValueError, match="shape"):
        engine.margin(np.zeros((5, 3), np.float32))
    with pytest.raises(ValueError, match="shape"):
        engine.margin(np.zeros(3, np.float32))
    with pytest.raises(TypeError, match="float64"):
        engine.margin(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="not a margin"):
        OnnxNetwork(data, 5, 3)


def test_the_file_is_plain_onnx_and_the_same_each_time() -> None:
    for kind in KINDS:
        network = network_of(kind, 4, 3, 4, 0)
        shape = Shape(kind=kind, window=4, n_features=3, channels=4)
        data = export(shape, network.arrays())
        assert data == export(shape, network.arrays())
        document = onnx.load_from_string(data)
        assert [(one.domain, one.version) for one in document.opset_import] == [("", OPSET)]
        assert not any(one.external_data for one in document.graph.initializer)
        assert {node.domain for node in document.graph.node} == {""}


# --- training ---


def learn(config=SMALL, checkpoints: Path | None = None, tell=silent) -> NetworkModel:
    data = ordered(config, n=1_200)
    return learner_of(config, checkpoints=checkpoints).learn(data, 10, tell)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_was_stopped_ends_with_the_same_weights(kind: str, tmp_path: Path) -> None:
    config = replace(SMALL, family=kind, dropout=0.2)
    whole = learn(config)
    told: list[int] = []

    def stop(done: int, _what: str) -> None:
        told.append(done)
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        learn(config, tmp_path, stop)
    again = learn(config, tmp_path, lambda done, _: told.append(done))
    assert told == [1, 2, 3], "no epoch was run twice"
    assert again.onnx == whole.onnx
    assert again.parameters() == whole.parameters()


def test_a_training_that_has_ended_is_not_repeated(tmp_path: Path) -> None:
    first = learn(checkpoints=tmp_path)
    told: list[int] = []
    assert learn(checkpoints=tmp_path, tell=lambda done, _: told.append(done)).onnx == first.onnx
    assert told == []
    other = learn(replace(SMALL, seed=99), tmp_path)
    assert other.onnx != first.onnx
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    first = learn(checkpoints=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    told: list[int] = []
    assert learn(checkpoints=tmp_path, tell=lambda done, _: told.append(done)).onnx == first.onnx
    assert told[0] == 1


KILL_AT_2 = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from models.families import learner_of
from tests.models.sequences import ordered
from tests.models.test_networks import SMALL
def tell(done, what):
    if done == 2 and sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
model = learner_of(SMALL, checkpoints=Path(sys.argv[1])).learn(ordered(SMALL, n=1_200), 10, tell)
print(model.onnx.hex())
"""


@pytest.mark.servers
def test_a_killed_process_goes_on_in_another_to_the_same_weights(tmp_path: Path) -> None:
    def process(folder: str, how: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", KILL_AT_2, str(tmp_path / folder), how],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert process("one", "kill").returncode == -signal.SIGKILL
    assert len(list((tmp_path / "one").glob("*.npz"))) == 1
    resumed, whole = process("one", "go on"), process("two", "go on")
    assert resumed.returncode == whole.returncode == 0, resumed.stderr
    assert resumed.stdout == whole.stdout != ""


def test_training_stops_early_and_keeps_the_best_epoch() -> None:
    config = replace(SMALL, epochs=30, patience=2, network_rate=0.05)
    told: list[str] = []
    model = learn(config, tell=lambda _, what: told.append(what))
    losses = [float(what.rsplit(" ", 1)[1]) for what in told]
    assert len(losses) < 30
    assert model.size == int(np.argmin(losses)) + 1 == len(losses) - 2
    assert model.parameters() == {"epochs_kept": model.size, "epochs_run": len(losses)}


def test_earlier_epochs_predict_otherwise() -> None:
    shape = Shape(kind="gru", window=WINDOW, n_features=32, channels=3)
    by_epoch = [network_of("gru", WINDOW, 32, 3, seed).arrays() for seed in range(3)]
    model, inputs = NetworkModel(shape, by_epoch, epochs=5), ordered(SMALL, n=100).inputs
    assert model.size == 3
    assert np.array_equal(model.margins(inputs, 3), model.margins(inputs))
    assert not np.array_equal(model.margins(inputs, 1), model.margins(inputs))
    assert model.parameters() == {"epochs_kept": 3, "epochs_run": 5}


def test_training_leaves_torch_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    learn()
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


# --- a GPU, as far as one can be shown without one ---


def test_a_gpu_that_torch_sees_is_used_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device().type == "cpu" or torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device().type == "cuda"
    assert NetworkParams(kind="tcn").parameters()["device"] == "cuda"


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_training_takes_everything_to_the_device_of_the_network(kind: str) -> None:
    shape = Shape(kind=kind, window=4, n_features=3, channels=4)
    rows = np.zeros((32, 4, 3), np.float32)
    target, weight = np.zeros(32, np.float32), np.ones(32)
    course = Course(
        known=rows, target=target, weight=weight,
        later=rows, later_target=target, later_weight=weight,
    )  # fmt: skip
    # Tensors on "meta" have no numbers, and refuse to meet those of a processor.
    network = Network(shape).to("meta")
    Epochs(network, NetworkParams(kind=kind, batch_rows=8).pace, course)._epoch(0)
    assert all(weight.grad is not None for weight in network.parameters())
    assert {weight.grad.device.type for weight in network.parameters()} == {"meta"}


def test_what_is_compared_is_not_rounded_to_tf32() -> None:
    network, seen = network_of("tcn", 4, 3, 4, 0), []
    before = torch.backends.cudnn.allow_tf32
    network.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    margins_of(network, np.zeros((3, 4, 3), np.float32))
    with reproducible(1):
        seen.append(torch.backends.cudnn.allow_tf32)
    assert seen == [False, False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_one_class_is_refused_by_name() -> None:
    data = ordered(SMALL, n=1_200)
    with pytest.raises(BadInput, match="are up; a direction model needs both"):
        learner_of(SMALL).learn(replace(data, up=np.ones(len(data), bool)), 10, silent)


def test_the_scaler_is_fitted_on_the_rows_before_those_that_stop_the_training() -> None:
    data = ordered(SMALL, n=1_200)
    rows = data.history.rows.copy()
    rows[int(data.at[-150]) :, 0] += 1_000.0  # only rows that stop the training
    shifted = replace(data, history=replace(data.history, rows=rows), rows=rows[data.at])
    one, other = (learner_of(SMALL).learn(each, 10, silent) for each in (data, shifted))
    mean = one._by_epoch[0]["scaler.mean"]
    assert np.array_equal(mean, other._by_epoch[0]["scaler.mean"])
    assert abs(float(mean[0])) < 0.2


def test_a_feature_that_never_changed_is_left_out() -> None:
    rows = np.full((50, 3), 1e6, np.float32)
    rows[:, 1] = np.arange(50)
    scaler = scaler_of(rows)
    assert scaler["scale"].tolist()[0] == scaler["scale"].tolist()[2] == 0.0
    assert scaler["scale"][1] == pytest.approx(1.0 / np.arange(50).std())


def test_trees_and_networks_learn_the_size_of_the_move_as_well() -> None:
    data = make_dataset(0, n=2_500).training()
    for family in ("trees", "mlp"):
        config = replace(
            SMALL, family=family, objective="return", epochs=6, patience=6, epoch_rows=2_000
        )
        early, late = data.select(np.arange(1_400)), data.select(np.arange(1_420, len(data)))
        model = fit_calibrated(early, learner_of(config), 10)
        p = model.predict(late.inputs)
        assert log_loss(p, late.up) < 0.95 * log_loss(np.full(len(p), early.up.mean()), late.up)
        margins = model.learned.margins(late.inputs)
        assert np.corrcoef(margins, late.move_pips)[0, 1] > 0.3


# --- weights ---


def test_class_weights_let_both_sides_count_alike() -> None:
    data = make_dataset(0, n=1_500)
    rare = data.select(data.up | (np.arange(len(data)) % 4 == 0))
    plain, balanced = sample_weights(rare), sample_weights(rare, "balanced")
    assert plain[rare.up].sum() > 1.5 * plain[~rare.up].sum()
    assert balanced[rare.up].sum() == pytest.approx(balanced[~rare.up].sum())
    assert balanced.sum() == pytest.approx(plain.sum())


def test_cost_weights_let_a_row_count_by_what_its_wrong_side_would_cost() -> None:
    data = ordered(SMALL, n=500)
    plain, stake = sample_weights(data), sample_weights(data, "none", "stake")
    small, large = np.abs(data.move_pips) < 2.0, np.abs(data.move_pips) > 8.0
    assert (stake / plain)[large].min() > 2.0 > 0.6 > (stake / plain)[small].max()
    assert stake.sum() == pytest.approx(plain.sum())


# --- artifact ---


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    config = replace(SMALL, family=request.param)
    dataset = ordered(config, n=2_400)
    dataset = replace(dataset, holdout_start_ns=int(dataset.ts[2_000]))
    result = train_on(dataset, config)
    folder = tmp_path_factory.mktemp("artifact")
    manifest, sha256 = write_artifact(folder, result, dataset, code_revision="abc")
    return Made(folder, manifest, sha256, result, dataset)


def test_an_artifact_serves_what_was_trained(made: Made) -> None:
    model = load_verified(made.folder, made.sha256)
    held_out = made.dataset.holdout()
    expected = made.result.model.calibration.apply(
        made.result.model.learned.own_margins(held_out.inputs)
    )
    windows = held_out.inputs[:]
    assert np.abs(model.predict(windows) - expected).max() <= 1e-5
    alone = np.array([model.predict_row(window) for window in windows[:100]])
    assert np.abs(alone - expected[:100]).max() <= 1e-5
    assert made.manifest.engine == "onnx"
    assert made.manifest.window == (1 if made.manifest.family == "mlp" else WINDOW)
    assert set(made.manifest.files) == {"model.onnx", "canary_rows.npy", "canary_p.npy"}
    assert {"torch", "onnxruntime"} <= set(made.manifest.libraries)


def test_the_pool_predicts_from_windows(made: Made) -> None:
    pool = ModelPool(["EURUSD"])
    pool.swap(0, load_verified(made.folder, made.sha256), "3", approved=True)
    window = made.dataset.inputs[:1][0]
    prediction = pool.predict(0, window)
    assert prediction is not None
    assert 0.0 < prediction.p < 1.0
    assert prediction.in_domain
    strange = window.copy()
    strange.reshape(-1)[0] = np.nan
    unknown = pool.predict(0, strange)
    assert unknown is not None
    assert np.isfinite(unknown.p)
    assert not unknown.in_domain, "a value that is not finite, however old, makes the decision hold"


def changed(made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "copy"))


def resealed(folder: Path, **changes: object) -> str:
    manifest = manifests.read(folder)
    files = {name: manifests.file_entry(folder / name) for name in manifest.files}
    return manifests.write(folder, msgspec.structs.replace(manifest, files=files, **changes))


def refused(folder: Path, sha256: str, said: str) -> None:
    with pytest.raises(ArtifactRefused, match=said):
        load_verified(folder, sha256)


def test_canary_rows_that_do_not_come_out_are_refused(made: Made, tmp_path: Path) -> None:
    folder = changed(made, tmp_path)
    p = np.load(folder / "canary_p.npy")
    p[3] += 1e-4
    np.save(folder / "canary_p.npy", p)
    refused(folder, resealed(folder), "canary rows do not reproduce")


def test_another_network_is_refused_by_the_canaries(made: Made, tmp_path: Path) -> None:
    folder = changed(made, tmp_path)
    learned = made.result.model.learned
    weights = {name: value * 1.01 for name, value in learned._by_epoch[-1].items()}
    (folder / "model.onnx").write_bytes(export(learned.shape, weights))
    if made.result.model.calibration.slope == 0.0:
        pytest.skip("the calibration says that the margins tell nothing, so all networks are equal")
    refused(folder, resealed(folder), "canary rows do not reproduce")


def test_what_is_no_network_of_this_window_is_refused(made: Made, tmp_path: Path) -> None:
    folder = changed(made, tmp_path)
    refused(folder, resealed(folder, window=made.manifest.window + 1), "not a margin of windows")
    refused(folder, resealed(folder, window=0), "window of 0 rows")
    refused(folder, resealed(folder, family="boosted-trees"), "cannot be served")
    refused(folder, resealed(folder, engine="heap"), "the manifest names")
    sha256 = resealed(folder, window=made.manifest.window, family=made.manifest.family,
                      engine="onnx")  # fmt: skip
    assert isinstance(load_verified(folder, sha256), LoadedModel)
    (folder / "model.onnx").write_bytes(b"no network")
    refused(folder, resealed(folder), "model.onnx cannot be served")


def test_weights_outside_of_the_file_are_refused(made: Made, tmp_path: Path) -> None:
    folder = changed(made, tmp_path)
    document = onnx.load(folder / "model.onnx")
    onnx.save(
        document, folder / "model.onnx", save_as_external_data=True, location="weights.bin",
        size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    refused(folder, resealed(folder), "weights.bin is not in the manifest")
    (folder / "weights.bin").unlink()
    refused(folder, resealed(folder), "model.onnx cannot be served")


def test_a_version_says_how_it_was_trained(made: Made) -> None:
    params = NetworkParams.of(replace(SMALL, family=made.manifest.family)).parameters()
    assert params.items() <= made.manifest.parameters.items()
    assert made.manifest.parameters["epochs_kept"] == made.result.model.learned.size
    assert "checkpoints" not in made.manifest.parameters


def test_requests_find_a_score_again_and_ticks_do_not_ask(made: Made) -> None:
    now = [0]
    kept = PredictionCache(lambda: now[0], 5_000, 30.0)
    pool = ModelPool(["EURUSD"], kept)
    pool.swap(0, load_verified(made.folder, made.sha256), "3", approved=True)
    requested = pool.requested
    first, other = made.dataset.inputs[:2]
    expected = pool.predict(0, first)
    assert len(kept) == 0
    assert requested.predict(0, first) == requested.predict(0, first.copy()) == expected
    assert (kept.hits, kept.misses) == (1, 1)
    assert requested.predict(0, other) == pool.predict(0, other)
    now[0] = 30 * 10**9
    assert requested.predict(0, first) == expected
    assert (kept.hits, kept.misses) == (1, 3)
    pool.swap(0, load_verified(made.folder, made.sha256), "4", approved=False)
    again = requested.predict(0, first)
    assert again is not None
    assert (again.model_version, again.approved) == ("4", False)
    assert kept.misses == 4, "another version is another key"


def test_values_of_trees_are_refused_by_name(made: Made) -> None:
    family = made.manifest.family
    with pytest.raises(BadInput, match=f"TreeSHAP values are of trees; .* is a {family}"):
        explain_row(made.folder, np.zeros(made.manifest.n_features, np.float32))


def test_serving_a_network_imports_no_training_library(made: Made) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from models.inference.artifact import load_verified\n"
        f"model = load_verified(Path({str(made.folder)!r}), {made.sha256!r})\n"
        "model.warm()\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    found = set(run.stdout.split())
    assert "onnxruntime" in found
    assert not found & {"torch", "onnx", "onnxscript", "xgboost", "mlflow", "sklearn", "pandas"}
