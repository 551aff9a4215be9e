"""Plans a day of the province: who writes to whom, how many dossiers, how many mailboxes.

Knows codes and numbers. Sends nothing.

The numbers of `WHOLE` are those of the sample province's report (standards 7): 800,000 documents a year among 989
units, 1,700 services, 9,000 mailboxes. The same town, scale and day give the same letters.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import partial
from itertools import count

import attrs

from lienthong_demo.plan import packets
from lienthong_demo.plan.packets import Answered
from lienthong_demo.plan.story import Cast, Letter, compose_letter
from lienthong_demo.protocol.reading import Reading

#: The statuses that agencies outside the province answer to a document from it, 4 to 6 each.
ANSWERS = (("01", "03", "04", "05", "06"), ("01", "03", "04", "06"), ("01", "03", "04", "05", "05", "06"))
BRISK = (("03", "06"), ("03",), ("01", "03"))


@attrs.frozen
class Scale:
    """The size of a day."""

    documents: int
    offices: int  #: one-stop offices
    dossiers: int  #: new dossiers of all offices together
    mailboxes: int
    days: int = 5  #: the number of days that the dossiers are followed
    lookups: int = 50  #: dossiers about which officers make lookups and orders, each operation once
    courses: str = "busy"  #: the statuses that the units answer (`lienthong_demo.partners.partner.COURSES`)
    answers: tuple[tuple[str, ...], ...] = ANSWERS  #: the statuses that agencies outside the province answer


#: The first `CIRCULARS` letters go to `CIRCULAR` units each, unless they go to an agency.
CIRCULARS, CIRCULAR = 20, 5

#: The whole sample province on a working day, and a small part of it with fewer statuses a document.
WHOLE = Scale(documents=3200, offices=100, dossiers=1000, mailboxes=9000)
SMALL = Scale(documents=60, offices=4, dossiers=20, mailboxes=90, lookups=4, courses="brisk", answers=BRISK)


@attrs.frozen
class Town:
    """The units that take part, by the system that speaks for them, and the agencies behind the axis."""

    fetching: tuple[str, ...]
    pushed: tuple[str, ...]
    agencies: tuple[str, ...]
    today: date

    @property
    def units(self) -> tuple[str, ...]:
        """Return every unit of the province that takes part."""
        return (*self.fetching, *self.pushed)


@attrs.frozen
class AgencyParcel:
    """A packet that an outside agency puts into the axis for a unit."""

    kind: str  #: edoc or status
    sender: str
    to: str
    packet: bytes


def plan_letters(town: Town, scale: Scale) -> list[Letter]:
    """Write the day's documents inside the province and to the agencies.

    Of five documents of the day three stay inside, one goes up to an agency and one comes down. The units write in
    turn.
    """
    cast = Cast(town.fetching, town.pushed, {}, town.today)
    write = partial(compose_letter, cast, "NG", count(1))
    return [
        write(find_document_system(town, sender), sender, recipients)
        for sender, recipients in _pairs(town, scale.documents * 4 // 5)
    ]


def plan_parcels(town: Town, scale: Scale) -> list[AgencyParcel]:
    """Write the day's documents from the agencies: one in five comes from the axis."""
    cast = Cast(town.fetching, town.pushed, {}, town.today)
    write = partial(compose_letter, cast, "TU", count(1))
    units, found = _in_turn(town.units, 7), []
    for number in range(scale.documents - scale.documents * 4 // 5):
        sender, to = town.agencies[number % len(town.agencies)], next(units)
        found.append(AgencyParcel("edoc", sender, to, write("vpcp", sender, (to,)).content))
    return found


def plan_agency_statuses(
    about: Reading, unit: str, number: int, at: datetime, answers: Sequence[Sequence[str]] = ANSWERS
) -> Iterator[AgencyParcel]:
    """Yield the statuses that the agency *unit* sends about a document from the province. *number* selects one of *answers*."""
    document = Answered(about.sender, about.code, about.promulgation_date, about.document_id)
    for code in answers[number % len(answers)]:
        yield AgencyParcel(
            "status",
            unit,
            about.sender,
            packets.write_status_packet(unit, code, document, at=at, description=f"{number}"),
        )


def _pairs(town: Town, most: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    senders, units, agencies = _in_turn(town.units, 1), _in_turn(town.units, 11), _in_turn(town.agencies, 1)
    for number in range(most):
        sender = next(senders)
        if number % 4 == 3:
            yield sender, (next(agencies),)
            continue
        others = dict.fromkeys(next(units) for _ in range(CIRCULAR + 1 if number < CIRCULARS else 2))
        others.pop(sender, None)
        yield sender, tuple(others)[: CIRCULAR if number < CIRCULARS else 1]


def _in_turn(codes: Sequence[str], seed: int) -> Iterator[str]:
    """Yield *codes* in a random order, again and again, so that each comes equally often."""
    order = list(codes)
    random.Random(seed).shuffle(order)
    while True:
        yield from order


def find_document_system(town: Town, unit: str) -> str:
    """Return the document system that speaks for *unit*."""
    return "sotttt" if unit in town.fetching else "vpub"
