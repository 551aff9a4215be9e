"""A small province for tests: one department that fetches, the province office that is pushed to, the axis above."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.x509 import Certificate

from hub.config import Config, Listen, Partner
from hub.domain.ids import make_first_id
from hub.domain.model import Message, Packet, PacketKind, Receive, ResponseFor, Unit
from hub.journal.effects import MessageEntry
from hub.security.anchors import Anchors
from hub.security.certificates import Identity
from hub.services import list_services
from hub.units.routing import RoutedPartner, Routes

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)

UNITS = (
    Unit("H55", "Tỉnh Thái Nguyên"),
    Unit("H55.01", "Văn phòng UBND tỉnh", "H55"),
    Unit("H55.13", "Sở TT&TT", "H55", aliases=("000.00.13.H55",)),
    Unit("H55.13.1", "Trung tâm CNTT", "H55.13"),
    Unit("H55.20", "Sở giải thể", "H55", until=date(2026, 7, 1)),
    Unit("H55.30", "Huyện chưa có hệ thống", "H55"),
)
POSTS = (
    RoutedPartner("sotttt", ("H55.13",), Receive.FETCH),
    RoutedPartner("vpub", ("H55.01",), Receive.PUSH),
    RoutedPartner("vpcp", (), Receive.PUSH),
    RoutedPartner("any", ("*",), Receive.NONE),
)


def make_config(name: str, identity: Identity, ca: Certificate, partners: Iterable[Partner], **more: Any) -> Config:
    """Return the configuration of a hub without files and ports, whose *identity* and partners *ca* has certified."""
    return Config(
        path=Path("hub.toml"),
        name=name,
        province="H55",
        upstream="vpcp",
        soap=Listen("127.0.0.1", 1, 1),
        admin=Listen("127.0.0.1", 2, 1),
        public_url=None,
        identity=identity,
        tls=identity,
        authorities=(ca,),
        crls=(),
        anchors=Anchors([ca], []),
        database_url="",
        data=Path("data"),
        archive=Path("data/archive"),
        partners={each.code: each for each in partners},
        sample=False,
        **more,
    )


#: What of a configuration says what a partner may call.
GRANTING: Any = SimpleNamespace(upstream="vpcp", every_service=list_services(), services={})
ROUTES = Routes.of(UNITS, POSTS, province="H55", upstream="vpcp")


def has_id_of_its_time(kept: Message) -> bool:
    """Tell whether the id of a message contains its time of receipt, as every search of a period expects."""
    return make_first_id(kept.received_at) <= kept.id < make_first_id(kept.received_at + timedelta(microseconds=1))


def document(sender: str = "H55.13", *recipients: str, document_id: str = "D1", **fields: object) -> Packet:
    """A document as the packet reader gives it."""
    return Packet(
        kind=PacketKind.DOCUMENT,
        sender=sender,
        recipients=recipients or ("H55.01",),
        document_id=document_id,
        code="7816/VPUB",
        promulgation_date="2026/11/20",
        subject="V/v kết nối",
        **fields,  # type: ignore[arg-type]
    )


def status(code: str, sender: str = "H55.01", organ: str = "H55.13", document_id: str = "D1", **answer: str) -> Packet:
    """A status packet of *sender* about *organ*'s document."""
    response = ResponseFor(organ, answer.get("number", ""), answer.get("date", ""), document_id)
    return Packet(kind=PacketKind.STATUS, sender=sender, responses=(response,), status=code, document_id=document_id)


def entry(
    packet: Packet,
    number: int = 1,
    *,
    partner: str = "sotttt",
    content: bytes | None = None,
    at: datetime = NOW,
    **fields: object,
) -> MessageEntry:
    """An entry as intake makes it; *number* names it."""
    octets = content if content is not None else f"packet {number}".encode()
    told = (packet.responses[0].organ,) if packet.kind is PacketKind.STATUS else packet.recipients
    own_word = packet.kind is PacketKind.STATUS and told == (packet.sender,)
    routes = () if own_word else ROUTES.route_all(partner, told, at.date())
    values: dict[str, object] = {
        "id": f"00000000-0000-7000-8000-{number:012d}",
        "partner": partner,
        "message_id": f"m{number}",
        "service": "documents",
        "received_at": at,
        "content": octets,
        "sha256": hashlib.sha256(octets).hexdigest(),
        "packet": packet,
        "routes": routes,
        "receipt": f"<receipt {number}/>".encode(),
    }
    return MessageEntry(**(values | fields))  # type: ignore[arg-type]
