"""The protocol of a drill: one signed file with the plan, the answers, the receipts, the reports and the verdict; and its
verification without a hub.

The inspector's own key signs it. Every receipt and report in it keeps the hub's own seal, so neither side can change the
other's word. Knows `urn:lienthong:drill:1`.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import attrs
from lxml import etree

from hub.audit.documents import audit_receipt, audit_sealed_report
from hub.audit.drill.comparing import DrillDifference, Reconciled, reconcile_drill
from hub.audit.drill.desk import SentStep
from hub.audit.drill.expecting import expect_numbers
from hub.audit.drill.plan import Does, DrillPlan, PlanUnreadable, list_traps, read_plan, write_plan
from hub.audit.drill.sending import list_asked_reports
from hub.audit.findings import MOST, AuditFinding, FindingCollector, confirm_finding, deny_finding, note_finding
from hub.audit.seals import AuditTrust, SealBroken, Sealers, describe_seal, open_sealed_document
from hub.language.phrases import Phrase, phrase
from hub.report.counting import lines
from hub.report.counting.counting import Report
from hub.report.signed.sealed import read_sealed_report
from hub.security import signing
from hub.security.certificates import Signer

NAMESPACE = "urn:lienthong:drill:1"
ROOT = f"{{{NAMESPACE}}}DrillProtocol"
#: Reports in a protocol that are read.
MOST_REPORTS = 40


class ProtocolUnreadable(ValueError):
    """The file is not the protocol of a drill."""


@attrs.frozen(kw_only=True)
class DrillRecord:
    """Everything that a drill has brought to light, before it is signed."""

    plan: DrillPlan
    sent: tuple[SentStep, ...]
    reports: Mapping[tuple[str, str], bytes]  #: form and unit -> the sealed report
    floors: Mapping[str, date]  #: form -> first day after its closed months

    def read_reports(self) -> dict[tuple[str, str], Report]:
        """Return the reports. Raises SchemaBroken."""
        return {asked: read_sealed_report(content).report for asked, content in self.reports.items()}

    def reconcile(self) -> Reconciled:
        """Compare everything with the plan. A report that it asks for and that is not there differs. Raises SchemaBroken."""
        found = reconcile_drill(self.plan, self.sent, self.read_reports(), self.floors)
        absent = tuple(
            DrillDifference(what="report", place=f"{form} {unit}", expected="fetched", found="not fetched")
            for form, unit in list_asked_reports(self.plan)
            if (form, unit) not in self.reports
        )
        return attrs.evolve(found, differences=(*found.differences, *absent))


def write_sent(sent: Sequence[SentStep]) -> bytes:
    """Return the sent steps, one JSON object a line."""
    return b"".join(write_sent_line(each) for each in sent)


def write_sent_line(sent: SentStep) -> bytes:
    """Return one sent step as a line."""
    said = attrs.asdict(sent) | {"at": sent.at.isoformat()}
    return json.dumps(said, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def read_sent(content: bytes) -> tuple[SentStep, ...]:
    """Return the sent steps in *content*. Raises ProtocolUnreadable."""
    try:
        return tuple(_read_sent(json.loads(line)) for line in content.splitlines())
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProtocolUnreadable(f"{type(error).__name__}: {error}") from None


def _read_sent(said: dict[str, Any]) -> SentStep:
    listed = {name: tuple(map(str, said[name])) for name in ("codes", "confirmed")}
    return SentStep(**said | listed | {"at": lines.read_offset_time(said["at"])})


def sign_protocol(record: DrillRecord, identity: Signer, now: datetime) -> tuple[bytes, Reconciled]:
    """Return the protocol of *record*, signed with the inspector's key, and its result. Raises SchemaBroken."""
    found, reports = record.reconcile(), record.read_reports()
    root = etree.Element(ROOT, nsmap={None: NAMESPACE})  # type: ignore[dict-item]  # lxml: None is the default namespace
    _add_element(root, "MadeAt", now.isoformat())
    _add_element(
        root, "Plan", b64encode(write_plan(record.plan)).decode(), sha256=sha256(write_plan(record.plan)).hexdigest()
    )
    _add_element(root, "Sent", b64encode(write_sent(record.sent)).decode(), steps=str(len(record.sent)))
    for form, day in sorted(record.floors.items()):
        _add_element(root, "OpenSince", day.isoformat(), form=form)
    for (form, unit), content in record.reports.items():
        _add_element(root, "Report", b64encode(content).decode(), form=form, unit=unit)
    cells = _add_element(root, "Cells", "")
    made_at = {form: report.made_at for (form, _), report in reversed(reports.items())}
    expected = expect_numbers(record.plan, record.sent, made_at, record.floors)
    for (form, unit, column), number in sorted(expected.numbers.items()):
        _add_element(cells, "Cell", str(number), form=form, unit=unit, column=column)
    _add_element(root, "Tried", " ".join(list_traps(record.plan.steps)))
    verdict = _add_element(root, "Verdict", "", agrees="true" if found.agrees else "false", cells=str(found.cells))
    for each in found.differences:
        said = {"what": each.what, "place": each.place, "expected": each.expected, "found": each.found}
        difference = _add_element(verdict, "Difference", "", **said)
        for message in each.messages:
            _add_element(difference, "Message", message)
    return signing.write_sealed_document(root, identity), found


