"""The plan of a drill: its period and test units, the calls in their order, and the inspector's own list of dossiers.

Knows the values and their JSON. Draws nothing and counts nothing.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import attrs

VERSION = 1
#: Octets of a plan that is read, and the calls in it.
LARGEST, MOST = 16 << 20, 2000


class PlanUnreadable(ValueError):
    """The file is not the plan of a drill."""


class Does(StrEnum):
    """What a step of the plan does."""

    SEND = "send"  #: call an operation with a message
    FETCH = "fetch"  #: fetch and confirm everything that waits for a unit


class Trap(StrEnum):
    """What a step tries: how the hub could count it wrongly. Empty: nothing special."""

    NONE = ""
    REPEAT = "repeat"  #: the same message again: the same receipt, counted once
    AGAIN = "again"  #: the same matter in another message: counted once
    REUSED = "reused"  #: other octets under a used id: refused
    REFUSED = "refused"  #: a message that must be refused: counted nowhere
    CORRECTED = "corrected"  #: what was refused, corrected under the same id; or what was told wrongly, told rightly
    ALIAS = "alias"  #: another code of the unit: counted at the unit
    RECALL = "recall"  #: a document recalled before its recipient has it: received by nobody
    ORDER = "order"  #: told in another order than it happened
    UNMATCHED = "unmatched"  #: a result of a document that nobody has seen arrive
    BEFORE = "before"  #: a day of the period before


@attrs.frozen
class DrillUnit:
    """A test unit."""

    code: str
    name: str
    parent: str = ""
    alias: str = ""


@attrs.frozen(kw_only=True)
class DrillStep:
    """One call. The caller is the inspector's system; `unit` is the code in the call, perhaps an alias."""

    number: int
    does: Does
    service: str = "documents"
    operation: str = ""
    unit: str = ""
    message_id: str = ""
    octets: bytes = attrs.field(default=b"", repr=False)  #: of the packet, or of the call without the message id
    said: Mapping[str, Any] = attrs.field(factory=dict)  #: what the message says, for the arithmetic
    refusal: str = ""  #: the code with which it must be refused begins so; empty: it must be accepted
    trap: Trap = Trap.NONE


@attrs.frozen(kw_only=True)
class Life:
    """One dossier as the inspector knows it when everything is sent. Days are those that the messages state."""

    code: str
    unit: str
    received: date | None  #: None: never received, refused at the counter
    due: date | None = None
    ended: date | None = None
    end: str = ""  #: `done`, `withdrawn`, `refused`; empty: in hand
    channel: str = ""  #: `online`, `direct`, `post`
    asked: date | None = None  #: more papers asked for
    answered: date | None = None
    waits: str = ""  #: `papers`, `paused`
    since: date | None = None  #: of the wait
    returned: date | None = None
    charged: bool = False
    paid_online: bool = False
    reused: bool = False
    from_store: bool = False
    identified: bool = False
    result: bool = False
    digitised: bool = False
    level: str = ""  #: of an online dossier: `full`, `partial`, `other`
    elsewhere: bool = False  #: handed in away from the unit's area
    paid_directly: bool = False
    paid: date | None = None  #: online, or directly
    apologised: date | None = None
    registered: date | None = None  #: handed in
    take_on: date | None = None  #: the day by which it is to be taken on
    by_step: bool = False  #: its end was told by a step alone, which states neither due day nor days of work
    steps: tuple[int, ...] = ()  #: the steps that tell of it


@attrs.frozen(kw_only=True)
class DrillPlan:
    """What an inspector will send, and knows about it."""

    name: str  #: part of the codes of its units, such as `K07`
    seed: int
    province: str
    period: str
    first: date
    last: date  #: of the period
    today: date  #: the day for which it was drawn
    units: tuple[DrillUnit, ...]
    steps: tuple[DrillStep, ...]
    lives: tuple[Life, ...]
    days_off: tuple[date, ...] = ()  #: holidays behind the period
    days_on: tuple[date, ...] = ()  #: Saturdays and Sundays behind the period that are worked
    due_days: Mapping[str, int] = attrs.field(factory=dict)  #: form -> working days in which its report is due

    @property
    def root(self) -> str:
        """The topmost test unit."""
        return self.units[0].code

    def find_unit(self, code: str) -> str:
        """Return the unit of *code*, which may be an alias; *code* if there is none."""
        return next((unit.code for unit in self.units if code in (unit.code, unit.alias)), code)

    def list_below(self, code: str) -> tuple[str, ...]:
        """Return the unit *code* and all units below it, in the order of the plan."""
        found = {code}
        for unit in self.units:  # parents stand before their children
            if unit.parent in found:
                found.add(unit.code)
        return tuple(unit.code for unit in self.units if unit.code in found)

    def find_due_day(self, form: str) -> date | None:
        """Return the last day on which the report of *form* is on time: so many working days after the period."""
        left, day = self.due_days.get(form, 0), self.last
        if not left:
            return None
        while left:
            day += timedelta(days=1)
            left -= (day.weekday() < 5 and day not in self.days_off) or day in self.days_on
        return day


def write_plan(plan: DrillPlan) -> bytes:
    """Return *plan* as JSON: the same plan gives the same octets."""
    said = {"drill": VERSION, **attrs.asdict(plan, value_serializer=_write_value)}
    return json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def read_plan(content: bytes) -> DrillPlan:
    """Return the plan in *content*. Raises PlanUnreadable."""
    if len(content) > LARGEST:
        raise PlanUnreadable(f"more than {LARGEST} octets")
    try:
        said = json.loads(content)
        version = said.pop("drill")
        said |= {name: date.fromisoformat(said[name]) for name in ("first", "last", "today")}
        steps = [DrillStep(**_read_step(each)) for each in said.pop("steps")]
        lives = [Life(**_read_life(each)) for each in said.pop("lives")]
        plan = DrillPlan(
            steps=tuple(steps),
            lives=tuple(lives),
            units=tuple(DrillUnit(**each) for each in said.pop("units")),
            days_off=tuple(map(date.fromisoformat, said.pop("days_off"))),
            days_on=tuple(map(date.fromisoformat, said.pop("days_on"))),
            **said,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PlanUnreadable(f"{type(error).__name__}: {error}") from None
    if version != VERSION:
        raise PlanUnreadable(f"version {version}")
    if not plan.units or len(steps) > MOST or [step.number for step in steps] != [*range(1, len(steps) + 1)]:
        raise PlanUnreadable("no units, or steps out of order")
    return plan


def _write_value(_instance: object, _field: object, value: object) -> object:
    match value:
        case bytes():
            return b64encode(value).decode()
        case date():
            return value.isoformat()
        case tuple() | list():
            return [_write_value(None, None, each) for each in value]
    return value


def _read_step(said: dict[str, Any]) -> dict[str, Any]:
    octets = b64decode(said["octets"], validate=True)
    return said | {"does": Does(said["does"]), "trap": Trap(said["trap"]), "octets": octets}


_DAYS = (
    "received",
    "due",
    "ended",
    "asked",
    "answered",
    "since",
    "returned",
    "paid",
    "apologised",
    "registered",
    "take_on",
)


def _read_life(said: dict[str, Any]) -> dict[str, Any]:
    days = {name: None if said[name] is None else date.fromisoformat(said[name]) for name in _DAYS}
    return said | days | {"steps": tuple(said["steps"])}


def list_traps(steps: Sequence[DrillStep]) -> tuple[str, ...]:
    """Return what *steps* try, each once, in the order of `Trap`."""
    tried = {step.trap for step in steps}
    return tuple(trap.value for trap in Trap if trap and trap in tried)
