"""Promotes in forked children that die at a step they were told: ``python -m`` this, then lines.

A line on standard input is JSON: ``{"version": "2", "die_at": 5, "wait": null}``. The answer is
``{"signal": 9 or 0, "said": "...", "steps": [...]}``, with the steps that the child went through.
`wait` names a file that the child waits for between judging and concluding. Every write that a
promotion makes, and its end, is a step of its own.
"""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from core.config import Config, MlflowConfig, StorageConfig
from core.errors import AppError
from flows.promote_job import finish
from registry.aliases import Aliases
from registry.gates import Gate
from registry.loading import RegistryReader, local_copies
from registry.opening import Registry
from registry.projection import Served
from registry.promotion import Judgement, store_verdicts
from registry.promotion_ledger import PromotionLedger
from registry.tracking import connect
from storage.promotions import PromotionRow, PromotionRows
from storage.sqlite import Ledger

GATES = (Gate("fine", "always passes", 1.0, ">", 0.0), Gate("also", "as well", 2.0, ">", 0.0))


class Steps:
    """Counts the steps, tells them, and dies at the one it was told."""

    def __init__(self, die_at: int, tell: int) -> None:
        self._die_at, self._tell, self._count = die_at, tell, 0

    def __call__(self, name: str) -> None:
        self._count += 1
        os.write(self._tell, f"{name}\n".encode())
        if self._count == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class SteppedRows(PromotionRows):
    """Rows with a step before and after each write."""

    def __init__(self, ledger: Ledger, step: Steps) -> None:
        super().__init__(ledger)
        self._step = step

    def append(self, model: str, row: PromotionRow) -> None:
        self._step("append")
        super().append(model, row)
        self._step("appended")

    def note_projected(self, model: str, generation: int) -> None:
        self._step("note projected")
        super().note_projected(model, generation)
        self._step("noted projected")


class SteppedAliases(Aliases):
    """Aliases with a step before and after each move."""

    def __init__(self, config: MlflowConfig, reader: RegistryReader, step: Steps) -> None:
        super().__init__(config, reader)
        self._step = step

    def _send(self, method: str, body: dict[str, Any]) -> None:
        self._step(f"{method} {body['alias']}")
        super()._send(method, body)
        self._step(f"{method} {body['alias']} done")


class SteppedTags:
    """Tags with a step before and after each."""

    def __init__(self, client: MlflowClient, step: Steps) -> None:
        self._client, self._step = client, step

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._step(f"tag {key}")
        self._client.set_model_version_tag(name, version, key, value)
        self._step(f"tagged {key}")


def promote(config: Config, model: str, version: str, wait: str | None, step: Steps) -> str:
    with Ledger(config.storage.ledger) as store:
        ledger = PromotionLedger(SteppedRows(store, step))
        reader = RegistryReader(config.mlflow, local_copies(config.storage))
        served = Served(ledger, SteppedAliases(config.mlflow, reader, step))
        registry = Registry(ledger, reader, served)
        upon = served.reconcile(model)
        judged = Judgement(reader.version(model, version), GATES, upon)
        step("judged")
        store_verdicts(SteppedTags(connect(config.mlflow), step), judged, "test")
        while wait is not None and not Path(wait).exists():
            time.sleep(0.001)
        said = finish(registry, judged, actor="tester", reason="").note
        step("concluded")
        return said


def child(config: Config, model: str, job: dict[str, Any], tell: int) -> None:
    try:
        said = promote(config, model, job["version"], job["wait"], Steps(job["die_at"], tell))
    except AppError as error:
        said = f"{type(error).__name__}: {error}"
    os.write(tell, f"said {said}\n".encode())


def run(config: Config, model: str, job: dict[str, Any]) -> dict[str, Any]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            child(config, model, job, write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as told:
        lines = told.read().splitlines()
    _, status = os.waitpid(pid, 0)
    said = [line.removeprefix("said ") for line in lines if line.startswith("said ")]
    died = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if not died and os.WEXITSTATUS(status):
        said = ["the child failed"]
    steps = [line for line in lines if not line.startswith("said ")]
    return {"signal": died, "said": "".join(said), "steps": steps}


def main() -> None:
    home, port, model = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    config = replace(Config(), storage=StorageConfig(home=home), mlflow=MlflowConfig(port=port))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(config, model, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
