"""What becomes of a judged version: it is stored in the promotion ledger, then shown by an alias.

A promotion is one entry of the ledger, made only if nothing was stored since the judgement began;
the alias moves after it, last. A crash before the entry leaves the old champion, one after it the
new one. A failed gate is a result, not an error: the version may then be watched under
``bootstrap`` while there is no champion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from core.errors import NotFound
from registry.gates import Gate
from registry.loading import BOOTSTRAP, CHAMPION, RegisteredVersion
from registry.promotion_ledger import Action, Entry, PromotionLedger, Standing

SOURCE_TAG = "data_source"


class VersionTags(Protocol):
    """The call of `mlflow.MlflowClient` that verdicts are stored by."""

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> object:
        """Set one tag of a version."""
        ...


class Promotion(msgspec.Struct, frozen=True):
    """What became of a version; `alias` is the one it holds now, or empty."""

    model: str
    version: str
    gates: tuple[Gate, ...]
    alias: str
    note: str
    generation: int = 0

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Verdicts on a version, and the entry of the ledger that they were made upon."""

    version: RegisteredVersion
    gates: tuple[Gate, ...]
    upon: Entry | None

    @property
    def passed(self) -> bool:
        """Whether every gate passed; a judgement without gates never does."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)


def refuse(tags: VersionTags, version: RegisteredVersion, why: str) -> None:
    """Note that a version could not even be loaded; no alias moves."""
    tags.set_model_version_tag(version.model, version.version, "gate.canary", f"fail: {why}")
    tags.set_model_version_tag(version.model, version.version, "gates", "failed")


def store_verdicts(tags: VersionTags, judged: Judgement, policy_version: str) -> None:
    """Store every verdict, then their sum, on the version."""
    version = judged.version
    for gate in judged.gates:
        tags.set_model_version_tag(version.model, version.version, f"gate.{gate.name}", str(gate))
    word = "passed" if judged.passed else "failed"
    tags.set_model_version_tag(version.model, version.version, "gate_policy", policy_version)
    tags.set_model_version_tag(version.model, version.version, "gates", word)


def conclude(
    ledger: PromotionLedger,
    show: Callable[[Entry], None],
    judged: Judgement,
    *,
    actor: str,
    reason: str,
) -> Promotion:
    """Enter what the version has earned into the ledger, then show it.

    Parameters
    ----------
    show : callable
        Moves the aliases to what an entry says; called last.
    actor, reason : str
        Who let it happen, and why.

    Raises
    ------
    Conflict
        When another promotion was first.
    """
    action, standing, note = _earned(judged)
    version = judged.version
    if judged.upon is not None and action == "promote" and standing == judged.upon.standing:
        return _result(judged, judged.upon, CHAMPION, "it is champion already")
    entry = ledger.append(
        judged.upon,
        model=version.model,
        action=action,
        actor=actor,
        reason=f"{reason}: {note}" if reason else note,
        version=version.version,
        standing=standing,
        gates=judged.gates,
    )
    if action != "refuse":
        show(entry)
    return _result(judged, entry, _alias(action), note)


def _result(judged: Judgement, entry: Entry, alias: str, note: str) -> Promotion:
    version = judged.version
    return Promotion(version.model, version.version, judged.gates, alias, note, entry.generation)


def _alias(action: Action) -> str:
    return {"promote": CHAMPION, "bootstrap": BOOTSTRAP, "demote": BOOTSTRAP}.get(action, "")


def _earned(judged: Judgement) -> tuple[Action, Standing, str]:
    version = judged.version
    now = judged.upon.standing if judged.upon is not None else Standing()
    if judged.passed:
        kept = None if _same_version(now.bootstrap, version) else now.bootstrap
        promoted = Standing(champion=_named(version, CHAMPION), bootstrap=kept)
        return "promote", promoted, "every gate passed"
    champion = now.champion
    if champion is not None and _survives(champion, version):
        return "refuse", now, f"a gate failed; version {champion.version} stays champion"
    watched = Standing(champion=None, bootstrap=_named(version, BOOTSTRAP))
    if champion is None:
        note = "a gate failed and there is no champion: it may be watched, not traded"
        return "bootstrap", watched, note
    return "demote", watched, f"a gate failed; version {champion.version} is champion no more"


def _survives(champion: RegisteredVersion, failed: RegisteredVersion) -> bool:
    """Tell whether a champion survives the failure of a version.

    Not its own failure; and what was learnt on one tape is no licence to trade another that goes
    by the same symbol.
    """
    same_tape = champion.tags.get(SOURCE_TAG) == failed.tags.get(SOURCE_TAG)
    return same_tape and champion.version != failed.version


def _same_version(one: RegisteredVersion | None, other: RegisteredVersion) -> bool:
    return one is not None and (one.version, one.manifest_sha256) == (
        other.version,
        other.manifest_sha256,
    )


def _named(version: RegisteredVersion, alias: str) -> RegisteredVersion:
    kept = {SOURCE_TAG: version.tags[SOURCE_TAG]} if SOURCE_TAG in version.tags else {}
    return msgspec.structs.replace(version, alias=alias, tags=kept)


def earlier_champion(history: Sequence[Entry], version: str = "") -> RegisteredVersion:
    """Return the champion that a roll-back goes to.

    Parameters
    ----------
    version : str
        A former champion by number; when empty the one before the present, and before that one
        when it was rolled back to itself.

    Raises
    ------
    NotFound
        When there is none.
    """
    past: list[RegisteredVersion] = []
    for entry in history:
        champion = entry.standing.champion
        if champion is None:
            continue
        if entry.action == "roll back":
            while past and not _same_version(past[-1], champion):
                past.pop()
        if not past or not _same_version(past[-1], champion):
            past.append(champion)
    if version:
        former = [e.standing.champion for e in history if e.standing.champion is not None]
        past = [champion for champion in former if champion.version == version]
    else:
        past = past[:-1]
    if not past:
        raise NotFound(
            f"version {version} was never champion" if version else "there was no champion before"
        )
    return past[-1]


def roll_back(
    ledger: PromotionLedger,
    show: Callable[[Entry], None],
    check: Callable[[RegisteredVersion], None],
    model: str,
    *,
    actor: str,
    reason: str,
    version: str = "",
) -> Entry:
    """Make a former champion the champion again; needs neither registry nor flows.

    Parameters
    ----------
    check : callable
        Loads and verifies the version as serving would; raises when it will not do.

    Raises
    ------
    NotFound
        When there is no such champion.
    ArtifactRefused, Unavailable
        From `check`; nothing changes then.
    Conflict
        When something else was stored meanwhile.
    """
    history = ledger.history(model)
    if not history:
        raise NotFound(f"{model} was never promoted")
    target = earlier_champion(history, version)
    check(target)
    newest = history[-1]
    entry = ledger.append(
        newest,
        model=model,
        action="roll back",
        actor=actor,
        reason=reason,
        version=target.version,
        standing=Standing(champion=target, bootstrap=newest.standing.bootstrap),
    )
    show(entry)
    return entry
