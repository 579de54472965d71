"""The venue remembers: recovery is the same as never having stopped."""

import random
from pathlib import Path

import numpy as np
import pytest

from core.columns import from_ticks
from core.config import VenueConfig
from core.errors import BadInput, Conflict
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import OrderEventKind, OrderStatus, Side, TimeInForce
from fix.reports import UNKNOWN_ORDER
from venue.orders import VenueOrder
from venue.state import Venue
from venue.store import Moved, VenueLog
from venue.tape import Tape

CONFIG = VenueConfig(partial_ratio=0.5, reject_ratio=0.1)
US = "TICKPATH"


def tape(seed: int = 1) -> Tape:
    rng = np.random.default_rng(seed)
    sides = {}
    for instrument in (0, 1):
        ts = np.sort(rng.integers(1, 10**9, 200)).astype(np.int64)
        bid = (100_000 + rng.integers(-30, 30, 200)) / 1e5
        sides[instrument] = from_ticks(ts, bid, bid + rng.integers(0, 8, 200) / 1e5)
    return Tape(sides)


def start(path: Path, config: VenueConfig = CONFIG, seed: int = 1) -> Venue:
    return Venue(tape(seed), VenueLog(path), DEFAULT_INSTRUMENTS, config)


def some_order(rng: random.Random, name: str) -> VenueOrder:
    return VenueOrder(
        name,
        rng.randrange(2),
        rng.choice(list(Side)),
        rng.randint(1, 9),
        100_000 + rng.randint(-30, 30),
        rng.choice(list(TimeInForce)),
    )


def act(venue: Venue, rng: random.Random, step: int) -> None:
    venue.advance()
    if rng.random() < 0.4:
        venue.submit(US, some_order(rng, f"O{step}"))
    if rng.random() < 0.2:
        venue.cancel(US, f"O{rng.randrange(step + 1)}", f"C{step}")


def everything(venue: Venue) -> tuple:
    return (
        venue.tape.position,
        venue.pending(US),
        [(e.order, e.filled, e.value) for e in venue.open_orders(US)],
        [venue.matching.position(i) for i in (0, 1)],
        [venue.last_quote(i) for i in (0, 1)],
        venue.executions,
    )


def test_a_venue_that_stops_at_any_step_goes_on_as_if_it_had_not(tmp_path):
    rng, twin_rng = random.Random(5), random.Random(5)
    twin = start(tmp_path / "twin.log")
    venue = start(tmp_path / "venue.log")
    stops = random.Random(6)
    for step in range(420):
        act(venue, rng, step)
        act(twin, twin_rng, step)
        if stops.random() < 0.1:
            venue.close()
            venue = start(tmp_path / "venue.log")
            assert everything(venue) == everything(twin)
    assert everything(venue) == everything(twin)
    assert venue.executions > 50
    assert venue.advance() is None
    twin.close()
    venue.close()


def test_reports_are_told_until_they_were_handed_over(tmp_path):
    venue = start(tmp_path / "venue.log", VenueConfig(partial_ratio=1.0, reject_ratio=0.0))
    while venue.last_quote(0) is None:
        venue.advance()
    venue.submit(US, VenueOrder("A", 0, Side.BUY, 10, 200_000, TimeInForce.IOC))
    reports = venue.pending(US)
    assert [r.event.kind for r in reports] == [OrderEventKind.ACCEPT, OrderEventKind.FILL]
    assert [r.filled for r in reports] == [0, reports[1].event.fill.quantity]
    assert [r.status for r in reports] == [OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED]
    venue.reported(US, 1)
    venue.close()
    again = start(tmp_path / "venue.log", VenueConfig(partial_ratio=1.0, reject_ratio=0.0))
    assert again.pending(US) == reports[1:]
    again.close()


def test_orders_of_another_session_are_unknown(tmp_path):
    venue = start(tmp_path / "venue.log", VenueConfig(partial_ratio=0.0, reject_ratio=0.0))
    while venue.last_quote(0) is None:
        venue.advance()
    assert venue.submit(US, VenueOrder("A", 0, Side.BUY, 10, 1, TimeInForce.GTC))
    assert not venue.submit("STRANGER", VenueOrder("A", 0, Side.BUY, 10, 1, TimeInForce.GTC))
    venue.cancel("STRANGER", "A", "C1")
    (report,) = venue.pending("STRANGER")
    assert (report.event.reason, report.order, report.request_id) == (UNKNOWN_ORDER, None, "C1")
    assert venue.find("STRANGER", "A") is None
    assert len(venue.open_orders(US)) == 1
    venue.close()


def test_a_log_of_another_tape_or_seed_is_refused(tmp_path):
    start(tmp_path / "venue.log").close()
    with pytest.raises(Conflict, match="another tape"):
        start(tmp_path / "venue.log", seed=2)
    with pytest.raises(Conflict, match="other venue settings"):
        start(tmp_path / "venue.log", VenueConfig(seed=99))


def test_a_log_has_one_owner_and_survives_a_torn_tail(tmp_path):
    path = tmp_path / "venue.log"
    log = VenueLog(path)
    with pytest.raises(Conflict, match="another venue has"):
        VenueLog(path)
    log.append(Moved(1))
    log.append(Moved(2))
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    torn = VenueLog(path)
    assert torn.records == [Moved(1)]
    torn.append(Moved(2))
    torn.close()
    assert path.read_bytes() == whole
    path.write_bytes(bytes([whole[0], *whole[1:10], whole[10] ^ 1, *whole[11:]]))
    with pytest.raises(BadInput, match="record at byte 0 does not verify"):
        VenueLog(path)
