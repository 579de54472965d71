"""Each store down, hung, slow and flapping under load: trading goes on and no row is lost.

Two seconds each in ``make test-all``, sixty in ``make proof``; latencies are recorded there and not
judged, see ``python -m benchmarks store_faults``.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.servers.processes import Server
from tests.faults.store_faults import FAULTS, expected, loaded, stored, strike
from tests.redis_server import SlowWire
from tests.servers import PACKAGES, fresh_servers

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]


def lengths(full: float) -> list[object]:
    return [pytest.param(2.0, id="2s"), pytest.param(full, id="60s", marks=pytest.mark.proof)]


@pytest.mark.parametrize("secs", lengths(60.0))
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("store", ["clickhouse", "postgres"])
def test_trading_goes_on_and_no_row_is_lost(
    store: str,
    kind: str,
    secs: float,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    servers: dict[str, Server]
    with fresh_servers(PACKAGES) as servers:
        wires = {name: SlowWire(server.port) for name, server in servers.items()}
        ports = wires["clickhouse"].port, wires["postgres"].port
        with loaded(tmp_path, *ports) as load:
            found = strike(load, kind, servers[store], wires[store], calm_secs=secs / 2, secs=secs)
            assert found["walks"] == int(secs * 2_000)
            assert found["dropped"] == 0
            assert found["queue_memory_mb"] <= 64
            assert stored(load, servers["clickhouse"], servers["postgres"]) == expected(load)
            assert len(load.order_ids) >= secs * 90
        for wire in wires.values():
            wire.close()
    for name, value in found.items():
        record_property(name, value)
