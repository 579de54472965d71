"""What a slot of a search tries: from the seed, its number and earlier batches, nothing else.

It does not depend on how many processes there are, who was first, or what was killed and done
again. Each proposal is made by a sampler of its own, seeded by seed and slot, in a study in memory
that holds the results of earlier batches in order of their slots. Pruning looks at the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

Parameters = dict[str, int | float]

DONE = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTerms:
    """What decides the outcome of a search beside its objective.

    Attributes
    ----------
    name : str
        Equal for searches that may share results.
    space : mapping of str to distribution
        What is searched.
    start : dict, optional
        What slot 0 tries.
    trials : int
        Number of slots.
    batch : int
        Slots that are tried without knowing of each other's results.
    startup : int
        Trials that are drawn at random before the sampler learns, and before any is pruned.
    attributes : dict
        Kept with the study.
    """

    name: str
    space: Mapping[str, BaseDistribution]
    start: Parameters | None = None
    trials: int = 20
    batch: int = 4
    startup: int = 8
    seed: int = 0
    attributes: Mapping[str, Any]


def propose(slot: int, terms: StudyTerms, slots: Mapping[int, Sequence[FrozenTrial]]) -> Trial:
    """Propose parameters for a slot.

    Parameters
    ----------
    slots : mapping
        Trials of each slot.

    Returns
    -------
    Trial
        In a study in memory that holds what the slot's batch may know, so that it also says when
        to stop.
    """
    known = slot - slot % terms.batch
    seed = np.random.SeedSequence([terms.seed, slot]).generate_state(1)[0]
    study = optuna.create_study(
        direction="minimize",
        sampler=TPESampler(
            n_startup_trials=terms.startup,
            multivariate=True,
            constant_liar=True,
            seed=int(seed),
        ),
        pruner=MedianPruner(n_startup_trials=terms.startup, n_warmup_steps=1),
    )
    for earlier in range(slot):
        found = _outcome(slots.get(earlier, ()), ended=earlier < known)
        if found is not None:
            study.add_trial(found)
    if slot == 0 and terms.start is not None:
        study.enqueue_trial(terms.start)
    return study.ask(dict(terms.space))


def _outcome(trials: Sequence[FrozenTrial], *, ended: bool) -> FrozenTrial | None:
    """Copy what is to be known of a slot: its result, or while its batch runs what it tries."""
    for trial in trials:
        if ended and trial.state in DONE:
            return create_trial(
                state=trial.state,
                value=trial.value,
                params=trial.params,
                distributions=trial.distributions,
                intermediate_values=trial.intermediate_values,
            )
    if ended or not trials:
        return None
    tried = trials[-1]
    return create_trial(
        state=TrialState.RUNNING, params=tried.params, distributions=tried.distributions
    )
