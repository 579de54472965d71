"""``tickpath demo``: once the whole way, from ticks to fills, then stop everything.

Servers run on free ports and on the same stores as ``tickpath up``, which shows the results. The
account is a fresh one, so that its journal, positions and recording are those of this run alone.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from backtest.outcome import cents
from cli import stack
from cli.backtest import print_replay, print_report
from cli.configured import load_config
from cli.console import make_console, table
from cli.demo_trade import Traded, trade_tape
from cli.learn import SEARCH_SECS, artifacts_of, ingest_parameters, known_family, run_flow
from cli.sessions import Replayed, newest_session, replay_session
from cli.supervisor import Supervisor, free_port
from cli.up import start_learning
from core.config import Config
from core.errors import BadInput
from flows.environment import absolute
from flows.replay_job import out_of_sample, report_file, serving_version
from flows.sources import Sources
from models.manifest import Manifest
from models.manifest import read as read_manifest
from registry.loading import RegisteredVersion, RegistryReader
from serving.homes import homes_of
from storage.adapters import open_ticks

DEFAULT_SYMBOL = "EURUSD"
TAPE_SECS = 30.0
MOST_QUOTES = 30_000
DUPLICATE_WINDOW_MS = 0.1


def run_demo(data: Path | None, symbol: str | None, family: str | None = None) -> int:
    """Run the demo; the exit code is 0 when everything came true, the replay included."""
    started = time.monotonic()
    family = known_family(family)
    symbol = symbol or DEFAULT_SYMBOL
    parameters = ingest_parameters(data, symbol, replace=True)
    config = demo_config(absolute(load_config()), symbol)
    console = make_console()
    console.print(f"tickpath demo: {symbol} from {parameters['source']}", style="bold")
    known = Sources(config.storage.ticks).all().get(symbol, parameters["source"])
    if known != parameters["source"]:
        console.print(f"   this replaces the stored quotes of {symbol}, which came from {known}")
    with Supervisor(config, _Progress(console)) as supervisor:
        with _step(console, "1 start MLflow, Prefect and a worker"):
            start_learning(supervisor, config, schedules=False)
        with _step(console, "2 ingest, train, promote, validate scenarios: flow runs on Prefect"):
            _learn(console, config, symbol, family, parameters)
        with _step(console, "3 the model on quotes it has not seen"):
            approved = _report(console, config, symbol)
        with _step(console, "4 live: venue, serving, quotes to fills"):
            config = _paced(console, config, symbol)
            traded = _trade(console, config, supervisor, symbol, approved=approved)
    with _step(console, "5 the recorded session again"):
        path = newest_session(config)
        replayed = replay_session(config, path)
        code = print_replay(console, replayed, path)
        code |= _compare_profit(console, traded, replayed)
    _print_end(console, config, symbol, time.monotonic() - started)
    if not traded.fills:
        console.print("the session brought no fill")
    return code or (0 if traded.fills else 1)


def demo_config(config: Config, symbol: str) -> Config:
    """Return settings with free ports, a fresh account in paper mode, one symbol, full speed."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    if symbol not in config.risk.symbols:
        raise BadInput(f"risk.symbols does not allow {symbol}; it holds {config.risk.symbols}")
    return replace(
        config,
        mlflow=replace(config.mlflow, port=free_port()),
        prefect=replace(config.prefect, port=free_port()),
        serving=replace(config.serving, port=free_port()),
        fix=replace(config.fix, port=free_port()),
        # Tape time runs many times faster than the clock, so the window shrinks with it.
        risk=replace(config.risk, symbols=(symbol,), duplicate_window_ms=DUPLICATE_WINDOW_MS),
        trading=replace(config.trading, account=f"DEMO-{stamp}", enabled_at_start=True),
        venue=replace(config.venue, speed=0.0),
    )


def _learn(
    console: Console, config: Config, symbol: str, family: str, parameters: dict[str, str | bool]
) -> None:
    run_flow(console, config, "ingest", parameters)
    settings = {"symbol": symbol, "family": family}
    train = run_flow(console, config, "train", settings, SEARCH_SECS)
    for text in artifacts_of(config, train)[:1]:
        console.print(text, markup=False)
    run_flow(console, config, "promote", {"symbol": symbol, "version": ""})
    run_flow(console, config, "scenarios", {})


