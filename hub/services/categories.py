"""Parses and validates code lists that another system publishes: procedures, fields of work, agencies.

Knows the format of a list. Does not know which system published it or how it was fetched.

A message is one whole list, `{"service": NAME, "result": [rows…]}`, with the rows as they were received. A newer list
replaces it. If the other system answered with an error instead, the message is `{"service": NAME, "refused": TEXT}`.
The hub refuses such a message, so that the operator can read the text.

A list brings no fact, because it is not the work of any unit.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from hub.domain.errors import Rejected
from hub.domain.model import Problem, Record
from hub.domain.sanitize import replace_unstorable
from hub.language.phrases import phrase
from hub.services import Service

#: The list of procedures of the national portal, named by the portal's service that returns it.
PROCEDURES = "LayDanhSachTTHC"
#: The code column and the name column of each known list. For other lists: the first column that begins with `MA` or
#: `TEN`.
_COLUMNS = {
    PROCEDURES: ("MATTHC", "TENTTHC"),
    "LayDanhMucLinhVuc": ("MALINHVUC", "TENLINHVUC"),
    "LayDanhMucCoQuan": ("MADONVI", "TENDONVI"),
}
_CODE, _NAME = "MA", "TEN"
#: The list that has the codes of an attribute of facts.
ATTRIBUTES = {"field": "LayDanhMucLinhVuc", "procedure": PROCEDURES}


@attrs.frozen
class CategoryList:
    """One code list.

    `name` is the service that publishes it. `names` maps each code to its name.
    """

    name: str
    names: Mapping[str, str]


def parse_category_list(content: bytes) -> CategoryList:
    """Parse a message into the list that it contains.

    Raises Rejected `list-unreadable` if there is no list, the list is empty, or a row has no code.
    """
    try:
        said: Any = json.loads(content)
        name, rows = _read_column_text(said, "service"), said.get("result")
    except (ValueError, RecursionError, AttributeError):
        raise Rejected(Problem("list-unreadable", phrase("neither a list nor an answer"))) from None
    if not name or "refused" in said:
        raise Rejected(Problem("list-unreadable", f"{name}: {_read_column_text(said, 'refused')}"))
    if not isinstance(rows, list) or not rows:
        raise Rejected(Problem("list-unreadable", phrase("{name}: no rows", name=name)))
    code, named = _COLUMNS.get(name) or (_find_column(rows[0], _CODE), _find_column(rows[0], _NAME))
    names: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        key = _read_column_text(row, code) if isinstance(row, dict) else ""
        if not key:
            raise Rejected(
                Problem(
                    "list-unreadable", phrase("{name}: row {number} has no {code}", name=name, number=number, code=code)
                )
            )
        names[key] = _read_column_text(row, named)
    return CategoryList(name, names)


def read_category_list(content: bytes, at: datetime, message: str) -> Record:
    """Return the record of a message. Its kind is the list's name. Raises Rejected as `parse_category_list` does."""
    found = parse_category_list(content)
    return Record(kind=found.name, sender="", subject=f"{len(found.names)} mục")


def _find_column(row: object, begun: str) -> str:
    """Return the first column of *row* whose name begins with *begun*, else `MA…` or `TEN…`, a name that no row has."""
    columns = row if isinstance(row, dict) else ()
    return next((column for column in columns if column.upper().startswith(begun)), f"{begun}…")


def _read_column_text(row: Mapping[str, object], column: str) -> str:
    """Return the text of *column*. What no database can store (half a surrogate pair, U+0000) becomes a question mark."""
    value = row.get(column)
    return "" if value is None else replace_unstorable(str(value)).strip()


SERVICE = Service(name="categories", read=read_category_list, milestones=frozenset())
