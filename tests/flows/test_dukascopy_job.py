"""Downloads from a local server with generated files: whole, resumed, in the same tick store."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from typer.testing import CliRunner

from cli.main import app
from core.config import Config, MarketConfig, StorageConfig
from core.errors import BadInput, Unavailable
from flows import dukascopy_job
from flows.dukascopy_job import download
from flows.ingest_job import ingest, known_symbols
from market.dukascopy import HOUR_NS, hours, path_of
from storage.parquet import TickStore
from tests.market.test_dukascopy import Row, as_csv, packed

MONDAY = int(datetime(2020, 1, 13, tzinfo=UTC).timestamp()) * 10**9
DAY_NS = 24 * HOUR_NS
END = MONDAY + 2 * DAY_NS


def rows_of(hour_ns: int) -> list[Row]:
    rng = np.random.default_rng(hour_ns // HOUR_NS)
    ms = np.sort(rng.integers(0, 3_600_000, 40)).tolist()
    bids = (110_000 + np.cumsum(rng.integers(-5, 6, 40))).tolist()
    return [(at, bid + 12, bid, 1.5, 0.25) for at, bid in zip(ms, bids, strict=True)]


class Server:
    """The archive; some hours are absent or empty, and calls fail as long as they are told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing: dict[str, int] = {}
        self.absent: set[str] = set()
        self.files: dict[str, bytes] = {}
        for hour in hours(MONDAY, END):
            rows = rows_of(hour)
            self.files[path_of("EURUSD", hour, "bi5")] = packed(rows)
            self.files[path_of("EURUSD", hour, "csv")] = as_csv(rows, hour)
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        application = web.Application()
        application.router.add_get("/feed/{path:.+}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/feed"
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.asked.append(path)
        if self.failing.get(path, 0):
            self.failing[path] -= 1
            return web.Response(status=503)
        if path in self.absent or path not in self.files:
            return web.Response(status=404)
        return web.Response(body=self.files[path])

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(dukascopy_job, "RETRY_SECS", 0.001)
    running = Server()
    yield running
    running.close()


@pytest.fixture
def config(server: Server, tmp_path: Path) -> Config:
    market = MarketConfig(dukascopy_url=server.url)
    return replace(Config(), storage=StorageConfig(home=tmp_path / "var"), market=market)


def stored(config: Config) -> list[tuple[int, float, float]]:
    rows = TickStore(config.storage.ticks).read("EURUSD")
    return list(zip(rows.ts.tolist(), rows.ask.tolist(), rows.bid.tolist(), strict=True))


def expected(absent: int = -1) -> list[tuple[int, float, float]]:
    return [
        (hour + ms * 1_000_000, ask / 1e5, bid / 1e5)
        for hour in hours(MONDAY, END)
        if hour != absent
        for ms, ask, bid, *_ in rows_of(hour)
    ]


@pytest.mark.parametrize("kind", ["bi5", "csv"])
def test_every_tick_reaches_the_store_once(config: Config, server: Server, kind) -> None:
    told: list[tuple[int, int, int]] = []
    done = download(config, "EURUSD", MONDAY, END, kind=kind, tell=lambda *now: told.append(now))
    assert (done.hours, done.fetched, done.absent) == (48, 48, 0)
    assert (done.rows, done.new) == (48 * 40, 48 * 40)
    assert stored(config) == expected()
    assert [one[0] for one in told] == sorted(one[0] for one in told)
    assert told[-1] == (48, 48, 48 * 40)
    assert known_symbols(config) == ("EURUSD",)
    again = download(config, "EURUSD", MONDAY, END, kind=kind)
    assert (again.fetched, again.new) == (0, 0)
    assert len(server.asked) == 48, "what is in the archive is not asked for again"


def test_a_download_that_broke_off_goes_on(config: Config, server: Server) -> None:
    broken = path_of("EURUSD", MONDAY + 30 * HOUR_NS, "bi5")
    server.failing[broken] = 10**6
    with pytest.raises(Unavailable, match="503; start again to go on"):
        download(config, "EURUSD", MONDAY, END)
    kept = {path for path in server.asked if path != broken}
    server.failing[broken] = 2  # and then it is well
    server.asked.clear()
    done = download(config, "EURUSD", MONDAY, END)
    assert done.rows == 48 * 40
    assert stored(config) == expected()
    asked_twice = kept & set(server.asked)
    assert len(asked_twice) <= dukascopy_job.PARALLEL, "at most what was on its way"
    assert not list(config.storage.home.rglob("*.partial"))


def test_hours_without_a_file_are_remembered_and_damaged_ones_fetched_again(
    config: Config, server: Server
) -> None:
    gone = MONDAY + 3 * HOUR_NS
    server.absent.add(path_of("EURUSD", gone, "bi5"))
    torn = path_of("EURUSD", MONDAY + 5 * HOUR_NS, "bi5")
    whole, server.files[torn] = server.files[torn], server.files[torn][:-20]
    with pytest.raises(BadInput, match="05h_ticks"):
        download(config, "EURUSD", MONDAY, END)
    server.files[torn] = whole
    server.asked.clear()
    done = download(config, "EURUSD", MONDAY, END)
    assert (done.absent, server.asked) == (1, [torn])
    assert stored(config) == expected(absent=gone)


def test_sources_do_not_mix_and_ranges_must_hold_an_hour(config: Config, tmp_path: Path) -> None:
    rows = ["timestamp,bid,ask,volume"]
    rows += [f"2024-01-08T00:00:{second:02d}Z,1.2000,1.2001,1" for second in range(40)]
    (tmp_path / "EURUSD.csv").write_text("\n".join(rows) + "\n")
    ingest(config, "EURUSD", str(tmp_path / "EURUSD.csv"))
    with pytest.raises(BadInput, match="already has quotes"):
        download(config, "EURUSD", MONDAY, END)
    download(config, "EURUSD", MONDAY, END, replace=True)
    assert stored(config) == expected()
    saturday = MONDAY + 5 * DAY_NS
    for first, end in ((saturday, saturday + DAY_NS), (END, MONDAY), (2**62, 2**62 + DAY_NS)):
        with pytest.raises(BadInput, match="no hour"):
            download(config, "EURUSD", first, end)


def test_the_flow_takes_the_newest_days_of_a_symbol_whose_source_it_is(
    config: Config, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Then:
        def now_ns(self) -> int:
            return END + 2 * HOUR_NS

    for module in ("flows.dukascopy_job", "flows.ingest_job"):
        monkeypatch.setattr(f"{module}.SystemClock", Then)
    market = replace(config.market, dukascopy_days=2)
    found = ingest(replace(config, market=market), "EURUSD", "dukascopy")
    assert (found.source, found.rows_new) == ("dukascopy", 48 * 40)
    assert stored(config) == expected()


def test_the_command(config: Config, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKPATH_STORAGE__HOME", str(config.storage.home))
    monkeypatch.setenv("TICKPATH_MARKET__DUKASCOPY_URL", server.url)
    asked = ["ingest", "dukascopy", "--symbol", "EURUSD", "--to", "2020-01-15", "--from"]
    found = CliRunner().invoke(app, [*asked, "2020-01-13"], catch_exceptions=False)
    assert found.exit_code == 0
    assert "48 hours, 48 of them fetched now" in found.output
    assert stored(config) == expected()
    wrong = CliRunner().invoke(app, [*asked, "yesterday"])
    assert isinstance(wrong.exception, BadInput)
