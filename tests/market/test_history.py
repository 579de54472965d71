"""Mapped history and its archives: the same bytes, also after a crash in the middle of a write."""

from pathlib import Path

import numpy as np
import pytest

from core.columns import QuoteColumns, concat
from core.config import MarketConfig
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from features.batch import chunks_of, compute, compute_chunks
from features.spec import spec_named
from market import history as module
from market.history import COLUMNS, History
from market.loaders import load
from market.simulator import simulate

EURUSD = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")


@pytest.fixture(scope="module")
def columns() -> QuoteColumns:
    return simulate(EURUSD, days=1.5).columns


def same(a: QuoteColumns, b: QuoteColumns) -> bool:
    return all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in COLUMNS)


def test_what_is_appended_is_what_is_mapped(tmp_path: Path, columns: QuoteColumns) -> None:
    history = History(tmp_path)
    assert history.symbols() == ()
    assert len(history.open("EURUSD")) == 0
    assert history.append("EURUSD", chunks_of(columns[:9_000], 1_000)) == 9_000
    early = history.open("EURUSD")
    assert history.append("EURUSD", [columns[9_000:]]) == len(columns) - 9_000
    mapped = history.open("EURUSD")
    assert isinstance(mapped.bid, np.memmap)
    assert not mapped.bid.flags.writeable
    assert same(mapped, columns)
    assert same(early, columns[:9_000])
    assert history.symbols() == ("EURUSD",)


def test_rows_that_a_crash_left_behind_are_written_over(
    tmp_path: Path, columns: QuoteColumns
) -> None:
    history = History(tmp_path)
    history.append("EURUSD", [columns[:1_000]])

    def broken() -> object:
        yield columns[1_000:2_000]
        raise OSError("power is gone")

    with pytest.raises(OSError, match="power"):
        history.append("EURUSD", broken())  # type: ignore[arg-type]
    assert (tmp_path / "EURUSD" / "bid.bin").stat().st_size > 8_000
    assert same(history.open("EURUSD"), columns[:1_000])
    history.append("EURUSD", [columns[1_000:1_500]])
    assert same(history.open("EURUSD"), columns[:1_500])


def test_disorder_and_missing_files_are_refused(tmp_path: Path, columns: QuoteColumns) -> None:
    history = History(tmp_path)
    history.append("EURUSD", [columns[:100]])
    for bad in (columns[50:60], columns[np.r_[110:120, 105:110]]):
        with pytest.raises(BadInput, match="time order"):
            history.append("EURUSD", [bad])
    assert same(history.open("EURUSD"), columns[:100])
    (tmp_path / "EURUSD" / "ask.bin").write_bytes(b"short")
    with pytest.raises(BadInput, match=r"ask\.bin is missing"):
        history.open("EURUSD")


@pytest.mark.parametrize("name", ["full-bar", "full-tick"])
def test_the_batch_over_a_mapped_history_is_that_of_the_columns(
    name: str, tmp_path: Path, columns: QuoteColumns
) -> None:
    history, spec = History(tmp_path), spec_named(name)
    history.append("EURUSD", chunks_of(columns, 5_000))
    parts = list(compute_chunks(spec, chunks_of(history.open("EURUSD"), 3_000), EURUSD.pip))
    whole = compute(spec, columns, EURUSD.pip)
    assert b"".join(part.rows.tobytes() for part in parts) == whole.rows.tobytes()


def test_an_archive_comes_back_byte_for_byte(
    tmp_path: Path, columns: QuoteColumns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS", 5_000)
    history, other = History(tmp_path / "a"), History(tmp_path / "b")
    history.append("EURUSD", [columns])
    packed = history.archive("EURUSD", tmp_path / "eurusd.tpha")
    assert packed.rows == len(columns)
    assert packed.raw_bytes == 64 * len(columns)
    assert packed.packed_bytes == (tmp_path / "eurusd.tpha").stat().st_size
    assert packed.ratio > 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "eurusd.tpha"]
    assert other.restore(tmp_path / "eurusd.tpha") == "EURUSD"
    assert same(other.open("EURUSD"), columns)
    with pytest.raises(BadInput, match="has a history already"):
        other.restore(tmp_path / "eurusd.tpha")


@pytest.mark.parametrize(
    ("folder", "symbol"),
    [("fxcm", "GBPUSD"), ("histdata", "EURUSD"), ("truefx", "USDJPY"), ("bars", "EURUSD")],
)
def test_archives_of_real_files_come_back(
    folder: str, symbol: str, real_data: Path, tmp_path: Path, record_property: object
) -> None:
    columns = load(
        real_data / folder, DEFAULT_INSTRUMENTS.by_symbol(symbol), MarketConfig()
    ).columns
    history, other = History(tmp_path / "a"), History(tmp_path / "b")
    history.append(symbol, [columns])
    packed = history.archive(symbol, tmp_path / "x.tpha")
    record_property("ratio", round(packed.ratio, 2))  # type: ignore[operator]
    other.restore(tmp_path / "x.tpha")
    assert same(other.open(symbol), columns)
    assert packed.ratio > 2


def test_damaged_archives_are_refused(tmp_path: Path, columns: QuoteColumns) -> None:
    history = History(tmp_path / "a")
    history.append("EURUSD", [columns[:3_000]])
    path = tmp_path / "x.tpha"
    history.archive("EURUSD", path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, *rng.integers(0, len(data), 20).tolist()]:
        damaged = bytearray(data)
        damaged[at] ^= 1
        path.write_bytes(bytes(damaged))
        with pytest.raises(BadInput, match="damaged"):
            History(tmp_path / "b").restore(path)
    for length in (0, 10, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(BadInput, match="damaged"):
            History(tmp_path / "b").restore(path)
    assert History(tmp_path / "b").symbols() == ()
    with pytest.raises(BadInput, match="no history of USDJPY"):
        history.archive("USDJPY", path)


def test_parts_of_a_history_join_to_the_whole(tmp_path: Path, columns: QuoteColumns) -> None:
    history = History(tmp_path)
    history.append("EURUSD", [columns])
    assert same(concat(chunks_of(history.open("EURUSD"), 777)), columns)
