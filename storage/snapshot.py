"""What stored quotes are called and hashed by, in every store alike."""

import hashlib
import re
from collections.abc import Iterable

import numpy as np

from core.columns import QuoteColumns
from core.errors import BadInput
from storage.sequenced import COLUMN_TYPES

DAY_NS = 86_400_000_000_000
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,63}")


def checked_symbol(symbol: str) -> str:
    """Return `symbol` when it can name quotes in every store.

    Raises
    ------
    BadInput
        When it cannot.
    """
    if not _SYMBOL.fullmatch(symbol):
        raise BadInput(f"{symbol!r} cannot be a symbol of the tick store")
    return symbol


def digest_of(days: Iterable[QuoteColumns]) -> str:
    """SHA-256 over rows given UTC day by UTC day.

    Columns are hashed in their order as little-endian bytes; no rows at all have the hash of
    nothing.
    """
    digest = hashlib.sha256()
    for part in days:
        for name, kind in COLUMN_TYPES.items():
            digest.update(np.ascontiguousarray(getattr(part, name), kind).data)
    return digest.hexdigest()
