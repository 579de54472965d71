"""The newest quote of each instrument, and what it makes of foreign money."""

from decimal import Decimal
from typing import NamedTuple

from core.instruments import Instrument, InstrumentTable
from core.quotes import is_sound
from core.types import Quote

_ONE = Decimal(1)


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
        self._values = [row.step_value for row in instruments]
        self._routes = self._find_routes()
        self._converters = [self._converter(row) for row in instruments]

    def update(self, quote: Quote) -> None:
        """Take a quote as the newest of its instrument."""
        self._quotes[quote.instrument] = quote
        self._marks[quote.instrument] = None

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
