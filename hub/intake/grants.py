"""Decides which services and operations a partner may call: those its file grants, or the defaults for its kind.

Does not decide for which units (see `hub.units.routing`), and does not know how a call arrived.
"""

from collections.abc import Iterable, Mapping
from functools import cache

from hub.config import Config, Partner
from hub.domain.errors import CallRefused
from hub.domain.model import DOCUMENTS, Problem
from hub.services import list_services
from hub.services.defined import load_defined_contract
from hub.services.lookups import operations as lookups_operations
from hub.soap import wsdl
from hub.soap.wsdl import Contract

#: Granted only by name: these services query national registers about persons and enterprises, or order something
#: there.
BY_NAME = frozenset({lookups_operations.NAME})
#: Allowed for every partner: the operation tells the caller only what it may do itself.
OPEN = frozenset({f"{DOCUMENTS}.CheckPermission"})
#: What a new partner may call if nobody says otherwise.
NEW_CALLS = (DOCUMENTS,)
#: A collected packet counts as sent by this operation.
SEND = "SendDocument"


class NotGranted(CallRefused):
    """A validly signed call of an operation that its partner may not call."""

    def __init__(self, partner: str, service: str, operation: str) -> None:
        super().__init__(refuse_ungranted(service, operation))
        self.partner, self.operation = partner, operation


def require_granted(partner: Partner, config: Config, service: str, operation: str) -> None:
    """Raise `NotGranted` if *partner* may not call *operation* of *service* by SOAP."""
    if not is_granted(partner, config, service, operation):
        raise NotGranted(partner.code, service, operation)


def is_granted(partner: Partner, config: Config, service: str, operation: str = "", *, collected: bool = False) -> bool:
    """Tell whether *partner* may call *operation* of *service*.

    Without an operation: whether it may send messages of *service* in another way than SOAP. *collected*: the hub
    collected the message from the partner, by its policy `collect`. *config* says which partner is upstream, and which
    services there are. Units are not checked here.
    """
    name = f"{service}.{operation}"
    if name in OPEN:
        return True
    if partner.calls is not None:
        return service in partner.calls or name in partner.calls
    if service in BY_NAME or _is_by_name(config, service, operation):
        return False
    if partner.units or (collected and partner.policy.collect is not None):
        return True
    if partner.code == config.upstream and service == DOCUMENTS:
        return True
    return partner.tells and is_telling(config, service)


def _is_by_name(config: Config, service: str, operation: str) -> bool:
    """Tell whether *operation* is granted only by name. Without an operation: whether one of *service* is."""
    found = config.every_service.get(service)
    named = frozenset[str]() if found is None else found.operations_by_name
    return operation in named if operation else bool(named)


def is_telling(config: Config, service: str) -> bool:
    """Tell whether messages of *service* only report figures about units, so a partner with `tells` may send them."""
    found = config.every_service.get(service)
    return found is not None and found.may_report_any_unit


def refuse_ungranted(service: str, operation: str = "") -> Problem:
    """Return the problem of a call that is not granted. Its detail is the name to put in `calls`."""
    return Problem("call-not-granted", f"{service}.{operation}" if operation else service)


def list_granted(partner: Partner, config: Config) -> tuple[str, ...]:
    """Return what *partner* may call or send, as names for `calls`."""
    if partner.calls is not None:
        return partner.calls
    found = list[str]()
    for service, operations in list_grantable_operations(config).items():
        if is_granted(partner, config, service, collected=True):
            found.append(service)
        elif service not in BY_NAME:
            allowed = (each for each in operations if is_granted(partner, config, service, each, collected=True))
            found += (name for each in allowed if (name := f"{service}.{each}") not in OPEN)
    return tuple(found)


def propose_grants(done: Iterable[tuple[str, str]], config: Config) -> tuple[str, ...]:
    """Return the names that `calls` needs for what a partner has *done*: service and kind of each accepted message.

    Lookups are named by operation. Any other service is named as a whole, because queries leave no trace in the
    journal.
    """
    known = list_grantable_services(config)
    operations = {rule.milestone: name for name, rule in lookups_operations.OPERATIONS.items()}
    names = {
        f"{service}.{operations[kind]}" if service in BY_NAME and kind in operations else service
        for service, kind in done
        if service in known
    }
    return tuple(sorted(names))


def list_grantable_services(config: Config) -> tuple[str, ...]:
    """Return every service that `calls` may name."""
    return tuple(sorted([DOCUMENTS, *(name for name, each in config.every_service.items() if not each.internal)]))


def list_grantable_operations(config: Config) -> Mapping[str, tuple[str, ...]]:
    """Return every service that `calls` may name, with its operations; none for a service without a SOAP contract."""
    own = {name: tuple(rule.operation for rule in each.messages) for name, each in config.services.items()}
    return dict(sorted({**_list_own_operations(), **own}.items()))


@cache
def _list_own_operations() -> Mapping[str, tuple[str, ...]]:
    """Return the services that the hub has by itself, with their operations."""
    found = {}
    for name in [DOCUMENTS, *(name for name, service in list_services().items() if not service.internal)]:
        known = wsdl.load_contract(name).operations.values() if wsdl.is_published_contract(name) else ()
        found[name] = tuple(operation.name for operation in known)
    return found


def list_grant_names(config: Config) -> tuple[str, ...]:
    """Return every name that `calls` may contain."""
    every = list_grantable_operations(config).items()
    return tuple(
        name for service, operations in every for name in (service, *(f"{service}.{each}" for each in operations))
    )


def load_service_contract(config: Config, name: str, edition: str = "") -> Contract:
    """Return the contract of the service *name*, which has one, in this *edition*; empty: the main one.

    Raises KeyError, OSError or etree.LxmlError.
    """
    own = config.services.get(name)
    return wsdl.load_contract(name) if own is None else load_defined_contract(own.choose_edition(edition))
