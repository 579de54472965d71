"""SIGKILL of the trading process alone: at every recorded step, and at random points.

The venue lives in the test and hears what really crosses the socket; the trading process is forked
for every kill, so that a cycle takes a fraction of a second. Steps are recorded in a first life
that is not killed (see `tests.e2e.steps`). Quick count in ``make test-all``; ``make proof`` does
nine hundred, in parts that it can go on from.
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.columns import from_ticks
from core.config import FixConfig, VenueConfig
from core.instruments import DEFAULT_INSTRUMENTS
from tests.e2e.steps import Death, moments_of
from venue.server import VenueServer
from venue.tape import Tape

pytestmark = pytest.mark.servers
ROOT = Path(__file__).resolve().parents[2]
MONDAY_NS = 1_600_100_000_000_000_000
SETTLED_SECS = 5.0
ORDERS = 6
LIVES = 5
STEPS = (
    "pwrite FileJournal.append", "fdatasync FileJournal._force", "pwrite SyncMark.move",
    "write FileStore._append", "send 35=D", "send 35=F", "receive 35=8", "send 35=AF",
    "rename Reserve.take", "rename Snapshots.write",
)  # fmt: skip
VENUE = VenueConfig(
    speed=0.0, max_quotes_per_sec=100.0, latency_ms=2.0, partial_ratio=0.5, reject_ratio=0.1
)
PARTS = [pytest.param(0, 45, id="45")] + [
    pytest.param(part, 100, id=f"100-{part}", marks=pytest.mark.proof) for part in range(9)
]


def tape(count: int = 100_000) -> Tape:
    """An hour and more of quotes in an open market."""
    rng = np.random.default_rng(5)
    ts = MONDAY_NS + np.arange(count, dtype=np.int64) * 50_000_000
    bid = np.round(1.1 + 1e-5 * np.cumsum(rng.integers(-2, 3, count)), 5)
    return Tape({0: from_ticks(ts, bid, np.round(bid + 1e-5 * rng.integers(4, 9, count), 5))})


class House:
    """A venue on a socket, and one life of the trading process after the other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.venue = VenueServer(
            tape(), DEFAULT_INSTRUMENTS, VENUE, FixConfig(port=0), home / "venue"
        )
        self.port = 0
        self.submitted: Counter[str] = Counter()
        self.numbers: dict[int, bytes] = {}
        self.reused: list[str] = []
        self.acknowledged: dict[str, str] = {}
        self.ids: list[str] = []
        self.deaths: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.cycles = self.inferred = 0
        self.slowest = 0.0
        self.last: dict[str, Any] = {}
        self._news = asyncio.Event()
        self._told: list[dict[str, Any]] = []

    async def start(self) -> None:
        self._watch()
        self.port = await self.venue.start()
        address = self.home / "report"
        self._server = await asyncio.start_unix_server(self._hear, address, limit=1 << 26)
        with (self.home / "child.log").open("ab") as log:
            self._mother = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.e2e.trading_child", str(address), cwd=ROOT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    async def stop(self) -> None:
        assert self._mother.stdin is not None
        self._mother.stdin.close()
        await self._mother.wait()
        self._server.close()
        await self.venue.close()

    async def live(
        self, death: Death | None, after_secs: float | None, *, orders: int, count: bool = False
    ) -> dict[str, Any] | None:
        """Have the process live once until it dies; return what it counted, if it was asked."""
        self.cycles += 1
        rng = random.Random(self.cycles)
        plan = {
            "cycle": self.cycles, "home": str(self.home), "port": self.port, "orders": orders,
            "death": death, "count": count, "strict": rng.random() < 0.2,
        }  # fmt: skip
        self._told.clear()
        pid = (await self._command(plan))["pid"]
        counts = None
        try:
            async with asyncio.timeout(60):
                if after_secs is not None:
                    await asyncio.sleep(after_secs)
                elif await self._until_done() and count:
                    os.kill(pid, signal.SIGUSR1)
                    counts = (await self._until("steps"))["counts"]
        except TimeoutError:
            raise AssertionError(f"cycle {self.cycles} hangs: {self._told[-3:]}") from None
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        code = (await self._line())["ended"]
        assert code == -signal.SIGKILL, (self.home / "child.log").read_text()[-3000:]
        self.deaths["at the step" if death and not self._of("done") else "at random"] += 1
        await self._drained()
        self._take()
        return counts

    def check_all(self) -> None:
        """Nothing lost, nothing twice, no number again, and the same as the venue holds."""
        assert not [name for name, count in self.submitted.items() if count > 1]
        assert not self.reused
        assert len(set(self.ids)) == len(self.ids)
        matching = self.venue.venue.matching
        for name, filled in self.last["filled"].items():
            entry = matching.status(name)
            assert filled == (0 if entry is None else entry.filled), name
        assert set(self.submitted) <= set(self.last["filled"])
        assert self.last["position"] == matching.position(0)
        assert not self.last["open"]
        assert not matching.open_orders()
        assert self.inferred == 0

    # --- what the process tells ---

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if not line.endswith(b"\n"):
                break  # it died in the middle of the word
            self._told.append(json.loads(line))
            self._news.set()
        self._told.append({"what": "gone"})
        self._news.set()
        writer.close()

    def _of(self, what: str) -> list[dict[str, Any]]:
        return [told for told in self._told if told["what"] == what]

    async def _until(self, *what: str) -> dict[str, Any]:
        while not (found := [told for told in self._told if told["what"] in what]):
            self._news.clear()
            await self._news.wait()
        return found[0]

    async def _until_done(self) -> bool:
        return (await self._until("done", "gone"))["what"] == "done"

    async def _drained(self) -> None:
        """Wait for the last words; a process that died before its first one has none."""
        if self._told:
            await self._until("gone")

    def _take(self) -> None:
        for told in self._told:
            match told["what"]:
                case "acknowledged":
                    self.acknowledged[told["key"]] = told["id"]
                case "id":
                    self.ids.append(told["id"])
                case "refused":
                    self.refused[told["check"]] += 1
                case "settled" | "done":
                    self._take_state(told)

    def _take_state(self, told: dict[str, Any]) -> None:
        self.last = told
        if told["what"] == "settled":
            assert told["secs"] < SETTLED_SECS, f"cycle {told['cycle']}: {told['secs']:.2f} s"
            self.slowest = max(self.slowest, told["secs"])
        known = {key: name for key, name in self.acknowledged.items() if key in told["keys"]}
        assert known == self.acknowledged, "an acknowledged order is lost"
        assert {key: told["keys"][key] for key in known} == known
        assert told["state"] == "ACTIVE", told["reason"]
        self.inferred += told["inferred"]

    async def _command(self, plan: dict[str, Any]) -> dict[str, Any]:
        assert self._mother.stdin is not None
        self._mother.stdin.write(json.dumps(plan).encode() + b"\n")
        return await self._line()

    async def _line(self) -> dict[str, Any]:
        assert self._mother.stdout is not None
        line = await self._mother.stdout.readline()
        assert line, (self.home / "child.log").read_text()[-3000:]
        return dict(json.loads(line))

    # --- what crosses the socket ---

    def _watch(self) -> None:
        _, door = self.venue._sessions["TICKPATH"]
        submit, on_message = self.venue.venue.submit, door.on_message

        def count(owner: str, order: Any) -> bool:
            self.submitted[order.client_order_id] += 1
            return submit(owner, order)

        def note(link: Any, message: Any, replayed: bool) -> None:
            number, what = int(message.get(34)), repr(message).encode()
            if self.numbers.setdefault(number, what) != what and not replayed:
                self.reused.append(f"{number}: {what!r}")
            on_message(link, message, replayed)

        self.venue.venue.submit = count  # type: ignore[method-assign]
        door.on_message = note  # type: ignore[method-assign]


