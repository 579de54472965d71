"""A home with a tape and a trained model, and the venue and serving as real processes on it.

Also used by ``benchmarks/bench_http.py``.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import msgspec
import urllib3

from core.config import (
    Config,
    DecisionConfig,
    FixConfig,
    MlflowConfig,
    RiskConfig,
    ServingConfig,
    StorageConfig,
    TradingConfig,
    TrainingConfig,
    VenueConfig,
)
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from flows.environment import environment
from market.simulator import simulate
from models.dataset import build_dataset, spec_for
from models.export import write_artifact
from models.manifest import read as read_manifest
from models.manifest import write as write_manifest
from models.training import train
from registry.loading import RegisteredVersion
from serving.homes import homes_of
from storage.parquet import TickStore
from tests.e2e.wiretap import WireTap
from trading.decision import decide
from venue.server import read_status

ROOT = Path(__file__).resolve().parent.parent.parent
SYMBOL = "EURUSD"
IN_DOUBT = {"UNKNOWN", "SUBMITTED", "PENDING_CANCEL"}
# Version that expects so much of every move that each decision acts: the point is many orders.
EAGER = "3"
TRAINING = TrainingConfig(
    cadence="tick", horizon_secs=30.0, folds=2, embargo_samples=10, trees=20, depth=3,
    learning_rate=0.1, holdout_fraction=0.5,
)  # fmt: skip
LIMITS = RiskConfig(
    symbols=(SYMBOL,), max_order_lots=Decimal(5), max_order_notional=Decimal(1_000_000),
    max_position_lots=Decimal(50), max_gross_notional=Decimal(20_000_000),
    max_net_notional=Decimal(20_000_000), max_currency_notional=Decimal(20_000_000),
    max_open_orders=1_000, min_equity=Decimal(1_000), collar_pips=50, max_quote_age_ms=60_000,
    duplicate_window_ms=0.001, max_instrument_notional=Decimal(20_000_000),
    day_loss_reducing=Decimal(10**9), day_loss_halted=Decimal(10**9),
    drawdown_reducing=Decimal(10**9), drawdown_halted=Decimal(10**9), max_orders_per_sec=1e6,
    order_burst=10**6, max_cancels_per_sec=1e6, cancel_burst=10**6, max_executions=10**6,
    executions_window_secs=60.0, max_decision_age_ms=60_000.0,
)  # fmt: skip


# A disk that is slow halts trading, which is another test's business than deploys and crashes.
PATIENT = TradingConfig(
    account="TEST", enabled_at_start=True, ack_timeout_ms=500.0, sync_stall_ms=30_000.0
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def config_for(home: Path, **groups: Any) -> Config:
    """Settings on free ports; MLflow is away, models come from the verified local copy."""
    base: dict[str, Any] = {
        "storage": StorageConfig(home=home),
        "costs": CostModel(slippage_pips=0.0),
        "training": TRAINING,
        "decision": DecisionConfig(margin_pips=0.0, max_quote_age_ms=60_000, max_spread_pips=50),
        "trading": TradingConfig(account="TEST", enabled_at_start=True, ack_timeout_ms=500.0),
        "risk": LIMITS,
        "fix": FixConfig(port=free_port(), reconnect_min_ms=20, reconnect_max_ms=200),
        "venue": VenueConfig(speed=0.0, max_quotes_per_sec=200.0, reject_ratio=0.0),
        "serving": ServingConfig(port=free_port(), poll_secs=0.2, orders_per_sec=0.0),
        "mlflow": MlflowConfig(port=free_port()),
    }
    return Config(**{**base, **groups})


def _made(folder: Path, training: TrainingConfig = TRAINING) -> Path:
    """Ticks and trained artifacts, made once per folder, in whatever order tests ask for them."""
    return _make(folder, training)


@cache
def _make(folder: Path, training: TrainingConfig) -> Path:
    terms = DEFAULT_INSTRUMENTS.by_symbol(SYMBOL)
    columns = simulate(terms, days=0.6).columns
    store = TickStore(folder / "ticks")
    store.append(SYMBOL, columns)
    costs, policy = CostModel(slippage_pips=0.0), DecisionConfig()
    spec = spec_for(columns, training)
    dataset = build_dataset(columns, SYMBOL, spec, terms.pip, training, costs, data_hash="test")
    result = train(dataset, training, decide, costs, policy, terms.pip, nthread=1)
    for version in ("1", "2"):
        artifact = folder / "models" / f"direction-{SYMBOL}" / version
        write_artifact(artifact, result, dataset, code_revision="test", trials=int(version))
    eager = artifact.with_name(EAGER)
    shutil.copytree(artifact, eager)
    hopeful = msgspec.structs.replace(read_manifest(eager), expected_move_pips=1_000.0)
    write_manifest(eager, hopeful)
    return folder


def make_home(
    made: Path,
    home: Path,
    alias: str = "champion",
    version: str = "1",
    training: TrainingConfig = TRAINING,
) -> Path:
    """Copy the made tape and model to a home of its own and let `alias` name the version."""
    shutil.copytree(_made(made, training), home, dirs_exist_ok=True)
    pointer = registered(home, version, alias)
    file = home / "models" / f"direction-{SYMBOL}" / "serving.json"
    file.write_bytes(msgspec.json.encode(pointer))
    return home


def registered(home: Path, version: str, alias: str) -> RegisteredVersion:
    """Describe a version as the registry would."""
    import hashlib

    name = f"direction-{SYMBOL}"
    data = (home / "models" / name / version / "manifest.json").read_bytes()
    sha = hashlib.sha256(data).hexdigest()
    return RegisteredVersion(name, version, "mlflow-artifacts:/none", sha, alias)


def until(what: str, condition: Callable[[], Any], timeout_secs: float = 40.0) -> Any:
    """Poll until the condition holds and return it; fail by name when it does not in time."""
    deadline = time.monotonic() + timeout_secs
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_secs:g} s")
        time.sleep(0.02)
    return found


class Process:
    """`tickpath <command>` as a child that can be killed and started again."""

    def __init__(self, config: Config, *arguments: str) -> None:
        self._argv = [sys.executable, "-m", "cli.main", *arguments]
        self._env = environment(config)
        self._log = config.storage.home / f"{arguments[0]}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(
                self._argv, env=self._env, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(30)
        self.process = None
        return code


class Client:
    """JSON over HTTP to serving; None as body means that nobody answered."""

    def __init__(self, config: Config, timeout_secs: float = 5.0) -> None:
        self.url = f"http://127.0.0.1:{config.serving.port}"
        self._http = urllib3.PoolManager(retries=False, timeout=timeout_secs, maxsize=8)

    def call(
        self, method: str, path: str, body: Any = None, key: str | None = None
    ) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = self._http.request(method, self.url + path, body=data, headers=headers)
        except urllib3.exceptions.HTTPError:
            return 0, None
        return answer.status, json.loads(answer.data) if answer.data else None

    def text(self, path: str) -> str:
        return self._http.request("GET", self.url + path).data.decode()

    def settled(self) -> bool:
        """No order is on its way or in doubt."""
        orders = self.call("GET", "/v1/orders?limit=1000")[1]
        return not any(order["status"] in IN_DOUBT for order in orders)

    def orders(self) -> list[dict[str, Any]]:
        """All orders, page by page, newest first."""
        found: list[dict[str, Any]] = []
        while True:
            before = f"&before={found[-1]['client_order_id']}" if found else ""
            status, page = self.call("GET", f"/v1/orders?limit=1000{before}")
            assert status == 200, page
            found += page
            if len(page) < 1_000:
                return found

    def ready(self) -> bool:
        return self.call("GET", "/readyz")[0] == 200


class Platform:
    """Venue and serving on one home, with a tap on the wire between them if wished."""

    def __init__(self, config: Config, *, tapped: bool) -> None:
        self.config = config
        self.venue = Process(config, "venue", "--symbol", SYMBOL)
        self.tap: WireTap | None = None
        if tapped:
            self.tap = WireTap(config.fix.port)
            config = replace(config, fix=replace(config.fix, port=self.tap.port))
        self._served = config
        self.serving = Process(config, "serve")
        self.client = Client(config)

    def start(self) -> None:
        self.venue.start()
        self.serving.start()
        self.await_ready()

    def await_ready(self) -> None:
        def ready() -> bool:
            for process in (self.venue, self.serving):
                assert process.alive, process.log()[-3000:]
            return self.client.ready()

        # How soon is measured elsewhere; a busy machine takes a minute to import what they need.
        until("serving ready", ready, timeout_secs=240.0)

    def deploy(self) -> None:
        """Let another process take over, and wait until the one before has gone."""
        heir = Process(self._served, "serve", "--take-over")
        heir.start()
        before, self.serving = self.serving, heir
        until("the process before has gone", lambda: not before.alive)
        self.await_ready()

    @cached_property
    def first_mid(self) -> float:
        """Mid of the tape's first quote."""
        status = read_status(homes_of(self.config).venue)
        assert status is not None
        rows = TickStore(self.config.storage.ticks).read(SYMBOL, status.parts[0].start_ns)
        return float(rows.bid[0] + rows.ask[0]) / 2

    def stop(self) -> None:
        self.serving.stop()
        self.venue.stop()
        if self.tap is not None:
            self.tap.close()


@contextmanager
def platform(
    made: Path, home: Path, *, tapped: bool = False, version: str = "1", **groups: Any
) -> Iterator[Platform]:
    """Run venue and serving as processes; both are gone afterwards."""
    config = config_for(home, **groups)
    make_home(made, home, version=version, training=config.training)
    running = Platform(config, tapped=tapped)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def with_venue(**changes: Any) -> VenueConfig:
    return replace(VenueConfig(speed=0.0, max_quotes_per_sec=200.0, reject_ratio=0.0), **changes)
