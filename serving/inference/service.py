"""Answers of the Open Inference Protocol: what a model takes and gives, and its predictions."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import AppError, BadInput
from models.inference.artifact import LoadedModel
from models.shelf import Key, Shelf
from serving.inference.catalogue import Catalogue
from serving.inference.tensors import Request

ROWS, PROBABILITY, IN_DOMAIN = "rows", "probability", "in_domain"
PLATFORM = "tickpath"
# Above this a request would hold up the ticks; in a thread it costs a little more by itself.
INLINE_ROWS = 32
READY, UNAVAILABLE = "READY", "UNAVAILABLE"


class Inference:
    """The protocol over a catalogue and a shelf.

    Parameters
    ----------
    catalogue : Catalogue
    shelf : Shelf
    """

    def __init__(self, catalogue: Catalogue, shelf: Shelf) -> None:
        self.catalogue = catalogue
        self.shelf = shelf
        self._told: dict[Key, _Told] = {}

    async def infer(self, name: str, version: str, request: Request) -> tuple[Key, list[Any]]:
        """Predict; return the version and outputs of (name, array, whether binary)."""
        key = self.catalogue.key(name, version)
        told = self._told.setdefault(key, _Told())
        start = time.perf_counter_ns()
        try:
            secs = _timeout(request.parameters)
            at_hand = self.shelf.at_hand(key)
            if at_hand is not None and len(request.inputs.get(ROWS, ())) <= _inline(at_hand):
                outputs = _outputs(at_hand, request)  # no wait in it: over before any time-out
            else:
                async with asyncio.timeout(secs), self.shelf.lend(key) as model:
                    outputs = await asyncio.to_thread(_outputs, model, request)
        except TimeoutError:
            told.failed += 1
            raise BadInput("the timeout of the request has passed") from None
        except AppError:
            told.failed += 1
            raise
        told.count(len(outputs[0][1]), time.perf_counter_ns() - start)
        return key, outputs

    async def describe(self, name: str, version: str) -> dict[str, Any]:
        """Return inputs and outputs of a version."""
        key = self.catalogue.key(name, version)
        async with self.shelf.lend(key) as model:
            shape = [-1, *_row_shape(model)]
        return {
            "name": key.name,
            "versions": self._versions(key.name),
            "platform": PLATFORM,
            "inputs": [{"name": ROWS, "datatype": "FP32", "shape": shape}],
            "outputs": [
                {"name": PROBABILITY, "datatype": "FP64", "shape": [-1]},
                {"name": IN_DOMAIN, "datatype": "BOOL", "shape": [-1]},
            ],
        }

    async def configure(self, name: str, version: str) -> dict[str, Any]:
        """Return the configuration in Triton's terms."""
        shown = await self.describe(name, version)
        return {
            "name": shown["name"],
            "platform": PLATFORM,
            "backend": PLATFORM,
            "max_batch_size": 0,
            "input": [_typed(one) for one in shown["inputs"]],
            "output": [_typed(one) for one in shown["outputs"]],
        }

    async def load(self, name: str, *, pin: bool) -> None:
        """Have the version that a name means at hand."""
        await self.shelf.keep(self.catalogue.key(name), pin=pin)

    def unload(self, name: str) -> None:
        """Let go of every version of a name that is at hand."""
        self.catalogue.key(name)
        for key in [key for key in self.shelf.versions if key.name == name]:
            self.shelf.drop(key)

    def index(self, *, ready: bool) -> list[dict[str, str]]:
        """List the versions; only those at hand if `ready`."""
        at_hand = self.shelf.versions
        return [
            {
                "name": key.name,
                "version": key.version,
                "state": READY if serves or key in at_hand else UNAVAILABLE,
                "reason": "" if serves or key in at_hand else "not loaded",
            }
            for key, serves in self.catalogue.listed()
            if serves or key in at_hand or not ready
        ]

    def is_ready(self, name: str, version: str) -> bool:
        """Tell whether a version answers without being loaded first, or trades; raises NotFound."""
        key = self.catalogue.key(name, version)
        listed = {one.key: one.serves for one in self.catalogue.listed()}
        return key in self.shelf.versions or listed.get(key, False)

    def stats(self, name: str = "", version: str = "") -> dict[str, Any]:
        """Return counts and times of the versions that were asked, or of one."""
        keys: Iterable[Key] = sorted(self._told)
        if name:
            keys = [self.catalogue.key(name, version)]
        return {"model_stats": [_shown(key, self._told.get(key, _Told())) for key in keys]}

    def _versions(self, name: str) -> list[str]:
        return [one.key.version for one in self.catalogue.listed() if one.key.name == name]


