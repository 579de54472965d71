"""SIGKILL in the middle of orders, again and again: nothing lost, nothing sent twice.

Quick count in ``make test-all``, fifty in ``make proof`` (marker ``proof``).
"""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.instruments import DEFAULT_INSTRUMENTS
from serving.homes import homes_of
from storage.parquet import TickStore
from tests.e2e.stack import SYMBOL, Platform, platform, until, with_venue
from venue.server import read_status
from venue.state import Venue
from venue.store import VenueLog
from venue.tape import read_parts

pytestmark = pytest.mark.servers
SLOW_TAPE = with_venue(max_quotes_per_sec=15.0)
COUNTS = [pytest.param(5, id="5"), pytest.param(50, id="50", marks=pytest.mark.proof)]


@dataclass
class Callers:
    """Threads that send orders until stopped; each key is used once, its answer remembered."""

    running: Platform
    acknowledged: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)

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
        number = 0
        while not stop.is_set():
            key = f"{tag}-{number}"
            number += 1
            side = "BUY" if number % 2 else "SELL"
            body = {"symbol": SYMBOL, "side": side, "lots": "0.01"}
            status, answer = self.running.client.call("POST", "/v1/orders", body, key)
            if status == 201:
                self.acknowledged[key] = answer["client_order_id"]
            elif status == 0:
                self.unanswered.add(key)
                return
            else:
                self.refused[answer.get("check", str(status))] += 1


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


def finish(running: Platform, callers: Callers, record_testsuite_property: Any) -> None:
    """Check everything at the end, when no order is on its way."""
    until("every order settled", running.client.settled)
    assert_nothing_lost(running, callers)
    orders, lots = orders_of(running), position_lots(running)
    running.stop()
    assert_sent_once(running, orders)
    assert_agrees_with_venue(running, orders, lots)
    assert len(callers.acknowledged) > 10
    record_testsuite_property("acknowledged", len(callers.acknowledged))
    record_testsuite_property("unanswered", len(callers.unanswered))
    record_testsuite_property("orders", len(orders))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kills", COUNTS)
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
        retry_unanswered(running, callers)
        finish(running, callers, record_testsuite_property)


def retry_unanswered(running: Platform, callers: Callers) -> None:
    """Send what nobody answered again under the same key: at most one order comes of each."""
    for key in sorted(callers.unanswered):
        side = "BUY" if (int(key.rsplit("-", 1)[1]) + 1) % 2 else "SELL"
        body = {"symbol": SYMBOL, "side": side, "lots": "0.01"}
        status, answer = running.client.call("POST", "/v1/orders", body, key)
        assert status in (201, 422), answer
    keys = Counter(order["key"] for order in orders_of(running))
    assert all(count == 1 for count in keys.values())


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kills", COUNTS)
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
        finish(running, callers, record_testsuite_property)
