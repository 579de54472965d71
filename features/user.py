"""Features of your own: one decorated step function, usable in any spec.

::

    @feature(name="above_mean", formula="close / mean of all closes - 1", unit="1",
             window=1, warmup=2, state=2)
    def above_mean(state, sample):
        state[0] += 1.0
        state[1] += sample.close
        return sample.close / (state[1] / state[0]) - 1.0

    register_spec(with_features(spec_named("full-bar"), "mine-bar", above_mean))

With the module named in the setting ``features.modules`` and ``training.features = "mine"``, models
are trained and served with it, and ``tickpath features check`` looks at it like at any other.

The step runs once per sample, compiled by numba, with its own slice of float64 state (all zeros
when fresh) and the sample; it returns the column's value. It can see nothing else, so it cannot
look ahead, and the checks of `features.check` hold for it as for any other. Its source, with the
constants and functions that it uses, is part of the spec's fingerprint.
"""

import hashlib
import importlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
from numba import carray, cfunc, njit

from core.errors import BadInput
from features import sample as slots
from features.column import BlockKind, Column
from features.dispatch import USER_OP
from features.native import SIGNATURE
from market import bars

PREFIX = "user:"


class Sample(NamedTuple):
    """What a step sees of a closed bar or a tick.

    Attributes
    ----------
    ts : int
        Time, ns UTC: the bar's end, or the tick's.
    open, high, low, close : float
        Mid prices.
    spread, volume, n_ticks : float
        Ask minus bid of the last quote; sum; number of quotes.
    pip : float
        Size of a pip.
    elapsed : float
        Seconds since the sample before, 0 for the first.
    return_bps : float
        ``1e4 * ln(close / close before)``, 0 for the first.
    first : float
        1 for the first sample of the tape, else 0.
    """

    ts: int
    open: float
    high: float
    low: float
    close: float
    spread: float
    volume: float
    n_ticks: float
    pip: float
    elapsed: float
    return_bps: float
    first: float


@dataclass(frozen=True, slots=True, eq=False)
class UserFeature:
    """A registered feature; made by `feature`.

    Attributes
    ----------
    kind : str
        Its name as a block of a spec: ``user:<name>:<digest of the source>``.
    step : callable
        The compiled step; ``step.py_func`` is the plain one.
    """

    kind: str
    column: Column
    n_state: int
    step: Any
    native: Any


_FEATURES: dict[str, UserFeature] = {}


