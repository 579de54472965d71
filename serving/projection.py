"""Copies the order journal into the ledger: each record once, also over crashes of either.

The place in the journal is stored in the same transaction as the rows that it stands behind. A
record that the ledger will never take is parked, counted and told; what comes after it goes on.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from core.errors import BadInput, JournalCorrupt, OrderError, Unavailable
from core.types import Fill, Order
from storage.ledger_rows import AuditRow, ParkedRow, ProjectionRow
from storage.ports import LedgerStore
from trading.journal_load import Position
from trading.journal_reader import JournalEntry, JournalTail
from trading.orders import apply
from trading.records import Denied, Happened, Intent, StateChanged, decode
from trading.transitions import is_open

log = logging.getLogger(__name__)

FINISH_SECS = 2.0
PAUSE_SECS = 0.25
BATCH = 1_000
_REFUSALS = (BadInput, OrderError, msgspec.DecodeError, TypeError, ValueError, OverflowError)
Row = Order | Fill | AuditRow


class Projection:
    """The copy of one account's journal.

    Parameters
    ----------
    folder : Path
        Of the journal.
    account : str
    ledger : LedgerStore

    Attributes
    ----------
    records : int
        Records of the journal that the ledger stands behind.
    parked : int
        Records that were put aside since the start.
    failures : int
        Tries that found the ledger or the journal unavailable.
    """

    def __init__(self, folder: Path, account: str, ledger: LedgerStore) -> None:
        self._folder = folder
        self._account = account
        self._name = f"orders-{account}"
        self._ledger = ledger
        self._tail: JournalTail | None = None
        self._waiting: list[JournalEntry] = []
        self._open: dict[str, Order] = {}
        self.records = 0
        self.parked = 0
        self.failures = 0

    async def run(self) -> None:
        """Follow the journal until cancelled; then copy what is left, if it is not too much."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="projection") as thread:
            try:
                while True:
                    if not await loop.run_in_executor(thread, self.step):
                        await asyncio.sleep(PAUSE_SECS)
            finally:
                thread.submit(self._finish).result()

    def step(self) -> int:
        """Copy a batch, in a thread; return how many records it had, 0 when there is a pause due.

        While ledger or journal are away nothing is lost: the same records are tried again.
        """
        try:
            return self._step()
        except (Unavailable, JournalCorrupt, OSError) as error:
            self.failures += 1
            self._forget()
            log.error("ledger: the copy of the journal waits: %s", error)
            return 0

    def _finish(self) -> None:
        # The next start goes on where this ends; who stops serving does not wait for a long copy.
        until = time.monotonic() + FINISH_SECS
        while self.step() and time.monotonic() < until:
            pass

    def _step(self) -> int:
        if self._tail is None:
            self._tail = self._begin()
        if not self._waiting:
            self._waiting = self._tail.read(BATCH)
        entries = self._waiting
        if not entries:
            return 0
        try:
            self._store(entries)
        except _REFUSALS:
            # One of them does not fit; alone it shows which, and the others go in.
            self._open.clear()
            for entry in entries:
                self._store_or_park(entry)
        self._waiting = []
        return len(entries)

    def _begin(self) -> JournalTail:
        found = self._ledger.projection(self._name)
        if found is None:
            return JournalTail(self._folder)
        self.records = found.records
        return JournalTail(
            self._folder, Position(found.records, found.position, bytes.fromhex(found.chain))
        )

    def _forget(self) -> None:
        """Start from what the ledger says: what it took of a failed try is not known."""
        self._tail = None
        self._waiting = []
        self._open.clear()

    def _store_or_park(self, entry: JournalEntry) -> None:
        try:
            self._store([entry])
        except _REFUSALS as error:
            self._open.clear()
            payload = entry.payload.decode(errors="replace").replace(
                "\0", "\N{REPLACEMENT CHARACTER}"
            )
            parked = ParkedRow(self._name, entry.position.offset, payload, str(error))
            self._ledger.record([parked, self._mark(entry)])
            self.records = entry.position.records
            self.parked += 1
            log.critical("ledger: record %d is parked: %s", self.records, error)

    def _store(self, entries: Sequence[JournalEntry]) -> None:
        rows: list[Row] = []
        for entry in entries:
            rows += self._rows(entry)
        self._ledger.record([*rows, self._mark(entries[-1])])
        self.records = entries[-1].position.records

    def _mark(self, entry: JournalEntry) -> ProjectionRow:
        records, offset, chain = entry.position
        return ProjectionRow(self._name, records, offset, chain.hex())

    def _rows(self, entry: JournalEntry) -> list[Row]:
        """Rows that a record makes; orders as they stand after it."""
        match decode(entry.payload):
            case Intent(order):
                return [self._hold(order)]
            case Denied(order):
                return [order]
            case Happened(event):
                after = self._hold(apply(self._order(event.client_order_id), event))
                return [after] if event.fill is None else [after, event.fill]
            case StateChanged() as told:
                name = f"{self._name}-{entry.position.records}"
                return [AuditRow(name, told.now_ns, told.who, told.state, told.scope, told.reason)]
            case _:
                return []

    def _order(self, client_order_id: str) -> Order:
        order = self._open.get(client_order_id) or self._ledger.order(client_order_id)
        if order is None:
            raise BadInput(f"order {client_order_id} is not in the ledger")
        return order

    def _hold(self, order: Order) -> Order:
        """Remember an order as long as more is to be heard of it."""
        if is_open(order):
            self._open[order.client_order_id] = order
        else:
            self._open.pop(order.client_order_id, None)
        return order
