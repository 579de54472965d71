"""The live part of the demo: wait, send a few orders by hand, let the tape run out, collect."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families as families
from rich.console import Console

from cli.api import Api
from core.config import Config
from core.errors import BadInput, RecoverableError, Unavailable
from serving.homes import homes_of
from venue.server import read_status

READY_SECS = 60.0
TAPE_LIMIT_SECS = 150.0
_POLL_SECS = 0.2
_SETTLE_SECS = 10.0
_IN_DOUBT = {"SUBMITTED", "UNKNOWN", "PENDING_CANCEL"}
_WORKING = {"ACCEPTED", "PARTIALLY_FILLED"}
_FIELDS = {"0.5": "p50_us", "0.99": "p99_us", "1": "max_us"}


class StageRow(NamedTuple):
    """Latency of one stage."""

    stage: str
    p50_us: float
    p99_us: float
    max_us: float
    samples: int


@dataclass(frozen=True, slots=True)
class Traded:
    """What the session came to; money in account currency, after all costs."""

    decisions: dict[str, int]
    orders: dict[tuple[str, str], int]
    fills: int
    realised: str
    profit: str
    latencies: tuple[StageRow, ...]


def trade_tape(console: Console, config: Config, symbol: str, *, manual: int) -> Traded:
    """Trade until the venue's tape is at its end.

    Parameters
    ----------
    manual : int
        Orders to send by hand, half of them buys, so that the path is proved even where the model
        may only watch.

    Raises
    ------
    Unavailable
        When serving does not become ready, the tape does not end in time, or what serving holds is
        not what the venue has in the end: both would hide a report that was lost.
    """
    api = Api(config.serving)
    _wait("serving is not ready", READY_SECS, lambda: api.call("GET", "/readyz")[0] == 200)
    api.post("/v1/trading-state", {"state": "ACTIVE", "reason": "demo"})
    console.print("   trading enabled; the tape runs")
    _send_by_hand(console, api, config, symbol, manual)
    folder = homes_of(config).venue

    def at_end() -> bool:
        status = read_status(folder)
        return status is not None and status.done

    _wait("the tape did not end", TAPE_LIMIT_SECS, at_end)
    _wait("orders are still on their way", _SETTLE_SECS, lambda: settled(api))
    _wait("serving and venue hold different positions", _SETTLE_SECS, lambda: agree(api, folder))
    return _collect(api)


def _send_by_hand(console: Console, api: Api, config: Config, symbol: str, count: int) -> None:
    """Buy and sell in turn; the lots are half of the model's, so that the two can be told apart."""
    lots = str(max(config.trading.order_lots / 2, Decimal("0.01")))
    for number in range(count):
        body = {"symbol": symbol, "side": "SELL" if number % 2 else "BUY", "lots": lots}
        key = {"Idempotency-Key": f"{config.trading.account}-manual-{number}"}
        try:
            answer = api.post("/v1/orders", body, key)
            outcome = answer["status"]
        except BadInput as refused:
            outcome = f"refused: {refused}"
        console.print(f"   manual {body['side']} {lots} {symbol}: {outcome}")
        time.sleep(_POLL_SECS)


def _wait(what: str, limit_secs: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + limit_secs
    while not _holds(condition):
        if time.monotonic() > deadline:
            raise Unavailable(f"{what} after {limit_secs:g} s")
        time.sleep(_POLL_SECS)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except RecoverableError:
        return False


def settled(api: Api) -> bool:
    """Say whether every order came to its end, or rests as a GTC may after the tape's end."""
    return not any(
        order["status"] in _IN_DOUBT
        or (order["status"] in _WORKING and order["time_in_force"] != "GTC")
        for order in api.get("/v1/orders?limit=1000")
    )


def agree(api: Api, venue: Path) -> bool:
    """Say whether serving holds the lots that the venue, with its state in `venue`, counts."""
    status = read_status(venue)
    held = {row["symbol"]: Decimal(row["lots"]) for row in api.get("/v1/positions")["positions"]}
    counted = {} if status is None else status.positions
    return {name: lots for name, lots in held.items() if lots} == {
        name: Decimal(lots) for name, lots in counted.items()
    }


def _collect(api: Api) -> Traded:
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families(api.get("/metrics"))
        for sample in family.samples
    }
    orders = api.get("/v1/orders?limit=1000")
    account = api.get("/v1/positions")
    sides = ("BUY", "SELL", "HOLD")
    profit = Decimal(account["equity"]) - Decimal(account["balance"])
    return Traded(
        decisions={
            side: int(samples[f"tickpath_decisions_{side.lower()}_total", ()]) for side in sides
        },
        orders=dict(Counter((order["strategy"], order["status"]) for order in orders)),
        fills=int(samples["tickpath_fills_total", ()]),
        realised=account["realised"],
        profit=str(profit),
        latencies=tuple(_stages(samples)),
    )


def _stages(samples: dict[Any, float]) -> Iterator[StageRow]:
    for (name, labels), count in samples.items():
        if name != "tickpath_stage_samples_total":
            continue
        stage = dict(labels)["stage"]
        values = {
            field: samples["tickpath_stage_seconds", (("quantile", quantile), ("stage", stage))]
            * 1e6
            for quantile, field in _FIELDS.items()
        }
        yield StageRow(stage, values["p50_us"], values["p99_us"], values["max_us"], int(count))
