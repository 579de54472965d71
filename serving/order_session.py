"""Joins broker, engine and reconciliation: what the venue says, in the order of the wire."""

import asyncio
import logging
from collections.abc import Iterable

from core.errors import Unavailable
from core.types import OrderEvent, TradingState
from fix.reports import StatusReport
from market.fix_feed import FixFeed
from serving.live import LiveLoop
from trading.brokers.fix import FixBroker
from trading.events import OrderEventIn, SessionChanged, SetTradingState
from trading.reconciliation import (
    Action,
    BecomeReady,
    BookReport,
    HaltTrading,
    LoseReadiness,
    Reconciliation,
    ReconciliationState,
    RequestOpenOrders,
    RequestPositions,
    RequestStatus,
)

log = logging.getLogger(__name__)

ASK_AGAIN_SECS = 1.0
_IDLE = (ReconciliationState.REPLAYED, ReconciliationState.MISMATCH)


class OrderSession:
    """Listener of the broker; carries out what reconciliation asks for.

    Nothing is answered out of turn: before an answer about the account is looked at, the engine
    books every report that came before it.

    Parameters
    ----------
    live : LiveLoop
        Takes reports and session changes.
    """

    def __init__(self, live: LiveLoop) -> None:
        self._live = live
        self._broker: FixBroker | None = None
        self._feed: FixFeed | None = None
        self._reconciliation: Reconciliation | None = None
        self.losses = 0
        self.inferred_fills = 0

    def attach(self, broker: FixBroker, feed: FixFeed, reconciliation: Reconciliation) -> None:
        """Give the session what it joins."""
        self._broker, self._feed, self._reconciliation = broker, feed, reconciliation
        self._live.after_report(self._booked)
        self._live.after_drain(self._commit)

    @property
    def ready(self) -> bool:
        """True when logged on, reconciled, and the venue answers."""
        agreed = self.state == ReconciliationState.READY
        return agreed and self._broker is not None and self._broker.ready

    @property
    def feed_up(self) -> bool:
        """True while market data is logged on."""
        return self._feed is not None and self._feed.connected

    @property
    def state(self) -> str:
        """How far the agreement with the venue has come."""
        return "" if self._reconciliation is None else self._reconciliation.state.value

    @property
    def polls(self) -> int:
        """Comparisons with the venue while ready that found no difference."""
        return 0 if self._reconciliation is None else self._reconciliation.polls

    @property
    def feed(self) -> FixFeed | None:
        """Source of market data."""
        return self._feed

    def recheck(self) -> None:
        """Ask the venue again after a mismatch, because a human is about to enable trading.

        Nothing is sent before ours and the venue's view agree; if they do not, trading halts again.
        """
        if self._reconciliation is None:
            return
        self._live.drain()
        actions = self._reconciliation.on_enabled()
        if actions:
            log.info("comparing with the venue again")
            self._live.tell(SessionChanged(0, ready=False, reason="comparing with the venue"))
            self._do(actions)

    # --- trading.brokers.fix.BrokerListener ---

    def on_session(self, up: bool, reason: str) -> None:
        """Reconcile after a logon; after a loss every order in doubt is UNKNOWN."""
        if self._reconciliation is None:
            return
        self._live.drain()
        if up:
            log.info("order session is up: reconciling")
            self._do(self._reconciliation.on_logon())
            return
        self.losses += 1
        log.warning("order session is down: %s", reason)
        self._do(self._reconciliation.on_disconnect())
        self._live.tell(SessionChanged(0, ready=False, reason=reason))

    def on_event(self, event: OrderEvent) -> None:
        """Queue a report."""
        self._live.inbox.put_report(event)
        self._live.wake()

    def on_status(self, report: StatusReport) -> None:
        """Compare what is filled, then queue what the answer tells of the order."""
        self._live.drain()
        if self._reconciliation is not None:
            self._do(self._reconciliation.on_status(report))
        self.on_event(report.event())

    def on_positions(self, steps: dict[int, int]) -> None:
        """Compare with ours once everything before the answer is booked."""
        self._live.drain()
        if self._reconciliation is not None:
            self._do(self._reconciliation.on_positions(steps))

    def on_mass_status(self, open_orders: list[StatusReport]) -> None:
        """Look for orders that the venue works and we do not."""
        self._live.drain()
        if self._reconciliation is not None:
            self._do(self._reconciliation.on_open_orders(open_orders))

    def _commit(self) -> None:
        """Let go of reports that are booked; one that is not must come again after a restart."""
        if self._broker is not None and self._live.booked:
            self._broker.commit()

    async def ask_again(self) -> None:
        """Repeat what the venue has not answered, and poll it while all agrees; until cancelled."""
        while True:
            await asyncio.sleep(ASK_AGAIN_SECS)
            self.look_again()

    def look_again(self) -> None:
        """Do what is due every `ASK_AGAIN_SECS`."""
        found = self._reconciliation
        if found is None or found.state in _IDLE:
            return
        self._live.drain()
        self._do(found.on_timeout() or found.on_poll())

    def _booked(self, event: OrderEventIn) -> None:
        if self._reconciliation is not None:
            self._do(self._reconciliation.on_order_event(event.event))

    def _do(self, actions: Iterable[Action]) -> None:
        try:
            for action in actions:
                self._carry_out(action)
        except Unavailable as error:
            # The link went down in between; all is asked anew after the next logon.
            log.warning("reconciliation waits for the next logon: %s", error)

    def _carry_out(self, action: Action) -> None:
        broker = self._broker
        if broker is None:
            return
        match action:
            case RequestStatus() | RequestOpenOrders() | RequestPositions():
                _ask(broker, action)
            case BookReport(event):
                self.inferred_fills += 1
                log.critical("%s: %s", event.client_order_id, event.reason)
                self._live.inbox.put_report(event)
            case BecomeReady():
                broker.set_reconciled()
                self._live.tell(SessionChanged(0, ready=True, reason="reconciled"))
                log.info("order session is ready: orders and positions agree with the venue")
            case LoseReadiness(reason):
                self.losses += 1
                self._live.tell(SessionChanged(0, ready=False, reason=reason))
                log.critical("reconciliation: %s", reason)
            case HaltTrading(reason):
                self._live.tell(SetTradingState(0, TradingState.HALTED, reason, "reconciliation"))
                log.critical("reconciliation: %s", reason)


def _ask(broker: FixBroker, action: RequestStatus | RequestOpenOrders | RequestPositions) -> None:
    match action:
        case RequestStatus(order):
            broker.request_status(order)
        case RequestOpenOrders():
            broker.request_mass_status()
        case RequestPositions():
            broker.request_positions()
