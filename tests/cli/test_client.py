"""The client of `lienthong send` and `fetch` against a hub that lies, stumbles and hangs up: it believes only what is proved."""

import pytest
from lxml import etree

from hub.cli.documents_client import DocumentsClient, HubUnavailable, SubmissionRefused
from hub.domain.model import Problem
from hub.security import wss_verify
from hub.soap import documents_requests, documents_responses, envelope
from tests import pki
from tests.stage import (
    CA,
    HUB,
    OTHER_CA,
    PACKET,
    SHA256,
    STARTED,
    STRANGER,
    arguments,
    build_taken,
    hub,
    now,
    receipt,
    signed,
    take,
)

OLD_HUB = CA.issue("hub", label="old hub")


def send(tmp_path, answer, message_id=None, **options):
    with hub(tmp_path, answer, **options) as where, DocumentsClient(**where) as client:
        return client.send(PACKET, message_id)


# --- believed -----------------------------------------------------------------------------------------------------------


def test_a_message_is_sent_and_its_receipt_proved(tmp_path):
    with hub(tmp_path, take) as where, DocumentsClient(**where) as client:
        for sent, message_id in ((client.send(PACKET, "m-1"), "m-1"), (client.update(PACKET), SHA256)):
            assert (sent.document_id, sent.message_id, sent.sha256, sent.time) == ("d-1", message_id, SHA256, STARTED)
            root, sealer = wss_verify.unseal_document(sent.receipt, [HUB.certificate], now())
            assert documents_responses.read_receipt(root).message_id == message_id
            assert sealer == HUB.certificate


def test_every_other_operation_gives_what_the_hub_says(tmp_path):
    asked = []
    said = {
        documents_requests.GetPendingDocumentIds: documents_responses.build_pending_response(["d-1", "d-2"]),
        documents_requests.GetDocument: documents_responses.build_document_response(
            documents_responses.Document("d-1", "m-1", PACKET)
        ),
        documents_requests.ConfirmReceived: documents_responses.build_confirmed_response(),
        documents_requests.GetTraces: documents_responses.build_traces_response(
            [documents_responses.Trace("d-1", PACKET), documents_responses.Trace(None, b"<x/>")]
        ),
    }

    def answer(call):
        asked.append(call)
        return signed(said[type(call)])

    with hub(tmp_path, answer) as where, DocumentsClient(**where) as client:
        assert client.pending("H55.13", 7) == ("d-1", "d-2")
        assert client.get("d-1") == documents_responses.Document("d-1", "m-1", PACKET)
        client.confirm("d-1", "H55.13")
        assert client.traces("H55.13", "d-1", STARTED) == (
            documents_responses.Trace("d-1", PACKET),
            documents_responses.Trace(None, b"<x/>"),
        )
        with pytest.raises(HubUnavailable, match="asked for d-2"):
            client.get("d-2")
    assert asked[:4] == [
        documents_requests.GetPendingDocumentIds("H55.13", 7),
        documents_requests.GetDocument("d-1"),
        documents_requests.ConfirmReceived("d-1", "H55.13"),
        documents_requests.GetTraces("H55.13", "d-1", STARTED),
    ]


def test_a_receipt_from_before_the_hub_renewed_its_certificate_still_counts(tmp_path):
    """Sent again, a message gets the same stored receipt, which the old certificate sealed."""
    sent = send(
        tmp_path,
        lambda call: signed(build_taken("SendDocument", "d-1", receipt(call, OLD_HUB))),
    )
    assert sent.document_id == "d-1"


# --- refused ------------------------------------------------------------------------------------------------------------


def test_a_refusal_tells_every_reason(tmp_path):
    problems = [Problem("unit-unknown", "H55.1"), Problem("unit-unknown", "H55.2")]
    with pytest.raises(SubmissionRefused) as refused:
        send(tmp_path, lambda _: signed(documents_responses.build_refused_response("SendDocument", problems)))
    assert [problem.code for problem in refused.value.problems] == ["unit-unknown", "unit-unknown"]
    assert "H55.2" in str(refused.value.problems[1].detail)


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_client_fault_is_a_refusal_with_its_tracking_id(tmp_path, is_signed):
    fault = envelope.write_fault(
        documents_requests.NAMESPACE, [Problem("certificate-unknown")], server=False, tracking="t-9"
    )
    body = wss_verify.sign_envelope(fault, HUB, now()) if is_signed else fault
    with pytest.raises(SubmissionRefused) as refused:
        send(tmp_path, lambda _: (500, {}, body))
    assert [problem.code for problem in refused.value.problems] == ["certificate-unknown"]
    assert refused.value.tracking == "t-9"


def test_a_message_over_the_size_limit_is_refused_not_tried_for_ever(tmp_path):
    with pytest.raises(SubmissionRefused) as refused:
        send(tmp_path, take, body_limit=100)
    assert refused.value.problems[0].code == "too-large"


# --- not believed -------------------------------------------------------------------------------------------------------


def taken(call, name="SendDocument", document_id="d-1", by=HUB, **changes):
    return build_taken(name, document_id, receipt(call, by, **changes))


