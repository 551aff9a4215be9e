"""`lienthong report`: a unit's workload report, the messages behind a number, the facts behind all of it."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from hub.cli.screen import NOT_FOUND, UNAVAILABLE, Screen, Stop, command, english, pass_screen, t

if TYPE_CHECKING:
    from hub.domain.model import Fact
    from hub.report.counting.counting import Report
    from hub.report.counting.evidence import Line, Listed
    from hub.security.certificates import Signer
    from hub.store.transactions import Transaction
    from hub.workload.unit_report import Asked, Difference

_FILES = ("pdf", "xlsx", "xml")  #: what a terminal is not shown, and what names its evidence
_TOGETHER = 500  #: facts whose messages are looked up at a time
_CHARTED = ("html", "pdf", "xlsx")  #: what has room for charts


@command(
    "report",
    "Báo cáo khối lượng công việc của một đơn vị (và các đơn vị trực thuộc) trong một kỳ.\n\n"
    "PERIOD: 2026-11, 2026-Q4, 2026-H1, 2026-9M, 2026. --explain COLUMN liệt kê đúng các thông điệp đứng sau một con số. "
    "--facts in các kết quả ghi nhận; không cần UNIT và PERIOD. --close đóng các tháng của một kỳ; đã đóng thì đếm lại.",
    "The workload report of a unit (and those below it) for a period.\n\n"
    "PERIOD: 2026-11, 2026-Q4, 2026-H1, 2026-9M, 2026. --explain COLUMN lists exactly the messages behind a number. "
    "--facts prints the facts; it needs no UNIT and PERIOD. --close closes the months of a period; a closed one is counted again.",
    "lienthong report H55.01 2026-12 --format html -o baocao.html",
    "lienthong report H55.01 2026-12 --format xlsx -o baocao.xlsx",
    "lienthong report H55.01 2026-12 --format pdf --charts -o baocao.pdf",
    "lienthong report H55 2026-Q4 --explain received",
    "lienthong report H55 2026-Q4 --explain received --unit H55.13",
    "lienthong report H55 2026-12 --format xml -o bao-cao.xml",
    "lienthong report H55 2026-12 --signed bao-cao.signed.xml",
    "lienthong report H55 2026-12 --submit baocao",
    "lienthong report H55 2026-12 --state",
    'lienthong report H55 2026-12 --publish --reason "CV 123/UBND"',
    "lienthong report H55.13 2026-12 --template -o mau.xlsx",
    "lienthong report H55.13 2026-12 --declare mau.xlsx",
    "lienthong report H55.13 2026-12 --reconcile",
    "lienthong report --close 2026-12",
    "lienthong report --periods --form dossiers",
    "lienthong report --facts --json",
)
@click.argument("unit", required=False)
@click.argument("period", required=False)
@click.option("--form", help=t("Biểu mẫu; mặc định edoc.", "The form; default edoc."))
@click.option(
    "--format", "kind", type=click.Choice(["csv", "html", "json", "pdf", "xlsx", "xml"]), help=t("Dạng.", "The format.")
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help=t("Ghi vào tệp.", "Write to a file.")
)
@click.option(
    "--charts",
    "charted",
    is_flag=True,
    help=t(
        "Kèm biểu đồ (html, pdf, xlsx); đếm thêm các kỳ trước.",
        "With charts (html, pdf, xlsx); counts earlier periods too.",
    ),
)
@click.option("--explain", metavar="COLUMN", help=t("Thông điệp đứng sau một cột.", "The messages behind a column."))
@click.option(
    "--unit",
    "row",
    metavar="CODE",
    help=t("Với --explain: chỉ dòng của đơn vị này.", "With --explain: the row of this unit alone."),
)
@click.option(
    "--submit",
    metavar="PARTNER",
    help=t("Nộp báo cáo của kỳ đã kết thúc cho đối tác này.", "Hand the report of an ended period in to this partner."),
)
@click.option(
    "--publish", is_flag=True, help=t("Công bố báo cáo của kỳ đã kết thúc.", "Publish the report of an ended period.")
)
@click.option(
    "--signed",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=t(
        "Nhận lại báo cáo XML đã được người có thẩm quyền ký.", "Take the XML report back that an official has signed."
    ),
)
@click.option(
    "--state", is_flag=True, help=t("Báo cáo đang ở bước nào, từng bản.", "Where the report stands, each revision.")
)
@click.option("--reason", default="", help=t("Lý do; được ghi lại.", "Why; recorded."))
@click.option("--template", is_flag=True, help=t("Mẫu XLSX để đơn vị tự khai.", "The XLSX in which a unit declares."))
@click.option(
    "--declare",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=t("Nhận mẫu XLSX đã điền.", "Take in an XLSX that was filled in."),
)
@click.option(
    "--reconcile",
    is_flag=True,
    help=t("Đối chiếu số đơn vị khai với số trục đếm.", "What the unit declared beside what the hub counted."),
)
@click.option(
    "--close",
    "closes",
    metavar="PERIOD",
    help=t("Đóng kỳ đã kết thúc; không có --form: mọi biểu.", "Close an ended period; without --form: of every form."),
)
@click.option(
    "--periods",
    "which",
    is_flag=True,
    help=t("Kỳ nào đã đóng, từ khi nào.", "Which periods are closed, and since when."),
)
@click.option("--facts", "only_facts", is_flag=True, help=t("Các kết quả ghi nhận.", "The facts."))
@pass_screen
def report(
    screen: Screen,
    unit: str | None,
    period: str | None,
    form: str | None,
    kind: str | None,
    output: Path | None,
    charted: bool,
    explain: str | None,
    row: str | None,
    closes: str | None,
    which: bool,
    only_facts: bool,
    submit: str | None,
    publish: bool,
    signed: Path | None,
    state: bool,
    reason: str,
    template: bool,
    declare: Path | None,
    reconcile: bool,
) -> None:
    from hub.cli.journal import configured, opened
    from hub.cli.report.declared import ask
    from hub.domain.errors import Unready
    from hub.journal import facts as journal_facts
    from hub.journal import search, unit_registry
    from hub.report.form import book
    from hub.store import transactions
    from hub.workload.unit_report import beside

    if closes is not None or which:
        _close_or_list(screen, unit, closes, form, reason.strip())
        return
    form = form or "edoc"
    _demand(unit, period, alone=only_facts)
    _demand_column(explain, row)
    named = (unit or "", period or "", form)
    if _moved_on(screen, named, submit, reason.strip(), publish=publish, signed=signed, state=state):
        return
    if template or declare is not None or reconcile:
        _declared(screen, unit or "", period or "", form, output, declare, template=template, reconcile=reconcile)
        return
    on_screen = output is None and not only_facts and explain is None and _shows()
    kind = _kind(kind or ("json" if screen.json else "csv"), charted=charted, on_screen=on_screen)
    if kind == "xml" and not only_facts and explain is None and _gave_out(screen, named, reason.strip(), output):
        return
    now = datetime.now(UTC)
    config = configured(screen)
    forms = book.read(config.reports)
    counts = forms.services(form) if unit is not None else None
    with opened(config, counts=counts) as engine, transactions.reading(engine) as tx:
        if unit is None or period is None:
            _print_facts(screen, tx, journal_facts.facts(tx))
            return
        asked = ask(tx, unit, period, form, forms)
        if explain is not None and not only_facts:
            row = None if row is None else unit_registry.canonical(tx, row, asked.period.last)
            _explain(screen, tx, asked, explain, row, now)
            return
        if not only_facts and kind not in _FILES:
            counted = asked.count(now)
            others = beside(tx, counted, now, forms) if charted else None
            _write(screen, _written(kind, counted, asked, (), config.identity, others), output)
            return
        with asked.gathered(now) as gathered:
            _warn(screen, gathered.differences)
            if only_facts:
                _print_facts(screen, tx, (line.fact for line in gathered.listing))
                return
            counted, lines = gathered.report, search.NamedLines(tx, gathered.listing)
            others = beside(tx, counted, now, forms) if charted else None
            try:
                content = _written(kind, counted, asked, lines, config.identity, others)
            except Unready as unready:
                why = unready.problem.detail
                raise Stop(f"chưa niêm phong được: {why}", f"cannot be sealed now: {why}", UNAVAILABLE) from None
            _write(screen, content, output)


def _write(screen: Screen, content: bytes, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(content)
        screen.note(f"Đã ghi {output}.", f"Wrote {output}.")
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _moved_on(
    screen: Screen,
    named: tuple[str, str, str],
    submit: str | None,
    reason: str,
    *,
    publish: bool,
    signed: Path | None,
    state: bool,
) -> bool:
    """Do what moves a report on in its life, or tell where it stands; return whether that was asked for."""
    from hub.cli.report.handing_in import let_out
    from hub.cli.report.signed import show_state, take_back

    leaves = submit is not None or publish
    if leaves + (signed is not None) + state > 1:
        raise click.UsageError(t("mỗi lần chỉ làm một việc", "one thing at a time"))
    if leaves:
        let_out(screen, *named, submit, reason, publish=publish)
    elif signed is not None:
        take_back(screen, *named, signed)
    elif state:
        show_state(screen, *named)
    else:
        return False
    return True


def _gave_out(screen: Screen, named: tuple[str, str, str], reason: str, output: Path | None) -> bool:
    """Write the sealed report of an ended period as it is kept; return whether the period has ended."""
    from hub.cli.report.handing_in import give_out

    given = give_out(screen, *named, reason)
    if given is None:
        return False
    _write(screen, given, output)
    return True


def _declared(
    screen: Screen,
    unit: str,
    period: str,
    form: str,
    output: Path | None,
    declare: Path | None,
    *,
    template: bool,
    reconcile: bool,
) -> None:
    """Do the one of the three that was asked for."""
    from hub.cli.report import declared

    if not unit or [template, declare is not None, reconcile].count(True) != 1:
        raise click.UsageError(t("cần UNIT, PERIOD và một trong ba", "UNIT, PERIOD and one of the three are needed"))
    if template:
        declared.write_template(screen, unit, period, form, output)
    elif declare is not None:
        declared.declare(screen, unit, period, form, declare)
    else:
        declared.show_reconciliation(screen, unit, period, form)


def _close_or_list(screen: Screen, unit: str | None, period: str | None, form: str | None, reason: str) -> None:
    from hub.cli.report import closing

    if unit is not None:
        raise click.UsageError(t("--close và --periods không cần UNIT", "--close and --periods take no UNIT"))
    if period is not None:
        closing.close(screen, period, form, reason)
    else:
        closing.periods(screen, form)


def _explain(screen: Screen, tx: "Transaction", asked: "Asked", column: str, row: str | None, now: datetime) -> None:
    """Print the facts behind the total of *column*, or behind the cell of the *row* of a unit."""
    if row is not None and row not in asked.members:
        raise Stop(f"báo cáo không có dòng {row}", f"the report has no row {row}", NOT_FOUND)
    try:
        opened = asked.behind(column, now, row)
    except KeyError:
        keys = ", ".join(each.key for each in asked.form.columns)
        raise click.UsageError(t(f"không có cột {column}: {keys}", f"no column {column}: {keys}")) from None
    with opened as behind:
        _warn(screen, behind.gathered.differences)
        _print_facts(screen, tx, behind.facts())


def _warn(screen: Screen, wrong: "Sequence[Difference]") -> None:
    """Tell of each unit whose facts in a closed month are not those of its closing."""
    for each in wrong:
        screen.note(
            f"CẢNH BÁO: căn cứ của {each.unit} kỳ {each.period} không còn như lúc đóng; "
            f"đếm lại bằng lienthong report --close {each.period}",
            f"WARNING: the evidence of {each.unit} in {each.period} is not what was closed; "
            f"count again with lienthong report --close {each.period}",
        )


def _demand(unit: str | None, period: str | None, *, alone: bool) -> None:
    """Ask for UNIT and PERIOD, which only the list of all facts does without."""
    if (unit is None) != (period is None) or (unit is None and not alone):
        raise click.UsageError(t("cần UNIT và PERIOD", "UNIT and PERIOD are needed"))


def _demand_column(explain: str | None, row: str | None) -> None:
    if row is not None and explain is None:
        raise click.UsageError(t("--unit đi cùng --explain", "--unit goes with --explain"))


def _kind(kind: str, *, charted: bool, on_screen: bool) -> str:
    """Return the format; refuse one that has no room for charts when they are asked for, and one that no screen shows."""
    if charted and kind not in _CHARTED:
        raise click.UsageError(t(f"{kind} không có biểu đồ", f"{kind} has no charts"))
    if on_screen and kind in _FILES:
        raise click.UsageError(t(f"{kind} cần -o TỆP", f"{kind} needs -o FILE"))
    return kind


def _shows() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def _written(
    kind: str,
    counted: "Report",
    asked: "Asked",
    lines: "Sequence[Line] | Listed",
    identity: "Signer",
    others: "Sequence[Report] | None",
) -> bytes:
    """Return the one report as *kind*; XML sealed with the hub's own key, which vouches for the numbers and for no person.

    *others*: the reports of other periods that its charts show; None: no charts.
    """
    from hub.report.output import formats
    from hub.report.output.charts import plots

    language, names = "en" if english() else "vi", asked.names
    charts = () if others is None else plots(counted, names, others, language)
    return formats.write(kind, counted, names, lines, language, identity, receiver=asked.receiver, charts=charts)


def _fact_rows(tx: "Transaction", facts: "Iterable[Fact]") -> "Iterator[dict[str, object]]":
    """Yield what is printed of each of *facts*, some hundred of which are held at a time."""
    from hub.journal import search

    rest = iter(facts)
    while some := list(islice(rest, _TOGETHER)):
        ids = search.message_ids(tx, (fact.message for fact in some))
        yield from ({"message_id": ids.get(fact.message), "id": fact.message, **attrs.asdict(fact)} for fact in some)


def _print_facts(screen: Screen, tx: "Transaction", facts: "Iterable[Fact]") -> None:
    columns = {
        "at": t("lúc", "at"),
        "unit": t("đơn vị", "unit"),
        "milestone": t("mốc", "milestone"),
        "counterpart": t("bên kia", "counterpart"),
        "open": t("mở tiếp", "opens by"),
    }
    rows = _fact_rows(tx, facts)
    opened = ({**row, "open": f"lienthong trace {row['id']}"} for row in rows)
    found = screen.table(columns, rows if screen.json else opened)
    if not found and not screen.json:
        screen.note("Không có kết quả nào.", "No facts.")
    elif not screen.json:
        screen.note(
            "Mở tiếp: lienthong trace ID (sự kiện), show ID (thông điệp), show ID --raw (từng byte), show ID --signature (chữ ký).",
            "Go on by: lienthong trace ID (events), show ID (message), show ID --raw (exact bytes), show ID --signature.",
        )
