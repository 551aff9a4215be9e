"""Before the hub's certificate is changed, it is known which partners the new one would break."""

import hashlib
from datetime import timedelta

import attrs
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub import config
from hub.domain.model import Receive
from hub.domain.sightings import MOST_VALUES, Sighting, SightingKind, Sightings
from hub.monitoring.keys import sighting_rows
from hub.monitoring.keys.rehearsal import KeyUse, RehearsalVerdict, judge_next_certificate, rehearse_partner
from hub.security.anchors import Anchors
from tests import homes, pki
from tests.pki import DAY, NOW

CA, OTHER_CA = pki.authority(), pki.authority("Other CA")
OLD, WHO = CA.issue("hub"), pki.partner("sotttt")
HUB = x509.SubjectAlternativeName([x509.DNSName("hub.tinh.gov.vn")])


def partner(**said):
    return config.Partner(code="sotttt", name="", certificates=(WHO.certificate,), **said)


PUSHED = partner(receive=Receive.PUSH, url="https://so.tinh.gov.vn/nhan")


def saw(kind, value):
    return Sighting("sotttt", kind, value, NOW - DAY, NOW, 3)


CALLED = [saw(SightingKind.CALLER_TLS, "TLSv1.3 TLS_AES_256_GCM_SHA384"), saw(SightingKind.CALLER_NAME, "localhost")]


def rehearse(new, *seen, who=None, uses=tuple(KeyUse)):
    found = rehearse_partner(
        who or partner(), dict.fromkeys(uses, OLD.certificate), new.certificate, new.chain, seen or CALLED
    )
    return found.verdict, [each.code for each in found.findings]


FINE, UNSURE, BREAKS = RehearsalVerdict.FINE, RehearsalVerdict.UNSURE, RehearsalVerdict.BREAKS


def test_a_renewed_certificate_of_the_same_ca_kind_and_names_breaks_nobody():
    assert rehearse(CA.issue("newer")) == (FINE, [])


def test_a_name_under_which_a_partner_called_and_that_is_gone_breaks_it():
    renamed = CA.issue("newer", names=HUB)
    assert rehearse(renamed) == (BREAKS, ["name"])
    assert rehearse(renamed, saw(SightingKind.CALLER_NAME, "hub.tinh.gov.vn")) == (FINE, [])
    assert rehearse(renamed, uses=[KeyUse.SIGN]) == (FINE, []), "a signature has no name"


def test_an_address_is_a_name_too():
    assert rehearse(CA.issue("newer"), saw(SightingKind.CALLER_NAME, "127.0.0.1")) == (FINE, [])
    assert rehearse(CA.issue("newer"), saw(SightingKind.CALLER_NAME, "10.0.0.7")) == (BREAKS, ["name"])


def test_another_ca_must_be_known_first_unless_the_servers_say_that_they_accept_it():
    foreign = OTHER_CA.issue("newer")
    assert rehearse(foreign) == (UNSURE, ["issuer"])
    names = [pki_name(OTHER_CA), pki_name(CA)]
    said = [saw(SightingKind.SERVER_AUTHORITY, each) for each in names]
    assert rehearse(foreign, *said, who=PUSHED) == (FINE, [])
    assert rehearse(foreign, *said, *CALLED, who=PUSHED) == (UNSURE, ["issuer"]), "it calls the hub, too"
    assert rehearse(foreign, said[1], who=PUSHED) == (BREAKS, ["server-authority", "issuer"])


def pki_name(authority):
    return hashlib.sha256(authority.certificate.subject.public_bytes()).hexdigest()


def test_another_kind_of_key_is_not_sure_unless_the_partner_uses_that_kind_itself():
    curve = CA.issue("newer", "p256")
    assert rehearse(curve) == (UNSURE, ["signature-method", "tls-key"])
    assert rehearse(curve, uses=[KeyUse.SIGN]) == (UNSURE, ["signature-method"])
    with_curve = attrs.evolve(partner(), certificates=(CA.issue("so", "p256").certificate,))
    assert rehearse(curve, who=with_curve) == (FINE, [])


