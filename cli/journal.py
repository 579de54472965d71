"""``tickpath journal``: look at the order journal, also while serving writes it."""

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.console import make_console, table
from core.config import Config
from core.errors import BadInput, JournalCorrupt
from core.settings import load_config
from serving.homes import homes_of
from trading.journal_reader import JournalEntry, read_journal, verify


def verify_journal() -> int:
    """Look at every byte; return the exit code."""
    folder = _folder(load_config())
    found = verify(folder)
    rows = {
        "segments": found.segments,
        "records": found.records,
        "bytes": found.size,
        "bytes known to be on the disk": found.synced,
        "snapshots": found.snapshots,
        "torn end": found.torn or "none",
        "snapshots that do not verify": ", ".join(found.refused) or "none",
    }
    make_console().print(table(f"journal {folder}", ("what", "found"), rows.items()))
    return 1 if found.torn or found.refused else 0


def show(order: str | None, last: int) -> None:
    """Show the newest records, or those of one order."""
    rows = deque((row for row in _rows(load_config()) if _is_of(row, order)), last)
    console = make_console()
    for row in rows:
        rest = {name: value for name, value in row.items() if name not in ("record", "chain")}
        console.print(f"{row['record']:>9}  {json.dumps(rest)}", soft_wrap=True)


def export(out: Path) -> None:
    """Write all records as JSON lines, each with its number, its end and its chain."""
    count = 0
    with _fresh(out) as file:
        for row in _rows(load_config()):
            file.write(json.dumps(row) + "\n")
            count += 1
    make_console().print(f"{count} records written to {out}")


def _folder(config: Config) -> Path:
    folder = homes_of(config).journal
    if not any(folder.glob("segment-*.log")):
        raise BadInput(f"account {config.trading.account} has no journal under {folder}")
    return folder


def _rows(config: Config) -> Iterator[dict[str, Any]]:
    try:
        for entry in read_journal(_folder(config)):
            yield _row(entry)
    except JournalCorrupt as error:
        raise BadInput(f"{error}; see `tickpath journal verify`") from None


def _row(entry: JournalEntry) -> dict[str, Any]:
    records, end, chain = entry.position
    return {"record": records, "end": end, "chain": chain.hex(), **json.loads(entry.payload)}


def _is_of(row: dict[str, Any], order: str | None) -> bool:
    held = row.get("order") or row.get("event") or {}
    return order is None or held.get("client_order_id") == order


def _fresh(path: Path) -> Any:
    try:
        return path.open("x", encoding="utf-8")
    except FileExistsError:
        raise BadInput(f"{path} exists already") from None
