"""Model card: one page of Markdown for people."""

from collections.abc import Sequence
from datetime import UTC, datetime

from models.evaluation import FoldResult
from models.manifest import Manifest

_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("fold", "fold", "d"),
    ("rows", "n", "d"),
    ("log-loss", "log_loss", ".5f"),
    ("no skill", "base_log_loss", ".5f"),
    ("Brier", "brier", ".5f"),
    ("hit rate", "hit_rate", ".3f"),
    ("break-even", "break_even_hit_rate", ".3f"),
    ("trades", "trades", "d"),
    ("net pips/trade", "net_pips_per_trade", ".3f"),
    ("net pips", "net_pips", ".1f"),
    ("DSR", "dsr", ".3f"),
    ("PBO", "pbo", ".3f"),
    ("P(loss)", "loss_probability", ".3f"),
    ("MinTRL", "min_track_record", ""),
    ("covered", "coverage", ".3f"),
    ("unknown", "out_of_domain", ".4f"),
)


def fold_table(folds: Sequence[FoldResult], total: FoldResult) -> str:
    """Fold results as a Markdown table with a last line for all folds together."""
    titles, rows = table_cells(folds, total)
    lines = ["| " + " | ".join(cells) + " |" for cells in (titles, *rows)]
    return "\n".join([lines[0], "|" + "---:|" * len(titles), *lines[1:]])


def table_cells(
    folds: Sequence[FoldResult], total: FoldResult
) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of the fold table, as text."""
    return [title for title, _, _ in _COLUMNS], [_cells(result) for result in (*folds, total)]


def render(manifest: Manifest, folds: Sequence[FoldResult], total: FoldResult) -> str:
    """Model card of a version."""
    params = manifest.calibration.params
    calibration = ", ".join(f"{k} {v:.4f}" for k, v in sorted(params.items())) or "no parameters"

    def _share(name: str) -> str:
        return format(manifest.metrics.get(name, 0.0), ".1%")

    bound = manifest.metrics.get("net_pips_per_trade_lower", 0.0)
    return f"""# {manifest.model}

P(mid of {manifest.symbol} is up after {manifest.horizon_ns / 1e9:g} s), {manifest.family}, one row
per {manifest.cadence} of feature spec `{manifest.spec_name}` ({manifest.n_features} columns,
fingerprint `{manifest.spec_fingerprint}`).

## Data

Trained on {_day(manifest.train_start_ns)} to {_day(manifest.train_end_ns)}; nothing from
{_day(manifest.holdout_start_ns)} on was seen. Data hash `{manifest.data_hash or "none"}`, code
revision `{manifest.code_revision}`, seed {manifest.seed}, configurations tried: {manifest.trials}.

## Out of sample (walk-forward, purged, net of spread, slippage and commission)

{fold_table(folds, total)}

Trades do not overlap. DSR is the Deflated Sharpe Ratio of the trades for {manifest.trials} trials,
PBO the probability of overfitting among {_among(manifest)}, P(loss) how often
the choice by one half of time earned nothing in the other, MinTRL the number of trades that would
show a gain with 95 % confidence. "covered" is the share of moves inside their 90 % conformal
interval, "unknown" the share of rows out of the training domain.

Lower 95 % bound of the mean net pips per trade: {bound:.3f}. The same policy on the base rate
alone: {total.no_skill_trades} trades, {total.no_skill_net_pips:.1f} pips.

Labels: {_share("labels_up")} up, {_share("labels_flat")} without a move,
{manifest.metrics.get("labels_rows", 0.0):.0f} rows that tell about as much as
{manifest.metrics.get("labels_independent", 0.0):.0f} independent ones.

## Output

Calibration on later data than the fit: {manifest.calibration.kind} ({calibration}).
E|move| over the horizon: {manifest.expected_move_pips:.3f} pips.

## Limits

For {manifest.symbol} at this cadence and horizon only. Past results, at the recorded spread,
without market impact; a regime that the training span does not hold is outside of what it knows.
"""


def _among(manifest: Manifest) -> str:
    if manifest.search:
        return f"the complete trials of search `{manifest.search}`"
    return "fewer trees and higher margins"


def _cells(result: FoldResult) -> list[str]:
    cells = [
        min_track_record(result) if not form else format(getattr(result, field), form)
        for _, field, form in _COLUMNS
    ]
    if result.fold == 0:
        cells[0] = "all"
    return cells


def min_track_record(result: FoldResult) -> str:
    """Fewest trades that would show a gain, for people; a dash when no number would."""
    if result.track_record <= 0.0:
        return "–"
    return format(result.trades / result.track_record, ".0f")


def _day(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M UTC")
