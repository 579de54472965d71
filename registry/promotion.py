"""The gates between a registered version and the alias ``champion``.

A gate is a figure and a threshold, declared here and nowhere else. All verdicts are stored on the
version; only then does an alias move, and it moves last. A failed gate is a result, not an error:
the version may then be watched under ``bootstrap`` while there is no champion.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from mlflow import MlflowClient

from core.errors import NotFound
from models.manifest import Manifest
from registry.loading import BOOTSTRAP, CHAMPION, RegisteredVersion, RegistryReader

MIN_TRADES = 30
MIN_DSR = 0.95
MAX_LOSS = 0.5
SOURCE_TAG = "data_source"

Rule = Literal[">", ">=", "<", "<="]
_RULES: dict[str, Callable[[float, float], bool]] = {
    ">": lambda figure, threshold: figure > threshold,
    ">=": lambda figure, threshold: figure >= threshold,
    "<": lambda figure, threshold: figure < threshold,
    "<=": lambda figure, threshold: figure <= threshold,
}


class Gate(msgspec.Struct, frozen=True):
    """One condition of promotion with what was found."""

    name: str
    meaning: str
    figure: float
    rule: Rule
    threshold: float

    @property
    def passed(self) -> bool:
        """Whether the figure satisfies the rule; one that is not finite never does."""
        return math.isfinite(self.figure) and _RULES[self.rule](self.figure, self.threshold)

    def __str__(self) -> str:
        verdict = "pass" if self.passed else "fail"
        return f"{verdict}: {self.figure:.6g} {self.rule} {self.threshold:.6g}"


class Promotion(msgspec.Struct, frozen=True):
    """What became of a version; `alias` is the one it holds now, or empty."""

    model: str
    version: str
    gates: tuple[Gate, ...]
    alias: str
    note: str

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)


def skill_gates(manifest: Manifest) -> tuple[Gate, ...]:
    """Gates on the walk-forward results, which are net of cost and never from the holdout."""

    def figure(name: str) -> float:
        return manifest.metrics.get(name, math.nan)

    return (
        Gate("trades", "out-of-sample round trips", figure("trades"), ">=", MIN_TRADES),
        Gate(
            "net_pips_lower",
            "95 % lower bound of mean net pips per trade",
            figure("net_pips_per_trade_lower"),
            ">",
            0.0,
        ),
        Gate(
            "beats_no_skill",
            "net pips over those of the same policy without skill",
            figure("net_pips") - figure("no_skill_net_pips"),
            ">",
            0.0,
        ),
        Gate(
            "log_loss_ratio",
            "log-loss over that of the base rate",
            figure("log_loss") / (figure("base_log_loss") or math.nan),
            "<",
            1.0,
        ),
        Gate("dsr", "Deflated Sharpe Ratio for all trials", figure("dsr"), ">=", MIN_DSR),
        # Kept for the record: among near-equal alternatives it is about one half even with skill,
        # so it fails only where it is missing or nothing could be told apart.
        Gate("pbo", "Probability of Backtest Overfitting", figure("pbo"), "<", 1.0),
        Gate(
            "loss",
            "share of choices by one half of time that earned nothing in the other",
            figure("loss_probability"),
            "<",
            MAX_LOSS,
        ),
    )


def parity_gate(compared: int, *, equal: bool) -> Gate:
    """Feature rows of the stream against those of the batch; nothing compared fails as well."""
    figure = math.nan if compared == 0 else float(not equal)
    return Gate(
        "parity", f"1 if stream and batch differ in any of {compared} rows", figure, "<=", 0.0
    )


def leak_gate(tried: int, leaks: int) -> Gate:
    """Feature rows that moved when only the future was changed; nothing tried fails as well."""
    figure = math.nan if tried == 0 else float(leaks)
    return Gate("no_leak", f"rows moved by the future, of {tried} tried", figure, "<=", 0.0)


def canary_gate(worst: float, tolerance: float) -> Gate:
    """Largest error on the canary rows of the version as loaded back from the registry."""
    return Gate("canary", "worst error in p of the loaded version", worst, "<=", tolerance)


def refuse(client: MlflowClient, version: RegisteredVersion, why: str) -> None:
    """Note that a version could not even be loaded; no alias moves."""
    client.set_model_version_tag(version.model, version.version, "gate.canary", f"fail: {why}")
    client.set_model_version_tag(version.model, version.version, "gates", "failed")


def conclude(
    client: MlflowClient,
    reader: RegistryReader,
    version: RegisteredVersion,
    gates: Sequence[Gate],
) -> Promotion:
    """Store the verdicts on the version, then move the alias that it has earned."""
    model, number = version.model, version.version
    for gate in gates:
        client.set_model_version_tag(model, number, f"gate.{gate.name}", str(gate))
    passed = all(gate.passed for gate in gates)
    client.set_model_version_tag(model, number, "gates", "passed" if passed else "failed")
    if passed:
        client.set_registered_model_alias(model, CHAMPION, number)
        return Promotion(model, number, tuple(gates), CHAMPION, "every gate passed")
    alias, note = _without_champion(client, reader, version)
    return Promotion(model, number, tuple(gates), alias, note)


def _without_champion(
    client: MlflowClient, reader: RegistryReader, version: RegisteredVersion
) -> tuple[str, str]:
    champion = _champion(reader, version.model)
    if champion is not None and _keeps_alias(champion, version):
        return "", f"a gate failed; version {champion.version} stays champion"
    client.set_registered_model_alias(version.model, BOOTSTRAP, version.version)
    if champion is None:
        return BOOTSTRAP, "a gate failed and there is no champion: it may be watched, not traded"
    client.delete_registered_model_alias(version.model, CHAMPION)
    return BOOTSTRAP, f"a gate failed; version {champion.version} is champion no more"


def _keeps_alias(champion: RegisteredVersion, failed: RegisteredVersion) -> bool:
    """Tell whether a champion survives the failure of a version.

    Not its own failure; and what was learnt on one tape is no licence to trade another that goes
    by the same symbol.
    """
    same_tape = champion.tags.get(SOURCE_TAG) == failed.tags.get(SOURCE_TAG)
    return same_tape and champion.version != failed.version


def _champion(reader: RegistryReader, model: str) -> RegisteredVersion | None:
    try:
        return reader.resolve(model, CHAMPION)
    except NotFound:
        return None
