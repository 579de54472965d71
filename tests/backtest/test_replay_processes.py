"""Venue and serving as processes with a trained model; what they recorded replays to the cent."""

from pathlib import Path

import pytest

from serving.homes import homes_of
from tests.e2e.stack import SYMBOL, platform, until, with_venue
from venue.server import read_status

pytestmark = pytest.mark.servers


def test_a_session_of_real_processes_replays_to_the_cent(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    from cli.sessions import newest_session, replay_session

    made = tmp_path_factory.mktemp("made")
    venue = with_venue(max_quotes_per_sec=600.0, partial_ratio=0.5, reject_ratio=0.1)
    with platform(made, tmp_path / "home", venue=venue) as running:
        config = running.config
        for number in range(40):
            body = {"symbol": SYMBOL, "side": ("BUY", "SELL")[number % 2], "lots": "0.07"}
            running.client.call("POST", "/v1/orders", body, f"by-hand-{number}")
        folder = homes_of(config).venue
        until("end of the tape", lambda: read_status(folder).done, timeout_secs=90)
        until(
            "quiet orders",
            lambda: (
                not any(
                    order["status"] in ("SUBMITTED", "UNKNOWN", "PENDING_CANCEL")
                    for order in running.client.orders()
                )
            ),
        )
    found = replay_session(config, newest_session(config))
    assert found.comparison.first_difference == ""
    assert found.comparison.equal
    assert len(found.session.executions) > 20
    assert len(found.session.decisions) > 1_000
    assert found.replay.realised == found.session.realised != 0
