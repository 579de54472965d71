"""Feature specs: which columns a row has, in which order, and on which cadence rows come.

A spec is a list of blocks; everything else (columns, state layout, warm-up, fingerprint) follows
from it. `core-bar` and `core-tick` have the same 32 columns, with windows that suit minutes and
single quotes; `full-bar` and `full-tick` about twice as many, with microstructure, sessions, closed
bars of several lengths and candlestick patterns. `cross-bar` and `cross-tick` add the strength of
the dollar, which takes the tapes of several instruments. All columns are relative to price or in
pips, so that a model transfers between instruments.
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import BadInput
from core.types import Cadence
from features.catalogue import Column, kind_named
from features.sample import N_SAMPLE
from features.user import UserFeature

MINUTE_NS = 60_000_000_000
# Goes up when a kernel changes what a column holds, so that older models refuse newer rows.
REVISION = 1


class Block(msgspec.Struct, frozen=True):
    """One entry of `features.catalogue.BLOCKS` with its windows, in samples."""

    kind: str
    windows: tuple[int, ...] = ()


class FeatureSpec(msgspec.Struct, frozen=True):
    """Ordered columns and how they are made; build one with `make_spec`.

    Attributes
    ----------
    cadence : Cadence
        ``bar``: a row per closed bar, of closed bars only. ``tick``: a row per quote.
    bar_ns : int
        Bar length, ns; unused on the tick cadence.
    columns : tuple of Column
        In the order of the row.
    warmup : int
        Samples until the first warm row; the wash-out of recursive seeds is in it.
    blocks : tuple of Block
        What the kernels run, in column order.
    """

    name: str
    cadence: Cadence
    bar_ns: int
    columns: tuple[Column, ...]
    warmup: int
    blocks: tuple[Block, ...]
    revision: int = REVISION

    @property
    def n_features(self) -> int:
        """Columns of a row."""
        return len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in the order of the row."""
        return tuple(column.name for column in self.columns)

    @property
    def warmup_ns(self) -> int:
        """Market time, ns, that columns of closed bars need besides `warmup` samples; often 0."""
        return max(column.warmup_ns for column in self.columns)

    @property
    def needs_strength(self) -> bool:
        """Whether rows need the dollar's strength, see `features.strength`."""
        return any(block.kind == "strength" for block in self.blocks)

    @property
    def fingerprint(self) -> str:
        """First 16 hex characters of the SHA-256 of the spec's canonical JSON."""
        return _fingerprint(self)


@lru_cache(maxsize=64)
def _fingerprint(spec: FeatureSpec) -> str:
    return hashlib.sha256(msgspec.json.encode(spec, order="sorted")).hexdigest()[:16]


def make_spec(
    name: str, cadence: Cadence, blocks: tuple[Block, ...], bar_ns: int = MINUTE_NS
) -> FeatureSpec:
    """Build a spec from its blocks.

    Raises
    ------
    BadInput
        For an unknown kind of block, wrong windows, a column name twice, or a bar of no length.
    """
    for block in blocks:
        _check(block)
    columns = tuple(
        column for block in blocks for column in kind_named(block.kind).columns(*block.windows)
    )
    names = [column.name for column in columns]
    if not names or len(set(names)) < len(names):
        raise BadInput(f"spec {name!r} needs columns with distinct names, has {names}")
    if bar_ns <= 0:
        raise BadInput(f"spec {name!r} needs a positive bar length, has {bar_ns} ns")
    warmup = max(column.warmup for column in columns)
    return FeatureSpec(name, cadence, bar_ns, columns, warmup, blocks)


def _check(block: Block) -> None:
    kind = kind_named(block.kind)
    if len(block.windows) != kind.n_windows or any(n < 1 for n in block.windows):
        raise BadInput(
            f"feature block {block.kind!r} takes {kind.n_windows} windows of at least 1 sample, "
            f"not {block.windows}"
        )
    if block.kind == "macd" and block.windows[0] >= block.windows[1]:
        raise BadInput(f"macd needs its fast window below the slow one, not {block.windows}")


class Plan(NamedTuple):
    """A spec as the kernels read it.

    Attributes
    ----------
    table : int64[blocks, 6]
        Op, three windows (0 where unused; of a user-defined feature the address of its step, so a
        plan is of this process only), start of the block's slice of the state, first column.
    n_state : int
        Length of the state: the sample and all blocks' slices.
    """

    table: NDArray[np.int64]
    n_state: int


