"""The service `verdicts`: what a recipient system decided about a submitted report, accepted or returned.

Knows the one format in which all adapters report a verdict:

    <Verdict xmlns="urn:lienthong:verdict:1" form="edoc" unit="H55" period="2026-11" revision="1" result="returned" by="baocao">
      <Reason>…</Reason>
    </Verdict>

Its fact belongs to the service `reports`, like the fact that the report was submitted.
"""

from collections.abc import Sequence
from datetime import datetime

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Fact, Problem, Record
from hub.domain.sanitize import replace_unwritable
from hub.formats import safe_xml
from hub.language.phrases import phrase
from hub.services import Service, reports

NAME = "verdicts"
NAMESPACE = "urn:lienthong:verdict:1"
_WORDS = ("form", "unit", "period", "revision", "result", "by")


@attrs.frozen(kw_only=True)
class ReportVerdict:
    """The recipient's decision about one revision of a report."""

    form: str
    unit: str
    period: str
    revision: int
    result: str  #: accepted or returned
    by: str  #: the code of the partner that decided
    reasons: Sequence[str] = ()


def write_verdict_message(verdict: ReportVerdict) -> bytes:
    """Return the message in canonical XML.

    Raises ValueError if XML cannot hold a value. In a reason such characters are replaced.
    """
    said = {word: str(getattr(verdict, word)) for word in _WORDS}
    root = etree.Element(_qualify_tag("Verdict"), said, nsmap={None: NAMESPACE})  # type: ignore[dict-item]
    for reason in verdict.reasons:
        etree.SubElement(root, _qualify_tag("Reason")).text = replace_unwritable(
            reason
        )  # people paste reasons from any source
    return etree.tostring(root, method="c14n", exclusive=True)


def read_verdict_message(octets: bytes, at: datetime, message: str) -> Record:
    """Read a verdict message into one fact of the unit. Raises Rejected."""
    root = safe_xml.parse_safe_xml(octets)
    said = {word: root.get(word, "") for word in _WORDS}
    if root.tag != _qualify_tag("Verdict") or not all(said.values()):
        raise Rejected(Problem("contract-broken", phrase("{tag} is not a complete verdict", tag=root.tag)))
    if said["result"] not in {reports.ACCEPTED, reports.RETURNED}:
        raise Rejected(Problem("contract-broken", f"Verdict/@result: {said['result']}"))
    if not (said["revision"].isascii() and said["revision"].isdigit()):
        raise Rejected(Problem("contract-broken", f"Verdict/@revision: {said['revision']}"))
    fact = Fact(
        unit=said["unit"],
        service=reports.NAME,
        key=reports.make_revision_key(said["form"], said["unit"], said["period"], int(said["revision"])),
        milestone=said["result"],
        at=at,
        message=message,
        counterpart=said["by"],
        outside=True,
    )
    why = "; ".join(each.text or "" for each in root.iterfind(_qualify_tag("Reason")))
    subject = f"{said['form']} {said['period']} {said['result']}" + (f": {why}" if why else "")
    return Record(kind="verdict", sender=said["unit"], subject=subject, facts=(fact,))


def read_verdict_reasons(octets: bytes) -> tuple[str, ...]:
    """Return the reasons in a message that `write_verdict_message` wrote."""
    return tuple(each.text or "" for each in safe_xml.parse_safe_xml(octets).iterfind(_qualify_tag("Reason")))


def _qualify_tag(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


SERVICE = Service(name=NAME, read=read_verdict_message, milestones=frozenset(), may_report_any_unit=True)
