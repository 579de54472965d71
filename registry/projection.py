"""Keeps the registry's aliases and the promotion ledger in step.

The ledger is the truth and the aliases its projection. A crash between the two leaves a projection
that is owed: it is made up for. An alias that somebody moved by hand is taken on when it points at
a version whose gates passed, so that the move stands in the ledger with what is known of it; every
other one is moved back. Both are told.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from core.errors import Conflict, NotFound, Unavailable
from registry.loading import BOOTSTRAP, CHAMPION, RegisteredVersion
from registry.promotion_ledger import Entry, PromotionLedger, Standing

log = logging.getLogger(__name__)

BY_HAND = "alias moved by hand"
FOUND = "found in the registry, which has no history"


class AliasPort(Protocol):
    """The two calls of `registry.aliases.Aliases`."""

    def standing(self, model: str) -> Standing:
        """Tell what the aliases say."""
        ...

    def show(self, model: str, standing: Standing) -> None:
        """Make the aliases say `standing`."""
        ...


class Served:
    """Which version serves a model: by the ledger, with the aliases reconciled on the way.

    Parameters
    ----------
    ledger : PromotionLedger
        The truth.
    aliases : AliasPort
        The registry's view of it.
    alert : callable
        Told one sentence about every alias that was moved by hand.
    """

    def __init__(
        self,
        ledger: PromotionLedger,
        aliases: AliasPort,
        alert: Callable[[str], None] = log.error,
    ) -> None:
        self._ledger = ledger
        self._aliases = aliases
        self._alert = alert

    def resolve_serving(self, model: str) -> RegisteredVersion:
        """Return the version that serves a model.

        Raises
        ------
        NotFound
            When neither ledger nor registry has one.
        Unavailable
            When the ledger has none and the registry does not answer.
        """
        entry = self.reconcile(model)
        version = None if entry is None else entry.standing.serving
        if version is None:
            raise NotFound(f"no version of {model!r} serves")
        return version

    def reconcile(self, model: str) -> Entry | None:
        """Make ledger and aliases agree where the registry answers; return what holds."""
        entry = self._ledger.last(model)
        try:
            found = self._aliases.standing(model)
        except Unavailable:
            if entry is None:
                raise
            return entry  # the last word stands; the aliases follow when the registry is back
        if entry is None:
            return self._adopt(None, model, found, FOUND) if found.serving else None
        if _same(found, entry.standing):
            self._note(entry)
            return entry
        return self._project(entry) if self._owed(entry) else self._settle(entry, found)

    def _owed(self, entry: Entry) -> bool:
        """Whether the aliases were never made to show what holds."""
        shown = self._ledger.projected(entry.model)
        if shown == entry.generation:
            return False
        return shown == 0 or not _same(
            self._ledger.history(entry.model)[shown - 1].standing, entry.standing
        )

    def show(self, entry: Entry) -> None:
        """Make the aliases say what an entry says; owed when the registry is away."""
        self._project(entry)

    def _settle(self, entry: Entry, found: Standing) -> Entry:
        """Decide about aliases that somebody else moved."""
        moved = f"{entry.model}: {_words(found)}, the ledger says {_words(entry.standing)}"
        champion = found.champion
        if champion is None or self._passed(entry.model, champion):
            self._alert(f"{moved}; taken on, since nothing in it is unproved")
            return self._adopt(entry, entry.model, found, BY_HAND)
        self._alert(f"{moved}; moved back, since version {champion.version} passed no gates")
        return self._project(entry)

    def _passed(self, model: str, version: RegisteredVersion) -> bool:
        """Whether the ledger holds a judgement of these very bytes that every gate passed."""
        for entry in self._ledger.history(model):
            held = (entry.standing.champion, entry.standing.bootstrap)
            same = any(v is not None and v.manifest_sha256 == version.manifest_sha256 for v in held)
            judged = entry.action == "promote" or (
                entry.gates and all(g.passed for g in entry.gates)
            )
            if entry.version == version.version and same and judged:
                return True
        return False

    def _adopt(self, entry: Entry | None, model: str, found: Standing, why: str) -> Entry:
        serving = found.serving
        try:
            made = self._ledger.append(
                entry,
                model=model,
                action="adopt",
                actor="registry",
                reason=why,
                version=serving.version if serving else "",
                standing=found,
            )
        except Conflict:  # somebody was first; theirs holds
            newest = self._ledger.last(model)
            if newest is None:
                raise
            return newest
        self._ledger.note_projected(made)
        return made

    def _project(self, entry: Entry) -> Entry:
        try:
            self._aliases.show(entry.model, entry.standing)
        except Unavailable as error:
            log.warning("%s: aliases follow later: %s", entry.model, error)
            return entry
        self._ledger.note_projected(entry)
        return entry

    def _note(self, entry: Entry) -> None:
        if self._ledger.projected(entry.model) < entry.generation:
            self._ledger.note_projected(entry)


def _key(version: RegisteredVersion | None) -> tuple[str, str] | None:
    return None if version is None else (version.version, version.manifest_sha256)


def _same(one: Standing, other: Standing) -> bool:
    return (_key(one.champion), _key(one.bootstrap)) == (
        _key(other.champion),
        _key(other.bootstrap),
    )


def _words(standing: Standing) -> str:
    held = ((CHAMPION, standing.champion), (BOOTSTRAP, standing.bootstrap))
    return ", ".join(f"{alias} {v.version if v else 'none'}" for alias, v in held)
