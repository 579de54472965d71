from decimal import Decimal

import pytest

from core.config import DecisionConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Fill, OrderEvent, OrderEventKind, OrderType, Side, TradingState, tick
from trading.events import (
    CancelOrder,
    FeaturesRebuilt,
    ModelSwapped,
    OrderEventIn,
    QuoteIn,
    SessionChanged,
    SetTradingState,
    SubmitOrder,
    Timer,
)
from trading.recording import SessionHeader, SessionReader, SessionWriter

HEADER = SessionHeader(
    decision_base=41,
    started_ns=7,
    trading=TradingConfig(order_lots=Decimal("0.30")),
    decision=DecisionConfig(margin_pips=0.3),
    risk=RiskConfig(symbols=("EURUSD",), max_order_lots=Decimal(2)),
    costs=CostModel(slippage_pips=0.1),
    instruments=tuple(DEFAULT_INSTRUMENTS),
    recovered=(b"one", b"two"),
)
FILL = Fill("VENUE", "x", "A", 0, Side.BUY, 3, 110_000, 1, 1)
EVENTS = [
    QuoteIn(1, tick(0, 1, 1, 1.1, 1.1001)),
    QuoteIn(2, tick(0, 2, 1, 1.1, 1.1001), act=False),
    OrderEventIn(3, OrderEvent("A", OrderEventKind.FILL, 1, fill=FILL)),
    SubmitOrder(4, "k", "PAPER", "manual", 0, Side.SELL, 5, OrderType.LIMIT, 109_000),
    CancelOrder(5, "A"),
    SetTradingState(6, TradingState.REDUCING, "why", "ann", "symbol:EURUSD"),
    SessionChanged(7, False, "gone"),
    Timer(8),
    FeaturesRebuilt(9, 0, 1, 2),
    ModelSwapped(10, 0, "m", "4", False),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions" / "one.events"


def write(path, events=EVENTS, **options):
    writer = SessionWriter(path, HEADER, **options)
    for event in events:
        writer.write(event)
    return writer


def test_all_kinds_of_events_come_back_equal(path):
    write(path).close()
    reader = SessionReader(path)
    assert reader.header == HEADER
    assert list(reader.events()) == EVENTS
    assert reader.torn_bytes == 0


def test_every_torn_tail_ends_at_the_last_whole_event(path):
    write(path).close()
    whole = path.read_bytes()
    empty = path.with_name("empty.events")
    write(empty, []).close()
    start, counts = len(empty.read_bytes()), []
    for size in range(start, len(whole) + 1):
        path.write_bytes(whole[:size])
        reader = SessionReader(path)
        events = list(reader.events())
        assert events == EVENTS[: len(events)]
        counts.append(len(events))
        assert (reader.torn_bytes == 0) == (size in (start, len(whole)) or counts[-2] != counts[-1])
    assert counts == sorted(counts)
    assert counts[-1] == len(EVENTS)


def test_events_reach_the_file_at_the_buffer_limit_and_at_flush(path):
    writer = write(path, EVENTS[:1])
    assert list(SessionReader(path).events()) == []
    writer.flush()
    assert list(SessionReader(path).events()) == EVENTS[:1]
    full = path.with_name("full.events")
    buffered = write(full, EVENTS[:1] * 50, buffer=memoryview(bytearray(200)))
    assert 40 < len(list(SessionReader(full).events())) < 50
    writer.close()
    buffered.close()
    writer.close()
    assert len(list(SessionReader(full).events())) == 50


def test_a_recording_is_never_overwritten(path):
    write(path).close()
    with pytest.raises(FileExistsError):
        SessionWriter(path, HEADER)


@pytest.mark.parametrize("content", [b"", b"TPREC1\n", b"something else", b"TPREC1\n" + b"\0" * 40])
def test_what_is_no_recording_is_refused_by_name(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(BadInput, match=str(path)):
        SessionReader(path)