@asynccontextmanager
async def house(home: Path):  # type: ignore[no-untyped-def]
    running = House(home)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def steps_of(running: House) -> tuple[Counter[str], Counter[str]]:
    """Record the steps of a first life, and the most that lives after it do."""
    first = await running.live(None, None, orders=ORDERS, count=True)
    later: Counter[str] = Counter()
    for _ in range(LIVES):
        told = await running.live(None, None, orders=ORDERS, count=True)
        assert told
        later |= Counter(told)
    assert first
    return Counter(first), later


def plan_deaths(counts: dict[str, int], part: int, kills: int) -> list[Death | None]:
    """Every step at every moment, from where the part before stopped; each tenth at random."""
    every = [(step, moment) for step in sorted(counts) for moment in moments_of(step)]
    random.Random(1).shuffle(every)
    rng = random.Random(part)
    deaths: list[Death | None] = []
    for number in range(kills):
        step, moment = every[(part * kills + number) % len(every)]
        at_random = number % 10 == 9
        deaths.append(None if at_random else Death(step, rng.randint(1, counts[step]), moment))
    return deaths


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("part", "kills"), PARTS)
def test_the_trading_process_is_killed_at_every_step(
    tmp_path: Path, part: int, kills: int, record_property: Any
) -> None:
    async def run() -> None:
        async with house(tmp_path) as running:
            rng = random.Random(part)
            counts = (await steps_of(running))[1]
            for death in plan_deaths(counts, part, kills):
                after = None if death else rng.uniform(0.0, 0.6)
                await running.live(death, after, orders=ORDERS)
            await running.live(None, None, orders=0)
            running.check_all()
            tell(running, counts, record_property)

    asyncio.run(run())


def tell(running: House, counts: dict[str, int], record_property: Any) -> None:
    for wanted in STEPS:
        assert any(wanted in step for step in counts), (wanted, sorted(counts))
    assert len(running.acknowledged) > running.cycles
    # An order that would meet one of ours that rests is refused; nothing else may be.
    assert set(running.refused) <= {"self_trade"}, running.refused
    figures = {
        "kills": running.cycles,
        "steps": len(counts),
        "died_at_step": running.deaths["at the step"],
        "acknowledged": len(running.acknowledged),
        "orders_at_venue": len(running.submitted),
        "slowest_settled_secs": round(running.slowest, 2),
    }
    for name, figure in figures.items():
        record_property(name, figure)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("most", [3, pytest.param(1_000, id="all", marks=pytest.mark.proof)])
def test_the_first_start_is_killed_at_every_step_that_makes_files(
    tmp_path: Path, most: int, record_property: Any
) -> None:
    async def killed_once(home: Path, death: Death) -> None:
        async with house(home) as running:
            await running.live(death, None, orders=ORDERS)
            assert running.deaths["at the step"] == 1
            await running.live(None, None, orders=ORDERS)
            await running.live(None, None, orders=0)
            running.check_all()

    async def run() -> None:
        (tmp_path / "steps").mkdir()
        async with house(tmp_path / "steps") as running:
            first, later = await steps_of(running)
        only = sorted(set(first) - set(later))
        assert only
        deaths = [
            Death(step, nth, moment)
            for step in only
            for nth in range(1, first[step] + 1)
            for moment in moments_of(step)
        ][:most]
        for number, death in enumerate(deaths):
            home = tmp_path / str(number)
            home.mkdir()
            await killed_once(home, death)
        record_property("kills", len(deaths))

    asyncio.run(run())
