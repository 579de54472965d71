"""Rows of the promotion ledger in SQLite: one append-only list a model, and what of it is shown.

What a row says and how rows are chained is the business of `registry.promotion_ledger`; here a row
is bytes with a number that is given away once.
"""

import sqlite3
from typing import NamedTuple

from core.errors import Conflict
from storage.sqlite import Ledger


class PromotionRow(NamedTuple):
    """One entry as stored: its number, its bytes and its link of the chain."""

    generation: int
    payload: bytes
    link: bytes


class PromotionRows:
    """The tables `promotions` and `projections` of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def rows(self, model: str) -> list[PromotionRow]:
        """All entries of a model, oldest first."""
        found = self._ledger.select(
            "SELECT generation, payload, link FROM promotions WHERE model = ? ORDER BY generation",
            model,
        )
        return [PromotionRow(**row) for row in found]  # type: ignore[arg-type]

    def tail(self, model: str) -> list[PromotionRow]:
        """Return the two newest entries of a model, oldest first; fewer if there are not two."""
        found = self._ledger.select(
            "SELECT generation, payload, link FROM promotions WHERE model = ?"
            " ORDER BY generation DESC LIMIT 2",
            model,
        )
        return [PromotionRow(**row) for row in reversed(found)]  # type: ignore[arg-type]

    def models(self) -> list[str]:
        """Models with at least one entry."""
        return [str(row["model"]) for row in self._ledger.select(
            "SELECT DISTINCT model FROM promotions ORDER BY model"
        )]  # fmt: skip

    def append(self, model: str, row: PromotionRow) -> None:
        """Store an entry, synced, if its number is the next one.

        Raises
        ------
        Conflict
            When the model has an entry of that number already, or lacks the one before it.
        """
        with self._ledger.transaction(durable=True) as connection:
            (newest,) = connection.execute(
                "SELECT coalesce(max(generation), 0) FROM promotions WHERE model = ?", (model,)
            ).fetchone()
            if newest + 1 != row.generation:
                raise Conflict(
                    f"{model} is at generation {newest}: another promotion was first; judge again"
                )
            _insert(connection, model, row)

    def projected(self, model: str) -> int:
        """Return the generation that the aliases were last made to show; 0 when never."""
        found = self._ledger.select("SELECT generation FROM projections WHERE model = ?", model)
        return int(str(found[0]["generation"])) if found else 0

    def note_projected(self, model: str, generation: int) -> None:
        """Note that the aliases show `generation`; an older note never replaces a newer one."""
        with self._ledger.transaction(durable=True) as connection:
            connection.execute(
                "INSERT INTO projections VALUES (?, ?) ON CONFLICT (model)"
                " DO UPDATE SET generation = max(generation, excluded.generation)",
                (model, generation),
            )


def _insert(connection: sqlite3.Connection, model: str, row: PromotionRow) -> None:
    connection.execute(
        "INSERT INTO promotions VALUES (?, ?, ?, ?)",
        (model, row.generation, row.payload, row.link),
    )
