import ast
import inspect
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from core.errors import BadInput, JournalError, NotFound, Unavailable
from core.types import Decision, Direction, OrderEventKind, OrderStatus, Side, TradingState
from trading.engine import MAX_LISTENERS, TradingEngine
from trading.events import (
    CancelOrder,
    FeaturesRebuilt,
    ModelSwapped,
    OrderEventIn,
    QuoteIn,
    SessionChanged,
    SetTradingState,
    Timer,
)
from trading.ids import IdBlocks, decision_number, decision_prefix
from trading.journal import FileJournal, MemoryJournal
from trading.outputs import FillUpdate, OrderUpdate, StateUpdate
from trading.records import Denied, Happened, IdBlock, Intent, Kept, StateChanged, decode

K, S = OrderEventKind, OrderStatus
SEC = 1_000_000_000


def decisions(house):
    return [output for output in house.outputs if isinstance(output, Decision)]


def records(house):
    return [decode(payload) for payload in house.journal.records]


def test_a_buy_signal_walks_to_the_wire_journal_first(build):
    journal, order_of = MemoryJournal(), []
    house = build(journal=journal)
    append = journal.append
    journal.append = lambda payload: (order_of.append("journal"), append(payload))[1]
    send = house.broker.send
    house.broker.send = lambda order: (order_of.append("send"), send(order))[1]
    house.quote(p=0.9)
    (decision,) = decisions(house)
    (order,) = house.broker.sent
    assert decision.direction is Direction.BUY
    assert (order.side, order.quantity, order.status) == (Side.BUY, 10, S.SUBMITTED)
    assert order.key == order.decision_id == decision.decision_id == "PAPER-D1"
    assert order.quote_seq == decision.quote_seq == 1
    assert decision.ts_decide == house.now
    assert order_of[-2:] == ["journal", "send"]
    assert isinstance(records(house)[-1], Intent)
    stages = house.engine.latencies.summaries()
    assert all(stages[name].samples == 1 for name in stages)
    assert set(stages) == {
        "recv", "features", "predict", "decide", "risk", "journal", "send", "tick_to_send"
    }  # fmt: skip


def test_no_row_and_no_act_end_the_walk(house):
    house.features.row = None
    house.quote(p=0.9)
    assert house.predictor.asked == 1  # of the quote that the fixture sent
    house.features.row = [0.0]
    house.quote(act=False)
    assert house.predictor.asked == 1
    assert house.features.seen == [1, 2, 3]
    assert not house.broker.sent


def test_no_model_holds(house):
    house.quote()
    house.predictor.p = None
    house.quote()
    assert decisions(house)[-1].reason == "no_model"
    assert decisions(house)[-1].model == ""


def test_an_unapproved_model_is_watched_but_not_traded(house):
    house.predictor.approved = False
    house.quote(p=0.95)
    last = decisions(house)[-1]
    assert (last.direction, last.reason, last.raw_score) == ("HOLD", "model_not_approved", 0.95)
    assert last.edge_pips > 0
    assert not house.broker.sent


def test_one_order_at_a_time_until_the_outcome_is_known(house):
    house.quote(p=0.9)
    (order,) = house.broker.sent
    house.quote(p=0.1)
    house.report(order, K.LOSE)
    house.quote(p=0.1)
    assert len(house.broker.sent) == 1
    house.fill(order)
    house.quote(p=0.1)
    close = house.broker.sent[1]
    assert (close.side, close.quantity) == (Side.SELL, 10)
    house.fill(close, exec_id="x2")
    house.quote(p=0.1)
    assert house.broker.sent[2].side is Side.SELL


def test_hold_closes_after_the_horizon_of_the_tape(house):
    house.quote(p=0.9)
    house.fill(house.broker.sent[0])
    house.quote(p=0.5, after_ns=59 * SEC)
    assert len(house.broker.sent) == 1
    house.quote(p=0.5, after_ns=SEC)
    assert (house.broker.sent[1].side, house.broker.sent[1].quantity) == (Side.SELL, 10)


def test_the_model_leaves_manual_positions_alone(house):
    order = house.submit("manual", 30).order
    house.fill(order, 30)
    house.quote(p=0.5, after_ns=3_600 * SEC)
    house.quote(p=0.9)
    assert [o.strategy for o in house.broker.sent] == ["manual", "model"]
    assert house.account.portfolio.strategy_position("manual", 0)[0] == 30


