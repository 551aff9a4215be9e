"""Reads what the province's page at a glance compares: classes of units, indicators with their targets, and sizes.

Knows the words of `glance.toml` and finds every mistake at once. Counts nothing. Source: the project's own choice (mark
D); targets and sizes are the province's.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.model import Unit, UnitKind, UnitLevel
from hub.language.phrases import phrase, verbatim
from hub.language.system_errors import name_system_error
from hub.report.counting.sections import place_unit
from hub.report.form.column import Column, ColumnKind, Wording
from hub.report.form.form import Form, Sorting
from hub.report.form.toml_table import FormTable, describe_found, one_of

FILE = Path(__file__).with_name("glance.toml")

_KEY = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
#: The maximum octets of a file.
_LARGEST = 1 << 20


class Better(StrEnum):
    """Which numbers of an indicator are better."""

    MORE = "more"
    LESS = "less"
    NEITHER = ""  #: nobody has said; the greatest stands first


@attrs.frozen
class Target:
    """The number that units are to reach, in force from `since` until before `until`."""

    value: Decimal
    since: date | None = None
    until: date | None = None


@attrs.frozen(kw_only=True)
class RankIndicator:
    """A number by which units are ranked: a column of a form or the sum of some or, with *whole*, their percentage of
    others.
    """

    form: str
    key: str
    part: tuple[str, ...]
    whole: tuple[str, ...] = ()
    better: Better = Better.NEITHER
    heading: Wording | None = None  #: None: that of its only column
    targets: tuple[Target, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the form that it is computed from, each once."""
        return tuple(dict.fromkeys((*self.part, *self.whole)))

    def find_target(self, on: date) -> Decimal | None:
        """Return the target in force on the day *on*, or None."""
        for each in self.targets:
            if (each.since or date.min) <= on < (each.until or date.max):
                return each.value
        return None


@attrs.frozen(kw_only=True)
class UnitClass:
    """Units that are like one another, and compared."""

    key: str
    sorting: Sorting  #: its heading, and which units it takes
    least: int | None = None  #: the least size of its units; None: any
    below: int | None = None  #: their size is less than this; None: any


@attrs.frozen(kw_only=True)
class Glance:
    """What the page at a glance compares."""

    classes: tuple[UnitClass, ...]
    indicators: tuple[RankIndicator, ...]
    sizes: Mapping[str, int] = attrs.field(factory=dict)  #: of units, by code, such as their inhabitants
    tenths: int = 15  #: tenths of the middle half's width beyond which a figure is far from the others
    least: int = 8  #: the least number of figures of which one can be far from the others
    inherited_percent: int = 10  #: of what a unit had in a period, from former units: beyond it, it stands apart

    def list_indicators(self, form: Form) -> tuple[RankIndicator, ...]:
        """Return the indicators of *form*: those that are defined and whose columns it has, then each other column that
        has numbers.
        """
        keys = {column.key for column in form.columns if column.kind is not ColumnKind.TIME}
        found = [each for each in self.indicators if each.form == form.id and keys.issuperset(each.columns)]
        alone = {each.key for each in found} | {
            each.part[0] for each in found if not each.whole and len(each.part) == 1
        }
        rest = (column for column in form.columns if column.key in keys - alone)
        return (*found, *(_make_indicator(form, column) for column in rest))

    def find_class(self, unit: Unit) -> str | None:
        """Return the key of the first class that takes *unit*, by level and kind, else by its name; None: none does."""
        fitting = [each for each in self.classes if self._fits(each, unit.code)]
        place = place_unit([each.sorting for each in fitting], unit)
        return None if place is None else fitting[place].key

    def _fits(self, of: UnitClass, code: str) -> bool:
        if of.least is None and of.below is None:
            return True
        size = self.sizes.get(code)
        return size is not None and (of.least or 0) <= size and (of.below is None or size < of.below)


def _make_indicator(form: Form, column: Column) -> RankIndicator:
    """Return the indicator of a column that nobody has defined one for. Of grades, the first is the best."""
    better = Better.LESS if column.kind is ColumnKind.GRADE else Better.NEITHER
    return RankIndicator(form=form.id, key=column.key, part=(column.key,), better=better)


def read_glance(own: Path | None = None, forms: Iterable[Form] = ()) -> Glance:
    """Return what the hub ships, with what the province's file *own* says instead. *forms*: those that indicators may
    name; empty: they are not compared. Raises ConfigurationFault with every mistake.
    """
    if own is None:
        return _read_shipped()
    try:
        content = own.read_bytes()
    except OSError as error:
        wrong = phrase("cannot be read: {error}", error=name_system_error(error))
        raise ConfigurationFault(
            [Mistake("hub.toml: reports.glance", wrong, phrase("a file such as glance.toml"))]
        ) from error
    return _parse_glance(content, str(own), _read_shipped(), tuple(forms))


@cache
def _read_shipped() -> Glance:
    nothing = Glance(classes=(), indicators=())
    return _parse_glance(FILE.read_bytes(), FILE.name, nothing, ())


