"""A province with one partner that may send, and a hand that signs whatever is referred to.  Knows no dimension."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from lxml import etree

from hub import config
from hub.domain.model import Receive, Unit
from hub.formats.spool import Drawer, Octets
from hub.intake import admission, verification
from hub.intake.verification import Read, VerifiedCall
from hub.journal.effects import MessageEntry
from hub.partner.policy import Policy
from hub.security.anchors import Anchors
from hub.security.certificates import Identity
from hub.soap import documents_requests, wsdl
from hub.soap.attachments import Manner
from hub.soap.wsdl import Contract
from hub.units.province import Province
from tests import homes, pki
from tests.pki import NOW
from tests.signatures import DS, EXCLUSIVE, WSU, forge, plain

CA = pki.authority()
ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")
DOCUMENTS = wsdl.load_contract("documents")


@cache
def province() -> Province:
    """Return a province in which `me` may send for every unit."""
    with TemporaryDirectory() as place:
        made = config.read_config(homes.begin(Path(place) / "tinh") / "hub.toml")
    policy = Policy(vxp_signature=True)
    me = config.Partner(code="me", name="Me", certificates=(ME.certificate,), units=("H55.13", "*"), policy=policy)
    there = config.Partner(
        code="there", name="There", certificates=(OTHER.certificate,), units=("H55.01",), receive=Receive.FETCH
    )
    partners = {partner.code: partner for partner in (me, there, made.partners[made.upstream])}
    changed = attrs.evolve(made, anchors=Anchors([CA.certificate]), partners=partners)
    return Province.of(changed, [Unit(code, code) for code in ("H55", "H55.13", "H55.01")])


def open_call(
    body: bytes,
    manner: Manner | None = None,
    described: Contract = DOCUMENTS,
    read: Read = documents_requests.read_documents_call,
) -> VerifiedCall:
    """Open a call of `me`."""
    whose, drawer = province(), Drawer()
    callers = (whose.config.partners["me"],)
    try:
        return verification.open_call(
            Octets.of(body), manner or Manner(), callers, ME.certificate, whose, described, NOW, drawer, read
        )
    finally:
        drawer.close()


def judge_packet(packet: bytes) -> MessageEntry:
    """Judge a packet that `me` sends.  Raises Rejected when it is refused."""
    whose = province()
    call = documents_requests.SendDocument(packet)
    return admission.judge_message(call, whose.config.partners["me"], whose, "documents", NOW, "id")


def sign(template: bytes, identity: Identity = ME) -> bytes:
    """Return an envelope with the digest of each element that its References name, by wsu:Id or Id, and a value by *identity*."""
    try:
        root = plain(template)
    except etree.XMLSyntaxError:  # deeper than libxml2 goes: nobody can sign it
        return template
    (security,) = root.iter(f"{{{DS}}}Signature")
    places: dict[str, etree._Element] = {}
    for element in root.iter("*"):
        for name in (f"{{{WSU}}}Id", "Id"):
            if borne := element.get(name):
                places.setdefault(borne, element)
    for reference in security.iter(f"{{{DS}}}Reference"):
        named = places.get(reference.get("URI", "")[1:])
        value = reference.find(f"{{{DS}}}DigestValue")
        assert value is not None
        octets = b"" if named is None else _canonical(named, reference)
        value.text = base64.b64encode(hashlib.sha256(octets).digest()).decode()
    return forge(etree.tostring(root, encoding="UTF-8"), identity)


def _canonical(element: etree._Element, reference: etree._Element) -> bytes:
    """Return the canonical form that the last Transform of *reference* asks for; none of what has none."""
    step = list(reference.iter(f"{{{DS}}}Transform"))[-1]
    listed = step[0].get("PrefixList", "").split() if len(step) else None
    exclusive = step.get("Algorithm") == EXCLUSIVE
    try:
        if not exclusive or listed:
            element = plain(etree.tostring(element, with_tail=False))
        return etree.tostring(
            element, method="c14n", exclusive=exclusive, with_comments=False, inclusive_ns_prefixes=listed
        )
    except etree.LxmlError:
        return b""
