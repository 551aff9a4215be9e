"""What a desk of a drill knows of its items: when they came, moved, were due and ended."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Any

import attrs

from hub.audit.drill.plan import Does, DrillPlan, DrillStep

HANOI = timezone(timedelta(hours=7))
NEW_DOCUMENT, RECALLED, UPDATED, _REPLACEMENT = range(4)


@attrs.frozen(kw_only=True)
class SentStep:
    """A step that was sent, as the inspector noted it."""

    number: int
    at: datetime  #: of the receipt, by the hub's clock; of a fetch, when it was confirmed
    accepted: bool
    codes: tuple[str, ...] = ()  #: of a refusal
    document_id: str = ""  #: the hub's id
    sha256: str = ""
    receipt: str = attrs.field(default="", repr=False)
    confirmed: tuple[str, ...] = ()  #: of a fetch: the hub's ids

    @property
    def day(self) -> date:
        """The day in Hà Nội."""
        return self.at.astimezone(HANOI).date()


@attrs.define
class ToldItem:
    """What was told of one work item; of each thing the first telling."""

    unit: str
    assigned: date = date.max
    due: date | None = None
    hundredths: int = 0
    extended: dict[int, tuple[date, date]] = attrs.field(factory=dict)  #: number -> the day of it, the new due day
    done: date | None = None
    returned: dict[int, date] = attrs.field(factory=dict)
    excused: date | None = None
    withdrawn: date | None = None
    steps: list[int] = attrs.field(factory=list)

    def hear(self, said: Mapping[str, Any], step: int) -> None:
        """Take in what a message says."""
        self.steps.append(step)
        if "Assigned" in said and self.assigned == date.max:
            self.assigned = date.fromisoformat(said["Assigned"])
            self.due = date.fromisoformat(said["Due"]) if "Due" in said else None
            whole, _, part = said["Factor"].partition(".")
            self.hundredths = int(whole) * 100 + int(part.ljust(2, "0"))
        for each in said.get("Extended", ()):
            day, due = (date.fromisoformat(each[name]) for name in ("Day", "Due"))
            self.extended.setdefault(each["number"], (day, due))
        if "Done" in said:
            self.done = self.done or date.fromisoformat(said["Done"])
        for each in said.get("Returned", ()):
            self.returned.setdefault(each["number"], date.fromisoformat(each["Day"]))
        if "Excused" in said:
            self.excused = self.excused or date.fromisoformat(said["Excused"]["Day"])
        if "Withdrawn" in said:
            self.withdrawn = self.withdrawn or date.fromisoformat(said["Withdrawn"]["Day"])

    def find_due(self, day: date) -> date | None:
        """Return the day by which it is due, as known on *day*: the newest extension up to then, else as assigned."""
        known = [each for each in self.extended.values() if each[0] <= day]
        return max(known)[1] if known else self.due


@attrs.define
class DrillDesk:
    """The papers of the test units, as they move when the steps are played in their order."""

    plan: DrillPlan
    #: (unit, key) -> the step that sent it
    sent: dict[tuple[str, Any], DrillStep] = attrs.field(factory=dict)
    #: (unit, key) -> the step that brought it, and when it was confirmed
    received: dict[tuple[str, Any], tuple[DrillStep, datetime]] = attrs.field(factory=dict)
    waiting: list[tuple[str, DrillStep]] = attrs.field(factory=list)  #: unit, and what waits for it
    told: dict[tuple[str, Any], list[DrillStep]] = attrs.field(factory=dict)  #: (unit, key) -> statuses in their order
    messages: set[str] = attrs.field(factory=set)

    def play(self, step: DrillStep, sent: SentStep) -> None:
        """Do what *step* did."""
        unit = self.plan.find_unit(step.unit)
        if step.does is Does.FETCH:
            for to, brought in [each for each in self.waiting if each[0] == unit]:
                self.received.setdefault((to, self.key(brought)), (brought, sent.at))
            self.waiting = [each for each in self.waiting if each[0] != unit]
            return
        if step.message_id in self.messages:
            return
        self.messages.add(step.message_id)
        if step.operation == "UpdateTraces":
            key = (self.plan.find_unit(step.said["organ"]), step.said["document"])
            self.told.setdefault((unit, key), []).append(step)
            return
        self.sent.setdefault((unit, self.key(step)), step)
        units = [self.plan.find_unit(each) for each in step.said["to"]]
        stopped = {RECALLED: [step.said["about"]], _REPLACEMENT: step.said["replaced"]}.get(step.said["kind"], [])
        self.waiting = [
            (to, each)
            for to, each in self.waiting
            if not (to in units and each.said["document"] in stopped and self.plan.find_unit(each.unit) == unit)
        ]
        self.waiting += [(to, step) for to in units]

    def key(self, step: DrillStep) -> Any:
        """Return what makes a paper the same: its unit and DocumentId; of a recall, update or replacement its octets too."""
        unit = self.plan.find_unit(step.unit)
        return (unit, step.said["document"], *([step.octets] if step.said["kind"] != NEW_DOCUMENT else []))
