"""The servers of the platform as supervised services."""

import os
import sys
import time
from collections.abc import Mapping

import urllib3

from cli.supervisor import Service
from core.config import Config
from flows.environment import WORK_POOL, absolute, environment

_PROBE_SECS = 2.0
_http = urllib3.PoolManager(retries=False, timeout=_PROBE_SECS)


def answers(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Tell whether a GET gives 200 within two seconds."""
    try:
        return _http.request("GET", url, headers=headers).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def mlflow(config: Config) -> Service:
    """MLflow tracking server and registry on SQLite, artifacts through its proxy."""
    home = absolute(config).storage.home / "mlflow"
    home.mkdir(parents=True, exist_ok=True)
    host, port = config.mlflow.host, config.mlflow.port
    return Service(
        name="mlflow",
        # One worker and no job execution: half the memory, and no helper outlives SIGTERM.
        argv=(
            *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"),
            *("--serve-artifacts", "--artifacts-destination", str(home / "artifacts")),
        ),
        env=environment(config),
        ready=lambda: answers(f"{config.mlflow.url}/health"),
        address=(host, port),
    )


def prefect(config: Config) -> Service:
    """Prefect server on SQLite."""
    host, port = config.prefect.host, config.prefect.port
    return Service(
        name="prefect",
        argv=(
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host", host, "--port", str(port)),
        ),
        env=environment(config),
        ready=lambda: answers(f"{config.prefect.api_url}/health"),
        address=(host, port),
    )


def worker(config: Config) -> Service:
    """Prefect process worker; needs the Prefect server and gets a name of its own."""
    name = f"worker-{os.getpid()}-{time.time_ns()}"
    pool = WORK_POOL
    return Service(
        name="worker",
        argv=(
            *(sys.executable, "-m", "prefect", "--no-prompt", "worker", "start"),
            *("--pool", pool, "--type", "process", "--name", name, "--limit", "4"),
        ),
        env=environment(config),
        ready=lambda: _worker_online(config.prefect.api_url, pool, name),
        # SIGINT lets the worker cancel its runs; SIGTERM leaves them behind.
        stop_signal="SIGINT",
    )


def _worker_online(api_url: str, pool: str, name: str) -> bool:
    url = f"{api_url}/work_pools/{pool}/workers/filter"
    try:
        reply = _http.request("POST", url, json={})
        workers = reply.json() if reply.status == 200 else []
    except urllib3.exceptions.HTTPError:
        return False
    return any(row["name"] == name and row["status"] == "ONLINE" for row in workers)
