"""Load a model artifact that verifies, or refuse it by name.

Serving imports this module: no training library may be reachable from here.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import ArtifactRefused, BadInput
from features.spec import spec_named
from models import manifest as manifests
from models.domain import score_row, score_window
from models.inference.engines import (
    ENGINE_FILES,
    ENGINES,
    FAMILIES,
    HEAP,
    MODEL_FILES,
    ONNX,
    ONNX_FILE,
    TOLERANCES,
    Engine,
    NetworkEngine,
    probabilities,
)
from models.inference.network import OnnxNetwork, UnreadableModel
from models.manifest import FILE_NAME, Manifest

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]

CALIBRATIONS = frozenset({"platt", "base_rate", "identity", "isotonic"})
CANARY_FILES = ("canary_rows.npy", "canary_p.npy")
REFERENCE_FILE = "reference.json"
"""What drift is measured from; absent from versions with few rows, and from old ones."""


def files_of(engine: str = HEAP) -> frozenset[str]:
    """Files of an artifact that an engine serves, beside the manifest."""
    return frozenset({MODEL_FILES[engine], *ENGINE_FILES[engine], *CANARY_FILES})


MIN_CANARIES = 8
MAX_WINDOW = 4_096


class LoadedModel:
    """A verified model, ready to score.

    Attributes
    ----------
    manifest : Manifest
        What the artifact says about itself.
    domain_limit : float
        Rows with a higher `domain_score` are out of the training domain.
    version : str
        Registry version; set by whoever knows it, empty until then.
    """

    __slots__ = (
        "_distance",
        "_domain",
        "_score",
        "_terms",
        "canary_rows",
        "domain_limit",
        "engine",
        "manifest",
        "version",
    )

    def __init__(self, manifest: Manifest, engine: Engine, canary_rows: F4) -> None:
        self.manifest = manifest
        self.version = ""
        self.engine = engine
        self.canary_rows = canary_rows
        self._score, self._terms = engine.scorer(manifest.calibration)
        self._distance = score_row if manifest.window == 1 else score_window
        self._domain = None if manifest.domain is None else manifest.domain.arrays()
        self.domain_limit = np.inf if manifest.domain is None else manifest.domain.limit

    @property
    def tolerance(self) -> float:
        """Largest difference in p from what the library predicted of the canary rows."""
        return TOLERANCES[self.manifest.engine]

    @property
    def reads_windows(self) -> bool:
        """Whether one prediction reads several rows."""
        return self.manifest.window > 1

    @property
    def worth_keeping(self) -> bool:
        """Whether a prediction costs more than finding it again among those kept."""
        return self.manifest.engine == ONNX

    def predict_row(self, row: F4) -> float:
        """Calibrated p of one row, or of one window of rows.

        Parameters
        ----------
        row : float32[n_features], or float32[window, n_features] for a window above 1
            C-contiguous, oldest row first; nothing of it is kept.

        Raises
        ------
        ValueError, TypeError
            For another length, another type or a strided row.
        """
        return self._score(row, *self._terms)

    def domain_score(self, row: F4) -> float:
        """How far what `predict_row` reads lies outside of the training rows; 0 inside.

        See `models.domain`; 0 as well when the manifest has no domain.
        """
        if self._domain is None:
            return 0.0
        score: float = self._distance(row, *self._domain)
        return score

    def predict(self, rows: F4) -> F8:
        """Calibrated p, float64[k], of rows float32[k, window, n_features]; `predict_row` on each.

        For a window of 1 rows float32[k, n_features] will do.
        """
        if rows.ndim == 3 and self.manifest.window == 1:
            rows = rows[:, 0]
        return probabilities(self.engine, rows, self.manifest.calibration)

    def warm(self) -> None:
        """Touch every page of the mapped arrays and the code, before the first live row."""
        for row in self.canary_rows:
            self.predict_row(row)
            self.domain_score(row)


def load_verified(folder: Path, manifest_sha256: str) -> LoadedModel:
    """Load an artifact after checking every promise it makes.

    Parameters
    ----------
    folder : Path
        Holds the artifact and nothing else. Its arrays are memory-mapped, so it must stay.
    manifest_sha256 : str
        The root of trust, from the registry.

    Raises
    ------
    ArtifactRefused
        Naming the reason: a hash, a size, a file too many or missing, a spec this code does not
        compute, arrays that are no heap, canary rows that do not reproduce.
    """
    manifest = _verified_manifest(folder, manifest_sha256)
    if manifest.engine not in ENGINE_FILES:
        raise ArtifactRefused(f"engine {manifest.engine!r} is unknown here")
    _verify_files(folder, manifest)
    _verify_terms(manifest)
    try:
        engine = _load_engine(folder, manifest)
        canary_rows, canary_p = (_load(folder, name) for name in CANARY_FILES)
    except (ValueError, OSError, EOFError) as error:
        raise ArtifactRefused(f"{folder}: an array cannot be read: {error}") from error
    model = LoadedModel(manifest, engine, np.array(canary_rows))
    _verify_canaries(folder, model, canary_p)
    return model


def _verified_manifest(folder: Path, expected: str) -> Manifest:
    try:
        data = (folder / FILE_NAME).read_bytes()
    except OSError as error:
        raise ArtifactRefused(f"{folder} has no readable {FILE_NAME}") from error
    found = manifests.sha256_bytes(data)
    if found != expected:
        raise ArtifactRefused(f"{folder}: {FILE_NAME} has SHA-256 {found}, expected {expected}")
    try:
        return manifests.decode(data)
    except BadInput as error:
        raise ArtifactRefused(f"{folder}: {error}") from error


def _verify_files(folder: Path, manifest: Manifest) -> None:
    files = files_of(manifest.engine)
    named = set(manifest.files)
    if named - {REFERENCE_FILE} != files:
        raise ArtifactRefused(
            f"{folder}: the manifest names {sorted(manifest.files)}, not {sorted(files)}"
        )
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    extra = sorted(found - named - {FILE_NAME})
    if extra:
        raise ArtifactRefused(f"{folder}: {extra[0]} is not in the manifest")
    for name, entry in sorted(manifest.files.items()):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise ArtifactRefused(f"{folder}: {name} is missing or no plain file")
        real = manifests.file_entry(path)
        if real.size != entry.size:
            raise ArtifactRefused(f"{folder}: {name} has {real.size} bytes, expected {entry.size}")
        if real.sha256 != entry.sha256:
            raise ArtifactRefused(
                f"{folder}: {name} has SHA-256 {real.sha256}, expected {entry.sha256}"
            )


def _verify_terms(manifest: Manifest) -> None:
    """Refuse what this code cannot read, or whose feature rows it would compute otherwise."""
    if manifest.family not in FAMILIES[manifest.engine]:
        raise ArtifactRefused(f"family {manifest.family!r} cannot be served here")
    if not 1 <= manifest.window <= (MAX_WINDOW if manifest.engine == ONNX else 1):
        raise ArtifactRefused(
            f"a window of {manifest.window} rows is not one for {manifest.family}"
        )
    calibration = manifest.calibration
    if calibration.kind not in CALIBRATIONS:
        raise ArtifactRefused(f"calibration {calibration.kind!r} is unknown")
    if not (calibration.sound() and np.isfinite(manifest.expected_move_pips)):
        raise ArtifactRefused("a calibration parameter or the expected move is not finite or sound")
    _verify_spec(manifest)
    if manifest.domain is not None and not manifest.domain.sound(manifest.n_features):
        raise ArtifactRefused("the training domain has numbers that are not finite or in order")


def _verify_spec(manifest: Manifest) -> None:
    try:
        spec = spec_named(manifest.spec_name)
    except (BadInput, KeyError, ValueError) as error:
        raise ArtifactRefused(f"feature spec {manifest.spec_name!r} is unknown here") from error
    if spec.fingerprint != manifest.spec_fingerprint:
        raise ArtifactRefused(
            f"feature spec {manifest.spec_name!r} has fingerprint {spec.fingerprint} here, "
            f"the model was trained on {manifest.spec_fingerprint}"
        )
    declared = (manifest.n_features, manifest.cadence, manifest.bar_ns)
    computed = (spec.n_features, str(spec.cadence), spec.bar_ns)
    if declared != computed:
        raise ArtifactRefused(
            f"the manifest declares (n_features, cadence, bar_ns) = {declared}, the feature spec "
            f"{manifest.spec_name!r} has {computed}"
        )


def _load(folder: Path, name: str) -> np.ndarray:
    """Map an array into memory.

    Copy-on-write and not read-only: numba's dispatch is 1 us slower a read-only argument, and
    nobody writes, so the pages stay shared all the same.
    """
    array: np.ndarray = np.load(folder / name, mmap_mode="c", allow_pickle=False)
    return array.view(np.ndarray)


def _load_engine(folder: Path, manifest: Manifest) -> Engine:
    if manifest.engine == ONNX:
        return _load_network(folder, manifest)
    arrays = tuple(_load(folder, name) for name in ENGINE_FILES[manifest.engine])
    engine = ENGINES[manifest.engine](arrays, manifest.n_features)
    if engine is None:
        raise ArtifactRefused(
            f"{folder}: the arrays are no {manifest.engine} of {manifest.n_features} features"
        )
    return engine


def _load_network(folder: Path, manifest: Manifest) -> NetworkEngine:
    """Load from bytes, so that a graph that wants files beside it finds none."""
    data = (folder / ONNX_FILE).read_bytes()
    try:
        return NetworkEngine(OnnxNetwork(data, manifest.window, manifest.n_features))
    except (*UnreadableModel, ValueError) as error:
        raise ArtifactRefused(f"{folder}: {ONNX_FILE} cannot be served: {error}") from error


def _verify_canaries(folder: Path, model: LoadedModel, expected: np.ndarray) -> None:
    rows, manifest = model.canary_rows, model.manifest
    shape: tuple[int, ...] = (len(expected), manifest.n_features)
    if model.reads_windows:
        shape = (len(expected), manifest.window, manifest.n_features)
    if rows.dtype != np.float32 or rows.shape != shape or len(expected) < MIN_CANARIES:
        raise ArtifactRefused(
            f"{folder}: canary rows {rows.dtype}{rows.shape} do not go with {len(expected)} "
            f"expected outputs of {manifest.n_features} features, at least {MIN_CANARIES} of them"
        )
    worst = float(np.max(np.abs(model.predict(rows) - expected)))
    if not worst <= model.tolerance:  # also when it is NaN
        raise ArtifactRefused(
            f"{folder}: canary rows do not reproduce; p is off by {worst:.3g}, "
            f"at most {model.tolerance}"
        )
