"""Judge the usual order shapes ahead of time; what flow and command line both call."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

from core.clock import Clock, SystemClock
from core.config import Config
from core.instruments import DEFAULT_INSTRUMENTS, Instrument, InstrumentTable
from core.types import Side
from fix.templates import template_for
from flows.held_out import tape_starts
from storage.adapters import open_ledger, open_ticks
from trading.scenarios import Reference, Scenario, compute

VOLUMES = tuple(Decimal(lots) for lots in ("0.01", "0.10", "0.50", "1", "2", "5"))


def scenarios(
    config: Config,
    *,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
    clock: Clock | None = None,
) -> list[Scenario]:
    """Compute the scenarios of every instrument with stored quotes and put them in the ledger.

    Returns
    -------
    list of Scenario
        What the table holds now for the configured account.
    """
    account = config.trading.account
    found = compute(
        account,
        config.trading.currency,
        instruments,
        config.risk,
        _references(config, instruments),
        sorted({*VOLUMES, config.trading.order_lots}),
        _template,
    )
    created_ns = (clock or SystemClock()).now_ns()
    with closing(open_ledger(config.storage)) as ledger:
        rows = (_row(scenario, created_ns) for scenario in found)
        ledger.replace_scenarios(rows, account=account)
    return found


def _references(config: Config, instruments: InstrumentTable) -> Iterator[Reference]:
    """First quote of each tape that the venue is going to play."""
    store = open_ticks(config.storage)
    symbols = [symbol for symbol in store.symbols() if symbol in instruments]
    for symbol, start_ns in tape_starts(config, symbols).items():
        terms = instruments.by_symbol(symbol)
        quotes = store.read(symbol, start_ns=start_ns)
        if len(quotes):
            ask_ticks = terms.to_ticks(float(quotes.ask[0]))
            yield Reference(terms.id, int(quotes.ts[0]), ask_ticks)


def _template(account: str, instrument: Instrument, side: Side, steps: int) -> bytes:
    return template_for(account, instrument, side, steps).to_bytes()


def _row(scenario: Scenario, created_ns: int) -> dict[str, object]:
    """Ledger row of a scenario; `reason` says why it is refused."""
    plain = {name: getattr(scenario, name) for name in scenario.__struct_fields__}
    verdict = "passed" if scenario.passed else "refused"
    extra = {"check": None, "reason": scenario.refused, "limit_value": None, "observed": None}
    return {**plain, **extra, "verdict": verdict, "created_ns": created_ns}
