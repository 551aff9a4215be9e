"""`lienthong report template`, `declare` and `reconcile`: records declared figures, and compares them with the count.

Contains the dialogue and the display of cells, but no rules of declarations or counts.
"""

import getpass
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click
import sqlalchemy as sa

from hub.cli.journal import open_journal, read_journal_config, read_view_config
from hub.cli.screen import (
    NOT_FOUND,
    UNAVAILABLE,
    CommandStop,
    Screen,
    exit_command,
    make_file_stop,
    progress_bar,
    read_language,
    say,
    say_count,
    t,
)
from hub.cli.words import say_figure, say_word
from hub.config import Config, read_config
from hub.domain import local_time
from hub.domain.errors import Unready, describe_problem
from hub.journal import unit_registry
from hub.language.catalogues import say_both
from hub.report.counting.declaring import Declaration, Figure, split_declaration
from hub.report.counting.reconciling import ReconciledCell, Reconciliation
from hub.report.form import book
from hub.report.form.book import Book
from hub.report.form.form import FormMissing
from hub.report.form.period import PeriodUnreadable
from hub.report.words import make_json_number
from hub.report.workbooks import sheets
from hub.report.workbooks.declared_workbook import DeclaredReport, read_declared_workbook
from hub.report.workbooks.mistakes import Misfilled
from hub.report.workbooks.template_workbook import write_template_workbook
from hub.store import transactions
from hub.store.transactions import Transaction
from hub.units.province import Province
from hub.workload import declarations, unit_report
from hub.workload.declarations import KeptDeclaration
from hub.workload.report_sources import ReportSources

#: The endings of workbooks in a folder, and the maximum number of them.
_ENDINGS, _MOST_FILES = (".xlsx", ".xls"), 2000


def write_template(screen: Screen, unit: str, period: str, form: str, output: Path) -> None:
    config = read_journal_config(screen)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        asked = read_report_sources(tx, unit, period, form, book.read_book(config.reports))
    output.write_bytes(write_template_workbook(asked.form, asked.period, asked.members, asked.names, read_language()))
    screen.note(t("Wrote {output}.", output=output))


def declare_figures(screen: Screen, unit: str, period: str, form: str, apart: bool, file: Path) -> None:
    config, by = read_config(screen.config), getpass.getuser()
    known = book.read_book(config.reports)
    failed = 0
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            asked, province = read_report_sources(tx, unit, period, form, known), _read_province(tx, config)
            files = _list_files(screen, tx, asked, file) if file.is_dir() else {asked.members[0]: file}
        for code, path in files.items():
            try:
                with transactions.read_transaction(engine) as tx:
                    said = _read_declared(tx, read_report_sources(tx, code, period, form, known), known, path)
                named = attrs.evolve(said, by=said.by or by)
                parts = split_declaration(named, asked.form) if apart else (named,)
                _record_declared(screen, engine, province, parts, by, many=apart or file.is_dir())
            except Misfilled as misfilled:
                _print_mistakes(screen, path, misfilled, many=file.is_dir())
                failed += 1
            except Unready as unready:
                why = unready.problem.detail
                raise CommandStop(t("cannot be sealed now: {why}", why=why), UNAVAILABLE) from None
    if failed:
        exit_command(1)
    screen.note(
        t("Compare: lienthong report reconcile {unit} {period} --form {form}", unit=unit, period=period, form=form),
    )


def _list_files(screen: Screen, tx: Transaction, asked: ReportSources, folder: Path) -> dict[str, Path]:
    """Return the workbooks of *folder* by the units that they are called after. Raises `CommandStop` if there is none, or if
    a name means no unit or one that has another file too; then every such file is named.
    """
    names, found, wrong = declarations.read_unit_names(tx, asked), dict[str, Path](), list[str]()
    paths = [
        path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS and not path.name.startswith((".", "~"))
    ]
    for path in sorted(paths)[:_MOST_FILES]:
        first, _, rest = path.stem.partition("_")
        parts = (path.stem, rest, path.stem.rpartition("_")[2], first)
        matches = [names.find_named_unit(part) for part in parts if part]
        code = next((match.unit for match in matches if match.unit), "")
        if not code:
            wrong.append(f"{path.name}: {say(matches[0].wrong or '')}")
        elif code in found:
            wrong.append(
                t("{file}: the unit {unit} has {other} too", file=path.name, unit=code, other=found[code].name)
            )
        else:
            found[code] = path
    for each in wrong:
        click.echo(each, err=True)
    if wrong:
        raise CommandStop(t("nothing was recorded; call each file by the code or the name of its unit"))
    if not found or len(paths) > _MOST_FILES:
        raise CommandStop(t("{folder} has no .xlsx or .xls file, or more than {most}", folder=folder, most=_MOST_FILES))
    return found


