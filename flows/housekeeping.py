"""Flow: throw away what is older than the settings say."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact

from flows.housekeeping_job import Swept
from flows.housekeeping_job import housekeeping as sweep_all
from flows.resources import ProgressBar, settings
from flows.results import persisted


@task(name="sweep", result_serializer=persisted(Swept, many=True), timeout_seconds=1_800)
def sweep() -> list[Swept]:
    """Throw away what is too old."""
    return sweep_all(settings())


@flow(name="housekeeping")
def housekeeping() -> int:
    """Sweep; returns how many things were thrown away."""
    swept = sweep()
    count = sum(len(one.removed) for one in swept)
    freed = sum(one.bytes for one in swept) / 1e6
    get_run_logger().info("%d things thrown away, %.1f MB", count, freed)
    rows = [
        {"kind": s.kind, "removed": len(s.removed), "MB": round(s.bytes / 1e6, 1)} for s in swept
    ]
    create_table_artifact(rows, "housekeeping", f"{freed:.1f} MB freed")
    ProgressBar("housekeeping-progress")(1, 1, f"{count} removed")
    return count
