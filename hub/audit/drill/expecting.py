"""What the reports of the test units must say, by the plan and the hub's receipts alone.

A small arithmetic of its own, written from the rules of the forms (docs/reference/reports.md, ii06a.md, dossiers.md,
mail.md). Uses nothing of the code by which the hub counts. Knows no report.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import attrs

from hub.audit.drill.compared_columns import COUNTED, MAIL_PEAKS, MAIL_SUMS, SUMS
from hub.audit.drill.desk import HANOI, NEW_DOCUMENT, RECALLED, UPDATED, DrillDesk, SentStep, ToldItem
from hub.audit.drill.plan import DrillPlan, DrillStep, Life

#: Form, unit, column -> number.
Numbers = dict[tuple[str, str, str], int]
#: The forms that are counted, each with the service whose facts it counts.
FORMS = {
    "edoc": "documents",
    "meetings": "meetings",
    "incidents": "incidents",
    "ii06a": "dossiers",
    "dossiers": "dossiers",
    "btp07a": "dossiers",
    "tthc": "dossiers",
    "mail": "mail",
    "congviec": "work",
}
_RANK = {"01": 1, "02": 2, "03": 2, "04": 3, "05": 4, "06": 5}
_FINAL = ("02", "06")


@attrs.frozen
class Expected:
    """What the reports must say, and which steps a number comes from."""

    numbers: Numbers
    behind: Mapping[tuple[str, str, str], tuple[int, ...]]


def expect_numbers(
    plan: DrillPlan, sent: Sequence[SentStep], made_at: Mapping[str, datetime], floors: Mapping[str, date]
) -> Expected:
    """Return the number of each column that the arithmetic knows, for each test unit by itself.

    *made_at*: by form, when its report was counted. *floors*: by form, the first day after its closed months; what happened
    before it counts on it.
    """
    count = _Count(plan, {each.number: each for each in sent})
    days = {form: min(at.astimezone(HANOI).date(), plan.last) for form, at in made_at.items()}
    if "edoc" in days:
        count.documents(made_at["edoc"].astimezone(HANOI).date())
    for form, rule in (("ii06a", count.ii06a), ("dossiers", count.dossiers), ("btp07a", count.btp07a)):
        if form in days:
            rule(days[form], floors.get(form, date.min))
    if "dossiers" in days:
        count.statistics()
    if "mail" in days:
        count.mail()
    if "congviec" in days:
        count.work(days["congviec"], floors.get("congviec", date.min))
    if "meetings" in days:
        count.meetings(made_at["meetings"].astimezone(HANOI).date())
    if "incidents" in days:
        count.incidents()
    count.add_up(form for form in made_at if form != "tthc")
    if {"tthc", "btp07a"} <= made_at.keys():
        count.take("tthc", "btp07a")
        count.add_up(["tthc"])
    return Expected(count.numbers, {cell: tuple(dict.fromkeys(steps)) for cell, steps in count.behind.items()})


@attrs.define
class _Count:
    plan: DrillPlan
    sent: Mapping[int, SentStep]
    numbers: Numbers = attrs.field(factory=dict)
    behind: dict[tuple[str, str, str], list[int]] = attrs.field(factory=dict)

    def add(self, form: str, unit: str, column: str, steps: Iterable[int], amount: int = 1) -> None:
        cell = (form, unit, column)
        self.numbers[cell] = self.numbers.get(cell, 0) + amount
        self.behind.setdefault(cell, []).extend(steps)

    def taken(self, service: str) -> Iterator[DrillStep]:
        """Yield the steps of *service* that the plan sends to be accepted, and that were sent."""
        for step in self.plan.steps:
            if step.service == service and not step.refusal and step.number in self.sent:
                yield step

    def inside(self, day: date | None) -> bool:
        return day is not None and self.plan.first <= day <= self.plan.last

    # --- documents

    def documents(self, today: date) -> None:
        """Count the form `edoc`: everything on the day of its receipt."""
        desk = DrillDesk(self.plan)
        for step in self.taken("documents"):
            desk.play(step, self.sent[step.number])
        for (unit, _), step in desk.sent.items():
            kind = step.said["kind"]
            if not self.inside(self.sent[step.number].day):
                continue
            if kind != NEW_DOCUMENT:
                self.add(
                    "edoc", unit, {RECALLED: "recalls", UPDATED: "updates"}.get(kind, "replacements"), [step.number]
                )
                continue
            columns = ["sent_inside", "signed" if step.said["signed"] else "not_signed"]
            for column in [*columns, *(["on_paper"] if step.said["paper"] else [])]:
                self.add("edoc", unit, column, [step.number])
        for (unit, _), (step, _) in desk.received.items():
            if self.inside(self.sent[step.number].day):
                self.add("edoc", unit, "received_inside", [step.number])
        for (unit, key), told in desk.told.items():
            self.results(unit, desk.received.get((unit, key)), told)
        for (unit, key), (step, _) in desk.received.items():
            due, codes = step.said["due"], {each.said["code"] for each in desk.told.get((unit, key), ())}
            if (
                due
                and date.fromisoformat(due) < min(today, self.plan.last + timedelta(days=1))
                and not codes & {*_FINAL}
            ):
                self.add("edoc", unit, "overdue", [step.number])

    def results(self, unit: str, received: "tuple[DrillStep, datetime] | None", told: Sequence[DrillStep]) -> None:
        """Count what *unit* told of one document: each status once, and how far it brought the document."""
        first: dict[str, DrillStep] = {}
        for step in told:
            first.setdefault(step.said["code"], step)
        for code, step in first.items():
            at = self.sent[step.number].at
            if not self.inside(self.sent[step.number].day):
                continue
            if received is None:
                self.add("edoc", unit, "completed_unmatched" if code == "06" else "results_unmatched", [step.number])
                continue
            if code in ("02", "03", "06"):
                column = {"02": "refused", "03": "acknowledged", "06": "completed"}[code]
                self.add("edoc", unit, column, [step.number])
            if code == "03" and at <= received[1] + timedelta(hours=24):
                self.add("edoc", unit, "acknowledged_in_time", [step.number])
            due = received[0].said["due"]
            if code == "06" and (not due or self.sent[step.number].day <= date.fromisoformat(due)):
                self.add("edoc", unit, "completed_on_time", [step.number])
        furthest = ""
        for step in told:
            code = step.said["code"]
            if furthest not in _FINAL and (code in _FINAL or not furthest or _RANK[code] > _RANK[furthest]):
                furthest = code
        if received is not None and furthest in ("04", "05"):
            self.add("edoc", unit, "processing", [step.number for step in told])

    # --- dossiers

    def told(self) -> Iterator[Life]:
        """Yield the dossiers of which every step was sent."""
        return (life for life in self.plan.lives if life.steps and {*life.steps} <= self.sent.keys())

    def ii06a(self, today: date, floor: date) -> None:
        """Count form II.06a."""
        for life in self.told():
            if life.received is None:
                continue
            begun, ended = max(life.received, floor), None if life.ended is None else max(life.ended, floor)
            over = None if ended is None else max(begun, ended)
            columns = []
            if self.inside(begun):
                columns.append("received_online" if life.channel == "online" else "received_direct")
            elif begun < self.plan.first and not (over and over < self.plan.first):
                columns.append("carried_over")
            if self.inside(over):
                columns.append(f"settled_{_judge_timing(life)}" if life.end == "done" else "settled_on_time")
            if begun <= today and over is None:
                columns.append("pending_overdue" if _is_overdue(life, today) and not life.waits else "pending_in_time")
            for column in columns:
                self.add("ii06a", life.unit, column, life.steps)

    def dossiers(self, today: date, floor: date) -> None:
        """Count the form `dossiers`."""
        for life in self.told():

            def on(day: date | None) -> bool:
                return day is not None and self.inside(max(day, floor))

            begun = None if life.received is None else max(life.received, floor)
            columns = [f"received_{life.channel}"] if on(life.received) else []
            columns += [f"received_{name}" for name in _list_column_parts(life) if on(life.received)]
            if begun and begun < self.plan.first and not (life.ended and max(life.ended, floor) < self.plan.first):
                columns.append("carried_over")
            if life.end == "done" and on(life.ended):
                columns += [f"finished_{_judge_timing(life)}", *(["finished_with_result"] if life.result else [])]
                columns += ["finished_digitised"] if life.result and life.digitised else []
                if not life.by_step:
                    columns.append("finished_timed")
                    self.add("dossiers", life.unit, "days_taken", life.steps, _days_of_work(life))
            if life.end == "withdrawn" and on(life.ended):
                columns.append("withdrawn")
            if life.end == "refused" and on(life.ended):
                columns.append("refused")
            columns += ["supplement_requested"] if on(life.asked) else []
            columns += ["supplemented"] if on(life.answered) else []
            columns += ["paused"] if life.waits == "paused" and on(life.since) else []
            columns += ["returned"] if on(life.returned) else []
            if begun and life.ended and on(max(begun, life.ended)):
                pause = (life.answered - life.asked) if life.answered and life.asked else timedelta()
                late = life.due is not None and life.ended - pause > life.due
                columns.append("ended_late" if late else "ended_in_time")
            if begun and begun <= today and life.ended is None:
                columns.append("pending_overdue" if _is_overdue(life, today) and not life.waits else "pending_in_time")
                day = min(today, life.since) if life.since else today
                columns.append("open_late" if _is_overdue(life, day) else "open_in_time")
            for column in columns:
                self.add("dossiers", life.unit, column, life.steps)

    def btp07a(self, today: date, floor: date) -> None:
        """Count form 07a/BTP."""
        for life in self.told():

            def on(day: date | None) -> bool:
                return day is not None and self.inside(max(day, floor))

            begun = None if life.received is None else max(life.received, floor)
            over = None if begun is None or life.ended is None else max(begun, life.ended)
            overdue, apology = (
                _is_overdue(life, today) and not life.waits,
                "apologised" if life.apologised else "unapologised",
            )
            columns = []
            if on(life.received):
                columns.append(
                    f"received_online_{life.level}" if life.channel == "online" else f"received_{life.channel}"
                )
                columns += ["received_elsewhere"] if life.elsewhere else []
            if begun and begun < self.plan.first and not (over and over < self.plan.first):
                columns.append("carried_over")
            if on(over):
                late = life.end == "done" and _judge_timing(life) == "late"
                columns.append(f"settled_late_{apology}" if late else "settled_in_time")
                columns += ["withdrawn"] if life.end == "withdrawn" else []
            if begun and begun <= today and over is None:
                columns.append(f"pending_overdue_{apology}" if overdue else "pending_in_time")
            if life.end == "refused" and begun is None and on(life.ended):
                columns.append("refused")
            if life.registered and begun is None and not life.end and max(life.registered, floor) <= today:
                wait_over = life.take_on is not None and life.take_on < today
                columns.append("awaiting_overdue" if wait_over else "awaiting_in_time")
            if life.paid and on(life.paid):
                columns.append("paid_online" if life.paid_online else "paid_direct")
            columns += ["stopped"] if life.waits == "paused" and on(life.since) else []
            for column in columns:
                self.add("btp07a", life.unit, column, life.steps)

    def take(self, form: str, base: str) -> None:
        """Take the numbers of *form* from those of *base*, where they have the same names."""
        for unit in self.plan.units:
            for column in COUNTED[form]:
                self.numbers[form, unit.code, column] = self.numbers[base, unit.code, column]
                self.behind[form, unit.code, column] = [*self.behind.get((base, unit.code, column), ())]

    def statistics(self) -> None:
        """Count what units declared of a month: the last declaration holds."""
        last: dict[tuple[str, str], DrillStep] = {}
        for step in self.taken("dossiers"):
            if step.operation == "SubmitStatistic":
                last[step.unit, step.said["month"]] = step
        for (unit, month), step in last.items():
            if self.inside(date.fromisoformat(month)):
                for column in ("received", "finished"):
                    self.add("dossiers", unit, f"declared_{column}", [step.number], step.said[column])

    # --- mail

    def mail(self) -> None:
        """Count the form `mail`: the first report of a day, with its corrections."""
        days: dict[tuple[str, str], dict[str, int]] = {}
        behind: dict[str, list[int]] = {}
        seen: set[tuple[str, str]] = set()
        for step in self.taken("mail"):
            unit, said = self.plan.find_unit(step.unit), step.said
            key = (unit, step.message_id if said["correction"] else said["day"])
            if key in seen or not self.inside(date.fromisoformat(said["day"])):
                continue
            seen.add(key)
            behind.setdefault(unit, []).append(step.number)
            day = days.setdefault((unit, said["day"]), {})
            for name, amount in said["figures"].items():
                day[name] = day.get(name, 0) + amount
        for unit, steps in behind.items():
            own = [figures for (of, _), figures in days.items() if of == unit]
            for name, column in MAIL_SUMS.items():
                self.add("mail", unit, column, steps, sum(each[name] for each in own))
            for name, column in MAIL_PEAKS.items():
                self.add("mail", unit, column, steps, max(0, *(each[name] for each in own)))

    # --- what documents enclose

    def enclosed(self, name: str) -> Iterator[tuple[DrillStep, Mapping[str, Any]]]:
        """Yield what the attachments of this name say, each message once."""
        seen: set[str] = set()
        for step in self.taken("documents"):
            if name in step.said and step.message_id not in seen and self.inside(self.sent[step.number].day):
                seen.add(step.message_id)
                yield step, step.said[name]

    def meetings(self, today: date) -> None:
        """Count the form `meetings`."""
        newest: dict[tuple[str, str], tuple[int, str, date]] = {}  # of a meeting: revision, method, day
        steps: dict[tuple[str, str], list[int]] = {}
        counted: set[tuple[str, ...]] = set()

        def once(column: str, unit: str, uid: str, number: int, more: str = "") -> None:
            if (column, unit, uid, more) not in counted:
                counted.add((column, unit, uid, more))
                self.add("meetings", unit, column, [number])

        for step, said in self.enclosed("meeting"):
            unit, who = (self.plan.find_unit(said[name]) for name in ("unit", "attendee"))
            day, uid, meeting = date.fromisoformat(said["day"]), said["uid"], (unit, said["uid"])
            if said["method"] == "REPLY":
                column = {"ACCEPTED": "accepted", "DECLINED": "declined"}.get(said["answer"], "attended")
                if column != "attended" or (self.inside(day) and day < today):
                    once(column, who, uid, step.number)
                continue
            if said["method"] == "REQUEST":
                once("called", unit, uid, step.number)
            else:
                once("cancelled", unit, uid, step.number, str(said["revision"]))
            steps.setdefault(meeting, []).append(step.number)
            newest[meeting] = max(newest.get(meeting, (-1, "", day)), (said["revision"], said["method"], day))
        for (unit, uid), (_, method, day) in newest.items():
            if method == "REQUEST" and self.inside(day) and day < today:
                self.add("meetings", unit, "held", steps[unit, uid])

    def incidents(self) -> None:
        """Count the form `incidents`: the first report that opens one, and the first that closes it."""
        told: dict[tuple[str, str], dict[str, tuple[DrillStep, Mapping[str, Any]]]] = {}
        for step, said in self.enclosed("incident"):
            incident = told.setdefault((self.plan.find_unit(said["unit"]), said["id"]), {})
            incident.setdefault(said["state"], (step, said))
        for (unit, _), states in told.items():
            steps = [step.number for step, _ in states.values()]
            if "opened" in states:
                grave = states["opened"][1]["severity"] in ("emergency", "alert", "critical")
                self.add("incidents", unit, "opened_grave" if grave else "opened_other", steps)
            if "closed" in states:
                self.add("incidents", unit, "closed", steps)
            elif "opened" in states:
                self.add("incidents", unit, "open", steps)
            if len(states) > 1:
                begun, ended = (datetime.fromisoformat(states[name][1]["at"]) for name in ("opened", "closed"))
                self.add("incidents", unit, "closing_seconds", steps, max(0, int((ended - begun).total_seconds())))

    # --- work items

    def work(self, today: date, floor: date) -> None:
        """Count the form `congviec`: what was told first of an item holds."""
        items: dict[tuple[str, str], ToldItem] = {}
        for step in self.taken("work"):
            said = step.said
            unit = self.plan.find_unit(said["OrganId"])
            items.setdefault((unit, said["Code"]), ToldItem(unit)).hear(said, step.number)
        for item in items.values():

            def add(column: str, times: int = 1, *, one: ToldItem = item) -> None:
                self.add("congviec", one.unit, column, one.steps, times)
                if column != "excused":
                    self.add("congviec", one.unit, f"{column}_converted", one.steps, times * one.hundredths)

            self.count_item(item, today, floor, add)

    def count_item(self, item: "ToldItem", today: date, floor: date, add: Callable[..., None]) -> None:
        """Count one work item."""

        def on(day: date) -> bool:
            return self.inside(max(day, floor))

        ends = {name: day for name, day in (("done", item.done), ("withdrawn", item.withdrawn)) if day}
        end = min(ends, key=lambda name: ends[name], default="")
        over = max(ends[end], item.assigned, floor) if end else None
        if on(item.assigned):
            add("assigned")
        elif max(item.assigned, floor) < self.plan.first and not (over and over < self.plan.first):
            add("carried_over")
        if over is not None and self.inside(over):
            add(end)
            due = item.find_due(ends[end])
            if end == "done" and due is not None and item.done is not None and item.done > due and not item.excused:
                add("late")
        if over is None and max(item.assigned, floor) <= today:
            add("open")
            due = item.find_due(today)
            if due is not None and due < today and not item.excused:
                add("overdue")
        returned = [number for number, day in item.returned.items() if on(day)]
        if returned:
            self.add("congviec", item.unit, "returned", item.steps, len(returned))
            first = sum(number <= 4 for number in returned)
            self.add("congviec", item.unit, "returned_converted", item.steps, first * item.hundredths)
        if item.excused and on(item.excused):
            add("excused")

    # --- sums

    def add_up(self, forms: Iterable[str]) -> None:
        """Set the columns that are sums, and to 0 what nothing was counted in."""
        for form in forms:
            for unit in self.plan.units:
                for column in COUNTED.get(form, ()):
                    self.numbers.setdefault((form, unit.code, column), 0)
                for column, parts in SUMS.get(form, {}).items():
                    self.numbers[form, unit.code, column] = sum(self.numbers[form, unit.code, part] for part in parts)
                    steps = [step for part in parts for step in self.behind.get((form, unit.code, part), ())]
                    self.behind[form, unit.code, column] = steps


def _judge_timing(life: Life) -> str:
    assert life.ended is not None
    if life.due is None or life.ended == life.due:
        return "on_time"
    return "early" if life.ended < life.due else "late"


def _is_overdue(life: Life, day: date) -> bool:
    return life.due is not None and life.due < day


def _list_column_parts(life: Life) -> Iterator[str]:
    """Yield the parts of the names of columns `received_…` beside the channel that count *life*."""
    facts: tuple[tuple[str, Callable[[Life], bool]], ...] = (
        ("charged", lambda one: one.charged),
        ("paid_online", lambda one: one.charged and one.paid_online),
        ("reused", lambda one: one.reused),
        ("from_store", lambda one: one.from_store),
        ("identified", lambda one: one.identified or one.from_store),
    )
    return (name for name, is_so in facts if is_so(life))


def _days_of_work(life: Life) -> int:
    assert life.ended is not None
    assert life.received is not None
    days = (life.ended - life.received).days
    if life.asked and life.answered and life.asked <= life.answered <= life.ended:
        days -= (life.answered - life.asked).days
    return max(days, 0)
