"""Formats, bad rows and refusals on generated files."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import MarketConfig
from core.errors import BadInput
from core.instruments import Instrument
from market.loaders import load
from market.loaders import reader as reader_module
from market.loaders import sources as sources_module
from market.loaders.cleaning import longest_ordered
from market.loaders.layout import detect
from market.loaders.reader import read_text

Write = Callable[[str, str | bytes], Path]

SEC = 1_000_000_000
T0 = 1_577_916_000 * SEC  # 2020-01-01 22:00 UTC


def ticks(count: int, first: int = 0) -> list[str]:
    return [
        f"2020-01-01 22:{(first + i) // 60:02d}:{(first + i) % 60:02d},1.1,1.2,5"
        for i in range(count)
    ]


def file_of(rows: list[str], header: str = "timestamp,bid,ask,volume") -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize(
    ("name", "text", "format_"),
    [
        (
            "a.csv",
            "20200101 170000000,1.1,1.2,0\n20200101 170001000,1.1,1.2,0\n",
            "histdata",
        ),
        ("a.csv", "20200101 170000000;1.1;1.2\r\n20200101 170001000;1.1;1.2\r\n", "histdata"),
        (
            "a.csv",
            "EUR/USD,20200101 22:00:00.000,1.1,1.2\nEUR/USD,20200101 22:00:01.000,1.1,1.2\n",
            "truefx",
        ),
        (
            "a.csv",
            "timestamp,bid,ask\n2020-01-01 22:00:00+00:00,1.1,1.2\n"
            "2020-01-01T23:00:01+01:00,1.1,1.2\n",
            "truefx",
        ),
        ("a.csv", "ts,bid,ask\n1577916000,1.1,1.2\n1577916001,1.1,1.2\n", "csv"),
        ("a.csv", "ts,bid,ask\n1577916000000,1.1,1.2\n1577916001000,1.1,1.2\n", "csv"),
        ("a.csv", "ts,bid,ask\n1577916000000000,1.1,1.2\n1577916001000000,1.1,1.2\n", "csv"),
        ("a.csv", f"ts,bid,ask\n{T0},1.1,1.2\n{T0 + SEC},1.1,1.2\n", "csv"),
        (
            "a.csv",
            "\ufeffTime;Ask;Bid\n2020-01-01T22:00:00Z;1.2;1.1\n2020-01-01T22:00:01Z;1.2;1.1\n",
            "csv",
        ),
        (
            "a.csv",
            '\n"time","note","bid","ask"\n"2020-01-01 22:00:00","x,y","1.1","1.2"\n'
            '"2020-01-01 22:00:01","","1.1","1.2"\n',
            "csv",
        ),
    ],
)
def test_each_format_is_told_and_read(
    write: Write, eurusd: Instrument, config: MarketConfig, name: str, text: str, format_: str
) -> None:
    loaded = load(write(name, text), eurusd, config)
    assert loaded.report.format == format_
    assert loaded.report.counts == {}
    columns = loaded.columns
    assert columns.ts.tolist() == [T0, T0 + SEC]
    assert columns.bid.tolist() == [1.1, 1.1]
    assert columns.ask.tolist() == [1.2, 1.2]
    assert columns.open.tolist() == columns.high.tolist() == columns.low.tolist()
    assert columns.span.tolist() == [0, 0]


def test_compressed_text_is_read(tmp_path: Path, eurusd: Instrument, config: MarketConfig) -> None:
    path = tmp_path / "EURUSD.csv.gz"
    path.write_bytes(gzip.compress(file_of(ticks(3)).encode()))
    assert load(path, eurusd, config).report.rows_kept == 3


BAD_ROWS = [
    ("2020-01-01 22:00:30,1.1", "wrong number of fields"),
    ("2020-01-01 22:00:30,1.1,1.2,5,9", "wrong number of fields"),
    (b"\xff\xfe rubbish \xff", "wrong number of fields"),
    ("2020-01-01 22:00:30,oops,1.2,5", "price is missing or not a number"),
    ("2020-01-01 22:00:30,,1.2,5", "price is missing or not a number"),
    ("2020-01-01 22:00:30,NaN,1.2,5", "price is missing or not a number"),
    ("2020-01-01 22:00:30,1.1.1,1.2,5", "price is missing or not a number"),
    (b"2020-01-01 22:00:30,1.1,\xff,5", "price is missing or not a number"),
    ("2020-01-01 22:00:30,1.1,inf,5", "price is not finite"),
    ("2020-01-01 22:00:30,-inf,1.2,5", "price is not finite"),
    ("2020-01-01 22:00:30,1.1,1e999,5", "price is not finite"),
    ("2020-01-01 22:00:30,0,1.2,5", "price is not positive"),
    ("2020-01-01 22:00:30,-1.1,1.2,5", "price is not positive"),
    ("2020-01-01 22:00:30,1.3,1.2,5", "ask is below bid"),
    ("yesterday,1.1,1.2,5", "time cannot be read"),
    ("2020-02-30 22:00:30,1.1,1.2,5", "time cannot be read"),
    (",1.1,1.2,5", "time cannot be read"),
    ("2020-01-01 21:00:00,1.1,1.2,5", "out of time order"),
    ("2099-01-01 21:00:00,1.1,1.2,5", "out of time order"),
    ("2020-01-01 22:00:30,1.1,1.2,many", "volume is not a number of at least 0"),
    ("2020-01-01 22:00:30,1.1,1.2,-1", "volume is not a number of at least 0"),
    ('2020-01-01 22:00:30,"1.1,1.2,5', "price is missing or not a number"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS)
def test_a_bad_row_is_dropped_counted_and_named(
    write: Write, eurusd: Instrument, config: MarketConfig, bad: str | bytes, reason: str
) -> None:
    raw = bad if isinstance(bad, bytes) else bad.encode()
    good = [row.encode() for row in ticks(100)]
    # The head is sound; the bad row stands between the 31st and the 32nd sound one.
    rows = [b"timestamp,bid,ask,volume", *good[:31], raw, *good[31:]]
    loaded = load(write("EURUSD.csv", b"\n".join(rows)), eurusd, config)
    report = loaded.report
    assert report.counts == {reason: 1}
    assert [str(row) for row in report.bad] == [f"EURUSD.csv:33 {reason}"]
    assert (report.rows_read, report.rows_kept) == (101, 100)
    assert (loaded.columns.ts == T0 + SEC * np.arange(100)).all()


def test_lines_are_counted_right_among_blank_and_broken_ones(
    write: Write, eurusd: Instrument, lenient: MarketConfig
) -> None:
    good = ticks(6)
    rows = ["", good[0], "x", "", good[1], "x,y", good[2], "2020-01-01 22:00:02,2.1,1.2,5", ""]
    report = load(write("f.csv", file_of(rows)), eurusd, lenient).report
    assert sorted((row.line, row.reason) for row in report.bad) == [
        (4, "wrong number of fields"),
        (7, "wrong number of fields"),
        (9, "ask is below bid"),
    ]
    assert (report.rows_read, report.rows_kept) == (6, 3)


@pytest.mark.parametrize("stamps", ["compact", "epoch"])
def test_broken_stamps_of_other_kinds(
    write: Write, eurusd: Instrument, lenient: MarketConfig, stamps: str
) -> None:
    broken = {
        "compact": [
            "20200101 17000",
            "20201301 170000000",
            "20200230 170000000",
            "2020010a 170000000",
        ],
        "epoch": ["12", "99999999999999999999", "1577916000.5", "tomorrow"],
    }[stamps]
    sound = {
        "compact": [f"20200101 1700{i:02d}000" for i in range(20)],
        "epoch": [str(T0 // SEC + i) for i in range(20)],
    }[stamps]
    header = "" if stamps == "compact" else "ts,bid,ask\n"
    text = header + "".join(f"{stamp},1.1,1.2\n" for stamp in sound[:15] + broken + sound[15:])
    loaded = load(write("f.csv", text), eurusd, lenient)
    assert loaded.report.counts == {"time cannot be read": 4}
    assert loaded.columns.ts.tolist() == [T0 + SEC * i for i in range(20)]


def test_rows_of_another_pair_are_dropped(
    write: Write, eurusd: Instrument, lenient: MarketConfig
) -> None:
    text = "".join(
        f"{pair},20200101 22:00:0{i}.000,1.1,1.2\n"
        for i, pair in enumerate(["EUR/USD", "GBP/USD", "EUR/USD"])
    )
    report = load(write("f.csv", text), eurusd, lenient).report
    assert report.counts == {"belongs to another symbol": 1}


def test_an_empty_volume_is_zero(write: Write, eurusd: Instrument, config: MarketConfig) -> None:
    rows = ["2020-01-01 22:00:00,1.1,1.2,", "2020-01-01 22:00:01,1.1,1.2,7"]
    columns = load(write("f.csv", file_of(rows)), eurusd, config).columns
    assert columns.volume.tolist() == [0.0, 7.0]


def test_equal_stamps_of_ticks_keep_their_order(
    write: Write, eurusd: Instrument, config: MarketConfig
) -> None:
    rows = [f"2020-01-01 22:00:00,1.{i},1.9,0" for i in (3, 1, 2)]
    columns = load(write("f.csv", file_of(rows)), eurusd, config).columns
    assert columns.bid.tolist() == [1.3, 1.1, 1.2]


def test_too_many_bad_rows_are_refused_by_name(
    write: Write, eurusd: Instrument, config: MarketConfig
) -> None:
    rows = [*ticks(97), *["2020-01-01 22:03:00,1.3,1.2,5"] * 3]
    with pytest.raises(BadInput) as refusal:
        load(write("EURUSD.csv", file_of(rows)), eurusd, config)
    assert str(refusal.value) == (
        "EURUSD.csv: 3 of 100 rows are bad (3.00%), more than the 2.00% allowed; the first are "
        "EURUSD.csv:99 ask is below bid; EURUSD.csv:100 ask is below bid; "
        "EURUSD.csv:101 ask is below bid"
    )
    borne = file_of([*ticks(98), *rows[-2:]])
    assert load(write("EURUSD.csv", borne), eurusd, config).report.rows_kept == 98


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("f.csv", "", "is empty"),
        ("f.csv", "\n \n", "is empty"),
        ("f.csv", "timestamp,bid,ask\n", "a header and no rows"),
        ("f.csv", "hello\nworld\n", "no known format"),
        ("f.csv", "{'a': 1}", "no known format"),
        ("f.csv", "bid,ask\n1,2\n", "no time column"),
        ("f.csv", "ts,bid,ask\nnever,1,2\n", "time column that cannot be read"),
        ("f.csv", b"\x00\x01\x02", "neither text nor Parquet"),
        ("f.csv.gz", b"no gzip", "cannot be read"),
        ("f.parquet", b"PAR1 but nothing else", "cannot be read as Parquet"),
        ("GBPUSD-2020.csv", file_of(ticks(3)), "is a file of GBPUSD, not of EURUSD"),
        ("EURUSD-bid.csv", "timestamp,open,high,low,close\n2020-01-01,1,1,1,1\n", "its other side"),
        ("f.csv", "time,open,high,low,close\n2020-01-01 00:00,1,1,1,1\n", "too few sound bars"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(
    write: Write, eurusd: Instrument, config: MarketConfig, name: str, text: str, says: str
) -> None:
    with pytest.raises(BadInput, match=says) as refusal:
        load(write(name, text), eurusd, config)
    assert "\n" not in str(refusal.value)
    assert name.split("-bid", maxsplit=1)[0] in str(refusal.value)


def test_wrong_paths_are_refused(tmp_path: Path, eurusd: Instrument, config: MarketConfig) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        load(tmp_path / "nowhere", eurusd, config)
    with pytest.raises(BadInput, match="holds no file for EURUSD; it holds no data file"):
        load(tmp_path, eurusd, config)
    (tmp_path / "GBPUSD.csv").write_text(file_of(ticks(2)))
    with pytest.raises(BadInput, match=r"holds no file for EURUSD; it holds GBPUSD\.csv"):
        load(tmp_path, eurusd, config)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_archive_is_refused_by_name(
    tmp_path: Path, eurusd: Instrument, config: MarketConfig, damage: str
) -> None:
    # Long enough that the head is sound, so that only the read itself meets the damage.
    prices = np.random.default_rng(1).uniform(1.1, 1.2, 40_000)
    text = "ts,bid,ask\n" + "".join(f"{T0 // SEC + i},{p:.5f},1.3\n" for i, p in enumerate(prices))
    packed = bytearray(gzip.compress(text.encode()))
    if damage == "cut":
        del packed[-8:]
    else:
        packed[-6] ^= 0xFF
    path = tmp_path / "EURUSD.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(BadInput, match=r"EURUSD\.csv\.gz cannot be read") as refusal:
        load(path, eurusd, config)
    assert "\n" not in str(refusal.value)


def test_what_is_no_regular_file_is_refused_or_passed_over(
    write: Write, eurusd: Instrument, config: MarketConfig
) -> None:
    with pytest.raises(BadInput, match="/dev/null is neither a file nor a folder"):
        load(Path("/dev/null"), eurusd, config)
    path = write("EURUSD-ticks.csv", file_of(ticks(3)))
    (path.parent / "EURUSD.csv").mkdir()
    assert load(path.parent, eurusd, config).report.files == ("EURUSD-ticks.csv",)


def test_a_file_without_the_right_to_read_is_refused_by_name(
    write: Write, eurusd: Instrument, config: MarketConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    # Root may read everything, so the refusal has to be staged.
    monkeypatch.setattr(sources_module, "is_parquet", refuse)
    with pytest.raises(BadInput, match=r"EURUSD\.csv cannot be read: Permission denied"):
        load(write("EURUSD.csv", file_of(ticks(3))), eurusd, config)


def test_a_folder_is_joined_in_time_order_without_overlap(
    write: Write, eurusd: Instrument, lenient: MarketConfig
) -> None:
    write("EURUSD-a-later.csv", file_of(ticks(10, first=8)))
    path = write("EURUSD-b-earlier.csv", file_of(ticks(10)))
    loaded = load(path.parent, eurusd, lenient)
    assert loaded.report.files == ("EURUSD-b-earlier.csv", "EURUSD-a-later.csv")
    # A tick with the very last stamp of the earlier file may be another tick: it stays.
    assert loaded.report.counts == {"overlaps an earlier file": 1}
    assert (np.diff(loaded.columns.ts) >= 0).all()
    assert loaded.report.rows_read == 20


def test_mixed_folders_are_refused(write: Write, eurusd: Instrument, config: MarketConfig) -> None:
    write("EURUSD-m.csv", bars(5, 60))
    path = write("EURUSD-t.csv", file_of(ticks(5)))
    with pytest.raises(BadInput, match="mixes bars and csv files for EURUSD"):
        load(path.parent, eurusd, config)
    path.unlink()
    write("EURUSD-h.csv", bars(5, 3_600))
    with pytest.raises(BadInput, match="bars of different lengths"):
        load(path.parent, eurusd, config)


def bars(count: int, secs: int, extra: str = "", *, shift: float = 0.0, first: int = 0) -> str:
    rows = [
        f"{T0 // SEC + secs * i},{1.1 + shift},{1.3 + shift},{1.0 + shift},{1.2 + shift}\n"
        for i in range(first, first + count)
    ]
    return "time,open,high,low,close\n" + "".join(rows) + extra


def test_bars_off_the_grid_repeated_or_impossible_are_dropped(
    write: Write, eurusd: Instrument, lenient: MarketConfig
) -> None:
    at = T0 // SEC
    extra = (
        f"{at + 300},1.1,1.3,1.0,1.2\n"  # repeats the sixth bar
        f"{at + 630},1.1,1.3,1.0,1.2\n"
        f"{at + 660},1.1,1.15,1.0,1.2\n"
    )
    loaded = load(write("f.csv", bars(10, 60, extra)), eurusd, lenient)
    assert loaded.report.counts == {
        "stamp is repeated": 1,
        "stamp is off the bar grid": 1,
        "high or low does not contain open and close": 1,
    }
    assert loaded.columns.ts.tolist() == [T0 + 60 * SEC * (i + 1) for i in range(10)]


def test_a_pair_of_sides_is_joined_and_every_loss_counted_once(
    write: Write, eurusd: Instrument, lenient: MarketConfig
) -> None:
    at = T0 // SEC
    write("EURUSD-ask.csv", bars(8, 60, f"{at + 480},1,1,1,oops\nbroken\n", shift=0.001))
    path = write(
        "EURUSD-bid.csv",
        bars(7, 60, f"{at + 480},1.1,1.3,1.0,1.2\n{at + 540},1,1,1,1\n", first=1),
    )
    loaded = load(path, eurusd, lenient)
    assert loaded.report.counts == {
        "wrong number of fields": 1,  # ask: "broken"
        "no bar of the other side at this time": 2,  # ask 0 and bid 540
        "price is missing or not a number": 1,
    }
    assert loaded.report.rows_kept == 7
    assert loaded.report.files == ("EURUSD-bid.csv", "EURUSD-ask.csv")
    assert loaded.columns.ts.tolist() == [T0 + 60 * SEC * (i + 2) for i in range(7)]
    assert loaded.columns.ask == pytest.approx(loaded.columns.bid + 0.001)
    assert loaded.columns.open == pytest.approx(np.full(7, 1.1005))


def test_parquet_ticks_and_bars(tmp_path: Path, eurusd: Instrument, config: MarketConfig) -> None:
    stamps = pa.array([T0 // 1000, T0 // 1000 + 1], pa.timestamp("us", "UTC"))
    table = pa.table({"Timestamp": stamps, "bid": [1.1, 1.1], "ask": [1.2, 1.2]})
    pq.write_table(table, tmp_path / "EURUSD.parquet")
    loaded = load(tmp_path, eurusd, config)
    assert loaded.report.format == "parquet"
    assert loaded.columns.ts.tolist() == [T0, T0 + 1000]
    bar = {"span": [60 * SEC], "open": [1.15], "high": [1.2], "low": [1.1], "volume": [4]}
    pq.write_table(
        pa.table({"ts": [T0], "bid": [1.1], "ask": [1.2], **bar}), tmp_path / "EURUSD.parquet"
    )
    columns = load(tmp_path, eurusd, config).columns
    assert (columns.span[0], columns.high[0], columns.volume[0]) == (60 * SEC, 1.2, 4.0)
    pq.write_table(pa.table({"ts": [T0], "bid": [1.1]}), tmp_path / "EURUSD.parquet")
    with pytest.raises(BadInput, match="lacks a column"):
        load(tmp_path, eurusd, config)


def longest_naive(stamps: list[int]) -> int:
    best = [1] * len(stamps)
    for i, stamp in enumerate(stamps):
        for j in range(i):
            if stamps[j] <= stamp:
                best[i] = max(best[i], best[j] + 1)
    return max(best, default=0)


@given(st.lists(st.integers(0, 12), max_size=40))
def test_order_check_drops_the_fewest_rows(stamps: list[int]) -> None:
    kept = longest_ordered(stamps).tolist()
    values = [stamps[at] for at in kept]
    assert values == sorted(values)
    assert kept == sorted(set(kept))
    assert len(kept) == longest_naive(stamps)


STAMP_FORMS = {
    "iso": lambda i: f"2020-01-01 22:00:{i:02d}.5",
    "zoned": lambda i: f"2020-01-01T22:00:{i:02d}+00:00",
    "compact": lambda i: f"20200101 2200{i:02d}007",
    "epoch": lambda i: str(1_577_916_000_000 + 1_000 * i),
}


@given(
    form=st.sampled_from(sorted(STAMP_FORMS)),
    rows=st.lists(
        st.tuples(
            st.one_of(
                st.floats(1e-3, 1e3), st.sampled_from(["", "NaN", "inf", "-0", "1e5", " 2 "])
            ),
            st.one_of(st.integers(0, 9), st.sampled_from(["", "null", "3.5"])),
        ),
        min_size=1,
        max_size=30,
    ),
)
@settings(max_examples=60, deadline=None)
def test_the_string_pass_reads_what_the_typed_pass_reads(
    tmp_path_factory: pytest.TempPathFactory, form: str, rows: list[tuple[object, object]]
) -> None:
    path = tmp_path_factory.mktemp("twin") / "f.csv"
    lines = [f"{STAMP_FORMS[form](i)},{bid},{volume}" for i, (bid, volume) in enumerate(rows)]
    path.write_text("\n".join(["time,bid,volume,ask", *(f"{line},2" for line in lines)]))
    layout = detect(path)
    typed, strings = read_text(path, layout), reader_module._read_strings(path, layout)
    assert typed.ts.tolist() == strings.ts.tolist()
    assert typed.lines.tolist() == strings.lines.tolist()
    for role, values in typed.values.items():
        np.testing.assert_array_equal(values, strings.values[role])