def test_no_caller_is_the_model(house):
    with pytest.raises(BadInput, match="model"):
        house.submit("a", strategy="model")
    caller = house.submit(f"PAPER-D{house.engine.decision_ids.next_number}").order
    house.quote(p=0.9)
    assert [order.strategy for order in house.broker.sent] == ["manual", "model"]
    assert house.broker.sent[1].key == caller.key
    assert house.broker.sent[1].client_order_id != caller.client_order_id
    again = house.submit(caller.key)
    assert again.repeated
    assert again.order.client_order_id == caller.client_order_id


@pytest.mark.parametrize("other", ["OTHER", "PAPER-D1", "PAPER-D", ""])
def test_decisions_of_two_accounts_never_share_an_id(other):
    ids = [IdBlocks(MemoryJournal(), decision_prefix(name)).take() for name in ("PAPER", other)]
    assert ids[0] != ids[1]
    assert [decision_number(name, "PAPER") for name in ids] == [1, None]
    assert decision_number(ids[1], other) == 1


def test_an_order_that_was_not_sent_is_not_timed(house):
    house.quote(p=0.9)
    (order,) = house.broker.sent
    house.fill(order)
    house.quote(p=0.1, after_ns=SEC)
    house.engine.decision_ids.start_at(2)  # as if a count began again
    house.fill(house.broker.sent[1], exec_id="x2")
    house.quote(p=0.9)
    assert len(house.broker.sent) == 2
    assert house.engine.latencies.summaries()["tick_to_send"].samples == 2


def test_a_denial_of_the_model_is_told_once_until_something_changes(build):
    house = build({"min_equity": Decimal(10**9)})

    def denials():
        return [r for r in records(house) if isinstance(r, Denied)]

    for _ in range(50):
        house.quote(p=0.9)
    (first,) = denials()
    assert (first.refused.check, first.refused.largest_lots) == ("margin", "0")
    assert len(house.account.book) == 1
    assert sum(isinstance(output, OrderUpdate) for output in house.outputs) == 1
    assert len(decisions(house)) == 50
    house.quote(p=0.1)  # another order
    assert len(denials()) == 2
    house.process(SessionChanged(house.now, False))
    house.quote()  # another check
    assert denials()[-1].refused.check == "session"
    house.process(SessionChanged(house.now, True))
    house.quote()
    assert len(denials()) == 4
    house.quote(after_ns=60 * SEC)  # a reminder
    assert len(denials()) == 5
    house.account.risk.limits = house.limits = replace(house.limits, min_equity=Decimal(1))
    house.quote()  # and nothing is held back that passes
    assert len(denials()) == 5
    assert len(house.broker.sent) == 1


def test_starts_halted_and_the_model_stays_quiet(build):
    house = build(enabled_at_start=False)
    house.quote(p=0.9)
    assert not house.broker.sent
    assert decisions(house)[0].direction is Direction.BUY
    assert not [r for r in records(house) if isinstance(r, Denied)]
    house.process(SetTradingState(house.now, TradingState.ACTIVE, "go", "ann"))
    house.quote(p=0.9)
    assert len(house.broker.sent) == 1


def test_denied_orders_are_journaled_and_answer_the_same_again(house):
    first = house.submit("a", 900)
    assert first.order.status is S.DENIED
    assert first.order.reason.startswith("order_size")
    assert isinstance(records(house)[-1], Denied)
    again = house.submit("a", 900)
    assert again.repeated
    assert (again.order, again.refused) == (first.order, first.refused)


def test_same_key_same_body_sends_once_and_other_body_conflicts(house):
    first = house.submit("a")
    house.report(first.order, K.ACCEPT)
    again = house.submit("a")
    assert again.repeated
    assert again.order.status is S.ACCEPTED
    other = house.submit("a", 11)
    assert other.conflict
    assert other.order.client_order_id == first.order.client_order_id
    assert house.submit("a", strategy="other").conflict
    assert len(house.broker.sent) == 1


