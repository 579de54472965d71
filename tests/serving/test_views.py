from core.types import TradingState
from serving.views import ScopeView, state_view
from trading.trading_state import GLOBAL, TradingStates


def test_a_halted_symbol_shows_beside_the_state_of_the_house():
    states = TradingStates(TradingState.ACTIVE, "as configured")
    assert state_view(states).scopes == {}
    states.set("symbol:EURUSD", TradingState.HALTED, "news")
    states.set(GLOBAL, TradingState.REDUCING, "evening")
    shown = state_view(states)
    assert (shown.state, shown.reason) == (TradingState.REDUCING, "evening")
    assert shown.scopes == {"symbol:EURUSD": ScopeView(TradingState.HALTED, "news")}
