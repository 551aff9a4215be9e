"""The hub pushes to servers of toolkits nobody here wrote: they verify its signature, and what they answer is the delivery's outcome."""

import ssl
import tomllib
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from urllib.parse import urlsplit

import pytest

from hub.cli.documents_client import SubmissionRefused
from hub.formats import xsd_types
from hub.security import signing
from hub.security.certificates import Identity
from hub.soap import documents_requests, envelope
from tests.conftest import not_applicable
from tests.interop.forgery import FORGED
from tests.interop.test_clients import letter
from tests.interop.toolkits import Program
from tests.running import until
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def letterbox(hub, toolkit, tmp_path):
    """Start the toolkit's server where the hub pushes to the province office; return its address and where it puts packets."""
    if toolkit.letterbox is None:
        not_applicable(f"{toolkit.name} serves nothing over TLS: see its README")
    url: str = tomllib.loads((hub.home / "partners/vpub.toml").read_text())["url"]
    files = hub.files("vpub")
    words = (urlsplit(url).port, files["key"], files["certificate"], files["ca"], hub.home / "pki/hub.crt", tmp_path)
    with Program((*toolkit.letterbox, *words), tmp_path.parent / f"{toolkit.name}-letterbox.log") as program:
        assert program.line() == "ready"
        yield url, tmp_path


def taken(where):
    return {path.name: path.read_bytes() for path in where.iterdir()}


def test_what_the_hub_pushes_is_taken_and_delivered(hub, toolkit, letterbox, signed):
    packet = signed(letter(f"{toolkit.name}-1", "H55.1", sender="H55.13"), "sotttt")
    with hub.client("sotttt") as client:
        sent = client.send(packet)
    until(lambda: hub.states(sent.document_id)["H55.1"][0] == "delivered", "the delivery")
    assert taken(letterbox[1]) == {sent.document_id: packet}


def test_what_the_partner_will_not_have_is_a_dead_letter_with_its_reason(hub, toolkit, letterbox, signed):
    with hub.client("sotttt") as client:
        sent = client.send(signed(letter(f"unwanted-{toolkit.name}", "H55.1", sender="H55.13"), "sotttt"))
    until(lambda: hub.states(sent.document_id)["H55.1"][0] == "dead", "the refusal")
    reasons = [line["reason"] for line in hub.cli("trace", sent.document_id, "--json") if line["event"] == "delivery"]
    assert reasons == ["refused: unwanted: Không nhận."]


def test_what_another_signed_is_refused(hub, toolkit, letterbox):
    url, where = letterbox
    with hub.client("sotttt", url=url) as stranger, pytest.raises(SubmissionRefused):
        stranger.send(letter(f"{toolkit.name}-2", "H55.1", sender="H55.13"))
    assert taken(where) == {}


TRUE = b"<edXML>as it was signed</edXML>"
ENCODED_TRUE, ENCODED_FALSE = (
    xsd_types.encode_canonical_base64(each).encode() for each in (TRUE, b"<edXML>as a thief wants</edXML>")
)


def pushed(hub, at=None):
    """Return a push as the hub signs it."""
    identity = Identity.read(hub.home / "pki/hub.key", hub.home / "pki/hub.crt")
    call = documents_requests.build_call_element(documents_requests.SendDocument(TRUE, "pushed-1"))
    return signing.sign_envelope(envelope.wrap_in_envelope(call), identity, at or datetime.now(UTC))


def post(hub, url, content):
    """Send octets as a partner that may connect."""
    files, place = hub.files("sotttt"), urlsplit(url)
    tls = ssl.create_default_context(cafile=files["ca"])
    tls.load_cert_chain(files["certificate"], files["key"])
    connection = HTTPSConnection(place.hostname, place.port, context=tls, timeout=PATIENCE)
    headers = {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": f'"{documents_requests.NAMESPACE}/SendDocument"',
    }
    try:
        connection.request("POST", place.path, content, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_only_what_the_hub_signed_is_taken(hub, letterbox):
    """The servers here are examples for partners: each must hold against what zeep's own verifier falls for."""
    url, where = letterbox
    assert post(hub, url, pushed(hub, datetime.now(UTC) - timedelta(hours=1))) == 500, "too old"
    assert taken(where) == {}
    for name, forge in FORGED.items():
        if post(hub, url, forge(pushed(hub), ENCODED_TRUE, ENCODED_FALSE)) == 500:
            assert taken(where) == {}, name
        else:  # it reads nothing but what was signed, wherever that stands
            assert "wrapped" in name
            assert taken(where) == {"pushed-1": TRUE}
            (where / "pushed-1").unlink()
    assert post(hub, url, pushed(hub)) == 200
    assert taken(where) == {"pushed-1": TRUE}