def test_what_the_ports_show_is_recorded_as_events_of_its_own(house):
    house.broker.up = False
    lost = house.submit("a").order
    event = house.recorded[-1]
    assert (event.event.client_order_id, event.event.kind) == (lost.client_order_id, K.LOSE)
    house.broker.ready = False
    house.submit("b")
    assert [type(e).__name__ for e in house.recorded[-2:]] == ["SessionChanged", "SubmitOrder"]
    house.journal.healthy = False
    house.submit("c")
    assert isinstance(house.recorded[-2], SetTradingState)


def test_decisions_go_on_without_a_journal(house):
    house.journal.healthy = False
    house.engine.decision_ids.start_at(10)
    house.engine.top_up_ids()
    house.quote(p=0.9)
    assert decisions(house)[-1].decision_id == "PAPER-D10"
    assert not house.broker.sent


def test_a_session_that_breaks_in_send_leaves_the_order_unknown(house):
    house.broker.up = False
    sent = house.submit("a")
    assert sent.refused is None
    assert sent.order.status is S.UNKNOWN
    assert house.account.portfolio.exposure(0).high == 10
    assert [type(r) for r in records(house)[-2:]] == [Intent, Happened]


def test_a_halt_that_the_journal_did_not_take_counts_and_is_told(house):
    """Who halts must know when a restart would trade again."""
    house.journal.healthy = False
    event = SetTradingState(house.now, TradingState.HALTED, "stop", "a human")
    with pytest.raises(Unavailable, match="not beyond"):
        house.engine.process(event)
    assert house.engine.account.states.state is TradingState.HALTED


def test_a_journal_that_fails_sends_nothing_and_halts(house):
    def refuse(_):
        house.journal.healthy = False
        raise JournalError("disk full")

    house.journal.append = refuse
    sent = house.submit("a")
    assert sent.order.status is S.DENIED
    assert "disk full" in sent.refused.reason
    assert not house.broker.sent
    assert house.account.portfolio.exposure(0) == (0, 0)
    assert house.account.states.state is TradingState.HALTED


def test_a_missing_answer_becomes_unknown_and_is_asked_for_not_resent(house):
    order = house.submit("a").order
    house.process(Timer(house.now + 2 * SEC - 1))
    assert house.order(order.client_order_id).status is S.SUBMITTED
    house.process(Timer(house.now + 2 * SEC))
    assert house.order(order.client_order_id).status is S.UNKNOWN
    house.process(Timer(house.now + 3 * SEC))
    assert len(house.broker.asked) == 1
    house.broker.up = False
    house.process(Timer(house.now + 4 * SEC))
    house.broker.up = True
    house.process(Timer(house.now + 6 * SEC))
    assert len(house.broker.asked) == 2
    assert len(house.broker.sent) == 1


def test_a_lost_session_makes_orders_on_their_way_unknown(house):
    waiting, working = house.submit("a").order, house.submit("b").order
    house.report(working, K.ACCEPT)
    house.process(SessionChanged(house.now, False, "gone"))
    assert house.order(waiting.client_order_id).status is S.UNKNOWN
    assert house.order(working.client_order_id).status is S.ACCEPTED


def test_cancel(house):
    order = house.submit("a").order
    house.report(order, K.ACCEPT)
    house.process(CancelOrder(house.now, order.client_order_id))
    assert house.order(order.client_order_id).status is S.PENDING_CANCEL
    assert len(house.broker.canceled) == 1
    house.report(order, K.CANCEL)
    house.process(CancelOrder(house.now, order.client_order_id))
    assert len(house.broker.canceled) == 1
    with pytest.raises(NotFound):
        house.process(CancelOrder(house.now, "nobody"))


def test_a_cancel_without_a_session_is_refused_and_changes_nothing(house):
    order = house.submit("a").order
    house.report(order, K.ACCEPT)
    house.process(SessionChanged(house.now, False, "gone"))
    with pytest.raises(Unavailable):
        house.process(CancelOrder(house.now, order.client_order_id))
    assert house.order(order.client_order_id).status is S.ACCEPTED
    assert not house.broker.canceled


def test_a_cancel_that_was_lost_is_asked_again_while_the_venue_works_the_order(house):
    order = house.submit("a").order
    house.report(order, K.ACCEPT)
    house.process(CancelOrder(house.now, order.client_order_id))
    house.process(SessionChanged(house.now, False, "gone"))
    house.report(order, K.ACCEPT)  # the status answer of the next logon
    assert len(house.broker.canceled) == 1
    house.process(SessionChanged(house.now, True, "reconciled"))
    assert len(house.broker.canceled) == 2
    assert house.order(order.client_order_id).status is S.PENDING_CANCEL
    house.report(order, K.REJECT_CANCEL)
    house.process(SessionChanged(house.now, True, "reconciled"))
    assert len(house.broker.canceled) == 2


