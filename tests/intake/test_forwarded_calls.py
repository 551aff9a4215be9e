"""Which calls another process answers: those whose octets are dear, and those whose last answer was long."""

from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred

from hub import config
from hub.domain.errors import Unready
from hub.formats.spool import Drawer, Octets
from hub.intake import dear_calls
from hub.intake.dear_calls import LARGE, ArrivedCall, DearCalls
from hub.intake.signed_response import SignedResponse
from hub.language.phrases import phrase
from hub.runtime.thread_pool import THRESHOLD
from hub.soap import documents_requests
from hub.soap.attachments import Manner, Outgoing
from hub.store import transactions
from tests import databases, frontdesk, homes, pki
from tests.packets import letter

ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")
GIVEN = SignedResponse(Outgoing("text/xml", [b"from elsewhere"]))
SMALL = documents_requests.SendDocument(letter("H55.13", ["H55.01"], document_id="D1"))
DEAR = documents_requests.SendDocument(letter("H55.13", [f"H55.{n}" for n in range(400)], document_id="D2"))


@pytest.fixture
def drawer():
    """The files of the calls of a test."""
    made = Drawer()
    yield made
    made.close()


@attrs.define
class Elsewhere:
    """Another process: what it was asked, and what it says."""

    says: Any = GIVEN
    asked: list[str] = attrs.field(factory=list)

    async def __call__(self, call: ArrivedCall) -> Any:
        self.asked.append(call.service)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def desk(tmp_path):
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    yield frontdesk.intake(
        made, engine, frontdesk.partner("me", ME, "H55.13"), frontdesk.partner("other", OTHER, "H55.01")
    )
    engine.dispose()


def test_a_dear_call_is_answered_elsewhere_and_an_ordinary_one_here(desk, drawer):
    desk._dear.elsewhere = elsewhere = Elsewhere()
    assert frontdesk.ask(desk, ME, SMALL).body.read() != GIVEN.body.read()
    assert elsewhere.asked == []
    assert frontdesk.ask(desk, ME, DEAR, drawer=drawer) == GIVEN
    assert elsewhere.asked == ["documents"]


def test_a_caller_that_is_no_partner_is_refused_here(desk, drawer):
    desk._dear.elsewhere = elsewhere = Elsewhere()
    assert frontdesk.ask(desk, pki.partner("nobody"), DEAR, drawer=drawer).fault
    assert elsewhere.asked == []


@pytest.mark.parametrize("elsewhere", [None, Elsewhere(says=None)], ids=["no other process", "one that is not ready"])
def test_a_dear_call_is_answered_here_where_no_other_process_does(desk, drawer, elsewhere):
    desk._dear.elsewhere = elsewhere
    answer = frontdesk.ask(desk, ME, DEAR, drawer=drawer)
    assert not answer.fault
    assert answer.body.read() != GIVEN.body.read()


def test_when_the_other_process_ends_the_same_call_may_be_sent_again(desk, drawer):
    desk._dear.elsewhere = elsewhere = Elsewhere(
        says=Unready("hub-busy", phrase("the process that answered the call has ended"), 1)
    )
    refused = frontdesk.ask(desk, ME, DEAR, drawer=drawer)
    assert (refused.fault, refused.retry_after) == (True, 1)
    assert b"hub-busy" in refused.body.read()
    elsewhere.says = None
    assert not frontdesk.ask(desk, ME, DEAR, drawer=drawer).fault


def forwarded(calls, question, cost=1, size=0):
    """Tell whether a call of so many octets with that *question* is forwarded."""
    before = len(calls.elsewhere.asked)
    call = ArrivedCall(question[1], Octets.of(b"x" * size), Manner(), ME.certificate, Drawer(), bool)
    _ = Deferred.fromCoroutine(calls.forward(call, question, cost))
    return len(calls.elsewhere.asked) > before


def test_a_question_whose_last_answer_was_long_is_dear_until_one_is_short():
    calls, question = DearCalls(cast("Any", Elsewhere())), ("me", "documents", "GetTraces")
    assert not forwarded(calls, question)
    calls.note_answer(question, THRESHOLD)
    assert forwarded(calls, question)
    assert not forwarded(calls, ("other", "documents", "GetTraces"))
    calls.note_answer(question, THRESHOLD - 1)
    assert not forwarded(calls, question)
    assert forwarded(calls, question, cost=THRESHOLD)
    assert forwarded(calls, question, size=LARGE)


def test_who_asks_ever_other_questions_takes_no_more_memory(monkeypatch):
    monkeypatch.setattr(dear_calls, "_REMEMBERED", 10)
    calls = DearCalls()
    for number in range(100):
        calls.note_answer(("me", "documents", f"action {number}"), THRESHOLD)
        assert len(calls._long) <= 10
