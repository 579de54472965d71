import math
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from core.config import RiskConfig
from core.instruments import DEFAULT_INSTRUMENTS, Instrument, InstrumentTable
from core.types import OrderEventKind, OrderStatus, OrderType, Side, TradingState, tick
from trading.events import QuoteIn, SessionChanged, SetTradingState
from trading.limits import bounds_of, caps_of
from trading.risk import CHECKS, evaluate, plan_of

K = OrderEventKind
SEC = 1_000_000_000


def refused(submission):
    assert submission.order.status is OrderStatus.DENIED
    return submission.refused


def set_state(house, state, scope="global"):
    house.process(SetTradingState(house.now, state, "test", "tester", scope))


def hold(house, steps=10, key="open", instrument=0, side=Side.BUY):
    """Make a position by a filled order."""
    sent = house.submit(key, steps, side, instrument)
    assert sent.refused is None, sent.refused
    house.fill(sent.order, exec_id=key)
    return sent.order


def test_the_table_is_complete_and_in_order():
    assert [row.name for row in CHECKS] == [
        "trading_state", "account_right", "session", "instrument", "well_formed", "well_formed",
        "client_id", "duplicate", "quote_fresh", "collar", "order_size", "worst_position",
        "exposure", "margin", "losses", "rate", "self_trade", "executions", "decision",
    ]  # fmt: skip
    cached = [row.check.__name__ for row in CHECKS if row.cached]
    assert cached == ["instrument", "lots_allowed", "order_size"]


def test_a_good_order_passes_and_is_reserved(house):
    sent = house.submit("a")
    assert sent.refused is None
    assert house.broker.sent == [sent.order]
    assert house.account.portfolio.exposure(0) == (0, 10)


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
@pytest.mark.parametrize("scope", ["global", "account:PAPER", "strategy:manual", "symbol:EURUSD"])
def test_0_every_scope_stops_new_orders(house, state, scope):
    set_state(house, state, scope)
    assert refused(house.submit("a")).check == "trading_state"


def test_0_another_scope_does_not(house):
    set_state(house, TradingState.HALTED, "symbol:USDJPY")
    assert house.submit("a").refused is None


def test_0_halted_lets_a_reduction_pass_but_no_flip(house):
    hold(house, 10)
    set_state(house, TradingState.HALTED)
    flip = refused(house.submit("flip", 11, Side.SELL))
    assert (flip.check, flip.largest_lots) == ("trading_state", "0.10")
    assert refused(house.submit("more", 1, Side.BUY)).largest_lots == "0"
    assert house.submit("reduce", 10, Side.SELL).refused is None


def test_0_a_reduction_in_flight_is_not_given_away_twice(house):
    hold(house, 10)
    set_state(house, TradingState.HALTED)
    assert house.submit("first", 6, Side.SELL).refused is None
    assert refused(house.submit("second", 5, Side.SELL)).largest_lots == "0.04"


def test_0_an_unknown_state_denies(house):
    house.account.states.set("global", "PAUSED", "nonsense")
    assert refused(house.submit("a")).check == "trading_state"


def test_1_another_account(house):
    assert refused(house.submit("a", account="OTHER")).check == "account_right"


def test_2_session_down_or_not_reconciled(house):
    house.process(SessionChanged(house.now, False))
    assert refused(house.submit("a")).check == "session"
    house.process(SessionChanged(house.now, True))
    house.broker.ready = False
    assert refused(house.submit("b")).check == "session"


def test_2_sick_journal_denies_and_halts(house):
    hold(house, 10)
    house.journal.healthy = False
    assert refused(house.submit("a")).check == "trading_state"
    assert house.account.states.state is TradingState.HALTED
    no = refused(house.submit("reduce", 5, Side.SELL))
    assert (no.check, no.reason) == ("session", "journal is not healthy")


def test_3_unknown_and_restricted_instruments(house):
    assert refused(house.submit("a", instrument=77)).check == "instrument"
    assert refused(house.submit("b", instrument=-1)).check == "instrument"
    house.quote(1500.0, 1500.3, instrument=3)
    no = refused(house.submit("c", instrument=3))
    assert (no.check, no.reason, no.observed) == (
        "instrument",
        "instrument is restricted",
        "XAUUSD",
    )


