"""Reminds units by mail of reports that are not handed in: plans to whom, keeps the request, and finds what a mail says.

A node sends the mails (`hub.monitoring.late_alerts`), at most one to a unit of a form and period on a day.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from hub.config.alerting.alerts import AlertSettings
from hub.domain.local_time import find_local_day
from hub.domain.model import Event
from hub.journal import events
from hub.journal.sequels.open_work import alerts
from hub.journal.sequels.open_work.alerts import AlertKey, AlertKind
from hub.report.counting.family import find_nearest_above
from hub.report.form.book import read_book
from hub.report.form.form import FormMissing
from hub.report.form.period import PeriodUnreadable
from hub.report.output.reminder import LISTED, RemindedUnit, ReportReminder
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.workload.many import report_round
from hub.workload.many.report_round import DONE, ReportRound, UnitStanding


@attrs.frozen(kw_only=True)
class PlannedReminder:
    """One mail: to which unit's address, about which units."""

    unit: str
    address: str
    about: Sequence[UnitStanding]


def plan_reminders(
    found: ReportRound, settings: AlertSettings, now: datetime
) -> tuple[list[PlannedReminder], list[UnitStanding]]:
    """Return the mails about the units of *found* that have not handed in, each to the unit itself or the nearest above it
    that has an address; and those that nobody can be reminded of, because none has.
    """
    addresses = settings.list_addresses(find_local_day(now))
    divided: dict[str, list[UnitStanding]] = {}
    without = []
    for each in found.units:
        if each.step in DONE:
            continue
        unit = find_nearest_above(found.registry, addresses, each.unit.code)
        if unit is None:
            without.append(each)
        else:
            divided.setdefault(unit, []).append(each)
    mails = [PlannedReminder(unit=unit, address=addresses[unit], about=about) for unit, about in divided.items()]
    return mails, without


def request_reminders(
    tx: Transaction, found: ReportRound, mails: Sequence[PlannedReminder], *, by: str, now: datetime
) -> Mapping[str, bool]:
    """Ask for *mails*. Return by unit whether it was asked for now; False: there is one of today already."""
    today, about = find_local_day(now), f"{found.form.id} {found.period.text}"
    fresh = {
        each.unit: alerts.request_alert(tx, AlertKey(each.unit, AlertKind.REPORT, today, about), each.address, now)
        for each in mails
    }
    many = sum(fresh.values())
    if many:
        body = {"form": found.form.id, "period": found.period.text, "items": many, "by": by}
        events.append_events(tx, Event("reminders-requested", now, body=body))
    return fresh


def list_reminders(live: Live, tx: Transaction, now: datetime) -> list[tuple[AlertKey, str, ReportReminder]]:
    """Return the mails that were asked for and may be sent at *now*, each with what it says by now. A form or period that
    is no more is left out.
    """
    settings, today = live.config.alerts, find_local_day(now)
    asked = [] if settings is None else alerts.list_requested(tx, today, now)
    if settings is None or not asked:
        return []
    book, rounds = read_book(live.config.reports), dict[str, tuple[ReportRound, dict[str, PlannedReminder]]]()
    for about in {key.about for key, _ in asked}:
        form, _, period = about.partition(" ")
        try:
            found = report_round.read_report_round(tx, book, form, period, now)
        except (PeriodUnreadable, FormMissing):
            continue
        rounds[about] = found, {each.unit: each for each in plan_reminders(found, settings, now)[0]}
    return [
        (key, address, _make_reminder(key.unit, *rounds[key.about])) for key, address in asked if key.about in rounds
    ]


def _make_reminder(unit: str, found: ReportRound, mails: Mapping[str, PlannedReminder]) -> ReportReminder:
    about = mails[unit].about if unit in mails else ()
    known = found.registry.get(unit)
    return ReportReminder(
        unit=unit,
        name=unit if known is None else known.name,
        form=found.form,
        period=found.period,
        due=found.due,
        days_left=found.days_left,
        units=[RemindedUnit(code=each.unit.code, name=each.unit.name, step=str(each.step)) for each in about[:LISTED]],
        count=len(about),
    )
