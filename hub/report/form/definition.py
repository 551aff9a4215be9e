"""Writes and reads a whole form as JSON, so that a reader who has a report and its facts can count again. Knows the
fields of a form. Counts nothing.

The JSON is the form that was in force, independent of the file or rule set it came from: a reader elsewhere has
neither.
"""

import json
import types
from collections.abc import Collection, Mapping
from datetime import date
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from hub.report.form.column import MOST_DECIMALS, Column, ColumnKind
from hub.report.form.expression import FormulaMistake, list_names, parse_formula
from hub.report.form.form import Form

LARGEST = 4 << 20  #: the maximum octets of a definition

_DEEPEST = 50  #: the maximum depth of columns computed from other columns


def write_definition(form: Form) -> bytes:
    """Return *form* as indented JSON in UTF-8. The same form always gives the same octets."""
    return (json.dumps(_make_plain_value(form), ensure_ascii=False, indent=1) + "\n").encode()


def read_definition(content: bytes) -> Form:
    """Return the form written in *content*. Raises ValueError if it is not a form, or a form that cannot be counted."""
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST} octets")
    try:
        form: Form = _make_value(Form, json.loads(content.decode()), "form")
    except (RecursionError, OverflowError) as error:
        raise ValueError(type(error).__name__) from None
    check_form(form)
    return form


def check_form(form: Form) -> None:
    """Raise ValueError for a form that refers to something it lacks, or has a column that is computed from itself."""
    columns = {column.key: column for column in form.columns}
    if len(columns) != len(form.columns) or not columns:
        raise ValueError("no columns, or a key twice")
    for rule in form.rules:
        if rule.within_hours is not None and rule.within_hours not in form.parameters:
            raise ValueError(f"{rule.key}: no parameter {rule.within_hours}")
        if rule.until and (rule.until not in columns or columns[rule.until].kind is not ColumnKind.FLOW):
            raise ValueError(f"{rule.key}: {rule.until} is no flow")
        if len(rule.revised) not in (0, 3):
            raise ValueError(f"{rule.key}: revised names {len(rule.revised)}")
    sound: set[str] = set()
    for column in form.columns:
        _walk_columns(columns, column, sound, ())
        _check_computed(form, column)


def _check_computed(form: Form, column: Column) -> None:
    """Raise ValueError for a formula, grades or decimals by which *column* cannot be computed."""
    if not 0 <= column.decimals <= MOST_DECIMALS:
        raise ValueError(f"{column.key}: {column.decimals} decimals")
    if column.kind is ColumnKind.EXPRESSION:
        try:
            named = {name.name for name in list_names(parse_formula(column.expression))}
        except FormulaMistake as mistake:
            raise ValueError(f"{column.key}: character {mistake.at}: {mistake.found}") from None
        if not set(column.inputs) <= named <= {*column.inputs, *form.parameters}:
            raise ValueError(f"{column.key}: its formula names {' '.join(sorted(named))[:80]}")
    if column.kind is ColumnKind.GRADE:
        limits = [grade.at for grade in column.grades]
        if not column.of or limits[-1:] != [None] or None in limits[:-1]:
            raise ValueError(f"{column.key}: grades {limits!r:.80}")


def _walk_columns(columns: Mapping[str, Column], column: Column, sound: set[str], above: tuple[str, ...]) -> None:
    """Raise ValueError unless all columns from which *column* is computed exist, are numbers, and do not include
    *column* itself.
    """
    if column.key in above or len(above) > _DEEPEST:
        raise ValueError(f"{column.key}: it is computed from itself")
    for key in () if column.key in sound else column.named:
        part = columns.get(key)
        if part is None or part.kind in (ColumnKind.TIME, ColumnKind.GRADE):
            raise ValueError(f"{column.key}: it is computed from {key[:80]!r}")
        _walk_columns(columns, part, sound, (*above, column.key))
    sound.add(column.key)


def _make_plain_value(value: object) -> Any:
    match value:
        case Enum():
            return value.value
        case date():
            return value.isoformat()
        case frozenset():
            return sorted((_make_plain_value(each) for each in value), key=lambda each: (str(type(each)), str(each)))
        case tuple():
            return [_make_plain_value(each) for each in value]
        case Mapping():
            return {str(key): _make_plain_value(each) for key, each in value.items()}
        case None | bool() | int() | str():
            return value
    kind: Any = type(value)
    return {field.name: _make_plain_value(getattr(value, field.name)) for field in attrs.fields(kind) if field.eq}


def _make_value(kind: Any, value: Any, path: str) -> Any:
    """Return *value*, as read from JSON, as a value of the type *kind*. Raises ValueError."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and types.NoneType in args:
            return None
        (kind,) = (each for each in args if each is not types.NoneType)
        return _make_value(kind, value, path)
    if origin in (tuple, frozenset):
        if not isinstance(value, list):
            raise ValueError(f"{path}: not a list")
        if origin is tuple and args[-1] is not Ellipsis and len(value) != len(args):
            raise ValueError(f"{path}: {len(value)} items")
        return origin(_make_value(args[0], each, path) for each in value)
    if origin is not None and issubclass(origin, Mapping):
        return {
            str(key): _make_value(args[1], each, f"{path}.{key}") for key, each in _expect_table(value, path).items()
        }
    if isinstance(kind, type) and attrs.has(kind):
        hints, table = _types_of(kind), _expect_table(value, path)
        if unknown := set(table) - {field.name for field in attrs.fields(kind)}:
            raise ValueError(f"{path}: {min(unknown)[:80]!r} is not a field of it")
        try:
            return kind(**{name: _make_value(hints[name], each, f"{path}.{name}") for name, each in table.items()})
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from None
    return _make_leaf(kind, value, path)


@cache
def _types_of(kind: type) -> Mapping[str, Any]:
    """Return the type of each field of *kind*, one of the few classes of a form: evaluating them takes most of a read."""
    return get_type_hints(kind)


def _make_leaf(kind: Any, value: Any, path: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if kind is date and isinstance(value, str):
        return date.fromisoformat(value)
    allowed: Collection[type] = (str, bool, int) if kind is object else (kind,)
    if type(value) not in allowed:
        raise ValueError(f"{path}: is {value!r:.80}")
    return value


def _expect_table(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path}: not an object")  # noqa: TRY004 - it is read, not passed
    return value
