"""Reads `[alerts]`: through which mail system alerts are sent, and which units get mail about what is due soon and late.
How operators are told is in `operator_alerts`.

Knows the keys and the file of addresses. Does not know the registry, nor what is due.
"""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import attrs

from hub.config.alerting.operator_alerts import MAIL_ADDRESS, OperatorAlertSettings, read_operator_alerts
from hub.config.table import ConfigTable
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error

#: Working days before a due day, and hour in Hà Nội, unless `[alerts]` says others.
_BEFORE, _HOUR = ("3", "1"), 7
_MOST_BEFORE = 20


@attrs.frozen(kw_only=True)
class AlertAddress:
    """The address of a unit, in force from `since` until before `until`."""

    unit: str
    address: str
    since: date | None = None
    until: date | None = None

    def is_in_force(self, on: date) -> bool:
        """Tell whether mail goes there on the day *on*."""
        return (self.since is None or self.since <= on) and (self.until is None or on < self.until)


@attrs.frozen(kw_only=True)
class AlertSettings:
    """Through which mail system alerts are sent, and the settings for mail to units."""

    through: str  #: code of the partner whose mail system sends them
    before: tuple[int, ...]  #: working days before a due day
    hour: int  #: of a working day in Hà Nội from which on mail is sent
    weekly: bool  #: whether what is late is listed once a week
    addresses: tuple[AlertAddress, ...]

    def list_addresses(self, on: date) -> Mapping[str, str]:
        """Return the addresses in force on the day *on*, by unit."""
        return {each.unit: each.address for each in self.addresses if each.is_in_force(on)}


def read_alert_settings(table: ConfigTable, home: Path) -> tuple[AlertSettings | None, OperatorAlertSettings]:
    """Return the settings of `[alerts]`, None if `through` is not given, and of `[alerts.operators]`.

    Paths are relative to *home*.
    """
    through, name = table.text("through", ""), table.text("addresses", "")
    operators = read_operator_alerts(table.table("operators"), home, through=bool(through))
    said = table.texts("before", _BEFORE)
    before = tuple(int(each) for each in said if re.fullmatch(r"[0-9]{1,2}", each))
    if len(before) != len(said) or any(not 1 <= each <= _MOST_BEFORE for each in before):
        expected = phrase('working days from 1 to {most}, such as ["3", "1"]', most=_MOST_BEFORE)
        table.wrong("before", phrase("is {said}", said=", ".join(said)), expected)
    hour = table.number("hour", _HOUR, least=0, most=23)
    weekly = table.flag("weekly", default=True)
    addresses: tuple[AlertAddress, ...] = ()
    if through and not name and not operators.mail:
        table.wrong("addresses", phrase("is missing"), phrase("a file with a line for each unit: CODE,ADDRESS"))
    elif name:
        addresses = _read_addresses(table, home / name)
    table.close()
    if not through:
        return None, operators
    units = AlertSettings(through=through, before=before, hour=hour, weekly=weekly, addresses=addresses)
    return units, operators


def _read_addresses(table: ConfigTable, file: Path) -> tuple[AlertAddress, ...]:
    """Return the addresses of *file*: a line `CODE,ADDRESS`, `CODE,ADDRESS,SINCE` or `CODE,ADDRESS,SINCE,UNTIL` each.

    Records every line that cannot be read, and two addresses of a unit that are in force on one day.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        table.wrong(
            "addresses",
            phrase("{file} cannot be read: {error}", file=file, error=name_system_error(error)),
            phrase("a file in UTF-8"),
        )
        return ()
    found: list[AlertAddress] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        one = _read_line(line)
        if one is None:
            table.wrong(
                "addresses",
                phrase("line {number} of {file}: {line}", number=number, file=file.name, line=line[:100]),
                phrase("CODE,ADDRESS or CODE,ADDRESS,2026-01-01,2027-01-01"),
            )
        elif any(each.unit == one.unit and _overlap_in_time(each, one) for each in found):
            table.wrong(
                "addresses",
                phrase(
                    "line {number} of {file}: {unit} has another address then",
                    number=number,
                    file=file.name,
                    unit=one.unit,
                ),
                phrase("one address of a unit on each day"),
            )
        else:
            found.append(one)
    return tuple(found)


def _read_line(line: str) -> AlertAddress | None:
    pieces = [each.strip() for each in line.split(",")]
    if not 2 <= len(pieces) <= 4 or not pieces[0] or not re.fullmatch(MAIL_ADDRESS, pieces[1]):
        return None
    try:
        since, until = (date.fromisoformat(each) if each else None for each in (*pieces[2:], "", "")[:2])
    except ValueError:
        return None
    if since and until and until <= since:
        return None
    return AlertAddress(unit=pieces[0], address=pieces[1], since=since, until=until)


def _overlap_in_time(one: AlertAddress, other: AlertAddress) -> bool:
    return (one.since or date.min) < (other.until or date.max) and (other.since or date.min) < (one.until or date.max)
