"""What a load kept, what it dropped, and why."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.columns import QuoteColumns

MAX_LISTED = 100
"""Bad rows that a report lists; all are counted."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A dropped row: `line` is counted from 1, a header included (for Parquet: the row)."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.reason}"


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What happened to the rows of a load; ``rows_read == rows_kept + sum(counts.values())``.

    Attributes
    ----------
    format : str
        Detected format, such as "histdata".
    files : tuple of str
        Names of the files read, in time order.
    rows_read : int
        Records in the files; a bid row and its ask row are one record.
    rows_kept : int
        Rows in the columns.
    bad : tuple of BadRow
        The first `MAX_LISTED` dropped rows.
    counts : dict
        Dropped rows per reason.
    """

    format: str
    files: tuple[str, ...]
    rows_read: int
    rows_kept: int
    bad: tuple[BadRow, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def rows_dropped(self) -> int:
        """Rows that were read and not kept."""
        return sum(self.counts.values())

    def summary(self) -> str:
        """One sentence for people."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.counts.items()))
        dropped = f", {self.rows_dropped} dropped ({reasons})" if self.counts else ""
        names = ", ".join(self.files)
        return f"{names}: {self.format}, {self.rows_kept} of {self.rows_read} rows kept{dropped}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Clean columns and the report on how they came about."""

    columns: QuoteColumns
    report: LoadReport


class Faults:
    """Collects the dropped rows of one source."""

    def __init__(self) -> None:
        self.listed: list[BadRow] = []
        self.counts: Counter[str] = Counter()

    def add(self, path: Path, lines: NDArray[np.int64], reason: str) -> None:
        """Count the rows at `lines` of the file, and list them while there is room."""
        if len(lines) == 0:
            return
        self.counts[reason] += len(lines)
        room = MAX_LISTED - len(self.listed)
        self.listed += [BadRow(path.name, line, reason) for line in lines[: max(room, 0)].tolist()]

    @property
    def total(self) -> int:
        """Rows dropped so far."""
        return self.counts.total()
