"""What programs read by the API: messages, their content, events, the overview, partners, units, reports."""

from datetime import timedelta

import attrs
import pytest
from openapi_spec_validator import validate

from hub.api.messages import CHOOSING
from hub.api.openapi import make_openapi
from hub.api.replays import ApiReplayOrder
from hub.api.table import OPERATIONS
from hub.config import Partner
from hub.console.registry import PAGES
from hub.console.replays import replay_pages
from hub.domain.model import DeliveryState, Event, Fact, Problem, Receive
from hub.edxml.sample import make_sample_packet
from hub.journal import events, facts
from hub.language.languages import Language
from hub.operations.messages import message_list
from hub.operations.reports import reading
from hub.operations.watching import visible_events, visible_failures, visible_late_work
from hub.store import transactions
from tests import pki
from tests.api_callers import Program
from tests.console.test_console_messages import TRACKING, try_to_deliver
from tests.console.test_console_reports import revise_mail
from tests.console_town import done
from tests.journal.test_open_work import settle, tell
from tests.journal.test_replay_plans import push
from tests.province import NOW, UNITS


def give_partners(town):
    town.partners = {
        code: Partner(code=code, name=code.upper(), certificates=(pki.partner(code).certificate,), receive=Receive.PUSH)
        for code in ("vpub", "sotttt")
    }


@pytest.fixture
def program(town):
    give_partners(town)
    return Program(town)


@pytest.mark.slow
@pytest.mark.parametrize("language", list(Language))
def test_the_document_is_one_of_openapi_in_both_languages(language):
    validate(make_openapi(language))


def test_the_document_is_public_and_names_every_operation(program):
    assert program.get("/openapi.json", authorization="").status == 200
    told = [(path, method) for path, each in program.said["paths"].items() for method in each]
    assert sorted(told) == sorted((each.path, each.method.lower()) for each in OPERATIONS)
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS)


def test_a_refused_document_is_found_by_its_number_and_says_why(town, program):
    town.take(7, problems=(Problem("unit-unknown", "H55.99"),))
    town.take(1)
    assert program.get("/messages?q=7816/VPUB&state=refused").status == 200
    (found,) = program.said["items"]
    assert found["refusal"] == "unit-unknown: H55.99"
    program.get(f"/messages/{found['id']}")
    reason = {"code": "unit-unknown", "sentence": "No unit has this code; check it", "detail": "H55.99", "place": None}
    assert program.said["reasons"] == [reason]
    program.language = "vi"
    program.get(f"/messages/{found['id']}")
    assert program.said["reasons"][0]["sentence"] == "Không có đơn vị mang mã này; hãy kiểm tra mã"


def test_messages_come_page_by_page_newest_first_and_newer_ones_are_asked_for(town, program, monkeypatch):
    monkeypatch.setattr(message_list, "PAGE", 3)
    ids = [town.take(number) for number in range(1, 9)][::-1]
    assert program.get("/messages").status == 200
    first, cursor = program.said, program.said["next"]
    assert [each["id"] for each in first["items"]] == ids[:3]
    assert (first["count"], first["newer"]) == (8, None)
    program.get(f"/messages?cursor={cursor}")
    assert [each["id"] for each in program.said["items"]] == ids[3:6]
    newer = program.said["newer"]
    program.get(f"/messages?cursor={program.said['next']}")
    assert ([each["id"] for each in program.said["items"]], program.said["next"]) == (ids[6:], None)
    program.get(f"/messages?after={newer}")
    assert [each["id"] for each in program.said["items"]] == ids[:3]


def test_what_a_search_finds_comes_as_a_file(town, program):
    town.take(1)

    async def collect(parts):
        return b"".join([part async for part in parts])

    for kind, begins in (("jsonl", b'{"id"'), ("csv", b"\xef\xbb\xbf")):
        answer = program.get(f"/messages/export?format={kind}&q=7816/VPUB")
        assert done(collect(answer.parts)).startswith(begins)


