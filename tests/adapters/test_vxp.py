"""The national axis: how a call is signed, and what the samples cannot show for having one setting each."""

import base64
import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adapters
from adapters.vxp import answers, signing
from hub.domain.conversations import Accepted, Answer, Arrival, Collected, Judged, Refused, Reply, Unavailable
from hub.domain.model import Consignment, Message, MessageState, Problem
from hub.partner.adapter_settings import AdapterNotes, Terms
from lienthong_demo.plan import packets
from tests.pki import NOW, partner
from tests.words import in_vietnamese

URL = "http://xrd.example.vn:8080/XrdAdapter/adapter"
CONTENT = "gói tin".encode()
ID = "68edb8c8c2dcb14db773ce44"


def axis(notes=None, **settings):
    said = {"system-id": "00.55.W00", "sent-list": "no"} | {
        name.replace("_", "-"): value for name, value in settings.items()
    }
    terms = Terms(partner="vpcp", url=URL, identity=partner("hub"), settings=said, secrets={"secret": "bí mật"})
    return adapters.make_adapter("vxp", attrs.evolve(terms, notes=notes or AdapterNotes()))


def consignment(kind="document", attempt=1, sender="H55.13"):
    message = Message(
        id="01936f1e-7c80-7000-8000-000000000001",
        partner="sotttt",
        message_id="m-1",
        service="documents",
        kind=kind,
        state=MessageState.ACCEPTED,
        received_at=NOW,
        sha256="",
        size=len(CONTENT),
        sender=sender,
    )
    return Consignment(message=message, content=CONTENT, recipients=("G22", "G14"), attempt=attempt)


def good(**more):
    return Reply(200, json.dumps({"status": "OK", "ErrorCode": "0", "ErrorDesc": "", **more}).encode())


def bad(code, **more):
    return Reply(200, json.dumps({"status": "FAIL", "ErrorCode": code, "ErrorDesc": "không", **more}).encode())


def item(doc_id, **more):
    return {"docId": doc_id, "status": "initial", "created_time": "2026-11-24 09:00:00", **more}


def packet():
    return good(data=base64.b64encode(CONTENT).decode())


def asked(request):
    """Return the operation and the logical headers of a request."""
    headers = dict(request.headers)
    names = headers["XroadVnpt-sign-header-key"].split(";")
    return request.url.removeprefix(f"{URL}/"), {name: headers[f"XroadVnpt-{name}"] for name in names}


def hold(conversation, *replies, accepts=True):
    """Give *replies* one after another; return what was asked, with the id of each arrival in its place, and the outcome."""
    told, waiting = [], iter(replies)
    step = next(conversation)
    try:
        while True:
            if isinstance(step, Arrival):
                told.append(step.message_id)
                step = conversation.send(Judged(accepts))
            else:
                told.append(asked(step))
                step = conversation.send(next(waiting))
    except StopIteration as end:
        return told, end.value


# --- who calls ------------------------------------------------------------------------------------------------------------


def test_a_call_is_signed_as_openssl_would_sign_it():
    """`printf %s "$TEXT" | openssl dgst -sha256 -hmac 'bí mật'`, the text and what came out written down here."""
    fields = (("timestamp", "24112026T150000+0042"), ("systemid", "00.55.W00"), ("docId", ID))
    assert signing.sign_headers(fields, "bí mật", "3.0.201608") == (
        ("XroadVnpt-timestamp", "24112026T150000+0042"),
        ("XroadVnpt-systemid", "00.55.W00"),
        ("XroadVnpt-docId", ID),
        ("XroadVnpt-sign-header-key", "timestamp;systemid;docId"),
        (
            "XroadVnpt-sign-header",
            '{"XroadVnpt-timestamp":"24112026T150000+0042","XroadVnpt-systemid":"00.55.W00","XroadVnpt-docId":"68edb8c8c2dcb14db773ce44"}',
        ),
        ("XroadVnpt-hash-header", "967c69fdde57bd7b9f8aa7ffdcf1ad6b615d42d96b04dfa99fe174e7c0aa7a09"),
        ("XroadVnpt-version", "3.0.201608"),
    )


def test_the_time_is_that_of_ha_noi_with_milliseconds_behind_the_plus_sign():
    assert signing.write_vxp_timestamp(datetime(2026, 12, 31, 17, 0, 1, 42_999, tzinfo=UTC)) == "01012027T000001+0042"


