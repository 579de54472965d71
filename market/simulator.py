"""Seeded market with a declared, learnable edge, for machines without data.

Mid prices move additively, in pips. Per minute of open market::

    d mid = v(t) * (k * s(t) dt + dW) + jumps,      v = base * season * regime

``s`` is a hidden drift of +1 or -1 that lasts an hour and a half on average (a two-state Markov
chain), ``regime`` a calm or busy volatility state, ``season`` the time of day. As the drift lasts,
past minute returns reveal it: that is the edge (`market.edge`). The spread widens when it is busy,
around 22:00 UTC and after jumps; the market is shut from Friday 22:00 to Sunday 22:00 UTC and
reopens with a gap; now and then the feed itself falls silent while prices go on.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.columns import QuoteColumns, from_ticks
from core.instruments import Instrument
from market.edge import Edge, MarketModel, declared_edge

F8 = NDArray[np.float64]
B1 = NDArray[np.bool_]

_SEC = 1_000_000_000
_DAY_SECS = 86_400.0
_WEEK_OPEN_SECS = 5 * _DAY_SECS
_WEEK_NS = 7 * 86_400 * _SEC
_FIRST_OPEN_NS = (3 * 86_400 + 22 * 3_600) * _SEC  # Sunday 1970-01-04 22:00 UTC
_START_PRICES = {"EURUSD": 1.10, "GBPUSD": 1.27, "USDJPY": 150.0, "XAUUSD": 2_000.0}

DEFAULT_MODEL = MarketModel()
DEFAULT_START_NS = 1_704_664_800 * _SEC
"""Sunday 2024-01-07 22:00 UTC."""


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """A tape and the edge that was put into it."""

    columns: QuoteColumns
    edge: Edge


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """Latent market at the ticks: open-market seconds, unrounded mid (pips), states."""

    secs: F8
    mid_pips: F8
    volatility: F8
    busy: B1
    since_jump_secs: F8


def simulate(
    instrument: Instrument,
    *,
    seed: int = 7,
    days: float = 10.0,
    start_ns: int = DEFAULT_START_NS,
    model: MarketModel = DEFAULT_MODEL,
) -> Simulated:
    """Simulate `days` trading days of ticks.

    Parameters
    ----------
    instrument : Instrument
        Gives symbol (its own random stream), digits and pip.
    seed : int
        Same seed, same bytes.
    days : float
        Days of open market, 24 hours each; five make a week.
    start_ns : int
        ns UTC; inside a week-end it moves to the opening.
    model : MarketModel
        Parameters.

    Returns
    -------
    Simulated
        Ticks with strictly rising stamps in whole milliseconds and prices on the instrument's
        price grid, and the declared edge.
    """
    if not 0.0 < days <= 250.0:
        raise ValueError(f"days must be above 0 and at most 250, got {days}")
    rng = np.random.default_rng([seed, zlib.crc32(instrument.symbol.encode())])
    offset = _open_secs(start_ns)
    path = _latent(rng, days * _DAY_SECS, offset, model)
    heard = ~_inside(rng, path.secs, model.silences_per_day, model.silence_minutes * 60.0)
    ts = _wall_ns(path.secs + offset, start_ns)
    bid, ask = _prices(rng, path, ts, instrument, model)
    # Two ticks in one millisecond keep the first: a stamp names one quote.
    heard[1:] &= ts[1:] > ts[:-1]
    columns = from_ticks(ts[heard], bid[heard], ask[heard])
    return Simulated(columns, declared_edge(path.secs, path.mid_pips, path.volatility, model))


def _latent(rng: np.random.Generator, length: float, offset: float, model: MarketModel) -> _Path:
    secs = _arrivals(rng, length, offset, model)
    minutes = np.diff(secs, prepend=0.0) / 60.0
    busy = _two_states(rng, secs, model.calm_minutes * 60.0, model.busy_minutes * 60.0)
    up = _two_states(rng, secs, model.drift_minutes * 60.0, model.drift_minutes * 60.0)
    volatility = model.volatility_pips * _season(secs + offset)
    volatility *= np.where(busy, model.busy_factor, 1.0)
    drift = model.drift_ratio * np.where(up, 1.0, -1.0) * minutes
    steps = volatility * (drift + np.sqrt(minutes) * rng.standard_normal(len(secs)))
    jump_at, jump_sizes = _jumps(rng, length, model)
    slot = np.searchsorted(secs, jump_at)
    landed = slot < len(secs)
    np.add.at(steps, slot[landed], jump_sizes[landed])
    steps += _weekend_gaps(rng, secs + offset, model)
    last_jump = np.searchsorted(jump_at, secs, side="right") - 1
    since = secs - np.append(jump_at, -np.inf)[last_jump]
    return _Path(secs, np.cumsum(steps), volatility, busy, since)


def _arrivals(rng: np.random.Generator, length: float, offset: float, model: MarketModel) -> F8:
    """Poisson arrivals, thinned so that ticks follow the season; open-market seconds."""
    peak = 1.6
    gaps = rng.exponential(model.tick_secs / peak, int(length * peak / model.tick_secs * 1.1) + 100)
    secs = np.cumsum(gaps)
    secs = secs[secs < length]
    return secs[rng.random(len(secs)) * peak < _season(secs + offset)]


def _season(open_secs: F8) -> F8:
    """Activity over the day, mean about 1: quiet in Asia, busy from London to New York."""
    hour = (open_secs / 3_600.0 + 22.0) % 24.0
    london = np.exp(-0.5 * ((hour - 8.5) / 2.5) ** 2)
    new_york = np.exp(-0.5 * ((hour - 14.5) / 2.5) ** 2)
    return np.asarray(0.75 + 0.45 * london + 0.55 * new_york)


def _two_states(rng: np.random.Generator, secs: F8, off: float, on: float) -> B1:
    """Two-state Markov chain with the mean dwells `off` and `on`, read at `secs`."""
    begins_on = rng.random() < on / (off + on)
    pairs = int(secs[-1] / (off + on) * 2) + 20 if len(secs) else 0
    means = np.tile([on, off] if begins_on else [off, on], pairs)
    flips = np.searchsorted(np.cumsum(rng.exponential(means)), secs, side="right")
    state: B1 = (flips + begins_on) % 2 == 1
    return state


def _jumps(rng: np.random.Generator, length: float, model: MarketModel) -> tuple[F8, F8]:
    count = rng.poisson(model.jumps_per_day * length / _DAY_SECS)
    at = np.sort(rng.uniform(0.0, length, count))
    sizes = rng.choice([-1.0, 1.0], count) * rng.exponential(model.jump_pips, count)
    return at, sizes


def _weekend_gaps(rng: np.random.Generator, open_secs: F8, model: MarketModel) -> F8:
    week = np.floor(open_secs / _WEEK_OPEN_SECS)
    reopened = np.diff(week, prepend=week[:1]) > 0
    return np.where(reopened, rng.normal(0.0, model.weekend_gap_pips, len(week)), 0.0)


def _inside(rng: np.random.Generator, secs: F8, per_day: float, mean_secs: float) -> B1:
    """Whether each moment lies in one of the random silences."""
    count = rng.poisson(per_day * secs[-1] / _DAY_SECS) if len(secs) else 0
    begins = np.sort(rng.uniform(0.0, secs[-1], count)) if count else np.empty(0)
    ends = np.maximum.accumulate(begins + rng.exponential(mean_secs, count))
    last = np.searchsorted(begins, secs, side="right") - 1
    return (last >= 0) & (secs < np.append(ends, -np.inf)[last])


def _prices(
    rng: np.random.Generator,
    path: _Path,
    ts: NDArray[np.int64],
    instrument: Instrument,
    model: MarketModel,
) -> tuple[F8, F8]:
    noise = rng.normal(0.0, model.noise_pips, len(ts))
    start = _START_PRICES.get(instrument.symbol, 1.0) / instrument.pip
    mid = np.maximum(start + path.mid_pips + noise, 0.01 * start) * instrument.pip
    hour = ts // (3_600 * _SEC) % 24
    spread = model.spread_pips * np.where(path.busy, 1.3, 1.0)
    spread *= np.where((hour == 21) | (hour == 22), 2.0, 1.0)
    spread *= 1.0 + 2.0 * np.exp(-path.since_jump_secs / 30.0)
    spread *= rng.uniform(0.85, 1.25, len(ts))
    grid = 10.0**instrument.digits
    bid = np.round((mid - 0.5 * spread * instrument.pip) * grid)
    ask = bid + np.maximum(np.round(spread * instrument.pip * grid), 1.0)
    return bid / grid, ask / grid


def _open_secs(start_ns: int) -> float:
    """Open-market seconds since the week's opening; a week-end counts as the next opening."""
    into = (start_ns - _FIRST_OPEN_NS) % _WEEK_NS / _SEC
    return into if into < _WEEK_OPEN_SECS else 0.0


def _wall_ns(open_secs: F8, start_ns: int) -> NDArray[np.int64]:
    """Open-market seconds to ns UTC in whole milliseconds."""
    into = (start_ns - _FIRST_OPEN_NS) % _WEEK_NS
    opening = start_ns - into + (_WEEK_NS if into >= _WEEK_OPEN_SECS * _SEC else 0)
    closed = np.floor(open_secs / _WEEK_OPEN_SECS) * 2 * _DAY_SECS
    milliseconds = np.floor((open_secs + closed) * 1_000.0).astype(np.int64)
    return opening + milliseconds * 1_000_000
