"""Which denials of the model's orders are news: it asks again on every quote that acts."""

from typing import NamedTuple

from core.config import RiskConfig
from core.types import Order, Side, TradingState
from trading.portfolio import Range

REMIND_NS = 60_000_000_000


class Situation(NamedTuple):
    """What a denial was about; the same check in the same situation tells nothing new."""

    check: str
    side: Side
    quantity: int
    exposure: Range
    state: TradingState
    limits: RiskConfig


class ModelDenials:
    """The last denial of the model per instrument.

    Every order is judged anew, so that nothing is held back that would pass; only the record of the
    same "no" is kept once, and again every `REMIND_NS`.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[Situation, int]] = {}

    def is_news(self, order: Order, situation: Situation, now_ns: int) -> bool:
        """Say whether a denial has to be recorded, and remember it if so."""
        last = self._last.get(order.instrument)
        if last is not None and last[0] == situation and 0 <= now_ns - last[1] < REMIND_NS:
            return False
        self._last[order.instrument] = (situation, now_ns)
        return True
