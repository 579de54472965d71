"""Whole order path under faults of network, disk, clock and processes, by seed.

A few seeds in ``make test``, 500 in ``make test-all``, 5,000 in ``make proof``. A seed that breaks
a promise is played again, with its trace, by ``python -m tests.simulation --seed N``.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.simulation.planted import BUGS
from tests.simulation.world import Outcome, simulate

ROOT = Path(__file__).resolve().parent.parent.parent
QUICK = 12
PART = 250
PLANTED_WITHIN = 2_000
QUICKLY_FOUND = (
    "a_timeout_counts_as_a_rejection",
    "outgoing_numbers_are_used_again_after_a_restart",
    "a_repeated_key_is_sent_again",
    "fills_are_not_journaled",
)
Record = Callable[[str, object], None]


def play(seeds: Iterable[int], record: Record) -> Counter[str]:
    """Play seeds; fail with all that broke a promise. What happened in them is recorded."""
    broken: list[str] = []
    seen: Counter[str] = Counter()
    for seed in seeds:
        outcome = simulate(seed)
        seen.update(outcome.counts)
        seen["seeds"] += 1
        if outcome.violation:
            broken.append(f"--seed {seed}: {outcome.violation}")
    record("met", dict(seen))
    assert not broken, "python -m tests.simulation " + "\n".join(broken)
    busy(seen, seen["seeds"])
    return seen


def busy(seen: Counter[str], seeds: int) -> None:
    """Fail when hardly anything was sent or filled: quiet seeds keep every promise."""
    assert seen["sent"] > 10 * seeds, seen
    assert seen["fills"] > 10 * seeds, seen


def test_seeds_keep_every_promise(record_property: Record) -> None:
    play(range(QUICK), record_property)


@pytest.mark.servers
@pytest.mark.parametrize("first", range(0, 500, PART))
def test_500_seeds_keep_every_promise(first: int, record_property: Record) -> None:
    play(range(first, first + PART), record_property)


@pytest.mark.proof
@pytest.mark.parametrize("first", range(0, 5_000, PART))
def test_5000_seeds_keep_every_promise(first: int, record_property: Record) -> None:
    seen = play(range(first, first + PART), record_property)
    # Every kind of fault was met, or the seeds would prove nothing.
    wanted = {"kills", "kills at a write", "venue kills", "disk faults", "clock jumps"}
    wanted |= {f"fault {name}" for name in ("drop", "delay", "duplicate", "half-open", "trickle",
                                            "garbage", "cut", "cut after ack")}  # fmt: skip
    assert wanted <= set(seen)
    assert seen["order UNKNOWN"] > 100


def test_a_seed_plays_the_same_again_also_in_another_process() -> None:
    here, again = simulate(3), simulate(3)
    assert here.trace == again.trace
    code = "from tests.simulation.world import simulate; print(simulate(3).digest)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "12345"},
    )  # fmt: skip
    assert elsewhere.stdout.strip() == here.digest


def find(name: str, within: int) -> Outcome | None:
    """First seed that shows the planted bug."""
    for seed in range(within):
        with BUGS[name]():
            outcome = simulate(seed)
        if outcome.violation:
            return outcome
    return None


@pytest.mark.parametrize("name", QUICKLY_FOUND)
def test_a_planted_bug_is_found(name: str) -> None:
    assert find(name, 20) is not None


@pytest.mark.proof
@pytest.mark.parametrize("name", BUGS)
def test_every_planted_bug_is_found_within_2000_seeds(name: str, record_property: Record) -> None:
    found = find(name, PLANTED_WITHIN)
    assert found is not None
    record_property("seed", found.seed)
    record_property("violation", found.violation)


def test_there_are_at_least_ten_planted_bugs() -> None:
    assert len(BUGS) >= 10
