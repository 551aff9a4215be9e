"""Reads `[retention]`: how long the journal keeps what is handled, when it lets go, and how large it may grow.

Knows numbers and their defaults. What is handled, and what counts beside age, is for hub/keeping/retention/rules.py.
"""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

import attrs

from hub.config.table import ConfigTable
from hub.domain.model import DOCUMENTS
from hub.language.phrases import phrase

#: Kinds that are kept for a time of their own beside the services.
REFUSED, STATUSES = "refused", "statuses"
#: Services whose messages stay for good: reports with their signatures and verdicts, code lists in force, dossiers,
#: which are answered from all their messages, and the days of links.
FOR_GOOD = frozenset({"reports", "publications", "categories", "dossiers", "links"})
#: Months that each kind is kept; docs/howto/keep-and-let-go.md names the sources, as in legal_texts.toml.
KEPT_MONTHS: Mapping[str, int] = MappingProxyType({DOCUMENTS: 24, REFUSED: 6})
#: Months that a kind without a number of its own is kept, and in which the reports of a closed year can be contested.
OTHER_MONTHS, CONTEST_MONTHS = 24, 12
#: Days between the announcement and the first deletion.
ANNOUNCED_DAYS = 14
#: The hours in Hà Nội in which the hub lets go: from the first on, until before the second.
HOURS = (20, 5)
_MOST_MONTHS, _MOST_DAYS = 1200, 365


@attrs.frozen(kw_only=True)
class RetentionSettings:
    """What an operator decides about keeping."""

    enabled: bool = False  #: the hub archives and deletes by itself
    months: Mapping[str, int] = KEPT_MONTHS  #: by service, `REFUSED` or `STATUSES`
    other: int = OTHER_MONTHS  #: months of a kind that `months` does not name
    contest: int = CONTEST_MONTHS  #: months after the closing of a year of reports
    announce: int = ANNOUNCED_DAYS  #: days between the announcement and the first deletion
    hours: tuple[int, int] = HOURS  #: in Hà Nội, from the first until before the second
    budget: int = 0  #: octets that the database may use; 0: no limit is watched

    def is_hour(self, hour: int) -> bool:
        """Tell whether the hub may let go in this hour of the day in Hà Nội."""
        first, end = self.hours
        return first <= hour < end if first < end else hour >= first or hour < end


def read_retention_settings(table: ConfigTable, services: Collection[str]) -> RetentionSettings:
    """Return the settings of `[retention]`. *services*: the names of all services that the hub knows."""
    enabled = table.flag("enabled", default=False)
    other = table.number("other", OTHER_MONTHS, least=1, most=_MOST_MONTHS)
    contest = table.number("contest", CONTEST_MONTHS, least=1, most=_MOST_MONTHS)
    announce = table.number("announce", ANNOUNCED_DAYS, least=1, most=_MOST_DAYS)
    hours = table.text("hours", "20-5", like=r"([01]?[0-9]|2[0-3])-([01]?[0-9]|2[0-4])", expected=_HOURS_EXPECTED)
    budget = table.size("budget", 0)
    kept = table.table("months")
    known = sorted({DOCUMENTS, REFUSED, STATUSES, *services} - FOR_GOOD)
    months = {name: kept.number(name, 0, least=1, most=_MOST_MONTHS) for name in known if kept.given(name)}
    for name in sorted(FOR_GOOD):
        if kept.given(name):
            kept.allow(name)
            kept.wrong(name, phrase("messages of {service} stay for good", service=name), phrase("no number for it"))
    for name in known:
        kept.allow(name)
    kept.close()
    table.close()
    first, end = (int(each) for each in re.findall("[0-9]+", hours)) if hours else HOURS
    return RetentionSettings(
        enabled=enabled,
        months={**KEPT_MONTHS, **months},
        other=other,
        contest=contest,
        announce=announce,
        hours=(first, end),
        budget=budget,
    )


_HOURS_EXPECTED = phrase('two hours in Hà Nội, such as "20-5"')
