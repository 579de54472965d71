"""The account: positions, what is reserved for orders on their way, money and margin."""

from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from core.instruments import Instrument, InstrumentTable
from core.types import Fill, Order, Side
from trading.account_state import PortfolioState
from trading.marks import Marks
from trading.positions import Position, apply_fill, unrealised
from trading.transitions import is_open

_ZERO = Decimal(0)
_NO_MEMBERS: dict[str, int] = {}


class Range(NamedTuple):
    """Lowest and highest position that can come of what is on its way, in lot steps."""

    low: int
    high: int

    @property
    def worst(self) -> int:
        """Largest size in the range, without sign."""
        return max(abs(self.low), abs(self.high))


class Profit(NamedTuple):
    """What an execution earned: in quote currency after commission, and in account currency.

    `rate` is the conversion that was used; both it and `account` are None when none was known, and
    the money stays in quote currency until it is valued at the market.
    """

    quote: Decimal
    account: Decimal | None
    rate: Decimal | None


class FillEffect(NamedTuple):
    """What an execution changes, worked out and not yet booked.

    `total` is the money closed so far: in the currency `unconverted`, or when that is empty in
    account currency.
    """

    position: Position
    slot: tuple[str, int]
    held: tuple[int, int]
    unconverted: str
    total: Decimal
    profit: Profit


