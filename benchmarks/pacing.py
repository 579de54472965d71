"""Due times that an event loop keeps to microseconds; uvloop's own timers count milliseconds."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from time import perf_counter_ns

_MONOTONIC, _ABSOLUTE = 1, 1
_NS = 1_000_000_000


class _Interval(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long), ("interval_ns", ctypes.c_long),
        ("first_s", ctypes.c_long), ("first_ns", ctypes.c_long),
    )  # fmt: skip


async def every(gap_ns: int, count: int, act: Callable[[int, int], None]) -> None:
    """Call ``act(number, due_ns)`` `count` times, `gap_ns` apart; Linux only.

    A late wake-up makes up for all due times that have passed, each with its own.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    library = ctypes.CDLL(None, use_errno=True)
    timer = library.timerfd_create(_MONOTONIC, os.O_NONBLOCK)
    start, reached = perf_counter_ns() + 50_000_000, 0

    def expired() -> None:
        nonlocal reached
        for _ in range(int.from_bytes(os.read(timer, 8), "little")):
            if reached < count:
                act(reached, start + reached * gap_ns)
            reached += 1
        if reached >= count:
            done.set()

    times = _Interval(gap_ns // _NS, gap_ns % _NS, start // _NS, start % _NS)
    if timer < 0 or library.timerfd_settime(timer, _ABSOLUTE, ctypes.byref(times), None):
        raise OSError(ctypes.get_errno(), "timerfd")
    loop.add_reader(timer, expired)
    try:
        await done.wait()
    finally:
        loop.remove_reader(timer)
        os.close(timer)
