"""Day loss and drawdown, watched on every mark.

A day is counted from 17:00 New York by the tape, from the equity that the account had then; a
drawdown from the highest equity since a human last enabled trading after one. Both baselines
outlive the process. What cannot be valued is not known, and what is not known denies.
"""

from typing import NamedTuple

import msgspec

from core.types import TradingState
from trading.limits import Caps, money
from trading.sessions import day_end

KEPT = "risk.losses"


class Losses(NamedTuple):
    """Equity and what was lost of it, in millionths of the account currency; never negative."""

    equity: int
    day_loss: int
    drawdown: int


class Baselines(msgspec.Struct, frozen=True):
    """Where losses are counted from: equity at the day's start, its end by the tape, the peak."""

    day_end_ns: int
    day_start: int
    peak: int


class Breached(NamedTuple):
    """A loss that asks for a stricter trading state."""

    state: TradingState
    reason: str


class LossWatch:
    """Follows the account's equity.

    Parameters
    ----------
    caps : Caps
        Limits in force; set anew when they change.

    Attributes
    ----------
    losses : Losses or None
        As of the last mark; None before the first and while the account cannot be valued.
    day_end_ns : int
        When the day of the tape ends; 0 before the first mark.
    """

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self.losses: Losses | None = None
        self.day_end_ns = 0
        self._day_start = 0
        self._peak = 0
        self._kept: Baselines | None = None

    def observe(self, equity: int | None, tape_ns: int) -> Breached | None:
        """Take the equity at a mark; return the state that it asks for, if any."""
        if equity is None:
            self.losses = None
            return None
        if tape_ns >= self.day_end_ns:
            before = self.losses
            self._start_day(equity if before is None else before.equity, tape_ns)
        self._peak = max(self._peak, equity)
        found = Losses(equity, max(0, self._day_start - equity), self._peak - equity)
        self.losses = found
        return _judge(found, self.caps)

    def forgive(self) -> None:
        """Count the drawdown from here on: a human enables trading again after one."""
        if self.losses is not None:
            self._peak = self.losses.equity
            self.losses = self.losses._replace(drawdown=0)

    def to_keep(self) -> str | None:
        """Baselines to keep over a restart, when they moved enough to be noted; else None.

        The peak is noted in steps of a hundredth of its limit and rounded up, so that a restart may
        count a drawdown as up to that much larger, never as smaller.
        """
        if not self.day_end_ns:
            return None
        step = max(1, self.caps.drawdown_reducing // 100)
        peak = -(-self._peak // step) * step
        now = Baselines(self.day_end_ns, self._day_start, peak)
        if now == self._kept:
            return None
        self._kept = now
        return msgspec.json.encode(now).decode()

    def recover(self, kept: str) -> None:
        """Go on from the baselines that an earlier process kept."""
        found = msgspec.json.decode(kept, type=Baselines)
        self.day_end_ns, self._day_start, self._peak = found.day_end_ns, found.day_start, found.peak
        self._kept = found

    def _start_day(self, equity: int, tape_ns: int) -> None:
        if not self.day_end_ns:
            self._peak = equity
        self.day_end_ns = day_end(tape_ns)
        self._day_start = equity


def _judge(losses: Losses, caps: Caps) -> Breached | None:
    day, drawn = losses.day_loss, losses.drawdown
    for state, what, lost, limit in (
        (TradingState.HALTED, "day loss", day, caps.day_loss_halted),
        (TradingState.HALTED, "drawdown", drawn, caps.drawdown_halted),
        (TradingState.REDUCING, "day loss", day, caps.day_loss_reducing),
        (TradingState.REDUCING, "drawdown", drawn, caps.drawdown_reducing),
    ):
        if lost >= limit > 0:
            return Breached(state, f"{what} {money(lost)} of {money(limit)}")
    return None
