"""Ledger and aliases: what is owed is made up for, what was moved by hand is judged."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import NotFound, Unavailable
from registry.aliases import Aliases
from registry.gates import Gate
from registry.loading import RegisteredVersion, RegistryReader
from registry.projection import BY_HAND, FOUND, Served
from registry.promotion import Judgement, conclude
from registry.promotion_ledger import Entry, PromotionLedger
from storage.promotions import PromotionRows
from storage.sqlite import Ledger

MODEL = "direction-EURUSD"
PASS = Gate("fine", "always passes", 1.0, ">", 0.0)
FAIL = Gate("poor", "never passes", 0.0, ">", 0.0)


class Stage:
    """A registry over HTTP with three versions, and a promotion ledger."""

    def __init__(self, registry: Any, rows: PromotionRows, home: Path) -> None:
        self.registry = registry
        self.alerts: list[str] = []
        self.ledger = PromotionLedger(rows)
        reader = RegistryReader(registry.config, home, timeout_secs=1.0)
        aliases = Aliases(registry.config, reader, timeout=1.0)
        self.served = Served(self.ledger, aliases, self.alerts.append)

    def version(self, number: str) -> RegisteredVersion:
        row = self.registry.versions[number]
        return RegisteredVersion(MODEL, number, row["source"], row["tags"][0]["value"])

    def promote(self, number: str, gate: Gate = PASS, *, show: bool = True) -> None:
        judged = Judgement(self.version(number), (gate,), self.ledger.last(MODEL))
        shown: Callable[[Entry], None] = self.served.show if show else (lambda _: None)
        conclude(self.ledger, shown, judged, actor="tester", reason="")

    @property
    def newest(self) -> Entry:
        entry = self.ledger.last(MODEL)
        assert entry is not None
        return entry


@pytest.fixture
def stage(fake_registry: Any, artifact: Any, tmp_path: Path) -> Iterator[Stage]:
    folder, sha256 = artifact()
    for number in ("1", "2", "3"):
        fake_registry.put(folder, sha256, version=number)
    fake_registry.aliases.clear()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Stage(fake_registry, PromotionRows(ledger), tmp_path / "models")


def test_a_promotion_is_shown_with_the_champion_last(stage: Stage) -> None:
    stage.promote("1", FAIL)
    stage.promote("2")
    assert stage.registry.held() == {"bootstrap": "1", "champion": "2"}
    assert stage.registry.moves[-1] == ("POST", "champion", "2")
    assert stage.served.resolve_serving(MODEL).version == "2"
    assert stage.served.resolve_serving(MODEL).approved
    assert stage.ledger.projected(MODEL) == 2
    assert not stage.alerts


def test_a_projection_that_a_crash_left_out_is_made_up_for(stage: Stage) -> None:
    stage.promote("1")
    stage.promote("2", show=False)
    assert stage.registry.held() == {"champion": "1"}
    assert stage.served.resolve_serving(MODEL).version == "2"
    assert stage.registry.held() == {"champion": "2"}
    assert not stage.alerts


def test_while_the_registry_is_away_the_ledger_says_what_serves(stage: Stage) -> None:
    stage.promote("1")
    stage.registry.away = True
    stage.promote("2")
    assert stage.served.resolve_serving(MODEL).version == "2"
    assert stage.ledger.projected(MODEL) == 1
    stage.registry.away = False
    assert stage.served.resolve_serving(MODEL).version == "2"
    assert stage.registry.held() == {"champion": "2"}
    assert not stage.alerts


def test_an_alias_moved_to_a_version_that_passed_is_taken_on_and_told(stage: Stage) -> None:
    stage.promote("1")
    stage.promote("2")
    stage.registry.aliases[MODEL, "champion"] = stage.registry.versions["1"]
    assert stage.served.resolve_serving(MODEL).version == "1"
    assert (stage.newest.action, stage.newest.reason) == ("adopt", BY_HAND)
    assert "taken on" in stage.alerts[0]
    assert stage.served.resolve_serving(MODEL).version == "1"
    assert len(stage.alerts) == 1


@pytest.mark.parametrize("judged", [True, False])
def test_an_alias_moved_to_a_version_that_never_passed_is_moved_back_and_told(
    stage: Stage, *, judged: bool
) -> None:
    stage.promote("1")
    if judged:
        stage.promote("3", FAIL)
    stage.registry.aliases[MODEL, "champion"] = stage.registry.versions["3"]
    assert stage.served.resolve_serving(MODEL).version == "1"
    assert stage.registry.held() == {"champion": "1"}
    assert "moved back" in stage.alerts[0]


def test_a_champion_taken_away_by_hand_serves_no_more(stage: Stage) -> None:
    stage.promote("1")
    del stage.registry.aliases[MODEL, "champion"]
    with pytest.raises(NotFound):
        stage.served.resolve_serving(MODEL)
    assert stage.newest.action == "adopt"
    assert len(stage.alerts) == 1


def test_an_alias_without_history_is_taken_on_as_it_was_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        stage.served.resolve_serving(MODEL)
    stage.registry.aliases[MODEL, "champion"] = stage.registry.versions["1"]
    assert stage.served.resolve_serving(MODEL).version == "1"
    assert (stage.newest.action, stage.newest.reason) == ("adopt", FOUND)
    assert not stage.alerts


def test_without_ledger_and_registry_nothing_is_known(stage: Stage) -> None:
    stage.registry.away = True
    with pytest.raises(Unavailable):
        stage.served.resolve_serving(MODEL)