def test_3_closed_market(build):
    house = build()
    house.now += 5 * 86_400 * SEC  # Saturday
    house.quote()
    assert refused(house.submit("a")).reason == "market is closed"
    house.now += 2 * 86_400 * SEC
    house.quote()
    assert house.submit("b").refused is None


@pytest.mark.parametrize("steps", [0, -5, 10_001, 1.5, math.nan, True])
def test_4_quantity(house, steps):
    assert refused(house.submit("a", steps)).check in ("well_formed", "order_size")
    assert not house.broker.sent


@pytest.mark.parametrize(
    ("steps", "passes"), [(1, False), (2, True), (10, True), (300, True), (301, False)]
)
def test_4_lots_within_the_instruments_bounds(build, steps, passes):
    euro, *others = DEFAULT_INSTRUMENTS
    narrow = msgspec.structs.replace(euro, min_lots=Decimal("0.02"), max_lots=Decimal(3))
    house = build(instruments=InstrumentTable([narrow, *others]))
    house.quote()
    sent = house.submit("a", steps)
    if passes:
        assert sent.refused is None
        return
    no = refused(sent)
    assert (no.check, no.reason) == ("well_formed", "lots out of bounds")
    assert (no.limit, no.observed) == ("0.02..3", f"{steps / 100:.2f}")
    assert not house.broker.sent


@pytest.mark.parametrize("field", [{"side": "HOLD"}, {"type": "STOP"}, {"time_in_force": "DAY"}])
def test_4_unknown_enum_values(house, field):
    no = refused(house.submit("a", **field))
    assert no.check == "well_formed"
    assert "enum" in no.reason


@pytest.mark.parametrize("price", [0, -1, 1.5, math.nan])
def test_4_limit_price(house, price):
    no = refused(house.submit("a", type=OrderType.LIMIT, limit_ticks=price))
    assert no.check == "well_formed"


def test_5_client_id_seen_before(house):
    order = house.submit("a").order
    context = house.account.risk.context(
        order, house.now + SEC, TradingState.ACTIVE, session_ready=True, journal_healthy=True
    )
    assert evaluate(context).check == "client_id"


def test_6_same_content_within_the_window(house):
    assert house.submit("a").refused is None
    assert refused(house.submit("b", after_ns=50_000_000)).check == "duplicate"
    assert house.submit("c", 11, after_ns=0).refused is None
    assert house.submit("d", after_ns=50_000_001).refused is None


def test_6_a_moved_market_price_is_still_the_same_order(house):
    assert house.submit("a").refused is None
    house.quote(1.1001, 1.1002, after_ns=1_000_000)
    assert refused(house.submit("b", after_ns=1_000_000)).check == "duplicate"


def test_7_missing_stale_and_future_quotes(house):
    assert refused(house.submit("a", instrument=1)).check in ("instrument", "quote_fresh")
    assert refused(house.submit("b", after_ns=5 * SEC)).check == "quote_fresh"
    house.quote(recv=house.now + 60 * SEC)
    assert refused(house.submit("c")).check == "quote_fresh"


def test_7_the_quote_that_converts_is_fresh_too(build):
    cross = Instrument(
        id=4, symbol="EURJPY", base="EUR", quote_currency="JPY", digits=3, pip=0.01,
        contract_size=100_000,
    )  # fmt: skip
    house = build(
        {"symbols": ("EURJPY",)}, instruments=InstrumentTable([*DEFAULT_INSTRUMENTS, cross])
    )
    house.quote(165.0, 165.02, instrument=4)
    assert refused(house.submit("a", instrument=4)).reason == "no conversion quote"
    house.quote(150.0, 150.02, instrument=2)
    house.quote(165.0, 165.02, instrument=4, after_ns=5 * SEC)
    assert refused(house.submit("b", instrument=4)).reason == "conversion quote is stale"
    house.quote(150.0, 150.02, instrument=2)
    assert house.submit("c", instrument=4).refused is None


