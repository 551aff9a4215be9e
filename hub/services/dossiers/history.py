"""Builds the answer to GetDossier from the accepted messages about one dossier.

Knows the elements of these messages. Does not know where the messages are stored.

The current state is that of the message that arrived last, because no field of a dossier says when its state was
written.
"""

from collections.abc import Iterable
from copy import deepcopy
from datetime import datetime

import attrs
from lxml import etree

from hub.formats import safe_xml, xsd_types
from hub.services.dossiers.item import NAMESPACE
from hub.soap.envelope import build_element

_CODES = {"HoSo": "TrangThaiHoSo", "TienDo": "TrangThai"}


@attrs.frozen
class AcceptedMessage:
    """One accepted message: the hub's id of it, the time of its arrival, its exact octets."""

    message: str
    at: datetime
    content: bytes


def answer_get_dossier(unit: str, dossier: str, messages: Iterable[AcceptedMessage]) -> etree._Element | None:
    """Return the GetDossier response for *dossier* of *unit*; None if no message is about it.

    *messages* are messages of that unit, in any order. Those about other dossiers are ignored.
    """
    state, status, history = None, "", build_element(NAMESPACE, "LichSu", {})
    for told in sorted(messages, key=lambda each: (each.at, each.message)):
        call = safe_xml.parse_safe_xml(told.content)
        for part in call.iterchildren(*(f"{{{NAMESPACE}}}{name}" for name in _CODES)):
            name = safe_xml.read_local_name(part)
            if _read_part_text(part, "MaHoSo") != dossier:
                continue
            status = _read_part_text(part, _CODES[name])
            fields = {"DocumentId": told.message, "Time": xsd_types.write_xs_datetime(told.at), "TrangThai": status}
            update = build_element(NAMESPACE, "LanCapNhat", fields)
            if name == "HoSo":
                state = part
            else:
                update.append(deepcopy(part))
            history.append(update)
    if not len(history):
        return None
    found = build_element(NAMESPACE, "GetDossierResponse", {"OrganId": unit, "MaHoSo": dossier, "TrangThai": status})
    if state is not None:
        found.append(deepcopy(state))
    found.append(history)
    return found


def _read_part_text(part: etree._Element, name: str) -> str:
    leaf = part.find(f"{{{NAMESPACE}}}{name}")
    return "" if leaf is None else xsd_types.read_xs_token(leaf)
