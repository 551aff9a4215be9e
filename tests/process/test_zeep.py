"""A stock zeep client, given only the WSDL, a key and a certificate, holds the whole conversation."""

import hashlib
import re
from datetime import UTC, date, datetime, timedelta

import pytest
import xmlsec
from lxml import etree
from requests import Session
from zeep import Client, Settings
from zeep.exceptions import Fault
from zeep.transports import Transport
from zeep.wsse import utils
from zeep.wsse.signature import BinarySignature, _make_verify_key, _verify_envelope_with_key

from hub.security.anchors import Anchors
from hub.security.certificates import load_certificate
from hub.security.wss_verify import unseal_document
from lienthong_demo.plan.packets import Answered, write_document_packet, write_status_packet
from tests.mtom import Body, optimised

pytestmark = pytest.mark.slow


class Signed(BinarySignature):
    """zeep's own signature with SHA-256 and a Timestamp; answers are verified with the hub's certificate."""

    def __init__(self, key, certificate, hub):
        super().__init__(
            str(key),
            str(certificate),
            signature_method=xmlsec.constants.TransformRsaSha256,
            digest_method=xmlsec.constants.TransformSha256,
        )
        self.hub = _make_verify_key(hub.read_bytes())

    def apply(self, envelope, headers):
        security = utils.get_security_header(envelope)
        now = datetime.now(UTC)
        stamp = utils.WSU.Timestamp(
            utils.WSU.Created(now.strftime("%Y-%m-%dT%H:%M:%SZ")),
            utils.WSU.Expires((now + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")),
        )
        security.append(stamp)
        return super().apply(envelope, headers)

    def verify(self, envelope):
        _verify_envelope_with_key(envelope, self.hub)
        return envelope


class Optimised(Transport):
    """zeep's transport, which sends what zeep wrote and signed as MTOM does: a Packet's base64 as a part beside the envelope."""

    def post(self, address, message, headers):
        media, parameters = headers["Content-Type"].partition(";")[::2]
        action = re.search(r'action="(.*?)"', parameters)
        form = Body(soap=media, action=action[1] if action else None)
        body = form.written(*optimised(message))
        answer = super().post(address, body, headers | {"Content-Type": form.content_type})
        assert answer.headers["Content-Type"].startswith("multipart/related"), "the answer comes as the call went"
        return answer


@pytest.fixture
def client(hub):
    """Return a way to make a zeep client of a partner, for a hub that runs."""
    hub.start()
    sessions = []

    def of(partner, version="11", how=Transport):
        files = hub.files(partner)
        session = Session()
        sessions.append(session)
        session.trust_env = False
        session.verify = str(files["ca"])
        session.cert = (str(files["certificate"]), str(files["key"]))
        wsse = Signed(files["key"], files["certificate"], hub.home / "pki/hub.crt")
        settings = Settings(strict=True, xml_huge_tree=True)
        made = Client(f"{hub.soap}?wsdl", transport=how(session=session), wsse=wsse, settings=settings)
        return made.bind("Documents", f"DocumentsSoap{version}")

    yield of
    for session in sessions:
        session.close()


@pytest.mark.parametrize("hub", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True)
@pytest.mark.parametrize("version", ["11", "12"])
@pytest.mark.parametrize("how", [Transport, Optimised], ids=["inline", "mtom"])
def test_send_pending_get_confirm_status_traces_organizations_permission(hub, client, version, how):
    department, office = client("sotttt", version, how), client("vpub", version, how)
    packet = write_document_packet(
        "H55.1",
        ["H55.13"],
        number="15",
        notation="VP-TH",
        subject="Mời họp",
        promulgated=date(2026, 11, 20),
        document_id="D-15",
    )
    sent = office.SendDocument(MessageId="zeep-1", Packet=packet)
    assert sent.Report.IsSuccess is True
    assert not sent.Report.ErrorList
    receipt = sent.Receipt
    assert (receipt.DocumentId, receipt.MessageId) == (sent.DocumentId, "zeep-1")
    assert receipt.Sha256 == hashlib.sha256(packet).hexdigest()
    assert abs(datetime.now(UTC) - receipt.Time) < timedelta(minutes=1)

    assert department.GetPendingDocumentIds(OrganId="H55.13") == [sent.DocumentId]
    assert department.GetPendingDocumentIds(OrganId="000.00.13.H55", Limit=5) == [sent.DocumentId]
    got = department.GetDocument(DocumentId=sent.DocumentId)
    assert (got.DocumentId, got.MessageId, got.Packet) == (sent.DocumentId, "zeep-1", packet)
    assert department.GetPendingDocumentIds(OrganId="H55.13") == [sent.DocumentId], "unconfirmed, it stays"
    for _ in range(2):
        assert department.ConfirmReceived(DocumentId=sent.DocumentId, OrganId="H55.13").IsSuccess is True
    assert department.GetPendingDocumentIds(OrganId="H55.13") in (None, [])

    about = Answered("H55.1", "15/VP-TH", "2026/11/20", "D-15")
    answer = write_status_packet("H55.13", "03", about, at=datetime(2026, 11, 24, 9, tzinfo=UTC))
    told = department.UpdateTraces(Packet=answer)
    assert told.Report.IsSuccess is True
    assert told.Receipt.MessageId == hashlib.sha256(answer).hexdigest(), "without a MessageId it is the SHA-256"
    for asked in ({}, {"DocumentId": sent.DocumentId}, {"Since": receipt.Time}):
        (trace,) = office.GetTraces(OrganId="H55.1", **asked)
        assert (trace.DocumentId, trace.Packet) == (sent.DocumentId, answer)
    assert office.GetTraces(OrganId="H55.1", Since=datetime.now(UTC) + timedelta(hours=1)) in (None, [])

    units = {unit.OrganId: unit for unit in office.GetOrganizations()}
    assert len(units) >= 12
    assert (units["H55.13"].Parent, bool(units["H55.13"].OrganName)) == ("H55", True)
    assert {unit.OrganId for unit in office.GetOrganizations(Since=datetime.now(UTC))} <= units.keys()
    assert office.CheckPermission(OrganId="H55.1").IsSuccess is True
    denied = office.CheckPermission(OrganId="H55.13")
    assert denied.IsSuccess is False
    assert [error.Code for error in denied.ErrorList.Error] == ["sender-not-allowed", "not-yours"]


def test_the_same_bytes_get_the_same_receipt_other_bytes_are_refused_and_a_correction_is_judged_afresh(hub, client):
    office = client("vpub")

    def packet(recipient, subject="A"):
        return write_document_packet(
            "H55.1", [recipient], number="1", notation="VP", subject=subject, promulgated=date(2026, 11, 20)
        )

    refused = office.SendDocument(MessageId="m", Packet=packet("H55.99"))
    assert refused.Report.IsSuccess is False
    (error,) = refused.Report.ErrorList.Error
    assert (error.Code, refused.DocumentId, refused.Receipt) == ("unit-unknown", None, None)
    assert "H55.99" in error.Description
    assert "Không có đơn vị" in error.Description
    assert "No unit has this code" in error.Description

    with hub.client("vpub") as ours:
        first = ours.send(packet("H55.13"), "m")
        again = ours.send(packet("H55.13"), "m")
    assert first == again, "the very same receipt"
    reused = office.SendDocument(MessageId="m", Packet=packet("H55.13", "B"))
    assert reused.Report.ErrorList.Error[0].Code == "id-reused"

    hub_certificate, anchors = (
        load_certificate(hub.home / "pki/hub.crt"),
        Anchors([load_certificate(hub.home / "pki/ca.crt")]),
    )
    assert unseal_document(first.receipt, anchors, datetime.now(UTC))[1] == hub_certificate
    rows = hub.cli("messages", "--message-id", "m", "--json")
    assert [row["state"] for row in rows] == ["refused", "accepted", "refused"]
    assert rows[0]["refusal"].startswith("unit-unknown")


def test_the_admin_port_gives_the_whole_contract_to_somebody_without_a_certificate(hub):
    hub.start()
    with Session() as session:
        session.trust_env = False
        session.verify = str(hub.home / "pki/ca.crt")
        client = Client(f"{hub.admin}/contracts/documents.wsdl", transport=Transport(session=session))
    (service,) = client.wsdl.services.values()
    assert {port.binding_options["address"] for port in service.ports.values()} == {hub.soap}


@pytest.mark.parametrize(("version", "whose"), [("11", "Client"), ("12", "Sender")])
@pytest.mark.parametrize("how", [Transport, Optimised], ids=["inline", "mtom"])
def test_a_call_the_hub_cannot_trust_or_read_is_a_fault_with_a_code(hub, client, version, whose, how):
    department = client("sotttt", version, how)
    for call, code in (
        (lambda: department.GetPendingDocumentIds(OrganId="H55.1"), "not-yours"),
        (lambda: department.GetDocument(DocumentId="nothing"), "document-not-found"),
    ):
        with pytest.raises(Fault) as caught:
            call()
        assert caught.value.code.endswith(whose)
        assert code in etree.tostring(caught.value.detail).decode()
    report = department.ConfirmReceived(DocumentId="nothing")
    assert (report.IsSuccess, report.ErrorList.Error[0].Code) == (False, "document-not-found")
