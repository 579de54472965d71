"""A small client of our own HTTP API, for the commands that talk to a running service."""

import json
from typing import Any

import urllib3

from core.config import ServingConfig
from core.errors import BadInput, Unavailable


class Api:
    """Blocking JSON calls to serving.

    Parameters
    ----------
    config : ServingConfig
        Where serving listens.
    timeout_secs : float
        For one call.
    """

    def __init__(self, config: ServingConfig, timeout_secs: float = 10.0) -> None:
        self.url = config.url
        self._own = {"Authorization": f"Bearer {config.key}"} if config.key else {}
        self._pool = urllib3.PoolManager(retries=False, timeout=timeout_secs)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Return (status, decoded body).

        Raises
        ------
        Unavailable
            When serving does not answer.
        """
        try:
            answer = self._pool.request(
                method,
                self.url + path,
                body=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", **self._own, **(headers or {})},
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(
                f"serving does not answer at {self.url} ({type(error).__name__}); "
                "start it with `tickpath up` or `tickpath serve`"
            ) from None
        kind = answer.headers.get("Content-Type", "")
        return answer.status, json.loads(answer.data) if "json" in kind else answer.data.decode()

    def get(self, path: str) -> Any:
        """GET that must succeed."""
        return self._checked(*self.call("GET", path))

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        """POST that must succeed."""
        return self._checked(*self.call("POST", path, body, headers))

    @staticmethod
    def _checked(status: int, body: Any) -> Any:
        if status < 400:
            return body
        detail = body["detail"] if isinstance(body, dict) and "detail" in body else str(body)
        raise Unavailable(detail) if status >= 500 else BadInput(detail)
