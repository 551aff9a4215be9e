"""Validates an element against the schemas of a WSDL, in memory. Knows libxml2's words for what is wrong, and no others."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import attrs
from lxml import etree

from hub.soap.wsdl_fields import collect_schemas

_BASE = "wsdl-schemas:///"
#: Mistakes that are returned.
_MOST = 5


class _SchemaResolver(etree.Resolver):
    """Finds the schemas among *files*; libxml2 asks for nothing else."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._files = files

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]
        content = self._files.get(system_url.removeprefix(_BASE))
        return self.resolve_string(content or b"<absent/>", context, base_url=system_url)


@attrs.frozen
class SchemaFlaw:
    """Why an element does not conform."""

    name: str  #: local name of the flawed element
    said: str  #: its path, and what libxml2 says


def find_schema_flaws(files: Mapping[str, bytes], element: etree._Element) -> list[SchemaFlaw]:
    """Return why *element* does not conform to the schemas of the WSDL whose files are *files*; at most five reasons.

    Empty too if the schemas declare no such element, as for rpc, or if libxml2 cannot read them: others can, and did.
    """
    schemas = collect_schemas(files)
    if not schemas:
        return []
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    parser.resolvers.add(_SchemaResolver(schemas))
    main = next(iter(schemas))
    try:
        schema = etree.XMLSchema(etree.fromstring(schemas[main], parser, base_url=f"{_BASE}{main}"))
    except etree.LxmlError:
        return []
    try:
        if schema.validate(element):
            return []
    except etree.XMLSchemaValidateError:  # a pattern that libxml2 gave up: others may match it
        return []
    errors = list(cast("Iterable[Any]", schema.error_log))
    if any("No matching global declaration" in each.message for each in errors):
        return []
    return [_read_schema_flaw(each.path or "", each.message) for each in errors][:_MOST]


def _read_schema_flaw(path: str, message: str) -> SchemaFlaw:
    name = re.sub(r"\[[0-9]+\]$", "", path.rpartition("/")[2]).rpartition(":")[2]
    return SchemaFlaw(name, f"{path}: {message}")
