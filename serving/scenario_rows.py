"""Scenarios from the ledger's rows to the engine's table and the broker's templates."""

import logging
from decimal import Decimal
from typing import Any

import msgspec

from core.config import Config
from core.errors import AppError
from core.instruments import InstrumentTable
from core.types import Side
from fix.templates import OrderTemplate
from storage.sqlite import Ledger
from trading.scenarios import Scenario, ScenarioTable
from trading.sessions import week_of

log = logging.getLogger(__name__)


def read_scenarios(ledger: Ledger, account: str, instruments: InstrumentTable) -> list[Scenario]:
    """Read the account's scenarios; a row that does not fit is left out, never guessed at."""
    found = []
    for row in ledger.scenarios(account):
        try:
            found.append(_scenario(row, instruments))
        except (AppError, msgspec.ValidationError, ValueError, KeyError) as error:
            log.warning("scenario %s is left out: %s", row.get("symbol"), error)
    return found


def scenario_table(ledger: Ledger, config: Config, instruments: InstrumentTable) -> ScenarioTable:
    """Build the engine's table from the ledger."""
    rows = read_scenarios(ledger, config.trading.account, instruments)
    return ScenarioTable(rows, config.risk, instruments)


def templates_of(table: ScenarioTable) -> list[OrderTemplate]:
    """Decode the encoded orders of the scenarios that pass."""
    return [OrderTemplate.from_bytes(row.template) for row in table.rows() if row.passed]


def _scenario(row: dict[str, Any], instruments: InstrumentTable) -> Scenario:
    expiry_ns = int(row["session_expiry_ns"])
    opened_ns, _ = week_of(expiry_ns - 1)
    OrderTemplate.from_bytes(row["template"])  # raises when it is none
    return Scenario(
        account=row["account"],
        instrument=instruments.by_symbol(row["symbol"]).id,
        symbol=row["symbol"],
        side=Side(row["side"]),
        lots=Decimal(row["lots"]),
        steps=int(row["steps"]),
        refused="" if row["verdict"] == "passed" else (row["reason"] or "refused"),
        margin_per_lot=Decimal(row["margin_per_lot"]),
        template=row["template"],
        limits_version=row["limits_version"],
        instruments_version=row["instruments_version"],
        session_open_ns=opened_ns,
        session_expiry_ns=expiry_ns,
        price_low=int(row["price_low"]),
        price_high=int(row["price_high"]),
    )
