"""Whoever asks for documents and does not read the answers is told to come again, and takes no disk from the others."""

import attrs
import pytest
from lxml import etree

from hub import config
from hub.formats.spool import Drawer
from hub.intake import unread_answers
from hub.intake.intake import Intake
from hub.intake.signed_response import SignedResponse
from hub.soap import documents_requests as calls
from hub.soap.attachments import Outgoing
from hub.store import transactions
from tests import databases, frontdesk, homes, pki
from tests.packets import document

ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")
SIZE = len(document())  #: so much lies after one answer; more, after two


@attrs.define
class Port:
    """An intake, and the answers that nobody has read yet."""

    intake: Intake
    calls: int = 0

    def ask(self, call, who, drawer):
        """Return the answer to *call* of *who*; it lies in *drawer*."""
        self.calls += 1
        return frontdesk.ask(self.intake, who, call, earlier=self.calls, drawer=drawer)


@pytest.fixture
def port(tmp_path):
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    me, other = frontdesk.partner("me", ME, "H55.13"), frontdesk.partner("other", OTHER, "H55.01")
    yield Port(frontdesk.intake(made, engine, me, other))
    engine.dispose()


@pytest.mark.parametrize("name", ["GetDocument", "GetTraces"])
def test_who_reads_no_answer_gets_no_more_until_he_has(port, monkeypatch, name):
    monkeypatch.setattr(unread_answers, "LYING", SIZE)
    sent = port.ask(calls.SendDocument(document(to="H55.01"), "m1"), ME, Drawer())
    assert b"IsSuccess>true<" in sent.body.read()
    waiting = etree.fromstring(port.ask(calls.GetPendingDocumentIds("H55.01"), OTHER, Drawer()).body.read())
    wanted = calls.GetDocument(waiting.findtext(".//{*}DocumentId") or "")
    unread = [Drawer(), Drawer()]
    assert not any(port.ask(wanted, OTHER, drawer).fault for drawer in unread)
    another = wanted if name == "GetDocument" else calls.GetTraces("H55.01")
    refused = port.ask(another, OTHER, Drawer())
    assert refused.retry_after
    assert b"hub-busy" in refused.body.read()
    assert not port.ask(calls.GetTraces("H55.13"), ME, Drawer()).fault, "the others notice nothing"
    unread[0].close()
    assert not port.ask(another, OTHER, Drawer()).fault


def test_an_answer_that_came_from_another_process_lies_here_until_it_is_read(port, monkeypatch):
    monkeypatch.setattr(unread_answers, "LYING", SIZE)
    long = SignedResponse(Outgoing("text/xml", [b"x" * SIZE]))

    async def answer(_call):
        return long

    port.intake._dear.elsewhere = answer
    dear = calls.SendDocument(document(to="H55.01"), "x" * 20_000)
    unread = [Drawer(), Drawer()]
    assert [port.ask(dear, ME, drawer) for drawer in unread] == [long, long]
    assert port.ask(dear, ME, Drawer()).retry_after
    assert port.ask(dear, OTHER, Drawer()) == long, "the others notice nothing"
    unread[0].close()
    assert port.ask(dear, ME, Drawer()) == long
