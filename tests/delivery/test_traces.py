"""The trace context of a message: sent on with each attempt, and not kept with the exchange, which would differ each time."""

from hub.domain.trace_context import find_trace_id, read_traceparent
from hub.journal import messages as written
from hub.journal.queue import exchanges
from hub.store import transactions
from tests.outgoing import Desk
from tests.province import ROUTES, document, entry

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_every_attempt_is_a_span_in_the_trace_of_its_message(desk: Desk) -> None:
    desk.up["vpub"] = False
    desk.start()
    message = desk.take(1, "H55.01")
    desk.pass_time(3)
    desk.up["vpub"] = True
    desk.pass_time(10)
    sent = [each["traceparent"] for each in desk.headers]
    assert len(sent) == len(set(sent)) == 3
    assert [read_traceparent(each) for each in sent] == sent
    assert {each[3:35] for each in sent} == {find_trace_id(message, None)}


def test_the_trace_of_a_call_goes_on_to_the_recipient(desk: Desk) -> None:
    judged = entry(document("H55.13", "H55.01", document_id="D1"), 1, at=desk.now(), trace=TRACEPARENT)
    with transactions.write_transaction(desk.engine) as tx:
        taken = written.record_message(tx, judged, ROUTES)
    desk.start()
    desk.pass_time(2)
    (sent,) = (each["traceparent"] for each in desk.headers)
    assert sent != TRACEPARENT
    assert (sent[3:35], sent[-2:]) == (TRACEPARENT[3:35], "01")
    with transactions.read_transaction(desk.engine) as tx:
        (kept,) = exchanges.read_attempts(tx, taken.id)
    assert "traceparent" not in str(kept)
