"""The ledger as a copy of the journal: each record once, whatever dies, and nothing held up."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from core.errors import BadInput, Unavailable
from core.types import Fill, Order
from serving import projection as projections
from serving.projection import Projection
from storage.ledger_rows import ParkedRow, ProjectionRow
from storage.sqlite import Ledger
from tests.trading.conftest import House
from tests.trading.test_engine import session
from trading.journal import FileJournal
from trading.journal_reader import read_journal
from trading.records import StateChanged, decode


@pytest.fixture
def traded(tmp_path: Path) -> tuple[Path, House]:
    """A journal with a session in it, and the house that wrote it."""
    journal = FileJournal(tmp_path / "journal", segment_bytes=4_000, min_free_bytes=0)
    house = House(journal=journal)
    session(house)
    journal.sync()
    return tmp_path / "journal", house


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def copied(folder: Path, ledger: Any) -> Projection:
    projection = Projection(folder, "PAPER", ledger)
    while projection.step():
        pass
    return projection


def assert_same(ledger: Ledger, house: House) -> None:
    book = house.account.book
    assert sorted(ledger.orders(), key=lambda o: o.client_order_id) == sorted(
        book.orders(), key=lambda o: o.client_order_id
    )
    key = lambda fill: (fill.venue, fill.exec_id)  # noqa: E731
    assert sorted(ledger.fills(), key=key) == sorted(book.fills, key=key)


def test_orders_fills_and_states_come_to_the_ledger_as_the_book_has_them(
    traded: Any, ledger: Ledger
) -> None:
    folder, house = traded
    projection = copied(folder, ledger)
    assert_same(ledger, house)
    entries = list(read_journal(folder))
    assert projection.records == len(entries)
    states = [r for e in entries if isinstance(r := decode(e.payload), StateChanged)]
    assert len(ledger.audit()) == len(states) > 0
    assert projection.parked == 0


class Dying:
    """A ledger whose process dies at some calls, before or after they are done."""

    def __init__(self, ledger: Ledger, rng: random.Random) -> None:
        self._ledger, self._rng = ledger, rng

    def record(self, rows: Any) -> int:
        if self._rng.random() < 0.3:
            raise Unavailable("died before")
        count = self._ledger.record(rows)
        if self._rng.random() < 0.3:
            raise Unavailable("died after")
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


@pytest.mark.parametrize("seed", range(20))
def test_each_record_counts_once_however_often_the_copy_dies(
    traded: Any, ledger: Ledger, seed: int, monkeypatch: Any
) -> None:
    folder, house = traded
    rng = random.Random(seed)
    monkeypatch.setattr("serving.projection.BATCH", 1 + seed)
    total = len(list(read_journal(folder)))
    while True:
        projection = Projection(folder, "PAPER", Dying(ledger, rng))  # type: ignore[arg-type]
        for _ in range(rng.randint(1, 5)):
            projection.step()
        told = ledger.projection("orders-PAPER")
        if told is not None and told.records == total:
            break
    assert_same(ledger, house)


class Picky:
    """A ledger that never takes one order."""

    def __init__(self, ledger: Ledger, refused: str) -> None:
        self._ledger, self._refused = ledger, refused

    def record(self, rows: Any) -> int:
        rows = list(rows)
        if any(isinstance(r, Order) and r.client_order_id == self._refused for r in rows):
            raise BadInput("a row that does not fit")
        return self._ledger.record(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def test_a_record_that_is_always_refused_is_parked_and_holds_up_nothing(
    traded: Any, ledger: Ledger
) -> None:
    folder, house = traded
    orders = [o for o in house.account.book.orders() if o.filled]
    projection = copied(folder, Picky(ledger, orders[0].client_order_id))
    names = {order.client_order_id for order in ledger.orders()}
    assert names == {o.client_order_id for o in house.account.book.orders()} - {
        orders[0].client_order_id
    }
    parked = ledger.parked("orders-PAPER")
    assert len(parked) == projection.parked > 1
    assert isinstance(parked[0], ParkedRow)
    assert orders[0].client_order_id in parked[0].payload
    told = ledger.projection("orders-PAPER")
    assert told is not None
    assert told.records == len(list(read_journal(folder)))
    assert copied(folder, ledger).parked == 0  # not tried again


def test_a_record_that_cannot_be_read_is_parked(traded: Any, ledger: Ledger) -> None:
    folder, house = traded
    house.journal.append(b"\0 nothing that we know")
    house.submit("after", 3)
    assert copied(folder, ledger).parked == 1
    assert_same(ledger, house)


def test_a_ledger_that_is_away_is_waited_for(traded: Any, ledger: Ledger) -> None:
    folder, house = traded

    class Away:
        def projection(self, name: str) -> ProjectionRow | None:
            raise Unavailable("the ledger is away")

    projection = Projection(folder, "PAPER", Away())  # type: ignore[arg-type]
    assert projection.step() == 0
    assert projection.failures == 1
    projection._ledger = ledger
    while projection.step():
        pass
    assert_same(ledger, house)


def test_another_journal_under_the_same_name_is_copied_from_its_beginning(
    traded: Any, ledger: Ledger, tmp_path: Path
) -> None:
    folder, house = traded
    ledger.record([ProjectionRow("orders-PAPER", 500, 100_000, bytes(32).hex())])
    copied(folder, ledger)
    assert_same(ledger, house)


def test_what_is_written_later_follows(traded: Any, ledger: Ledger) -> None:
    folder, house = traded
    projection = copied(folder, ledger)
    order = house.submit("later", 3).order
    house.broker.up = True
    assert projection.step() > 0
    assert projection.step() == 0
    assert ledger.order(order.client_order_id) == house.account.book.get(order.client_order_id)
    assert isinstance(ledger.fills()[0], Fill)


def test_who_stops_it_waits_for_no_long_copy_and_the_next_start_goes_on(
    traded: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, house = traded
    monkeypatch.setattr(projections, "BATCH", 1)
    monkeypatch.setattr(projections, "FINISH_SECS", 0.0)

    async def stop_at_once() -> int:
        projection = Projection(folder, "PAPER", ledger)
        task = asyncio.create_task(projection.run())
        while not projection.records:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return projection.records

    assert 0 < asyncio.run(stop_at_once()) < len(list(read_journal(folder)))
    copied(folder, ledger)
    assert_same(ledger, house)
