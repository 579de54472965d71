"""Starts each peer in a virtual environment of its own, one worker each, access logs off."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.e2e.stack import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENVS = ROOT / "var" / "peers"
START_SECS = 120.0
Rows = list[list[float]]


class Peer(NamedTuple):
    """Where a server takes one row, in which form, and how its answer reads."""

    name: str
    port: int
    path: str
    body: bytes
    read: Callable[[bytes], float]


def interpreter(name: str) -> Path:
    """Return the peer's own Python; its environment is made when it is missing."""
    venv, stamp = VENVS / name, VENVS / name / "installed"
    wanted = HERE / f"requirements-{name}.txt"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", wanted]
        subprocess.run(pip, check=True)
        stamp.write_text(wanted.read_text())
    return venv / "bin" / "python"


@contextmanager
def running(name: str, command: list[str | Path], url: str, **settings: str) -> Iterator[None]:
    """Run a server until the block ends; its workers, in whatever session, end with it."""
    apart = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=HERE, env={**apart, **settings}, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            _await(name, process, url)
            yield
        except BaseException:
            log.seek(0)
            print(log.read()[-3_000:].decode(errors="replace"), file=sys.stderr)
            raise
        finally:
            family = psutil.Process(process.pid)
            for one in [*family.children(recursive=True), family]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()


def _await(name: str, process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=1.0).close()
        except urllib.error.HTTPError:
            return  # whatever it says, it answers
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"{name} does not answer at {url}")


@contextmanager
def echo(row: Rows) -> Iterator[Peer]:
    """uvicorn alone, on the event loop and parser that ours runs on."""
    port = free_port()
    command: list[str | Path] = [
        sys.executable, "-m", "uvicorn", "--app-dir", HERE, "echo_app:app", "--port", str(port),
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    with running("echo", command, f"http://127.0.0.1:{port}/"):
        yield Peer("bare ASGI echo", port, "/", v2_body(row), lambda _body: float("nan"))


@contextmanager
def mlflow(row: Rows, model: Path, folder: Path) -> Iterator[Peer]:
    """``mlflow models serve``, the model saved in its own format."""
    python, port, saved = interpreter("mlflow"), free_port(), folder / "mlflow"
    subprocess.run([python, HERE / "save_mlflow.py", model, saved], check=True)
    command: list[str | Path] = [
        python, "-m", "mlflow", "models", "serve", "--model-uri", saved, "--env-manager", "local",
        "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    with running(
        "mlflow", command, f"http://127.0.0.1:{port}/ping",
        UVICORN_ACCESS_LOG="false", PATH=f"{python.parent}:{os.environ['PATH']}",
    ):  # fmt: skip
        yield Peer("mlflow models serve", port, "/invocations", _json(inputs=row), _predictions)


@contextmanager
def mlserver(row: Rows, model: Path, folder: Path) -> Iterator[Peer]:
    """MLServer with its XGBoost runtime, in process (its pool of workers is slower)."""
    python, port, home = interpreter("mlserver"), free_port(), folder / "mlserver"
    home.mkdir()
    server = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(),
              "metrics_port": free_port(), "parallel_workers": 0, "debug": False}  # fmt: skip
    (home / "settings.json").write_text(json.dumps(server))
    described = {"name": "peer", "implementation": "mlserver_xgboost.XGBoostModel",
                 "parameters": {"uri": str(model)}}  # fmt: skip
    (home / "model-settings.json").write_text(json.dumps(described))
    command: list[str | Path] = [python.parent / "mlserver", "start", home]
    with running("mlserver", command, f"http://127.0.0.1:{port}/v2/models/peer/ready"):
        yield Peer("MLServer", port, "/v2/models/peer/infer", v2_body(row), v2_answer)


@contextmanager
def bentoml(row: Rows, model: Path, _folder: Path) -> Iterator[Peer]:
    """BentoML's service."""
    python, port = interpreter("bentoml"), free_port()
    command: list[str | Path] = [
        python, "-m", "bentoml", "serve", "bentoml_service:Predictor", "--port", str(port),
        "--host", "127.0.0.1",
    ]  # fmt: skip
    quiet = "api_server.logging.access.enabled=false api_server.metrics.enabled=false"
    with running(
        "bentoml", command, f"http://127.0.0.1:{port}/readyz",
        PEER_MODEL=str(model), BENTOML_CONFIG_OPTIONS=quiet, BENTOML_DO_NOT_TRACK="true",
    ):  # fmt: skip
        yield Peer("BentoML", port, "/predict", _json(rows=row), _first)


@contextmanager
def litserve(row: Rows, model: Path, _folder: Path) -> Iterator[Peer]:
    """LitServe's server."""
    python, port = interpreter("litserve"), free_port()
    command: list[str | Path] = [python, HERE / "litserve_server.py", str(port)]
    with running("litserve", command, f"http://127.0.0.1:{port}/health", PEER_MODEL=str(model)):
        yield Peer("LitServe", port, "/predict", _json(rows=row), _output)


@contextmanager
def all_peers(row: Rows, model: Path) -> Iterator[list[Peer]]:
    """Run every peer, and the echo first."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        others = (mlflow, mlserver, bentoml, litserve)
        bare = stack.enter_context(echo(row))
        yield [bare, *(stack.enter_context(peer(row, model, folder)) for peer in others)]


def v2_body(row: Rows) -> bytes:
    """One row as the Open Inference Protocol has it."""
    tensor = {"name": "rows", "datatype": "FP32", "shape": [1, len(row[0])], "data": row[0]}
    return _json(inputs=[tensor])


def v2_answer(body: bytes) -> float:
    return float(json.loads(body)["outputs"][0]["data"][0])


def _json(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def _predictions(body: bytes) -> float:
    return float(json.loads(body)["predictions"][0])


def _output(body: bytes) -> float:
    return float(json.loads(body)["output"][0])


def _first(body: bytes) -> float:
    return float(json.loads(body)[0])
