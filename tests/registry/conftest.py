"""A small artifact folder and a registry that speaks MLflow's REST from memory."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from core.config import MlflowConfig
from models import manifest as manifests
from models.calibration import Calibration
from models.manifest import Manifest

GOOD_METRICS = {
    "trades": 120.0,
    "net_pips": 60.0,
    "no_skill_net_pips": 0.0,
    "net_pips_per_trade_lower": 0.2,
    "log_loss": 0.66,
    "base_log_loss": 0.69,
    "dsr": 0.99,
    "pbo": 0.3,
    "loss_probability": 0.01,
}


def make_manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        **{"model": "direction-EURUSD", "family": "boosted-trees", "symbol": "EURUSD"},
        **{"spec_name": "core-bar", "spec_fingerprint": "f" * 16, "cadence": "bar"},
        **{"bar_ns": 60, "horizon_ns": 900, "window": 1, "n_features": 3, "files": {}},
        **{"metrics": GOOD_METRICS, "expected_move_pips": 2.0},
        "calibration": Calibration(kind="identity", params={}),
        **{"train_start_ns": 1, "train_end_ns": 2, "holdout_start_ns": 3, "data_hash": "d" * 16},
        **{"code_revision": "abc", "seed": 7, "parameters": {"trees": 3}, "trials": 1},
    }
    return Manifest(**{**fields, **changes})


@pytest.fixture
def artifact(tmp_path: Path) -> Callable[..., tuple[Path, str]]:
    """Write an artifact folder; returns it and the hash of its manifest."""

    def write(content: bytes = b"leaves", **changes: Any) -> tuple[Path, str]:
        folder = tmp_path / "artifact"
        folder.mkdir(exist_ok=True)
        for name in ("model.ubj", "leaves.npy"):
            (folder / name).write_bytes(content + name.encode())
        files = {p.name: manifests.file_entry(p) for p in folder.iterdir() if p.suffix != ".json"}
        return folder, manifests.write(folder, make_manifest(files=files, **changes))

    return write


@dataclass
class FakeRegistry:
    """What the server holds; tests change it at will."""

    aliases: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    moves: list[tuple[str, str, str]] = field(default_factory=list)
    away: bool = False
    port: int = 0

    @property
    def config(self) -> MlflowConfig:
        return MlflowConfig(port=self.port)

    def put(self, folder: Path, sha256: str, version: str = "1", **changes: Any) -> None:
        """Hold a version under the alias champion, with its files."""
        root = f"1/run{version}/artifacts/model"
        row = {
            "name": "direction-EURUSD",
            "version": version,
            "source": f"mlflow-artifacts:/{root}",
            "tags": [{"key": "manifest_sha256", "value": sha256}],
        }
        self.models.add("direction-EURUSD")
        self.versions[version] = {**row, **changes}
        self.aliases["direction-EURUSD", "champion"] = {**row, **changes}
        self.files |= {f"{root}/{path.name}": path.read_bytes() for path in folder.iterdir()}

    def move(self, method: str, body: dict[str, str]) -> tuple[int, bytes]:
        """Set or delete an alias, as a client of the registry does."""
        key = (body["name"], body["alias"])
        if method == "DELETE":
            del self.aliases[key]
        else:
            self.aliases[key] = self.versions[body["version"]]
        self.moves.append((method, body["alias"], body.get("version", "")))
        return 200, b"{}"

    def held(self) -> dict[str, str]:
        """Version of each alias."""
        return {alias: row["version"] for (_, alias), row in self.aliases.items()}

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        self.requests.append(path)
        if path == "/api/2.0/mlflow/registered-models/alias":
            name, alias = query["name"][0], query["alias"][0]
            if name not in self.models:
                return 404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}'
            if (name, alias) not in self.aliases:
                return 400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "alias"}'
            return 200, json.dumps({"model_version": self.aliases[name, alias]}).encode()
        content = self.files.get(unquote(path.removeprefix("/api/2.0/mlflow-artifacts/artifacts/")))
        return (404, b"{}") if content is None else (200, content)


@pytest.fixture
def fake_registry() -> Iterator[FakeRegistry]:
    """A registry on an ephemeral port."""
    state = FakeRegistry()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self.reply(*state.answer(parts.path, parse_qs(parts.query)))

        def do_POST(self) -> None:
            self.move("POST")

        def do_DELETE(self) -> None:
            self.move("DELETE")

        def move(self, method: str) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(*state.move(method, json.loads(body)))

        def reply(self, status: int, body: bytes) -> None:
            if state.away:
                status, body = 503, b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()