def test_the_hash_of_a_file_has_no_leading_zeros_as_in_the_sdk_unless_told_otherwise():
    full = "1f000cf1e003a9af7a02166a637708b750ff732bf4524927e909644a38ca6fb6"
    assert signing.hash_vxp_file(b"goi tin 0", "full") == full
    assert (
        signing.hash_vxp_file(b"goi tin 0", "short")
        == "1f0cf1e03a9af7a2166a63778b750ff732bf4524927e9964" + "4a38ca6fb6"
    )
    told, _ = hold(axis(hash_digits="full").deliver(consignment(), NOW), good())
    assert len(told[0][1]["hash-file"]) == 64


def test_each_call_has_the_time_of_the_reply_before_it():
    later = attrs.evolve(good(data=[]), at=NOW + timedelta(minutes=20))
    told, _ = hold(axis().collect("", NOW), later, good(data=[]))
    assert [fields["timestamp"] for _, fields in told] == ["24112026T150000+0000", "24112026T152000+0000"]


# --- sending --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "sender", "code"),
    [
        ({}, "H55.13", "H55.13"),
        ({}, None, "00.55.W00"),
        ({"from": "system"}, "H55.13", "00.55.W00"),
        ({"from": "H55"}, "H55.13", "H55"),
    ],
)
def test_the_sender_is_the_unit_or_whom_the_operator_says(said, sender, code):
    (_, fields), *_ = hold(axis(**said).deliver(consignment(sender=sender), NOW), good())[0]
    assert fields["from"] == code


def test_a_status_is_sent_as_a_status_and_a_recall_as_a_document():
    kinds = {kind: hold(axis().deliver(consignment(kind), NOW), good())[0][0][1] for kind in ("status", "recall")}
    assert {kind: fields["messagetype"] for kind, fields in kinds.items()} == {"status": "status", "recall": "edoc"}


def test_a_packet_names_the_recipients_behind_the_axis_unless_it_is_signed_and_the_call_names_them():
    assert "to" not in hold(axis().deliver(consignment(), NOW), good())[0][0][1]
    told, _ = hold(axis(name_recipients="header").deliver(consignment(), NOW), good())
    assert told[0][1]["to"] == '["G22","G14"]'
    signed = attrs.evolve(packets.SEEN, signature="dummy")
    for variation, named in ((packets.SEEN, None), (signed, '["G22","G14"]')):
        content = packets.write_document_packet(
            "H55.13", ("G22", "G14", "H37.01"), number="1", notation="VB", subject="V/v", promulgated="2026/11/20",
            variation=variation,
        )  # fmt: skip
        (request, fields), *_ = hold(axis().deliver(attrs.evolve(consignment(), content=content), NOW), good())[0]
        assert fields.get("to") == named, request


def test_an_unknown_receiver_is_a_refusal_of_that_recipient_and_any_other_code_of_the_message():
    unknown = Reply(200, b'{"status":"FAIL","ErrorCode":"18","ErrorDesc":"receiver G14: none"}')
    assert hold(axis().deliver(consignment(), NOW), unknown)[1] == Refused("18: receiver G14: none", ("G14",))
    assert hold(axis().deliver(consignment(), NOW), bad("23"))[1] == Refused("23: không", ())
    assert hold(axis().deliver(consignment(), NOW), bad("22"))[1] == Refused("22: không")


def test_a_repetition_is_the_same_file_with_the_same_hash():
    first, again = (hold(axis().deliver(consignment(attempt=n), NOW), good())[0][0][1] for n in (1, 2))
    assert first == again


def test_what_the_axis_could_not_work_on_is_tried_a_few_times():
    outcomes = [hold(axis().deliver(consignment(attempt=n), NOW), bad("21"))[1] for n in (1, 4, 5)]
    assert outcomes == [Unavailable("21: không"), Unavailable("21: không"), Refused("21: không")]


def test_an_acceptance_without_a_doc_id_is_still_one():
    assert hold(axis().deliver(consignment(), NOW), good(DocId="a b"))[1] == Accepted("no docId")


# --- collecting -----------------------------------------------------------------------------------------------------------


def test_the_days_before_the_cursor_are_looked_at_again():
    told, outcome = hold(axis(overlap_days="3", dates="%d-%m-%Y").collect("2026-12-01", NOW), good(), good())
    assert [(fields["fromDate"], fields["toDate"]) for _, fields in told] == [("28-11-2026", "25-11-2026")] * 2
    assert outcome == Collected("2026-11-24")


def test_an_axis_that_knows_no_dates_is_asked_for_all():
    told, _ = hold(axis(dates="none").collect("2026-11-01", NOW), good(), good())
    assert "fromDate" not in told[0][1]


