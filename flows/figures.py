"""Figures of a training run, drawn without a display."""

import numpy as np
from matplotlib.figure import Figure

from models.training import TrainingResult

_BINS = 10


def reliability_figure(result: TrainingResult) -> Figure:
    """Share of ups against the predicted p, out of sample, in ten bins of equal size."""
    p, up = result.out_of_sample.p, result.out_of_sample.dataset.up
    order = np.argsort(p, kind="stable")
    bins = [rows for rows in np.array_split(order, _BINS) if len(rows)]
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, label="perfect")
    axes.plot([p[rows].mean() for rows in bins], [up[rows].mean() for rows in bins], "o-")
    axes.set(xlabel="predicted P(up)", ylabel="share that went up", title="reliability")
    axes.margins(0.05)
    return figure


def trades_figure(result: TrainingResult) -> Figure:
    """Net pips added up over the out-of-sample round trips."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.concatenate([[0.0], np.cumsum(result.trades.net_pips)]))
    axes.axhline(0.0, color="grey", linewidth=1)
    axes.set(xlabel="round trip", ylabel="net pips", title="out of sample, after cost")
    return figure
