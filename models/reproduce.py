"""Train a version again from what its manifest says, and compare the bytes."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from core.config import TrainingConfig
from core.costs import CostModel
from core.errors import BadInput
from core.instruments import Instrument
from features.spec import spec_named
from models.dataset import Dataset
from models.families import learner_of
from models.family import Learner
from models.fitting import FittedModel, fit_calibrated
from models.manifest import Manifest, file_entry
from models.stored import stored_dataset, tapes_hash
from storage.ports import Ticks


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Outcome of a second training.

    Attributes
    ----------
    differences : tuple of str
        One sentence for everything that came out otherwise; empty when all is equal.
    file : str
        The library's own file: UBJSON of trees, ONNX of a network.
    expected_sha256, found_sha256 : str
        Of that file's bytes.
    """

    differences: tuple[str, ...]
    file: str
    expected_sha256: str
    found_sha256: str

    @property
    def equal(self) -> bool:
        """Whether the same bytes, calibration and estimates came out."""
        return not self.differences


def reproduce(
    manifest: Manifest,
    store: Ticks,
    instrument: Instrument,
    code_revision: str,
    *,
    any_code: bool = False,
) -> Reproduction:
    """Retrain from the stored quotes.

    Parameters
    ----------
    manifest : Manifest
        Of the version, verified.
    code_revision : str
        Revision of the code that runs now.
    any_code : bool
        Try with another revision than the version's all the same.

    Raises
    ------
    BadInput
        When the quotes, the code, a library, the feature spec or the settings that made the version
        are not at hand.
    """
    if code_revision != manifest.code_revision and not any_code:
        raise BadInput(
            f"the code is of revision {code_revision}, the version was made by "
            f"{manifest.code_revision}; check that out, or try with any code"
        )
    learner = learner_of(_settings(manifest), int(manifest.parameters.get("nthread", 1)))
    _refuse_other_libraries(manifest, learner)
    found_hash = tapes_hash(store, manifest.symbol, manifest.peers)
    if found_hash != manifest.data_hash:
        raise BadInput(
            f"the stored quotes of {manifest.symbol} have hash {found_hash}, the version was made "
            f"from {manifest.data_hash or 'quotes without a hash'}"
        )
    again = _retrained(manifest, store, instrument, learner)
    file = again.learned.model_file
    expected = manifest.files[file].sha256
    found = _sha256(again)
    return Reproduction(
        file=file,
        differences=tuple(_differences(manifest, again, expected, found)),
        expected_sha256=expected,
        found_sha256=found,
    )


def _refuse_other_libraries(manifest: Manifest, learner: Learner) -> None:
    for name, version in learner.libraries.items():
        then = manifest.libraries.get(name, "an unknown version")
        if then != version:
            raise BadInput(f"{name} is {version} here, the version was made with {then}")


def _retrained(
    manifest: Manifest, store: Ticks, instrument: Instrument, learner: Learner
) -> FittedModel:
    config = _settings(manifest)
    spec = spec_named(manifest.spec_name)
    if spec.fingerprint != manifest.spec_fingerprint:
        raise BadInput(
            f"feature spec {spec.name!r} has fingerprint {spec.fingerprint} now, the version was "
            f"made with {manifest.spec_fingerprint}"
        )
    costs = CostModel(**manifest.costs)
    dataset = stored_dataset(
        store, instrument, config, costs, manifest.data_hash, spec=spec, peers=manifest.peers
    )
    _refuse_other_span(manifest, dataset)
    return fit_calibrated(dataset.training(), learner, config.embargo_samples, config.calibration)


def _sha256(again: FittedModel) -> str:
    """Hash of the library's own file, as an artifact would hold it."""
    with TemporaryDirectory(prefix="tickpath-reproduce-") as folder:
        again.learned.write(Path(folder))
        return file_entry(Path(folder) / again.learned.model_file).sha256


def _settings(manifest: Manifest) -> TrainingConfig:
    if not manifest.training:
        raise BadInput("the manifest is too old: it does not hold the settings of the training")
    try:
        return msgspec.convert(manifest.training, TrainingConfig)
    except msgspec.ValidationError as error:
        raise BadInput(f"this code cannot read the version's training settings: {error}") from error


def _refuse_other_span(manifest: Manifest, dataset: Dataset) -> None:
    if dataset.holdout_start_ns != manifest.holdout_start_ns:
        raise BadInput(
            f"the holdout would start at {dataset.holdout_start_ns} ns, the version's did at "
            f"{manifest.holdout_start_ns}"
        )


def _differences(manifest: Manifest, again: FittedModel, expected: str, found: str) -> list[str]:
    told = []
    if found != expected:
        file = again.learned.model_file
        told.append(f"{file} has SHA-256 {found}, the version's has {expected}")
    pairs = {
        "calibration": (manifest.calibration, again.calibration),
        "expected move": (manifest.expected_move_pips, again.expected_move_pips),
        "training domain": (manifest.domain, again.domain),
        "conformal interval": (manifest.conformal, again.conformal),
    }
    for name, (then, now) in pairs.items():
        if then != now:
            told.append(f"the {name} came out as {now}, the version has {then}")
    return told