@pytest.mark.parametrize(
    ("query", "name"),
    [("partner=nobody", "partner"), ("unit=H99", "unit"), ("since=h%C3%B4m%20qua", "since, until")],
)
def test_a_search_for_what_there_is_not_is_refused_and_not_nothing(program, query, name):
    for place in ("/messages", "/messages/export", "/calls" if name != "unit" else "/messages"):
        assert program.get(f"{place}?{query}").status == 422
        assert (program.said["code"], program.said["problems"][0]["name"]) == ("search-unfit", name)


def test_content_is_opened_on_record_in_the_name_of_the_token(town):
    give_partners(town)
    program = Program(town, name="kho", owner="an")
    message = town.take(1, content=make_sample_packet("H55.13", "H55.01", "V/v kết nối", NOW.date()))
    answer = program.get(f"/messages/{message}/content")
    assert (answer.stored is not None, answer.content_type) == (True, "application/octet-stream")
    program.get(f"/messages/{message}/packet")
    assert program.said["is_xml"]
    assert program.said["lines"]
    number = program.said["attachments"][0]["number"]
    assert program.get(f"/messages/{message}/attachments/{number}").status == 200
    other = town.take(2, content=make_sample_packet("H55.13", "H55.01", "V/v khác", NOW.date()))
    program.get(f"/messages/{message}/compare/{other}")
    assert not program.said["parts"][0]["equal"]
    opened = town.told("content-opened")
    assert [each["content"] for each in opened] == ["bytes", "packet", "attachment", "packet", "packet"]
    assert {each["user"] for each in opened} == {"an/kho"}


def test_attempts_are_read_compared_and_traced(town, program):
    message = town.take(1)
    try_to_deliver(town, (503, b"away"), (200, b"<taken/>"))
    program.get(f"/messages/{message}")
    first, second = program.said["attempts"]
    assert (first["reply_status"], second["outcome"]) == (503, "accepted")
    assert [each["state"] for each in program.said["deliveries"][0]["stages"]][-1] == "delivered"
    program.get(f"/messages/{message}/attempts/{second['id']}")
    assert (program.said["status"], program.said["body"]) == (200, "<taken/>")
    assert {"name": "authorization", "value": "***"} in [
        {"name": each["name"].lower(), "value": each["value"]} for each in program.said["sent"]
    ]
    program.get(f"/messages/{message}/attempts/{first['id']}/compare/{second['id']}")
    assert [each["part"] for each in program.said["parts"]] == ["request", "reply"]
    program.get(f"/messages/{message}/events")
    assert [each["event"] for each in program.said["items"]][:2] == ["message-accepted", "delivery-waiting"]
    assert program.get(f"/messages/{message}/receipt").content == b"<receipt 1/>"


def test_a_refused_call_is_found_by_its_tracking(town, program):
    said = {"code": "certificate-unknown", "tracking": TRACKING, "certificate": "ab" * 32}
    with transactions.write_transaction(town.engine) as tx:
        events.append_events(tx, Event("call-refused", town.now, None, None, said))
    program.get(f"/calls/{TRACKING}")
    assert program.said["call"]["code"] == "certificate-unknown"
    assert program.get(f"/messages/{TRACKING}").status == 404
    program.get("/calls")
    assert [each["tracking"] for each in program.said["items"]] == [TRACKING]


def test_events_overview_and_readiness_are_those_of_the_pages(town, program):
    town.add("binh", "H55.13")
    program.get("/events?kind=user-added")
    assert [each["fields"]["user"] for each in program.said["items"]] == ["binh"]
    assert program.get("/events?cursor=x").status == 400
    assert program.get("/events?partner=nobody").status == 422
    town.take(1)
    program.get("/status")
    vpub = next(each for each in program.said["partners"] if each["code"] == "vpub")
    assert vpub["deliveries"]["waiting"] == {"number": 1, "more": False}
    program.get("/readiness")
    assert {"name": "disk", "code": "ok", "detail": ""} in program.said["items"]
    program.get("/token")
    assert program.said["units"] == ["*"]


def test_partners_and_units_are_read(program):
    program.get("/partners")
    assert [each["code"] for each in program.said["items"]] == ["sotttt", "vpub"]
    program.get("/partners/vpub")
    assert program.said["certificates"][0]["sha256"]
    program.get("/units?q=so tttt")
    assert program.get("/units/H55.13").status == 200
    assert program.said["aliases"] == ["000.00.13.H55"]
    assert program.get("/units/H55.99").status == 404


