"""The venue over real sockets on the loopback, in process."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from core.columns import from_ticks
from core.config import FixConfig, VenueConfig
from core.errors import Unavailable
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import OrderEventKind, OrderStatus, Side, TimeInForce
from fix.reports import UNKNOWN_ORDER
from fix.store import MemoryStore
from venue.orders import VenueOrder
from venue.server import VenueServer, read_status
from venue.tape import Tape

K = OrderEventKind
QUIET = VenueConfig(speed=0.0, max_quotes_per_sec=0.0, latency_ms=1.0, partial_ratio=0.0,
                    reject_ratio=0.0)  # fmt: skip


def tape(quotes: int = 300) -> Tape:
    rng = np.random.default_rng(2)
    sides = {}
    for instrument in (0, 1):
        ts = np.sort(rng.integers(1, 10**12, quotes)).astype(np.int64)
        bid = 1.1 + rng.normal(0, 1e-3, quotes)
        sides[instrument] = from_ticks(ts, bid, bid + 1e-4, rng.random(quotes))
    return Tape(sides)


@asynccontextmanager
async def serving(folder: Path, config: VenueConfig = QUIET, quotes: int = 300, port: int = 0):
    fix = FixConfig(port=port)
    server = VenueServer(tape(quotes), DEFAULT_INSTRUMENTS, config, fix, folder)
    try:
        await server.start()
        yield server
    finally:
        await server.close()


def order(name: str, side: Side = Side.BUY, tif: TimeInForce = TimeInForce.IOC, limit: int = 0):
    return VenueOrder(
        name, 0, side, 10, limit or (200_000 if side is Side.BUY else 1), tif, "PAPER"
    )


async def test_quotes_cross_the_wire_to_the_bit_and_the_end_is_told(tmp_path, client_of):
    async with serving(tmp_path) as server, client_of(market_data=True) as client:
        await client.start(server.port)
        client.subscribe("EURUSD", "GBPUSD")
        await client.until(lambda: len(client.quotes) == 600)
        await asyncio.wait_for(server.done.wait(), 5)
    twin = tape()
    expected = [twin.take() for _ in range(600)]
    bare = [(q.instrument, q.seq, q.ts_event, q.bid, q.ask, q.volume) for q in client.quotes]
    assert bare == [(q.instrument, q.seq, q.ts_event, q.bid, q.ask, q.volume) for q in expected]
    status = read_status(tmp_path)
    assert status is not None
    assert (status.done, status.position, status.length) == (True, 600, 600)
    assert status.seqs == {"EURUSD": 300, "GBPUSD": 300}
    assert status.positions == {}


async def test_a_late_subscriber_gets_a_snapshot(tmp_path, client_of):
    async with serving(tmp_path) as server, client_of(market_data=True) as client:
        server.venue.advance()
        while server.venue.last_quote(0) is None:
            server.venue.advance()
        await client.start(server.port)
        client.subscribe("EURUSD")
        await client.until(lambda: client.quotes)
        assert client.quotes[0].seq == 1
        client.subscribe("XAUUSD")
        await client.until(lambda: client.refused)
        assert client.refused == ["not on the tape: XAUUSD"]


async def test_order_life_over_the_wire(tmp_path, client_of):
    async with serving(tmp_path) as server, client_of() as client:
        while server.venue.last_quote(0) is None:
            server.venue.advance()
        await client.start(server.port)
        filled, resting = order("A"), order("B", tif=TimeInForce.GTC, limit=100)
        client.order(filled)
        client.order(resting)
        await client.until(lambda: len(client.events) == 3)
        assert [(e.client_order_id, e.kind) for e in client.events] == [
            ("A", K.ACCEPT), ("A", K.FILL), ("B", K.ACCEPT),
        ]  # fmt: skip
        quote = server.venue.last_quote(0)
        fill = client.events[1].fill
        assert (fill.exec_id, fill.quantity, fill.quote_seq) == ("A-1", 10, quote.seq)
        assert fill.price_ticks == DEFAULT_INSTRUMENTS[0].to_ticks(quote.ask)
        assert fill.ts_event == quote.ts_event

        client.ask_all()
        client.ask_positions()
        await client.until(lambda: client.positions)
        assert [(s.client_order_id, s.total, s.last) for s in client.statuses] == [("B", 1, True)]
        assert [(p.instrument, p.steps) for p in client.positions] == [(0, 10)]
        assert server.status().positions == {"EURUSD": "0.10"}

        client.cancel(resting)
        client.cancel(filled)
        client.cancel(order("nobody"))
        await client.until(lambda: len(client.events) == 6)
        assert [e.kind for e in client.events[3:]] == [K.CANCEL, K.REJECT_CANCEL, K.REJECT_CANCEL]
        client.ask(resting)
        client.ask(order("nobody"))
        client.ask_all()
        await client.until(lambda: len(client.statuses) == 4)
        answers = [(s.status, s.reason) for s in client.statuses[1:3]]
        assert answers[0][0] is OrderStatus.CANCELED
        assert answers[1] == (OrderStatus.REJECTED, UNKNOWN_ORDER)
        assert client.statuses[3].total == 0


async def test_the_same_order_twice_executes_once(tmp_path, client_of):
    async with serving(tmp_path) as server, client_of() as client:
        while server.venue.last_quote(0) is None:
            server.venue.advance()
        await client.start(server.port)
        client.order(order("A"))
        client.order(order("A"))
        await client.until(lambda: client.statuses)
        assert [e.kind for e in client.events] == [K.ACCEPT, K.FILL]
        assert client.statuses[0].status is OrderStatus.FILLED
        assert server.venue.matching.position(0) == 10


async def test_what_cannot_be_read_is_rejected_and_the_session_lives(tmp_path, client_of):
    async with serving(tmp_path) as server, client_of() as client:
        await client.start(server.port)
        client.send(
            b"D",
            b"11=A\x011=P\x0155=NOPE\x0154=1\x0138=1\x0140=2\x0144=1.1\x0159=3\x0160=20240102-10:00:00\x01",
        )
        client.send(b"Q", b"58=what\x01")
        await client.until(lambda: len(client.refused) == 2)
        assert "NOPE" in client.refused[0]
        assert client.refused[1] == "unsupported message type"
        client.ask(order("A"))
        await client.until(lambda: client.statuses)


async def test_a_status_request_never_overtakes_its_order(tmp_path, client_of):
    """The order waits out its latency while its connection goes and the next one asks for it."""
    slow = VenueConfig(latency_ms=150.0, partial_ratio=0.0, reject_ratio=0.0)
    async with serving(tmp_path, slow) as server:
        while server.venue.last_quote(0) is None:
            server.venue.advance()
        store = MemoryStore()
        first = client_of(store=store)
        await first.start(server.port)
        first.order(order("A"))
        await first.drop()
        async with client_of(store=store) as second:
            await second.start(server.port)
            second.ask(order("A"))
            await second.until(lambda: second.statuses)
            assert [e.kind for e in second.events] == [K.ACCEPT, K.FILL]
            assert second.statuses[0].status is OrderStatus.FILLED


async def test_reports_of_an_absent_client_wait_for_it_also_over_a_restart(tmp_path, client_of):
    store = MemoryStore()
    async with serving(tmp_path) as server:
        server.venue.advance()
        while server.venue.last_quote(0) is None:
            server.venue.advance()
        async with client_of(store=store) as client:
            await client.start(server.port)
            low = min(server.venue.tape._columns[0].ask)
            limit = DEFAULT_INSTRUMENTS[0].to_ticks(low) + 1
            client.order(order("A", tif=TimeInForce.GTC, limit=limit))
            await client.until(lambda: client.events)
        while server.venue.advance() is not None:
            pass
        assert server.venue.matching.position(0) == 10
    async with serving(tmp_path) as server, client_of(store=store) as client:
        assert server.venue.matching.position(0) == 10
        await client.start(server.port)
        await client.until(lambda: client.events)
        assert [e.kind for e in client.events] == [K.FILL]


async def test_a_taken_port_is_told_by_name(tmp_path):
    async with serving(tmp_path / "one") as server:
        with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{server.port}"):
            async with serving(tmp_path / "two", port=server.port):
                pass
