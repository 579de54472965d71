"""Lots and prices become whole steps and ticks, or are refused by name."""

from decimal import Decimal
from typing import Any

import pytest

from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Amendment, OrderType, Side, TimeInForce
from serving.order_requests import amendment, submit_event
from serving.ports import OrderRequest, ReplaceRequest

EURUSD = DEFAULT_INSTRUMENTS[0]


def request(**fields: Any) -> OrderRequest:
    base = {"key": "k", "symbol": "EURUSD", "side": Side.BUY, "lots": Decimal("0.10")}
    return OrderRequest(**{**base, **fields})


def test_a_whole_bracket_in_steps_and_ticks() -> None:
    event = submit_event(
        request(
            type=OrderType.STOP_LIMIT, limit=Decimal("1.10100"), stop=Decimal("1.10050"),
            time_in_force=TimeInForce.GTD, expire_ns=9, take_profit=Decimal("1.11"),
            stop_loss=Decimal("1.09"),
        ),
        EURUSD, "PAPER",
    )  # fmt: skip
    assert (event.quantity, event.limit_ticks, event.stop_ticks) == (10, 110_100, 110_050)
    assert (event.take_ticks, event.loss_ticks, event.expire_ns) == (111_000, 109_000, 9)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"lots": Decimal("0.105")}, "lots 0.105"),
        ({"type": OrderType.LIMIT}, "needs a limit"),
        ({"limit": Decimal("1.1")}, "take none"),
        ({"type": OrderType.STOP}, "needs a stop"),
        ({"stop": Decimal("1.1")}, "take none"),
        ({"time_in_force": TimeInForce.GTD}, "expire_ns"),
        ({"expire_ns": 5}, "expire_ns"),
        ({"take_profit": Decimal("1.100001")}, "take_profit 1.100001"),
        ({"stop_loss": Decimal("1.100001")}, "stop_loss 1.100001"),
        ({"type": OrderType.LIMIT, "limit": Decimal("1.100006")}, "limit 1.100006"),
    ],
)
def test_what_is_not_exact_or_does_not_fit_is_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        submit_event(request(**fields), EURUSD, "PAPER")


def test_new_terms_in_steps_and_ticks() -> None:
    asked = ReplaceRequest(Decimal("0.20"), None, Decimal("1.2"), 7)
    assert amendment(asked, EURUSD) == Amendment(20, 0, 120_000, 7)
    with pytest.raises(BadInput, match="lots"):
        amendment(ReplaceRequest(Decimal("0.201"), None, None), EURUSD)
