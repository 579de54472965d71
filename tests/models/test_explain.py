"""What explains a decision adds up to it, and points at the column that carries the edge."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from core.errors import ArtifactRefused, BadInput
from models.explain import explain_row, partial_dependence, permutation_importance
from models.inference.artifact import load_verified
from tests.models.synthetic import Made


def test_the_values_of_a_row_add_up_to_what_was_decided(made: Made) -> None:
    served = load_verified(made.folder, made.sha256)
    for row in made.dataset.holdout().rows[:20]:
        told = explain_row(made.folder, row)
        assert told.p == served.predict_row(row)
        assert told.base + sum(value for _, _, value in told.values) == pytest.approx(
            told.margin, abs=1e-5
        )
        sizes = [abs(value) for _, _, value in told.values]
        assert sizes == sorted(sizes, reverse=True)
        assert {name: x for name, x, _ in told.values} == dict(
            zip(made.dataset.spec.names, row.tolist(), strict=True)
        )


def test_a_column_that_no_tree_splits_on_adds_nothing(made: Made) -> None:
    heap = made.result.model.learned.compiled
    used = {made.dataset.spec.names[k] for k in np.unique(heap.codes >> 1)}
    told = explain_row(made.folder, made.dataset.rows[0])
    assert {name for name, _, value in told.values if value != 0.0} <= used
    assert told.values[0][0] == made.dataset.spec.names[0], "the planted column comes first"


def test_what_cannot_be_explained_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the row has shape"):
        explain_row(made.folder, made.dataset.rows[0][:-1])
    folder = Path(shutil.copytree(made.folder, tmp_path / "copy"))
    data = bytearray((folder / "model.ubj").read_bytes())
    data[-20] ^= 1
    (folder / "model.ubj").write_bytes(data)
    with pytest.raises(ArtifactRefused, match="not the file"):
        explain_row(folder, made.dataset.rows[0])


def test_importance_finds_the_planted_column(made: Made) -> None:
    tested = made.dataset.holdout()
    importance = permutation_importance(made.result.model, tested)
    assert importance.shape == (len(made.dataset.spec.names),)
    assert int(np.argmax(importance)) == 0
    assert importance[0] > 20.0 * np.abs(importance[1:]).max()
    assert np.array_equal(importance, permutation_importance(made.result.model, tested))


def test_partial_dependence_rises_with_the_planted_column(made: Made) -> None:
    tested = made.dataset.holdout()
    (values, p), (_, flat) = partial_dependence(made.result.model, tested, [0, 5])
    assert (np.diff(values) > 0).all()
    assert p[-1] - p[0] > 0.3
    assert np.ptp(flat) < 0.1 * np.ptp(p)
