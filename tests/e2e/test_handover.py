"""Deploys under load: the next process takes over while decisions, reads and orders come in.

Nobody is turned away: decisions and reads all get their answer, orders at the latest after two
seconds or a 503 that says when to ask again, and each order is sent once by one process.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import PATIENT, SYMBOL, Client, Platform, platform, with_venue
from tests.e2e.test_kills import Callers, settle_all

pytestmark = pytest.mark.servers
MOST_ORDER_SECS = 2.0
# What an order takes besides, on a machine that others use.
SLACK_SECS = 1.0
PAUSE_SECS = 0.5


@dataclass
class Askers:
    """Threads that ask without pause; how each call ended, and the longest."""

    running: Platform
    ended: Counter[tuple[str, int]] = field(default_factory=Counter)
    longest: dict[str, float] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, method: str, path: str, body: Any) -> None:
        client = Client(self.running.config, timeout_secs=15.0)
        while not self.stop.is_set():
            start = time.monotonic()
            status, _ = client.call(method, path, body)
            self.ended[path, status] += 1
            self.longest[path] = max(self.longest.get(path, 0.0), time.monotonic() - start)
            self.stop.wait(0.01)


CALLS: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/v1/decisions", {"symbol": SYMBOL}),
    ("POST", "/v1/decisions", {"symbol": SYMBOL}),
    ("GET", "/v1/positions", None),
    ("GET", "/v1/models", None),
)


@pytest.mark.parametrize(
    "deploys", [pytest.param(3, id="3"), pytest.param(20, id="20", marks=pytest.mark.proof)]
)
def test_a_deploy_closes_no_door(
    deploys: int,
    made: Path,
    tmp_path: Path,
    record_property: Any,
) -> None:
    venue = with_venue(max_quotes_per_sec=50.0, latency_ms=5.0)
    with platform(made, tmp_path / "home", tapped=True, venue=venue, trading=PATIENT) as running:
        callers, askers = Callers(running, between_secs=0.05), Askers(running)
        threads = [threading.Thread(target=askers.ask, args=call) for call in CALLS]
        for thread in threads:
            thread.start()
        try:
            for number in range(deploys):
                callers.burst(f"deploy{number}", running.deploy, PAUSE_SECS)
        finally:
            askers.stop.set()
            for thread in threads:
                thread.join()
        record_property("answers", repr(dict(askers.ended)))
        record_property("longest_secs", repr({**askers.longest, "orders": callers.longest_secs}))
        record_property("orders_refused", repr(dict(callers.refused)))
        failed = {call: count for call, count in askers.ended.items() if call[1] != 200}
        assert not failed, failed
        assert not callers.unanswered
        state = running.client.call("GET", "/v1/trading-state")[1]
        assert state["state"] == "ACTIVE", state
        assert callers.longest_secs <= MOST_ORDER_SECS + SLACK_SECS
        orders = settle_all(running, callers)
        record_property("orders", len(orders))
        assert len(callers.acknowledged) > deploys
