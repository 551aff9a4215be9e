"""The Government's reporting system that somebody else wrote, over HTTP and as a directory: every mood, then a running hub and its facts."""

import hashlib
import json
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from lxml import etree
from twisted.internet.task import Clock

import adapters
from hub.config import Partner
from hub.delivery.file_transport import DirectoryCarrier
from hub.domain.conversations import Accepted, Collected, Judged, Refused, Reply, Request, Unavailable
from hub.domain.model import Consignment, Message, MessageState
from hub.journal.fact_reading import fact_rows
from hub.partner.adapter_settings import Terms
from hub.report.counting import counting, evidence
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.report.signed.element import build_report_element
from hub.runtime.call_progress import CallProgress
from hub.runtime.thread_pool import run_at_once
from hub.security import signing
from hub.store import transactions
from tests import offices
from tests.homes import lay_secret
from tests.offices import Office, hold, opened
from tests.officials import by_signxml
from tests.pki import authority, pem
from tests.running import PATIENCE, until

WORD = "m4u-kh0ng-dung-that"
NOW = datetime.now(UTC)  # the partner process reads the real clock
HUB = authority("Hub CA", NOW).issue("hub")
PERSON = authority("Persons CA", NOW).issue("an")
EDOC = next(form for form in read_form_folder() if form.id == "edoc")


def report(unit="H55.13", period="2026-10", revision=1, spoil=None):
    """Return a sealed report without any fact; *spoil* changes it before it is sealed."""
    span = parse_period(period)
    counted = counting.count_report(EDOC, [], span, NOW, (unit,))
    lines = evidence.gather_evidence(EDOC, [], span, NOW, (unit,))
    element = build_report_element(counted, {}, lines, revision)
    if spoil:
        spoil(element)
    return signing.seal_element(element, HUB)


def consignment(content):
    message = Message(
        id="01936f1e-7c80-7000-8000-" + hashlib.sha256(content).hexdigest()[:12],
        partner="hub",
        message_id="reports/edoc",
        service="reports",
        kind="report",
        state=MessageState.ACCEPTED,
        received_at=NOW,
        sha256="",
        size=len(content),
        sender="H55.13",
    )
    return Consignment(message=message, content=content, recipients=("baocao",), attempt=1)


@attrs.define
class Side:
    """The system, and us before it."""

    office: Office
    home: Path

    def adapter(self, word=WORD, url=None, **settings):
        said = {name.replace("_", "-"): value for name, value in settings.items()}
        where = url or self.office.url
        terms = Terms(partner="baocao", url=where, identity=HUB, settings=said, secrets={"secret": word})
        return adapters.make_adapter("govreport", terms)

    def submit(self, content, patience=PATIENCE, **settings):
        return hold(self.adapter(**settings).deliver(consignment(content), NOW), patience=patience).outcome

    def collect(self, cursor="", **settings):
        held = hold(self.adapter(**settings).collect(cursor, NOW))
        return [dict(etree.fromstring(each.content).attrib) for each in held.arrivals], held.outcome


@contextmanager
def running(home, hub_certificate):
    """Run the system until the block ends."""
    (home / "secret").write_text(f"{WORD}\n")
    (home / "drop").mkdir()
    options = ("--secret-file", home / "secret", "--hub-certificate", hub_certificate, "--drop", home / "drop")
    with opened("govreport", home, *map(str, options)) as office:
        yield office


@pytest.fixture
def side(tmp_path):
    (tmp_path / "hub.crt").write_bytes(pem(HUB.certificate))
    with running(tmp_path, tmp_path / "hub.crt") as office:
        yield Side(office, tmp_path)


def test_a_report_is_taken_once_and_its_verdict_fetched(side):
    assert side.submit(report()) == Accepted("BC-000001")
    assert side.submit(report()) == Accepted("BC-000001"), "a repetition"
    assert [line["workbook"] for line in side.office.noted("taken")] == [True]
    assert len(side.office.noted("repeated")) == 1
    (verdict,), end = side.collect()
    assert (verdict["unit"], verdict["revision"], verdict["result"]) == ("H55.13", "1", "accepted")
    assert end == Collected("00000001", more=True)
    assert side.collect(end.cursor) == ([], Collected("00000001"))


