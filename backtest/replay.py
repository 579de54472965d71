"""A recorded session again: the live engine on its recorded events, the venue's matching beside it.

The engine gets the recorded quotes, commands and clock readings; orders go to a twin of the venue
on the stored tape, and what the twin says takes the place of the recorded reports. Decisions,
orders, executions and money must come out as they did live.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

import msgspec

from backtest.arrivals import Arrivals
from backtest.outcome import Collector, Comparison, Outcome, compare, outcome_from_journal
from backtest.twin import VenueTwin
from core.columns import QuoteColumns
from core.config import VenueConfig
from core.errors import RecoverableError
from core.instruments import InstrumentTable
from core.types import OrderEventKind
from features.peers import QuoteStore
from features.source import FeatureSources
from features.spec import spec_named
from models.inference.artifact import LoadedModel
from models.pool import ModelPool
from trading.account import Account
from trading.engine import TradingEngine
from trading.events import (
    Event,
    FeaturesRebuilt,
    ModelSwapped,
    OrderEventIn,
    QuoteIn,
    SessionChanged,
)
from trading.journal import MemoryJournal
from trading.ports import FeatureSource, Predictor
from trading.recording import SessionHeader, SessionReader
from trading.records import Happened, Intent, decode

LoadModel = Callable[[str, str], LoadedModel]
_OF_VENUE = frozenset(
    {
        OrderEventKind.ACCEPT,
        OrderEventKind.REJECT,
        OrderEventKind.FILL,
        OrderEventKind.CANCEL,
        OrderEventKind.EXPIRE,
        OrderEventKind.REJECT_CANCEL,
        OrderEventKind.REPLACE,
        OrderEventKind.REJECT_REPLACE,
    }
)


class SessionParts(Protocol):
    """Features and models of a replay, and how they change."""

    @property
    def features(self) -> FeatureSource:
        """Where rows come from."""
        ...

    @property
    def predictor(self) -> Predictor:
        """What scores them."""
        ...

    def rebuild(self, event: FeaturesRebuilt) -> None:
        """Carry the event out on the features."""
        ...

    def swap(self, event: ModelSwapped) -> None:
        """Carry the event out on the predictor."""
        ...


class StoredParts:
    """Features from the tick store and models from verified artifacts.

    Parameters
    ----------
    instruments : InstrumentTable
    store : QuoteStore
        Rebuilds read the rows that the session read.
    load_model : callable
        ``load_model(name, version)`` gives the verified model.
    """

    def __init__(
        self, instruments: InstrumentTable, store: QuoteStore, load_model: LoadModel
    ) -> None:
        self.features = FeatureSources(instruments)
        self.predictor = ModelPool([row.symbol for row in instruments])
        self._instruments = instruments
        self._store = store
        self._load_model = load_model

    def rebuild(self, event: FeaturesRebuilt) -> None:
        """See `SessionParts`."""
        symbol = self._instruments[event.instrument].symbol
        columns = self._store.read(symbol, event.from_ns, event.before_ns)
        self.features.rebuild(event.instrument, columns, self._store, event.before_ns)

    def swap(self, event: ModelSwapped) -> None:
        """See `SessionParts`."""
        model = self._load_model(event.model, event.version)
        self.predictor.swap(event.instrument, model, event.version, event.approved)
        manifest = model.manifest
        self.features.use(
            event.instrument, spec_named(manifest.spec_name), manifest.peers, manifest.window
        )


class Replay:
    """One replay of one session.

    Parameters
    ----------
    header : SessionHeader
    events : iterable of Event
        The session's events in order.
    tape : mapping of instrument id to QuoteColumns
        The venue's tape, see `venue.tape.read_parts` and `Tape.columns`.
    venue : VenueConfig
        Of the venue that the session traded on.
    arrivals : Arrivals
        What reached that venue, see `backtest.arrivals.arrivals_of`.
    parts : SessionParts

    Attributes
    ----------
    engine : TradingEngine
    twin : VenueTwin
    """

    def __init__(
        self,
        header: SessionHeader,
        events: Iterable[Event],
        tape: dict[int, QuoteColumns],
        venue: VenueConfig,
        arrivals: Arrivals,
        parts: SessionParts,
    ) -> None:
        instruments = InstrumentTable(header.instruments)
        self._header = header
        self._events = tuple(events)
        self.twin = VenueTwin(tape, instruments, venue, arrivals)
        self._collector = Collector()
        self.engine = TradingEngine(
            trading=header.trading,
            decision=header.decision,
            risk=header.risk,
            costs=header.costs,
            instruments=instruments,
            features=parts.features,
            predictor=parts.predictor,
            broker=self.twin,
            journal=MemoryJournal(),
            rebuild=parts.rebuild,
            swap_model=parts.swap,
        )

    def run(self) -> Outcome:
        """Process all events; return what came of them, earlier sessions' orders included."""
        before = self._recover()
        self.engine.subscribe(self._collector)
        for event in self._events:
            self._process(event)
        self.twin.finish()
        heard = self._collector.outcome(self.engine.account)
        return Outcome(
            heard.decisions,
            tuple(self.engine.account.book.orders()),
            (*before.executions, *heard.executions),
            heard.realised,
            heard.equity,
            heard.balance,
        )

    def _recover(self) -> Outcome:
        """Bring engine and twin to where earlier sessions left them."""
        header = self._header
        for payload in header.recovered:
            self._retrace(payload)
        self.engine.recover(header.recovered, header.started_ns)
        self.engine.decision_ids.start_at(header.decision_base)
        return outcome_from_journal(header.recovered, fresh_account(header))

    def _retrace(self, payload: bytes) -> None:
        record = decode(payload)
        if isinstance(record, Intent):
            self.twin.send(record.order)
        elif isinstance(record, Happened):
            event = record.event
            order = self.twin.order(event.client_order_id)
            if event.kind in _OF_VENUE:
                self.twin.report(event)
            elif event.kind is OrderEventKind.REQUEST_CANCEL and order is not None:
                self.twin.cancel(order)
            elif event.kind is OrderEventKind.REQUEST_REPLACE and order is not None:
                self.twin.replace(msgspec.structs.replace(order, pending=event.terms))

    def _process(self, event: Event) -> None:
        watch = self.twin.watch
        watch.now_ns = event.now_ns
        if isinstance(event, QuoteIn):
            self.twin.quote(event.quote)
        elif isinstance(event, SessionChanged):
            watch.session(ready=event.ready)
        elif isinstance(event, OrderEventIn) and event.event.kind in _OF_VENUE:
            report = self.twin.report(event.event)
            if report is None:
                return
            event = OrderEventIn(event.now_ns, report)
        with suppress(RecoverableError):  # the caller was told, live too
            self.engine.process(event)


