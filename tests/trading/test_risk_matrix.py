"""Every check x missing, stale, NaN, infinite, negative, exception, time-out, wrong type: DENY.

The table is generated. What a check looks at is found by watching it: a spy stands in for the
context and writes down every value that is read. Then each value in turn is spoilt in each of the
eight ways, and the check is asked alone, so that no other check can deny in its place.
"""

import math
from dataclasses import fields, replace
from decimal import Decimal

import msgspec
import pytest

from core.instruments import DEFAULT_INSTRUMENTS, Instrument, InstrumentTable
from core.types import OrderType, Side, TimeInForce, TradingState
from trading.limits import TOKEN
from trading.losses import Losses
from trading.risk import CHECKS, Row, evaluate, first_breach, plan_of
from trading.risk_checks import Basis, RiskContext
from trading.risk_kernel import CHECKED

SEC = 1_000_000_000
MONDAY_NS = 1_600_100_000_000_000_000
FAULTS = (
    "missing", "stale", "nan", "infinite", "negative", "exception", "timeout", "wrong_type",
)  # fmt: skip
NAMES = [f"{index}-{row.check.__name__}" for index, row in enumerate(CHECKS)]


# --- contexts that pass, by what the order is ---


def context(house, *, reduces=False, stop=False, converts=False, model=False):
    """A context in which every check passes; the variants take the other ways through them."""
    instrument = 4 if converts else 0
    if reduces:
        house.fill(house.submit("held", 20).order, exec_id="held")
    fields = {"time_in_force": TimeInForce.GTC, "type": OrderType.LIMIT, "limit_ticks": 110_000}
    if converts:
        fields = {}
    if stop:
        fields = {"type": OrderType.STOP, "stop_ticks": 110_500, "time_in_force": TimeInForce.DAY}
    order = house.submit("x", 10, Side.SELL if reduces else Side.BUY, instrument, **fields).order
    house.report(order, "CANCEL")
    house.now += SEC
    order = msgspec.structs.replace(order, submitted_ns=house.now, client_order_id="new")
    basis = Basis(model, house.now if model else 0, model, order.quote_seq)
    state = TradingState.REDUCING if reduces else TradingState.ACTIVE
    found = house.account.risk.context(
        order, house.now, state, session_ready=True, journal_healthy=True, basis=basis
    )
    assert evaluate(found) is None
    return found


@pytest.fixture
def crossing(build):
    cross = Instrument(
        id=4, symbol="EURJPY", base="EUR", quote_currency="JPY", digits=3, pip=0.01,
        contract_size=100_000,
    )  # fmt: skip
    house = build(
        {"symbols": ("EURUSD", "EURJPY")},
        instruments=InstrumentTable([*DEFAULT_INSTRUMENTS, cross]),
    )
    house.quote()
    house.quote(150.0, 150.02, instrument=2)
    house.quote(165.0, 165.02, instrument=4)
    return house


@pytest.fixture
def contexts(build, crossing):
    """Contexts by variant."""
    made = {"converts": context(crossing, converts=True)}
    for name in ("plain", "reduces", "stop", "model"):
        house = build()
        house.quote()
        made[name] = context(house, **({} if name == "plain" else {name: True}))
    return made


# --- spies: what is read, and what breaks when it is read ---


class Spy:
    """Stands in for a record; notes what is read as a path, spoils one path."""

    def __init__(self, real, path="", seen=None, spoilt=None, fault=None):
        self.__dict__.update(_real=real, _path=path, _seen=seen, _spoilt=spoilt, _fault=fault)

    def __getattr__(self, name):
        path = f"{self._path}{name}"
        value = getattr(self._real, name)
        if callable(value):
            return value
        if self._seen is not None:
            self._seen.add(path)
        if path == self._spoilt:
            return self._fault(value)
        if isinstance(value, Instrument):
            return value  # its words are for the denial, its numbers stand in the bounds
        if isinstance(value, msgspec.Struct) or hasattr(value, "_fields"):
            return Spy(value, f"{path}.", self._seen, self._spoilt, self._fault)
        return value


def reads(row, ctx):
    """Paths that a check reads on its way to a pass."""
    seen = set()
    assert row.check(Spy(ctx, seen=seen)) is None
    return sorted(seen)


