"""Keeps the served models in step with the registry's aliases, off the event loop.

The alias in the registry is the truth and is polled. A new version is fetched, verified and warmed
in a thread; only then is it handed over, by one call on the loop. While the registry is away the
last good version stays, and a restart serves the verified local copy.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from core.errors import AppError, NotFound, Unavailable
from models.inference.artifact import LoadedModel, load_verified
from models.manifest import model_name
from registry.loading import SERVING_FILE, RegisteredVersion

log = logging.getLogger(__name__)


class Registry(Protocol):
    """What the watch asks of `registry.loading.RegistryReader`; both block, so run in a thread."""

    def resolve_serving(self, model: str) -> RegisteredVersion:
        """Return the champion, else the bootstrap version; raises NotFound or Unavailable."""
        ...

    def fetch(self, version: RegisteredVersion) -> Path:
        """Return the verified local folder of a version, downloading it unless it is there."""
        ...

    def roll_back(self, model: str, *, actor: str, reason: str, version: str = "") -> object:
        """Make a former champion the champion again; raises NotFound, Conflict, Unavailable."""
        ...


Swap = Callable[[str, LoadedModel, RegisteredVersion], Awaitable[object]]
ABSENT_EVERY = 3


class ModelWatch:
    """Polls the aliases of the symbols' models and hands over what changed.

    Parameters
    ----------
    registry : Registry
        The registry's reader.
    home : Path
        Where the pointers to the last good versions are kept across restarts.
    symbols : sequence of str
        Symbols to serve; the model of a symbol is called ``direction-<symbol>``.
    swap : callable
        Awaited with (symbol, model, version); raises ArtifactRefused when it will not take it.

    Attributes
    ----------
    serving : dict of str to RegisteredVersion
        Version that serves each symbol.
    refused : dict of str to str
        Why the newest version of a symbol is not served.
    refusals, failures : int
        Polls of a symbol that ended in a refusal; polls that broke.
    """

    def __init__(
        self, registry: Registry, home: Path, symbols: tuple[str, ...], swap: Swap
    ) -> None:
        self._registry = registry
        self._home = home
        self._symbols = symbols
        self._swap = swap
        self.serving: dict[str, RegisteredVersion] = {}
        self.refused: dict[str, str] = {}
        self.reachable = False
        self.swaps = 0
        self.refusals = 0
        self.failures = 0
        self._absent: set[str] = set()
        self._woken = asyncio.Event()
        self._round = 0

    async def restore(self) -> None:
        """Serve the verified local copies of the last run, without asking anybody."""
        for symbol in self._symbols:
            try:
                kept = await asyncio.to_thread(self._read_kept, symbol)
            except (AppError, OSError) as error:
                log.warning("local copy of the model of %s is not used: %s", symbol, error)
                continue
            if kept is not None:
                await self._hand_over(symbol, *kept)

    async def poll_forever(self, poll_secs: float, jitter: float = 0.0) -> None:
        """Poll until cancelled, every `poll_secs` give or take the share `jitter` of it."""
        while True:
            self._woken.clear()  # a notice during the poll asks for another one
            try:
                await self.poll()
            except Exception as error:  # a poll that breaks must not be the last one
                self.failures += 1
                log.critical("models were not looked at: %s", error, exc_info=error)
            spread = random.uniform(-jitter, jitter)  # noqa: S311 - nothing secret hangs on it
            with suppress(TimeoutError):
                async with asyncio.timeout(poll_secs * (1.0 + spread)):
                    await self._woken.wait()

    def wake(self) -> None:
        """Poll at once: somebody gave notice."""
        self._woken.set()

    async def poll(self) -> None:
        """Look at every symbol's alias once; models that do not exist only now and then."""
        self._round += 1
        for symbol in self._symbols:
            if symbol in self._absent and self._round % ABSENT_EVERY:
                continue
            try:
                await self._poll_symbol(symbol)
            except NotFound:
                self.reachable = True
                self._absent.add(symbol)
            except Unavailable as error:
                if self.reachable:
                    log.warning("registry is away, models stay as they are: %s", error)
                self.reachable = False
                return
            except (AppError, OSError) as error:
                self._refuse(symbol, str(error))

    async def roll_back(self, symbol: str, version: str, actor: str, reason: str) -> None:
        """Make a former champion serve `symbol` again; it has been swapped in on return.

        Raises
        ------
        NotFound
            When there was no such champion.
        ArtifactRefused, Unavailable, Conflict
            When it does not load, or something else was first; nothing changes then.
        """
        await asyncio.to_thread(
            self._registry.roll_back,
            model_name(symbol),
            actor=actor,
            reason=reason,
            version=version,
        )
        await self._poll_symbol(symbol)

    async def _poll_symbol(self, symbol: str) -> None:
        version = await asyncio.to_thread(self._registry.resolve_serving, model_name(symbol))
        self.reachable = True
        self._absent.discard(symbol)
        if _same(version, self.serving.get(symbol)):
            return
        model = await asyncio.to_thread(self._obtain, version)
        await self._hand_over(symbol, model, version)
        await asyncio.to_thread(self._keep, symbol, version)

    def _obtain(self, version: RegisteredVersion) -> LoadedModel:
        model = load_verified(self._registry.fetch(version), version.manifest_sha256)
        model.version = version.version
        model.warm()
        return model

    async def _hand_over(self, symbol: str, model: LoadedModel, version: RegisteredVersion) -> None:
        await self._swap(symbol, model, version)
        self.serving[symbol] = version
        self.refused.pop(symbol, None)
        self.swaps += 1
        words = (version.model, version.version, version.alias)
        log.info("%s is served by %s version %s (%s)", symbol, *words)

    def _refuse(self, symbol: str, why: str) -> None:
        if self.refused.get(symbol) != why:
            log.error("model of %s is refused, the last good one stays: %s", symbol, why)
        self.refused[symbol] = why
        self.refusals += 1

    def _kept_file(self, symbol: str) -> Path:
        return self._home / model_name(symbol) / SERVING_FILE

    def _keep(self, symbol: str, version: RegisteredVersion) -> None:
        file = self._kept_file(symbol)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".tmp")
        partial.write_bytes(msgspec.json.encode(version))
        partial.replace(file)

    def _read_kept(self, symbol: str) -> tuple[LoadedModel, RegisteredVersion] | None:
        file = self._kept_file(symbol)
        if not file.is_file():
            return None
        try:
            version = msgspec.json.decode(file.read_bytes(), type=RegisteredVersion)
        except msgspec.DecodeError as error:
            raise NotFound(f"{file} cannot be read: {error}") from None
        return self._obtain(version), version


def _same(new: RegisteredVersion, old: RegisteredVersion | None) -> bool:
    """Tags may change without any effect on what is served."""
    return old is not None and (new.version, new.alias, new.manifest_sha256) == (
        old.version,
        old.alias,
        old.manifest_sha256,
    )
