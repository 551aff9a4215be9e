"""Finds the published XSDs and compiles each once per thread. Knows lxml. Does not know what a schema describes.

The sources are `wsdl/` and `xsd/`. In a wheel they are in `hub/_data`. A schema of the configuration is held in memory
(`SchemaFiles`), because its files may change while it is in force.
"""

import re
import threading
from functools import cache
from pathlib import Path
from typing import Any

import attrs
from lxml import etree

XSD = "http://www.w3.org/2001/XMLSchema"
#: The elements by which one file of a schema names another.
NAMING = tuple(f"{{{XSD}}}{name}" for name in ("include", "import", "redefine", "override"))
#: The base of the names of files that are held in memory. No address begins so.
MEMORY = "mem:///"
#: Maximum schemas of `SchemaFiles` that one thread keeps compiled: those of the configurations of some reloads.
_KEPT = 64
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


@attrs.frozen
class SchemaFiles:
    """A schema with all the files that it consists of, in memory."""

    main: str  #: the name of the file that names the others
    files: tuple[tuple[str, bytes], ...] = attrs.field(repr=False)  #: name and octets, by name

    def read(self, name: str) -> bytes:
        """Return the octets of the file *name*. Raises KeyError if there is none."""
        return dict(self.files)[name]


#: Where a schema comes from: a published file, or files in memory.
SchemaSource = Path | SchemaFiles


class _Compiled(threading.local):
    """The compiled schemas of one thread.

    lxml keeps one error log per schema, and no thread must wait for another's large document.
    """

    def __init__(self) -> None:
        self.schemas: dict[SchemaSource, etree.XMLSchema] = {}


_COMPILED = _Compiled()


class _Resolver(etree.Resolver):
    """Finds the files that a schema in memory names, and nothing else: no other file, and no network."""

    def __init__(self, schema: SchemaFiles) -> None:
        self._files = dict(schema.files)

    def resolve(self, system_url: str, _public_id: str, context: Any) -> Any:  # type: ignore[override]  # as lxml calls it
        """Return the file that *system_url* names. Raises OSError if there is none."""
        found = self._files.get(system_url.removeprefix(MEMORY))
        if found is None:
            raise OSError(f"{system_url}: not one of the files of the schema")
        return self.resolve_string(found, context, base_url=system_url)


@cache
def find_schema_root() -> Path:
    """Return the folder that contains `wsdl/` and `xsd/`: `hub/_data` in a wheel, otherwise the checkout."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "_data"
    return packed if (packed / "wsdl").is_dir() else package.parent


def parse_schema_file(path: Path) -> etree._Element:
    """Parse a published WSDL or XSD file. Raises OSError or etree.LxmlError if it is missing or broken."""
    return etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)).getroot()


def parse_schema_text(content: bytes) -> etree._Element:
    """Parse the octets of a file of a schema. Raises etree.LxmlError if they are not XML, or have a DOCTYPE."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    root = etree.fromstring(content, parser)
    information: Any = root.getroottree().docinfo
    if information.doctype:
        raise etree.LxmlError("a DOCTYPE is not allowed")
    return root


def is_file_name(name: str) -> bool:
    """Tell whether *name* may be that of a file of `SchemaFiles`: letters, digits and `._-`, without a folder."""
    return _FILE_NAME.fullmatch(name) is not None


def compile_schema(source: SchemaSource) -> etree.XMLSchema:
    """Return this thread's compiled schema of *source*.

    Raises OSError or etree.LxmlError if the file is missing or broken.
    """
    schema = _COMPILED.schemas.get(source)
    if schema is None:
        kept = [each for each in _COMPILED.schemas if isinstance(each, SchemaFiles)]
        if isinstance(source, SchemaFiles) and len(kept) >= _KEPT:
            del _COMPILED.schemas[kept[0]]
        schema = _COMPILED.schemas[source] = etree.XMLSchema(_parse_source(source))
    return schema


def _parse_source(source: SchemaSource) -> etree._Element:
    if isinstance(source, Path):
        return parse_schema_file(source)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    parser.resolvers.add(_Resolver(source))
    return etree.fromstring(source.read(source.main), parser, base_url=MEMORY + source.main)
