"""SHA-1 where a policy tolerates it: each call that was signed so is an event, whatever it asks, and nothing else changes."""

import json

import attrs
import pytest
import sqlalchemy as sa

from hub import config
from hub.intake.intake import Intake
from hub.partner.policy import Policy
from hub.security.certificates import hash_certificate
from hub.soap import documents_requests as calls
from hub.store import transactions
from hub.store.tables import event
from tests import frontdesk, homes, pki
from tests.packets import document
from tests.signatures import DS, RSA_SHA256, SHA256

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
        return frontdesk.ask(self.intake, ME, call, earlier=self.calls, **algorithms).body.read()

    def told(self):
        """Return each event that tells of SHA-1, without its time."""
        with transactions.read_transaction(self.engine) as tx:
            texts = [json.loads(text) for text in tx.scalars(sa.select(event.c.text).order_by(event.c.serial))]
        return [
            {name: said for name, said in each.items() if name != "at"}
            for each in texts
            if each["event"] == "sha1-used"
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    return config.read_config(home / "hub.toml")


@pytest.fixture
def desk(made, journal_url):
    """Return a desk, as the partner's policy has it."""
    engine = transactions.open_journal(journal_url)

    def of(*, sha1):
        me = frontdesk.partner("me", ME, "H55.13", "*", policy=Policy(sha1=sha1))
        return Desk(frontdesk.intake(made, engine, me, frontdesk.partner("there", OTHER, "H55.01")), engine)

    yield of
    engine.dispose()


def used(operation, **message):
    return {
        "event": "sha1-used",
        **message,
        "partner": "me",
        "operation": operation,
        "certificate": hash_certificate(ME.certificate),
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
