"""What each block is called, which columns it writes, and how much state and warm-up it needs.

Windows are in samples: closed bars or ticks. Warm-up is the number of samples after which a column
may be used; for recursive indicators it is 10 times the window (20 times for Wilder's smoothing),
when the seed has washed out.
Kinds here make up the core specs; `features.catalogue_full` has those of the full ones.
"""

from core.errors import BadInput
from features import dispatch
from features.catalogue_full import FULL_BLOCKS
from features.column import WASH_OUT, WILDER_WASH_OUT, BlockKind, Column
from features.indicators import (
    ATR_SIZE,
    EMA_SIZE,
    RSI_SIZE,
    bollinger_size,
    macd_size,
    sma_size,
    volatility_size,
)
from features.user import PREFIX, user_kind
from features.windows import extremes_size, lag_size, sum_size

__all__ = ["BLOCKS", "Column", "kind_named"]


def _return(n: int) -> tuple[Column, ...]:
    return (Column(f"return_{n}", f"1e4 * ln(close / close[-{n}])", "bps", n, n + 1),)


def _volatility(n: int, m: int) -> tuple[Column, ...]:
    form = "1e4 * sqrt(mean(ln(close / close[-1])**2, {}))"
    return (
        Column(f"volatility_{n}", form.format(n), "bps", n, n + 1),
        Column(f"volatility_{m}", form.format(m), "bps", m, m + 1),
        Column(
            f"volatility_ratio_{n}_{m}",
            f"volatility_{n} / volatility_{m}; 1 when flat",
            "1",
            max(n, m),
            max(n, m) + 1,
        ),
    )


def _spread(n: int) -> tuple[Column, ...]:
    return (
        Column("spread_pips", "(ask - bid) / pip, last quote", "pips", 1, 1),
        Column(f"spread_ratio_{n}", f"spread / mean(spread, {n}); 1 when zero", "1", n, n),
    )


def _rate(n: int, m: int) -> tuple[Column, ...]:
    return (
        Column(
            f"tick_rate_{n}",
            f"ln(1 + sum(quotes, {n}) / max(1 ms, seconds between samples, {n}))",
            "ln(1 + 1/s)",
            n,
            n + 1,
        ),
        Column(
            f"tick_rate_ratio_{n}_{m}",
            f"ln(quotes per second over {n} / over {m})",
            "ln",
            max(n, m),
            max(n, m) + 1,
        ),
    )


def _time() -> tuple[Column, ...]:
    return tuple(
        Column(f"{period}_{wave}", f"{wave}(2 pi * {what}), UTC", "1", 1, 1)
        for period, what in (("day", "time of day / 24 h"), ("week", "time since Monday / 7 days"))
        for wave in ("sin", "cos")
    )


def _elapsed() -> tuple[Column, ...]:
    return (Column("elapsed", "ln(1 + seconds since the last sample)", "ln(1 + s)", 1, 2),)


def _sma(n: int) -> tuple[Column, ...]:
    return (Column(f"sma_{n}", f"1e4 * (close / SMA(close, {n}) - 1)", "bps", n, n),)


def _ema(n: int) -> tuple[Column, ...]:
    form = f"1e4 * (close / EMA(close, {n}) - 1)"
    return (Column(f"ema_{n}", form, "bps", n, WASH_OUT * n),)


def _rsi(n: int) -> tuple[Column, ...]:
    wash_out = WILDER_WASH_OUT * n
    return (Column(f"rsi_{n}", f"Wilder RSI(close, {n}), 0 to 100", "points", n, wash_out),)


def _macd(n: int, m: int, k: int) -> tuple[Column, ...]:
    name = f"{n}_{m}_{k}"
    warmup = WASH_OUT * m
    return (
        Column(f"macd_{name}", f"1e4 * (EMA {n} - EMA {m}) / close", "bps", m, warmup),
        Column(f"macd_signal_{name}", f"EMA {k} of the MACD line / close", "bps", m, warmup),
        Column(f"macd_histogram_{name}", "line minus signal / close", "bps", m, warmup),
    )


def _bollinger(n: int) -> tuple[Column, ...]:
    return (
        Column(
            f"bollinger_b_{n}",
            f"(close - lower) / (upper - lower), SMA {n} +- 2 population sigma; 0.5 when flat",
            "1",
            n,
            n,
        ),
        Column(f"bollinger_width_{n}", f"1e4 * (upper - lower) / SMA {n}", "bps", n, n),
    )


def _atr(n: int) -> tuple[Column, ...]:
    wash_out = WILDER_WASH_OUT * n
    return (Column(f"atr_{n}", f"1e4 * Wilder ATR({n}) / close", "bps", n, wash_out),)


def _range(n: int) -> tuple[Column, ...]:
    # One more than the window: the first bar may have begun before the tape.
    return (
        Column(f"range_{n}", f"1e4 * (max high - min low) / close over {n}", "bps", n, n + 1),
        Column(
            f"close_location_{n}",
            f"(close - min low) / (max high - min low) over {n}; 0.5 when flat",
            "1",
            n,
            n + 1,
        ),
    )


def _none(*_: int) -> int:
    return 0


BLOCKS: dict[str, BlockKind] = {
    "return": BlockKind(dispatch.RETURN_OP, 1, lag_size, _return),
    "volatility": BlockKind(
        dispatch.VOLATILITY_OP, 2, lambda n, m: volatility_size(n) + volatility_size(m), _volatility
    ),
    "spread": BlockKind(dispatch.SPREAD_OP, 1, sma_size, _spread),
    "rate": BlockKind(dispatch.RATE_OP, 2, lambda n, m: 2 * sum_size(n) + 2 * sum_size(m), _rate),
    "time": BlockKind(dispatch.TIME_OP, 0, _none, _time),
    "elapsed": BlockKind(dispatch.ELAPSED_OP, 0, _none, _elapsed),
    "sma": BlockKind(dispatch.SMA_OP, 1, sma_size, _sma),
    "ema": BlockKind(dispatch.EMA_OP, 1, lambda _: EMA_SIZE, _ema),
    "rsi": BlockKind(dispatch.RSI_OP, 1, lambda _: RSI_SIZE, _rsi),
    "macd": BlockKind(dispatch.MACD_OP, 3, lambda *_: macd_size(), _macd),
    "bollinger": BlockKind(dispatch.BOLLINGER_OP, 1, bollinger_size, _bollinger),
    "atr": BlockKind(dispatch.ATR_OP, 1, lambda _: ATR_SIZE, _atr),
    "range": BlockKind(dispatch.RANGE_OP, 1, extremes_size, _range),
    **FULL_BLOCKS,
}


def kind_named(kind: str) -> BlockKind:
    """How blocks of a kind are run, shipped or user-defined.

    Raises
    ------
    BadInput
        When there is no such kind.
    """
    if kind.startswith(PREFIX):
        return user_kind(kind)
    try:
        return BLOCKS[kind]
    except KeyError:
        raise BadInput(f"unknown feature block {kind!r}; known: {', '.join(BLOCKS)}") from None
