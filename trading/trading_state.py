"""Trading state by scope: global, account, strategy, symbol; the most restrictive one counts."""

from core.types import TradingState

GLOBAL = "global"
_KINDS = ("account", "strategy", "symbol")
_STRICTNESS = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


def is_scope(scope: str) -> bool:
    """Say whether it is ``global`` or ``<kind>:<name>`` with a known kind and a name."""
    kind, _, name = scope.partition(":")
    return scope == GLOBAL or (kind in _KINDS and bool(name))


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
