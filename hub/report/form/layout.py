"""Reads layouts: how the workbook of a form stands that other software makes and a province prints. Knows the words of a
layout's TOML file, and reports every mistake at once. Does not know workbooks.

Headings are compared by words, without diacritics, capital letters and punctuation, so that a layout needs no
program to follow what one-stop systems write above their columns.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.plain_text import write_plain_words
from hub.language.phrases import phrase, verbatim
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form
from hub.report.form.toml_table import FormTable, describe_found, one_of

FOLDER = Path(__file__).parents[1] / "layouts"

_ID = re.compile(r"[a-z][a-z0-9_-]{0,40}", re.ASCII)
_LISTS = ("marks", "number", "unit", "code", "total", "left_out", "ignored", "ends", "empty")
_WORDS = frozenset({"id", "form", "since", "until", "column", "paper", *_LISTS})
_COLUMN = frozenset({"column", "number", "heading", "words", "without"})
_PAPER = frozenset({"number", "basis", "title", "left", "unit", "empty_columns", "signatures", "total_first"})
#: The maximum number of heading rows of a layout, and of columns left empty before the first.
MOST_LEVELS, _MOST_EMPTY = 6, 5


@attrs.frozen(kw_only=True)
class LaidOutColumn:
    """One column of the workbook: the form's column that it is, and by which headings it is known."""

    column: str  #: the key of the form's column
    number: str  #: what is printed in the row of numbers
    heading: tuple[str, ...]  #: the headings on paper, outermost first
    #: sets of plain words; a column of a file is this one if the words of all headings above it contain each of a set
    words: tuple[tuple[str, ...], ...]
    without: tuple[str, ...] = ()  #: plain words that none of its headings contains

    def match(self, headings: str) -> int:
        """Return how well the plain words of the *headings* above a column of a file match: 0, they do not; a greater
        number, they say more of it.
        """
        if any(_contains_words(headings, each) for each in self.without):
            return 0
        fitting = (sum(map(len, each)) for each in self.words if all(_contains_words(headings, part) for part in each))
        return max(fitting, default=0)


@attrs.frozen(kw_only=True)
class Paper:
    """What a printed workbook has around its table. Each text is printed as it is, and may have several lines."""

    number: str  #: above the title: the number of the form
    basis: str = ""  #: `{basis}` in it stands for the legal basis of the form in the period
    title: str
    unit: str  #: the heading of the column of units
    left: str = ""  #: what the reporting unit stands under
    empty_columns: int = 0  #: columns left empty before the first
    signatures: tuple[str, ...] = ()
    total_first: bool = False  #: the total is the first row, not the last


@attrs.frozen(kw_only=True)
class Layout:
    """How a workbook of a form stands. All words are plain (`write_plain_words`)."""

    id: str
    form: str
    since: date | None = None
    until: date | None = None
    marks: tuple[str, ...]  #: words above the table that only a workbook of this form has
    number: tuple[str, ...]  #: the heading of the column of numbers; the heading rows begin with it
    unit: tuple[str, ...]  #: the heading of the column of units or fields
    code: tuple[str, ...]  #: the heading of a column of unit codes, if there is one
    total: tuple[str, ...]  #: the name of the row of the total
    left_out: tuple[str, ...]  #: how the names of rows begin that are not read
    ignored: tuple[str, ...]  #: how the headings of columns begin that are not read
    ends: tuple[str, ...]  #: how a text begins below the table
    empty: tuple[str, ...]  #: texts, as they are, that stand for an empty cell
    columns: tuple[LaidOutColumn, ...]
    paper: Paper

    def is_in_force(self, on: date) -> bool:
        """Tell whether workbooks of a period that ends on the day *on* stand so."""
        return (self.since or date.min) <= on < (self.until or date.max)

    def find_column(self, headings: str) -> tuple[LaidOutColumn, ...]:
        """Return the columns that the plain words of the *headings* above a column of a file match best: none, one, or
        several that match alike.
        """
        matched = [(each.match(headings), each) for each in self.columns]
        best = max((match for match, _ in matched), default=0)
        return tuple(each for match, each in matched if match == best) if best else ()


def _contains_words(words: str, part: str) -> bool:
    return f" {part} " in f" {words} "


def begins_with_words(words: str, beginnings: Sequence[str]) -> bool:
    """Tell whether the plain *words* begin with one of *beginnings*, whole words."""
    return any(f"{words} ".startswith(f"{each} ") for each in beginnings)