LIES = {
    "unsigned": (lambda call: (200, {}, envelope.write_unsigned_envelope(taken(call))), "not signed"),
    "signed by a stranger": (lambda call: signed(taken(call), STRANGER), "certificate-unknown"),
    "sealed by a stranger": (lambda call: signed(taken(call, by=STRANGER)), "certificate-unknown"),
    "other bytes": (lambda call: signed(taken(call, sha256="0" * 64)), "another message"),
    "other message id": (lambda call: signed(taken(call, message_id="m")), "another message"),
    "other document id": (lambda call: signed(taken(call, document_id="d-2")), "another message"),
    "other operation": (lambda call: signed(taken(call, "UpdateTraces")), "makes no sense"),
    "other answer": (lambda _: signed(documents_responses.build_confirmed_response()), "makes no sense"),
    "receipt changed": (
        lambda call: signed(build_taken("SendDocument", "d-1", receipt(call).replace(b">d-1<", b">d-9<"))),
        "signature-invalid",
    ),
    "answer changed": (lambda call: (200, {}, take(call)[2].replace(b">d-1<", b">d-9<")), "signature-invalid"),
    "a page": (lambda _: (200, {}, b"<html/>"), "HTTP 200"),
    "nothing": (lambda _: (200, {}, b""), "HTTP 200"),
    "elsewhere": (lambda _: (302, {"Location": "https://127.0.0.1:1/"}, b""), "HTTP 302"),
    "success under 500": (lambda call: signed(taken(call), status=500), "HTTP 500"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_acceptance_that_is_not_proved_is_no_answer(tmp_path, lie):
    answer, why = LIES[lie]
    with pytest.raises(HubUnavailable, match=why):
        send(tmp_path, answer)


def test_an_acceptance_without_a_receipt_is_no_answer(tmp_path):
    bare = documents_responses.build_confirmed_response()
    bare.tag = f"{{{documents_requests.NAMESPACE}}}SendDocumentResponse"
    with pytest.raises(HubUnavailable, match="without a receipt"):
        send(tmp_path, lambda _: signed(bare))


def test_an_answer_that_breaks_the_contract_is_no_answer(tmp_path):
    odd = documents_responses.build_pending_response(["d-1"])
    etree.SubElement(odd, "x")
    with (
        hub(tmp_path, lambda _: signed(odd)) as where,
        DocumentsClient(**where) as client,
        pytest.raises(HubUnavailable, match="contract"),
    ):
        client.pending("H55.13")


def test_a_hub_that_is_not_ready_says_when_to_come_again(tmp_path):
    fault = envelope.write_fault(
        documents_requests.NAMESPACE, [Problem("journal-unavailable")], server=True, tracking="t"
    )
    with pytest.raises(HubUnavailable, match="journal-unavailable") as outage:
        send(tmp_path, lambda _: (500, {"Retry-After": "5"}, fault))
    assert outage.value.retry_after == 5.0


# --- whom it talks to ---------------------------------------------------------------------------------------------------


def test_a_hub_of_another_ca_is_not_talked_to_whatever_the_machine_trusts(tmp_path, monkeypatch):
    """Trust comes from the given file alone."""
    trusted = tmp_path / "machine.pem"
    trusted.write_bytes(pki.pem(OTHER_CA.certificate))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(trusted))
    with pytest.raises(HubUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        send(tmp_path, take, identity=OTHER_CA.issue("hub"))


def test_no_proxy_of_the_environment_is_used(tmp_path, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(tmp_path, take).document_id == "d-1"


def test_a_hub_that_turns_our_certificate_away_is_unavailable(tmp_path):
    with pytest.raises(HubUnavailable):
        send(tmp_path, take, clients=OTHER_CA.certificate)


def test_nobody_there_is_unavailable(tmp_path):
    with hub(tmp_path, take) as where:
        pass
    with DocumentsClient(**where) as client, pytest.raises(HubUnavailable, match="refused"):
        client.send(PACKET)


def test_a_connection_the_hub_has_closed_meanwhile_is_opened_again(tmp_path):
    with hub(tmp_path, take, hang_up=True) as where, DocumentsClient(**where) as client:
        for _ in range(3):
            assert client.send(PACKET).document_id == "d-1"
            assert client._connection.sock is not None  # kept: nobody told us that it is over


def test_a_wrong_address_or_file_is_found_before_anything_is_sent(tmp_path):
    given = arguments(tmp_path, "https://127.0.0.1:1/soap/documents")
    for wrong in ("http://127.0.0.1:1/", "127.0.0.1:1", "https:///soap"):
        with pytest.raises(ValueError, match="https"):
            DocumentsClient(**(given | {"url": wrong}))
    other, _ = pki.write(tmp_path, "other", STRANGER)
    with pytest.raises(ValueError, match="not the key"):
        DocumentsClient(**(given | {"key": other}))
    with pytest.raises(OSError, match="No such file"):
        DocumentsClient(**(given | {"ca": tmp_path / "none.pem"}))
