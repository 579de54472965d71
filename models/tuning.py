"""A search for parameters that several processes share, may be killed, and ends the same.

The search is a row of slots, cut into batches; `models.proposals` says what each tries, from the
results of earlier batches alone. The journal on disk keeps what was tried and by which process; a
slot whose process is gone is tried again.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from core.errors import BadInput
from models.proposals import DONE, Parameters, StudyTerms, propose
from models.study_file import Presence, alone, is_present, open_journal

# A slot whose process died this often is given up: it may be what kills it.
_MOST_LOST = 3
_SLOT, _WORKER, _CAUSE = "slot", "worker", "cause"

log = logging.getLogger(__name__)


class Claim:
    """One slot that this process tries.

    Attributes
    ----------
    slot, number : int
        Place in the search; number of the trial in the journal, which counts lost ones too.
    parameters : dict
        What to try.
    shared : Trial
        In the journal.
    """

    def __init__(self, slot: int, shared: Trial, rehearsal: Trial) -> None:
        self.slot = slot
        self.number = shared.number
        self.parameters: Parameters = dict(shared.params)
        self.shared = shared
        self._rehearsal = rehearsal

    def report(self, fold: int, value: float) -> bool:
        """Tell the figure after a fold; returns whether to stop here."""
        self.shared.report(value, fold)
        self._rehearsal.report(value, fold)
        return self._rehearsal.should_prune()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a claim: a value, perhaps of a pruned trial, or the cause of a failure."""

    value: float | None = None
    pruned: bool = False
    cause: str = ""
    attributes: Mapping[str, Any]


