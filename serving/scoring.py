"""Everything between a quote and a prediction, joined: features, their watch, models, memory."""

from typing import NamedTuple

from core.config import Config
from core.errors import ArtifactRefused
from core.instruments import InstrumentTable
from features.spec import spec_named
from features.user import load_modules
from models.inference.artifact import LoadedModel
from models.pool import ModelPool, kept_predictions
from monitoring.memory import MemoryBudgets
from monitoring.prediction_ring import RECORD, PredictionRing
from registry.loading import RegisteredVersion
from serving.admission import Admission
from serving.live import LiveLoop
from serving.live_features import LiveFeatures
from serving.skew_sentinel import SkewSentinel
from storage.adapters import open_ticks
from trading.events import ModelSwapped
from trading.ports import Predictor


class Models:
    """Hands a verified model to the pool and its spec to the features, as one engine event."""

    def __init__(
        self,
        instruments: InstrumentTable,
        pool: ModelPool,
        features: LiveFeatures,
        admission: Admission,
        live: LiveLoop,
        symbols: tuple[str, ...],
    ) -> None:
        self._instruments = instruments
        self._symbols = symbols
        self._pool = pool
        self._features = features
        self._admission = admission
        self._live = live
        self._coming: dict[tuple[int, str], LoadedModel] = {}

    async def swap(self, symbol: str, model: LoadedModel, version: RegisteredVersion) -> None:
        """Have the engine take the version between two events; raises what the pool raises."""
        instrument = self._instruments.by_symbol(symbol).id
        _refuse_absent(model, self._symbols)
        self._coming[instrument, version.version] = model
        event = ModelSwapped(0, instrument, version.model, version.version, version.approved)
        try:
            await self._live.command(event)
        finally:
            self._coming.pop((instrument, version.version), None)

    def carry_out(self, event: ModelSwapped) -> None:
        """Set the references; the instrument is rebuilt when the spec is another one."""
        model = self._coming[event.instrument, event.version]
        self._pool.swap(event.instrument, model, event.version, event.approved)
        manifest = model.manifest
        spec = spec_named(manifest.spec_name)
        if self._features.use(event.instrument, spec, manifest.peers, manifest.window):
            self._admission.forget(event.instrument)


def _refuse_absent(model: LoadedModel, symbols: tuple[str, ...]) -> None:
    absent = [peer for peer in model.manifest.peers if peer not in symbols]
    if absent:
        raise ArtifactRefused(
            f"the model's features need live quotes of {', '.join(absent)}, which risk.symbols "
            "does not follow"
        )


class Scoring(NamedTuple):
    """Everything between a quote and a prediction."""

    features: LiveFeatures
    admission: Admission
    pool: ModelPool
    requested: Predictor
    models: Models
    sentinel: SkewSentinel
    budgets: MemoryBudgets


def open_scoring(config: Config, instruments: InstrumentTable, live: LiveLoop) -> Scoring:
    """Take the memory and build what turns quotes into predictions; raises BadInput."""
    load_modules(config.features.modules)
    budgets = MemoryBudgets(config.memory)
    features, store = LiveFeatures(instruments, budgets), open_ticks(config.storage)
    admission = Admission(
        instruments,
        features,
        store,
        live.inbox,
        config.market.ring_capacity,
        live.wake,
        live.tell,
    )
    pool = ModelPool([row.symbol for row in instruments], kept_predictions(config.cache))
    models = Models(instruments, pool, features, admission, live, config.risk.symbols)
    sentinel = SkewSentinel(instruments, features, store, live.tell, config.features)
    admission.after_rebuild(sentinel.rebuilt)
    return Scoring(features, admission, pool, pool.requested, models, sentinel, budgets)


def prediction_ring(budgets: MemoryBudgets) -> PredictionRing:
    """Make a ring of all that is left for predictions."""
    area = budgets.predictions
    capacity = max(1, area.left // RECORD.itemsize - 1)
    return PredictionRing(area.array("predictions", capacity, RECORD))
