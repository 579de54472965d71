"""Who was champion when, and why: an append-only, hash-chained list of entries a model.

The registry's aliases are last-write-wins and keep no history, so they are not the truth: this
list is, and the aliases are made to show its newest entry. Every entry holds the whole standing
(champion and bootstrap version, with what is needed to load them from a local copy), so that the
newest one alone tells what to serve, also while the registry is away.
"""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol

import msgspec

from core.clock import Clock, SystemClock
from core.errors import Conflict, LedgerCorrupt, NotFound
from core.hash_chain import GENESIS, link
from registry.gates import Gate
from registry.loading import RegisteredVersion
from storage.promotions import PromotionRow

Action = Literal["promote", "bootstrap", "refuse", "demote", "roll back", "adopt"]


class Standing(msgspec.Struct, frozen=True):
    """The versions of a model that are served: one that may trade, one that may be watched."""

    champion: RegisteredVersion | None = None
    bootstrap: RegisteredVersion | None = None

    @property
    def serving(self) -> RegisteredVersion | None:
        """The version to serve: the champion, else the bootstrap version."""
        return self.champion or self.bootstrap


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the list.

    Attributes
    ----------
    generation : int
        Number of the entry within its model, from 1.
    at_ns : int
        When it was made, ns UTC.
    action, actor, reason : str
        What was done, by whom, why.
    version : str
        The version it is about.
    gates : tuple of Gate
        What was found when it was judged; empty when nothing was judged.
    standing : Standing
        What holds from now on.
    """

    model: str
    generation: int
    at_ns: int
    action: Action
    actor: str
    reason: str
    version: str
    gates: tuple[Gate, ...] = ()
    standing: Standing = Standing()


class Rows(Protocol):
    """What is asked of the store; `storage.promotions.PromotionRows` in SQLite."""

    def rows(self, model: str) -> list[PromotionRow]:
        """All entries of a model, oldest first."""
        ...

    def tail(self, model: str) -> list[PromotionRow]:
        """Return the two newest entries, oldest first; fewer when there are not two."""
        ...

    def append(self, model: str, row: PromotionRow) -> None:
        """Store the next entry; raises Conflict when another one was first."""
        ...

    def projected(self, model: str) -> int:
        """Return the generation that the aliases were last made to show."""
        ...

    def note_projected(self, model: str, generation: int) -> None:
        """Note that the aliases show a generation."""
        ...


class PromotionLedger:
    """The lists of all models.

    Parameters
    ----------
    rows : Rows
        Where the entries are kept.
    clock : Clock
        Time of new entries.
    tell : callable
        Told the model of every new entry, once it is stored; must not raise.
    """

    def __init__(
        self,
        rows: Rows,
        clock: Clock | None = None,
        tell: Callable[[str], None] = lambda _model: None,
    ) -> None:
        self._rows = rows
        self._tell = tell
        self._clock = clock or SystemClock()

    def last(self, model: str) -> Entry | None:
        """Newest entry of a model, its link to the entry before it verified, or None.

        Raises
        ------
        LedgerCorrupt
            When it is not what was written.
        """
        return self._newest(model)[0]

    def history(self, model: str) -> list[Entry]:
        """All entries of a model, oldest first, the whole chain verified; raises LedgerCorrupt."""
        return list(_verified(model, self._rows.rows(model)))

    def champion_at(self, model: str, at_ns: int) -> Entry:
        """Entry that held at an instant, ns UTC.

        Raises
        ------
        NotFound
            When the model had no entry by then.
        LedgerCorrupt
            When the chain is broken.
        """
        before = [entry for entry in self.history(model) if entry.at_ns <= at_ns]
        if not before:
            raise NotFound(f"{model} had no entry in the promotion ledger by then")
        return before[-1]

    def append(
        self,
        after: Entry | None,
        *,
        model: str,
        action: Action,
        actor: str,
        reason: str,
        version: str,
        standing: Standing,
        gates: Iterable[Gate] = (),
    ) -> Entry:
        """Store what follows `after`, the entry that the caller's judgement was made upon.

        Raises
        ------
        Conflict
            When another entry was stored meanwhile: the caller has to look again.
        """
        newest, previous = self._newest(model)
        seen = 0 if after is None else after.generation
        if (0 if newest is None else newest.generation) != seen:
            raise Conflict(f"{model} changed while it was judged (generation {seen}); judge again")
        entry = Entry(
            model=model,
            generation=seen + 1,
            at_ns=max(self._clock.now_ns(), 0 if after is None else after.at_ns),
            action=action,
            actor=actor,
            reason=reason,
            version=version,
            gates=tuple(gates),
            standing=standing,
        )
        payload = msgspec.json.encode(entry)
        self._rows.append(model, PromotionRow(entry.generation, payload, link(previous, payload)))
        self._tell(model)
        return entry

    def _newest(self, model: str) -> tuple[Entry | None, bytes]:
        """Newest entry and its link."""
        rows = self._rows.tail(model)
        if not rows:
            return None, GENESIS
        before = rows[0].link if len(rows) > 1 else GENESIS
        row = rows[-1]
        if link(before, row.payload) != row.link:
            raise LedgerCorrupt(f"entry {row.generation} of {model} is not what was written")
        return _decode(model, row), row.link

    def projected(self, model: str) -> int:
        """Return the generation that the aliases were last made to show; 0 when never."""
        return self._rows.projected(model)

    def note_projected(self, entry: Entry) -> None:
        """Note that the aliases show an entry."""
        self._rows.note_projected(entry.model, entry.generation)


def _verified(model: str, rows: Iterable[PromotionRow]) -> Iterable[Entry]:
    previous = GENESIS
    for number, row in enumerate(rows, 1):
        if row.generation != number or link(previous, row.payload) != row.link:
            raise LedgerCorrupt(f"entry {row.generation} of {model} does not follow the one before")
        yield _decode(model, row)
        previous = row.link


def _decode(model: str, row: PromotionRow) -> Entry:
    try:
        entry = msgspec.json.decode(row.payload, type=Entry)
    except msgspec.DecodeError as error:
        raise LedgerCorrupt(f"entry {row.generation} of {model}: {error}") from None
    if (entry.model, entry.generation) != (model, row.generation):
        raise LedgerCorrupt(f"entry {row.generation} of {model} names another place")
    return entry