def test_a_cancel_in_flight_survives_the_process(house, build):
    order = house.submit("a").order
    house.report(order, K.ACCEPT)
    house.process(CancelOrder(house.now, order.client_order_id))
    again = build(recovered=house.journal.records, ready=False)
    again.report(order, K.ACCEPT)  # the status answer of the first logon
    again.process(SessionChanged(again.now, True, "reconciled"))
    assert len(again.broker.canceled) == 1
    again.report(order, K.CANCEL)
    assert not again.engine.account.cancel_wishes


def test_cancel_passes_when_halted_and_a_broken_session_makes_it_unknown(house):
    order = house.submit("a").order
    house.process(SetTradingState(house.now, TradingState.HALTED, "stop"))
    house.broker.up = False
    house.process(CancelOrder(house.now, order.client_order_id))
    assert house.order(order.client_order_id).status is S.UNKNOWN


@pytest.mark.parametrize("contradiction", ["overfill", "conflict", "stranger", "illegal"])
def test_a_contradiction_of_the_venue_halts(house, contradiction):
    order = house.submit("a").order
    house.fill(order, 6)
    if contradiction == "overfill":
        house.fill(order, 5, exec_id="x2")
    elif contradiction == "conflict":
        house.fill(order, 4)
    elif contradiction == "stranger":
        house.report(msgspec.structs.replace(order, client_order_id="NOBODY"), K.ACCEPT)
    else:
        house.fill(order, 4, exec_id="x2")
        house.report(order, K.CANCEL)
    assert house.account.states.state is TradingState.HALTED
    assert any(isinstance(o, StateUpdate) for o in house.outputs)
    halted = [r for r in records(house) if isinstance(r, StateChanged)]
    assert halted[-1].state is TradingState.HALTED


@pytest.mark.parametrize("where", ["judge_fill", "rate_for"])
def test_an_execution_is_booked_whole_or_not_at_all(house, monkeypatch, where):
    order = house.submit("a").order
    house.report(order, K.ACCEPT)
    before, journaled = house.order(order.client_order_id), len(house.journal.records)

    def broken(*_):
        raise ArithmeticError("bug")

    with monkeypatch.context() as patch:
        patch.setattr(house.account.portfolio, where, broken)
        with pytest.raises(ArithmeticError):
            house.fill(order)
    assert house.order(order.client_order_id) == before
    assert house.account.portfolio.steps() == {}
    assert house.account.book.fills == ()
    assert house.account.states.state is TradingState.HALTED
    (halted,) = records(house)[journaled:]
    assert "ArithmeticError" in halted.reason
    house.fill(order)  # as the venue sends it again: no repeat, and nothing was counted twice
    assert house.account.portfolio.steps() == {0: 10}


def test_a_rate_that_is_no_number_books_nothing(house, monkeypatch):
    order = house.submit("a").order
    monkeypatch.setattr(house.account.portfolio, "rate_for", lambda _: Decimal("sNaN"))
    with pytest.raises(ArithmeticError):
        house.fill(order)
    assert house.account.portfolio.steps() == {}
    assert house.order(order.client_order_id).status is S.SUBMITTED


def test_a_repeated_execution_is_neither_booked_nor_told(house):
    order = house.submit("a").order
    house.fill(order, 4)
    before = len(house.outputs), len(house.journal.records)
    house.fill(order, 4)
    assert (len(house.outputs), len(house.journal.records)) == before
    assert house.account.portfolio.position(0).steps == 4


def test_scope_of_a_trading_state_must_be_known(house):
    for scope in ("", "symbol:", "desk:fx"):
        with pytest.raises(BadInput):
            house.process(SetTradingState(house.now, TradingState.HALTED, "", "", scope))


def test_rebuilds_and_swaps_go_to_their_owners(build):
    house = build()
    called = []
    doors = house.engine._doors
    doors[FeaturesRebuilt] = doors[ModelSwapped] = called.append
    house.process(FeaturesRebuilt(1, 0, 0, 1))
    house.process(ModelSwapped(1, 0, "m", "2", True))
    assert [type(event) for event in called] == [FeaturesRebuilt, ModelSwapped]


