"""The live skew sentinel: live feature rows against the batch, and HOLD where they differ.

Beside each instrument's live state runs a shadow: the state that the batch path reaches from the
same stored quotes and the same live ones. It is advanced on a schedule of its own, in a thread, by
the quotes that the ring has kept since, and never copied from the live state. At each check the
newest live row and the shadow's must be the same bits; so every live quote counts, and a sample of
the rows is compared. Where a model reads a window of rows, all rows of the window are.

A difference turns the instrument to HOLD (reason ``feature_skew``) until a person has re-armed it.
Then its features are rebuilt from the tape, and a new shadow begins; until then there is none.

The loop does little for a check: it copies one row and some positions. What the thread does holds
the interpreter only while it copies at most `skew_batch` quotes at a time; the kernels run without
its lock.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from core.columns import QuoteColumns, concat
from core.config import FeaturesConfig
from core.instruments import InstrumentTable
from features import batch
from features.blocks import F4
from features.engine import FeatureEngine
from features.kernel import Slot
from features.peers import QuoteStore, newest_tapes, sides_of
from features.spec import MINUTE_NS, plan_of
from features.strength import DEPTH, LAG_NS, N_VALUES, Strength, usd_strength
from serving.live_features import LiveFeatures
from trading.decision import FEATURE_SKEW
from trading.events import Event, FeaturesRebuilt, HoldInstrument

log = logging.getLogger(__name__)

# Enough of a peer's newest quotes for the longest span of the strength, and then some.
_PEER_QUOTES = 20_000


@dataclass(slots=True, eq=False)
class _Shadow:
    """State of one instrument as the batch has it, at a position of its ring.

    `stored` is the time of the stored quotes it begins with, `before_ns` the end of its peers'
    stored quotes, `told` the newest minute of the strength that it knows. `rows` are its newest
    warm ones, at most the `window` that a model reads at a time.
    """

    engine: FeatureEngine
    window: int
    rows: F4
    stored: tuple[int, int]
    position: int
    peer_positions: dict[str, int]
    before_ns: int = 0
    slot: Slot | None = None
    told: int = -1
    peer_tapes: dict[str, QuoteColumns] = field(default_factory=dict)
    refresh: "_Refresh | None" = None


@dataclass(slots=True, frozen=True, eq=False)
class _Refresh:
    """The series of the strength was made anew, for a gap in the tape of a peer."""

    before_ns: int
    positions: dict[str, int]


@dataclass(slots=True, frozen=True, eq=False)
class _Sight:
    """What the live features show at one moment."""

    shadow: _Shadow
    rows: F4
    window: int
    position: int
    peer_positions: dict[str, int]


class SkewSentinel:
    """Watches the rows of all instruments that have features.

    Parameters
    ----------
    instruments : InstrumentTable
    features : LiveFeatures
        With rings; the sentinel is told of each rebuild after it was installed.
    store : QuoteStore
        Stored quotes that the rebuilds began from.
    tell : callable
        Takes the event that holds an instrument.
    config : FeaturesConfig

    Attributes
    ----------
    checks : int
        Comparisons that were made.
    skews : int
        Comparisons that found a difference.
    lost : int
        Shadows that began anew from a copy of the live state, because the ring had come round
        before they were advanced, or the stored quotes could not be read.
    """

    def __init__(
        self,
        instruments: InstrumentTable,
        features: LiveFeatures,
        store: QuoteStore,
        tell: Callable[[Event], None],
        config: FeaturesConfig,
    ) -> None:
        self._instruments = instruments
        self._features = features
        self._store = store
        self._tell = tell
        self._config = config
        self._shadows: dict[int, _Shadow] = {}
        self.checks = self.skews = self.lost = 0

    def rebuilt(self, event: FeaturesRebuilt) -> None:
        """Begin a shadow where the live state has just begun."""
        symbol = self._symbol(event.instrument)
        for instrument, shadow in self._shadows.items():
            if symbol in shadow.peer_positions:
                shadow.refresh = _Refresh(event.before_ns, self._positions(instrument))
        engine = self._features.engine(event.instrument)
        if engine is not None and self._features.rings:
            self._shadows[event.instrument] = self._begin(engine, event, event.instrument)

    def forget(self, instrument: int) -> None:
        """Drop the shadow of an instrument that will be rebuilt."""
        self._shadows.pop(instrument, None)

    async def run(self) -> None:
        """Check all instruments in turn on the schedule, until cancelled."""
        while True:
            await asyncio.sleep(self._config.skew_check_secs)
            for instrument in tuple(self._shadows):
                await self.check(instrument)

    async def check(self, instrument: int) -> bool | None:
        """Compare the newest rows; False when any differs, None when nothing can be compared."""
        sight = self._look(instrument)
        if sight is None:
            return None
        rows = await self._advance(instrument, sight)
        if rows is None or self._shadows.get(instrument) is not sight.shadow:
            return None  # rebuilt or lost meanwhile
        self.checks += 1
        column = _difference(rows, sight.rows, sight.shadow.engine.spec.names)
        if column is None:
            return True
        self.skews += 1
        self._hold(instrument, sight, column)
        return False

    def _look(self, instrument: int) -> _Sight | None:
        shadow, engine = self._shadows.get(instrument), self._features.engine(instrument)
        if shadow is None or engine is None:
            return None
        if engine is not shadow.engine:
            self.forget(instrument)
            return None
        if shadow.refresh is not None:
            _retell(shadow, shadow.refresh)
        position = self._features.rings[instrument].count
        rows, window = engine.newest_rows(instrument), engine.window(instrument)
        return _Sight(shadow, rows, window, position, self._positions(instrument))

    def _positions(self, instrument: int) -> dict[str, int]:
        """How far the rings of the instrument's peers are written."""
        by_symbol = self._instruments.by_symbol
        peers = self._features.peers(instrument)
        return {name: self._features.rings[by_symbol(name).id].count for name in peers}

    def _begin(
        self, engine: FeatureEngine, event: FeaturesRebuilt | None, instrument: int
    ) -> _Shadow:
        position = self._features.rings[instrument].count
        stored = (0, 0) if event is None else (event.from_ns, event.before_ns)
        window = engine.window(instrument)
        rows = np.empty((0, engine.spec.n_features), np.float32)
        peers = self._positions(instrument)
        return _Shadow(engine, window, rows, stored, position, peers, stored[1])

    async def _advance(self, instrument: int, sight: _Sight) -> F4 | None:
        """Bring the shadow to where the sight is, a batch of quotes at a time."""
        shadow = sight.shadow
        try:
            if shadow.slot is None:
                await asyncio.to_thread(self._open, instrument, shadow)
            while shadow.position < sight.position:
                end = min(sight.position, shadow.position + self._config.skew_batch)
                if not await asyncio.to_thread(self._step, instrument, sight, end):
                    self._adopt(instrument)
                    return None
        except Exception as error:  # noqa: BLE001 - a store that fails is no skew
            log.error("features of %s cannot be watched: %s", self._symbol(instrument), error)
            self._adopt(instrument)
            return None
        return shadow.rows[max(0, len(shadow.rows) - sight.window) :]

    def _open(self, instrument: int, shadow: _Shadow) -> None:
        """Compute the state that the rebuild began with, from the store and nothing else."""
        engine, pip = shadow.engine, self._instruments[instrument].pip
        slot = Slot(engine.spec, plan_of(engine.spec), pip)
        columns = self._store.read(self._symbol(instrument), *shadow.stored)
        strength = None
        peers = tuple(shadow.peer_positions)
        if peers:
            tapes = dict(newest_tapes(self._store, peers, shadow.before_ns))
            shadow.peer_tapes = tapes
            strength = self._told(shadow, tapes)
        self._feed(shadow, slot, columns, strength)
        shadow.slot = slot

    def _step(self, instrument: int, sight: _Sight, end: int) -> bool:
        """Advance by quotes of the ring; False when they are not there any more."""
        shadow, rings = sight.shadow, self._features.rings
        columns = rings[instrument].take(shadow.position, end)
        if columns is None or shadow.slot is None:
            return False
        strength = None
        if shadow.peer_positions:
            if not shadow.peer_tapes:
                peers = tuple(shadow.peer_positions)
                shadow.peer_tapes = dict(newest_tapes(self._store, peers, shadow.before_ns))
            tapes = self._tapes(sight)
            if tapes is None:
                return False
            strength = self._told(shadow, tapes)
        self._feed(shadow, shadow.slot, columns, strength)
        shadow.position = end
        return True

    def _tapes(self, sight: _Sight) -> dict[str, QuoteColumns] | None:
        """Take the newest quotes of every peer, stored ones before the live ones."""
        tapes = {}
        for symbol, end in sight.peer_positions.items():
            ring = self._features.rings[self._instruments.by_symbol(symbol).id]
            first = sight.shadow.peer_positions[symbol]
            live = ring.take(first, end)
            if live is None:
                return None
            both = concat([sight.shadow.peer_tapes[symbol], live])
            tapes[symbol] = both
            if len(both) > 2 * _PEER_QUOTES:
                sight.shadow.peer_tapes[symbol] = both[-_PEER_QUOTES:]
                sight.shadow.peer_positions[symbol] = end
        return tapes

    def _told(self, shadow: _Shadow, tapes: dict[str, QuoteColumns]) -> Strength:
        """Return the minutes that are complete by now and were not told before."""
        series = usd_strength(tapes, sides_of(tuple(tapes), self._instruments))
        now = max((int(columns.ts.max()) for columns in tapes.values() if len(columns)), default=0)
        fresh = (series.minute > shadow.told) & (series.minute * MINUTE_NS + LAG_NS <= now)
        return Strength(series.minute[fresh], series.values[fresh])

    def _feed(
        self, shadow: _Shadow, slot: Slot, columns: QuoteColumns, strength: Strength | None
    ) -> None:
        rows, told = batch.advance_from(slot, columns, strength, 0)
        if strength is not None and told:
            shadow.told = int(strength.minute[told - 1])
        warm = rows.rows[rows.warm][-shadow.window :]
        shadow.rows = np.concatenate([shadow.rows, warm])[-shadow.window :]

    def _adopt(self, instrument: int) -> None:
        """Begin anew from a copy of the live state: what came before cannot be proved any more."""
        engine = self._features.engine(instrument)
        self.forget(instrument)
        if engine is None:
            return
        self.lost += 1
        if engine.spec.needs_strength:
            return  # until the next rebuild, which tells where its peers' tapes begin
        shadow = self._begin(engine, None, instrument)
        shadow.slot, shadow.rows = engine.adopt(instrument), engine.newest_rows(instrument)
        self._shadows[instrument] = shadow

    def _hold(self, instrument: int, sight: _Sight, column: str) -> None:
        self.forget(instrument)
        log.critical(
            "%s: live features differ from the batch in %r after %d quotes, it decides HOLD until "
            "it is re-armed", self._symbol(instrument), column, sight.position,
        )  # fmt: skip
        self._tell(HoldInstrument(0, instrument, FEATURE_SKEW))

    def _symbol(self, instrument: int) -> str:
        return self._instruments[instrument].symbol


def _retell(shadow: _Shadow, refresh: _Refresh) -> None:
    """Take the series from the stored tapes once more, and tell its newest minutes again."""
    shadow.refresh = None
    shadow.before_ns, shadow.peer_positions = refresh.before_ns, refresh.positions
    shadow.peer_tapes = {}
    shadow.told -= DEPTH // 2
    if shadow.slot is not None:
        shadow.slot.retell_strength(Strength(np.empty(0, np.int64), np.empty((0, N_VALUES))))


def _difference(batch_rows: F4, live: F4, names: tuple[str, ...]) -> str | None:
    """Name the first column that differs in any bit; None when all are equal."""
    if batch_rows.shape != live.shape:
        return "how many rows are warm"
    moved = np.flatnonzero((batch_rows.view(np.uint32) != live.view(np.uint32)).any(axis=0))
    return names[int(moved[0])] if len(moved) else None
