"""Instruments: exact conversions, lots round down, symbols are refused by name."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnknownInstrument
from core.instruments import DEFAULT_INSTRUMENTS, Instrument, InstrumentTable


@pytest.mark.parametrize("instrument", DEFAULT_INSTRUMENTS, ids=lambda row: row.symbol)
@given(ticks=st.integers(1, 10_000_000))
def test_price_ticks_round_trip(instrument: Instrument, ticks: int) -> None:
    price = instrument.to_price(ticks)
    assert instrument.to_ticks(price) == ticks
    assert instrument.to_ticks(float(price)) == ticks


@given(st.decimals(min_value=0, max_value=100, places=4))
def test_lots_round_down_to_the_step(lots: Decimal) -> None:
    instrument = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")
    rounded = instrument.to_lots(instrument.to_steps(lots))
    assert 0 <= lots - rounded < instrument.lot_step


def test_one_pip_on_one_lot() -> None:
    values = {
        row.symbol: row.step_value * 100 * int(Decimal(str(row.pip)) / row.tick_size)
        for row in DEFAULT_INSTRUMENTS
    }
    assert values == {"EURUSD": 10, "GBPUSD": 10, "USDJPY": 1000, "XAUUSD": 1}


def test_unknown_symbol_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownInstrument, match="'EURUSX'; known: EURUSD, GBPUSD"):
        DEFAULT_INSTRUMENTS.by_symbol("EURUSX")


def test_ids_are_dense() -> None:
    (row, *_) = DEFAULT_INSTRUMENTS
    with pytest.raises(ValueError, match="distinct"):
        InstrumentTable([row, Instrument(**{**_fields(row), "id": 1})])
    with pytest.raises(ValueError, match="in order"):
        InstrumentTable([Instrument(**{**_fields(row), "id": 1})])


def _fields(row: Instrument) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__struct_fields__}
