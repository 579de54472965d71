"""Passes the engine's events to the session recording, and outlives a recording that fails.

What is recorded was done already, so a full disk must not look like a failed order: the failure is
latched, told once and counted, and trading goes on without a recording.
"""

import logging

from trading.events import Event
from trading.recording import SessionWriter

log = logging.getLogger(__name__)


class Recorder:
    """Writes to a recording once there is one.

    Attributes
    ----------
    failed : bool
        True from the first failure on; nothing is written any more.
    lost : int
        Events that came after the failure.
    """

    def __init__(self) -> None:
        self.writer: SessionWriter | None = None
        self.failed = False
        self.lost = 0

    def write(self, event: Event) -> None:
        """Record one event; never raises."""
        if self.failed:
            self.lost += 1
        elif self.writer is not None:
            try:
                self.writer.write(event)
            except Exception as error:  # noqa: BLE001 - the order has left, whatever this was
                self._fail(error)

    def flush(self) -> None:
        """Hand what is buffered to the operating system; never raises."""
        if self.writer is not None and not self.failed:
            try:
                self.writer.flush()
            except OSError as error:
                self._fail(error)

    def close(self) -> None:
        """Flush and close; never raises."""
        self.flush()
        if self.writer is not None:
            try:
                self.writer.close()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.failed:
            self.failed = True
            log.critical("the session is not recorded any more, trading goes on: %s", error)
