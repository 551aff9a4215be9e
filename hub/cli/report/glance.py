"""`lienthong report glance`: the units of a class beside one another.

Contains the dialogue only. `hub.workload.glance.glance_view` reads what is kept, `hub.workload.glance.glance_counting` counts the rest.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click
import sqlalchemy as sa

from hub.cli.journal import open_journal, read_view_config
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, read_language, say, t
from hub.report.form import book
from hub.report.form.book import Book
from hub.report.form.form import FormMissing
from hub.report.form.period import PeriodUnreadable
from hub.report.glance import files, settings
from hub.report.glance.files import describe_glance
from hub.report.glance.glance_notes import write_notices
from hub.report.glance.settings import Glance
from hub.report.glance.view import GlanceView
from hub.report.words import write_moment
from hub.store import transactions
from hub.workload.glance import glance_counting
from hub.workload.glance.glance_view import GlanceAsked, GlanceUnknown, SheetMissing, read_glance_view


def show_glance(
    screen: Screen,
    form: str,
    period: str,
    indicator: str,
    of_class: str,
    under: str,
    kind: str | None,
    output: Path | None,
) -> None:
    asked = GlanceAsked(form=form, period=period, indicator=indicator, of_class=of_class, under=under)
    config = read_view_config(screen, "reports", "services")
    known = book.read_book(config.reports)
    glance = settings.read_glance(config.reports.glance, known.forms)
    try:
        with open_journal(config, counts=known.services(form)) as engine:
            view = _read_glance(engine, known, glance, asked)
    except PeriodUnreadable as error:
        raise click.UsageError(say(error.said)) from None
    except FormMissing as error:
        raise CommandStop(say(error.said), NOT_FOUND) from None
    except GlanceUnknown as error:
        raise CommandStop(t("there is no {name} to compare by", name=error.args[0]), NOT_FOUND) from None
    if kind is None and output is None:
        _print_glance(screen, view)
        return
    if kind in ("pdf", "xlsx") and output is None and sys.stdout.isatty():
        raise click.UsageError(t("{kind} is not for a terminal: -o FILE", kind=kind))
    written = files.write_glance(view, kind or "csv", read_language())
    if output is not None:
        output.write_bytes(written)
    else:
        sys.stdout.buffer.write(written)


def _read_glance(engine: sa.Engine, known: Book, glance: Glance, asked: GlanceAsked) -> GlanceView:
    """Return the view; if the numbers of its period are not kept yet, they are counted."""
    now = datetime.now(UTC)
    with transactions.read_transaction(engine) as tx:
        try:
            return read_glance_view(tx, known, glance, asked, now)
        except SheetMissing as missing:
            sheet = glance_counting.count_sheet(tx, known, missing.form, missing.period, now)
        return read_glance_view(tx, known, glance, attrs.evolve(asked, counted=sheet), now)


def _print_glance(screen: Screen, view: GlanceView) -> None:
    language, ranking = read_language(), view.ranking
    said = describe_glance(view)
    columns = {
        "place": t("place"),
        "unit": t("unit"),
        "name": t("name"),
        "value": t("figure"),
        "change": t("change"),
        "place_before": t("place before"),
        "remark": t("remark"),
    }
    if screen.json:
        head = {name: value for name, value in said.items() if name != "rows"}
        for row in said["rows"]:
            screen.row({**row, "form": head["form"], "period": view.period.text, "made_at": said["made_at"]}, "")
        return
    rows = [
        {
            "place": row.place,
            "unit": row.unit.code,
            "name": row.unit.name,
            "value": view.write_value(row.value, language),
            "change": view.write_change(row.change, language),
            "place_before": row.place_before,
            "remark": write_notices(view, row, language),
        }
        for row in ranking.rows
    ]
    screen.note(
        t(
            "{title}, {period}: {indicator}",
            title=view.form.title.say(language),
            period=view.period.name(language),
            indicator=view.name_indicator(view.indicator, language),
        )
    )
    if not screen.table(columns, rows):
        screen.note(t("There are no units to compare."))
    if view.complete:
        screen.note(t("Closed, revision {revision}.", revision=view.revision))
    else:
        screen.note(t("The period is not closed: numbers as counted at {at}.", at=write_moment(view.made_at)))
