"""Reads forms from TOML. Knows the words that a form may use, and reports every mistake at once. Does not count.

The vocabulary is closed: a form names rules and never contains code.
"""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.model import UnitKind, UnitLevel
from hub.domain.sanitize import show_value
from hub.language.phrases import Phrase, phrase, verbatim
from hub.report.form.expression import CHOICES, FormulaMistake, list_names, parse_formula
from hub.report.form.form import (
    FACTLESS,
    MILESTONES,
    MOST_DECIMALS,
    MOST_SERIES,
    UNIT,
    WORKED_OUT,
    Chart,
    ChartKind,
    Check,
    Clock,
    Column,
    ColumnKind,
    Condition,
    CountedService,
    Declarer,
    EmptyRatio,
    Form,
    Grade,
    Indicator,
    LatePolicy,
    ManualLine,
    RowPlan,
    Sorting,
    SpikeRule,
    Timing,
    Wording,
    find_counted_service,
)
from hub.report.form.toml_table import FormTable, describe_found, one_of
from hub.services import CountableFacts, list_adapter_services

FOLDER = Path(__file__).parents[1] / "forms"

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
    ColumnKind.PEAK: ("milestones", "where", "unless"),
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
    ColumnKind.TAKEN: ("form", "column", "decimals"),
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
_FORM = (
    "id",
    "service",
    "by_day",
    "number",
    "late",
    "due_working_days",
    "first_number",
    "since",
    "until",
    "title",
    "basis",
    "counted",
    "parameters",
    "progress",
    "clock",
    "spikes",
    "column",
    "section",
    "rows",
    "check",
    "rule_set",
    "rules",
    "note",
    "manual",
    "indicator",
    "chart",
)

_KEY = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
_TAKEN = ("unit", "name")  # reserved: they name the unit in a row of a report's JSON
_PLACE = re.compile(r"\{([^{}]*)\}")


def read_form_folder(
    folder: Path = FOLDER,
    own: Path | None = None,
    rule_sets: Mapping[str, str] = MappingProxyType({}),
    countable: tuple[CountableFacts, ...] = (),
) -> tuple[Form, ...]:
    """Return the forms of *folder* (one per file), of the services in adapters' folders, and of the province's folder
    *own*.

    A form of *own* replaces a shipped form with the same id whose dates overlap. *rule_sets*: the rule set to use, by
    form id. *countable*: the facts of the services that the province defines. Raises ConfigurationFault with the mistakes
    of all forms; OSError if a file is unreadable.
    """
    found: list[Form] = []
    mistakes: list[Mistake] = []
    places = (folder, *(place / "forms" for _, place in list_adapter_services()))
    shipped = [(path, False) for place in places for path in sorted(place.glob("*.toml"))]
    added = [(path, True) for path in (sorted(own.glob("*.toml")) if own else ())]
    mine: list[Form] = []
    for path, is_own in added + shipped:
        try:
            form = read_form_toml(path.read_bytes(), path.name, countable)
            if form.id in rule_sets:
                form = read_form_toml(choose_rule_set(form.written, rule_sets[form.id]).encode(), path.name, countable)
        except ConfigurationFault as fault:
            mistakes += fault.mistakes
            continue
        if not is_own and any(form.id == other.id and overlap_forms(form, other) for other in mine):
            continue
        if any(form.id == other.id and overlap_forms(form, other) for other in found):
            mistakes.append(
                Mistake(
                    f"{path.name}: since",
                    phrase("another version of {id_} is in force on the same days", id_=form.id),
                    phrase("dates that do not overlap"),
                )
            )
        found.append(form)
        if is_own:
            mine.append(form)
    unknown = rule_sets.keys() - {form.id for form in found}
    mistakes += (
        Mistake(
            f"reports.rule_sets.{one}",
            phrase("is not a form"),
            one_of(sorted({form.id for form in found})),
        )
        for one in sorted(unknown)
        if not mistakes
    )
    if mistakes:
        raise ConfigurationFault(mistakes)
    mistakes = [mistake for form in found for mistake in _takings(form, found)]
    if mistakes:
        raise ConfigurationFault(mistakes)
    return tuple(found)


