from core.clock import ManualClock
from core.types import OrderEvent, OrderEventKind, tick
from trading.events import OrderEventIn, QuoteIn, Timer
from trading.inbox import Inbox

ACCEPT = OrderEvent("A", OrderEventKind.ACCEPT, 1)


def quote(instrument, seq):
    return tick(instrument, seq, seq, 1.1, 1.2)


def test_reports_then_commands_then_quotes_stamped_when_taken():
    clock = ManualClock(5)
    inbox = Inbox(clock)
    inbox.put_quote(quote(0, 1))
    inbox.put_command(Timer(0))
    inbox.put_report(ACCEPT)
    assert len(inbox) == 3
    clock.set(9)
    assert inbox.take() == OrderEventIn(9, ACCEPT)
    assert inbox.take() == Timer(9)
    assert inbox.take() == QuoteIn(9, quote(0, 1), True)
    assert inbox.take() is None


def test_only_the_newest_waiting_quote_of_an_instrument_acts():
    inbox = Inbox(ManualClock(1))
    for instrument, seq in [(0, 1), (1, 1), (0, 2), (0, 3), (1, 2)]:
        inbox.put_quote(quote(instrument, seq))
    taken = []
    inbox.drain(lambda event: taken.append((event.quote.instrument, event.quote.seq, event.act)))
    assert taken == [(0, 1, False), (1, 1, False), (0, 2, False), (0, 3, True), (1, 2, True)]


def test_a_report_that_arrives_while_draining_goes_first():
    inbox = Inbox(ManualClock(1))
    for seq in (1, 2):
        inbox.put_quote(quote(0, seq))
    taken = []

    def process(event):
        taken.append(type(event).__name__)
        if len(taken) == 1:
            inbox.put_report(ACCEPT)

    assert inbox.drain(process) == 3
    assert taken == ["QuoteIn", "OrderEventIn", "QuoteIn"]


def test_drain_stops_at_its_limit():
    inbox = Inbox(ManualClock(1))
    for seq in range(1, 6):
        inbox.put_quote(quote(0, seq))
    assert inbox.drain(lambda _: None, limit=2) == 2
    assert len(inbox) == 3
