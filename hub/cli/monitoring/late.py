"""`lienthong late`: who is late today, by unit or item by item. Contains the dialogue only."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import sqlalchemy as sa

from hub.cli.journal import open_journal, read_view_config
from hub.cli.monitoring.commands import LATE_STATES
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, read_language, say, say_count, t
from hub.journal.sequels.open_work import following
from hub.monitoring import late_work
from hub.monitoring.late_work import LateView, UnitLateness
from hub.report.counting.open_work import WorkState
from hub.report.form.workdays import load_workdays
from hub.report.output import work_list
from hub.store import transactions

#: Steps by which the command takes newest events into the list where no hub does; each has at most 4,000.
_STEPS = 25


def list_late(
    screen: Screen, /, unit: str | None, items: bool, limit: int, kind: str | None, output: Path | None, **said: object
) -> None:
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


def _catch_up(engine: sa.Engine) -> None:
    """Take what is new into the list, as a running hub does each two seconds."""
    for _ in range(_STEPS):
        with transactions.read_transaction(engine) as tx:
            step = following.read_step(tx)
        if step is None:
            return
        with transactions.write_transaction(engine) as tx:
            following.write_step(tx, step)


def _write_file(view: LateView, kind: str, output: Path) -> None:
    write = work_list.write_work_xlsx if kind == "xlsx" else work_list.write_work_csv
    output.write_bytes(write(view.items, view.head, read_language()))


def _print_items(screen: Screen, view: LateView) -> None:
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


def _print_units(screen: Screen, units: Sequence[UnitLateness]) -> None:
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


def _list_fields(each: UnitLateness) -> dict[str, object]:
    return {
        "unit": each.unit,
        "name": each.name,
        "late": each.late,
        "soon": each.soon,
        "waiting": each.waiting,
        "oldest": each.oldest and each.oldest.isoformat(),
        "services": {one.service: {state: getattr(one, state) for state in LATE_STATES} for one in each.counts},
    }