class Portfolio:
    """Positions, reservations and money of one account.

    Exposure is position + in flight + unknown: a reservation stands from before the order is sent
    until a terminal event, at the full quantity that is still open.

    Parameters
    ----------
    instruments : InstrumentTable
    marks : Marks
        Newest quotes; they say the account currency.
    balance : Decimal
        Money at the start, account currency.
    commission_pips : float
        Commission per fill, in pips of the instrument.

    Attributes
    ----------
    margin_rates : list of (int, int)
        By instrument id, as a ratio.
    active : dict of int
        Instruments with a position or an order on its way.
    changed : set of int
        Instruments whose position or orders changed since somebody took the notes.
    foreign : list of (str, str)
        Base and quote currency by instrument id, empty for the account's own.
    """

    def __init__(
        self,
        instruments: InstrumentTable,
        marks: Marks,
        balance: Decimal,
        commission_pips: float = 0.0,
    ) -> None:
        self._instruments = instruments
        self._marks = marks
        self.balance = balance
        self.realised = _ZERO
        self.unconverted: dict[str, Decimal] = {}
        self._positions = [Position(row.id) for row in instruments]
        self._buys = [0] * len(instruments)
        self._sells = [0] * len(instruments)
        self._reserved: dict[str, int] = {}
        self._groups: dict[str, dict[str, int]] = {}
        self._strategies: dict[tuple[str, int], tuple[int, int]] = {}
        self._step_values = [row.step_value for row in instruments]
        self.active: dict[int, None] = {}
        self.changed: set[int] = set()
        self._base: int | None = None
        self.margin_rates = [row.margin_rate.as_integer_ratio() for row in instruments]
        self.foreign = [
            (_unless(row.base, marks.currency), _unless(row.quote_currency, marks.currency))
            for row in instruments
        ]
        self._commission = [_commission(row.pip, commission_pips) for row in instruments]

    def terms(self, instrument: int) -> Instrument:
        """Return the contract terms."""
        return self._instruments[instrument]

    def position(self, instrument: int) -> Position:
        """Return the net position."""
        return self._positions[instrument]

    def steps(self) -> dict[int, int]:
        """Positions that are not flat: lot steps by instrument id."""
        return {row.instrument: row.steps for row in self._positions if row.steps}

    def strategy_position(self, strategy: str, instrument: int) -> tuple[int, int]:
        """Lot steps that the strategy's own fills make, and the tape time it was opened at."""
        return self._strategies.get((strategy, instrument), (0, 0))

    def reserve(self, order: Order) -> None:
        """Make the reservation fit `order`: what is open of it, or nothing when it is terminal.

        Of a group, where one order cancels the other, the largest alone is reserved.
        """
        name = order.client_order_id
        wanted = order.leaves if is_open(order) else 0
        added = wanted - self._reserved.get(name, 0)
        if order.group:
            added = self._regroup(order, wanted)
        working = self._buys if order.side is Side.BUY else self._sells
        working[order.instrument] += added
        if wanted:
            self._reserved[name] = wanted
        else:
            self._reserved.pop(name, None)
        self._note_active(order.instrument)

    def _regroup(self, order: Order, wanted: int) -> int:
        """Hold an order's part of its group; return how much more the group reserves."""
        members = self._groups.setdefault(order.group, {})
        before = max(members.values(), default=0)
        if wanted:
            members[order.client_order_id] = wanted
        else:
            members.pop(order.client_order_id, None)
        after = max(members.values(), default=0)
        if not members:
            del self._groups[order.group]
        return after - before

    def _note_active(self, instrument: int) -> None:
        self.changed.add(instrument)
        steps = self._positions[instrument].steps
        if steps or self._buys[instrument] or self._sells[instrument]:
            self.active[instrument] = None
        else:
            self.active.pop(instrument, None)

    def exposure(self, instrument: int) -> Range:
        """Range of positions that can come of the orders on their way."""
        steps = self._positions[instrument].steps
        return Range(steps - self._sells[instrument], steps + self._buys[instrument])

    def span(self, instrument: int) -> tuple[int, int]:
        """Return `exposure` as a plain pair."""
        steps = self._positions[instrument].steps
        return steps - self._sells[instrument], steps + self._buys[instrument]

    def reducible(self, order: Order) -> int:
        """Lot steps that `order` can take off the position without turning it."""
        steps = self._positions[order.instrument].steps
        if order.side is Side.BUY:
            room, promised = -steps, self._buys[order.instrument]
        else:
            room, promised = steps, self._sells[order.instrument]
        if order.group:
            promised -= max(self._groups.get(order.group, _NO_MEMBERS).values(), default=0)
        return room - promised if room > promised else 0

    def rate_for(self, fill: Fill) -> Decimal | None:
        """Conversion of the quote currency for an execution about to be applied."""
        terms = self._instruments[fill.instrument]
        gain = self._earned(fill)[1]
        rate = self._marks.rate(terms.quote_currency, 1 if gain > 0 else -1)
        return rate if rate is not None else self._marks.rate_at(terms, fill.price_ticks)

    def judge_fill(
        self, fill: Fill, strategy: str, rate: Decimal | None, tape_ns: int
    ) -> "FillEffect":
        """Work out what an execution of `strategy` does with the conversion `rate`.

        Nothing is changed, so that whatever goes wrong here leaves the account as it was.
        """
        position, gain = self._earned(fill)
        slot = (strategy, fill.instrument)
        held = self._strategy_after(slot, fill, tape_ns)
        if rate is not None:
            earned = gain * rate
            total = self.realised + earned
            return FillEffect(position, slot, held, "", total, Profit(gain, earned, rate))
        currency = self._instruments[fill.instrument].quote_currency
        total = self.unconverted.get(currency, _ZERO) + gain
        return FillEffect(position, slot, held, currency, total, Profit(gain, None, None))

    def take_fill(self, effect: "FillEffect") -> None:
        """Book what `judge_fill` worked out."""
        self._positions[effect.position.instrument] = effect.position
        self._strategies[effect.slot] = effect.held
        if effect.unconverted:
            self.unconverted[effect.unconverted] = effect.total
        else:
            self.realised = effect.total
        self._base = None
        self._note_active(effect.position.instrument)

    def state(self) -> PortfolioState:
        """Return what a snapshot holds of money and positions."""
        return PortfolioState(
            self.realised,
            dict(self.unconverted),
            [row for row in self._positions if row != Position(row.instrument)],
            [(*slot, *held) for slot, held in self._strategies.items()],
        )

    def restore(self, state: PortfolioState) -> None:
        """Take over what a snapshot holds; reservations come with the orders."""
        self.realised = state.realised
        self.unconverted = dict(state.unconverted)
        self._base = None
        for row in state.positions:
            self._positions[row.instrument] = row
            self._note_active(row.instrument)
        self._strategies = {
            (name, instrument): (steps, opened)
            for name, instrument, steps, opened in state.strategies
        }

    def unrealised(self, instrument: int) -> Decimal | None:
        """Open profit in account currency; None when no quote values it."""
        position = self._positions[instrument]
        if not position.steps:
            return _ZERO
        mark = self._marks.mark(instrument)
        if mark is None:
            return None
        terms = self._instruments[instrument]
        ticks = unrealised(position, mark.bid_ticks, mark.ask_ticks)
        rate = self._marks.rate(terms.quote_currency, ticks)
        return None if rate is None else ticks * self._step_values[instrument] * rate

    def equity(self) -> Decimal | None:
        """Balance, closed and open profit in account currency; None when it cannot be valued."""
        total = self.balance + self.realised
        for currency, amount in self.unconverted.items():
            rate = self._marks.rate(currency, 1 if amount > 0 else -1)
            if rate is None:
                return None
            total += amount * rate
        for row in self._positions:
            if not row.steps:
                continue
            profit = self.unrealised(row.instrument)
            if profit is None:
                return None
            total += profit
        return total

    def closed(self) -> int | None:
        """Balance and closed profit in whole millionths, rounded down; None without a rate.

        Kept until they change, but for money that waits for a rate.
        """
        total = self._base
        if total is None:
            exact = (self.balance + self.realised).scaleb(6)
            total = self._base = int(exact.to_integral_value(rounding=ROUND_FLOOR))
        for currency, amount in self.unconverted.items():
            worth = self._marks.money(currency, amount)
            if worth is None:
                return None
            total += worth
        return total

    def _earned(self, fill: Fill) -> tuple[Position, Decimal]:
        before = self._positions[fill.instrument]
        after = apply_fill(before, fill.side, fill.quantity, fill.price_ticks)
        terms = self._instruments[fill.instrument]
        gain = (after.realised - before.realised) * terms.step_value
        units = terms.lot_step * terms.contract_size * fill.quantity
        return after, gain - self._commission[fill.instrument] * units

    def _strategy_after(self, slot: tuple[str, int], fill: Fill, tape_ns: int) -> tuple[int, int]:
        before, opened = self._strategies.get(slot, (0, 0))
        after = before + fill.side.sign * fill.quantity
        if before == 0 or before * after < 0:
            opened = tape_ns
        return after, opened


def _unless(name: str, currency: str) -> str:
    return "" if name == currency else name


def _commission(pip: float, pips: float) -> Decimal:
    return Decimal(str(pip)) * Decimal(str(pips))
