"""User-defined steps run by the interpreter: the same values, and no foot outside their state.

Compiled code does not check an index; one beyond the step's own state would write into its
neighbour's. Interpreted, numpy raises. (A negative index
wraps around to the end of the own state, compiled and interpreted alike.)
"""

import math

import msgspec
import numpy as np

from core.columns import QuoteColumns
from core.types import Cadence
from features import batch
from features.blocks import F4
from features.spec import FeatureSpec, make_spec
from features.user import PREFIX, Sample, UserFeature, user_feature
from market.bars import bars_of

_RELATIVE = 1e-6  # a row is float32


class StepReport(msgspec.Struct, frozen=True):
    """User-defined features that were run, and what was wrong with them."""

    checked: tuple[str, ...]
    problems: tuple[str, ...]


def check_steps(
    spec: FeatureSpec, columns: QuoteColumns, pip: float, n_quotes: int = 5_000
) -> StepReport:
    """Run every user-defined step of a spec interpreted over the first quotes of a tape."""
    mine = [block for block in spec.blocks if block.kind.startswith(PREFIX)]
    part = columns[:n_quotes]
    if not mine:
        return StepReport((), ())
    samples = samples_of(spec, part, pip)
    problems = []
    for block in mine:
        alone = msgspec.structs.replace(
            make_spec("alone", spec.cadence, (block,), spec.bar_ns), warmup=1
        )
        compiled = batch.compute(alone, part, pip).rows[:, 0]
        problem = _compare(user_feature(block.kind), samples, compiled)
        if problem:
            problems.append(f"feature {block.kind.split(':')[1]}: {problem}")
    return StepReport(tuple(block.kind for block in mine), tuple(problems))


def _compare(mine: UserFeature, samples: list[Sample], compiled: F4) -> str:
    state = np.zeros(mine.n_state)
    for position, sample in enumerate(samples):
        try:
            with np.errstate(all="ignore"):
                value = float(mine.step.py_func(state, sample))
        except IndexError as error:
            return f"leaves its state of {mine.n_state}: {error}"
        except (ArithmeticError, ValueError, TypeError) as error:
            return f"fails at sample {position}: {error}"
        got = float(compiled[position])
        both_odd = not math.isfinite(value) and not math.isfinite(got)
        if not both_odd and not math.isclose(got, value, rel_tol=_RELATIVE, abs_tol=1e-30):
            return f"is {got} compiled and {value} interpreted at sample {position}"
    return ""


def samples_of(spec: FeatureSpec, columns: QuoteColumns, pip: float) -> list[Sample]:
    """Return what the steps see, of a tape without late or malformed quotes."""
    if spec.cadence is Cadence.BAR:
        b = bars_of(columns, spec.bar_ns)
        series = (b.ts, b.open, b.high, b.low, b.close, b.spread, b.volume, b.n_ticks * 1.0)
    else:
        c = columns
        kept = c.ts >= np.maximum.accumulate(c.ts)
        c = c[kept]
        mid = 0.5 * (c.bid + c.ask)
        ones = np.ones(len(c))
        series = (c.ts, c.open, c.high, c.low, mid, c.ask - c.bid, c.volume, ones)
    rows = zip(*(column.tolist() for column in series), strict=True)
    samples: list[Sample] = []
    for ts, o, h, low, c_, spread, volume, n in rows:
        last = samples[-1] if samples else None
        elapsed = (ts - last.ts) * 1e-9 if last else 0.0
        change = 1e4 * math.log(c_ / last.close) if last else 0.0
        first = 0.0 if last else 1.0
        samples.append(
            Sample(ts, o, h, low, c_, spread, volume, float(n), pip, elapsed, change, first)
        )
    return samples
