"""Download Dukascopy's hours into an archive of ours, and from there into the tick store.

The archive is what makes a download resumable: an hour that is in it is not asked for again, and a
file is there whole or not at all. Storing again what is stored changes nothing.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.clock import SystemClock
from core.columns import QuoteColumns, concat
from core.config import Config
from core.errors import BadInput, Unavailable
from core.http_pool import Answered, Call, Failed, HttpPool, Outcome
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from flows.sources import DUKASCOPY, Sources
from market.dukascopy import HOUR_NS, Format, decode, hours, path_of
from storage.adapters import open_ticks
from storage.upkeep import maintain_ticks

TRIES = 4
RETRY_SECS = 0.5
PARALLEL = 16
DAY_NS = 24 * HOUR_NS
_MISSING = 404
_HOURS_AT_ONCE = 24 * 7
Tell = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What a download did: hours wanted, fetched now and without a file; rows read and new."""

    symbol: str
    hours: int
    fetched: int
    absent: int
    rows: int
    new: int


def _silent(_done: int, _hours: int, _rows: int) -> None:
    """Tell nobody."""


def download(
    config: Config,
    symbol: str,
    start_ns: int,
    end_ns: int,
    *,
    kind: Format = "bi5",
    replace: bool = False,
    tell: Tell = _silent,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> Downloaded:
    """Bring the ticks of ``start_ns <= hour < end_ns`` into the tick store.

    Parameters
    ----------
    tell : callable
        Called with (hours done, hours in all, rows so far).

    Raises
    ------
    BadInput
        For an unknown symbol, an empty range, a damaged file, or quotes of another source.
    Unavailable
        When the archive's server does not give an hour after several tries; what was downloaded
        stays, and the next call goes on from there.
    """
    instruments.by_symbol(symbol)
    # What ended less than an hour ago is still being written at its source.
    settled_ns = (SystemClock().now_ns() // HOUR_NS - 1) * HOUR_NS
    wanted = list(hours(start_ns, min(end_ns, settled_ns)))
    if not wanted:
        raise BadInput("there is no hour to download: the range is empty, to come, or a weekend")
    sources = Sources(config.storage.ticks)
    chosen = sources.resolve(symbol, DUKASCOPY, replace=replace)
    store = open_ticks(config.storage)
    try:
        if sources.all().get(symbol) not in (None, chosen):
            store.clear(symbol)
        sources.remember(symbol, chosen)
        archive = Archive(config, kind)
        fetched = absent = rows = new = 0
        for first in range(0, len(wanted), _HOURS_AT_ONCE):
            part = wanted[first : first + _HOURS_AT_ONCE]
            fetched += archive.fetch(
                symbol, part, partial(_shifted, tell, first, len(wanted), rows)
            )
            read = [archive.read(symbol, hour) for hour in part]
            absent += sum(columns is None for columns in read)
            found = [columns for columns in read if columns is not None and len(columns)]
            if found:
                new += store.append(symbol, concat(found))
                rows += sum(map(len, found))
            tell(first + len(part), len(wanted), rows)
        maintain_ticks(store, config.storage.keep_days, SystemClock().now_ns())
    finally:
        store.close()
    return Downloaded(symbol, len(wanted), fetched, absent, rows, new)


def _shifted(tell: Tell, before: int, hours_in_all: int, rows: int, done: int) -> None:
    tell(before + done, hours_in_all, rows)


class Archive:
    """Hours on the disk, fetched when they are missing.

    An hour that the source has no file of is remembered by a mark, so that it is not asked for
    again.
    """

    def __init__(self, config: Config, kind: Format) -> None:
        self._root = config.storage.home / "archives" / "dukascopy"
        self._url = config.market.dukascopy_url.rstrip("/")
        self._kind: Format = kind

    def fetch(self, symbol: str, wanted: Sequence[int], tell: Callable[[int], None]) -> int:
        """Download what is not here; return how many hours were."""
        missing = [hour for hour in wanted if not self._path(symbol, hour).exists()]
        tell(len(wanted) - len(missing))
        return asyncio.run(self._fetch(symbol, missing, len(wanted) - len(missing), tell))

    def read(self, symbol: str, hour_ns: int) -> QuoteColumns | None:
        """Ticks of an hour; None when the source has no file of it."""
        path = self._path(symbol, hour_ns)
        if not path.exists() or path.read_bytes() == _NONE:
            return None
        try:
            return decode(path.read_bytes(), symbol, hour_ns, self._kind)
        except BadInput:
            path.unlink()  # the next download gets it anew
            raise

    async def _fetch(
        self, symbol: str, missing: Sequence[int], done: int, tell: Callable[[int], None]
    ) -> int:
        async with HttpPool() as pool:
            outcomes = self._outcomes(pool, symbol, missing)
            count = 0
            async for outcome in outcomes:
                self._keep(symbol, missing[count], outcome)
                count += 1
                tell(done + count)
        return count

    async def _outcomes(
        self, pool: HttpPool, symbol: str, missing: Sequence[int]
    ) -> AsyncIterator[Outcome]:
        calls = [Call(f"{self._url}/{path_of(symbol, hour, self._kind)}") for hour in missing]
        at = 0
        async for outcome in pool.in_order(calls, parallel=PARALLEL):
            again = outcome
            for attempt in range(1, TRIES):
                if not again.worth_retrying:
                    break
                await asyncio.sleep(RETRY_SECS * 2 ** (attempt - 1))
                again = await pool.call(calls[at])
            yield again
            at += 1

    def _keep(self, symbol: str, hour_ns: int, outcome: Outcome) -> None:
        name = path_of(symbol, hour_ns, self._kind)
        if isinstance(outcome, Failed):
            raise Unavailable(f"{self._url}: {name}: {outcome.reason}; start again to go on")
        if not outcome.ok and outcome.status != _MISSING:
            raise Unavailable(f"{self._url}: {name}: status {outcome.status}; start again to go on")
        self._write(self._path(symbol, hour_ns), outcome)

    def _write(self, path: Path, outcome: Answered) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.partial")
        with unfinished.open("wb") as file:
            file.write(outcome.body if outcome.ok else _NONE)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    def _path(self, symbol: str, hour_ns: int) -> Path:
        return self._root / path_of(symbol, hour_ns, self._kind)


_NONE = b"none"
"""Stands for an hour that the source has no file of, so that it is not asked for again."""
