"""Room for the journal that is taken from the disk before it is needed.

The next segment is preallocated while the current one is written, so that fills and cancels still
find at least one segment of room on a disk that is full.
"""

import os
from pathlib import Path


class Reserve:
    """The next segment's file, preallocated beside its place.

    Parameters
    ----------
    folder : Path
    size : int
        Bytes of a segment.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / "segment.next"
        self._size = size
        self._fd = -1
        # What an earlier process left is made anew: nobody knows how far it came.
        self._path.unlink(missing_ok=True)

    @property
    def filled(self) -> bool:
        """True when the next segment has its room."""
        return self._fd >= 0

    def fill(self) -> None:
        """Preallocate; raises OSError when the disk has no room, and gives back what it took."""
        if self._fd >= 0:
            return
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, self._size)
            os.fsync(fd)
        except BaseException:
            os.close(fd)
            self._path.unlink(missing_ok=True)
            raise
        self._fd = fd

    def take(self, path: Path, header: bytes) -> int:
        """Give the room to the segment `path`, header first, and return its open file."""
        self.fill()
        fd, self._fd = self._fd, -1
        try:
            # Under its name a segment has its header, whenever the process dies.
            os.pwrite(fd, header, 0)
            self._path.rename(path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def close(self) -> None:
        """Give the room back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)