def _takings(form: Form, others: Sequence[Form]) -> Iterator[Mistake]:
    """Yield a mistake for each column that *form* takes from another form and that some version of it, in force at the
    same time, does not have.
    """
    for column in form.columns:
        if column.taken is None:
            continue
        base, key = column.taken
        versions = [other for other in others if other.id == base and overlap_forms(form, other)]
        place = f"{form.id}: column {column.key}"
        if not versions or any(other.bases for other in versions):
            known = " ".join(sorted({other.id for other in others if not other.bases}))
            yield Mistake(
                f"{place}: form",
                phrase("is {base}", base=repr(base)),
                phrase("a form that counts and is in force on the same days: {known}", known=known),
            )
        elif not all(key in {each.key for each in other.columns if each.is_whole} for other in versions):
            fit = " ".join(sorted({each.key for other in versions for each in other.columns if each.is_whole}))
            yield Mistake(
                f"{place}: column",
                phrase("is {key}", key=repr(key)),
                phrase("a column of {base} that is a whole number: {fit}", base=base, fit=fit),
            )


def choose_rule_set(written: str, rule_set: str) -> str:
    """Return the text *written* of a form with its rule set *rule_set* chosen, or several, separated by spaces."""
    return f"rules = {json.dumps(rule_set)}\n{written}"


@lru_cache(maxsize=256)  # equal octets give an equal form, and every page reads all forms
def read_form_toml(content: bytes, name: str, countable: tuple[CountableFacts, ...] | None = ()) -> Form:
    """Return the form of the TOML *content*, with the rule set that its word `rules` chooses.

    *countable*: the facts of the services that the province defines. None: the form was checked when it was kept, and
    such a service may have been removed since.

    Raises ConfigurationFault with every mistake, also in rule sets that are not chosen. Each path begins with the
    file's *name*.
    """
    try:
        text = content.decode()
        words = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and thousands of brackets
        raise ConfigurationFault([Mistake(name, verbatim(error), phrase("TOML in UTF-8"))]) from error
    table = FormTable(words, name)
    sets = _rule_sets(table)
    chosen = _chosen(table, sets)
    form = attrs.evolve(
        _form(_changed(table, chosen), countable), written=text, rules_used=chosen.says if chosen else None
    )
    if chosen is not None:  # the rule set is named wherever the legal basis is
        vi, en = f"{form.basis.vi}; {chosen.says.vi}", f"{form.basis.en}; {chosen.says.en}"
        form = attrs.evolve(form, basis=Wording(vi, en))
    if not table.mistakes:
        for each in sets.values():
            _ = _form(_changed(table, each), countable)
    if table.mistakes:
        raise ConfigurationFault(table.mistakes)
    return form


@attrs.frozen
class _RuleSet:
    """Columns that replace those with the same keys, or follow other columns."""

    says: Wording
    columns: tuple[Mapping[str, object], ...]


def _rule_sets(table: FormTable) -> dict[str, _RuleSet]:
    found: dict[str, _RuleSet] = {}
    sets = table.table("rule_set")
    for name in sets.words:
        entry = sets.table(name)
        entry.only(("vi", "en", "column"))
        changes = tuple(each.words for each in entry.tables("column"))
        known = [column.words.get("key") for column in table.tables("column")]
        for each in entry.tables("column"):
            after, key = each.words.get("after"), each.words.get("key")
            if after is not None and after not in known:
                each.wrong("after", describe_found(after), phrase("the key of a column"))
            if after is None and key not in known:
                each.wrong(
                    "key",
                    describe_found(key),
                    phrase("the key of the column that it replaces, or `after`"),
                )
            known.append(key)
        found[name] = _RuleSet(_wording(entry, {}, alone=False), changes)
    return found


def _chosen(table: FormTable, sets: Mapping[str, _RuleSet]) -> _RuleSet | None:
    """Return the rule set that the form's word `rules` names; of several, which must change different columns, all of
    them as one.
    """
    if "rules" not in table:
        return None
    named = table.text("rules")
    chosen = [sets[name] for name in named.split() if name in sets]
    if len(chosen) != len(named.split()) or not chosen:
        table.wrong(
            "rules",
            phrase("is {named}", named=repr(named)),
            phrase("one of the rule sets of this form: {sets}", sets=" ".join(sorted(sets))),
        )
        return None
    columns = tuple(column for each in chosen for column in each.columns)
    if len({str(column.get("key")) for column in columns}) < len(columns):
        table.wrong(
            "rules",
            phrase("is {named}", named=repr(named)),
            phrase("rule sets that change different columns"),
        )
    vi, en = ("; ".join(getattr(each.says, language) for each in chosen) for language in ("vi", "en"))
    return _RuleSet(Wording(vi, en), columns)