def _print_mistakes(screen: Screen, file: Path, misfilled: Misfilled, *, many: bool) -> None:
    for wrong in misfilled.wrong:
        if screen.json:
            vi, en = say_both(wrong.wrong)
            of = {"file": file.name} if many else {}
            screen.row({"kind": "mistake", **of, "cell": wrong.cell, "vi": vi, "en": en}, "")
        places = (file.name if many else "", wrong.cell or ("" if many else str(file)))
        click.echo(": ".join((*filter(None, places), say(wrong.wrong))), err=True)


def _record_declared(
    screen: Screen, engine: sa.Engine, province: Province, parts: Sequence[Declaration], by: str, *, many: bool
) -> None:
    """Record *parts*, a few in each transaction, so that a running hub waits for none of them. Raises `CommandStop` for the
    first that is refused.
    """
    with progress_bar(t("Recording")) as show:
        for start in range(0, len(parts), declarations.TOGETHER):
            some = parts[start : start + declarations.TOGETHER]
            with transactions.write_transaction(engine) as tx:
                taken = declarations.record_declarations(tx, province, some, by=by, now=datetime.now(UTC))
            for each, recorded in zip(some, taken, strict=True):
                if recorded.problems:
                    why = "; ".join(describe_problem(problem, read_language()) for problem in recorded.problems)
                    raise CommandStop(f"{each.unit}: {why}" if many else why)
                shown = f"{recorded.id}: {t('recorded by')} {by}"
                row = {"message": recorded.id, "by": by}
                if many:
                    row, shown = {"unit": each.unit, **row}, f"{each.unit}: {shown}"
                screen.row(row, shown)
            show(start + len(some), len(parts))


def show_reconciliation(screen: Screen, unit: str, period: str, form: str) -> None:
    now = datetime.now(UTC)
    config = read_view_config(screen, "reports", "services")
    known = book.read_book(config.reports)
    with open_journal(config, counts=known.services(form)) as engine, transactions.read_transaction(engine) as tx:
        asked = read_report_sources(tx, unit, period, form, known)
        try:
            compared = declarations.compare_declaration(tx, asked, now)
        except declarations.Undeclared:
            raise CommandStop(
                t("{unit} has declared nothing for {form} {period}", unit=unit, form=form, period=period),
                NOT_FOUND,
            ) from None
        parents = {unit.parent for unit in unit_registry.list_registry_units(tx, asked.period.last)}
    found = compared.found
    if screen.json:
        for fields in _list_declared_objects(found):
            screen.row(fields, "")
        return
    _print_declared(screen, asked, compared.kept, found, parents)


def _read_province(tx: Transaction, config: Config) -> Province:
    return Province.of(config, unit_registry.read_unit_index(tx, local_time.find_local_day(datetime.now(UTC))))


def _read_declared(tx: Transaction, asked: ReportSources, known: Book, file: Path) -> Declaration:
    """Return what *file* declares. Raises `Misfilled`; `CommandStop` for a file that cannot be read."""
    report = DeclaredReport(asked.form, asked.period, asked.members, known.layouts, asked.is_divided)
    try:
        with file.open("rb") as opened:
            content = opened.read(sheets.LARGEST + 1)
    except OSError as error:
        raise make_file_stop(file, error) from None
    return read_declared_workbook(content, report, declarations.read_unit_names(tx, asked))


def read_report_sources(
    tx: Transaction, unit: str, period: str, form: str, forms: Book, revision: int | None = None
) -> ReportSources:
    """Return the sources of a report, in *revision* (None: the newest).

    Raises `UsageError` for an unknown period or form, `CommandStop` 4 for an unknown unit.
    """
    try:
        asked = unit_report.resolve_report_sources(
            tx, unit, period, form, forms, now=datetime.now(UTC), revision=revision
        )
    except (PeriodUnreadable, FormMissing) as error:
        raise click.UsageError(say(error.said)) from None
    except unit_report.RevisionMissing as missing:
        newest = missing.args[0]
        raise CommandStop(
            t("there is no such revision; the newest is {revision}", revision=newest), NOT_FOUND
        ) from None
    if not asked.unit_is_known:
        raise CommandStop(t("there is no unit {unit}", unit=unit), NOT_FOUND)
    return asked


