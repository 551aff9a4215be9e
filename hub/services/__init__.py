"""The services beside documents whose messages bring results: what their facts may be, and how a message is read.

A file or folder a service, each with a `SERVICE`; one that only one dialect speaks of may stand in that adapter's folder, as
`service.py`.  A new one is found by being there.  Knows no transport: whether a message came by SOAP, was collected or was written by
the hub itself, its content is the same octets, and they are read here and nowhere else.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import attrs

from hub.domain.model import Record

#: Reads a message: its exact octets, when it came, and the hub's id of it.  Raises Rejected with every problem.
Read = Callable[[bytes, datetime, str], Record]


@attrs.frozen(kw_only=True)
class Service:
    """One service."""

    name: str
    read: Read
    milestones: frozenset[str]  #: of its facts
    attributes: frozenset[str] = frozenset()  #: names of the attributes its facts may have
    ours: frozenset[str] = frozenset()  #: the kinds of its messages that go to no other system
    telling: bool = (
        False  #: its messages only report figures about units: who may tell of any unit (`tells`) may bring them
    )
    internal: bool = (
        False  #: no partner brings its messages: the hub writes them, or reads them in the packets of `documents`
    )
    synced: str = ""  #: the milestone of each key of a message that was delivered to another system; empty: none


@cache
def list_services() -> Mapping[str, Service]:
    """Return every service, by name."""
    found = [import_module(name).SERVICE for name in (*_here(), *(f"{name}.service" for name, _ in of_adapters()))]
    return {service.name: service for service in sorted(found, key=lambda each: each.name)}


def of_adapters() -> Iterator[tuple[str, Path]]:
    """Give each adapter that has a service of its own: its module's name, and its folder, where the service's forms may be too."""
    package = find_spec("adapters")
    for place in () if package is None else package.submodule_search_locations or ():
        for path in sorted(Path(place).glob("*/service.py")):
            yield f"adapters.{path.parent.name}", path.parent


def _here() -> Iterator[str]:
    return (f"{__name__}.{each.name}" for each in iter_modules(__path__))
