"""An adapter on its terms, and what it is given to deliver, for conversations without a hub.  Knows values only; carries nothing."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import adapters
from hub.domain.conversations import Arrival, Judged
from hub.domain.model import Consignment, Message, MessageState, Problem
from hub.partner.adapter_settings import Terms
from tests.pki import partner


def turn_down(_arrival: Arrival) -> Judged:
    """Judge every arrival to be bad."""
    return Judged(accepted=False, problems=(Problem("packet-unreadable"),))


def speaker(name: str, url: str, settings: Mapping[str, str], secrets: Mapping[str, str]) -> Any:
    """Return the adapter *name* on these terms, which must be such as `check` lets pass."""
    assert adapters.find_settings_flaws(name, settings, secrets) == []
    return adapters.make_adapter(
        name, Terms(partner=name, url=url, identity=partner("hub"), settings=settings, secrets=secrets)
    )


def consigned(
    content: bytes, *, kind: str = "document", service: str = "documents", to: tuple[str, ...] = (), attempt: int = 1
) -> Consignment:
    """Return *content* on its way; the message's id follows from it."""
    sha256 = hashlib.sha256(content).hexdigest()
    message = Message(
        id=f"{sha256[:8]}-0000-7000-8000-000000000000",
        partner="sotttt",
        message_id=sha256,
        service=service,
        kind=kind,
        state=MessageState.ACCEPTED,
        received_at=datetime.now(UTC),
        sha256=sha256,
        size=len(content),
    )
    return Consignment(message=message, content=content, recipients=to, attempt=attempt)


def know_already(_arrival: Arrival) -> Judged:
    """Judge every arrival to have the id of an accepted message, and other octets."""
    return Judged(accepted=False, problems=(Problem("id-reused"),))