def _list_declared_objects(found: Reconciliation) -> Iterator[Mapping[str, object]]:
    """Yield the cells as JSON objects, then the manual lines."""
    for cell in found.cells:
        behind = cell.behind
        yield {
            "unit": cell.unit,
            "column": cell.column,
            "declared": make_json_number(cell.declared),
            "counted": make_json_number(cell.counted),
            "difference": make_json_number(cell.difference),
            "verdict": cell.verdict.value,
            "note": cell.note,
            "facts": behind.facts,
            "messages": list(behind.first),
            "complete": len(behind.first) == behind.messages,
        }
    for line in found.manual:
        yield {
            "unit": line.unit,
            "line": line.column,
            "declared": make_json_number(line.figure),
            "verdict": None,
            "note": line.note,
        }


def _print_declared(
    screen: Screen,
    asked: ReportSources,
    kept: KeptDeclaration,
    found: Reconciliation,
    parents: Collection[str | None],
) -> None:
    message, said = kept.message, kept.said
    by = said.by or message.partner
    screen.note(
        t(
            "Declared at {received_at} by {by}, message {id_} of {partner}; {earlier} earlier declarations.",
            received_at=f"{message.received_at:%Y-%m-%d %H:%M:%SZ}",
            by=by,
            id_=message.id,
            partner=message.partner,
            earlier=say_count(kept.earlier),
        ),
    )
    headings = {column.key: column.heading.say(read_language()) for column in asked.form.columns}
    headings |= {line.key: line.heading.say(read_language()) for line in asked.form.manual}
    titles = {
        "verdict": t("verdict"),
        "unit": t("unit"),
        "column": t("column"),
        "heading": t("heading"),
        "declared": t("declared"),
        "counted": t("counted"),
        "difference": t("difference"),
        "open": t("open the messages"),
        "note": t("note"),
    }
    total = t("total")
    rows = [
        {
            "verdict": say_word("verdict", cell.verdict),
            "unit": cell.unit or total,
            "column": cell.column,
            "heading": headings[cell.column],
            "declared": _say_declared_figure(cell.declared),
            "counted": _say_declared_figure(cell.counted),
            "difference": _say_difference(cell.difference),
            "open": _write_opening_command(cell, asked, alone=not cell.unit or cell.unit not in parents),
            "note": cell.note,
        }
        for cell in found.cells
    ]
    rows += [
        {
            "verdict": t("manual"),
            "unit": line.unit or total,
            "column": line.column,
            "heading": headings.get(line.column, ""),
            "declared": _say_declared_figure(line.figure),
            "note": line.note,
        }
        for line in found.manual
    ]
    screen.table(titles, rows)
    if said.note:
        screen.note(t("Note of {by}: {note}", by=by, note=said.note))
    differing, undeclared = len(found.differing), found.undeclared
    screen.note(
        t(
            "{count} cells declared, {differing} differ; {undeclared} cells are counted by the hub but not declared.",
            count=say_count(len(found.cells)),
            differing=say_count(differing),
            undeclared=say_count(undeclared),
        ),
    )


def _say_declared_figure(figure: Figure) -> str:
    return t("none") if figure is None else say_figure(figure)


def _say_difference(difference: Figure) -> str:
    if difference is None:
        return ""
    return f"+{say_figure(difference)}" if difference > 0 else say_figure(difference)


def _write_opening_command(cell: ReconciledCell, asked: ReportSources, *, alone: bool) -> str:
    """Return the command that shows the messages behind a cell: `trace` for one message, a list for several.

    *alone* says that `--explain` lists this cell only, without the cells of units below.
    """
    behind = cell.behind
    if not behind.messages:
        return ""
    if behind.messages == 1:
        return f"lienthong trace {behind.first[0]}"
    said = f"lienthong report {cell.unit or asked.members[0]} {asked.period.text} --form {asked.form.id}"
    return f"{said} --explain {cell.column}" if alone else t("their ids: add --json")
