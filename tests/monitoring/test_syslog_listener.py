"""Syslog lines under a clock: what has come is kept until it is committed, and as long as it is not, nothing more is read."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet.defer import fail
from twisted.internet.task import Clock, deferLater

from hub.config import Partner
from hub.config.incidents import IncidentSettings
from hub.domain.errors import Unready
from hub.domain.model import Receive
from hub.intake.endpoint import JournalAccess
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.monitoring import syslog_listener
from hub.monitoring.syslog_listener import AGAIN, GREETING, SyslogConnection, SyslogListener
from hub.partner.policy import Policy
from hub.runtime.thread_pool import run_at_once
from hub.security.anchors import Anchors
from hub.security.crl_ocsp import RevocationList
from hub.services import list_services
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import fact, message
from hub.units.live import Live, Setup
from hub.units.routing import RoutedPartner, Routes
from tests import databases, pki
from tests.province import NOW, POSTS, ROUTES, UNITS, has_id_of_its_time

IDENTITY = pki.partner("hub")


class Journal(InlineDatabase):
    """A journal that is away as long as the test says."""

    away = False

    def admit(self, owner, step, *args, **kwargs):
        return fail(Unready("journal-unavailable", "away")) if self.away else self.write(step, *args, **kwargs)


class Line:
    """The other end of a connection: what the hub does to it."""

    def __init__(self):
        self.reading, self.gone = True, False
        self.protocol: Any = None

    def pauseProducing(self):
        self.reading = False

    def resumeProducing(self):
        self.reading = True

    def abortConnection(self):
        self.gone = True
        self.protocol.connected = 0
        self.protocol.connectionLost()

    def getPeerCertificate(self):
        return SimpleNamespace(to_cryptography=lambda: IDENTITY.certificate)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def journal(tmp_path):
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield Journal(engine)
    engine.dispose()


@pytest.fixture
def heard(clock, journal):
    partner = Partner(code="sotttt", name="", units=("H55.13",), services=(), certificates=(), policy=Policy())
    province = SimpleNamespace(
        routes=ROUTES,
        partner_with=lambda _: partner,
        config=SimpleNamespace(
            incidents=IncidentSettings(),
            partners={"sotttt": partner},
            identity=IDENTITY,
            upstream="vpcp",
            every_service=list_services(),
            anchors=SimpleNamespace(check=lambda *_, **__: None),
        ),
    )
    books = JournalAccess(journal, run_at_once, lambda: None, lambda: None)
    made = SyslogListener(Live(Setup(cast("Any", province))), books, clock, lambda: NOW)
    made.startService()
    return made


def connect(heard):
    protocol, line = SyslogConnection(heard), Line()
    line.protocol = protocol
    protocol.makeConnection(cast("Any", line))
    return protocol, line


def opening(number):
    line = b'<130>1 - - - - - [incident@32473 id="%d" unit="H55.13"]' % number
    return b"%d %s" % (len(line), line)


def kept(journal):
    with transactions.read_transaction(journal.engine) as tx:
        found = list(search.find_messages(tx, MessageFilter()))
        assert all(map(has_id_of_its_time, found))
        return len(found)


def test_while_the_journal_is_away_nothing_more_is_read_and_nothing_is_lost(heard, journal, clock):
    protocol, line = connect(heard)
    protocol.handshakeCompleted()
    journal.away = True
    protocol.dataReceived(opening(1) + b"<14>1 - - - - - - noise\n" + opening(2))
    assert (line.reading, kept(journal), heard.counts) == (False, 0, {})
    clock.advance(AGAIN)
    assert not line.reading
    journal.away = False
    clock.advance(AGAIN)
    assert (line.reading, kept(journal)) == (True, 2)
    assert heard.counts == {"incident": 2, "other": 1}


def test_no_sender_keeps_everybody_else_waiting_by_the_number_of_its_messages(heard, journal, clock, monkeypatch):
    """A hundred thousand octets may be thirty thousand messages: the reactor has a turn after every sixty, and none is lost."""
    monkeypatch.setattr(syslog_listener, "deferLater", lambda clock, seconds: deferLater(clock, max(seconds, 0.01)))
    protocol, line = connect(heard)
    protocol.handshakeCompleted()
    protocol.dataReceived(opening(1) + b"1 x" * 33_000 + opening(2))
    turns = [heard.counts.total()]
    while not line.reading:
        clock.advance(0.01)
        turns.append(heard.counts.total() - sum(turns))
    assert heard.counts == {"incident": 2, "unreadable": 33_000}
    assert max(turns) <= syslog_listener.TURN // syslog_listener.EACH
    assert kept(journal) == 2


def test_what_makes_no_sense_behind_a_thousand_messages_ends_the_connection_after_them(heard, clock):
    protocol, line = connect(heard)
    protocol.handshakeCompleted()
    protocol.dataReceived(b"1 x" * 5000 + b"nonsense" + b"1 x" * 5000)
    while heard._connections:
        clock.advance(0)
    assert heard.counts == {"unreadable": 5000, "unframed": 1}
    assert line.gone


def test_what_had_come_is_journalled_though_the_sender_is_gone(heard, journal, clock):
    protocol, line = connect(heard)
    protocol.handshakeCompleted()
    journal.away = True
    protocol.dataReceived(opening(1))
    line.abortConnection()
    journal.away = False
    clock.advance(AGAIN)
    assert kept(journal) == 1
    assert not heard._connections


def test_a_hub_that_stops_waits_for_the_journal_but_not_for_ever(heard, journal, clock):
    protocol, line = connect(heard)
    protocol.handshakeCompleted()
    journal.away = True
    protocol.dataReceived(opening(1))
    stopped: list[None] = []
    _ = heard.stopService().addCallback(stopped.append)
    assert (line.gone, stopped) == (True, [])
    clock.advance(AGAIN)
    clock.advance(AGAIN)
    assert stopped == [None]
    assert kept(journal) == 0


def test_who_does_not_finish_the_handshake_is_cut_off(heard, clock):
    _, line = connect(heard)
    clock.advance(GREETING)
    assert line.gone
    assert not heard._connections


def test_one_connection_too_many_is_closed_at_once(heard, monkeypatch):
    monkeypatch.setattr(syslog_listener, "MOST", 2)
    known = [connect(heard) for _ in range(2)]
    for protocol, _ in known:
        protocol.handshakeCompleted()
    lines = [*(line for _, line in known), connect(heard)[1]]
    assert [line.gone for line in lines] == [False, False, True]


def test_what_comes_before_anybody_knows_whose_it_is_is_not_looked_at(heard, journal):
    protocol, _ = connect(heard)
    protocol.dataReceived(opening(1))
    assert kept(journal) == 0


def test_two_lines_of_one_incident_open_it_once(heard, journal):
    protocol, _ = connect(heard)
    protocol.handshakeCompleted()
    protocol.dataReceived(opening(1) * 2)
    assert heard.counts == {"incident": 1, "repeated": 1}


def test_who_is_a_partner_no_longer_is_not_heard_though_the_connection_is_an_old_one(heard, journal):
    protocol, line = connect(heard)
    protocol.handshakeCompleted()
    heard.live.province.partner_with = lambda _: None
    protocol.dataReceived(opening(1) + opening(2))
    assert (line.gone, kept(journal), heard.counts) == (True, 0, {})


def test_a_mistake_of_the_hub_costs_the_one_message_only(heard, journal, monkeypatch):
    protocol, line = connect(heard)
    protocol.handshakeCompleted()
    monkeypatch.setattr(syslog_listener, "judge_record", lambda *_: 1 // 0)
    protocol.dataReceived(opening(1))
    monkeypatch.undo()
    protocol.dataReceived(opening(2))
    assert (line.reading, kept(journal), heard.counts) == (True, 1, {"failed": 1, "incident": 1})


def test_a_line_that_cannot_be_kept_holds_up_none_behind_it(heard, journal, monkeypatch):
    protocol, _line = connect(heard)
    protocol.handshakeCompleted()
    monkeypatch.setattr(syslog_listener, "record_incident", lambda *_: 1 / 0)
    protocol.dataReceived(opening(1))
    monkeypatch.undo()
    protocol.dataReceived(opening(2))
    assert (heard.counts, kept(journal)) == ({"failed": 1, "incident": 1}, 1)


def test_who_never_shakes_hands_takes_no_room_from_who_does(heard, monkeypatch):
    monkeypatch.setattr(syslog_listener, "MOST", 2)
    ours, line = connect(heard)
    ours.handshakeCompleted()
    _, first = connect(heard)
    _, second = connect(heard)
    assert (line.gone, first.gone, second.gone) == (False, True, False)
    last, third = connect(heard)
    last.handshakeCompleted()
    _, fourth = connect(heard)
    assert (line.gone, second.gone, third.gone, fourth.gone) == (False, True, False, True)


def test_a_line_counts_as_long_as_the_certificate_of_its_connection_does(heard, journal):
    authority = pki.authority()
    anchors = heard.live.province.config.anchors = Anchors([authority.certificate])
    protocol, line = connect(heard)
    protocol.handshakeCompleted()
    protocol.dataReceived(opening(1))
    assert kept(journal) == 1
    anchors.set_revocations([RevocationList(authority.crl(IDENTITY))], {})
    protocol.dataReceived(opening(2))
    assert (line.gone, kept(journal)) == (True, 1)


def test_who_may_serve_only_tells_nothing(heard, journal):
    authority = pki.authority()
    heard.live.province.config.anchors = Anchors([authority.certificate])
    server = authority.issue("serves", purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
    protocol, line = connect(heard)
    line.getPeerCertificate = lambda: SimpleNamespace(to_cryptography=lambda: server.certificate)
    protocol.handshakeCompleted()
    protocol.dataReceived(opening(1))
    assert (line.gone, kept(journal)) == (True, 0)


def test_what_a_partner_was_not_granted_to_tell_is_refused_and_counts_for_nothing(heard, journal):
    heard.live.province.partner_with = lambda _: Partner(
        code="sotttt", name="", units=("H55.13",), services=(), certificates=(), calls=("documents",)
    )
    protocol, _line = connect(heard)
    protocol.handshakeCompleted()
    protocol.dataReceived(opening(1))
    assert heard.counts == {"refused": 1}
    with transactions.read_transaction(journal.engine) as tx:
        assert list(tx.scalars(message.select().with_only_columns(message.c.refusal))) == [
            "call-not-granted: incidents"
        ]
        assert not tx.execute(fact.select()).all()


def test_who_may_tell_of_any_unit_tells_of_any_that_the_registry_knows(heard, journal):
    soc = Partner(code="soc", name="", certificates=(), tells=True)
    heard.live.province.partner_with, heard.live.province.config.partners = lambda _: soc, {"soc": soc}
    heard.live.province.routes = Routes.of(
        UNITS, (*POSTS, RoutedPartner("soc", (), Receive.NONE, tells=True)), province="H55", upstream="vpcp"
    )
    protocol, _line = connect(heard)
    protocol.handshakeCompleted()
    protocol.dataReceived(opening(1) + opening(2).replace(b"H55.13", b"H55.99"))
    assert heard.counts == {"incident": 1, "refused": 1}
    with transactions.read_transaction(journal.engine) as tx:
        assert set(tx.scalars(fact.select().with_only_columns(fact.c.unit))) == {"H55.13"}
