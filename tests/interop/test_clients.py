"""Clients of toolkits nobody here wrote hold the whole conversation with a hub that runs, in both versions of SOAP.

zeep's has tests of its own: tests/process/test_zeep.py.
"""

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from hub.demo.packets import Answered, document, status
from tests.conftest import not_applicable
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
    return document(
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
    answers: list[Answer] = []

    def call(who, operation, **fields):
        answers.append(who.call(operation, **fields))
        assert "Error" not in answers[-1], answers[-1]
        return answers[-1]

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
    answer = signed(status("H55.13", "03", about, at=datetime(2026, 11, 24, 9, tzinfo=UTC)), "sotttt")
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
    assert "document-not-found" in fault["Description"] or fault["Description"] == fault["Text"]
    assert fault["Tracking"]
    if toolkit.verifies:
        assert {answer["Verified"] for answer in answers} == {"Body Timestamp"}


def test_a_toolkit_that_verifies_believes_nobody_but_the_hub(hub, toolkit, caller):
    if not toolkit.verifies:
        not_applicable(f"{toolkit.name} does not verify answers: see its README")
    office = caller("vpub", toolkit.versions[0], hub.files("sotttt")["certificate"])
    answer = office.call("CheckPermission", OrganId="H55.1")
    assert "Error" in answer, answer
    assert "Verified" not in answer
