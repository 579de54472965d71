"""The environment of our child processes: settings as the parent has them, servers quietened."""

import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from core.config import Config
from core.settings import FILE_VARIABLE, PREFIX, ROOT_VARIABLE

ROOT = Path(__file__).resolve().parent.parent
WORK_POOL = "tickpath"
"""Name of the process work pool; `prefect.yaml` has it too."""


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
        A relative `storage.home` is taken from `root`.
    """
    config = absolute(config, root)
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
        # What a finished task returned is kept, as JSON, so that a run that is tried again, or one
        # of the same quotes, does not do it twice.
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_LOCAL_STORAGE_PATH": str(config.storage.home / "prefect" / "results"),
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
