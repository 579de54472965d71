"""``GET /v1/risk``: what the account carries, what it may lose, and what shocks would do to it."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import BadInput, UnknownInstrument
from core.instruments import InstrumentTable
from trading.account import Account
from trading.limits import money
from trading.scenarios import limits_version
from trading.value_at_risk import Tail, historical, parametric, shocked

CONFIDENCES = (0.95, 0.99)
DAY_SAMPLES = 1_440.0  # a day in minutes, the spacing of the samples
SHOCKS = (-0.05, -0.02, -0.01, 0.01, 0.02, 0.05)
MOST = 1.0  # a price cannot fall further

Array = NDArray[np.float64]


class LegView(msgspec.Struct, frozen=True):
    """Amount of one currency that the positions are long (or short, below zero), and its worth.

    The quote currency's leg is what was paid for the base. `worth` is in account currency, empty
    when no quote says.
    """

    currency: str
    amount: str
    worth: str


class TailView(msgspec.Struct, frozen=True):
    """Loss over a day that is exceeded with probability 1 - confidence, and the mean beyond it.

    Empty while `samples`, minutes of the tape, are too few.
    """

    method: str
    confidence: float
    value_at_risk: str
    expected_shortfall: str
    samples: int


class ShockView(msgspec.Struct, frozen=True):
    """Profit and equity if prices moved by these fractions at once."""

    moves: dict[str, float]
    profit: str
    equity: str


class RangeView(msgspec.Struct, frozen=True):
    """Lowest and highest amount."""

    low: str
    high: str


class RiskView(msgspec.Struct, frozen=True):
    """The account's risk; money in account currency, empty where something cannot be valued.

    `margin` is of the positions, `margin_reserved` also of all that is on its way, filled at worst;
    `free_margin` is what equity leaves above the latter. `gross_notional` and `net_notional` are at
    worst too.
    """

    account: str
    currency: str
    balance: str
    equity: str
    margin: str
    margin_reserved: str
    free_margin: str
    gross_notional: str
    net_notional: RangeView
    day_loss: str
    drawdown: str
    limits_version: str
    legs: list[LegView]
    tails: list[TailView]
    shocks: list[ShockView]


def risk_view(
    account: Account, instruments: InstrumentTable, moves: Mapping[str, float]
) -> RiskView:
    """Work out the whole view.

    Parameters
    ----------
    moves : mapping of str to float
        A shock of the caller's own, as fractions by symbol; empty for none.

    Raises
    ------
    BadInput
        For a move that is not finite or takes a price below zero.
    UnknownInstrument
    """
    checked = _checked(moves, instruments)
    equity, load = account.risk.valuation.equity(), account.risk.valuation.load(0)
    exposures = _exposures(account, instruments)
    losses = account.risk.losses.losses
    return RiskView(
        account=account.name,
        currency=account.marks.currency,
        balance=str(account.portfolio.balance),
        equity=_money(equity),
        margin=_money(_margin(account)),
        margin_reserved=_money(None if load is None else load.margin),
        free_margin=_money(free_margin(account)),
        gross_notional=_money(None if load is None else load.gross),
        net_notional=RangeView(_money(load and load.low), _money(load and load.high)),
        day_loss=_money(None if losses is None else losses.day_loss),
        drawdown=_money(None if losses is None else losses.drawdown),
        limits_version=limits_version(account.risk.limits),
        legs=_legs(account, instruments),
        tails=_tails(account, exposures),
        shocks=_shocks(exposures, equity, instruments, checked),
    )


def free_margin(account: Account) -> int | None:
    """Equity beyond the margin of all positions and all that is on its way, in millionths."""
    equity, load = account.risk.valuation.equity(), account.risk.valuation.load(0)
    return None if equity is None or load is None else equity - load.margin


def parse_moves(texts: Iterable[str]) -> dict[str, float]:
    """Read ``EURUSD:-0.02`` as a fall by two hundredths; raises BadInput."""
    found = {}
    for text in texts:
        symbol, mark, move = text.partition(":")
        try:
            found[symbol] = float(move)
        except ValueError:
            mark = ""
        if not mark:
            raise BadInput(f"shock {text!r} is not like EURUSD:-0.02") from None
    return found


def _checked(moves: Mapping[str, float], instruments: InstrumentTable) -> dict[str, float]:
    for symbol, move in moves.items():
        if symbol not in instruments:
            raise UnknownInstrument(symbol, known=tuple(row.symbol for row in instruments))
        if not -MOST < move <= MOST:
            raise BadInput(f"a move of {symbol} by {move} lies outside of -1 to 1")
    return dict(moves)


def _exposures(account: Account, instruments: InstrumentTable) -> Array | None:
    """Signed notional of the positions in account currency; None when one cannot be valued."""
    found = np.zeros(len(instruments))
    for instrument, steps in account.portfolio.steps().items():
        unit = account.marks.unit(instrument)
        if unit is None:
            return None
        found[instrument] = steps * unit / 1e6
    return found


def _margin(account: Account) -> int | None:
    total = 0
    for instrument, steps in account.portfolio.steps().items():
        unit = account.marks.unit(instrument)
        if unit is None:
            return None
        up, down = account.portfolio.margin_rates[instrument]
        total -= -unit * abs(steps) * up // down
    return total


def _legs(account: Account, instruments: InstrumentTable) -> list[LegView]:
    amounts: dict[str, Decimal] = {}
    for instrument in account.portfolio.steps():
        terms, position = instruments[instrument], account.portfolio.position(instrument)
        base = terms.to_lots(position.steps) * terms.contract_size
        paid = terms.step_value * position.cost
        amounts[terms.base] = amounts.get(terms.base, Decimal(0)) + base
        amounts[terms.quote_currency] = amounts.get(terms.quote_currency, Decimal(0)) - paid
    return [
        LegView(currency, f"{amount.normalize():f}", _money(account.marks.money(currency, amount)))
        for currency, amount in sorted(amounts.items())
    ]


def _tails(account: Account, exposures: Array | None) -> list[TailView]:
    returns = account.history.returns()
    found = []
    for method, tail_of in (("historical", historical), ("parametric", parametric)):
        for confidence in CONFIDENCES:
            tail = None
            if exposures is not None:
                tail = tail_of(exposures, returns, confidence, DAY_SAMPLES)
            found.append(_tail(method, confidence, tail, len(returns)))
    return found


def _tail(method: str, confidence: float, tail: Tail | None, samples: int) -> TailView:
    if tail is None:
        return TailView(method, confidence, "", "", samples)
    risk, beyond = f"{tail.value_at_risk:.2f}", f"{tail.expected_shortfall:.2f}"
    return TailView(method, confidence, risk, beyond, samples)


def _shocks(
    exposures: Array | None, equity: int | None, instruments: InstrumentTable, own: dict[str, float]
) -> list[ShockView]:
    """Shock all prices alike, then as the caller wishes."""
    symbols = [row.symbol for row in instruments]
    wanted = [dict.fromkeys(symbols, size) for size in SHOCKS] + ([own] if own else [])
    found = []
    for moves in wanted:
        profit, after = "", ""
        if exposures is not None:
            gained = shocked(exposures, np.array([moves.get(name, 0.0) for name in symbols]))
            profit = f"{gained:.2f}"
            after = "" if equity is None else f"{equity / 1e6 + gained:.2f}"
        found.append(ShockView(moves, profit, after))
    return found


def _money(micros: int | None) -> str:
    return "" if micros is None else money(micros)
