"""Reads `[reports]`: the province's own forms, working days and page at a glance, the ends of its periods and
when they are closed, and the rule sets of forms.

Knows the keys and checks that the files exist. Does not read forms or calendars; `lienthong check` does.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import attrs

from hub.config.table import ConfigTable
from hub.language.phrases import phrase
from hub.security.attesting import AttestationTrust
from hub.services import CountableFacts

_KEY = r"[a-z][a-z0-9_-]*"
_KEYS = rf"{_KEY}( {_KEY})*"
#: A report is due two working days after its period. By noon of the first, one-stop systems have synced their night's work,
#: and a day and a half are left to read and sign.
CLOSE_WORKING_DAY, CLOSE_HOUR = 1, 12
#: For a partner that was not heard, the closing waits until the day on which the report is due.
WAIT_WORKING_DAYS = 1


@attrs.frozen
class Teller:
    """A partner whose messages reports count, as far as they ask whether it was heard."""

    code: str
    units: tuple[str, ...] = ()  #: those that it stands for
    any_unit: bool = False  #: it may report figures about any unit
    collected: bool = False  #: the hub collects its messages


@attrs.frozen(kw_only=True)
class ReportSettings:
    """The province's settings for its reports."""

    forms: Path | None = None  #: a folder of additional forms
    #: the rule set of each form that does not use its default rules, or several, separated by spaces
    rule_sets: Mapping[str, str] = attrs.field(factory=dict)
    workdays: Path | None = None  #: a calendar of the province, which overrides that of the hub
    services: Path | None = None  #: the list of the province's public services, a CSV
    glance: Path | None = None  #: what the page at a glance compares, beside what the hub ships
    cut_offs: tuple[tuple[int, date | None], ...] = ()
    """Pairs: the day on which the next month's period begins, and a day in the first month with this rule.

    A day of None means that the rule always applies. Empty: the hub's default.
    """
    close_working_day: int = CLOSE_WORKING_DAY
    """The working day after a period on which the hub closes it; 0: the day after it, whatever day that is."""
    close_hour: int = CLOSE_HOUR  #: the hour of that day in Hà Nội
    #: how many working days longer the hub waits while partners were not heard, or not read
    wait_working_days: int = WAIT_WORKING_DAYS
    #: what can be counted of the services that are defined by a schema, by service
    countable: tuple[CountableFacts, ...] = ()
    #: the partners, of `partners/`, by code
    tellers: tuple[Teller, ...] = ()
    trust: AttestationTrust | None = None  #: of the hub's own certificate


def read_report_settings(table: ConfigTable, home: Path, countable: tuple[CountableFacts, ...] = ()) -> ReportSettings:
    """Return the settings of `[reports]`. Paths are relative to *home*. *countable*: of the services defined by a schema."""
    forms, workdays, services, glance = (table.text(name, "") for name in ("forms", "workdays", "services", "glance"))
    chosen = table.table("rule_sets")
    expected = phrase("the name of a rule set of that form, or of several, in quotes, with a space between")
    rule_sets = {form: chosen.text(form, like=_KEYS, expected=expected) for form in sorted(chosen.pairs())}
    cut_offs = _cut_offs(table)
    close = table.table("close")
    working_day = close.number("working_day", CLOSE_WORKING_DAY, least=0, most=20)
    hour = close.number("hour", CLOSE_HOUR, least=0, most=23)
    wait = close.number("wait_working_days", WAIT_WORKING_DAYS, least=0, most=20)
    close.close()
    table.close()
    if forms and not (home / forms).is_dir():
        table.wrong(
            "forms",
            phrase("{home} is not a folder", home=home / forms),
            phrase("a folder of forms, each a file NAME.toml"),
        )
    if workdays and not (home / workdays).is_file():
        table.wrong(
            "workdays",
            phrase("{home} is not a file", home=home / workdays),
            phrase("a calendar, such as workdays.toml"),
        )
    if services and not (home / services).is_file():
        table.wrong(
            "services",
            phrase("{home} is not a file", home=home / services),
            phrase("a list of public services, such as dich-vu-cong.csv"),
        )
    if glance and not (home / glance).is_file():
        table.wrong("glance", phrase("{home} is not a file", home=home / glance), phrase("a file such as glance.toml"))
    return ReportSettings(
        forms=home / forms if forms else None,
        rule_sets={form: name for form, name in rule_sets.items() if name},
        workdays=home / workdays if workdays else None,
        services=home / services if services else None,
        glance=home / glance if glance else None,
        cut_offs=cut_offs,
        close_working_day=working_day,
        close_hour=hour,
        wait_working_days=wait,
        countable=countable,
    )


def _cut_offs(table: ConfigTable) -> tuple[tuple[int, date | None], ...]:
    """Return the cut-off days.

    Records all mistakes: exactly one must apply from the beginning, and no two from the same month.
    """
    said = table.tables("cut_offs")
    if said is None:
        return ()
    found, places = list[tuple[int, date | None]](), dict[str, str]()
    for each in said:
        found.append((each.number("day", least=1, most=28), each.day("since")))
        each.close()
        since = found[-1][1]
        month = f"{since:%Y-%m}" if since else "?" if each.given("since") else ""
        if month != "?" and month in places:
            wrong = (
                phrase("holds from the same month on as {places}", places=places[month])
                if month
                else phrase("always holds, as {places} does", places=places[month])
            )
            each.wrong("since", wrong, phrase("each from another month on, one of them without `since`"))
        places.setdefault(month, each.place())
    if not {"", "?"} & places.keys():
        table.wrong(
            "cut_offs",
            phrase("none holds before the first `since`"),
            phrase("one without `since`, such as { day = 25 }"),
        )
    return tuple(found)
