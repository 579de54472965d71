"""Draw the newest recorded session: ``python docs/draw_session.py [recording] [picture]``.

Makes the picture of the README from what `make demo` recorded: the quotes that the engine saw with
the fills on them, the account, and the stage times of the decisions.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from backtest.outcome import Execution
from cli.sessions import replay_session
from core.config import Config
from core.settings import load_config
from core.types import Decision, Side
from flows.environment import absolute
from trading.events import QuoteIn
from trading.recording import SessionReader

STAGES = ("features", "predict", "decide")
BLUE, GREEN, RED, GREY = "#2563eb", "#15803d", "#b91c1c", "#475569"


def newest(config: Config) -> Path:
    """Newest recording of any account."""
    found = sorted(
        (config.storage.home / "sessions").glob("*.events"), key=lambda p: p.stat().st_mtime
    )
    if not found:
        sys.exit("nothing is recorded yet: run `make demo` first")
    return found[-1]


def quotes_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Hours since the first quote, and mid prices."""
    events = [event.quote for event in SessionReader(path).events() if isinstance(event, QuoteIn)]
    ts = np.array([quote.ts_event for quote in events])
    return ts, np.array([quote.mid for quote in events])


def draw(path: Path, picture: Path, config: Config) -> None:
    """Draw the recording at `path` to `picture`."""
    replayed = replay_session(config, path)
    terms = SessionReader(path).header.instruments
    ts, mid = quotes_of(path)
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
    price = figure.add_subplot(grid[0, :])
    symbol = terms[replayed.session.executions[0].fill.instrument].symbol
    price.plot((ts - ts[0]) / 3.6e12, mid, color=GREY, linewidth=0.7, label=f"{symbol} mid")
    for side, colour, marker in ((Side.BUY, GREEN, "^"), (Side.SELL, RED, "v")):
        fills = [e.fill for e in replayed.session.executions if e.fill.side is side]
        at = [(fill.ts_event - ts[0]) / 3.6e12 for fill in fills]
        paid = [float(terms[fill.instrument].to_price(fill.price_ticks)) for fill in fills]
        price.scatter(at, paid, color=colour, marker=marker, s=28, zorder=3, label=f"{side} filled")
    price.set(xlabel="hours of tape time", ylabel="price")
    price.legend(loc="best", frameon=False)
    price.set_title(
        f"{len(replayed.session.decisions):,} decisions, {len(replayed.session.orders)} orders, "
        f"{len(replayed.session.executions)} fills over FIX; replay equal to the cent: "
        f"{'yes' if replayed.comparison.equal else 'NO'}",
        fontsize=11,
    )
    draw_account(figure.add_subplot(grid[1, 0]), ts[0], replayed.session.executions)
    draw_stages(figure.add_subplot(grid[1, 1]), replayed.session.decisions)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110, metadata={"Software": None})


def draw_account(axes: object, start: int, executions: tuple[Execution, ...]) -> None:
    """Realised profit over tape time."""
    hours = [(e.fill.ts_event - start) / 3.6e12 for e in executions]
    axes.step(
        hours, np.cumsum([float(e.profit or 0) for e in executions]), where="post", color=BLUE
    )
    axes.set(xlabel="hours of tape time", ylabel="realised, account currency")
    axes.grid(alpha=0.3)


def draw_stages(axes: object, decisions: tuple[Decision, ...]) -> None:
    """Share of decisions whose stage took at most so long."""
    for stage in STAGES:
        took = np.sort([decision.stages_us[stage] for decision in decisions])
        axes.plot(took, np.linspace(0, 100, len(took)), label=stage)
    axes.set(xscale="log", xlabel="stage time, us", ylabel="% of decisions")
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    settings = absolute(load_config())
    session = Path(sys.argv[1]) if len(sys.argv) > 1 else newest(settings)
    image = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "images/session.png"
    draw(session, image, settings)
    sys.stdout.write(f"{image}\n")
