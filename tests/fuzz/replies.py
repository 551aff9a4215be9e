"""What a partner answers: whatever it is has an outcome, and is a success only where a naive reader sees one, rightly signed if at all."""

import math
from collections.abc import Iterator
from random import Random
from xml.etree import ElementTree as ET

import xmlsec
from lxml import etree

from adapters.documents import adapter
from hub.domain.conversations import Accepted, Outcome, Refused, Reply, Unavailable
from hub.domain.errors import Rejected
from hub.domain.model import Consignment, Message, MessageState, Problem
from hub.formats import safe_xml
from hub.partner.adapter_settings import Terms
from hub.partner.reply_parsing import retry_after
from hub.soap import documents_requests, documents_responses, envelope
from tests.fuzz import changing
from tests.fuzz.identities import PARTNER, STRANGER
from tests.fuzz.signature import by_xmlsec
from tests.fuzz.told import gist, tell
from tests.pki import NOW
from tests.signatures import DS, Layout, fill

LONGEST = 6144
MESSAGE = Message(
    id="01936f1e-7c80-7000-8000-000000000001",
    partner="sotttt",
    message_id="m-1",
    service="documents",
    kind="document",
    state=MessageState.ACCEPTED,
    received_at=NOW,
    sha256="",
    size=1,
)  # fmt: skip
N = f"{{{documents_requests.NAMESPACE}}}"
WORDS = (
    "true",
    "false",
    "1",
    "0",
    " true ",
    "TRUE",
    "QQ==",
    "2026-11-24T08:00:00Z",
    "soap:Client",
    "soap:Server",
    "env:Sender",
    "#B",
    "B",
)
READERS = (
    documents_responses.read_pending,
    documents_responses.read_document,
    documents_responses.read_traces,
    documents_responses.read_receipt,
)


def _resigned(content: bytes, random: Random) -> bytes:
    head, _, body = content.partition(b"\n")
    try:
        return head + b"\n" + fill(body.decode(), PARTNER)
    except (xmlsec.Error, etree.LxmlError, ValueError, AssertionError):
        return content


trees = changing.Trees(words=WORDS)


def change(data: bytes, longest: int, seed: int) -> bytes:
    """Change the first line without looking, or what follows it along its structure."""
    random = Random(seed)
    head, line, body = data.partition(b"\n")
    if random.random() < 0.15:
        return changing.blind(head, 60) + line + body if len(data) < longest - 60 else data
    changed = head + line + trees.change(body, longest - len(head) - 1, seed)
    return _resigned(changed, random) if random.random() < 0.2 else changed


def seeds() -> Iterator[bytes]:
    yes = etree.Element(f"{N}SendDocumentResponse")
    yes.extend(documents_responses.build_confirmed_response())
    bodies = [
        envelope.write_unsigned_envelope(yes),
        envelope.write_unsigned_envelope(
            documents_responses.build_refused_response(
                "SendDocument", [Problem("unit-unknown", "H55.1"), Problem("not-yours", "")]
            )
        ),
        envelope.write_fault(documents_requests.NAMESPACE, [Problem("hub-error", "")], server=True, tracking="t"),
        envelope.write_fault(
            documents_requests.NAMESPACE, [Problem("not-yours", "")], server=False, tracking="t", soap=envelope.SOAP12
        ),
        envelope.write_unsigned_envelope(documents_responses.build_pending_response(["1", "2"])),
        envelope.write_unsigned_envelope(
            documents_responses.build_document_response(documents_responses.Document("1", "m", b"x"))
        ),
        envelope.write_unsigned_envelope(
            documents_responses.build_traces_response(
                [documents_responses.Trace("1", b"x"), documents_responses.Trace(None, b"y")]
            )
        ),
        b"<html><body>502</body></html>",
    ]
    inner = etree.tostring(yes).decode()
    bodies += [Layout(content=inner).signed(PARTNER), Layout(content=inner).signed(STRANGER)]
    for status, header, body in zip(
        (200, 200, 500, 400, 200, 200, 200, 502, 200, 200),
        ("", "120", "-1", "Tue, 24 Nov 2026 08:01:00 GMT", *["1e9"] * 6),
        bodies,
        strict=True,
    ):
        yield f"{status} {header}\n".encode() + body


def judge(content: bytes) -> None:
    head, _, body = content.partition(b"\n")
    status, _, header = head.decode("latin-1").partition(" ")
    reply = Reply(
        int(status) if status.isascii() and status.isdigit() and len(status) < 4 else 200, body, {"retry-after": header}
    )
    wait = retry_after(reply.headers, NOW)
    assert wait is None or (math.isfinite(wait) and 0 <= wait <= 3_600)
    outcome = concluded(reply)
    reason = outcome.detail if isinstance(outcome, Unavailable) else ""  # of a refusal it is what the partner wrote
    tell(type(outcome).__name__, min(reply.status // 100, 6), gist(reason))
    if isinstance(outcome, Accepted):
        assert reply.status == 200
        root = ET.fromstring(body)
        ((answer,),) = [part for part in root if part.tag.endswith("}Body")]
        assert answer.tag == f"{N}SendDocumentResponse"
        assert (answer.findtext(f"{N}Report/{N}IsSuccess") or "").strip() in {"true", "1"}
        if len(root) == 2 and root[0].find(f".//{{{DS}}}Signature") is not None:
            assert by_xmlsec(body)
    read_otherwise(body)


def concluded(reply: Reply) -> Outcome:
    push = adapter(Terms(partner="vpub", url="https://vpub/", identity=PARTNER, certificates=[PARTNER.certificate]))
    conversation = push.deliver(Consignment(message=MESSAGE, content=b"x", recipients=("H55.1",), attempt=1), NOW)
    next(conversation)
    try:
        outcome: object = conversation.send(reply)  # it asks for more, which is no outcome
    except StopIteration as end:
        outcome = end.value
    assert isinstance(outcome, Accepted | Refused | Unavailable)
    return outcome


def read_otherwise(body: bytes) -> None:
    """Read the same as the answer to every other question."""
    try:
        child = envelope.open_reply(safe_xml.parse_safe_xml(body)).child
    except Rejected:
        return
    for reader in READERS:
        try:
            tell(reader.__name__, type(reader(child)).__name__)
        except (Rejected, ValueError) as error:
            tell(reader.__name__, gist(str(error)))
    for operation in ("SendDocument", "ConfirmReceived"):
        try:
            tell(operation, min(len(documents_responses.read_submission(child, operation).report.problems), 3))
        except (Rejected, ValueError) as error:
            tell(operation, gist(str(error)))
