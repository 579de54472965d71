"""Data sets of stored quotes, built once for the same quotes, settings and code."""

from dataclasses import dataclass
from pathlib import Path

from core.config import Config
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from models.dataset import Dataset
from models.dataset_store import dataset_key, kept
from models.stored import snapshot, stored_dataset
from registry.lineage import code_revision
from storage.adapters import open_ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a training of a symbol reads; `key` tells data sets that differ apart."""

    symbol: str
    data_hash: str
    code_revision: str
    key: str


def source_of(config: Config, symbol: str) -> Source:
    """Hash the stored quotes of a symbol.

    Raises
    ------
    BadInput
        When there are none.
    """
    store = open_ticks(config.storage)
    if symbol not in store.symbols():
        raise BadInput(f"there are no stored quotes of {symbol}; ingest some first")
    data_hash, revision = snapshot(store, symbol, config.training), code_revision()
    key = dataset_key(data_hash, revision, config.training, config.costs)
    return Source(symbol=symbol, data_hash=data_hash, code_revision=revision, key=key)


def datasets(config: Config) -> Path:
    """Folder of built data sets; what is in it may go at any time."""
    return config.storage.home / "datasets"


def dataset_of(
    config: Config, source: Source, instruments: InstrumentTable = DEFAULT_INSTRUMENTS
) -> Dataset:
    """Build the data set, its rows checked, or read the one that was built before.

    Raises
    ------
    BadInput
        When the quotes do not suffice, or features do not pass their check.
    """

    def build() -> Dataset:
        return stored_dataset(
            open_ticks(config.storage),
            instruments.by_symbol(source.symbol),
            config.training,
            config.costs,
            source.data_hash,
            instruments=instruments,
            check=True,
        )

    return kept(datasets(config) / f"{source.symbol}-{source.key}", build)
