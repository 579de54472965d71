"""What a training that was killed goes on from: arrays and a few words, without a pickle.

A file holds the state after a whole epoch, its name says what is trained on what. It appears under
its name only when it is complete.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

Arrays = dict[str, np.ndarray]

log = logging.getLogger(__name__)


def key_of(words: str, arrays: Iterable[np.ndarray]) -> str:
    """Hash of settings and data; equal keys may go on from each other's state."""
    digest = hashlib.sha256(words.encode())
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


class Checkpoint:
    """The newest state of one training.

    Parameters
    ----------
    folder : Path, optional
        Where states are kept; without one nothing is.
    key : str
        What is trained, see `key_of`.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._file = None if folder is None else folder / f"{key}.npz"

    def save(self, arrays: Arrays) -> None:
        """Replace the state, whole or not at all, and on disk before this returns."""
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(f".{os.getpid()}.tmp")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._file)

    def load(self) -> Arrays | None:
        """Return the state; None when there is none, or none that can be read."""
        if self._file is None or not self._file.is_file():
            return None
        try:
            with self._file.open("rb") as file, np.load(file, allow_pickle=False) as found:
                return {name: found[name] for name in found.files}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
            log.warning("%s cannot be read, training begins anew: %s", self._file, error)
            return None


def forget(folder: Path) -> None:
    """Drop the states of trainings that have ended."""
    shutil.rmtree(folder, ignore_errors=True)
