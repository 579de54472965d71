"""``tickpath up``: the whole platform in the foreground."""

import signal
import time
from collections.abc import Callable
from types import FrameType

from cli import services, stack
from cli.console import make_console, table
from cli.paper_account import ready_account
from cli.supervisor import Supervisor
from core.config import Config
from core.errors import Unavailable
from core.settings import load_config
from flows.client import PrefectApi, deploy_all, reconcile
from flows.environment import absolute
from serving.bind import require_safe

_WATCH_SECS = 0.5


class _Stop:
    """Set by Ctrl-C or SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:  # twice: the user will not wait
            raise KeyboardInterrupt
        self.asked = True


def run_up() -> int:
    """Start everything, print the addresses, wait for Ctrl-C, stop everything."""
    config = absolute(load_config())
    require_safe(config.serving)
    console = make_console()

    def progress(name: str, state: str, secs: float) -> None:
        if state != "starting":
            console.print(f"{name:<8} {state} ({secs:.1f} s)")

    with Supervisor(config, progress) as supervisor:
        stop = _Stop()
        start_all(supervisor, config, console.print)
        console.print(table("running; Ctrl-C stops all of it", ("what", "where"), urls(config)))
        while not stop.asked:
            time.sleep(_WATCH_SECS)
            if dead := supervisor.dead():
                name, code = next(iter(dead.items()))
                raise Unavailable(
                    f"{name} ended by itself with code {code}; see {supervisor.log_of(name)}"
                )
    return 0


def start_all(supervisor: Supervisor, config: Config, tell: Callable[[str], None]) -> None:
    """Start the learning half, then venue and serving; the venue only when there is a tape."""
    start_learning(supervisor, config, schedules=True)
    symbols = taped_symbols(config)
    if symbols:
        if news := ready_account(config, symbols):
            tell(news)
        supervisor.start(stack.venue(config, symbols))
    else:
        tell("no quotes are stored, so there is no venue; `tickpath ingest`, then start again")
    supervisor.start(stack.serving(config))
    PrefectApi(config.prefect).start("scenarios", {})


def start_learning(supervisor: Supervisor, config: Config, *, schedules: bool) -> None:
    """Start MLflow and Prefect side by side, deploy the flows, then start the worker."""
    supervisor.start(services.mlflow(config), services.prefect(config))
    reconcile(config)
    deploy_all(config, schedules=schedules)
    supervisor.start(services.worker(config))


def taped_symbols(config: Config) -> tuple[str, ...]:
    """Symbols with stored quotes."""
    from storage.adapters import open_ticks

    return open_ticks(config.storage).symbols()


def urls(config: Config) -> list[tuple[str, str]]:
    """Where to look."""
    serving = config.serving.url
    return [
        ("decisions and orders (OpenAPI)", f"{serving}/docs"),
        ("readiness", f"{serving}/readyz"),
        ("metrics", f"{serving}/metrics"),
        ("models and experiments (MLflow)", config.mlflow.url),
        ("flows (Prefect)", config.prefect.api_url.removesuffix("/api")),
        ("venue (FIX 4.4)", f"{config.fix.host}:{config.fix.port}"),
    ]