def _parse_glance(content: bytes, name: str, below: Glance, forms: tuple[Form, ...]) -> Glance:
    if len(content) > _LARGEST:
        large = phrase("has more than {count} octets", count=_LARGEST)
        raise ConfigurationFault([Mistake(name, large, phrase("a smaller file"))])
    try:
        words = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and thousands of brackets
        raise ConfigurationFault([Mistake(name, verbatim(error), phrase("TOML in UTF-8"))]) from error
    table = FormTable(words, name)
    table.only(("class", "indicator", "outliers", "inherited", "sizes"))
    classes = _read_classes(table)
    indicators = _read_indicators(table, forms)
    outliers = table.table("outliers")
    outliers.only(("tenths", "least"))
    inherited = table.table("inherited")
    inherited.only(("percent",))
    named = {(each.form, each.key) for each in indicators}
    found = Glance(
        classes=classes or below.classes,
        indicators=(*indicators, *(each for each in below.indicators if (each.form, each.key) not in named)),
        sizes=table.numbers("sizes") or below.sizes,
        tenths=outliers.number("tenths") if "tenths" in outliers else below.tenths,
        least=outliers.number("least") if "least" in outliers else below.least,
        inherited_percent=inherited.number("percent") if "percent" in inherited else below.inherited_percent,
    )
    if table.mistakes:
        raise ConfigurationFault(table.mistakes)
    return found


def _read_classes(table: FormTable) -> tuple[UnitClass, ...]:
    found: dict[str, UnitClass] = {}
    for entry in table.tables("class"):
        entry.only(("key", "vi", "en", "levels", "kinds", "starts", "least", "below"))
        key = _read_key(entry, found)
        sorting = Sorting(
            heading=Wording(entry.text("vi"), entry.text("en")),
            starts=entry.texts("starts"),
            levels=entry.texts("levels", [each for each in UnitLevel if each]),
            kinds=entry.texts("kinds", [each for each in UnitKind if each]),
        )
        if sorting.takes_rest:
            entry.wrong("", phrase("takes no unit"), phrase("levels, kinds or starts"))
        least, below = (entry.number(word) if word in entry else None for word in ("least", "below"))
        if least is not None and below is not None and below <= least:
            entry.wrong("below", phrase("is {value}", value=below), phrase("a number above {least}", least=least))
        found[key] = UnitClass(key=key, sorting=sorting, least=least, below=below)
    return tuple(found.values())


def _read_indicators(table: FormTable, forms: tuple[Form, ...]) -> tuple[RankIndicator, ...]:
    found: dict[tuple[str, str], RankIndicator] = {}
    for entry in table.tables("indicator"):
        entry.only(("form", "key", "vi", "en", "part", "whole", "better", "target"))
        form = entry.text("form")
        key = _read_key(entry, [key for other, key in found if other == form])
        known = _list_columns(entry, form, forms)
        part, whole = (entry.texts(word, known) for word in ("part", "whole"))
        if not part:
            entry.wrong("part", phrase("is missing"), phrase("at least one column"))
        if whole and "vi" not in entry:
            entry.wrong("vi", phrase("is missing"), phrase("a name of the percentage"))
        better = entry.words.get("better", "")
        if better not in set(Better):
            entry.wrong("better", describe_found(better), one_of(sorted(each for each in Better if each)))
            better = ""
        found[form, key] = RankIndicator(
            form=form,
            key=key,
            part=part,
            whole=whole,
            better=Better(str(better)),
            heading=Wording(entry.text("vi"), entry.text("en")) if {"vi", "en"} & set(entry.words) else None,
            targets=tuple(_read_targets(entry)),
        )
    return tuple(found.values())


def _list_columns(entry: FormTable, form: str, forms: tuple[Form, ...]) -> list[str] | None:
    """Return the columns of *form* with numbers, in any version; None if the forms are not known."""
    if not forms:
        return None
    versions = [each for each in forms if each.id == form]
    if not versions and form:
        entry.wrong("form", describe_found(form), one_of(sorted({each.id for each in forms})))
    return [column.key for each in versions for column in each.columns if column.kind is not ColumnKind.TIME]


def _read_targets(entry: FormTable) -> Iterator[Target]:
    for each in entry.tables("target"):
        each.only(("value", "since", "until"))
        value = each.words.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float):
            each.wrong("value", describe_found(value), phrase("a number"))
            value = 0
        since, until = each.day("since"), each.day("until")
        if since and until and until <= since:
            each.wrong("until", phrase("is {until}", until=until), phrase("a day after {since}", since=since))
        yield Target(Decimal(str(value)), since, until)


def _read_key(entry: FormTable, taken: Iterable[str]) -> str:
    key = entry.text("key")
    if key and not _KEY.fullmatch(key):
        entry.wrong("key", describe_found(key), phrase("small letters, digits, _ and -, beginning with a letter"))
    if key in set(taken):
        entry.wrong("key", phrase("is {value}, which another entry has", value=key), phrase("each key once"))
    return key
