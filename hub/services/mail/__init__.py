"""The service `mail`: usage of the shared mail system by unit and day, as counts only (docs/reference/mail.md).

Knows `SubmitMailUsage` of `urn:lienthong:mail:1` and its facts. Does not know who counted. The message has no field for
an address, a subject or a person, so none can reach the journal.

The first report of a day counts. A mistake in it is corrected by a second message of the kind *correction*, whose
figures are differences. Both count, so both stay visible.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import date, datetime

import attrs
from lxml import etree

from hub.domain.errors import Rejected, shorten_detail
from hub.domain.local_time import HANOI
from hub.domain.model import Fact, Problem, Record
from hub.formats import safe_xml, xsd_types
from hub.language.phrases import Phrase, phrase
from hub.services import Service

NAME = "mail"
NAMESPACE = f"urn:lienthong:{NAME}:1"

#: The counted figures: the element's name, and the milestone of its facts.
FIGURES = {
    "AccountsIssued": "accounts-issued",
    "AccountsActive": "accounts-active",
    "SentInternal": "sent-internal",
    "SentExternal": "sent-external",
    "ReceivedInternal": "received-internal",
    "ReceivedExternal": "received-external",
    "RefusedSize": "refused-size",
    "OverQuota": "over-quota",
    "OfficialDocuments": "official-documents",
}
_ROOT = "SubmitMailUsage"
#: The milestone by which a unit that ends hands its accounts over; the hub records it, and their return below 0.
HANDED_OVER = "handed-over"
#: The first day of which usage is told: an earlier one is a mistake of typing, as for dossiers (`codes.toml` there).
_FIRST = date(2000, 1, 1)
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def read_usage_report(content: bytes, at: datetime, message: str) -> Record:
    """Read a report of mail usage into facts.

    Raises Rejected with `contract-broken` if the root element is another one, else with every problem by its path (`N.`
    missing, `T.` of the wrong type, `R.` out of range, `M.` not matching). Raises as `parse_safe_xml` does if the
    content is not sound XML.
    """
    call = safe_xml.parse_safe_xml(content)
    if call.tag != f"{{{NAMESPACE}}}{_ROOT}":
        raise Rejected(Problem("contract-broken", str(call.tag)[:200]))
    report = _Report(call, at)
    sender, corrects = report.must(call, "OrganId", ""), call.find(f"{{{NAMESPACE}}}Correction") is not None
    until = report.day("Day")
    since = report.day("Since", missing=until)
    if since < _FIRST:
        report.refuse(
            "R", "Day" if since == until else "Since", phrase("{day} is before {first}", day=since, first=_FIRST)
        )
    if until > at.astimezone(HANOI).date():
        report.refuse("R", "Day", phrase("it is in the future"))
    if since > until:
        report.refuse("R", "Since", phrase("it is after Day"))
    key = until.isoformat() if since == until else f"{since}/{until}"
    if corrects:
        key = f"{key}#{hashlib.sha256(content).hexdigest()[:16]}"
    facts = tuple(
        Fact(unit=unit, service=NAME, key=key, milestone=milestone, at=at, message=message, day=until, amount=amount)
        for unit, milestone, amount in report.figures(corrects=corrects)
    )
    if report.problems:
        raise Rejected(*report.problems)
    return Record(kind="correction" if corrects else "usage", sender=sender, subject=key.partition("#")[0], facts=facts)


@attrs.define
class _Report:
    """One call and the problems found in it."""

    call: etree._Element
    at: datetime
    problems: list[Problem] = attrs.field(factory=list)

    def refuse(self, letter: str, place: str, why: Phrase) -> None:
        self.problems.append(Problem(f"{letter}.{place}", shorten_detail(why, 300)))

    @staticmethod
    def text(element: etree._Element, name: str) -> str:
        found = element.find(f"{{{NAMESPACE}}}{name}")
        return "" if found is None else xsd_types.read_xs_token(found)

    def must(self, element: etree._Element, name: str, place: str) -> str:
        text = self.text(element, name)
        if not text:
            self.refuse("N", f"{place}{name}", phrase("it is empty"))
        return text

    def day(self, name: str, *, missing: date | None = None) -> date:
        """Return the day in the leaf *name*; *missing* if the leaf is absent; today if it is a problem."""
        text = self.text(self.call, name)
        if not text and missing is not None:
            return missing
        try:
            if _DAY.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:
            pass  # no such calendar day
        self.refuse(
            "T" if text else "N", name, phrase("{text} is not a day", text=text[:50]) if text else phrase("it is empty")
        )
        return self.at.astimezone(HANOI).date()

    def figures(self, *, corrects: bool) -> Iterator[tuple[str, str, int]]:
        """Yield each figure: unit, milestone, amount."""
        seen: set[str] = set()
        for number, usage in enumerate(self.call.iterfind(f"{{{NAMESPACE}}}Usage"), 1):
            place = f"Usage[{number}]."
            unit = self.must(usage, "OrganId", place)
            if unit in seen:
                self.refuse("M", f"{place}OrganId", phrase("{unit} occurs twice", unit=unit))
            seen.add(unit)
            for name, milestone in FIGURES.items():
                text = self.text(usage, name)
                if not text:
                    continue
                if not _NUMBER.fullmatch(text):
                    self.refuse("T", f"{place}{name}", phrase("{text} is no whole number", text=text[:50]))
                elif int(text) < 0 and not corrects:
                    self.refuse("R", f"{place}{name}", phrase("negative; only a correction may have negative figures"))
                else:
                    yield unit, milestone, int(text)
        if not seen:
            self.refuse("N", "Usage", phrase("there is no Usage"))


SERVICE = Service(
    name=NAME,
    read=read_usage_report,
    milestones=frozenset({*FIGURES.values(), HANDED_OVER}),
    operations=frozenset({_ROOT}),
    may_report_any_unit=True,
)