def plan_of(spec: FeatureSpec) -> Plan:
    """Lay the blocks' slices end to end after the sample and their columns side by side."""
    lines = []
    start, column = N_SAMPLE, 0
    for block in spec.blocks:
        kind = kind_named(block.kind)
        windows = (*block.windows, 0, 0, 0)[:3]
        if kind.address:
            windows = (kind.address, kind.size(), 0)
        lines.append((kind.op, *windows, start, column))
        start += kind.size(*block.windows)
        column += len(kind.columns(*block.windows))
    return Plan(np.array(lines, np.int64), start)


def _core(returns: tuple[int, ...], short: int, long: int, bar: int) -> tuple[Block, ...]:
    return (
        *(Block("return", (n,)) for n in returns),
        Block("volatility", (short, long)),
        Block("spread", (long,)),
        Block("rate", (short, long)),
        Block("time"),
        Block("elapsed"),
        Block("sma", (20,)),
        Block("sma", (long,)),
        Block("ema", (12,)),
        Block("ema", (26,)),
        Block("rsi", (14,)),
        Block("macd", (12, 26, 9)),
        Block("bollinger", (20,)),
        Block("atr", (14,)),
        Block("range", (bar,)),
        Block("range", (long,)),
    )


def _full(
    returns: tuple[int, ...],
    short: int,
    long: int,
    horizons: tuple[int, ...],
    ranges: tuple[int, ...],
) -> tuple[Block, ...]:
    return (
        # Trend.
        Block("sma", (20,)),
        Block("sma", (long,)),
        Block("ema", (12,)),
        Block("ema", (26,)),
        Block("macd", (12, 26, 9)),
        Block("efficiency", (short,)),
        # Momentum.
        *(Block("return", (n,)) for n in returns),
        Block("rsi", (14,)),
        *(Block("range", (n,)) for n in ranges),
        # Volatility.
        Block("volatility", (short, long)),
        Block("range_volatility", (60, 20)),
        Block("bollinger", (20,)),
        Block("atr", (14,)),
        # Microstructure.
        Block("spread", (long,)),
        Block("rate", (short, long)),
        Block("moves", (short,)),
        Block("quiet"),
        # Session and calendar.
        Block("time"),
        Block("elapsed"),
        Block("session"),
        # Closed bars of several lengths, and patterns on closed minutes.
        *(Block("horizon", (secs,)) for secs in horizons),
        Block("patterns", (60,)),
    )


_FULL_BAR = _full((1, 5, 15, 30, 60), 20, 60, (300, 900), (1, 60))
_FULL_TICK = _full((1, 10, 30, 60, 240), 60, 240, (60, 300, 900), (240,))
_SPECS = {
    spec.name: spec
    for spec in (
        make_spec("core-bar", Cadence.BAR, _core((1, 5, 15, 30, 60), 20, 60, 1)),
        make_spec("core-tick", Cadence.TICK, _core((1, 10, 30, 60, 240), 60, 240, 20)),
        make_spec("full-bar", Cadence.BAR, _FULL_BAR),
        make_spec("full-tick", Cadence.TICK, _FULL_TICK),
        make_spec("cross-bar", Cadence.BAR, (*_FULL_BAR, Block("strength"))),
        make_spec("cross-tick", Cadence.TICK, (*_FULL_TICK, Block("strength"))),
    )
}


def with_features(spec: FeatureSpec, name: str, *features: UserFeature) -> FeatureSpec:
    """Return a spec called `name` that has the columns of `spec` and user-defined ones after them.

    Raises
    ------
    BadInput
        When two columns would have one name.
    """
    blocks = (*spec.blocks, *(Block(mine.kind) for mine in features))
    return make_spec(name, spec.cadence, blocks, spec.bar_ns)


def register_spec(spec: FeatureSpec) -> FeatureSpec:
    """Let a spec be found by its name; family and cadence make it up, as in ``mine-bar``.

    Raises
    ------
    BadInput
        When the name is taken by another spec, or does not end with the spec's cadence.
    """
    known = _SPECS.setdefault(spec.name, spec)
    if known != spec:
        raise BadInput(f"feature spec {spec.name!r} is another one already")
    if not spec.name.endswith(f"-{spec.cadence}"):
        raise BadInput(f"feature spec {spec.name!r} must end with its cadence, -{spec.cadence}")
    return spec


def spec_names() -> tuple[str, ...]:
    """Names of all specs that ship or were registered."""
    return tuple(_SPECS)


def spec_named(name: str) -> FeatureSpec:
    """Return the spec called `name`.

    Raises
    ------
    BadInput
        When no such spec ships.
    """
    try:
        return _SPECS[name]
    except KeyError:
        raise BadInput(f"unknown feature spec {name!r}; known: {', '.join(_SPECS)}") from None
