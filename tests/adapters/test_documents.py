"""Our own documents service, pushed to a partner: what a signed reply must prove before it is believed."""

from datetime import timedelta

import pytest
from lxml import etree

from adapters.documents import adapter
from hub import answers, calls, envelope, signature
from hub.model import Accepted, Consignment, Message, MessageState, Problem, Refused, Reply, Unavailable
from tests.pki import NOW, partner

HUB, THEIRS, STRANGER = partner("hub"), partner("vpub"), partner("stranger")
CONTENT = "<edXML>gói tin</edXML>".encode()
MESSAGE = Message(
    id="01936f1e-7c80-7000-8000-000000000001",
    partner="sotttt",
    message_id="m-1",
    service="documents",
    kind="document",
    state=MessageState.ACCEPTED,
    received_at=NOW,
    sha256="",
    size=len(CONTENT),
)
TAKEN = answers.confirmed()
TAKEN.tag = f"{{{calls.NAMESPACE}}}SendDocumentResponse"
YES = envelope.answer(TAKEN)
NO = envelope.answer(answers.refused("SendDocument", [Problem("unit-unknown", "H55.1")]))


def begin():
    push = adapter(
        url="https://vpub/soap/documents",
        identity=HUB,
        certificates=[THEIRS.certificate],
        max_age=timedelta(seconds=900),
    )
    conversation = push.deliver(Consignment(message=MESSAGE, content=CONTENT, recipients=("H55.1",), attempt=1), NOW)
    return next(conversation), conversation


def outcome(body, status=200, headers=None):
    _, conversation = begin()
    with pytest.raises(StopIteration) as end:
        conversation.send(Reply(status, body, headers or {}))
    return end.value.value


def signed(octets, identity=THEIRS, at=NOW):
    return signature.sign(octets, identity, at)


def test_the_push_is_signed_by_the_hub_and_carries_the_hub_s_id_of_the_message():
    request, _ = begin()
    verified = signature.verify(etree.fromstring(request.body), [HUB.certificate], NOW, max_age=timedelta(seconds=900))
    call = envelope.only_child(verified.body)
    assert calls.read(call, [CONTENT]) == calls.SendDocument(CONTENT, MESSAGE.id)
    assert dict(request.headers) == {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": '"urn:lienthong:documents:1/SendDocument"',
    }


@pytest.mark.parametrize("dress", [signed, bytes], ids=["signed", "unsigned"])
def test_a_reply_counts_signed_or_not_for_tls_has_shown_the_partner(dress):
    assert outcome(dress(YES)) == Accepted()
    refused = outcome(dress(NO))
    assert isinstance(refused, Refused)
    assert refused.detail.startswith("unit-unknown: ")
    assert "H55.1" in refused.detail


def swap(octets):
    """Turn a refusal into a success under the same signature, or the reverse."""
    return octets.replace(b">false<", b">TRUE<").replace(b">true<", b">false<").replace(b">TRUE<", b">true<")


@pytest.mark.parametrize(
    "body",
    [
        swap(signed(NO)),
        swap(signed(YES)),
        signed(YES, STRANGER),
        signed(YES, HUB),
        signed(YES, at=NOW - timedelta(hours=1)),
        signed(YES, at=NOW + timedelta(hours=1)),
    ],
    ids=["refusal changed", "success changed", "stranger", "ourselves", "old", "future"],
)
def test_a_signed_reply_that_does_not_verify_is_no_answer(body):
    got = outcome(body)
    assert isinstance(got, Unavailable)
    assert got.detail.startswith("HTTP 200: ")


def test_of_a_signed_reply_only_what_was_signed_is_read():
    """The classic wrapping: the signed Body moves into the Header, another takes its place."""
    root = etree.fromstring(signed(NO))
    header, body = root
    root.remove(body)
    etree.SubElement(header, "wrapper").append(body)
    root.append(etree.fromstring(YES)[0])
    assert isinstance(outcome(etree.tostring(root)), Unavailable)


def test_a_signed_fault_is_believed_like_a_signed_report():
    fault = envelope.fault(calls.NAMESPACE, [Problem("contract-broken", "x")], server=False, tracking="t")
    for body in (fault, signed(fault)):
        got = outcome(body, 500)
        assert isinstance(got, Refused)
        assert got.detail.startswith("contract-broken: ")
    busy = envelope.fault(calls.NAMESPACE, [Problem("journal-unavailable")], server=True, tracking="t")
    got = outcome(signed(busy), 500, {"retry-after": "7"})
    assert isinstance(got, Unavailable)
    assert got.retry_after == 7.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("Tue, 24 Nov 2026 08:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 15:00:30 +0700", 30.0),
        ("Tue, 24 Nov 2026 07:00:00 GMT", 0.0),
        ("99999999999", 3600.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("１２", None),
        ("9" * 5000, 3600.0),
    ],
)
def test_the_wait_a_partner_asks_for_is_kept_within_an_hour(header, seconds):
    got = outcome(b"", 503, {"retry-after": header})
    assert isinstance(got, Unavailable)
    assert got.retry_after == seconds


def test_a_partner_cannot_make_the_log_grow_without_bound():
    many = [Problem("unit-unknown", "x" * 500) for _ in range(1000)]
    got = outcome(envelope.answer(answers.refused("SendDocument", many)))
    assert isinstance(got, Refused)
    assert len(got.detail) <= 2000
