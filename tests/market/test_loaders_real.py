"""Every file of the real data: row counts, time, prices."""

from pathlib import Path

import numpy as np
import pytest

from core.config import MarketConfig
from core.instruments import DEFAULT_INSTRUMENTS
from market.loaders import Loaded, load


def stamp(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


def load_real(path: Path, symbol: str) -> Loaded:
    return load(path, DEFAULT_INSTRUMENTS.by_symbol(symbol), MarketConfig())


@pytest.mark.parametrize(
    ("folder", "symbol", "format_", "read", "kept"),
    [
        ("histdata", "EURUSD", "histdata", 9_500, 9_500),
        ("truefx", "USDJPY", "truefx", 1_000, 1_000),
        ("fxcm", "GBPUSD", "fxcm", 30_117, 30_117 - 347),
        ("bars", "EURUSD", "bars", 5_000, 5_000),
    ],
)
def test_row_counts_and_sound_columns(
    real_data: Path, folder: str, symbol: str, format_: str, read: int, kept: int
) -> None:
    loaded = load_real(real_data / folder, symbol)
    report, columns = loaded.report, loaded.columns
    assert (report.format, report.rows_read, report.rows_kept) == (format_, read, kept)
    assert len(columns) == kept
    assert (np.diff(columns.ts) >= 0).all()
    assert ((columns.bid > 0) & (columns.bid <= columns.ask)).all()
    assert ((columns.low <= columns.open) & (columns.open <= columns.high)).all()
    single = next((real_data / folder).iterdir())
    assert load_real(single, symbol).report == report


def test_histdata_is_est_and_becomes_utc(real_data: Path) -> None:
    columns = load_real(real_data / "histdata", "EURUSD").columns
    assert columns.ts[0] == stamp("2020-01-01T22:00:00.065")
    assert columns.ts[-1] == stamp("2020-01-02T04:00:52.125")
    assert (columns.bid[0], columns.ask[0], columns.span[0]) == (1.1212, 1.12172, 0)


def test_truefx_is_utc_and_keeps_its_equal_stamps(real_data: Path) -> None:
    columns = load_real(real_data / "truefx", "USDJPY").columns
    assert columns.ts[0] == stamp("2013-01-01T22:00:00.295")
    assert (columns.bid[-1], columns.ask[-1]) == (86.836, 86.854)
    assert int((np.diff(columns.ts) == 0).sum()) == 7


def test_fxcm_bars_are_joined_at_their_end_and_crossed_ones_named(real_data: Path) -> None:
    loaded = load_real(real_data / "fxcm", "GBPUSD")
    columns, report = loaded.columns, loaded.report
    assert report.counts == {"ask is below bid": 347}
    assert str(report.bad[0]) == "GBPUSD-m1-bid-2012-02.csv:526 ask is below bid"
    lines = (real_data / "fxcm" / report.bad[0].file).read_text().splitlines()
    asks = (real_data / "fxcm" / "GBPUSD-m1-ask-2012-02.csv").read_text().splitlines()
    at = report.bad[0].line - 1
    assert float(asks[at].split(",")[4]) < float(lines[at].split(",")[4])
    assert columns.ts[0] == stamp("2012-02-01T00:01:00")
    assert (columns.span == 60_000_000_000).all()
    assert (columns.bid[0], columns.ask[0]) == (1.57576, 1.57585)
    assert columns.high[0] == pytest.approx(0.5 * (1.57606 + 1.57610), abs=1e-12)
    assert int((columns.bid == columns.ask).sum()) == 306


def test_mid_bars_get_the_stated_spread_at_their_end(real_data: Path) -> None:
    instrument = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")
    wide = MarketConfig(mid_spread_pips=3.0)
    columns = load(real_data / "bars", instrument, wide).columns
    assert columns.ts[0] == stamp("2017-04-19T10:00:00")
    assert (columns.bid[0], columns.ask[0]) == (1.07204, 1.07234)
    assert (columns.span == 3_600_000_000_000).all()
    assert (columns.open[0], columns.high[0], columns.low[0]) == (1.0716, 1.0722, 1.07083)
    assert columns.volume[0] == 1413.0
