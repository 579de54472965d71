"""Scenarios from the ledger's rows to the engine's table and the broker's templates."""

import asyncio
import logging
import sqlite3
from decimal import Decimal
from typing import Any

import msgspec

from core.config import Config
from core.errors import AppError
from core.instruments import InstrumentTable
from core.types import Side
from fix.templates import OrderTemplate, template_for
from storage.ports import LedgerStore
from trading.brokers.fix import FixBroker
from trading.scenarios import Scenario, ScenarioTable
from trading.sessions import week_of

log = logging.getLogger(__name__)

POLL_SECS = 5.0


def read_scenarios(
    ledger: LedgerStore, account: str, instruments: InstrumentTable
) -> list[Scenario]:
    """Read the account's scenarios; a row that does not fit is left out, never guessed at."""
    found = []
    for row in ledger.scenarios(account):
        try:
            found.append(_scenario(row, instruments))
        except (AppError, msgspec.ValidationError, ValueError, KeyError) as error:
            log.warning("scenario %s is left out: %s", row.get("symbol"), error)
    return found


def scenario_table(
    ledger: LedgerStore, config: Config, instruments: InstrumentTable
) -> ScenarioTable:
    """Build the engine's table from the ledger."""
    rows = read_scenarios(ledger, config.trading.account, instruments)
    return ScenarioTable(rows, config.risk, instruments)


def templates_of(table: ScenarioTable) -> list[OrderTemplate]:
    """Decode the encoded orders of the scenarios in force.

    A template that is not what we would encode now is left out: the broker takes it by what it says
    of itself, so that no stamp would stop a wrong one.
    """
    found = []
    for row in table.in_force():
        template = OrderTemplate.from_bytes(row.template)
        terms = table.instruments[row.instrument]
        if template == template_for(row.account, terms, row.side, row.steps):
            found.append(template)
        else:
            log.warning("template of %s %s %s is stale", row.symbol, row.side, row.lots)
    return found


async def follow_scenarios(
    ledger: LedgerStore,
    config: Config,
    instruments: InstrumentTable,
    table: ScenarioTable,
    broker: FixBroker,
    poll_secs: float = POLL_SECS,
) -> None:
    """Take over what the flow writes while we run, until cancelled.

    A scenario only answers ahead what risk would answer anyway, so a change needs no event.
    """
    while True:
        await asyncio.sleep(poll_secs)
        try:
            found = await asyncio.to_thread(
                read_scenarios, ledger, config.trading.account, instruments
            )
        except (AppError, sqlite3.Error) as error:
            log.warning("scenarios stay as they are: %s", error)
            continue
        if tuple(found) != tuple(table.rows()):
            table.replace(found)
            broker.load_templates(templates_of(table))
            log.info("%d scenarios are in use", len(table))


def _scenario(row: dict[str, Any], instruments: InstrumentTable) -> Scenario:
    expiry_ns = int(row["session_expiry_ns"])
    opened_ns, _ = week_of(expiry_ns - 1)
    passed = row["verdict"] == "passed"
    if passed:
        OrderTemplate.from_bytes(row["template"])  # raises when it is none; a refused one has none
    return Scenario(
        account=row["account"],
        instrument=instruments.by_symbol(row["symbol"]).id,
        symbol=row["symbol"],
        side=Side(row["side"]),
        lots=Decimal(row["lots"]),
        steps=int(row["steps"]),
        refused="" if passed else (row["reason"] or "refused"),
        margin_per_lot=Decimal(row["margin_per_lot"]),
        template=row["template"],
        limits_version=row["limits_version"],
        instruments_version=row["instruments_version"],
        session_open_ns=opened_ns,
        session_expiry_ns=expiry_ns,
        price_low=int(row["price_low"]),
        price_high=int(row["price_high"]),
    )
