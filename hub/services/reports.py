"""The service `reports`: sealed reports of units, on their way to the systems that they are submitted to.

Knows the hub's own messages: the sealed report itself (`xsd/lienthong/1/report.xsd`), and the PDF of it that an official
has signed, in an envelope that says of which report. The delivery of the first is recorded as the fact `submitted`. The
recipient's later decision arrives as a message of `verdicts`.
"""

import base64
import json
from datetime import datetime

from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Problem, Record
from hub.formats import safe_xml
from hub.language.phrases import phrase
from hub.services import Service

NAME = "reports"
REPORT = "urn:lienthong:report:1"
_SIGNED_PDF = f"{{{REPORT}}}SignedPdf"
ACCEPTED, RETURNED, SUBMITTED = "accepted", "returned", "submitted"


def make_revision_key(form: str, unit: str, period: str, revision: int) -> str:
    """Return the business key of one revision of a report."""
    return json.dumps([form, unit, period, revision], ensure_ascii=False, separators=(",", ":"))


def wrap_signed_pdf(pdf: bytes, form: str, unit: str, period: str, revision: int) -> bytes:
    """Return the message with the signed PDF of a revision."""
    said = {"form": form, "unit": unit, "period": period, "revision": str(revision)}
    root = etree.Element(_SIGNED_PDF, said, nsmap={None: REPORT})  # type: ignore[dict-item]
    root.text = base64.b64encode(pdf).decode()
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def unwrap_signed_pdf(octets: bytes) -> bytes:
    """Return the PDF in a message of `wrap_signed_pdf`, which the hub itself wrote."""
    return base64.b64decode(safe_xml.parse_safe_xml(octets).text or "")


def read_report_record(octets: bytes, at: datetime, message: str) -> Record:
    """Read the record of a sealed report. It has no fact before its delivery. Raises Rejected."""
    del at, message
    root = safe_xml.parse_safe_xml(octets)
    form, unit, period, revision = _read_address(root)
    one = make_revision_key(form, unit, period, revision)
    return Record(kind="report", sender=unit, keys=(one,), subject=f"{_find_title(root)} {period}".strip())


def read_report_address(octets: bytes) -> tuple[str, str, str, int]:
    """Return the form, the unit, the period and the revision that a sealed report names, also a signed one. Raises
    Rejected.
    """
    return _read_address(safe_xml.parse_safe_xml(octets))


def _read_address(root: etree._Element) -> tuple[str, str, str, int]:
    form, period, total = (root.find(f"{{{REPORT}}}{tag}") for tag in ("Form", "Period", "Total"))
    if root.tag != f"{{{REPORT}}}Report" or form is None or period is None or total is None:
        raise Rejected(Problem("contract-broken", phrase("{tag} is no sealed report", tag=root.tag)))
    unit, revision = total.get("unit", ""), root.get("revision", "1")
    if not (unit and revision.isascii() and revision.isdigit() and len(revision) < 10):
        raise Rejected(
            Problem("contract-broken", phrase("a report without a unit, or with a revision that is no number"))
        )
    return form.get("id", ""), unit, period.get("text", ""), int(revision)


def _read_record(octets: bytes, at: datetime, message: str) -> Record:
    """Read the record of a sealed report, or of its signed PDF, which brings no fact. Raises Rejected."""
    root = safe_xml.parse_safe_xml(octets)
    if root.tag != _SIGNED_PDF:
        return read_report_record(octets, at, message)
    form, unit, period, revision = (root.get(name, "") for name in ("form", "unit", "period", "revision"))
    key = make_revision_key(form, unit, period, int(revision))
    return Record(kind="signed-pdf", sender=unit, keys=(key,), subject=f"{form} {period}")


def _find_title(root: etree._Element) -> str:
    titles = root.iterfind(f"{{{REPORT}}}Form/{{{REPORT}}}Title")
    return next((each.text or "" for each in titles if each.get("language") == "vi"), "")


SERVICE = Service(
    name=NAME,
    read=_read_record,
    milestones=frozenset({ACCEPTED, RETURNED}),
    queries=frozenset({"GetWorkloadReport", "GetReconciliation", "ListPeriods"}),
    synced=SUBMITTED,
)
