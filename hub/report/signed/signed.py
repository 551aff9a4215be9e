"""Verifies a sealed report that an official has signed against the one that was given out. Knows no journal and no
clock.

The seal was made first and covers the report. A signature was made after it and covers both. So a signed report is the
report that was given out with one more Signature as its last child. Without this Signature, its canonical form equals
that of the report that was given out. Where two persons sign, the second signs the report that the first has signed, and
so covers that signature too.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

from cryptography import x509
from lxml import etree

from hub.config.officials import Official, Officials, SignaturePlace
from hub.domain.errors import Rejected, shorten_detail
from hub.domain.local_time import find_local_day
from hub.domain.model import Problem
from hub.formats import safe_xml
from hub.language.phrases import Phrase, phrase
from hub.security import time_stamps, wss_tokens, wss_verify, xades, xmldsig
from hub.security.algorithms import Unverified
from hub.security.anchors import Purpose, Untrusted
from hub.security.certificates import describe_owner, load_der
from hub.security.xades import Signed
from hub.security.xmldsig import SIGNATURE, CanonicalForm

#: The maximum difference between an official's clock and the hub's.
SKEW = timedelta(minutes=5)

_SEAL = 1  #: the number of seals in a report, before the signatures of officials
_WHOLE = CanonicalForm(exclusive=False)
_NOWHERE = phrase("the document")
#: unused by the check: the seal's certificate is given, so its dates are not checked
_NO_TIME = datetime(1, 1, 1, tzinfo=UTC)


def verify_official_signature(given: bytes, uploaded: bytes) -> Signed:
    """Return the official's signature in *uploaded*, which must be *given* with that signature and no other change.

    *given*: a sealed report that the hub itself wrote, or one that it has verified with the drafter's signature. Raises
    Rejected: as `parse_safe_xml` and `verify_xades` do; `report-unsigned`; `report-signatures`; `report-changed` with the
    first place that differs; `report-other-revision`; `signature-order` if the drafter's signature is missing.
    """
    ours, root = safe_xml.parse_safe_xml(given), safe_xml.parse_safe_xml(uploaded)
    known = len(xmldsig.find_claimed_signatures(ours))
    element = _last_signature(root, ours, known)
    if safe_xml.may_hold_comment_or_cdata([uploaded]):
        raise Rejected(Problem("report-changed", phrase("a comment or CDATA section")))
    without = xmldsig.canonicalize_element(root, _WHOLE, without=element)
    if without != xmldsig.canonicalize_element(ours, _WHOLE):
        raise Rejected(_make_difference(ours, safe_xml.parse_safe_xml(without)))
    if known == _SEAL:  # else it was unsealed with the first signature
        wss_verify.unseal_document(without, [_find_own_sealer(ours)], _NO_TIME)
    return xades.verify_xades(root, element)


def list_signing_steps(uploaded: bytes) -> list[bytes]:
    """Return a signed report as it was after each step, in canonical form: sealed, signed once, signed twice.

    The first is what `unseal_document` verifies. Verifies nothing itself. Raises Rejected as
    `verify_official_signature` does: `report-unsigned`, `report-signatures`.
    """
    root = safe_xml.parse_safe_xml(uploaded)
    _check_signatures(root)
    return _peel_signatures(root)


def judge_official(
    signed: Signed,
    officials: Officials,
    lineage: Sequence[str],
    made_at: datetime,
    now: datetime,
    place: SignaturePlace = SignaturePlace.HEAD,
    *,
    also: Sequence[str] = (),
) -> Official:
    """Return the official who made the signature, if that official may sign for the unit at *place* at *now*.

    A good time stamp proves that the signature was there at its time. Then the certificate and the office are judged as
    of that time, and not as of *now* (`Anchors.check_past`). Of several time stamps all must be good, and the earliest
    counts.

    *lineage*: the unit, its parent, and so on. *also*: units whose officials sign for it, too. *made_at*: when the report was closed. Raises Rejected:
    `official-unknown`, `official-not-for-unit`, `official-not-in-office`, `signature-order`, `signing-time`,
    `stamp-missing`, `stamp-time`, `stamp-untrusted`, and what `Anchors.check` raises.
    """
    proved = _judge_stamps(signed, officials, made_at, now)
    found = next((each for each in officials.people.values() if signed.certificate in each.certificates), None)
    if found is None:
        raise Rejected(Problem("official-unknown", describe_owner(signed.certificate)))
    chain = (*signed.chain, *found.chain)
    if proved is None:
        officials.anchors.check(signed.certificate, now, chain, purpose=Purpose.SIGN)
    else:
        officials.anchors.check_past(signed.certificate, proved, now, chain, purpose=Purpose.SIGN)
    known = now if proved is None else min(proved, now)
    if not any(map(found.may_sign, (lineage, *((each,) for each in also)))):
        raise Rejected(Problem("official-not-for-unit", f"{found.code}: {lineage[0]}"))
    if place not in found.signs_as:
        raise Rejected(Problem("signature-order", f"{found.code}: signs-as, {place}"))
    if not made_at - SKEW <= signed.at <= known + SKEW:
        said = {"at": _write_time(signed.at), "closed": _write_time(made_at)}
        told = (
            phrase("signed at {at}, closed at {closed}, now {now}", **said, now=f"{now:%H:%M:%SZ}")
            if proved is None
            else phrase("signed at {at}, closed at {closed}, stamped at {stamped}", **said, stamped=_write_time(proved))
        )
        raise Rejected(Problem("signing-time", told))
    for at in (signed.at, known):  # checked after the signing time is known to be near now, so that its day can be used
        if not found.in_office(find_local_day(at)):
            raise Rejected(Problem("official-not-in-office", f"{found.code}: {find_local_day(at):%d/%m/%Y}"))
    if not signed.certificate.not_valid_before_utc <= signed.at <= signed.certificate.not_valid_after_utc:
        raise Untrusted("certificate-expired", phrase("signed at {at}", at=_write_time(signed.at)))
    return found


def _judge_stamps(signed: Signed, officials: Officials, made_at: datetime, now: datetime) -> datetime | None:
    """Return the time that the time stamps of a signature prove; None if it has none. Raises Rejected."""
    trust, stamp = officials.stamping, signed.stamp
    if stamp is None:
        if officials.needs_stamp:
            raise Rejected(Problem("stamp-missing"))
        return None
    if trust is None:
        name = describe_owner(stamp.certificate)
        raise Rejected(Problem("stamp-untrusted", phrase("this hub trusts no time stamps: {name}", name=name)))
    for each in signed.stamps:
        time_stamps.judge_time_stamp(each, trust.anchors, now)
    if stamp.at < made_at - SKEW:
        told = phrase("stamped at {at}, closed at {closed}", at=_write_time(stamp.at), closed=_write_time(made_at))
        raise Rejected(Problem("stamp-time", told))
    return stamp.at


def _write_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%SZ}"


def _last_signature(root: etree._Element, ours: etree._Element, known: int) -> etree._Element:
    """Return the official's Signature: the last child of *root*, after the *known* signatures of *ours*."""
    found = xmldsig.find_claimed_signatures(root)
    if len(found) <= known:
        one, other = (xmldsig.canonicalize_element(each, _WHOLE) for each in (root, ours))
        if len(found) < known or one == other:
            raise Rejected(Problem("report-unsigned"))
        if known > _SEAL:
            _check_signatures(root)
            if _peel_signatures(root)[0] == _peel_signatures(ours)[0]:
                raise Rejected(Problem("signature-order", phrase("it was signed without the drafter's signature")))
        raise Rejected(_make_difference(ours, root))
    _check_signatures(root, known + 1)
    return found[-1]


