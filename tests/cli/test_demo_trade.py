"""The demo's end: every order settled, and the venue's positions."""

from pathlib import Path

import msgspec
import pytest

from cli.demo_trade import agree, settled
from core.config import VenueConfig
from venue.server import STATUS_FILE, VenueStatus


class Answers:
    """Answers of serving by path."""

    def __init__(self, **answers) -> None:
        self._answers = answers

    def get(self, path):
        return self._answers[path.removeprefix("/v1/").split("?")[0]]


@pytest.mark.parametrize(
    ("status", "time_in_force", "expected"),
    [
        ("FILLED", "IOC", True), ("CANCELED", "IOC", True), ("DENIED", "IOC", True),
        ("ACCEPTED", "GTC", True), ("PARTIALLY_FILLED", "GTC", True),
        ("ACCEPTED", "IOC", False), ("PARTIALLY_FILLED", "IOC", False), ("ACCEPTED", "FOK", False),
        ("SUBMITTED", "GTC", False), ("UNKNOWN", "IOC", False), ("PENDING_CANCEL", "GTC", False),
    ],
)  # fmt: skip
def test_settled(status: str, time_in_force: str, expected: bool) -> None:
    row = {"status": status, "time_in_force": time_in_force}
    assert settled(Answers(orders=[row])) is expected


@pytest.mark.parametrize(
    ("lots", "venue", "expected"),
    [
        ("0.10", {"EURUSD": "0.10"}, True),
        ("0.00", {}, True),
        ("0.10", {"EURUSD": "-0.10"}, False),
        ("0.10", {}, False),
        ("0.00", {"EURUSD": "0.01"}, False),
        ("0.10", {"EURUSD": "0.10", "GBPUSD": "0.01"}, False),
    ],
)
def test_positions(tmp_path: Path, lots: str, venue: dict[str, str], expected: bool) -> None:
    status = VenueStatus(1, 1, 9, 9, True, 1, 1, {}, (), VenueConfig(), venue)
    (tmp_path / STATUS_FILE).write_bytes(msgspec.json.encode(status))
    serving = Answers(positions={"positions": [{"symbol": "EURUSD", "lots": lots}]})
    assert agree(serving, tmp_path) is expected
