"""Windows after the training: quiet while nothing changes, held when all of the newest are over."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.errors import BadInput
from core.upkeep import DriftConfig
from flows.drift_job import RESULTS, SCORE, Drift, Reading, Window, holding, look
from flows.drift_report import figures, html, markdown, summary
from models.dataset import Dataset
from models.export import write_artifact
from models.inference.artifact import LoadedModel, load_verified
from models.reference import Reference, read_reference
from models.windows import History
from tests.models.synthetic import make_dataset, train_on

CONFIG = DriftConfig(window_rows=256, windows=3)
FOUND = Drift(model="direction-EURUSD", symbol="EURUSD", version="4")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, Reference, Dataset]:
    dataset = make_dataset(n=9_000)
    folder: Path = tmp_path_factory.mktemp("version")
    _, sha256 = write_artifact(folder, train_on(dataset, trials=1), dataset, code_revision="abc")
    reference = read_reference(folder)
    assert reference is not None
    return load_verified(folder, sha256), reference, dataset


def moved(dataset: Dataset, column: int, by: float, after: float = 0.0) -> Dataset:
    """Shift one column of the rows after the training, from a share of them on."""
    rows = dataset.history.rows.copy()
    start = int(np.searchsorted(dataset.history.ts, dataset.holdout_start_ns))
    rows[start + round(after * (len(rows) - start)) :, column] += by
    return replace(dataset, history=History(rows, dataset.history.ts), rows=rows[dataset.at])


def test_nothing_holds_while_nothing_changes(
    version: tuple[LoadedModel, Reference, Dataset],
) -> None:
    model, reference, dataset = version
    found = look(FOUND, CONFIG, reference, model, dataset)
    assert (found.rows, found.holding, found.note) == (256, (), "")
    after = np.count_nonzero(dataset.history.ts >= dataset.holdout_start_ns)
    assert len(found.windows) == after // 256
    assert all(later.start_ns > one.end_ns for one, later in pairwise(found.windows))
    assert all(window.start_ns >= dataset.holdout_start_ns for window in found.windows)
    names = {reading.subject for reading in found.windows[-1].readings}
    assert names == {SCORE, RESULTS, *(one.name for one in reference.features)}


def test_a_feature_that_moved_holds(version: tuple[LoadedModel, Reference, Dataset]) -> None:
    model, reference, dataset = version
    name = reference.features[3].name
    column = dataset.spec.names.index(name)
    found = look(FOUND, CONFIG, reference, model, moved(dataset, column, 0.8))
    assert found.holding == (name,)
    text, page = markdown(found), html(found)
    assert f"drift of {name} holds" in text
    assert f"<td>{name}</td>" in page
    assert page.count("class=over") >= CONFIG.windows
    assert figures(found)["drift.holding"] == 1.0


def test_a_change_in_the_newest_window_alone_does_not_hold_yet(
    version: tuple[LoadedModel, Reference, Dataset],
) -> None:
    model, reference, dataset = version
    column = dataset.spec.names.index(reference.features[3].name)
    found = look(FOUND, CONFIG, reference, model, moved(dataset, column, 0.8, after=0.8))
    assert any(reading.over for reading in found.windows[-1].readings)
    assert found.holding == ()


def test_an_edge_that_is_gone_shows_in_score_and_results(
    version: tuple[LoadedModel, Reference, Dataset],
) -> None:
    model, reference, dataset = version
    turned = replace(dataset, up=~dataset.up)
    assert look(FOUND, CONFIG, reference, model, turned).holding == (RESULTS,)
    strong = dataset.spec.names.index(dataset.spec.names[0])
    found = look(FOUND, CONFIG, reference, model, moved(dataset, strong, 3.0))
    assert {SCORE, RESULTS, dataset.spec.names[0]} <= set(found.holding)


def test_too_few_rows_are_told_and_not_judged(
    version: tuple[LoadedModel, Reference, Dataset],
) -> None:
    model, reference, dataset = version
    found = look(FOUND, replace(CONFIG, windows=30), reference, model, dataset)
    assert (found.windows, found.holding) == ((), ())
    assert "7680 are needed" in found.note
    assert "7680 are needed" in markdown(found)
    assert found.note in summary(found)
    assert "<table>" not in html(found)


def test_a_window_below_the_smallest_is_refused(
    version: tuple[LoadedModel, Reference, Dataset],
) -> None:
    model, reference, dataset = version
    with pytest.raises(BadInput, match="at least 128"):
        look(FOUND, replace(CONFIG, window_rows=100), reference, model, dataset)


def reading(subject: str, *, over: bool) -> Reading:
    return Reading(subject, (1.0,), (1.0,), 0.5, over)


def test_what_holds_is_over_in_all_of_the_newest() -> None:
    calm = Window(0, 1, (reading("a", over=False), reading("b", over=True)))
    both = Window(0, 1, (reading("a", over=True), reading("b", over=True)))
    assert holding([calm, both, both], 3) == ("b",)
    assert holding([calm, both, both], 2) == ("a", "b")
    assert holding([both, both, calm], 1) == ("b",)
    assert holding([both, both], 3) == ()


def test_names_are_escaped_in_the_page() -> None:
    odd = msgspec.structs.replace(FOUND, version="<script>")
    assert "<script>" not in html(odd)
