"""The models in use, one per instrument, changed by setting one reference."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import ArtifactRefused
from core.types import Prediction
from models.inference.artifact import LoadedModel

Row = NDArray[np.float32]


class _Slot:
    """A model with everything a prediction repeats, so that one reference swaps all of it."""

    __slots__ = ("approved", "fingerprint", "horizon_ns", "model", "move", "name", "version")

    def __init__(self, model: LoadedModel, version: str, approved: bool) -> None:
        manifest = model.manifest
        self.model = model
        self.version = version
        self.approved = approved
        self.name = manifest.model
        self.fingerprint = manifest.spec_fingerprint
        self.horizon_ns = manifest.horizon_ns
        self.move = manifest.expected_move_pips


class ModelPool:
    """Warm models by dense instrument id; at most one each.

    A swap warms the model first and then sets one reference, so that a reader gets the old version
    or the new one, whole.

    Parameters
    ----------
    symbols : sequence of str
        Symbol of each instrument id.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._slots: list[_Slot | None] = [None] * len(self._symbols)

    def predict(self, instrument: int, row: Row) -> Prediction | None:
        """Score a row float32[n_features]; None when the instrument has no model."""
        slot = self._slots[instrument]
        if slot is None:
            return None
        return Prediction(
            slot.model.predict_row(row),
            slot.name,
            slot.version,
            slot.fingerprint,
            slot.horizon_ns,
            slot.move,
            slot.approved,
            slot.model.domain_score(row) <= slot.model.domain_limit,
        )

    def swap(self, instrument: int, model: LoadedModel, version: str, approved: bool) -> None:
        """Predict with this version from here on.

        Raises
        ------
        ArtifactRefused
            When the model is for another symbol.
        """
        manifest = model.manifest
        if manifest.symbol != self._symbols[instrument]:
            raise ArtifactRefused(
                f"{manifest.model} version {version} is for {manifest.symbol}, "
                f"not {self._symbols[instrument]}"
            )
        model.version = version
        model.warm()
        self._slots[instrument] = _Slot(model, version, approved)

    def current(self, instrument: int) -> LoadedModel | None:
        """Return the instrument's model, or None."""
        slot = self._slots[instrument]
        return None if slot is None else slot.model

    def approved(self, instrument: int) -> bool:
        """Return whether the instrument's model may be traded on."""
        slot = self._slots[instrument]
        return slot is not None and slot.approved
