"""Errors of the house.

::

    AppError
    ├── RecoverableError        the caller can mend the input or try again later
    │   ├── BadInput            a file, a field, a setting: told in one sentence (exit 2, HTTP 4xx)
    │   │   ├── UnknownInstrument
    │   │   └── SettingsError
    │   ├── NotFound            no such order, model, version (HTTP 404)
    │   ├── Conflict            same idempotency key with another body, busy (HTTP 409)
    │   └── Unavailable         a dependency does not answer (HTTP 503)
    └── FatalError              a promise is broken: trading halts, the process may have to stop
        ├── JournalError        the journal cannot be trusted or written
        │   ├── JournalLocked   another process owns it
        │   └── JournalCorrupt  a synced record does not verify
        ├── IllegalTransition   an order event that the transition table forbids
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


class SettingsError(BadInput):
    """A setting or settings group that does not exist, or a value out of its domain."""


class NotFound(RecoverableError):
    """No such thing."""


class Conflict(RecoverableError):
    """The request contradicts an earlier one, or the thing is busy."""


class Unavailable(RecoverableError):
    """A dependency does not answer."""


class FatalError(AppError):
    """A promise is broken."""


class JournalError(FatalError):
    """The journal cannot be trusted or written."""


class JournalLocked(JournalError):
    """Another process owns the journal."""


class JournalCorrupt(JournalError):
    """A synced journal record does not verify."""


class IllegalTransition(FatalError):
    """An order event that the transition table forbids in the order's state."""


class ArtifactRefused(FatalError):
    """A model artifact that does not verify: wrong hash, fingerprint, file or canary result."""
