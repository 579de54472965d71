"""The servers of the platform as supervised services, and the environment they run in."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import urllib3

from cli.supervisor import ROOT, Service
from core.config import Config
from core.settings import FILE_VARIABLE, PREFIX, ROOT_VARIABLE

_PROBE_SECS = 2.0
_http = urllib3.PoolManager(retries=False, timeout=_PROBE_SECS)


def absolute(config: Config, root: Path = ROOT) -> Config:
    """Return the same settings with `storage.home` absolute, as children need it."""
    return replace(config, storage=replace(config.storage, home=root / config.storage.home))


def settings_environment(config: Config) -> dict[str, str]:
    """All settings as ``TICKPATH_<GROUP>__<FIELD>``, so that children read these very values."""
    return {
        f"{PREFIX}{group.name}__{setting.name}".upper(): _text(getattr(values, setting.name))
        for group in fields(Config)
        for values in (getattr(config, group.name),)
        for setting in fields(values)
    }


def _text(value: Any) -> str:
    return json.dumps(list(value)) if isinstance(value, tuple) else str(value)


def environment(config: Config, root: Path = ROOT) -> dict[str, str]:
    """Environment of every child: ours, the settings, and what quiets and locates the servers.

    Parameters
    ----------
    config : Config
        With an absolute `storage.home`, see `absolute`.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) or name == FILE_VARIABLE
    }
    api = config.prefect.api_url
    return {
        **kept,
        **settings_environment(config),
        ROOT_VARIABLE: str(root),
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": str(root),
        "PYTHONUNBUFFERED": "1",
        "PREFECT_HOME": str(config.storage.home / "prefect"),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_UI_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_CLI_COLORS": "false",
        "DO_NOT_TRACK": "1",
        "MLFLOW_TRACKING_URI": config.mlflow.url,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def answers(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Tell whether a GET gives 200 within two seconds."""
    try:
        return _http.request("GET", url, headers=headers).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def mlflow(config: Config) -> Service:
    """MLflow tracking server and registry on SQLite, artifacts through its proxy."""
    home = config.storage.home / "mlflow"
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
    pool = config.prefect.pool
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
