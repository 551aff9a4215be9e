"""What the smaller services tell, read out of the bytes: use of the mail, incidents, lookups, links, and reports handed in.

The rules are those of docs/reference/mail.md, incidents.md, lookups.md, reports.md and docs/howto/links.md.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree as ET

import attrs

from tests.recount import places
from tests.recount.exported import Journal, Message
from tests.recount.places import canonical
from tests.recount.told import Told, once

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
OPERATIONS = {
    "LookupEnterprise": "lookup-enterprise",
    "LookupCategory": "lookup-category",
    "VerifyCitizen": "verify-citizen",
    "OrderPostalReturn": "postal-ordered",
    "RegisterCivilStatus": "civil-status-sent",
    "RequestJudicialRecord": "judicial-record-requested",
}
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")


def read_mail(journal: Journal) -> list[Told]:
    """Return the figures of days, a correction beside them, and the accounts that passed from units that ended."""
    told = once(_read_usage(journal))
    return [*told, *_pass_accounts(told, journal.events[-1].at)] if told else []


def _pass_accounts(told: list[Told], until: datetime) -> list[Told]:
    """Return what passed until then: when a unit is no more, as many accounts as it had told of last, of a day of that year;
    when its deed is undone, as many come back.
    """
    found = dict[str, list[Told]]()
    for passing in (each for each in places.endings() if each.at <= until):
        for unit in passing.units:
            moves, at, on = found.setdefault(unit, []), passing.at, places.day(passing.at)
            gone = sum(each.amount for each in moves) > 0
            key, last = ("handed-over", f"{len(moves) + 1}"), _last_accounts(told, unit, at)
            if passing.heir and not gone and last is not None:
                moves.append(attrs.evolve(last, key=key, what="handed-over", at=at, day=on))
            if not passing.heir and gone:
                moves.append(attrs.evolve(moves[-1], key=key, at=at, day=on, amount=-moves[-1].amount))
    return [one for moves in found.values() for one in moves]


def _last_accounts(told: list[Told], unit: str, at: datetime) -> Told | None:
    """Return the last report of accounts that a unit has then, with their number; 0 of them are none."""
    year = (places.day(at) - timedelta(days=1)).year
    spans = dict[tuple[date, str], list[Told]]()
    for one in told:
        if (one.unit, one.what) == (unit, "accounts-issued") and one.at <= at and one.on.year >= year:
            spans.setdefault((one.on, one.key[0]), []).append(one)
    for _, some in sorted(spans.items(), reverse=True):
        number = sum(each.amount for each in some)
        if number > 0:
            return attrs.evolve(next((each for each in some if len(each.key) == 2), some[0]), amount=number)
    return None


def _read_usage(journal: Journal) -> Iterator[Told]:
    for message in journal.of("mail"):
        call = ET.fromstring(message.octets)
        day = date.fromisoformat(_text(call, "Day"))
        since = _text(call, "Since") or f"{day}"
        corrects = (message.sha256,) if call.find("{*}Correction") is not None else ()
        for usage in call.findall("{*}Usage"):
            for name, what in FIGURES.items():
                if number := _text(usage, name):
                    yield _told(
                        "mail",
                        _text(usage, "OrganId"),
                        (since, f"{day}", *corrects),
                        what,
                        message,
                        day=day,
                        amount=int(number),
                    )


def read_links(journal: Journal) -> Iterator[Told]:
    """Yield the minutes of days: a minute that several nodes probed is one."""
    for message in journal.of("links"):
        root = ET.fromstring(message.octets)
        day = date.fromisoformat(root.get("day", ""))
        for link in root.findall("{*}Link"):
            nodes = [[int(node.get(name, ""), 16) for name in ("probed", "up")] for node in link.findall("{*}Node")]
            probed = sum(any(node[0] >> minute & 1 for node in nodes) for minute in range(24 * 60))
            up = sum(any(node[1] >> minute & 1 for node in nodes) for minute in range(24 * 60))
            for unit in [each.text or "" for each in link.findall("{*}Unit")] or [root.get("province", "")]:
                key = link.get("name", ""), f"{day}"
                yield _told("links", unit, key, "link-probed", message, day=day, amount=probed)
                yield _told("links", unit, key, "link-up", message, day=day, amount=up)


def read_lookups(journal: Journal) -> Iterator[Told]:
    """Yield what was asked and ordered: an order once, a question each time."""
    for message in journal.of("lookups"):
        record = ET.fromstring(message.octets)
        what = OPERATIONS[_text(record, "Operation")]
        yield _told("lookups", _text(record, "OrganId"), (_text(record, "Key") or message.id,), what, message)


def read_reports(journal: Journal) -> list[Told]:
    """Return which reports were handed in, and what became of them."""
    found = []
    for message, at in journal.delivered("reports"):
        root = ET.fromstring(message.octets)
        form, period, total = (root.find(f"{{*}}{name}") for name in ("Form", "Period", "Total"))
        assert form is not None
        assert period is not None
        assert total is not None
        unit = total.get("unit", "")
        key = form.get("id", ""), unit, period.get("text", ""), root.get("revision", "1")
        found.append(_told("reports", unit, key, "submitted", message, at=at))
    for message in journal.of("verdicts"):
        root = ET.fromstring(message.octets)
        about = tuple(root.get(name, "") for name in ("form", "unit", "period", "revision"))
        found.append(_told("reports", root.get("unit", ""), about, root.get("result", ""), message))
    return found


# --- incidents ----------------------------------------------------------------------------------------------------------


def incident_of_line(message: Message) -> Told:
    """Return what a syslog message of the incident element tells."""
    head = re.match(r"<(\d+)>1 (\S+) (\S+) ", message.octets.decode())
    said = dict(re.findall(r' (\w+)="([^"]*)"', message.octets.decode().split("[incident@32473")[1].split("]")[0]))
    assert head is not None
    time = message.at if head[2] == "-" else datetime.fromisoformat(head[2])
    closed = said.get("state", "").lower() in ("closed", "resolved")
    unit = said.get("unit") or head[3]
    return _incident(message, unit, said["id"], SEVERITIES[int(head[1]) % 8], time, closed=closed)


def incident_of_report(message: Message, octets: bytes) -> Told:
    """Return what an incident report in an attachment tells."""
    root = ET.fromstring(octets)
    closed = _text(root, "State") == "closed"
    time = datetime.fromisoformat(_text(root, "ClosedAt" if closed else "OpenedAt"))
    return _incident(message, _text(root, "Unit"), _text(root, "Id"), _text(root, "Severity"), time, closed=closed)


def _incident(message: Message, unit: str, name: str, severity: str, time: datetime, *, closed: bool) -> Told:
    time = time.astimezone(UTC).replace(microsecond=0)
    what = "closed" if closed else "opened"
    return _told(
        "incidents", unit, (name,), what, message, day=places.day(time), severity=severity, time=time.isoformat()
    )


def with_closings(told: list[Told]) -> list[Told]:
    """Return the first opening and the first closing of each incident, and how long it was open where both are known."""
    found = once(told)
    for opened in [one for one in found if one.what == "opened"]:
        for closed in [one for one in found if (one.unit, one.key, one.what) == (opened.unit, opened.key, "closed")]:
            begun, ended = (datetime.fromisoformat(one.said["time"]) for one in (opened, closed))
            last = max(opened, closed, key=told.index)
            found.append(
                Told(
                    service="incidents",
                    unit=opened.unit,
                    key=opened.key,
                    what="closing-seconds",
                    at=last.at,
                    message=last.message,
                    amount=max(0, int((ended - begun).total_seconds())),
                )
            )
    return found


def _told(
    service: str,
    unit: str,
    key: tuple[str, ...],
    what: str,
    message: Message,
    *,
    at: datetime | None = None,
    day: date | None = None,
    amount: int = 1,
    **said: str,
) -> Told:
    return Told(
        service=service,
        unit=canonical(unit),
        key=key,
        what=what,
        at=at or message.at,
        message=message.id,
        day=day,
        amount=amount,
        said=said,
    )


def _text(element: ET.Element, name: str) -> str:
    return " ".join((element.findtext(f"{{*}}{name}") or "").split())
