"""A look at drift as a page of HTML, as a Markdown table, and as figures for MLflow."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from flows.drift_job import RESULTS, SCORE, Drift, Reading, Window

_SHOWN = 12
_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; color: #1e293b; max-width: 76rem; }
table { border-collapse: collapse; } td, th { padding: .15rem .5rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } th { font-weight: 600; }
td { font-variant-numeric: tabular-nums; border-top: 1px solid #e2e8f0; }
.over { background: #fecaca; } .near { background: #fef3c7; } .calm { background: #f0fdf4; }
"""


def strength(reading: Reading) -> float:
    """How near to its threshold a reading is; 1 at it."""
    pairs = zip(reading.figures, reading.limits, strict=True)
    return max((figure / limit for figure, limit in pairs if limit > 0.0), default=0.0)


def ranked(windows: Sequence[Window]) -> list[str]:
    """Subjects, score and results first, then features by their nearness in the newest window."""
    newest = {reading.subject: strength(reading) for reading in windows[-1].readings}
    first = [name for name in (SCORE, RESULTS) if name in newest]
    rest = sorted((name for name in newest if name not in first), key=lambda n: -newest[n])
    return [*first, *rest]


def summary(found: Drift) -> str:
    """One sentence for people."""
    where = f"{found.model} version {found.version}"
    if found.note:
        return f"{where}: {found.note}"
    windows = f"{len(found.windows)} windows of {found.rows} rows after the training"
    if not found.holding:
        return f"{where}: no drift holds, looked at in {windows}"
    return f"{where}: drift of {', '.join(found.holding)} holds, looked at in {windows}"


def markdown(found: Drift) -> str:
    """Summary with the nearest subjects of the newest window as a table."""
    if not found.windows:
        return summary(found)
    rows = {reading.subject: reading for reading in found.windows[-1].readings}
    lines = [
        f"**{summary(found)}**", "",
        f"Newest window: {_time(found.windows[-1].start_ns)} to {_time(found.windows[-1].end_ns)}.",
        "", "| what | figures | thresholds | p | over |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name in ranked(found.windows)[:_SHOWN]:
        one = rows[name]
        lines.append(
            f"| {name} | {_numbers(one.figures)} | {_numbers(one.limits)} | {one.p_value:.2g} | "
            f"{'yes' if one.over else 'no'} |"
        )
    return "\n".join([*lines, "", f"Figures are {_FIGURES}."])


_FIGURES = "PSI and KS; of the results the mean log-loss over that of the base rate"


def html(found: Drift) -> str:
    """Give the whole look as a page that needs nothing else."""
    title = escape(f"Drift of {found.model} version {found.version}")
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
    body = f"<h1>{title}</h1><p>{escape(summary(found))}</p>"
    if found.windows:
        body += (
            "<p>Nearness to the threshold, 100 % at it. A threshold is what chance exceeds at the "
            "shared false-alarm rate in windows of this size, as the windows of the training "
            f"tell.</p>{_nearness(found)}<h2>Newest window</h2>"
            f"<p>Figures are {_FIGURES}.</p>{_newest(found)}"
        )
    return f"{head}<style>{_STYLE}</style><body>{body}</body></html>"


def _nearness(found: Drift) -> str:
    cells = [{r.subject: r for r in window.readings} for window in found.windows]
    heads = "".join(f"<th>{_time(window.end_ns)[5:]}</th>" for window in found.windows)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(_cell(one.get(name)) for one in cells)}</tr>"
        for name in ranked(found.windows)
    )
    return f"<table><tr><th>window until</th>{heads}</tr>{rows}</table>"


def _cell(reading: Reading | None) -> str:
    if reading is None:
        return "<td></td>"
    if reading.subject == RESULTS:  # below zero is skill: a share of the threshold says nothing
        return f"<td class={'over' if reading.over else 'calm'}>p {reading.p_value:.2g}</td>"
    share = strength(reading)
    kind = "over" if reading.over else "near" if share > 0.7 else "calm"
    return f"<td class={kind}>{share:.0%}</td>"


def _newest(found: Drift) -> str:
    rows = {reading.subject: reading for reading in found.windows[-1].readings}
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td>{_numbers(rows[name].figures)}</td>"
        f"<td>{_numbers(rows[name].limits)}</td><td>{rows[name].p_value:.2g}</td></tr>"
        for name in ranked(found.windows)
    )
    return (
        f"<table><tr><th>what</th><th>figures</th><th>thresholds</th><th>p</th></tr>{lines}</table>"
    )


def figures(found: Drift) -> dict[str, float]:
    """Figures of the newest window, for MLflow."""
    readings = found.windows[-1].readings
    named = {reading.subject: reading for reading in readings}
    score = named[SCORE]
    told = {
        "drift.holding": float(len(found.holding)),
        "drift.over": float(sum(reading.over for reading in readings)),
        "drift.score_psi": score.figures[0],
        "drift.score_ks": score.figures[1],
    }
    if RESULTS in named:
        told["drift.excess_loss"] = named[RESULTS].figures[0]
    return told


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M")
