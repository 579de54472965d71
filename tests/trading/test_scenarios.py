from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from core.types import OrderStatus, OrderType, Side
from trading.risk import CHECKS, plan_of
from trading.scenarios import Reference, ScenarioTable, compute
from trading.sessions import week_of

MONDAY_NS = 1_600_100_000_000_000_000
VOLUMES = [Decimal("0.10"), Decimal("1"), Decimal("6"), Decimal("0.105")]
REFERENCES = [Reference(0, MONDAY_NS, 110_010), Reference(2, MONDAY_NS, 150_020)]


def encode(account, terms, side, steps):
    return f"{account}|{terms.symbol}|{side}|{steps}".encode()


def computed(limits, references=REFERENCES, instruments=DEFAULT_INSTRUMENTS):
    return compute("PAPER", "USD", instruments, limits, references, VOLUMES, encode)


@pytest.fixture
def limits(build):
    return build().limits


@pytest.fixture
def table(limits):
    return ScenarioTable(computed(limits), limits, DEFAULT_INSTRUMENTS)


def take(table, steps=10, tape_ns=MONDAY_NS, ask=110_010, instrument=0):
    return table.take("PAPER", instrument, Side.BUY, steps, tape_ns, ask)


def test_the_table_holds_every_combination(limits):
    rows = computed(limits)
    assert len(rows) == 2 * len(VOLUMES) * 2
    by_lots = {(r.symbol, r.lots): r for r in rows if r.side is Side.BUY}
    good = by_lots["EURUSD", Decimal("0.10")]
    assert good.passed
    assert good.template == b"PAPER|EURUSD|BUY|10"
    assert good.margin_per_lot == Decimal("110010") * Decimal("0.0333")
    assert by_lots["USDJPY", Decimal("1")].margin_per_lot == Decimal(3_330)
    assert by_lots["EURUSD", Decimal("6")].refused == "order is too large"
    assert by_lots["EURUSD", Decimal("0.105")].refused == "lots out of bounds"
    assert by_lots["EURUSD", Decimal("6")].template == b""


def test_a_fresh_scenario_is_taken(table):
    assert take(table).lots == Decimal("0.10")
    assert take(table, 11) is None
    assert (table.counts.hits, table.counts.misses, table.counts.stale) == (1, 1, 0)


def test_stale_by_price_session_limits_or_instruments(table, limits):
    assert take(table, ask=int(110_010 * 1.03)) is None
    assert take(table, ask=int(110_010 * 0.97)) is None
    assert take(table, tape_ns=week_of(MONDAY_NS).close_ns) is None
    assert take(table, tape_ns=week_of(MONDAY_NS).open_ns - 1) is None
    other = ScenarioTable(
        computed(limits), replace(limits, max_order_lots=Decimal(4)), DEFAULT_INSTRUMENTS
    )
    assert take(other) is None
    rows = [
        msgspec.structs.replace(row, margin_rate=Decimal("0.05")) for row in DEFAULT_INSTRUMENTS
    ]
    assert take(ScenarioTable(computed(limits), limits, InstrumentTable(rows))) is None
    assert table.counts.stale == 4
    assert table.counts.hits == 0


def test_notional_holds_over_the_whole_band(limits):
    tight = replace(limits, max_order_notional=Decimal("110010"))
    by_lots = {r.lots: r for r in computed(tight, REFERENCES[:1])}
    # One lot would pass now, but not 2 % higher, where the scenario would still be valid.
    assert by_lots[Decimal(1)].refused == "order notional is above the limit"
    assert by_lots[Decimal("0.10")].passed


def test_an_instrument_that_needs_a_second_rate_has_none(limits):
    rows = compute("PAPER", "CHF", DEFAULT_INSTRUMENTS, limits, REFERENCES, VOLUMES, encode)
    assert rows == []


def test_a_hit_skips_only_the_cached_checks(build, table, monkeypatch):
    house = build(scenarios=table)
    house.quote()
    ran = []

    def spy(row):
        name = row.check.__name__
        return row._replace(check=lambda ctx: (ran.append(name), row.check(ctx))[1], place=-1)

    rows = tuple(spy(row) for row in CHECKS)
    monkeypatch.setattr("trading.risk._ALL", plan_of(rows))
    uncached = plan_of(tuple(row for row in rows if not row.cached))
    monkeypatch.setattr("trading.risk._UNCACHED", uncached)
    assert house.submit("a").refused is None
    assert not set(ran) & {"instrument", "lots_allowed", "order_size"}
    assert len(ran) == len(CHECKS) - 3
    ran.clear()
    assert house.submit("b", 11).refused is None
    assert len(ran) == len(CHECKS)


@pytest.mark.parametrize("steps", [10, 11, 100, 600])
@pytest.mark.parametrize("price", [1.1, 1.2])
def test_scenarios_never_change_an_answer(build, table, steps, price):
    with_table, without = build(scenarios=table), build()
    for house in (with_table, without):
        house.quote(price, price + 0.0001)
    one, other = with_table.submit("a", steps), without.submit("a", steps)
    assert one == other
    assert (one.order.status is OrderStatus.DENIED) == (steps == 600)


@pytest.mark.parametrize(
    "odd",
    [
        {"type": OrderType.LIMIT, "limit_ticks": 0},
        {"type": OrderType.LIMIT, "limit_ticks": -5},
        {"type": OrderType.LIMIT, "limit_ticks": 110_010.0},
        {"type": "STOP", "limit_ticks": 110_010},
        {"time_in_force": "DAY"},
        {"side": "BUY"},
        {"steps": 10.0},
    ],
    ids=str,
)
def test_what_a_scenario_does_not_know_is_checked_on_a_hit(build, table, odd):
    with_table, without = build(scenarios=table), build()
    for house in (with_table, without):
        house.quote()
    one, other = with_table.submit("a", **odd), without.submit("a", **odd)
    assert table.counts.hits == 1
    assert one == other
    assert one.refused.check == "well_formed"
    assert not with_table.broker.sent


def test_a_new_table_takes_the_place_of_the_old(table, limits):
    table.replace(computed(limits, REFERENCES[1:]))
    assert take(table) is None
    assert take(table, ask=150_020, instrument=2) is not None
    assert len(table) == len(table.rows()) == 8


def test_what_a_scenario_answered_is_asked_again_once_the_order_has_left(build, table):
    house = build(scenarios=table)
    house.quote()
    assert house.submit("a").refused is None
    assert house.submit("b", 11).refused is None  # no scenario
    assert table.counts.hits == 1
    assert table.counts.hit_rate == 0.5
    assert table.counts.used_stale == 0
    assert table.counts.saved_ns > 0


def test_limits_that_change_under_the_table_are_not_passed_by_it(build, table):
    house = build(scenarios=table)
    house.quote()
    house.account.risk.limits = replace(house.limits, max_order_lots=Decimal("0.05"))
    assert house.submit("a").refused.check == "order_size"
    assert (table.counts.hits, table.counts.stale, table.counts.used_stale) == (0, 1, 0)


def test_a_stamp_that_is_not_looked_at_shows_in_the_count(build, table, monkeypatch):
    monkeypatch.setattr(ScenarioTable, "is_for", lambda *_: True)
    house = build(scenarios=table)
    house.quote()
    house.account.risk.limits = replace(house.limits, max_order_lots=Decimal("0.05"))
    assert house.submit("a").refused is None
    assert table.counts.used_stale == 1
