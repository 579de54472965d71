"""``tickpath ingest | train | promote``: flow runs on the running Prefect server."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.console import make_console, table
from core.config import FAMILIES, Config
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from core.settings import load_config
from flows.client import PrefectApi, RunUpdate, run_deployment
from flows.sources import SIMULATOR

_LISTED = 10
SEARCH_SECS = 86_400.0


def run_ingest(
    data: Path | None, symbol: str, *, replace: bool, max_bad_rows: float | None
) -> None:
    """Run the flow ``ingest`` for one symbol and print what was kept and what was dropped."""
    if max_bad_rows is not None and not 0.0 <= max_bad_rows <= 1.0:
        raise BadInput(f"--max-bad-rows is a share of the rows, from 0 to 1, not {max_bad_rows}")
    parameters = ingest_parameters(data, symbol, replace=replace)
    console, config = make_console(), load_config()
    run_id = run_flow(console, config, "ingest", {**parameters, "max_bad_rows": max_bad_rows})
    for text in artifacts_of(config, run_id):
        console.print(text, markup=False)
    for rows in artifacts_of(config, run_id, kind="table"):
        print_dropped(console, rows)


def print_dropped(console: Console, rows: str) -> None:
    """Print the first of the dropped rows, given as a JSON list of {"file", "line", "reason"}."""
    columns = ("file", "line", "reason")
    found = msgspec.json.decode(rows, type=list[dict[str, str | int]])[:_LISTED]
    cells = [[row[name] for name in columns] for row in found]
    console.print(table("first dropped rows", columns, cells))


def run_train(symbol: str, family: str | None = None) -> None:
    """Run the flow ``train`` for one symbol and print its report."""
    console, config = make_console(), load_config()
    parameters = {"symbol": known(symbol), "family": known_family(family)}
    run_id = run_flow(console, config, "train", parameters, SEARCH_SECS)
    for text in artifacts_of(config, run_id):
        console.print(text, markup=False)


def run_tune(symbol: str, trials: int) -> None:
    """Run the flow ``tune`` for one symbol; print the trials, and the report of the training."""
    console, config = make_console(), load_config()
    parameters = {"symbol": known(symbol), "trials": trials}
    run_id = run_flow(console, config, "tune", parameters, SEARCH_SECS)
    for text in artifacts_of(config, run_id):
        console.print(text, markup=False)


def run_promote(symbol: str, version: str | None) -> None:
    """Run the flow ``promote`` for one symbol."""
    parameters = {"symbol": known(symbol), "version": (version and known_number(version)) or ""}
    run_flow(make_console(), load_config(), "promote", parameters)


def run_drift(symbol: str, version: str | None) -> None:
    """Run the flow ``drift`` for one symbol and print what it found."""
    console, config = make_console(), load_config()
    parameters = {"symbol": known(symbol), "version": (version and known_number(version)) or ""}
    run_id = run_flow(console, config, "drift", parameters)
    for text in artifacts_of(config, run_id):
        console.print(text, markup=False)


def known_number(version: str) -> str:
    """Return `version` when it is a number; raises BadInput."""
    if not (version.isascii() and version.isdigit()):
        raise BadInput(f"a version is a number, not {version!r}")
    return version


def known_family(family: str | None) -> str:
    """Return `family` when there is such a family of models, empty for None; raises BadInput."""
    if family is not None and family not in FAMILIES:
        raise BadInput(f"--family is one of {', '.join(FAMILIES)}, not {family!r}")
    return family or ""


def known(symbol: str) -> str:
    """Return `symbol` when the instrument table has it; raises UnknownInstrument."""
    return DEFAULT_INSTRUMENTS.by_symbol(symbol).symbol


def ingest_parameters(data: Path | None, symbol: str, *, replace: bool) -> dict[str, Any]:
    """Parameters of the flow ``ingest``, checked before anything is started.

    Raises
    ------
    BadInput
        When the symbol is unknown, or `data` holds no file of it in a known format.
    """
    source = SIMULATOR
    known(symbol)
    if data is not None:
        # Loads pyarrow, which simulated data can do without here.
        from market.loaders.sources import find

        find(data, symbol)
        source = str(data.resolve())
    return {"symbol": symbol, "source": source, "replace": replace}


def run_flow(
    console: Console,
    config: Config,
    name: str,
    parameters: dict[str, Any],
    timeout_secs: float = 900.0,
) -> str:
    """Run a deployment to its end, show how far it is, print what it made; return the run's id."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=100.0, what="")

        def show(update: RunUpdate) -> None:
            what = f"{update.state.lower()} {update.what}"
            progress.update(task, completed=max(0.0, update.percent), what=what)

        run_id = run_deployment(config, name, parameters, show, timeout_secs)
    seconds = PrefectApi(config.prefect).run(run_id)["total_run_time"]
    console.print(f"{name}: flow run {run_id} completed in {seconds:.1f} s")
    return run_id


def artifacts_of(config: Config, run_id: str, kind: str = "markdown") -> list[str]:
    """Texts of a flow run's artifacts, oldest first."""
    rows = PrefectApi(config.prefect).artifacts(run_id)
    return [str(row["data"]) for row in reversed(rows) if row["type"] == kind]
