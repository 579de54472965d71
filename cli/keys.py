"""``tickpath keys`` and ``tickpath audit``: who may call serving, and who did."""

import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from cli.console import make_console, table
from core.config import Config
from core.errors import BadInput
from core.settings import load_config
from serving.access.audit import read_calls
from serving.access.keys import KeyFile, KeyRow, mint
from serving.access.roles import SCOPES_OF, Role
from serving.homes import homes_of

_NS = 1_000_000_000
_DAY = 86_400 * _NS


def create(name: str, role: str, accounts: list[str], days: int) -> None:
    """Make a key and show it, once."""
    config, now = load_config(), time.time_ns()
    if role not in list(Role):
        raise BadInput(f"no role {role!r}; roles: {', '.join(Role)}")
    owned = accounts or [config.trading.account]
    row, text = mint(name, Role(role), owned, now, now + days * _DAY if days else 0)
    _file(config).add(row)
    _show_once(row, text)


def show() -> None:
    """List the keys, without anything secret."""
    now = time.time_ns()
    rows = [
        (row.id, row.name, row.role, " ".join(sorted(SCOPES_OF[row.role])),
         " ".join(row.accounts), _day(row.expires_ns), "yes" if row.in_force(now) else "no")
        for row in _file(load_config()).rows()
    ]  # fmt: skip
    columns = ("id", "name", "role", "scopes", "accounts", "until", "in force")
    make_console().print(table("API keys", columns, rows))


def revoke(key_id: str) -> None:
    """End a key now."""
    row = _file(load_config()).revoke(key_id, time.time_ns())
    make_console().print(f"key {row.id} of {row.name} is revoked")


def rotate(key_id: str, overlap_secs: int) -> None:
    """Make a new key for the holder of one that ends after the overlap."""
    row, text = _file(load_config()).rotate(key_id, time.time_ns(), overlap_secs)
    _show_once(row, text)


def show_audit(last: int) -> None:
    """Verify the whole chain; show its newest calls."""
    path = homes_of(load_config()).audit
    if not path.exists():
        raise BadInput(f"nothing was ever changed over HTTP: no {path}")
    calls, count = deque(maxlen=last), 0  # type: ignore[var-annotated]
    for call in read_calls(path):
        calls.append(call)
        count += 1
    rows = [(_second(c.at_ns), c.who, c.method, c.path, c.status) for c in calls]
    columns = ("when, UTC", "who", "method", "path", "status")
    make_console().print(table(f"{count} calls, chain verified", columns, rows))


def _file(config: Config) -> KeyFile:
    if not config.serving.keys:
        raise BadInput("the setting serving.keys names no file to keep keys in")
    return KeyFile(Path(config.serving.keys))


def _show_once(row: KeyRow, text: str) -> None:
    console = make_console()
    console.print(f"key {row.id} of {row.name} ({row.role}), until {_day(row.expires_ns)}")
    console.print("Keep it: it is shown this once, and only its hash is stored.")
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / _NS, UTC).strftime("%F") if at_ns else "it is revoked"


def _second(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / _NS, UTC).strftime("%F %T")
