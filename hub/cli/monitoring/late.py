"""`lienthong late`: who is late today, by unit or item by item. Contains the dialogue only."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.screen import (
    NOT_FOUND,
    CommandStop,
    Screen,
    WholeNumber,
    command,
    pass_screen,
    read_language,
    say,
    say_count,
    t,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

    from hub.monitoring.late_work import LateView, UnitLateness

LATE_STATES = ("late", "soon", "waiting")
#: Steps by which the command takes newest events into the list where no hub does; each has at most 4,000.
_STEPS = 25


@command(
    "late",
    t(
        "Who is late today: dossiers, documents with a due day and work items that are open and overdue, or due within "
        "some working days.\n\nWithout --unit and --items: how many each unit has, the one with the most first. With "
        "either: the things one by one, by due day. Who waits for somebody else, or is excused, is shown apart."
    ),
    "lienthong late",
    "lienthong late --unit H55.13 --state late",
    "lienthong late --items --service dossiers --days 5 --json",
    "lienthong late --unit H55.13 --format xlsx -o late.xlsx",
)
@click.option("--unit", metavar="CODE", help=t("This unit and those below it."))
@click.option("--items", is_flag=True, help=t("One line for each thing, of all units."))
@click.option("--service", metavar="NAME", help=t("Only this service: documents, dossiers, work."))
@click.option("--state", type=click.Choice(LATE_STATES), help=t("Only what is late, due soon, or waiting or excused."))
@click.option("--field", metavar="CODE", help=t("Only this field of procedures, or kind of work."))
@click.option("--officer", metavar="CODE", help=t("Only what this officer has."))
@click.option(
    "--days", type=WholeNumber(0, 60), default=3, help=t("Due within so many working days counts as soon; default 3.")
)
@click.option("-n", "--limit", type=WholeNumber(1, 20_000), default=1_000, help=t("Most lines; default 1,000."))
@click.option(
    "--format", "kind", type=click.Choice(("csv", "xlsx")), help=t("Write a file with one line for each thing.")
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help=t("The file to write."))
@pass_screen
def list_late(
    screen: Screen, /, unit: str | None, items: bool, limit: int, kind: str | None, output: Path | None, **said: object
) -> None:
    from hub.cli.journal import open_journal, read_view_config
    from hub.monitoring import late_work
    from hub.report.counting.open_work import WorkState
    from hub.report.form.workdays import load_workdays
    from hub.store import transactions

    if (kind is None) != (output is None):
        raise click.UsageError(t("--format and -o go together"))
    state = said.pop("state")
    asked = late_work.LateRequest(unit=unit, state=WorkState(state) if state else None, **said)  # type: ignore[arg-type]
    config = read_view_config(screen, "reports", "services")
    workdays = load_workdays(config.reports.workdays)
    one_by_one = items or unit is not None or kind is not None
    with open_journal(config) as engine:
        _catch_up(engine)
        with transactions.read_transaction(engine) as tx:
            try:
                view = late_work.read_late_view(
                    tx, asked, workdays, datetime.now(UTC), limit=limit if one_by_one else 0
                )
            except late_work.UnitUnknown:
                raise CommandStop(t("there is no unit {code}", code=unit), NOT_FOUND) from None
    if kind is not None and output is not None:
        _write_file(view, kind, output)
    elif one_by_one:
        _print_items(screen, view)
    else:
        _print_units(screen, view.units)
    if view.more:
        screen.note(t("There are more: narrow the search, or raise -n."))
    if view.unread:
        screen.note(t("Events not in the list yet: {count}.", count=say_count(view.unread)))


def _catch_up(engine: "sa.Engine") -> None:
    """Take what is new into the list, as a running hub does each two seconds."""
    from hub.journal.sequels.open_work import following
    from hub.store import transactions

    for _ in range(_STEPS):
        with transactions.read_transaction(engine) as tx:
            step = following.read_step(tx)
        if step is None:
            return
        with transactions.write_transaction(engine) as tx:
            following.write_step(tx, step)


def _write_file(view: "LateView", kind: str, output: Path) -> None:
    from hub.report.output import work_list

    write = work_list.write_work_xlsx if kind == "xlsx" else work_list.write_work_csv
    output.write_bytes(write(view.items, view.head, read_language()))


def _print_items(screen: Screen, view: "LateView") -> None:
    from hub.report.output import work_list

    shown = ("due", "days", "state", "unit", "service", "number", "field", "officer", "message")
    titles = {key: say(work_list.COLUMNS[key]) for key in shown}
    rows = (
        work_list.describe_work(each, view.head)
        if screen.json
        else work_list.make_row(each, view.head, read_language())
        for each in view.items
    )
    if not screen.table(titles, rows) and not screen.json:
        screen.note(t("Nothing is late or due soon."))


def _print_units(screen: Screen, units: "Sequence[UnitLateness]") -> None:
    titles = {
        "unit": t("unit"),
        "name": t("name of the unit"),
        "late": t("late"),
        "soon": t("due soon"),
        "waiting": t("waiting or excused"),
        "oldest": t("oldest due day"),
    }
    if not screen.table(titles, map(_list_fields, units)) and not screen.json:
        screen.note(t("Nothing is late or due soon."))


def _list_fields(each: "UnitLateness") -> dict[str, object]:
    return {
        "unit": each.unit,
        "name": each.name,
        "late": each.late,
        "soon": each.soon,
        "waiting": each.waiting,
        "oldest": each.oldest and each.oldest.isoformat(),
        "services": {one.service: {state: getattr(one, state) for state in LATE_STATES} for one in each.counts},
    }