def test_listeners_hear_after_the_walk_and_cannot_stop_it(house):
    def broken(_):
        raise RuntimeError("slow client")

    house.engine.subscribe(broken)
    order = house.submit("a").order
    house.fill(order)
    told = house.outputs[-3:]
    assert [type(output) for output in told] == [OrderUpdate, OrderUpdate, FillUpdate]
    assert told[1].order.status is S.FILLED
    assert house.engine.listener_errors == 3
    for _ in range(MAX_LISTENERS - 2):
        house.engine.subscribe(broken)
    with pytest.raises(BadInput):
        house.engine.subscribe(broken)


def test_on_quote_is_short_and_plain():
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(TradingEngine.on_quote)))
    banned = (ast.Await, ast.Try, ast.With, ast.For, ast.While, ast.Import)
    assert not [node for node in ast.walk(tree) if isinstance(node, banned)]


def session(house):
    """A walk with everything in it: fills, a loss of the session, a denial, a cancel, a halt."""
    house.quote(p=0.9)
    house.quote(150.0, 150.02, instrument=2, p=0.5)
    house.fill(house.broker.sent[0], 4)
    house.fill(house.broker.sent[0], 6, exec_id="x2", price_ticks=110_012)
    house.submit("jpy", 20, Side.SELL, 2)
    house.fill(house.broker.sent[1], exec_id="x3", price_ticks=150_000)
    house.submit("big", 900)
    house.quote(1.1003, 1.1004, p=0.1)
    house.process(SessionChanged(house.now, False))
    house.process(SessionChanged(house.now, True))
    house.process(Timer(house.now + 5 * SEC))
    house.report(house.broker.sent[-1], K.REJECT, reason="unknown_order")
    working = house.submit("work", 7).order
    house.report(working, K.ACCEPT, venue_order_id="V7")
    house.process(CancelOrder(house.now, working.client_order_id))
    house.quote(149.0, 149.02, instrument=2, p=0.5, act=False)
    house.submit("back", 20, Side.BUY, 2)
    house.fill(house.broker.sent[-1], exec_id="x4", price_ticks=149_020)
    house.submit("late", 3)
    house.broker.up = False
    house.submit("lost", 4)
    house.process(
        CancelOrder(house.now, house.account.book.by_key("PAPER", "late").client_order_id)
    )
    house.broker.up, house.broker.ready = True, False
    house.quote(p=0.9)
    house.submit("no session", 5)
    house.broker.ready = True
    house.process(SessionChanged(house.now, True))
    house.submit("again", 6)
    house.process(SetTradingState(house.now, TradingState.HALTED, "enough", "ann"))


def without_stages(outputs):
    return [
        msgspec.structs.replace(output, stages_us={}) if isinstance(output, Decision) else output
        for output in outputs
    ]


def test_the_same_events_give_the_same_outputs_to_the_cent(build):
    live, again = build(), build(ready=False)
    session(live)
    for event in live.recorded:
        if isinstance(event, QuoteIn):
            again.predictor.p = score_at(live, event)
        again.process(event)
    assert without_stages(again.outputs) == without_stages(live.outputs)
    assert again.journal.records == live.journal.records
    assert again.account.portfolio.equity() == live.account.portfolio.equity()


def score_at(house, event):
    found = [d.raw_score for d in decisions(house) if d.ts_decide == event.now_ns]
    return found[0] if found else 0.5


