"""Chooses what an alert to a unit says, and writes its mail. Pure: sends nothing, reads nothing.

A mail has codes and numbers only: no subject of a document, no name of a person. It is in Vietnamese, as the agencies read it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.sanitize import replace_controls
from hub.journal.sequels.open_work.alerts import AlertKey, AlertKind
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase, phrases
from hub.language.terms import name_word
from hub.report.counting.open_work import ListedWork, OpenWork
from hub.report.form.workdays import Workdays
from hub.report.words import write_day, write_moment

#: Things that one mail lists. It counts the others.
LISTED = 200


@attrs.frozen(kw_only=True)
class Alert:
    """What one mail says."""

    key: AlertKey
    address: str
    name: str  #: of the unit
    items: Sequence[ListedWork]  #: at most `LISTED`
    count: int  #: of all things
    today: date
    upto: datetime  #: what the hub learned until then was considered


def is_new(
    work: OpenWork, before: Sequence[int], workdays: Workdays, today: date, upto: datetime, told: datetime | None
) -> bool:
    """Return whether an alert of *today* about what is due soon lists *work*.

    It does from the first day of warning on, once for each number of *before*: if one of these days, or the hub's learning
    of the due day, lies after *told*, until when the unit was told; None: never. What the hub learned after *upto* is left
    to the next alert.
    """
    if work.due_told_at > upto or work.due < today:
        return False
    days = [workdays.subtract(work.due, number) for number in before]
    reached = [day for day in days if day <= today]
    if not reached:
        return False
    return told is None or work.due_told_at > told or max(reached) > find_local_day(told)


def write_alert_mail(alert: Alert, sender: str, hub: str, identity: str, workdays: Workdays, now: datetime) -> bytes:
    """Return the mail. *sender*: the address that it comes from. *identity*: a unique id for its Message-ID."""
    return make_mail(
        _say_in_vietnamese(_write_subject(alert)),
        _write_lines(alert, workdays, now),
        alert.address,
        (sender, hub, identity),
        now,
    )


def make_mail(subject: str, lines: Sequence[str], address: str, origin: tuple[str, str, str], now: datetime) -> bytes:
    """Return a mail to *address*. *origin*: the address that it comes from, the hub's name and a unique id."""
    sender, hub, identity = origin
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = sender, address
    mail["Subject"] = replace_controls(f"[{hub}] {subject}")
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{identity}@{sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # asks for no out-of-office reply (RFC 3834)
    mail.set_content("\n".join(map(replace_controls, lines)) + "\n", cte="base64")
    return mail.as_bytes()


def _write_subject(alert: Alert) -> Phrase:
    unit, count = alert.key.unit, alert.count
    if alert.key.kind is AlertKind.OVERDUE:
        return phrases("{unit}: {count} thing is late", "{unit}: {count} things are late", count=count, unit=unit)
    return phrases("{unit}: {count} thing is due soon", "{unit}: {count} things are due soon", count=count, unit=unit)


def _write_lines(alert: Alert, workdays: Workdays, now: datetime) -> Sequence[str]:
    """Return the lines of the text."""
    late = alert.key.kind is AlertKind.OVERDUE
    head = phrase("Late and not finished, as of {at} (Hà Nội):", at=write_moment(now))
    if not late:
        head = phrase("Due soon and not finished, as of {at} (Hà Nội):", at=write_moment(now))
    lines = [f"{alert.name} ({alert.key.unit})", "", _say_in_vietnamese(head), ""]
    lines += [
        f"{number}. {_write_work_line(each, alert.today, workdays)}" for number, each in enumerate(alert.items, 1)
    ]
    if alert.count > len(alert.items):
        lines += ["", _say_in_vietnamese(phrase("And {count} more.", count=alert.count - len(alert.items)))]
    hint = phrase(
        "The whole list is on the page “Late” of the hub. This mail was sent by the hub itself; nobody reads answers."
    )
    return [*lines, "", _say_in_vietnamese(hint)]


def _write_work_line(each: ListedWork, today: date, workdays: Workdays) -> str:
    work = each.work
    left = workdays.between(today, work.due)
    when = (
        phrase("today")
        if work.due == today
        else phrases("in {shown} working day", "in {shown} working days", count=left, shown=left)
        if work.due > today
        else phrases("{shown} working day ago", "{shown} working days ago", count=-left, shown=-left)
    )
    said = [
        f"{write_day(work.due)} ({_say_in_vietnamese(when)})",
        f"{_say_in_vietnamese(name_word('service', work.service))} {each.number}",
        _say_in_vietnamese(phrase("unit {code}", code=work.unit)),
    ]
    if work.field:
        said.append(_say_in_vietnamese(phrase("field or kind {code}", code=work.field)))
    if work.officer:
        said.append(_say_in_vietnamese(phrase("officer {code}", code=work.officer)))
    return "; ".join(said)


def _say_in_vietnamese(text: Phrase | str) -> str:
    return translate(text, Language.VI)
