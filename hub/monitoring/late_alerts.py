"""Sends units mail about what is due soon, and once a week about what is late, through a partner's mail system.

On a working day from the hour of `[alerts]` on, each unit with an address gets at most one mail of each kind, which the
journal keeps (`hub.journal.sequels.open_work.alerts`): neither a restart nor another node sends it again. What a mail says
is decided by `alert_letters`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime

from hub.config import Partner
from hub.config.alerting.alerts import AlertSettings
from hub.config.reports import ReportSettings
from hub.domain.conversations import Reply, Request
from hub.domain.ids import make_id
from hub.domain.local_time import HANOI, find_local_day
from hub.domain.model import Unit, UnitKind
from hub.journal import unit_registry
from hub.journal.sequels.open_work import alerts, following, listing
from hub.journal.sequels.open_work.alerts import AlertEnd, AlertKey, AlertKind, AlertState
from hub.journal.sequels.open_work.listing import make_filter
from hub.monitoring.alert_letters import LISTED, Alert, is_new, make_mail, write_alert_mail
from hub.monitoring.mail_sending import send_mail
from hub.report.counting.family import find_nearest_above
from hub.report.counting.open_work import ListedWork, WorkState
from hub.report.form.workdays import Workdays, load_workdays
from hub.report.output import reminder
from hub.report.output.reminder import ReportReminder
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live

log = structlog.get_logger()

#: Facts of a message may be written some minutes after its receipt, whose time they have: newer ones wait a day.
_MARGIN = timedelta(minutes=10)
#: Events that may be missing in the list of open work.
_BEHIND = 2_000
#: Attempts for one mail a day, and the wait after the first failure, which doubles.
_ATTEMPTS, _AGAIN = 6, timedelta(minutes=10)
#: An alert that a person asked for, its address, and what it says.
RequestedReminder = tuple[AlertKey, str, ReportReminder]
#: Things that are due soon and are looked at for one mail.
_LOOKED = 2_000


@attrs.define(eq=False)
class LateAlerts(PeriodicService):
    """The sender of one node. Each alert is begun by one node only."""

    every, at_once = 60.0, False
    failure = "alerts-wait"

    _journal: Journal  #: keeps the alerts, and has the open work
    _live: Live  #: the configuration in force
    _send: Callable[[Request, Partner], Awaitable[Reply]]  #: sends a request to a partner
    _clock: IReactorTime  #: the reactor, which times the looks
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _node: str  #: the node's name
    #: finds what persons asked to remind of: the alert, its address, and what it says
    _list_reminders: Callable[[Transaction, datetime], list[RequestedReminder]] = attrs.field(
        default=lambda _tx, _now: []
    )
    #: the calendar, and the settings that it was read for
    _workdays: tuple[ReportSettings, Workdays] | None = attrs.field(default=None, init=False)

    async def work(self) -> None:
        """Send what is to be sent now."""
        settings, now = self._live.config.alerts, self._now()
        if settings is None:
            return
        if await self._journal.read(alerts.has_lost_alerts, self._node, now):
            await self._journal.write(alerts.end_lost_alerts, self._node, now)
        workdays, today = self._read_workdays(), find_local_day(now)
        partner = self._live.config.partners.get(settings.through)
        if partner is None:
            return
        for key, address, said in await self._journal.read(self._list_reminders, now):
            if self.stopping:
                return
            await self._send_reminder(key, address, said, partner)
        if now.astimezone(HANOI).hour < settings.hour or not workdays.is_working(today):
            return
        if await self._journal.read(following.count_unread) > _BEHIND:
            return
        for alert in await self._journal.read(list_alerts, settings, workdays, now):
            if self.stopping:
                return
            await self._send_alert(alert, partner, workdays)

    def _read_workdays(self) -> Workdays:
        """Return the province's calendar. It is read again after a reload."""
        reports = self._live.config.reports
        if self._workdays is None or self._workdays[0] is not reports:
            self._workdays = (reports, load_workdays(reports.workdays))
        return self._workdays[1]

    async def _send_alert(self, alert: Alert, partner: Partner, workdays: Workdays) -> None:
        """Send one mail, unless another node has begun it."""

        def write(origin: tuple[str, str, str], now: datetime) -> bytes:
            return write_alert_mail(alert, *origin, workdays, now)

        if await self._journal.write(alerts.begin_alert, alert.key, alert.address, self._node, self._now()):
            await self._send_begun(alert.key, alert.address, (alert.count, alert.upto), write, partner)

    async def _send_reminder(self, key: AlertKey, address: str, said: ReportReminder, partner: Partner) -> None:
        """Send one mail that a person asked for, unless another node has begun it, or nothing is left to remind of."""

        def write(origin: tuple[str, str, str], now: datetime) -> bytes:
            subject, lines = reminder.write_reminder_subject(said), reminder.write_reminder_lines(said, now)
            return make_mail(subject, lines, address, origin, now)

        now = self._now()
        if not await self._journal.write(alerts.begin_alert, key, address, self._node, now):
            return
        if said.units:
            await self._send_begun(key, address, (said.count, now), write, partner)
            return
        done = AlertEnd(state=AlertState.FAILED, items=0, upto=now, reason="all handed in")
        await self._journal.write(alerts.end_alert, key, done, now)

    async def _send_begun(
        self,
        key: AlertKey,
        address: str,
        about: tuple[int, datetime],
        write: Callable[[tuple[str, str, str], datetime], bytes],
        partner: Partner,
    ) -> None:
        """Send the mail of a begun alert, and keep how it ended. *about*: how many things it tells, known until when."""
        now, (count, upto) = self._now(), about
        sender = partner.settings["from"]
        mail = write((sender, self._live.config.name, make_id(now)), now)
        state, reason = await send_mail(self._send, partner, mail, address)
        next_at = None
        if state is AlertState.FAILED:
            attempts = await self._journal.read(alerts.read_attempts, key)
            next_at = self._now() + _AGAIN * 2 ** (attempts - 1) if attempts < _ATTEMPTS else None
        end = AlertEnd(state=state, items=count, upto=upto, reason=reason, next_at=next_at)
        await self._journal.write(alerts.end_alert, key, end, self._now())
        if state is not AlertState.SENT:
            log.warning("alert-not-sent", unit=key.unit, state=str(state), reason=reason)


