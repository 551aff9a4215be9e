"""`lienthong report rules` and `validate`: the rules that a form publishes, and a report of anyone tested by them.

Contains the dialogue only. Reads no database.
"""

from pathlib import Path

import click

from hub.cli.screen import FAILED, NOT_FOUND, CommandStop, Screen, exit_command, read_language, say, t
from hub.config import read_config
from hub.domain.errors import Rejected
from hub.report.form import book
from hub.report.form.form import Form, FormMissing, choose_form
from hub.report.form.period import PeriodUnreadable, parse_period
from hub.report.output import schematron, validating


def write_rules(screen: Screen, form: str, kind: str, period: str | None) -> None:
    forms = _read_forms(screen)
    versions = sorted((each for each in forms if each.id == form), key=lambda each: str(each.since or ""))
    try:
        if period is not None or not versions:
            versions = [choose_form(forms, form, parse_period(period or "2026"))]
    except PeriodUnreadable as error:
        raise click.UsageError(say(error.said)) from None
    except FormMissing as error:
        raise CommandStop(say(error.said), NOT_FOUND) from None
    write = schematron.write_schematron if kind == "schematron" else schematron.write_json_schema
    click.echo(write(versions[-1]), nl=False)


def validate_file(screen: Screen, file: Path) -> None:
    if file.stat().st_size > validating.LARGEST:
        raise click.UsageError(t("{file} is too large", file=file))
    try:
        verdict = validating.validate_report(file.read_bytes(), _read_forms(screen))
    except FormMissing as error:
        raise CommandStop(say(error.said), NOT_FOUND) from None
    except Rejected as rejected:
        for problem in rejected.problems:
            why = say(problem.detail)
            screen.row({"code": problem.code, "detail": str(problem.detail)}, f"{problem.code}: {why}")
        raise CommandStop(t("{file} is not a report that can be tested", file=file)) from None
    for each in verdict.broken:
        fields = {"rule": each.rule, "row": each.row, "column": each.column, "vi": each.says.vi, "en": each.says.en}
        screen.row(fields, each.says.say(read_language()))
    asked = {"form": verdict.form.id, "unit": verdict.unit, "period": verdict.period}
    name = f"{verdict.form.id} {verdict.unit} {verdict.period}"
    if verdict.broken:
        screen.note(t("{report}: {count} rules do not hold", report=name, count=len(verdict.broken)))
        exit_command(FAILED)
    screen.row(
        {**asked, "rules": verdict.rules}, t("{report}: all {count} rules hold", report=name, count=verdict.rules)
    )


def _read_forms(screen: Screen) -> tuple[Form, ...]:
    """Return the forms of the configuration, or the shipped ones where there is no configuration file."""
    if not screen.config.exists():
        return book.read_shipped_book().forms

    return book.read_book(read_config(screen.config).reports).forms
