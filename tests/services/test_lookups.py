"""What of a lookup may be kept, how it is named, and how it is answered: values in, values out."""

import hashlib
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from lxml import etree

from hub.domain.conversations import Answer
from hub.domain.errors import CallRefused, Rejected
from hub.domain.model import Fact, Problem
from hub.security.encryption import Safe
from hub.services import list_services
from hub.services.lookups import operations
from hub.services.lookups.operations import NAMESPACE, OPERATIONS
from hub.soap import wsdl

AT = datetime(2026, 11, 25, 8, tzinfo=UTC)
KEY = Safe(bytes(32)).naming
COMMON = {"OrganId": "H55.13", "Officer": "nv.mau", "Purpose": "Chứng thực"}
FIELDS = {
    "LookupEnterprise": {"EnterpriseCode": "4600100001"},
    "LookupCategory": {"Category": "magioitinh"},
    "VerifyCitizen": {"CitizenId": "019085000001", "FullName": "Nguyễn Văn Mẫu"},
    "OrderPostalReturn": {
        "OrderNumber": "Đ-1",
        "SenderName": "Một cửa",
        "SenderAddress": "Số 1",
        "SenderTel": "0208",
        "SenderProvince": "25",
        "ReceiverName": "Nguyễn Văn Mẫu",
        "ReceiverAddress": "Xóm Mẫu",
        "ReceiverTel": "0900",
        "ReceiverProvince": "25",
    },
    "RegisterCivilStatus": {
        "Commune": "05431",
        "Module": "KS",
        "ReceivedOn": "2026-11-24",
        "Data": "<hotich>\n <hoso/>\n</hotich>",
    },
    "RequestJudicialRecord": {
        "RecordType": "1",
        "RecordPurpose": "Xin việc",
        "FullName": "Nguyễn Văn Mẫu",
        "Gender": "1",
        "BornOn": "1985",
        "IdType": "3",
        "IdNumber": "019085000001",
    },
}
#: What of these is about a person, and may be nowhere in the journal.
PERSONAL = ("Nguyễn Văn Mẫu", "019085000001", "Xóm Mẫu", "0900", "1985", "hoso")


@pytest.fixture(scope="module")
def service():
    return wsdl.load_contract("lookups")


def element(operation, **more):
    root = etree.Element(f"{{{NAMESPACE}}}{operation}", nsmap=cast("Any", {None: NAMESPACE}))
    common = COMMON | ({"Dossier": "HS-1"} if OPERATIONS[operation].key == "Dossier" else {})
    order = ("OrganId", "Officer", "Purpose", "Dossier", "MessageId")
    said = common | FIELDS[operation] | more
    for name in [*(each for each in order if each in said), *(each for each in said if each not in order)]:
        if said[name] is not None:
            etree.SubElement(root, f"{{{NAMESPACE}}}{name}").text = said[name]
    return root


def question(operation, **more):
    return operations.read_lookup_question(element(operation, **more))


def test_the_contract_has_an_operation_for_each_that_is_known(service):
    assert {operation.name for operation in service.operations.values()} == set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_valid_call_is_read_whole(service, operation):
    call = element(operation, MessageId="m-1")
    service.validate(call)
    found = operations.read_lookup_question(call)
    assert found.fields == FIELDS[operation]
    assert (found.organ, found.officer, found.purpose, found.message_id) == ("H55.13", "nv.mau", "Chứng thực", "m-1")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_journal_holds_official_purpose_and_dossier_and_nothing_about_a_person(operation):
    found = question(operation, Dossier="HS-1")
    content = operations.write_lookup_record(found, operations.name_question(found, KEY)).decode()
    assert all(text in content for text in ("H55.13", "nv.mau", "Chứng thực", "HS-1", operation))
    assert not [text for text in PERSONAL if text in content]


def test_a_question_is_named_by_a_key_so_that_nobody_finds_it_by_trying():
    found = question("VerifyCitizen")
    named = operations.name_question(found, KEY)
    assert named != operations.name_question(found, Safe(b"1" * 32).naming)
    assert hashlib.sha256(b"019085000001").hexdigest() not in operations.write_lookup_record(found, named).decode()


