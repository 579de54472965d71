"""Gates: what passes, what does not, and that an alias moves last or not at all."""

import math
from pathlib import Path
from typing import Any

import pytest

from core.errors import NotFound
from models.manifest import Manifest
from registry.loading import BOOTSTRAP, CHAMPION, RegisteredVersion
from registry.promotion import (
    MIN_TRADES,
    Gate,
    canary_gate,
    conclude,
    leak_gate,
    parity_gate,
    skill_gates,
)
from tests.registry.conftest import GOOD_METRICS, make_manifest

PASS = Gate("fine", "always passes", 1.0, ">", 0.0)
FAIL = Gate("poor", "never passes", 0.0, ">", 0.0)
MODEL = "direction-EURUSD"


def failed(manifest: Manifest) -> set[str]:
    return {gate.name for gate in skill_gates(manifest) if not gate.passed}


def test_a_version_with_skill_after_cost_passes() -> None:
    assert failed(make_manifest()) == set()


@pytest.mark.parametrize(
    ("metric", "value", "gate"),
    [
        ("trades", MIN_TRADES - 1, "trades"),
        ("net_pips_per_trade_lower", 0.0, "net_pips_lower"),
        ("net_pips_per_trade_lower", math.nan, "net_pips_lower"),
        ("net_pips_per_trade_lower", math.inf, "net_pips_lower"),
        ("no_skill_net_pips", 60.0, "beats_no_skill"),
        ("log_loss", 0.69, "log_loss_ratio"),
        ("base_log_loss", 0.0, "log_loss_ratio"),
        ("dsr", 0.94, "dsr"),
        ("pbo", 1.0, "pbo"),
        ("loss_probability", 0.5, "loss"),
    ],
)
def test_each_skill_gate_fails_alone(metric: str, value: float, gate: str) -> None:
    assert failed(make_manifest(metrics={**GOOD_METRICS, metric: value})) == {gate}


def test_missing_figures_fail_every_skill_gate() -> None:
    names = {gate.name for gate in skill_gates(make_manifest())}
    assert failed(make_manifest(metrics={})) == names


def test_parity_leak_and_canary_pass_only_when_something_was_compared_and_agrees() -> None:
    assert all(g.passed for g in (parity_gate(9, equal=True), leak_gate(9, 0)))
    assert canary_gate(1e-9, 1e-7).passed
    bad = (
        *(parity_gate(9, equal=False), parity_gate(0, equal=True)),
        *(leak_gate(9, 1), leak_gate(0, 0)),
        *(canary_gate(1e-6, 1e-7), canary_gate(math.nan, 1e-7)),
    )
    assert not any(gate.passed for gate in bad)


class FakeClient:
    """Records what is written, in order, and resolves aliases from it."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, ...]] = []
        self.aliases: dict[str, RegisteredVersion] = {}

    def set_model_version_tag(self, model: str, version: str, key: str, value: str) -> None:
        self.writes.append(("tag", version, key, value))

    def set_registered_model_alias(self, model: str, alias: str, version: str) -> None:
        self.writes.append(("alias", version, alias))

    def delete_registered_model_alias(self, model: str, alias: str) -> None:
        self.writes.append(("unalias", alias))

    def resolve(self, model: str, alias: str) -> RegisteredVersion:
        if alias not in self.aliases:
            raise NotFound(alias)
        return self.aliases[alias]


def version(number: str, source: str = "simulator") -> RegisteredVersion:
    tags = {"data_source": source}
    return RegisteredVersion(MODEL, number, "mlflow-artifacts:/x", "0" * 64, tags=tags)


def run(client: Any, subject: RegisteredVersion, *gates: Gate) -> tuple[str, list[tuple[str, ...]]]:
    promotion = conclude(client, client, subject, gates)
    assert promotion.passed == all(gate.passed for gate in gates)
    return promotion.alias, client.writes


def test_the_alias_moves_after_every_verdict_is_stored() -> None:
    alias, writes = run(FakeClient(), version("2"), PASS)
    assert alias == CHAMPION
    assert writes == [
        ("tag", "2", "gate.fine", "pass: 1 > 0"),
        ("tag", "2", "gates", "passed"),
        ("alias", "2", CHAMPION),
    ]


def test_a_failed_gate_bootstraps_when_there_is_no_champion() -> None:
    alias, writes = run(FakeClient(), version("2"), PASS, FAIL)
    assert alias == BOOTSTRAP
    assert writes[-2:] == [("tag", "2", "gates", "failed"), ("alias", "2", BOOTSTRAP)]
    assert ("tag", "2", "gate.poor", "fail: 0 > 0") in writes


def test_a_failed_gate_moves_nothing_while_a_champion_of_the_same_tape_stands() -> None:
    client = FakeClient()
    client.aliases[CHAMPION] = version("1")
    alias, writes = run(client, version("2"), FAIL)
    assert alias == ""
    assert {write[0] for write in writes} == {"tag"}


@pytest.mark.parametrize("champion", [version("1", "/data/other"), version("2")])
def test_a_champion_of_another_tape_or_that_fails_itself_stands_down(
    champion: RegisteredVersion,
) -> None:
    client = FakeClient()
    client.aliases[CHAMPION] = champion
    alias, writes = run(client, version("2"), FAIL)
    assert alias == BOOTSTRAP
    assert writes[-2:] == [("alias", "2", BOOTSTRAP), ("unalias", CHAMPION)]


def test_registration_refuses_what_its_manifest_does_not_name(
    artifact: Any, tmp_path: Path
) -> None:
    from core.errors import ArtifactRefused
    from registry.registration import register

    folder, _ = artifact()
    (folder / "model.pkl").write_bytes(b"code")
    with pytest.raises(ArtifactRefused, match=r"differ in: model\.pkl"):
        register(None, None, folder, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["dsr", "pbo"])
def test_registration_refuses_a_version_that_was_never_judged_for_luck(
    artifact: Any, name: str
) -> None:
    from core.errors import ArtifactRefused
    from registry.registration import register

    metrics = {key: value for key, value in GOOD_METRICS.items() if key != name}
    folder, _ = artifact(metrics=metrics)
    with pytest.raises(ArtifactRefused, match=f"direction-EURUSD comes without {name}"):
        register(None, None, folder, {})  # type: ignore[arg-type]
