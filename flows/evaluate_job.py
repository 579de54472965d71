"""Measure a version on the quotes as they are now, by the figures of the gates; nothing moves."""

from pathlib import Path

import msgspec

from core.config import Config
from core.errors import NotFound
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from flows.judging import figures_of
from models.manifest import model_name
from registry.gates import POLICY, Gate, read_policy
from registry.opening import open_registry
from registry.registration import newest_version
from registry.tracking import connect


class Evaluated(msgspec.Struct, frozen=True):
    """What was measured of a version: every figure, and what the gates would say of them."""

    model: str
    version: str
    figures: dict[str, float | None]
    gates: tuple[Gate, ...]


def evaluate(
    config: Config,
    symbol: str,
    version: str = "",
    *,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> Evaluated:
    """Measure a version, the newest when none is named.

    Raises
    ------
    NotFound
        When there is none.
    ArtifactRefused, Unavailable
        As the registry.
    """
    instrument, name = instruments.by_symbol(symbol), model_name(symbol)
    number = version or newest_version(connect(config.mlflow), name)
    if number is None:
        raise NotFound(f"there is no version of {name}; train one first")
    with open_registry(config) as registry:
        model, folder = registry.load(registry.reader.version(name, number))
    figures = figures_of(config, instrument, model, folder, None)
    policy = read_policy(Path(config.promotion.policy) if config.promotion.policy else POLICY)
    gates = policy.judge(figures, against_champion=False)
    return Evaluated(name, number, dict(figures), gates)
