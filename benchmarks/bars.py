"""A promised figure beside its bar and its control."""

from collections.abc import Mapping
from typing import Any


def beside(figure: float, bar: str, control: Mapping[str, object]) -> dict[str, object]:
    """Say whether a figure meets a bar such as ``<= 4``."""
    rule, limit = bar.split()
    met = figure <= float(limit) if rule == "<=" else figure >= float(limit)
    shown = round(figure, 3) if abs(figure) >= 1.0 else float(f"{figure:.3g}")
    return {"figure": shown, "bar": bar, "met": met, "control": dict(control)}


def show(name: str, bars: Mapping[str, Any]) -> None:
    """Print one line for each promised figure of a benchmark."""
    for what, row in bars.items():
        if isinstance(row, str):
            print(f"{name}: {what}: {row}")
            continue
        verdict = "met" if row["met"] else "MISSED"
        control = ", ".join(f"{k} {v}" for k, v in row["control"].items())
        print(f"{name}: {what}: {row['figure']:,} (bar {row['bar']}) {verdict}; beside: {control}")
