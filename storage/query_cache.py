"""Answers of queries, kept for a while: bounded in number and bytes, dropped when data change."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from core.clock import Clock

Answer = TypeVar("Answer")
Key = tuple[str, tuple[tuple[type, object], ...]]


class _Entry(NamedTuple):
    answer: object
    tags: frozenset[str]
    size: int
    until_ns: int


class QueryCache:
    """Keeps answers by statement and typed parameters; safe among threads.

    The type of a parameter is part of the key: 1, 1.0 and True are equal and mean different
    queries. An answer is shared by all who ask, and must not be changed. What is written between
    the beginning of a query and its end makes its answer old: it is given, and not kept.

    Parameters
    ----------
    clock : Clock
        Its monotonic time ages the entries.
    entries, max_bytes : int
        Bounds; the least recently used goes first.
    ttl_secs : float
        Age at which an answer is asked for anew.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        entries: int = 1_000,
        max_bytes: int = 64_000_000,
        ttl_secs: float = 60.0,
    ) -> None:
        if entries < 1 or max_bytes < 1 or ttl_secs <= 0:
            raise ValueError("a query cache needs room for one entry and a time to live")
        self._clock, self._most, self._max_bytes = clock, entries, max_bytes
        self._ttl_ns = int(ttl_secs * 1e9)
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._written: dict[str, int] = {}
        self.size = self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(
        self,
        statement: str,
        values: tuple[object, ...],
        tags: Iterable[str],
        ask: Callable[[], Answer],
    ) -> Answer:
        """Return the kept answer, or ask.

        Parameters
        ----------
        values : tuple
            Parameters of the statement; hashable.
        tags : iterable of str
            What the answer hangs on, such as ``ticks:EURUSD``; see `written`.
        """
        key = statement, tuple((type(value), value) for value in values)
        with self._lock:
            found = self._entries.get(key)
            if found is not None and self._clock.monotonic_ns() < found.until_ns:
                self._entries.move_to_end(key)
                self.hits += 1
                return cast(Answer, found.answer)
            self.misses += 1
            hangs_on = frozenset(tags)
            before = self._writes_of(hangs_on)
        answer = ask()
        self._keep(key, answer, hangs_on, before)
        return answer

    def written(self, tag: str) -> None:
        """Drop the answers that hang on `tag`; call it after each write."""
        with self._lock:
            self._written[tag] = self._written.get(tag, 0) + 1
            for key in [key for key, entry in self._entries.items() if tag in entry.tags]:
                self._drop(key)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()
            self.size = 0

    def _writes_of(self, tags: frozenset[str]) -> int:
        return sum(self._written.get(tag, 0) for tag in tags)

    def _keep(self, key: Key, answer: object, tags: frozenset[str], before: int) -> None:
        size = size_of(answer) + len(key[0])
        with self._lock:
            if size > self._max_bytes or self._writes_of(tags) != before:
                return
            if key in self._entries:
                self._drop(key)
            until_ns = self._clock.monotonic_ns() + self._ttl_ns
            self._entries[key] = _Entry(answer, tags, size, until_ns)
            self.size += size
            while self.size > self._max_bytes or len(self._entries) > self._most:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        self.size -= self._entries.pop(key).size


def size_of(answer: object) -> int:
    """Bytes of an answer: arrays by their data, containers and records with what they hold."""
    if isinstance(answer, np.ndarray):
        return int(answer.nbytes) + 128
    parts: Iterable[Any] = ()
    if isinstance(answer, dict):
        parts = [*answer.keys(), *answer.values()]
    elif isinstance(answer, list | tuple | set | frozenset):
        parts = answer
    elif is_dataclass(answer):
        parts = [getattr(answer, field.name) for field in fields(answer)]
    elif hasattr(answer, "__struct_fields__"):
        parts = [getattr(answer, name) for name in answer.__struct_fields__]
    return sys.getsizeof(answer) + sum(size_of(part) for part in parts)
