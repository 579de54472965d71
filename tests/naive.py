"""Slow, obvious twins of the kernels: whole windows, plain loops, nothing carried over."""

import itertools
import math
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import talib

from core.columns import QuoteColumns
from core.types import Cadence
from features.catalogue_full import talib_name
from features.patterns import NAMES
from features.spec import FeatureSpec

NAN = math.nan


class Sample(NamedTuple):
    """A closed bar or a tick; `index` is the quote that ended it, `members` those it is made of."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    spread: float
    volume: float
    n_ticks: int
    index: int
    members: tuple[int, ...]


def bars(columns: QuoteColumns, bar_ns: int) -> tuple[list[Sample], int]:
    """Group what is not late by bucket; a bucket is closed by its last span or by its successor."""
    members: dict[int, list[int]] = {}
    closed_by: dict[int, int] = {}
    newest, late = None, 0
    for i, (ts, span) in enumerate(zip(columns.ts.tolist(), columns.span.tolist(), strict=True)):
        bucket = (ts - 1 if span > 0 else ts) // bar_ns
        behind = members and bucket < max(members)
        if (newest is not None and ts < newest) or behind or bucket in closed_by:
            late += 1
            continue
        newest = ts
        for earlier in members:
            if earlier < bucket:
                closed_by.setdefault(earlier, i)
        members.setdefault(bucket, []).append(i)
        if span > 0 and ts == (bucket + 1) * bar_ns:
            closed_by[bucket] = i
    done = [
        _bar(columns, members[bucket], (bucket + 1) * bar_ns, closed_by[bucket])
        for bucket in sorted(closed_by)
    ]
    return done, late


def _bar(columns: QuoteColumns, quotes: list[int], end: int, index: int) -> Sample:
    last = quotes[-1]
    return Sample(
        end,
        float(columns.open[quotes[0]]),
        max(float(columns.high[i]) for i in quotes),
        min(float(columns.low[i]) for i in quotes),
        0.5 * float(columns.bid[last] + columns.ask[last]),
        float(columns.ask[last] - columns.bid[last]),
        float(sum(columns.volume[i] for i in quotes)),
        len(quotes),
        index,
        tuple(quotes),
    )


def ticks(columns: QuoteColumns) -> tuple[list[Sample], int]:
    """Every quote that is not older than one before it."""
    samples: list[Sample] = []
    late = 0
    for i in range(len(columns)):
        if samples and columns.ts[i] < samples[-1].ts:
            late += 1
        else:
            samples.append(_bar(columns, [i], int(columns.ts[i]), i))
    return samples, late


def sma(x: list[float], n: int) -> list[float]:
    return [math.fsum(x[i - n + 1 : i + 1]) / n if i >= n - 1 else NAN for i in range(len(x))]


def smoothed(x: list[float], n: int, alpha: float) -> list[float]:
    out = [NAN] * len(x)
    for i in range(n - 1, len(x)):
        out[i] = math.fsum(x[:n]) / n if i == n - 1 else alpha * x[i] + (1 - alpha) * out[i - 1]
    return out


def ema(x: list[float], n: int) -> list[float]:
    return smoothed(x, n, 2 / (n + 1))


def rsi(x: list[float], n: int) -> list[float]:
    changes = [b - a for a, b in itertools.pairwise(x)]
    gains = smoothed([max(c, 0.0) for c in changes], n, 1 / n)
    losses = smoothed([max(-c, 0.0) for c in changes], n, 1 / n)
    out = [NAN]
    for gain, loss in zip(gains, losses, strict=True):
        if gain == 0 and loss == 0:
            out.append(50.0)
        elif loss == 0:
            out.append(100.0)
        else:
            out.append(100 - 100 / (1 + gain / loss))
    return out


def macd(x: list[float], fast: int, slow: int, signal: int) -> tuple[list[float], ...]:
    skip = slow - fast
    quick = [NAN] * skip + ema(x[skip:], fast)
    line = [a - b for a, b in zip(quick, ema(x, slow), strict=True)]
    trigger = ([NAN] * (slow - 1) + ema(line[slow - 1 :], signal))[: len(x)]
    return line, trigger, [a - b for a, b in zip(line, trigger, strict=True)]


def bollinger(x: list[float], n: int) -> tuple[list[float], list[float]]:
    means = sma(x, n)
    sigmas = [
        math.sqrt(math.fsum((v - m) ** 2 for v in x[i - n + 1 : i + 1]) / n) if i >= n - 1 else NAN
        for i, m in enumerate(means)
    ]
    return means, sigmas


def atr(high: list[float], low: list[float], close: list[float], n: int) -> list[float]:
    ranges = [
        max(high[i] - low[i], abs(high[i] - close[i - 1]), abs(low[i] - close[i - 1]))
        for i in range(1, len(close))
    ]
    return [NAN, *smoothed(ranges, n, 1 / n)]


class Table:
    """All columns of a spec by name, from samples."""

    def __init__(
        self, samples: list[Sample], pip: float, quotes: QuoteColumns, *, of_bars: bool
    ) -> None:
        self.samples, self.pip, self.n = samples, pip, len(samples)
        self.quotes, self.of_bars = quotes, of_bars
        self.close = [s.close for s in samples]
        self.columns: dict[str, list[float]] = {}
        self.dollar: tuple[dict[str, QuoteColumns], dict[str, int]] | None = None

    def over(self, n: int, what: str) -> list[list[float]]:
        """Window of the last n values of a field at each sample, empty while there are fewer."""
        values = [getattr(s, what) for s in self.samples]
        return [values[i - n + 1 : i + 1] if i >= n - 1 else [] for i in range(self.n)]

    def gaps(self, n: int) -> list[float]:
        """Seconds from the sample n back to each sample, NaN while there is none."""
        ts = [s.ts for s in self.samples]
        return [(ts[i] - ts[i - n]) / 1e9 if i >= n else NAN for i in range(self.n)]

    def returns(self, n: int) -> list[float]:
        c = self.close
        return [1e4 * math.log(c[i] / c[i - n]) if i >= n else NAN for i in range(self.n)]

    def volatility(self, n: int) -> list[float]:
        r = self.returns(1)
        return [
            math.sqrt(math.fsum(v * v for v in r[i - n + 1 : i + 1]) / n) if i >= n else NAN
            for i in range(self.n)
        ]

    def rate(self, n: int) -> list[float]:
        return [
            sum(counts) / max(gap, 1e-3) if counts and not math.isnan(gap) else NAN
            for counts, gap in zip(self.over(n, "n_ticks"), self.gaps(n), strict=True)
        ]

    def ratio(self, a: list[float], b: list[float], otherwise: float = 1.0) -> list[float]:
        return [x / y if y else otherwise for x, y in zip(a, b, strict=True)]

    def bps(self, values: list[float]) -> list[float]:
        return [1e4 * v / c for v, c in zip(values, self.close, strict=True)]

    def distance(self, means: list[float]) -> list[float]:
        return [1e4 * (c / m - 1) for c, m in zip(self.close, means, strict=True)]


def _add(t: Table, kind: str, w: tuple[int, ...]) -> None:  # noqa: C901
    c, name = t.columns, "_".join(map(str, w))
    if kind == "return":
        c[f"return_{name}"] = t.returns(w[0])
    elif kind == "volatility":
        for n in w:
            c[f"volatility_{n}"] = t.volatility(n)
        c[f"volatility_ratio_{name}"] = t.ratio(*(t.volatility(n) for n in w))
    elif kind == "spread":
        spreads = [s.spread for s in t.samples]
        c["spread_pips"] = [s / t.pip for s in spreads]
        c[f"spread_ratio_{name}"] = t.ratio(spreads, sma(spreads, w[0]))
    elif kind == "rate":
        c[f"tick_rate_{w[0]}"] = [math.log(1 + r) for r in t.rate(w[0])]
        ratios = t.ratio(t.rate(w[0]), t.rate(w[1]))
        c[f"tick_rate_ratio_{name}"] = [math.log(r) for r in ratios]
    elif kind == "time":
        _add_time(t)
    elif kind == "elapsed":
        c["elapsed"] = [math.log(1 + gap) for gap in t.gaps(1)]
    elif kind == "sma":
        c[f"sma_{name}"] = t.distance(sma(t.close, w[0]))
    elif kind == "ema":
        c[f"ema_{name}"] = t.distance(ema(t.close, w[0]))
    elif kind == "rsi":
        c[f"rsi_{name}"] = rsi(t.close, w[0])
    elif kind == "macd":
        for part, values in zip(("", "_signal", "_histogram"), macd(t.close, *w), strict=True):
            c[f"macd{part}_{name}"] = t.bps(values)
    elif kind == "bollinger":
        means, sigmas = bollinger(t.close, w[0])
        c[f"bollinger_b_{name}"] = [
            (x - (m - 2 * s)) / (4 * s) if s else 0.5
            for x, m, s in zip(t.close, means, sigmas, strict=True)
        ]
        c[f"bollinger_width_{name}"] = [1e4 * 4 * s / m for m, s in zip(means, sigmas, strict=True)]
    elif kind == "atr":
        prices = ([getattr(s, what) for s in t.samples] for what in ("high", "low", "close"))
        c[f"atr_{name}"] = t.bps(atr(*prices, w[0]))
    elif kind == "range":
        _add_range(t, w[0])
    elif kind == "efficiency":
        c[f"efficiency_{name}"] = _efficiency(t.close, w[0])
    elif kind == "moves":
        _add_moves(t, w[0])
    elif kind == "quiet":
        c["quiet"] = _quiet(t)
    elif kind == "session":
        _add_sessions(t)
    elif kind == "horizon":
        _add_horizon(t, w[0])
    elif kind == "range_volatility":
        _add_range_volatility(t, *w)
    elif kind == "patterns":
        _add_patterns(t, w[0])
    elif kind == "strength":
        _add_strength(t)
    else:
        raise AssertionError(f"no naive twin of block {kind!r}")


def _add_time(t: Table) -> None:
    for i, wave in enumerate((math.sin, math.cos)):
        day, week = [], []
        for s in t.samples:
            at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=s.ts / 1000)
            midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
            part = (at - midnight) / timedelta(days=1)
            day.append(wave(2 * math.pi * part))
            week.append(wave(2 * math.pi * (at.weekday() + part) / 7))
        name = ("sin", "cos")[i]
        t.columns[f"day_{name}"], t.columns[f"week_{name}"] = day, week


def _add_range(t: Table, n: int) -> None:
    spans, places = [], []
    for highs, lows, close in zip(t.over(n, "high"), t.over(n, "low"), t.close, strict=True):
        if not highs:
            spans.append(NAN)
            places.append(NAN)
            continue
        top, bottom = max(highs), min(lows)
        spans.append(1e4 * (top - bottom) / close)
        places.append((close - bottom) / (top - bottom) if top > bottom else 0.5)
    t.columns[f"range_{n}"], t.columns[f"close_location_{n}"] = spans, places


def _efficiency(x: list[float], n: int) -> list[float]:
    out = [NAN] * len(x)
    for i in range(n, len(x)):
        path = math.fsum(abs(x[j] - x[j - 1]) for j in range(i - n + 1, i + 1))
        out[i] = (x[i] - x[i - n]) / path if path else 0.0
    return out


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)


def _moves(t: Table) -> list[list[tuple[int, int, int]]]:
    """Per sample, of each of its quotes: time and the signs of the moves of bid and ask."""
    out: list[list[tuple[int, int, int]]] = []
    before = None
    for sample in t.samples:
        out.append([])
        for i in sample.members:
            bid, ask = float(t.quotes.bid[i]), float(t.quotes.ask[i])
            moved = (0, 0) if before is None else (_sign(bid - before[0]), _sign(ask - before[1]))
            out[-1].append((int(t.quotes.ts[i]), *moved))
            before = bid, ask
    return out


def _add_moves(t: Table, n: int) -> None:
    moves = _moves(t)
    balance, sides = [NAN] * t.n, [NAN] * t.n
    for i in range(n, t.n):
        window = [move for j in range(i - n + 1, i + 1) for move in moves[j]]
        bids, asks = sum(abs(b) for _, b, _ in window), sum(abs(a) for _, _, a in window)
        count = max(1, bids + asks)
        balance[i] = sum(b + a for _, b, a in window) / count
        sides[i] = (bids - asks) / count
    t.columns[f"move_imbalance_{n}"], t.columns[f"side_imbalance_{n}"] = balance, sides


def _quiet(t: Table) -> list[float]:
    out, moved = [], None
    for sample, moves in zip(t.samples, _moves(t), strict=True):
        for ts, bid, ask in moves:
            moved = ts if bid or ask else moved
        out.append(NAN if moved is None else math.log(1 + (sample.ts - moved) / 1e9))
    return out


def _add_sessions(t: Table) -> None:
    places = {
        "tokyo": ("Asia/Tokyo", 9, 18),
        "london": ("Europe/London", 8, 17),
        "new_york": ("America/New_York", 8, 17),
    }
    utc = [
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=s.ts // 1000) for s in t.samples
    ]
    for place, (zone, first, end) in places.items():
        local = [at.astimezone(ZoneInfo(zone)) for at in utc]
        t.columns[f"session_{place}"] = [
            float(at.weekday() < 5 and first <= at.hour < end) for at in local
        ]
    since = []
    for at, sample in zip(utc, t.samples, strict=True):
        clock = at.astimezone(ZoneInfo("America/New_York"))
        secs = clock.hour * 3600 + clock.minute * 60 + clock.second - 17 * 3600
        since.append((secs % 86400) / 3600 + (sample.ts % 10**9) / 3.6e12)
    t.columns["since_roll"] = since
    t.columns["month_left"] = [float(monthrange(at.year, at.month)[1] - at.day) for at in utc]


def closed_bars(t: Table, secs: int) -> tuple[list[list[Sample]], list[int]]:
    """Closed bars of samples, as lists of their samples, and how many there are at each sample."""
    length = secs * 10**9
    groups: list[list[Sample]] = []
    counts = []
    done, at = 0, None
    for sample in t.samples:
        ends = t.of_bars or int(t.quotes.span[sample.index]) > 0
        bucket = (sample.ts - ends) // length
        if not groups or bucket != at:
            done = len(groups)
            groups.append([])
        at = bucket
        groups[-1].append(sample)
        if ends and sample.ts == (bucket + 1) * length:
            done = len(groups)
        counts.append(done)
    return groups, counts


def _ohlc(bars: list[list[Sample]]) -> tuple[list[float], ...]:
    return (
        [bar[0].open for bar in bars],
        [max(s.high for s in bar) for bar in bars],
        [min(s.low for s in bar) for bar in bars],
        [bar[-1].close for bar in bars],
    )


def _as_of(t: Table, values: dict[str, list[float]], counts: list[int], needed: int) -> None:
    """Columns that hold the value of the last closed bar once enough of them are there."""
    for name, series in values.items():
        t.columns[name] = [series[n - 1] if n >= needed else NAN for n in counts]


def _add_horizon(t: Table, secs: int) -> None:
    bars, counts = closed_bars(t, secs)
    _, high, low, close = _ohlc(bars)
    name = f"{secs // 60}m"
    values = {
        f"return_{name}": [
            1e4 * math.log(close[i] / close[i - 1]) if i else NAN for i in range(len(bars))
        ],
        f"range_{name}": [1e4 * (h - w) / c for h, w, c in zip(high, low, close, strict=True)],
        f"close_location_{name}": [
            (c - w) / (h - w) if h > w else 0.5 for h, w, c in zip(high, low, close, strict=True)
        ],
    }
    _as_of(t, values, counts, 2)


def _add_range_volatility(t: Table, secs: int, n: int) -> None:
    bars, counts = closed_bars(t, secs)
    wide = [math.log(h / w) ** 2 for _, h, w, _ in zip(*_ohlc(bars), strict=True)]
    body = [math.log(c / o) ** 2 for o, _, _, c in zip(*_ohlc(bars), strict=True)]
    terms = [max(0.0, 0.5 * r - (2 * math.log(2) - 1) * b) for r, b in zip(wide, body, strict=True)]
    name = f"{n}x{secs // 60}m"
    values = {
        f"parkinson_{name}": [1e4 * math.sqrt(v / (4 * math.log(2))) for v in sma(wide, n)],
        f"garman_klass_{name}": [1e4 * math.sqrt(v) for v in sma(terms, n)],
    }
    _as_of(t, values, counts, n + 1)


def _add_patterns(t: Table, secs: int) -> None:
    bars, counts = closed_bars(t, secs)
    ohlc = [np.array(series) for series in _ohlc(bars)]
    values = {
        f"{pattern}_{secs // 60}m": getattr(talib, talib_name(pattern))(*ohlc).tolist()
        for pattern in NAMES
    }
    _as_of(t, values, counts, 14)


MINUTE = 60 * 10**9


def strength_index(tapes: dict[str, QuoteColumns], sides: dict[str, int]) -> dict[int, float]:
    """Index of the dollar by minute, of minutes in which anyone quoted once everyone has."""
    mids: dict[str, dict[int, float]] = {}
    for symbol in sides:
        mids[symbol], newest = {}, -1
        columns = tapes[symbol]
        for i in range(len(columns)):
            ts, bid, ask = int(columns.ts[i]), float(columns.bid[i]), float(columns.ask[i])
            if ts >= newest and math.isfinite(bid + ask) and min(bid, ask) > 0:
                newest = ts
                minute = (ts - (1 if columns.span[i] > 0 else 0)) // MINUTE + 1
                mids[symbol][minute] = 0.5 * (bid + ask)
    out, known = {}, {}
    for minute in sorted(set().union(*mids.values())):
        known |= {symbol: own[minute] for symbol, own in mids.items() if minute in own}
        if len(known) == len(sides):
            total = math.fsum(side * math.log(known[symbol]) for symbol, side in sides.items())
            out[minute] = 1e4 * total / len(sides)
    return out


def _add_strength(t: Table) -> None:
    index = strength_index(*t.dollar)
    minutes = list(index)
    for n in (1, 15):
        values = []
        for sample in t.samples:
            # A row knows what was over a minute before its quote came.
            at = int(t.quotes.ts[sample.index])
            known = [m for m in minutes if (m + 1) * MINUTE <= at]
            enough = len(known) > 15
            values.append(index[known[-1]] - index[known[-1 - n]] if enough else NAN)
        t.columns[f"usd_strength_{n}"] = values


def features(
    spec: FeatureSpec,
    columns: QuoteColumns,
    pip: float,
    dollar: tuple[dict[str, QuoteColumns], dict[str, int]] | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows (float64, all samples), the quote that ended each, and the number of late quotes.

    `dollar` has the tapes and sides of the dollar's strength, for a spec that needs it.
    """
    bar = spec.cadence is Cadence.BAR
    samples, late = bars(columns, spec.bar_ns) if bar else ticks(columns)
    table = Table(samples, pip, columns, of_bars=bar)
    table.dollar = dollar
    for block in spec.blocks:
        _add(table, block.kind, block.windows)
    rows = np.array([table.columns[name] for name in spec.names]).T
    return rows, np.array([s.index for s in samples]), late
