"""A process that works on a search of synthetic quotes; the tests start, hold and kill it.

    python -m tests.flows.search_worker FOLDER TRIALS WORKERS HOLD MEET [STARTUP]

It writes ``<folder>/at-<pid>-<slot>`` when an attempt begins. At slot HOLD (-1 for none) it waits
for ever, to be killed there. With MEET it waits, at its first attempt, until two processes have
begun one, so that both take part. With a STARTUP of all trials none is pruned.
"""

import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

from core.config import Config, StorageConfig, TuningConfig
from flows.tune_job import Attempt, Search, open_study, work
from models.dataset import Dataset
from models.evaluation import Policy
from tests.models.synthetic import CONFIG, COSTS, DECISION, decide, make_dataset

TUNING = TuningConfig(batch=4, startup=6)
DATA_HASH = "d" * 8


@cache
def part() -> Dataset:
    return make_dataset(0, n=1_500).training()


def search_in(folder: Path, trials: int, tuning: TuningConfig = TUNING) -> Search:
    training = replace(CONFIG, trees=40, early_stopping=5)
    config = Config(storage=StorageConfig(home=folder), training=training, tuning=tuning)
    study = open_study(config, "synthetic", trials, {"data_hash": DATA_HASH})
    return Search(
        name="synthetic",
        config=config,
        part=part(),
        policy=Policy(decide, COSTS, DECISION),
        study=study,
        trials=trials,
    )


def main(
    folder: Path, trials: int, workers: int, hold: int, meet: int, startup: int = TUNING.startup
) -> None:
    search = search_in(folder, trials, replace(TUNING, startup=startup))
    with ThreadPoolExecutor(workers) as pool:

        def submit(slot: int, attempt: Attempt) -> Future:
            (folder / f"at-{os.getpid()}-{slot}").touch()
            return pool.submit(held, slot, attempt)

        def held(slot: int, attempt: Attempt) -> object:
            while slot == hold:
                time.sleep(60)
            while meet and len({p.name.split("-")[1] for p in folder.glob("at-*")}) < 2:
                time.sleep(0.02)
            return attempt()

        work(search, submit, workers)
    search.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(text) for text in sys.argv[2:]))
