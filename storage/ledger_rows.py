"""What the ledger holds: its kinds of rows, and the tables that both adapters have for them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

import msgspec

from core.errors import BadInput
from core.types import Decision, Fill, Order

Row = dict[str, object]
Record = msgspec.Struct | Mapping[str, object]


class PositionRow(msgspec.Struct, frozen=True):
    """Net position of an instrument; units as in `trading.positions.Position`."""

    account: str
    instrument: int
    steps: int
    cost: int
    realised: int
    updated_ns: int


class AccountRow(msgspec.Struct, frozen=True):
    """An account as it stands, in its currency."""

    account: str
    currency: str
    balance: Decimal
    equity: Decimal
    margin: Decimal
    updated_ns: int


class LimitRow(msgspec.Struct, frozen=True):
    """A limit in force, and who set it."""

    account: str
    name: str
    value: str
    version: str
    who: str
    changed_ns: int


class AuditRow(msgspec.Struct, frozen=True):
    """Something that somebody did; `audit_id` is the writer's, so that a repeat is known."""

    audit_id: str
    ts: int
    who: str
    action: str
    subject: str
    detail: str = ""


class LatencySample(msgspec.Struct, frozen=True):
    """How long one stage took once; kept for analysis, not in the ledger.

    Attributes
    ----------
    ts : int
        When it ended, ns UTC.
    """

    stage: str
    ts: int
    elapsed_ns: int


class LedgerQuote(msgspec.Struct, frozen=True):
    """A quote as the ledger holds it, beside the orders."""

    symbol: str
    ts: int
    sequence: int
    bid: float
    ask: float
    volume: float = 0.0


class ProjectionRow(msgspec.Struct, frozen=True):
    """How far a log was copied into the ledger; stored together with what was copied.

    `chain` is the hash chain of the log up to there, so that another log is known as one.
    """

    projection: str
    records: int
    position: int
    chain: str


class ParkedRow(msgspec.Struct, frozen=True):
    """A record of a log that the ledger refuses, put aside so that it holds up nothing."""

    projection: str
    position: int
    payload: str
    error: str


Recorded = (
    Decision
    | Order
    | Fill
    | PositionRow
    | AccountRow
    | LimitRow
    | AuditRow
    | LedgerQuote
    | ProjectionRow
    | ParkedRow
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table that rows of one kind go into.

    Attributes
    ----------
    key : tuple of str
        Columns by which a row is known.
    replaces : bool
        Whether a row with a known key takes the place of the old one, or is left out.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    replaces: bool = False


def _table(name: str, kind: type[msgspec.Struct], *key: str, replaces: bool = False) -> Table:
    return Table(name, kind.__struct_fields__, key, replaces)


SCENARIOS = Table(
    "scenarios",
    (
        "account", "symbol", "side", "lots", "steps", "verdict", "check", "reason", "limit_value",
        "observed", "margin_per_lot", "price_low", "price_high", "limits_version",
        "instruments_version", "session_expiry_ns", "template", "created_ns",
    ),
    ("account", "symbol", "side", "steps"),
)  # fmt: skip
TABLES: Mapping[type[msgspec.Struct], Table] = {
    Decision: _table("decisions", Decision, "decision_id"),
    Order: _table("orders", Order, "client_order_id", replaces=True),
    Fill: _table("fills", Fill, "venue", "exec_id"),
    PositionRow: _table("positions", PositionRow, "account", "instrument", replaces=True),
    AccountRow: _table("accounts", AccountRow, "account", replaces=True),
    LimitRow: _table("limits", LimitRow, "account", "name", replaces=True),
    AuditRow: _table("audit", AuditRow, "audit_id"),
    LedgerQuote: _table("market_data", LedgerQuote, "symbol", "ts", "sequence"),
    ProjectionRow: _table("journal_copies", ProjectionRow, "projection", replaces=True),
    ParkedRow: _table("parked_records", ParkedRow, "projection", "position"),
}


def on_conflict(table: Table) -> str:
    """Return the end of an INSERT that says what becomes of a row that is known already."""
    key = ", ".join(table.key)
    if not table.replaces:
        return f"ON CONFLICT ({key}) DO NOTHING"
    changes = ", ".join(
        f'"{name}" = excluded."{name}"' for name in table.columns if name not in table.key
    )
    return f"ON CONFLICT ({key}) DO UPDATE SET {changes}"


def by_table(records: Iterable[Recorded]) -> dict[str, tuple[Table, list[Row]]]:
    """Sort rows by table; of several with one key the last (or the first, if kept) stays.

    Raises
    ------
    BadInput
        For text that no store can hold.
    """
    keyed: dict[str, tuple[Table, dict[tuple[object, ...], Row]]] = {}
    for record in records:
        table = TABLES[type(record)]
        _, rows = keyed.setdefault(table.name, (table, {}))
        row = plain(record)
        key = tuple(row[name] for name in table.key)
        if table.replaces or key not in rows:
            rows[key] = row
    return {name: (table, list(rows.values())) for name, (table, rows) in keyed.items()}


def plain(record: Record) -> Row:
    """Values of a row as the stores take them: enums by value, what has parts as JSON.

    Raises
    ------
    BadInput
        For text that no store can hold.
    """
    is_struct = isinstance(record, msgspec.Struct)
    items = msgspec.structs.asdict(record) if is_struct else dict(record)  # type: ignore[arg-type]
    return {name: _storable(value) for name, value in items.items()}


_AS_THEY_ARE = frozenset((int, float, bool, bytes, Decimal, type(None)))


def _storable(value: object) -> object:
    # Most values end in the first two lines; a batch has tens of thousands of them.
    if type(value) in _AS_THEY_ARE or (
        type(value) is str and value.isascii() and "\0" not in value
    ):
        return value
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping | msgspec.Struct):
        value = msgspec.json.encode(value).decode()
    if isinstance(value, str):
        if "\0" in value:
            raise BadInput("text with a zero character cannot be stored")
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise BadInput("text with half a character cannot be stored")
    return value
