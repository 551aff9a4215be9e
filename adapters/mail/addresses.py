"""Finds the mail addresses of units.

Knows the operator's table and template, and `To/Email` of a packet. Sends nothing.
"""

import re
from collections.abc import Mapping

import attrs

from hub.domain.errors import Rejected
from hub.domain.model import Consignment
from hub.formats import safe_xml

#: An address that is safe in a command and in a header: a dot-atom of RFC 5321, without quotes or comments.
ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?"
_ROW = rf"[^,#\s][^,\n]*,[ \t]*{ADDRESS}[ \t]*"
TABLE = rf"(?:#[^\n]*|{_ROW}|)(?:\r?\n(?:#[^\n]*|{_ROW}|))*"


class MailUnusable(Exception):
    """The mail is unusable: a received mail cannot be accepted, or a message cannot be sent by mail. The text says why."""


@attrs.frozen
class Addresses:
    """Finds a unit's address: first in the table, then by the template, then, if allowed, in the packet."""

    table: Mapping[str, str]
    template: str = ""
    from_packet: bool = False

    @classmethod
    def read(cls, table: str, template: str, *, from_packet: bool) -> "Addresses":
        """Parse the table: one line `CODE,ADDRESS` for each unit; `#` begins a comment line."""
        rows = (line.split(",", 1) for line in table.splitlines() if "," in line and not line.startswith("#"))
        return cls({code.strip(): address.strip() for code, address in rows}, template, from_packet)

    def find_all(self, consignment: Consignment) -> tuple[str, ...]:
        """Return the addresses of all recipients, each once.

        Raises MailUnusable, which names every unit without an address.
        """
        written = _read_written_addresses(consignment.content) if self.from_packet else {}
        found: dict[str, str] = {}
        for unit in consignment.recipients:
            shaped = self.template.replace("{unit}", unit)
            address = self.table.get(unit) or shaped or written.get(unit, "")
            if re.fullmatch(ADDRESS, address):
                found[unit] = address
        missing = [unit for unit in consignment.recipients if unit not in found]
        if missing:
            raise MailUnusable(f"no mail address for {', '.join(missing)}")
        return tuple(dict.fromkeys(found.values()))


def _read_written_addresses(content: bytes) -> Mapping[str, str]:
    """Return the Email of each To of a packet (QCVN 102) by OrganId; empty if *content* is not a packet."""
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected:
        return {}
    found = {}
    for element in root.iter("{*}To"):
        said = {safe_xml.read_local_name(child): (child.text or "").strip() for child in element.iterchildren("{*}*")}
        if said.get("OrganId") and said.get("Email"):
            found[said["OrganId"]] = said["Email"]
    return found
