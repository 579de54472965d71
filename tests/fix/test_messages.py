"""Orders, reports and quotes cross the wire unchanged; what is wrong is refused by tag."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput, FixFieldError, UnknownInstrument
from core.instruments import DEFAULT_INSTRUMENTS as TABLE
from core.types import (
    Amendment,
    Fill,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    tick,
)
from fix import market_data, messages, reports
from fix.codec import FrameDecoder, Message, frame
from fix.templates import OrderTemplate, new_order, template_for

T0 = 1_700_000_000_123_456_789
K = OrderEventKind


def wired(msg_type: bytes, body: bytes) -> Message:
    """Through a real frame, as the other side reads it."""
    (message,) = FrameDecoder().feed(frame(b"35=%b\x0134=7\x01%b" % (msg_type, body)))
    assert message.fault is None
    return message


def an_order(**changes: object) -> Order:
    order = Order(
        client_order_id="ABC", key="k", account="PAPER", strategy="model", instrument=0,
        side=Side.BUY, quantity=10, type=OrderType.LIMIT, limit_ticks=110_345,
        time_in_force=TimeInForce.IOC, created_ns=T0, quote_seq=42,
    )  # fmt: skip
    return msgspec.structs.replace(order, **changes)


orders = st.builds(
    an_order,
    instrument=st.integers(0, 3),
    side=st.sampled_from(Side),
    quantity=st.integers(1, 10_000),
    limit_ticks=st.integers(1, 10**9),
    time_in_force=st.sampled_from(TimeInForce),
    quote_seq=st.integers(0, 10**12),
)


waiting = st.builds(
    lambda order, fields: msgspec.structs.replace(order, **fields),
    orders,
    st.sampled_from(
        [
            {"type": OrderType.STOP_LIMIT, "stop_ticks": 110_000},
            {"reduce_only": True, "group": "e/x-1", "time_in_force": TimeInForce.GTC},
            {"expire_ns": T0 + 5, "time_in_force": TimeInForce.GTD},
            {"expire_ns": T0 + 5, "time_in_force": TimeInForce.DAY},
        ]
    ),
)


@given(orders | waiting)
def test_an_order_reaches_the_venue_as_it_was(order: Order) -> None:
    if order.time_in_force is TimeInForce.GTD and not order.expire_ns:
        order = msgspec.structs.replace(order, expire_ns=T0)
    read = messages.parse_new_order(wired(b"D", new_order(order, TABLE[order.instrument])), TABLE)
    sent = msgspec.structs.replace(order, key="", strategy="", status=OrderStatus.SUBMITTED)
    assert read == sent


@given(orders)
def test_a_stored_template_encodes_the_same_bytes(order: Order) -> None:
    instrument = TABLE[order.instrument]
    made = template_for(order.account, instrument, order.side, order.quantity, order.time_in_force)
    kept = OrderTemplate.from_bytes(made.to_bytes())
    body = kept.body(order.client_order_id, order.limit_ticks, order.created_ns, order.quote_seq)
    assert kept == made
    assert body == new_order(order, instrument)


def test_a_stop_order_reaches_the_venue_with_the_limit_behind_its_stop() -> None:
    order = an_order(type=OrderType.STOP, stop_ticks=110_300, time_in_force=TimeInForce.GTC)
    read = messages.parse_new_order(wired(b"D", new_order(order, TABLE[0])), TABLE)
    assert (read.type, read.stop_ticks, read.limit_ticks) == (
        OrderType.STOP_LIMIT,
        110_300,
        110_345,
    )


@pytest.mark.parametrize(
    "terms",
    [Amendment(20, 110_000, 109_000, T0 + 9), Amendment(limit_ticks=110_001), Amendment(7)],
)
def test_new_terms_reach_the_venue_as_they_were(terms: Amendment) -> None:
    order = an_order(pending=terms)
    body = messages.build_replace_request(order, TABLE[0], "G7", T0)
    read = messages.parse_replace_request(wired(b"G", body), TABLE)
    assert read == messages.ReplaceRequest("G7", order.client_order_id, terms)
    with pytest.raises(BadInput):
        messages.build_replace_request(an_order(), TABLE[0], "G7", T0)


def test_the_wire_shows_lots_and_prices() -> None:
    message = wired(b"D", new_order(an_order(), TABLE[0]))
    wire = (message.get(38), message.get(44), message.get(60), message.get(5001))
    assert wire == (b"0.10", b"1.10345", b"20231114-22:13:20.123456789", b"42")


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x80", b"x" * 50])
def test_bytes_that_are_no_template_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        OrderTemplate.from_bytes(data)


def test_an_order_without_limit_cannot_leave() -> None:
    with pytest.raises(BadInput, match="no limit price"):
        new_order(an_order(limit_ticks=0), TABLE[0])


def test_an_account_cannot_smuggle_fields_in() -> None:
    with pytest.raises(BadInput):
        new_order(an_order(account="A\x0138=999"), TABLE[0])


@pytest.mark.parametrize(
    ("old", "new", "tag"),
    [
        (b"38=0.10", b"38=0.105", 38),
        (b"38=0.10", b"38=-1", 38),
        (b"38=0.10", b"38=nan", 38),
        (b"44=1.10345", b"44=1.103455", 44),
        (b"44=1.10345", b"44=inf", 44),
        (b"54=1", b"54=7", 54),
        (b"59=3", b"59=9", 59),
        (b"40=2", b"40=1", 40),
        (b"60=20231114", b"60=20231414", 60),
        (b"11=ABC\x01", b"", 11),
    ],
)
def test_a_wrong_field_of_an_order_is_named(old: bytes, new: bytes, tag: int) -> None:
    body = new_order(an_order(), TABLE[0])
    assert old in body
    with pytest.raises(FixFieldError) as refused:
        messages.parse_new_order(wired(b"D", body.replace(old, new)), TABLE)
    assert refused.value.tag == tag


def test_an_unknown_symbol_is_refused() -> None:
    body = new_order(an_order(), TABLE[0]).replace(b"EURUSD", b"EURXXX")
    with pytest.raises(UnknownInstrument):
        messages.parse_new_order(wired(b"D", body), TABLE)


def test_requests_round_trip() -> None:
    order = an_order(venue_order_id="V1")
    cancel = wired(b"F", messages.build_cancel_request(order, TABLE[0], "C9", T0))
    assert messages.parse_cancel_request(cancel) == messages.CancelRequest("C9", "ABC")
    status = wired(b"H", messages.build_status_request(order, TABLE[0], "S9"))
    assert messages.parse_status_request(status) == messages.StatusRequest("ABC", "S9")
    mass = wired(b"AF", messages.build_mass_status_request("M9"))
    assert messages.parse_mass_status_request(mass) == "M9"
    positions = wired(b"AN", messages.build_position_request("P9", "PAPER", T0))
    assert messages.parse_position_request(positions) == messages.PositionRequest("P9", "PAPER")


STATUS_AFTER = {
    K.ACCEPT: OrderStatus.ACCEPTED, K.REJECT: OrderStatus.REJECTED,
    K.CANCEL: OrderStatus.CANCELED, K.EXPIRE: OrderStatus.EXPIRED,
    K.FILL: OrderStatus.PARTIALLY_FILLED,
}  # fmt: skip


@pytest.mark.parametrize("kind", STATUS_AFTER)
def test_an_event_reaches_the_trading_side_as_it_was(kind: OrderEventKind) -> None:
    fill = None
    if kind is K.FILL:
        fill = Fill("VENUE", "ABC-1", "ABC", 0, Side.BUY, 4, 110_340, T0, 77)
    event = OrderEvent("ABC", kind, T0, "V1", "why" if kind is K.REJECT else "", 77, fill)
    order = an_order(venue_order_id="V1", status=STATUS_AFTER[kind])
    if fill is not None:
        order = msgspec.structs.replace(order, filled=4, filled_value=4 * 110_340)
    body = reports.build_execution_report(event, order, TABLE[0], "E5")
    message = wired(b"8", body)
    assert reports.parse_execution_report(message, TABLE) == event
    if fill is not None:
        assert (message.get(151), message.get(14)) == (b"0.06", b"0.04")
        assert message.decimal(6) == Decimal("1.1034")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (OrderStatus.ACCEPTED, K.ACCEPT),
        (OrderStatus.PARTIALLY_FILLED, K.ACCEPT),
        (OrderStatus.FILLED, K.ACCEPT),
        (OrderStatus.PENDING_CANCEL, K.ACCEPT),
        (OrderStatus.CANCELED, K.CANCEL),
        (OrderStatus.EXPIRED, K.EXPIRE),
        (OrderStatus.REJECTED, K.REJECT),
    ],
)
def test_a_status_is_told_as_an_event_that_moves_no_quantity(
    status: OrderStatus, kind: OrderEventKind
) -> None:
    order = an_order(venue_order_id="V1", status=status, filled=10, filled_value=10 * 110_345)
    body = reports.build_status_report(order, TABLE[0], T0, 5, request_id="S1")
    report = reports.parse_execution_report(wired(b"8", body), TABLE)
    assert isinstance(report, reports.StatusReport)
    assert (report.status, report.filled, report.request_id) == (status, 10, "S1")
    assert (report.event().kind, report.event().fill) == (kind, None)


def test_an_order_that_never_came_is_told_as_rejected_unknown() -> None:
    message = wired(b"8", reports.build_unknown_order("ABC", T0, "S1"))
    report = reports.parse_execution_report(message, TABLE)
    assert isinstance(report, reports.StatusReport)
    assert message.get(103) == b"5"
    assert (report.event().kind, report.event().reason) == (K.REJECT, reports.UNKNOWN_ORDER)


def test_mass_status_without_orders_is_one_report_of_none() -> None:
    message = wired(b"8", reports.build_no_open_orders("M1", T0))
    report = reports.parse_execution_report(message, TABLE)
    assert isinstance(report, reports.StatusReport)
    assert (report.mass_id, report.total, report.last) == ("M1", 0, True)
    assert report.client_order_id == ""


def test_cancel_reject_names_the_order_not_the_cancel() -> None:
    order = an_order(venue_order_id="V1", status=OrderStatus.FILLED)
    body = reports.build_cancel_reject("ABC", "C9", order, "too late", T0)
    event = reports.parse_cancel_reject(wired(b"9", body))
    assert (event.client_order_id, event.kind, event.reason) == (
        "ABC", K.REJECT_CANCEL, "too late",
    )  # fmt: skip
    unknown = wired(b"9", reports.build_cancel_reject("ABC", "C9", None, "", T0))
    assert (unknown.get(102), reports.parse_cancel_reject(unknown).venue_order_id) == (b"1", "")


@given(st.integers(-(10**6), 10**6))
def test_positions_keep_their_sign(steps: int) -> None:
    body = reports.build_position_report("P1", "PAPER", (TABLE[3], steps), 2, T0)
    report = reports.parse_position_report(wired(b"AP", body), TABLE)
    assert report == reports.PositionReport("P1", 3, steps, 2)


def test_no_positions_at_all() -> None:
    body = reports.build_position_report("P1", "PAPER", None, 0, T0)
    report = reports.parse_position_report(wired(b"AP", body), TABLE)
    assert (report.instrument, report.total) == (-1, 0)


def test_business_reject_round_trip() -> None:
    refused = Message(b"D", [(34, b"12"), (11, b"ABC")])
    body = reports.build_business_reject(refused, 3, "ABC", "not\x01here")
    assert reports.parse_business_reject(wired(b"j", body)) == reports.BusinessReject(
        12, "ABC", "not?here"
    )


prices = st.floats(1e-9, 1e6)
Build = Callable[..., bytes]


@pytest.mark.parametrize(
    ("kind", "build"), [(b"W", market_data.build_snapshot), (b"X", market_data.build_incremental)]
)
@given(
    bid=prices, ask=prices, volume=st.floats(0, 1e9), seq=st.integers(1, 10**12), bar=st.booleans()
)
def test_a_quote_crosses_to_the_bit(
    kind: bytes, build: Build, bid: float, ask: float, volume: float, seq: int, bar: bool
) -> None:
    quote = tick(2, seq, T0, bid, ask, volume=volume, ts_recv=T0 + 5)
    if bar:
        shape = {"span_ns": 60_000_000_000, "open": bid, "high": ask * 1.1, "low": bid / 3}
        quote = msgspec.structs.replace(quote, **shape)
    read = market_data.parse_quote(wired(kind, build(quote, TABLE[2])), TABLE, T0 + 5)
    assert read == quote


SNAPSHOT = market_data.build_snapshot(tick(0, 9, T0, 1.1, 1.2), TABLE[0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"270=1.1\x01", b"270=nan\x01"),
        (b"270=1.1\x01", b"270=inf\x01"),
        (b"270=1.1\x01", b"270=1e3\x01"),
        (b"270=1.1\x01", b"270=1_0\x01"),
        (b"270=1.1\x01", b"270=1.1.1\x01"),
        (b"270=1.1\x01", b""),
        (b"269=1\x01", b"269=2\x01"),
        (b"5001=9\x01", b"5001=x\x01"),
        (b"5001=9\x01", b""),
        (b"5002=0\x01", b"5002=60000000000\x01"),
        (b"55=EURUSD\x01", b"55=XXX\x01"),
        (b"55=EURUSD\x01", b""),
        (b"271=0.0\x01", b"271=NaN\x01"),
    ],
)
def test_a_malformed_quote_is_refused(old: bytes, new: bytes) -> None:
    assert old in SNAPSHOT
    with pytest.raises(BadInput):
        market_data.parse_quote(wired(b"W", SNAPSHOT.replace(old, new)), TABLE, T0)


def test_subscription_round_trip() -> None:
    body = market_data.build_subscription("R1", ("EURUSD", "USDJPY"))
    read = market_data.parse_subscription(wired(b"V", body))
    assert read == market_data.Subscription("R1", ("EURUSD", "USDJPY"), True)
    with pytest.raises(FixFieldError):
        market_data.parse_subscription(wired(b"V", body.replace(b"146=2", b"146=3")))
