"""One cost model for labels and decisions; venue and backtest fill at the bid and ask themselves."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Costs beside the spread.

    Attributes
    ----------
    slippage_pips : float
        Expected slippage per fill, in pips.
    commission_pips : float
        Commission per fill, in pips of the instrument.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    slippage_pips: float = 0.2
    commission_pips: float = 0.0

    @property
    def per_fill_pips(self) -> float:
        """Slippage and commission of one fill, in pips."""
        return self.slippage_pips + self.commission_pips

    def round_trip_pips(self, spread_pips: float) -> float:
        """Cost of buying at the ask and selling at the bid (or the reverse), in pips."""
        return spread_pips + 2.0 * self.per_fill_pips
