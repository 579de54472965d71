from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS, Instrument, InstrumentTable
from core.types import Fill, Side, tick
from trading.marks import Marks
from trading.portfolio import Portfolio
from trading.positions import Position, apply_fill, unrealised


def walk(*fills):
    position = Position(0)
    for side, quantity, price in fills:
        position = apply_fill(position, side, quantity, price)
    return position


def test_average_cost():
    position = walk((Side.BUY, 10, 100), (Side.BUY, 30, 104))
    assert (position.steps, position.cost) == (40, 4_120)
    position = apply_fill(position, Side.SELL, 20, 110)
    assert (position.steps, position.cost, position.realised) == (20, 2_060, 140)


def test_a_flip_closes_all_and_opens_the_rest_at_the_new_price():
    position = walk((Side.SELL, 10, 100), (Side.BUY, 25, 90))
    assert (position.steps, position.cost, position.realised) == (15, 1_350, 100)


def test_a_long_is_valued_at_the_bid_and_a_short_at_the_ask():
    assert unrealised(walk((Side.BUY, 10, 100)), 101, 103) == 10
    assert unrealised(walk((Side.SELL, 10, 100)), 97, 99) == 10


fills = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 50), st.integers(90, 110)), max_size=30
)


@given(fills)
def test_nothing_is_lost_to_rounding(some):
    position = walk(*some)
    cash = sum(-side.sign * quantity * price for side, quantity, price in some)
    assert position.realised - position.cost == cash
    assert position.steps == sum(side.sign * quantity for side, quantity, _ in some)
    if position.steps == 0:
        assert position.cost == 0


@given(fills)
def test_average_cost_stays_within_a_tick_step_of_the_exact_one(some):
    steps, exact, closings = 0, Fraction(0), 0
    for side, quantity, price in some:
        closed = min(quantity, abs(steps)) if steps * side.sign < 0 else 0
        if closed:
            exact -= exact * Fraction(closed, abs(steps))
            closings += 1
        steps += side.sign * quantity
        exact += side.sign * (quantity - closed) * price
    assert abs(walk(*some).cost - exact) <= closings


CROSS = InstrumentTable(
    [
        *DEFAULT_INSTRUMENTS,
        Instrument(
            id=4, symbol="EURJPY", base="EUR", quote_currency="JPY", digits=3, pip=0.01,
            contract_size=100_000,
        ),
    ]
)  # fmt: skip


@pytest.fixture
def marks():
    return Marks(CROSS, "USD")


def test_inverting_a_rate_swaps_bid_and_ask(marks):
    marks.update(tick(2, 1, 1, 150.0, 150.1))
    assert marks.rate("JPY", 1) == 1 / Decimal("150.1")  # a gain in yen buys dollars at the ask
    assert marks.rate("JPY", -1) == 1 / Decimal(150)
    marks.update(tick(0, 1, 1, 1.1, 1.2))
    assert marks.rate("EUR", 1) == Decimal("1.1")
    assert marks.rate("EUR", -1) == Decimal("1.2")
    assert marks.rate("USD", 1) == 1


@pytest.mark.parametrize("bid", [float("nan"), 0.0, 151.0])
def test_no_rate_from_a_missing_or_unsound_quote(marks, bid):
    assert marks.rate("JPY", 1) is None
    marks.update(tick(2, 1, 1, bid, 150.1))
    assert marks.rate("JPY", 1) is None
    assert marks.rate("CHF", 1) is None
    assert marks.step_notional(4) is None


def test_notional_of_a_lot_step(marks):
    assert marks.step_notional(2) == 1_000  # the base is the account's money
    assert marks.step_notional(0) is None
    marks.update(tick(0, 1, 1, 1.1, 1.1001))
    assert marks.step_notional(0) == Decimal("1100.1")
    marks.update(tick(2, 1, 1, 150.0, 150.1))
    marks.update(tick(4, 1, 1, 165.0, 165.03))
    assert marks.step_notional(4) == Decimal("165030") / Decimal(150)


def book_of(marks, commission=0.0):
    return Portfolio(CROSS, marks, Decimal(1_000), commission)


def fill(side, quantity, price, instrument=2, exec_id="x"):
    return Fill("VENUE", exec_id, "A", instrument, side, quantity, price, 1, 1)


def book_fill(portfolio, done, strategy, rate, tape_ns):
    effect = portfolio.judge_fill(done, strategy, rate, tape_ns)
    portfolio.take_fill(effect)
    return effect.profit


def apply(portfolio, done):
    return book_fill(portfolio, done, "model", portfolio.rate_for(done), 1)


def test_profit_and_loss_convert_at_their_own_side_and_keep_the_rate(marks):
    marks.update(tick(2, 1, 1, 150.0, 150.1))
    portfolio = book_of(marks)
    apply(portfolio, fill(Side.BUY, 10, 150_000))
    gain = apply(portfolio, fill(Side.SELL, 5, 150_500))
    assert (gain.quote, gain.rate) == (2_500, 1 / Decimal("150.1"))
    loss = apply(portfolio, fill(Side.SELL, 5, 149_500))
    assert (loss.quote, loss.rate) == (-2_500, 1 / Decimal(150))
    assert portfolio.realised == gain.account + loss.account < 0
    assert portfolio.equity() == 1_000 + portfolio.realised


def test_money_without_a_rate_waits_in_its_currency(marks):
    portfolio = book_of(marks)
    assert portfolio.rate_for(fill(Side.BUY, 10, 165_000, 4)) is None
    book_fill(portfolio, fill(Side.BUY, 10, 165_000, 4), "m", None, 1)
    book_fill(portfolio, fill(Side.SELL, 10, 166_000, 4), "m", None, 1)
    assert portfolio.unconverted == {"JPY": 10_000}
    assert portfolio.equity() is None
    marks.update(tick(2, 1, 1, 150.0, 150.1))
    assert portfolio.equity() == 1_000 + 10_000 / Decimal("150.1")


def test_equity_needs_every_open_position_valued(marks):
    marks.update(tick(2, 1, 1, 150.0, 150.1))
    portfolio = book_of(marks)
    apply(portfolio, fill(Side.BUY, 10, 110_010, 0))
    assert portfolio.equity() is None
    marks.update(tick(0, 1, 1, 1.1001, 1.1002))
    assert portfolio.equity() == 1_000


def test_commission_is_charged_per_fill(marks):
    marks.update(tick(0, 1, 1, 1.1, 1.1001))
    portfolio = book_of(marks, CostModel(commission_pips=0.5).commission_pips)
    assert apply(portfolio, fill(Side.BUY, 10, 110_010, 0)).quote == Decimal("-0.5")
    assert portfolio.realised == Decimal("-0.5")


def test_strategies_keep_their_own_positions_and_opening_times(marks):
    portfolio = book_of(marks)
    for at, side, quantity, strategy in [
        (5, Side.BUY, 10, "model"),
        (6, Side.BUY, 5, "model"),
        (7, Side.SELL, 15, "manual"),
        (8, Side.SELL, 20, "model"),
    ]:
        book_fill(portfolio, fill(side, quantity, 150_000), strategy, Decimal(1), at)
    assert portfolio.strategy_position("model", 2) == (-5, 8)
    assert portfolio.strategy_position("manual", 2) == (-15, 7)
    assert portfolio.steps() == {2: -20}
