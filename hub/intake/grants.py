"""What a partner may call: the services and operations that its file grants, or those that a partner of its kind has without any.

Knows names of services and operations; not units (`hub.units.routing`), nor how a call came.
"""

from collections.abc import Iterable, Mapping
from functools import cache

from hub.config import Partner
from hub.domain.errors import CallRefused
from hub.domain.model import DOCUMENTS, Problem
from hub.services import list_services
from hub.services.lookups import operations as lookups_operations
from hub.soap import wsdl

#: Granted by name alone: they ask national registers about persons and firms, or order something there.
BY_NAME = frozenset({lookups_operations.NAME})
#: Answered to every partner: it tells the caller what itself may do, and nothing else.
OPEN = frozenset({f"{DOCUMENTS}.CheckPermission"})
#: A packet that was collected counts as sent by this operation.
SEND = "SendDocument"


class NotGranted(CallRefused):
    """A well signed call of an operation that its partner may not call."""

    def __init__(self, partner: str, service: str, operation: str) -> None:
        super().__init__(refuse_ungranted(service, operation))
        self.partner, self.operation = partner, operation


def require_granted(partner: Partner, upstream: str, service: str, operation: str) -> None:
    """Raise `NotGranted` where *partner* may not call *operation* of *service* by SOAP."""
    if not is_granted(partner, upstream, service, operation):
        raise NotGranted(partner.code, service, operation)


def is_granted(partner: Partner, upstream: str, service: str, operation: str = "", *, collected: bool = False) -> bool:
    """Tell whether *partner* may call *operation* of *service*; without one: bring a message of *service* in another way than SOAP.

    *collected*: the hub itself has asked the partner for the message, as its policy `collect` says.  *upstream*: the code of that partner.
    For which units is not asked here.
    """
    name = f"{service}.{operation}"
    if name in OPEN:
        return True
    if partner.calls is not None:
        return service in partner.calls or name in partner.calls
    if service in BY_NAME:
        return False
    if partner.units or (collected and partner.policy.collect is not None):
        return True
    if partner.code == upstream and service == DOCUMENTS:
        return True
    return partner.tells and is_telling(service)


def is_telling(service: str) -> bool:
    """Tell whether messages of *service* only report figures about units, so that who may tell of any unit (`tells`) may bring them."""
    found = list_services().get(service)
    return found is not None and found.telling


def refuse_ungranted(service: str, operation: str = "") -> Problem:
    """Return why what is not granted is refused: the detail is the name that `calls` would have."""
    return Problem("call-not-granted", f"{service}.{operation}" if operation else service)


def list_granted(partner: Partner, upstream: str) -> tuple[str, ...]:
    """Return what *partner* may call or bring, as `calls` names it."""
    if partner.calls is not None:
        return partner.calls
    return tuple(
        service for service in list_grantable_services() if is_granted(partner, upstream, service, collected=True)
    )


def propose_grants(done: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return what `calls` must name for what a partner has *done*: the service and the kind of each message that was accepted.

    Of lookups it names operations; of every other service the whole, as questions leave no trace in the journal.
    """
    operations = {rule.milestone: name for name, rule in lookups_operations.OPERATIONS.items()}
    names = {
        f"{service}.{operations[kind]}" if service in BY_NAME and kind in operations else service
        for service, kind in done
        if service in list_grantable_services()
    }
    return tuple(sorted(names))


@cache
def list_grantable_services() -> tuple[str, ...]:
    """Return every service that `calls` may name."""
    return tuple(sorted([DOCUMENTS, *(name for name, service in list_services().items() if not service.internal)]))


@cache
def list_grantable_operations() -> Mapping[str, tuple[str, ...]]:
    """Return every service that `calls` may name, each with its operations; those without a contract come in other ways and have none."""
    found = {}
    for name in list_grantable_services():
        known = wsdl.load_contract(name).operations.values() if wsdl.is_published_contract(name) else ()
        found[name] = tuple(operation.name for operation in known)
    return found


@cache
def list_grant_names() -> tuple[str, ...]:
    """Return every name that `calls` may have."""
    every = list_grantable_operations().items()
    return tuple(
        name for service, operations in every for name in (service, *(f"{service}.{each}" for each in operations))
    )
