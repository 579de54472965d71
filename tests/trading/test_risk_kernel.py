"""The compiled checks against those that say why: the same answer to whatever is asked."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.types import Side
from tests.trading.conftest import House
from trading.limits import TOKEN
from trading.losses import Losses
from trading.risk import CHECKS
from trading.risk_checks import Basis
from trading.risk_kernel import CHECKED, judge, numbers
from trading.valuation import Load

SEC = 1_000_000_000
NUMERIC = [row for row in CHECKS if row.place >= 0]


def plain():
    house = House()
    house.quote()
    order = house.submit("x", 10).order
    house.report(order, "CANCEL")
    house.now += SEC
    fresh = msgspec.structs.replace(order, submitted_ns=house.now, client_order_id="new")
    return house.account.risk.context(
        fresh, house.now, house.account.states.state, session_ready=True, journal_healthy=True
    )


PLAIN = plain()
small = st.integers(-3, 30)
near = st.sampled_from([0, 1, -1])


def bounds_of(*values):
    return tuple(sorted(values))


@st.composite
def contexts(draw):
    """Contexts whose numbers lie near to where an answer changes."""
    ctx = replace(PLAIN)
    caps = {name: draw(small) for name in ctx.caps._fields}
    unit = draw(st.integers(0, 4))
    low, high = bounds_of(draw(small), draw(small))
    quantity = draw(small)
    stop = draw(st.sampled_from([0, 0, 5, -1]))
    ctx.order = msgspec.structs.replace(
        ctx.order, quantity=quantity, limit_ticks=draw(small), stop_ticks=stop,
        side=draw(st.sampled_from(Side)),
    )  # fmt: skip
    ctx.caps = ctx.caps._replace(**caps)
    ctx.bounds = ctx.bounds._replace(
        **{name: draw(small) for name in ctx.bounds._fields if name != "allowed"}
    )
    ctx.now_ns = draw(st.integers(0, 60))
    ctx.same_ns = draw(st.integers(-1, 60))
    ctx.quote = msgspec.structs.replace(ctx.quote, ts_recv=draw(st.integers(-1, 60)))
    ctx.converts = draw(st.booleans())
    ctx.conversion = draw(st.none() | st.just(ctx.quote))
    ctx.mark = ctx.mark._replace(bid_ticks=draw(small), ask_ticks=draw(small))
    ctx.unit, ctx.low, ctx.high = unit, low, high
    ctx.margin_rate = (draw(st.integers(-1, 3)), draw(st.integers(0, 3)))
    ctx.reducible = draw(st.integers(0, 30))
    ctx.open_orders = draw(small)
    bounds = [bounds_of(draw(small), draw(small)) for _ in range(3)]
    load = Load(draw(small), *bounds[0], draw(small), bounds[1], bounds[2])
    ctx.load = draw(st.none() | st.just(load))
    ctx.equity = draw(st.none() | small)
    ctx.losses = draw(st.none() | st.just(Losses(0, draw(small), draw(small))))
    ctx.tokens = TOKEN + draw(near)
    ctx.opposing, ctx.executions = draw(small), draw(small)
    required = draw(st.booleans())
    ctx.basis = Basis(required, draw(small), draw(st.booleans()), ctx.quote.seq + draw(near))
    return ctx


def python_passes(row, ctx):
    try:
        return row.check(ctx) is None
    except Exception:  # noqa: BLE001 - an exception is a no
        return False


@given(contexts())
@settings(max_examples=1_500, deadline=None)
def test_the_compiled_checks_pass_what_the_others_pass(ctx):
    values = numbers(ctx)
    for row in NUMERIC:
        compiled = judge(values, 1 << row.place) == -1
        if row.name in ("exposure", "margin") and (ctx.load is None) != (ctx.equity is None):
            continue  # the one needs both known, where the other may do with its own
        assert compiled == python_passes(row, ctx), row.name


@pytest.mark.proof
@given(contexts())
@settings(max_examples=60_000, deadline=None)
def test_the_compiled_checks_pass_what_the_others_pass_at_length(ctx):
    test_the_compiled_checks_pass_what_the_others_pass.hypothesis.inner_test(ctx)


huge = st.sampled_from([2**31, 2**40, 2**61, 2**62, 2**63 - 1, -(2**63), -(2**62)])
LEAFS = ("low", "high", "unit", "open_orders", "equity", "tokens", "opposing", "executions")


@given(st.dictionaries(st.sampled_from(LEAFS), huge, min_size=1), huge, st.booleans())
@settings(max_examples=1_500, deadline=None)
def test_numbers_that_wrap_around_are_denied(spoilt, quantity, big_order):
    """What is too large for the machine is never taken for something small."""
    ctx = replace(PLAIN, **spoilt)
    if big_order:
        ctx.order = msgspec.structs.replace(ctx.order, quantity=quantity)
    values = numbers(ctx)
    for row in NUMERIC:
        if judge(values, 1 << row.place) == -1:
            assert python_passes(row, ctx), row.name


@given(st.sampled_from(("gross", "low", "high", "margin")), huge)
def test_loads_that_wrap_around_are_denied(name, value):
    ctx = replace(PLAIN, load=PLAIN.load._replace(**{name: value}))
    values = numbers(ctx)
    for row in NUMERIC:
        if judge(values, 1 << row.place) == -1:
            assert python_passes(row, ctx), row.name


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 1.0, None, "1", np.float64(1)])
def test_what_is_no_machine_number_is_refused(value):
    with pytest.raises(Exception, match=r".*"):
        numbers(replace(PLAIN, equity=value, low=value))


def test_bits_run_what_is_asked():
    values = numbers(PLAIN)
    assert judge(values, 2 ** len(CHECKED) - 1) == -1
    broken = values.copy()
    broken[:] = -1
    for place in range(len(CHECKED)):
        assert judge(broken, 1 << place) == place
    assert judge(values, 1 << 20) == 20  # a bit that stands for no check is a no
    assert judge(values, 0) == -1