def test_a_report_is_read_down_to_the_facts_of_a_cell(town, program):
    message = town.take(1)
    program.get("/reports")
    assert "edoc" in [each["id"] for each in program.said["forms"]]
    program.get("/reports/edoc/H55.13/2026-12")
    assert program.said["report"]["total"]["sent_inside"] == 1
    assert program.said["standing"]["step"] == "running"
    program.get("/reports/edoc/H55.13/2026-12/cells/sent_inside")
    assert (program.said["value"], [each["message"] for each in program.said["items"]]) == (1, [message])
    assert program.get("/reports/edoc/H55.13/2026-12/cells/nothing").status == 404
    fact = Fact(
        unit="H55.13.1", service="dossiers", key="k", milestone="received", at=NOW, message=message,
        day=NOW.date(), attributes=(("field", "HT"),),
    )  # fmt: skip
    with transactions.write_transaction(town.engine) as tx:
        facts.record_facts(tx, [fact])
    program.get("/reports/ii06a/H55.13.1/2026-12")
    assert [row["path"] for row in program.said["report"]["divided"]["rows"]] == [["HT"]]
    cell = "/reports/ii06a/H55.13/2026-12/cells/received"
    program.get(f"{cell}?of=H55.13.1&row=ht")
    assert (program.said["value"], [each["message"] for each in program.said["items"]]) == (1, [message])
    program.get("/reports/ii06a/H55/2026-12?open=H55.13")
    assert [row["unit"] for row in program.said["report"]["rows"]] == ["H55.13", "H55.13.1"]
    program.get("/reports/ii06a/H55/2026-12/cells/received?open=H55.13")
    assert (program.said["value"], [each["message"] for each in program.said["items"]]) == (1, [message])
    assert program.get("/reports/ii06a/H55/2026-12/cells/received?open=H55.13.1").status == 404
    assert program.get(f"{cell}?of=H55.13.1&row=CT").status == 404
    assert program.get(f"{cell}?of=H55.13&row=HT").status == 404
    for kind in ("csv", "json", "html", "xml"):
        answer = program.get(f"/reports/edoc/H55.13/2026-12/file?format={kind}")
        assert answer.filename == f"edoc_H55.13_2026-12.{kind}"
    assert program.get("/reports/edoc/H55.13/2026-12/file").status == 400
    assert program.get("/reports/edoc/H55.99/2026-12").status == 404


def test_units_come_page_by_page(town, program, monkeypatch):
    monkeypatch.setattr(reading, "UNITS", 2)
    found, cursor = [], ""
    while cursor is not None:
        program.get(f"/units?cursor={cursor}" if cursor else "/units")
        found += [each["code"] for each in program.said["items"]]
        cursor = program.said["next"]
    assert found == [unit.code for unit in UNITS]
    assert program.get("/units?cursor=H99").status == 200
    assert program.said["items"] == []


def test_failures_are_listed_by_cause_and_lead_to_their_messages(town, program):
    message = town.take(7)
    push(town.engine, DeliveryState.DEAD)
    program.get("/failures?state=dead")
    (group,) = program.said["items"]
    assert (group["codes"], group["example"], group["count"]) == (["no"], message, 1)
    program.get(f"/messages?cause={group['cause']}&delivery=dead")
    assert [each["id"] for each in program.said["items"]] == [message]
    assert program.get("/messages?cause=x").status == 422
    assert program.get("/failures?partner=nobody").status == 422


