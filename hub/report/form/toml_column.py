"""Reads the columns of a form from TOML. Knows the words of each kind of column, and what its parts may name.

Does not know the rest of a form.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import attrs

from hub.domain.sanitize import show_value
from hub.language.phrases import Phrase, phrase
from hub.report.form.column import (
    FACTLESS,
    MOST_DECIMALS,
    PLACE,
    WORKED_OUT,
    Column,
    ColumnKind,
    Condition,
    CountedService,
    Declarer,
    EmptyRatio,
    Grade,
    Timing,
    Wording,
)
from hub.report.form.expression import CHOICES, FormulaMistake, list_names, parse_formula
from hub.report.form.toml_table import FormTable, describe_found, one_of

#: The words of a column's rule, by kind.
RULES: Mapping[ColumnKind, tuple[str, ...]] = {
    ColumnKind.FLOW: (
        "milestones",
        "where",
        "unless",
        "within_hours",
        "by_due",
        "dated",
        "matched",
        "unmatched",
        "timing",
        "extended_by",
        "clock",
        "having",
        "lacking",
        "without",
    ),
    ColumnKind.STOCK: (
        "milestones",
        "furthest",
        "where",
        "unless",
        "matched",
        "due_passed",
        "dated",
        "extended_by",
        "waiting",
        "clock",
        "having",
        "without",
        "opening",
    ),
    ColumnKind.PEAK: ("milestones", "where", "unless", "until"),
    ColumnKind.HAPPENING: ("milestones", "where", "unless", "without", "revised"),
    ColumnKind.END: (
        "milestones",
        "first_of",
        "where",
        "unless",
        "timing",
        "extended_by",
        "clock",
        "having",
        "lacking",
        "without",
    ),
    ColumnKind.TAKEN: ("form", "column", "decimals", "least"),
    ColumnKind.FORMULA: ("sum",),
    ColumnKind.RATIO: ("part", "whole", "empty", "may_exceed"),
    ColumnKind.SCORE: ("of", "full_at", "points"),
    ColumnKind.EXPRESSION: ("expression", "decimals", "empty"),
    ColumnKind.GRADE: ("of", "grade"),
    ColumnKind.DECLARED: ("most", "decimals", "by"),
    ColumnKind.TIME: ("milestones",),
}
#: The kinds of columns that a form without a service may have.
DERIVED = FACTLESS | {ColumnKind.TAKEN}
_COLUMN = ("key", "kind", "group", "vi", "en")
#: The kinds of columns that may have several rules.
_SEVERAL = frozenset({ColumnKind.FLOW, ColumnKind.STOCK, ColumnKind.HAPPENING, ColumnKind.END})
RESERVED = ("unit", "name")  # reserved: they name the unit in a row of a report's JSON


def _read_kind(table: FormTable, counted: CountedService) -> ColumnKind | None:
    named = table.text("kind")
    kind = next((kind for kind in ColumnKind if kind == named), None)
    if named and kind is None:
        table.wrong("kind", phrase("is {named}", named=repr(named)), one_of(ColumnKind))
    derived = not counted.name
    if kind and derived is not (kind in DERIVED) and kind not in WORKED_OUT:
        counted_kinds = set(ColumnKind) - {ColumnKind.TAKEN, ColumnKind.DECLARED}
        fit = " ".join(sorted(DERIVED if derived else counted_kinds))
        table.wrong(
            "kind",
            phrase("is {named}", named=repr(named)),
            phrase("one of: {fit}; a form without a service takes its numbers from others", fit=fit),
        )
    return kind


def read_column(
    table: FormTable, counted: CountedService, moving: Sequence[str], parameters: Mapping[str, int]
) -> Column:
    kind = _read_kind(table, counted)
    several = kind in _SEVERAL
    if kind:
        table.only(_COLUMN + RULES[kind] + (("also",) if several else ()))
    column = attrs.evolve(
        _read_rule(table, kind or ColumnKind.FLOW, counted, moving, parameters),
        key=table.key("key"),
        heading=read_wording(table, parameters, alone=False),
        group=read_wording(table.table("group"), parameters) if "group" in table else None,
        sum=table.texts("sum"),
        taken=(table.text("form"), table.text("column")) if kind is ColumnKind.TAKEN else None,
        least=_read_least(table) if kind is ColumnKind.TAKEN else None,
        part=table.texts("part"),
        whole=table.texts("whole"),
        empty=table.choice("empty", EmptyRatio) or EmptyRatio.NONE,
        may_exceed=table.flag("may_exceed"),
        of=table.text("of") if kind in (ColumnKind.SCORE, ColumnKind.GRADE) else "",
        full_at=table.number("full_at") if kind is ColumnKind.SCORE else 100,
        points=table.number("points") if kind is ColumnKind.SCORE else 0,
        expression=table.text("expression") if kind is ColumnKind.EXPRESSION else "",
        decimals=_read_decimals(table, 2 if kind is ColumnKind.EXPRESSION else 0),
        grades=_read_grades(table, parameters) if kind is ColumnKind.GRADE else (),
        most=table.number("most") if kind is ColumnKind.DECLARED else 0,
        declarer=table.choice("by", Declarer) or Declarer.ANY,
    )
    if kind and several:
        rules = [_read_rule(entry, kind, counted, moving, parameters, alone=True) for entry in table.tables("also")]
        also = (attrs.evolve(each, key=column.key, heading=column.heading, group=column.group) for each in rules)
        column = attrs.evolve(column, also=tuple(also))
    if column.key in RESERVED:
        table.wrong(
            "key", phrase("is {key}", key=repr(column.key)), phrase("another key: this one names the unit of a row")
        )
    if kind is ColumnKind.FORMULA and not column.sum:
        table.wrong("sum", phrase("is empty or missing"), phrase("the columns that are added up"))
    for word in ("part", "whole"):
        if kind is ColumnKind.RATIO and word not in table:
            table.wrong(word, phrase("is missing"), phrase("the columns that are added up"))
    return column


def _read_decimals(table: FormTable, usual: int) -> int:
    """Return the word `decimals`, else *usual*."""
    value = table.words.get("decimals", usual)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_DECIMALS:
        return value
    table.wrong("decimals", describe_found(value), phrase("a whole number from 0 to {most}", most=MOST_DECIMALS))
    return usual


def _read_grades(table: FormTable, parameters: Mapping[str, int]) -> tuple[Grade, ...]:
    """Return the `[[column.grade]]`s, the best first: each from its `at` on, the last for all below."""
    found: list[Grade] = []
    entries = list(table.tables("grade"))
    for place, entry in enumerate(entries, 1):
        entry.only(("at", "vi", "en"))
        last = place == len(entries)
        if last and "at" in entry:
            entry.wrong("at", describe_found(entry.words["at"]), phrase("no at: the last grade is for all below"))
        at = None if last else entry.number("at")
        if at is not None and found and found[-1].at is not None and at >= found[-1].at:
            entry.wrong(
                "at", phrase("is {at}", at=at), phrase("less than {before}, the grade before", before=found[-1].at)
            )
        found.append(Grade(at, read_wording(entry, parameters, alone=False)))
    if len(found) < 2:
        table.wrong("grade", phrase("names {count}", count=len(found)), phrase("two grades or more, the best first"))
    return tuple(found)


def _check_rule(table: FormTable, kind: ColumnKind, rule: Column, parameters: Mapping[str, int]) -> None:
    """Note what a rule of *kind* lacks, and which of its keys contradict each other."""
    if rule.within_hours and rule.within_hours not in parameters:
        table.wrong(
            "within_hours",
            phrase("is {within_hours}", within_hours=repr(rule.within_hours)),
            phrase("a parameter of this form: {parameters}", parameters=" ".join(parameters)),
        )
    if kind in {ColumnKind.FLOW, ColumnKind.PEAK, ColumnKind.HAPPENING, ColumnKind.END} and not rule.milestones:
        table.wrong("milestones", phrase("is empty or missing"), phrase("the milestones that are counted"))
    if rule.matched and rule.unmatched:
        table.wrong("unmatched", phrase("is given beside matched"), phrase("one of the two"))
    if rule.having & rule.lacking:
        table.wrong("lacking", phrase("names what having names"), phrase("other milestones"))
    if rule.revised and len(rule.revised) != 3:
        table.wrong(
            "revised",
            phrase("names {count}", count=len(rule.revised)),
            phrase("three attributes: the thing, its part, its revision"),
        )
    if rule.without and kind is ColumnKind.HAPPENING and not rule.revised:
        table.wrong("without", phrase("is given without revised"), phrase("both, or neither"))
    if kind is ColumnKind.STOCK and bool(rule.milestones) == bool(rule.furthest):
        table.wrong("", phrase("has neither or both of milestones and furthest"), phrase("one of the two"))


def _read_rule(
    table: FormTable,
    kind: ColumnKind,
    counted: CountedService,
    moving: Sequence[str],
    parameters: Mapping[str, int],
    *,
    alone: bool = False,
) -> Column:
    """Return a rule by which a column counts facts, without the column's key and wording. *alone*: the rule has a table
    of its own.
    """
    if alone:
        table.only(RULES[kind])
    milestones = counted.milestones
    rule = Column(
        key="",
        kind=kind,
        heading=Wording("", ""),
        milestones=frozenset(table.texts("milestones", milestones)),
        conditions=_read_conditions(table.table("where"), counted, True)
        + _read_conditions(table.table("unless"), counted, False),
        within_hours=table.text("within_hours") if "within_hours" in table else None,
        by_due=table.flag("by_due") if "by_due" in table else None,
        dated=table.flag("dated"),
        matched=table.flag("matched"),
        unmatched=table.flag("unmatched"),
        having=frozenset(table.texts("having", milestones)),
        lacking=frozenset(table.texts("lacking", milestones)),
        timing=table.choice("timing", Timing),
        extended_by=frozenset(table.texts("extended_by", milestones)),
        furthest=frozenset(table.texts("furthest", moving)),
        due_passed=table.flag("due_passed") if "due_passed" in table else None,
        clock=table.flag("clock"),
        waiting=table.flag("waiting") if "waiting" in table else None,
        opening=table.flag("opening"),
        until=table.text("until") if "until" in table else "",
        first_of=frozenset(table.texts("first_of", milestones)),
        without=frozenset(table.texts("without", milestones)),
        revised=table.texts("revised", counted.attributes),
    )
    _check_rule(table, kind, rule, parameters)
    return rule


def _read_least(table: FormTable) -> int | None:
    value = table.words.get("least")
    if value not in (None, 0, 1) or isinstance(value, bool):
        table.wrong("least", describe_found(value), phrase("0 or 1"))
        return None
    return value if isinstance(value, int) else None


def _read_conditions(table: FormTable, counted: CountedService, holds: bool) -> tuple[Condition, ...]:
    """Return the conditions of a `where` or `unless` table: each an attribute with its value, or with a list of its
    values.
    """
    known = counted.name_attributes(table.words)
    table.only(known)
    found = []
    for attribute, value in table.words.items():
        kind = known.get(attribute)
        values = value if isinstance(value, list) else [value]
        if kind is None:
            continue
        if values and all(type(one) is kind for one in values):
            found.append(Condition(attribute, frozenset(values), holds))
        else:
            table.wrong(
                attribute,
                phrase("is {value}", value=show_value(value)),
                phrase(
                    "{value}, or a list of them", value=phrase("true or false") if kind is bool else phrase("a text")
                ),
            )
    return tuple(found)


def check_keys(table: FormTable, columns: Sequence[Column]) -> None:
    """Report keys that are used twice, columns computed from missing columns or from non-numbers, and sums that contain
    a column twice or themselves.
    """
    by_key = {column.key: column for column in reversed(columns)}
    numbers = {column.key for column in columns if column.is_whole}
    ratios = {column.key for column in columns if column.kind is ColumnKind.RATIO}
    flows = {column.key for column in columns if column.kind is ColumnKind.FLOW}
    for column, entry in zip(columns, table.tables("column"), strict=False):
        if by_key[column.key] is not column and column.key:
            entry.wrong("key", phrase("is {key}", key=repr(column.key)), phrase("a key that no other column has"))
        for word in ("sum", "part", "whole"):
            for summand in getattr(column, word):
                if summand not in numbers:
                    entry.wrong(
                        word, phrase("has {summand}", summand=repr(summand)), phrase("columns that are whole numbers")
                    )
            if _contains_twice(column.key, getattr(column, word), by_key):
                entry.wrong(word, phrase("contains a column twice, or itself"), phrase("a sum of different columns"))
        if column.until and column.until not in flows:
            entry.wrong("until", phrase("is {named}", named=repr(column.until)), phrase("a column that is a flow"))
        if column.kind is ColumnKind.SCORE and column.of and column.of not in ratios:
            entry.wrong("of", phrase("is {of}", of=repr(column.of)), phrase("a column that is a ratio"))
        if column.kind is ColumnKind.GRADE and column.of and column.of not in _list_numbers(columns):
            entry.wrong("of", phrase("is {of}", of=repr(column.of)), phrase("a column that is a number"))
        if column.kind is ColumnKind.EXPRESSION and (ring := _find_ring(column, by_key)):
            said = phrase("is computed from itself: {ring}", ring=" → ".join(ring))
            entry.wrong("expression", said, phrase("columns that do not need this one"))


def _list_numbers(columns: Sequence[Column]) -> list[str]:
    """Return the columns that a formula or a grade may name, in their order."""
    return [column.key for column in columns if column.kind not in (ColumnKind.TIME, ColumnKind.GRADE)]


def read_expressions(
    table: FormTable, columns: tuple[Column, ...], parameters: Mapping[str, int]
) -> tuple[Column, ...]:
    """Return *columns*, those with a formula with the columns that it names. Reports what a formula cannot mean."""
    numbers = _list_numbers(columns)
    found: list[Column] = []
    for column, entry in zip(columns, table.tables("column"), strict=False):
        inputs: list[str] = []
        try:
            names = list_names(parse_formula(column.expression)) if column.expression else ()
        except FormulaMistake as mistake:
            place = phrase("at character {at} {found}", at=mistake.at, found=mistake.found)
            entry.wrong("expression", place, mistake.expected)
            names = ()
        for name in names:
            if name.name in numbers:
                inputs.append(name.name)
            if name.name in numbers and name.name in parameters:
                said = phrase(
                    "at character {at} has {name}, a column and a parameter", at=name.at, name=repr(name.name)
                )
                entry.wrong("expression", said, phrase("a name that only one of them has"))
            elif name.name not in numbers and name.name not in parameters:
                entry.wrong(
                    "expression",
                    phrase("at character {at} has {name}", at=name.at, name=repr(name.name)),
                    _suggest_name(name.name, [*numbers, *parameters, *CHOICES]),
                )
        found.append(attrs.evolve(column, inputs=tuple(inputs)))
    return (*found, *columns[len(found) :])


def _suggest_name(name: str, known: Sequence[str]) -> Phrase:
    """Return what is expected instead of *name*: the nearest of the names *known*, else all of them."""
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return phrase("a column or a parameter; perhaps: {words}", words=" ".join(near))
    return phrase("a column or a parameter: {words}", words=" ".join(known))


def _find_ring(column: Column, by_key: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the columns over which *column* is computed from itself, from it to it; () if it is not."""
    before: dict[str, str] = {}
    waiting = [column.key]
    while waiting:
        key = waiting.pop(0)
        for part in by_key[key].named if key in by_key else ():
            if part == column.key:
                ring = [part]
                while key != column.key:
                    ring.append(key)
                    key = before[key]
                return (column.key, *reversed(ring))
            if part not in before:
                before[part] = key
                waiting.append(part)
    return ()


def _contains_twice(key: str, summands: Sequence[str], by_key: Mapping[str, Column]) -> bool:
    """Return whether the sum of *summands* contains a column twice, or *key* itself."""
    walked: list[str] = []
    waiting = list(summands)
    while waiting and len(walked) <= len(by_key):
        walked.append(waiting.pop())
        waiting += by_key[walked[-1]].sum if walked[-1] in by_key else ()
    return len(walked) != len(set(walked)) or key in walked


def read_wording(table: FormTable, parameters: Mapping[str, object], *, alone: bool = True) -> Wording:
    """Return the texts `vi` and `en`, with each `{parameter}` replaced by its value."""
    if alone:
        table.only(("vi", "en"))
    said = {}
    for language in ("vi", "en"):
        text = table.text(language)
        for place in PLACE.findall(text):
            if place not in parameters:
                table.wrong(
                    language,
                    phrase("has {{{place}}}", place=place),
                    phrase("a parameter of this form: {parameters}", parameters=" ".join(parameters)),
                )
        said[language] = PLACE.sub(lambda found: str(parameters.get(found[1], found[0])), text)
    return Wording(said["vi"], said["en"])
