"""Sends the steps of a drill through the hub's front door, one after the other, and fetches the reports.

Knows the operations. A door (`Door`) signs, carries and verifies a call; what comes back through it is the hub's own word.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Protocol

from lxml import etree

from hub.audit.drill.desk import SentStep
from hub.audit.drill.expecting import FORMS
from hub.audit.drill.plan import Does, DrillPlan, DrillStep
from hub.soap import documents_requests
from hub.soap.documents_requests import ConfirmReceived, GetDocument, GetPendingDocumentIds
from hub.soap.envelope import build_element

Clock = Callable[[], datetime]
#: Rounds of fetching for one unit, and the length of a list that may be cut off.
ROUNDS, _PAGE = 200, 50


class DrillRefused(Exception):
    """The hub refuses a call as a whole, by a SOAP fault with these codes."""

    def __init__(self, *codes: str) -> None:
        super().__init__(", ".join(codes))
        self.codes = codes


class Door(Protocol):
    """The way to the hub's services."""

    def call(self, service: str, element: etree._Element) -> etree._Element:
        """Return the verified answer to the call *element* of *service*. Raises DrillRefused for a fault of the caller."""
        ...


def send_step(step: DrillStep, door: Door, now: Clock) -> SentStep:
    """Do one step and return what the hub answered. The same step may be done again if it is not known how it ended."""
    if step.does is Does.FETCH:
        confirmed = fetch_waiting(step.unit, door)
        return SentStep(number=step.number, at=now(), accepted=True, confirmed=confirmed)
    if step.service == "documents":
        operation = getattr(documents_requests, step.operation)
        element = documents_requests.build_call_element(operation(step.octets, step.message_id))
    else:
        element = etree.fromstring(step.octets)
    try:
        return _read_answer(step, door.call(step.service, element), now)
    except DrillRefused as refused:
        return SentStep(number=step.number, at=now(), accepted=False, codes=refused.codes)


def fetch_waiting(unit: str, door: Door) -> tuple[str, ...]:
    """Fetch and confirm everything that waits for *unit*. Return the hub's ids."""
    found: dict[str, None] = {}
    for _ in range(ROUNDS):
        answer = door.call("documents", documents_requests.build_call_element(GetPendingDocumentIds(unit)))
        new = [each.text or "" for each in answer.iter("{*}DocumentId") if each.text not in found]
        for name in new:
            door.call("documents", documents_requests.build_call_element(GetDocument(name)))
            door.call("documents", documents_requests.build_call_element(ConfirmReceived(name, unit)))
            found[name] = None
        if len(new) < _PAGE:  # the list was not cut off
            break
    return tuple(found)


def list_asked_reports(plan: DrillPlan) -> tuple[tuple[str, str], ...]:
    """Return the form and unit of each report that is compared: of every unit with units below it."""
    tops = [unit.code for unit in plan.units if len(plan.list_below(unit.code)) > 1]
    services = {step.service for step in plan.steps}
    enclosed = {"meeting": "meetings", "incident": "incidents"}
    services |= {service for name, service in enclosed.items() if any(name in step.said for step in plan.steps)}
    return tuple((form, unit) for form, service in FORMS.items() if service in services for unit in tops)


def fetch_report(plan: DrillPlan, form: str, unit: str, door: Door) -> bytes:
    """Return the sealed report of *unit* for the period of *plan*. Raises DrillRefused."""
    namespace = "urn:lienthong:reports:1"
    asked = {"OrganId": unit, "Form": form, "Period": plan.period}
    answer = door.call("reports", build_element(namespace, "GetWorkloadReport", asked))
    return b64decode(answer.findtext(f"{{{namespace}}}Content") or "")


def find_floors(door: Door) -> Mapping[str, date]:
    """Return, by form, the first day after the months that are closed for any form; empty if none is.

    The first closing of a month holds for all forms: what is told of it later counts in the next one.
    """
    namespace, last = "urn:lienthong:reports:1", date.min
    for form in FORMS:
        answer = door.call("reports", build_element(namespace, "ListPeriods", {"Form": form}))
        for period in answer.iterfind(f"{{{namespace}}}Period"):
            if period.findtext(f"{{{namespace}}}State") == "closed":
                last = max(last, date.fromisoformat(period.findtext(f"{{{namespace}}}To") or ""))
    return {} if last == date.min else dict.fromkeys(FORMS, last + timedelta(days=1))


def _read_answer(step: DrillStep, answer: etree._Element, now: Clock) -> SentStep:
    space = f"{{urn:lienthong:{step.service}:1}}"
    receipt = answer.find(f"{space}Receipt")
    if receipt is None:
        codes = tuple(each.text or "" for each in answer.iter(f"{space}Code"))
        return SentStep(number=step.number, at=now(), accepted=False, codes=codes)
    return SentStep(
        number=step.number,
        at=datetime.fromisoformat(receipt.findtext(f"{space}Time") or ""),
        accepted=True,
        document_id=receipt.findtext(f"{space}DocumentId") or "",
        sha256=receipt.findtext(f"{space}Sha256") or "",
        receipt=etree.tostring(receipt, method="c14n", exclusive=True, with_tail=False).decode(),
    )
