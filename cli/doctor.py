"""``tickpath doctor``: what is configured, what answers, and what each missing thing costs."""

import platform
import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from core.config import Config
from core.settings import settings_file

PACKAGES = ("prefect", "mlflow", "fastapi", "sqlalchemy", "xgboost-cpu", "numpy", "numba", "uvloop")


class Finding(NamedTuple):
    """One line of the report; `cost` says what does not work without it."""

    name: str
    where: str
    ok: bool
    cost: str


def examine(config: Config) -> Iterator[Finding]:
    """Yield findings, cheapest first; nothing is started or changed."""
    yield from _files(config)
    yield from _stores(config)
    yield from _services(config)
    yield from _limits(config)


def versions() -> dict[str, str]:
    """Python and the packages whose versions matter."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def answers(host: str, port: int, timeout_secs: float = 0.5) -> bool:
    """Say whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout_secs).close()
    except OSError:
        return False
    return True


def _files(config: Config) -> Iterator[Finding]:
    file = settings_file()
    yield Finding(
        "settings file",
        str(file),
        file.is_file(),
        "defaults apply; every risk limit is zero, so every order is denied",
    )
    home = config.storage.home
    yield Finding(
        "home", str(home.resolve()), _writable(home), "nothing can be kept; nothing starts"
    )
    ticks = config.storage.ticks
    yield Finding(
        "stored ticks",
        str(ticks),
        ticks.is_dir() and any(ticks.iterdir()),
        "no training, no venue tape; `tickpath ingest` or `tickpath demo` fills it",
    )


def _writable(folder: Path) -> bool:
    probe = folder.resolve()
    while not probe.exists():
        probe = probe.parent
    return probe.is_dir() and bool(probe.stat().st_mode & 0o200)


def _stores(config: Config) -> Iterator[Finding]:
    """Which adapters are chosen; an embedded one needs nothing."""
    storage, cache = config.storage, config.cache
    chosen = (
        ("tick store", storage.tick_store, "parquet", storage.clickhouse_url, 9000),
        ("ledger store", storage.ledger_store, "sqlite", storage.postgres_url, 5432),
        ("cache", cache.second, "memory", cache.url, 6379),
    )
    for name, kind, embedded, url, usual_port in chosen:
        if kind == embedded:
            yield Finding(name, f"{kind} (embedded)", True, "")
            continue
        parts = urlsplit(url)  # never the whole address: it may hold a password
        host, port = parts.hostname or "127.0.0.1", parts.port or usual_port
        yield Finding(
            name, f"{kind} at {host}:{port}", answers(host, port),
            "rows wait on the disk; what reads the store fails",
        )  # fmt: skip


def _services(config: Config) -> Iterator[Finding]:
    services = (
        ("MLflow", config.mlflow.host, config.mlflow.port, "no training or promotion; serving "
         "keeps its last verified models"),
        ("Prefect", config.prefect.host, config.prefect.port, "no flow runs: ingest, train, "
         "promote, scenarios"),
        ("venue (FIX)", config.fix.host, config.fix.port, "no live quotes and no orders; decisions "
         "answer HOLD"),
        ("serving", config.serving.host, config.serving.port, "no decisions over HTTP"),
    )  # fmt: skip
    for name, host, port, cost in services:
        yield Finding(name, f"{host}:{port}", answers(host, port), cost)


def _limits(config: Config) -> Iterator[Finding]:
    risk = config.risk
    yield Finding(
        "tradable symbols", ", ".join(risk.symbols) or "none", bool(risk.symbols), "orders denied"
    )
    limits = {name: getattr(risk, name) for name in risk.__dataclass_fields__ if name != "symbols"}
    zero = [name for name, limit in limits.items() if not limit]
    yield Finding(
        "risk limits",
        f"{len(limits) - len(zero)} of {len(limits)} stated",
        not zero,
        f"a limit of zero denies: {', '.join(zero)}",
    )