def _changed(table: FormTable, chosen: _RuleSet | None) -> FormTable:
    """Return the form's table with the columns of the rule set *chosen* applied."""
    if chosen is None:
        return table
    columns = [entry.words for entry in table.tables("column")]
    for change in chosen.columns:
        words = {word: value for word, value in change.items() if word != "after"}
        keys = [column.get("key") for column in columns]
        if "after" in change and change["after"] in keys:
            columns.insert(keys.index(change["after"]) + 1, words)
        elif words.get("key") in keys:
            columns[keys.index(words.get("key"))] = words
    return attrs.evolve(table, words={**table.words, "column": columns})


def _form(table: FormTable, countable: tuple[CountableFacts, ...] | None) -> Form:
    table.only(_FORM)
    service = table.text("service") if "service" in table else ""
    counted = find_counted_service(service, countable)
    if counted is None:
        known = [*MILESTONES, *(each.service for each in countable or ())]
        table.wrong("service", phrase("is {service}", service=repr(service)), one_of(sorted(known)))
        counted = CountedService(service, None, None)
    milestones = counted.milestones
    parameters = table.numbers("parameters")
    since, until = table.day("since"), table.day("until")
    if since and until and since >= until:
        table.wrong("until", phrase("is {until}", until=until), phrase("a day after {since}", since=since))
    progress = table.table("progress")
    progress.only(("steps", "final", "begins", "ends", "waits", "resumes"))
    steps = progress.lists("steps", milestones)
    moving = [milestone for step in steps for milestone in step]
    if len(moving) != len(set(moving)):
        progress.wrong("steps", phrase("has a milestone twice"), phrase("each milestone in one step"))
    columns = tuple(_column(entry, counted, moving, parameters) for entry in table.tables("column"))
    columns = _read_expressions(table, columns, parameters)
    if not columns and "column" not in table:
        table.wrong("column", phrase("is missing"), phrase("at least one [[column]]"))
    _check_keys(table, columns)
    begins, ends = (frozenset(progress.texts(word, milestones)) for word in ("begins", "ends"))
    waits, resumes = (frozenset(progress.texts(word, milestones)) for word in ("waits", "resumes"))
    if any(column.kind is ColumnKind.END for column in columns) and not (begins and ends):
        progress.wrong(
            "",
            phrase("lacks begins or ends"),
            phrase("the milestones with which work begins and ends, for the columns of the kind end"),
        )
    for column, entry in zip(columns, table.tables("column"), strict=False):
        for rule in column.rules:
            if column.kind is ColumnKind.END and ends and not rule.milestones <= ends:
                entry.wrong(
                    "milestones",
                    phrase("has a milestone that is not in ends"),
                    phrase("some of: {ends}", ends=" ".join(sorted(ends))),
                )
            if rule.first_of and not rule.milestones <= rule.first_of <= ends:
                entry.wrong(
                    "first_of",
                    phrase("is {named}", named=" ".join(sorted(rule.first_of))),
                    phrase("some of ends, and all milestones of the column: {ends}", ends=" ".join(sorted(ends))),
                )
            if rule.waiting is not None and not (waits and resumes):
                entry.wrong(
                    "waiting",
                    phrase("is given, but [progress] lacks waits or resumes"),
                    phrase("the milestones with which a wait begins and ends"),
                )
            if rule.clock and not ("clock" in table and waits and resumes):
                entry.wrong(
                    "clock",
                    phrase("is given, but the form lacks [clock], or [progress] waits or resumes"),
                    phrase("all three"),
                )
    return Form(
        id=_key(table, "id"),
        service=service,
        title=_wording(table.table("title"), parameters),
        basis=_wording(table.table("basis"), parameters),
        counted=_wording(table.table("counted"), parameters),
        since=since,
        until=until,
        by_day=table.flag("by_day"),
        number=table.text("number") if "number" in table else "",
        late=_one_of(table, "late", LatePolicy) or LatePolicy.NEXT,
        due_working_days=table.number("due_working_days") if "due_working_days" in table else None,
        first_number=table.number("first_number") if "first_number" in table else 1,
        parameters=parameters,
        steps=tuple(frozenset(step) for step in steps),
        final=frozenset(progress.texts("final", moving)),
        begins=begins,
        ends=ends,
        waits=waits,
        resumes=resumes,
        clock=_clock(table.table("clock"), milestones) if "clock" in table else None,
        spikes=_spikes(table.table("spikes")),
        columns=columns,
        sections=_sections(table, parameters),
        rows=_rows(table, counted, columns, parameters) if "rows" in table else None,
        checks=tuple(_check(entry, columns, parameters) for entry in table.tables("check")),
        notes=tuple(_wording(entry, parameters) for entry in table.tables("note")),
        manual=(manual := _manual(table, columns, parameters)),
        indicators=tuple(_indicator(entry, columns, manual, parameters) for entry in table.tables("indicator")),
        charts=tuple(_chart(entry, columns, parameters) for entry in table.tables("chart")),
    )


