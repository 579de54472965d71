"""Cost of FIX: an order from its template against one encoded from scratch, and decoding."""

import time
from collections.abc import Callable

import numpy as np

from core.clock import SystemClock
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Order, OrderType, Side, TimeInForce, tick
from fix import tags
from fix.codec import FrameDecoder
from fix.events import Role, SessionConfig
from fix.market_data import build_snapshot, parse_quote
from fix.session import FixSession
from fix.store import MemoryStore
from fix.templates import new_order, template_for

ROUNDS = 20_000
EURUSD = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")


def measure(call: Callable[[int], object]) -> dict[str, float]:
    for round_ in range(2_000):
        call(round_)
    taken = np.empty(ROUNDS, np.int64)
    for round_ in range(ROUNDS):
        start = time.perf_counter_ns()
        call(round_)
        taken[round_] = time.perf_counter_ns() - start
    p50, p99, p999 = np.percentile(taken, [50, 99, 99.9]) / 1e3
    return {"p50_us": p50, "p99_us": p99, "p99.9_us": p999, "max_us": taken.max() / 1e3}


def pair() -> tuple[FixSession, FixSession]:
    clock = SystemClock()
    ours = SessionConfig(sender="TICKPATH", target="VENUE", role=Role.INITIATOR)
    theirs = SessionConfig(sender="VENUE", target="TICKPATH", role=Role.ACCEPTOR)
    initiator = FixSession(ours, MemoryStore(), clock)
    acceptor = FixSession(theirs, MemoryStore(), clock)
    initiator.connect()
    acceptor.connect()
    acceptor.receive(initiator.take_outgoing())
    initiator.receive(acceptor.take_outgoing())
    return initiator, acceptor


def order(round_: int, now_ns: int) -> Order:
    return Order(
        client_order_id=f"{round_:020d}", key="k", account="PAPER", strategy="model",
        instrument=EURUSD.id, side=Side.BUY, quantity=10, type=OrderType.LIMIT,
        limit_ticks=110_345, time_in_force=TimeInForce.IOC, created_ns=now_ns, quote_seq=round_,
    )  # fmt: skip


def run() -> dict[str, object]:
    initiator, acceptor = pair()
    template = template_for("PAPER", EURUSD, Side.BUY, 10)
    now = time.time_ns()
    orders = [order(round_, now + round_) for round_ in range(ROUNDS)]

    def templated(round_: int) -> bytes:
        one = orders[round_]
        body = template.body(one.client_order_id, one.limit_ticks, one.created_ns, one.quote_seq)
        initiator.send_app(tags.NEW_ORDER, body)
        return initiator.take_outgoing()

    def generic(round_: int) -> bytes:
        initiator.send_app(tags.NEW_ORDER, new_order(orders[round_], EURUSD))
        return initiator.take_outgoing()

    # A record that sits still, so that decoding is measured alone.
    quote = tick(EURUSD.id, 7, now, 1.10345, 1.10352, volume=3.0)
    acceptor.send_app(tags.SNAPSHOT, build_snapshot(quote, EURUSD))
    snapshot = acceptor.take_outgoing()
    decoder = FrameDecoder()

    def decode(_: int) -> object:
        return parse_quote(decoder.feed(snapshot)[0], DEFAULT_INSTRUMENTS, now)

    return {
        "samples": ROUNDS,
        "order_from_template_to_frame": {**measure(templated), "bar_p50_us": 5},
        "order_from_scratch_to_frame": measure(generic),
        "order_body_from_template": measure(
            lambda r: template.body(orders[r].client_order_id, 110_345, orders[r].created_ns, r)
        ),
        "quote_frame_to_quote": measure(decode),
        "frame_bytes": {"order": len(templated(0)), "quote": len(snapshot)},
    }