def read_layout_folder(forms: Sequence[Form], folder: Path = FOLDER, own: Path | None = None) -> tuple[Layout, ...]:
    """Return the layouts of *folder*, and those of the province's folder *own*, which replace those with the same id.

    Raises ConfigurationFault with the mistakes of all of them; OSError if a file is unreadable.
    """
    found: dict[str, Layout] = {}
    mistakes: list[Mistake] = []
    own_paths = sorted(own.glob("*.toml")) if own is not None and own.is_dir() else []
    for path in [*sorted(folder.glob("*.toml")), *own_paths]:
        try:
            layout = read_layout_toml(path.read_bytes(), f"layouts/{path.name}", forms)
        except ConfigurationFault as fault:
            mistakes += fault.mistakes
        else:
            found[layout.id] = layout
    if mistakes:
        raise ConfigurationFault(mistakes)
    return tuple(found.values())


def read_layout_toml(content: bytes, name: str, forms: Sequence[Form]) -> Layout:
    """Return the layout in *content*, for one of *forms*. Raises ConfigurationFault with every mistake."""
    layout, mistakes = _parse_layout(content, name)
    mistakes = (*mistakes, *_check_layout(layout, name, forms)) if layout is not None else mistakes
    if layout is None or mistakes:
        raise ConfigurationFault(list(mistakes))
    return layout


@lru_cache(128)
def _parse_layout(content: bytes, name: str) -> tuple[Layout | None, tuple[Mistake, ...]]:
    """Return the layout in *content*, None if it is not TOML, and its mistakes but for those that depend on forms."""
    try:
        words = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and thousands of brackets
        return None, (Mistake(name, verbatim(error), phrase("a layout in TOML, UTF-8")),)
    table = FormTable(words, name)
    table.only(_WORDS)
    identity, form = table.text("id"), table.text("form")
    if identity and not _ID.fullmatch(identity):
        table.wrong("id", describe_found(identity), phrase("small letters, digits, _ and -, beginning with a letter"))
    lists = {word: table.texts(word) for word in _LISTS}
    for word in ("number", "unit"):
        if not lists[word]:
            table.wrong(word, phrase("is missing"), phrase("a list of texts"))
    found = Layout(
        id=identity,
        form=form,
        since=table.day("since"),
        until=table.day("until"),
        **{word: _write_all_plain(texts) for word, texts in lists.items() if word != "empty"},
        empty=lists["empty"],
        columns=tuple(_list_laid_out_columns(table)),
        paper=_read_paper(table.table("paper")),
    )
    return found, tuple(table.mistakes)


def _check_layout(layout: Layout, name: str, forms: Sequence[Form]) -> Iterator[Mistake]:
    """Yield a mistake for a form that does not exist, and for each column that no version of the form has."""
    versions = [form for form in forms if form.id == layout.form]
    if not versions:
        if layout.form:
            yield Mistake(f"{name}: form", phrase("is not a form"), one_of(sorted({form.id for form in forms})))
        return
    known = {column.key for form in versions for column in form.columns if column.kind is not ColumnKind.TIME}
    known |= {line.key for form in versions for line in form.manual}
    for place, column in enumerate(layout.columns):
        if column.column and column.column not in known:
            yield Mistake(
                f"{name}: column[{place}].column", phrase("is not a column of the form"), one_of(sorted(known))
            )


def _write_all_plain(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(write_plain_words(each) for each in texts)


def _list_laid_out_columns(table: FormTable) -> Iterator[LaidOutColumn]:
    seen: set[str] = set()
    for each in table.tables("column"):
        each.only(_COLUMN)
        key = each.text("column")
        if key in seen:
            each.wrong("column", phrase("occurs twice"), phrase("each column once"))
        seen.add(key)
        heading = each.texts("heading")
        if not heading or len(heading) > MOST_LEVELS:
            each.wrong("heading", phrase("has no text, or too many"), phrase("1 to {most} texts", most=MOST_LEVELS))
        words = (heading, *each.lists("words"))
        if not all(words):
            each.wrong("words", phrase("has an empty list"), phrase("lists of texts"))
        yield LaidOutColumn(
            column=key,
            number=each.text("number"),
            heading=heading,
            words=tuple(_write_all_plain(said) for said in words if said),
            without=_write_all_plain(each.texts("without")),
        )
    if not seen:
        table.wrong("column", phrase("is missing"), phrase("tables, each opened by [[{word}]]", word="column"))


def _read_paper(table: FormTable) -> Paper:
    table.only(_PAPER)
    empty = table.number("empty_columns") if "empty_columns" in table else 0
    if empty > _MOST_EMPTY:
        table.wrong("empty_columns", describe_found(empty), phrase("at most {most}", most=_MOST_EMPTY))
    return Paper(
        number=table.text("number"),
        basis=table.text("basis") if "basis" in table else "",
        title=table.text("title"),
        unit=table.text("unit"),
        left=table.text("left") if "left" in table else "",
        empty_columns=empty,
        signatures=table.texts("signatures"),
        total_first=table.flag("total_first"),
    )