def alone(row, ctx, path=None, fault=None):
    """Refusal of one check on a context with one value spoilt."""
    if path is not None:
        ctx = Spy(ctx, spoilt=path, fault=fault)
    return first_breach(ctx, plan_of((row,)))


class Boom:
    def __init__(self, error):
        self._error = error

    def __call__(self, _value):
        raise self._error


SPOILERS = {
    "missing": lambda _: None,
    "nan": lambda value: Decimal("NaN") if isinstance(value, Decimal) else math.nan,
    "infinite": lambda value: Decimal("Infinity") if isinstance(value, Decimal) else math.inf,
    "negative": lambda _: -1,
    "exception": Boom(RuntimeError("boom")),
    "timeout": Boom(TimeoutError("too slow")),
    "wrong_type": lambda _: object(),
}


# Where a number below zero is as good as any other.
MAY_BE_NEGATIVE = {
    "low": "the lowest position is a short one",
    "load.low": "so is the lowest net exposure",
    "week.open_ns": "a tape may begin in the first week of 1970",
}

# A time that is read by itself goes stale by itself; the value makes it so, not the gathering.
STALE = {
    "instrument": ("quote.ts_event", lambda ts: ts + 7 * 86_400 * SEC),
    "duplicate": ("same_ns", lambda _: MONDAY_NS * 2),
    "quote_fresh": ("quote.ts_recv", lambda ts: ts - 10 * SEC),
    "decision": ("basis.decided_ns", lambda ts: ts - 10 * SEC),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("index", range(len(CHECKS)), ids=NAMES)
def test_every_check_denies_on_every_fault(contexts, index, fault, record_property):
    row, cells, passed = CHECKS[index], 0, []
    for variant, ctx in contexts.items():
        for path in reads(row, ctx):
            if fault == "negative" and path in MAY_BE_NEGATIVE:
                continue
            if fault == "stale":
                continue
            cells += 1
            if alone(row, ctx, path, SPOILERS[fault]) is None:
                passed.append((variant, path))
        if fault == "stale":
            cells += 2
            passed += [(variant, age) for age in STALE_CONTEXTS if not stale(row, ctx, age)]
    own = STALE.get(row.check.__name__)
    if fault == "stale" and own is not None:
        cells += 1
        variant = "model" if row.name == "decision" else "plain"
        passed += [own[0]] if alone(row, contexts[variant], *own) is None else []
    record_property("cells", cells)
    assert cells
    assert not passed


STALE_CONTEXTS = (2 * SEC, -1)


def stale(row, ctx, age):
    """Refusal of one check on what was gathered `age` away from the order."""
    return first_breach(replace(ctx, now_ns=ctx.order.submitted_ns + age), plan_of((row,)))


def test_the_conversion_goes_stale_too(contexts):
    row = {row.name: row for row in CHECKS}["quote_fresh"]
    assert alone(row, contexts["converts"], "conversion.ts_recv", lambda ts: ts - 10 * SEC)


def test_every_value_of_the_context_is_read_by_a_check(contexts):
    read = {
        path.partition(".")[0]
        for row in CHECKS
        for ctx in contexts.values()
        for path in reads(row, ctx)
    }
    assert read == {field.name for field in fields(RiskContext)}


# --- without a check, what it is there for passes ---


def amended(ctx, **terms):
    return replace(ctx, order=msgspec.structs.replace(ctx.order, **terms))


def capped(ctx, **caps):
    return replace(ctx, caps=ctx.caps._replace(**caps))


def bounded(ctx, **bounds):
    return replace(ctx, bounds=ctx.bounds._replace(**bounds))


CASES = {
    "trading_state": ("a new order while HALTED", lambda c: replace(c, state=TradingState.HALTED)),
    "account_right": ("another account", lambda c: amended(c, account="OTHER")),
    "session": ("the session is down", lambda c: replace(c, session_ready=False)),
    "instrument": ("a restricted symbol", lambda c: bounded(c, allowed=False)),
    "well_formed": ("an unknown time in force", lambda c: amended(c, time_in_force="SOON")),
    "lots_allowed": ("more lots than the venue takes", lambda c: bounded(c, max_steps=9)),
    "client_id": ("a client order id twice", lambda c: replace(c, seen=True)),
    "duplicate": ("the same content at once", lambda c: replace(c, same_ns=c.now_ns)),
    "quote_fresh": (
        "an old quote",
        lambda c: replace(c, quote=msgspec.structs.replace(c.quote, ts_recv=c.now_ns - 9 * SEC)),
    ),
    "collar": ("a price far through the market", lambda c: amended(c, limit_ticks=120_000)),
    "order_size": ("a notional over the limit", lambda c: capped(c, order_notional=1)),
    "worst_position": ("a position over the limit", lambda c: bounded(c, position_steps=9)),
    "exposure": ("a gross notional over the limit", lambda c: capped(c, gross_notional=1)),
    "margin": ("more margin than equity", lambda c: replace(c, equity=1_000 * 10**6 - 1)),
    "losses": ("a day's loss at the limit", lambda c: replace(c, losses=Losses(1, 10**11, 0))),
    "rate": ("an empty bucket", lambda c: replace(c, tokens=TOKEN - 1)),
    "self_trade": ("an own order on the way", lambda c: replace(c, opposing=100)),
    "executions": ("a strategy gone wild", lambda c: replace(c, executions=1_000)),
    "decision": (
        "a model nobody approved",
        lambda c: replace(c, basis=Basis(True, c.now_ns, False, c.quote.seq)),
    ),
}


@pytest.mark.parametrize("index", range(len(CHECKS)), ids=NAMES)
def test_removing_a_check_lets_its_case_pass(contexts, index):
    row = CHECKS[index]
    what, spoil = CASES[row.check.__name__]
    ctx = spoil(contexts["plain"])
    found = first_breach(ctx, plan_of(CHECKS))
    assert found is not None, what
    assert found[0] == row.name
    without = CHECKS[:index] + CHECKS[index + 1 :]
    assert first_breach(ctx, plan_of(without)) is None, f"{what} is denied by another check as well"


@pytest.mark.parametrize("index", range(len(CHECKS)), ids=NAMES)
def test_a_removed_check_is_missed_in_the_engine(build, monkeypatch, index):
    """The engine runs the very table: a check taken out of it is not asked."""
    asked = []
    spied = tuple(
        Row(row.name, lambda ctx, row=row: asked.append(row.check.__name__), row.cached, row.sized)
        for row in CHECKS
    )
    monkeypatch.setattr("trading.risk._ALL", plan_of(spied[:index] + spied[index + 1 :]))
    house = build()
    house.quote()
    assert house.submit("a").refused is None
    names = [row.check.__name__ for row in CHECKS]
    assert asked == names[:index] + names[index + 1 :]


def test_a_compiled_check_that_fails_denies(house, monkeypatch):
    def broken(*_):
        raise RuntimeError("boom")

    monkeypatch.setattr("trading.risk.judge", broken)
    found = house.submit("a").refused
    assert "RuntimeError" in found.reason
    assert not house.broker.sent


@pytest.mark.parametrize("place", range(len(CHECKED)))
def test_a_no_of_the_compiled_table_stays_one_without_a_reason(house, monkeypatch, place):
    monkeypatch.setattr("trading.risk.judge", lambda *_: place)
    assert house.submit("a").refused.reason == "numbers do not pass"
    assert not house.broker.sent


def test_the_plan_of_the_table_runs_every_row():
    plan = plan_of(CHECKS)
    assert plan.rows == CHECKS
    places = [row.place for row in CHECKS if row.place >= 0]
    assert plan.bits == 2 ** len(CHECKED) - 1 == sum(1 << place for place in places)
    assert [row.check.__name__ for row in CHECKS if row.place >= 0] == list(CHECKED)
    assert len(plan.words) + len(places) == len(CHECKS)


def test_what_cannot_be_gathered_is_denied(house, monkeypatch):
    def slow(*_):
        raise TimeoutError("too slow")

    monkeypatch.setattr(house.account.risk.valuation, "equity", slow)
    found = house.submit("a")
    assert found.refused.check == "context"
    assert found.refused.largest_lots == "0"
    assert not house.broker.sent