def test_a_report_that_an_official_signed_is_taken_as_it_was_signed(side):
    document = by_signxml(report(), PERSON, NOW)
    assert side.submit(document) == Accepted("BC-000001")
    (taken,) = side.office.noted("taken")
    assert (taken["sha256"], taken["signer"]) == (
        hashlib.sha256(document).hexdigest(),
        PERSON.certificate.subject.rfc4514_string(),
    )
    assert side.submit(document.replace(b">0<", b">1<", 1)) == Refused("chữ ký không đúng")


def test_a_report_may_be_returned_with_reasons_and_come_again_as_another_revision(side):
    side.office.order("return", reason="thiếu số liệu tháng 10")
    side.submit(report())
    assert side.submit(report(revision=2)) == Accepted("BC-000002")
    found, _ = side.collect()
    assert [(each["revision"], each["result"]) for each in found] == [("1", "returned"), ("2", "accepted")]


def test_numbers_that_do_not_add_up_come_back_with_the_cell(side):
    def spoil(element):
        element.find("{*}Total/{*}Number[@column='received_inside']").text = "3"

    side.submit(report(spoil=spoil))
    (verdict,) = side.office.order("known")["verdicts"]
    assert verdict["status"] == "returned"
    assert "cột received_inside: tổng cộng 3 khác tổng các dòng" in verdict["reasons"]


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (report().replace(b">0<", b">1<", 1), "niêm phong không đúng"),
        (report(period=f"{NOW.year + 1}-10"), "kỳ báo cáo chưa kết thúc"),
    ],
)
def test_what_is_not_as_it_was_sealed_or_is_not_over_is_refused(side, spoilt, why):
    assert side.submit(spoilt) == Refused(why)


def test_another_report_of_the_same_revision_is_refused(side):
    side.submit(report())
    other = report(spoil=lambda element: element.find("{*}Rows/{*}Row/{*}Name").__setattr__("text", "khác"))
    assert isinstance(side.submit(other), Refused)


@pytest.mark.slow
def test_every_mood(side):
    for mood, outcome in (
        ("refuse", Refused),
        ("unavailable", Unavailable),
        ("garbage", Unavailable),
        ("denied", Unavailable),
    ):
        side.office.mood(mood, times=1)
        found = side.submit(report())
        assert isinstance(found, outcome), mood
        assert getattr(found, "credentials", False) == (mood == "denied")
    side.office.mood("slow", seconds=1, times=1)
    assert isinstance(side.submit(report(), patience=0.2), Unavailable)
    until(lambda: side.office.noted("taken"), "the slow one to have taken it all the same")
    side.office.mood("mute", times=1)
    assert isinstance(side.submit(report()), Unavailable)
    assert side.submit(report()) == Accepted("BC-000001"), "taken once, whatever was heard of it"
    assert side.submit(report("H55.14"), word="wrong") == Unavailable("HTTP 401: it does not know us", credentials=True)
    for mood in ("unavailable", "garbage", "denied"):
        side.office.mood(mood, times=1)
        arrived, end = side.collect()
        assert (arrived, type(end)) == ([], Unavailable)


def test_the_raw_format_sends_the_xml_and_then_the_workbook(side, monkeypatch):
    asked, keys = [], set()

    def carry(request, _patience):
        headers = dict(request.headers)
        asked.append((headers["Content-Type"], request.body[:5]))
        keys.add(headers["Idempotency-Key"])
        return Reply(201, b'{"reference": 7}')

    monkeypatch.setattr(offices, "carry", carry)
    assert side.submit(report(), format="raw") == Accepted("7")
    assert [(kind.rpartition(".")[2], begun) for kind, begun in asked] == [
        ("application/xml", b"<Repo"),
        ("sheet", b"PK\x03\x04\x14"),
    ]
    assert len(keys) == 2, "a system that knows the key takes the second for the first again"


# --- a directory --------------------------------------------------------------------------------------------------------


