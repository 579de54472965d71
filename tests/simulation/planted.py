"""Mistakes that order paths are known to make, planted into ours one at a time.

Each replaces a method by one that gets a single thing wrong. A simulation that does not find them
would not find the mistakes that we make by ourselves.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

import msgspec

from core.errors import OrderError
from core.types import OrderEvent, OrderEventKind, OrderStatus
from fix import tags
from fix.store import FileStore
from trading.account import Account
from trading.desk import OrderDesk
from trading.events import SubmitOrder
from trading.ids import client_order_id
from trading.orders import OrderBook
from trading.pipeline import OrderPipeline
from trading.portfolio import Portfolio
from trading.records import Happened, StateChanged
from venue.order_door import OrderDoor

K = OrderEventKind
BUGS: dict[str, Callable[[], Any]] = {}


def bug(plant: Callable[[], Any]) -> Callable[[], Any]:
    """Add to the list, by its name."""
    BUGS[plant.__name__] = plant
    return plant


def _instead(owner: type, name: str, make: Callable[[Any], Any]) -> Any:
    """Replace a method by what `make` makes of it."""
    return mock.patch.object(owner, name, make(getattr(owner, name)))


@bug
def a_timeout_sends_the_order_again_under_a_new_id() -> Any:
    def make(lose: Any) -> Any:
        def again(self: Any, name: str, now_ns: int, reason: str) -> None:
            lose(self, name, now_ns, reason)
            order = self._account.book.get(name)
            if "in time" in reason and order is not None and not order.key.endswith("+"):
                request = SubmitOrder(
                    now_ns, order.key + "+", order.account, order.strategy, order.instrument,
                    order.side, order.quantity, order.type, order.limit_ticks,
                    order.time_in_force,
                )  # fmt: skip
                self._submit(request, order.decision_id)

        return again

    return _instead(OrderDesk, "_lose", make)


@bug
def a_timeout_counts_as_a_rejection() -> Any:
    def make(_lose: Any) -> Any:
        def reject(self: Any, name: str, now_ns: int, reason: str) -> None:
            with suppress(OrderError):
                self._book(OrderEvent(name, K.REJECT, now_ns, reason=reason), now_ns)

        return reject

    return _instead(OrderDesk, "_lose", make)


@bug
def a_repeated_fill_counts_twice() -> Any:
    def make(apply: Any) -> Any:
        def twice(self: Any, event: OrderEvent, rate: Any = None, tape_ns: int = 0) -> Any:
            change = apply(self, event, rate, tape_ns)
            if change is None and event.fill is not None:
                order = self.book.get(event.client_order_id)
                effect = self.portfolio.judge_fill(event.fill, order.strategy, rate, tape_ns)
                self.portfolio.take_fill(effect)
            return change

        return twice

    return _instead(Account, "apply", make)


@bug
def exposure_is_not_reserved_before_the_acknowledgement() -> Any:
    def make(reserve: Any) -> Any:
        def late(self: Any, order: Any) -> None:
            if order.status not in (OrderStatus.SUBMITTED, OrderStatus.UNKNOWN):
                reserve(self, order)

        return late

    return _instead(Portfolio, "reserve", make)


@bug
def an_unknown_order_gives_its_exposure_back() -> Any:
    def make(reserve: Any) -> Any:
        def given_back(self: Any, order: Any) -> None:
            if order.status is OrderStatus.UNKNOWN:
                order = msgspec.structs.replace(order, status=OrderStatus.CANCELED)
            reserve(self, order)

        return given_back

    return _instead(Portfolio, "reserve", make)


@bug
def a_partial_fill_gives_the_rest_of_the_exposure_back() -> Any:
    def make(reserve: Any) -> Any:
        def given_back(self: Any, order: Any) -> None:
            if order.status is OrderStatus.PARTIALLY_FILLED:
                order = msgspec.structs.replace(order, status=OrderStatus.CANCELED)
            reserve(self, order)

        return given_back

    return _instead(Portfolio, "reserve", make)


@bug
def the_order_is_sent_before_it_is_journaled() -> Any:
    def make(_send: Any) -> Any:
        def sent_first(self: Any, order: Any, now_ns: int, checked: int) -> Any:
            append, held = self._journal.append, []
            with mock.patch.object(self, "_journal", mock.Mock(append=held.append)):
                done = _send(self, order, now_ns, checked)
            for payload in held:
                append(payload)
            return done

        return sent_first

    return _instead(OrderPipeline, "_send", make)


@bug
def a_repeated_key_is_sent_again() -> Any:
    def make(by_key: Any) -> Any:
        def forgetful(self: Any, account: str, key: str, *, model: bool = False) -> Any:
            found = by_key(self, account, key, model=model)
            if found is not None and not model and found.status is OrderStatus.FILLED:
                self._keys.pop((account, key, model))
                self._orders.pop(found.client_order_id)
                return None
            return found

        return forgetful

    return _instead(OrderBook, "by_key", make)


@bug
def client_order_ids_depend_on_chance() -> Any:
    drawn = iter(range(10**9))

    def by_chance(account: str, key: str, *, model: bool = False) -> str:
        return client_order_id(account, f"{key}/{next(drawn)}", model=model)

    @contextmanager
    def plant() -> Iterator[None]:
        """Beside forgetting the key: that is when it matters."""
        with (
            mock.patch("trading.pipeline.client_order_id", by_chance),
            BUGS["a_repeated_key_is_sent_again"](),
        ):
            yield

    return plant()


@bug
def fills_are_not_journaled() -> Any:
    def make(note: Any) -> Any:
        def forgetful(self: Any, record: Any) -> None:
            if not (isinstance(record, Happened) and record.event.kind is K.FILL):
                note(self, record)

        return forgetful

    return _instead(OrderDesk, "_note", make)


@bug
def a_halt_is_forgotten_when_the_process_ends() -> Any:
    def make(recover: Any) -> Any:
        def forgetful(self: Any, record: Any) -> None:
            if not isinstance(record, StateChanged):
                recover(self, record)

        return forgetful

    return _instead(Account, "recover", make)


@bug
def a_wish_to_cancel_counts_as_canceled() -> Any:
    def make(cancel: Any) -> Any:
        def hasty(self: Any, order: Any, now_ns: int) -> None:
            cancel(self, order, now_ns)
            with suppress(OrderError):
                self._book(OrderEvent(order.client_order_id, K.CANCEL, now_ns), now_ns)

        return hasty

    return _instead(OrderDesk, "_cancel", make)


@bug
def outgoing_numbers_are_used_again_after_a_restart() -> Any:
    def make(save_out: Any) -> Any:
        def in_memory(self: Any, message: Any) -> None:
            if message.msg_type in (tags.EXECUTION_REPORT, tags.LOGON):
                save_out(self, message)
            else:
                self.next_out = message.seq + 1

        return in_memory

    return _instead(FileStore, "save_out", make)


@bug
def the_venue_answers_for_an_order_that_is_still_on_its_way() -> Any:
    def make(on_message: Any) -> Any:
        def hasty(self: Any, link: Any, message: Any, replayed: bool) -> None:
            if message.msg_type == tags.STATUS_REQUEST:
                self._on_status(message)()
            else:
                on_message(self, link, message, replayed)

        return hasty

    return _instead(OrderDoor, "on_message", make)
