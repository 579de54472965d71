"""SIGKILL in the middle of orders, again and again: nothing lost, nothing sent twice.

Orders are of all kinds: whole and in parts, rejected, resting until they execute or are canceled.
Quick count in ``make test-all``; a hundred kills of serving and fifty of the venue in
``make proof``. See `tests.e2e.test_step_kills` for nine hundred of the trading process alone.
"""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.instruments import DEFAULT_INSTRUMENTS
from core.types import OrderEventKind
from serving.homes import homes_of
from storage.parquet import TickStore
from tests.e2e.stack import IN_DOUBT, SYMBOL, Platform, platform, until, with_venue
from trading.journal_reader import read_journal
from trading.records import Happened, decode
from venue.server import read_status
from venue.state import Venue
from venue.store import VenueLog
from venue.tape import read_parts

pytestmark = pytest.mark.servers
# Slow enough that rests wait over a kill, and late enough that orders are on their way at each.
SLOW_TAPE = with_venue(
    max_quotes_per_sec=15.0, partial_ratio=0.9, reject_ratio=0.1, latency_ms=20.0
)
WORKING = {"ACCEPTED", "PARTIALLY_FILLED"}
OVER = {"FILLED", "CANCELED", "REJECTED", "EXPIRED"}
K = OrderEventKind
OF_VENUE = {K.ACCEPT, K.REJECT, K.FILL, K.CANCEL, K.EXPIRE}


def counts(full: int) -> list[Any]:
    """Kills in ``make test-all``, and in ``make proof``."""
    return [pytest.param(5, id="5"), pytest.param(full, id=str(full), marks=pytest.mark.proof)]


@dataclass
class Callers:
    """Threads that send orders until stopped; each key is used once, its answer remembered.

    Every second resting order is canceled at once; `canceled` has those that were taken on.
    """

    running: Platform
    bodies: dict[str, dict[str, str]] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    acknowledged: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    longest_secs: float = 0.0
    between_secs: float = 0.0

    def burst(
        self, tag: str, then: Callable[[], None], pause_secs: float, threads: int = 3
    ) -> None:
        """Send from several threads and call `then` in the middle of it."""
        stop = threading.Event()
        senders = [
            threading.Thread(target=self._send, args=(f"{tag}-{n}", stop)) for n in range(threads)
        ]
        for sender in senders:
            sender.start()
        stop.wait(pause_secs)
        then()
        stop.set()
        for sender in senders:
            sender.join()

    def _send(self, tag: str, stop: threading.Event) -> None:
        rng = random.Random(tag)
        for number in itertools.count():
            if stop.wait(self.between_secs) if self.between_secs else stop.is_set():
                return
            key = f"{tag}-{number}"
            self.bodies[key] = body = some_order(rng, self.running.first_mid)
            start = time.monotonic()
            status, answer = self.running.client.call("POST", "/v1/orders", body, key)
            self.longest_secs = max(self.longest_secs, time.monotonic() - start)
            if status == 201:
                self.acknowledged[key] = answer["client_order_id"]
                if "limit" in body and rng.random() < 0.5:
                    self._cancel(answer["client_order_id"])
            elif status == 0:
                self.unanswered.add(key)
                return
            else:
                self.refused[answer.get("check", str(status))] += 1

    def _cancel(self, client_order_id: str) -> None:
        status, _ = self.running.client.call("DELETE", f"/v1/orders/{client_order_id}")
        if status == 202:
            self.canceled.add(client_order_id)


def some_order(rng: random.Random, mid: float) -> dict[str, str]:
    """An IOC at the market, or a limit order that rests close to the market or far from it."""
    side = rng.choice(("BUY", "SELL"))
    body = {"symbol": SYMBOL, "side": side, "lots": f"{rng.randint(2, 11) / 100:.2f}"}
    if rng.random() < 0.6:
        return body
    away = rng.choice((0.00005, 0.003))
    limit = mid - away if side == "BUY" else mid + away
    return {**body, "type": "LIMIT", "time_in_force": "GTC", "limit": f"{limit:.5f}"}


def orders_of(running: Platform) -> list[dict[str, Any]]:
    return running.client.orders()


def assert_nothing_lost(running: Platform, callers: Callers) -> None:
    """Every acknowledged order is there, under the id and with the key it was acknowledged with."""
    held = {order["key"]: order["client_order_id"] for order in orders_of(running)}
    for key, client_order_id in callers.acknowledged.items():
        assert held.get(key) == client_order_id, f"acknowledged order {key} is lost"


def assert_sent_once(running: Platform, orders: list[dict[str, Any]]) -> None:
    """Look at the wire: no order left twice, and none that the journal does not hold."""
    assert running.tap is not None
    sent = running.tap.new_orders()
    assert sent, f"no order was sent at all: {Counter(o['reason'] for o in orders)}"
    twice = [name for name, count in sent.items() if count > 1]
    assert not twice, f"sent more than once: {twice}"
    held = {order["client_order_id"].encode() for order in orders}
    assert set(sent) <= held, f"left without a journal entry: {set(sent) - held}"


def assert_agrees_with_venue(running: Platform, orders: list[dict[str, Any]], lots: str) -> None:
    """Rebuild the venue from its own log and compare order by order, and the position."""
    config = running.config
    folder = homes_of(config).venue
    status = read_status(folder)
    assert status is not None
    tape = read_parts(TickStore(config.storage.ticks), DEFAULT_INSTRUMENTS, status.parts)
    log = VenueLog(folder / "venue.log")
    venue = Venue(tape, log, DEFAULT_INSTRUMENTS, config.venue)
    try:
        terms = DEFAULT_INSTRUMENTS.by_symbol(SYMBOL)
        ours = {o["client_order_id"]: o for o in orders if o["status"] != "DENIED"}
        for name, order in ours.items():
            entry = venue.find(config.fix.sender, name)
            theirs = terms.to_lots(entry.filled) if entry is not None else 0
            assert str(theirs or "0.00") == order["filled_lots"], (name, order)
        assert str(terms.to_lots(venue.matching.position(terms.id))) == lots
    finally:
        venue.close()


