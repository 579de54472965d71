"""Trading state by scope: global, account, strategy, symbol; the most restrictive one counts."""

from typing import NamedTuple

from core.instruments import InstrumentTable
from core.types import TradingState

GLOBAL = "global"
_KINDS = ("account", "strategy", "symbol")
_STRICTNESS = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class Scopes(NamedTuple):
    """Names that a scope may have; strategies are named by their callers."""

    account: str
    symbols: frozenset[str]

    def refusal(self, scope: str) -> str:
        """Say what is wrong with a scope; empty when it is ``global`` or one of ours."""
        kind, _, name = scope.partition(":")
        if scope == GLOBAL:
            return ""
        if kind not in _KINDS or not name:
            return f"{scope!r} is no scope of a trading state"
        if kind == "symbol" and name not in self.symbols:
            return f"unknown symbol {name!r}; known: {', '.join(sorted(self.symbols))}"
        if kind == "account" and name != self.account:
            return f"account {name!r} is not traded here"
        return ""


def known_scopes(account: str, instruments: InstrumentTable) -> Scopes:
    """Return the scopes of an account."""
    return Scopes(account, frozenset(row.symbol for row in instruments))


class TradingStates:
    """State and reason per scope; a scope that nobody set is ACTIVE, except the global one."""

    def __init__(self, start: TradingState, reason: str) -> None:
        self._states = {GLOBAL: (start, reason)}

    @property
    def state(self) -> TradingState:
        """State of the whole house."""
        return self._states[GLOBAL][0]

    @property
    def reason(self) -> str:
        """Why the whole house is in its state."""
        return self._states[GLOBAL][1]

    def scopes(self) -> dict[str, tuple[TradingState, str]]:
        """State and reason of every scope that was set."""
        return dict(self._states)

    def set(self, scope: str, state: TradingState, reason: str) -> None:
        """Set one scope."""
        self._states[scope] = (state, reason)

    def is_stricter(self, scope: str, state: TradingState) -> bool:
        """Say whether `state` allows less than what the scope has now."""
        held = self._states.get(scope, (TradingState.ACTIVE, ""))[0]
        return _STRICTNESS[state] > _STRICTNESS[held]

    def of(self, account: str, strategy: str, symbol: str) -> TradingState:
        """Return the most restrictive state of an order's scopes."""
        worst = self._states[GLOBAL][0]
        if len(self._states) == 1:
            return worst
        for scope in (f"account:{account}", f"strategy:{strategy}", f"symbol:{symbol}"):
            state = self._states.get(scope, (worst, ""))[0]
            if _STRICTNESS[state] > _STRICTNESS[worst]:
                worst = state
        return worst
