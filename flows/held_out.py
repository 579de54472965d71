"""Which stored quotes no model was trained on: what the venue plays and scenarios refer to."""

import logging
from collections.abc import Iterable

from core.config import Config
from core.errors import AppError, BadInput
from models.dataset import holdout_start
from models.manifest import model_name, read
from registry.loading import RegistryReader, local_copies
from storage.adapters import open_ticks
from storage.ports import Ticks

log = logging.getLogger(__name__)


def tape_starts(config: Config, symbols: Iterable[str]) -> dict[str, int]:
    """First instant of the tape by symbol, ns UTC.

    It is where the hold-out of the model begins that serves the symbol; without a model, where the
    hold-out of a training on the stored quotes would begin.

    Raises
    ------
    BadInput
        When a symbol has no stored quotes.
    """
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    store = open_ticks(config.storage)
    return {symbol: _start(config, reader, store, symbol) for symbol in symbols}


def _start(config: Config, reader: RegistryReader, store: Ticks, symbol: str) -> int:
    try:
        version = reader.resolve_serving(model_name(symbol))
        return read(reader.fetch(version)).holdout_start_ns
    except AppError as error:
        log.info("%s: the tape begins where a training would hold out: %s", symbol, error)
    ts = store.read(symbol).ts
    if not len(ts):
        raise BadInput(f"there are no stored quotes of {symbol}; ingest some first")
    return holdout_start(int(ts[0]), int(ts[-1]), config.training)
