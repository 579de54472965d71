"""Figures are written as images without a display, and show the run's own numbers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from flows.figures import confusion, decision_figure, fold_table_figure, surest, write_figures
from tests.models.synthetic import make_dataset, train_on

NAMES = {
    "reliability.png",
    "trades.png",
    "folds.png",
    "confusion.png",
    "importance.png",
    "dependence.png",
    "decision.png",
}
OF_HOLDOUT = {"importance.png", "dependence.png", "decision.png"}


@pytest.fixture(scope="module")
def run() -> tuple:
    dataset = make_dataset(1, n=2_000)
    return train_on(dataset), dataset


def test_every_figure_is_an_image_with_something_on_it(run: tuple, tmp_path: Path) -> None:
    paths = write_figures(*run, tmp_path / "figures")
    assert {path.name for path in paths} == NAMES
    for path in paths:
        pixels = imread(path)
        assert pixels.shape[0] > 50
        assert np.ptp(pixels[..., :3]) > 0.5, "not a blank page"


def test_without_a_holdout_the_figures_of_the_holdout_are_left_out(
    run: tuple, tmp_path: Path
) -> None:
    result, dataset = run
    paths = write_figures(result, dataset.training(), tmp_path)
    assert {path.name for path in paths} == NAMES - OF_HOLDOUT


def test_the_surest_decision_of_the_holdout_is_taken_apart(run: tuple) -> None:
    result, dataset = run
    tested = dataset.holdout()
    told = surest(result, tested)
    p = result.model.predict(tested.inputs)
    assert told.p == p[np.argmax(np.abs(p - 0.5))]
    axes = decision_figure(told).axes[0]
    drawn = sum(bar.get_width() for bar in axes.patches)
    assert told.base + drawn == pytest.approx(told.margin, abs=1e-5), "nothing is left out"
    top = axes.get_yticklabels()[-1].get_text()
    assert top.startswith(told.values[0][0])


def test_confusion_counts_decisions_at_the_traded_threshold(run: tuple) -> None:
    result, _ = run
    counts = confusion(result)
    tested = result.out_of_sample.dataset
    assert counts.sum() == len(tested) == result.total.n
    assert counts[2].sum() == result.total.buys
    assert counts[0].sum() == result.total.sells
    buys = result.trades.signals == 1
    assert counts[2, 2] == np.count_nonzero(tested.move_pips[buys] > 0)
    assert counts[0, 2] == np.count_nonzero(tested.move_pips[result.trades.signals == -1] > 0)


def test_the_table_holds_the_figures_of_all_folds(run: tuple) -> None:
    result, _ = run
    figure = fold_table_figure(result)
    (table,) = figure.axes[0].tables
    text = [cell.get_text().get_text() for cell in table.get_celld().values()]
    assert {"DSR", "PBO", "MinTRL", "break-even", "all"} <= set(text)
    assert format(result.total.net_pips, ".1f") in text


def test_no_display_is_touched() -> None:
    code = "import sys, flows.figures; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
