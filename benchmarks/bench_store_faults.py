"""Each store down, hung, slow and flapping for 60 s under 2,000 ticks and 100 orders a second.

Bars: p99 of the walk at most 1.25 x that of the calm stretch before + 1 ms, no row lost, at most
64 MB in the queues (most rows that waited in memory, times the heaviest row with all that it holds;
growth of the whole process stands beside), all rows stored 10 s after the store is back.
"""

import os
import tempfile
from pathlib import Path

from storage.servers import processes
from tests.faults.store_faults import FAULTS, expected, loaded, stored, strike
from tests.redis_server import SlowWire

PACKAGES = Path(__file__).resolve().parent.parent / "var" / "servers"
CALM_SECS = 15.0
SECS = float(os.environ.get("FAULT_SECS", "60"))


def run() -> dict[str, object]:
    """Strike each store in each way, with servers of its own."""
    return {
        f"{store} {kind}": struck(store, kind)
        for store in ("clickhouse", "postgres")
        for kind in FAULTS
    }


def struck(store: str, kind: str) -> dict[str, object]:
    with (
        tempfile.TemporaryDirectory() as folder,
        processes.clickhouse(PACKAGES) as clickhouse,
        processes.postgres(PACKAGES) as postgres,
    ):
        servers = {"clickhouse": clickhouse, "postgres": postgres}
        wires = {name: SlowWire(server.port) for name, server in servers.items()}
        with loaded(Path(folder), wires["clickhouse"].port, wires["postgres"].port) as load:
            found = strike(load, kind, servers[store], wires[store], calm_secs=CALM_SECS, secs=SECS)
            has, owed = stored(load, clickhouse, postgres), expected(load)
        for wire in wires.values():
            wire.close()
    lost = {name: owed[name] - has[name] for name in owed}
    return {**found, "rows_handed_over": sum(owed.values()), "rows_lost": lost}