def _column(table: FormTable, counted: CountedService, moving: Sequence[str], parameters: Mapping[str, int]) -> Column:
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
    several = kind in _SEVERAL
    if kind:
        table.only(_COLUMN + RULES[kind] + (("also",) if several else ()))
    column = attrs.evolve(
        _rule(table, kind or ColumnKind.FLOW, counted, moving, parameters),
        key=_key(table, "key"),
        heading=_wording(table, parameters, alone=False),
        group=_wording(table.table("group"), parameters) if "group" in table else None,
        sum=table.texts("sum"),
        taken=(table.text("form"), table.text("column")) if kind is ColumnKind.TAKEN else None,
        part=table.texts("part"),
        whole=table.texts("whole"),
        empty=_one_of(table, "empty", EmptyRatio) or EmptyRatio.NONE,
        may_exceed=table.flag("may_exceed"),
        of=table.text("of") if kind in (ColumnKind.SCORE, ColumnKind.GRADE) else "",
        full_at=table.number("full_at") if kind is ColumnKind.SCORE else 100,
        points=table.number("points") if kind is ColumnKind.SCORE else 0,
        expression=table.text("expression") if kind is ColumnKind.EXPRESSION else "",
        decimals=_decimals(table, 2 if kind is ColumnKind.EXPRESSION else 0),
        grades=_grades(table, parameters) if kind is ColumnKind.GRADE else (),
        most=table.number("most") if kind is ColumnKind.DECLARED else 0,
        declarer=_one_of(table, "by", Declarer) or Declarer.ANY,
    )
    if kind and several:
        rules = [_rule(entry, kind, counted, moving, parameters, alone=True) for entry in table.tables("also")]
        also = (attrs.evolve(each, key=column.key, heading=column.heading, group=column.group) for each in rules)
        column = attrs.evolve(column, also=tuple(also))
    if column.key in _TAKEN:
        table.wrong(
            "key", phrase("is {key}", key=repr(column.key)), phrase("another key: this one names the unit of a row")
        )
    if kind is ColumnKind.FORMULA and not column.sum:
        table.wrong("sum", phrase("is empty or missing"), phrase("the columns that are added up"))
    for word in ("part", "whole"):
        if kind is ColumnKind.RATIO and word not in table:
            table.wrong(word, phrase("is missing"), phrase("the columns that are added up"))
    return column


def _decimals(table: FormTable, usual: int) -> int:
    """Return the word `decimals`, else *usual*."""
    value = table.words.get("decimals", usual)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_DECIMALS:
        return value
    table.wrong("decimals", describe_found(value), phrase("a whole number from 0 to {most}", most=MOST_DECIMALS))
    return usual


def _grades(table: FormTable, parameters: Mapping[str, int]) -> tuple[Grade, ...]:
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
        found.append(Grade(at, _wording(entry, parameters, alone=False)))
    if len(found) < 2:
        table.wrong("grade", phrase("names {count}", count=len(found)), phrase("two grades or more, the best first"))
    return tuple(found)


