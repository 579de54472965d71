"""Gates: what passes, what does not, and what a policy file may say."""

import math
from pathlib import Path

import msgspec
import pytest

from core.errors import SettingsError
from registry.gates import POLICY, Gate, read_policy

GOOD = {
    "trades": 120.0,
    "net_pips_per_trade_lower": 0.2,
    "net_pips_over_no_skill": 60.0,
    "net_pips_over_champion": 5.0,
    "log_loss_ratio": 0.95,
    "dsr": 0.99,
    "pbo": 0.3,
    "loss_probability": 0.1,
    "parity_differs": 0.0,
    "leaks": 0.0,
    "canary_error": 1e-9,
    "predict_p99_us": 12.0,
    "size_bytes": 1e6,
    "domain_coverage": 0.97,
}
# For each figure one value that just fails.
POOR = {
    "trades": 29.0,
    "net_pips_per_trade_lower": 0.0,
    "net_pips_over_no_skill": 0.0,
    "net_pips_over_champion": 0.0,
    "log_loss_ratio": 1.0,
    "dsr": 0.94,
    "pbo": 1.0,
    "loss_probability": 0.5,
    "parity_differs": 1.0,
    "leaks": 1.0,
    "canary_error": 1.01,
    "predict_p99_us": 5_001.0,
    "size_bytes": 3e8,
    "domain_coverage": 0.49,
}


def failed(figures: dict[str, float], *, against_champion: bool = True) -> set[str]:
    gates = read_policy().judge(figures, against_champion=against_champion)
    return {gate.name for gate in gates if not gate.passed}


def test_good_figures_pass_every_gate_and_each_gate_has_a_figure_here() -> None:
    assert failed(GOOD) == set()
    assert {gate.figure for gate in read_policy().gate} == set(GOOD) == set(POOR)


@pytest.mark.parametrize("figure", sorted(POOR))
def test_each_gate_fails_alone_when_poor_missing_or_not_finite(figure: str) -> None:
    (name,) = [gate.name for gate in read_policy().gate if gate.figure == figure]
    for value in (POOR[figure], math.nan, math.inf, -math.inf):
        assert failed({**GOOD, figure: value}) == {name}
    assert failed({key: value for key, value in GOOD.items() if key != figure}) == {name}


def test_the_duel_is_asked_for_only_against_a_champion() -> None:
    poor = {**GOOD, "net_pips_over_champion": -1.0}
    assert failed(poor) == {"beats_champion"}
    assert failed(poor, against_champion=False) == set()


def test_a_verdict_survives_storage_also_without_a_figure() -> None:
    for gate in read_policy().judge({**GOOD, "dsr": math.nan}, against_champion=True):
        assert msgspec.json.decode(msgspec.json.encode(gate), type=Gate) == gate
    assert str(Gate("dsr", "", None, ">=", 0.95)) == "fail: nothing >= 0.95"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "version"),
        ('version = "1"\ngate = []\n', "no gate"),
        ('version = "1"\nnonsense = 1\ngate = []\n', "nonsense"),
        ("version = ", "policy odd.toml"),
        (POLICY.read_text().replace('rule = ">="', 'rule = "=>"'), "=>"),
        (POLICY.read_text().replace('name = "pbo"', 'name = "dsr"'), "twice"),
    ],
)
def test_an_odd_policy_file_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_policy(path)


def test_a_missing_policy_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.toml"):
        read_policy(tmp_path / "gone.toml")
