"""A signed call that was refused takes no effect when somebody sends it again at a better moment; its sender signs anew."""

from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address

import attrs
import pytest
import sqlalchemy as sa
from cryptography import x509
from lxml import etree

from hub import config
from hub.domain.errors import Unready
from hub.domain.model import Unit
from hub.intake.intake import Intake
from hub.journal.searching import message_filter, search
from hub.partner.policy import Policy
from hub.security.anchors import Anchors
from hub.soap import documents_requests
from hub.soap.attachments import Manner
from hub.store import transactions
from hub.units.live import Setup
from hub.units.province import Province
from tests import databases, frontdesk, homes, pki
from tests.packets import document
from tests.pki import DAY, NOW
from tests.province import has_id_of_its_time
from tests.signatures import c14n

CA, ME, OTHER = pki.authority(), pki.partner("sotttt"), pki.partner("vpub")
SENT = documents_requests.SendDocument(document(), "m1")
PLAIN = Manner()
UNITS = ("H55", "H55.13", "H55.01")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return config.read_config(homes.begin(tmp_path_factory.mktemp("made") / "tinh") / "hub.toml")


@attrs.define
class Desk:
    """A hub's front desk, and what may be changed of it while it works."""

    intake: Intake
    engine: sa.Engine
    full: str = ""  #: why there is no room

    def put(self, body, manner=PLAIN):
        """Return what is told of the call in *body*: the first code of a fault or a refusal, or `accepted`."""
        answer = self.answer(body, manner)
        codes = [*answer.iterfind(".//{*}FaultDetail/{*}Code"), *answer.iterfind(".//{*}Error/{*}Code")]
        return codes[0].text if codes else "accepted"

    def answer(self, body, manner=PLAIN):
        return etree.fromstring(frontdesk.put(self.intake, body, ME, manner=manner).body.read())

    def receipt(self, body):
        return [etree.tostring(each) for each in self.answer(body).iterfind(".//{*}Receipt")]

    def accepted(self):
        """Return how many messages were taken."""
        with transactions.read_transaction(self.engine) as tx:
            assert all(map(has_id_of_its_time, search.find_messages(tx, message_filter.MessageFilter())))
            return search.count_messages(tx, message_filter.MessageFilter(state="accepted"))

    def change(self, **changed):
        changed_config = attrs.evolve(self.intake.live.config, **changed)
        self.intake.live.setup = Setup(Province.of(changed_config, [Unit(code, code) for code in UNITS]))

    def allow(self, **changed):
        """Change what is agreed with the partner."""
        known = dict(self.intake.live.config.partners)
        known["me"] = attrs.evolve(known["me"], **changed)
        self.change(partners=known)


@contextmanager
def opened(made, url):
    engine = transactions.open_journal(url)

    def room():
        if there.full:
            raise Unready(there.full)

    me, other = frontdesk.partner("me", ME, "H55.13"), frontdesk.partner("other", OTHER, "H55.01")
    there = Desk(frontdesk.intake(made, engine, me, other, room=room), engine)
    yield there
    engine.dispose()


@pytest.fixture
def desk(made, tmp_path):
    with opened(made, databases.sqlite(tmp_path / "hub.db")) as there:
        yield there


@pytest.fixture
def desk_on_each(made, journal_url):
    """The same on either database."""
    with opened(made, journal_url) as there:
        yield there


def not_yet_allowed(desk):
    desk.allow(units=("H55",))
    return lambda: desk.allow(units=("H55.13",))


def not_yet_granted(desk):
    desk.allow(calls=("reports",))
    return lambda: desk.allow(calls=None)


def not_yet_received_for(desk):
    known = desk.intake.live.config.partners
    desk.change(partners={code: each for code, each in known.items() if code != "other"})
    return lambda: desk.change(partners=known)


def from_a_clock_that_is_ahead(desk):
    desk.intake._now = lambda: NOW - timedelta(minutes=3)
    return lambda: setattr(desk.intake, "_now", lambda: NOW)


def made_to_live_too_long(desk):
    desk.allow(policy=Policy(max_age=timedelta(seconds=60)))
    return lambda: desk.allow(policy=Policy())


def signed_before_its_certificate_begins(desk):
    desk.allow(certificates=pki.signing([ME, NEW]))
    return lambda: setattr(desk.intake, "_now", lambda: NOW + timedelta(minutes=2))


