"""``tickpath store migrate | status | copy | maintain``: the stores that the settings name."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.console import make_console, table
from core.clock import SystemClock
from core.config import StorageConfig
from core.errors import AppError, BadInput
from core.settings import load_config
from storage.adapters import open_ledger, open_ticks
from storage.copying import copy_ticks
from storage.upkeep import maintain_all


def migrate() -> None:
    """Bring the schemas of the configured stores to this version."""
    config = load_config().storage
    for name, opening in (("ticks", open_ticks), ("ledger", open_ledger)):
        opening(config).close()  # opening brings a store forward
        make_console().print(f"{name}: up to date")


def status() -> None:
    """Say what the configured stores hold, and whether they answer."""
    config = load_config().storage
    rows: list[tuple[str, ...]] = []
    try:
        with closing(open_ticks(config)) as ticks:
            for symbol in ticks.symbols():
                quotes = ticks.read(symbol)
                checksum = ticks.snapshot_hash(symbol)[:16]
                rows.append((config.tick_store, symbol, f"{len(quotes):,} quotes", checksum))
    except AppError as error:
        rows.append((config.tick_store, "ticks", "NO ANSWER", str(error)))
    try:
        with closing(open_ledger(config)) as ledger:
            orders = ledger.orders(limit=1)
            newest = orders[0].client_order_id if orders else "none"
            rows.append((config.ledger_store, "ledger", "answers", f"newest order: {newest}"))
    except AppError as error:
        rows.append((config.ledger_store, "ledger", "NO ANSWER", str(error)))
    make_console().print(table("stores", ("store", "what", "holds", "checksum or cause"), rows))


def maintain() -> None:
    """Move indexes forward, forget rows older than `storage.keep_days`, merge segments."""
    done = maintain_all(load_config().storage, SystemClock().now_ns())
    forgotten = "nothing is forgotten (storage.keep_days is 0)"
    if done.forgotten_before_ns is not None:
        day = datetime.fromtimestamp(done.forgotten_before_ns // 10**9, UTC).date()
        forgotten = f"forgotten: what is before {day}"
    make_console().print(f"indexes: up to date\n{forgotten}\ndays merged: {done.merged_days}")


def copy(symbols: list[str]) -> None:
    """Copy the embedded tick store into the configured server; start it again to go on."""
    config = load_config().storage
    if config.tick_store == "parquet":
        raise BadInput("storage.tick_store is parquet: there is no server to copy to")
    columns = (TextColumn("{task.description:<8}"), BarColumn(bar_width=30), TimeElapsedColumn(),
               TextColumn("{task.completed:,.0f} rows"))  # fmt: skip
    console = make_console()
    with (
        closing(open_ticks(_embedded(config))) as source,
        closing(open_ticks(config)) as target,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("copy", total=None)
        done = copy_ticks(
            source,
            target,
            lambda symbol, rows: progress.update(task, description=symbol, completed=rows),
            symbols,
        )
    cells = [(one.symbol, f"{one.rows:,}", f"{one.new:,}", one.checksum[:16]) for one in done]
    console.print(table("copied, verified", ("symbol", "rows", "new", "checksum"), cells))


def _embedded(config: StorageConfig) -> StorageConfig:
    return replace(config, tick_store="parquet")
