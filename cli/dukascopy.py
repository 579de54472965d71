"""``tickpath ingest dukascopy``: ticks of a range of days, with a progress bar."""

from datetime import UTC, datetime
from typing import cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.console import make_console
from core.errors import BadInput
from core.settings import load_config
from flows.dukascopy_job import download
from market.dukascopy import Format


def run_download(symbol: str, first: str, until: str, kind: str, *, replace: bool) -> None:
    """Download and store the hours from the day `first` until before the day `until`."""
    if kind not in {"bi5", "csv"}:
        raise BadInput(f"--format is bi5 or csv, not {kind}")
    start_ns, end_ns = _day_ns("--from", first), _day_ns("--to", until)
    console = make_console()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(),
               TextColumn("hours, {task.fields[rows]:,} rows"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(symbol, total=None, rows=0)
        done = download(
            load_config(),
            symbol,
            start_ns,
            end_ns,
            kind=cast(Format, kind),
            replace=replace,
            tell=lambda n, of, rows: progress.update(task, completed=n, total=of, rows=rows),
        )
    console.print(
        f"{done.symbol}: {done.hours} hours, {done.fetched} of them fetched now, {done.absent}"
        f" without a file; {done.rows:,} rows, {done.new:,} new",
        markup=False,
    )


def _day_ns(option: str, day: str) -> int:
    try:
        return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 10**9
    except ValueError:
        raise BadInput(f"{option} is a day such as 2024-01-31, not {day}") from None