def test_a_certificate_that_no_client_may_show_breaks_those_that_are_pushed_to():
    server = CA.issue("newer", purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
    assert rehearse(server) == (FINE, [])
    assert rehearse(server, who=PUSHED) == (BREAKS, ["client-auth"])


def test_of_a_partner_that_was_not_seen_nothing_is_known():
    found = rehearse_partner(partner(), {KeyUse.TLS: OLD.certificate}, OLD.certificate, (), [])
    assert (found.verdict, [each.code for each in found.findings], found.seen_at) == (UNSURE, ["not-seen"], None)


@pytest.mark.parametrize(
    ("code", "sure", "new"),
    [
        ("dates", True, CA.issue("newer", begins=NOW + DAY, ends=NOW + 2 * DAY)),
        ("weak", True, CA.issue("newer", "rsa1024")),
        ("server-auth", True, CA.issue("newer", purposes=[ExtendedKeyUsageOID.CLIENT_AUTH])),
        ("digital-signature", True, CA.issue("newer", key_usage=pki.usage(key_encipherment=True))),
        ("trust", False, OTHER_CA.issue("newer")),
    ],
    ids=["not yet valid", "weak", "not for a server", "not for signatures", "of an unknown CA"],
)
def test_the_certificate_itself_is_judged_first(tmp_path, code, sure, new):
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    made = attrs.evolve(made, anchors=Anchors([CA.certificate], [CA.crl()]))
    found = judge_next_certificate(new.certificate, (), list(KeyUse), made, NOW)
    assert (code, sure) in [(each.code, each.sure) for each in found]
    assert judge_next_certificate(CA.issue("fine").certificate, (), list(KeyUse), made, NOW) == []


def test_what_is_seen_in_memory_is_bounded_and_joins_what_other_processes_saw():
    here, worker = Sightings(), Sightings()
    for number in range(2 * MOST_VALUES):
        worker.note("sotttt", SightingKind.CALLER_NAME, f"{number}" * 300, NOW)
    worker.note("vpub", SightingKind.CALLER_NAME, "x", NOW)
    here.note("vpub", SightingKind.CALLER_NAME, "x", NOW - DAY)
    here.add(worker.take())
    assert worker.take() == {}
    found = here.take()
    assert len(found) == MOST_VALUES + 1
    assert max(len(each.value) for each in found.values()) == 200
    seen = found["vpub", SightingKind.CALLER_NAME, "x"]
    assert (seen.first_at, seen.last_at, seen.number) == (NOW - DAY, NOW, 2)


def test_the_journal_keeps_the_values_that_were_seen_last(tx):
    for number in range(MOST_VALUES + 3):
        at = NOW + timedelta(minutes=number)
        seen = [Sighting("sotttt", SightingKind.CALLER_NAME, f"n{number}", at, at, 1)]
        sighting_rows.record_sightings(tx, seen, NOW)
    again = [Sighting("sotttt", SightingKind.CALLER_NAME, "n3", NOW, NOW + DAY, 5)]
    sighting_rows.record_sightings(tx, again, NOW)
    found = sighting_rows.read_sightings(tx, NOW)
    assert [each.value for each in found] == ["n3", *(f"n{number}" for number in range(MOST_VALUES + 2, 3, -1))]
    assert (found[0].number, found[0].last_at, found[0].first_at) == (6, NOW + DAY, NOW + timedelta(minutes=3))
    assert sighting_rows.read_sightings(tx, NOW + timedelta(hours=1)) == found[:1]
    late = NOW + sighting_rows.KEPT + timedelta(hours=1)
    sighting_rows.record_sightings(tx, [Sighting("vpub", SightingKind.CALLER_NAME, "x", late, late, 1)], late)
    assert [each.value for each in sighting_rows.read_sightings(tx, NOW)] == ["x", "n3"]
