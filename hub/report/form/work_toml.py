"""The part of a form's file that tells of work: steps, days, milestones, clocks."""

from collections.abc import Collection, Sequence
from datetime import date

import attrs

from hub.language.phrases import phrase
from hub.report.form.column import MILESTONES, Column, ColumnKind, CountedService, find_counted_service
from hub.report.form.toml_table import FormTable, one_of
from hub.services import CountableFacts


@attrs.frozen
class WorkMilestones:
    """The milestones with which work, and a wait in it, begins and ends."""

    begins: frozenset[str]
    ends: frozenset[str]
    waits: frozenset[str]
    resumes: frozenset[str]


def find_form_service(table: FormTable, countable: tuple[CountableFacts, ...] | None) -> CountedService:
    service = table.text("service") if "service" in table else ""
    counted = find_counted_service(service, countable)
    if counted is None:
        known = [*MILESTONES, *(each.service for each in countable or ())]
        table.wrong("service", phrase("is {service}", service=repr(service)), one_of(sorted(known)))
        counted = CountedService(service, None, None)
    return counted


def read_days_in_force(table: FormTable) -> tuple[date | None, date | None]:
    """Return the first day of the form, and the day from which it is no longer in force."""
    since, until = table.day("since"), table.day("until")
    if since and until and since >= until:
        table.wrong("until", phrase("is {until}", until=until), phrase("a day after {since}", since=since))
    return since, until


def read_steps(progress: FormTable, milestones: Collection[str] | None) -> Sequence[Sequence[str]]:
    progress.only(("steps", "final", "begins", "ends", "waits", "resumes"))
    steps = progress.lists("steps", milestones)
    moving = [milestone for step in steps for milestone in step]
    if len(moving) != len(set(moving)):
        progress.wrong("steps", phrase("has a milestone twice"), phrase("each milestone in one step"))
    return steps


def check_work_columns(table: FormTable, progress: FormTable, columns: Sequence[Column], work: WorkMilestones) -> None:
    """Note where *columns* need milestones of work, or of waits, that the form does not name."""
    begins, ends, waits, resumes = work.begins, work.ends, work.waits, work.resumes
    if any(column.kind is ColumnKind.END for column in columns) and not (begins and ends):
        progress.wrong(
            "",
            phrase("lacks begins or ends"),
            phrase("the milestones with which work begins and ends, for the columns of the kind end"),
        )
    for column, entry in zip(columns, table.tables("column"), strict=False):
        for rule in column.rules:
            if column.kind is ColumnKind.END and ends and not rule.milestones <= ends:
                entry.wrong(
                    "milestones",
                    phrase("has a milestone that is not in ends"),
                    phrase("some of: {ends}", ends=" ".join(sorted(ends))),
                )
            if rule.first_of and not rule.milestones <= rule.first_of <= ends:
                entry.wrong(
                    "first_of",
                    phrase("is {named}", named=" ".join(sorted(rule.first_of))),
                    phrase("some of ends, and all milestones of the column: {ends}", ends=" ".join(sorted(ends))),
                )
            if rule.waiting is not None and not (waits and resumes):
                entry.wrong(
                    "waiting",
                    phrase("is given, but [progress] lacks waits or resumes"),
                    phrase("the milestones with which a wait begins and ends"),
                )
            if rule.clock and not ("clock" in table and waits and resumes):
                entry.wrong(
                    "clock",
                    phrase("is given, but the form lacks [clock], or [progress] waits or resumes"),
                    phrase("all three"),
                )
