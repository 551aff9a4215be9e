"""Reads SubmitStatistic: the figures that a unit declares for a month.

Knows the fields of MStatistic, spelt as that contract spells them.

The figures are the unit's own and are never mixed with the hub's counts: their milestones are `declared-…` and their
key is the month. All figures of one month come from one message, zeros included. A later message about the month corrects
them (`hub.journal.sequels.corrected_figures`).
"""

from datetime import date

from lxml import etree

from hub.domain.model import Fact
from hub.language.phrases import phrase
from hub.services.dossiers.item import CallItem, CallNotes, read_call_items
from hub.services.dossiers.results import FactSource

#: The figures that are not sums of others.
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
    """Return the figures that *call* declares, as the amounts of facts."""
    found = []
    for item in read_call_items(call, "MStatistic", notes, "OrganizationInchargeName"):
        whose = item.text("OrganizationInchargeIdlevel1")
        if whose not in {source.unit, ""}:
            item.refuse(
                "M",
                "OrganizationInchargeIdlevel1",
                phrase("{whose}, but OrganId is {unit}", whose=whose[:100], unit=source.unit[:100]),
            )
        numbers = {name: _read_number(item, name) for name in (*DECLARED, *_SUMS)}
        for name, parts in _SUMS.items():
            if numbers[name] != sum(numbers[part] for part in parts):
                said = " + ".join(f"{numbers[part]}" for part in parts)
                item.tolerate(
                    "M",
                    name,
                    phrase(
                        "{numbers} is not {names}, {said}", numbers=numbers[name], names=" + ".join(parts), said=said
                    ),
                )
        if item.text("IsMonthStatistic") not in {"true", "1"}:
            # No source defines what the figures mean then. The message is kept and not counted.
            item.tolerate("R", "IsMonthStatistic", phrase("only the numbers of a month are counted"))
            continue
        # Whatever the cut-off day is, the period of a month contains the first day of that month.
        day = _read_month(item)
        if day is not None:
            key = f"{day:%Y-%m}"
            found += [source.fact(key, milestone, day, amount=numbers[name]) for name, milestone in DECLARED.items()]
    return tuple(found)


def _read_number(item: CallItem, name: str) -> int:
    text = item.text(name)
    if not (text.removeprefix("+").isdigit() and text.isascii() and len(text) <= 11):
        item.refuse("T", name, phrase("{text} is no number", text=text[:50] or phrase("nothing")))
        return 0
    return int(text)


def _read_month(item: CallItem) -> date | None:
    year, month = _read_number(item, "Year"), _read_number(item, "Month")
    try:
        day = date(year, month, 1)
    except (ValueError, OverflowError):
        item.refuse("R", "Month", phrase("{year}-{month} is no month", year=year, month=month))
        return None
    return day if item.allows("Year", day) else None
