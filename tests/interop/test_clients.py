"""Clients of toolkits nobody here wrote hold the whole conversation with a hub that runs, in both versions of SOAP.

zeep's has tests of its own: tests/process/test_zeep.py.
"""

import hashlib
import ssl
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from hub.domain.model import Problem
from hub.security import signing
from hub.security.certificates import Identity
from hub.soap import documents_responses, envelope
from lienthong_demo.plan.packets import Answered, write_document_packet, write_status_packet
from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall, serve_calls
from tests.conftest import not_applicable
from tests.interop.forgery import FORGED
from tests.interop.toolkits import Answer, verified_by_xmlsec1

pytestmark = pytest.mark.slow


@pytest.fixture
def put(tmp_path):
    """Return a way to put a packet where a caller finds it."""

    def put(content: bytes) -> Path:
        path: Path = tmp_path / f"{hashlib.sha256(content).hexdigest()}.edxml"
        path.write_bytes(content)
        return path

    return put


def letter(number: str, to: str = "H55.13", sender: str = "H55.1") -> bytes:
    """Return a document, of the province office unless told otherwise."""
    return write_document_packet(
        sender,
        [to],
        number=number,
        notation="VP-TH",
        subject="Mời họp & “trao đổi”",
        promulgated=date(2026, 11, 20),
        document_id=f"D-{number}",
    )


@pytest.mark.parametrize("version", ["11", "12"])
def test_the_whole_conversation(hub, toolkit, caller, signed, put, version, tmp_path):
    if version not in toolkit.versions:
        not_applicable(f"{toolkit.name} does not speak it: see its README")
    office, department = caller("vpub", version), caller("sotttt", version)
    heard: list[Answer] = []

    def call(who, operation, **fields):
        heard.append(who.call(operation, **fields))
        assert "Error" not in heard[-1], heard[-1]
        return heard[-1]

    number = message_id = f"{toolkit.name}-{version}"
    packet = signed(letter(number), "vpub")
    sent = call(office, "SendDocument", MessageId=message_id, Packet=put(packet))
    assert sent["IsSuccess"] == "true", sent
    assert "Code" not in sent
    document_id = sent["DocumentId"]
    assert (sent["MessageId"], sent["Sha256"]) == (message_id, hashlib.sha256(packet).hexdigest())
    assert verified_by_xmlsec1(sent.receipt, hub.home / "pki/hub.crt", tmp_path)
    assert not verified_by_xmlsec1(sent.receipt.replace(b"<Time>2", b"<Time>3"), hub.home / "pki/hub.crt", tmp_path)
    again = call(office, "SendDocument", MessageId=message_id, Packet=put(packet))
    assert again.receipt == sent.receipt, "the very same receipt"

    refused = call(office, "SendDocument", MessageId="m", Packet=put(signed(letter(number, "H55.99"), "vpub")))
    assert refused["IsSuccess"] == "false"
    assert refused.all("Code") == ["unit-unknown"]
    assert "Không có đơn vị" in refused["Description"]
    assert "DocumentId" not in refused

    assert document_id in call(department, "GetPendingDocumentIds", OrganId="H55.13", Limit=5).all("DocumentId")
    got = call(department, "GetDocument", DocumentId=document_id)
    assert (got["DocumentId"], got["MessageId"], got.packet) == (document_id, message_id, packet)
    for _ in range(2):
        confirmed = call(department, "ConfirmReceived", DocumentId=document_id, OrganId="H55.13")
        assert confirmed["IsSuccess"] == "true"
    assert document_id not in call(department, "GetPendingDocumentIds", OrganId="H55.13").all("DocumentId")

    about = Answered("H55.1", f"{number}/VP-TH", "2026/11/20", f"D-{number}")
    answer = signed(write_status_packet("H55.13", "03", about, at=datetime(2026, 11, 24, 9, tzinfo=UTC)), "sotttt")
    told = call(department, "UpdateTraces", Packet=put(answer))
    assert told["IsSuccess"] == "true", told
    assert told["MessageId"] == hashlib.sha256(answer).hexdigest()
    traces = call(office, "GetTraces", OrganId="H55.1", DocumentId=document_id)
    assert (traces["DocumentId"], traces.packet) == (document_id, answer)
    later = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert "Packet" not in call(office, "GetTraces", OrganId="H55.1", Since=later)

    units = call(office, "GetOrganizations")
    assert len(units.all("OrganId")) >= 12
    assert units["OrganName"]
    assert call(office, "CheckPermission", OrganId="H55.1")["IsSuccess"] == "true"
    denied = call(office, "CheckPermission", OrganId="H55.13")
    assert (denied["IsSuccess"], denied.all("Code")) == ("false", ["sender-not-allowed", "not-yours"])

    fault = call(department, "GetDocument", DocumentId="nothing")
    assert fault["Fault"].rpartition(":")[2] == {"11": "Client", "12": "Sender"}[version]
    assert fault["Code"] == "document-not-found"
    assert "document-not-found" in fault["Description"] or fault["Text"].partition(" [")[0] in fault["Description"]
    assert fault["Tracking"]
    if toolkit.verifies:
        assert {each["Verified"] for each in heard} == {"Body Timestamp"}


@contextmanager
def impostor(hub, changes):
    """Serve one answer, «not allowed» as the last of *changes* makes it, with the hub's own TLS; return the address."""
    said = envelope.write_unsigned_envelope(
        documents_responses.build_permission_response([Problem("not-yours", "H55.1")])
    )
    identity = Identity.read(hub.home / "pki/hub.key", hub.home / "pki/hub.crt")

    def answer(_call: ServerCall) -> ServerAnswer:
        content = changes[-1](signing.sign_envelope(said, identity, datetime.now(UTC)))
        return ServerAnswer(200, content, "text/xml; charset=utf-8")

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(hub.home / "pki/hub.crt", hub.home / "pki/hub.key")
    with serve_calls(answer, tls=tls) as server:
        yield f"{server.url}/soap/documents"


def lie(forge, content):
    """Turn «not allowed» into «allowed»."""
    return forge(content, b">false<", b">true<")


def test_a_toolkit_that_verifies_believes_nobody_but_the_hub(hub, toolkit, caller):
    if not toolkit.verifies:
        not_applicable(f"{toolkit.name} does not verify answers: see its README")
    changes: list[Callable[[bytes], bytes]] = [lambda content: content]
    with impostor(hub, changes) as url:
        office = caller("vpub", "11", url=url)
        answer = office.call("CheckPermission", OrganId="H55.1")
        assert (answer["IsSuccess"], answer["Verified"]) == ("false", "Body Timestamp")
        for name, forge in FORGED.items():
            changes.append(partial(lie, forge))
            answer = office.call("CheckPermission", OrganId="H55.1")
            assert "Error" in answer, name
            assert "Verified" not in answer, name
            assert answer.all("IsSuccess") in ([], ["false"]), name
    deceived = caller("vpub", "11", believed=hub.files("sotttt")["certificate"])
    assert "Error" in deceived.call("CheckPermission", OrganId="H55.1")
