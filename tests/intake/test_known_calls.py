"""A call of a known form is opened without a parser, and it is the call that the usual way would open, or it is not opened so."""

import base64
import random
import re
from datetime import timedelta
from itertools import count
from typing import Any

import attrs
import pytest
from cryptography import x509
from lxml import etree

from hub import config
from hub.domain.errors import Rejected
from hub.domain.model import Receive, Unit
from hub.formats import markup_memory
from hub.intake import known_calls, verification
from hub.intake.known_calls import KnownCalls
from hub.partner.policy import Policy
from hub.security import known_envelopes
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from hub.security.known_envelopes import CanonicalPattern, make_stand_in
from hub.soap import attachments, documents_requests, envelope, wsdl
from hub.soap.attachments import Manner
from hub.units.province import Province
from tests import homes, pki
from tests.fuzz import changing
from tests.packets import document
from tests.pki import NOW
from tests.signatures import DS, INCLUSIVE, SKI, SOAP11, SOAP12, Layout, c14n, fill, forge, stamp

CA, ME, RENEWED = pki.authority(), pki.partner("sotttt"), pki.partner("vpub")
EC = pki.partner("ec", "p256")
CONTRACT = wsdl.load_contract("documents")
WSA = "http://www.w3.org/2005/08/addressing"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    return config.read_config(home / "hub.toml")


def province_of(made, *, crls=(), identities=(ME, EC), calls=None, **policy):
    certificates = tuple(each.certificate for each in identities)
    me = config.Partner(
        code="me", name="Me", certificates=certificates, units=("*",), calls=calls, policy=Policy(**policy)
    )
    there = config.Partner(code="there", name="There", certificates=(), units=("H55.01",), receive=Receive.FETCH)
    partners = {partner.code: partner for partner in (me, there, made.partners[made.upstream])}
    changed = attrs.evolve(made, anchors=Anchors([CA.certificate], crls), partners=partners)
    return Province.of(changed, [Unit(code, code) for code in ("H55", "H55.13", "H55.01")])


@pytest.fixture
def province(made):
    return province_of(made)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """Give the test a memory of its own."""
    memory = KnownCalls()
    monkeypatch.setattr(verification, "_KNOWN", memory)
    return memory


def content(packet=None, message_id="m-1", operation="SendDocument", prefix="d"):
    named = "" if message_id is None else f"<{prefix}:MessageId>{message_id}</{prefix}:MessageId>"
    value = base64.b64encode(document() if packet is None else packet).decode()
    return (
        f'<{prefix}:{operation} xmlns:{prefix}="urn:lienthong:documents:1">{named}'
        f"<{prefix}:Packet>{value}</{prefix}:Packet></{prefix}:{operation}>"
    )


def opened(province, body, *, soap=SOAP11, action=None, now=NOW, callers=("me",)):
    """Return the call, or what is wrong with it."""
    partners = [province.config.partners[code] for code in callers]
    try:
        return verification.open_call(body, Manner(soap, action), partners, ME.certificate, province, CONTRACT, now)
    except Rejected as rejected:
        return rejected.problems, rejected.mark


def usually(province, body, monkeypatch, **how):
    """Return the same, of a hub that knows nothing."""
    with monkeypatch.context() as patched:
        patched.setattr(verification, "_KNOWN", KnownCalls())
        return opened(province, body, **how)


def without_parser(province, body, monkeypatch, **how):
    with monkeypatch.context() as patched:
        patched.setattr(attachments, "unpack_body", None)
        return opened(province, body, **how)


NUMBERS = count()
LAYOUTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "1.2": {"soap": SOAP12},
    "order": {"order": ("timestamp", "signature", "token")},
    "inclusive": {"body_transforms": c14n(INCLUSIVE)},
    "prefixes": {
        "body_transforms": c14n(prefixes="s d"),
        "signed_info": c14n(tag="CanonicalizationMethod", prefixes="s"),
    },
    "addressed": {
        "declared": f'xmlns:wsa="{WSA}"',
        "headers": '<wsa:MessageID wsu:Id="M">urn:uuid:1</wsa:MessageID><wsa:To wsu:Id="T">https://localhost/x</wsa:To>',
        "references": (("#TS", c14n()), ("#B", c14n()), ("#M", c14n()), ("#T", c14n())),
    },
    "declared": {"declared": 'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:q="urn:q"'},
    "token too": {"references": (("#TS", c14n()), ("#B", c14n()), ("#X509", c14n()))},
}


