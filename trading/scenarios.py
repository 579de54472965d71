"""Scenarios: account x symbol x side x volume, judged ahead by what does not move with the tape.

Cached are checks 3, 4 and 9, the margin per lot, and the encoded order template. Each scenario is
stamped with what it was computed from; `ScenarioTable.take` looks at the stamps every time, and one
that does not fit is not used.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

import msgspec

from core.config import RiskConfig
from core.instruments import Instrument, InstrumentTable
from core.types import Side
from trading.sessions import week_of

TemplateEncoder = Callable[[str, Instrument, Side, int], bytes]
_BAND = Decimal("0.02")


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One pre-validated order shape.

    Attributes
    ----------
    steps : int
        Volume in lot steps; `lots` is the same as a decimal.
    refused : str
        Why the order would be refused; empty when it passes the cached checks.
    margin_per_lot : Decimal
        In account currency, at the reference price.
    template : bytes
        Encoded order, opaque here.
    session_open_ns, session_expiry_ns : int
        Tape times between which the market is open.
    price_low, price_high : int
        Asks in price ticks between which the answer holds.
    """

    account: str
    instrument: int
    symbol: str
    side: Side
    lots: Decimal
    steps: int
    refused: str
    margin_per_lot: Decimal
    template: bytes
    limits_version: str
    instruments_version: str
    session_open_ns: int
    session_expiry_ns: int
    price_low: int
    price_high: int

    @property
    def passed(self) -> bool:
        """True when the cached checks pass."""
        return not self.refused


class Reference(msgspec.Struct, frozen=True):
    """Where the tape of an instrument stood when its scenarios were computed."""

    instrument: int
    ts_event: int
    ask_ticks: int


def limits_version(limits: RiskConfig) -> str:
    """Hash of the limits: 16 hex characters of SHA-256."""
    return _version(limits)


def instruments_version(instruments: InstrumentTable) -> str:
    """Hash of the instrument table: 16 hex characters of SHA-256."""
    return _version(list(instruments))


def _version(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:16]


def compute(
    account: str,
    currency: str,
    instruments: InstrumentTable,
    limits: RiskConfig,
    references: Iterable[Reference],
    volumes: Iterable[Decimal],
    encoder: TemplateEncoder,
) -> list[Scenario]:
    """Compute the table for all instruments with a reference, both sides, all volumes.

    Instruments whose notional needs a second pair's rate (neither currency is the account's) are
    left out: their answer would move with a tape that the scenario does not watch.

    Parameters
    ----------
    currency : str
        Account currency.
    references : iterable of Reference
        Newest quotes.
    volumes : iterable of Decimal
        Lots.
    encoder : callable
        (account, instrument, side, lot steps) -> template.
    """
    stamp = limits_version(limits), instruments_version(instruments)
    sizes = list(volumes)
    return [
        _scenario(account, currency, terms, limits, reference, lots, side, encoder, stamp)
        for reference in references
        if currency in ((terms := instruments[reference.instrument]).base, terms.quote_currency)
        for lots in sizes
        for side in Side
    ]


def _scenario(
    account: str,
    currency: str,
    terms: Instrument,
    limits: RiskConfig,
    reference: Reference,
    lots: Decimal,
    side: Side,
    encoder: TemplateEncoder,
    stamp: tuple[str, str],
) -> Scenario:
    steps = terms.to_steps(lots)
    week = week_of(reference.ts_event)
    low, high = _band(reference.ask_ticks)
    if terms.base == currency:
        most, unit = Decimal(lots) * terms.contract_size, Decimal(terms.contract_size)
    else:
        per_lot = terms.tick_size * terms.contract_size
        most, unit = per_lot * lots * high, per_lot * reference.ask_ticks
    refused = _refusal(terms, limits, lots, steps, most)
    return Scenario(
        account=account,
        instrument=terms.id,
        symbol=terms.symbol,
        side=side,
        lots=lots,
        steps=steps,
        refused=refused,
        margin_per_lot=unit * terms.margin_rate,
        template=b"" if refused else encoder(account, terms, side, steps),
        limits_version=stamp[0],
        instruments_version=stamp[1],
        session_open_ns=week.open_ns,
        session_expiry_ns=week.close_ns,
        price_low=low,
        price_high=high,
    )


