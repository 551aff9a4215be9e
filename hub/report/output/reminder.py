"""Writes what a mail says that reminds a unit of reports that are not handed in: codes and steps, no name of a person.

Knows languages, in which the agencies read it: Vietnamese. Sends nothing.
"""

from collections.abc import Sequence
from datetime import datetime

import attrs

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase, phrases
from hub.language.terms import name_word
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.report.form.workdays import Due
from hub.report.words import write_day, write_moment

#: Units that one mail lists. It counts the others.
LISTED = 200


@attrs.frozen(kw_only=True)
class RemindedUnit:
    """A unit whose report is not handed in."""

    code: str
    name: str
    step: str  #: word of the step of its report


@attrs.frozen(kw_only=True)
class ReportReminder:
    """What one mail says."""

    unit: str  #: whose address it goes to
    name: str
    form: Form
    period: Period
    due: Due | None  #: the last day on which a report is in time
    days_left: int | None  #: days from today to that day, below 0 when it is over
    units: Sequence[RemindedUnit]  #: at most `LISTED`; empty: nothing is left to remind of
    count: int  #: of all of them


@attrs.frozen(kw_only=True)
class ReturnedReports:
    """Reports of a closed month that partners have returned, while the next month of the form is about to close."""

    form: str
    period: str  #: of the returned reports, such as `2026-10`
    count: int
    closes_at: datetime  #: of the next month


def write_reminder_subject(reminder: ReportReminder) -> str:
    """Return the subject."""
    words = {"unit": reminder.unit, "form": reminder.form.called, "period": reminder.period.text}
    said = phrases(
        "{unit}: {count} report {form} {period} is not handed in",
        "{unit}: {count} reports {form} {period} are not handed in",
        count=reminder.count,
        **words,
    )
    return _say_in_vietnamese(said)


def write_reminder_lines(reminder: ReportReminder, now: datetime) -> list[str]:
    """Return the lines of the text."""
    form, period = reminder.form.title.say(Language.VI), reminder.period.name(Language.VI)
    head = phrase("Not handed in as of {at} (Hà Nội):", at=write_moment(now))
    lines = [
        f"{reminder.name} ({reminder.unit})",
        "",
        f"{form}, {period}.",
        *_list_due(reminder),
        _say_in_vietnamese(head),
        "",
    ]
    for number, each in enumerate(reminder.units, 1):
        lines.append(f"{number}. {each.name} ({each.code}): {_say_in_vietnamese(name_word('reports', each.step))}")
    if reminder.count > len(reminder.units):
        lines += ["", _say_in_vietnamese(phrase("And {count} more.", count=reminder.count - len(reminder.units)))]
    hint = phrase(
        "What comes next stands on the page “All units” of the hub. This mail was sent by the hub itself; nobody reads answers."
    )
    return [*lines, "", _say_in_vietnamese(hint)]


def _list_due(reminder: ReportReminder) -> list[str]:
    left = reminder.days_left
    if reminder.due is None or left is None:
        return []
    day = write_day(reminder.due.day)
    if left < 0:
        return [_say_in_vietnamese(phrase("Was due on {day}; days late: {days}.", day=day, days=-left))]
    return [_say_in_vietnamese(phrase("Due on {day}; days left: {days}.", day=day, days=left))]


def _say_in_vietnamese(text: Phrase | str) -> str:
    return translate(text, Language.VI)