def test_who_is_late_is_read_page_by_page_and_of_the_units_of_the_token(town, program):
    with transactions.write_transaction(town.engine) as tx:
        for number in range(3):
            known, due = (("field", "TP"),), (NOW - timedelta(days=9 - number)).date()
            tell(tx, "H55.13", "dossiers", f"D{number}", "received", NOW, day=due, due=due, attributes=known)
        tell(
            tx,
            "H55.30",
            "work",
            "V1",
            "assigned",
            NOW,
            day=NOW.date(),
            due=NOW.date(),
            attributes=(("officer", "CB-07"),),
        )
        settle(tx)
    found, cursor = [], ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visible_late_work.read_late_page, "__defaults__", (2,))
        while cursor is not None:
            assert program.get(f"/late?cursor={cursor}" if cursor else "/late").status == 200
            found += [(each["number"], each["state"], each["officer"]) for each in program.said["items"]]
            cursor = program.said["next"]
    assert found == [("D0", "late", ""), ("D1", "late", ""), ("D2", "late", ""), ("V1", "soon", "CB-07")]
    assert [(each["unit"], each["service"], each["late"]) for each in program.said["units"]] == [
        ("H55.13", "dossiers", 3),
        ("H55.30", "work", 0),
    ]
    program.get("/late?unit=H55.13&days=0")
    assert [(each["field"], each["late"]) for each in program.said["fields"]] == [("TP", 3)]
    for wrong in ("unit=H99", "service=links", "days=x"):
        assert program.get(f"/late?{wrong}").status == 422, wrong
    assert [program.get(f"/late?{wrong}").status for wrong in ("cursor=x", "state=x")] == [400, 400]


def test_searches_take_the_same_parameters_as_the_pages():
    by_name = {each.name: [one.name for one in each.parameters] for each in OPERATIONS}
    searched = [*message_list.CHOOSING]
    assert [each.name for each in CHOOSING] == searched
    assert by_name["listMessages"] == [*searched, "cursor", "after"]
    assert by_name["listEvents"] == [*visible_events.FIELDS, "cursor"]
    assert by_name["listFailures"] == [*visible_failures.FIELDS]
    assert by_name["listOpenWork"] == [*visible_late_work.FIELDS, "cursor"]
    order = [each.name for each in attrs.fields(ApiReplayOrder)]
    assert {name for name in replay_pages.FIELDS if name != "key"} == {*order} - {"start"}


def test_what_a_page_may_show_an_operation_may():
    """Signing and declaring are steps of officials in their pages."""
    scopes = {scope for each in OPERATIONS for scope in each.scopes}
    assert {page.right for page in PAGES if page.method == "GET"} - {None} <= scopes


def test_a_revised_report_names_what_changed_and_the_revision_before_is_read_by_its_number(town, program):
    late = revise_mail(town)
    program.get("/reports/mail/H55.13/2026-11")
    assert program.said["revision"] == 2
    (change,) = program.said["report"]["closing"]["revised"]
    assert (change["unit"], change["revision"], change["by"]) == ("H55.13.1", 2, "hub")
    assert {"column": "sent_internal", "was": 2, "now": 9}.items() <= change["cells"][0].items()
    assert [each["id"] for each in change["messages"]] == [late]
    program.get("/reports/mail/H55.13/2026-11?revision=1")
    assert (program.said["revision"], program.said["report"]["total"]["sent_internal"]) == (1, 2)
    assert program.get("/reports/mail/H55.13/2026-11?revision=3").status == 404
    assert program.get("/reports/mail/H55.13/2026-11?revision=x").status == 400


def test_the_round_of_reports_is_read_of_the_units_of_the_token(town, program):
    town.take(1)
    program.get("/rounds/edoc/2026-11")
    assert (program.said["form"], program.said["ended"], program.said["open_month"]) == ("edoc", True, None)
    told = {each["unit"]: (each["state"], each["declaration"], each["revision"]) for each in program.said["units"]}
    assert told == dict.fromkeys(("H55", "H55.01", "H55.13", "H55.13.1", "H55.30"), ("ready", "undeclared", None))
    program.get("/rounds/edoc/2026-12?below=H55.13&step=running")
    assert [each["unit"] for each in program.said["units"]] == ["H55.13", "H55.13.1"]
    program.get("/rounds/ii06a/2026-11?step=signed")
    assert (program.said["units"], program.said["due"], program.said["days_left"]) == ([], "2026-11-17", -7)
    assert program.get("/rounds/none/2026-11").status == 404
    few = Program(town, units=("H55.13",))
    few.get("/rounds/edoc/2026-11")
    assert [each["unit"] for each in few.said["units"]] == ["H55.13", "H55.13.1"]
