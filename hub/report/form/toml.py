"""Reads forms from TOML. Knows the words that a form may use, and reports every mistake at once. Does not count.

The vocabulary is closed: a form names rules and never contains code.
"""

import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.legal_texts import LEGAL_TEXTS
from hub.domain.model import UnitKind, UnitLevel
from hub.language.phrases import phrase, verbatim
from hub.report.form.column import WORKED_OUT, Column, ColumnKind, CountedService, Wording
from hub.report.form.form import (
    MOST_SERIES,
    OF_UNITS,
    PRINCIPAL,
    UNIT,
    Chart,
    ChartKind,
    Check,
    Clock,
    Form,
    Indicator,
    LatePolicy,
    ManualLine,
    RowPlan,
    Sorting,
    SpikeRule,
)
from hub.report.form.toml_column import RESERVED, check_keys, read_column, read_expressions, read_wording
from hub.report.form.toml_table import FormTable, describe_found, one_of
from hub.report.form.work_toml import (
    WorkMilestones,
    check_work_columns,
    find_form_service,
    read_days_in_force,
    read_steps,
)
from hub.services import CountableFacts

_FORM = (
    "id",
    "service",
    "by_day",
    "number",
    "late",
    "texts",
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
    chosen = _choose_rule_set(table, sets)
    form = _read_form(_apply_rule_set(table, chosen), countable)
    basis = form.basis
    if chosen is not None:  # the rule set is named wherever the legal basis is
        basis = Wording(f"{basis.vi}; {chosen.says.vi}", f"{basis.en}; {chosen.says.en}")
    known = {text.id: Wording(text.vi, text.en) for text in LEGAL_TEXTS.values()}
    citing = basis.fill(_stated_texts(table))
    form = attrs.evolve(
        form,
        basis=citing.fill(known),
        citing=citing if known.keys() & citing.list_places() else None,
        written=text,
        rules_used=chosen.says if chosen else None,
    )
    if not table.mistakes:
        for each in sets.values():
            _ = _read_form(_apply_rule_set(table, each), countable)
    if table.mistakes:
        raise ConfigurationFault(table.mistakes)
    return form


def _stated_texts(table: FormTable) -> Mapping[str, Wording]:
    """Return what the legal texts are called that `state_basis` has stated, by id."""
    texts = table.table("texts")
    return {text: read_wording(texts.table(text), {}) for text in texts.words}


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
        found[name] = _RuleSet(read_wording(entry, {}, alone=False), changes)
    return found


def _choose_rule_set(table: FormTable, sets: Mapping[str, _RuleSet]) -> _RuleSet | None:
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


def _apply_rule_set(table: FormTable, chosen: _RuleSet | None) -> FormTable:
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


def _read_form(table: FormTable, countable: tuple[CountableFacts, ...] | None) -> Form:
    table.only(_FORM)
    counted = find_form_service(table, countable)
    milestones = counted.milestones
    parameters = table.numbers("parameters")
    cited = {text: f"{{{text}}}" for text in (*LEGAL_TEXTS, *table.table("texts").words)}
    since, until = read_days_in_force(table)
    progress = table.table("progress")
    steps = read_steps(progress, milestones)
    moving = [milestone for step in steps for milestone in step]
    columns = tuple(read_column(entry, counted, moving, parameters) for entry in table.tables("column"))
    columns = read_expressions(table, columns, parameters)
    if not columns and "column" not in table:
        table.wrong("column", phrase("is missing"), phrase("at least one [[column]]"))
    check_keys(table, columns)
    begins, ends = (frozenset(progress.texts(word, milestones)) for word in ("begins", "ends"))
    waits, resumes = (frozenset(progress.texts(word, milestones)) for word in ("waits", "resumes"))
    check_work_columns(table, progress, columns, WorkMilestones(begins, ends, waits, resumes))
    return Form(
        id=table.key("id"),
        service=counted.name,
        title=read_wording(table.table("title"), parameters),
        basis=read_wording(table.table("basis"), {**parameters, **cited}),
        counted=read_wording(table.table("counted"), parameters),
        since=since,
        until=until,
        by_day=table.flag("by_day"),
        number=table.text("number") if "number" in table else "",
        late=table.choice("late", LatePolicy) or LatePolicy.NEXT,
        due_working_days=table.number("due_working_days") if "due_working_days" in table else None,
        first_number=table.number("first_number") if "first_number" in table else 1,
        parameters=parameters,
        steps=tuple(frozenset(step) for step in steps),
        final=frozenset(progress.texts("final", moving)),
        begins=begins,
        ends=ends,
        waits=waits,
        resumes=resumes,
        clock=_read_clock(table.table("clock"), milestones) if "clock" in table else None,
        spikes=_read_spikes(table.table("spikes")),
        columns=columns,
        sections=_read_sections(table, parameters),
        rows=_read_row_plan(table, counted, columns, parameters) if "rows" in table else None,
        checks=tuple(_read_check(entry, columns, parameters) for entry in table.tables("check")),
        notes=tuple(read_wording(entry, parameters) for entry in table.tables("note")),
        manual=(manual := _read_manual_lines(table, columns, parameters)),
        indicators=tuple(_read_indicator(entry, columns, manual, parameters) for entry in table.tables("indicator")),
        charts=tuple(_read_chart(entry, columns, parameters) for entry in table.tables("chart")),
    )


def _read_manual_lines(
    table: FormTable, columns: Sequence[Column], parameters: Mapping[str, int]
) -> tuple[ManualLine, ...]:
    """Return the manual lines. Their keys must differ from those of the columns."""
    found: list[ManualLine] = []
    taken = {*RESERVED, *(column.key for column in columns)}
    for entry in table.tables("manual"):
        entry.only(("key", "vi", "en"))
        line = ManualLine(entry.key("key"), read_wording(entry, parameters, alone=False))
        if line.key in taken:
            entry.wrong(
                "key", phrase("is {key}", key=repr(line.key)), phrase("a key that no column and no other line has")
            )
        taken.add(line.key)
        found.append(line)
    return tuple(found)


def _read_clock(table: FormTable, milestones: Collection[str] | None) -> Clock:
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


def _read_spikes(table: FormTable) -> SpikeRule:
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


def _read_indicator(
    table: FormTable, columns: Sequence[Column], manual: Sequence[ManualLine], parameters: Mapping[str, int]
) -> Indicator:
    """Return an `[[indicator]]`."""
    table.only(("number", "vi", "en", "formula", "columns", "declared"))
    return Indicator(
        number=table.text("number"),
        title=read_wording(table, parameters, alone=False),
        formula=read_wording(table.table("formula"), parameters),
        columns=table.texts("columns", [column.key for column in columns]),
        declared=table.texts("declared", [line.key for line in manual]),
    )


def _read_sections(table: FormTable, parameters: Mapping[str, int]) -> tuple[Sorting, ...]:
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
        heading = read_wording(entry, parameters, alone=False)
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


def _read_row_plan(
    table: FormTable, counted: CountedService, columns: Sequence[Column], parameters: Mapping[str, int]
) -> RowPlan:
    """Return `[rows]`: which dimensions make the rows of a table. A closing divides each unit's row once, so all tables
    divide by the same attributes in the same order, or by the first of them.
    """
    entry = table.table("rows")
    entry.only(("top", "between", "alone", "of", "unstated"))
    known = None if counted.attributes is None else [UNIT, PRINCIPAL, *sorted(counted.attributes)]
    told = {word: entry.texts(word, known) or (UNIT,) for word in ("top", "between", "alone")}
    plan = RowPlan(
        **told,
        of=entry.text("of") if "of" in entry else "",
        unstated=read_wording(entry.table("unstated"), parameters) if "unstated" in entry else Wording("", ""),
    )
    if plan.attributes and "unstated" not in entry:
        entry.wrong("unstated", phrase("is missing"), phrase("the name of the row of facts that state nothing"))
    if plan.of and counted.milestones is not None and plan.of not in counted.milestones:
        entry.wrong("of", phrase("is {of}", of=repr(plan.of)), one_of(sorted(counted.milestones)))
    for word, by in told.items():
        divided = tuple(one for one in by if one not in OF_UNITS)
        if PRINCIPAL in by and len(by) > 1:
            entry.wrong(word, phrase("is {words}", words=" ".join(by)), phrase("`principal` alone"))
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


def _read_check(table: FormTable, columns: Sequence[Column], parameters: Mapping[str, int]) -> Check:
    """Return a `[[check]]`: two sums that are equal, or one at most the other. Only whole numbers are allowed, because
    others are rounded.
    """
    table.only(("vi", "en", "left", "right", "before", "at_most"))
    whole = [column.key for column in columns if column.is_whole]
    check = Check(
        says=read_wording(table, parameters, alone=False),
        left=table.texts("left", whole),
        right=table.texts("right", whole),
        before=table.flag("before"),
        at_most=table.flag("at_most"),
    )
    for word in ("left", "right"):
        if not getattr(check, word) and not (check.at_most and (check.left or check.right)):
            table.wrong(word, phrase("is empty or missing"), phrase("the columns that are added up"))
    return check


def _read_chart(table: FormTable, columns: Sequence[Column], parameters: Mapping[str, int]) -> Chart:
    """Return a `[[chart]]`. Its columns must be numbers of the form. A share is of whole numbers only and has the
    column of the denominator.
    """
    kind = table.choice("kind", ChartKind)
    if "kind" not in table:
        table.wrong("kind", phrase("is missing"), one_of(ChartKind))
    share = kind is ChartKind.SHARE
    table.only(("kind", "vi", "en", "columns", *(["of"] if share else [])))
    unfit = (ColumnKind.TIME, ColumnKind.GRADE)
    numbers = {column.key for column in columns if (column.is_whole if share else column.kind not in unfit)}
    chart = Chart(
        kind=kind or ChartKind.TREND,
        title=read_wording(table, parameters, alone=False),
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
