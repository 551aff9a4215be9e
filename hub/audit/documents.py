"""Verifies single documents that a hub has sealed, a report or a receipt, and a packet's own signature.

Checks what each document states about itself. Does not check the facts behind it.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import BinaryIO

import attrs
from cryptography import x509
from lxml import etree

from hub.audit.findings import AuditFinding, FindingCollector, confirm_finding, deny_finding, note_finding
from hub.audit.seals import AuditTrust, SealBroken, Sealers, describe_seal, explain_rejection, open_sealed_document
from hub.domain.errors import Rejected
from hub.domain.model import PacketSignature, Problem, SignatureStanding
from hub.edxml import packet_signature
from hub.formats import safe_xml
from hub.formats.spool import Octets
from hub.language.phrases import Phrase, phrase
from hub.report.counting import deriving, lines
from hub.report.counting.counting import COUNTING, Report, Row
from hub.report.counting.deriving import Number
from hub.report.form import definition
from hub.report.form.column import ColumnKind
from hub.report.form.form import UNIT, Form
from hub.report.signed import sealed, signed
from hub.report.signed.element import REPORT, SchemaBroken
from hub.report.signed.sealed import Sealed
from hub.security import wss_tokens, xades, xmldsig
from hub.security.algorithms import Unverified
from hub.security.anchors import Anchors, Purpose, Untrusted
from hub.security.certificates import describe_owner, hash_certificate, load_der
from hub.security.time_stamps import TimeStamp

LARGEST = 64 << 20  #: maximum octets of a document that is loaded into memory

_WHOLE = xmldsig.CanonicalForm(exclusive=False)
_RECEIPT = "Receipt"
_SAID = ("DocumentId", "MessageId", "Sha256", "Time")


@attrs.frozen
class AuditedReceipt:
    """The content of a receipt of any service."""

    document_id: str
    message_id: str
    sha256: str
    time: datetime


def audit_document(file: BinaryIO, trust: AuditTrust) -> Iterator[AuditFinding]:
    """Yield the findings about the single document in *file*."""
    file.seek(0)
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        yield make_too_large_finding("document", "")
        return
    sealers = Sealers(trust)
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected as rejected:
        why = explain_rejection(rejected)
        yield deny_finding("document", "", phrase("not a file that this command knows: {why}", why=why))
        return
    name = etree.QName(root)
    if name.localname == "Report" and name.namespace == REPORT:
        found = yield from _report_or_signed(content, root, sealers)
        if found is not None:
            yield note_finding(
                "facts",
                "",
                phrase(
                    "only the report: the facts behind its numbers were not checked; that needs its evidence file "
                    "(lienthong evidence)"
                ),
            )
    elif name.localname == _RECEIPT and (name.namespace or "").startswith("urn:lienthong:"):
        said = yield from audit_receipt(content, "", sealers)
        if said is not None:
            yield note_finding(
                "receipt",
                "",
                phrase(
                    "message {message_id} (the hub's id {document_id}), received at {time}, SHA-256 {sha256}: "
                    "compare with sha256sum of the packet",
                    message_id=said.message_id,
                    document_id=said.document_id,
                    time=said.time.isoformat(),
                    sha256=said.sha256,
                ),
            )
    else:
        yield deny_finding("document", "", phrase("not a document that this command knows: {tag}", tag=root.tag))
        return
    yield from sealers.judge()


def make_too_large_finding(check: str, place: str) -> AuditFinding:
    """Return the finding that a document is too large to be loaded."""
    return deny_finding(
        check,
        place,
        phrase("too large to be checked: more than {largest} octets", largest=LARGEST),
    )


# --- a report ---------------------------------------------------------------------------------------------------------


def audit_sealed_report(content: bytes, place: str, sealers: Sealers) -> Generator[AuditFinding, None, Sealed | None]:
    """Yield whether the seal of a report is valid and its numbers are consistent. Return its content, or None."""
    try:
        safe_xml.scan_xml(content)
    except Rejected as rejected:
        yield deny_finding("seal", place, explain_rejection(rejected))
        return None  # content that has not passed the scan must never reach a parser
    try:
        _, certificate, at = open_sealed_document(content, sealers.trust, _made_at)
    except SealBroken as broken:
        yield deny_finding("seal", place, broken.why)
    else:
        sealers.meet(certificate, place)
        yield from describe_seal(place, certificate, at, sealers.trust.now)
    try:
        said = sealed.read_sealed_report(content)
        definition.check_form(said.report.form)
    except (SchemaBroken, ValueError, KeyError, OverflowError, etree.XMLSyntaxError) as error:
        yield deny_finding("report", place, phrase("not a report by its schema: {error}", error=str(error)[:600]))
        return None
    try:
        yield from list(audit_arithmetic(said.report, place))
    except ValueError as error:
        yield deny_finding("sum", place, phrase("it cannot be computed: {error}", error=error))
    return said


def _made_at(root: etree._Element) -> datetime:
    return lines.read_offset_time(root.findtext(f"{{{REPORT}}}MadeAt") or "")


def audit_arithmetic(report: Report, place: str) -> Iterator[AuditFinding]:
    """Yield whether the formulas of each row and the totals of the rows are right. Counts no facts.

    Points cannot be computed from a report alone, because it does not state how they are given.
    """
    cells = FindingCollector("sum", place)
    for row in (report.total, *report.rows):
        for key, expected in derive_possible_values(report.form, row.numbers).items():
            if row.numbers[key] not in expected:
                found = " / ".join(map(str, expected))
                yield from _find_wrong_cell(cells, row.unit, key, row.numbers[key], found, phrase("formula"))
    for key, total in sum_expected_totals(report.form, report.rows).items():
        said = report.total.times[key] if key in report.total.times else report.total.numbers[key]
        if said != total:
            yield from _find_wrong_cell(cells, report.total.unit, key, said, total, phrase("total of the rows"))
    yield from _audit_divided(report, cells)
    yield from cells.end(
        phrase(
            "{count} rows, {count2} columns: formulas and totals are right",
            count=len(report.rows),
            count2=len(report.form.columns),
        ),
    )


def _audit_divided(report: Report, cells: FindingCollector) -> Iterator[AuditFinding]:
    """Yield whether the formulas of each divided row are right, and the rows add up: all to the total, those below a
    heading to the heading, and those of a unit to the unit's row.
    """
    units = {row.unit: row for row in report.rows}
    sums: dict[tuple[str, ...], list[Row]] = {}
    for each in report.divided:
        where = " ".join(each.path)
        for key, expected in derive_possible_values(report.form, each.row.numbers).items():
            if each.row.numbers[key] not in expected:
                found = " / ".join(map(str, expected))
                yield from _find_wrong_cell(cells, where, key, each.row.numbers[key], found, phrase("formula"))
        sums.setdefault(each.path[:-1], []).append(each.row)
        if len(each.path) < len(report.by):
            sums.setdefault(each.path, [])
    wholes: dict[tuple[str, ...], Row] = {(): report.total} | {each.path: each.row for each in report.divided}
    for path, rows in sums.items():
        for key, total in sum_expected_totals(report.form, tuple(rows)).items():
            said = [wholes[path].numbers.get(key)]
            said += [units[path[0]].numbers.get(key)] if path and report.by[0] == UNIT and path[0] in units else []
            for number in said:
                if key in wholes[path].numbers and number != total:
                    where = " ".join(path) or report.total.unit
                    yield from _find_wrong_cell(cells, where, key, number, total, phrase("total of the rows"))


def _find_wrong_cell(
    cells: FindingCollector, unit: str, key: str, said: object, found: object, what: Phrase
) -> Iterator[AuditFinding]:
    where = f"{unit} {key}"
    yield from cells.no(
        where, phrase("the report says {said}, the {what} is {found}", said=said, what=what, found=found)
    )


def derive_possible_values(form: Form, numbers: Mapping[str, Number]) -> dict[str, tuple[Number, ...]]:
    """Return the possible values of each formula, ratio and grade.

    If the whole of a ratio is 0, the ratio is empty or 0, as the form defines. A report does not contain that
    definition, so both are accepted.
    """
    found: dict[str, tuple[Number, ...]] = {}
    for column in form.columns:
        if column.kind is ColumnKind.FORMULA:
            found[column.key] = (_add_counted_cells(numbers, column.sum),)
        elif column.kind is ColumnKind.RATIO:
            part, whole = _add_counted_cells(numbers, column.part), _add_counted_cells(numbers, column.whole)
            ratio = None if not whole else deriving.round_ratio(100 * Fraction(part) / Fraction(whole))
            found[column.key] = (None, Decimal(0)) if ratio is None else (ratio,)
        elif column.kind is ColumnKind.EXPRESSION:
            named = {key: numbers[key] for key in column.inputs}
            value = deriving.compute_expression(column, named, form.parameters)
            found[column.key] = (deriving.round_number(value, column),)
        elif column.kind is ColumnKind.GRADE:
            of = numbers[column.of]
            found[column.key] = (None if of is None else deriving.find_grade(column, of),)
    return found


def _add_counted_cells(numbers: Mapping[str, Number], keys: Iterable[str]) -> int:
    """Return the sum of counted cells. Raises ValueError if one is a ratio."""
    total = 0
    for key in keys:
        number = numbers[key]
        if not isinstance(number, int):
            raise ValueError(f"{key} is {number}, and is added up")  # noqa: TRY004 - it is read, not passed
        total += number
    return total


def sum_expected_totals(form: Form, rows: tuple[Row, ...]) -> dict[str, object]:
    """Return the expected total of each column whose rows are added, or that contains times."""
    found: dict[str, object] = {}
    for column in form.columns:
        if column.kind in (*COUNTING, ColumnKind.TAKEN):
            many = sum(deriving.read_sum(column, row.numbers[column.key]) for row in rows)
            found[column.key] = deriving.round_number(Fraction(many, 10**column.places), column)
        elif column.kind is ColumnKind.TIME:
            found[column.key] = max((at for row in rows if (at := row.times[column.key]) is not None), default=None)
    return found


# --- an official's signature ------------------------------------------------------------------------------------------


def _report_or_signed(
    content: bytes, root: etree._Element, sealers: Sealers
) -> Generator[AuditFinding, None, Sealed | None]:
    """Verify a report as the hub sealed it.

    If an official has signed it, verify that signature, then the sealed report inside.
    """
    if len(xmldsig.find_claimed_signatures(root)) < 2:
        return (yield from audit_sealed_report(content, "", sealers))
    yield from audit_official_signature(content, "", sealers.trust)
    try:
        inside = signed.list_signing_steps(content)[0]
    except Rejected:
        return None  # `audit_official_signature` has reported it
    return (yield from audit_sealed_report(inside, "", sealers))


def audit_official_signature(
    content: bytes, place: str, trust: AuditTrust, of: bytes | None = None
) -> Iterator[AuditFinding]:
    """Yield, for each signature of an official in *content*, whether it is valid and covers the whole sealed report.

    Of two signatures the second, of the head of the unit, covers the first too. *of*: the sealed report that must have
    been signed. Whether this person may sign for this unit is not checked. Only the hub knows it, and it checked it when
    the report was returned.
    """
    try:
        for step in _list_signed_steps(content, of):
            yield from _audit_signature(step, place, trust)
    except Rejected as rejected:
        yield deny_finding("official", place, explain_rejection(rejected))


def _audit_signature(step: bytes, place: str, trust: AuditTrust) -> Iterator[AuditFinding]:
    """Yield the findings about the last signature of *step* and its time stamps. Raises Rejected."""
    root = safe_xml.parse_safe_xml(step)
    found = xades.verify_xades(root, root[-1])
    anchors = trust.persons or trust.anchors
    anchors.check(found.certificate, found.at, found.chain, purpose=Purpose.SIGN)
    name, printed = found.certificate.subject.rfc4514_string(), hash_certificate(found.certificate)
    at = found.at.isoformat(timespec="seconds")
    yield confirm_finding(
        "official",
        place,
        phrase(
            "the signature is valid and covers the whole sealed report; by {name}, SHA-256 {printed}, at "
            "{at} by the signer's clock",
            name=name,
            printed=printed,
            at=at,
        ),
    )
    for stamp in found.stamps:
        yield _audit_stamp(stamp, place, anchors)


def _audit_stamp(stamp: TimeStamp, place: str, anchors: Anchors) -> AuditFinding:
    """Return the finding about a time stamp, whose own signature is valid: does its authority lead to *anchors*?

    Judged as of its own time, like a seal. A reader who trusts other CAs than the authority's gets a note.
    """
    said = {
        "name": describe_owner(stamp.certificate),
        "printed": hash_certificate(stamp.certificate),
        "at": stamp.at.isoformat(timespec="seconds"),
    }
    try:
        anchors.check(stamp.certificate, stamp.at, stamp.chain, purpose=Purpose.STAMP)
    except Untrusted as untrusted:
        (problem,) = untrusted.problems
        return note_finding(
            "stamp",
            place,
            phrase(
                "a time stamp of {at} by {name}, SHA-256 {printed}, which leads to no CA you named ({detail})",
                detail=problem.detail,
                **said,
            ),
        )
    return confirm_finding(
        "stamp", place, phrase("the signature was there at {at}: time stamp by {name}, SHA-256 {printed}", **said)
    )


def _list_signed_steps(content: bytes, of: bytes | None) -> list[bytes]:
    """Return the report as it was after the signature of each official. Raises Rejected."""
    inside, *steps = signed.list_signing_steps(content)
    if safe_xml.may_hold_comment_or_cdata([content]):
        raise Rejected(Problem("report-changed", phrase("a comment or CDATA section")))
    if of is not None and xmldsig.canonicalize_element(safe_xml.parse_safe_xml(of), _WHOLE) != inside:
        raise Rejected(Problem("report-changed", phrase("another report was signed")))
    return steps


# --- a receipt --------------------------------------------------------------------------------------------------------


def audit_receipt(
    content: bytes, place: str, sealers: Sealers, *, quiet: bool = False
) -> Generator[AuditFinding, None, AuditedReceipt | None]:
    """Yield whether the seal of a receipt is valid (if *quiet*, only if it is not). Return its content, or None."""
    try:
        root, certificate, at = open_sealed_document(content, sealers.trust, _read_receipt_time)
        said = _read_receipt(root, at)
    except SealBroken as broken:
        yield deny_finding("receipt", place, broken.why)
        return None
    sealers.meet(certificate, place)
    if not quiet:
        yield from describe_seal(place, certificate, at, sealers.trust.now)
    return said


def _read_receipt(root: etree._Element, at: datetime) -> AuditedReceipt:
    space = etree.QName(root).namespace
    texts = [root.findtext(f"{{{space}}}{name}") or "" for name in _SAID[:3]]
    if etree.QName(root).localname != _RECEIPT or not all(texts):
        raise SealBroken(phrase("not a receipt"))
    return AuditedReceipt(texts[0], texts[1], texts[2], at)


def _read_receipt_time(root: etree._Element) -> datetime:
    return lines.read_offset_time(root.findtext(f"{{{etree.QName(root).namespace}}}Time") or "")


# --- a packet ---------------------------------------------------------------------------------------------------------


def audit_packet(content: bytes, place: str, said: str, at: datetime, trust: AuditTrust) -> AuditFinding:
    """Return whether a packet's own signature has the standing *said*.

    The hub recorded that standing when it accepted the packet at the time *at*. It is verified with the certificate in
    the packet. Only the hub knows whether this was the partner's. A reader who trusts another CA than the partner's
    gets a finding about it.
    """
    found, name = judge_kept_packet(content, at, trust)
    if found.standing is SignatureStanding.VALID:
        holds: bool | None = said == SignatureStanding.VALID or None
        text = phrase(
            "the packet's signature is valid, by {name}, certificate {certificate}",
            name=name,
            certificate=found.certificate,
        )
    elif found.code in {"certificate-untrusted", "certificate-expired", "revocation-unknown"}:
        holds = None
        text = phrase(
            "the packet's signature is valid, by {name}, but certificate {certificate} leads to no CA you "
            "named ({detail})",
            name=name,
            certificate=found.certificate,
            detail=found.detail,
        )
    elif said == SignatureStanding.VALID and found.standing in {SignatureStanding.INVALID, SignatureStanding.UNSIGNED}:
        holds = False
        text = phrase(
            "the hub recorded the signature as valid, but it is not: {code} {detail}",
            code=found.code,
            detail=found.detail,
        )
    elif found.standing is SignatureStanding.UNVERIFIABLE:
        holds = None
        text = phrase(
            "the packet's signature cannot be checked here: {code} {detail}", code=found.code, detail=found.detail
        )
    else:
        holds = True
        text = phrase("the packet: {standing}, as the hub recorded", standing=found.standing)
    if said != found.standing and holds:
        holds = None
    return AuditFinding(holds, "signature", place, phrase("{text}; the hub recorded: {said}", text=text, said=said))


def judge_kept_packet(content: bytes, at: datetime, trust: AuditTrust) -> tuple[PacketSignature, str]:
    """Return the standing of a packet's own signature, and the signer's name.

    Uses the certificates in the packet and the trusted anchors.
    """
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected as rejected:
        problem = rejected.problems[0]
        return PacketSignature(standing=SignatureStanding.UNVERIFIABLE, code=problem.code, detail=problem.detail), ""
    shown = _list_shown_certificates(root)
    found = packet_signature.judge_packet_signature(
        root, Octets.of(content), shown, trust.anchors, at, sha1=True, vxp=True
    )
    names = [describe_owner(each) for each in shown if hash_certificate(each) == found.certificate]
    return found, names[0] if names else ""


def _list_shown_certificates(root: etree._Element) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for element in xmldsig.find_claimed_signatures(root)[:1]:
        for key_info in element.iterchildren("{*}KeyInfo"):
            try:
                found += map(
                    load_der, wss_tokens.list_shown_certificates(key_info, etree.QName(element).namespace or "")
                )
            except (Unverified, ValueError):
                continue  # a signature without a readable certificate is reported as unverifiable
    return found