class _Told:
    """What a version was asked."""

    def __init__(self) -> None:
        self.requests = self.rows = self.spent_ns = self.failed = self.last_ms = 0

    def count(self, rows: int, spent_ns: int) -> None:
        self.requests += 1
        self.rows += rows
        self.spent_ns += spent_ns
        self.last_ms = time.time_ns() // 1_000_000


def _shown(key: Key, told: _Told) -> dict[str, Any]:
    return {
        "name": key.name,
        "version": key.version,
        "last_inference": told.last_ms,
        "inference_count": told.rows,
        "execution_count": told.requests,
        "inference_stats": {
            "success": {"count": told.requests, "ns": told.spent_ns},
            "fail": {"count": told.failed, "ns": 0},
        },
    }


def _typed(tensor: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": tensor["name"],
        "data_type": f"TYPE_{tensor['datatype']}",
        "dims": tensor["shape"],
    }


def _timeout(parameters: dict[str, Any]) -> float | None:
    """Return the request's `timeout`, which is in µs, in seconds; 0 is none.

    A `priority` changes nothing.
    """
    micros = parameters.get("timeout", 0)
    if not isinstance(micros, int) or micros < 0:
        raise BadInput(f"parameter timeout is {micros!r}, not a number of microseconds")
    return micros / 1e6 if micros else None


def _inline(model: LoadedModel) -> int:
    """Return how many rows cost less than a thread's way there and back."""
    return 1 if model.worth_keeping else INLINE_ROWS


def _row_shape(model: LoadedModel) -> tuple[int, ...]:
    features = model.manifest.n_features
    return (model.manifest.window, features) if model.reads_windows else (features,)


def _outputs(model: LoadedModel, request: Request) -> list[tuple[str, NDArray[Any], bool]]:
    rows = _rows(model, request)
    wanted = request.outputs or {PROBABILITY: request.binary, IN_DOMAIN: request.binary}
    if unknown := set(wanted) - {PROBABILITY, IN_DOMAIN}:
        raise BadInput(f"no output is called {min(unknown)!r}; {PROBABILITY} and {IN_DOMAIN} are")
    found = _score(model, rows)
    return [(name, found[name], binary) for name, binary in wanted.items()]


def _rows(model: LoadedModel, request: Request) -> NDArray[np.float32]:
    if set(request.inputs) != {ROWS}:
        raise BadInput(f"the one input is called {ROWS!r}, not {sorted(request.inputs)}")
    rows, shape = request.inputs[ROWS], _row_shape(model)
    if rows.dtype != np.float32:
        raise BadInput(f"input {ROWS!r} is FP32")
    if rows.shape[1:] != shape:
        raise BadInput(f"input {ROWS!r} has shape {list(rows.shape)}, not {[-1, *shape]}")
    if not len(rows):
        raise BadInput(f"input {ROWS!r} has no row")
    return np.ascontiguousarray(rows)


def _score(model: LoadedModel, rows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    one = len(rows) == 1
    scored = np.array([model.predict_row(rows[0])]) if one else model.predict(rows)
    limit = model.domain_limit
    inside = np.array([model.domain_score(row) <= limit for row in rows])
    return {PROBABILITY: scored, IN_DOMAIN: inside}
