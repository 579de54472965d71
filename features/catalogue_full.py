"""Kinds of block that the full specs add to the core ones; see `features.catalogue`.

Columns of closed bars take the bar's length in seconds as their first window. How long they need is
market time, so `Column.warmup_ns` says it, and the kernel withholds rows until the bars are there.
"""

from features import closed, dispatch, patterns, strength
from features.closed import HORIZON_NEEDS, HORIZON_SIZE, PATTERNS_NEED, PATTERNS_SIZE
from features.column import BlockKind, Column
from features.quoting import efficiency_size, moves_size

_SEC = 1_000_000_000


def _length(secs: int) -> str:
    return f"{secs // 60}m" if secs % 60 == 0 else f"{secs}s"


def _efficiency(n: int) -> tuple[Column, ...]:
    return (
        Column(
            f"efficiency_{n}",
            f"(close - close[-{n}]) / sum(abs(close - close[-1]), {n}); 0 when flat",
            "1",
            n,
            n + 1,
        ),
    )


def _moves(n: int) -> tuple[Column, ...]:
    return (
        Column(
            f"move_imbalance_{n}",
            f"(rises - falls) / moves of bid and ask over {n}; 0 without a move",
            "1",
            n,
            n + 1,
        ),
        Column(
            f"side_imbalance_{n}",
            f"(moves of bid - moves of ask) / moves over {n}; 0 without a move",
            "1",
            n,
            n + 1,
        ),
    )


def _quiet() -> tuple[Column, ...]:
    form = "ln(1 + seconds since bid or ask last moved), at the sample's time"
    return (Column("quiet", form, "ln(1 + s)", 1, 2),)


def _session() -> tuple[Column, ...]:
    hours = (("tokyo", "9 to 18"), ("london", "8 to 17"), ("new_york", "8 to 17"))
    return (
        *(
            Column(f"session_{place}", f"1 on workdays {when} local time, else 0", "1", 1, 1)
            for place, when in hours
        ),
        Column("since_roll", "hours since 17:00 in New York", "h", 1, 1),
        Column("month_left", "days after this one in the month, UTC", "days", 1, 1),
    )


def _horizon(secs: int) -> tuple[Column, ...]:
    name, need = _length(secs), HORIZON_NEEDS
    wait = (need + 1) * secs * _SEC
    last = f"last closed bar of {name}"
    return (
        Column(f"return_{name}", f"1e4 * ln(close / close[-1]), {last}", "bps", need, 1, wait),
        Column(f"range_{name}", f"1e4 * (high - low) / close, {last}", "bps", 1, 1, wait),
        Column(
            f"close_location_{name}",
            f"(close - low) / (high - low), {last}; 0.5 when flat",
            "1",
            1,
            1,
            wait,
        ),
    )


def _range_volatility(secs: int, n: int) -> tuple[Column, ...]:
    name = _length(secs)
    wait = (n + 2) * secs * _SEC
    return (
        Column(
            f"parkinson_{n}x{name}",
            f"1e4 * sqrt(mean(ln(high / low)**2, {n}) / (4 ln 2)), closed bars of {name}",
            "bps",
            n,
            1,
            wait,
        ),
        Column(
            f"garman_klass_{n}x{name}",
            "1e4 * sqrt(mean(max(0, ln(high / low)**2 / 2 - (2 ln 2 - 1) ln(close / open)**2), "
            f"{n})), closed bars of {name}",
            "bps",
            n,
            1,
            wait,
        ),
    )


def _patterns(secs: int) -> tuple[Column, ...]:
    name = _length(secs)
    wait = (PATTERNS_NEED + 1) * secs * _SEC
    return tuple(
        Column(
            f"{pattern}_{name}",
            f"TA-Lib {talib_name(pattern)} of the last closed bar of {name}",
            "-100 to 100",
            patterns.CANDLES_NEEDED,
            1,
            wait,
        )
        for pattern in patterns.NAMES
    )


def _strength() -> tuple[Column, ...]:
    form = "change over {} min of 1e4 * mean(side * ln(mid)) of all dollar pairs, joined as-of"
    wait = (strength.SPANS[-1] + 2) * strength.MINUTE_NS
    return tuple(
        Column(f"usd_strength_{n}", form.format(n), "bps", n, 1, wait) for n in strength.SPANS
    )


def talib_name(pattern: str) -> str:
    """Name of TA-Lib's function for one of `features.patterns.NAMES`."""
    return "CDL" + pattern.replace("three", "3").replace("_", "").upper()


def _none() -> int:
    return 0


FULL_BLOCKS: dict[str, BlockKind] = {
    "efficiency": BlockKind(dispatch.EFFICIENCY_OP, 1, efficiency_size, _efficiency),
    "moves": BlockKind(dispatch.MOVES_OP, 1, moves_size, _moves),
    "quiet": BlockKind(dispatch.QUIET_OP, 0, _none, _quiet),
    "session": BlockKind(dispatch.SESSION_OP, 0, _none, _session),
    "horizon": BlockKind(dispatch.HORIZON_OP, 1, lambda _: HORIZON_SIZE, _horizon),
    "range_volatility": BlockKind(
        dispatch.RANGE_VOLATILITY_OP, 2, closed.range_volatility_size, _range_volatility
    ),
    "strength": BlockKind(dispatch.STRENGTH_OP, 0, lambda: strength.SIZE, _strength),
    "patterns": BlockKind(dispatch.PATTERNS_OP, 1, lambda _: PATTERNS_SIZE, _patterns),
}
