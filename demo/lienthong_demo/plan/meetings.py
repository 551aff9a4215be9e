"""Plans the day's meetings: letters that invite, and later ones that move or cancel.

Knows codes and days. Sends nothing.

The invited units decide their own answers (`lienthong_demo.plan.agenda`). The same town, scale and day give the same letters.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from itertools import count, cycle, islice

import attrs

from lienthong_demo.plan import packets
from lienthong_demo.plan.day import Scale, Town, find_document_system
from lienthong_demo.plan.invitation import Invitation, Person, write_invitation
from lienthong_demo.plan.packets import HANOI
from lienthong_demo.plan.story import Letter

FEWEST = 4  #: minimum meetings of a day
_PART = 40  #: one more letter invites for every 40 documents
_CANCELLED = 0
#: The day of a meeting relative to today, and its change: another day, cancelled, or None.
_COURSES = ((-1, None), (5, -1), (-2, _CANCELLED), (3, None), (7, _CANCELLED))


def plan_meeting_letters(town: Town, scale: Scale) -> tuple[list[Letter], list[Letter]]:
    """Return the letters that invite, and those that move or cancel later. The invited units belong to both systems."""
    numbers, morning = count(1), datetime.combine(town.today, time(7), HANOI)
    first, later = [], []
    for organizer, meeting, other in _meetings(town, scale):
        first.append(_letter(town, organizer, meeting, "REQUEST", next(numbers), morning))
        if other is None:
            continue
        changed = attrs.evolve(meeting, sequence=meeting.sequence + 1)
        if other != _CANCELLED:
            changed = attrs.evolve(changed, start=_start(town, other))
        method = "CANCEL" if other == _CANCELLED else "REQUEST"
        later.append(_letter(town, organizer, changed, method, next(numbers), morning + timedelta(hours=1)))
    return first, later


def _meetings(town: Town, scale: Scale) -> Iterator[tuple[str, Invitation, int | None]]:
    """Yield for each meeting: the unit that calls it, the meeting, its change."""
    units = cycle(unit for pair in zip(cycle(town.fetching), town.pushed, strict=False) for unit in pair)
    for number in range(max(FEWEST, scale.documents // _PART)):
        organizer, *invited = islice(units, 2 + number % 2)
        days, other = _COURSES[number % len(_COURSES)]
        # Every other organizer has an address that nobody knows, so it is identified as the sender of the packet.
        own = organizer if number % 2 else ""
        meeting = Invitation(
            uid=f"hop-{number:04}@lich.h55.example",
            start=_start(town, days),
            length=timedelta(hours=2),
            subject=f"Họp giao ban trực tuyến {number}; chuẩn bị số liệu, báo cáo",
            organizer=Person(address="lich@h55.example", unit=own, name="Văn thư: lịch"),
            attendees=tuple(
                Person(address=f"{unit}@h55.example".lower(), unit=unit) for unit in invited if unit != organizer
            ),
            place="Phòng họp trực tuyến",
        )
        yield organizer, meeting, other


def _start(town: Town, days: int) -> datetime:
    return datetime.combine(town.today + timedelta(days), time(8, 30), HANOI)


def _letter(town: Town, organizer: str, meeting: Invitation, method: str, number: int, at: datetime) -> Letter:
    content = packets.write_document_packet(
        organizer,
        [person.unit for person in meeting.attendees],
        number=f"{number}",
        notation="GM-MAU",
        subject="Thông báo hủy họp" if method == "CANCEL" else "Giấy mời họp giao ban trực tuyến",
        promulgated=town.today,
        attachments=[
            ("giay-moi.txt", meeting.subject.encode()),
            ("lich-hop.ics", write_invitation(meeting, method, at)),
        ],
        type_name="Giấy mời",
    )
    return Letter(
        name=method, partner=find_document_system(town, organizer), content=content, message_id=f"GM-{number:04}"
    )
