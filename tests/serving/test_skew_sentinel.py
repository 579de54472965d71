"""The sentinel sees a planted skew and holds the instrument; clean data and gaps trip nothing."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import QuoteColumns
from core.config import FeaturesConfig, MemoryConfig
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Quote
from features.dispatch import RSI_OP
from features.source import ColumnsStore
from features.spec import spec_named
from market.simulator import simulate
from monitoring.memory import MemoryBudgets
from serving.admission import Admission
from serving.live_features import LiveFeatures
from serving.skew_sentinel import SkewSentinel
from trading.events import Event, FeaturesRebuilt, HoldInstrument, QuoteIn
from trading.inbox import Inbox

PEERS = ("EURUSD", "GBPUSD", "USDJPY")
EURUSD, GBPUSD, USDJPY = (DEFAULT_INSTRUMENTS.by_symbol(name).id for name in PEERS)
SPECS = ("full-tick", "full-bar", "cross-tick", "core-tick")


@pytest.fixture(scope="module")
def tapes() -> dict[str, QuoteColumns]:
    """One day; now and then a quote comes late, which is counted and not applied."""
    found = {}
    rng = np.random.default_rng(8)
    for name in PEERS:
        columns = simulate(DEFAULT_INSTRUMENTS.by_symbol(name), seed=6, days=0.8).columns
        found[name] = columns[np.sort(rng.permutation(len(columns))[: len(columns) - 50])]
    return found


def merged(tapes: dict[str, QuoteColumns], first: int) -> list[Quote]:
    start = tapes["EURUSD"].ts[first]
    quotes = [
        quote
        for name, columns in tapes.items()
        for quote in columns.quotes(DEFAULT_INSTRUMENTS.by_symbol(name).id)
        if quote.ts_event >= start
    ]
    return sorted(quotes, key=lambda quote: quote.ts_event)


class Bench:
    """Admission, features and sentinel; the engine is an inbox drained by hand."""

    def __init__(
        self,
        tapes: dict[str, QuoteColumns],
        spec: str,
        megabytes: float = 4.0,
        window: int = 1,
        **config: float,
    ) -> None:
        budgets = MemoryBudgets(MemoryConfig(market_data_mb=megabytes, features_mb=2.0))
        self.features = LiveFeatures(DEFAULT_INSTRUMENTS, budgets)
        store = ColumnsStore(tapes)
        for instrument in (EURUSD, GBPUSD):
            self.features.use(instrument, spec_named(spec), PEERS, window)
        self.inbox = Inbox(ManualClock(1))
        self.holds: list[HoldInstrument] = []
        self.admission = Admission(
            DEFAULT_INSTRUMENTS, self.features, store, self.inbox, 65_536,
            lambda: None, self.inbox.put_command,
        )  # fmt: skip
        settings = FeaturesConfig(**config)  # type: ignore[arg-type]
        self.sentinel = SkewSentinel(
            DEFAULT_INSTRUMENTS, self.features, store, self.inbox.put_command, settings
        )
        self.admission.after_rebuild(self.sentinel.rebuilt)

    async def play(self, quotes: list[Quote]) -> None:
        for quote in quotes:
            self.admission.on_quote(quote)
        async with asyncio.timeout(60):
            while True:
                self.admission.admit()
                self.inbox.drain(self._process)
                waits = any(self.admission.is_rebuilding(i) for i in range(4))
                if not waits and not len(self.admission.ring) and not len(self.inbox):
                    return
                await asyncio.sleep(0.001)

    def _process(self, event: Event) -> None:
        if isinstance(event, FeaturesRebuilt):
            self.admission.rebuild(event)
        elif isinstance(event, QuoteIn):
            self.features.update(event.quote)
        elif isinstance(event, HoldInstrument):
            self.holds.append(event)


def pieces(quotes: list[Quote], n: int, seed: int = 3) -> Iterator[list[Quote]]:
    cuts = np.sort(np.random.default_rng(seed).integers(1, len(quotes), n)).tolist()
    for first, end in zip([0, *cuts], [*cuts, len(quotes)], strict=True):
        yield quotes[first:end]


@pytest.mark.parametrize("spec", SPECS)
def test_clean_data_trips_nothing(spec: str, tapes: dict[str, QuoteColumns]) -> None:
    async def work() -> None:
        bench = Bench(tapes, spec)
        for part in pieces(merged(tapes, 5_000)[:12_000], 40):
            await bench.play(part)
            for instrument in (EURUSD, GBPUSD):
                assert await bench.sentinel.check(instrument) is not False
        assert bench.sentinel.checks > 70
        assert (bench.sentinel.skews, bench.sentinel.lost, bench.holds) == (0, 0, [])

    asyncio.run(work())


@pytest.mark.parametrize("gap", PEERS)
@pytest.mark.parametrize("spec", ["full-tick", "cross-tick"])
def test_a_gap_and_its_rebuild_trip_nothing(
    spec: str, gap: str, tapes: dict[str, QuoteColumns]
) -> None:
    lost = DEFAULT_INSTRUMENTS.by_symbol(gap).id
    quotes = merged(tapes, 3_000)[:9_000]
    gone = quotes[3_000].ts_event, quotes[3_000].ts_event + 17 * 60 * 10**9
    heard = [q for q in quotes if not (q.instrument == lost and gone[0] < q.ts_event < gone[1])]

    async def work() -> None:
        bench = Bench(tapes, spec)
        for part in pieces(heard, 60):
            await bench.play(part)
            for instrument in (EURUSD, GBPUSD):
                assert await bench.sentinel.check(instrument) is not False
        assert bench.sentinel.checks > 90
        assert bench.sentinel.skews == bench.sentinel.lost == 0

    asyncio.run(work())


def plant(bench: Bench, instrument: int) -> None:
    """One bit of one number in the live state, as a stray write would leave it."""
    engine = bench.features.engine(instrument)
    assert engine is not None
    rsi = next(line for line in engine._plan.table.tolist() if line[0] == RSI_OP)
    average_gain = rsi[4] + 2
    engine._slots[instrument].state.view(np.uint64)[average_gain] ^= np.uint64(1 << 40)


@pytest.mark.parametrize("spec", ["full-tick", "full-bar"])
def test_a_planted_skew_holds_the_instrument_until_it_is_re_armed(
    spec: str, tapes: dict[str, QuoteColumns]
) -> None:
    async def work() -> None:
        bench = Bench(tapes, spec)
        quotes = merged(tapes, 3_000)
        await bench.play(quotes[:2_000])
        assert await bench.sentinel.check(EURUSD)
        plant(bench, EURUSD)
        found = None
        at = 2_000
        while found is not False and at < 6_000:
            await bench.play(quotes[at : at + 100])
            at += 100
            found = await bench.sentinel.check(EURUSD)
            assert await bench.sentinel.check(GBPUSD)
        assert found is False
        await bench.play([])
        assert bench.holds == [HoldInstrument(1, EURUSD, "feature_skew")]
        # It stays so, and says it once.
        await bench.play(quotes[at : at + 300])
        assert await bench.sentinel.check(EURUSD) is None
        assert len(bench.holds) == 1
        bench.sentinel.forget(EURUSD)
        bench.admission.forget(EURUSD)
        await bench.play(quotes[at + 300 : at + 1_000])
        assert await bench.sentinel.check(EURUSD)

    asyncio.run(work())


def test_a_state_that_lost_a_quote_is_seen(tapes: dict[str, QuoteColumns]) -> None:
    async def work() -> None:
        bench = Bench(tapes, "full-tick")
        quotes = [q for q in merged(tapes, 3_000) if q.instrument == EURUSD]
        await bench.play(quotes[:1_000])
        bench.features.rings[EURUSD].push(quotes[1_000])  # kept, and never given to the engine
        await bench.play(quotes[:0])
        bench.admission._last_seq[EURUSD] = quotes[1_000].seq
        await bench.play(quotes[1_001:1_010])
        assert await bench.sentinel.check(EURUSD) is False

    asyncio.run(work())


@pytest.mark.parametrize("megabytes", [4.0, 0.1])
@pytest.mark.parametrize("spec", ["full-tick", "full-bar"])
def test_all_rows_of_a_window_are_compared(
    spec: str, megabytes: float, tapes: dict[str, QuoteColumns]
) -> None:
    """Also while the window fills up, and after the ring came round."""

    async def work() -> None:
        bench = Bench(tapes, spec, megabytes, window=64)
        quotes = merged(tapes, 3_000)
        for part in pieces(quotes[:4_000], 20):
            await bench.play(part)
            assert await bench.sentinel.check(EURUSD) is not False
        assert bench.sentinel.checks > 10
        engine = bench.features.engine(EURUSD)
        assert engine is not None
        # The first after a ring that came round has nothing to compare.
        assert await bench.sentinel.check(EURUSD) or await bench.sentinel.check(EURUSD)
        recent = engine._recent[EURUSD]
        assert recent is not None
        # One bit of an old row that the model still reads; state and newest row are right.
        recent.kept().view(np.uint32)[5, 7] ^= 1
        assert await bench.sentinel.check(EURUSD) is False
        await bench.play([])
        assert [hold.reason for hold in bench.holds] == ["feature_skew"]

    asyncio.run(work())


def test_a_ring_that_came_round_is_no_skew(tapes: dict[str, QuoteColumns]) -> None:
    async def work() -> None:
        bench = Bench(tapes, "full-tick", megabytes=0.1)
        quotes = merged(tapes, 3_000)
        assert bench.features.rings[0].capacity < 400
        await bench.play(quotes[:3_000])
        assert await bench.sentinel.check(EURUSD) is None
        assert bench.sentinel.lost == 1
        await bench.play(quotes[3_000:3_100])
        assert await bench.sentinel.check(EURUSD)  # from the copy on
        plant(bench, EURUSD)
        await bench.play(quotes[3_100:3_140])
        assert await bench.sentinel.check(EURUSD) is False

    asyncio.run(work())


def test_long_stretches_are_taken_a_batch_at_a_time(
    tapes: dict[str, QuoteColumns], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        bench = Bench(tapes, "full-tick", skew_batch=256)
        sizes: list[int] = []
        ring = bench.features.rings[EURUSD]
        take = type(ring).take

        def noting(self: object, first: int, end: int) -> QuoteColumns | None:
            sizes.append(end - first)
            return take(self, first, end)  # type: ignore[arg-type]

        monkeypatch.setattr(type(ring), "take", noting)
        await bench.play(merged(tapes, 3_000)[:6_000])
        assert await bench.sentinel.check(EURUSD)
        assert max(sizes) <= 256
        assert len(sizes) > 4

    asyncio.run(work())
