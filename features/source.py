"""Feature rows of several instruments: one engine per spec in use, live and in recorded time.

An instrument computes the spec of the model that serves it, so an instrument without a model
computes nothing. Its engine starts cold and is rebuilt from stored quotes when the model comes, at
the first quote, and after a gap of the tape.

A spec that needs the dollar's strength is served with the symbols that its model was trained with,
its peers. Their quotes, all of them, go through `update`, whether they have a model or not, so the
minutes are told here in the order of the quotes. A rebuild of any peer makes the series anew from
the stored tapes, for a gap of one tape is a gap in the series of all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.columns import QuoteColumns, from_ticks
from core.instruments import InstrumentTable
from core.types import Quote
from features import kernel
from features.blocks import F4
from features.engine import FeatureEngine, Prepared
from features.peers import QuoteStore, newest_tapes, sides_of
from features.spec import FeatureSpec
from features.strength import Strength, StrengthMeter

_TOGETHER = -1


@dataclass(slots=True, eq=False)
class _Crossed:
    """An engine whose rows need the dollar's strength, and what tells it the minutes."""

    engine: FeatureEngine
    peers: tuple[str, ...]
    ids: frozenset[int]
    sides: dict[int, int]
    meter: StrengthMeter


class _Resumed(NamedTuple):
    """A meter that has seen the stored tapes, to take the place of the present one."""

    crossed: _Crossed
    meter: StrengthMeter
    told: Strength


class Refill(NamedTuple):
    """What a rebuild will put in: see `FeatureSources.prepare`."""

    engine: FeatureEngine | None
    state: Prepared | None
    resumed: tuple[_Resumed, ...]