def list_alerts(tx: Transaction, settings: AlertSettings, workdays: Workdays, now: datetime) -> list[Alert]:
    """Return the alerts that are to be sent at *now*, a time of a working day."""
    today, upto = find_local_day(now), now - _MARGIN
    units = {unit.code: unit.at(today) for unit in unit_registry.list_unit_histories(tx)}
    addresses = settings.list_addresses(today)
    monday = today - timedelta(days=today.weekday())
    keys = [AlertKey(unit, AlertKind.DUE, today) for unit in addresses] if settings.before else []
    keys += [AlertKey(unit, AlertKind.OVERDUE, monday) for unit in addresses] if settings.weekly else []
    open_keys = alerts.list_untouched(tx, keys, now)
    if not open_keys:
        return []
    members = _divide_units(units, addresses)
    told = alerts.read_told_until(tx, sorted({key.unit for key in open_keys}))
    found = []
    for key in open_keys:
        if key.kind is AlertKind.DUE:
            items = _list_due(tx, members[key.unit], settings, workdays, today, upto, told.get(key.unit))
            count = len(items)
        else:
            items, count = _list_overdue(tx, members[key.unit], today)
        if items:
            name = units[key.unit].name if key.unit in units else ""
            found.append(
                Alert(
                    key=key,
                    address=addresses[key.unit],
                    name=name,
                    items=items[:LISTED],
                    count=count,
                    today=today,
                    upto=upto,
                )
            )
    return found


def _divide_units(units: Mapping[str, Unit], addresses: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the units whose work is told to each unit with an address. Test units of a drill are left out."""
    found: dict[str, list[str]] = {unit: [] for unit in addresses}
    for code, unit in units.items():
        recipient = None if unit.kind == UnitKind.DRILL else find_nearest_above(units, addresses, code)
        if recipient is not None:
            found[recipient].append(code)
    return found


def _list_due(
    tx: Transaction,
    members: Sequence[str],
    settings: AlertSettings,
    workdays: Workdays,
    today: date,
    upto: datetime,
    told: datetime | None,
) -> list[ListedWork]:
    days = (workdays.add(today, max(settings.before)) - today).days
    wanted = make_filter(today, days, units=members, state=WorkState.SOON)
    return [
        each
        for each in listing.list_open_work(tx, wanted, _LOOKED)
        if is_new(each.work, settings.before, workdays, today, upto, told)
    ]


def _list_overdue(tx: Transaction, members: Sequence[str], today: date) -> tuple[list[ListedWork], int]:
    wanted = make_filter(today, -1, units=members)
    count = sum(each.late for each in listing.count_open_work(tx, wanted))
    late = attrs.evolve(wanted, state=WorkState.LATE)
    return (listing.list_open_work(tx, late, LISTED) if count else []), count
