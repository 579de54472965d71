"""What fields a FIX 4.4 message may and must have, as far as the house speaks it.

A message that does not fit is rejected (35=3) with the tag (371) and the reason (373) that
"FIX 4.4 with Errata 20030618", volumes 1 and 6, name. Fields that the standard knows and we do not
use are let through: a counterparty may well send them, and nobody here reads them.
"""

import re
from typing import NamedTuple

from core.errors import FixFieldError
from fix import tags
from fix.codec import Field, Message

# Standard header, behind BeginString, BodyLength and MsgType, and its security and routing fields.
HEADER = frozenset(
    (34, 43, 49, 50, 52, 56, 57, 90, 91, 97, 115, 116, 122, 128, 129, 142, 143, 144, 145, 212, 213,
     347, 369, 627)
)  # fmt: skip
LAST_TAG, FIRST_USER_TAG = 956, 5_000

MSG_TYPES = frozenset(
    text.encode()
    for text in (
        *"0123456789ABCDEFGHJKLMNPQRSTVWXYZabcdefghijklmnopqrstuvwxyz",
        *(f"A{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        *(f"B{letter}" for letter in "ABCDEFGH"),
    )
)

_INTEGER = re.compile(rb"[0-9]{1,18}")
_DECIMAL = re.compile(rb"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_FLAG = re.compile(rb"[YN]")
_TIME = re.compile(
    rb"[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])-"
    rb"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]{1,9})?"
)
_DATE = re.compile(rb"[0-9]{8}")

_FORMATS = {
    **dict.fromkeys(
        (tags.BEGIN_SEQ_NO, tags.END_SEQ_NO, tags.MSG_SEQ_NUM, tags.NEW_SEQ_NO, tags.REF_SEQ_NUM,
         tags.RPT_SEQ, tags.HEART_BT_INT, tags.MARKET_DEPTH, tags.REF_TAG_ID,
         tags.SESSION_REJECT_REASON, tags.BUSINESS_REJECT_REASON, tags.TOT_NUM_REPORTS,
         tags.TOTAL_POS_REPORTS, tags.QUOTE_SEQ, tags.SPAN_NS, tags.NO_RELATED_SYM,
         tags.NO_MD_ENTRIES, tags.NO_MD_ENTRY_TYPES, tags.NO_POSITIONS),
        _INTEGER,
    ),
    **dict.fromkeys(
        (tags.AVG_PX, tags.CUM_QTY, tags.LAST_PX, tags.LAST_QTY, tags.ORDER_QTY, tags.PRICE,
         tags.STOP_PX, tags.LEAVES_QTY, tags.MD_ENTRY_PX, tags.MD_ENTRY_SIZE, tags.LONG_QTY,
         tags.SHORT_QTY),
        _DECIMAL,
    ),
    **dict.fromkeys(
        (tags.POSS_DUP, tags.POSS_RESEND, tags.GAP_FILL, tags.RESET_SEQ_NUM,
         tags.LAST_RPT_REQUESTED),
        _FLAG,
    ),
    **dict.fromkeys((tags.SENDING_TIME, tags.ORIG_SENDING_TIME, tags.TRANSACT_TIME), _TIME),
    tags.CLEARING_BUSINESS_DATE: _DATE,
}  # fmt: skip

# Codes of the standard; which of them are supported is the application's matter.
_CODES = {
    tags.SIDE: frozenset(b"123456789ABCDEFG"),
    tags.ORD_TYPE: frozenset(b"123456789DEGIJKLMP"),
    tags.TIME_IN_FORCE: frozenset(b"01234567"),
    tags.ORD_STATUS: frozenset(b"0123456789ABCDE"),
    tags.EXEC_TYPE: frozenset(b"03456789ABCDEFGHI"),
    tags.SUBSCRIPTION_TYPE: frozenset(b"012"),
}

_FITS = {
    **{tag: pattern.fullmatch for tag, pattern in _FORMATS.items()},
    **{
        tag: re.compile(b"[" + re.escape(bytes(sorted(codes))) + b"]").fullmatch
        for tag, codes in _CODES.items()
    },
}


class Group(NamedTuple):
    """A repeating group: its first tag, and what an entry may hold."""

    first: int
    members: frozenset[int]


class Layout(NamedTuple):
    """What a message must have, and its groups by count tag."""

    required: frozenset[int]
    groups: dict[int, Group] = {}  # noqa: RUF012 - a default of a NamedTuple, never changed


def _layout(*required: int, **groups: Group) -> Layout:
    by_tag = {int(name.removeprefix("no_")): group for name, group in groups.items()}
    return Layout(frozenset(required), by_tag)


_ENTRY = Group(
    tags.MD_ENTRY_TYPE, frozenset((269, 270, 15, 271, 272, 273, 274, 275, 336, 625, 276, 277, 282,
                                   283, 284, 286, 59, 432, 126, 110, 18, 287, 37, 299, 288, 289,
                                   346, 290, 546, 811, 58, 354, 355)),
)  # fmt: skip
_CHANGE = Group(
    tags.MD_UPDATE_ACTION, _ENTRY.members | {279, 285, 269, 278, 280, 55, 65, 48, 22, 460, 83, 291,
                                             292, 451, 387},
)  # fmt: skip
_SYMBOLS = Group(tags.SYMBOL, frozenset((55, 65, 48, 22, 460, 461, 167, 200, 541, 207, 336, 625)))
_TYPES = Group(tags.MD_ENTRY_TYPE, frozenset((269,)))
_POSITIONS = Group(tags.POS_TYPE, frozenset((703, 704, 705, 706)))

LAYOUTS: dict[bytes, Layout] = {
    tags.HEARTBEAT: _layout(),
    tags.TEST_REQUEST: _layout(tags.TEST_REQ_ID),
    tags.RESEND_REQUEST: _layout(tags.BEGIN_SEQ_NO, tags.END_SEQ_NO),
    tags.REJECT: _layout(tags.REF_SEQ_NUM),
    tags.SEQUENCE_RESET: _layout(tags.NEW_SEQ_NO),
    tags.LOGOUT: _layout(),
    tags.LOGON: _layout(tags.ENCRYPT_METHOD, tags.HEART_BT_INT),
    tags.NEW_ORDER: _layout(
        tags.CL_ORD_ID, tags.SYMBOL, tags.SIDE, tags.TRANSACT_TIME, tags.ORD_TYPE
    ),
    tags.CANCEL_REQUEST: _layout(
        tags.CL_ORD_ID, tags.ORIG_CL_ORD_ID, tags.SYMBOL, tags.SIDE, tags.TRANSACT_TIME
    ),
    tags.REPLACE_REQUEST: _layout(
        tags.CL_ORD_ID, tags.ORIG_CL_ORD_ID, tags.SYMBOL, tags.SIDE, tags.TRANSACT_TIME,
        tags.ORD_TYPE,
    ),
    tags.STATUS_REQUEST: _layout(tags.CL_ORD_ID, tags.SYMBOL, tags.SIDE),
    tags.MASS_STATUS_REQUEST: _layout(tags.MASS_STATUS_REQ_ID, tags.MASS_STATUS_REQ_TYPE),
    tags.POSITION_REQUEST: _layout(tags.POS_REQ_ID, tags.POS_REQ_TYPE, tags.ACCOUNT),
    tags.EXECUTION_REPORT: _layout(
        tags.ORDER_ID, tags.EXEC_ID, tags.EXEC_TYPE, tags.ORD_STATUS, tags.LEAVES_QTY,
        tags.CUM_QTY, tags.AVG_PX,
    ),
    tags.CANCEL_REJECT: _layout(
        tags.ORDER_ID, tags.CL_ORD_ID, tags.ORIG_CL_ORD_ID, tags.ORD_STATUS,
        tags.CXL_REJ_RESPONSE_TO,
    ),
    tags.BUSINESS_REJECT: _layout(tags.REF_MSG_TYPE, tags.BUSINESS_REJECT_REASON),
    tags.POSITION_REPORT: _layout(tags.POS_MAINT_RPT_ID, tags.POS_REQ_RESULT, no_702=_POSITIONS),
    tags.MARKET_DATA_REQUEST: _layout(
        tags.MD_REQ_ID, tags.SUBSCRIPTION_TYPE, tags.MARKET_DEPTH, tags.NO_MD_ENTRY_TYPES,
        tags.NO_RELATED_SYM, no_146=_SYMBOLS, no_267=_TYPES,
    ),
    tags.SNAPSHOT: _layout(tags.SYMBOL, tags.NO_MD_ENTRIES, no_268=_ENTRY),
    tags.INCREMENTAL: _layout(tags.NO_MD_ENTRIES, no_268=_CHANGE),
    tags.MARKET_DATA_REJECT: _layout(tags.MD_REQ_ID),
}  # fmt: skip


def check(message: Message) -> None:
    """Check the fields of a message.

    Raises
    ------
    FixFieldError
        For the first that is wrong: a format or a code before a field that is missing.
    """
    layout = LAYOUTS.get(message.msg_type)
    if layout is None:
        if message.msg_type not in MSG_TYPES and message.msg_type[:1] != b"U":
            raise FixFieldError(tags.MSG_TYPE, tags.INVALID_MSG_TYPE, "invalid MsgType")
        return
    fields = message.fields
    numbers = [tag for tag, _ in fields]
    if not _plain(numbers, layout):
        _check_order(fields, layout)
    for tag, value in fields:
        fits = _FITS.get(tag)
        if fits is not None and fits(value) is None:
            raise _unfit(tag, value)
    missing = layout.required.difference(numbers)
    if missing:
        raise FixFieldError(min(missing), tags.REQUIRED_TAG_MISSING, "required tag is missing")


def _unfit(tag: int, value: bytes) -> FixFieldError:
    if tag in _CODES and len(value) == 1:
        return FixFieldError(tag, tags.VALUE_INCORRECT, f"unknown code {value[:16]!r}")
    return FixFieldError(tag, tags.INCORRECT_FORMAT, f"incorrect format: {value[:24]!r}")


def _plain(numbers: list[int], layout: Layout) -> bool:
    """Tell at once that nothing is out of order, as in nearly every message; False: look closer."""
    if layout.groups or max(numbers, default=0) > LAST_TAG:
        return False
    body = next((at for at, tag in enumerate(numbers) if tag not in HEADER), len(numbers))
    return len(set(numbers)) == len(numbers) and HEADER.isdisjoint(numbers[body:])


def _check_order(fields: list[Field], layout: Layout) -> None:
    """Header before body, no tag twice, groups whole and in order."""
    seen: set[int] = set()
    in_header = True
    at, end = 0, len(fields)
    while at < end:
        tag = fields[at][0]
        if tag in seen:
            raise FixFieldError(tag, tags.TAG_REPEATED, "tag appears more than once")
        if LAST_TAG < tag < FIRST_USER_TAG:
            raise FixFieldError(tag, tags.INVALID_TAG, "invalid tag number")
        if tag not in HEADER:
            in_header = False
        elif not in_header:
            raise FixFieldError(tag, tags.OUT_OF_ORDER, "header field behind the body")
        seen.add(tag)
        at += 1
        group = layout.groups.get(tag)
        if group is not None:
            at = _skip_group(fields, at, group)


def _skip_group(fields: list[Field], at: int, group: Group) -> int:
    """Return where the group ends whose count stands before `at`."""
    count_tag, count = fields[at - 1]
    if _INTEGER.fullmatch(count) is None:
        raise FixFieldError(count_tag, tags.INCORRECT_FORMAT, f"not a count: {count[:24]!r}")
    entries = 0
    entry: set[int] = set()
    while at < len(fields) and (tag := fields[at][0]) in group.members:
        if tag == group.first:
            entries += 1
            entry.clear()
        elif not entries:
            raise FixFieldError(tag, tags.GROUP_OUT_OF_ORDER, f"group begins with {group.first}")
        if tag in entry:
            raise FixFieldError(tag, tags.TAG_REPEATED, "tag appears more than once in an entry")
        entry.add(tag)
        at += 1
    if entries != int(count):
        text = f"{entries} entries instead of {count.decode()[:9]}"
        raise FixFieldError(count_tag, tags.INCORRECT_GROUP_COUNT, text)
    return at
