"""Gathers the files that a schema consists of: itself, and all that it includes, imports or redefines.

Knows where XML Schema names other files. Does not know what a schema describes. Files may come from whoever uploads a
schema: nothing but the given folder or mapping is read, no DTD is allowed, and number, size and depth are bounded. What
was gathered here may be compiled by libraries that follow such names, because each of them is one of the files.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lxml import etree

from hub.domain.errors import ConfigurationFault, Mistake, Rejected
from hub.formats.safe_xml import Limits, parse_safe_xml
from hub.formats.xsd_schemas import NAMING, XSD
from hub.language.phrases import Phrase, phrase

#: The most files of one schema, and the most octets of all together.
FILES, OCTETS = 100, 2 << 20
_LIMITS = Limits(size=OCTETS, nodes=100_000)
#: A name that every library understands alike: no scheme, host, query, fragment or escape.
_PLAIN = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


def gather_schema_files(main: str, read: Callable[[str], bytes]) -> dict[str, bytes]:
    """Return the file *main* and all that it needs, by their paths in the folder, *main* first.

    *read* returns the content of a path such as `observed/parts.xsd`, and raises OSError or KeyError if there is no such
    file. Raises ConfigurationFault; for *main* what *read* raises.
    """
    files = {main: read(main)}
    todo = [main]
    while todo:
        path = todo.pop()
        for named, found in list_named_files(path, parse_schema(path, files[path])):
            if found in files:
                continue
            try:
                files[found] = read(found)
            except (OSError, KeyError):
                raise _make_outside_fault(path, named) from None
            todo.append(found)
            if len(files) > FILES or sum(map(len, files.values())) > OCTETS:
                wrong = phrase(
                    "{file} needs more than {files} files or {most} KiB.", file=main, files=FILES, most=OCTETS >> 10
                )
                raise ConfigurationFault([Mistake(main, wrong, phrase("a smaller schema"))])
    return files


def gather_schema_folder(main: Path, folder: Path | None = None) -> dict[str, bytes]:
    """Return the file *main* and all that it needs, by their paths in *folder*; None: in the folder of *main*.

    Raises ConfigurationFault; OSError if *main* cannot be read.
    """
    root = (folder or main.parent).resolve()

    def read(path: str) -> bytes:
        file = (root / path).resolve()
        if not file.is_relative_to(root):  # by a symbolic link
            raise FileNotFoundError(path)
        with file.open("rb") as opened:
            return opened.read(OCTETS + 1)

    return gather_schema_files(main.resolve().relative_to(root).as_posix(), read)


def require_closed_schemas(files: Mapping[str, bytes]) -> None:
    """Check that each of *files* is a schema and names only others of them. Raises ConfigurationFault."""
    for path, content in files.items():
        for named, found in list_named_files(path, parse_schema(path, content)):
            if found not in files:
                raise _make_outside_fault(path, named)


def parse_schema(path: str, content: bytes) -> etree._Element:
    """Return the root of the schema *content* of the file *path*. Raises ConfigurationFault."""
    try:
        root = parse_safe_xml(content, limits=_LIMITS)
    except Rejected as rejected:
        detail = rejected.problems[0].detail
        wrong = phrase("{file} cannot be read: {error}", file=path, error=detail)
        raise _make_fault(path, wrong, phrase("well-formed XML without a DTD")) from None
    if root.tag != f"{{{XSD}}}schema":
        raise _make_fault(path, phrase("{file} is no XML Schema.", file=path), phrase("an xs:schema"))
    return root


def list_named_files(path: str, root: etree._Element) -> Iterator[tuple[etree._Element, str]]:
    """Yield each element under the *root* of the file *path* that names another file, and the path of that.

    Raises ConfigurationFault for a name that leads out of the folder.
    """
    for each in root.iterchildren(*NAMING):
        named = each.get("schemaLocation")
        if named is None:
            continue
        found = posixpath.normpath(posixpath.join(posixpath.dirname(path), named.strip()))
        if not _PLAIN.fullmatch(named.strip()) or found.startswith("../") or found == "..":
            raise _make_outside_fault(path, each)
        yield each, found


def _make_outside_fault(path: str, element: etree._Element) -> ConfigurationFault:
    named = repr((element.get("schemaLocation") or "")[:100])
    wrong = phrase("{file} names {named}, which is not beside it.", file=path, named=named)
    return _make_fault(path, wrong, phrase("only files of the same folder"))


def _make_fault(path: str, wrong: Phrase, expected: Phrase) -> ConfigurationFault:
    return ConfigurationFault([Mistake(path, wrong, expected)])
