"""Whoever asks for documents and does not read the answers is told to come again, and takes no disk from the others."""

from datetime import timedelta

import attrs
import pytest
from lxml import etree
from twisted.internet.defer import Deferred

from hub import calls, config, contract, documentdesk, store
from hub.carriage import Manner
from hub.certificates import Anchors
from hub.database import InlineDatabase
from hub.desk import Books
from hub.documentdesk import DocumentDesk
from hub.intake import Answer, Intake
from hub.model import Receive, Unit
from hub.province import Province
from hub.spool import Drawer, Octets
from hub.workroom import at_once
from tests import databases, homes, pki
from tests.packets import document
from tests.pki import NOW
from tests.signatures import Layout, stamp

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
        created = NOW - timedelta(seconds=self.calls)
        content = etree.tostring(calls.element(call)).decode()
        body = Layout(content=content, created=stamp(created), expires=stamp(created + timedelta(minutes=5))).signed(
            who
        )
        done: list[Answer] = []
        answered = Deferred.fromCoroutine(self.intake.answer(Octets.of(body), Manner(), who.certificate, drawer))
        _ = answered.addCallback(done.append)
        return done[0]


@pytest.fixture
def port(tmp_path):
    made = config.read(homes.begin(tmp_path / "tinh") / "hub.toml")
    engine = store.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    me = config.Partner(code="me", name="", certificates=(ME.certificate,), units=("H55.13",), receive=Receive.FETCH)
    other = config.Partner(
        code="other", name="", certificates=(OTHER.certificate,), units=("H55.01",), receive=Receive.FETCH
    )
    partners = {each.code: each for each in (me, other, made.partners[made.upstream])}
    changed = attrs.evolve(made, anchors=Anchors([pki.authority().certificate]), partners=partners)
    province = Province.of(changed, [Unit(code, code) for code in ("H55", "H55.13", "H55.01")])
    books = Books(InlineDatabase(engine), at_once, lambda: None, lambda: None)
    yield Port(Intake(province, DocumentDesk(contract.load("documents"), books), books, lambda: NOW))
    engine.dispose()


@pytest.mark.parametrize("name", ["GetDocument", "GetTraces"])
def test_who_reads_no_answer_gets_no_more_until_he_has(port, monkeypatch, name):
    monkeypatch.setattr(documentdesk, "LYING", SIZE)
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
