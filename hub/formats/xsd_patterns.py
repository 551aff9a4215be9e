"""Matches a text with a pattern of a schema by libxml2, which gives up after a bounded number of steps.

Python's `re`, which xmlschema uses, would need ages for `(a+)+` and forty letters, and no other thread of the process
would run in the meantime. Knows no schema.
"""

import re
import threading

import attrs
from lxml import etree

from hub.formats.xsd_schemas import XSD


@attrs.define(eq=False)
class PatternMatcher:
    """The pattern *written*, as XSD 1.0 part 2, F, writes it."""

    written: str
    _lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    _schema: etree.XMLSchema | None = attrs.field(init=False, default=None)

    def match(self, text: str) -> bool | None:
        """Return True if all of *text* has the form, or else None, as `re` does. One that libxml2 gives up has not.

        Takes 0.3 s of CPU at most.
        """
        element = etree.Element("value")
        element.text = text
        with self._lock:  # the errors of libxml2 belong to the schema
            if self._schema is None:
                self._schema = _compile_pattern(self.written)
            try:
                return True if self._schema.validate(element) else None
            except etree.XMLSchemaValidateError:
                return None


#: Letters of a text by which a pattern is tried: an ambiguous one doubles its steps with each or with every other.
_TRIED = 60
_USUAL = ("a", "A", "0", " ", ".", "-")
#: A character that hardly any pattern allows: so that all ways to divide the text before it are tried.
_END = "\ufffc"


def is_too_hard(pattern: str) -> bool:
    """Tell whether libxml2 gives up *pattern* for a short text of the letters that stand in it, such as `(a|aa)+`.

    False proves nothing: other texts were not tried. Takes 0.3 s of CPU if it is, else some thousandths of a second.
    """
    letters = dict.fromkeys((*_USUAL, *re.findall(r"\w", pattern)[:20], *re.findall(r"\w{2,}", pattern)[:10]))
    schema = _compile_pattern(pattern)
    element = etree.Element("value")
    for each in letters:
        element.text = (each * _TRIED)[:_TRIED] + _END
        try:
            _ = schema.validate(element)
        except etree.XMLSchemaValidateError:
            return True
    return False


def _compile_pattern(pattern: str) -> etree.XMLSchema:
    schema = etree.Element(f"{{{XSD}}}schema", nsmap={"xs": XSD})
    value = etree.SubElement(schema, f"{{{XSD}}}element", name="value")
    restriction = etree.SubElement(etree.SubElement(value, f"{{{XSD}}}simpleType"), f"{{{XSD}}}restriction")
    restriction.set("base", "xs:string")
    _ = etree.SubElement(restriction, f"{{{XSD}}}pattern", value=pattern)
    return etree.XMLSchema(schema)
