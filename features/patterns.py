"""Candlestick patterns by TA-Lib's rules and signs: 100 bullish, -100 bearish, 0 none.

The rules are those of TA-Lib's CDL functions (https://ta-lib.org) with its default candle settings,
among them 80 for an engulfing or harami that only touches. "Long", "short" and "near" compare with
the means of the bars before, which are summed afresh at each bar, oldest first: a running total
would depend on where the tape began.

A slice holds where the next bar goes (`AT`), how many there were, the bodies and ranges of the last
ten bars (each written twice, so that the last ten are always side by side), and the last three bars
with their means.
"""

from numba import njit

from core.columns import F8

N_PATTERNS = 12
NAMES = (
    "doji",
    "spinning_top",
    "marubozu",
    "hammer",
    "hanging_man",
    "inverted_hammer",
    "shooting_star",
    "engulfing",
    "harami",
    "morning_star",
    "evening_star",
    "three_outside",
)
"""Patterns in the order of the columns; TA-Lib's are CDL + the name without underscores, with
CDL3OUTSIDE for the last."""
PERIOD, NEAR_PERIOD = 10, 5
CANDLES_NEEDED = PERIOD + 3

AT, SEEN = 0, 1
_BODIES = 2
_RANGES = _BODIES + 2 * PERIOD
_CANDLES = _RANGES + 2 * PERIOD
# Of a candle: prices, then the means of the ten bodies, ten ranges and five ranges before it.
_O, _H, _L, _C, _BODY, _RANGE, _NEAR = range(7)
_LEN = 7
OUT = _CANDLES + 3 * _LEN
SIZE = OUT + N_PATTERNS

_DOJI, _SHADOW_VERY_SHORT, _NEAR_PART = 0.1, 0.1, 0.2
_PENETRATION = 0.3


@njit(forceinline=True)
def _sum(state: F8, start: int, n: int) -> float:
    total = 0.0
    for k in range(n):
        total += state[start + k]
    return total


@njit(forceinline=True)
def _append(state: F8, base: int, o: float, h: float, low: float, c: float) -> None:
    """Shift the candles by one and put the new one, with its means, in front."""
    at = int(state[base + AT])
    first = base + _CANDLES
    for k in range(2 * _LEN - 1, -1, -1):
        state[first + _LEN + k] = state[first + k]
    state[first + _O], state[first + _H], state[first + _L], state[first + _C] = o, h, low, c
    state[first + _BODY] = _sum(state, base + _BODIES + at, PERIOD) / PERIOD
    state[first + _RANGE] = _sum(state, base + _RANGES + at, PERIOD) / PERIOD
    near = base + _RANGES + at + PERIOD - NEAR_PERIOD
    state[first + _NEAR] = _sum(state, near, NEAR_PERIOD) / NEAR_PERIOD
    body = abs(c - o)
    state[base + _BODIES + at] = state[base + _BODIES + at + PERIOD] = body
    state[base + _RANGES + at] = state[base + _RANGES + at + PERIOD] = h - low
    state[base + AT] = at + 1 if at + 1 < PERIOD else 0
    state[base + SEEN] += 1.0


@njit(forceinline=True)
def candle_step(state: F8, base: int, o: float, h: float, low: float, c: float) -> None:
    """Take a closed bar; the patterns that end with it are then at ``base + OUT``."""
    _append(state, base, o, h, low, c)
    out, seen = base + OUT, state[base + SEEN]
    for k in range(N_PATTERNS):
        state[out + k] = 0.0
    if seen > PERIOD:
        _single(state, base + _CANDLES, out)
    if seen > PERIOD + 1:
        _with_one_before(state, base + _CANDLES, out)
    if seen > PERIOD + 2:
        _stars(state, base + _CANDLES, out)
    # These compare with no mean.
    if seen > 2:
        state[out + 7] = _engulfing(state, base + _CANDLES)
    if seen > 3:
        state[out + 11] = _three_outside(state, base + _CANDLES)


@njit(forceinline=True)
def _sign(state: F8, at: int) -> float:
    return 1.0 if state[at + _C] >= state[at + _O] else -1.0


@njit(forceinline=True)
def _body(state: F8, at: int) -> float:
    return abs(state[at + _C] - state[at + _O])


@njit(forceinline=True)
def _top(state: F8, at: int) -> float:
    return max(state[at + _C], state[at + _O])


