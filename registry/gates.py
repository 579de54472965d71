"""Gates between a registered version and the alias ``champion``, declared in a versioned file.

A gate is a figure and a threshold. Whoever judges brings the figures; a figure that is missing or
not finite fails its gate.
"""

import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from core.errors import SettingsError

POLICY = Path(__file__).with_name("policy.toml")

Rule = Literal[">", ">=", "<", "<="]
_RULES: dict[str, Callable[[float, float], bool]] = {
    ">": lambda figure, threshold: figure > threshold,
    ">=": lambda figure, threshold: figure >= threshold,
    "<": lambda figure, threshold: figure < threshold,
    "<=": lambda figure, threshold: figure <= threshold,
}


class Gate(msgspec.Struct, frozen=True):
    """One condition of promotion with what was found; NaN stands for a figure nobody brought."""

    name: str
    meaning: str
    figure: float | None
    rule: Rule
    threshold: float

    @property
    def passed(self) -> bool:
        """Whether the figure satisfies the rule; one that is not finite never does."""
        figure = self.figure
        return (
            figure is not None
            and math.isfinite(figure)
            and _RULES[self.rule](figure, self.threshold)
        )

    def __str__(self) -> str:
        verdict = "pass" if self.passed else "fail"
        found = "nothing" if self.figure is None else f"{self.figure:.6g}"
        return f"{verdict}: {found} {self.rule} {self.threshold:.6g}"


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gate as the policy file declares it; `when` limits it to duels with a champion."""

    name: str
    meaning: str
    figure: str
    rule: Rule
    threshold: float
    when: Literal["always", "champion"] = "always"

    def judge(self, figures: Mapping[str, float]) -> Gate:
        """Return the gate with what was found."""
        found = figures.get(self.figure)
        # JSON has no NaN: what is not a number is nothing, in the ledger too.
        figure = found if found is not None and math.isfinite(found) else None
        return Gate(self.name, self.meaning, figure, self.rule, self.threshold)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gates and the version of their declaration."""

    version: str
    gate: tuple[Declared, ...]

    def judge(self, figures: Mapping[str, float], *, against_champion: bool) -> tuple[Gate, ...]:
        """Return every gate that applies, with its verdict."""
        return tuple(
            declared.judge(figures)
            for declared in self.gate
            if against_champion or declared.when == "always"
        )


def read_policy(path: Path = POLICY) -> Policy:
    """Read a policy file.

    Raises
    ------
    SettingsError
        When it is not there, is no such file, declares nothing or a gate twice.
    """
    try:
        policy = msgspec.convert(tomllib.loads(path.read_text()), Policy)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise SettingsError(f"promotion policy {path.name}: {error}") from error
    names = [gate.name for gate in policy.gate]
    if not names or len(set(names)) < len(names):
        raise SettingsError(f"promotion policy {path.name} declares no gate, or one twice")
    return policy