def test_the_same_question_has_one_name_whoever_asks_and_for_what():
    asked = question("VerifyCitizen")
    again = question("VerifyCitizen", OrganId="H55.14", Officer="khac", Purpose="Khác", MessageId="m-9")
    other = question("VerifyCitizen", FullName="Nguyễn Văn Khác")
    assert (
        operations.name_question(asked, KEY)
        == operations.name_question(again, KEY)
        != operations.name_question(other, KEY)
    )
    assert operations.write_lookup_record(asked, "x") != operations.write_lookup_record(again, "x")


def test_the_old_number_is_another_question_than_the_new_one():
    old = question("VerifyCitizen", CitizenId=None, OldId="019085000001")
    assert operations.name_question(old, KEY) != operations.name_question(question("VerifyCitizen"), KEY)


def test_a_citizen_without_a_number_is_nobody():
    found = question("VerifyCitizen", CitizenId=None)
    assert operations.find_question_flaws(found) == (Problem("N.VerifyCitizen.CitizenId", "OldId"),)
    assert operations.find_question_flaws(question("VerifyCitizen")) == ()


@pytest.mark.parametrize("name", ["FullName", "CitizenId"])
@pytest.mark.parametrize("text", ["", "Nguyễn Văn Mẫu " * 50])
def test_what_breaks_the_contract_is_told_without_being_quoted(service, name, text):
    with pytest.raises(CallRefused) as refused:
        service.validate(element("VerifyCitizen", **{name: text}))
    assert "Mẫu" not in str(refused.value)


@pytest.mark.parametrize(
    ("operation", "key"),
    [
        ("LookupEnterprise", "id-1"),
        ("VerifyCitizen", "id-1"),
        ("OrderPostalReturn", "Đ-1"),
        ("RequestJudicialRecord", "HS-1"),
    ],
)
def test_a_record_counts_as_one_result_of_the_unit_under_the_key_of_what_was_done(operation, key):
    found = question(operation)
    content = operations.write_lookup_record(found, operations.name_question(found, KEY))
    record = list_services()["lookups"].read(content, AT, "id-1")
    milestone = OPERATIONS[operation].milestone
    assert (record.kind, record.sender, record.keys, record.subject) == (milestone, "H55.13", (key,), "Chứng thực")
    fact = Fact(unit="H55.13", service="lookups", key=key, milestone=milestone, at=AT, message="id-1")
    assert record.facts == (fact,)


@pytest.mark.parametrize("content", [b"<x/>", b'<Lookup xmlns="urn:lienthong:lookups:1"/>', b"no XML"])
def test_what_is_no_record_is_refused(content):
    with pytest.raises(Rejected):
        list_services()["lookups"].read(content, AT, "id-1")


ANSWERS = {
    "LookupEnterprise": (
        ("Activity", "1076 Chè"),
        ("Name", "CÔNG TY"),
        ("Representative", "A"),
        ("Representative", "B"),
    ),
    "LookupCategory": (("Row", '{"Ma":"1","Ten":"Nam"}'), ("Row", "{}")),
    "VerifyCitizen": (("Exists", "true"),),
    "OrderPostalReturn": (("Message", "success"), ("OrderNumber", "Đ-1"), ("Status", "200")),
    "RegisterCivilStatus": (("Status", "1"),),
    "RequestJudicialRecord": (("RecordId", "a1"), ("Status", "00")),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_answers_and_refusals_keep_the_contract_and_say_how_old_they_are(service, operation):
    answer = operations.build_lookup_response(operation, "id-1", Answer(ANSWERS[operation]), AT)
    service.validate(answer)
    assert answer[-1].text == "2026-11-25T08:00:00.000000Z"
    assert {text for name, text in ANSWERS[operation] if name != "Row"} <= set(answer.itertext())
    service.validate(operations.build_lookup_refusal(operation, "id-1", [Problem("lookup-refused", "ngsp: no")]))


def test_what_is_kept_of_an_answer_is_all_of_it():
    answer = Answer(ANSWERS["LookupEnterprise"])
    assert operations.read_kept_answer(operations.write_kept_answer(answer)) == answer
