"""What the trading half asks of the rest of the house."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.types import Order, Prediction, Quote

Row = NDArray[np.float32]


class FeatureSource(Protocol):
    """Turns quotes into feature rows, one instrument at a time."""

    def update(self, quote: Quote) -> Row | None:
        """Advance the state by one quote.

        Returns float32[n_features], valid until the next call for the instrument, or None when the
        quote closed no sample, came late, or the instrument is warming up or cold.
        """
        ...


class Predictor(Protocol):
    """Scores one row with the instrument's model."""

    def predict(self, instrument: int, row: Row) -> Prediction | None:
        """Return the prediction, or None when the instrument has no model."""
        ...


class Broker(Protocol):
    """Carries orders to a venue. Nothing here waits: outcomes come back as order events."""

    @property
    def ready(self) -> bool:
        """True when the session is logged on and reconciled."""
        ...

    def send(self, order: Order) -> None:
        """Put a new order on the wire.

        Raises
        ------
        core.errors.Unavailable
            When the session is down; the order may or may not have left, so it is UNKNOWN.
        """
        ...

    def cancel(self, order: Order) -> None:
        """Ask the venue to cancel; raises like `send`."""
        ...

    def replace(self, order: Order) -> None:
        """Ask the venue to change the order to its `pending` terms; raises like `send`."""
        ...

    def request_status(self, order: Order) -> None:
        """Ask the venue what became of the order; raises like `send`."""
        ...


class Journal(Protocol):
    """Append-only record of intents and events, written before anything leaves the process."""

    @property
    def healthy(self) -> bool:
        """False once a write or a sync failed; latched."""
        ...

    @property
    def trouble(self) -> str:
        """Why no position may be opened any more; empty when all is well. Latched."""
        ...

    def append(self, payload: bytes) -> None:
        """Append one record; returns when the bytes are with the operating system.

        Raises
        ------
        core.errors.JournalError
            When the record could not be written; the journal is unhealthy from then on.
        """
        ...

    def sync(self) -> None:
        """Force all appended records to the disk; raises like `append`."""
        ...