def _check_signatures(root: etree._Element, most: int = _SEAL + len(SignaturePlace)) -> None:
    """Check that the signatures in *root* are its last children: the seal, then at least one of an official."""
    found = xmldsig.find_claimed_signatures(root)
    if len(found) <= _SEAL:
        raise Rejected(Problem("report-unsigned"))
    if len(found) > most:
        raise Rejected(Problem("report-signatures", phrase("{count} signatures, including the seal", count=len(found))))
    if any(each.tag != SIGNATURE for each in found) or found != list(root)[-len(found) :]:
        raise Rejected(
            Problem("report-signatures", phrase("the Signature is not the last child of the root, after the seal"))
        )


def _peel_signatures(root: etree._Element) -> list[bytes]:
    """Return the canonical forms of a checked report: sealed, then after each signature of an official."""
    steps = [xmldsig.canonicalize_element(root, _WHOLE)]
    for _ in range(len(xmldsig.find_claimed_signatures(root)) - _SEAL):
        inner = safe_xml.parse_safe_xml(steps[0])
        steps.insert(0, xmldsig.canonicalize_element(inner, _WHOLE, without=inner[-1]))
    return steps


def _find_own_sealer(ours: etree._Element) -> x509.Certificate:
    """Return the certificate of the seal in a document that the hub itself wrote."""
    (seal,) = ours.iterchildren(SIGNATURE)
    try:
        return load_der(wss_tokens.read_enclosed_certificate(xmldsig.read_signature(seal).key_info))
    except ValueError as error:
        raise Unverified("signature-invalid", phrase("the seal's certificate: {error}", error=str(error))) from None


