"""Describes the values of the API as JSON Schema (draft 2020-12, as OpenAPI 3.1 takes it), and writes and reads them.

A value is an attrs class. Its schema, its JSON and the check of what a caller sends follow from the types of its
fields. A field that a name does not explain has its explanation beside the type: `Annotated[str, phrase("…")]`. An answer
is projected from a value of the hub, and not copied field by field.
Contains no operation and no HTTP.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, Self, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, SaidText, phrase
from hub.operations.operation import LONG

#: Where an OpenAPI document keeps the schemas.
_PLACE = "#/components/schemas/"
#: The first letters of a class of the API, which the name of its schema does not need.
_OWN = "Api"
_PLAIN: Mapping[Any, Mapping[str, object]] = {
    str: {"type": "string"},
    Phrase: {"type": "string"},
    SaidText: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    NoneType: {"type": "null"},
    object: {},
    Any: {},
}

Schema = dict[str, Any]


class JsonUnfit(ValueError):
    """A field of a JSON object is unknown, missing, or of another type. Raised with its name and what is wrong."""

    def __init__(self, name: str, why: Phrase) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


@cache
def list_field_types(kind: type) -> Mapping[str, Any]:
    """Return the types of the fields of an attrs class, with what is said beside them."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in attrs.fields(kind)}


@attrs.define
class SchemaCollection:
    """The schemas of a document, with sentences in one language."""

    language: Language
    found: dict[str, Schema] = attrs.field(factory=dict)  #: by name
    _kinds: dict[str, type] = attrs.field(factory=dict, init=False)

    def describe_type(self, kind: Any) -> Schema:
        """Return the schema of a type. Those of classes and enumerations are collected, and referred to."""
        origin, inner = get_origin(kind), get_args(kind)
        if origin is Annotated:
            said = next((each for each in inner[1:] if isinstance(each, Phrase)), None)
            description = {} if said is None else {"description": translate(said, self.language)}
            return self.describe_type(inner[0]) | description
        if origin in {Union, UnionType}:
            return self._describe_union(inner)
        if origin is not None and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.describe_type(inner[1])}
        if origin is not None:
            return {"type": "array", "items": self.describe_type(inner[0])}
        return dict(_PLAIN[kind]) if kind in _PLAIN else self.refer_to(kind)

    def _describe_union(self, kinds: Sequence[Any]) -> Schema:
        found = [self.describe_type(each) for each in kinds]
        if all(each.keys() == {"type"} for each in found):
            types = list(dict.fromkeys(each["type"] for each in found))
            return {"type": types if len(types) > 1 else types[0]}
        if len(found) == 2 and found[1] == {"type": "null"} and isinstance(found[0].get("type"), str):
            return found[0] | {"type": [found[0]["type"], "null"]}
        return {"oneOf": found}

    def refer_to(self, kind: type) -> Schema:
        """Return the reference to the schema of a class or an enumeration, and collect it."""
        name = kind.__name__.removeprefix(_OWN)
        assert self._kinds.setdefault(name, kind) is kind, f"two schemas have the name {name}"
        if name not in self.found:
            self.found[name] = {}  # it may refer to itself
            self.found[name] = (
                {"type": "string", "enum": [str(each) for each in kind]}
                if issubclass(kind, Enum)
                else self._describe_object(kind)
            )
        return {"$ref": _PLACE + name}

    def _describe_object(self, kind: type) -> Schema:
        fields, defaults = list_field_types(kind), {each.name: each.default for each in attrs.fields(kind)}
        asked = getattr(kind, "asked", False)
        required = [name for name in fields if not asked or defaults[name] is attrs.NOTHING]
        return {
            "type": "object",
            "properties": {name: self.describe_type(each) for name, each in fields.items()},
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }


# --- projecting -------------------------------------------------------------------------------------------------------

V = TypeVar("V")


@attrs.frozen
class At:
    """Stands beside the type of a field that the value of the hub has by another name."""

    path: str  #: attributes with dots between; "": the value itself. An attribute of None is None


@attrs.frozen
class Projected(Generic[V]):
    """An answer whose fields are those of a value of the hub: by the same name, or where `At` says."""

    @classmethod
    def project(cls, value: V, /, **said: Any) -> Self:
        """Return the answer about *value*. *said*: the fields that it has not as they are answered."""
        kinds = list_field_types(cls)  # type: ignore[arg-type]
        found = {
            name: _project_field(kind, _find_attribute(value, find_path(name, kind)))
            for name, kind in kinds.items()
            if name not in said
        }
        return cls(**found, **said)


