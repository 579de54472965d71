"""From verdicts to who is champion: the ledger is written first, the alias moves last."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.clock import ManualClock
from core.errors import ArtifactRefused, Conflict, LedgerCorrupt, NotFound
from registry.gates import Gate
from registry.loading import BOOTSTRAP, CHAMPION, RegisteredVersion
from registry.promotion import (
    SOURCE_TAG,
    Judgement,
    Promotion,
    conclude,
    earlier_champion,
    roll_back,
    store_verdicts,
)
from registry.promotion_ledger import Entry, PromotionLedger
from storage.promotions import PromotionRows
from storage.sqlite import Ledger

PASS = Gate("fine", "always passes", 1.0, ">", 0.0)
FAIL = Gate("poor", "never passes", 0.0, ">", 0.0)
MODEL = "direction-EURUSD"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000)


@pytest.fixture
def ledger(store: Ledger, clock: ManualClock) -> PromotionLedger:
    return PromotionLedger(PromotionRows(store), clock)


def version(number: str, source: str = "simulator") -> RegisteredVersion:
    tags = {SOURCE_TAG: source}
    sha256 = number.zfill(64)
    return RegisteredVersion(MODEL, number, f"mlflow-artifacts:/{number}", sha256, tags=tags)


class Shown(list[Entry]):
    """Entries that the aliases were made to show."""

    def __call__(self, entry: Entry) -> None:
        self.append(entry)


def put(
    ledger: PromotionLedger, subject: RegisteredVersion, *gates: Gate, shown: Shown | None = None
) -> Promotion:
    judged = Judgement(subject, gates, ledger.last(MODEL))
    return conclude(ledger, Shown() if shown is None else shown, judged, actor="tester", reason="")


def champion(ledger: PromotionLedger) -> str:
    entry = ledger.last(MODEL)
    assert entry is not None
    held = entry.standing.champion
    return held.version if held else "none"


def test_verdicts_are_stored_before_their_sum() -> None:
    writes: list[tuple[str, ...]] = []

    class Tags:
        def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
            writes.append((name, version, key, value))

    store_verdicts(Tags(), Judgement(version("2"), (PASS, FAIL), None), "7")
    assert [write[2:] for write in writes] == [
        ("gate.fine", "pass: 1 > 0"),
        ("gate.poor", "fail: 0 > 0"),
        ("gate_policy", "7"),
        ("gates", "failed"),
    ]


def test_what_passes_is_champion_and_shown_after_it_is_stored(ledger: PromotionLedger) -> None:
    class Check(Shown):
        def __call__(self, entry: Entry) -> None:
            assert ledger.last(MODEL) == entry
            super().__call__(entry)

    shown = Check()
    promoted = put(ledger, version("2"), PASS, shown=shown)
    assert (promoted.alias, promoted.generation, promoted.passed) == (CHAMPION, 1, True)
    assert [entry.standing.champion.version for entry in shown if entry.standing.champion] == ["2"]


def test_a_judgement_without_gates_promotes_nothing(ledger: PromotionLedger) -> None:
    assert put(ledger, version("2")).alias == BOOTSTRAP


def test_a_failed_gate_bootstraps_when_there_is_no_champion(ledger: PromotionLedger) -> None:
    promoted = put(ledger, version("2"), PASS, FAIL)
    assert (promoted.alias, champion(ledger)) == (BOOTSTRAP, "none")
    assert not promoted.passed


def test_a_failed_gate_moves_nothing_while_a_champion_of_the_same_tape_stands(
    ledger: PromotionLedger,
) -> None:
    put(ledger, version("1"), PASS)
    shown = Shown()
    promoted = put(ledger, version("2"), FAIL, shown=shown)
    assert (promoted.alias, champion(ledger), list(shown)) == ("", "1", [])
    assert "version 1 stays champion" in promoted.note
    assert [entry.action for entry in ledger.history(MODEL)] == ["promote", "refuse"]


@pytest.mark.parametrize(("number", "source"), [("1", "simulator"), ("2", "other.csv")])
def test_a_champion_falls_with_its_own_failure_or_another_tape(
    ledger: PromotionLedger, number: str, source: str
) -> None:
    put(ledger, version("1"), PASS)
    promoted = put(ledger, version(number, source), FAIL)
    assert (promoted.alias, champion(ledger)) == (BOOTSTRAP, "none")
    assert "champion no more" in promoted.note


def test_a_champion_that_passes_again_is_no_new_entry(ledger: PromotionLedger) -> None:
    put(ledger, version("1"), PASS)
    assert put(ledger, version("1"), PASS).note == "it is champion already"
    assert len(ledger.history(MODEL)) == 1


def test_of_two_promotions_upon_the_same_entry_one_wins_and_the_other_is_told(
    ledger: PromotionLedger, store: Ledger
) -> None:
    upon = ledger.last(MODEL)
    put(ledger, version("1"), PASS)
    late = Judgement(version("2"), (PASS,), upon)
    with pytest.raises(Conflict, match="judge again"):
        conclude(ledger, Shown(), late, actor="other", reason="")
    assert champion(ledger) == "1"
    # Also when both looked before either wrote: the table gives a number away once.
    row = PromotionRows(store).rows(MODEL)[0]
    with pytest.raises(Conflict, match="another promotion was first"):
        PromotionRows(store).append(MODEL, row)


def test_who_was_champion_at_a_time(ledger: PromotionLedger, clock: ManualClock) -> None:
    put(ledger, version("1"), PASS)
    clock.set(2_000)
    put(ledger, version("2"), PASS)
    held = {at: ledger.champion_at(MODEL, at).version for at in (1_000, 1_999, 2_000, 9_000)}
    assert held == {1_000: "1", 1_999: "1", 2_000: "2", 9_000: "2"}
    with pytest.raises(NotFound, match="by then"):
        ledger.champion_at(MODEL, 999)


def test_time_in_the_ledger_never_runs_backwards(
    ledger: PromotionLedger, clock: ManualClock
) -> None:
    put(ledger, version("1"), PASS)
    clock.set(10)
    put(ledger, version("2"), PASS)
    assert [entry.at_ns for entry in ledger.history(MODEL)] == [1_000, 1_000]


@pytest.mark.parametrize("generation", [1, 2, 3])
@pytest.mark.parametrize("column", ["payload", "link"])
def test_any_flipped_byte_of_any_entry_is_noticed(
    ledger: PromotionLedger, store: Ledger, generation: int, column: str
) -> None:
    for number in ("1", "2", "3"):
        put(ledger, version(number), PASS)
    row = PromotionRows(store).rows(MODEL)[generation - 1]
    content: bytes = getattr(row, column)
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1
        _write(store, generation, column, bytes(flipped))
        with pytest.raises(LedgerCorrupt):
            ledger.history(MODEL)
        if generation == 3:
            with pytest.raises(LedgerCorrupt):
                ledger.last(MODEL)
    _write(store, generation, column, content)
    assert len(ledger.history(MODEL)) == 3


def test_a_missing_entry_is_noticed(ledger: PromotionLedger, store: Ledger) -> None:
    for number in ("1", "2", "3"):
        put(ledger, version(number), PASS)
    with store.transaction() as connection:
        connection.execute("DELETE FROM promotions WHERE generation = 2")
    with pytest.raises(LedgerCorrupt):
        ledger.history(MODEL)


def _write(store: Ledger, generation: int, column: str, content: bytes) -> None:
    statements = {
        "payload": "UPDATE promotions SET payload = ? WHERE generation = ?",
        "link": "UPDATE promotions SET link = ? WHERE generation = ?",
    }
    with store.transaction() as connection:
        connection.execute(statements[column], (content, generation))


def back(ledger: PromotionLedger, check: Any = lambda _: None, to: str = "") -> str:
    made = roll_back(ledger, Shown(), check, MODEL, actor="tester", reason="worse", version=to)
    return made.version


def test_roll_backs_go_further_back_each_time_and_end(ledger: PromotionLedger) -> None:
    for number in ("1", "2", "3"):
        put(ledger, version(number), PASS)
    assert [back(ledger), back(ledger)] == ["2", "1"]
    with pytest.raises(NotFound, match="no champion before"):
        back(ledger)
    assert champion(ledger) == "1"
    put(ledger, version("4"), PASS)
    assert back(ledger) == "1"
    assert back(ledger, to="3") == "3"
    with pytest.raises(NotFound, match="never champion"):
        back(ledger, to="9")


def test_a_roll_back_to_what_does_not_load_changes_nothing(ledger: PromotionLedger) -> None:
    put(ledger, version("1"), PASS)
    put(ledger, version("2"), PASS)

    def refuse(_: RegisteredVersion) -> None:
        raise ArtifactRefused("damaged")

    with pytest.raises(ArtifactRefused, match="damaged"):
        back(ledger, refuse)
    assert champion(ledger) == "2"


def test_without_history_there_is_nothing_to_go_back_to(ledger: PromotionLedger) -> None:
    with pytest.raises(NotFound, match="never promoted"):
        back(ledger)
    with pytest.raises(NotFound):
        earlier_champion([])
