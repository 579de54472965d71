"""What stops trading by itself: losses of the account, repeated executions of a strategy."""

from collections.abc import Callable

from core.types import Order, TradingState
from trading.account import Account, Change
from trading.events import SetTradingState
from trading.losses import KEPT

SetState = Callable[[SetTradingState], None]
Keep = Callable[[str, str | None, int], None]
_RISK = "risk"


class Watchers:
    """Latches stricter trading states; only a human lifts them.

    Parameters
    ----------
    account : Account
    set_state : callable
        Journals and sets a trading state.
    keep : callable
        Has a named value outlive the process.
    """

    def __init__(self, account: Account, set_state: SetState, keep: Keep) -> None:
        self._account = account
        self._set_state = set_state
        self._keep = keep

    def losses(self, tape_ns: int, now_ns: int) -> None:
        """Look at day loss and drawdown after a mark or a booking."""
        found = self._account.watch_losses(tape_ns)
        if found is not None:
            self._latch(self._account.scope, found.state, found.reason, now_ns)
        self._keep_losses(now_ns)

    def executions(self, change: Change, now_ns: int) -> None:
        """Switch a strategy off that has been executed too often within the window."""
        if self._account.note_execution(change, now_ns):
            count = self._account.risk.caps.executions
            self.stop_strategy(change.applied.after, f"{count} repeated executions", now_ns)

    def stop_strategy(self, order: Order, reason: str, now_ns: int) -> None:
        """Halt the strategy of an order."""
        scope = f"strategy:{order.strategy}"
        if self._account.states.is_stricter(scope, TradingState.HALTED):
            self._latch(scope, TradingState.HALTED, reason, now_ns)

    def re_arm(self, scope: str, now_ns: int) -> None:
        """Begin to count anew in a scope that a human enables.

        Of the account that is the drawdown, never the day's loss; of a strategy its executions.
        """
        kind, _, name = scope.partition(":")
        if kind == "strategy":
            self._account.risk.executions.forget(name)
        elif scope == self._account.scope:
            self._account.risk.losses.forgive()
            self._keep_losses(now_ns)

    def _latch(self, scope: str, state: TradingState, reason: str, now_ns: int) -> None:
        self._set_state(SetTradingState(now_ns, state, reason, _RISK, scope))

    def _keep_losses(self, now_ns: int) -> None:
        kept = self._account.risk.losses.to_keep()
        if kept is not None:
            self._keep(KEPT, kept, now_ns)
