"""Compares what was sent and what the hub reports with the inspector's own list. Tolerance nought.

Knows a plan, its sent steps and the sealed reports. Each difference names its cell and the messages behind it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

import attrs

from hub.audit.drill.compared_columns import COUNTED, SUMS
from hub.audit.drill.desk import SentStep
from hub.audit.drill.expecting import Expected, expect_numbers
from hub.audit.drill.plan import Does, DrillPlan, DrillStep, Trap
from hub.report.counting.counting import Report

#: Messages that a difference names.
NAMED = 20


@attrs.frozen(kw_only=True)
class DrillDifference:
    """One thing that is not as the inspector's list says."""

    what: str  #: `answer`, `receipt`, `report`, `row`, `period`, `due`, `cell`, `total`
    place: str  #: form, unit and column; or the step
    expected: str
    found: str
    messages: tuple[str, ...] = ()  #: the ids of the messages that the number should come from


@attrs.frozen(kw_only=True)
class Reconciled:
    """The result of a drill."""

    differences: tuple[DrillDifference, ...]
    cells: int  #: compared
    #: form, column: numbers of the reports of which the list says nothing
    unknown: tuple[tuple[str, str], ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def reconcile_drill(
    plan: DrillPlan,
    sent: Sequence[SentStep],
    reports: Mapping[tuple[str, str], Report],
    floors: Mapping[str, date],
) -> Reconciled:
    """Compare the answers of *sent* and the *reports*, by form and unit, with what *plan* expects.

    *floors*: see `expect_numbers`.
    """
    made: dict[str, datetime] = {}
    for (form, _), report in reports.items():
        made.setdefault(form, report.made_at)
    expected = expect_numbers(plan, sent, made, floors)
    found = list(_compare_answers(plan, sent))
    cells, unknown = 0, dict[tuple[str, str], None]()
    for (form, unit), report in reports.items():
        known = {*COUNTED.get(form, ()), *SUMS.get(form, {})}
        unknown |= {(form, key): None for key in report.total.numbers if key not in known}
        found += _compare_report(plan, form, unit, report, expected)
        cells += len(known) * (len(plan.list_below(unit)) + 1)
    return Reconciled(differences=tuple(found), cells=cells, unknown=tuple(unknown))


def _compare_answers(plan: DrillPlan, sent: Sequence[SentStep]) -> Iterator[DrillDifference]:
    """Yield what the hub did not accept or refuse as planned, and repetitions with another receipt."""
    by_number, first = {each.number: each for each in sent}, dict[str, SentStep]()
    for step in plan.steps:
        got = by_number.get(step.number)
        if got is None:
            yield DrillDifference(what="answer", place=_say_step(step), expected="sent", found="not sent")
            continue
        wanted = f"refused: {step.refusal}…" if step.refusal else "accepted"
        said = "accepted" if got.accepted else f"refused: {', '.join(got.codes)}"
        right = not got.accepted and any(code.startswith(step.refusal) for code in got.codes)
        if (got.accepted if step.refusal else not got.accepted) or (step.refusal and not right):
            yield DrillDifference(
                what="answer", place=_say_step(step), expected=wanted, found=said, messages=(step.message_id,)
            )
        if step.does is Does.FETCH or not got.accepted:
            continue
        before = first.setdefault(step.message_id, got)
        if step.trap is Trap.REPEAT and before.receipt != got.receipt:
            yield DrillDifference(
                what="receipt",
                place=_say_step(step),
                expected=before.document_id,
                found=got.document_id,
                messages=(step.message_id,),
            )


def _say_step(step: DrillStep) -> str:
    return f"{step.number} {step.operation} {step.unit}"


def _compare_report(
    plan: DrillPlan, form: str, unit: str, report: Report, expected: Expected
) -> Iterator[DrillDifference]:
    below, due = plan.list_below(unit), plan.find_due_day(form)
    rows = {row.unit: row.numbers for row in report.rows}
    if set(rows) != {*below}:
        yield DrillDifference(
            what="row", place=f"{form} {unit}", expected=", ".join(sorted(below)), found=", ".join(sorted(rows))
        )
    days = (report.period.first, report.period.last)
    if days != (plan.first, plan.last):
        wanted, got = (" – ".join(map(str, each)) for each in ((plan.first, plan.last), days))
        yield DrillDifference(what="period", place=f"{form} {unit}", expected=wanted, found=got)
    said = report.due.day if report.due else None
    if due is not None and said != due:
        yield DrillDifference(what="due", place=f"{form} {unit}", expected=str(due), found=str(said))
    for column in (*COUNTED.get(form, ()), *SUMS.get(form, {})):
        wanted_sum, steps = 0, list[int]()
        for member in below:
            cell = (form, member, column)
            wanted_sum += expected.numbers[cell]
            steps += expected.behind.get(cell, ())
            if member in rows and rows[member].get(column) != expected.numbers[cell]:
                yield DrillDifference(
                    what="cell",
                    place=" ".join(cell),
                    expected=str(expected.numbers[cell]),
                    found=str(rows[member].get(column)),
                    messages=_name_messages(plan, expected.behind.get(cell, ())),
                )
        if report.total.numbers.get(column) != wanted_sum:
            yield DrillDifference(
                what="total",
                place=f"{form} {unit} {column}",
                expected=str(wanted_sum),
                found=str(report.total.numbers.get(column)),
                messages=_name_messages(plan, steps),
            )


def _name_messages(plan: DrillPlan, steps: Sequence[int]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(plan.steps[number - 1].message_id for number in steps))[:NAMED]
