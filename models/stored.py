"""Data sets from the tick store: which tapes one is made of, their hash, and the rows' checks."""

import hashlib
from dataclasses import replace

from core.columns import QuoteColumns
from core.config import FAMILIES, Family, TrainingConfig
from core.costs import CostModel
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS, Instrument, InstrumentTable
from features.check import part_to_check, run_checks
from features.peers import DollarTapes, dollar_tapes, peers_of
from features.spec import FeatureSpec, spec_named
from models.dataset import Dataset, build_dataset, spec_for
from models.manifest import Manifest
from storage.ports import Ticks


def snapshot(store: Ticks, symbol: str, config: TrainingConfig) -> str:
    """Hash of all stored quotes that a training of the symbol reads, its peers' included."""
    return tapes_hash(store, symbol, peers_wished(config))


def peers_wished(config: TrainingConfig) -> tuple[str, ...]:
    """Peers that the settings ask for; the same for both cadences of a family."""
    return peers_of(spec_named(f"{config.features}-bar"), config.peers)


def tapes_hash(store: Ticks, symbol: str, peers: tuple[str, ...]) -> str:
    """Hash of the symbol's stored quotes, and of those of its peers where it has any."""
    own = store.snapshot_hash(symbol)
    if not peers:
        return own
    parts = (own, *(f"{peer} {store.snapshot_hash(peer)}" for peer in peers))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def stored_dataset(
    store: Ticks,
    instrument: Instrument,
    config: TrainingConfig,
    costs: CostModel,
    data_hash: str,
    *,
    spec: FeatureSpec | None = None,
    peers: tuple[str, ...] | None = None,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
    check: bool = False,
) -> Dataset:
    """Build the data set of an instrument from its stored quotes.

    Parameters
    ----------
    spec, peers : optional
        Of a version that is made again; what the settings ask for when absent.
    check : bool
        Run all checks of `features.check` on the newest quotes first.

    Raises
    ------
    BadInput
        As `build_dataset`; when a peer has no stored quotes; when a check fails.
    """
    columns = store.read(instrument.symbol)
    spec = spec or spec_for(columns, config)
    peers = peers_of(spec, config.peers if peers is None else peers)
    dollar = dollar_tapes(store, peers, instruments)
    if check:
        refuse_unsound(spec, columns, instrument, dollar)
    return build_dataset(
        columns,
        instrument.symbol,
        spec,
        instrument.pip,
        config,
        costs,
        data_hash=data_hash,
        strength=None if dollar is None else dollar.strength(),
        peers=peers,
    )


def rows_of(
    manifest: Manifest,
    store: Ticks,
    instrument: Instrument,
    config: TrainingConfig,
    costs: CostModel,
) -> Dataset:
    """Rows as a version reads them: its spec, peers, family and window on what is stored now."""
    family: Family = next((name for name in FAMILIES if name == manifest.family), "trees")
    return stored_dataset(
        store,
        instrument,
        replace(config, family=family, window=manifest.window),
        costs,
        "",
        spec=spec_named(manifest.spec_name),
        peers=manifest.peers,
    )


def refuse_unsound(
    spec: FeatureSpec, columns: QuoteColumns, instrument: Instrument, dollar: DollarTapes | None
) -> None:
    """Run `features.check` on the newest quotes, as ``tickpath features check`` does.

    Raises
    ------
    BadInput
        Naming spec, instrument and what fails.
    """
    part = part_to_check(columns, spec)
    report = run_checks(spec, part, instrument.pip, dollar=dollar)
    if not report.ok:
        raise BadInput(
            f"features {spec.name!r} of {instrument.symbol} do not pass their check, so no version "
            f"is made of them: {'; '.join(report.problems)}"
        )
