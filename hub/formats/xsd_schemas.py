"""The published XSDs: where they lie, each compiled once in each thread.  Knows lxml; not what a schema describes.

`wsdl/` and `xsd/` are the source; in a wheel they lie in `hub/_data`.
"""

import threading
from functools import cache
from pathlib import Path

from lxml import etree


class _Compiled(threading.local):
    """The schemas of one thread: lxml keeps one error log a schema, and nobody shall wait for another's large document."""

    def __init__(self) -> None:
        self.schemas: dict[Path, etree.XMLSchema] = {}


_COMPILED = _Compiled()


@cache
def find_schema_root() -> Path:
    """Return the folder that holds `wsdl/` and `xsd/`: `hub/_data` of a wheel, else the checkout."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "_data"
    return packed if (packed / "wsdl").is_dir() else package.parent


def parse_schema_file(path: Path) -> etree._Element:
    """Read a published file, WSDL or XSD.  OSError or etree.LxmlError when it is missing or broken."""
    return etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)).getroot()


def compile_schema(path: Path) -> etree.XMLSchema:
    """Return the schema at *path*, this thread's own.  OSError or etree.LxmlError when it is missing or broken."""
    schema = _COMPILED.schemas.get(path)
    if schema is None:
        schema = _COMPILED.schemas[path] = etree.XMLSchema(parse_schema_file(path))
    return schema
