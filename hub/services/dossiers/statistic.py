"""SubmitStatistic: what a unit declares of a month.  Knows the fields of MStatistic, so spelt.

The numbers are the unit's own and never mixed with what the hub counts: their milestones are `declared-…`, their key is the month.
A month is declared once: the first message holds, so the numbers of one month are always of one message, zeros included.
"""

from datetime import date

from lxml import etree

from hub.domain.model import Fact
from hub.services.dossiers.item import CallItem, CallNotes, read_call_items
from hub.services.dossiers.results import FactSource

#: The numbers that are no sums of others.
DECLARED = {
    "NewReception": "declared-received",
    "PreExtisting": "declared-carried-over",
    "SolvedInTime": "declared-in-time",
    "SolvedLate": "declared-late",
    "Pending": "declared-pending",
    "PendingLate": "declared-pending-late",
}
_SUMS = {
    "Total": ("NewReception", "PreExtisting"),
    "TotalSolved": ("SolvedInTime", "SolvedLate"),
    "TotalPending": ("Pending", "PendingLate"),
}


def read_dossier_statistic(call: etree._Element, source: FactSource, notes: CallNotes) -> tuple[Fact, ...]:
    """Return the numbers that *call* declares, as amounts."""
    found = []
    for item in read_call_items(call, "MStatistic", notes, "OrganizationInchargeName"):
        whose = item.text("OrganizationInchargeIdlevel1")
        if whose not in {source.unit, ""}:
            item.refuse("M", "OrganizationInchargeIdlevel1", f"{whose[:100]}, but OrganId is {source.unit[:100]}")
        numbers = {name: _number(item, name) for name in (*DECLARED, *_SUMS)}
        for name, parts in _SUMS.items():
            if numbers[name] != sum(numbers[part] for part in parts):
                said = " + ".join(f"{numbers[part]}" for part in parts)
                item.tolerate("M", name, f"{numbers[name]} is not {' + '.join(parts)}, {said}")
        if item.text("IsMonthStatistic") not in {"true", "1"}:
            # What the numbers then are is written nowhere: kept, and counted nowhere.
            item.tolerate("R", "IsMonthStatistic", "only the numbers of a month are counted")
            continue
        # Whatever the cut-off day, a month's period holds the first day of that month.
        day = _month(item)
        if day is not None:
            key = f"{day:%Y-%m}"
            found += [source.fact(key, milestone, day, amount=numbers[name]) for name, milestone in DECLARED.items()]
    return tuple(found)


def _number(item: CallItem, name: str) -> int:
    text = item.text(name)
    if not (text.removeprefix("+").isdigit() and text.isascii() and len(text) <= 11):
        item.refuse("T", name, f"{text[:50] or 'nothing'} is no number")
        return 0
    return int(text)


def _month(item: CallItem) -> date | None:
    year, month = _number(item, "Year"), _number(item, "Month")
    try:
        return date(year, month, 1)
    except (ValueError, OverflowError):
        item.refuse("R", "Month", f"{year}-{month} is no month")
        return None
