"""Raw columns to clean columns of quotes: ticks, mid bars, and pairs of bid and ask bars."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.columns import QuoteColumns, from_ticks
from core.errors import BadInput
from core.instruments import Instrument
from market.loaders import cleaning
from market.loaders.cleaning import Check, Mask
from market.loaders.reader import RawRows
from market.loaders.report import Faults

F8 = NDArray[np.float64]
_OHLC = ("open", "high", "low", "close")


def quotes(path: Path, rows: RawRows, instrument: Instrument, faults: Faults) -> QuoteColumns:
    """Columns of records with bid and ask; span, open, high and low are kept where they stand."""
    faults.add(path, rows.malformed, cleaning.MALFORMED)
    prices = [v for role, v in rows.values.items() if role not in ("volume", "span")]
    bid, ask = rows.values["bid"], rows.values["ask"]
    checks = (
        *cleaning.record_checks(rows, instrument.symbol),
        *cleaning.price_checks(prices),
        (cleaning.CROSSED, ask < bid),
    )
    keep = _ordered(path, rows, faults, cleaning.sieve(path, rows, faults, checks))
    columns = _with_spans(rows) or from_ticks(rows.ts, bid, ask, rows.values.get("volume"))
    return columns if keep.all() else columns[keep]


def mid_bars(
    path: Path, rows: RawRows, instrument: Instrument, spread_pips: float, faults: Faults
) -> QuoteColumns:
    """Columns of mid bars stamped at their open, with the stated spread around the close.

    The stamp becomes the bar's end, prices are rounded to the instrument's digits.
    """
    faults.add(path, rows.malformed, cleaning.MALFORMED)
    open_, high, low, close = (rows.values[role] for role in _OHLC)
    checks = (
        *cleaning.record_checks(rows, instrument.symbol),
        *cleaning.price_checks((open_, high, low, close)),
        cleaning.bar_check(open_, high, low, close),
    )
    keep, span = _on_grid(path, rows, faults, cleaning.sieve(path, rows, faults, checks))
    half = 0.5 * spread_pips * instrument.pip
    bid, ask = (np.round(close + side * half, instrument.digits) for side in (-1, 1))
    volume = rows.values.get("volume", np.zeros(len(rows)))
    spans = np.full(len(rows), span, np.int64)
    return QuoteColumns(rows.ts + span, bid, ask, volume, spans, open_, high, low)[keep]


def paired_bars(
    paths: tuple[Path, Path],
    sides: tuple[RawRows, RawRows],
    instrument: Instrument,
    faults: Faults,
) -> QuoteColumns:
    """Columns of bid bars and ask bars joined on their stamps; the stamp becomes the bar's end.

    Open, high and low are the middle of the two sides' values.
    """
    kept = [_side(path, rows, instrument, faults) for path, rows in zip(paths, sides, strict=True)]
    (bids, span), (asks, ask_span) = kept
    if 0 not in (span, ask_span) and span != ask_span:
        raise BadInput(f"{paths[0].name} and {paths[1].name} have bars of different lengths")
    _, at_bid, at_ask = np.intersect1d(bids.ts, asks.ts, assume_unique=True, return_indices=True)
    for path, rows, matched in zip(paths, (bids, asks), (at_bid, at_ask), strict=True):
        alone = np.delete(rows.lines, matched)
        faults.add(path, alone, cleaning.NO_PARTNER)
    return _joined(paths, (_take(bids, at_bid), _take(asks, at_ask)), span, faults)


def _joined(
    paths: tuple[Path, Path], sides: tuple[RawRows, RawRows], span: int, faults: Faults
) -> QuoteColumns:
    bids, asks = sides
    fit = np.ones(len(bids), np.bool_)
    for path, rows in zip(paths, sides, strict=True):
        prices = [rows.values[role] for role in _OHLC]
        checks: Iterable[Check] = (
            *cleaning.price_checks(prices),
            cleaning.bar_check(prices[0], prices[1], prices[2], prices[3]),
        )
        # A bar whose bid side was reported is not reported again for its ask side.
        checks = [(reason, unfit & fit) for reason, unfit in checks]
        fit &= cleaning.sieve(path, rows, faults, checks)
    bid, ask = bids.values["close"], asks.values["close"]
    fit &= cleaning.sieve(paths[0], bids, faults, [(cleaning.CROSSED, (ask < bid) & fit)])
    open_, high, low = (0.5 * (bids.values[r] + asks.values[r]) for r in _OHLC[:3])
    spans = np.full(len(bids), span, np.int64)
    zeros = np.zeros(len(bids))
    return QuoteColumns(bids.ts + span, bid, ask, zeros, spans, open_, high, low)[fit]


def _side(path: Path, rows: RawRows, instrument: Instrument, faults: Faults) -> tuple[RawRows, int]:
    faults.add(path, rows.malformed, cleaning.MALFORMED)
    checks = cleaning.record_checks(rows, instrument.symbol)
    keep, span = _on_grid(path, rows, faults, cleaning.sieve(path, rows, faults, checks))
    return _take(rows, keep), span


def _on_grid(path: Path, rows: RawRows, faults: Faults, keep: Mask) -> tuple[Mask, int]:
    span = cleaning.span_of(rows.ts[keep])
    if span == 0:
        return keep & cleaning.sieve(path, rows, faults, [(cleaning.NO_LENGTH, keep)]), 0
    reason, off_grid = cleaning.grid_check(rows.ts, span, keep)
    keep = keep & cleaning.sieve(path, rows, faults, [(reason, off_grid & keep)])
    keep = keep & cleaning.sieve(path, rows, faults, [cleaning.repeat_check(rows.ts, keep)])
    return _ordered(path, rows, faults, keep), span


def _ordered(path: Path, rows: RawRows, faults: Faults, keep: Mask) -> Mask:
    return keep & cleaning.sieve(path, rows, faults, [cleaning.order_check(rows.ts, keep)])


def _take(rows: RawRows, which: NDArray[np.bool_] | NDArray[np.int64]) -> RawRows:
    values = {role: column[which] for role, column in rows.values.items()}
    return RawRows(rows.ts[which], values, rows.lines[which], rows.malformed)


def _with_spans(rows: RawRows) -> QuoteColumns | None:
    """Columns of records that state a span and its open, high and low, else None."""
    if not {"span", "open", "high", "low"} <= set(rows.values):
        return None
    values = rows.values
    volume = values.get("volume", np.zeros(len(rows)))
    return QuoteColumns(
        rows.ts,
        values["bid"],
        values["ask"],
        volume,
        np.nan_to_num(values["span"]).astype(np.int64),
        values["open"],
        values["high"],
        values["low"],
    )
