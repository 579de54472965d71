"""Which rows are kept, what the holdout hides, and refusals that name the cause."""

from dataclasses import replace

import numpy as np
import pytest

from core.columns import from_ticks
from core.config import TrainingConfig
from core.errors import BadInput
from core.types import Cadence
from models.dataset import Dataset, build_dataset, horizon_of, spec_for
from tests.models.synthetic import CONFIG, COSTS, MINUTE, PIP, Tape, make_tape


def build(tape: Tape, config: TrainingConfig = CONFIG) -> Dataset:
    return build_dataset(
        tape.columns, "EURUSD", tape.spec, PIP, config, COSTS, features=tape.features
    )


def test_only_warm_rows_with_a_label_are_kept() -> None:
    tape = make_tape(0)
    dataset = build(tape)
    n = len(tape.columns)
    kept = np.arange(20, n - 5)  # 20 cold rows in front, no exit for the last five
    assert np.array_equal(dataset.rows, tape.features.rows[kept])
    assert np.array_equal(dataset.ts, tape.columns.ts[kept])
    assert np.array_equal(dataset.bid, tape.columns.bid[kept])
    assert np.array_equal(dataset.end_ns, tape.columns.ts[kept + 5])
    mid = 0.5 * (tape.columns.bid + tape.columns.ask)
    assert np.array_equal(dataset.up, mid[kept + 5] > mid[kept])


def test_the_holdout_is_a_span_of_time_that_training_never_touches() -> None:
    tape = make_tape(1)
    ts = tape.columns.ts.copy()
    ts[2_000:] += 10 * MINUTE * np.arange(2_000)  # the second half of the rows is slow
    columns = replace(tape.columns, ts=ts)
    features = replace(tape.features, warm=np.ones(len(ts), bool))
    config = replace(CONFIG, horizon_bars=20, holdout_fraction=0.25)
    dataset = build(Tape(columns, features, tape.spec), config)
    assert dataset.holdout_start_ns == ts[-1] - round((ts[-1] - ts[0]) * 0.25)
    training, holdout = dataset.training(), dataset.holdout()
    assert training.end_ns.max() < dataset.holdout_start_ns <= holdout.ts.min()
    straddling = len(dataset) - len(training) - len(holdout)
    assert straddling > 0, "a label across the border belongs to neither"


def test_not_finite_rows_are_refused_with_row_and_column() -> None:
    tape = make_tape(2)
    tape.features.rows[100, 3] = np.inf
    tape.features.rows[5, 0] = np.nan  # cold: not looked at
    name = tape.spec.columns[3].name
    with pytest.raises(BadInput, match=f"1 warm feature rows of EURUSD .* row 80, column '{name}'"):
        build(tape)


def test_too_few_rows_are_refused_with_the_whole_account() -> None:
    tape = make_tape(3, n=300)
    with pytest.raises(BadInput) as refused:
        build(tape)
    text = str(refused.value)
    assert "EURUSD gives" in text
    assert "440 are needed" in text
    assert "300 quotes made 300 bar samples, 280 of them warm" in text


def test_no_quotes_are_refused() -> None:
    empty = from_ticks(np.array([], np.int64), np.array([]), np.array([]))
    with pytest.raises(BadInput, match="no quotes of EURUSD"):
        build_dataset(empty, "EURUSD", make_tape(0).spec, PIP, CONFIG, COSTS)


@pytest.mark.parametrize(("slope", "said"), [(1.0, "moved up after"), (-1.0, "did not move up")])
def test_one_class_only_is_refused(slope: float, said: str) -> None:
    tape = make_tape(4)
    mid = 1.1 + slope * PIP * np.arange(len(tape.columns))
    columns = replace(tape.columns, bid=mid - PIP, ask=mid + PIP)
    with pytest.raises(BadInput, match=said):
        build(Tape(columns, tape.features, tape.spec))


def test_cadence_follows_settings_and_in_doubt_the_data() -> None:
    ticks = make_tape(5).columns  # 2.8 days of single quotes
    bars = replace(ticks, span=np.full(len(ticks), MINUTE))
    weeks = replace(ticks, ts=ticks.ts[0] + 10 * MINUTE * np.arange(len(ticks)))
    auto = TrainingConfig(horizon_bars=15, horizon_secs=2.5)
    assert spec_for(ticks, auto).cadence == Cadence.TICK
    assert spec_for(bars, auto).cadence == Cadence.BAR
    assert spec_for(weeks, auto).cadence == Cadence.BAR
    assert spec_for(bars, replace(auto, cadence="tick")).cadence == Cadence.TICK
    assert horizon_of(spec_for(bars, auto), auto) == 15 * MINUTE
    assert horizon_of(spec_for(ticks, auto), auto) == 2_500_000_000
