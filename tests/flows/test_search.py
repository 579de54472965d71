"""A search ends the same however it was run: alone, on many threads, shared, or killed midway."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from core.config import TrainingConfig
from core.errors import BadInput
from flows.environment import ROOT
from flows.tune_job import Search, work
from models.trials import space_of, start_of, with_parameters
from models.tuning import count_trials, describe, slot_of
from tests.flows.search_worker import DATA_HASH, TUNING, search_in

Outcome = list[tuple[int, str, float | None, dict[str, Any]]]


def outcome(search: Search) -> Outcome:
    """What each slot came to, lost trials left out."""
    lost = search.study.lost()
    found = [
        (slot_of(trial), trial.state.name, trial.value, trial.params)
        for trial in search.study.trials
        if trial.number not in lost
    ]
    return sorted(found, key=lambda one: one[0])


def run_here(folder: Path, trials: int, workers: int, startup: int = TUNING.startup) -> Search:
    search = search_in(folder, trials, replace(TUNING, startup=startup))
    with ThreadPoolExecutor(workers) as pool:
        work(search, lambda _, attempt: pool.submit(attempt), workers)
    search.close()
    return search


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """Twenty trials, one after the other."""
    return run_here(tmp_path_factory.mktemp("plain"), 20, 1)


def test_the_number_of_threads_changes_nothing(plain: Search, tmp_path: Path) -> None:
    found = outcome(plain)
    assert [slot for slot, *_ in found] == list(range(20))
    assert {state for _, state, *_ in found} <= {"COMPLETE", "PRUNED"}
    assert outcome(run_here(tmp_path, 20, 3)) == found


def test_a_search_learns_prunes_and_starts_from_the_settings(plain: Search) -> None:
    config = plain.config.training
    assert outcome(plain)[0][3] == start_of(config)
    states = [state for _, state, *_ in outcome(plain)]
    assert "PRUNED" in states
    assert "PRUNED" not in states[: TUNING.startup]
    best = plain.finished()
    assert best.value == min(value for _, state, value, _ in outcome(plain) if state == "COMPLETE")
    assert best.tried.shape == (states.count("COMPLETE"), 160)
    assert np.any(best.tried)
    assert with_parameters(config, best.parameters) != config
    told = describe(plain.study, best.parameters)
    assert "20 trials" in told
    assert "learning_rate = " in told


def test_more_trials_go_on_where_fewer_stopped(plain: Search, tmp_path: Path) -> None:
    run_here(tmp_path, 9, 2)
    # Slot 8 was tried with the last whole batch known; the rest of its batch follows.
    assert outcome(run_here(tmp_path, 20, 2)) == outcome(plain)


def test_trials_are_counted_for_the_data_they_saw(plain: Search) -> None:
    folder = plain.config.storage.home / "searches"
    assert count_trials(folder, "data_hash", DATA_HASH) == 20
    assert count_trials(folder, "data_hash", "other") == 0
    assert count_trials(folder / "nothing", "data_hash", DATA_HASH) == 0


def test_other_rules_are_refused_by_name(plain: Search) -> None:
    home = plain.config.storage.home
    with pytest.raises(BadInput, match="was begun with batch 4, not 2"):
        search_in(home, 20, replace(TUNING, batch=2))


def test_a_failing_trial_is_kept_with_its_cause_and_not_tried_again(tmp_path: Path) -> None:
    search = search_in(tmp_path, 4)

    class Broken:
        def result(self) -> str:
            return "a fold has one class only"

    work(search, lambda *_: Broken(), 2)
    assert [trial.state for trial in search.study.trials] == [TrialState.FAIL] * 4
    assert search.study.lost() == set()
    with pytest.raises(BadInput, match="no trial came to its end: a fold has one class only"):
        search.finished()
    search.close()


def test_what_nobody_is_at_is_tried_again_and_what_kills_thrice_is_given_up(
    tmp_path: Path,
) -> None:
    for attempt in range(3):
        search = search_in(tmp_path, 1)
        (claim,) = search.study.claim(5)
        assert (claim.slot, claim.number) == (0, attempt)
        other = search_in(tmp_path, 1)
        assert other.study.claim(5) == [], "somebody is at it"
        other.close()
        search.close()
    last = search_in(tmp_path, 1)
    assert last.study.claim(5) == []
    assert last.study.finished
    assert last.study.lost() == {0, 1, 2}
    last.close()


def test_a_torn_last_line_is_mended(tmp_path: Path) -> None:
    done = outcome(run_here(tmp_path / "a", 5, 1))
    journal = tmp_path / "a" / "searches" / "synthetic.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "work')
    again = run_here(tmp_path / "a", 6, 1)
    assert outcome(again)[:5] == done
    assert len(outcome(again)) == 6
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_the_space_holds_the_settings_and_refuses_strangers() -> None:
    config = replace(TrainingConfig(), early_stopping=0)
    assert "trees" in space_of(config)
    assert "trees" not in space_of(TrainingConfig())
    assert start_of(replace(config, learning_rate=0.9)) is None
    for family in ("tcn", "gru", "mlp"):
        network = replace(TrainingConfig(), family=family)
        assert start_of(network) is not None
        assert "depth" not in space_of(network)
        assert with_parameters(network, start_of(network) or {}) == network
    with pytest.raises(BadInput, match="no setting 'leaves'"):
        with_parameters(config, {"leaves": 3})


def start(folder: Path, *numbers: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    arguments = [sys.executable, "-m", "tests.flows.search_worker", str(folder)]
    return subprocess.Popen([*arguments, *map(str, numbers)], cwd=ROOT, env=environment)


def await_slot(folder: Path, slot: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob(f"at-*-{slot}")):
        assert process.poll() is None, "the process ended before it got there"
        assert time.monotonic() < deadline, f"slot {slot} was never begun"
        time.sleep(0.02)


@pytest.mark.servers
def test_killed_at_trial_7_of_20_ends_with_20_complete(plain: Search, tmp_path: Path) -> None:
    killed = start(tmp_path, 20, 1, 7, 0)
    await_slot(tmp_path, 7, killed)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(30) == -signal.SIGKILL
    assert start(tmp_path, 20, 1, -1, 0).wait(300) == 0
    search = search_in(tmp_path, 20)
    assert search.study.finished
    assert outcome(search) == outcome(plain), "as if nothing had happened"
    tried = [slot_of(trial) for trial in search.study.trials]
    assert sorted(tried) == sorted([*range(20), 7]), "slot 7 twice, every other once"
    (lost,) = search.study.lost()
    assert slot_of(search.study.trials[lost]) == 7
    # What was lost was tried as well, as far as anyone knows.
    assert search.finished().trials == 21
    search.close()


@pytest.mark.servers
def test_killed_at_trial_7_of_20_without_pruning_completes_all_20(tmp_path: Path) -> None:
    killed = start(tmp_path, 20, 1, 7, 0, 20)
    await_slot(tmp_path, 7, killed)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(30) == -signal.SIGKILL
    assert start(tmp_path, 20, 1, -1, 0, 20).wait(300) == 0
    search = search_in(tmp_path, 20, replace(TUNING, startup=20))
    assert [state for _, state, *_ in outcome(search)] == ["COMPLETE"] * 20
    assert search.finished().tried.shape == (20, 160)
    search.close()


@pytest.mark.servers
def test_two_processes_share_a_search_without_a_lost_or_repeated_trial(
    plain: Search, tmp_path: Path
) -> None:
    both = [start(tmp_path, 20, 1, -1, 1) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    search = search_in(tmp_path, 20)
    assert outcome(search) == outcome(plain)
    assert [trial.number for trial in search.study.trials] == list(range(20))
    assert len({trial.user_attrs["worker"] for trial in search.study.trials}) == 2
    search.close()


@pytest.mark.servers
def test_the_one_that_stays_tries_again_what_the_killed_one_was_at(
    plain: Search, tmp_path: Path
) -> None:
    first = start(tmp_path, 20, 1, 2, 1)
    second = start(tmp_path, 20, 1, 2, 1)
    await_slot(tmp_path, 2, first)
    (at,) = tmp_path.glob("at-*-2")
    stuck = first if str(first.pid) in at.name else second
    # The other one may wait for the batch or be about to: either way it goes on.
    stuck.send_signal(signal.SIGKILL)
    stuck.wait(30)
    # It holds at slot 2 as well when it takes it over, so a third process ends the search.
    other = second if stuck is first else first
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("at-*-2"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    other.send_signal(signal.SIGKILL)
    other.wait(30)
    assert start(tmp_path, 20, 2, -1, 0).wait(300) == 0
    search = search_in(tmp_path, 20)
    assert outcome(search) == outcome(plain)
    search.close()
