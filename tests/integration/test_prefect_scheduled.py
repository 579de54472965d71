"""Deployments run on a real Prefect server: when asked, and by themselves on a schedule."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from core.config import Config
from core.errors import BadInput, NotFound
from flows.client import (
    QUEUE_LIMITS,
    PrefectApi,
    RunUpdate,
    declared_deployments,
    reconcile,
    run_deployment,
)
from flows.drift import EVENT
from flows.environment import ROOT
from storage.parquet import TickStore

pytestmark = pytest.mark.servers

DEADLINE_SECS = 120


@pytest.fixture
def api(prefect_server: Config) -> PrefectApi:
    return PrefectApi(prefect_server.prefect)


def _eventually(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECS
    while not (result := found()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.5)
    return result


def _runs(api: PrefectApi, deployment_id: str) -> list[dict[str, Any]]:
    wanted = {"deployments": {"id": {"any_": [deployment_id]}}}
    found: list[dict[str, Any]] = api.call("POST", "/flow_runs/filter", wanted)
    return found


def test_every_declared_deployment_is_there_with_its_module_entry_point(api: PrefectApi) -> None:
    found = {row["name"]: row for row in api.deployments()}
    declared = {row["name"]: row for row in yaml.safe_load((ROOT / "prefect.yaml").read_text())[
        "deployments"
    ]}  # fmt: skip
    assert sorted(found) == sorted(declared) == sorted(declared_deployments())
    for name, row in found.items():
        assert row["entrypoint"] == declared[name]["entrypoint"]
        assert row["paused"] is True
        assert [schedule["active"] for schedule in row["schedules"]] == [True]
        limit = declared[name]["concurrency_limit"]
        assert row["concurrency_options"]["collision_strategy"] == limit["collision_strategy"]


def test_queues_are_limited_and_retraining_keeps_the_hours_of_new_york(api: PrefectApi) -> None:
    queues = {
        row["name"]: row for row in api.call("POST", "/work_pools/tickpath/queues/filter", {})
    }
    assert {name: queues[name]["concurrency_limit"] for name in QUEUE_LIMITS} == QUEUE_LIMITS
    (schedule,) = api.deployment("train")["schedules"]
    assert schedule["schedule"]["timezone"] == "America/New_York"
    assert schedule["schedule"]["cron"].endswith("1-5")
    (schedule,) = api.deployment("drift")["schedules"]
    assert schedule["schedule"]["interval"] == 3_600


def test_the_automation_from_drift_to_training_is_there(api: PrefectApi) -> None:
    (found,) = [row for row in api.automations() if row["name"] == "drift starts a training"]
    assert found["enabled"]
    assert found["trigger"]["expect"] == [EVENT]
    assert [action["deployment_id"] for action in found["actions"]] == [
        api.deployment("train")["id"]
    ]


def test_a_run_asked_for_does_its_work_and_reports_progress(
    api: PrefectApi, prefect_server: Config
) -> None:
    updates: list[RunUpdate] = []
    wanted = {"symbol": "GBPUSD", "source": "simulator"}
    run_id = run_deployment(prefect_server, "ingest", wanted, updates.append)
    assert len(TickStore(prefect_server.storage.ticks).read("GBPUSD")) > 10_000
    assert (updates[-1].state, updates[-1].percent) == ("COMPLETED", 100.0)
    assert "new rows" in updates[-1].what
    kinds = {(row["type"], row["key"]) for row in api.artifacts(run_id)}
    assert {("progress", "ingest-progress"), ("markdown", "ingest-gbpusd")} <= kinds


def test_a_run_that_fails_tells_why(prefect_server: Config) -> None:
    with pytest.raises(BadInput, match=r"^unknown symbol 'NOSUCH'; known: ") as refusal:
        run_deployment(prefect_server, "ingest", {"symbol": "NOSUCH"})
    assert "\n" not in str(refusal.value)
    with pytest.raises(BadInput, match="no stored quotes of XAUUSD; ingest some first"):
        run_deployment(prefect_server, "train", {"symbol": "XAUUSD"})


def test_an_unknown_deployment_is_not_found(prefect_server: Config) -> None:
    with pytest.raises(NotFound):
        run_deployment(prefect_server, "nosuch")


@pytest.fixture
def short_schedule(api: PrefectApi) -> Iterator[dict[str, Any]]:
    """The deployment `ingest`, due every two seconds."""
    deployment = api.deployment("ingest")
    api.set_schedules("ingest", [{"interval": 2}])
    api.call("PATCH", f"/deployments/{deployment['id']}", {"paused": False})
    yield deployment
    api.call("PATCH", f"/deployments/{deployment['id']}", {"paused": True})
    api.set_schedules("ingest", [])


@pytest.fixture
def next_minute(api: PrefectApi) -> Iterator[dict[str, Any]]:
    """The deployment `housekeeping`, due once, when the next minute begins."""
    deployment = api.deployment("housekeeping")
    due = datetime.now(UTC) + timedelta(seconds=65)
    cron = f"{due.minute} {due.hour} {due.day} {due.month} *"
    api.set_schedules("housekeeping", [{"cron": cron, "timezone": "UTC"}])
    api.call("PATCH", f"/deployments/{deployment['id']}", {"paused": False})
    yield {"deployment": deployment, "due": due.replace(second=0, microsecond=0)}
    api.call("PATCH", f"/deployments/{deployment['id']}", {"paused": True})
    api.set_schedules("housekeeping", [])


def test_a_cron_deployment_set_to_the_next_minute_runs_by_itself_and_completes(
    api: PrefectApi, next_minute: dict[str, Any]
) -> None:
    def completed() -> list[dict[str, Any]]:
        rows = api.runs_of("housekeeping")
        return [row for row in rows if row["auto_scheduled"] and row["state_type"] == "COMPLETED"]

    run = _eventually(completed)[0]
    planned = datetime.fromisoformat(run["expected_start_time"].replace("Z", "+00:00"))
    assert planned == next_minute["due"]
    assert run["created_by"]["type"] == "SCHEDULE"
    assert {row["type"] for row in api.artifacts(run["id"])} >= {"table", "progress"}


def test_a_scheduled_run_appears_by_itself_and_completes(
    api: PrefectApi, short_schedule: dict[str, Any]
) -> None:
    def completed() -> list[dict[str, Any]]:
        rows = _runs(api, short_schedule["id"])
        return [row for row in rows if row["auto_scheduled"] and row["state_type"] == "COMPLETED"]

    run = _eventually(completed)[0]
    assert run["created_by"]["type"] == "SCHEDULE"
    assert run["total_run_time"] > 0.0
    failed = {row["state_type"] for row in _runs(api, short_schedule["id"])} & {"CRASHED"}
    assert not failed


def test_runs_of_a_worker_that_is_gone_are_settled(api: PrefectApi, prefect_server: Config) -> None:
    made = api.call("POST", "/flow_runs/", {"flow_id": api.deployment("train")["flow_id"]})
    state = {"type": "RUNNING"}
    api.call("POST", f"/flow_runs/{made['id']}/set_state", {"state": state, "force": True})
    assert reconcile(prefect_server) >= 1
    assert api.run(made["id"])["state_type"] == "CRASHED"
    assert reconcile(prefect_server) == 0


def test_a_server_that_is_away_is_told(config: Config) -> None:
    from core.errors import Unavailable

    away = replace(config, prefect=replace(config.prefect, port=9))
    with pytest.raises(Unavailable, match="is not running"):
        reconcile(away)
