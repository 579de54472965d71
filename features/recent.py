"""The newest rows of one instrument, side by side, for models that read a window of them."""

import numpy as np

from core.columns import I8
from features.blocks import F4


class RecentRows:
    """Keeps the last `window` rows, oldest first, without moving them at each one.

    Rows are written one after another into an array of several windows' length; at its end the last
    ones are moved to its beginning. So the window is always one piece of memory.

    Attributes
    ----------
    rows : float32[several windows, n_features]
    count : int64[2]
        Rows that are kept, up to `window`; position after the newest one.
    """

    __slots__ = ("_end", "count", "rows", "window")

    def __init__(self, n_features: int, window: int) -> None:
        self.window = window
        self._end = 8 * window
        self.rows: F4 = np.zeros((self._end, n_features), np.float32)
        self.count: I8 = np.zeros(2, np.int64)

    def push(self, row: F4) -> F4 | None:
        """Add a row; return the window float32[window, n_features] once it is full.

        It is valid until the next call.
        """
        kept, at = self.count.tolist()
        if at == self._end:
            at = self.window - 1
            self.rows[:at] = self.rows[self._end - at :]
        self.rows[at] = row
        self.count[1] = at + 1
        if kept < self.window:
            kept += 1
            self.count[0] = kept
        return self.rows[at + 1 - self.window : at + 1] if kept == self.window else None

    def full(self) -> bool:
        """Whether there are as many rows as the window takes."""
        return int(self.count[0]) == self.window

    def kept(self) -> F4:
        """Return a view of the rows that are kept: the window, once it is full."""
        kept, at = self.count.tolist()
        return self.rows[at - kept : at]

    def with_row(self, row: F4) -> F4 | None:
        """Copy of the window as it would be after `row`; None when it would not be full."""
        kept, at = self.count.tolist()
        if kept < self.window - 1:
            return None
        out = np.empty((self.window, self.rows.shape[1]), np.float32)
        out[:-1] = self.rows[at + 1 - self.window : at]
        out[-1] = row
        return out

    def fill(self, rows: F4) -> None:
        """Begin anew with the last of these rows."""
        kept = rows[len(rows) - min(len(rows), self.window) :]
        self.rows[: len(kept)] = kept
        self.count[:] = len(kept)

    def clear(self) -> None:
        """Forget all rows."""
        self.count[:] = 0
