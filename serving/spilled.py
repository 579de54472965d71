"""Batch writers of the live process: rows that a store does not take wait on the disk."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from storage.batch_writer import BatchWriter
from storage.row_codec import Codec
from storage.spill import SpillFolder
from storage.spilling_sink import SpillingSink

log = logging.getLogger(__name__)


def open_writer(
    stack: AsyncExitStack,
    name: str,
    sink: Callable[[Sequence[Any]], object],
    codec: Codec,
    folder: Path,
    spill_bytes: int,
) -> BatchWriter[Any]:
    """Start a writer in front of a store; closing `stack` stores what waits.

    Parameters
    ----------
    folder : Path
        Where rows wait for a store that is away.
    spill_bytes : int
        Bound of that folder.
    """
    spill: SpillFolder[Any] = SpillFolder(folder, codec.encode, codec.decode, spill_bytes)
    spilling = SpillingSink(sink, spill, alert=log.error, name=f"{name} spill")
    stack.callback(spilling.close)
    writer: BatchWriter[Any] = BatchWriter(spilling, alert=log.error, park=_tell_parked, name=name)
    writer.start()
    stack.callback(writer.close)
    return writer


def _tell_parked(row: object, error: Exception) -> None:
    """Keep a row that the store refuses in the log, whole."""
    log.error("not stored: %s: %r", error, row)
