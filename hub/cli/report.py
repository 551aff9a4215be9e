"""`lienthong report`: a unit's workload report, the messages behind a number, the facts behind all of it."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from hub.cli.screen import NOT_FOUND, UNAVAILABLE, Screen, Stop, command, english, pass_screen, t

if TYPE_CHECKING:
    from hub.certificates import Signer
    from hub.model import Fact
    from hub.report.counting import Report
    from hub.report.evidence import Line
    from hub.store import Transaction

_FILES = ("xlsx", "xml")  #: what a terminal is not shown, and what names its evidence
_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'


@command(
    "report",
    "Báo cáo khối lượng công việc của một đơn vị (và các đơn vị trực thuộc) trong một kỳ.\n\n"
    "PERIOD: 2026-11, 2026-Q4, 2026-H1, 2026-9M, 2026. --explain COLUMN liệt kê đúng các thông điệp đứng sau một con số. "
    "--facts in các kết quả ghi nhận; không cần UNIT và PERIOD.",
    "The workload report of a unit (and those below it) for a period.\n\n"
    "PERIOD: 2026-11, 2026-Q4, 2026-H1, 2026-9M, 2026. --explain COLUMN lists exactly the messages behind a number. "
    "--facts prints the facts; it needs no UNIT and PERIOD.",
    "lienthong report H55.01 2026-12 --format html -o baocao.html",
    "lienthong report H55.01 2026-12 --format xlsx -o baocao.xlsx",
    "lienthong report H55 2026-Q4 --explain received",
    "lienthong report --facts --json",
)
@click.argument("unit", required=False)
@click.argument("period", required=False)
@click.option("--form", default="edoc", show_default=True, help=t("Biểu mẫu.", "The form."))
@click.option(
    "--format", "kind", type=click.Choice(["csv", "html", "json", "xlsx", "xml"]), help=t("Dạng.", "The format.")
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help=t("Ghi vào tệp.", "Write to a file.")
)
@click.option("--explain", metavar="COLUMN", help=t("Thông điệp đứng sau một cột.", "The messages behind a column."))
@click.option("--facts", "only_facts", is_flag=True, help=t("Các kết quả ghi nhận.", "The facts."))
@pass_screen
def report(
    screen: Screen,
    unit: str | None,
    period: str | None,
    form: str,
    kind: str | None,
    output: Path | None,
    explain: str | None,
    only_facts: bool,
) -> None:
    from hub import ledger, search, store, workload
    from hub.cli.journal import opened
    from hub.config import read
    from hub.errors import Unready
    from hub.report import evidence
    from hub.report.period import PeriodUnreadable

    if (unit is None) != (period is None) or (unit is None and not only_facts):
        raise click.UsageError(t("cần UNIT và PERIOD", "UNIT and PERIOD are needed"))
    kind = kind or ("json" if screen.json else "csv")
    if kind in _FILES and output is None and not only_facts and explain is None and _shows():
        raise click.UsageError(t(f"{kind} cần -o TỆP", f"{kind} needs -o FILE"))
    now = datetime.now(UTC)
    config = read(screen.config)
    with opened(config) as engine, store.reading(engine) as tx:
        if unit is None or period is None:
            _print_facts(screen, tx, list(ledger.facts(tx)))
            return
        try:
            asked = workload.ask(tx, unit, period, form)
        except (PeriodUnreadable, LookupError) as error:
            raise click.UsageError(str(error)) from None
        if not asked.unit_is_known:
            raise Stop(f"không có đơn vị {unit}", f"there is no unit {unit}", NOT_FOUND)
        if explain is not None and not only_facts:
            try:
                behind = asked.behind(explain, now)
            except KeyError:
                keys = ", ".join(column.key for column in asked.form.columns)
                raise click.UsageError(t(f"không có cột {explain}: {keys}", f"no column {explain}: {keys}")) from None
            _print_facts(screen, tx, behind)
            return
        lines: Sequence[Line] = ()
        if only_facts or kind in _FILES:
            lines = evidence.gather(asked.form, asked.facts, asked.period, now, asked.members)
        if only_facts:
            _print_facts(screen, tx, [line.fact for line in lines])
            return
        lines = evidence.named(lines, search.message_ids(tx, (line.fact.message for line in lines)))
    try:
        content = _written(kind, asked.count(now), asked.names, lines, config.identity)
    except Unready as unready:
        why = unready.problem.detail
        raise Stop(f"chưa niêm phong được: {why}", f"cannot be sealed now: {why}", UNAVAILABLE) from None
    if output is not None:
        output.write_bytes(content)
        screen.note(f"Đã ghi {output}.", f"Wrote {output}.")
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _shows() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def _written(
    kind: str, counted: "Report", names: Mapping[str, str], lines: "Sequence[Line]", identity: "Signer"
) -> bytes:
    """Return the one report as *kind*; XML sealed with the hub's own key, which vouches for the numbers and for no person."""
    from hub import signing
    from hub.report import outputs

    language = "en" if english() else "vi"
    match kind:
        case "json":
            return (outputs.as_json(counted, names).rstrip("\n") + "\n").encode()
        case "html":
            return outputs.as_html(counted, names, language).encode()
        case "xlsx":
            from hub.report.workbook import as_xlsx

            return as_xlsx(counted, names, lines, language)
        case "xml":
            from hub.report.element import as_element, check

            content = _DECLARATION + signing.seal(as_element(counted, names, lines), identity) + b"\n"
            check(content)
            return content
        case _:
            return outputs.as_csv(counted, names, language)


def _print_facts(screen: Screen, tx: "Transaction", facts: "Sequence[Fact]") -> None:
    from hub import search

    ids = search.message_ids(tx, (fact.message for fact in facts))
    columns = {
        "at": t("lúc", "at"),
        "unit": t("đơn vị", "unit"),
        "milestone": t("mốc", "milestone"),
        "counterpart": t("bên kia", "counterpart"),
        "id": t("thông điệp", "message"),
    }
    rows = ({"message_id": ids.get(fact.message), "id": fact.message, **attrs.asdict(fact)} for fact in facts)
    if not screen.table(columns, rows) and not screen.json:
        screen.note("Không có kết quả nào.", "No facts.")
