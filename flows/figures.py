"""Figures of a training run, drawn without a display (Agg), and written as PNG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from core.columns import F8
from models.boosted import BoostedModel
from models.card import table_cells
from models.dataset import Dataset
from models.explain import (
    Explanation,
    explained,
    partial_dependence,
    permutation_importance,
)
from models.labels import uniqueness
from models.training import TrainingResult

_BINS = 10
_SHOWN = 15
_CURVES = 4
_SIDES = (("SELL", -1), ("HOLD", 0), ("BUY", 1))
_OUTCOMES = ("down", "flat", "up")


def reliability_figure(result: TrainingResult) -> Figure:
    """Share of ups against the predicted p, out of sample, in ten bins of equal size.

    Bars are two standard errors for as many independent labels as a bin has: overlapping labels of
    neighbouring rows tell the same.
    """
    tested, p = result.out_of_sample.dataset, result.out_of_sample.p
    up = tested.up
    order = np.argsort(p, kind="stable")
    bins = [rows for rows in np.array_split(order, _BINS) if len(rows)]
    said = np.array([p[rows].mean() for rows in bins])
    came = np.array([up[rows].mean() for rows in bins])
    alone = uniqueness(tested.ts, tested.end_ns)
    independent = np.array([max(alone[rows].sum(), 1.0) for rows in bins])
    error = 2.0 * np.sqrt(np.maximum(came * (1.0 - came), 1e-9) / independent)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    ends = [min(said.min(), (came - error).min()), max(said.max(), (came + error).max())]
    axes.plot(ends, ends, color="grey", linewidth=1, label="perfect")
    axes.errorbar(said, came, yerr=error, fmt="o-", capsize=3, label="out of sample")
    axes.set(xlabel="predicted P(up)", ylabel="share that went up", title="reliability")
    axes.set_aspect("equal")
    axes.legend(loc="upper left")
    axes.margins(0.05)
    return figure


def trades_figure(result: TrainingResult) -> Figure:
    """Net pips added up over the out-of-sample round trips; lines where a fold begins."""
    trades, tested = result.trades, result.out_of_sample.dataset
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    ended = tested.end_ns[trades.rows]
    at = np.concatenate([tested.ts[:1], ended, tested.end_ns[-1:]]).astype("datetime64[ns]")
    net = np.concatenate([[0.0], np.cumsum(trades.net_pips)])
    axes.step(at, np.append(net, net[-1]), where="post")
    for fold in result.folds:
        start = np.datetime64(fold.start_ns, "ns")
        axes.axvline(start, color="lightgrey", linewidth=1, zorder=0)  # type: ignore[arg-type]
    axes.axhline(0.0, color="grey", linewidth=1)
    title = f"out of sample, after cost: {len(trades.rows)} round trips, {net[-1]:,.1f} pips"
    axes.set(ylabel="net pips", title=title)
    dates = ConciseDateFormatter(axes.xaxis.get_major_locator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates)
    return figure


def fold_table_figure(result: TrainingResult) -> Figure:
    """Draw the fold table of the model card."""
    titles, rows = table_cells(result.folds, result.total)
    figure = Figure(figsize=(14, 0.6 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    table = axes.table(cellText=rows, colLabels=titles, loc="center")
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    table.scale(1.0, 1.3)
    return figure


def confusion(result: TrainingResult) -> np.ndarray:
    """Count what the policy said of each tested row against what the mid then did.

    Returns
    -------
    int64[3, 3]
        SELL, HOLD, BUY by down, flat, up.
    """
    moved = np.sign(result.out_of_sample.dataset.move_pips).astype(np.int64)
    said = result.trades.signals.astype(np.int64)
    return np.bincount(3 * (said + 1) + moved + 1, minlength=9).reshape(3, 3)


def confusion_figure(result: TrainingResult) -> Figure:
    """Confusion at the traded threshold: what clears the cost, not what clears one half."""
    counts = confusion(result)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(3, 3):
        dark = shares[row, column] > 0.5
        text = f"{counts[row, column]}\n{shares[row, column]:.1%}"
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(3), _OUTCOMES)
    axes.set_yticks(range(3), [name for name, _ in _SIDES])
    axes.set(xlabel="mid over the horizon", title="decision on every tested row")
    return figure


def importance_figure(names: Sequence[str], importance: F8) -> Figure:
    """Permutation importance of the columns that matter most, largest on top."""
    order = np.argsort(importance)[-_SHOWN:]
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.barh([names[k] for k in order], importance[order])
    axes.axvline(0.0, color="grey", linewidth=1)
    axes.set(xlabel="rise of the log-loss when shuffled", title="permutation importance")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def dependence_figure(names: Sequence[str], curves: Sequence[tuple[F8, F8]]) -> Figure:
    """Partial dependence of p on a few columns, one panel each."""
    figure = Figure(figsize=(4 * len(curves), 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(curves), sharey=True))
    for axes, name, (values, p) in zip(panels, names, curves, strict=True):
        axes.plot(values, p)
        axes.set(xlabel=name)
    panels[0].set_ylabel("mean P(up)")
    figure.suptitle("partial dependence, on rows that nothing was fitted on")
    return figure


def decision_figure(told: Explanation) -> Figure:
    """TreeSHAP values of one row, largest on top; those that are not shown are added up."""
    shown, rest = told.values[:_SHOWN], told.values[_SHOWN:]
    bars = [(f"{name} = {value:.4g}", part) for name, value, part in shown]
    bars.append((f"{len(rest)} others", sum(part for _, _, part in rest)))
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    parts = [part for _, part in reversed(bars)]
    colours = ["tab:green" if part > 0.0 else "tab:red" for part in parts]
    axes.barh([label for label, _ in reversed(bars)], parts, color=colours)
    axes.axvline(0.0, color="grey", linewidth=1)
    title = f"log-odds of up: {told.base:+.3f} base, {told.margin:+.3f} in all; P(up) {told.p:.3f}"
    axes.set(xlabel="adds to the log-odds (TreeSHAP)", title=title)
    return figure


def surest(result: TrainingResult, tested: Dataset) -> Explanation | None:
    """Take apart the prediction that is farthest from one half; None for networks."""
    learned, calibration = result.model.learned, result.model.calibration
    if not isinstance(learned, BoostedModel):
        return None
    row = int(np.argmax(np.abs(result.model.predict(tested.inputs) - 0.5)))
    return explained(learned, calibration, tested.spec.names, tested.rows[row])


def training_figures(result: TrainingResult, dataset: Dataset) -> dict[str, Figure]:
    """All figures of a run by file name.

    Importance, dependence and the surest decision are of the final model on rows of the holdout,
    which nothing was fitted on; they are left out when there are none.
    """
    figures = {
        "reliability.png": reliability_figure(result),
        "trades.png": trades_figure(result),
        "folds.png": fold_table_figure(result),
        "confusion.png": confusion_figure(result),
    }
    tested = dataset.holdout()
    if len(tested):
        names = dataset.spec.names
        importance = permutation_importance(result.model, tested, result.learner.seed)
        top = np.argsort(-importance)[:_CURVES].tolist()
        curves = partial_dependence(result.model, tested, top)
        figures["importance.png"] = importance_figure(names, importance)
        figures["dependence.png"] = dependence_figure([names[k] for k in top], curves)
        told = surest(result, tested)
        if told is not None:
            figures["decision.png"] = decision_figure(told)
    return figures


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure; no display and no global state of matplotlib is touched."""
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")


def write_figures(result: TrainingResult, dataset: Dataset, folder: Path) -> list[Path]:
    """Write all figures of a run into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in training_figures(result, dataset).items():
        paths.append(folder / name)
        write_png(figure, paths[-1])
    return paths
