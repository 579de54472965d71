"""Opens what the guard works with, from the settings."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from core.config import Config
from core.errors import SettingsError
from serving.access.audit import AuditLog
from serving.access.guard import Access
from serving.access.keys import KeyFile, KeyRing
from serving.access.rates import Rates
from serving.access.tickets import Tickets

log = logging.getLogger(__name__)

_LOOK_SECS = 1.0


class FollowedKeys:
    """The ring of a key file, read again when the file changes.

    Parameters
    ----------
    path : str
        Empty for none: then everybody on this machine may do everything.
    """

    def __init__(self, path: str) -> None:
        self._file = KeyFile(Path(path)) if path else None
        self._stamp = self._file.stamp() if self._file else 0
        self._ring = self._file.ring() if self._file else None

    def ring(self) -> KeyRing | None:
        """Return the keys in force, or None without a file."""
        return self._ring

    def look(self) -> None:
        """Read the file again if it changed; one that cannot be read opens nothing."""
        if self._file is None or (stamp := self._file.stamp()) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._ring = self._file.ring()
        except SettingsError as error:
            log.critical("no key is taken until this is mended: %s", error)
            self._ring = KeyRing()


@asynccontextmanager
async def open_guarding(config: Config, audit_path: Path) -> AsyncIterator[Access]:
    """Open keys and audit; follow the one and sync the other until the end.

    Raises
    ------
    SettingsError
        When the file of keys is missing or none of ours.
    JournalCorrupt
        When the audit does not verify.
    """
    serving = config.serving
    keys, audit = FollowedKeys(serving.keys), AuditLog(audit_path)
    clock = time.monotonic_ns

    async def follow() -> None:
        while True:
            await asyncio.sleep(_LOOK_SECS)
            keys.look()
            await asyncio.to_thread(audit.sync)

    task = asyncio.create_task(follow())
    try:
        yield Access(
            account=config.trading.account,
            ring=keys.ring,
            rates=Rates(serving.requests_per_sec, serving.burst_secs, clock),
            tickets=Tickets(clock),
            write=audit.write,
            orders=Rates(serving.orders_per_sec, serving.orders_burst_secs, clock),
            origins=frozenset(serving.origins),
        )
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        audit.close()
