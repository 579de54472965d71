"""A person answers a promotion; drift is told of, and a training ends as challenger."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.config import Config
from core.errors import NotFound
from core.instruments import DEFAULT_INSTRUMENTS
from flows.client import PrefectApi, run_deployment
from flows.environment import environment
from flows.ingest_job import SIMULATED_DAYS
from flows.promote_job import promote
from market.simulator import DEFAULT_START_NS, MarketModel, simulate
from registry.loading import CHALLENGER, CHAMPION, RegistryReader, local_copies
from registry.opening import open_registry
from registry.tracking import connect
from storage.parquet import TickStore

pytestmark = pytest.mark.servers

MODEL, SYMBOL = "direction-GBPUSD", {"symbol": "GBPUSD"}
DEADLINE_SECS = 300


@pytest.fixture
def api(prefect_server: Config) -> PrefectApi:
    return PrefectApi(prefect_server.prefect)


@pytest.fixture(scope="module")
def trained(prefect_server: Config, mlflow_server: Config) -> Config:
    """Settings of the servers, with one trained version of simulated quotes."""
    run_deployment(prefect_server, "ingest", {**SYMBOL, "source": "simulator", "replace": True})
    run_deployment(prefect_server, "train", SYMBOL)
    return mlflow_server


@pytest.fixture
def champion(trained: Config) -> str:
    """Version that serves."""
    try:
        return _held(trained, CHAMPION)
    except NotFound:
        return promote(trained, "GBPUSD").version


def _held(config: Config, alias: str) -> str:
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    return reader.resolve(MODEL, alias).version


def _eventually(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECS
    while not (result := found()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.5)
    return result


def _ended(api: PrefectApi, run_id: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        run = api.run(run_id)
        return run if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    found: dict[str, Any] = _eventually(ended)
    return found


def _asked(api: PrefectApi) -> str:
    """Start a promotion in manual mode and wait until it asks."""
    deployment = api.deployment("promote")["id"]
    body = {
        "parameters": {**SYMBOL, "version": ""},
        "job_variables": {"env": {"TICKPATH_PROMOTION__MODE": "manual"}},
        "state": {"type": "SCHEDULED"},
    }
    started = api.call("POST", f"/deployments/{deployment}/create_flow_run", body)
    _eventually(lambda: api.run(started["id"])["state_type"] == "PAUSED")
    return str(started["id"])


def _form(api: PrefectApi, run_id: str) -> dict[str, Any]:
    """The form that the UI draws of a paused run."""
    keys = api.run(run_id)["state"]["state_details"]["run_input_keyset"]
    form: dict[str, Any] = api.call("GET", f"/flow_runs/{run_id}/input/{keys['schema']}")
    return form


def test_a_person_refuses_then_approves_in_the_form_of_the_paused_run(
    api: PrefectApi, trained: Config
) -> None:
    run_id = _asked(api)
    assert api.paused("promote", SYMBOL) == run_id
    assert set(_form(api, run_id)["properties"]) == {"approve", "who", "why"}
    api.resume(run_id, {"approve": False, "who": "ann", "why": "not on a Friday"})
    assert _ended(api, run_id)["state_type"] == "COMPLETED"
    with pytest.raises(NotFound):
        _held(trained, CHAMPION)

    run_id = _asked(api)
    answered = subprocess.run(
        [sys.executable, "-m", "cli.main", "approve", "--symbol", "GBPUSD", "--reason", "fine"],
        env=environment(trained), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answered.returncode == 0, answered.stderr
    assert _ended(api, run_id)["state_type"] == "COMPLETED"
    version = _held(trained, CHAMPION)
    with open_registry(trained) as registry:
        entry = registry.ledger.last(MODEL)
    assert entry is not None
    assert (entry.action, entry.version) == ("promote", version)
    assert entry.reason.startswith("fine")
    assert entry.actor not in ("", "flow promote")


def test_drift_starts_a_training_that_ends_as_challenger(
    api: PrefectApi, trained: Config, champion: str
) -> None:
    before = {row["id"] for row in api.runs_of("train")}
    calm = run_deployment(trained, "drift", SYMBOL)
    assert "no drift holds" in _report(api, calm)
    assert {row["id"] for row in api.runs_of("train")} == before

    _change_the_market(trained)
    told = run_deployment(trained, "drift", SYMBOL)
    assert "drift of" in _report(api, told)
    (link,) = [row for row in api.artifacts(told) if row["key"] == "drift-gbpusd-report"]
    assert trained.mlflow.url in link["data"]

    def retrained() -> list[dict[str, Any]]:
        rows = [row for row in api.runs_of("train") if row["id"] not in before]
        return [row for row in rows if row["state_type"] == "COMPLETED"]

    run = _eventually(retrained)[0]
    assert run["created_by"]["type"] == "AUTOMATION"
    assert run["parameters"]["symbol"] == "GBPUSD"
    assert int(_held(trained, CHALLENGER)) > int(champion)
    assert _held(trained, CHAMPION) == champion

    # What was told of once is not told of again.
    runs = len(api.runs_of("train"))
    assert "drift of" in _report(api, run_deployment(trained, "drift", SYMBOL))
    run_deployment(trained, "housekeeping")
    assert len(api.runs_of("train")) == runs


def _report(api: PrefectApi, run_id: str) -> str:
    (text,) = [row["data"] for row in api.artifacts(run_id) if row["key"] == "drift-gbpusd"]
    return str(text)


def _change_the_market(config: Config) -> None:
    """Add a week that is three times as restless."""
    instrument = DEFAULT_INSTRUMENTS.by_symbol("GBPUSD")
    plain = MarketModel()
    model = MarketModel(volatility_pips=3.0 * plain.volatility_pips)
    store = TickStore(config.storage.ticks)
    last = int(store.read("GBPUSD").ts[-1])
    weeks = round(SIMULATED_DAYS / 5)
    start = max(last, DEFAULT_START_NS + weeks * 7 * 86_400 * 10**9)
    store.append(
        "GBPUSD", simulate(instrument, seed=8, days=5.0, start_ns=start, model=model).columns
    )


def test_the_other_flows_complete_and_show_their_work(
    api: PrefectApi, trained: Config, champion: str
) -> None:
    measured = run_deployment(trained, "evaluate", SYMBOL)
    keys = {row["key"] for row in api.artifacts(measured)}
    assert {"evaluate-gbpusd-gates", "evaluate-gbpusd-figures"} <= keys
    traded = run_deployment(trained, "backtest", SYMBOL)
    assert {"backtest-gbpusd", "backtest-gbpusd-chart"} <= {
        row["key"] for row in api.artifacts(traded)
    }
    assert (Path(trained.storage.home) / "reports" / "GBPUSD-out-of-sample.png").is_file()


def test_a_second_training_takes_the_data_set_from_the_cache(
    api: PrefectApi, trained: Config
) -> None:
    run_id = run_deployment(trained, "train", SYMBOL)
    body = {"flow_runs": {"id": {"any_": [run_id]}}}
    tasks = api.call("POST", "/task_runs/filter", body)
    states = {row["name"]: row["state"]["name"] for row in tasks}
    first = run_deployment(trained, "train", SYMBOL)
    again = api.call("POST", "/task_runs/filter", {"flow_runs": {"id": {"any_": [first]}}})
    assert states["train-GBPUSD"] == "Completed"
    assert {row["name"]: row["state"]["name"] for row in again}["dataset-GBPUSD"] == "Cached"


def test_a_cancelled_training_leaves_no_open_run_behind(
    api: PrefectApi, trained: Config, tmp_path: Path
) -> None:
    deployment = api.deployment("train")["id"]
    body = {
        "parameters": SYMBOL,
        # Another seed, so that there is something to train.
        "job_variables": {"env": {"TICKPATH_TRAINING__SEED": "11", "TMPDIR": str(tmp_path)}},
        "state": {"type": "SCHEDULED"},
    }
    run_id = api.call("POST", f"/deployments/{deployment}/create_flow_run", body)["id"]
    client = connect(trained.mlflow)
    experiment = client.get_experiment_by_name(trained.mlflow.experiment)
    assert experiment is not None

    def running() -> list[Any]:
        return list(client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'"))

    _eventually(running)
    state = {"type": "CANCELLING"}
    api.call("POST", f"/flow_runs/{run_id}/set_state", {"state": state})
    assert _ended(api, run_id)["state_type"] == "CANCELLED"
    _eventually(lambda: not running())
    assert not list(tmp_path.glob("tickpath-artifact-*"))
