"""Live rows with the dollar's strength are those of the batch, whatever gap or start there was."""

import asyncio

import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import QuoteColumns
from core.errors import ArtifactRefused, BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Quote
from features.batch import compute
from features.peers import dollar_tapes, sides_of
from features.source import ColumnsStore, FeatureSources
from features.spec import spec_named
from features.strength import StrengthMeter, usd_strength
from market.simulator import simulate
from serving.admission import Admission
from serving.live_features import LiveFeatures
from serving.scoring import _refuse_absent
from trading.events import Event, FeaturesRebuilt, QuoteIn
from trading.inbox import Inbox

PEERS = ("EURUSD", "GBPUSD", "USDJPY")
SPEC = spec_named("cross-tick")
MINUTE = 60_000_000_000
EURUSD, GBPUSD, USDJPY = (DEFAULT_INSTRUMENTS.by_symbol(name).id for name in PEERS)


@pytest.fixture(scope="module")
def tapes() -> dict[str, QuoteColumns]:
    return {
        name: simulate(DEFAULT_INSTRUMENTS.by_symbol(name), seed=4, days=0.5).columns
        for name in PEERS
    }


@pytest.fixture(scope="module")
def expected(tapes: dict[str, QuoteColumns]) -> dict[int, dict[int, bytes]]:
    """By instrument and quote: the strength columns as the batch has them."""
    strength = usd_strength(tapes, sides_of(PEERS, DEFAULT_INSTRUMENTS))
    found = {}
    for name, columns in tapes.items():
        terms = DEFAULT_INSTRUMENTS.by_symbol(name)
        rows = compute(SPEC, columns, terms.pip, strength)
        index = rows.index[rows.warm] + 1
        found[terms.id] = {
            int(seq): row[-2:].tobytes()
            for seq, row in zip(index, rows.rows[rows.warm], strict=True)
        }
    return found


def merged(tapes: dict[str, QuoteColumns], from_ns: int) -> list[Quote]:
    quotes = [
        quote
        for name, columns in tapes.items()
        for quote in columns.quotes(DEFAULT_INSTRUMENTS.by_symbol(name).id)
        if quote.ts_event >= from_ns
    ]
    return sorted(quotes, key=lambda quote: quote.ts_event)


class Bench:
    """Admission and features over stored tapes; the engine is an inbox drained by hand."""

    def __init__(self, tapes: dict[str, QuoteColumns], models: tuple[int, ...]) -> None:
        self.features = LiveFeatures(DEFAULT_INSTRUMENTS)
        for instrument in models:
            self.features.use(instrument, SPEC, PEERS)
        self.inbox = Inbox(ManualClock(1))
        self.events: list[Event] = []
        self.rows: list[tuple[int, int, bytes]] = []
        self.admission = Admission(
            DEFAULT_INSTRUMENTS, self.features, ColumnsStore(tapes), self.inbox, 65_536,
            lambda: None, self.inbox.put_command,
        )  # fmt: skip

    async def play(self, quotes: list[Quote], at_a_time: int = 40) -> None:
        for first in range(0, len(quotes), at_a_time):
            for quote in quotes[first : first + at_a_time]:
                self.admission.on_quote(quote)
            self.admission.admit()
            self.inbox.drain(self._process)
            await asyncio.sleep(0)
        await self.settle()

    async def settle(self) -> None:
        async with asyncio.timeout(60):
            while True:
                self.admission.admit()
                self.inbox.drain(self._process)
                waits = any(self.admission.is_rebuilding(i) for i in range(4))
                if not waits and not len(self.admission.ring) and not len(self.inbox):
                    return
                await asyncio.sleep(0.001)

    def _process(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, FeaturesRebuilt):
            self.admission.rebuild(event)
        elif isinstance(event, QuoteIn):
            row = self.features.update(event.quote)
            if row is not None:
                quote = event.quote
                self.rows.append((quote.instrument, quote.seq, row[-2:].tobytes()))

    def count(self, instrument: int) -> int:
        return sum(one[0] == instrument for one in self.rows)


def wrong(bench: Bench, expected: dict[int, dict[int, bytes]]) -> list[tuple[int, int]]:
    return [
        (instrument, seq)
        for instrument, seq, values in bench.rows
        if expected[instrument].get(seq) != values
    ]


def test_rows_from_the_first_quote_on_are_those_of_the_batch(
    tapes: dict[str, QuoteColumns], expected: dict[int, dict[int, bytes]]
) -> None:
    async def work() -> Bench:
        bench = Bench(tapes, (EURUSD, GBPUSD))
        start = int(tapes["EURUSD"].ts[4_000])
        await bench.play(merged(tapes, start)[:9_000])
        return bench

    bench = asyncio.run(work())
    assert wrong(bench, expected) == []
    assert min(bench.count(EURUSD), bench.count(GBPUSD)) > 2_000
    # One that only others need begins with a rebuild as well, and gives no row.
    rebuilt = {e.instrument for e in bench.events if isinstance(e, FeaturesRebuilt)}
    assert rebuilt == {EURUSD, GBPUSD, USDJPY}
    assert bench.count(USDJPY) == 0


