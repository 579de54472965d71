"""What a pair of prices must be to enter the house, said once."""

from math import isfinite


def is_sound(bid: float, ask: float) -> bool:
    """Say whether the pair is finite, positive and not crossed."""
    return 0.0 < bid <= ask and isfinite(ask)