def _rule(
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
        conditions=_conditions(table.table("where"), counted, True)
        + _conditions(table.table("unless"), counted, False),
        within_hours=table.text("within_hours") if "within_hours" in table else None,
        by_due=table.flag("by_due") if "by_due" in table else None,
        dated=table.flag("dated"),
        matched=table.flag("matched"),
        unmatched=table.flag("unmatched"),
        having=frozenset(table.texts("having", milestones)),
        lacking=frozenset(table.texts("lacking", milestones)),
        timing=_one_of(table, "timing", Timing),
        extended_by=frozenset(table.texts("extended_by", milestones)),
        furthest=frozenset(table.texts("furthest", moving)),
        due_passed=table.flag("due_passed") if "due_passed" in table else None,
        clock=table.flag("clock"),
        waiting=table.flag("waiting") if "waiting" in table else None,
        opening=table.flag("opening"),
        first_of=frozenset(table.texts("first_of", milestones)),
        without=frozenset(table.texts("without", milestones)),
        revised=table.texts("revised", counted.attributes),
    )
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
    return rule


def _manual(table: FormTable, columns: Sequence[Column], parameters: Mapping[str, int]) -> tuple[ManualLine, ...]:
    """Return the manual lines. Their keys must differ from those of the columns."""
    found: list[ManualLine] = []
    taken = {*_TAKEN, *(column.key for column in columns)}
    for entry in table.tables("manual"):
        entry.only(("key", "vi", "en"))
        line = ManualLine(_key(entry, "key"), _wording(entry, parameters, alone=False))
        if line.key in taken:
            entry.wrong(
                "key", phrase("is {key}", key=repr(line.key)), phrase("a key that no column and no other line has")
            )
        taken.add(line.key)
        found.append(line)
    return tuple(found)


def _clock(table: FormTable, milestones: Collection[str] | None) -> Clock:
    """Return `[clock]`: how waits are taken off the time of a unit."""
    table.only(("stops", "too_often", "pauses"))
    stops = frozenset(table.texts("stops"))
    often = table.table("too_often")
    often.only(sorted(stops))
    pauses = []
    for pair in table.lists("pauses", milestones):
        if len(pair) == 2:
            pauses.append((pair[0], pair[1]))
        else:
            table.wrong("pauses", phrase("names {count}", count=len(pair)), phrase("pairs of milestones"))
    too_often = {}
    for reason in often.words:
        too_often[reason] = often.text(reason)
        if milestones is not None and too_often[reason] not in milestones:
            often.wrong(reason, phrase("is {named}", named=repr(too_often[reason])), one_of(sorted(milestones)))
    return Clock(stops=stops, too_often=too_often, pauses=tuple(pauses))


def _spikes(table: FormTable) -> SpikeRule:
    """Return `[spikes]`: which figures are told before a month is closed. What is absent is as usual."""
    usual = attrs.asdict(SpikeRule())
    table.only(tuple(usual))
    rule = SpikeRule(**{word: table.number(word) if word in table else held for word, held in usual.items()})
    if rule.least_months > rule.months:
        table.wrong(
            "least_months",
            phrase("is {named}", named=rule.least_months),
            phrase("at most {months}, the number of months that are compared", months=rule.months),
        )
    return rule


def _indicator(
    table: FormTable, columns: Sequence[Column], manual: Sequence[ManualLine], parameters: Mapping[str, int]
) -> Indicator:
    """Return an `[[indicator]]`."""
    table.only(("number", "vi", "en", "formula", "columns", "declared"))
    return Indicator(
        number=table.text("number"),
        title=_wording(table, parameters, alone=False),
        formula=_wording(table.table("formula"), parameters),
        columns=table.texts("columns", [column.key for column in columns]),
        declared=table.texts("declared", [line.key for line in manual]),
    )


