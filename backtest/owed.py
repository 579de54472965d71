"""Which of the venue's reports a recorded session must have heard of.

A session ends while reports are on their way, and those it need not know. All others it must:

* The order session delivers reports in the order in which they were made, so a report of an earlier
  tape position than one that was heard is owed.
* The venue sends a report before the quote that follows it. So a report is owed once the session,
  up and agreed with the venue, went on for `GRACE_NS` and the venue's own latency after it had the
  quote of the report's position and had last sent or heard something of the order.

What is left out is a report of the last second before the end or before an outage that never ended.
"""

from bisect import bisect_left

from core.types import Quote

GRACE_NS = 1_000_000_000


class Watch:
    """Follows a recording's clock, quotes and session.

    Parameters
    ----------
    grace_ns : int
        Time that a report may take.

    Attributes
    ----------
    now_ns : int
        The recording's clock; to be set before anything is told.
    """

    def __init__(self, grace_ns: int = GRACE_NS) -> None:
        self.now_ns = 0
        self._grace_ns = grace_ns
        self._up: list[tuple[int, int]] = []
        self._up_since: int | None = None
        self._reached: dict[int, tuple[list[int], list[int]]] = {}
        self._heard: dict[int, int] = {}
        self._touched: dict[str, int] = {}

    def session(self, *, ready: bool) -> None:
        """Note that the order session came up or went down."""
        if self._up_since is not None:
            self._up.append((self._up_since, self.now_ns))
        self._up_since = self.now_ns if ready else None

    def quote(self, quote: Quote) -> None:
        """Note that a quote came."""
        seqs, times = self._reached.setdefault(quote.instrument, ([], []))
        if not seqs or quote.seq > seqs[-1]:
            seqs.append(quote.seq)
            times.append(self.now_ns)

    def sent(self, client_order_id: str) -> None:
        """Note that an order or its cancel left."""
        self._touched[client_order_id] = self.now_ns

    def heard(self, client_order_id: str, instrument: int, seq: int) -> None:
        """Note that a report of this tape position came."""
        self._touched[client_order_id] = self.now_ns
        self._heard[instrument] = max(seq, self._heard.get(instrument, 0))

    def last_seq(self, instrument: int) -> int:
        """Newest tape position that a quote came of; 0 for none."""
        seqs, _ = self._reached.get(instrument, ([], []))
        return seqs[-1] if seqs else 0

    def owed(self, client_order_id: str, instrument: int, seq: int) -> bool:
        """Say whether the session must have heard of a report made at this tape position."""
        if seq < self._heard.get(instrument, 0):
            return True
        seqs, times = self._reached.get(instrument, ([], []))
        at = bisect_left(seqs, seq)
        if at == len(seqs):
            return False
        since = max(times[at], self._touched.get(client_order_id, 0))
        stretches = [*self._up]
        if self._up_since is not None:
            stretches.append((self._up_since, self.now_ns))
        return any(end - max(start, since) > self._grace_ns for start, end in stretches)
