"""Feature rows of the live stream: one compiled call per quote, nothing allocated."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from core.columns import F8, I8, QuoteColumns
from core.types import Quote
from features import batch, kernel
from features.blocks import F4
from features.kernel import IS_WARM, WARM
from features.recent import RecentRows
from features.snapshot import Header, pack, unpack
from features.spec import FeatureSpec, plan_of
from features.strength import DEPTH, Strength


class Prepared(NamedTuple):
    """State of one instrument that has seen a tape; see `FeatureEngine.prepare`."""

    slot: kernel.Slot
    recent: F4
    window: int
    late: int
    malformed: int


class FeatureEngine:
    """Feature state of every instrument.

    Parameters
    ----------
    spec : FeatureSpec
        Columns and cadence, the same for all instruments.
    pips : sequence of float
        Size of a pip by dense instrument id, in quote currency.
    allocate : callable, optional
        Gives the memory of the state, as `monitoring.memory.Area.array` does.

    Attributes
    ----------
    late : int
        Quotes not applied because they were older than the last one (or than a closed bar).
    malformed : int
        Quotes not applied because a price was not a positive number.
    cold : int
        How often an instrument was made cold.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        pips: Sequence[float],
        allocate: kernel.Allocate | None = None,
    ) -> None:
        self._step = _compiled_step()
        self.spec = spec
        self.late = self.malformed = self.cold = 0
        self._pips = tuple(float(pip) for pip in pips)
        self._plan = plan_of(spec)
        self._slots = [kernel.Slot(spec, self._plan, pip, allocate) for pip in self._pips]
        self._rows = [slot.row for slot in self._slots]
        self._recent: list[RecentRows | None] = [None] * len(self._slots)
        self._addresses = [slot.address for slot in self._slots]
        self._scratch = kernel.Slot(spec, self._plan, 1.0)

    def update(self, quote: Quote) -> F4 | None:
        """Advance the instrument's state by one quote.

        Returns
        -------
        float32[n_features] or None
            The row, valid until the next call for the instrument; float32[window, n_features] for
            an instrument of which `keep` wants a window. None when the quote ended no sample, was
            late or malformed, or the instrument is warming up or cold.
        """
        i = quote.instrument
        code = self._step(
            self._addresses[i],
            quote.ts_event,
            quote.span_ns,
            quote.bid,
            quote.ask,
            quote.volume,
            quote.open,
            quote.high,
            quote.low,
        )
        if code == WARM:
            recent = self._recent[i]
            return self._rows[i] if recent is None else recent.push(self._rows[i])
        if code < 0:
            self._count(code)
        return None

    def keep(self, instrument: int, window: int) -> bool:
        """Give windows of so many rows from now on; 1 gives single rows.

        Returns
        -------
        bool
            True when older rows are wanted than are kept, so that a rebuild is due.
        """
        recent = self._recent[instrument]
        if window == (1 if recent is None else recent.window):
            return False
        self._recent[instrument] = None if window == 1 else RecentRows(self.spec.n_features, window)
        return window > 1

    def window(self, instrument: int) -> int:
        """Rows that the instrument is given at a time."""
        recent = self._recent[instrument]
        return 1 if recent is None else recent.window

    def push_strength(self, minute: int, values: Sequence[float]) -> None:
        """Tell a minute of the dollar's strength, in order and before the quote that completes it.

        `features.strength.StrengthMeter` gives them, here or in another process.
        """
        for slot in self._slots:
            slot.push_strength(minute, values)

    def retell_strength(self, strength: Strength) -> None:
        """Correct the minutes of the dollar's strength after a gap in any of its tapes.

        The newest few are told again, in the place of those that wait for their time.
        """
        newest = strength.newest(DEPTH // 2)
        for slot in self._slots:
            slot.retell_strength(newest)

    def preview(self, quote: Quote) -> F4 | None:
        """Row as it would be if the quote came now and the sample ended with it.

        Works on a copy of the state; nothing advances. On the bar cadence the forming bar is closed
        with the quote, so the row is that of a bar cut short. None as for `update`.
        """
        scratch = self._scratch
        scratch.copy_from(self._slots[quote.instrument])
        code = self._step(
            scratch.address,
            quote.ts_event,
            quote.span_ns,
            quote.bid,
            quote.ask,
            quote.volume,
            quote.open,
            quote.high,
            quote.low,
        )
        if code < 0:
            return None
        code = kernel.close_forming(scratch.address) or code
        if code != WARM:
            return None
        recent = self._recent[quote.instrument]
        return scratch.row.copy() if recent is None else recent.with_row(scratch.row)

    def last_row(self, instrument: int) -> F4 | None:
        """Copy of the instrument's newest row (or window), or None when it is not warm."""
        if not self.is_warm(instrument):
            return None
        recent = self._recent[instrument]
        return (self._rows[instrument] if recent is None else recent.kept()).copy()

    def newest_rows(self, instrument: int) -> F4:
        """Copy of the rows kept, float32[at most the window, n_features]; none while cold."""
        recent = self._recent[instrument]
        if recent is not None:
            return recent.kept().copy()
        warm = int(self._slots[instrument].ints[IS_WARM])
        return self._rows[instrument][None, :][:warm].copy()

    def adopt(self, instrument: int) -> kernel.Slot:
        """Copy of the instrument's state, to go on from beside it."""
        copy = kernel.Slot(self.spec, self._plan, self._pips[instrument])
        copy.copy_from(self._slots[instrument])
        copy.row[:] = self._rows[instrument]
        return copy

    def is_warm(self, instrument: int) -> bool:
        """Whether the instrument has had the samples and the closed bars that its columns need."""
        recent = self._recent[instrument]
        warm = bool(self._slots[instrument].ints[IS_WARM])
        return warm and (recent is None or recent.full())

    def make_cold(self, instrument: int) -> None:
        """Drop the instrument's state, as after a gap in the feed."""
        self._reset(instrument)
        self.cold += 1

    def rebuild(
        self, instrument: int, columns: QuoteColumns, strength: Strength | None = None
    ) -> None:
        """Replace the instrument's state with one that has seen `columns` and nothing else.

        A spec that needs the dollar's strength wants it here for the time of the columns.
        """
        self.install(instrument, self.prepare(instrument, columns, strength))

    def prepare(
        self, instrument: int, columns: QuoteColumns, strength: Strength | None = None
    ) -> Prepared:
        """Build the state of a rebuild beside the present one; safe in a thread of its own."""
        slot = kernel.Slot(self.spec, self._plan, self._pips[instrument])
        rows = batch.advance(slot, columns, strength)
        if len(rows):
            slot.row[:] = rows.rows[-1]
        window = self.window(instrument)
        recent = rows.rows[rows.warm][-window:] if window > 1 else rows.rows[:0]
        return Prepared(slot, recent.copy(), window, rows.late, rows.malformed)

    def install(self, instrument: int, prepared: Prepared) -> None:
        """Go on from a state that `prepare` of this engine has built for the instrument."""
        live = self._slots[instrument]
        live.copy_from(prepared.slot)
        live.row[:] = prepared.slot.row
        recent = self._recent[instrument]
        if recent is not None:
            recent.fill(prepared.recent)
        self.late += prepared.late
        self.malformed += prepared.malformed

    def snapshot(self) -> bytes:
        """Return the state of all instruments as bytes; see `features.snapshot`."""
        return pack(self._header(), self._arrays())

    def restore(self, data: bytes) -> None:
        """Take over the state of a snapshot; afterwards every bit is as it was there.

        Raises
        ------
        SnapshotRefused
            When the bytes are damaged, or of another spec, other kernels or other pips. Nothing
            changes then.
        """
        header = unpack(data, self._header(), self._arrays())
        self.late, self.malformed, self.cold = header.late, header.malformed, header.cold

    def _header(self) -> Header:
        lengths = (
            *(kernel.N_KERNEL_INTS, self._plan.n_state, self.spec.n_features),
            *(self.window(instrument) for instrument in range(len(self._slots))),
        )
        counters = (self.late, self.malformed, self.cold)
        return Header(self.spec.fingerprint, kernel.SOURCES, self._pips, lengths, *counters)

    def _arrays(self) -> list[I8 | F8 | F4]:
        kept = [recent for recent in self._recent if recent is not None]
        return [
            *(array for slot in self._slots for array in (slot.ints, slot.state, slot.row)),
            *(array for recent in kept for array in (recent.count, recent.rows.reshape(-1))),
        ]

    def _reset(self, instrument: int) -> None:
        self._slots[instrument].reset()
        recent = self._recent[instrument]
        if recent is not None:
            recent.clear()

    def _count(self, code: int) -> None:
        if code == kernel.LATE:
            self.late += 1
        else:
            self.malformed += 1


def _compiled_step() -> Callable[..., int]:
    """Return the step as numba's dispatcher calls it once it has looked at the types.

    There is one signature, and to look at nine arguments for it takes longer than most of the
    kernel. Numbers are converted to it: a price that happens to be an int is a float there.
    """
    kernel.prepare()
    (compiled,) = kernel.step.overloads.values()
    entry: Callable[..., int] = compiled.entry_point
    return entry