def _make_difference(ours: etree._Element, theirs: etree._Element) -> Problem:
    """Return the problem of two reports that differ: they are different reports or revisions, or the first place that
    differs.
    """
    one, other = _identify_report(ours), _identify_report(theirs)
    if one != other:
        told = phrase("{found}; expected {expected}", found=" ".join(other), expected=" ".join(one))
        return Problem("report-other-revision", shorten_detail(told, 300))
    return Problem("report-changed", shorten_detail(next(_list_differences(ours, theirs, ()), _NOWHERE), 300))


def _identify_report(root: etree._Element) -> tuple[str, ...]:
    space = "{urn:lienthong:report:1}"
    said = (("Form", "id"), ("Total", "unit"), ("Period", "text"))
    parts = [(root.find(f"{space}{tag}"), name) for tag, name in said]
    return (*("" if part is None else part.get(name, "") for part, name in parts), root.get("revision", ""))


def _list_differences(one: etree._Element, other: etree._Element, path: Collection[str]) -> Iterator[Phrase]:
    """Yield the places at which *other* differs from *one*."""
    here = (*path, _name_element(one))
    shown = "/".join(here[1:]) or _NOWHERE
    if one.tag != other.tag or sorted(one.items()) != sorted(other.items()):
        yield phrase("{place}: it is {name}", place=shown, name=_name_element(other))
        return
    if (one.text or "") != (other.text or ""):
        yield phrase("{place}: {detail}", place=shown, detail=f"{one.text!r} -> {other.text!r}")
    for mine, theirs in zip_longest(one, other):
        if mine is None or theirs is None:
            name = _name_element(theirs if mine is None else mine)
            if mine is None:
                yield phrase("{place}: {name} added", place=shown, name=name)
            else:
                yield phrase("{place}: {name} missing", place=shown, name=name)
            return
        yield from _list_differences(mine, theirs, here)
        if (mine.tail or "") != (theirs.tail or ""):
            yield phrase("{place}: the text after {name}", place=shown, name=_name_element(mine))


def _name_element(element: etree._Element) -> str:
    name = etree.QName(element).localname
    said = next((f"[{key}={element.get(key)}]" for key in ("unit", "column", "key") if element.get(key)), "")
    return f"{name}{said}"
