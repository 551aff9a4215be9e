"""The services beside documents: what facts each may bring, and how a message of it is read into facts.

Each service is a file or a folder of this package that defines `SERVICE`. A service that only one partner dialect uses
may stand in that adapter's folder, as `service.py`. `list_services` discovers all of them; there is no list to edit.
Services that an XSD and TOML define (`hub.services.defined`) belong to the configuration: those of the operator, and
those of `hub/services/shipped`.

Knows no transport. A message has the same octets whether it came by SOAP, was collected from a partner or was written
by the hub, and only the service's `read` function reads them.
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

#: The package for services that the configuration defines. They are those of one configuration (`Config.services`).
_DEFINED = "defined"

#: Reads a message. Parameters: its exact octets, the time of its arrival, the hub's id of it. Raises Rejected with
#: every problem.
Read = Callable[[bytes, datetime, str], Record]


@attrs.frozen(kw_only=True)
class Service:
    """One service: its name, its reader and what its facts may contain."""

    name: str
    read: Read
    milestones: frozenset[str]  #: the milestones its facts may have
    attributes: frozenset[str] = frozenset()  #: names of the attributes its facts may have
    #: the operations of its SOAP contract whose calls `read` reads, or the service answers; none: no partner calls it
    operations: frozenset[str] = frozenset()
    queries: frozenset[str] = (
        frozenset()
    )  #: the operations of its SOAP contract that only query (answered in `hub.web.endpoints`)
    #: the kinds of its messages that the hub delivers to no other system
    undelivered_kinds: frozenset[str] = frozenset()
    #: the operations that a partner may call only if its `calls` names them, or the service
    operations_by_name: frozenset[str] = frozenset()
    #: Its messages only report figures about units. A partner with the policy `tells` may send them about any unit.
    may_report_any_unit: bool = False
    #: No partner sends its messages. The hub writes them, or finds them in the packets of `documents`.
    internal: bool = False
    synced: str = ""  #: milestone for each key of a message when it has been delivered to another system; empty: none


@attrs.frozen
class CountableFacts:
    """What a form of report can name of the facts of one service."""

    service: str
    milestones: frozenset[str]
    attributes: frozenset[str]


@cache
def list_services() -> Mapping[str, Service]:
    """Return every service that the hub has by itself, by name. `Config.every_service` has those it defines, too."""
    found = [
        import_module(name).SERVICE
        for name in (*_list_own_modules(), *(f"{name}.service" for name, _ in list_adapter_services()))
    ]
    return {service.name: service for service in sorted(found, key=lambda each: each.name)}


def is_internal_service(name: str) -> bool:
    """Tell whether only the hub itself writes the messages of the service *name*."""
    found = list_services().get(name)
    return found is not None and found.internal


def list_adapter_services() -> Iterator[tuple[str, Path]]:
    """Yield the module name and the folder of each adapter that has its own service.

    The folder may also hold the service's forms.
    """
    package = find_spec("adapters")
    for place in () if package is None else package.submodule_search_locations or ():
        for path in sorted(Path(place).glob("*/service.py")):
            yield f"adapters.{path.parent.name}", path.parent


def _list_own_modules() -> Iterator[str]:
    return (f"{__name__}.{each.name}" for each in iter_modules(__path__) if each.name != _DEFINED)