def audit_protocol(content: bytes, trust: AuditTrust) -> Iterator[AuditFinding]:
    """Yield the findings about a protocol: its signature, each seal of the hub in it, and its verdict computed anew."""
    sealers = Sealers(trust)
    try:
        root, certificate, at = open_sealed_document(content, trust, _made_at)
    except SealBroken as broken:
        yield deny_finding("drill", "", broken.why)
        return
    yield from describe_seal("", certificate, at, trust.now)
    try:
        record = _read_drill_record(root)
    except (ProtocolUnreadable, PlanUnreadable) as error:
        yield deny_finding("drill", "", phrase("not the protocol of a drill: {error}", error=str(error)[:600]))
        return
    yield from _audit_receipts(record, sealers)
    sound = yield from _audit_reports(record, sealers)
    yield from sealers.judge()
    if sound:
        yield from _audit_verdict(root, record)


def _audit_receipts(record: DrillRecord, sealers: Sealers) -> Iterator[AuditFinding]:
    """Yield whether each receipt is the hub's, and for the very octets of the plan."""
    receipts, many = FindingCollector("receipt", "Sent"), 0
    for sent in record.sent:
        if not sent.accepted or not 0 < sent.number <= len(record.plan.steps):
            continue
        step = record.plan.steps[sent.number - 1]
        if step.does is Does.FETCH:
            continue
        many += 1
        if not sent.receipt:
            yield from receipts.no(step.message_id, phrase("it is said to be accepted, and there is no receipt"))
            continue
        found = yield from audit_receipt(sent.receipt.encode(), step.message_id, sealers, quiet=True)
        if found is None:
            receipts.failed += 1
            continue
        said = (found.document_id, found.message_id, found.sha256, found.time)
        if said != (sent.document_id, step.message_id, sha256(step.octets).hexdigest(), sent.at):
            yield from receipts.no(step.message_id, phrase("the receipt and the message disagree"))
    if not receipts.failed:
        said_many = phrase("{many} receipts: sealed by the hub, each for the octets of the plan", many=many)
        yield confirm_finding("receipt", "Sent", said_many)


def _audit_reports(record: DrillRecord, sealers: Sealers) -> Generator[AuditFinding, None, bool]:
    """Yield whether each report is the hub's. Return whether all can be read."""
    sound = True
    for (form, unit), content in record.reports.items():
        found = yield from audit_sealed_report(content, f"{form} {unit}", sealers)
        sound &= found is not None
        if found is not None and (found.report.form.id, found.report.total.unit) != (form, unit):
            yield deny_finding("report", f"{form} {unit}", phrase("the report of another form or unit"))
            sound = False
    return sound


def _audit_verdict(root: etree._Element, record: DrillRecord) -> Iterator[AuditFinding]:
    """Yield whether the verdict is what a comparison made now gives, and what it is."""
    found = record.reconcile()
    verdict = root.find(f"{{{NAMESPACE}}}Verdict")
    told = [_read_difference(each) for each in root.iter(f"{{{NAMESPACE}}}Difference")]
    agrees = None if verdict is None else verdict.get("agrees")
    if (told, agrees) != ([*found.differences], "true" if found.agrees else "false"):
        yield deny_finding("drill", "Verdict", phrase("the verdict is not what the plan and the reports give"))
        return
    if found.agrees:
        text = phrase("{cells} numbers are exactly those that the inspector expected", cells=found.cells)
        yield confirm_finding("drill", "Verdict", text)
        return
    for each in found.differences[:MOST]:
        yield note_finding("drill", each.place, say_difference(each))
    text = phrase("the hub failed the drill: {count} differences", count=len(found.differences))
    yield note_finding("drill", "Verdict", text)


def say_difference(each: DrillDifference) -> Phrase:
    """Return the sentence about a difference."""
    return phrase(
        "expected {expected}, found {found}; messages: {messages}",
        expected=each.expected,
        found=each.found,
        messages=", ".join(each.messages) or "–",
    )


def _made_at(root: etree._Element) -> datetime:
    return lines.read_offset_time(root.findtext(f"{{{NAMESPACE}}}MadeAt") or "")


def _read_drill_record(root: etree._Element) -> DrillRecord:
    """Return what a protocol contains. Raises ProtocolUnreadable, PlanUnreadable."""
    elements = root.findall(_qualify_tag("Report"))
    if root.tag != ROOT or len(elements) > MOST_REPORTS:
        raise ProtocolUnreadable(f"{root.tag}: {len(elements)} reports")
    try:
        floors = {
            each.get("form", ""): date.fromisoformat(each.text or "")
            for each in root.iterfind(_qualify_tag("OpenSince"))
        }
        reports = {(each.get("form", ""), each.get("unit", "")): b64decode(each.text or "") for each in elements}
        plan, sent = (b64decode(root.findtext(_qualify_tag(name)) or "") for name in ("Plan", "Sent"))
    except ValueError as error:
        raise ProtocolUnreadable(str(error)) from None
    return DrillRecord(plan=read_plan(plan), sent=read_sent(sent), reports=reports, floors=floors)


def _read_difference(said: etree._Element) -> DrillDifference:
    return DrillDifference(
        what=said.get("what", ""),
        place=said.get("place", ""),
        expected=said.get("expected", ""),
        found=said.get("found", ""),
        messages=tuple(each.text or "" for each in said),
    )


def _qualify_tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _add_element(parent: etree._Element, name: str, text: str, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, _qualify_tag(name), attributes)
    element.text = text or None
    return element
