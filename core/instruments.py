"""Instruments and the dense ids that replace their symbols inside the house."""

from collections.abc import Iterable, Iterator
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

import msgspec

from core.errors import UnknownInstrument


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """Contract terms of one instrument.

    Attributes
    ----------
    digits : int
        Decimals of a price; one price tick is ``10 ** -digits``.
    pip : float
        Size of a pip in quote currency.
    contract_size : int
        Units of the base currency (or ounces) per lot.
    lot_step, min_lots, max_lots : Decimal
        Order sizes are multiples of `lot_step` within these bounds.
    margin_rate : Decimal
        Margin as a fraction of notional.
    """

    id: int
    symbol: str
    base: str
    quote_currency: str
    digits: int
    pip: float
    contract_size: int
    lot_step: Decimal = Decimal("0.01")
    min_lots: Decimal = Decimal("0.01")
    max_lots: Decimal = Decimal(100)
    margin_rate: Decimal = Decimal("0.0333")

    @property
    def tick_size(self) -> Decimal:
        """One price tick in quote currency."""
        return Decimal(1).scaleb(-self.digits)

    @property
    def step_value(self) -> Decimal:
        """Quote-currency value of one price tick on one lot step."""
        return self.tick_size * self.contract_size * self.lot_step

    def to_ticks(self, price: float | Decimal) -> int:
        """Price in quote currency to the nearest price tick."""
        exact = Decimal(str(price)).scaleb(self.digits)
        return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))

    def to_price(self, ticks: int) -> Decimal:
        """Price ticks to an exact price in quote currency."""
        return Decimal(ticks).scaleb(-self.digits)

    def to_steps(self, lots: Decimal) -> int:
        """Lots to lot steps, rounded down."""
        return int((lots / self.lot_step).to_integral_value(rounding=ROUND_DOWN))

    def to_lots(self, steps: int) -> Decimal:
        """Lot steps to lots, exact."""
        return self.lot_step * steps


class InstrumentTable:
    """Instruments by symbol and by dense id.

    Parameters
    ----------
    instruments : iterable of Instrument
        Their ids must be 0..n-1 in order, and their symbols distinct.
    """

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._rows = tuple(instruments)
        self._by_symbol = {row.symbol: row for row in self._rows}
        if [row.id for row in self._rows] != list(range(len(self._rows))):
            raise ValueError("instrument ids must be 0..n-1 in order")
        if len(self._by_symbol) != len(self._rows):
            raise ValueError("instrument symbols must be distinct")

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._rows)

    def __getitem__(self, instrument: int) -> Instrument:
        return self._rows[instrument]

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._by_symbol

    def by_symbol(self, symbol: str) -> Instrument:
        """Return the instrument called `symbol`.

        Raises
        ------
        UnknownInstrument
            When the table has no such symbol.
        """
        try:
            return self._by_symbol[symbol]
        except KeyError:
            raise UnknownInstrument(symbol, known=tuple(self._by_symbol)) from None


def _default_rows() -> Iterator[Instrument]:
    terms = (
        ("EURUSD", "EUR", "USD", 5, 0.0001, 100_000),
        ("GBPUSD", "GBP", "USD", 5, 0.0001, 100_000),
        ("USDJPY", "USD", "JPY", 3, 0.01, 100_000),
        ("XAUUSD", "XAU", "USD", 2, 0.01, 100),
    )
    for index, (symbol, base, quote, digits, pip, size) in enumerate(terms):
        yield Instrument(
            id=index,
            symbol=symbol,
            base=base,
            quote_currency=quote,
            digits=digits,
            pip=pip,
            contract_size=size,
        )


DEFAULT_INSTRUMENTS = InstrumentTable(_default_rows())
