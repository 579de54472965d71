"""Predictions of rows that were scored a moment ago; for models that cost more than a look-up.

The tick path does not use it: there each row is new, and the compiled trees take about as long as
building the key. Requests for decisions by a network do: between two bars they ask for the same row
again and again (`models.pool.RequestedPredictions`).
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float32]
Key = tuple[str, str, bytes]

# Longer rows enter by their digest: 5,000 windows of 64 x 61 values would take 78 MB.
_BARE = 256
_DIGEST = 16


class PredictionCache:
    """Bounded, least recently used first out, each entry for a limited time.

    Parameters
    ----------
    now_ns : callable
        A monotonic clock.
    entries : int
        Most that are kept.
    ttl_secs : float
        Age at which an entry is of no more use.
    """

    def __init__(
        self, now_ns: Callable[[], int], entries: int = 5_000, ttl_secs: float = 30.0
    ) -> None:
        self._now_ns = now_ns
        self._entries = entries
        self._ttl_ns = round(ttl_secs * 1e9)
        self._kept: OrderedDict[Key, tuple[int, float]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def score(
        self, version: str, fingerprint: str, row: Row, predict: Callable[[Row], float]
    ) -> float:
        """Give the kept p of exactly these bytes by this version, or predict and keep it.

        Parameters
        ----------
        version, fingerprint : str
            Name with version of the model, and fingerprint of the spec that the row is of.
        row : float32[n] or float32[window, n]
            -0.0 and 0.0, and NaNs of other bits, are other rows.
        """
        key = (version, fingerprint, _bytes_of(row))
        now = self._now_ns()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < self._ttl_ns:
            self.hits += 1
            self._kept.move_to_end(key)
            return kept[1]
        self.misses += 1
        p = predict(row)
        self._kept[key] = (now, p)
        self._kept.move_to_end(key)
        if len(self._kept) > self._entries:
            self._kept.popitem(last=False)
        return p


def _bytes_of(row: Row) -> bytes:
    data = row.tobytes()
    if len(data) <= _BARE:
        return data
    return blake2b(data, digest_size=_DIGEST).digest()