def find_path(name: str, kind: Any) -> Sequence[str]:
    """Return the attributes that lead from a value to what the field *name* of the type *kind* is projected from."""
    path = next((each.path for each in getattr(kind, "__metadata__", ()) if isinstance(each, At)), name)
    return path.split(".") if path else ()


def _find_attribute(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = None if value is None else getattr(value, name)
    return value


def _project_field(kind: Any, found: Any) -> Any:
    """Return *found* as a field of the type *kind* has it: what is answered by a projection is projected."""
    origin, inner = get_origin(kind), get_args(kind)
    if found is None:
        return None
    if origin in {Annotated, Union, UnionType}:  # X | None
        return _project_field(inner[0], found)
    if origin is not None and issubclass(origin, Sequence):
        return [_project_field(inner[0], each) for each in found]
    return kind.project(found) if isinstance(kind, type) and issubclass(kind, Projected) else found


# --- writing ----------------------------------------------------------------------------------------------------------


def write_json(value: object, language: Language) -> bytes:
    """Return an attrs value as JSON in UTF-8. Times are ISO 8601 in UTC; sentences are in *language*."""
    return (json.dumps(make_plain(value, language), ensure_ascii=False) + "\n").encode("utf-8", "replace")


def make_plain(value: Any, language: Language) -> Any:
    """Return *value* as JSON has it."""
    match value:
        case Phrase() | SaidText():
            return translate(value, language)
        case Enum():
            return str(value.value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Decimal():
            return float(value)
        case str() | int() | float() | None:
            return value
    if attrs.has(type(value)):
        return {each.name: make_plain(getattr(value, each.name), language) for each in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): make_plain(each, language) for key, each in value.items()}
    return [make_plain(each, language) for each in value]


# --- reading ----------------------------------------------------------------------------------------------------------


def read_object(kind: type, said: object) -> Any:
    """Return the value of the class *kind* that the decoded JSON *said* is. Raises `JsonUnfit`.

    Knows texts, numbers, truth values, enumerations, and lists of them and of objects, which is all that a caller sends.
    """
    if not isinstance(said, dict):
        raise JsonUnfit("", phrase("must be an object"))
    kinds = list_field_types(kind)
    for name in said:
        if name not in kinds:
            raise JsonUnfit(str(name)[:100], phrase("is not known; the fields are {names}", names=", ".join(kinds)))
    for each in attrs.fields(kind):
        if each.default is attrs.NOTHING and each.name not in said:
            raise JsonUnfit(each.name, phrase("is missing"))
    return kind(**{name: _read_value(name, kinds[name], each) for name, each in said.items()})


def _read_value(name: str, kind: Any, said: object, *, long: bool = False) -> object:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _read_value(name, inner[0], said, long=LONG in inner)
    if long and isinstance(said, str):
        return said
    if origin in {Union, UnionType}:
        return None if said is None else _read_value(name, inner[0], said)
    if origin is not None:
        if not isinstance(said, list) or (len(said) > LISTED and not long):
            raise JsonUnfit(name, phrase("must be a list of at most {count}", count=LISTED))
        return tuple(_read_value(f"{name}[{place}]", inner[0], each) for place, each in enumerate(said))
    if attrs.has(kind):
        try:
            return read_object(kind, said)
        except JsonUnfit as unfit:
            raise JsonUnfit(f"{name}.{unfit.name}".rstrip("."), unfit.why) from None
    return _read_plain(name, kind, said)


#: Elements of a list that a caller sends, at most; letters of a text.
LISTED, LETTERS = 200, 2000
#: The largest number that is no whole one; its doubles still tell two decimals apart.
LARGEST = 10**13


def _read_plain(name: str, kind: type, said: object) -> object:
    if issubclass(kind, StrEnum):
        if said not in {*kind}:
            raise JsonUnfit(name, phrase("must be one of {names}", names=", ".join(kind)))
        return kind(str(said))
    if kind is bool and not isinstance(said, bool):
        raise JsonUnfit(name, phrase("must be true or false"))
    if kind is int and (not isinstance(said, int) or isinstance(said, bool)):
        raise JsonUnfit(name, phrase("must be a whole number"))
    if kind is float:
        if isinstance(said, bool) or not isinstance(said, int | float) or not -LARGEST <= said <= LARGEST:
            raise JsonUnfit(name, phrase("must be a number"))
        return said
    if kind is str and (not isinstance(said, str) or len(said) > LETTERS):
        raise JsonUnfit(name, phrase("must be a text of at most {count} letters", count=LETTERS))
    return said
