"""With the disk nearly full nobody's refusals fill the rest of it, which is there to settle what is under way."""

import attrs
import pytest
import sqlalchemy as sa
from lxml import etree
from twisted.internet.defer import Deferred

from hub import calls, config, contract, store
from hub.carriage import Manner
from hub.certificates import Anchors
from hub.database import InlineDatabase
from hub.desk import Books
from hub.documentdesk import DocumentDesk
from hub.errors import Unready
from hub.intake import Answer, Intake
from hub.model import Problem, Receive, Unit
from hub.province import Province
from hub.schema import event
from hub.spool import Drawer, Octets
from hub.workroom import at_once
from tests import databases, homes, pki
from tests.pki import NOW
from tests.signatures import Layout

ME, STRANGER = pki.partner("sotttt"), pki.partner("vpub")


def none():
    raise Unready("disk-low", "data: 1 octets free, 2 needed", 60)


@attrs.define
class Port:
    """An intake with so much room, and what was written."""

    made: config.Config
    engine: sa.Engine

    def intake(self, room):
        me = config.Partner(
            code="me", name="", certificates=(ME.certificate,), units=("H55.13",), receive=Receive.FETCH
        )
        partners = {"me": me, self.made.upstream: self.made.partners[self.made.upstream]}
        changed = attrs.evolve(self.made, anchors=Anchors([pki.authority().certificate]), partners=partners)
        books = Books(InlineDatabase(self.engine), at_once, room, lambda: None)
        province = Province.of(changed, [Unit("H55", "H55"), Unit("H55.13", "H55.13")])
        return Intake(province, DocumentDesk(contract.load("documents"), books), books, lambda: NOW)

    def events(self):
        with store.reading(self.engine) as tx:
            return tx.scalar(sa.select(sa.func.count()).select_from(event))


@pytest.fixture
def port(tmp_path):
    engine = store.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    yield Port(config.read(homes.begin(tmp_path / "tinh") / "hub.toml"), engine)
    engine.dispose()


def answer(intake, who, call):
    body = Layout(content=etree.tostring(calls.element(call)).decode()).signed(who)
    done: list[Answer] = []
    answered = Deferred.fromCoroutine(intake.answer(Octets.of(body), Manner(), who.certificate, Drawer()))
    _ = answered.addCallback(done.append)
    return done[0]


@pytest.mark.parametrize("who", [STRANGER, ME], ids=["a stranger", "a partner"])
def test_what_is_refused_is_written_while_there_is_room_and_no_longer(port, who):
    call = calls.GetDocument("nothing")
    assert answer(port.intake(lambda: None), who, call).retry_after is None
    assert port.events() == 1
    told = answer(port.intake(none), who, attrs.evolve(call, document_id="nothing else"))
    assert told.retry_after == 60
    assert b"disk-low" in told.body.read()
    assert port.events() == 1


def test_a_body_that_was_too_large_is_told_of_in_the_log_alone(port):
    port.intake(lambda: None).note(Problem("too-large"), STRANGER.certificate)
    port.intake(none).note(Problem("too-large"), STRANGER.certificate)
    assert port.events() == 1