def test_nothing_is_told_before_the_packet_is_judged():
    replies = (good(data=[item(ID)]), packet(), good(), good(), good(data=[]))
    told, _ = hold(axis().collect("", NOW), *replies)
    assert [each if isinstance(each, str) else each[0] for each in told] == [
        "getReceivedEdocList",
        "getEdoc",
        ID,
        "updateStatus",
        "updateStatus",
        "getReceivedEdocList",
    ]


def test_what_the_hub_has_in_other_octets_is_no_failure():
    """The sender would be told that its document did not arrive."""
    conversation = axis(processing="no").collect("", NOW)
    _ = next(conversation), conversation.send(good(data=[item(ID)])), conversation.send(packet())
    name, headers = asked(conversation.send(Judged(False, (Problem("id-reused", ID),))))
    assert (name, headers["status"]) == ("updateStatus", "done")


def test_without_processing_the_last_word_is_the_only_one():
    replies = (good(data=[item(ID)]), packet(), good(), good(data=[]))
    told, _ = hold(axis(processing="no").collect("", NOW), *replies)
    assert told[3][1]["status"] == "done"


def test_a_packet_the_axis_will_not_hear_about_does_not_come_each_time_nor_keep_the_others_waiting():
    notes, other = AdapterNotes(), "68edc45bc2dcb14db773d2dd"
    deaf = axis(notes, portion="1", processing="no")
    first = hold(deaf.collect("", NOW), good(data=[item(ID), item(other)]), packet(), bad("100"))
    assert first[1] == Collected("", more=True)
    told, _ = hold(deaf.collect("", NOW), good(data=[item(ID), item(other)]), packet(), good(), good(data=[]))
    assert other in told
    assert ID not in told
    later = NOW + timedelta(hours=1)
    assert ID in hold(deaf.collect("", later), good(data=[item(ID)]), packet(), good(), good(data=[]))[0]


def test_an_axis_that_cannot_answer_for_one_packet_is_asked_again_later():
    assert hold(axis().collect("", NOW), good(data=[item(ID)]), bad("20"))[1] == Unavailable("20: không")
    replies = (good(data=[item(ID)]), packet(), bad("15"))
    assert hold(axis().collect("", NOW), *replies)[1] == Unavailable("15: không", credentials=True)


# --- the agencies ---------------------------------------------------------------------------------------------------------


def test_the_list_of_agencies_is_handed_on_as_it_came():
    reply = good(data=[{"id": "1", "pid": "", "code": "G22", "name": "Văn phòng Chính phủ", "mail": ""}])
    told, got = hold(axis().list_units(NOW), reply)
    assert got == reply.body
    assert told == [("getAgenciesList", {"timestamp": "24112026T150000+0000"} | told[0][1])]
    assert hold(axis(agencies="getAgenciesListQD20").list_units(NOW), reply)[0][0][0] == "getAgenciesListQD20"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (bad("15"), Unavailable("15: không", credentials=True)),
        (bad("99"), Refused("99: không")),
        (Reply(502, b""), Unavailable("HTTP 502", unknown=True)),
    ],
)
def test_a_list_that_is_not_given_is_an_outcome(reply, outcome):
    assert hold(axis().list_units(NOW), reply)[1] == outcome


# --- whatever comes -------------------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda one: (
        st.lists(one) | st.dictionaries(st.sampled_from(["docId", "DocId", "status", "data", "ErrorCode"]), one)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from([200, 201, 400, 401, 500]),
    st.binary(max_size=30) | _JSON.map(lambda said: json.dumps(said).encode()),
)
def test_no_answer_breaks_the_hub(status, body):
    reply = Reply(status, body)
    read = answers.read_vxp_reply(reply, NOW)
    if not isinstance(read, Unavailable):
        str(read).encode()
        read.doc_id.encode("ascii")
        answers.read_vxp_items(read)
        answers.read_vxp_packet(read)


@given(_JSON)
def test_no_data_breaks_the_hub(data):
    read = answers.read_vxp_reply(good(data=data), NOW)
    assert not isinstance(read, Unavailable | Answer)
    for each in answers.read_vxp_items(read) or ():
        each.doc_id.encode("ascii")
    answers.read_vxp_packet(read)


def test_an_answer_as_deep_as_it_likes_is_no_answer():
    deep = answers.read_vxp_reply(Reply(200, b"[" * 200_000), NOW)
    assert deep == Unavailable("HTTP 200: no answer of the axis", unknown=True)


def test_what_must_be_set_is_named_by_the_check():
    assert [flaw[0] for flaw in adapters.find_settings_flaws("vxp", {"portion": "0"}, {})] == [
        "system-id",
        "secret-file",
        "portion",
    ]


def test_what_a_setting_expects_is_said_in_vietnamese():
    assert all(in_vietnamese(setting.expected) for setting in adapters.list_adapter_settings("vxp"))
