"""Verifies a sealed report that an official has signed against the one that was given out. Knows no journal and no
clock.

The seal was made first and covers the report. The signature was made second and covers both. So a signed report is the
sealed report with one more Signature as its last child. Without this Signature, its canonical form equals that of the
report that was given out.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

from cryptography import x509
from lxml import etree

from hub.config.officials import Official, Officials
from hub.domain.errors import Rejected, shorten_detail
from hub.domain.local_time import find_local_day
from hub.domain.model import Problem
from hub.formats import safe_xml
from hub.language.phrases import Phrase, phrase
from hub.security import wss_tokens, wss_verify, xades, xmldsig
from hub.security.algorithms import Unverified
from hub.security.certificates import Purpose, Untrusted, describe_owner, load_der
from hub.security.xades import Signed
from hub.security.xmldsig import SIGNATURE, CanonicalForm

#: The maximum difference between an official's clock and the hub's.
SKEW = timedelta(minutes=5)

_WHOLE = CanonicalForm(exclusive=False)
_NOWHERE = phrase("the document")
#: unused by the check: the seal's certificate is given, so its dates are not checked
_NO_TIME = datetime(1, 1, 1, tzinfo=UTC)


def verify_official_signature(given: bytes, uploaded: bytes) -> Signed:
    """Return the official's signature in *uploaded*, which must be *given*, a sealed report, with that signature and no
    other change.

    *given*: octets that the hub itself wrote and kept. Raises Rejected: as `parse_safe_xml` and `verify_xades` do;
    `report-unsigned`; `report-signatures`; `report-changed` with the first place that differs; `report-other-revision`.
    """
    ours, root = safe_xml.parse_safe_xml(given), safe_xml.parse_safe_xml(uploaded)
    element = _official(root, ours)
    if safe_xml.may_hold_comment_or_cdata([uploaded]):
        raise Rejected(Problem("report-changed", phrase("a comment or CDATA section")))
    without = xmldsig.canonicalize_element(root, _WHOLE, without=element)
    if without != xmldsig.canonicalize_element(ours, _WHOLE):
        raise Rejected(_difference(ours, safe_xml.parse_safe_xml(without)))
    wss_verify.unseal_document(without, [_sealer(ours)], _NO_TIME)
    return xades.verify_xades(root, element)


def extract_sealed_report(uploaded: bytes) -> bytes:
    """Return the sealed report inside a signed one, in canonical form, which is what `unseal_document` verifies.
    Verifies nothing itself.

    Raises Rejected as `verify_official_signature` does: `report-unsigned`, `report-signatures`.
    """
    root = safe_xml.parse_safe_xml(uploaded)
    return xmldsig.canonicalize_element(root, _WHOLE, without=_official(root, root))


def judge_official(
    signed: Signed, officials: Officials, lineage: Sequence[str], made_at: datetime, now: datetime
) -> Official:
    """Return the official who made the signature, if that official may sign for the unit at *now*.

    *lineage*: the unit, its parent, and so on. *made_at*: when the report was closed. Raises Rejected:
    `official-unknown`, `official-not-for-unit`, `official-not-in-office`, `signing-time`, and what `Anchors.check`
    raises.
    """
    found = next((each for each in officials.people.values() if signed.certificate in each.certificates), None)
    if found is None:
        raise Rejected(Problem("official-unknown", describe_owner(signed.certificate)))
    officials.anchors.check(signed.certificate, now, (*signed.chain, *found.chain), purpose=Purpose.SIGN)
    if not found.may_sign(lineage):
        raise Rejected(Problem("official-not-for-unit", f"{found.code}: {lineage[0]}"))
    if not made_at - SKEW <= signed.at <= now + SKEW:
        told = phrase(
            "signed at {at}, closed at {closed}, now {now}",
            at=f"{signed.at:%Y-%m-%d %H:%M:%SZ}",
            closed=f"{made_at:%Y-%m-%d %H:%M:%SZ}",
            now=f"{now:%H:%M:%SZ}",
        )
        raise Rejected(Problem("signing-time", told))
    for at in (signed.at, now):  # checked after the signing time is known to be near now, so that its day can be used
        if not found.in_office(find_local_day(at)):
            raise Rejected(Problem("official-not-in-office", f"{found.code}: {find_local_day(at):%d/%m/%Y}"))
    if not signed.certificate.not_valid_before_utc <= signed.at <= signed.certificate.not_valid_after_utc:
        raise Untrusted("certificate-expired", phrase("signed at {at}", at=f"{signed.at:%Y-%m-%d %H:%M:%SZ}"))
    return found


def _official(root: etree._Element, ours: etree._Element) -> etree._Element:
    """Return the Signature of the official: the last child of *root*, after the seal."""
    found, sealed = xmldsig.find_claimed_signatures(root), ours is not root
    if len(found) <= 1:
        if (
            sealed
            and len(found) == 1
            and xmldsig.canonicalize_element(root, _WHOLE) != xmldsig.canonicalize_element(ours, _WHOLE)
        ):
            raise Rejected(_difference(ours, root))
        raise Rejected(Problem("report-unsigned"))
    if len(found) > 2:
        raise Rejected(Problem("report-signatures", phrase("{count} signatures, including the seal", count=len(found))))
    children = list(root)
    if [each.tag for each in found] != [SIGNATURE] * 2 or found != children[-2:]:
        raise Rejected(
            Problem("report-signatures", phrase("the Signature is not the last child of the root, after the seal"))
        )
    return found[1]


def _sealer(ours: etree._Element) -> x509.Certificate:
    """Return the certificate of the seal in a document that the hub itself wrote."""
    (seal,) = ours.iterchildren(SIGNATURE)
    try:
        return load_der(wss_tokens.read_enclosed_certificate(xmldsig.read_signature(seal).key_info))
    except ValueError as error:
        raise Unverified("signature-invalid", phrase("the seal's certificate: {error}", error=str(error))) from None


def _difference(ours: etree._Element, theirs: etree._Element) -> Problem:
    """Return the problem of two reports that differ: they are different reports or revisions, or the first place that
    differs.
    """
    one, other = _key(ours), _key(theirs)
    if one != other:
        told = phrase("{found}; expected {expected}", found=" ".join(other), expected=" ".join(one))
        return Problem("report-other-revision", shorten_detail(told, 300))
    return Problem("report-changed", shorten_detail(next(_differences(ours, theirs, ()), _NOWHERE), 300))


def _key(root: etree._Element) -> tuple[str, ...]:
    space = "{urn:lienthong:report:1}"
    said = (("Form", "id"), ("Total", "unit"), ("Period", "text"))
    parts = [(root.find(f"{space}{tag}"), name) for tag, name in said]
    return (*("" if part is None else part.get(name, "") for part, name in parts), root.get("revision", ""))


def _differences(one: etree._Element, other: etree._Element, path: Collection[str]) -> Iterator[Phrase]:
    """Yield the places at which *other* differs from *one*."""
    here = (*path, _named(one))
    shown = "/".join(here[1:]) or _NOWHERE
    if one.tag != other.tag or sorted(one.items()) != sorted(other.items()):
        yield phrase("{place}: it is {name}", place=shown, name=_named(other))
        return
    if (one.text or "") != (other.text or ""):
        yield phrase("{place}: {detail}", place=shown, detail=f"{one.text!r} -> {other.text!r}")
    for mine, theirs in zip_longest(one, other):
        if mine is None or theirs is None:
            name = _named(theirs if mine is None else mine)
            if mine is None:
                yield phrase("{place}: {name} added", place=shown, name=name)
            else:
                yield phrase("{place}: {name} missing", place=shown, name=name)
            return
        yield from _differences(mine, theirs, here)
        if (mine.tail or "") != (theirs.tail or ""):
            yield phrase("{place}: the text after {name}", place=shown, name=_named(mine))


def _named(element: etree._Element) -> str:
    name = etree.QName(element).localname
    said = next((f"[{key}={element.get(key)}]" for key in ("unit", "column", "key") if element.get(key)), "")
    return f"{name}{said}"
