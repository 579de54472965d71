"""From the settings to the family that they name."""

from core.config import TrainingConfig
from models.boosted import BoostedParams
from models.family import Learner


def learner_of(config: TrainingConfig, nthread: int = 1) -> Learner:
    """Family of models that the training settings name, with its own settings."""
    return BoostedParams.of(config, nthread)
