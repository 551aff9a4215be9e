"""Finds the published XSDs and compiles each once per thread. Knows lxml. Does not know what a schema describes.

The sources are `wsdl/` and `xsd/`. In a wheel they are in `hub/_data`.
"""

import threading
from functools import cache
from pathlib import Path

from lxml import etree


class _Compiled(threading.local):
    """The compiled schemas of one thread.

    lxml keeps one error log per schema, and no thread must wait for another's large document.
    """

    def __init__(self) -> None:
        self.schemas: dict[Path, etree.XMLSchema] = {}


_COMPILED = _Compiled()


@cache
def find_schema_root() -> Path:
    """Return the folder that contains `wsdl/` and `xsd/`: `hub/_data` in a wheel, otherwise the checkout."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "_data"
    return packed if (packed / "wsdl").is_dir() else package.parent


def parse_schema_file(path: Path) -> etree._Element:
    """Parse a published WSDL or XSD file. Raises OSError or etree.LxmlError if it is missing or broken."""
    return etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)).getroot()


def compile_schema(path: Path) -> etree.XMLSchema:
    """Return this thread's compiled schema of *path*.

    Raises OSError or etree.LxmlError if the file is missing or broken.
    """
    schema = _COMPILED.schemas.get(path)
    if schema is None:
        schema = _COMPILED.schemas[path] = etree.XMLSchema(parse_schema_file(path))
    return schema
