"""What the API answers is projected from values of the hub: each field is one of the value's, or is given beside it."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

from hub.api.schemas import At, Projected, SchemaCollection, find_path, list_field_types
from hub.api.table import OPERATIONS
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.workload.report_sources import ReportSources


@attrs.frozen
class _Inner:
    name: str
    at: datetime


@attrs.frozen
class _Value:
    id: str
    inner: _Inner | None
    others: tuple[_Inner, ...]


@attrs.frozen(kw_only=True)
class _ApiInner(Projected[_Inner]):
    name: str


@attrs.frozen(kw_only=True)
class _ApiValue(Projected[_Value]):
    id: Annotated[str, phrase("the hub's id")]
    at: Annotated[datetime | None, At("inner.at"), phrase("none yet: null")]
    first: Annotated[_ApiInner | None, At("inner")]
    others: Sequence[_ApiInner]
    whole: bool


def test_an_answer_is_projected_from_a_value_and_so_is_what_it_contains():
    inner = _Inner("a", datetime(2026, 12, 3, tzinfo=UTC))
    assert _ApiValue.project(_Value("1", inner, (inner,)), whole=True) == _ApiValue(
        id="1", at=inner.at, first=_ApiInner(name="a"), others=[_ApiInner(name="a")], whole=True
    )
    none = _ApiValue.project(_Value("1", None, ()), whole=False)
    assert (none.at, none.first, none.others) == (None, None, [])


def test_where_a_field_comes_from_is_no_part_of_its_description():
    schemas = SchemaCollection(Language.EN)
    schemas.refer_to(_ApiInner)
    described = schemas.describe_type(list_field_types(_ApiValue)["at"])
    assert described == {"type": ["string", "null"], "format": "date-time", "description": "none yet: null"}


def projections() -> set[type]:
    """Return every class of the API that is projected."""
    assert OPERATIONS  # so every module of the API is imported
    found = [
        each for name, module in sys.modules.items() if name.startswith("hub.api.") for each in vars(module).values()
    ]
    return {each for each in found if isinstance(each, type) and issubclass(each, Projected)} - {Projected}


def _name(kind: Any) -> str:
    return str(kind.__name__)


def source_of(kind: type) -> type:
    """Return the class of the values that *kind* is projected from."""
    (base,) = (each for each in kind.__orig_bases__ if get_origin(each) is Projected)  # type: ignore[attr-defined]
    source: type = get_args(base)[0]
    return source


def bare(kind: Any) -> Any:
    """Return a type without what is said beside it, and without None."""
    if get_origin(kind) is Annotated:
        return bare(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        (kind, *more) = (each for each in get_args(kind) if each is not NoneType)
        return Union[kind, *more] if more else bare(kind)
    return kind


def attribute(kind: Any, name: str) -> Any:
    """Return the type of the attribute or property *name* of a class; raises AttributeError."""
    kinds = [each for each in get_args(kind) if hasattr(each, name)] if get_origin(kind) is Union else [kind]
    if name in (hints := get_type_hints(kinds[0], localns={"ReportSources": ReportSources})):
        return bare(hints[name])
    return bare(get_type_hints(getattr(kinds[0], name).fget)["return"])


@pytest.mark.parametrize("kind", sorted(projections(), key=_name), ids=_name)
def test_each_field_of_an_answer_is_one_of_the_value_it_is_projected_from(kind):
    whole = not {"of", "project"} & set(vars(kind))
    for name, answered in list_field_types(kind).items():
        found: Any = source_of(kind)
        try:
            for each in find_path(name, answered):
                found = attribute(found, each)
        except AttributeError:
            marked = [*find_path(name, answered)] != [name]
            assert not marked, f"{kind.__name__}.{name} is not where it is said to be"
            assert not whole or name in _GIVEN.get(kind.__name__, ()), f"{kind.__name__}.{name} is nowhere"
            continue
        element, inside = bare(answered), found
        if isinstance(get_origin(element), type) and issubclass(get_origin(element), Sequence):
            element, inside = get_args(element)[0], get_args(found)[0]
        if isinstance(element, type) and issubclass(element, Projected):
            assert "of" in vars(kind) or source_of(element) is inside, f"{kind.__name__}.{name}"


#: Fields that who makes the answer gives.
_GIVEN = {
    "ApiDifference": {"part"},
    "ApiCountedFact": {"message_id", "code", "subject"},
    "ApiIntegrationStep": {"name", "do"},
}