def call(name="usual", identity=ME, **said):
    fields = {"content": content(message_id=f"m-{next(NUMBERS)}")} | LAYOUTS[name] | said
    if identity is EC:
        fields["method"] = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
    return Layout(**fields).signed(identity)


def learn(province, name="usual", **said):
    """Let the hub learn a form."""
    for _ in range(3):
        assert isinstance(opened(province, call(name, **said), soap=soap_of(name)), verification.VerifiedCall)


def soap_of(name):
    return LAYOUTS[name].get("soap", SOAP11)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("identity", [ME, EC], ids=["rsa", "ec"])
def test_a_call_of_a_known_form_is_opened_without_a_parser(province, monkeypatch, name, identity):
    learn(province, name, identity=identity)
    later = {"created": stamp(NOW + timedelta(seconds=7)), "expires": stamp(NOW + timedelta(minutes=2))}
    other = call(name, identity, content=content(document("another"), "m-other"), **later)
    found = without_parser(province, other, monkeypatch, soap=soap_of(name))
    assert isinstance(found, verification.VerifiedCall)
    assert found.call.message_id == "m-other"
    assert found.call.packet == document("another")
    assert found == usually(province, other, monkeypatch, soap=soap_of(name))


def test_the_signer_of_a_known_form_is_hashed_once_for_all_its_calls(province, monkeypatch):
    learn(province)
    with monkeypatch.context() as patched:
        patched.setattr(verification, "hash_certificate", None)
        patched.setattr(known_envelopes, "hash_certificate", None)
        assert without_parser(province, call(), patched).signer == hash_certificate(ME.certificate)


@pytest.mark.parametrize("operation", ["SendDocument", "UpdateTraces"])
def test_without_a_message_id_and_with_a_status_too(province, monkeypatch, operation):
    bodies = [call(content=content(document(str(number)), None, operation)) for number in range(4)]
    found = [opened(province, body) for body in bodies][-1]
    assert found == without_parser(province, bodies[-1], monkeypatch) == usually(province, bodies[-1], monkeypatch)
    assert type(found.call).__name__ == operation


def test_a_form_is_learned_from_calls_with_packets_of_64_kb_too(province, monkeypatch):
    packets = [document(random.Random(seed).randbytes(22_500).hex()) for seed in range(4)]
    bodies = [call(content=content(packet, f"m-{at}")) for at, packet in enumerate(packets)]
    assert len(bodies[0]) > 80 * 1024
    for body in bodies[:3]:
        opened(province, body)
    found = without_parser(province, bodies[3], monkeypatch)
    assert found == usually(province, bodies[3], monkeypatch)
    assert found.call.packet == packets[3]


def test_a_form_is_not_known_before_it_came_thrice(province, monkeypatch):
    for _ in range(2):
        opened(province, call())
    with pytest.raises(TypeError):
        without_parser(province, call(), monkeypatch)
    opened(province, call())
    assert without_parser(province, call(), monkeypatch)


def test_a_key_identifier_may_name_the_certificate(province, monkeypatch):
    ski = ME.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    pointer = f'<wsse:KeyIdentifier ValueType="{SKI}">{base64.b64encode(ski).decode()}</wsse:KeyIdentifier>'
    how = {"key_info": f"<wsse:SecurityTokenReference>{pointer}</wsse:SecurityTokenReference>"}
    learn(province, **how)
    assert without_parser(province, call(**how), monkeypatch)


def test_a_signature_by_sha1_is_never_known(made, monkeypatch):
    province = province_of(made, sha1=True)
    for _ in range(4):
        assert opened(province, call(method=f"{DS}rsa-sha1")).sha1 == ME.certificate
    with pytest.raises(TypeError):
        without_parser(province, call(method=f"{DS}rsa-sha1"), monkeypatch)
    learn(province)  # and what is known is not accepted with it
    assert opened(province, call(method=f"{DS}rsa-sha1")).sha1 == ME.certificate


