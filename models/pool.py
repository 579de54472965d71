"""The models in use, one per instrument, changed by setting one reference."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.config import CacheConfig
from core.errors import ArtifactRefused
from core.types import Prediction
from models.conformal import radius_of
from models.inference.artifact import LoadedModel
from models.prediction_cache import PredictionCache

Row = NDArray[np.float32]


class _Slot:
    """A model with everything a prediction repeats, so that one reference swaps all of it."""

    __slots__ = (
        "approved",
        "fingerprint",
        "horizon_ns",
        "label",
        "model",
        "move",
        "name",
        "radius",
        "version",
    )

    def __init__(self, model: LoadedModel, version: str, approved: bool) -> None:
        manifest = model.manifest
        self.model = model
        self.version = version
        self.approved = approved
        self.name = manifest.model
        self.label = f"{manifest.model}/{version}"
        self.fingerprint = manifest.spec_fingerprint
        self.horizon_ns = manifest.horizon_ns
        self.move = manifest.expected_move_pips
        self.radius = radius_of(manifest.conformal)

    def prediction(self, p: float, row: Row) -> Prediction:
        """Say what `p` of `row` means."""
        return Prediction(
            p,
            self.name,
            self.version,
            self.fingerprint,
            self.horizon_ns,
            self.move,
            self.approved,
            self.model.domain_score(row) <= self.model.domain_limit,
            self.radius,
        )


class ModelPool:
    """Warm models by dense instrument id; at most one each.

    A swap warms the model first and then sets one reference, so that a reader gets the old version
    or the new one, whole.

    Parameters
    ----------
    symbols : sequence of str
        Symbol of each instrument id.
    kept : PredictionCache, optional
        For requests.

    Attributes
    ----------
    requested : RequestedPredictions
        The same predictions for callers that ask again and again.
    """

    def __init__(self, symbols: Sequence[str], kept: PredictionCache | None = None) -> None:
        self.kept = PredictionCache(time.monotonic_ns) if kept is None else kept
        self.requested = RequestedPredictions(self)
        self._symbols = tuple(symbols)
        self._slots: list[_Slot | None] = [None] * len(self._symbols)

    def predict(self, instrument: int, row: Row) -> Prediction | None:
        """Score a row float32[n_features]; None when the instrument has no model.

        For a model that reads windows it is one, float32[window, n_features].
        """
        slot = self._slots[instrument]
        return None if slot is None else slot.prediction(slot.model.predict_row(row), row)

    def predict_again(self, instrument: int, row: Row) -> Prediction | None:
        """`predict` for rows that are asked for more than once, such as requests for the live row.

        Only what costs more than a look-up is kept: networks. The tick path has no use for it,
        there each row is new.
        """
        slot = self._slots[instrument]
        if slot is None:
            return None
        if not slot.model.worth_keeping:
            return slot.prediction(slot.model.predict_row(row), row)
        p = self.kept.score(slot.label, slot.fingerprint, row, slot.model.predict_row)
        return slot.prediction(p, row)

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

    def models(self) -> list[LoadedModel]:
        """Return the models in use."""
        return [slot.model for slot in self._slots if slot is not None]

    def approved(self, instrument: int) -> bool:
        """Return whether the instrument's model may be traded on."""
        slot = self._slots[instrument]
        return slot is not None and slot.approved


class RequestedPredictions:
    """A pool's predictions for callers that ask again and again; satisfies `Predictor`."""

    def __init__(self, pool: ModelPool) -> None:
        self._pool = pool

    def predict(self, instrument: int, row: Row) -> Prediction | None:
        """Score a row or window, or find its score; None when the instrument has no model."""
        return self._pool.predict_again(instrument, row)


def kept_predictions(config: CacheConfig) -> PredictionCache:
    """Room for predictions as the settings say."""
    return PredictionCache(time.monotonic_ns, config.predictions, config.prediction_secs)