def test_recovery_equals_what_was_lost(build, tmp_path):
    journal = FileJournal(tmp_path)
    lost = build(journal=journal)
    session(lost)
    end = lost.now
    journal.healthy = False
    journal.close()
    reopened = FileJournal(tmp_path)
    found = build(journal=reopened, recovered=reopened.recovered, ready=False)
    ours, theirs = lost.account, found.account
    assert theirs.portfolio.steps() == ours.portfolio.steps()
    assert theirs.portfolio.realised == ours.portfolio.realised != 0
    assert theirs.book.fills == ours.book.fills
    assert theirs.refusals == ours.refusals
    assert theirs.states.state is TradingState.HALTED
    assert [o.client_order_id for o in theirs.book.orders()] == [
        o.client_order_id for o in ours.book.orders()
    ]
    doubt = {S.SUBMITTED: S.UNKNOWN, S.PENDING_CANCEL: S.UNKNOWN}
    for order in ours.book.orders():
        assert found.order(order.client_order_id).status is doubt.get(order.status, order.status)
    for instrument in range(3):
        assert theirs.portfolio.exposure(instrument) == ours.portfolio.exposure(instrument)
        for strategy in ("model", "manual"):
            slot = strategy, instrument
            assert theirs.portfolio.strategy_position(*slot) == ours.portfolio.strategy_position(
                *slot
            )
    found.now = end
    assert found.submit("big", 900).repeated
    assert found.submit("jpy", 20, Side.SELL, 2).repeated
    found.quote(p=0.9)
    used = {d.decision_id for d in decisions(lost)}
    assert not used & {d.decision_id for d in decisions(found)}
    reopened.close()


def test_decision_ids_are_reserved_and_synced_before_use(build):
    class Watched(MemoryJournal):
        synced = 0

        def sync(self):
            self.synced = len(self.records)

    house = build(journal=Watched())
    house.quote()
    (block,) = [r for r in records(house) if isinstance(r, IdBlock)]
    kept = len(house.journal.records)
    assert decode(house.journal.records[house.journal.synced - 1]) == block
    assert block.end == 10_001
    house.engine.top_up_ids()
    assert len(house.journal.records) == kept
    for _ in range(5_000):
        house.engine.decision_ids.take()
    house.engine.top_up_ids()
    assert records(house)[-1] == IdBlock("PAPER-D", 20_001)
    assert house.engine.decision_ids.take() == "PAPER-D5002"


@pytest.mark.parametrize(
    ("enabled", "last", "expected"),
    [
        (True, None, "ACTIVE"),
        (False, None, "HALTED"),
        (True, "HALTED", "HALTED"),
        (True, "REDUCING", "REDUCING"),
        (True, "ACTIVE", "ACTIVE"),
        (False, "ACTIVE", "HALTED"),
        (False, "REDUCING", "REDUCING"),
    ],
)
def test_permission_to_trade_over_a_restart(build, enabled, last, expected):
    before = build(enabled_at_start=True)
    if last:
        before.process(SetTradingState(before.now, TradingState(last), "was so"))
    after = build(recovered=before.journal.records, enabled_at_start=enabled)
    assert after.account.states.state == expected


def test_fills_before_the_first_quote_convert_by_their_own_price(build):
    before = build()
    before.quote(150.0, 150.02, instrument=2)
    before.submit("jpy", 100, Side.SELL, 2)
    after = build(recovered=before.journal.records, ready=False)
    order = after.account.book.orders()[0]
    after.process(OrderEventIn(after.now, _fill(order, 150_000, "x1")))
    after.process(SessionChanged(after.now, True))
    assert after.account.portfolio.steps() == {2: -100}
    assert after.account.portfolio.realised == 0
    (update,) = [o for o in after.outputs if isinstance(o, FillUpdate)]
    assert update.rate == 1 / Decimal("150.000")


def _fill(order, price_ticks, exec_id):
    from core.types import Fill, OrderEvent

    fill = Fill(
        "VENUE", exec_id, order.client_order_id, order.instrument, order.side, order.quantity,
        price_ticks, 1, 1,
    )  # fmt: skip
    return OrderEvent(order.client_order_id, K.FILL, 1, fill=fill)


def test_a_kept_value_survives_the_process_and_is_let_go_of(house, build):
    house.engine.desk.keep("risk.day_loss", "2020-09-14", house.now)
    house.engine.desk.keep("risk.day_loss", "2020-09-14", house.now)
    house.engine.desk.keep("risk.peak", "100000", house.now)
    named = [record.name for record in records(house) if isinstance(record, Kept)]
    assert named.count("risk.day_loss") == named.count("risk.peak") == 1
    again = build(recovered=house.journal.records, ready=False)
    assert again.account.kept == house.account.kept
    assert again.account.kept["risk.day_loss"] == "2020-09-14"
    again.engine.desk.keep("risk.day_loss", None, again.now)
    third = build(recovered=[*house.journal.records, *again.journal.records], ready=False)
    assert "risk.day_loss" not in third.account.kept
    assert third.account.kept["risk.peak"] == "100000"