def replay_recording(
    recording: SessionReader,
    expected: Outcome,
    tape: dict[int, QuoteColumns],
    venue: VenueConfig,
    arrivals: Arrivals,
    parts: SessionParts,
    *,
    decisions: bool = True,
) -> tuple[Comparison, Outcome]:
    """Replay a recorded session and compare it with what it came to.

    Parameters
    ----------
    recording : SessionReader
    expected : Outcome
        Of the live session: from its `Collector`, or by `outcome_from_journal`.
    tape : mapping of instrument id to QuoteColumns
        What the venue had on its tape.
    venue : VenueConfig
        Seed and ratios of that venue.
    arrivals : Arrivals
        What reached that venue.
    parts : SessionParts
        `StoredParts` in practice.
    decisions : bool
        False when `expected` has no decisions to compare with.

    Returns
    -------
    Comparison, Outcome
        The outcome is the replay's.
    """
    replay = Replay(recording.header, recording.events(), tape, venue, arrivals, parts)
    outcome = replay.run()
    return compare(expected, outcome, replay.twin.differences, decisions=decisions), outcome


def fresh_account(header: SessionHeader) -> Account:
    """Return an empty account with the session's settings."""
    table = InstrumentTable(header.instruments)
    return Account(header.trading, header.risk, header.costs, table)