def test_a_known_form_proves_nothing_of_what_may_change(made, monkeypatch):
    """Whatever is wrong with a call of a known form, the usual way says so."""
    province = province_of(made)
    learn(province)
    body = call()
    assert without_parser(province, body, monkeypatch)
    wrong: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "late": ({}, {"now": NOW + timedelta(hours=1)}),
        "early": ({}, {"now": NOW - timedelta(hours=1)}),
        "another version": ({}, {"soap": SOAP12}),
        "another action": ({}, {"action": "urn:x"}),
        "another certificate": ({"identities": (RENEWED,)}, {}),
        "no certificate": ({"identities": ()}, {}),
        "not granted": ({"calls": ("documents.GetDocument",)}, {}),
        "short life": ({"max_age": timedelta(minutes=1)}, {}),
        "revoked": ({"crls": (CA.crl(ME.certificate),)}, {}),
    }
    for what, (changed, how) in wrong.items():
        elsewhere = province_of(made, **changed)
        found = opened(elsewhere, body, **how)
        assert not isinstance(found, verification.VerifiedCall), what
        assert found == usually(elsewhere, body, monkeypatch, **how), what


def test_an_addressee_is_compared_each_time(made, monkeypatch):
    province = province_of(made)
    learn(province, "addressed")
    body = call("addressed")
    assert without_parser(province, body, monkeypatch)
    headers = LAYOUTS["addressed"]["headers"].replace("localhost", "elsewhere")
    assert opened(province, call("addressed", headers=headers))[0][0].code == "audience-mismatch"


def test_a_known_form_that_addresses_the_hub_as_it_was_called_before_is_refused(made, monkeypatch):
    """Another `public-url` was read since: the form is the same, the addressee is somebody else's."""
    headers = LAYOUTS["addressed"]["headers"].replace("localhost", "truc.tinh.example")
    before = province_of(attrs.evolve(made, public_url="https://truc.tinh.example"))
    after = province_of(attrs.evolve(made, public_url="https://truc-moi.tinh.example"))
    learn(before, "addressed", headers=headers)
    body = call("addressed", headers=headers)
    assert isinstance(without_parser(before, body, monkeypatch), verification.VerifiedCall)
    found = opened(after, body)
    assert found[0][0].code == "audience-mismatch"
    assert found == usually(after, body, monkeypatch)


def test_one_changed_octet_is_seen(province, monkeypatch):
    learn(province)
    body = call()
    assert without_parser(province, body, monkeypatch)
    random_ = random.Random(7)
    texts = [at for found in re.finditer(rb">([^<]+)<", body) for at in range(found.start(1), found.end(1))]
    for at in [*random_.sample(texts, 40), *random_.sample(range(len(body)), 40)]:
        for letter in random_.sample([b"A", b"z", b"=", b" ", b"\n", b"&", b"<", b">", b"\0", b"\xc3", b"\r"], 3):
            changed = body[:at] + letter + body[at + 1 :]
            if changed != body:
                assert opened(province, changed) == usually(province, changed, monkeypatch)


@pytest.mark.parametrize("name", ["usual", "addressed", "inclusive"])
def test_a_changed_call_is_the_same_as_to_a_hub_that_knows_nothing(province, monkeypatch, name):
    """Changes of tree and text, most of them signed anew."""

    def sign(changed, random_):
        try:
            return forge(fill(changed.decode(), ME), ME) if random_.random() < 0.7 else forge(changed, ME)
        except Exception:  # noqa: BLE001 - it is not to be signed
            return changed

    learn(province, name)
    soap, begun = soap_of(name), call(name)
    words = [stamp(NOW + timedelta(seconds=each)) for each in (-4000, -1, 1, 4000)]
    trees = changing.Trees(words=[*words, "m-1", "A" * 201, "QQ==", "QR=="], finish=sign, finished=0.8, blindly=0)
    accepted = 0
    for seed in range(150):
        changed = trees.change(begun, markup_memory.SMALL, seed)
        found = opened(province, changed, soap=soap)
        assert found == usually(province, changed, monkeypatch, soap=soap), seed
        accepted += isinstance(found, verification.VerifiedCall)
    assert accepted


