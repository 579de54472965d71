"""Judge one version and let it hold what it has earned; what flow and command line both call."""

from pathlib import Path

from core.config import Config
from core.errors import ArtifactRefused, NotFound
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from flows.judging import figures_of
from models.inference.artifact import LoadedModel
from models.manifest import model_name
from registry.gates import POLICY, read_policy
from registry.loading import RegisteredVersion
from registry.opening import Registry, open_registry
from registry.promotion import SOURCE_TAG, Judgement, Promotion, conclude, refuse, store_verdicts
from registry.promotion_ledger import Entry
from registry.registration import newest_version
from registry.tracking import connect


def promote(
    config: Config,
    symbol: str,
    version: str = "",
    *,
    actor: str = "promote",
    reason: str = "",
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> Promotion:
    """Judge a version and conclude at once: for mode ``auto``, or with a person's word.

    Raises
    ------
    NotFound
        When the symbol has no such version.
    ArtifactRefused
        When the version cannot be loaded; nothing moves then.
    Conflict
        When another promotion was first.
    Unavailable
        When MLflow does not answer.
    """
    with open_registry(config) as registry:
        judged = judge(config, registry, symbol, version, instruments=instruments)
        return finish(registry, judged, actor=actor, reason=reason)


def judge(
    config: Config,
    registry: Registry,
    symbol: str,
    version: str = "",
    *,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> Judgement:
    """Load a version as serving would, find every gate's figure, store the verdicts on it."""
    instrument = instruments.by_symbol(symbol)
    name = model_name(symbol)
    client = connect(config.mlflow)
    number = version or newest_version(client, name)
    if number is None:
        raise NotFound(f"there is no version of {name}; train one first")
    upon = registry.served.reconcile(name)
    registered = registry.reader.version(name, number)
    try:
        model, folder = registry.load(registered)
    except ArtifactRefused as error:
        refuse(client, registered, str(error))
        raise
    champion = _rival(registry, upon, registered)
    figures = figures_of(config, instrument, model, folder, champion)
    policy = read_policy(Path(config.promotion.policy) if config.promotion.policy else POLICY)
    gates = policy.judge(figures, against_champion=champion is not None)
    judged = Judgement(registered, gates, upon)
    store_verdicts(client, judged, policy.version)
    return judged


def finish(registry: Registry, judged: Judgement, *, actor: str, reason: str) -> Promotion:
    """Smoke-test what passed, enter it into the ledger, move the alias last."""
    if judged.passed:
        registry.smoke_test(judged.version)
    return conclude(registry.ledger, registry.served.show, judged, actor=actor, reason=reason)


def _rival(
    registry: Registry, upon: Entry | None, candidate: RegisteredVersion
) -> LoadedModel | None:
    """Champion to beat: another version that learnt from the same tape and still loads."""
    champion = None if upon is None else upon.standing.champion
    if champion is None or champion.version == candidate.version:
        return None
    if champion.tags.get(SOURCE_TAG) != candidate.tags.get(SOURCE_TAG):
        return None
    try:
        return registry.load(champion)[0]
    except ArtifactRefused:
        return None  # it could not serve either
