"""Copies from the embedded tick store into every other."""

from pathlib import Path

import pytest

from core.columns import from_ticks
from core.errors import FatalError, Unavailable
from storage.bars import MINUTE_NS
from storage.copying import copy_ticks
from storage.parquet import TickStore
from storage.ports import Ticks
from tests.contracts.test_ticks import tape


@pytest.fixture
def source(tmp_path: Path) -> TickStore:
    store = TickStore(tmp_path / "source")
    store.append("EURUSD", tape(span_every=4))
    store.append("GBPUSD", tape(seed=8))
    return store


def test_a_copy_holds_the_same(source: TickStore, ticks: Ticks) -> None:
    told: list[tuple[str, int]] = []
    done = copy_ticks(source, ticks, lambda symbol, rows: told.append((symbol, rows)))
    assert [(one.symbol, one.rows, one.new) for one in done] == [
        ("EURUSD", 600, 600), ("GBPUSD", 600, 600),
    ]  # fmt: skip
    for symbol in ("EURUSD", "GBPUSD"):
        assert ticks.snapshot_hash(symbol) == source.snapshot_hash(symbol)
        assert ticks.bars(symbol, MINUTE_NS).equals(source.bars(symbol, MINUTE_NS))
    assert told[-1] == ("GBPUSD", 600)


def test_a_copy_that_was_interrupted_goes_on(source: TickStore, ticks: Ticks) -> None:
    def stop(symbol: str, rows: int) -> None:
        raise Unavailable("interrupted")

    with pytest.raises(Unavailable):
        copy_ticks(source, ticks, stop, ["EURUSD"])
    (done,) = copy_ticks(source, ticks, lambda *_: None, ["EURUSD"])
    assert 0 < done.new < done.rows == 600
    (again,) = copy_ticks(source, ticks, lambda *_: None, ["EURUSD"])
    assert again.new == 0


def test_a_target_with_other_quotes_is_told(source: TickStore, ticks: Ticks) -> None:
    rows = tape(n=10)
    ticks.append("EURUSD", from_ticks(rows.ts, rows.bid + 1, rows.ask + 1))
    with pytest.raises(FatalError, match="not empty"):
        copy_ticks(source, ticks, lambda *_: None, ["EURUSD"])