def _sections(table: FormTable, parameters: Mapping[str, int]) -> tuple[Sorting, ...]:
    """Return the `[[section]]`s. Only the last one may be without `starts`, `level` and `kind`."""
    found: list[Sorting] = []
    entries = list(table.tables("section"))
    for place, entry in enumerate(entries, 1):
        entry.only(("vi", "en", "starts", "level", "kind"))
        levels, kinds = entry.texts("level"), entry.texts("kind")
        for key, given, words in (("level", levels, UnitLevel), ("kind", kinds, UnitKind)):
            for word in given:
                if word not in {*filter(None, words)}:
                    expected = phrase("one of {words}", words=", ".join(filter(None, words)))
                    entry.wrong(key, phrase("{word} is not known", word=repr(word)), expected)
        heading = _wording(entry, parameters, alone=False)
        found.append(Sorting(heading, entry.texts("starts"), levels, kinds))
        if found[-1].takes_rest and place < len(entries):
            entry.wrong(
                "starts",
                phrase("is empty or missing"),
                phrase("what the units of the section are; only the last section may take all others"),
            )
    return tuple(found)


#: The kinds of columns whose facts are decided key by key, so that a unit's row can be divided.
_DIVIDED = frozenset({ColumnKind.FLOW, ColumnKind.STOCK, ColumnKind.END, *WORKED_OUT})
_DEEPEST = 2  #: the most dimensions of rows: a heading, and the rows below it


def _rows(
    table: FormTable, counted: CountedService, columns: Sequence[Column], parameters: Mapping[str, int]
) -> RowPlan:
    """Return `[rows]`: which dimensions make the rows of a table. A closing divides each unit's row once, so all tables
    divide by the same attributes in the same order, or by the first of them.
    """
    entry = table.table("rows")
    entry.only(("top", "between", "alone", "of", "unstated"))
    known = None if counted.attributes is None else [UNIT, *sorted(counted.attributes)]
    told = {word: entry.texts(word, known) or (UNIT,) for word in ("top", "between", "alone")}
    plan = RowPlan(
        **told,
        of=entry.text("of") if "of" in entry else "",
        unstated=_wording(entry.table("unstated"), parameters),
    )
    if plan.of and counted.milestones is not None and plan.of not in counted.milestones:
        entry.wrong("of", phrase("is {of}", of=repr(plan.of)), one_of(sorted(counted.milestones)))
    for word, by in told.items():
        divided = tuple(one for one in by if one != UNIT)
        if len(set(by)) < len(by) or len(by) > _DEEPEST:
            entry.wrong(word, phrase("names {count}", count=len(by)), phrase("one or two different dimensions"))
        elif divided != plan.attributes[: len(divided)]:
            entry.wrong(
                word,
                phrase("divides by {words}", words=" ".join(divided)),
                phrase("the first of {words}, in this order", words=" ".join(plan.attributes)),
            )
    unfit = [column.key for column in columns if column.kind not in _DIVIDED]
    if plan.attributes and (unfit or not counted.name):
        entry.wrong(
            "",
            phrase("divides columns that cannot be divided: {columns}", columns=" ".join(unfit) or "–"),
            phrase("a form with a service, with columns of these kinds: {words}", words=" ".join(sorted(_DIVIDED))),
        )
    return plan


def _check(table: FormTable, columns: Sequence[Column], parameters: Mapping[str, int]) -> Check:
    """Return a `[[check]]`: two sums that are equal, or one at most the other. Only whole numbers are allowed, because
    others are rounded.
    """
    table.only(("vi", "en", "left", "right", "before", "at_most"))
    whole = [column.key for column in columns if column.is_whole]
    check = Check(
        says=_wording(table, parameters, alone=False),
        left=table.texts("left", whole),
        right=table.texts("right", whole),
        before=table.flag("before"),
        at_most=table.flag("at_most"),
    )
    for word in ("left",) if check.at_most else ("left", "right"):
        if not getattr(check, word):
            table.wrong(word, phrase("is empty or missing"), phrase("the columns that are added up"))
    return check


_Word = TypeVar("_Word", bound=StrEnum)


