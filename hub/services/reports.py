"""The service `reports`: sealed reports of units, on their way to the systems that they are submitted to.

Knows the hub's own message: the sealed report itself (`xsd/lienthong/1/report.xsd`). Its delivery is recorded as the
fact `submitted`. The recipient's later decision arrives as a message of `verdicts`.
"""

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
ACCEPTED, RETURNED, SUBMITTED = "accepted", "returned", "submitted"


def make_revision_key(form: str, unit: str, period: str, revision: int) -> str:
    """Return the business key of one revision of a report."""
    return json.dumps([form, unit, period, revision], ensure_ascii=False, separators=(",", ":"))


def read_report_record(octets: bytes, at: datetime, message: str) -> Record:
    """Read the record of a sealed report. It has no fact before its delivery. Raises Rejected."""
    del at, message
    root = safe_xml.parse_safe_xml(octets)
    form, period, total = (root.find(f"{{{REPORT}}}{tag}") for tag in ("Form", "Period", "Total"))
    if root.tag != f"{{{REPORT}}}Report" or form is None or period is None or total is None:
        raise Rejected(Problem("contract-broken", phrase("{tag} is no sealed report", tag=root.tag)))
    unit, revision = total.get("unit", ""), root.get("revision", "1")
    if not (unit and revision.isascii() and revision.isdigit()):
        raise Rejected(
            Problem("contract-broken", phrase("a report without a unit, or with a revision that is no number"))
        )
    one = make_revision_key(form.get("id", ""), unit, period.get("text", ""), int(revision))
    return Record(kind="report", sender=unit, keys=(one,), subject=f"{_title(form)} {period.get('text', '')}".strip())


def _title(form: etree._Element) -> str:
    return next(
        (each.text or "" for each in form if each.tag == f"{{{REPORT}}}Title" and each.get("language") == "vi"), ""
    )


SERVICE = Service(name=NAME, read=read_report_record, milestones=frozenset({ACCEPTED, RETURNED}), synced=SUBMITTED)