@pytest.mark.parametrize(
    ("bid", "ask"),
    [(math.nan, 1.1), (1.1, math.nan), (1.1, math.inf), (1.2, 1.1), (0.0, 1.1), (-1.0, 1.1)],
)
def test_7_unsound_quote(house, bid, ask):
    quote = tick(0, 9, house.now, bid, ask)
    house.process(QuoteIn(house.now, quote, act=False))
    assert refused(house.submit("a")).check in ("well_formed", "quote_fresh")
    priced = refused(house.submit("b", type=OrderType.LIMIT, limit_ticks=110_000))
    assert priced.check == "quote_fresh"


@pytest.mark.parametrize(
    ("side", "good", "bad"), [(Side.BUY, 110_210, 110_211), (Side.SELL, 109_800, 109_799)]
)
def test_8_collar_is_exact(house, side, good, bad):
    limit = {"type": OrderType.LIMIT, "side": side}
    assert refused(house.submit("a", limit_ticks=bad, **limit)).check == "collar"
    assert house.submit("b", limit_ticks=good, **limit).refused is None


def test_8_market_orders_go_out_with_the_collar_as_limit(house):
    assert house.submit("a").order.limit_ticks == 110_010 + 200
    assert house.submit("b", side=Side.SELL).order.limit_ticks == 110_000 - 200


def test_9_lots_and_notional(build):
    house = build({"max_order_notional": Decimal("110010")})
    house.quote()
    no = refused(house.submit("a", 101))
    assert (no.check, no.largest_lots) == ("order_size", "1.00")
    assert Decimal(no.observed) == Decimal("111110.1")
    assert house.submit("b", 100).refused is None
    assert refused(house.submit("c", 501)).limit == "5.00 lots"


def test_9_notional_without_a_rate_denies(house):
    # EURUSD is worth USD; without a sound quote nothing says how much.
    house.account.marks.update(tick(0, 1, house.now, math.nan, math.nan))
    context = house.account.risk.context(
        house.submit("a").order, house.now, TradingState.ACTIVE,
        session_ready=True, journal_healthy=True,
    )  # fmt: skip
    check = {row.name: row.check for row in CHECKS}["order_size"]
    assert check(context).observed == "no rate"


@pytest.mark.parametrize(
    ("limit", "steps"),
    [("0.03", 3), ("0.029999999999999999999999999999999", 2), ("Infinity", 0), ("sNaN", 0),
     ("-1", 0), ("-Infinity", 0), ("0", 0)],
)  # fmt: skip
def test_9_limits_become_whole_steps_exactly(house, limit, steps):
    limits = replace(house.limits, max_order_lots=Decimal(limit))
    assert bounds_of(limits, DEFAULT_INSTRUMENTS[0]).order_steps == steps


@pytest.mark.parametrize("lost", [False, True])
def test_10_what_is_in_flight_or_unknown_counts_at_full_size(house, lost):
    first = house.submit("a", 300)
    house.fill(first.order, 100)
    if lost:
        house.report(first.order, K.LOSE)
    no = refused(house.submit("b", 201))
    assert (no.check, no.observed, no.largest_lots) == ("worst_position", "5.01", "2.00")
    house.report(first.order, K.CANCEL)
    assert house.submit("c", 400).refused is None


def test_10_a_position_over_the_limit_may_shrink(build):
    house = build()
    house.quote()
    hold(house, 500)
    house.account.risk.limits = replace(house.limits, max_position_lots=Decimal(1))
    assert house.submit("a", 400, Side.SELL).refused is None
    assert refused(house.submit("b", 1)).check == "worst_position"


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("max_gross_notional", "gross notional"),
        ("max_net_notional", "net notional"),
        ("max_currency_notional", "EUR notional"),
    ],
)
def test_11_exposure_limits(build, limit, reason):
    house = build({limit: Decimal(150_000)})
    house.quote()
    assert house.submit("a", 100).refused is None
    no = refused(house.submit("b", 37))
    assert no.check == "exposure"
    assert no.reason.startswith(reason)
    assert no.largest_lots == "0.36"


