"""The national population database: one SOAP 1.1 call with an X-Road header.

Knows the settings. What is asked, and how, stands in mapping.toml and dancu.wsdl beside it. Knows no HTTP and no
journal. README.md names the source of the dialect and how reliable it is. The reasons of outcomes never quote the
question or the answer.
"""

from datetime import datetime

import attrs

from hub.domain.conversations import Inquest, Query
from hub.language.phrases import phrase
from hub.partner.adapter_settings import Setting, Terms
from hub.partner.mapped_conversation import STEP_COST, PartnerConversation
from hub.partner.shipped_mapping import read_shipped_mapping

_MEMBER = r"[^:\s]+:[^:\s]+:[^:\s]+:[^:\s]+"
_SERVICE = rf"{_MEMBER}:[^:\s]+(:[^:\s]+)?"

SETTINGS = (
    Setting(
        "client",
        like=_MEMBER,
        expected=phrase("INSTANCE:CLASS:MEMBER:SUBSYSTEM, such as VN:GOV:000.00.00.H55:truclienthong"),
    ),
    Setting(
        "service",
        like=_SERVICE,
        expected=phrase("INSTANCE:CLASS:MEMBER:SUBSYSTEM:SERVICE, and :VERSION where it has one"),
    ),
    Setting("service-code", "033", expected=phrase("MaDichVu, the code of the service")),
    Setting("officer", "VDXP_VPCP", expected=phrase("MaCanBo, the code of this province as a caller")),
    Setting("soap-action", "", ".*", phrase("the SOAPAction of the service, as its WSDL has it")),
)


@attrs.frozen
class Dancu:
    """The population database behind one security server."""

    talk: PartnerConversation
    step_cost: int = STEP_COST

    def ask(self, query: Query, now: datetime) -> Inquest:
        """Ask whether a citizen with these particulars exists. MaYeuCau is the hub's id of the question."""
        return self.talk.ask(query, now)


def adapter(terms: Terms) -> Dancu:
    """Return the adapter of one security server. Every adapter folder has this function."""
    mapping, files = read_shipped_mapping(__name__)
    asked = {
        operation: tuple(attrs.evolve(step, action=terms.settings["soap-action"]) for step in steps)
        for operation, steps in mapping.ask.items()
    }
    return Dancu(PartnerConversation(attrs.evolve(terms, files=files), attrs.evolve(mapping, ask=asked)))
