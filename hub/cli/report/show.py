"""`lienthong report show` and `facts`: shows a workload report, the messages behind a number, or all its facts."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import attrs
import click

from hub.cli.journal import open_journal, read_view_config
from hub.cli.report.declared import read_report_sources
from hub.cli.report.submitting import issue_report
from hub.cli.screen import NOT_FOUND, UNAVAILABLE, CommandStop, Screen, read_language, t
from hub.cli.words import say_word
from hub.domain.errors import Unready
from hub.domain.model import Fact
from hub.journal import unit_registry
from hub.journal.fact_reading import fact_rows
from hub.journal.searching import message_reading
from hub.report.counting import table
from hub.report.counting.counting import Report
from hub.report.counting.division import read_address
from hub.report.counting.evidence import EvidenceLine, EvidenceLines
from hub.report.form import book
from hub.report.form.book import Book
from hub.report.output import formats
from hub.report.output.charts import make_plots
from hub.report.output.closing_lines import write_closing_lines
from hub.report.output.paper_workbook import write_paper_workbook
from hub.report.output.remark_lines import write_remark_lines
from hub.security.certificates import Signer
from hub.store import transactions
from hub.store.transactions import Transaction
from hub.workload import facts_behind, given_paper
from hub.workload.given_paper import GivenPaper
from hub.workload.report_sources import Difference, ReportSources, ReportWithEvidence, RowChoice
from hub.workload.unit_report import count_neighbour_reports

_FILES = ("pdf", "xlsx", "xml")  #: formats that are not printed on a terminal, and that list the evidence
_PAPER = ("html", "pdf")  #: formats that show the newest revision that was given out, if there is one
_TOGETHER = 500  #: facts whose messages are looked up in one query
_CHARTED = ("html", "pdf", "xlsx")  #: formats that can contain charts


def show_report(
    screen: Screen,
    unit: str,
    period: str,
    form: str,
    kind: str | None,
    output: Path | None,
    charted: bool,
    explain: str | None,
    row: str | None,
    divided: str | None,
    by: str | None,
    opened: str | None,
    revision: int | None,
    reason: str,
) -> None:
    of, rows = (row, divided), (by, opened)
    print_report(
        screen, unit, period, form, kind, output, explain, of, rows, reason, charted=charted, revision=revision
    )


def show_facts(screen: Screen, unit: str | None, period: str | None, form: str) -> None:
    if unit is not None and period is None:
        raise click.UsageError(t("UNIT needs PERIOD"))
    print_facts(screen, unit, period, form)


def print_facts(screen: Screen, unit: str | None, period: str | None, form: str) -> None:
    """Print the facts behind a report, or all facts without *unit* and *period*.

    Raises `UsageError` and `CommandStop`.
    """
    now = datetime.now(UTC)
    config = read_view_config(screen, "reports", "services")
    forms = book.read_book(config.reports)
    counts = forms.services(form) if unit is not None else None
    with open_journal(config, counts=counts) as engine, transactions.read_transaction(engine) as tx:
        if unit is None or period is None:
            _print_rows(screen, tx, fact_rows.read_facts(tx))
            return
        with read_report_sources(tx, unit, period, form, forms).open_evidence(now) as gathered:
            _warn_of_changed_facts(screen, gathered.differences)
            _print_rows(screen, tx, (line.fact for line in gathered.listing))


def print_report(
    screen: Screen,
    unit: str,
    period: str,
    form: str,
    kind: str | None,
    output: Path | None,
    explain: str | None,
    of: tuple[str | None, str | None],
    rows: tuple[str | None, str | None],
    reason: str,
    *,
    charted: bool,
    revision: int | None = None,
) -> None:
    """Write the report to *output* or standard output. Raises `UsageError` and `CommandStop`.

    *kind* is the format (None: JSON under `--json`, else CSV). With *explain*, a column, the facts behind it are
    printed instead; *of* limits them to the row of a unit code, and to the divided row with an address. *reason* makes the XML of an ended
    period a new revision. *rows*: the rows instead of those of the form, and the row that is opened (`RowChoice`); not
    for XML, which is sealed as the form says. *revision*: the closed report as it was in that revision, of which no facts can be listed.
    """
    check_column(explain, of)
    _check_rows(kind, rows, charted=charted)
    on_screen = output is None and explain is None and _is_on_terminal()
    kind = choose_format(screen, kind, charted=charted, on_screen=on_screen)
    if revision is not None and (explain is not None or kind in _FILES):
        raise click.UsageError(t("an earlier revision is shown as csv, html or json, without its facts"))
    if kind == "xml" and explain is None and _gave_out(screen, (unit, period, form), reason.strip(), output):
        return
    now = datetime.now(UTC)
    config = read_view_config(screen, "reports", "services")
    forms = book.read_book(config.reports)
    with open_journal(config, counts=forms.services(form)) as engine, transactions.read_transaction(engine) as tx:
        asked = read_report_sources(tx, unit, period, form, forms, revision)
        asked = _choose_rows(tx, asked, *rows)
        if explain is not None:
            row = None if of[0] is None else unit_registry.resolve_unit_code(tx, of[0], asked.period.last)
            _explain_column(screen, tx, asked, explain, (row, of[1]), now)
            return
        if kind == "paper":
            _write_report(screen, _written_on_paper(asked, forms, now), output)
            return
        as_given = kind in _PAPER and revision is None and not any(rows)
        given = given_paper.read_given_paper(tx, asked, forms.trust) if as_given else None
        if given is not None:
            _write_report(screen, _written_paper(kind, tx, given, forms, now, charted=charted), output)
            return
        if kind not in _FILES:
            counted = asked.count(now)
            _note_changes(screen, counted, asked)
            others = count_neighbour_reports(tx, counted, now, forms) if charted else None
            _write_report(screen, _render_report(kind, counted, asked, (), config.identity, others), output)
            return
        opened = asked.open_evidence(now) if kind == "xml" else facts_behind.open_evidence_to_list(asked, now)
        with opened as gathered:
            listing = gathered.listing if isinstance(gathered, ReportWithEvidence) else gathered.lines
            _warn_of_changed_facts(screen, gathered.differences)
            counted, lines = gathered.report, message_reading.NamedLines(tx, listing)
            others = count_neighbour_reports(tx, counted, now, forms) if charted else None
            try:
                content = _render_report(kind, counted, asked, lines, config.identity, others)
            except Unready as unready:
                why = unready.problem.detail
                raise CommandStop(t("cannot be sealed now: {why}", why=why), UNAVAILABLE) from None
            _write_report(screen, content, output)


def _check_rows(kind: str | None, rows: tuple[str | None, str | None], *, charted: bool) -> None:
    """Raise `UsageError` for rows that are not those of the form where a report has those only."""
    by, opened = rows
    if kind == "xml" and any(rows):
        raise click.UsageError(t("the sealed report has the rows of its form"))
    if opened is not None and (by is not None or charted):
        raise click.UsageError(t("--open goes with neither --rows nor --charts"))


def _choose_rows(tx: Transaction, asked: ReportSources, by: str | None, opened: str | None) -> ReportSources:
    """Return *asked* with the rows of `--rows` and `--open`. Raises `CommandStop` if there is no row to be opened."""
    unit = None if opened is None else unit_registry.resolve_unit_code(tx, opened, asked.period.last)
    try:
        return asked.choose_rows(RowChoice(by=by, opened=unit))
    except KeyError:
        raise CommandStop(t("the report has no row {row}", row=opened), NOT_FOUND) from None


def _note_changes(screen: Screen, counted: Report, asked: ReportSources) -> None:
    """Say beside the report, which CSV has no place for, that it is a revision, what units
    say of their figures, what changed, and what came late.
    """
    said = write_closing_lines(counted, asked.names, read_language())
    for line in (*said.top, *write_remark_lines(counted, asked.names, read_language()), *said.all):
        screen.note(line)


def _write_report(screen: Screen, content: bytes, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(content)
        screen.note(t("Wrote {output}.", output=output))
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _gave_out(screen: Screen, named: tuple[str, str, str], reason: str, output: Path | None) -> bool:
    """Write the stored sealed report if the period has ended. Return whether it has."""
    given = issue_report(screen, *named, reason)
    if given is None:
        return False
    _write_report(screen, given, output)
    return True


def _explain_column(
    screen: Screen,
    tx: Transaction,
    asked: ReportSources,
    column: str,
    of: tuple[str | None, str | None],
    now: datetime,
) -> None:
    """Print the facts behind *column* in the row *of*: of a unit code, or None for all; and of the address of a divided
    row, or None for the whole row.

    Of a large report they are printed as they are found, and not compared with the closing.
    """
    row, divided = of
    values = None if divided is None else read_address(divided)
    try:
        source = asked.narrow_row(row, values)
    except KeyError:
        raise CommandStop(
            t("the report has no row {row}", row=row if divided is None else divided), NOT_FOUND
        ) from None
    try:
        if facts_behind.can_page(source, column) and facts_behind.counts_many_facts(source, facts_behind.LARGE):
            screen.note(t("The report counts very many facts; they are not compared with the closing."))
            _print_rows(screen, tx, facts_behind.list_facts_behind(source, column, now))
            return
        opened = source.open_facts_behind(column, now, row)
    except KeyError:
        keys = ", ".join(each.key for each in asked.form.columns)
        raise click.UsageError(t("no column {column}: {keys}", column=column, keys=keys)) from None
    with opened as behind:
        if values is not None and table.find_row(behind.gathered.report, row, values) is None:
            raise CommandStop(t("the report has no row {row}", row=divided), NOT_FOUND)
        _warn_of_changed_facts(screen, behind.gathered.differences)
        _print_rows(screen, tx, behind.facts())


def _warn_of_changed_facts(screen: Screen, wrong: Sequence[Difference] | None) -> None:
    """Warn about each unit whose facts in a closed month differ from those that were closed. None: not compared."""
    if wrong is None:
        screen.note(t("The report counts very many facts; they are not compared with the closing."))
        return
    for each in wrong:
        screen.note(
            t(
                "WARNING: the evidence of {unit} in {period} has changed since the closing; count again with "
                "lienthong report close {period}",
                unit=each.unit,
                period=each.period,
            ),
        )


def check_column(explain: str | None, of: tuple[str | None, str | None]) -> None:
    """Raise `UsageError` for a row, of a unit or a divided one, without a column."""
    for option, row in zip(("--unit", "--row"), of, strict=True):
        if row is not None and explain is None:
            raise click.UsageError(t("{option} goes with --explain", option=option))


def choose_format(screen: Screen, kind: str | None, *, charted: bool, on_screen: bool) -> str:
    """Return the format: *kind*, else JSON under `--json`, else CSV.

    Raises `UsageError` if charts are requested in a format without charts, or if the format cannot be printed on a
    terminal.
    """
    kind = kind or ("json" if screen.json else "csv")
    if charted and kind not in _CHARTED:
        raise click.UsageError(t("{kind} has no charts", kind=kind))
    if on_screen and kind in (*_FILES, "paper"):
        raise click.UsageError(t("{kind} needs -o FILE", kind=kind))
    return kind


def _is_on_terminal() -> bool:
    """Tell whether standard output is a terminal."""
    return sys.stdout.isatty()


def _render_report(
    kind: str,
    counted: Report,
    asked: ReportSources,
    lines: Sequence[EvidenceLine] | EvidenceLines,
    identity: Signer,
    others: Sequence[Report] | None,
) -> bytes:
    """Return the report in the format *kind*.

    XML is sealed with the hub's own key, which vouches for the numbers and for no person.

    *others* are the reports of other periods for the charts; None means no charts.
    """
    language, names = read_language(), asked.names
    charts = () if others is None else make_plots(counted, names, others, language)
    return formats.write_report(kind, counted, names, lines, language, identity, receiver=asked.receiver, charts=charts)


def _written_on_paper(asked: ReportSources, forms: Book, now: datetime) -> bytes:
    """Return the workbook of the paper form. Raises `UsageError` if the hub does not know how it stands."""
    layout = forms.find_layout(asked.form, asked.period)
    if layout is None:
        raise click.UsageError(t("the form {form} has no layout of its paper form", form=asked.form.id))
    return write_paper_workbook(asked.count(now), asked.names, layout, receiver=asked.receiver)


def _written_paper(
    kind: str,
    tx: Transaction,
    given: GivenPaper,
    forms: Book,
    now: datetime,
    *,
    charted: bool,
) -> bytes:
    """Return a revision that was given out in the format *kind*."""
    language, report = read_language(), given.report
    others = count_neighbour_reports(tx, report, now, forms) if charted else None
    return given.write(kind, language, () if others is None else make_plots(report, given.names, others, language))


def _fact_rows(tx: Transaction, facts: Iterable[Fact]) -> Iterator[dict[str, object]]:
    """Yield the printed fields of each fact. At most `_TOGETHER` facts are held at a time."""
    rest = iter(facts)
    while some := list(islice(rest, _TOGETHER)):
        ids = message_reading.read_message_ids(tx, (fact.message for fact in some))
        yield from ({"message_id": ids.get(fact.message), "id": fact.message, **attrs.asdict(fact)} for fact in some)


def _print_rows(screen: Screen, tx: Transaction, facts: Iterable[Fact]) -> None:
    columns = {
        "at": t("at"),
        "unit": t("unit"),
        "milestone": t("milestone"),
        "counterpart": t("counterpart"),
        "open": t("open with"),
    }
    rows = _fact_rows(tx, facts)
    opened = (
        {**row, "milestone": say_word(str(row["service"]), row["milestone"]), "open": f"lienthong trace {row['id']}"}
        for row in rows
    )
    found = screen.table(columns, rows if screen.json else opened)
    if not found and not screen.json:
        screen.note(t("No facts."))
    elif not screen.json:
        screen.note(
            t(
                "Details: lienthong trace ID (events), show ID (message), show ID --raw (exact bytes), show ID "
                "--signature."
            ),
        )


def show_short_form(
    screen: Screen,
    unit: str | None,
    period: str | None,
    form: str,
    kind: str | None,
    output: Path | None,
    charted: bool,
    explain: str | None,
    row: str | None,
    divided: str | None,
    by: str | None,
    opened: str | None,
    revision: int | None,
    reason: str,
    only_facts: bool,
) -> None:
    if (unit is None) != (period is None) or (unit is None and not only_facts):
        raise click.UsageError(t("UNIT and PERIOD are needed"))
    if only_facts:
        check_column(explain, (row, divided))
        choose_format(screen, kind, charted=charted, on_screen=False)
        print_facts(screen, unit, period, form)
    else:
        assert unit is not None
        assert period is not None
        of, rows = (row, divided), (by, opened)
        print_report(
            screen, unit, period, form, kind, output, explain, of, rows, reason, charted=charted, revision=revision
        )
