"""Checks 13 to 17 in the engine: what latches, what survives a restart, and who lifts it."""

from decimal import Decimal

import pytest

from core.types import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce, TradingState
from trading.events import CancelOrder, SetTradingState, Timer
from trading.sessions import day_end

K, S = OrderEventKind, OrderStatus
SEC = 1_000_000_000
HOUR = 3_600 * SEC
LOSSES = {
    "day_loss_reducing": Decimal(100),
    "day_loss_halted": Decimal(200),
    "drawdown_reducing": Decimal(10_000),
    "drawdown_halted": Decimal(20_000),
}
GTC = {"type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}


def hold(house, steps=100, side=Side.BUY, key="open"):
    sent = house.submit(key, steps, side)
    assert sent.refused is None, sent.refused
    house.fill(sent.order, exec_id=key)


def state_of(house, scope="account:PAPER"):
    return house.account.states.scopes().get(scope, (TradingState.ACTIVE, ""))[0]


def enable(house, scope):
    house.process(SetTradingState(house.now, TradingState.ACTIVE, "mended", "human", scope))


def test_13_a_days_loss_first_reduces_and_then_halts_and_stays(build):
    house = build(LOSSES)
    house.quote()
    hold(house)  # 1 lot, 10 dollars a pip
    house.quote(1.0995, 1.0996)
    assert state_of(house) is TradingState.ACTIVE
    house.quote(1.0991, 1.0992)
    assert state_of(house) is TradingState.REDUCING
    assert house.submit("more", 1).refused.check == "trading_state"
    house.quote(1.0980, 1.0981)
    assert state_of(house) is TradingState.HALTED
    house.quote(1.1500, 1.1501)  # all won back: a latch is a latch
    assert state_of(house) is TradingState.HALTED
    assert house.submit("close", 100, Side.SELL).refused is None


def test_13_denies_by_itself_where_a_human_enables_too_early(build):
    house = build(LOSSES)
    house.quote()
    hold(house)
    house.quote(1.0980, 1.0981)
    house.account.states.set("account:PAPER", TradingState.ACTIVE, "hoping")
    assert house.submit("more", 1).refused.check == "losses"
    enable(house, "account:PAPER")
    house.quote(1.0980, 1.0981)
    assert state_of(house) is TradingState.HALTED


def test_13_the_latch_and_the_baselines_survive_a_restart(build):
    house = build(LOSSES)
    house.quote()
    hold(house)
    house.quote(1.0991, 1.0992)
    again = build(LOSSES, recovered=house.journal.records)
    assert state_of(again) is TradingState.REDUCING
    again.now = house.now
    again.quote(1.0980, 1.0981)  # the day's loss is counted from where the day began
    assert state_of(again) is TradingState.HALTED
    third = build(LOSSES, recovered=[*house.journal.records, *again.journal.records])
    assert state_of(third) is TradingState.HALTED


def test_13_a_day_ends_at_17_new_york(build):
    house = build(LOSSES)
    house.quote()
    hold(house)
    house.quote(1.0993, 1.0994)  # 80 lost
    house.now = day_end(house.now) - SEC
    house.quote(1.0993, 1.0994, after_ns=0)
    losses = house.account.risk.losses
    assert losses.losses.day_loss == 80 * 10**6
    house.quote(1.0992, 1.0993, after_ns=SEC)
    assert losses.losses.day_loss == 10 * 10**6  # from the equity that the day began with
    assert losses.losses.drawdown == 90 * 10**6  # a drawdown knows no days


@pytest.mark.parametrize(
    ("day", "hour"),
    [("2020-03-06", 22), ("2020-03-09", 21), ("2020-10-30", 21), ("2020-11-02", 22)],
)
def test_13_days_end_by_the_clock_of_new_york(day, hour):
    from datetime import UTC, datetime

    noon = int(datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=UTC).timestamp()) * SEC
    end = datetime.fromtimestamp(day_end(noon) // SEC, UTC)
    assert (str(end.date()), end.hour) == (day, hour)
    assert day_end(day_end(noon)) - day_end(noon) >= 23 * HOUR


def test_13_a_drawdown_is_counted_anew_once_a_human_enables(build):
    limits = {"drawdown_reducing": Decimal(50), "drawdown_halted": Decimal(100)}
    house = build(limits)
    house.quote()
    hold(house)
    house.quote(1.0985, 1.0986)
    assert state_of(house) is TradingState.HALTED
    enable(house, "account:PAPER")
    house.quote(1.0985, 1.0986)
    assert state_of(house) is TradingState.ACTIVE
    house.quote(1.0979, 1.0980)
    assert state_of(house) is TradingState.REDUCING


def test_13_a_restart_never_makes_a_drawdown_smaller(build):
    limits = {"drawdown_reducing": Decimal(5_000), "drawdown_halted": Decimal(6_000)}
    house = build(limits)
    house.quote()
    hold(house)
    for price in (1.1007, 1.1013, 1.1021, 1.1028):
        house.quote(price, price + 1e-4)
    seen = house.account.risk.losses
    again = build(limits, recovered=house.journal.records)
    again.now = house.now
    again.quote(1.1000, 1.1001)
    house.quote(1.1000, 1.1001)
    more = again.account.risk.losses.losses.drawdown - seen.losses.drawdown
    assert 0 <= more <= 50 * 10**6


def test_14_the_rate_is_per_strategy_and_symbol_and_refills(build):
    house = build({"order_burst": 2, "max_orders_per_sec": 10.0})
    house.quote()
    house.quote(1.3, 1.3001, instrument=1)
    for key, steps in (("a", 10), ("b", 11)):
        assert house.submit(key, steps, after_ns=0).refused is None
    no = house.submit("c", 12, after_ns=0).refused
    assert (no.check, no.limit, no.largest_lots) == ("rate", "10 a second", "0")
    assert house.submit("d", 12, after_ns=0, strategy="other").refused is None
    assert house.submit("e", 12, after_ns=0, instrument=1).refused is None
    assert house.submit("f", 13, after_ns=SEC // 10).refused is None
    assert house.submit("g", 14, after_ns=0).refused.check == "rate"


def test_14_cancels_have_a_bucket_of_their_own_and_none_is_lost(build):
    limits = {"order_burst": 5, "max_orders_per_sec": 0.001}
    house = build({**limits, "max_cancels_per_sec": 10.0, "cancel_burst": 2})
    house.quote()
    orders = [house.submit(f"k{n}", 10 + n, limit_ticks=109_000, **GTC).order for n in range(5)]
    for order in orders:
        house.report(order, K.ACCEPT)
    assert house.submit("over", 99, after_ns=0).refused.check == "rate"
    for order in orders:
        house.process(CancelOrder(house.now, order.client_order_id))
    assert len(house.broker.canceled) == 2
    for _ in range(3):
        house.now += SEC // 10
        house.process(Timer(house.now))
    assert [o.client_order_id for o in house.broker.canceled] == [o.client_order_id for o in orders]


def test_15_an_order_never_meets_one_of_our_own(house):
    own = house.submit("own", 10, Side.SELL, limit_ticks=110_050, **GTC).order
    house.report(own, K.ACCEPT)
    no = house.submit("meets", 11).refused  # goes out at the far end of the collar
    assert (no.check, no.limit) == ("self_trade", "110050 ticks")
    under = {**GTC, "limit_ticks": 110_049}
    assert house.submit("under", 11, **under).refused is None
    house.report(own, K.CANCEL)
    assert house.submit("free", 12).refused is None


def test_16_a_strategy_that_is_executed_over_and_over_is_off_until_re_armed(build):
    house = build({"max_executions": 3, "executions_window_secs": 60.0})
    house.quote()
    for number in range(3):
        hold(house, 10 + number, key=f"x{number}")
    assert state_of(house, "strategy:manual") is TradingState.HALTED
    assert house.submit("more", 1).refused.check == "trading_state"
    assert house.submit("other", 1, strategy="other").refused is None
    again = build({"max_executions": 3}, recovered=house.journal.records)
    assert state_of(again, "strategy:manual") is TradingState.HALTED
    house.account.states.set("strategy:manual", TradingState.ACTIVE, "")
    assert house.submit("early", 2).refused.check == "executions"
    enable(house, "strategy:manual")
    assert house.submit("armed", 3).refused is None


def test_16_parts_of_one_order_count_once_and_old_ones_not_at_all(build):
    house = build({"max_executions": 3, "executions_window_secs": 60.0})
    house.quote()
    order = house.submit("parts", 10).order
    for part in range(5):
        house.fill(order, 1, exec_id=f"p{part}")
    hold(house, 11, key="second")
    house.now += 61 * SEC
    house.quote()
    hold(house, 12, key="third")
    assert state_of(house, "strategy:manual") is TradingState.ACTIVE


def test_17_a_model_order_needs_a_fresh_decision_of_an_approved_model(house, monkeypatch):
    from trading.risk_checks import Basis

    real = house.account.risk.context

    def with_basis(order, now_ns, state, **fields):
        fields["basis"] = basis
        return real(order, now_ns, state, **fields)

    monkeypatch.setattr(house.account.risk, "context", with_basis)
    for number, (basis, reason) in enumerate((  # noqa: B007 - the context takes it
        (Basis(True, house.now, False, house.seq), "model is not approved"),
        (Basis(True, house.now - 2 * SEC, True, house.seq), "decision is stale"),
        (Basis(True, house.now + 1_000 * SEC, True, house.seq), "decision is stale"),
        (Basis(True, house.now, True, house.seq - 1), "decision is of an older quote"),
    )):  # fmt: skip
        no = house.submit(f"m{number}", 10 + number).refused
        assert (no.check, no.reason) == ("decision", reason)
    basis = Basis(True, house.now, True, house.seq)
    assert house.submit("good", 20).refused is None


def test_17_the_models_own_orders_carry_their_decision(house):
    house.quote(p=0.9)
    assert [order.strategy for order in house.broker.sent] == ["model"]


# --- brackets, reduce-only, stop and timed orders ---


def bracket(house, steps=10, **fields):
    fields = {"take_ticks": 110_200, "loss_ticks": 109_800, **fields}
    return house.submit("entry", steps, **fields)


def exits(house):
    return [order for order in house.broker.sent if order.group]


def test_each_execution_of_a_bracket_gets_its_exits(house):
    entry = bracket(house).order
    house.fill(entry, 4, exec_id="e1")
    house.fill(entry, 6, exec_id="e2")
    made = exits(house)
    assert [(o.side, o.quantity, o.type) for o in made] == [
        (Side.SELL, 4, OrderType.LIMIT), (Side.SELL, 4, OrderType.STOP),
        (Side.SELL, 6, OrderType.LIMIT), (Side.SELL, 6, OrderType.STOP),
    ]  # fmt: skip
    assert [(o.limit_ticks, o.stop_ticks) for o in made[:2]] == [(110_200, 0), (109_600, 109_800)]
    assert all(o.reduce_only and o.time_in_force is TimeInForce.GTC for o in made)
    assert made[0].group == made[1].group != made[2].group
    # A pair reserves its size once, for one cancels the other.
    assert house.account.portfolio.exposure(0) == (0, 10)


def test_exits_that_a_crash_left_out_are_sent_once_the_session_is_ready(build):
    house = build(ready=True)
    house.quote()
    entry = bracket(house).order
    from trading.events import SessionChanged

    house.process(SessionChanged(house.now, False))
    house.fill(entry, exec_id="e1")
    assert exits(house) == []
    again = build(recovered=house.journal.records, ready=False)
    again.now = house.now
    again.quote()
    again.process(SessionChanged(again.now, True))
    assert [o.type for o in exits(again)] == [OrderType.LIMIT, OrderType.STOP]
    again.process(SessionChanged(again.now, False))
    again.process(SessionChanged(again.now, True))
    assert len(exits(again)) == 2


def test_an_exit_that_is_denied_stops_the_strategy(house, monkeypatch):
    entry = bracket(house).order
    monkeypatch.setattr("trading.risk.judge", lambda *_: 0)
    house.fill(entry, exec_id="e1")
    assert exits(house) == []
    assert state_of(house, "strategy:manual") is TradingState.HALTED


@pytest.mark.parametrize(
    "odd",
    [{"take_ticks": 109_700}, {"loss_ticks": 110_300}, {"reduce_only": True},
     {"limit_ticks": 110_300, **GTC}],
)  # fmt: skip
def test_exits_on_the_wrong_side_are_refused(house, odd):
    from core.errors import BadInput

    with pytest.raises(BadInput):
        bracket(house, **odd)


def test_reduce_only_never_opens_and_never_flips(house):
    assert house.submit("a", 5, Side.SELL, reduce_only=True).refused.check == "trading_state"
    hold(house, 10)
    no = house.submit("b", 11, Side.SELL, reduce_only=True).refused
    assert (no.reason, no.largest_lots) == ("order would not only reduce", "0.10")
    assert house.submit("c", 10, Side.SELL, reduce_only=True).refused is None


def test_a_stop_order_goes_out_with_the_collar_behind_its_stop(house):
    waits = {"type": OrderType.STOP, "time_in_force": TimeInForce.GTC}
    order = house.submit("stop", 10, stop_ticks=110_500, **waits).order
    assert (order.stop_ticks, order.limit_ticks) == (110_500, 110_700)
    low = house.submit("low", 10, Side.SELL, stop_ticks=109_500, **waits).order
    assert low.limit_ticks == 109_300
    no = house.submit("now", 11, type=OrderType.STOP, stop_ticks=110_500).refused
    assert no.check == "well_formed"


def test_a_day_order_ends_with_the_day_of_the_tape(house):
    order = house.submit("day", limit_ticks=109_000, type=OrderType.LIMIT,
                         time_in_force=TimeInForce.DAY).order  # fmt: skip
    assert order.expire_ns == day_end(house.now)
    no = house.submit("gtd", 11, limit_ticks=109_000, type=OrderType.LIMIT,
                      time_in_force=TimeInForce.GTD).refused  # fmt: skip
    assert no.check == "well_formed"
