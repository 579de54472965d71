"""Market data on the wire: V (subscribe) and Y (refused), W (whole) and X (changed) as quotes.

A W or X carries one `Quote`: bid and offer, and for a record that stands for a time span (tag 5002)
also open, high and low of the mid. Prices are written with all digits that the float has, so that
a quote crosses the wire without losing a bit.
"""

from decimal import Decimal

import msgspec

from core.errors import FixFieldError
from core.instruments import Instrument, InstrumentTable
from core.types import Quote
from fix import tags, timestamps
from fix.codec import Message, clean_text, encode_fields
from fix.values import note

_BID, _OFFER, _OPEN, _HIGH, _LOW = b"0", b"1", b"4", b"7", b"8"


class Subscription(msgspec.Struct, frozen=True):
    """35=V: `active` is False when the request ends an earlier one."""

    request_id: str
    symbols: tuple[str, ...]
    active: bool


def build_subscription(request_id: str, symbols: tuple[str, ...], *, active: bool = True) -> bytes:
    """35=V for snapshot and updates of top of book."""
    pairs = [
        (tags.MD_REQ_ID, clean_text(request_id)),
        (tags.SUBSCRIPTION_TYPE, b"1" if active else b"2"),
        (tags.MARKET_DEPTH, b"1"),
        (tags.MD_UPDATE_TYPE, b"1"),
        (tags.NO_MD_ENTRY_TYPES, b"2"),
        (tags.MD_ENTRY_TYPE, _BID),
        (tags.MD_ENTRY_TYPE, _OFFER),
        (tags.NO_RELATED_SYM, b"%d" % len(symbols)),
    ]
    return encode_fields(pairs + [(tags.SYMBOL, clean_text(symbol)) for symbol in symbols])


def parse_subscription(message: Message) -> Subscription:
    """35=V."""
    entries = message.groups(tags.NO_RELATED_SYM, tags.SYMBOL)
    symbols = tuple(entry[tags.SYMBOL].decode("latin-1") for entry in entries)
    kind = message.require(tags.SUBSCRIPTION_TYPE)
    if kind not in (b"1", b"2"):
        raise FixFieldError(tags.SUBSCRIPTION_TYPE, tags.VALUE_INCORRECT, "1 or 2 is taken")
    if message.integer(tags.NO_RELATED_SYM) != len(symbols):
        raise FixFieldError(tags.NO_RELATED_SYM, tags.VALUE_INCORRECT, "wrong group count")
    return Subscription(message.text(tags.MD_REQ_ID), symbols, kind == b"1")


def build_market_data_reject(request_id: str, text: str) -> bytes:
    """35=Y: a subscription that is refused (281=0, unknown symbol)."""
    return encode_fields(
        (
            (tags.MD_REQ_ID, clean_text(request_id)),
            (tags.MD_REJ_REASON, b"0"),
            (tags.TEXT, note(text)),
        )
    )


def _number(value: float) -> bytes:
    text = repr(value)
    return (format(Decimal(text), "f") if "e" in text else text).encode()


def _entries(quote: Quote) -> list[tuple[bytes, float]]:
    entries = [(_BID, quote.bid), (_OFFER, quote.ask)]
    if quote.span_ns > 0:
        entries += [(_OPEN, quote.open), (_HIGH, quote.high), (_LOW, quote.low)]
    return entries


def _head(quote: Quote) -> bytes:
    parts = (timestamps.encode_ns(quote.ts_event), quote.seq, quote.span_ns)
    return b"60=%b\x015001=%d\x015002=%d\x01" % parts


def build_snapshot(quote: Quote, instrument: Instrument) -> bytes:
    """35=W."""
    entries = _entries(quote)
    groups = [b"269=%b\x01270=%b\x01" % (kind, _number(price)) for kind, price in entries]
    groups[0] += b"271=%b\x01" % _number(quote.volume)
    parts = (clean_text(instrument.symbol), _head(quote), len(groups), b"".join(groups))
    return b"55=%b\x01%b268=%d\x01%b" % parts


def build_incremental(quote: Quote, instrument: Instrument) -> bytes:
    """35=X."""
    symbol = clean_text(instrument.symbol)
    groups = [
        b"279=1\x01269=%b\x0155=%b\x01270=%b\x0183=%d\x01"
        % (kind, symbol, _number(price), quote.seq)
        for kind, price in _entries(quote)
    ]
    groups[0] += b"271=%b\x01" % _number(quote.volume)
    return b"%b268=%d\x01%b" % (_head(quote), len(groups), b"".join(groups))


def parse_quote(message: Message, table: InstrumentTable, ts_recv: int) -> Quote:
    """35=W or 35=X as a quote.

    Raises
    ------
    FixFieldError
        When a field is missing or no plain number.
    UnknownInstrument
        When the table lacks the symbol.
    """
    instrument = table.by_symbol(message.text(tags.SYMBOL))
    prices, volume = _read_entries(message)
    try:
        bid, ask = prices[_BID], prices[_OFFER]
        span = message.integer(tags.SPAN_NS) if tags.SPAN_NS in message else 0
        mid = 0.5 * (bid + ask)
        bar = (prices[_OPEN], prices[_HIGH], prices[_LOW]) if span else (mid, mid, mid)
    except KeyError:
        missing = FixFieldError(tags.MD_ENTRY_TYPE, tags.REQUIRED_TAG_MISSING, "entry is missing")
        raise missing from None
    seq, ts_event = message.integer(tags.QUOTE_SEQ), message.time_ns(tags.TRANSACT_TIME)
    return Quote(instrument.id, seq, ts_event, ts_recv, bid, ask, volume, span, *bar)


def _read_entries(message: Message) -> tuple[dict[bytes, float], float]:
    prices: dict[bytes, float] = {}
    volume = 0.0
    kind = b""
    for tag, value in message.fields:
        if tag == tags.MD_ENTRY_TYPE:
            kind = value
        elif tag == tags.MD_ENTRY_PX:
            prices[kind] = _read_number(tag, value)
        elif tag == tags.MD_ENTRY_SIZE:
            volume = _read_number(tag, value)
    return prices, volume


def _read_number(tag: int, value: bytes) -> float:
    # float() also takes nan, inf, exponents and underscores, which FIX does not know.
    if not value.translate(None, b"0123456789.-"):
        try:
            return float(value)
        except ValueError:
            pass
    raise FixFieldError(tag, tags.INCORRECT_FORMAT, f"not a number: {value[:24]!r}")
