"""Judge one version and move the alias that it has earned; what flow and command line both call."""

import numpy as np
from numpy.typing import NDArray

from core.config import Config
from core.errors import ArtifactRefused, NotFound
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from features.parity import check_leaks, check_parity
from features.spec import spec_named
from models.inference.artifact import TOLERANCE, LoadedModel, load_verified
from models.manifest import Manifest, model_name
from registry.loading import RegistryReader, local_copies
from registry.promotion import (
    Gate,
    Promotion,
    canary_gate,
    conclude,
    leak_gate,
    parity_gate,
    refuse,
    skill_gates,
)
from registry.registration import newest_version
from registry.tracking import connect
from storage.parquet import TickStore

_TAPE_QUOTES = 50_000


def promote(
    config: Config,
    symbol: str,
    version: str = "",
    *,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> Promotion:
    """Load a version as serving would, check every gate, store the verdicts, move an alias last.

    Parameters
    ----------
    version : str
        The newest one when empty.

    Raises
    ------
    NotFound
        When the symbol has no such version.
    ArtifactRefused
        When the version cannot be loaded; no alias moves then.
    Unavailable
        When MLflow does not answer.
    """
    instrument = instruments.by_symbol(symbol)
    client = connect(config.mlflow)
    number = version or newest_version(client, model_name(symbol))
    if number is None:
        raise NotFound(f"there is no version of {model_name(symbol)}; train one first")
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    registered = reader.version(model_name(symbol), number)
    try:
        folder = reader.fetch(registered)
        model = load_verified(folder, registered.manifest_sha256)
    except ArtifactRefused as error:
        refuse(client, registered, str(error))
        raise
    expected = np.load(folder / "canary_p.npy", allow_pickle=False)
    gates = (
        *skill_gates(model.manifest),
        *_tape_gates(config, model.manifest, instrument.pip),
        canary_gate(canary_error(model, expected), TOLERANCE),
    )
    return conclude(client, reader, registered, gates)


def canary_error(model: LoadedModel, expected: NDArray[np.float64]) -> float:
    """Worst error in p over the canary rows, each scored alone as live rows are."""
    scored = [model.predict_row(row) for row in model.canary_rows]
    return float(np.max(np.abs(np.array(scored) - expected)))


def _tape_gates(config: Config, manifest: Manifest, pip: float) -> tuple[Gate, Gate]:
    """Parity and leak check on the newest quotes that the version was trained on."""
    store = TickStore(config.storage.ticks)
    columns = store.read(manifest.symbol, end_ns=manifest.holdout_start_ns)
    newest = columns[slice(max(0, len(columns) - _TAPE_QUOTES), None)]
    spec = spec_named(manifest.spec_name)
    parity = check_parity(spec, newest, pip)
    leaks = check_leaks(spec, newest, pip)
    return (
        parity_gate(parity.warm_rows, equal=parity.equal),
        leak_gate(leaks.points, len(leaks.leaks)),
    )
