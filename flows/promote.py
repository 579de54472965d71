"""Flow: judge the newest version of one symbol, or of all, and let it hold what it has earned."""

from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.input import RunInput

from core.errors import Conflict, NotFound
from flows.ingest_job import known_symbols
from flows.promote_job import finish, judge
from flows.resources import (
    RETRIES,
    RETRY_DELAY_SECS,
    ProgressBar,
    retry_if_unavailable,
    settings,
)
from flows.results import persisted
from registry.opening import open_registry
from registry.promotion import Judgement, Promotion

AUTO = "promotion.mode auto"


class Approval(RunInput):
    """The form that a paused run shows, and that `tickpath approve` fills in."""

    approve: bool = False
    who: str
    why: str


@task(
    name="judge",
    task_run_name="judge-{symbol}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    result_serializer=persisted(Judgement),
    timeout_seconds=1_800,
)
def judge_version(symbol: str, version: str) -> Judgement:
    """Find the figure of every gate and store the verdicts on the version."""
    with open_registry(settings()) as registry:
        return judge(settings(), registry, symbol, version)


@task(
    name="conclude",
    task_run_name="conclude-{judged.version.model}-{judged.version.version}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    # Never taken from an earlier run: the ledger itself knows what has been concluded.
    cache_policy=NO_CACHE,
    result_serializer=persisted(Promotion),
    timeout_seconds=600,
)
def conclude_version(judged: Judgement, actor: str, reason: str) -> Promotion:
    """Enter what the version has earned into the promotion ledger and move its alias last."""
    with open_registry(settings()) as registry:
        return finish(registry, judged, actor=actor, reason=reason)


@flow(name="promote")
def promote(symbol: str = "", version: str = "") -> list[str]:
    """Judge a version, the newest when none is named; without a symbol, of every one.

    A failed gate is a result and completes the run; its figures are in the artifact. With
    ``promotion.mode`` manual the run of one symbol pauses before a promotion until a person
    answers its form; a run over all symbols then leaves what would have to be asked about.

    Returns
    -------
    list of str
        ``<model>/<version> <alias>`` of each.
    """
    show = ProgressBar("promote-progress")
    symbols = (symbol,) if symbol else known_symbols(settings())
    results = []
    for done, name in enumerate(symbols, 1):
        try:
            judged = judge_version(name, version)
        except NotFound as error:
            if symbol:
                raise
            get_run_logger().info("%s is left out: %s", name, error)
            continue
        _publish_gates(name, judged)
        result = _conclude(judged, alone=bool(symbol))
        get_run_logger().info("%s version %s: %s", result.model, result.version, result.note)
        show(done, len(symbols), f"{name}: {result.note}")
        results.append(result)
    return [f"{result.model}/{result.version} {result.alias}" for result in results]


def _conclude(judged: Judgement, *, alone: bool) -> Promotion:
    held = judged.version
    if not judged.passed or settings().promotion.mode == "auto":
        return _entered(judged, "flow promote", AUTO if judged.passed else "")
    if not alone:
        note = "every gate passed; promote it by name, so that somebody is asked"
        return Promotion(held.model, held.version, judged.gates, "", note)
    answer = pause_flow_run(
        wait_for_input=Approval.with_initial_data(
            description=f"**{held.model} version {held.version}** passed every gate. Let it trade?",
            who="",
            why="",
        ),
        timeout=settings().promotion.approval_timeout_secs,
    )
    if not answer.approve:
        note = f"every gate passed; {answer.who} refused it: {answer.why}"
        return Promotion(held.model, held.version, judged.gates, "", note)
    return _entered(judged, answer.who, answer.why)


def _entered(judged: Judgement, actor: str, reason: str) -> Promotion:
    try:
        return conclude_version(judged, actor, reason)
    except Conflict as error:
        # Told, not failed: the other promotion stands, and this version may be judged anew.
        held = judged.version
        return Promotion(held.model, held.version, judged.gates, "", str(error))


def _publish_gates(symbol: str, judged: Judgement) -> None:
    rows = [
        {"gate": gate.name, "meaning": gate.meaning, "verdict": str(gate)} for gate in judged.gates
    ]
    word = "every gate passed" if judged.passed else "a gate failed"
    title = f"version {judged.version.version}: {word}"
    create_table_artifact(rows, f"promote-{symbol.lower()}-gates", title)
