"""What /metrics tells of delivery: every attempt once, by its outcome, and how long a message took to its recipient."""

from hub.delivery.push_service import RESCUE
from hub.domain.conversations import Accepted, Request
from hub.domain.measures import ATTEMPT_SECONDS, ATTEMPTS, DELIVERED_SECONDS, LEASES
from hub.domain.model import HUB
from hub.domain.spans import SpanWork, Tracer, WorkSpan, name_span
from hub.journal import messages
from hub.store import transactions
from tests.outgoing import Desk
from tests.province import ROUTES, document, entry


def test_attempts_are_counted_by_outcome_and_the_lag_from_the_acceptance(desk):
    desk.start()
    desk.up["vpub"] = False
    desk.take(1, "H55.01")
    desk.pass_time(1)
    desk.up["vpub"] = True
    desk.pass_time(1)
    assert desk.measures.read(ATTEMPTS) == {("vpub", "unavailable"): [1], ("vpub", "accepted"): [1]}
    (*classes, total) = desk.measures.read(DELIVERED_SECONDS)["vpub",]
    assert (sum(classes), total) == (1, 1.5), "the first retry comes after 1.5 seconds"
    assert sum(desk.measures.read(ATTEMPT_SECONDS)["vpub",][:-1]) == 2


def test_a_conversation_is_as_long_as_its_partner_takes(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    desk.take(1, "H55.01")
    desk.pass_time(3)
    desk.answer()
    (*_, total) = desk.measures.read(ATTEMPT_SECONDS)["vpub",]
    assert total == 3.0


def test_what_a_crash_left_is_taken_back_and_counted(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    desk.take(1, "H55.01")
    after = Desk(desk.engine, desk.clock).start()
    after.pass_time(RESCUE)
    assert after.measures.read(LEASES) == {(): [1]}
    desk.answer()
    assert desk.measures.read(ATTEMPTS) == {("vpub", "stale"): [1]}, "its claim was lost"


def test_an_attempt_is_a_span_with_the_id_that_its_partner_is_told(desk):
    spans: list[WorkSpan] = []
    desk.tracer = Tracer(spans.append, 1.0, desk.now, desk.clock.seconds)
    heard = []

    class Telling:
        def deliver(self, consignment, now):
            reply = yield Request("https://partner/", consignment.content)
            assert reply.status == 200
            return Accepted()

    desk.adapters["vpub"] = Telling()
    send = desk.send

    async def listen(request, partner):
        heard.append(dict(request.headers)["traceparent"])
        return await send(request, partner)

    desk.start()
    desk.service._send = listen
    message = desk.take(1, "H55.01")
    (span,), (told,) = spans, heard
    assert told == f"00-{message.replace('-', '')}-{span.span_id}-01"
    assert (span.work, span.parent_id) == (SpanWork.PUSH, name_span(message, SpanWork.INTAKE))
    assert span.attributes == {"message": message, "partner": "vpub", "attempt": 1, "outcome": "accepted"}


def test_an_attempt_of_what_the_hub_wrote_itself_begins_its_trace(desk):
    spans: list[WorkSpan] = []
    desk.tracer = Tracer(spans.append, 1.0, desk.now, desk.clock.seconds)
    own = entry(document("H55.13", "H55.01"), partner=HUB, at=desk.now(), receipt=None)
    with transactions.write_transaction(desk.engine) as tx:
        taken = messages.record_message(tx, own, ROUTES)
    desk.start()
    desk.pass_time(1)
    assert [(span.work, span.parent_id, span.attributes["message"]) for span in spans] == [
        (SpanWork.PUSH, None, taken.id)
    ]
