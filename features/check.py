"""All promises of a spec, checked on one tape: what ``tickpath features check`` runs.

* stream = batch, to the bit;
* a snapshot in the middle of the stream changes no bit;
* no look-ahead: everything after t perturbed, row t unmoved, for every column;
* warm-up: no column claims less than it needs;
* warm rows are finite;
* user-defined steps keep to their own state, and do compiled what they do interpreted.
"""

import msgspec
import numpy as np

from core.columns import QuoteColumns
from core.types import Cadence
from features.interpreted import StepReport, check_steps
from features.parity import (
    LeakReport,
    ParityReport,
    check_leaks,
    check_parity,
    check_snapshots,
    with_strength,
)
from features.peers import DollarTapes
from features.spec import FeatureSpec
from features.warmup import WarmupReport, check_warmup

_SHORT = "the tape is too short"
_FEWEST, _WARMUPS = 20_000, 6
# Before the tape, for the dollar's strength: every peer quoted within a week.
_WEEK_NS = 7 * 86_400 * 10**9


class FeatureReport(msgspec.Struct, frozen=True):
    """Outcome of `run_checks`; `problems` says in one sentence each what is wrong."""

    spec: str
    fingerprint: str
    quotes: int
    parity: ParityReport
    snapshots: ParityReport
    leaks: LeakReport
    warmup: WarmupReport
    steps: StepReport
    not_finite: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What fails, empty when nothing does."""
        warmup = [
            f"column {name} claims {claimed} samples of warm-up and needs {need}"
            for name, claimed, need in self.warmup.understated
        ]
        return (
            *_parity_problems("stream and batch differ", self.parity),
            *_parity_problems("a restored stream differs", self.snapshots),
            *(f"row at quote {at} moved with the future: {name}" for at, name in self.leaks.leaks),
            *(() if self.leaks.points else ("no row was warm, so no leak was looked for",)),
            *warmup,
            *(() if self.warmup.samples else (f"{_SHORT}, so no warm-up was measured",)),
            *(f"column {name} has a warm value that is not finite" for name in self.not_finite),
            *self.steps.problems,
        )

    @property
    def ok(self) -> bool:
        """Everything holds, and there was something to look at."""
        return not self.problems


def _parity_problems(what: str, report: ParityReport) -> tuple[str, ...]:
    if report.equal:
        return () if report.warm_rows else ("no row was warm, so nothing was compared",)
    return (f"{what} at {report.first_difference}",)


def part_to_check(columns: QuoteColumns, spec: FeatureSpec) -> QuoteColumns:
    """Newest quotes of a tape that are enough for `run_checks`, however dense it is.

    At least twenty thousand, and so many that they make six times the samples of the warm-up, and
    last three times as long as closed bars take to be there.
    """
    n = len(columns)
    fewest = max(0, n - _FEWEST)
    wanted = _WARMUPS * spec.warmup
    if spec.cadence is Cadence.BAR:
        buckets = (columns.ts - (columns.span > 0)) // spec.bar_ns
        begins = np.flatnonzero(np.diff(buckets, prepend=-1))
        first = int(begins[-wanted]) if len(begins) >= wanted else 0
    else:
        first = max(0, n - wanted)
    if spec.warmup_ns and n:
        long_ago = columns.ts[-1] - 3 * spec.warmup_ns
        first = min(first, int(np.searchsorted(columns.ts, long_ago)))
    return columns[min(fewest, first) :]


def run_checks(
    spec: FeatureSpec,
    columns: QuoteColumns,
    pip: float,
    *,
    n_points: int = 16,
    n_snapshots: int = 10,
    n_cuts: int = 4,
    seed: int = 0,
    dollar: DollarTapes | None = None,
) -> FeatureReport:
    """Check a spec, user-defined features included, on the tape of one instrument.

    Parameters
    ----------
    n_points : int
        Quotes after which everything is perturbed, in every way of `features.perturbation`.
    n_snapshots : int
        Quotes after which the stream is saved and resumed by a fresh engine.
    n_cuts : int
        Later beginnings of the tape for the measure of the warm-up.
    seed : int
        Of all random choices.
    dollar : DollarTapes, optional
        For a spec that needs the dollar's strength.
    """
    if dollar is not None:
        dollar = dollar.since(int(columns.ts.min(initial=1 << 62)) - _WEEK_NS)
    strength = None if dollar is None else dollar.strength()
    compute = with_strength(strength)
    rows = compute(spec, columns, pip)
    finite = [bool(np.isfinite(rows.rows[rows.warm, k]).all()) for k in range(spec.n_features)]
    return FeatureReport(
        spec.name,
        spec.fingerprint,
        len(columns),
        check_parity(spec, columns, pip, strength=strength),
        check_snapshots(spec, columns, pip, n_snapshots, seed, strength),
        check_leaks(spec, columns, pip, n_points, seed, dollar=dollar),
        check_warmup(spec, columns, pip, n_cuts, seed, compute),
        check_steps(spec, columns, pip),
        tuple(name for name, good in zip(spec.names, finite, strict=True) if not good),
    )
