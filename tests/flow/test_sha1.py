"""SHA-1 where a policy tolerates it: each call that was signed so is an event, whatever it asks, and nothing else changes."""

import json
from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa
from lxml import etree
from twisted.internet.defer import Deferred

from hub import calls, config, contract, store
from hub.carriage import Manner
from hub.certificates import Anchors, fingerprint
from hub.database import InlineDatabase
from hub.desk import Books
from hub.documentdesk import DocumentDesk
from hub.intake import Intake
from hub.model import Receive, Unit
from hub.policy import Policy
from hub.province import Province
from hub.schema import event
from hub.spool import Drawer, Octets
from hub.workroom import at_once
from tests import homes, pki
from tests.packets import document
from tests.pki import NOW
from tests.signatures import DS, RSA_SHA256, SHA256, Layout, stamp

ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")
SHA1 = {"method": f"{DS}rsa-sha1", "digest": f"{DS}sha1"}
SHA2 = {"method": RSA_SHA256, "digest": SHA256}


@attrs.define
class Desk:
    """A hub's front desk, and the events of its journal."""

    intake: Intake
    engine: sa.Engine
    calls: int = 0

    def ask(self, call, **algorithms):
        """Return the answer to *call*, signed so."""
        self.calls += 1  # each of its own: a call that repeats another's octets is another matter
        created = NOW - timedelta(seconds=self.calls)
        expires = created + timedelta(minutes=5)
        content = etree.tostring(calls.element(call)).decode()
        body = Layout(content=content, created=stamp(created), expires=stamp(expires), **algorithms).signed(ME)
        done = []
        answered = Deferred.fromCoroutine(self.intake.answer(Octets.of(body), Manner(), ME.certificate, Drawer()))
        _ = answered.addCallback(lambda answer: done.append(answer.body.read()))
        (answer,) = done
        return answer

    def told(self):
        """Return each event that tells of SHA-1, without its time."""
        with store.reading(self.engine) as tx:
            texts = [json.loads(text) for text in tx.scalars(sa.select(event.c.text).order_by(event.c.serial))]
        return [
            {name: said for name, said in each.items() if name != "at"}
            for each in texts
            if each["event"] == "sha1-used"
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    return config.read(home / "hub.toml")


@pytest.fixture
def desk(made, journal_url):
    """Return a desk, as the partner's policy has it."""
    engine = store.open_journal(journal_url, pooled=False)

    def of(*, sha1):
        me = config.Partner(
            code="me", name="Me", certificates=(ME.certificate,), units=("H55.13", "*"), policy=Policy(sha1=sha1)
        )
        there = config.Partner(
            code="there", name="There", certificates=(OTHER.certificate,), units=("H55.01",), receive=Receive.FETCH
        )
        partners = {partner.code: partner for partner in (me, there, made.partners[made.upstream])}
        changed = attrs.evolve(made, anchors=Anchors([pki.authority().certificate]), partners=partners)
        province = Province.of(changed, [Unit(code, code) for code in ("H55", "H55.13", "H55.01")])
        books = Books(InlineDatabase(engine), at_once, lambda: None, lambda: None)
        intake = Intake(province, DocumentDesk(contract.load("documents"), books), books, lambda: NOW)
        return Desk(intake, engine)

    yield of
    engine.dispose()


def used(operation, **message):
    return {
        "event": "sha1-used",
        **message,
        "partner": "me",
        "operation": operation,
        "certificate": fingerprint(ME.certificate),
    }


def test_each_call_signed_with_sha1_is_an_event_of_the_message_it_brought(desk):
    there = desk(sha1=True)
    answer = there.ask(calls.SendDocument(document(), "m1"), **SHA1)
    assert b"IsSuccess>true<" in answer, answer
    (first,) = there.told()
    assert first == used("SendDocument", message=first["message"])
    assert first["message"].encode() in answer
    there.ask(calls.SendDocument(document(), "m1"), **SHA1)
    assert there.told() == [first, first]


def test_one_that_brings_no_message_is_an_event_too(desk):
    there = desk(sha1=True)
    for call in (calls.GetPendingDocumentIds("H55.13"), calls.CheckPermission("H55.13"), calls.GetDocument("unknown")):
        there.ask(call, **SHA1)
    assert there.told() == [used("GetPendingDocumentIds"), used("CheckPermission"), used("GetDocument")]


def test_a_digest_alone_or_a_method_alone_is_a_use(desk):
    there = desk(sha1=True)
    for algorithms in (SHA1 | {"digest": SHA256}, SHA2 | {"digest": f"{DS}sha1"}):
        there.ask(calls.CheckPermission("H55.13"), **algorithms)
    assert there.told() == [used("CheckPermission")] * 2


def test_other_signatures_and_refused_ones_are_no_use_of_it(desk):
    tolerant = desk(sha1=True)
    assert b"IsSuccess>true<" in tolerant.ask(calls.SendDocument(document(), "m1"), **SHA2)
    assert b"algorithm-refused" in desk(sha1=False).ask(calls.SendDocument(document(), "m2"), **SHA1)
    assert tolerant.told() == []