def _band(ask_ticks: int) -> tuple[int, int]:
    width = int((ask_ticks * _BAND).to_integral_value(rounding=ROUND_DOWN))
    return ask_ticks - width, ask_ticks + width


def _refusal(
    terms: Instrument, limits: RiskConfig, lots: Decimal, steps: int, notional: Decimal
) -> str:
    """Judge by checks 3, 4 and 9, at the dear end of the price band."""
    if terms.symbol not in limits.symbols:
        return "instrument is restricted"
    if terms.to_lots(steps) != lots or not terms.min_lots <= lots <= terms.max_lots:
        return "lots out of bounds"
    if not lots <= limits.max_order_lots:
        return "order is too large"
    if not notional <= limits.max_order_notional:
        return "order notional is above the limit"
    return ""


@dataclass(slots=True)
class ScenarioCounts:
    """How often a scenario was used, missing, or found stale and not used.

    `used_stale` counts those that were used although the checks, asked after the order had left,
    would have said no: always 0, or a stamp is missing. `saved_ns` is what asking them took.
    """

    hits: int = 0
    misses: int = 0
    stale: int = 0
    used_stale: int = 0
    saved_ns: int = 0

    def prove(self, holds: bool, took_ns: int) -> None:
        """Count the answer of the checks that a used scenario stood in for."""
        self.used_stale += not holds
        self.saved_ns += took_ns

    @property
    def hit_rate(self) -> float:
        """Share of the looks that found a scenario that was used; 1 before the first."""
        looks = self.hits + self.misses + self.stale
        return self.hits / looks if looks else 1.0


class ScenarioTable:
    """Scenarios by account, instrument, side and volume, for the limits and instruments in force.

    Parameters
    ----------
    scenarios : iterable of Scenario
    limits : RiskConfig
    instruments : InstrumentTable
        Scenarios with other stamps than these two give are never used.
    """

    def __init__(
        self, scenarios: Iterable[Scenario], limits: RiskConfig, instruments: InstrumentTable
    ) -> None:
        self._limits = limits
        self._stamp = (limits_version(limits), instruments_version(instruments))
        self.instruments = instruments
        self.counts = ScenarioCounts()
        self._all: tuple[Scenario, ...] = ()
        self._passing: dict[tuple[str, int, Side, int], Scenario] = {}
        self.replace(scenarios)

    def __len__(self) -> int:
        return len(self._all)

    def rows(self) -> tuple[Scenario, ...]:
        """All scenarios, also those that would be refused."""
        return self._all

    def in_force(self) -> list[Scenario]:
        """Scenarios that pass and were computed from these limits and instruments."""
        return [row for row in self._passing.values() if self._stamped(row)]

    def replace(self, scenarios: Iterable[Scenario]) -> None:
        """Take a new table in place of the old one; only what passes can be taken from it."""
        self._all = tuple(scenarios)
        self._passing = {
            (row.account, row.instrument, row.side, row.steps): row
            for row in self._all
            if row.passed
        }

    def take(
        self, account: str, instrument: int, side: Side, steps: int, tape_ns: int, ask_ticks: int
    ) -> Scenario | None:
        """Return the scenario if there is one that passes and its stamps fit.

        Parameters
        ----------
        tape_ns : int
            `ts_event` of the instrument's newest quote.
        ask_ticks : int
            Its ask in price ticks.
        """
        found = self._passing.get((account, instrument, side, steps))
        if found is None:
            self.counts.misses += 1
            return None
        if not self.fits(found, tape_ns, ask_ticks):
            self.counts.stale += 1
            return None
        self.counts.hits += 1
        return found

    def is_for(self, limits: RiskConfig) -> bool:
        """Say whether these limits are the ones that the table was made for; counts when not."""
        if limits is self._limits or limits == self._limits:
            return True
        self.counts.stale += 1
        return False

    def fits(self, scenario: Scenario, tape_ns: int, ask_ticks: int) -> bool:
        """Say whether every stamp of the scenario holds."""
        return (
            self._stamped(scenario)
            and scenario.session_open_ns <= tape_ns < scenario.session_expiry_ns
            and scenario.price_low <= ask_ticks <= scenario.price_high
        )

    def _stamped(self, scenario: Scenario) -> bool:
        return (scenario.limits_version, scenario.instruments_version) == self._stamp