def load_modules(names: Sequence[str]) -> None:
    """Import the modules that hold features and specs of your own.

    Raises
    ------
    BadInput
        When one cannot be found or fails on import.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise BadInput(f"features module {name!r} cannot be imported: {error}") from error


def feature(
    *, name: str, formula: str, unit: str, window: int, warmup: int, state: int
) -> Callable[[Callable[..., float]], UserFeature]:
    """Make a column of the decorated step ``(state, sample) -> float``.

    Parameters
    ----------
    name, formula, unit : str
        Of the column.
    window : int
        Samples that the value looks back on.
    warmup : int
        Samples after which the value may be used; the checks measure whether that is true.
    state : int
        Length of the step's float64 state.

    Raises
    ------
    BadInput
        For numbers that cannot be.
    """
    if not name.isidentifier() or warmup < 1 or window < 1 or state < 0:
        raise BadInput(
            f"feature {name!r} needs an identifier as name, window and warm-up of at least one "
            "sample and a state that is not negative"
        )
    column = Column(name, formula, unit, window, warmup)

    def register(function: Callable[..., float]) -> UserFeature:
        kind = f"{PREFIX}{name}:{source_digest(function, (column, state))}"
        made = _FEATURES[kind] = _compile(kind, column, state, function)
        return made

    return register


def _compile(
    kind: str, column: Column, n_state: int, function: Callable[..., float]
) -> UserFeature:
    # Division by zero gives an infinity or NaN as in numpy; an index beyond the step's own state,
    # which nobody may have seen in a check, gives NaN and touches no neighbour's.
    step = njit(error_model="numpy", boundscheck=True)(function)
    length = (n_state,)
    o, h, low, c, spread, volume = (
        bars.OPEN,
        bars.HIGH,
        bars.LOW,
        bars.CLOSE,
        bars.SPREAD,
        bars.VOLUME,
    )
    n_ticks, pip, elapsed = slots.N_TICKS, slots.PIP, slots.ELAPSED_SECS
    return_bps, first = slots.RETURN_BPS, slots.IS_FIRST

    @cfunc(SIGNATURE, error_model="numpy")
    def native(own: Any, s: Any, ts: int) -> float:
        sample = Sample(
            ts,
            s[o],
            s[h],
            s[low],
            s[c],
            s[spread],
            s[volume],
            s[n_ticks],
            s[pip],
            s[elapsed],
            s[return_bps],
            s[first],
        )
        try:
            value = step(carray(own, length), sample)
        except Exception:  # noqa: BLE001 - no exception can leave native code
            return math.nan
        return value

    return UserFeature(kind, column, n_state, step, native)


def user_kind(kind: str) -> BlockKind:
    """How the block called ``user:...`` is run.

    Raises
    ------
    BadInput
        When no such feature is registered, or its source is another one.
    """
    try:
        mine = _FEATURES[kind]
    except KeyError:
        same = [known for known in _FEATURES if known.split(":")[1] == kind.split(":")[1]]
        why = f"its source differs from {same[0]!r}" if same else "import the module it stands in"
        raise BadInput(f"user-defined feature {kind!r} is not registered: {why}") from None
    return BlockKind(
        USER_OP, 0, lambda: mine.n_state, lambda: (mine.column,), int(mine.native.address)
    )


def user_feature(kind: str) -> UserFeature:
    """Return the registered feature of a block."""
    user_kind(kind)
    return _FEATURES[kind]


def source_digest(function: Any, more: object = ()) -> str:
    """First 16 hex characters of the SHA-256 of a function's source and of what it refers to.

    Constants enter by value, plain and compiled functions by their own source, and so on; of a
    module that is referred to, what may be meant in it.

    Raises
    ------
    BadInput
        For something that has no value to tell, such as a dictionary.
    """
    seen: dict[str, str] = {}
    _collect("", function, seen)
    text = repr((sorted(seen.items()), more))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _collect(name: str, thing: Any, seen: dict[str, str]) -> None:
    function = getattr(thing, "py_func", thing)
    if isinstance(function, FunctionType):
        _collect_function(name, function, seen)
    elif isinstance(thing, np.ndarray):
        seen[name] = f"{thing.dtype.str}{thing.shape}{hashlib.sha256(thing.tobytes()).hexdigest()}"
    elif isinstance(thing, int | float | complex | str | bytes | tuple | Enum | np.generic | None):
        seen[name] = repr(thing)
    elif not callable(thing):  # numpy's and Python's own functions come with their versions
        raise BadInput(
            f"{name.removeprefix('.')} is a {type(thing).__name__}, which cannot be part of a "
            "feature's fingerprint: use numbers, strings, tuples, arrays and functions"
        )


def _collect_function(name: str, function: FunctionType, seen: dict[str, str]) -> None:
    if function.__module__.partition(".")[0] in ("numpy", "numba", "math"):
        return
    key = f"{name}:{function.__qualname__}"
    if key in seen:
        return
    seen[key] = inspect.getsource(function)
    scope = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    for part, used in _used(scope, _code_names(function.__code__), frozenset()):
        _collect(f"{name}.{part}", used, seen)


def _used(
    scope: Mapping[str, Any], names: Sequence[str], inside: frozenset[str]
) -> Iterator[tuple[str, Any]]:
    """Yield what names mean in a scope; of a module, whatever in it has one of them."""
    for name in names:
        if name not in scope:
            continue
        thing = scope[name]
        if not isinstance(thing, ModuleType):
            yield name, thing
        elif thing.__name__ not in inside:
            deeper = _used(vars(thing), names, inside | {thing.__name__})
            yield from ((f"{name}.{part}", found) for part, found in deeper)


def _code_names(code: CodeType) -> list[str]:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    own = [*code.co_names, *code.co_freevars]
    return own + [name for part in inner for name in _code_names(part)]
