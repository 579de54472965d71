"""Scenarios on their way from the ledger to the wire: nothing that was encoded for other terms."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from core.config import Config, RiskConfig
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from core.types import Side
from fix.templates import template_for
from serving.scenario_rows import follow_scenarios, read_scenarios, scenario_table, templates_of
from storage.sqlite import Ledger
from trading.scenarios import Reference, compute

MONDAY_NS = 1_600_100_000_000_000_000
LIMITS = RiskConfig(
    symbols=("EURUSD",), max_order_lots=Decimal(1), max_order_notional=Decimal(10_000_000)
)
CONFIG = Config(risk=LIMITS)
COARSE = InstrumentTable(
    msgspec.structs.replace(row, lot_step=Decimal("0.1"), min_lots=Decimal("0.1"), digits=4)
    for row in DEFAULT_INSTRUMENTS
)


def encode(account, terms, side, steps):
    return template_for(account, terms, side, steps).to_bytes()


def rows(instruments=DEFAULT_INSTRUMENTS, limits=LIMITS, volumes=("1", "2")):
    found = compute(
        "PAPER", "USD", instruments, limits, [Reference(0, MONDAY_NS, 110_010)],
        [Decimal(lots) for lots in volumes], encode,
    )  # fmt: skip
    extra = {"check": None, "limit_value": None, "observed": None, "created_ns": 1}
    return [
        {
            **msgspec.structs.asdict(row), **extra, "reason": row.refused,
            "verdict": "passed" if row.passed else "refused",
        }
        for row in found
    ]  # fmt: skip


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_scenarios_come_back_with_their_templates_and_refusals(ledger):
    ledger.replace_scenarios(rows())
    table = scenario_table(ledger, CONFIG, DEFAULT_INSTRUMENTS)
    by_lots = {(row.lots, row.side): row.refused for row in table.rows()}
    assert by_lots[Decimal(2), Side.BUY] == "order is too large"
    assert by_lots[Decimal(1), Side.BUY] == ""
    assert len(by_lots) == 4
    fresh = [template_for("PAPER", DEFAULT_INSTRUMENTS[0], side, 100) for side in Side]
    assert templates_of(table) == fresh


def test_no_template_of_other_terms_or_limits_is_loaded(ledger):
    # Ten coarse steps are the wire's 1.00 lots; to the table in force they are 0.10 lots.
    ledger.replace_scenarios(rows(COARSE, volumes=("1",)))
    assert templates_of(scenario_table(ledger, CONFIG, DEFAULT_INSTRUMENTS)) == []
    assert len(templates_of(scenario_table(ledger, CONFIG, COARSE))) == 2
    other = replace(CONFIG, risk=replace(LIMITS, max_order_lots=Decimal("0.5")))
    assert templates_of(scenario_table(ledger, other, COARSE)) == []


def test_a_template_that_says_something_else_than_its_row_is_not_loaded(ledger):
    good = rows(volumes=("1",))
    wrong = encode("PAPER", COARSE[0], Side.BUY, 100)
    ledger.replace_scenarios([{**good[0], "template": wrong}, good[1]])
    (left,) = templates_of(scenario_table(ledger, CONFIG, DEFAULT_INSTRUMENTS))
    assert left.side is Side.SELL


def test_a_row_that_does_not_fit_is_left_out(ledger):
    good = rows(volumes=("1",))
    ledger.replace_scenarios([{**good[0], "template": b"junk"}, {**good[1], "symbol": "EURXXX"}])
    assert read_scenarios(ledger, "PAPER", DEFAULT_INSTRUMENTS) == []


def test_what_the_flow_writes_is_taken_over_while_serving(ledger):
    table = scenario_table(ledger, CONFIG, DEFAULT_INSTRUMENTS)
    loaded = asyncio.Event()

    class Broker:
        templates = ()

        def load_templates(self, templates):
            self.templates = templates
            loaded.set()

    broker = Broker()

    async def main():
        follow = follow_scenarios(ledger, CONFIG, DEFAULT_INSTRUMENTS, table, broker, 0.001)
        task = asyncio.create_task(follow)
        ledger.replace_scenarios(rows(volumes=("1",)) + rows(COARSE, volumes=("0.3",)))
        async with asyncio.timeout(30):
            await loaded.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert len(table) == 4
    assert [template.quantity for template in broker.templates] == [100, 100]
