"""Errors of the house.

::

    AppError
    ├── RecoverableError        the caller can mend the input or try again later
    │   ├── BadInput            a file, a field, a setting: told in one sentence (exit 2, HTTP 4xx)
    │   │   ├── UnknownInstrument
    │   │   ├── SettingsError
    │   │   ├── OutOfBudget     a memory area has less left than is asked for
    │   │   ├── SnapshotRefused feature state of another spec, other kernels, or damaged
    │   │   └── FixFieldError   a field of a FIX message that is missing or wrong
    │   ├── NotFound            no such order, model, version (HTTP 404)
    │   ├── Conflict            same idempotency key with another body, busy (HTTP 409)
    │   └── Unavailable         a dependency does not answer (HTTP 503)
    │       └── SpillDamaged    rows kept on the disk for a store do not verify
    └── FatalError              a promise is broken: trading halts, the process may have to stop
        ├── JournalError        the journal cannot be trusted or written
        │   ├── JournalLocked   another process owns it
        │   └── JournalCorrupt  a synced record does not verify
        ├── SessionStoreCorrupt a FIX session's sequence numbers cannot be trusted
        ├── OrderError          the venue and we disagree about an order: trading halts
        │   ├── IllegalTransition   an event that the transition table forbids
        │   ├── FillConflict    the same execution id with other data
        │   └── Overfill        more was filled than was ordered
        ├── LedgerCorrupt       an entry of the promotion ledger does not verify
        └── ArtifactRefused     a model artifact that does not verify

A "no" of a risk check is not an error but a value: `core.types.Refused`.
"""


class AppError(Exception):
    """Root of all errors that this project raises on purpose."""


class RecoverableError(AppError):
    """The caller can mend the input or try again later."""


class BadInput(RecoverableError):
    """Input that is refused by name, in one sentence."""


class UnknownInstrument(BadInput):
    """A symbol that the instrument table does not hold."""

    def __init__(self, symbol: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(f"unknown symbol {symbol!r}; known: {', '.join(known)}")
        self.symbol = symbol


class SnapshotRefused(BadInput):
    """Saved feature state that is of another spec or other kernels, or damaged."""


class SettingsError(BadInput):
    """A setting or settings group that does not exist, or a value out of its domain."""


class OutOfBudget(BadInput):
    """A memory area has less left than is asked for."""


class FixFieldError(BadInput):
    """A field of a FIX message that is missing or wrong; `reason` is SessionRejectReason (373)."""

    def __init__(self, tag: int, reason: int, text: str) -> None:
        super().__init__(f"tag {tag}: {text}")
        self.tag = tag
        self.reason = reason


class NotFound(RecoverableError):
    """No such thing."""


class Conflict(RecoverableError):
    """The request contradicts an earlier one, or the thing is busy."""


class Unavailable(RecoverableError):
    """A dependency does not answer."""


class SpillDamaged(Unavailable):
    """A batch that was kept on the disk for a store, and does not verify any more."""


class FatalError(AppError):
    """A promise is broken."""


class JournalError(FatalError):
    """The journal cannot be trusted or written."""


class JournalLocked(JournalError):
    """Another process owns the journal."""


class JournalCorrupt(JournalError):
    """A synced journal record does not verify."""


class SessionStoreCorrupt(FatalError):
    """A record of a FIX session store that does not verify: its numbers cannot be trusted."""


class OrderError(FatalError):
    """The venue and we disagree about an order."""


class IllegalTransition(OrderError):
    """An order event that the transition table forbids, or of no order of ours."""


class FillConflict(OrderError):
    """The same execution id came again with other data."""


class Overfill(OrderError):
    """More was filled than was ordered."""


class ArtifactRefused(FatalError):
    """A model artifact that does not verify: wrong hash, fingerprint, file or canary result."""


class LedgerCorrupt(FatalError):
    """An entry of the promotion ledger that is not what was written."""
