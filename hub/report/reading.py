"""Forms written in TOML.  Knows the words a form may use and finds every mistake at once; does not know how to count.

The vocabulary is closed: a form names rules, it never contains code.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from hub.errors import ConfigurationFault, Mistake
from hub.report.form import ATTRIBUTES, MILESTONES, Column, Condition, Form, Kind, Wording
from hub.report.table import Table

FOLDER = Path(__file__).parent / "forms"

#: The words of a column's rule, by kind.
RULES: Mapping[Kind, tuple[str, ...]] = {
    Kind.FLOW: ("milestones", "where", "unless", "within_hours", "by_due"),
    Kind.STOCK: ("milestones", "furthest", "where", "unless", "due_passed", "without"),
    Kind.FORMULA: ("sum",),
    Kind.TIME: ("milestones",),
}
_COLUMN = ("key", "kind", "group", "vi", "en")
_FORM = ("id", "service", "since", "until", "title", "basis", "counted", "parameters", "progress", "column", "note")

_KEY = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
_TAKEN = ("unit", "name")  # they name the unit in a row of a report's JSON
_PLACE = re.compile(r"\{([^{}]*)\}")


def forms(folder: Path = FOLDER) -> tuple[Form, ...]:
    """Return the forms of *folder*, one a file.  ConfigurationFault with the mistakes of all of them; OSError if unreadable."""
    found: list[Form] = []
    mistakes: list[Mistake] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            form = read(path.read_bytes(), path.name)
        except ConfigurationFault as fault:
            mistakes += fault.mistakes
            continue
        if any(form.id == other.id and _meet(form, other) for other in found):
            mistakes.append(
                Mistake(f"{path.name}: since", f"another form {form.id} is in force then", "dates that do not overlap")
            )
        found.append(form)
    if mistakes:
        raise ConfigurationFault(mistakes)
    return tuple(found)


def read(content: bytes, name: str) -> Form:
    """Return the form that the TOML *content* says.  ConfigurationFault with every mistake, each path led by the file's *name*."""
    try:
        words = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationFault([Mistake(name, str(error), "TOML in UTF-8")]) from error
    table = Table(words, name)
    form = _form(table)
    if table.mistakes:
        raise ConfigurationFault(table.mistakes)
    return form


def _form(table: Table) -> Form:
    table.only(_FORM)
    service = table.text("service")
    if service and service not in MILESTONES:
        table.wrong("service", f"is {service!r}", "one of: " + " ".join(sorted(MILESTONES)))
    milestones = MILESTONES.get(service)
    parameters = table.numbers("parameters")
    since, until = table.day("since"), table.day("until")
    if since and until and since >= until:
        table.wrong("until", f"is {until}", f"a day after {since}")
    progress = table.table("progress")
    progress.only(("steps", "final"))
    steps = progress.lists("steps", milestones)
    moving = [milestone for step in steps for milestone in step]
    if len(moving) != len(set(moving)):
        progress.wrong("steps", "has a milestone twice", "each milestone in one step")
    columns = tuple(_column(entry, milestones, moving, parameters) for entry in table.tables("column"))
    if not columns and "column" not in table:
        table.wrong("column", "is missing", "at least one [[column]]")
    _check_keys(table, columns)
    return Form(
        id=_key(table, "id"),
        service=service,
        title=_wording(table.table("title"), parameters),
        basis=_wording(table.table("basis"), parameters),
        counted=_wording(table.table("counted"), parameters),
        since=since,
        until=until,
        parameters=parameters,
        steps=tuple(frozenset(step) for step in steps),
        final=frozenset(progress.texts("final", moving)),
        columns=columns,
        notes=tuple(_wording(entry, parameters) for entry in table.tables("note")),
    )


