"""What TellWork and JudgeWork tell of work items (docs/reference/work.md), read out of their bytes; and what it counts as."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol
from xml.etree import ElementTree as ET

from tests.recount.exported import Journal, Message
from tests.recount.places import canonical
from tests.recount.told import Told

_RETURNS = ("returned", "returned-2", "returned-3", "returned-4")
_EXTENSIONS = ("extended", "extended-2", "extended-3")


def read_work(journal: Journal) -> Iterator[Told]:
    """Yield what was told of each item, in the order in which it was told."""
    for message in journal.of("work"):
        call = ET.fromstring(message.octets)
        for item in call.findall("{*}Item"):
            yield from _assigned(message, item) if call.tag.endswith("TellWork") else _judged(message, item)


def _assigned(message: Message, item: ET.Element) -> Iterator[Told]:
    due = date.fromisoformat(_text(item, "Due")) if _text(item, "Due") else None
    officer = _text(item, "Officer")
    yield from _twice(message, item, "assigned", _text(item, "Assigned"), due=due, officer=officer)
    if _text(item, "Done"):
        yield from _twice(message, item, "done", _text(item, "Done"))


def _judged(message: Message, item: ET.Element) -> Iterator[Told]:
    for each in item.findall("{*}Extended"):
        name = _EXTENSIONS[int(each.get("number", "")) - 1]
        yield _told(message, item, name, _text(each, "Day"), due=date.fromisoformat(_text(each, "Due")))
    for each in item.findall("{*}Returned"):
        number = int(each.get("number", ""))
        if number > len(_RETURNS):
            key = (_text(item, "Code"), f"{number}")
            yield _told(message, item, "returned-more", _text(each, "Day"), key=key)
        else:
            yield from _twice(message, item, _RETURNS[number - 1], _text(each, "Day"))
    for name, what in (("Excused", "excused"), ("Withdrawn", "withdrawn")):
        each_ = item.find(f"{{*}}{name}")
        if each_ is not None and what == "excused":
            yield _told(message, item, what, _text(each_, "Day"))
        elif each_ is not None:
            yield from _twice(message, item, what, _text(each_, "Day"))


def _twice(
    message: Message, item: ET.Element, what: str, day: str, *, due: date | None = None, officer: str = ""
) -> Iterator[Told]:
    """Yield one item, and its factor in hundredths."""
    yield _told(message, item, what, day, due=due, officer=officer)
    hundredths = int(Decimal(_text(item, "Factor")) * 100)
    yield _told(message, item, f"{what}-converted", day, due=due, amount=hundredths, officer=officer)


def _told(
    message: Message,
    item: ET.Element,
    what: str,
    day: str,
    *,
    key: tuple[str, ...] = (),
    due: date | None = None,
    amount: int = 1,
    officer: str = "",
) -> Told:
    return Told(
        service="work",
        unit=canonical(_text(item, "OrganId")),
        key=key or (_text(item, "Code"),),
        what=what,
        at=message.at,
        message=message.id,
        day=date.fromisoformat(day),
        due=due,
        amount=amount,
        said={"officer": officer},
    )


def _text(element: ET.Element, name: str) -> str:
    return " ".join((element.findtext(f"{{*}}{name}") or "").split())


# --- what it counts as ----------------------------------------------------------------------------------------------------


class _Seen(Protocol):
    """What was told of one unit before the end of a period (`tests.recount.cells.View`)."""

    @property
    def told(self) -> list[Told]: ...

    @property
    def start(self) -> datetime: ...

    @property
    def now(self) -> datetime: ...

    @property
    def today(self) -> date: ...

    @property
    def last(self) -> date: ...


def ended(view: _Seen, what: str, suffix: str) -> list[Told]:
    """Return the items whose first end is *what*, once they are assigned too, the later of the two in the period."""
    found = []
    for told in _items(view.told):
        begun = [one.when for one in told if one.what.startswith("assigned")]
        ends = [one for one in told if one.what in (f"done{suffix}", f"withdrawn{suffix}")]
        first = min(ends, key=lambda one: (one.when, one.at, one.message, one.what), default=None)
        if begun and first and first.what == what + suffix and max(first.when, min(begun)) >= view.start:
            found.append(first)
    return found


def late(view: _Seen, suffix: str) -> list[Told]:
    """Return what was done after its day and was not excused."""
    found = []
    for one in ended(view, "done", suffix):
        mine = [each for each in view.told if each.key == one.key]
        due = _due([each for each in mine if each.on <= one.on])
        if due is not None and one.on > due and all(each.what != "excused" for each in mine):
            found.append(one)
    return found


def standing(told: list[Told], suffix: str) -> list[Told]:
    """Return what was assigned and neither done nor withdrawn."""
    over = {one.key for one in told if one.what in (f"done{suffix}", f"withdrawn{suffix}")}
    return [one for one in told if one.what == f"assigned{suffix}" and one.key not in over]


def carried(view: _Seen, suffix: str) -> list[Told]:
    """Return what was open when the period began."""
    return standing([one for one in view.told if one.when < view.start], suffix)


def left(view: _Seen, suffix: str) -> list[Told]:
    """Return what is open at the end, or now."""
    return standing([one for one in view.told if one.when <= view.now], suffix)


def overdue(view: _Seen, suffix: str) -> list[Told]:
    """Return what is open after its day and was not excused."""
    seen, day = [one for one in view.told if one.when <= view.now], min(view.last, view.today)
    excused = {one.key for one in seen if one.what == "excused"}
    found = []
    for one in standing(seen, suffix):
        due = _due([each for each in seen if each.key == one.key])
        if due is not None and due < day and one.key not in excused:
            found.append(one)
    return found


def unmatched(view: _Seen) -> list[Told]:
    """Return what was told as done of items that nobody has assigned."""
    known = {one.key for one in view.told if one.what == "assigned"}
    return [one for one in view.told if one.what == "done" and one.when >= view.start and one.key not in known]


def _items(told: Iterable[Told]) -> list[list[Told]]:
    found: dict[tuple[str, ...], list[Told]] = {}
    for one in told:
        found.setdefault(one.key, []).append(one)
    return list(found.values())


def _due(told: list[Told]) -> date | None:
    """Return the day by which an item is due: as assigned, or as told last by its own day."""
    dated = [one for one in told if one.due and one.what in ("assigned", *_EXTENSIONS)]
    return max(dated, key=lambda one: (one.on, one.at, one.message, one.what)).due if dated else None
