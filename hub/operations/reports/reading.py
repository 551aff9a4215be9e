"""Reads what a report page needs: choices, permission, counts, files.

Uses the functions of the journal and a user's visibility. No HTTP.

Each function with a transaction is one read step and may take long. The other functions are pure.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path

import attrs

from hub.domain.errors import Rejected
from hub.domain.model import Fact, Unit
from hub.domain.search_box import find_agencies
from hub.journal import unit_registry
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.language.sorting import fold_text, make_code_sort_key
from hub.operations.accounts import users
from hub.operations.accounts.users import User
from hub.operations.messages import visible_messages
from hub.operations.refusals import RequestRefused, refuse_as_absent
from hub.report.counting import listing, table
from hub.report.counting.counting import Report, Row
from hub.report.counting.division import Values, read_address
from hub.report.counting.family import list_unit_family
from hub.report.counting.listing import Place
from hub.report.form.book import Book
from hub.report.form.column import Column, ColumnKind, Wording
from hub.report.form.form import PRINCIPAL, UNIT, Form
from hub.report.form.period import Period, PeriodUnreadable, find_month_containing, parse_period
from hub.report.words import name_column
from hub.report.workbooks.declared_workbook import DeclaredReport
from hub.report.workbooks.template_workbook import write_template_workbook
from hub.store.transactions import Transaction
from hub.units.unit_names import UnitNames
from hub.workload import closing_plan, declarations, facts_behind, spikes, unit_report
from hub.workload.declarations import ComparedDeclaration
from hub.workload.report_sources import ROWS_OF_FORM, Difference, ReportSources, RowChoice
from hub.workload.spikes import NO_SPIKES, FoundSpikes

#: Facts on one page.
PAGE = 100
#: A page of the facts behind a number is sent after this time, in seconds, even if it is not full.
PATIENCE = 0.5
#: Units on one page.
UNITS = 50


@attrs.frozen
class ReportChoice:
    """The forms and periods that a page offers. Periods are grouped by year."""

    forms: Sequence[Form]
    periods: Sequence[tuple[str, Sequence[Period]]]


@attrs.frozen
class FoundUnits:
    """Units that match a search, at most `UNITS` of them, and the number of all matches."""

    found: Sequence[Unit]
    count: int
    names: Mapping[str, str]
    more: str | None = None  #: the code of the last one, if there are units behind it


@attrs.frozen
class FactCursor:
    """A fact's position in the list behind a number."""

    at: datetime
    message: str
    unit: str
    milestone: str
    key: str

    @classmethod
    def of(cls, fact: Fact) -> "FactCursor":
        """Return the cursor of *fact*."""
        # the key is private, and the cursor shows in an address; there a message has only one fact
        key = "" if fact.service in visible_messages.PRIVATE else fact.key
        return cls(fact.at, fact.message, fact.unit, fact.milestone, key)

    @classmethod
    def at_place(cls, place: Place, service: str) -> "FactCursor":
        """Return the cursor of *place* in a list of facts of *service*."""
        at, message, unit, milestone, key = place
        # the key is private, as in `of`
        shown = "" if service in visible_messages.PRIVATE else key or ""
        return cls(datetime.fromisoformat(at), message, unit, milestone, shown)

    @property
    def place(self) -> Place:
        """The sort key of facts."""
        return listing.write_sortable_time(self.at), self.message, self.unit, self.milestone, self.key or None

    def text(self) -> str:
        """Return the cursor as a part of an address."""
        said = [self.at.astimezone(UTC).isoformat(), self.message, self.unit, self.milestone, self.key]
        return base64.urlsafe_b64encode(json.dumps(said, ensure_ascii=False).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "FactCursor":
        """Parse the result of `text`. Raises `RequestRefused` if it is not one."""
        try:
            at, *rest = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            found = cls(datetime.fromisoformat(at), *rest)
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise refuse_as_absent() from None
        if found.at.tzinfo is None or not all(isinstance(each, str) for each in rest):
            raise refuse_as_absent()
        return found


@attrs.frozen
class FactsPage:
    """One page of the facts behind a number."""

    asked: ReportSources
    #: the number, or the time; None also if it would have to be counted from more facts than `facts_behind.LARGE`
    value: Decimal | int | datetime | None
    count: int | None  #: of all facts behind the number; None: there are too many to be counted for a page
    facts: Sequence[Fact]  #: of this page
    more: FactCursor | None  #: cursor of the next page, if there is one
    messages: Mapping[str, visible_messages.MessageName]
    differences: Sequence[Difference] = ()  #: units whose facts differ from those that were closed
    row_name: Wording | None = None  #: the name of the divided row


def list_report_choices(
    now: datetime, book: Book, chosen: Form | None = None, period: Period | None = None
) -> ReportChoice:
    """Return the forms, each once, and the begun periods of this year and the year before.

    A *chosen* form and *period* are always included.
    """
    by_id = {form.id: form for form in sorted(book.forms, key=lambda form: form.since or date.min)}
    if chosen is not None:
        by_id[chosen.id] = chosen
    current = find_month_containing(now, book.cuts)
    years = sorted({current.year, current.year - 1, *([period.year] if period else [])}, reverse=True)
    months = [f"{year}-{month:02d}" for year in years for month in range(12, 0, -1)]
    longer = [f"{year}{rest}" for year in years for rest in ("", "-9M", "-H2", "-H1", "-Q4", "-Q3", "-Q2", "-Q1")]
    begun = [
        each
        for each in (parse_period(text, book.cuts) for text in (*months, *longer))
        if each.start <= now or each == period
    ]
    shown = [(str(year), [each for each in begun if each.year == year]) for year in years]
    return ReportChoice(tuple(by_id.values()), [(label, members) for label, members in shown if members])


def find_units(tx: Transaction, user: User, typed: str, on: date, after: str | None = None) -> FoundUnits:
    """Return the units visible to *user* that match *typed*: a code, a part of a name, or its usual abbreviation.

    Names and places are those of the day *on*, `changes` all later versions. Exact codes come first. Without *typed*, all visible units are returned, topmost units first, codes in natural order. With *after*, the code
    of a unit among them, those behind it are returned; none if it is not among them.
    """
    histories = {unit.code: unit for unit in unit_registry.list_unit_histories(tx)}
    units = sorted((unit.at(on) for unit in histories.values()), key=lambda unit: make_code_sort_key(unit.code))
    seen = users.read_visible_units(tx, user)
    names = {unit.code: unit.name for unit in units}
    by_code = {unit.code: unit for unit in units}
    tops = [unit.code for unit in units if unit.parent not in by_code] if seen is None else list(user.units)
    order = dict.fromkeys(code for top in tops for code in list_unit_family(units, top) if code in by_code)
    order |= dict.fromkeys(sorted(by_code.keys() & (seen or ())))  # what its units continue stands behind them
    open_to = [by_code[code] for code in order if seen is None or code in seen]
    words, code = fold_text(typed), typed.strip().casefold()
    if words:
        exact = [unit for unit in open_to if code == unit.code.casefold() or code in map(str.casefold, unit.aliases)]
        named = [unit for unit in open_to if words in fold_text(unit.name) or code in unit.code.casefold()]
        open_to = list({unit.code: unit for unit in [*exact, *named, *find_agencies(typed, open_to)]}.values())
    codes = [unit.code for unit in open_to]
    first = 0 if after is None else codes.index(after) + 1 if after in codes else len(codes)
    shown = [attrs.evolve(unit, changes=histories[unit.code].changes) for unit in open_to[first : first + UNITS]]
    more = shown[-1].code if first + UNITS < len(open_to) else None
    return FoundUnits(shown, len(open_to), names, more)


@attrs.frozen
class CountedPage:
    """A report as counted for its page."""

    asked: ReportSources
    report: Report
    others: Sequence[Report] | None = None  #: reports of other periods, for the charts
    spikes: FoundSpikes = NO_SPIKES  #: what was unusual at the closing, in the report's units


def read_revision_number(text: str) -> int | None:
    """Return the number of the revision that an address asks for; None if it asks for none. Raises `RequestRefused` if
    it is no number.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise refuse_as_absent()
    return int(text)


def read_visible_sources(
    tx: Transaction,
    user: User,
    book: Book,
    form: str,
    unit: str,
    period: str,
    now: datetime,
    revision: int | None = None,
    *,
    marked: bool = True,
) -> ReportSources:
    """Return the sources of a report, in *revision* (None: the newest). Raises `RequestRefused` if it does not exist or
    *user* may not see it. *marked*: as in `resolve_report_sources`.
    """
    try:
        span = parse_period(period, closing_plan.keep_closed_workdays(tx, book).cuts)
        if span.text != period:
            raise refuse_as_absent()
        seen = users.read_visible_units(tx, user)
        if seen is not None and unit_registry.resolve_unit_code(tx, unit, span.last) not in seen:
            raise refuse_as_absent()
        asked = unit_report.resolve_report_sources(
            tx, unit, period, form, book, now=now, revision=revision, marked=marked
        )
    except (PeriodUnreadable, LookupError):
        raise refuse_as_absent() from None
    except Rejected as rejected:
        raise refuse_as_tampered(rejected) from None
    if not asked.unit_is_known:
        raise refuse_as_absent()
    return asked


def find_visible_report(
    tx: Transaction, user: User, book: Book, form: str, unit: str, period: str, now: datetime
) -> ReportSources:
    """Return a report's form, period and units, without the sources to count it. Raises `RequestRefused`."""
    return read_visible_sources(tx, user, book, form, unit, period, now, marked=False).bare


def count_visible_report(
    tx: Transaction,
    user: User,
    book: Book,
    form: str,
    unit: str,
    period: str,
    now: datetime,
    *,
    charted: bool,
    revision: int | None = None,
    rows: RowChoice = ROWS_OF_FORM,
) -> CountedPage:
    """Return the counted report, in *revision* (None: the newest), with the *rows* asked for; if *charted*, with the
    reports of other periods, unless a row is opened. Raises `RequestRefused`.
    """
    asked = read_visible_sources(tx, user, book, form, unit, period, now, revision)
    source = choose_visible_rows(asked, rows)
    report = source.count(now)
    charted = charted and rows.opened is None
    others = unit_report.count_neighbour_reports(tx, report, now, book) if charted else None
    found = spikes.read_spikes(tx, asked.form.id, asked.period.text).select(frozenset(source.members))
    return CountedPage(asked.bare, report, others, found)


def choose_visible_rows(asked: ReportSources, rows: RowChoice) -> ReportSources:
    """Return *asked* with other rows. Raises `RequestRefused` if it has none to be opened."""
    try:
        return asked.choose_rows(rows)
    except KeyError:
        raise refuse_as_absent() from None


def read_row_choice(rows: str, opened: str) -> RowChoice:
    """Return the rows that an address asks for; texts are "" where it says nothing. Raises `RequestRefused`."""
    if rows not in ("", UNIT, PRINCIPAL):
        raise refuse_as_absent()
    return RowChoice(by=rows or None, opened=opened or None)


def refuse_as_tampered(rejected: Rejected) -> RequestRefused:
    """Return the refusal of what was *rejected* with `closing-tampered`."""
    return RequestRefused(
        409,
        phrase("What was closed was edited in the database: {what}", what=rejected.problems[0].detail),
        phrase("Nothing of it is given out. Tell the operator: `lienthong report close` restores it."),
    )


def read_facts_page(
    tx: Transaction,
    user: User,
    book: Book,
    address: tuple[str, str, str, str],
    of: tuple[str | None, str | None],
    after: FactCursor | None,
    now: datetime,
    opened: str | None = None,
) -> FactsPage:
    """Return one page of the facts behind a number. Raises `RequestRefused`.

    *address* is form, unit, period and column. *of* is the row: a unit code, or None for all units; and the address of a
    divided row (`Printed.address`), or None for the whole of it. *opened*: of the units in the row of this principal unit.
    """
    form, unit, period, column = address
    row, divided = of
    asked = read_visible_sources(tx, user, book, form, unit, period, now, marked=False)
    values = None if divided is None else read_address(divided)
    try:
        source = asked.choose_rows(RowChoice(opened=opened)).narrow_row(row, values)
        pages = facts_behind.can_page(source, column) and facts_behind.counts_many_facts(source, facts_behind.LARGE)
        listed = source.open_facts_behind(column, now, row)
    except KeyError:
        raise refuse_as_absent() from None
    if pages:
        place = None if after is None else after.place
        some = facts_behind.read_facts_page(source, column, now, place, PAGE, PATIENCE)
        further = None if some.more is None else FactCursor.at_place(some.more, _find_private_service(source))
        counted = source.count(now) if asked.complete else None
        cells, name = (None, None) if counted is None else _find_cells(asked, counted, row, values)
        value = None if cells is None else read_cell_value(cells, asked.form.column(column))
        named = visible_messages.name_visible_messages(tx, user, {fact.message for fact in some.facts})
        return FactsPage(asked.bare, value, None, some.facts, further, named, row_name=name)
    with listed as found:
        page = list(islice(found.facts(None if after is None else after.place), PAGE + 1))
        count, report = len(found), found.gathered.report
        wrong = [each for each in found.gathered.differences if row in {None, each.unit}] if asked.complete else []
    more = FactCursor.of(page[PAGE - 1]) if len(page) > PAGE else None
    cells, name = _find_cells(asked, report, row, values)
    messages = visible_messages.name_visible_messages(tx, user, {fact.message for fact in page[:PAGE]})
    value = read_cell_value(cells, asked.form.column(column))
    return FactsPage(asked.bare, value, count, page[:PAGE], more, messages, wrong, name)


def _find_cells(
    asked: ReportSources, report: Report, unit: str | None, values: Values | None
) -> tuple[Row, Wording | None]:
    """Return the row of *unit* (None: of all units) and *values*, and its name. Raises `RequestRefused` if there is none."""
    if values is None:
        return (report.total if unit is None else next(each for each in report.rows if each.unit == unit)), None
    found = table.find_row(report, unit, values)
    if found is None:
        raise refuse_as_absent()
    return found, table.name_values(report, values, asked.names_of_values)


def _find_private_service(source: ReportSources) -> str:
    """Return a service of the report whose keys are private; "" if it has none."""
    services = {source.form.service, *(base.form.service for base in source.bases.values())}
    return next(iter(sorted(services & set(visible_messages.PRIVATE))), "")


def compare_visible_declaration(
    tx: Transaction,
    user: User,
    book: Book,
    form: str,
    unit: str,
    period: str,
    now: datetime,
) -> tuple[ReportSources, ComparedDeclaration | None]:
    """Return the unit's newest declaration beside the count; None without a declaration. Raises `RequestRefused`."""
    asked = read_visible_sources(tx, user, book, form, unit, period, now, marked=False)
    try:
        return asked.bare, declarations.compare_declaration(tx, asked, now)
    except declarations.Undeclared:
        return asked.bare, None


def find_declared_report(
    tx: Transaction, user: User, book: Book, form: str, unit: str, period: str, now: datetime
) -> tuple[DeclaredReport, UnitNames]:
    """Return what a workbook is read for, and the names of the units of the report. Raises `RequestRefused`."""
    asked = read_visible_sources(tx, user, book, form, unit, period, now, marked=False)
    report = DeclaredReport(asked.form, asked.period, asked.members, book.layouts, asked.is_divided)
    return report, declarations.read_unit_names(tx, asked)


def name_form_columns(form: Form, language: Language) -> dict[str, str]:
    """Return the headings of columns, each with that of its group, and of manual lines, by key."""
    said = {column.key: name_column(column, language) for column in form.columns}
    return said | {line.key: line.heading.say(language) for line in form.manual}


def write_declaration_template(asked: ReportSources, language: Language) -> bytes:
    """Return the empty workbook for a declaration."""
    return write_template_workbook(asked.form, asked.period, asked.members, asked.names, language)


def read_cell_value(cells: Row, column: Column) -> Decimal | int | datetime | None:
    """Return the value of a cell."""
    return cells.times[column.key] if column.kind is ColumnKind.TIME else cells.numbers[column.key]


def open_visible_message(
    tx: Transaction, user: User, identity: str, on: date, folder: Path
) -> tuple[visible_messages.ShownMessage | visible_messages.ShownCall, dict[str, str]]:
    """Return a message, or the refused call with this tracking id, and the names of all units on the
    day *on*. *folder*: that of the archive files.

    Raises `RequestRefused` if there is neither, or *user* may not see it.
    """
    found = visible_messages.find_visible_message(tx, user, identity, folder)
    if found is None:
        call = visible_messages.find_refused_call(tx, user, identity)
        if call is None:
            raise refuse_as_absent()
        return call, {}
    return found, unit_registry.read_unit_names(tx, on)
