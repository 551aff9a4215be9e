"""Writes the call of one step of a mapping: values in their places, security, MTOM, and the header fields of HTTP.

Knows no order of steps and sends nothing.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import attrs
from lxml import etree

from hub.formats.streamed_xml import Loads
from hub.partner.call_nodes import CallNode
from hub.partner.mapping_values import Sources, evaluate_value, list_mapped_items, write_mapped_value
from hub.partner.soap_mapping import MappedStep, SoapMapping
from hub.security.certificates import Signer
from hub.security.username_token import build_username_token
from hub.soap import attachments, envelope
from hub.soap.attachments import Carriage, Manner
from hub.soap.envelope import SOAP12

if TYPE_CHECKING:
    from hub.partner.partner_calls import PartnerOperation


def write_mapped_call(
    mapping: SoapMapping,
    step: MappedStep,
    operation: "PartnerOperation",
    sources: Sources,
    identity: Signer,
    now: datetime,
) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """Return the body of the call of *step*, and its header fields Content-Type and SOAPAction.

    *identity* signs it if the mapping says so. Raises Unfit for a value that the schema does not allow, Misplaced for a
    path that it does not have or a required element without a value.
    """
    root, blocks = CallNode(), dict[str, CallNode]()
    for field in step.input:
        root.put(field.path, evaluate_value(field.value, sources))
    _put_lists(step, root, sources)
    for field in step.header:
        blocks.setdefault(field.path[0].name, CallNode()).put(field.path[1:], evaluate_value(field.value, sources))
    loads = Loads()
    made = operation.build(root, blocks, mapping.namespaces, loads, mtom=step.mtom)
    named = mapping.security.username_token
    if named is not None:
        username, password = write_mapped_value(named.username, sources), write_mapped_value(named.password, sources)
        envelope.add_header_block(made, build_username_token(username, password, now, digest=named.digest))
    how = Manner(operation.soap, carriage=Carriage.MTOM if step.mtom and loads else Carriage.INLINE)
    unsigned = etree.tostring(made, encoding="UTF-8", xml_declaration=True)
    if mapping.security.sign:
        sent = attachments.pack_envelope(unsigned, loads, how, identity, now)
    else:
        sent = attachments.pack_unsigned_envelope(unsigned, loads, how)
    action = operation.action if step.action is None else step.action
    if operation.soap == SOAP12:
        media = f'{sent.content_type}; action="{action}"' if action else sent.content_type
        return sent.read(), (("Content-Type", media),)
    return sent.read(), (("Content-Type", sent.content_type), ("SOAPAction", f'"{action}"'))


def _put_lists(step: MappedStep, root: CallNode, sources: Sources) -> None:
    """Put the repeated elements of *step* below *root*: one for each item."""
    made: list[tuple[str, list[tuple[CallNode, etree._Element | str]]]] = []
    for field in step.lists:
        outer = next(
            ((parent, places) for parent, places in reversed(made) if field.written.startswith(f"{parent}/")), None
        )
        if outer is None:
            begins: Iterator[tuple[CallNode, etree._Element | str | None]] = iter([(root, sources.item)])
            path = field.path
        else:
            begins, path = iter(outer[1]), field.path[outer[0].count("/") + 1 :]
        places: list[tuple[CallNode, etree._Element | str]] = []
        for node, around in begins:
            items = list_mapped_items(field.each, attrs.evolve(sources, item=around))
            named = node.find(path[:-1]).children.setdefault(path[-1].name, {})
            for number, item in enumerate(items, 1):
                element = named.setdefault(number, CallNode())
                places.append((element, item))
                inside = attrs.evolve(sources, item=item)
                for each in field.fields:
                    element.put(each.path, evaluate_value(each.value, inside))
        made.append((field.written, places))
