"""The newest quote of each instrument, and what it makes of foreign money.

Money that is booked is `Decimal`. What risk compares on each order is whole millionths of the
account currency, rounded against the account.
"""

from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from core.instruments import Instrument, InstrumentTable
from core.quotes import is_sound
from core.types import Quote

_ONE = Decimal(1)
_MICROS = 1_000_000
_SAME = (1, 1)


class Mark(NamedTuple):
    """A quote and its prices in ticks."""

    quote: Quote
    bid_ticks: int
    ask_ticks: int


class Marks:
    """Newest quotes, and conversion to the account currency over one pair.

    Parameters
    ----------
    instruments : InstrumentTable
    currency : str
        Account currency.

    Attributes
    ----------
    moved : set of int
        Instruments whose worth changed since somebody took the notes.
    """

    def __init__(self, instruments: InstrumentTable, currency: str) -> None:
        self._instruments = instruments
        self.currency = currency
        self._quotes: list[Quote | None] = [None] * len(instruments)
        self._marks: list[Mark | None] = [None] * len(instruments)
        self._scales = [10**row.digits for row in instruments]
        self._fixed = [
            row.lot_step * row.contract_size if row.base == currency else None
            for row in instruments
        ]
        self._fixed_units = [
            None if fixed is None else ceil(Fraction(fixed) * _MICROS) for fixed in self._fixed
        ]
        self._values = [row.step_value for row in instruments]
        self._routes = self._find_routes()
        self._converters = [self._converter(row) for row in instruments]
        self._exact = [_micro_ratio(row) for row in instruments]
        self._units: list[int | None] = [None] * len(instruments)
        self.moved: set[int] = set()
        self._dependants = [
            tuple(row.id for row in instruments if self._converters[row.id] == each.id)
            for each in instruments
        ]

    def update(self, quote: Quote) -> None:
        """Take a quote as the newest of its instrument."""
        instrument = quote.instrument
        self._quotes[instrument] = quote
        self._marks[instrument] = self._units[instrument] = None
        self.moved.add(instrument)
        for other in self._dependants[instrument]:
            self._units[other] = None
            self.moved.add(other)

    def quote(self, instrument: int) -> Quote | None:
        """Return the newest quote, sound or not."""
        return self._quotes[instrument]

    def mark(self, instrument: int) -> Mark | None:
        """Return the newest quote in price ticks; None before the first and when it is unsound."""
        found = self._marks[instrument]
        quote = self._quotes[instrument]
        if found is None and quote is not None and is_sound(quote.bid, quote.ask):
            scale = self._scales[instrument]
            found = Mark(quote, round(quote.bid * scale), round(quote.ask * scale))
            self._marks[instrument] = found
        return found

    def rate(self, currency: str, sign: int) -> Decimal | None:
        """Account currency per unit of `currency`, None when no quote says.

        A gain (`sign` > 0) is foreign money that is sold, at the bid; a loss is bought, at the ask.
        Over the inverse pair bid and ask swap.
        """
        if currency == self.currency:
            return _ONE
        route = self._routes.get(currency)
        if route is None:
            return None
        terms, inverted = route
        mark = self.mark(terms.id)
        if mark is None:
            return None
        at_bid = (sign > 0) != inverted
        price = terms.to_price(mark.bid_ticks if at_bid else mark.ask_ticks)
        return _ONE / price if inverted else price

    def rate_at(self, terms: Instrument, price_ticks: int) -> Decimal | None:
        """Rate of the quote currency from a price of the instrument itself, if it says."""
        if terms.base == self.currency and price_ticks > 0:
            return _ONE / terms.to_price(price_ticks)
        return None

    def step_notional(self, instrument: int) -> Decimal | None:
        """Notional of one lot step in account currency, at the ask; None when no quote says."""
        fixed = self._fixed[instrument]
        if fixed is not None:
            return fixed
        mark = self.mark(instrument)
        if mark is None:
            return None
        value, terms = self._values[instrument] * mark.ask_ticks, self._instruments[instrument]
        if terms.quote_currency == self.currency:
            return value
        rate = self.rate(terms.quote_currency, -1)
        return None if rate is None else value * rate

    def unit(self, instrument: int) -> int | None:
        """`step_notional` in millionths, rounded up; worked out once per quote."""
        found = self._units[instrument]
        if found is None:
            found = self._units[instrument] = self._unit(instrument)
        return found

    def _unit(self, instrument: int) -> int | None:
        fixed = self._fixed_units[instrument]
        if fixed is not None:
            return fixed
        mark = self.mark(instrument)
        ratio = self._ratio(self._instruments[instrument].quote_currency, gains=False)
        if mark is None or ratio is None:
            return None
        top, bottom = self._exact[instrument]
        return -(-mark.ask_ticks * top * ratio[0] // (bottom * ratio[1]))

    def profit(self, instrument: int, ticks: int) -> int | None:
        """Price ticks x lot steps in millionths of the account currency, rounded down.

        None when no quote says.
        """
        ratio = self._ratio(self._instruments[instrument].quote_currency, gains=ticks > 0)
        if ratio is None:
            return None
        top, bottom = self._exact[instrument]
        return ticks * top * ratio[0] // (bottom * ratio[1])

    def money(self, currency: str, amount: Decimal) -> int | None:
        """Foreign money in millionths of the account currency, rounded down; None without a rate.

        This is `rate` in whole numbers.
        """
        ratio = self._ratio(currency, gains=amount > 0)
        if ratio is None:
            return None
        exact = Fraction(amount) * _MICROS
        return exact.numerator * ratio[0] // (exact.denominator * ratio[1])

    def _ratio(self, currency: str, *, gains: bool) -> tuple[int, int] | None:
        """`rate` as numerator and denominator."""
        if currency == self.currency:
            return _SAME
        route = self._routes.get(currency)
        mark = None if route is None else self.mark(route[0].id)
        if route is None or mark is None:
            return None
        terms, inverted = route
        ticks = mark.bid_ticks if gains != inverted else mark.ask_ticks
        if ticks <= 0:
            return None
        scale = self._scales[terms.id]
        return (scale, ticks) if inverted else (ticks, scale)

    def converter(self, instrument: int) -> int | None:
        """Return the other instrument whose quote makes account currency of this one's money."""
        return self._converters[instrument]

    def _converter(self, terms: Instrument) -> int | None:
        route = self._routes.get(terms.quote_currency)
        return None if route is None or route[0].id == terms.id else route[0].id

    def _find_routes(self) -> dict[str, tuple[Instrument, bool]]:
        routes: dict[str, tuple[Instrument, bool]] = {}
        for row in self._instruments:
            if row.quote_currency == self.currency:
                routes[row.base] = (row, False)
            elif row.base == self.currency:
                routes[row.quote_currency] = (row, True)
        return routes


def _micro_ratio(terms: Instrument) -> tuple[int, int]:
    """Millionths of quote currency that one tick on one lot step is worth, as a ratio."""
    exact = Fraction(terms.step_value) * _MICROS
    return exact.numerator, exact.denominator