def _chart(table: FormTable, columns: Sequence[Column], parameters: Mapping[str, int]) -> Chart:
    """Return a `[[chart]]`. Its columns must be numbers of the form. A share is of whole numbers only and has the
    column of the denominator.
    """
    kind = _one_of(table, "kind", ChartKind)
    if "kind" not in table:
        table.wrong("kind", phrase("is missing"), one_of(ChartKind))
    share = kind is ChartKind.SHARE
    table.only(("kind", "vi", "en", "columns", *(["of"] if share else [])))
    unfit = (ColumnKind.TIME, ColumnKind.GRADE)
    numbers = {column.key for column in columns if (column.is_whole if share else column.kind not in unfit)}
    chart = Chart(
        kind=kind or ChartKind.TREND,
        title=_wording(table, parameters, alone=False),
        columns=table.texts("columns", numbers),
        of=table.text("of") if share else None,
    )
    if not chart.columns or (len(chart.columns) > MOST_SERIES and not share):
        table.wrong(
            "columns",
            phrase("names {count}", count=len(chart.columns)),
            phrase("one to {most_series} columns", most_series=MOST_SERIES),
        )
    if chart.of and chart.of not in numbers:
        table.wrong("of", phrase("is {of}", of=repr(chart.of)), phrase("a column that is a number"))
    return chart


def _one_of(table: FormTable, word: str, words: type[_Word]) -> _Word | None:
    """Return the one of *words* that is given; None when absent."""
    if word not in table:
        return None
    named = table.text(word)
    found = next((each for each in words if each == named), None)
    if named and found is None:
        table.wrong(word, phrase("is {named}", named=repr(named)), one_of(words))
    return found


def _conditions(table: FormTable, counted: CountedService, holds: bool) -> tuple[Condition, ...]:
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


def _check_keys(table: FormTable, columns: Sequence[Column]) -> None:
    """Report keys that are used twice, columns computed from missing columns or from non-numbers, and sums that contain
    a column twice or themselves.
    """
    by_key = {column.key: column for column in reversed(columns)}
    numbers = {column.key for column in columns if column.is_whole}
    ratios = {column.key for column in columns if column.kind is ColumnKind.RATIO}
    for column, entry in zip(columns, table.tables("column"), strict=False):
        if by_key[column.key] is not column and column.key:
            entry.wrong("key", phrase("is {key}", key=repr(column.key)), phrase("a key that no other column has"))
        for word in ("sum", "part", "whole"):
            for summand in getattr(column, word):
                if summand not in numbers:
                    entry.wrong(
                        word, phrase("has {summand}", summand=repr(summand)), phrase("columns that are whole numbers")
                    )
            if _twice(column.key, getattr(column, word), by_key):
                entry.wrong(word, phrase("contains a column twice, or itself"), phrase("a sum of different columns"))
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


def _read_expressions(
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
                    _suggest(name.name, [*numbers, *parameters, *CHOICES]),
                )
        found.append(attrs.evolve(column, inputs=tuple(inputs)))
    return (*found, *columns[len(found) :])


def _suggest(name: str, known: Sequence[str]) -> Phrase:
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


def _twice(key: str, summands: Sequence[str], by_key: Mapping[str, Column]) -> bool:
    """Return whether the sum of *summands* contains a column twice, or *key* itself."""
    walked: list[str] = []
    waiting = list(summands)
    while waiting and len(walked) <= len(by_key):
        walked.append(waiting.pop())
        waiting += by_key[walked[-1]].sum if walked[-1] in by_key else ()
    return len(walked) != len(set(walked)) or key in walked


def _wording(table: FormTable, parameters: Mapping[str, int], *, alone: bool = True) -> Wording:
    """Return the texts `vi` and `en`, with each `{parameter}` replaced by its value."""
    if alone:
        table.only(("vi", "en"))
    said = {}
    for language in ("vi", "en"):
        text = table.text(language)
        for place in _PLACE.findall(text):
            if place not in parameters:
                table.wrong(
                    language,
                    phrase("has {{{place}}}", place=place),
                    phrase("a parameter of this form: {parameters}", parameters=" ".join(parameters)),
                )
        said[language] = _PLACE.sub(lambda found: str(parameters.get(found[1], found[0])), text)
    return Wording(said["vi"], said["en"])


def _key(table: FormTable, word: str) -> str:
    text = table.text(word)
    if text and not _KEY.fullmatch(text):
        table.wrong(
            word,
            phrase("is {text}", text=repr(text)),
            phrase("lower-case letters, digits, _ and -, beginning with a letter"),
        )
    return text


def overlap_forms(one: Form, other: Form) -> bool:
    """Tell whether both forms are in force on a common day."""
    return (one.since or date.min) < (other.until or date.max) and (other.since or date.min) < (one.until or date.max)
