"""``GET /v1/risk`` on an account with positions, against amounts worked out by hand."""

from decimal import Decimal
from typing import Any

import pytest

from core.config import RiskConfig, TradingConfig
from core.costs import CostModel
from core.errors import BadInput, UnknownInstrument
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Fill, Side, tick
from serving.risk_view import RiskView, parse_moves, risk_view
from trading.account import Account

NOW = 1_600_100_000_000_000_000
MINUTE = 60_000_000_000


def quoted(account: Account, instrument: int, ts: int, bid: float, ask: float) -> None:
    quote = tick(instrument, 1, ts, bid, ask)
    account.history.observe(quote)
    account.marks.update(quote)
    account.watch_losses(ts)


def fill(account: Account, instrument: int, side: Side, steps: int, ticks: int) -> None:
    made = Fill("VENUE", f"{instrument}-{steps}", "x", instrument, side, steps, ticks, NOW, 1)
    rate = account.portfolio.rate_for(made)
    account.portfolio.take_fill(account.portfolio.judge_fill(made, "manual", rate, NOW))


@pytest.fixture
def account() -> Account:
    """Long 1.00 EURUSD at 1.10010, short 0.50 USDJPY at 150.000."""
    made = Account(TradingConfig(), RiskConfig(), CostModel(), DEFAULT_INSTRUMENTS)
    quoted(made, 0, NOW, 1.1, 1.1001)
    quoted(made, 2, NOW, 150.0, 150.02)
    fill(made, 0, Side.BUY, 100, 110_010)
    fill(made, 2, Side.SELL, 50, 150_000)
    return made


def view(account: Account, *moves: str) -> RiskView:
    return risk_view(account, DEFAULT_INSTRUMENTS, parse_moves(moves))


def test_money_margin_and_legs(account: Account) -> None:
    found = view(account)
    # 100,000 EUR at the ask and 50,000 USD, at 3.33 %.
    assert Decimal(found.margin) == Decimal("110010") * Decimal("0.0333") + Decimal("1665")
    assert found.margin_reserved == found.margin
    loss = 10 + 50_000 * Decimal("0.02") / Decimal(150)
    assert Decimal(found.equity) == pytest.approx(100_000 - loss, abs=Decimal("0.00001"))
    assert Decimal(found.free_margin) == Decimal(found.equity) - Decimal(found.margin)
    legs = {leg.currency: leg.amount for leg in found.legs}
    assert legs == {"EUR": "100000", "USD": "-160010", "JPY": "7500000"}
    worth = {leg.currency: leg.worth for leg in found.legs}
    assert Decimal(worth["EUR"]) == 110_000
    assert worth["USD"] == "-160010"


def test_shocks_of_the_house_and_of_the_caller(account: Account) -> None:
    found = view(account, "EURUSD:-0.02", "USDJPY:0.01")
    own = found.shocks[-1]
    assert own.moves == {"EURUSD": -0.02, "USDJPY": 0.01}
    assert Decimal(own.profit) == Decimal("-2700.20")
    assert Decimal(own.equity) == round(Decimal(found.equity) + Decimal(own.profit), 2)
    assert len(found.shocks) == 7
    up = found.shocks[3]
    assert set(up.moves.values()) == {0.01}
    assert Decimal(up.profit) == Decimal("600.10")


def test_tails_come_with_the_samples(account: Account) -> None:
    assert {tail.value_at_risk for tail in view(account).tails} == {""}
    for minute in range(1, 60):
        bid = 1.1 * (1.0 + 0.001 * (-1) ** minute)
        quoted(account, 0, NOW + minute * MINUTE, bid, bid + 0.0001)
    tails = view(account).tails
    assert [tail.method for tail in tails] == ["historical"] * 2 + ["parametric"] * 2
    for tail in tails:
        assert tail.samples == 58
        assert 0 < float(tail.value_at_risk) <= float(tail.expected_shortfall)


def test_what_cannot_be_valued_is_empty_not_zero(account: Account) -> None:
    quoted(account, 0, NOW + 1, float("nan"), 1.1)
    found = view(account)
    assert found.equity == found.margin == found.free_margin == found.gross_notional == ""
    assert {shock.profit for shock in found.shocks} == {""}
    assert {tail.value_at_risk for tail in found.tails} == {""}


@pytest.mark.parametrize("text", ["EURUSD", "EURUSD:x", "EURUSD:nan", "EURUSD:-1", "EURUSD:inf"])
def test_odd_shocks_are_refused(account: Account, text: str) -> None:
    with pytest.raises(BadInput):
        view(account, text)


def test_a_shock_of_an_unknown_symbol_is_refused(account: Account) -> None:
    with pytest.raises(UnknownInstrument):
        view(account, "EURXXX:0.1")


def test_the_route(client: Any) -> None:
    answer = client.get("/v1/risk?shock=EURUSD:-0.02&shock=USDJPY:0.01")
    assert answer.status_code == 200
    assert answer.json()["shocks"][-1]["moves"] == {"EURUSD": -0.02, "USDJPY": 0.01}
    assert client.get("/v1/risk?shock=EURUSD").status_code == 422
