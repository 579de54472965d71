"""``tickpath champion | rollback | approve``: who may trade, who might, and why."""

import getpass
from datetime import UTC, datetime

from cli.console import make_console, table
from cli.learn import known
from core.errors import BadInput, NotFound
from core.settings import load_config
from flows.client import PrefectApi
from models.manifest import model_name
from registry.loading import RegisteredVersion
from registry.opening import open_registry
from registry.promotion_ledger import Entry

_NS = 1_000_000_000


def show_champion(symbol: str, at: str | None) -> None:
    """Print who was champion at a time (now when absent), why, and the whole history."""
    config, name = load_config(), model_name(known(symbol))
    with open_registry(config) as registry:
        history = registry.ledger.history(name)
        if not history:
            raise NotFound(f"{name} was never judged; see `tickpath promote`")
        entry = history[-1] if at is None else registry.ledger.champion_at(name, _instant(at))
    console = make_console()
    console.print(f"{name}: {_said(entry)}", markup=False)
    rows = [
        (e.generation, _time(e.at_ns), e.action, e.version, _number(e.standing.champion),
         _number(e.standing.bootstrap), e.actor, e.reason)
        for e in history
    ]  # fmt: skip
    columns = ("#", "when, UTC", "what", "version", "champion", "bootstrap", "who", "why")
    console.print(table(f"promotion ledger of {name}, verified", columns, rows))
    gates = [(gate.name, str(gate)) for gate in entry.gates]
    if gates:
        console.print(table(f"gates at entry {entry.generation}", ("gate", "verdict"), gates))


def run_rollback(symbol: str, version: str | None, reason: str) -> None:
    """Make a former champion the champion again; needs neither MLflow nor Prefect."""
    name = model_name(known(symbol))
    with open_registry(load_config()) as registry:
        entry = registry.roll_back(
            name, actor=getpass.getuser(), reason=reason, version=version or ""
        )
        owed = registry.ledger.projected(name) < entry.generation
    console = make_console()
    console.print(f"{name}: {_said(entry)}", markup=False)
    if owed:
        console.print("MLflow is away: its alias follows when it is back; serving does not wait")


def run_approve(symbol: str, reason: str, *, refuse: bool) -> None:
    """Answer the paused run of the flow ``promote`` that asks about a symbol."""
    api = PrefectApi(load_config().prefect)
    asked = api.paused("promote", {"symbol": known(symbol)})
    if asked is None:
        raise BadInput(f"no run of promote waits for an answer about {symbol}")
    answer = {"approve": not refuse, "who": getpass.getuser(), "why": reason}
    api.resume(asked, answer)
    make_console().print(f"flow run {asked}: {'refused' if refuse else 'approved'}")


def _said(entry: Entry) -> str:
    champion = _number(entry.standing.champion)
    since = f"since {_time(entry.at_ns)} UTC by {entry.actor}: {entry.reason or 'no reason given'}"
    return f"champion {champion} ({entry.action} of version {entry.version}) {since}"


def _number(version: RegisteredVersion | None) -> str:
    return "none" if version is None else version.version


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / _NS, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"--at is a time such as 2026-11-22T14:30, not {text!r}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # The whole of a second that is named counts as "at" it.
    return int(moment.timestamp() * _NS) + (_NS - 1 if not moment.microsecond else 0)