@pytest.fixture
def dropping(side, monkeypatch):
    """The same system, over a directory."""
    url = f"file://{side.home}/drop"
    carrier = DirectoryCarrier(run_at_once)

    def carry(request, _patience):
        theirs = cast("Partner", SimpleNamespace(code="govreport", url=url, exchange=side.home))
        conversation: Any = carrier.carry(request, theirs, CallProgress(cast("Any", Clock()), 30.0))
        try:
            waiting = conversation.send(None)
            while True:
                waiting = conversation.send(waiting.result)
        except StopIteration as end:
            return end.value

    monkeypatch.setattr(offices, "carry", carry)
    return side, url


def test_over_a_directory_a_report_is_three_files_and_its_verdict_one(dropping):
    side, url = dropping
    name = "edoc_H55.13_2026-10_r1"
    assert side.submit(report(), url=url) == Accepted(name)
    out = side.home / "drop/out"
    assert {path.name for path in out.iterdir()} == {f"{name}.xml", f"{name}.xlsx", f"{name}.sha256"}
    subprocess.run(["sha256sum", "--check", "--strict", f"{name}.sha256"], cwd=out, check=True, capture_output=True)
    assert side.submit(report(), url=url) == Accepted(name), "a repetition changes nothing"
    assert side.office.order("look")["taken"] == 1
    (verdict,), end = side.collect(url=url)
    assert (verdict["result"], verdict["by"], end) == ("accepted", "baocao", Collected())
    assert side.collect(url=url) == ([], Collected())
    assert len(list((side.home / "drop/in/taken").iterdir())) == 1


def test_a_file_that_is_there_with_other_content_is_never_overwritten(dropping):
    side, url = dropping
    side.submit(report(), url=url)
    before = {path.name: path.read_bytes() for path in (side.home / "drop/out").iterdir()}
    other = report(spoil=lambda element: element.find("{*}Rows/{*}Row/{*}Name").__setattr__("text", "khác"))
    assert isinstance(side.submit(other, url=url), Refused)
    assert {path.name: path.read_bytes() for path in (side.home / "drop/out").iterdir()} == before


def test_a_reply_file_that_makes_no_sense_is_put_aside_and_one_with_an_unknown_word_waits(dropping):
    side, url = dropping
    inward = side.home / "drop/in"
    inward.mkdir()
    (inward / "a.json").write_bytes(b"\xff\xfe?")
    (inward / "b.json").write_text('{"status": "new"}')
    (inward / "c.json.tmp").write_text("{")
    held = hold(side.adapter(url=url).collect("", NOW), lambda _arrival: Judged(accepted=False))
    assert [each.content for each in held.arrivals] == [b"\xff\xfe?"]
    end = held.outcome
    assert isinstance(end, Unavailable)
    assert "b.json" in end.detail
    assert {path.name for path in inward.iterdir()} == {"b.json", "c.json.tmp", "refused"}


ITEM = {"form": "edoc", "unit": "H55.13", "period": "2026-11", "revision": 1, "status": "returned"}


@pytest.mark.parametrize(
    ("odd", "brought"),
    [
        ({"reasons": ["dòng 1\x0bdòng 2", "\ud83d"]}, b"<Reason>d\xc3\xb2ng 1\xef\xbf\xbdd"),
        ({"unit": "H55\x01"}, b'"unit": "H55\\u0001"'),
        ({"unit": "\ud83d"}, b'"unit": "\\ud83d"'),
        ({"revision": "9" * 5000}, b"99999"),
    ],
)
def test_a_verdict_with_what_xml_cannot_hold_does_not_keep_back_those_after_it(odd, brought):
    there = json.dumps({"verdicts": [ITEM | {"id": "1"} | odd, ITEM | {"id": "2"}]}).encode()
    terms = Terms(partner="baocao", url="https://x", identity=HUB, settings={}, secrets={})
    conversation = cast("Any", adapters.make_adapter("govreport", terms)).collect("", NOW)
    next(conversation)
    first, second = conversation.send(Reply(200, there)), conversation.send(Judged(accepted=True))
    assert brought in first.content
    assert second.message_id == "2"
    with pytest.raises(StopIteration) as end:
        conversation.send(Judged(accepted=True))
    assert end.value.value == Collected("2", more=True)


