"""Talks to the Prefect server over REST: deploy, run and watch, tidy up after a crash.

Plain HTTP: importing Prefect costs 2.7 s, which every command line call would pay.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import urllib3

from core.config import Config, PrefectConfig
from core.errors import BadInput, NotFound, RecoverableError, Unavailable
from flows.environment import ROOT, WORK_POOL, environment

QUEUE_LIMITS = {"train": 1, "judge": 1, "ingest": 1, "scenarios": 2}
"""Runs at once by work queue: a training takes a whole core, and one at a time ends sooner."""
_POLL_SECS = 0.5
_AGAIN_SECS = 2.0
_TURNED_AWAY = "concurrency limit reached"
_DEPLOY_SECS = 120
_TRIES = 8
_FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
_UNFINISHED = ("RUNNING", "PENDING", "CANCELLING", "PAUSED")
_BUSY = frozenset({429, 502, 503, 504})
# Prefect keeps of an exception only this text; the class may come with its module.
_EXCEPTION = re.compile(r"encountered an exception[:.]?\s+(?:[\w.]+\.)?(\w+):\s+(.+)", re.DOTALL)


class RunUpdate(msgspec.Struct, frozen=True):
    """How a flow run stands; `percent` is its newest progress artifact, or -1 without one."""

    run_id: str
    state: str
    elapsed_secs: float
    percent: float = -1.0
    what: str = ""


OnUpdate = Callable[[RunUpdate], None]


class FlowRunFailed(RecoverableError):
    """A flow run ended in another state than COMPLETED."""


class PrefectApi:
    """The few calls of the Prefect REST API that we make.

    A 503 (SQLite busy), a lost connection or a time-out is tried again; all calls here may safely
    be repeated, creation of a flow run because it carries an idempotency key.
    """

    def __init__(self, config: PrefectConfig) -> None:
        self._url = config.api_url
        self._http = urllib3.PoolManager(maxsize=2, retries=False, timeout=20.0)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the decoded answer.

        Raises
        ------
        NotFound
            When the server has no such thing.
        Unavailable
            When the server does not answer, stays busy, or refuses.
        """
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(0.1 * 2 ** min(attempt, 4))
            try:
                reply = self._http.request(method, f"{self._url}{path}", json=body)
            except urllib3.exceptions.NewConnectionError:
                why = "is not running (`tickpath up` starts it)"
                break
            except urllib3.exceptions.HTTPError as error:
                why = f"does not answer: {error}"
                continue
            if reply.status not in _BUSY:
                return _decoded(reply, path)
            why = f"is busy ({reply.status})"
        raise Unavailable(f"Prefect at {self._url} {why}")

    def deployment(self, name: str) -> dict[str, Any]:
        """Return the deployment ``<flow>/<name>``, or the one of that name if it has no slash."""
        path = name if "/" in name else f"{name}/{name}"
        found: dict[str, Any] = self.call("GET", f"/deployments/name/{path}")
        return found

    def deployments(self) -> list[dict[str, Any]]:
        """Return all deployments."""
        found: list[dict[str, Any]] = self.call("POST", "/deployments/filter", {"limit": 200})
        return found

    def start(self, name: str, parameters: dict[str, Any]) -> str:
        """Schedule a run of a deployment for now and return its id."""
        deployment = self.deployment(name)
        made = self.call(
            "POST",
            f"/deployments/{deployment['id']}/create_flow_run",
            {
                "parameters": {**deployment["parameters"], **parameters},
                "state": {"type": "SCHEDULED"},
                "idempotency_key": f"tickpath-{time.time_ns()}",
            },
        )
        return str(made["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a flow run."""
        found: dict[str, Any] = self.call("GET", f"/flow_runs/{run_id}")
        return found

    def artifacts(self, run_id: str) -> list[dict[str, Any]]:
        """Artifacts of a flow run, newest first."""
        wanted = {"flow_runs": {"id": {"any_": [run_id]}}, "sort": "CREATED_DESC"}
        found: list[dict[str, Any]] = self.call("POST", "/artifacts/filter", wanted)
        return found

    def paused(self, flow: str, parameters: dict[str, Any]) -> str | None:
        """Id of the newest paused run of a flow that has these parameters, or None."""
        body = {
            "flows": {"name": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}},
            "sort": "EXPECTED_START_TIME_DESC",
        }
        for row in self.call("POST", "/flow_runs/filter", body):
            if all(row["parameters"].get(name) == value for name, value in parameters.items()):
                return str(row["id"])
        return None

    def resume(self, run_id: str, answer: dict[str, Any]) -> None:
        """Answer the form of a paused run, so that it goes on."""
        self.call("POST", f"/flow_runs/{run_id}/resume", {"run_input": answer})

    def automations(self) -> list[dict[str, Any]]:
        """Return all automations."""
        found: list[dict[str, Any]] = self.call("POST", "/automations/filter", {"limit": 200})
        return found

    def runs_of(self, name: str) -> list[dict[str, Any]]:
        """Return the flow runs of a deployment, newest first."""
        body = {
            "deployments": {"id": {"any_": [self.deployment(name)["id"]]}},
            "sort": "EXPECTED_START_TIME_DESC",
        }
        found: list[dict[str, Any]] = self.call("POST", "/flow_runs/filter", body)
        return found

    def set_schedules(self, name: str, schedules: list[dict[str, Any]]) -> None:
        """Replace the schedules of a deployment, e.g. ``[{"interval": 2}]`` (seconds)."""
        deployment = self.deployment(name)["id"]
        for old in self.deployment(name)["schedules"]:
            self.call("DELETE", f"/deployments/{deployment}/schedules/{old['id']}")
        rows = [{"active": True, "schedule": schedule} for schedule in schedules]
        if rows:
            self.call("POST", f"/deployments/{deployment}/schedules", rows)


def _decoded(reply: urllib3.BaseHTTPResponse, path: str) -> Any:
    if reply.status == 404:
        raise NotFound(f"Prefect has no {path}")
    if reply.status >= 400:
        raise Unavailable(f"Prefect answers {reply.status} to {path}: {reply.data[:300]!r}")
    return msgspec.json.decode(reply.data) if reply.data else None


def deploy_all(config: Config, *, schedules: bool = True) -> list[str]:
    """Create or renew every deployment of ``prefect.yaml``; returns their names.

    Parameters
    ----------
    schedules : bool
        False pauses the schedules: runs then start only when asked for.

    Raises
    ------
    Unavailable
        When one could not be created; the message ends with what Prefect said.
    """
    api = PrefectApi(config.prefect)
    _ensure_pool(api, WORK_POOL)
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=ROOT,
        env={**environment(config), "NO_COLOR": "1", "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_DEPLOY_SECS,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()[-2_000:]
    # `deploy` also exits with 0 after failing to load an entry point, so look for each.
    found = {row["name"]: row for row in api.deployments()}
    missing = sorted(set(declared_deployments()) - set(found))
    if done.returncode or missing:
        raise Unavailable(f"deployments are missing: {', '.join(missing)}\n{said}")
    for row in found.values():
        if row["paused"] == schedules:
            api.call("PATCH", f"/deployments/{row['id']}", {"paused": not schedules})
    _limit_queues(api)
    return sorted(found)


def _limit_queues(api: PrefectApi) -> None:
    """Set how many runs each work queue lets go at once; `prefect.yaml` cannot say it."""
    for row in api.call("POST", f"/work_pools/{WORK_POOL}/queues/filter", {}):
        limit = QUEUE_LIMITS.get(row["name"])
        if limit is not None and row["concurrency_limit"] != limit:
            path = f"/work_pools/{WORK_POOL}/queues/{row['name']}"
            api.call("PATCH", path, {"concurrency_limit": limit})


def declared_deployments() -> list[str]:
    """Names of the deployments in ``prefect.yaml``."""
    text = (ROOT / "prefect.yaml").read_text()
    return re.findall(r"^  - name: (\S+)$", text, re.MULTILINE)


def _ensure_pool(api: PrefectApi, pool: str) -> None:
    try:
        api.call("GET", f"/work_pools/{pool}")
    except NotFound:
        api.call("POST", "/work_pools/", {"name": pool, "type": "process"})


def run_deployment(
    config: Config,
    name: str,
    parameters: dict[str, Any] | None = None,
    on_update: OnUpdate | None = None,
    timeout_secs: float = 900.0,
) -> str:
    """Run a deployment now, wait for its end and return the id of the flow run.

    Parameters
    ----------
    on_update : callable, optional
        Called with a `RunUpdate` when state or progress changed.

    Raises
    ------
    BadInput, NotFound, Conflict, Unavailable
        What the flow itself raised, with its sentence.
    FlowRunFailed
        When it ended in another way; the message has the reason and where the log is.
    Unavailable
        When it took longer than `timeout_secs`, or the server went away.
    """
    api = PrefectApi(config.prefect)
    run_id = api.start(name, parameters or {})
    started = time.monotonic()
    last: tuple[str, float] | None = None
    while True:
        update = _look(api, run_id, time.monotonic() - started)
        if on_update and last != (last := (update.state, update.percent)):
            on_update(update)
        if update.state in _FINAL:
            if update.state == "COMPLETED":
                return run_id
            message = api.run(run_id)["state"]["message"] or "no reason given"
            if _TURNED_AWAY not in message or update.elapsed_secs > timeout_secs:
                raise failure(name, update.state, message, config.storage.home / "logs")
            # Another run of the deployment, a scheduled one say, was first: ask again after it.
            time.sleep(_AGAIN_SECS)
            run_id = api.start(name, parameters or {})
        if update.elapsed_secs > timeout_secs:
            raise Unavailable(f"flow run {name} is still {update.state} after {timeout_secs:g} s")
        time.sleep(_POLL_SECS)


def _look(api: PrefectApi, run_id: str, elapsed: float) -> RunUpdate:
    state = api.run(run_id)["state"]["type"]
    if state not in ("RUNNING", *_FINAL):
        return RunUpdate(run_id, state, elapsed)
    for row in api.artifacts(run_id):
        if row["type"] == "progress":
            return RunUpdate(run_id, state, elapsed, float(row["data"]), row["description"] or "")
    return RunUpdate(run_id, state, elapsed)


def failure(name: str, state: str, message: str, logs: Path) -> RecoverableError:
    """Turn the last state of a flow run into the error that the run ended with.

    Parameters
    ----------
    message : str
        Message of the state, such as "Flow run encountered an exception: BadInput: <sentence>".
    logs : Path
        Where the worker's log lies, for an exception that no input explains.

    Returns
    -------
    RecoverableError
        `BadInput` for that class and its leaves, another recoverable class as itself, and
        `FlowRunFailed` for all else; one line each.
    """
    if found := _EXCEPTION.search(message):
        kind, sentence = _recoverable(RecoverableError).get(found[1]), _one_line(found[2])
        if kind is not None:
            # A leaf may want other arguments than its sentence.
            return BadInput(sentence) if issubclass(kind, BadInput) else kind(sentence)
        message = f"{found[1]}: {sentence}"
    return FlowRunFailed(
        f"flow run {name} ended {state}: {_one_line(message)} (see {logs / 'worker.log'})"
    )


def _recoverable(kind: type[RecoverableError]) -> dict[str, type[RecoverableError]]:
    leaves = {
        name: leaf for sub in kind.__subclasses__() for name, leaf in _recoverable(sub).items()
    }
    return {kind.__name__: kind, **leaves}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def reconcile(config: Config) -> int:
    """Make the work pool and settle what an earlier server left behind; call it before `worker`.

    Runs whose worker is gone become CRASHED, and runs that a schedule planned for the time in
    between are dropped, since each would only repeat the next one.

    Returns
    -------
    int
        Number of runs settled.
    """
    api = PrefectApi(config.prefect)
    _ensure_pool(api, WORK_POOL)
    settled = 0
    while lost := _runs(api, {"state": {"type": {"any_": list(_UNFINISHED)}}}):
        for row in lost:
            _set_crashed(api, row["id"])
        settled += len(lost)
    now = datetime.now(UTC).isoformat()
    missed = {"type": {"any_": ["SCHEDULED"]}}
    while late := _runs(api, {"state": missed, "expected_start_time": {"before_": now}}):
        for row in late:
            api.call("DELETE", f"/flow_runs/{row['id']}")
        settled += len(late)
    return settled


def _set_crashed(api: PrefectApi, run_id: str) -> None:
    state = {"type": "CRASHED", "message": "its worker was stopped"}
    api.call("POST", f"/flow_runs/{run_id}/set_state", {"state": state, "force": True})


def _runs(api: PrefectApi, chosen: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.call("POST", "/flow_runs/filter", {"flow_runs": chosen})
    return found
