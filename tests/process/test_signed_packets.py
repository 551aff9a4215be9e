"""A partner that cannot sign envelopes signs packets; one that is told to be strict: at a hub that runs."""

import ssl
from http.client import HTTPSConnection
from urllib.parse import urlsplit

import pytest
from lxml import etree

from hub.cli.documents_client import SubmissionRefused
from hub.security import signing
from hub.security.certificates import Identity
from hub.soap import documents_requests, envelope
from tests.packets import document
from tests.samples import edxml

pytestmark = pytest.mark.slow


@pytest.fixture
def partner(hub):
    """Add a partner that may send for any unit, by the policy asked for, and start the hub."""

    def add(*policy):
        hub.issue("anyone")
        hub.start()
        words = [word for each in policy for word in ("--policy", each)]
        hub.cli("partners", "add", "anyone", "--certificate", hub.files("anyone")["certificate"], "--unit", "*", *words)
        hub.cli("reload")
        return hub.client("anyone")

    return add


def post(hub, call):
    """Send an unsigned call over mutual TLS; return the status and the answer's text."""
    files, place = hub.files("anyone"), urlsplit(hub.soap)
    tls = ssl.create_default_context(cafile=files["ca"])
    tls.load_cert_chain(files["certificate"], files["key"])
    connection = HTTPSConnection(place.hostname, place.port, context=tls, timeout=60)
    headers = {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": f'"{documents_requests.choose_soap_action(call)}"',
    }
    connection.request(
        "POST",
        place.path,
        etree.tostring(envelope.wrap_in_envelope(documents_requests.build_call_element(call))),
        headers,
    )
    answer = connection.getresponse()
    status, text = answer.status, answer.read().decode()
    connection.close()
    return status, text


def recipient(hub):
    """Return a unit that a sample partner receives for."""
    return next(row["code"] for row in hub.cli("units", "list", "--json") if row["code"].startswith("H55."))


def test_under_signature_packet_unsigned_calls_carry_signed_packets(hub, partner):
    with partner("signature=packet") as client:
        identity = Identity.read(hub.files("anyone")["key"], hub.files("anyone")["certificate"])
        signed = signing.sign_packet(document(to=recipient(hub)), identity)
        assert post(hub, documents_requests.SendDocument(signed))[0] == 200
        (row,) = hub.cli("messages", "--json")
        assert (row["state"], row["signature"]) == ("accepted", "valid")
        assert {fact["signature"] for fact in hub.cli("report", "--facts", "--json")} == {"valid"}
        at = signed.index(b">", signed.index(b"ContentTransferEncoded")) + 20
        swapped = signed[:at] + (b"A" if signed[at : at + 1] != b"A" else b"B") + signed[at + 1 :]
        assert "packet-signature-invalid" in post(hub, documents_requests.SendDocument(swapped))[1]
        samples = edxml()
        for packet in samples.values():
            with pytest.raises(SubmissionRefused):
                client.send(packet)
        assert hub.cli("messages", "--state", "refused", "--count", text=True) == f"{len(samples) + 1}\n"


def test_under_strict_the_samples_that_depart_from_the_standard_are_refused(hub, partner):
    samples = edxml()
    departing = {"edoc", "edoc_new", "edoc_replacement", "edoc_revocation", "edoc_update"}
    with partner("profile=strict") as client:
        for name, packet in samples.items():
            if name in departing:
                with pytest.raises(SubmissionRefused):
                    client.send(packet)
            else:
                client.send(packet)
    assert hub.cli("check", text=True)
