"""A session that crossed real sockets, replayed in process, equal to the cent."""

from pathlib import Path

import pytest

from cli.sessions import newest_session, replay_session
from tests.e2e.stack import EAGER, SYMBOL, platform, until, with_venue

pytestmark = pytest.mark.servers


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stop", ["stop", "kill"])
def test_a_recorded_session_replays_to_the_same(made: Path, tmp_path: Path, stop: str) -> None:
    with platform(
        made,
        tmp_path / "home",
        version=EAGER,
        venue=with_venue(max_quotes_per_sec=300.0, partial_ratio=0.5, reject_ratio=0.1),
    ) as running:
        client, config = running.client, running.config
        for number, side in enumerate(("BUY", "SELL", "BUY", "SELL")):
            body = {"symbol": SYMBOL, "side": side, "lots": "0.05"}
            status, answer = client.call("POST", "/v1/orders", body, f"manual-{number}")
            assert status == 201, answer

        def quote_seq() -> int:
            answer = client.call("POST", "/v1/decisions", {"symbol": SYMBOL})[1]
            return int(answer["quote_seq"])

        until("six hundred quotes", lambda: quote_seq() > 600)
        if stop == "kill":
            running.serving.kill()
            running.serving.start()
            running.await_ready()
            again = quote_seq()
            until("some more quotes", lambda: quote_seq() > again + 600)
        running.stop()
        replayed = replay_session(config, newest_session(config))
    comparison = replayed.comparison
    assert comparison.equal, comparison.differences
    assert len(replayed.session.decisions) > 100
    assert len(replayed.session.orders) > 4
    assert len(replayed.session.executions) > 4
    assert replayed.session.realised == replayed.replay.realised
