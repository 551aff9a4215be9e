"""A call is traced from its caller to the next partner: by spans whose ids follow from one another."""

import pytest

from hub import config
from hub.domain.spans import SpanWork, Tracer, WorkSpan, name_span
from hub.soap import documents_requests
from hub.soap.attachments import Manner
from hub.store import transactions
from tests import databases, frontdesk, homes, pki
from tests.packets import letter

ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SENT = documents_requests.SendDocument(letter("H55.13", ["H55.01"], document_id="D1"), "m1")


@pytest.fixture
def traced(tmp_path):
    """The front desk of a hub, and the spans that it tells."""
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    partners = frontdesk.partner("me", ME, "H55.13"), frontdesk.partner("other", OTHER, "H55.01")
    spans: list[WorkSpan] = []
    tracer = Tracer(spans.append, 1.0, lambda: pki.NOW, lambda: 0.0)
    yield frontdesk.intake(made, engine, *partners, tracer=tracer), spans
    engine.dispose()


def test_a_call_is_verified_and_committed_below_its_own_span_and_that_below_its_callers(traced):
    desk, spans = traced
    frontdesk.put(desk, frontdesk.written(ME, SENT), ME, manner=Manner(trace=CALLER))
    verify, commit, intake = spans
    assert [each.work for each in spans] == [SpanWork.VERIFY, SpanWork.COMMIT, SpanWork.INTAKE]
    assert {each.trace_id for each in spans} == {CALLER[3:35]}
    assert intake.parent_id == CALLER[36:52]
    assert verify.parent_id == commit.parent_id == intake.span_id
    assert intake.attributes == {"message": intake.attributes["message"], "service": "documents", "partner": "me"}
    assert not intake.failed
    assert intake.span_id == name_span(str(intake.attributes["message"]), SpanWork.INTAKE)


def test_a_call_that_gets_a_fault_has_failed_with_its_code(traced):
    desk, spans = traced
    frontdesk.put(desk, b"<not-well-formed", ME, manner=Manner(trace=CALLER))
    verify, intake = spans
    assert (verify.failed, intake.failed, intake.attributes["failure"]) == (True, True, "not-well-formed")
