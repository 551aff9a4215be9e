"""Our own documents service, pushed to a partner: what a signed reply must prove before it is believed."""

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from lxml import etree

from adapters.documents import Documents, adapter
from hub.config import Config, Partner
from hub.delivery.partner_adapters import make_adapters
from hub.domain.conversations import Accepted, Refused, Reply, Unavailable
from hub.domain.model import Consignment, Message, MessageState, Problem, Receive
from hub.formats.spool import SMALL
from hub.partner.adapter_settings import Terms
from hub.partner.policy import Policy
from hub.security import wss_verify, xmldsig
from hub.security.anchors import Anchors
from hub.soap import documents_requests, documents_responses, envelope
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
TAKEN = documents_responses.build_confirmed_response()
TAKEN.tag = f"{{{documents_requests.NAMESPACE}}}SendDocumentResponse"
YES = envelope.write_unsigned_envelope(TAKEN)
NO = envelope.write_unsigned_envelope(
    documents_responses.build_refused_response("SendDocument", [Problem("unit-unknown", "H55.1")])
)


def begin(content=CONTENT, **more):
    url = "https://vpub/soap/documents"
    push = adapter(Terms(partner="vpub", url=url, identity=HUB, certificates=[THEIRS.certificate], **more))
    conversation = push.deliver(Consignment(message=MESSAGE, content=content, recipients=("H55.1",), attempt=1), NOW)
    return next(conversation), conversation


def outcome(body, status=200, headers=None, at=None, **more):
    _, conversation = begin(**more)
    with pytest.raises(StopIteration) as end:
        conversation.send(Reply(status, body, headers or {}, at))
    return end.value.value


def signed(octets, identity=THEIRS, at=NOW):
    return wss_verify.sign_envelope(octets, identity, at)


@pytest.mark.parametrize("content", [CONTENT, b"", b"x" * SMALL, b"x" * (SMALL + 1)], ids=len)
def test_the_push_is_signed_by_the_hub_and_carries_the_hub_s_id_of_the_message(content):
    request, _ = begin(content)
    verified = wss_verify.verify_envelope(
        etree.fromstring(request.body), [HUB.certificate], NOW, max_age=timedelta(seconds=900)
    )
    call = envelope.find_only_child(verified.body)
    built = documents_requests.build_call_element(documents_requests.SendDocument(content, MESSAGE.id))
    assert xmldsig.canonicalize_element(call, xmldsig.PLAIN) == xmldsig.canonicalize_element(built, xmldsig.PLAIN)
    assert documents_requests.read_documents_call(call, [CONTENT]) == documents_requests.SendDocument(
        CONTENT, MESSAGE.id
    )
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


@pytest.mark.parametrize("skew", [0, 60, 3600])
def test_the_clock_that_signed_a_reply_may_be_off_as_far_as_the_partners_policy_says(skew):
    life, second = 300, 1  # seconds
    for off, taken in ((skew, True), (skew + second, False), (-(life + skew - second), True), (-(life + skew), False)):
        got = outcome(signed(YES, at=NOW + timedelta(seconds=off)), skew=timedelta(seconds=skew))
        assert (got == Accepted()) == taken, off
        if not taken:
            assert got.detail.startswith(f"HTTP 200: timestamp-{'future' if off > 0 else 'expired'}")


def test_a_reply_is_judged_at_the_time_it_came_however_long_the_partner_took():
    late = NOW + timedelta(minutes=5)
    strict = {"skew": timedelta(0)}
    assert outcome(signed(YES, at=late), at=late, **strict) == Accepted()
    assert isinstance(outcome(signed(YES, at=late), **strict), Unavailable)
    assert isinstance(outcome(signed(YES), at=late, **strict), Unavailable)


def test_each_partners_adapter_has_the_clock_skew_and_the_age_of_its_policy():
    policies = {"one": Policy(), "two": Policy(max_age=timedelta(seconds=7), clock_skew=timedelta(minutes=9))}
    partners = {
        code: Partner(
            code=code, name=code, certificates=(THEIRS.certificate,), units=(), receive=Receive.PUSH, policy=policy
        )
        for code, policy in policies.items()
    }
    made = make_adapters(cast("Config", SimpleNamespace(partners=partners, identity=HUB, anchors=Anchors(()))))
    assert {code: (each.max_age, each.skew) for code, each in made.items() if isinstance(each, Documents)} == {
        code: (policy.max_age, policy.clock_skew) for code, policy in policies.items()
    }


def test_of_a_signed_reply_only_what_was_signed_is_read():
    """The classic wrapping: the signed Body moves into the Header, another takes its place."""
    root = etree.fromstring(signed(NO))
    header, body = root
    root.remove(body)
    etree.SubElement(header, "wrapper").append(body)
    root.append(etree.fromstring(YES)[0])
    assert isinstance(outcome(etree.tostring(root)), Unavailable)


def test_a_signed_fault_is_believed_like_a_signed_report():
    fault = envelope.write_fault(
        documents_requests.NAMESPACE, [Problem("contract-broken", "x")], server=False, tracking="t"
    )
    for body in (fault, signed(fault)):
        got = outcome(body, 500)
        assert isinstance(got, Refused)
        assert got.detail.startswith("contract-broken: ")
    busy = envelope.write_fault(
        documents_requests.NAMESPACE, [Problem("journal-unavailable")], server=True, tracking="t"
    )
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
        ("Tue, 24 Nov 2026 08:22222222222222222201:00 GMT", None),
        ("Tue, 24 Nov 2026 08:00:30 +99999999999999", None),
    ],
)
def test_the_wait_a_partner_asks_for_is_kept_within_an_hour(header, seconds):
    got = outcome(b"", 503, {"retry-after": header})
    assert isinstance(got, Unavailable)
    assert got.retry_after == seconds


def test_a_partner_cannot_make_the_log_grow_without_bound():
    many = [Problem("unit-unknown", "x" * 500) for _ in range(1000)]
    got = outcome(envelope.write_unsigned_envelope(documents_responses.build_refused_response("SendDocument", many)))
    assert isinstance(got, Refused)
    assert len(got.detail) <= 2000
