"""Joins registry, local copies and the models that trade to what the inference protocol answers."""

import logging
import time

from core.config import Config
from core.errors import AppError
from models.inference.artifact import LoadedModel
from models.pool import ModelPool
from models.shelf import Shelf
from registry.loading import RegistryReader, local_copies
from serving.inference.catalogue import Catalogue
from serving.inference.service import Inference
from serving.tasks import BackgroundTasks

log = logging.getLogger(__name__)


async def open_inference(config: Config, pool: ModelPool, tasks: BackgroundTasks) -> Inference:
    """Open the shelf; what the settings name is loaded behind the returned service."""
    folder, serving = local_copies(config.storage), config.serving

    def trading() -> dict[str, LoadedModel]:
        return {model.manifest.model: model for model in pool.models()}

    catalogue = Catalogue(RegistryReader(config.mlflow, folder), folder, trading)
    shelf = Shelf(catalogue.load, serving.versions_at_hand, serving.versions_bytes, time.monotonic)
    inference = Inference(catalogue, shelf)
    if serving.preload:
        tasks.run("preload", _preload(inference, serving.preload))
    return inference


async def _preload(inference: Inference, names: tuple[str, ...]) -> None:
    for name in names:
        try:
            await inference.load(name, pin=True)
        except AppError as error:
            log.error("%s is not preloaded: %s", name, error)