def position_lots(running: Platform) -> str:
    found = running.client.call("GET", "/v1/positions")[1]["positions"]
    return found[0]["lots"] if found else "0.00"


def assert_cancels_kept(running: Platform, callers: Callers) -> None:
    """A cancel that was taken on is carried out, over any crash."""
    working = [o for o in orders_of(running) if o["status"] in WORKING]
    kept = [o for o in working if o["client_order_id"] in callers.canceled]
    assert not kept, f"canceled, and still working: {kept}"


def all_over(running: Platform) -> bool:
    """Cancel what rests; say whether no order is open any more."""
    still = [o for o in orders_of(running) if o["status"] in WORKING | IN_DOUBT]
    for order in still:
        running.client.call("DELETE", f"/v1/orders/{order['client_order_id']}")
    return not still


def resolved_doubts(running: Platform, orders: list[dict[str, Any]]) -> int:
    """Count orders that were UNKNOWN; each was resolved by an answer of the venue."""
    journal = homes_of(running.config).journal
    records = [decode(entry.payload) for entry in read_journal(journal)]
    events = [record.event for record in records if isinstance(record, Happened)]
    lost = {e.client_order_id: at for at, e in enumerate(events) if e.kind is K.LOSE}
    status = {order["client_order_id"]: order["status"] for order in orders}
    for name, at in lost.items():
        assert status[name] in OVER, (name, status[name])
        told = [e.kind for e in events[at + 1 :] if e.client_order_id == name]
        assert set(told) & OF_VENUE, (name, told)
    return len(lost)


def settle_all(running: Platform, callers: Callers) -> list[dict[str, Any]]:
    """Check everything at the end, when no order is on its way and none rests; return them."""
    halt = {"state": "HALTED", "reason": "the test is over"}
    assert running.client.call("POST", "/v1/trading-state", halt)[0] == 200
    until("every order over", lambda: all_over(running))
    assert_nothing_lost(running, callers)
    orders, lots = orders_of(running), position_lots(running)
    running.stop()
    assert_sent_once(running, orders)
    assert_agrees_with_venue(running, orders, lots)
    return orders


def finish(running: Platform, callers: Callers, record_testsuite_property: Any) -> None:
    """Check everything at the end; some orders were in doubt, and all were resolved."""
    orders = settle_all(running, callers)
    doubts = resolved_doubts(running, orders)
    assert doubts > 0
    assert len(callers.acknowledged) > 10
    ends = Counter(order["status"] for order in orders)
    assert all(ends[status] for status in ("FILLED", "CANCELED", "REJECTED")), ends
    parts = [o for o in orders if o["status"] == "CANCELED" and Decimal(o["filled_lots"])]
    record_testsuite_property("acknowledged", len(callers.acknowledged))
    record_testsuite_property("unanswered", len(callers.unanswered))
    record_testsuite_property("orders", len(orders))
    record_testsuite_property("unknown_resolved", doubts)
    record_testsuite_property("cancels_taken_on", len(callers.canceled))
    record_testsuite_property("filled_in_part", len(parts))
    for status, count in ends.items():
        record_testsuite_property(f"orders_{status.lower()}", count)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", counts(100))
def test_serving_is_killed_in_the_middle_of_orders(
    made: Path, tmp_path: Path, kills: int, record_testsuite_property: Any
) -> None:
    rng = random.Random(kills)
    with platform(made, tmp_path / "home", tapped=True, venue=SLOW_TAPE) as running:
        callers = Callers(running)
        for round_number in range(kills):
            pause = rng.uniform(0.02, 0.4)
            callers.burst(f"s{round_number}", running.serving.kill, pause)
            running.serving.start()
            running.await_ready()
            until("every UNKNOWN resolved", running.client.settled)
            assert_nothing_lost(running, callers)
            assert_cancels_kept(running, callers)
        retry_unanswered(running, callers)
        finish(running, callers, record_testsuite_property)


def retry_unanswered(running: Platform, callers: Callers) -> None:
    """Send what nobody answered again under the same key: at most one order comes of each."""
    for key in sorted(callers.unanswered):
        status, answer = running.client.call("POST", "/v1/orders", callers.bodies[key], key)
        assert status in (201, 422), answer
    keys = Counter(order["key"] for order in orders_of(running))
    assert all(count == 1 for count in keys.values())


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kills", counts(50))
def test_venue_is_killed_in_the_middle_of_orders(
    made: Path, tmp_path: Path, kills: int, record_testsuite_property: Any
) -> None:
    rng = random.Random(1_000 + kills)
    with platform(made, tmp_path / "home", tapped=True, venue=SLOW_TAPE) as running:
        callers = Callers(running)
        for round_number in range(kills):
            callers.burst(f"v{round_number}", running.venue.kill, rng.uniform(0.05, 0.3))
            until("new orders halted", lambda: not running.client.ready())
            body = {"symbol": SYMBOL, "side": "BUY", "lots": "0.01"}
            status, answer = running.client.call("POST", "/v1/orders", body, f"down-{round_number}")
            assert status == 422, answer
            assert answer["check"] == "session", answer
            running.venue.start()
            running.await_ready()
            until("every UNKNOWN resolved", running.client.settled)
            assert_nothing_lost(running, callers)
            assert_cancels_kept(running, callers)
        finish(running, callers, record_testsuite_property)