def _report(console: Console, config: Config, symbol: str) -> bool:
    """Print gates and out-of-sample figures; return whether the version may trade."""
    version = serving_version(config, symbol)
    console.print(_terms(_manifest(config, version)))
    gates = {k: v for k, v in version.tags.items() if k.startswith("gate")}
    if gates:
        console.print(table(f"gates of version {version.version}", ("gate", "verdict"),
                            sorted(gates.items())))  # fmt: skip
    if version.approved:
        console.print(f"version {version.version} is champion: it may trade")
    else:
        console.print(
            f"version {version.version} did not pass its gates. It serves as {version.alias}: it "
            "answers HOLD (model_not_approved) with its scores, and sends no order."
        )
    title = f"out of sample: {symbol} version {version.version}, traded as if it were approved"
    print_report(console, out_of_sample(config, symbol), title)
    return version.approved


def _paced(console: Console, config: Config, symbol: str) -> Config:
    """Let the tape take about half a minute, however many quotes were held out."""
    held_out = len(open_ticks(config.storage).read(symbol, holdout_start(config, symbol)))
    quotes = min(held_out, MOST_QUOTES)
    rate = max(20.0, quotes / TAPE_SECS)
    console.print(f"   tape: the first {quotes:,} of {held_out:,} held-out quotes, {rate:,.0f}/s")
    return replace(config, venue=replace(config.venue, max_quotes_per_sec=rate))


def holdout_start(config: Config, symbol: str) -> int:
    """First instant that the serving model was not trained on, ns UTC."""
    return _manifest(config, serving_version(config, symbol)).holdout_start_ns


def _manifest(config: Config, version: RegisteredVersion) -> Manifest:
    reader = RegistryReader(config.mlflow, homes_of(config).models)
    return read_manifest(reader.fetch(version))


def _terms(made: Manifest) -> str:
    """Say what the model looks at and how far ahead, and why."""
    hours = (made.train_end_ns - made.train_start_ns) / 3.6e12
    horizon = f"predicts {made.horizon_ns / 1e9:g} s ahead"
    trained = f"trained on {hours:,.1f} hours of quotes"
    if made.cadence == "tick":
        return (
            f"{trained}: too few for minute bars, so its features look back over single ticks, "
            f"it {horizon}, and its figures carry little weight"
        )
    return f"{trained}, in bars of {made.bar_ns / 1e9:g} s; {horizon}"


def _trade(
    console: Console, config: Config, supervisor: Supervisor, symbol: str, *, approved: bool
) -> Traded:
    supervisor.start(stack.venue(config, (symbol,), MOST_QUOTES))
    supervisor.start(stack.serving(config))
    traded = trade_tape(console, config, symbol, manual=4 if approved else 6)
    supervisor.stop("serving", "venue")
    _print_traded(console, config, traded)
    return traded


def _print_traded(console: Console, config: Config, traded: Traded) -> None:
    console.print(table("decisions by side", ("side", "count"), traded.decisions.items()))
    orders = ((*key, count) for key, count in sorted(traded.orders.items()))
    console.print(table("orders", ("strategy", "state", "count"), orders))
    money = [
        ("fills", traded.fills),
        (f"realised, {config.trading.currency}", traded.realised),
        (f"profit and loss after costs, {config.trading.currency}", traded.profit),
    ]
    console.print(table("account", ("what", "value"), money))
    rows = (
        (row.stage, f"{row.p50_us:,.1f}", f"{row.p99_us:,.1f}", f"{row.max_us:,.1f}", row.samples)
        for row in traded.latencies
    )
    columns = ("stage", "p50 us", "p99 us", "max us", "count")
    console.print(table("latency from tick to acknowledgement", columns, rows))


def _compare_profit(console: Console, traded: Traded, replayed: Replayed) -> int:
    """Hold what serving said of itself at the end against the replay; return the exit code."""
    equity, balance = replayed.replay.equity, replayed.replay.balance
    if equity is not None and cents(equity - balance) == cents(Decimal(traded.profit)):
        return 0
    console.print(f"DIFFERENT: serving reported a profit of {traded.profit}, replay has {equity}")
    return 1


def _print_end(console: Console, config: Config, symbol: str, secs: float) -> None:
    home = config.storage.home
    console.print(f"done in {secs:.0f} s; nothing is left running. What was kept under {home}:")
    console.print(f"  drawing      {report_file(config, symbol)}")
    console.print(f"  recording    {newest_session(config)}")
    console.print(
        "  experiments, versions, flow runs: `make up`, then open the addresses it prints"
    )


class _Progress:
    """Prints one line for each service that became ready."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, name: str, state: str, secs: float) -> None:
        if state == "ready":
            self._console.print(f"   {name} ready after {secs:.1f} s")


@contextmanager
def _step(console: Console, title: str) -> Iterator[None]:
    console.print(f"\n== {title}", style="bold")
    started = time.monotonic()
    yield
    console.print(f"   ({time.monotonic() - started:.1f} s)")
