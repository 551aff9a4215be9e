"""`lienthong report template`, `declare` and `reconcile`: records declared figures, and compares them with the count.

Contains the dialogue and the display of cells, but no rules of declarations or counts.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.report.arguments import PERIODS, add_report_arguments
from hub.cli.screen import (
    NOT_FOUND,
    UNAVAILABLE,
    CommandStop,
    Screen,
    command,
    exit_command,
    pass_screen,
    t,
    wants_english,
)
from hub.domain.model import Language

if TYPE_CHECKING:
    from hub.config import Config
    from hub.journal.decisions import RecordedMessage
    from hub.report.counting.reconciling import ReconciledCell, Reconciliation
    from hub.report.form.book import Book
    from hub.report.signed.declaring import Figure
    from hub.store.transactions import Transaction
    from hub.workload.declarations import KeptDeclaration
    from hub.workload.unit_report import ReportSources


@command(
    "template",
    f"Ghi mẫu XLSX để đơn vị tự khai số liệu của mình.\n\n{PERIODS}",
    f"Write the XLSX template in which a unit declares its figures.\n\n{PERIODS}",
    "lienthong report template H55.13 2026-12 -o mau.xlsx",
    "lienthong report template H55.13 2026-12 --form dossiers -o mau.xlsx",
)
@add_report_arguments
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help=t("Ghi vào tệp này.", "The file to write."),
)
@pass_screen
def write_template(screen: Screen, unit: str, period: str, form: str, output: Path) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.report.form import book
    from hub.report.signed.declaration_workbook import write_declaration_workbook
    from hub.store import transactions

    config = read_journal_config(screen)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        asked = read_report_sources(tx, unit, period, form, book.read_book(config.reports))
    output.write_bytes(
        write_declaration_workbook(
            asked.form, asked.period, asked.members, asked.names, Language.EN if wants_english() else Language.VI
        )
    )
    screen.note(f"Đã ghi {output}.", f"Wrote {output}.")


@command(
    "declare",
    "Nhận mẫu XLSX mà đơn vị đã điền; ghi lại dưới tên người gõ lệnh.\n\n"
    f"{PERIODS} Mẫu lấy bằng `lienthong report template`.",
    "Record the XLSX template that a unit has filled in. The journal names the user who runs the command.\n\n"
    f"{PERIODS} `lienthong report template` writes the template.",
    "lienthong report declare H55.13 2026-12 mau.xlsx",
)
@add_report_arguments
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_screen
def declare_figures(screen: Screen, unit: str, period: str, form: str, file: Path) -> None:
    from hub.cli.journal import open_journal
    from hub.config import read_config
    from hub.domain.errors import Unready, describe_problem
    from hub.store import transactions

    config, now = read_config(screen.config), datetime.now(UTC)
    with open_journal(config) as engine:
        try:
            with transactions.write_transaction(engine) as tx:
                taken, by = _declared(screen, tx, config, unit, period, form, file, now)
        except Unready as unready:
            why = unready.problem.detail
            raise CommandStop(f"chưa niêm phong được: {why}", f"cannot be sealed now: {why}", UNAVAILABLE) from None
    if taken.problems:
        why = "; ".join(map(describe_problem, taken.problems))
        raise CommandStop(why, why)
    said = t("người ghi", "recorded by")
    screen.row({"message": taken.id, "by": by}, f"{taken.id}: {said} {by}")
    screen.note(
        f"Đối chiếu: lienthong report reconcile {unit} {period} --form {form}",
        f"Compare: lienthong report reconcile {unit} {period} --form {form}",
    )


@command(
    "reconcile",
    "Đối chiếu số đơn vị khai sau cùng với số trục đếm, từng ô; ô không khớp đứng trước, kèm lệnh mở thông điệp.\n\n"
    f"{PERIODS}",
    "Compare a unit's newest declaration with the hub's count, cell by cell. Cells that differ come first, "
    f"each with the command that shows its messages.\n\n{PERIODS}",
    "lienthong report reconcile H55.13 2026-12",
    "lienthong report reconcile H55.13 2026-12 --json | jq 'select(.verdict == \"differs\")'",
)
@add_report_arguments
@pass_screen
def show_reconciliation(screen: Screen, unit: str, period: str, form: str) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.journal import unit_registry
    from hub.report.form import book
    from hub.store import transactions
    from hub.workload import declarations

    now = datetime.now(UTC)
    config = read_journal_config(screen)
    known = book.read_book(config.reports)
    with open_journal(config, counts=known.services(form)) as engine, transactions.read_transaction(engine) as tx:
        asked = read_report_sources(tx, unit, period, form, known)
        try:
            compared = declarations.compare_declaration(tx, asked, now)
        except declarations.Undeclared:
            raise CommandStop(
                f"{unit} chưa khai số liệu {form} kỳ {period}",
                f"{unit} has declared nothing for {form} {period}",
                NOT_FOUND,
            ) from None
        parents = {unit.parent for unit in unit_registry.list_registry_units(tx)}
    found = compared.found
    if screen.json:
        for fields in _objects(found):
            screen.row(fields, "")
        return
    _print(screen, asked, compared.kept, found, parents)


def _declared(
    screen: Screen, tx: "Transaction", config: "Config", unit: str, period: str, form: str, file: Path, now: datetime
) -> "tuple[RecordedMessage, str]":
    import getpass

    import attrs

    from hub.domain import local_time
    from hub.journal import unit_registry
    from hub.report.form import book
    from hub.report.signed import declaration_workbook, xlsx_reader
    from hub.units.province import Province
    from hub.workload import declarations

    asked, by = read_report_sources(tx, unit, period, form, book.read_book(config.reports)), getpass.getuser()
    try:
        with file.open("rb") as opened:
            content = opened.read(xlsx_reader.LARGEST + 1)
        said = declaration_workbook.read_declaration_workbook(content, asked.form, asked.period, asked.members)
    except OSError as error:
        raise CommandStop(f"{file}: {error.strerror}", f"{file}: {error.strerror}") from None
    except declaration_workbook.Misfilled as misfilled:
        for wrong in misfilled.wrong:
            if screen.json:
                screen.row({"kind": "mistake", **attrs.asdict(wrong)}, "")
            place = f"{wrong.cell}: " if wrong.cell else f"{file}: "
            click.echo(place + t(wrong.vi, wrong.en), err=True)
        exit_command(1)
    province = Province.of(config, unit_registry.read_unit_index(tx, local_time.find_local_day(now)))
    signed = attrs.evolve(said, by=said.by or by)
    return declarations.record_declaration(tx, province, signed, by=by, now=now), by


def read_report_sources(tx: "Transaction", unit: str, period: str, form: str, forms: "Book") -> "ReportSources":
    """Return the sources of a report.

    Raises `UsageError` for an unknown period or form, `CommandStop` 4 for an unknown unit.
    """
    from hub.report.form.period import PeriodUnreadable
    from hub.workload import unit_report

    try:
        asked = unit_report.resolve_report_sources(tx, unit, period, form, forms)
    except (PeriodUnreadable, LookupError) as error:
        raise click.UsageError(str(error)) from None
    if not asked.unit_is_known:
        raise CommandStop(f"không có đơn vị {unit}", f"there is no unit {unit}", NOT_FOUND)
    return asked


def _objects(found: "Reconciliation") -> Iterator[Mapping[str, object]]:
    """Yield the cells as JSON objects, then the manual lines."""
    for cell in found.cells:
        behind = cell.behind
        yield {
            "unit": cell.unit,
            "column": cell.column,
            "declared": _bare(cell.declared),
            "counted": _bare(cell.counted),
            "difference": _bare(cell.difference),
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
            "declared": _bare(line.figure),
            "verdict": None,
            "note": line.note,
        }


def _bare(figure: "Figure") -> int | float | None:
    """Return a number as JSON writes it, like `lienthong report --format json`."""
    return figure if figure is None or isinstance(figure, int) else float(figure)


def _print(
    screen: Screen,
    asked: "ReportSources",
    kept: "KeptDeclaration",
    found: "Reconciliation",
    parents: Collection[str | None],
) -> None:
    message, said = kept.message, kept.said
    by = said.by or message.partner
    screen.note(
        f"Khai lúc {message.received_at:%Y-%m-%d %H:%M:%SZ}, người khai {by}, thông điệp {message.id} của {message.partner}; "
        f"trước đó đã khai {kept.earlier} lần.",
        f"Declared at {message.received_at:%Y-%m-%d %H:%M:%SZ} by {by}, message {message.id} of {message.partner}; "
        f"{kept.earlier} earlier declarations.",
    )
    verdicts = {
        "equal": t("bằng nhau", "equal"),
        "differs": t("chênh lệch", "differs"),
        "no-evidence": t("không có căn cứ", "no evidence"),
    }
    headings = {
        column.key: column.heading.say(Language.EN if wants_english() else Language.VI) for column in asked.form.columns
    }
    headings |= {
        line.key: line.heading.say(Language.EN if wants_english() else Language.VI) for line in asked.form.manual
    }
    titles = {
        "verdict": t("kết quả", "verdict"),
        "unit": t("đơn vị", "unit"),
        "column": t("cột", "column"),
        "heading": t("tên cột", "heading"),
        "declared": t("đơn vị khai", "declared"),
        "counted": t("trục đếm", "counted"),
        "difference": t("chênh lệch", "difference"),
        "open": t("mở thông điệp", "open the messages"),
        "note": t("ghi chú", "note"),
    }
    total = t("tổng cộng", "total")
    rows = [
        {
            "verdict": verdicts[cell.verdict.value],
            "unit": cell.unit or total,
            "column": cell.column,
            "heading": headings[cell.column],
            "declared": _figure(cell.declared),
            "counted": _figure(cell.counted),
            "difference": "" if cell.difference is None else f"{cell.difference:+}" if cell.difference else "0",
            "open": _opens(cell, asked, alone=not cell.unit or cell.unit not in parents),
            "note": cell.note,
        }
        for cell in found.cells
    ]
    rows += [
        {
            "verdict": t("tự khai", "manual"),
            "unit": line.unit or total,
            "column": line.column,
            "heading": headings.get(line.column, ""),
            "declared": _figure(line.figure),
            "note": line.note,
        }
        for line in found.manual
    ]
    screen.table(titles, rows)
    if said.note:
        screen.note(f"Ghi chú của {by}: {said.note}", f"Note of {by}: {said.note}")
    differing, undeclared = len(found.differing), found.undeclared
    screen.note(
        f"{len(found.cells)} ô đã khai, {differing} ô không khớp; {undeclared} ô trục có số mà đơn vị không khai.",
        f"{len(found.cells)} cells declared, {differing} differ; {undeclared} cells are counted by the hub but not "
        "declared.",
    )


def _figure(figure: object) -> str:
    return t("không có", "none") if figure is None else str(figure)


def _opens(cell: "ReconciledCell", asked: "ReportSources", *, alone: bool) -> str:
    """Return the command that shows the messages behind a cell: `trace` for one message, a list for several.

    *alone* says that `--explain` lists this cell only, without the cells of units below.
    """
    behind = cell.behind
    if not behind.messages:
        return ""
    if behind.messages == 1:
        return f"lienthong trace {behind.first[0]}"
    said = f"lienthong report {cell.unit or asked.members[0]} {asked.period.text} --form {asked.form.id}"
    return f"{said} --explain {cell.column}" if alone else t("các mã: thêm --json", "their ids: add --json")
