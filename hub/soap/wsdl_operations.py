"""Reads what a WSDL of document/literal services offers: its operations, and what each SOAP binding says of them.

Knows zeep's model, and returns plain values, which can be kept as JSON. Does not know which operations the hub serves.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.formats.models.kept_values import read_kept
from hub.language.phrases import Phrase, phrase

if TYPE_CHECKING:
    from zeep.wsdl import Document


@attrs.frozen
class Operation:
    """One operation. Elements are Clark names (`{namespace}local`)."""

    name: str
    request: str
    response: str
    action: str  #: the SOAPAction


@attrs.frozen(kw_only=True)
class BoundPort:
    """One port of a service, and what its binding says of each operation."""

    name: str
    soap: str  #: `1.1` or `1.2`
    actions: Mapping[str, str]  #: the action by the name of the operation


@attrs.frozen(kw_only=True)
class OfferedService:
    """What a WSDL offers."""

    operations: tuple[Operation, ...]
    ports: tuple[BoundPort, ...]


def load_offered_service(files: Mapping[str, bytes], main: str) -> OfferedService:
    """Return what the WSDL *main* offers; of the WSDLs shipped with the hub without zeep, as it was kept.

    Raises ConfigurationFault if the WSDL cannot be read, has other than one service, or an operation of it is not
    document/literal with one element each way.
    """

    def derive() -> Any:
        from hub.soap.wsdl_documents import read_wsdl

        return attrs.asdict(read_offered_service(read_wsdl(files, main), main))

    kept = read_kept(f"wsdl {main}", files, derive)
    return OfferedService(
        operations=tuple(Operation(**each) for each in kept["operations"]),
        ports=tuple(BoundPort(**each) for each in kept["ports"]),
    )


def read_offered_service(document: "Document", main: str) -> OfferedService:
    """Convert zeep's model of the WSDL *main*. The action of an operation is that of the first port. Raises as above."""
    from zeep.wsdl.bindings import Soap12Binding

    if len(document.services) != 1:
        raise _make_fault(main, phrase("{count} services", count=len(document.services)), phrase("one service"))
    (service,) = document.services.values()
    operations: dict[str, Operation] = {}
    ports = []
    for port in service.ports.values():
        bound = port.binding.all()
        for operation in bound.values():
            if operation.name not in operations:
                elements = [_find_body_element(message) for message in (operation.input, operation.output)]
                if operation.style != "document" or None in elements:
                    wrong = phrase("{name} is not document/literal with one element each way", name=operation.name)
                    raise _make_fault(main, wrong, phrase("an operation as the WS-I Basic Profile 1.1, 4.4 wants it"))
                request, response = map(str, elements)
                operations[operation.name] = Operation(operation.name, request, response, operation.soapaction)
        actions = {operation.name: operation.soapaction for operation in bound.values()}
        soap = "1.2" if isinstance(port.binding, Soap12Binding) else "1.1"
        ports.append(BoundPort(name=port.name, soap=soap, actions=actions))
    return OfferedService(operations=tuple(operations.values()), ports=tuple(ports))


def find_disagreements(offered: OfferedService) -> Iterator[Phrase]:
    """Yield what the ports of one service say differently: operations, actions, and actions that are not unique.

    Sources: SOAP 1.1, 6.1.1 and SOAP 1.2 part 2, 6.5 (the action tells the intent); WS-I Basic Profile 1.1, R2710 (the
    operations of a binding differ on the wire).
    """
    if sorted(port.soap for port in offered.ports) != ["1.1", "1.2"]:
        yield phrase("not one port for SOAP 1.1 and one for SOAP 1.2")
    for port in offered.ports:
        for operation in offered.operations:
            action = port.actions.get(operation.name)
            if action is None:
                yield phrase("{port} has no operation {name}", port=port.name, name=operation.name)
            elif action != operation.action:
                yield phrase(
                    "{port}: the action of {name} is {action}", port=port.name, name=operation.name, action=action
                )
        if len(set(port.actions.values())) != len(port.actions):
            yield phrase("{port}: two operations have one action", port=port.name)
    if len({operation.request for operation in offered.operations}) != len(offered.operations):
        yield phrase("two operations have one request")


def _find_body_element(message: Any) -> str | None:
    """Return the Clark name of the one element in the Body of *message*; None if there is another number of them."""
    parts = [] if message is None or message.abstract is None else list(message.abstract.parts.values())
    return parts[0].element.qname.text if len(parts) == 1 and parts[0].element is not None else None


def _make_fault(main: str, wrong: Phrase, expected: Phrase) -> ConfigurationFault:
    return ConfigurationFault([Mistake(main, wrong, expected)])