def test_a_verdict_without_an_id_does_not_keep_back_those_after_it():
    terms = Terms(partner="baocao", url="https://x", identity=HUB, settings={}, secrets={})
    adapter = cast("Any", adapters.make_adapter("govreport", terms))

    def collected(*items):
        conversation, said, arrived = adapter.collect("7", NOW), None, []
        try:
            while True:
                step = conversation.send(said)
                is_asked = isinstance(step, Request)
                said = Reply(200, json.dumps({"verdicts": items}).encode()) if is_asked else Judged(accepted=True)
                arrived += [] if is_asked else [step.message_id]
        except StopIteration as end:
            return end.value, arrived

    ended, arrived = collected(ITEM, 5, ITEM | {"id": "8"})
    assert (ended, len(arrived), arrived[0]) == (Collected("8", more=True), 3, "8")
    assert collected(ITEM | {"id": "8"}, ITEM) == (Collected("8", more=True), ["8"])
    assert collected(ITEM) == (Unavailable("a verdict without an id"), [])


def test_a_verdict_whose_id_no_journal_keeps_does_not_keep_back_those_after_it():
    there = json.dumps({"verdicts": [ITEM | {"id": "\ud83d\0"}]}).encode()
    terms = Terms(partner="baocao", url="https://x", identity=HUB, settings={}, secrets={})
    adapter = cast("Any", adapters.make_adapter("govreport", terms))
    conversation = adapter.collect("", NOW)
    next(conversation)
    conversation.send(Reply(200, there))
    with pytest.raises(StopIteration) as end:
        conversation.send(Judged(accepted=True))
    assert end.value.value == Collected("??", more=True)
    assert "after=%3F%3F" in next(adapter.collect("??", NOW)).url


# --- a running hub -----------------------------------------------------------------------------------------------------


def facts(hub):
    engine = transactions.open_journal(f"sqlite:///{hub.home}/data/hub.db", pooled=False)
    with transactions.read_transaction(engine) as tx:
        return {(fact.unit, fact.key, fact.milestone) for fact in fact_rows.read_facts(tx) if fact.service == "reports"}


@pytest.mark.slow
def test_a_hub_hands_a_report_in_and_learns_what_became_of_it(hub):
    with running(hub.home, hub.home / "pki/hub.crt") as system:
        lay_secret(hub.home, "baocao", "secret", WORD)
        _hand_in_twice(hub, system)


def _hand_in_twice(hub, system):
    (hub.home / "partners/baocao.toml").write_text(
        f'adapter = "govreport"\nreceive = "push"\nservices = ["reports"]\ntells = "*"\n'
        f'url = "{system.url}"\n[policy]\ntransport = "plain"\ncollect = "200ms"\nfirst-retry = "100ms"\n'
        '[settings]\nsecret-file = "secret"\n'
    )
    hub.start()
    period = ("H55.13", f"{datetime.now(UTC).year - 1}-10")
    assert hub.cli("report", "submit", "H55.13", f"{datetime.now(UTC).year + 1}-10", "baocao", code=1) == []
    hub.cli("report", "submit", *period, "nobody", code=4)
    hub.cli("report", "submit", *period, "vpub", code=2)

    system.order("return", reason="thiếu chữ ký của thủ trưởng")
    (first,) = hub.cli("report", "submit", *period, "baocao", "--json")
    (again,) = hub.cli("report", "submit", *period, "baocao", "--json")
    assert (first["revision"], first["fresh"]) == (1, True)
    assert again == first | {"fresh": False}
    key = f'["edoc","H55.13","{period[1]}",%d]'
    wanted = {("H55.13", key % 1, "submitted"), ("H55.13", key % 1, "returned")}
    until(lambda: facts(hub) == wanted, "the report to come back")
    assert len(system.order("known")["verdicts"]) == 1, "handed in once"

    (second,) = hub.cli("report", "submit", *period, "baocao", "--reason", "đã ký lại", "--json")
    assert second["revision"] == 2
    wanted |= {("H55.13", key % 2, "submitted"), ("H55.13", key % 2, "accepted")}
    until(lambda: facts(hub) == wanted, "the second revision to be accepted")
    names = [line["event"] for line in hub.cli("trace", second["message"], "--json")]
    assert {"message-accepted", "report-revised", "report-handed-in", "delivery-delivered", "fact-recorded"} <= set(
        names
    )
