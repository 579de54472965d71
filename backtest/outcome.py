"""What a session comes to: decisions, orders, executions, money; and whether two of them agree."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import msgspec

from core.types import Decision, Fill, Order, Quote
from trading.account import Account
from trading.outputs import FillUpdate, OrderUpdate, Output
from trading.records import Happened, decode

T = TypeVar("T")


class Execution(msgspec.Struct, frozen=True):
    """A fill and what it earned in account currency; None where no rate was known."""

    fill: Fill
    profit: Decimal | None
    rate: Decimal | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a session.

    Attributes
    ----------
    decisions : tuple of Decision
        In the order they were taken.
    orders : tuple of Order
        As they stood at the end, oldest first.
    executions : tuple of Execution
        In the order they were booked.
    realised : Decimal
        Closed profit, account currency.
    equity : Decimal or None
        Balance, closed and open profit; None when it could not be valued.
    balance : Decimal
        Money at the start.
    """

    decisions: tuple[Decision, ...]
    orders: tuple[Order, ...]
    executions: tuple[Execution, ...]
    realised: Decimal
    equity: Decimal | None
    balance: Decimal


class Collector:
    """A listener of the trading engine that keeps what it hears."""

    def __init__(self) -> None:
        self._decisions: list[Decision] = []
        self._orders: dict[str, Order] = {}
        self._executions: list[Execution] = []

    def __call__(self, output: Output) -> None:
        """Take one output."""
        if isinstance(output, Decision):
            self._decisions.append(output)
        elif isinstance(output, OrderUpdate):
            self._orders[output.order.client_order_id] = output.order
        elif isinstance(output, FillUpdate):
            self._executions.append(Execution(output.fill, output.profit, output.rate))

    @property
    def executions(self) -> int:
        """Executions heard of so far."""
        return len(self._executions)

    def outcome(self, account: Account) -> Outcome:
        """Sum up with the money of the engine's account."""
        return Outcome(
            tuple(self._decisions),
            tuple(self._orders.values()),
            tuple(self._executions),
            account.portfolio.realised,
            account.portfolio.equity(),
            account.portfolio.balance,
        )


def outcome_from_journal(
    records: Iterable[bytes],
    account: Account,
    decisions: Sequence[Decision] = (),
    quotes: Iterable[Quote] = (),
) -> Outcome:
    """Sum up a session of another process by its journal.

    Parameters
    ----------
    records : iterable of bytes
        Journal records in order, from the journal's beginning.
    account : Account
        Fresh, with the session's settings; the records are applied to it.
    decisions : sequence of Decision
        From the ledger; the journal holds orders only.
    quotes : iterable of Quote
        Of the session; the newest of each instrument values what is open at the end.
    """
    executions = []
    for payload in records:
        record = decode(payload)
        if not isinstance(record, Happened):
            account.recover(record)
            continue
        change = account.apply(record.event, record.rate, record.tape_ns)
        if change is not None and change.profit is not None and record.event.fill is not None:
            executions.append(Execution(record.event.fill, change.profit.account, record.rate))
    for quote in quotes:
        account.marks.update(quote)
    portfolio = account.portfolio
    return Outcome(
        tuple(decisions),
        tuple(account.book.orders()),
        tuple(executions),
        portfolio.realised,
        portfolio.equity(),
        portfolio.balance,
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether a replay gave the same as the session; `differences` names the first of each kind."""

    decisions: bool
    orders: bool
    fills: bool
    profit: bool
    counts: dict[str, int] = field(default_factory=dict)
    differences: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """True when nothing differs."""
        return not self.differences

    @property
    def first_difference(self) -> str:
        """The first difference in words; empty when there is none."""
        return self.differences[0] if self.differences else ""


def compare(
    expected: Outcome, actual: Outcome, extra: Sequence[str] = (), *, decisions: bool = True
) -> Comparison:
    """Compare a replay with its session: exact, money to the cent.

    Parameters
    ----------
    expected, actual : Outcome
        Session and replay. Order and execution sequences are compared whole; of a decision
        everything but the measured stage times.
    extra : sequence of str
        Differences found on the way, such as a venue event that did not come.
    decisions : bool
        False when the session's decisions are not at hand.
    """
    found = {
        "decisions": _first(expected.decisions, actual.decisions, "decision", _bare)
        if decisions
        else "",
        "orders": _first(expected.orders, actual.orders, "order", _told),
        "fills": _first(expected.executions, actual.executions, "fill", _same),
        "profit": _money(expected, actual),
    }
    return Comparison(
        **{name: not text for name, text in found.items()},
        counts={
            "decisions": len(actual.decisions),
            "orders": len(actual.orders),
            "fills": len(actual.executions),
        },
        differences=(*extra, *(text for text in found.values() if text)),
    )


def cents(amount: Decimal) -> Decimal:
    """Round money to cents, half to even."""
    return amount.quantize(Decimal("0.01"))


def _bare(decision: Decision) -> Decision:
    return msgspec.structs.replace(decision, stages_us={})


def _told(order: Order) -> Order:
    # The words and the venue's own id decide nothing and need not survive the wire.
    return msgspec.structs.replace(order, reason="", venue_order_id="")


def _same(execution: Execution) -> Execution:
    return execution


def _first(expected: Sequence[T], actual: Sequence[T], what: str, bare: Callable[[T], T]) -> str:
    for index, (want, got) in enumerate(zip(expected, actual, strict=False)):
        if bare(want) != bare(got):
            return f"{what} {index}: session {bare(want)}, replay {bare(got)}"
    if len(expected) != len(actual):
        return f"{what}s: session {len(expected)}, replay {len(actual)}"
    return ""


def _money(expected: Outcome, actual: Outcome) -> str:
    for what, want, got in (
        ("profit", expected.realised, actual.realised),
        ("equity", expected.equity, actual.equity),
    ):
        before, after = want if want is None else cents(want), got if got is None else cents(got)
        if before != after:
            return f"{what}: session {before}, replay {after}"
    return ""