@njit(forceinline=True)
def _bottom(state: F8, at: int) -> float:
    return min(state[at + _C], state[at + _O])


@njit(forceinline=True)
def _single(state: F8, now: int, out: int) -> None:
    """Doji, spinning top and marubozu."""
    body = _body(state, now)
    upper, lower = state[now + _H] - _top(state, now), _bottom(state, now) - state[now + _L]
    tiny = _SHADOW_VERY_SHORT * state[now + _RANGE]
    if body <= _DOJI * state[now + _RANGE]:
        state[out] = 100.0
    if body < state[now + _BODY] and upper > body and lower > body:
        state[out + 1] = 100.0 * _sign(state, now)
    if body > state[now + _BODY] and upper < tiny and lower < tiny:
        state[out + 2] = 100.0 * _sign(state, now)


@njit(forceinline=True)
def _with_one_before(state: F8, now: int, out: int) -> None:
    """Small bodies with one long shadow; harami."""
    before = now + _LEN
    body, top, bottom = _body(state, now), _top(state, now), _bottom(state, now)
    upper, lower = state[now + _H] - top, bottom - state[now + _L]
    tiny = _SHADOW_VERY_SHORT * state[now + _RANGE]
    near = _NEAR_PART * state[before + _NEAR]
    small = body < state[now + _BODY]
    if small and lower > body and upper < tiny:
        if bottom <= state[before + _L] + near:
            state[out + 3] = 100.0
        if bottom >= state[before + _H] - near:
            state[out + 4] = -100.0
    if small and upper > body and lower < tiny:
        if top < _bottom(state, before):
            state[out + 5] = 100.0
        if bottom > _top(state, before):
            state[out + 6] = -100.0
    state[out + 8] = _harami(state, now)


@njit(forceinline=True)
def _harami(state: F8, now: int) -> float:
    before = now + _LEN
    long_before = _body(state, before) > state[before + _BODY]
    if not (long_before and _body(state, now) <= state[now + _BODY]):
        return 0.0
    top, bottom = _top(state, now), _bottom(state, now)
    if top < _top(state, before) and bottom > _bottom(state, before):
        return -100.0 * _sign(state, before)
    if top <= _top(state, before) and bottom >= _bottom(state, before):
        return -80.0 * _sign(state, before)
    return 0.0


@njit(forceinline=True)
def _engulfing(state: F8, now: int) -> float:
    before = now + _LEN
    if _sign(state, now) == _sign(state, before):
        return 0.0
    top, bottom = _top(state, now), _bottom(state, now)
    upper, lower = _top(state, before), _bottom(state, before)
    if not ((top >= upper and bottom < lower) or (top > upper and bottom <= lower)):
        return 0.0
    clear = top != upper and bottom != lower
    return _sign(state, now) * (100.0 if clear else 80.0)


@njit(forceinline=True)
def _stars(state: F8, now: int, out: int) -> None:
    """Morning and evening star: a long body, a small one beyond it, and one back into the first."""
    middle, first = now + _LEN, now + 2 * _LEN
    long_first = _body(state, first) > state[first + _BODY]
    small_middle = _body(state, middle) <= state[middle + _BODY]
    if not (long_first and small_middle and _body(state, now) > state[now + _BODY]):
        return
    back = _PENETRATION * _body(state, first)
    if _sign(state, first) < 0.0 < _sign(state, now):
        gap = _top(state, middle) < _bottom(state, first)
        if gap and state[now + _C] > state[first + _C] + back:
            state[out + 9] = 100.0
    if _sign(state, first) > 0.0 > _sign(state, now):
        gap = _bottom(state, middle) > _top(state, first)
        if gap and state[now + _C] < state[first + _C] - back:
            state[out + 10] = -100.0


@njit(forceinline=True)
def _three_outside(state: F8, now: int) -> float:
    middle, first = now + _LEN, now + 2 * _LEN
    o, c = state[middle + _O], state[middle + _C]
    fo, fc = state[first + _O], state[first + _C]
    if _sign(state, middle) > 0.0 > _sign(state, first):
        return 100.0 if c > fo and o < fc and state[now + _C] > c else 0.0
    if _sign(state, middle) < 0.0 < _sign(state, first):
        return -100.0 if o > fc and c < fo and state[now + _C] < c else 0.0
    return 0.0
