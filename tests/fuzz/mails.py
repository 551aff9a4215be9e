"""Mails that come in: nothing is taken of one but what was attached to a mail that a configured certificate signed, to the octet."""

from collections.abc import Iterator

from adapters.mail import letter, opening
from adapters.mail.addresses import MailUnusable
from hub.domain.model import Consignment, Message, MessageState
from tests.fuzz.identities import ANCHORS, PARTNER, STRANGER
from tests.fuzz.told import gist, tell
from tests.pki import NOW

LONGEST = 8192
JUDGE = opening.MailTrust((PARTNER.certificate,), ANCHORS)
PACKETS = (b"<a>1</a>", "<a>gói\r\n.tin</a>\n".encode())


def seeds() -> Iterator[bytes]:
    for number, (packet, signer) in enumerate((*((each, PARTNER) for each in PACKETS), (PACKETS[0], STRANGER))):
        message = Message(
            id=f"m-{number}",
            partner="sotttt",
            message_id=None,
            service="documents",
            kind="document",
            state=MessageState.ACCEPTED,
            received_at=NOW,
            sha256="",
            size=len(packet),
        )
        consignment = Consignment(message=message, content=packet, recipients=("H55.1",), attempt=1)
        yield letter.write_mail(consignment, "a@x.vn", ("b@x.vn",), signer, NOW)
    yield b"Content-Type: application/xml; name=a.xml\r\n\r\n" + PACKETS[0]
    yield b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAGCSqGSIb3DQEHAqCAMIAAAAA=\r\n"


def judge(content: bytes) -> None:
    try:
        found = opening.open_mail_packets(content, JUDGE, NOW)
    except MailUnusable as unusable:
        tell(gist(str(unusable)))
        return
    tell(len(found))
    assert found
    assert set(found) <= set(PACKETS)