NEW = CA.issue("new", begins=NOW + timedelta(minutes=1))
STRANGER = pki.authority("Other CA").issue("stranger")
REASONS = {
    not_yet_allowed: ("sender-not-allowed", ME),
    not_yet_granted: ("call-not-granted", ME),
    not_yet_received_for: ("unit-without-system", ME),
    from_a_clock_that_is_ahead: ("timestamp-future", ME),
    made_to_live_too_long: ("timestamp-expired", ME),
    signed_before_its_certificate_begins: ("certificate-expired", NEW),
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_refused_call_takes_no_effect_when_the_reason_has_gone(desk, reason):
    code, signer = REASONS[reason]
    over = reason(desk)
    body = frontdesk.written(signer, SENT)
    assert [desk.put(body) for _ in range(2)] == [code, code], "an honest retry is told the same"
    over()
    assert desk.put(body) == "replayed"
    assert desk.accepted() == 0
    assert desk.put(frontdesk.written(signer, SENT, earlier=1)) == "accepted", "whoever signs anew is judged afresh"
    assert desk.accepted() == 1


def no_room(desk):
    desk.full = "disk-low"
    return lambda: setattr(desk, "full", "")


def a_hub_that_breaks(desk):
    live = desk.intake.live
    kept, live.setup = live.setup, Setup(attrs.evolve(live.province, routes=None))
    return lambda: setattr(live, "setup", kept)


PASSING = {no_room: "disk-low", a_hub_that_breaks: "hub-error"}


@pytest.mark.parametrize("reason", PASSING)
def test_what_passes_spends_nothing(desk, reason):
    over = reason(desk)
    body = frontdesk.written(ME, SENT)
    assert desk.put(body) == PASSING[reason]
    over()
    assert desk.put(body) == "accepted"


def test_a_revocation_that_could_not_be_learned_spends_nothing(desk):
    """Of the signature's certificate alone: that of the connection is in order."""
    elsewhere = pki.authority("Other CA")
    desk.allow(certificates=pki.signing([ME, STRANGER]))
    authorities = [CA.certificate, elsewhere.certificate]
    body = frontdesk.written(STRANGER, SENT)
    for ends, told in ((NOW - DAY / 2, "revocation-unknown"), (NOW + DAY / 2, "accepted")):
        desk.change(anchors=Anchors(authorities, [elsewhere.crl(ends=ends)]))
        assert desk.put(body) == told


def test_a_call_that_somebody_has_spoilt_spends_nothing_of_the_one_that_was_signed(desk):
    """By what nobody signed: else who stands between could have the sender's own call refused."""
    body = frontdesk.written(ME, SENT)
    assert desk.put(body, Manner(action='"urn:lienthong:documents:1/GetDocument"')) == "action-mismatch"
    assert desk.put(body.replace(b">m1<", b">m2<", 1)) == "signature-invalid"
    assert desk.put(body) == "accepted"


def test_what_was_accepted_since_is_a_retry_and_no_replay(desk_on_each):
    desk, early = desk_on_each, frontdesk.written(ME, SENT)
    over = not_yet_allowed(desk)
    assert desk.put(early) == "sender-not-allowed"
    over()
    assert desk.put(early) == "replayed"
    (receipt,) = desk.receipt(frontdesk.written(ME, SENT, earlier=1))
    assert desk.receipt(early) == [receipt]
    assert desk.accepted() == 1


# To whom a call is addressed

ADDRESSING = "http://www.w3.org/2005/08/addressing"


def addressed(to, *, signed=True, space=ADDRESSING):
    named = ("#TS", "#B", "#To") if signed else ("#TS", "#B")
    block = f'<a:To xmlns:a="{space}" wsu:Id="To">{to}</a:To>'
    return frontdesk.written(ME, SENT, headers=block, references=tuple((name, c14n()) for name in named))


def test_a_call_that_is_addressed_to_this_hub_is_taken(desk):
    desk.change(public_url="https://truc.tinh.example")
    for to in (
        "https://127.0.0.1:8443/soap/documents",
        "https://LOCALHOST/any/path",
        "https://[::1]:1/soap/documents",
        "https://truc.tinh.example/soap/documents",
        f" {ADDRESSING}/anonymous ",
    ):
        assert desk.put(addressed(to)) == "accepted", to


def test_a_call_that_was_signed_for_another_hub_is_refused(desk):
    desk.change(public_url="https://truc.tinh.example")
    for to in (
        "https://truc.tinh-khac.example/soap/documents",
        "https://truc.tinh.example.evil.example/",
        "https://truc.tinh.example@evil.example/",
        "https://[::1/",
        "urn:another-hub",
        "",
    ):
        for space in (ADDRESSING, "http://schemas.xmlsoap.org/ws/2004/08/addressing"):
            assert desk.put(addressed(to, space=space)) == "audience-mismatch", to
    assert desk.accepted() == 0


def test_the_names_of_the_certificate_of_tls_are_names_of_the_hub(desk):
    """Its caller has reached it by one of them."""
    named = x509.SubjectAlternativeName([x509.DNSName("*.tinh.example"), x509.IPAddress(ip_address("10.0.0.5"))])
    assert desk.put(addressed("https://10.0.0.5/soap/other")) == "audience-mismatch"
    desk.change(tls=CA.issue("hub", names=named))
    for host, told in (("10.0.0.5", "accepted"), ("truc.tinh.example", "accepted"), ("10.0.0.6", "audience-mismatch")):
        assert desk.put(addressed(f"https://{host}/soap/documents")) == told


def test_an_address_that_nobody_signed_is_not_read(desk):
    assert desk.put(addressed("https://elsewhere.example/", signed=False)) == "accepted"
