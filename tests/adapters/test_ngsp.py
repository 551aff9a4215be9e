"""The adapter of the shared services against their process: over real HTTP, in every mood of theirs."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

import adapters
from adapters.ngsp import services
from hub.domain.conversations import Answer, Query, Refused, Unavailable
from hub.partner.adapter_settings import Terms
from hub.services.lookups import operations
from tests.offices import hold, opened
from tests.pki import partner

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
ENTERPRISE = Query("LookupEnterprise", {"EnterpriseCode": "4600100001"}, "q-1")
ORDER = Query(
    "OrderPostalReturn",
    {
        "OrderNumber": "H55.13-261125-0001",
        "SenderName": "Một cửa",
        "SenderAddress": "Số 1",
        "SenderTel": "0208",
        "SenderProvince": "25",
        "ReceiverName": "Nguyễn Văn Mẫu",
        "ReceiverAddress": "Xóm Mẫu",
        "ReceiverTel": "0900",
        "ReceiverProvince": "25",
    },
    "q-2",
)
CIVIL = Query(
    "RegisterCivilStatus",
    {
        "Dossier": "D-7",
        "Commune": "05431",
        "Module": "KS",
        "ReceivedOn": "2026-11-24",
        "Data": "<hotich><hoso><nksHoTen>Mẫu</nksHoTen></hoso></hotich>",
    },
    "q-3",
)
FORM = Query(
    "RequestJudicialRecord",
    {
        "Dossier": "D-9",
        "RecordType": "1",
        "RecordPurpose": "Xin việc",
        "FullName": "Nguyễn Văn Mẫu",
        "Gender": "1",
        "BornOn": "1985",
        "IdType": "3",
        "IdNumber": "019085000001",
    },
    "q-4",
)


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with opened("ngsp", tmp_path_factory.mktemp("ngsp")) as office:
        yield office


@pytest.fixture
def ngsp(office):
    return made(office)


def made(office, **secrets):
    known = {"client-id": "truc-lien-thong", "client-secret": "mật khẩu mẫu"} | secrets
    terms = Terms(
        partner="ngsp",
        url=office.url,
        identity=partner("hub"),
        settings={"token-url": f"{office.url}/token", "customer-code": "TNG01"},
        secrets=known,
    )
    return adapters.make_adapter("ngsp", terms)


def asked(adapter, query, now=NOW, **how):
    return hold(adapter.ask(query, now), **how)


def test_one_token_serves_many_questions_until_it_ends(office, ngsp):
    held = asked(ngsp, ENTERPRISE)
    assert ("Name", "CÔNG TY TNHH CHÈ MẪU THÁI NGUYÊN") in held.outcome.fields
    assert held.outcome.fields[-2:] == (("Activity", "1076 Sản xuất chè"), ("Activity", "4632 Bán buôn thực phẩm"))
    assert len(held.requests) == 2
    at = held.replies[0].at
    assert len(asked(ngsp, ENTERPRISE, at + timedelta(seconds=3500)).requests) == 1
    assert len(asked(ngsp, ENTERPRISE, at + timedelta(seconds=3600)).requests) == 2


def test_a_token_that_is_taken_no_more_is_had_anew_once(office, ngsp):
    asked(ngsp, ENTERPRISE, datetime.now(UTC))
    office.order("revoke")
    held = asked(ngsp, ENTERPRISE, datetime.now(UTC))
    assert isinstance(held.outcome, Answer)
    assert [request.url.rpartition("/")[2].partition("?")[0] for request in held.requests] == [
        "chiTietDoanhNghiep",
        "token",
        "chiTietDoanhNghiep",
    ]


def test_a_token_that_ends_sooner_than_it_says_is_had_anew(office, ngsp):
    office.order("tokens", last=0.2)
    asked(ngsp, ENTERPRISE, datetime.now(UTC))
    office.order("tokens", last=3600)
    time.sleep(0.25)
    assert isinstance(asked(ngsp, ENTERPRISE, datetime.now(UTC)).outcome, Answer)


def test_wrong_secrets_are_a_matter_for_a_person(office):
    outcome = asked(made(office, **{"client-secret": "khác"}), ENTERPRISE).outcome
    assert isinstance(outcome, Unavailable)
    assert outcome.credentials
    assert "client-secret" in outcome.detail


def test_categories_come_as_their_rows(ngsp):
    outcome = asked(ngsp, Query("LookupCategory", {"Category": "magioitinh"}, "q")).outcome
    assert [json.loads(text) for _, text in outcome.fields][1] == {"Ma": "2", "Ten": "Nữ"}
    every = asked(ngsp, Query("LookupCategory", {}, "q")).outcome
    assert len(every.fields) == 2
    assert isinstance(asked(ngsp, Query("LookupCategory", {"Category": "không có"}, "q")).outcome, Refused)


@pytest.mark.parametrize(("query", "key"), [(ORDER, "order:TNG01/H55.13-261125-0001"), (CIVIL, "civil-status:D-7")])
def test_what_is_ordered_twice_is_placed_once_and_never_with_other_contents(office, ngsp, query, key):
    before = asked(ngsp, query).outcome
    assert isinstance(before, Answer)
    assert asked(ngsp, query).outcome == before
    other = dict(query.fields) | {name: "other" for name in query.fields if name == "ReceiverName"}
    other |= {"ReceivedOn": "2026-11-25"} if query is CIVIL else {}
    assert isinstance(asked(ngsp, Query(query.operation, other, "q")).outcome, Refused)
    assert [line["key"] for line in office.noted("placed")].count(key) == 1


def test_a_form_for_a_judicial_record_gets_its_id(ngsp):
    outcome = asked(ngsp, FORM).outcome
    assert dict(outcome.fields)["RecordId"].startswith("LLTP-")


@pytest.mark.parametrize("query", [ENTERPRISE, ORDER, CIVIL, FORM], ids=lambda query: query.operation)
def test_a_refusal_names_no_person(office, ngsp, query):
    asked(ngsp, ENTERPRISE)  # a token
    office.mood("refuse", times=2)
    outcome = asked(ngsp, query).outcome
    office.mood("normal")
    assert isinstance(outcome, Refused)
    assert "Mẫu" not in outcome.detail


@pytest.mark.parametrize("mood", ["unavailable", "mute", "garbage", "denied"])
def test_no_answer_is_no_refusal(office, ngsp, mood):
    office.mood(mood)
    outcome = asked(ngsp, ENTERPRISE).outcome
    office.mood("normal")
    assert isinstance(outcome, Unavailable)
    assert outcome.credentials is (mood == "denied")
    assert isinstance(asked(ngsp, ENTERPRISE).outcome, Answer)


def test_a_slow_answer_is_none(office, ngsp):
    asked(ngsp, ENTERPRISE, datetime.now(UTC))
    office.mood("slow", seconds=2, times=1)
    assert isinstance(asked(ngsp, ENTERPRISE, datetime.now(UTC), patience=0.2).outcome, Unavailable)


def test_an_order_that_was_placed_though_nobody_heard_is_not_placed_again(office, ngsp):
    asked(ngsp, ENTERPRISE, datetime.now(UTC))
    lost = Query("OrderPostalReturn", dict(ORDER.fields) | {"OrderNumber": "lost-1"}, "q")
    office.mood("mute", times=1)
    assert isinstance(asked(ngsp, lost, datetime.now(UTC)).outcome, Unavailable)
    assert dict(asked(ngsp, lost, datetime.now(UTC)).outcome.fields)["OrderNumber"] == "lost-1"
    assert [line["key"] for line in office.noted("placed")].count("order:TNG01/lost-1") == 1
    assert [line["key"] for line in office.noted("repeated")].count("order:TNG01/lost-1") == 1


def test_a_partner_without_a_customer_code_places_no_order(office):
    terms = Terms(
        partner="ngsp",
        url=office.url,
        identity=partner("hub"),
        settings={"token-url": f"{office.url}/token"},
        secrets={"client-id": "x", "client-secret": "y"},
    )
    held = asked(adapters.make_adapter("ngsp", terms), ORDER)
    assert held.outcome == Refused("customer-code is not set for this partner")
    assert not held.requests


def test_what_an_answer_says_can_be_said_on():
    said = {"status": "1", "orderNumber": f"A{chr(0xD800)}", "message": "a\x01 b\x00"}
    found = services.BY_OPERATION["OrderPostalReturn"].read(said, {"order-accepted": "1"})
    assert isinstance(found, Answer)
    assert operations.read_kept_answer(operations.write_kept_answer(found)) == found
    assert operations.build_lookup_response("OrderPostalReturn", "q", found, NOW) is not None
