"""Holds what is to be written into the elements of a partner's call, by path, before any schema has seen it.

Knows names, numbers and values. Does not know WSDL, nor where the values come from.
"""

from collections.abc import Sequence

import attrs

from hub.language.phrases import Phrase
from hub.partner.mapping_values import Found, Step

#: Steps that end a path: the text of the element, and the content of its wildcard.
TEXT, ANY = ".", "*"


class Misplaced(ValueError):
    """A path that the schema does not have, with the element where it ends and what is there."""

    def __init__(self, wrong: Phrase, expected: Phrase) -> None:
        super().__init__(f"{wrong}; {expected}")
        self.wrong, self.expected = wrong, expected


@attrs.define
class CallNode:
    """What is to be written into one element: a value, and children and attributes by name."""

    value: Found | None = None
    given: bool = False  #: the element is to be there, even if `value` is None
    children: dict[str, dict[int, "CallNode"]] = attrs.field(factory=dict)  #: by name and number, from 1
    attributes: dict[str, Found | None] = attrs.field(factory=dict)

    def put(self, path: Sequence[Step], value: Found | None) -> None:
        """Put *value* at *path*. What is at a path that ends in `*` must be an element."""
        node = self
        for step in path:
            if step.name.startswith("@"):
                node.attributes[step.name] = value
                return
            if step.name == TEXT:
                break
            node = node.children.setdefault(step.name, {}).setdefault(step.number or 1, CallNode())
        node.value, node.given = value, True

    def find(self, path: Sequence[Step]) -> "CallNode":
        """Return the node at *path*, which is made if there is none."""
        node = self
        for step in path:
            node = node.children.setdefault(step.name, {}).setdefault(step.number or 1, CallNode())
        return node

    def is_empty(self) -> bool:
        """Tell whether there is nothing to write: no value here and none below."""
        return (
            self.value is None
            and all(each is None for each in self.attributes.values())
            and all(each.is_empty() for named in self.children.values() for each in named.values())
        )


@attrs.frozen
class PartnerField:
    """One value that an operation takes: a leaf of the schema, or an attribute."""

    path: str
    type: str  #: local name of the type; of an unnamed one, of the type that it restricts
    required: bool
