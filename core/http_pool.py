"""Calls over HTTP by one pooled session: bounded, in order, and with outcomes instead of errors."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp

CONNECTIONS = 100
PER_HOST = 30
KEEP_ALIVE_SECS = 30.0
TOTAL_SECS = 5.0
MOST_BYTES = 64_000_000
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask; redirects are not followed."""

    url: str
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """The server answered, whatever it said."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def worth_retrying(self) -> bool:
        """Whether the same call may fare better later."""
        return self.status in {408, 425, 429} or self.status >= 500


@dataclass(frozen=True, slots=True)
class Failed:
    """No whole answer came: refused, reset, too late or too large; `reason` is for people."""

    reason: str
    worth_retrying: bool = True

    @property
    def ok(self) -> bool:
        """No."""
        return False


Outcome = Answered | Failed


class HttpPool:
    """One session for all calls of a process; an async context manager.

    Parameters
    ----------
    total_secs : float
        Longest time for a call, the wait for a connection included.
    most_bytes : int
        Largest body that is read.
    """

    def __init__(self, *, total_secs: float = TOTAL_SECS, most_bytes: int = MOST_BYTES) -> None:
        self._total_secs, self._most_bytes = total_secs, most_bytes
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS, limit_per_host=PER_HOST, keepalive_timeout=KEEP_ALIVE_SECS
        )
        timeout = aiohttp.ClientTimeout(total=self._total_secs)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, asked: Call) -> Outcome:
        """Make one call; nothing that the network does is raised."""
        if self._session is None:
            raise RuntimeError("the pool is not open")
        try:
            async with self._session.request(
                asked.method,
                asked.url,
                data=asked.body,
                headers=asked.headers,
                allow_redirects=False,
            ) as answer:
                return await self._read(answer)
        except TimeoutError:
            return Failed(f"no answer within {self._total_secs:g} s")
        except aiohttp.InvalidURL as error:
            return Failed(f"{error} is no address", worth_retrying=False)
        except (aiohttp.ClientError, OSError) as error:
            return Failed(str(error) or type(error).__name__)

    async def in_order(
        self, calls: Iterable[Call], *, parallel: int = PER_HOST
    ) -> AsyncIterator[Outcome]:
        """Yield the outcomes in the order of `calls`, with at most `parallel` of them begun.

        No more than `parallel` answers are held; leaving the loop early cancels what is begun.
        """
        waiting: deque[asyncio.Task[Outcome]] = deque()
        rest = iter(calls)
        try:
            for asked in rest:
                waiting.append(asyncio.create_task(self.call(asked)))
                if len(waiting) >= parallel:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _read(self, answer: aiohttp.ClientResponse) -> Outcome:
        body = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > self._most_bytes:
                return Failed(f"more than {self._most_bytes} bytes", worth_retrying=False)
        return Answered(answer.status, bytes(body))
