"""Code lists that another system gives: procedures, fields of work, agencies.  Knows what a list looks like; not whose it is, nor how it came.

A message is one whole list, `{"service": NAME, "result": [rows…]}`, rows as they were given; a newer one stands in its place.  Or it is
what was said instead of a list, `{"service": NAME, "refused": TEXT}`: that is refused, for the operator to read.
A list brings no fact: it is nobody's work.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from hub.domain.errors import Rejected
from hub.domain.model import Problem, Record
from hub.domain.sanitize import replace_unstorable
from hub.services import Service

#: The procedures of the national portal, by the service that gives them.
PROCEDURES = "LayDanhSachTTHC"
#: Where a list has its codes and names, as systems that read them have it; of any other the first column that begins so.
_COLUMNS = {
    PROCEDURES: ("MATTHC", "TENTTHC"),
    "LayDanhMucLinhVuc": ("MALINHVUC", "TENLINHVUC"),
    "LayDanhMucCoQuan": ("MADONVI", "TENDONVI"),
}
_CODE, _NAME = "MA", "TEN"


@attrs.frozen
class CategoryList:
    """One list: what gives it, and the name of each code."""

    name: str
    names: Mapping[str, str]


def parse_category_list(content: bytes) -> CategoryList:
    """Return the list that a message is.  Raises Rejected `list-unreadable`: no list, an empty one, a row without a code."""
    try:
        said: Any = json.loads(content)
        name, rows = _text(said, "service"), said.get("result")
    except (ValueError, RecursionError, AttributeError):
        raise Rejected(Problem("list-unreadable", "neither a list nor an answer")) from None
    if not name or "refused" in said:
        raise Rejected(Problem("list-unreadable", f"{name}: {_text(said, 'refused')}"))
    if not isinstance(rows, list) or not rows:
        raise Rejected(Problem("list-unreadable", f"{name}: no rows"))
    code, named = _COLUMNS.get(name) or (_column(rows[0], _CODE), _column(rows[0], _NAME))
    names: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        key = _text(row, code) if isinstance(row, dict) else ""
        if not key:
            raise Rejected(Problem("list-unreadable", f"{name}: row {number} has no {code}"))
        names[key] = _text(row, named)
    return CategoryList(name, names)


def read_category_list(content: bytes, at: datetime, message: str) -> Record:
    """Return what a message is about: its kind is the list's name.  Raises Rejected as `parse_category_list`."""
    found = parse_category_list(content)
    return Record(kind=found.name, sender="", subject=f"{len(found.names)} mục")


def _column(row: object, begun: str) -> str:
    """Return the first column of *row* whose name begins so; `MA…` or `TEN…` when there is none, which no row has."""
    columns = row if isinstance(row, dict) else ()
    return next((column for column in columns if column.upper().startswith(begun)), f"{begun}…")


def _text(row: Mapping[str, object], column: str) -> str:
    """Return what *column* says; what no database keeps, half a surrogate pair or U+0000, as a question mark."""
    value = row.get(column)
    return "" if value is None else replace_unstorable(str(value)).strip()


SERVICE = Service(name="categories", read=read_category_list, milestones=frozenset())
