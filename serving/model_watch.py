"""Keeps the served models in step with the registry's aliases, off the event loop.

The alias in the registry is the truth and is polled. A new version is fetched, verified and warmed
in a thread; only then is it handed over, by one call on the loop. While the registry is away the
last good version stays, and a restart serves the verified local copy.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from core.errors import AppError, NotFound, Unavailable
from models.inference.artifact import LoadedModel, load_verified

log = logging.getLogger(__name__)

ALIASES = ("champion", "bootstrap")


class Pointer(msgspec.Struct, frozen=True):
    """Which version an alias names, and the hash that everything else is checked against."""

    model: str
    version: str
    alias: str
    manifest_sha256: str

    @property
    def approved(self) -> bool:
        """A champion may trade, a bootstrap version may only be watched."""
        return self.alias == "champion"


class Registry(Protocol):
    """What the watch asks of the model registry; both calls block and run in a thread."""

    def resolve(self, model: str, alias: str) -> Pointer:
        """Look the alias up; raises NotFound or Unavailable."""
        ...

    def fetch(self, pointer: Pointer, folder: Path) -> None:
        """Bring the version's files into `folder`; raises Unavailable."""
        ...


Swap = Callable[[str, LoadedModel, Pointer], None]


class ModelWatch:
    """Polls the aliases of the symbols' models and hands over what changed.

    Parameters
    ----------
    registry : Registry
        The registry's client.
    home : Path
        Where verified copies are kept: ``<home>/<model>/<version>/``.
    symbols : sequence of str
        Symbols to serve; the model of a symbol is called ``direction-<symbol>``.
    swap : callable
        Called on the loop with (symbol, model, pointer).
    """

    def __init__(
        self, registry: Registry, home: Path, symbols: tuple[str, ...], swap: Swap
    ) -> None:
        self._registry = registry
        self._home = home
        self._symbols = symbols
        self._swap = swap
        self.serving: dict[str, Pointer] = {}
        self.refused: dict[str, str] = {}
        self.reachable = False

    async def restore(self) -> None:
        """Serve the verified local copies of the last run, without asking anybody."""
        for symbol in self._symbols:
            try:
                kept = await asyncio.to_thread(self._read_kept, symbol)
            except AppError as error:
                log.warning("local copy of the model of %s is not used: %s", symbol, error)
                continue
            if kept is not None:
                self._hand_over(symbol, *kept)

    async def poll_forever(self, poll_secs: float) -> None:
        """Poll until cancelled."""
        while True:
            await self.poll()
            await asyncio.sleep(poll_secs)

    async def poll(self) -> None:
        """Look at every symbol's alias once."""
        for symbol in self._symbols:
            try:
                await self._poll_symbol(symbol)
            except NotFound:
                self.reachable = True
            except Unavailable as error:
                if self.reachable:
                    log.warning("registry is away, models stay as they are: %s", error)
                self.reachable = False
                return
            except AppError as error:
                self._refuse(symbol, str(error))

    async def _poll_symbol(self, symbol: str) -> None:
        pointer = await asyncio.to_thread(self._resolve, symbol)
        self.reachable = True
        if pointer == self.serving.get(symbol):
            return
        model = await asyncio.to_thread(self._obtain, pointer)
        self._hand_over(symbol, model, pointer)
        await asyncio.to_thread(self._keep, symbol, pointer)

    def _resolve(self, symbol: str) -> Pointer:
        name = model_name(symbol)
        champion, bootstrap = ALIASES
        try:
            return self._registry.resolve(name, champion)
        except NotFound:
            return self._registry.resolve(name, bootstrap)

    def _obtain(self, pointer: Pointer) -> LoadedModel:
        folder = self._home / pointer.model / pointer.version
        if not (folder / "manifest.json").is_file():
            self._registry.fetch(pointer, folder)
        return load_warm(folder, pointer)

    def _hand_over(self, symbol: str, model: LoadedModel, pointer: Pointer) -> None:
        self._swap(symbol, model, pointer)
        self.serving[symbol] = pointer
        self.refused.pop(symbol, None)
        log.info("%s is served by %s version %s (%s)", symbol, *_words(pointer))

    def _refuse(self, symbol: str, why: str) -> None:
        if self.refused.get(symbol) != why:
            log.error("model of %s is refused, the last good one stays: %s", symbol, why)
        self.refused[symbol] = why

    def _kept_file(self, symbol: str) -> Path:
        return self._home / model_name(symbol) / "serving.json"

    def _keep(self, symbol: str, pointer: Pointer) -> None:
        file = self._kept_file(symbol)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".tmp")
        partial.write_bytes(msgspec.json.encode(pointer))
        partial.replace(file)

    def _read_kept(self, symbol: str) -> tuple[LoadedModel, Pointer] | None:
        file = self._kept_file(symbol)
        if not file.is_file():
            return None
        try:
            pointer = msgspec.json.decode(file.read_bytes(), type=Pointer)
        except msgspec.DecodeError as error:
            raise NotFound(f"{file} cannot be read: {error}") from None
        return load_warm(self._home / pointer.model / pointer.version, pointer), pointer


def model_name(symbol: str) -> str:
    """Name of a symbol's model in the registry."""
    return f"direction-{symbol}"


def load_warm(folder: Path, pointer: Pointer) -> LoadedModel:
    """Load and verify a version; the canary rows it is checked with also warm it."""
    model = load_verified(folder, pointer.manifest_sha256)
    model.version = pointer.version
    return model


def _words(pointer: Pointer) -> tuple[str, str, str]:
    return pointer.model, pointer.version, pointer.alias