class FeatureSources:
    """A `trading.ports.FeatureSource` whose instruments compute the spec of their model.

    Parameters
    ----------
    instruments : InstrumentTable
        Their pips scale the rows.
    allocate : callable, optional
        Gives the memory of the engines' state; it is not given back.
    """

    def __init__(
        self, instruments: InstrumentTable, allocate: kernel.Allocate | None = None
    ) -> None:
        self._allocate = allocate
        self._instruments = instruments
        self._pips = [row.pip for row in instruments]
        self._engines: dict[tuple[str, tuple[str, ...]], FeatureEngine] = {}
        self._crossed: list[_Crossed] = []
        self._serving: list[FeatureEngine | None] = [None] * len(self._pips)

    def update(self, quote: Quote) -> F4 | None:
        """Advance the instrument's engine; None without one, or when it gives no row."""
        for crossed in self._crossed:
            for minute, values in crossed.meter.update(quote):
                crossed.engine.push_strength(minute, values)
        engine = self._serving[quote.instrument]
        return None if engine is None else engine.update(quote)

    def use(
        self, instrument: int, spec: FeatureSpec, peers: tuple[str, ...] = (), window: int = 1
    ) -> bool:
        """Compute `spec` for `instrument`; True when it changed, so that a rebuild is due.

        Parameters
        ----------
        peers : tuple of str
            Symbols of the dollar's strength, for a spec that needs it.
        window : int
            Rows to give at a time; more than are kept need a rebuild, too.

        Raises
        ------
        BadInput
            When such a spec comes without peers, or with some that have no side in dollars.
        """
        engine = self._engine_of(spec, peers if spec.needs_strength else ())
        longer = engine.keep(instrument, window)
        if self._serving[instrument] is engine and not longer:
            return False
        engine.make_cold(instrument)
        self._serving[instrument] = engine
        return True

    def is_warm(self, instrument: int) -> bool:
        """Say whether the instrument has an engine with enough samples."""
        engine = self._serving[instrument]
        return engine is not None and engine.is_warm(instrument)

    def engine(self, instrument: int) -> FeatureEngine | None:
        """Engine of the instrument, None while no model serves it."""
        return self._serving[instrument]

    def window(self, instrument: int) -> int:
        """Rows that the instrument is given at a time."""
        engine = self._serving[instrument]
        return 1 if engine is None else engine.window(instrument)

    def engines(self) -> Iterable[FeatureEngine]:
        """All engines in use."""
        return self._engines.values()

    def peers(self, instrument: int) -> tuple[str, ...]:
        """Symbols whose quotes the instrument's rows need besides its own."""
        engine = self._serving[instrument]
        return next((crossed.peers for crossed in self._crossed if crossed.engine is engine), ())

    def needs_tape(self, instrument: int) -> bool:
        """Say whether a gap in the instrument's tape makes anything wrong here."""
        return self._serving[instrument] is not None or bool(self._crossed_of(instrument))

    def group(self, instrument: int) -> int:
        """Name what is rebuilt together: quotes of one group must come in their order.

        While a peer's quotes were held back, the others' would tell minutes without them.
        """
        return _TOGETHER if self._crossed_of(instrument) else instrument

    def make_cold(self, instrument: int) -> None:
        """Drop the instrument's state: no row until it is rebuilt."""
        engine = self._serving[instrument]
        if engine is not None:
            engine.make_cold(instrument)

    def prepare(
        self, instrument: int, columns: QuoteColumns, store: QuoteStore, before_ns: int
    ) -> Refill:
        """Build beside the present state what a rebuild needs; safe in a thread of its own.

        Parameters
        ----------
        columns : QuoteColumns
            Stored quotes of the instrument before `before_ns`.
        store : QuoteStore
            For the tapes of peers, read up to `before_ns`.
        """
        resumed = tuple(_resume(c, store, before_ns) for c in self._crossed_of(instrument))
        engine = self._serving[instrument]
        if engine is None:
            return Refill(None, None, resumed)
        told = next((one.told for one in resumed if one.crossed.engine is engine), None)
        return Refill(engine, engine.prepare(instrument, columns, told), resumed)

    def install(self, instrument: int, refill: Refill) -> bool:
        """Go on from what `prepare` has built; False when it was for another engine or window."""
        engine = self._serving[instrument]
        if refill.engine is not engine:
            return False
        if engine is not None and refill.state is not None:
            if refill.state.window != engine.window(instrument):
                return False
            engine.install(instrument, refill.state)
        for one in refill.resumed:
            one.crossed.meter = one.meter
            one.crossed.engine.retell_strength(one.told)
        return True

    def rebuild(
        self,
        instrument: int,
        columns: QuoteColumns,
        store: QuoteStore | None = None,
        before_ns: int = 0,
    ) -> None:
        """Start afresh from stored quotes, at once; `store` has those of peers."""
        peers = store or ColumnsStore({})
        self.install(instrument, self.prepare(instrument, columns, peers, before_ns))

    def _engine_of(self, spec: FeatureSpec, peers: tuple[str, ...]) -> FeatureEngine:
        key = spec.fingerprint, peers
        if key not in self._engines:
            engine = FeatureEngine(spec, self._pips, self._allocate)
            if spec.needs_strength:
                self._crossed.append(self._cross(engine, peers))
            self._engines[key] = engine
        return self._engines[key]

    def _cross(self, engine: FeatureEngine, peers: tuple[str, ...]) -> _Crossed:
        named = sides_of(peers, self._instruments)
        sides = {self._instruments.by_symbol(name).id: side for name, side in named.items()}
        return _Crossed(engine, peers, frozenset(sides), sides, StrengthMeter(sides))

    def _crossed_of(self, instrument: int) -> list[_Crossed]:
        engine = self._serving[instrument]
        return [c for c in self._crossed if c.engine is engine or instrument in c.ids]


def _resume(crossed: _Crossed, store: QuoteStore, before_ns: int) -> _Resumed:
    meter = StrengthMeter(crossed.sides)
    tapes = newest_tapes(store, crossed.peers, before_ns)
    return _Resumed(crossed, meter, meter.resume([tapes[symbol] for symbol in crossed.peers]))


class ColumnsStore:
    """Columns in memory where a store is asked for.

    Parameters
    ----------
    columns : mapping of str to QuoteColumns
        By symbol, in time order.
    """

    def __init__(self, columns: Mapping[str, QuoteColumns]) -> None:
        self._columns = columns

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        """Return quotes with ``start_ns <= ts < end_ns``; none for a symbol that is not there."""
        columns = self._columns.get(symbol, empty_columns())
        return columns.between(start_ns or 0, (1 << 62) if end_ns is None else end_ns)


def empty_columns() -> QuoteColumns:
    """Return columns without a row."""
    return from_ticks(np.empty(0, np.int64), np.empty(0), np.empty(0))
