"""What one document cannot do, whatever is answered about it: keep the others waiting that a partner lists behind it."""

import base64
import json
from datetime import timedelta
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

import adapters
from hub.domain.conversations import Arrival, Collected, Collector, Judged, Reply
from hub.partner.adapter_settings import Terms
from tests.pki import NOW, partner

SOAP = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header>%s</s:Header><s:Body>%s</s:Body></s:Envelope>'
LISTED = [{"docId": name, "status": "initial", "created_time": name} for name in "12"]
BROKEN = [Reply(502, b""), Reply(200, b'{"data": "<'), Reply(200, (SOAP % ("", "&#1;")).encode())]


def said(**fields: Any) -> Reply:
    return Reply(200, json.dumps({"status": "OK", "success": True, "ErrorCode": "0", "message": "", **fields}).encode())


def soap(header: str, body: str) -> Reply:
    return Reply(200, (SOAP % (header, body)).encode(), {"content-type": "text/xml"})


def vxp(request: Any, broken: Reply | None) -> Reply:
    asked = {name.lower().removeprefix("xroadvnpt-"): value for name, value in request.headers}
    if request.url.endswith("List"):
        return said(data=LISTED if asked["messagetype"] == "edoc" else [])
    if not request.url.endswith("getEdoc"):
        return said()
    return broken if broken and asked["docid"] == "1" else said(data=base64.b64encode(b"<edXML/>").decode())


def bkav(request: Any, broken: Reply | None) -> Reply:
    if b"<GetPendingDocumentIds>" in request.body:
        return soap("", "<R><DocumentId>1</DocumentId><DocumentId>2</DocumentId></R>")
    if b"<GetDocument>" not in request.body:
        return soap("", "<R><IsSuccess>true</IsSuccess></R>")
    whole = soap('<MessageHeader xmlns="http://www.e-doc.vn/Schema/"><From/></MessageHeader>', "<R/>")
    return broken if broken and b"<DocumentId>1<" in request.body else whole


def rest(request: Any, broken: Reply | None) -> Reply:
    place = urlsplit(request.url)
    asked = parse_qs(place.query)
    if place.path == "/token":
        return Reply(200, b'{"access_token": "t", "expires_in": 3600}')
    if place.path.endswith("List") or (request.method, place.path) == ("GET", "/vanbans"):
        return said(data=LISTED if asked.get("messageType", ["edoc"]) == ["edoc"] else [])
    if request.method != "GET":
        return said(data={})
    if broken and (asked.get("docId") == ["1"] or place.path.endswith("/1")):
        return broken
    return said(data={"edxml": "<edXML/>"} if "docId" in asked else "<edXML/>")


@pytest.mark.parametrize("broken", BROKEN, ids=["502", "half an answer", "no XML"])
@pytest.mark.parametrize(("name", "answer"), [("vxp", vxp), ("bkav", bkav), ("lgsp", rest), ("wso2", rest)])
def test_a_document_that_is_not_given_keeps_no_other_waiting(name, answer, broken):
    assert "2" in collected(name, lambda step: answer(step, broken))


@pytest.mark.parametrize(("name", "answer"), [("vxp", vxp), ("bkav", bkav), ("lgsp", rest), ("wso2", rest)])
def test_a_document_that_is_not_heard_of_keeps_no_other_waiting(name, answer):
    def deaf(step: Any) -> Reply:
        tells = step.method == "PUT" or step.url.endswith("updateStatus") or b"<ConfirmReceived>" in step.body
        about = (*urlsplit(step.url).path.split("/"), *(value for _, value in step.headers))
        first = "1" in about or b"<DocumentId>1<" in step.body or b'"docId": "1"' in step.body
        return Reply(502, b"") if tells and first else answer(step, None)

    assert "2" in collected(name, deaf)


def test_each_of_many_statuses_has_its_turn_however_few_are_remembered(monkeypatch):
    monkeypatch.setattr("adapters.bkav._REMEMBERED", 300)
    listed = "".join(f"<Status><Code>{number}</Code></Status>" for number in range(900))

    def answer(step: Any) -> Reply:
        return soap("", f"<R>{listed}</R>" if b"<GetTraces>" in step.body else "<R/>")

    assert len(set(collected("bkav", answer, times=5))) == 900


def collected(name, answer, times=3):
    """Collect so many *times*, as a partner answers; return what arrived."""
    settings = {
        each.name: each.default if each.default is not None else "x" for each in adapters.list_adapter_settings(name)
    }
    secrets = dict.fromkeys((each.name for each in adapters.list_adapter_settings(name) if each.secret), "x")
    terms = Terms(partner="p", url="http://a", identity=partner("hub"), settings=settings, secrets=secrets)
    adapter = cast("Collector", adapters.make_adapter(name, terms))
    cursor, arrived = "", []
    for hour in range(times):
        conversation: Any = adapter.collect(cursor, NOW + timedelta(hours=hour))
        given: Any = None
        try:
            while True:
                step = conversation.send(given)
                if isinstance(step, Arrival):
                    arrived.append(step.message_id)
                given = Judged(True) if isinstance(step, Arrival) else answer(step)
        except StopIteration as end:
            cursor = end.value.cursor if isinstance(end.value, Collected) else cursor
    return arrived