def _column(
    table: Table, milestones: frozenset[str] | None, moving: Sequence[str], parameters: Mapping[str, int]
) -> Column:
    named = table.text("kind")
    kind = next((kind for kind in Kind if kind == named), None)
    if named and kind is None:
        table.wrong("kind", f"is {named!r}", "one of: " + " ".join(Kind))
    if kind:
        table.only(_COLUMN + RULES[kind])
    column = Column(
        key=_key(table, "key"),
        kind=kind or Kind.FLOW,
        heading=_wording(table, parameters, alone=False),
        group=_wording(table.table("group"), parameters) if "group" in table else None,
        milestones=frozenset(table.texts("milestones", milestones)),
        conditions=_conditions(table.table("where"), True) + _conditions(table.table("unless"), False),
        within_hours=table.text("within_hours") if "within_hours" in table else None,
        by_due=table.flag("by_due"),
        furthest=frozenset(table.texts("furthest", moving)),
        due_passed=table.flag("due_passed"),
        without=frozenset(table.texts("without", milestones)),
        sum=table.texts("sum"),
    )
    if column.key in _TAKEN:
        table.wrong("key", f"is {column.key!r}", "another key: this one names the unit of a row")
    if column.within_hours and column.within_hours not in parameters:
        table.wrong("within_hours", f"is {column.within_hours!r}", "a parameter of this form: " + " ".join(parameters))
    if kind is Kind.FLOW and not column.milestones:
        table.wrong("milestones", "names none", "the milestones that are counted")
    if kind is Kind.STOCK and bool(column.milestones) == bool(column.furthest):
        table.wrong("", "has neither or both of milestones and furthest", "one of the two")
    if kind is Kind.FORMULA and not column.sum:
        table.wrong("sum", "names none", "the columns that are added up")
    return column


def _conditions(table: Table, holds: bool) -> tuple[Condition, ...]:
    """Return the conditions of a `where` or `unless`: an attribute and its value, or a list of its values."""
    table.only(ATTRIBUTES)
    found = []
    for attribute, value in table.words.items():
        kind = ATTRIBUTES.get(attribute)
        values = value if isinstance(value, list) else [value]
        if kind is None:
            continue
        if values and all(type(one) is kind for one in values):
            found.append(Condition(attribute, frozenset(values), holds))
        else:
            table.wrong(
                attribute, f"is {value!r}", f"{'true or false' if kind is bool else 'a text'}, or a list of such"
            )
    return tuple(found)


def _check_keys(table: Table, columns: Sequence[Column]) -> None:
    """Note keys used twice, summands that are no numbers, and formulas that count a column twice or contain themselves."""
    by_key = {column.key: column for column in reversed(columns)}
    numbers = {column.key for column in columns if column.kind is not Kind.TIME}
    for column, entry in zip(columns, table.tables("column"), strict=False):
        if by_key[column.key] is not column and column.key:
            entry.wrong("key", f"is {column.key!r}", "a key that no other column has")
        for summand in column.sum:
            if summand not in numbers:
                entry.wrong("sum", f"has {summand!r}", "columns that are numbers")
        walked: list[str] = []
        waiting = list(column.sum)
        while waiting and len(walked) <= len(columns):
            walked.append(waiting.pop())
            waiting += by_key[walked[-1]].sum if walked[-1] in by_key else ()
        if len(walked) != len(set(walked)) or column.key in walked:
            entry.wrong("sum", "adds a column up twice, or itself", "a sum of different columns")


def _wording(table: Table, parameters: Mapping[str, int], *, alone: bool = True) -> Wording:
    """Return the words `vi` and `en`, each `{parameter}` in them replaced by its value."""
    if alone:
        table.only(("vi", "en"))
    said = {}
    for language in ("vi", "en"):
        text = table.text(language)
        for place in _PLACE.findall(text):
            if place not in parameters:
                table.wrong(language, f"has {{{place}}}", "a parameter of this form: " + " ".join(parameters))
        said[language] = _PLACE.sub(lambda found: str(parameters.get(found[1], found[0])), text)
    return Wording(said["vi"], said["en"])


def _key(table: Table, word: str) -> str:
    text = table.text(word)
    if text and not _KEY.fullmatch(text):
        table.wrong(word, f"is {text!r}", "small letters, digits, _ and -, a letter first")
    return text


def _meet(one: Form, other: Form) -> bool:
    """Whether the two are in force on a common day."""
    return (one.since or date.min) < (other.until or date.max) and (other.since or date.min) < (one.until or date.max)
