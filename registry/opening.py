"""Joins ledger, aliases and local copies to what promotes, rolls back and tells what serves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.config import Config
from models.inference.artifact import LoadedModel, load_verified
from registry.aliases import Aliases
from registry.loading import RegisteredVersion, RegistryReader, local_copies
from registry.notice import teller
from registry.projection import Served
from registry.promotion import roll_back
from registry.promotion_ledger import Entry, PromotionLedger
from storage.promotions import PromotionRows
from storage.sqlite import Ledger


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry's parts, joined: ledger, aliases and local copies."""

    ledger: PromotionLedger
    reader: RegistryReader
    served: Served

    def resolve_serving(self, model: str) -> RegisteredVersion:
        """Return the version that serves a model; raises NotFound or Unavailable."""
        return self.served.resolve_serving(model)

    def fetch(self, version: RegisteredVersion) -> Path:
        """Return the verified local folder of a version, downloading it unless it is there."""
        return self.reader.fetch(version)

    def roll_back(self, model: str, *, actor: str, reason: str, version: str = "") -> Entry:
        """Make a former champion, the last one if none is named, the champion again.

        Raises
        ------
        NotFound
            When there is none.
        ArtifactRefused
            When it does not verify any more.
        Unavailable
            When it is not kept here and the registry is away.
        Conflict
            When something else was stored meanwhile.
        """
        return roll_back(
            self.ledger,
            self.served.show,
            self.smoke_test,
            model,
            actor=actor,
            reason=reason,
            version=version,
        )

    def smoke_test(self, version: RegisteredVersion) -> None:
        """Load a version afresh, score its canary rows, touch all of it; raises ArtifactRefused."""
        self.load(version)[0].warm()

    def load(self, version: RegisteredVersion) -> tuple[LoadedModel, Path]:
        """Fetch and verify a version as serving does."""
        folder = self.fetch(version)
        return load_verified(folder, version.manifest_sha256), folder


def join(config: Config, ledger: Ledger) -> Registry:
    """Join an open ledger with the registry."""
    promotions = PromotionLedger(PromotionRows(ledger), tell=teller(config.cache))
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    served = Served(promotions, Aliases(config.mlflow, reader))
    return Registry(promotions, reader, served)


@contextmanager
def open_registry(config: Config) -> Iterator[Registry]:
    """Open the ledger and join it with the registry."""
    with Ledger(config.storage.ledger) as ledger:
        yield join(config, ledger)