def test_11_gross_adds_where_net_offsets(build):
    house = build({"max_gross_notional": Decimal(200_000), "max_net_notional": Decimal(150_000)})
    house.quote()
    house.quote(1.3, 1.3001, instrument=1)
    hold(house, 100)
    no = refused(house.submit("a", 90, Side.SELL, instrument=1))
    assert no.reason.startswith("gross")
    assert house.submit("b", 50, Side.SELL, instrument=1).refused is None


def test_11_open_orders(build):
    house = build({"max_open_orders": 2})
    house.quote()
    kept = house.submit("a").order
    house.submit("b", 11)
    assert refused(house.submit("c", 12)).reason == "too many open orders"
    house.report(kept, K.CANCEL)
    assert house.submit("d", 12).refused is None


def test_11_exposure_that_cannot_be_valued_denies(house):
    hold(house, 10)
    house.account.marks.update(tick(0, 1, house.now, math.nan, math.nan))
    house.quote(1.3, 1.3001, instrument=1)
    assert refused(house.submit("a", instrument=1)).reason == "exposure cannot be valued"


def test_12_margin_counts_what_is_reserved(build):
    house = build(balance=Decimal(8_000))
    house.quote()
    assert house.submit("a", 100).refused is None  # 110,010 at 3.33 % needs 3,663.33
    no = refused(house.submit("b", 120))
    assert (no.check, no.largest_lots) == ("margin", "1.18")


def test_12_minimum_equity(build):
    house = build({"min_equity": Decimal(100_000)})
    house.quote()
    hold(house, 100)  # bought at the ask, worth less at the bid at once
    no = refused(house.submit("a", 1))
    assert (no.check, no.limit) == ("margin", "100000")
    assert house.submit("b", 100, Side.SELL).refused is None


MISSING = list(RiskConfig.__dataclass_fields__)


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_limit_is_a_limit_of_zero(build, name):
    house = build({name: getattr(RiskConfig(), name)})
    house.quote()
    assert refused(house.submit("a", 1)).largest_lots == "0"
    assert not house.broker.sent


@pytest.mark.parametrize("name", [n for n in MISSING if n not in ("symbols",)])
def test_a_limit_that_is_no_number_denies(build, name):
    value = math.nan if isinstance(getattr(RiskConfig(), name), float | int) else Decimal("NaN")
    house = build({name: value})
    house.quote()
    refused(house.submit("a", 1))
    assert not house.broker.sent


@pytest.mark.parametrize("index", range(len(CHECKS)))
def test_a_check_that_fails_denies(house, monkeypatch, index):
    def broken(_):
        raise RuntimeError("boom")

    rows = list(CHECKS)
    rows[index] = rows[index]._replace(check=broken, place=-1)
    monkeypatch.setattr("trading.risk._ALL", plan_of(tuple(rows)))
    no = refused(house.submit("a"))
    assert no.check == rows[index].name
    assert "RuntimeError" in no.reason


@pytest.mark.parametrize(("ask", "observed"), [(500, "worst_position"), (5_000, "order_size")])
def test_the_largest_size_passes_and_one_more_does_not(build, ask, observed):
    house = build({"max_position_lots": Decimal("3.21")})
    house.quote()
    no = refused(house.submit("a", ask))
    assert (no.check, no.largest_lots) == (observed, "3.21")
    assert refused(house.submit("b", 322))
    assert house.submit("c", 321).refused is None


@pytest.mark.parametrize("most", [Decimal(10**15), Decimal(10**25)])
def test_limits_beyond_the_machine_are_cut_down_and_minima_deny(house, most):
    caps = caps_of(replace(house.limits, max_gross_notional=most, min_equity=most))
    assert caps.gross_notional <= 2**62
    assert caps.min_equity in (0, most * 10**6)
    assert caps_of(replace(house.limits, order_burst=10**30)).order_burst == 2**62
    assert caps_of(replace(house.limits, min_equity=Decimal(10**25))).min_equity == 0
