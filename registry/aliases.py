"""Aliases of the registry over plain REST, as the promotion ledger's projection needs them."""

from typing import Any

import msgspec
import urllib3

from core.config import MlflowConfig
from core.errors import NotFound, Unavailable
from registry.loading import BOOTSTRAP, CHAMPION, RegisteredVersion, RegistryReader
from registry.promotion_ledger import Standing


class Aliases:
    """Reads and moves ``champion`` and ``bootstrap``; safe to share between threads."""

    def __init__(self, config: MlflowConfig, reader: RegistryReader, timeout: float = 5.0) -> None:
        self._url = f"{config.url}/api/2.0/mlflow/registered-models/alias"
        self._reader = reader
        self._http = urllib3.PoolManager(maxsize=2, retries=False, timeout=timeout)

    def standing(self, model: str) -> Standing:
        """Tell what the aliases say; raises Unavailable and ArtifactRefused."""
        return Standing(
            champion=self._resolve(model, CHAMPION), bootstrap=self._resolve(model, BOOTSTRAP)
        )

    def show(self, model: str, standing: Standing) -> None:
        """Make the aliases say `standing`; the champion's moves last. Raises Unavailable."""
        for alias, version in ((BOOTSTRAP, standing.bootstrap), (CHAMPION, standing.champion)):
            if version is None:
                self._delete(model, alias)
            else:
                body = {"name": model, "alias": alias, "version": version.version}
                self._send("POST", body)

    def _resolve(self, model: str, alias: str) -> RegisteredVersion | None:
        try:
            return self._reader.resolve(model, alias)
        except NotFound:
            return None

    def _delete(self, model: str, alias: str) -> None:
        if self._resolve(model, alias) is not None:
            self._send("DELETE", {"name": model, "alias": alias})

    def _send(self, method: str, body: dict[str, Any]) -> None:
        try:
            reply = self._http.request(
                method,
                self._url,
                body=msgspec.json.encode(body),
                headers={"Content-Type": "application/json"},
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the registry does not answer: {error}") from error
        if reply.status != 200:
            raise Unavailable(f"the registry answers {reply.status} to moving an alias")
