"""Whose call it is and whose connection is judged at every call: each by itself, and together one partner's."""

import base64
from datetime import timedelta

import attrs
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from lxml import etree

from hub import config
from hub.partner.policy import Policy
from hub.security.anchors import Anchors
from hub.soap import documents_requests
from hub.store import transactions
from hub.units.live import Setup
from tests import databases, frontdesk, homes, pki
from tests.packets import letter
from tests.pki import DAY, NOW

CA = pki.authority()
LINE, SIGNER, OTHER = pki.partner("sotttt"), CA.issue("signs"), pki.partner("vpub")
ASKED = documents_requests.GetPendingDocumentIds("H55.13")
STAMPS, SERVES = [ExtendedKeyUsageOID.TIME_STAMPING], [ExtendedKeyUsageOID.SERVER_AUTH]
REVOKED, PAST = CA.issue("revoked"), CA.issue("past", ends=NOW - timedelta(seconds=1))
ELSEWHERE = pki.authority("Other CA").issue("elsewhere")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return config.read_config(homes.begin(tmp_path_factory.mktemp("made") / "tinh") / "hub.toml")


@pytest.fixture
def desk(made, tmp_path):
    """Return the intake of a hub whose partner `me` has the certificates of *identities*; `other` is another."""
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))

    def of(*identities, relay="", **policy):
        me = frontdesk.partner("me", LINE, "H55.13", policy=Policy(relay=relay, **policy))
        me = attrs.evolve(me, certificates=pki.signing(identities))
        other = frontdesk.partner("other", OTHER, "H55.01")
        return frontdesk.intake(made, engine, me, other, anchors=Anchors([CA.certificate], [CA.crl(REVOKED)]))

    yield of
    engine.dispose()


def told(answer):
    """Return the code of a fault; nothing for an answer."""
    found = etree.fromstring(answer.body.read()).findtext(".//{*}FaultDetail/{*}Code")
    assert answer.fault is bool(found)
    return found or ""


#: What may have happened to a certificate since the handshake, or to one that never shook hands, and what is said of it.
FLAWED = {
    "revoked": (REVOKED, "certificate-revoked"),
    "past": (PAST, "certificate-expired"),
    "of another CA": (ELSEWHERE, "certificate-untrusted"),
    "for time stamps": (CA.issue("stamps", purposes=STAMPS), "certificate-untrusted"),
}


@pytest.mark.parametrize("flaw", FLAWED)
def test_the_certificate_of_a_connection_is_judged_at_every_call(desk, flaw):
    """The connection may be an old one: what signs is as good as new, what holds the line is not."""
    shown, code = FLAWED[flaw]
    intake = desk(LINE, SIGNER, shown)
    assert told(frontdesk.put(intake, frontdesk.written(SIGNER, ASKED), LINE)) == ""
    assert told(frontdesk.put(intake, frontdesk.written(SIGNER, ASKED, earlier=1), shown)) == code


def test_who_may_serve_only_may_not_call(desk):
    server = CA.issue("serves", purposes=SERVES)
    intake = desk(LINE, SIGNER, server)
    assert told(frontdesk.put(intake, frontdesk.written(SIGNER, ASKED), server)) == "certificate-untrusted"
    assert told(frontdesk.put(intake, frontdesk.written(server, ASKED), LINE)) == "", "it may sign"


@pytest.mark.parametrize("flaw", FLAWED)
def test_the_certificate_of_the_signature_is_judged_at_every_call(desk, flaw):
    signer, code = FLAWED[flaw]
    assert told(frontdesk.put(desk(LINE, signer), frontdesk.written(signer, ASKED), LINE)) == code


def test_a_signature_and_a_connection_are_of_one_partner(desk):
    body = frontdesk.written(SIGNER, ASKED)
    assert told(frontdesk.put(desk(LINE, SIGNER), body, OTHER)) == "certificate-unknown"
    assert told(frontdesk.put(desk(LINE, SIGNER, relay="other"), body, OTHER)) == ""
    assert told(frontdesk.put(desk(LINE), body, LINE)) == "certificate-unknown"
    assert told(frontdesk.put(desk(LINE, SIGNER), body, CA.issue("nobody"))) == "certificate-unknown"


def test_what_is_not_known_of_a_certificate_is_judged_by_the_partners_own_policy(desk):
    overdue = Anchors([CA.certificate], [CA.crl(ends=NOW - DAY / 2)])
    for rule, code in (("configured", "revocation-unknown"), ("allow", "")):
        intake = desk(LINE, revocation=rule)
        known = attrs.evolve(intake.live.config, anchors=overdue)
        intake.live.setup = Setup(attrs.evolve(intake.live.province, config=known))
        assert told(frontdesk.ask(intake, LINE, ASKED)) == code


ECDSA = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
#: The order of P-256 (FIPS 186-4, D.1.2.3).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def twin(body):
    """Return the call with another ECDSA value that verifies as well: n - s in place of s.  No key is needed for it."""
    root = etree.fromstring(body)
    value = root.find(".//{*}SignatureValue")
    assert value is not None
    octets = base64.b64decode(value.text or "")
    other = ORDER - int.from_bytes(octets[32:])
    value.text = base64.b64encode(octets[:32] + other.to_bytes(32)).decode()
    return etree.tostring(root)


def test_a_call_that_came_is_known_again_by_what_was_signed_and_not_by_the_value(desk):
    signer = pki.partner("sotttt", "p256")
    intake = desk(LINE, signer)
    sent = frontdesk.ask(intake, OTHER, documents_requests.SendDocument(letter("H55.01", ["H55.13"], document_id="D1")))
    waiting = etree.fromstring(sent.body.read()).findtext(".//{*}DocumentId") or ""
    early = frontdesk.written(signer, documents_requests.ConfirmReceived(waiting, None), method=ECDSA)
    assert b"not-fetched" in frontdesk.put(intake, early, LINE).body.read()
    assert told(frontdesk.ask(intake, LINE, documents_requests.GetDocument(waiting))) == ""
    assert told(frontdesk.put(intake, twin(early), LINE)) == "replayed"
