"""Makes a sample of a contract's element: the required children in their order, with values of their types. Pure.

Knows the model of a schema. Does not sign, and does not know which values make sense together; a caller names those
that must.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping

import attrs
from lxml import etree

from hub.formats.models.xsd_model import INTEGERS, GroupKind, ModelElement, ModelGroup, ModelValue, SchemaModel
from hub.soap.wsdl import Contract

#: A value of each built-in type that is no text.
_VALUES = {
    "boolean": "true",
    "date": "2026-11-24",
    "dateTime": "2026-11-24T01:00:00Z",
    "time": "01:00:00Z",
    "duration": "P1D",
    "anyURI": "urn:sample",
    "base64Binary": b64encode("mẫu".encode()).decode("ascii"),
    "hexBinary": "00",
}
_NUMBERS = INTEGERS | {"decimal", "float", "double"}
_TEXT = "mẫu"
#: What a pattern of the contracts allows: a moment, a hash, a day, a month.
_PATTERNED = ("20261124080000", "0" * 64, "2026-11-24", "2026-11", "2026", "1")
#: Deeper elements are left out, which would be a mistake of the contract.
_DEEPEST = 12


@attrs.frozen(eq=False)
class SampleWriter:
    """Writes samples of one contract."""

    _namespace: str
    _model: SchemaModel
    _values: Mapping[str, str]  #: by the name of the element; an optional one is written if it is named here

    @classmethod
    def of(cls, contract: Contract, values: Mapping[str, str]) -> "SampleWriter":
        """Return the writer of *contract*. *values* are those of some elements."""
        return cls(contract.namespace, contract.model, values)

    def write(self, name: str) -> etree._Element:
        """Return a sample of the global element *name*. Raises KeyError if the contract has none."""
        return self.write_element(f"{{{self._namespace}}}{name}")

    def write_element(self, tag: str) -> etree._Element:
        """Return a sample of the global element *tag*, a Clark name. Raises KeyError if the contract has none."""
        return self._element(self._model.elements[tag], 0)

    def _element(self, declared: ModelElement, depth: int) -> etree._Element:
        made = etree.Element(declared.tag, nsmap={None: declared.namespace})  # type: ignore[dict-item]
        kind = self._model.type_of(declared)
        for attribute in kind.attributes:
            if attribute.needed:
                made.set(attribute.name, attribute.fixed or _choose_value(attribute.value))
        if kind.value is not None:
            made.text = self._values.get(declared.name) or declared.fixed or _choose_value(kind.value)
        elif kind.group is not None and depth < _DEEPEST:
            made.extend(self._element(each, depth + 1) for each in self._list_children(kind.group))
        return made

    def _list_children(self, group: ModelGroup) -> Iterator[ModelElement]:
        """Yield the elements of *group* that a sample has; of a choice the first one."""
        for each in group.items:
            if isinstance(each, ModelGroup) and each.least:
                yield from self._list_children(each)
            elif isinstance(each, ModelElement) and (each.least or each.name in self._values):
                yield each
            else:
                continue
            if group.kind is GroupKind.CHOICE:
                return


def _choose_value(value: ModelValue) -> str:
    if value.choices:
        return value.choices[0].value
    if value.patterns:
        return next((each for each in _PATTERNED if _fits_patterns(each, value)), _TEXT)
    if value.builtin in _NUMBERS:
        return value.min_inclusive if value.min_inclusive not in {None, "0"} else "1"
    return _VALUES.get(value.builtin) or _TEXT[: value.most].ljust(value.least, "u")


def _fits_patterns(text: str, value: ModelValue) -> bool:
    """Tell whether *text* matches the patterns, as far as Python reads them as XSD does."""
    try:
        return all(any(re.fullmatch(each, text) for each in group) for group in value.patterns)
    except re.error:
        return False
