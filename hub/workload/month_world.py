"""Keeps what the reports of a closed month say beside its counts, so that a later edit changes no closed report.

This is the *world* of the month: the units of the registry as they are on its last day, the forms that take their
numbers from others, and the days on which the reports are due. The first form of a month that is closed fixes it for all
forms, together with the time as of which the month is closed. Knows neither counts nor rows. Months that an earlier
version closed have no world; their reports go by the registry and the book as they are.
"""

import json
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.report.counting.marks import Silence, SilenceKind, refuse_unreadable
from hub.report.form.book import Book
from hub.report.form.form import Form, state_basis
from hub.report.form.period import Period
from hub.report.form.service_list import PublicService, read_services, write_services
from hub.report.form.toml import read_form_toml
from hub.report.form.workdays import Due
from hub.store.tables import closed_month as table
from hub.store.transactions import Transaction
from hub.workload import silences

#: The longest period that ends with a month.
_YEAR = timedelta(days=366)


@attrs.frozen
class MonthWorld:
    """What the reports of a month say beside its counts."""

    units: tuple[Unit, ...]  #: of the province, by code
    derived: tuple[Form, ...]  #: the forms that take their numbers from others, in every version
    due: Mapping[str, Due]  #: the due day of the month, by the id of the form; absent where the form has none
    services: tuple[PublicService, ...] = ()  #: the public services in force on some day of the year that ends with it
    silences: tuple[Silence, ...] = ()  #: the partners of whose messages some may be missing


@attrs.frozen
class FirstClosing:
    """When the first form of a month was closed."""

    closed_at: datetime
    sha256: str  #: of the world as stored


def write_month_world(tx: Transaction, book: Book, period: Period) -> str:
    """Return the world of *period*, as JSON text: the units as they are on its last day, forms, due days and silences as
    they are now. Stores nothing.
    """
    units = [
        [
            unit.code,
            unit.name,
            unit.parent,
            _write_day(unit.since),
            _write_day(unit.until),
            unit.aliases,
            unit.mark,
            unit.successors,
            unit.level,
            unit.kind,
        ]
        for unit in unit_registry.list_registry_units(tx, period.last)
    ]
    forms = [form for form in book.forms if form.is_in_force(period.last)]
    due = {form.id: found for form in forms if (found := book.due(form, period)) is not None}
    said: dict[str, object] = {
        "units": units,
        "derived": [state_basis(form, period.last).written for form in book.forms if form.bases],
        "due": {form: [found.day.isoformat(), found.sure] for form, found in sorted(due.items())},
    }
    listed = [each for each in book.listed if each.is_in_force(period.last - _YEAR, period.last)]
    if listed:
        said["services"] = write_services(listed)
    silent = silences.find_silences(tx, book.tellers, book.workdays, period)
    if silent:
        said["silences"] = [
            [each.partner, each.kind, each.since and each.since.isoformat(), each.units, each.services]
            for each in silent
        ]
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _write_day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def find_first_closing(tx: Transaction, period: str) -> FirstClosing | None:
    """Return the first closing of the month *period* in any form; None if the month has no world."""
    row = tx.execute(sa.select(table.c.closed_at, table.c.sha256).where(table.c.period == period)).one_or_none()
    return None if row is None else FirstClosing(row.closed_at, row.sha256)


def keep_month_world(tx: Transaction, period: Period, closed_at: datetime, world: str) -> str:
    """Store the *world* of *period*, which is being closed as of *closed_at*, unless it has one. Return the hash of the
    stored world. The caller holds the lock `closing`.
    """
    known = find_first_closing(tx, period.text)
    if known is not None:
        return known.sha256
    digest = sha256(world.encode()).hexdigest()
    said = {"last_day": period.last, "closed_at": closed_at, "sha256": digest, "world": world}
    tx.execute(sa.insert(table), [{"period": period.text, **said}])
    return digest


def read_month_world(tx: Transaction, last: date) -> MonthWorld | None:
    """Return the world of the closed month that ends on the day *last*; None if there is none."""
    row = tx.execute(sa.select(table.c.period, table.c.world).where(table.c.last_day == last)).one_or_none()
    return None if row is None else _parse_world(row.period, row.world)


def read_month_silences(tx: Transaction, lasts: Collection[date]) -> list[Silence]:
    """Return the silences of the closed months that end on the days *lasts*, in the order of the months."""
    mark = '"silences":'  # in a world only as a key: quotes in texts are escaped
    rows = tx.execute(
        sa.select(table.c.period, table.c.world)
        .where(table.c.last_day.in_(list(lasts)), table.c.world.contains(mark))
        .order_by(table.c.period)
    )
    return [silence for row in rows for silence in _parse_world(row.period, row.world).silences]


@lru_cache(12)  # a stored world never changes
def _parse_world(period: str, text: str) -> MonthWorld:
    with refuse_unreadable(f"{period} world"):
        return _read_world(period, json.loads(text))


def _read_world(period: str, said: Mapping[str, Any]) -> MonthWorld:
    return MonthWorld(
        units=tuple(_make_unit(*fields) for fields in said["units"]),
        derived=tuple(read_form_toml(written.encode(), "closed month", None) for written in said["derived"]),
        due={form: Due(date.fromisoformat(day), sure) for form, (day, sure) in said["due"].items()},
        services=read_services(said.get("services", ())),
        silences=tuple(_make_silence(period, *each) for each in said.get("silences", ())),
    )


def _make_silence(
    period: str, partner: str, kind: str, since: str | None, units: list[str] | None, services: list[str] | None
) -> Silence:
    return Silence(
        period=period,
        partner=partner,
        kind=SilenceKind(kind),
        since=None if since is None else datetime.fromisoformat(since),
        units=None if units is None else tuple(units),
        services=None if services is None else tuple(services),
    )


def _make_unit(
    code: str,
    name: str,
    parent: str | None,
    since: str | None,
    until: str | None,
    aliases: list[str],
    mark: str,
    successors: list[str],
    level: str = "",  # an earlier version kept neither level nor kind
    kind: str = "",
) -> Unit:
    begun, ended = (None if day is None else date.fromisoformat(day) for day in (since, until))
    return Unit(code, name, parent, begun, ended, tuple(aliases), mark, tuple(successors), level, kind)
