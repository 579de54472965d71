"""A pool of PostgreSQL connections with an event loop of its own, called from any thread."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import asyncpg

from core.errors import BadInput, Unavailable

Answer = TypeVar("Answer")
Connection = Any  # a pool's proxy of asyncpg.Connection
_MARGIN_SECS = 5.0


class PostgresPool:
    """Connections that are opened when first needed and given up after `idle_secs`.

    A call that fails half-way costs its connection, so that its answer can never be taken for that
    of another call. Statements are prepared once a connection, by asyncpg.

    Parameters
    ----------
    url : str
        ``postgresql://user:password@host:port/database``.
    smallest, largest : int
        Connections kept open and at most.
    timeout_secs : float
        Longest time for a statement, and for a connection.
    """

    def __init__(
        self,
        url: str,
        *,
        smallest: int = 10,
        largest: int = 50,
        idle_secs: float = 300.0,
        timeout_secs: float = 5.0,
    ) -> None:
        if not url.startswith(("postgresql://", "postgres://")):
            raise BadInput(f"{url!r} is no address postgresql://host:port/database")
        self._url, self._smallest, self._largest = url, smallest, largest
        self._idle_secs, self._timeout_secs = idle_secs, timeout_secs
        self._pool: Any = None
        self._opening = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres", daemon=True)
        self._thread.start()

    def call(
        self, work: Callable[[Connection], Awaitable[Answer]], *, secs: float | None = None
    ) -> Answer:
        """Run `work` with a connection and wait for what it returns.

        Parameters
        ----------
        secs : float, optional
            Longest time for all of it; twice the time-out of a statement when absent.

        Raises
        ------
        BadInput
            When a value does not fit its column or breaks a rule of its table.
        Unavailable
            When the server does not answer in time, or refuses.
        """
        limit = secs or 2 * self._timeout_secs
        future = asyncio.run_coroutine_threadsafe(self._with_connection(work, limit), self._loop)
        try:
            return future.result(limit + 2 * self._timeout_secs + _MARGIN_SECS)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise Unavailable("postgres: no answer") from None

    def close(self) -> None:
        """Close all connections and end the thread."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_MARGIN_SECS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), _MARGIN_SECS / 2)
            except (TimeoutError, OSError, asyncpg.PostgresError):
                self._pool.terminate()

    async def _with_connection(
        self, work: Callable[[Connection], Awaitable[Answer]], secs: float
    ) -> Answer:
        try:
            pool = await self._opened()
            connection = await pool.acquire(timeout=self._timeout_secs)
        except _FAILURES as error:
            raise _told(error) from error
        try:
            return await asyncio.wait_for(work(connection), secs)
        except _REFUSALS as error:
            raise BadInput(f"ledger: a row does not fit: {error}") from error
        except _FAILURES as error:
            connection.terminate()
            raise _told(error) from error
        finally:
            await pool.release(connection)

    async def _opened(self) -> Any:
        async with self._opening:
            if self._pool is None:
                self._pool = await _within(
                    asyncpg.create_pool(
                        self._url,
                        min_size=self._smallest,
                        max_size=self._largest,
                        max_inactive_connection_lifetime=self._idle_secs,
                        command_timeout=self._timeout_secs,
                        timeout=self._timeout_secs,
                        server_settings={"client_min_messages": "warning"},
                    ),
                    2 * self._timeout_secs,
                )
            return self._pool


async def _within(work: Awaitable[Answer], secs: float) -> Answer:
    async def awaited() -> Answer:
        return await work

    coroutine: Coroutine[Any, Any, Answer] = awaited()
    return await asyncio.wait_for(coroutine, secs)


_REFUSALS = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
)
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


def _told(error: BaseException) -> Unavailable:
    return Unavailable(f"postgres: {str(error) or type(error).__name__}")
