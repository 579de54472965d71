"""From the settings to the family that they name."""

from pathlib import Path

from core.config import TrainingConfig
from models.boosted import BoostedParams
from models.family import Learner


def learner_of(
    config: TrainingConfig, nthread: int = 1, checkpoints: Path | None = None
) -> Learner:
    """Family of models that the training settings name, with its own settings.

    Parameters
    ----------
    nthread : int
        Threads to fit with.
    checkpoints : Path, optional
        Folder where a killed training of a network finds its state; trees begin anew.
    """
    if config.family == "trees":
        return BoostedParams.of(config, nthread)
    # Torch takes seconds and hundreds of megabytes that trees can do without.
    from models.network import NetworkParams  # noqa: PLC0415

    return NetworkParams.of(config, nthread, checkpoints)