@pytest.mark.parametrize("gap", PEERS)
def test_a_gap_of_one_tape_makes_the_series_of_all_anew(
    gap: str, tapes: dict[str, QuoteColumns], expected: dict[int, dict[int, bytes]]
) -> None:
    lost = DEFAULT_INSTRUMENTS.by_symbol(gap).id
    start = int(tapes["EURUSD"].ts[3_000])
    quotes = merged(tapes, start)[:9_000]
    gone_ns = quotes[3_000].ts_event, quotes[3_000].ts_event + 20 * MINUTE
    heard = [
        q for q in quotes if not (q.instrument == lost and gone_ns[0] < q.ts_event < gone_ns[1])
    ]

    async def work() -> Bench:
        bench = Bench(tapes, (EURUSD,))
        await bench.play(heard)
        return bench

    bench = asyncio.run(work())
    by_seq = {quote.seq: quote.ts_event for quote in quotes if quote.instrument == EURUSD}
    # During the gap nobody can know; once it shows, the rows are right again.
    outside = [
        seq for _, seq in wrong(bench, expected) if not gone_ns[0] < by_seq[seq] <= gone_ns[1]
    ]
    shown = next(q.ts_event for q in heard if q.instrument == lost and q.ts_event >= gone_ns[1])
    assert [seq for seq in outside if by_seq[seq] >= shown] == []
    assert bench.count(EURUSD) > 1_500
    assert sum(isinstance(e, FeaturesRebuilt) for e in bench.events) == 4


def test_the_same_events_in_recorded_time_give_the_same_rows(
    tapes: dict[str, QuoteColumns],
) -> None:
    quotes = merged(tapes, int(tapes["EURUSD"].ts[4_000]))[:6_000]
    del quotes[2_000:2_050]  # a gap in all tapes

    async def work() -> Bench:
        bench = Bench(tapes, (EURUSD, USDJPY))
        await bench.play(quotes)
        return bench

    bench = asyncio.run(work())
    store, again = ColumnsStore(tapes), FeatureSources(DEFAULT_INSTRUMENTS)
    for instrument in (EURUSD, USDJPY):
        again.use(instrument, SPEC, PEERS)
    rows = []
    for event in bench.events:
        if isinstance(event, FeaturesRebuilt):
            symbol = DEFAULT_INSTRUMENTS[event.instrument].symbol
            columns = store.read(symbol, event.from_ns, event.before_ns)
            again.rebuild(event.instrument, columns, store, event.before_ns)
        elif isinstance(event, QuoteIn):
            row = again.update(event.quote)
            if row is not None:
                rows.append((event.quote.instrument, event.quote.seq, row[-2:].tobytes()))
    assert rows == bench.rows


def test_a_resumed_meter_goes_on_as_if_it_had_seen_all(tapes: dict[str, QuoteColumns]) -> None:
    sides = {DEFAULT_INSTRUMENTS.by_symbol(s).id: v
             for s, v in sides_of(PEERS, DEFAULT_INSTRUMENTS).items()}  # fmt: skip
    quotes = merged(tapes, 0)
    for cut in np.random.default_rng(2).integers(1_000, len(quotes) - 1, 20).tolist():
        whole, resumed = StrengthMeter(sides), StrengthMeter(sides)
        told = [one for quote in quotes[:cut] for one in whole.update(quote)]
        before = quotes[cut].ts_event
        part = [tapes[name].between(0, before) for name in PEERS]
        series = resumed.resume(part)
        seen = [q for q in quotes[:cut] if q.ts_event < before]
        assert len(seen) >= cut - 2
        assert series.minute.tolist() == [minute for minute, _ in told]
        rest = quotes[len(seen) : cut + 3_000]
        again = [one for quote in rest for one in resumed.update(quote)]
        assert again == [one for quote in quotes[cut : cut + 3_000] for one in whole.update(quote)]


def test_peers_that_cannot_be_are_refused(tapes: dict[str, QuoteColumns]) -> None:
    features = FeatureSources(DEFAULT_INSTRUMENTS)
    for peers in ((), ("EURUSD", "EURUSD"), ("NOPE",)):
        with pytest.raises((BadInput, LookupError)):
            features.use(EURUSD, SPEC, peers)
    with pytest.raises(BadInput, match="XAUUSD, and none are stored"):
        dollar_tapes(ColumnsStore(tapes), ("EURUSD", "XAUUSD"), DEFAULT_INSTRUMENTS)


def test_a_model_whose_peers_are_not_followed_is_refused() -> None:
    class Manifest:
        peers = PEERS

    class Model:
        manifest = Manifest()

    _refuse_absent(Model(), PEERS)  # type: ignore[arg-type]
    with pytest.raises(ArtifactRefused, match="live quotes of GBPUSD, USDJPY"):
        _refuse_absent(Model(), ("EURUSD",))  # type: ignore[arg-type]
