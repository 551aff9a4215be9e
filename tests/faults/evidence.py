"""What the records of both sides say, as values.  Knows the lines that the processes write; judges nothing."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from tests.faults import record
from tests.faults.journal import Journal


@attrs.frozen(kw_only=True)
class Sent:
    """A message that a partner system sent, once or more, and what it was told at last."""

    message_id: str
    sha256: str
    partner: str
    unit: str
    recipients: tuple[str, ...]
    lane: str
    place: int
    poisoned: bool
    series: int = 0  #: days of the series of meetings that it calls
    receipts: tuple[tuple[str, str], ...] = ()  #: each answer: the hub's id, the receipt
    refused: tuple[str, ...] = ()
    unknown: int = 0  #: calls that got no answer

    @property
    def kind(self) -> str:
        """What it is to the hub."""
        return "update" if self.place else "document"


@attrs.frozen(kw_only=True)
class Arrival:
    """A message that came to a partner, in the order of its record."""

    partner: str
    document_id: str
    sha256: str
    lane: str
    place: int
    recipients: tuple[str, ...]
    at: float  #: by the real clock
    answer: str  #: accepted · refused · late · garbage · reset · down: what the hub was told, or not; fetched: the partner asked for it


@attrs.frozen(kw_only=True)
class Stuck:
    """The longest that a delivery was seen to be `sending` under one claim, without the time that nobody could end it."""

    delivery: str = ""
    seconds: float = 0.0
    allowed: float = 60.0


@attrs.frozen(kw_only=True)
class Evidence:
    """All that the checker is given."""

    sent: tuple[Sent, ...]
    arrivals: tuple[Arrival, ...]
    confirmed: frozenset[str]  #: the hub's ids of what a fetching partner confirmed, or tried to
    journal: Journal
    counted: Mapping[str, int]  #: columns of the province's report, as `lienthong report` prints them
    facts: tuple[tuple[str, str, str], ...]  #: message, unit, milestone: as `lienthong report --facts` prints them
    unverified: tuple[str, ...] = ()  #: the message ids whose receipt another program does not verify
    stuck: Stuck = Stuck()
    restored: float = float("inf")  #: when the journal was put back from a backup
    again: frozenset[str] = (
        frozenset()
    )  #: the message ids that went with the torn journal: not in the backup, and sent again

    @property
    def duplicates(self) -> int:
        """How many arrivals were not the first of their message at their partner."""
        return len(self.arrivals) - len({(each.partner, each.document_id) for each in self.arrivals})


def sent(lines: Iterable[Mapping[str, Any]]) -> list[Sent]:
    """Put a generator's lines together."""
    found: dict[str, Sent] = {}
    for line in lines:
        name = line["message_id"]
        match line["what"]:
            case "sending" if name not in found:
                fields = {field.name: line[field.name] for field in attrs.fields(Sent) if field.name in line}
                found[name] = Sent(**fields | {"recipients": tuple(line["recipients"])})
            case "unknown":
                found[name] = attrs.evolve(found[name], unknown=found[name].unknown + 1)
            case "refused":
                found[name] = attrs.evolve(found[name], refused=(*found[name].refused, *line["codes"]))
            case "receipted":
                told = (line["document_id"], line["receipt"])
                found[name] = attrs.evolve(found[name], receipts=(*found[name].receipts, told))
    return list(found.values())


def arrivals(partner: str, path: Path) -> list[Arrival]:
    """Read what arrived at a partner."""
    return list_arrivals(partner, record.read(path))


def list_arrivals(partner: str, lines: Iterable[Mapping[str, Any]]) -> list[Arrival]:
    """Return what arrived at a partner."""
    names = [field.name for field in attrs.fields(Arrival) if field.name not in {"partner", "recipients"}]
    return [
        Arrival(partner=partner, recipients=tuple(line["recipients"]), **{name: line[name] for name in names})
        for line in lines
        if line["what"] == "arrived"
    ]


def confirmed(path: Path) -> set[str]:
    """Read what a fetching partner confirmed."""
    return {line["document_id"] for line in record.read(path) if line["what"] == "confirming"}
