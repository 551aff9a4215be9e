"""The very octets of a signed call come again: at a hub that runs, and after a restart."""

import ssl
import tomllib
from datetime import UTC, datetime
from http.client import HTTPSConnection
from urllib.parse import urlsplit

import pytest

from hub.security import wss_verify
from hub.security.certificates import Identity
from hub.soap import documents_requests, envelope
from tests.conftest import DATABASES
from tests.mtom import SOAP11, Body
from tests.packets import document

pytestmark = pytest.mark.slow

FORMS = (Body(), Body(kind=SOAP11))


def signed(hub, call, by="sotttt"):
    identity = Identity.read(hub.files(by)["key"], hub.files(by)["certificate"])
    return wss_verify.sign_envelope(
        envelope.wrap_in_envelope(documents_requests.build_call_element(call)), identity, datetime.now(UTC)
    )


def post(hub, body, by="sotttt", media=SOAP11):
    """Send octets over mutual TLS; return the status and the answer's text."""
    files, place = hub.files(by), urlsplit(hub.soap)
    tls = ssl.create_default_context(cafile=files["ca"])
    tls.load_cert_chain(files["certificate"], files["key"])
    connection = HTTPSConnection(place.hostname, place.port, context=tls, timeout=60)
    connection.request("POST", place.path, body, {"Content-Type": media})
    answer = connection.getresponse()
    status, text = answer.status, answer.read().decode()
    connection.close()
    return status, text


def found_by_its_tracking_id(hub, tracking):
    """Each verb that looks at messages finds the refused call by what its caller quotes."""
    (told,) = hub.cli("trace", tracking, "--json")
    assert (told["event"], told["tracking"], told["code"]) == ("call-refused", tracking, "replayed")
    (shown,) = hub.cli("show", tracking, "--json")
    assert {key: shown[key] for key in ("id", "partner", "kind", "state", "refusal", "operation")} == {
        "id": tracking,
        "partner": "sotttt",
        "kind": "call",
        "state": "refused",
        "refusal": "replayed",
        "operation": "ConfirmReceived",
    }
    assert hub.cli("messages", "--tracking", tracking, "--json") == [shown]


@pytest.mark.parametrize("hub", DATABASES, indirect=True)
def test_a_retry_is_honest_and_a_replay_changes_nothing(hub):
    unit = tomllib.loads((hub.home / "partners/sotttt.toml").read_text())["units"][0]
    hub.issue("anyone")
    hub.cli("partners", "add", "anyone", "--certificate", hub.files("anyone")["certificate"], "--unit", "*")
    hub.start()
    send = signed(hub, documents_requests.SendDocument(document(to=unit)), "anyone")
    receipts = {post(hub, send, "anyone")[1].partition("<Receipt")[2].partition("</Receipt")[0] for _ in range(3)}
    assert len(receipts) == 1, "the same envelope gets the same receipt"
    assert receipts != {""}
    (row,) = hub.cli("messages", "--json")

    premature = signed(hub, documents_requests.ConfirmReceived(row["id"], None))
    assert "not-fetched" in post(hub, premature)[1]
    fetch = signed(hub, documents_requests.GetDocument(row["id"]))
    assert [post(hub, fetch)[0] for _ in range(2)] == [200, 200], "a toolkit that tries again gets its document"
    for media, body in ((SOAP11, premature), *((form.content_type, form.written(premature, {})) for form in FORMS)):
        status, text = post(hub, body, media=media)
        assert (status, "replayed" in text) == (500, True), "nor in another form"
    hub.kill()
    hub.start()
    _, fault = post(hub, premature)
    assert "replayed" in fault
    found_by_its_tracking_id(hub, fault.partition("<Tracking>")[2].partition("<")[0])
    assert {state for state, _attempts in hub.states(row["id"]).values()} == {"fetched"}
    confirm = signed(hub, documents_requests.ConfirmReceived(row["id"], None))
    assert [post(hub, confirm)[0] for _ in range(2)] == [200, 200]
    assert {state for state, _attempts in hub.states(row["id"]).values()} == {"delivered"}
    asked = signed(hub, documents_requests.GetPendingDocumentIds(unit))
    assert [post(hub, asked)[0] for _ in range(2)] == [200, 200], "a question changes nothing"
    refused_for_good(hub)


def refused_for_good(hub):
    """What was refused takes no effect when its reason has gone, unless it is signed anew."""
    letter = documents_requests.SendDocument(document(to="H55.88"))
    early = signed(hub, letter, "anyone")
    assert all("unit-unknown" in post(hub, early, "anyone")[1] for _ in range(2)), "an honest retry is told the same"
    hub.issue("late")
    hub.cli("partners", "add", "late", "--certificate", hub.files("late")["certificate"], "--unit", "H55.88", "--fetch")
    hub.cli("reload")
    assert "replayed" in post(hub, early, "anyone")[1]
    assert "<Receipt" in post(hub, signed(hub, letter, "anyone"), "anyone")[1]