class SharedStudy:
    """A search on disk, less is better.

    Parameters
    ----------
    folder : Path
        Where searches are kept; this one in ``<name>.journal``.

    Raises
    ------
    BadInput
        When the search was begun with another batch size, seed or startup.
    """

    def __init__(self, folder: Path, terms: StudyTerms) -> None:
        self._terms = terms
        self._lock = folder / f"{terms.name}.study"
        self._workers = folder / f"{terms.name}.workers"
        storage = open_journal(folder / f"{terms.name}.journal")
        self._presence = Presence(self._workers)
        with quiet(), alone(self._lock):
            self._study = optuna.create_study(
                study_name=terms.name,
                storage=storage,
                direction="minimize",
                load_if_exists=True,
                # Never asked to draw anything: all parameters are given.
                sampler=optuna.samplers.RandomSampler(seed=terms.seed),
                pruner=optuna.pruners.NopPruner(),
            )
            self._agree({**terms.attributes, **_rules(terms)})

    def close(self) -> None:
        """Give up what is claimed and not told; others may try it."""
        self._presence.end()

    def claim(self, most: int) -> list[Claim]:
        """Take up to `most` slots of the batch that is open, lost ones again; none may be free."""
        with alone(self._lock):
            self._settle_lost()
            return [self._take(slot) for slot in self._free()[:most]]

    def tell(self, claim: Claim, told: Told) -> None:
        """Keep the outcome of a claim."""
        trial = claim.shared
        for name, value in told.attributes.items():
            trial.set_user_attr(name, value)
        if told.cause:
            trial.set_user_attr(_CAUSE, told.cause)
            self._study.tell(trial, state=TrialState.FAIL)
        elif told.pruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, told.value)

    @property
    def finished(self) -> bool:
        """Whether every slot has come to an end."""
        return self.ended == self._terms.trials

    def lost(self) -> set[int]:
        """Numbers of the trials whose process was killed."""
        return {
            trial.number
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
            if _CAUSE not in trial.user_attrs
        }

    @property
    def ended(self) -> int:
        """Number of slots that have come to an end."""
        slots = self._slots()
        return sum(_ended(slots.get(slot, ())) for slot in range(self._terms.trials))

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials by number, with lost ones; `slot_of` tells their slots."""
        return list(self._study.get_trials(deepcopy=False))

    def best(self) -> FrozenTrial:
        """Return the complete trial of the least value, the earliest slot where several have it.

        Raises
        ------
        BadInput
            When none is complete.
        """
        complete = self.complete()
        if not complete:
            causes = {str(t.user_attrs[_CAUSE]) for t in self.trials if _CAUSE in t.user_attrs}
            raise BadInput(f"no trial came to its end: {'; '.join(sorted(causes)) or 'none ran'}")
        return min(complete, key=lambda trial: (trial.value, slot_of(trial)))

    def complete(self) -> list[FrozenTrial]:
        """Complete trials in order of their slots."""
        done = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return sorted(done, key=slot_of)

    def _agree(self, attributes: Mapping[str, Any]) -> None:
        for name, value in attributes.items():
            kept = self._study.user_attrs.get(name, value)
            if kept != value:
                raise BadInput(
                    f"the search {self._terms.name} was begun with {name} {kept}, not {value}; "
                    "go on with that, or change what is searched"
                )
            if name not in self._study.user_attrs:
                self._study.set_user_attr(name, value)

    def _settle_lost(self) -> None:
        """Fail the trials whose process is gone."""
        for _ in self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            # Killed between queueing and asking; we hold the lock, so nobody is at it.
            queued = self._study.ask(dict(self._terms.space))
            self._study.tell(queued, state=TrialState.FAIL)
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            worker = str(trial.user_attrs.get(_WORKER, ""))
            if is_present(self._workers, worker):
                continue
            log.warning("slot %d: its process is gone, it is tried again", slot_of(trial))
            self._study.tell(trial.number, state=TrialState.FAIL)

    def _slots(self) -> dict[int, list[FrozenTrial]]:
        return _by_slot(self._study.get_trials(deepcopy=False))

    def _free(self) -> list[int]:
        """Slots of the first batch that has not ended, less those that someone is at."""
        terms, slots = self._terms, self._slots()
        for first in range(0, terms.trials, terms.batch):
            batch = range(first, min(first + terms.batch, terms.trials))
            if not all(_ended(slots.get(slot, ())) for slot in batch):
                return [slot for slot in batch if _is_free(slots.get(slot, ()))]
        return []

    def _take(self, slot: int) -> Claim:
        # Read anew for each: what was just taken of the same batch is known to the next.
        rehearsal = propose(slot, self._terms, self._slots())
        attributes = {_SLOT: slot, _WORKER: self._presence.name}
        self._study.enqueue_trial(dict(rehearsal.params), user_attrs=attributes)
        # Nobody else asks meanwhile, so what is asked for is what was queued.
        return Claim(slot, self._study.ask(dict(self._terms.space)), rehearsal)


def slot_of(trial: FrozenTrial) -> int:
    """Slot that a trial of the journal was for."""
    return int(trial.user_attrs[_SLOT])


def _rules(terms: StudyTerms) -> dict[str, Any]:
    return {"batch": terms.batch, "startup": terms.startup, "seed": terms.seed}


def _by_slot(trials: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    slots: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        slots.setdefault(slot_of(trial), []).append(trial)
    return slots


def _ended(trials: Sequence[FrozenTrial]) -> bool:
    """Tell whether a slot has a result, a failure with a cause, or lost too many processes."""
    if any(trial.state in DONE or _CAUSE in trial.user_attrs for trial in trials):
        return True
    return sum(trial.state == TrialState.FAIL for trial in trials) >= _MOST_LOST


def _is_free(trials: Sequence[FrozenTrial]) -> bool:
    return not _ended(trials) and not any(t.state == TrialState.RUNNING for t in trials)


def count_trials(folder: Path, attribute: str, value: str) -> int:
    """Count the trials of every search in `folder` that has this attribute; lost ones included."""
    return sum(
        len(study.get_trials(deepcopy=False))
        for study in _studies(folder)
        if study.user_attrs.get(attribute) == value
    )


def _studies(folder: Path) -> Iterator[optuna.Study]:
    for path in sorted(folder.glob("*.journal")):
        name = path.stem
        yield optuna.load_study(study_name=name, storage=open_journal(path))


def describe(study: SharedStudy, best: Parameters) -> str:
    """Tell for people, in Markdown, what was tried and what was chosen."""
    states = Counter(trial.state.name.lower() for trial in study.trials)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    names = sorted(best)
    lines = [
        f"{len(study.trials)} trials: {counts}. The best ten of the complete ones:",
        "",
        "| slot | log-loss ratio | " + " | ".join(names) + " |",
        "|---:" * (len(names) + 2) + "|",
    ]
    for trial in sorted(study.complete(), key=lambda trial: trial.value or 0.0)[:10]:
        cells = [f"{trial.params[name]:.4g}" for name in names]
        lines.append(f"| {slot_of(trial)} | {trial.value:.5f} | " + " | ".join(cells) + " |")
    told = "\n".join(f"{name} = {best[name]:.6g}" for name in names)
    return (
        "\n".join(lines)
        + f"\n\nAs settings, to train with from now on:\n\n```toml\n[training]\n{told}\n```\n"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's own log, a line a trial, out of ours."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