def test_texts_that_are_signed_anew_are_read_as_usual(province, monkeypatch):
    """The signer itself may write anything."""
    learn(province)
    value = base64.b64encode(document()).decode()
    plain = 0
    for message_id in [
        "",
        " ",
        "a b",
        " a",
        "a  b",
        "é",
        "&amp;",
        "&#x41;",
        "a\tb",
        "a" * 200,
        "a" * 201,
        "'\"]]",
        "a\r\nb",
        "]]&gt;",
    ]:
        body = call(content=content(message_id=message_id))
        assert opened(province, body) == usually(province, body, monkeypatch)
    for packet in [
        value,
        value[:40] + "\n" + value[40:],
        value + " ",
        " " + value,
        "QQ==",
        "QR==",
        "Q",
        "",
        "&#x51;Q==",
        value[:-4],
    ]:
        body = call(content=content().replace(value, packet))
        assert opened(province, body) == usually(province, body, monkeypatch)
        plain += isinstance(opened(province, body), verification.VerifiedCall)
    assert plain > 3
    for created, expires in [
        ("2026-11-24T08:00:00.123Z", "2026-11-24T08:05:00+00:00"),
        ("2026-11-24T15:00:00+07:00", "2026-11-24T15:04:00+07:00"),
        ("2026-02-30T08:00:00Z", "2026-11-24T08:05:00Z"),
        ("2026-11-24T08:00:00", "2026-11-24T08:05:00Z"),
        (" 2026-11-24T08:00:00Z ", "2026-11-24T08:05:00Z"),
    ]:
        body = call(created=created, expires=expires)
        assert opened(province, body) == usually(province, body, monkeypatch)


def test_two_senders_with_the_same_software_are_two_forms(made, monkeypatch):
    province = province_of(made, identities=(ME,))
    another = province_of(made, identities=(RENEWED,))
    learn(province)
    learn(another, identity=RENEWED)
    for there, identity in ((province, ME), (another, RENEWED)):
        assert without_parser(there, call(identity=identity), monkeypatch)
        wrong = call(identity=RENEWED if identity is ME else ME)
        assert opened(there, wrong)[0][0].code == "certificate-unknown"


def test_a_canonical_form_with_other_texts_is_that_of_the_other_document():
    names = [make_stand_in() for _ in range(3)]
    written = b'<a xmlns="urn:a"><b x="1">%b</b><c>%b<d/>%b</c></a>'
    canonical = etree.tostring(etree.fromstring(written % tuple(names)), method="c14n", exclusive=True)
    pattern = CanonicalPattern.of(canonical, {name: at for at, name in enumerate(names)})
    random_ = random.Random(3)
    for _ in range(50):
        texts = [bytes(random_.choices(b"abc019+/=-:.'\"", k=random_.randrange(9))) for _ in names]
        other = etree.tostring(etree.fromstring(written % tuple(texts)), method="c14n", exclusive=True)
        assert pattern.fill(texts) == other


def test_forms_are_bounded(province, known):
    for number in range(5):
        for _ in range(3):
            body = call(declared=f'xmlns:n{number}="urn:{number}"')
            opened(province, body)
    assert len(known._memory._forms._known) == 5
    assert known._memory._forms._most == known_calls._MOST_FORMS
    long = call(declared=f'xmlns:n="urn:{"x" * markup_memory.MOST_MARKUP}"')
    for _ in range(4):
        opened(province, long)
    assert len(known._memory._forms._known) == 5


def test_only_the_service_of_documents_is_known(province, known):
    assert documents_requests.NAMESPACE == "urn:lienthong:documents:1"
    split = markup_memory.split_document(call())
    assert split is not None
    others = wsdl.load_contract("mail")
    for _ in range(4):
        assert known.learn(call(), others, ()) is None
    assert envelope.SOAP11 == SOAP11
