"""The pages of one message: what happened to it and why, and that its content is opened by those who may, each time on record."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.conversations import Reply, Request
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, Event, Problem
from hub.edxml.sample import make_sample_packet
from hub.journal import events, messages
from hub.journal.queue import claims
from hub.journal.queue.claims import AttemptExchange
from hub.operations.accounts.permissions import Role
from hub.partner.kept_exchange import keep_exchange
from hub.store import transactions
from hub.store.tables import event
from tests.console_town import Browser, Town
from tests.province import NOW, ROUTES, document, entry, status
from tests.refused_batches import refuse_batch

TRACKING = "0193aaaa-0000-7000-8000-000000000001"
ASKED = Request(
    "https://vpub.example/edoc", b"other", (("SOAPAction", "SendDocument"), ("Authorization", "Basic c2VjcmV0c2VjcmV0"))
)


def signed_in(town: Town, name: str, *units: str, role: Role = Role.READER) -> Browser:
    town.add(name, *units, role=role)
    browser = Browser(town, languages="en")
    browser.sign_in(name)
    return browser


@pytest.fixture
def operator(town):
    return signed_in(town, "op", role=Role.OPERATOR)


def try_to_deliver(town: Town, *replies: tuple[int, bytes]) -> None:
    """Make one attempt after another, each a minute after the last; the last one is accepted."""
    for number, (code, body) in enumerate(replies, 1):
        now = NOW + timedelta(minutes=number)
        kept = keep_exchange(ASKED, Reply(code, body, {"server": "axis", "set-cookie": "zqkx=b", "date": "Tue"}), ())
        exchange = AttemptExchange(
            request_sha256="a" * 64, reply_sha256="b" * 64, reply_status=code, call_ms=1234, kept=kept
        )
        with transactions.write_transaction(town.engine) as tx:
            lease = timedelta(seconds=60)
            (claimed,) = claims.claim_deliveries(tx, "vpub", now, limit=1, holder="n", lease=lease)
            ended = now + timedelta(seconds=2)
            if number == len(replies):
                verdict = AttemptVerdict(DeliveryState.DELIVERED, word="their id 7")
                assert claims.settle_claim(
                    tx, claims.EndedAttempt(claimed, DeliveryEvent.ACCEPTED, verdict, exchange, ended)
                )
            else:
                verdict = AttemptVerdict(DeliveryState.WAITING, f"HTTP {code}", ended)
                assert claims.settle_claim(
                    tx, claims.EndedAttempt(claimed, DeliveryEvent.UNAVAILABLE, verdict, exchange, ended)
                )


def text(browser: Browser) -> str:
    """Return the text of the open page in one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", browser.page)).split())


def attempts(browser: Browser, message: str) -> list[str]:
    return [link for link in browser.links() if f"{message}/attempts/" in link]


# --- its life -------------------------------------------------------------------------------------------------------------


def test_number_and_subject_are_the_heading_and_the_timeline_says_where_the_time_went(town, operator):
    message = town.take(1, subject="V/v kết nối")
    try_to_deliver(town, (503, b"away"), (200, b"<taken/>"))
    assert operator.get(f"/messages/{message}").status == 200
    assert "<h1>7816/VPUB: V/v kết nối</h1>" in operator.page
    life = text(operator).partition("Where its time went")[2].partition("Deliveries")[0]
    told = re.sub(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", "|", life)
    assert "received by the hub | waiting 1 min | being sent attempt 1: unavailable 2.0 s HTTP 503" in told
    assert (
        "| waiting 58.0 s HTTP 503 | being sent attempt 2: accepted by the partner 2.0 s their id 7 | delivered" in told
    )


def test_each_attempt_opens_to_its_request_and_its_reply_without_secrets(town, operator):
    message = town.take(1)
    try_to_deliver(town, (503, b"<Fault>away</Fault><Password>Hunter2</Password>"), (200, b"<taken/>"))
    operator.get(f"/messages/{message}")
    first, second = attempts(operator, message)
    assert operator.get(first).status == 200
    said = text(operator)
    for each in ("POST https://vpub.example/edoc", "SendDocument", "503", "server axis", "date Tue", "1.2 s", "2.0 s"):
        assert each in said, each
    assert "<Fault>away</Fault><Password>***</Password>" in said
    assert not any(each in operator.page for each in ("Hunter2", "c2VjcmV0", "zqkx=b"))
    assert second in operator.links()
    assert operator.get(second).status == 200
    assert "<taken/>" in text(operator)
    told = [(each["content"], each["name"], each["user"]) for each in town.told("content-opened")]
    assert told == [("reply", "vpub 1", "op"), ("reply", "vpub 2", "op")]


def test_two_attempts_are_compared(town, operator):
    message = town.take(1)
    try_to_deliver(town, (503, b"<a><b>one</b></a>"), (200, b"<a><b>two</b></a>"))
    operator.get(f"/messages/{message}")
    first, second = attempts(operator, message)
    operator.get(second)
    (place,) = [link for link in operator.links() if "/compare/" in link]
    assert place == f"{first}/compare/{second.rpartition('/')[2]}"
    assert operator.get(place).status == 200
    said = text(operator)
    for each in ("Request Nothing differs.", "only in the first HTTP 503", "only in the second <b>two</b>"):
        assert each in said, each
    assert operator.get(f"{first}/compare/none").status == 404


def test_an_attempt_of_which_nothing_is_kept_says_so(town, operator):
    message = town.take(1)
    try_to_deliver(town, (200, b""))
    with transactions.write_transaction(town.engine) as tx:
        tx.execute(sa.text("UPDATE attempt SET exchange = NULL"))
    operator.get(f"/messages/{message}")
    (place,) = attempts(operator, message)
    assert operator.get(place).status == 200
    assert "Nothing is kept of this exchange" in text(operator)
    assert operator.get(f"/messages/{message}/attempts/none").status == 404
    assert town.told("content-opened") == []


def test_a_document_and_its_status_lead_to_each_other(town, operator):
    message = town.take(1)
    with transactions.write_transaction(town.engine) as tx:
        answer = entry(status("03", document_id="D1"), 2, partner="vpub")
        assert not messages.record_message(tx, answer, ROUTES).problems
    operator.get(f"/messages/{message}")
    assert f"/messages/{answer.id}" in operator.links()
    assert "answered by" in text(operator)
    operator.get(f"/messages/{answer.id}")
    assert f"/messages/{message}" in operator.links()
    assert "answers" in text(operator).partition("Linked messages")[2]


def test_a_refused_message_and_the_corrected_one_lead_to_each_other(town, operator):
    refused = town.take(1, problems=(Problem("unit-unknown", "H55.99"),), message_id="m")
    accepted = town.take(2, message_id="m")
    operator.get(f"/messages/{refused}")
    assert f"/messages/{accepted}" in operator.links()
    assert "the same sender's id" in text(operator)
    operator.get(f"/messages/{accepted}")
    assert f"/messages/{refused}" in operator.links()


def test_two_packets_are_compared(town, operator):
    first = packet(town, 1)
    content = make_sample_packet("H55.13", "H55.01", "V/v khác", NOW.date())
    made = entry(document(document_id="D1"), 2, content=content)
    with transactions.write_transaction(town.engine) as tx:
        messages.record_message(tx, made, ROUTES)
    operator.get(f"/messages/{first}")
    place = f"/messages/{first}/compare/{made.id}"
    assert place in operator.links()
    assert operator.get(place).status == 200
    said = text(operator)
    assert "only in the first <edXML:Subject>V/v &lt;kết nối" in said
    assert "only in the second <edXML:Subject>V/v khác" in said
    assert [each["content"] for each in town.told("content-opened")] == ["packet", "packet"]
    assert operator.get(f"/messages/{first}/compare/{first}").status == 200
    assert "Nothing differs." in operator.page


def test_links_lead_only_where_the_reader_may_go(town):
    message = town.take(1, "H55.13", "H55.01", message_id="m")
    refused = town.take(2, problems=(Problem("unit-unknown", "H55.99"),), message_id="m")
    an = signed_in(town, "an", "H55.13")
    an.get(f"/messages/{message}")
    assert f"/messages/{refused}" not in an.links()
    assert an.get(f"/messages/{refused}").status == 404


def test_a_fact_leads_to_the_cells_that_count_it(town, operator):
    message = town.take(1)
    operator.get(f"/messages/{message}")
    places = [link for link in operator.links() if link.startswith("/reports/edoc/H55.13/2026-12/")]
    assert "/reports/edoc/H55.13/2026-12/sent_inside?unit=H55.13" in places
    for place in places:
        assert operator.get(place).status == 200, place
        assert f"/messages/{message}" in operator.links(), place
    other = signed_in(town, "binh", "H55.01")
    other.get(f"/messages/{message}")
    assert [link for link in other.links() if link.startswith("/reports/")] == [], "H55.13's report is not for it"


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_refused_batch_names_each_mistake_with_its_place_in_the_readers_language(town, language):
    """Of many, the first twenty are shown at once."""
    refused = refuse_batch(town.engine, NOW)
    town.add("op", role=Role.OPERATOR)
    reader = Browser(town, languages=language)
    reader.sign_in("op")
    assert reader.get(f"/messages/{refused}").status == 200
    shown, _, folded = reader.page.partition("<details>")
    assert [page.count('<th role="rowheader"') for page in (shown, folded.partition("</details>")[0])] == [20, 27]
    said = text(reader)
    vietnamese = (
        "47 lỗi",
        "/SyncDossiers/HoSo[3]/NgayTiepNhan Ngày tiếp nhận; yyyyMMddHHmmss, giờ Việt Nam dòng 5, cột 172",
        "“2026-01-05” không đúng dạng [0-9]{14}",
        "/SyncDossiers/HoSo[57]/MaTTHC",
        "Xem thêm 27 lỗi",
    )
    english = (
        "47 mistakes",
        "line 5, column 172 “2026-01-05” does not have the form [0-9]{14}; write it so",
        "is missing; add it before TenTTHC",
        "Show 27 more mistakes",
    )
    for each in vietnamese if language == "vi" else english:
        assert each in said, each
    assert said.count("contract-broken") < 10, "the sentence of the code stands once, and the events name three"


def test_a_refusal_is_told_in_the_readers_language_with_what_to_do(town, operator):
    message = town.take(1, problems=(Problem("unit-unknown", "H55.99"), Problem("too-large", "9 > 8")))
    operator.get(f"/messages/{message}")
    said = text(operator)
    for each in ("No unit has this code; check it.", "found: H55.99", "The message is over the size limit; send less."):
        assert each in said, each
    assert "/help/reference/errors#unit-unknown" in operator.links()
    operator.get(f"/messages/{message}?lang=vi")
    assert "Vì sao bị từ chối, và phải làm gì" in operator.page
    assert "No unit has this code" not in operator.page


def call(town: Town) -> None:
    said = {
        "partner": "sotttt",
        "operation": "SendDocument",
        "code": "signature-invalid",
        "detail": "Body",
        "tracking": TRACKING,
    }
    with transactions.write_transaction(town.engine) as tx:
        events.append_events(tx, Event("call-refused", NOW, None, None, said))


def test_a_refused_call_is_found_by_its_tracking_id_by_operators_alone(town, operator):
    call(town)
    assert operator.get(f"/messages/{TRACKING}").status == 200
    said = text(operator)
    for each in ("Refused call: SendDocument", "sotttt", "found: Body", TRACKING, "The signature is invalid"):
        assert each in said, each
    assert operator.get(f"/messages/{TRACKING}/content").status == 404
    everywhere = signed_in(town, "chi", "*")
    assert everywhere.get(f"/messages/{TRACKING}").status == 404


# --- content --------------------------------------------------------------------------------------------------------------


def packet(town: Town, number: int = 1, **fields: Any) -> str:
    content = make_sample_packet("H55.13", "H55.01", "V/v <kết nối>", NOW.date())
    made = entry(attrs.evolve(document(document_id=f"D{number}")), number, content=content, **fields)
    with transactions.write_transaction(town.engine) as tx:
        messages.record_message(tx, made, ROUTES)
    return made.id


def test_the_packet_is_read_line_by_line_with_its_findings(town, operator):
    problems = (
        Problem("R.edXML.edXMLEnvelope.edXMLHeader.MessageHeader.Subject", "line 12: too long"),
        Problem("unit-unknown", "H55.99"),
    )
    message = packet(town, problems=problems)
    assert operator.get(f"/messages/{message}/packet").status == 200
    lines = re.findall(
        r"<li class=\"d(\d+)\"><span class=\"no\">(\d*)</span><div>(.*?)</div></li>", operator.page, re.DOTALL
    )
    (subject,) = [each for each in lines if "edXML:Subject&gt;" in each[2]]
    assert "V/v &amp;lt;kết nối" in subject[2], "the text of the packet, as it is written in XML"
    assert "too long" in subject[2]
    assert "H55.99" in operator.page.partition('<ol class="packet">')[0], "what names no line stands above"
    assert "Tm9pIGR1bmc" not in operator.page
    (told,) = town.told("content-opened")
    assert (told["content"], told["user"], told["message"]) == ("packet", "op", message)


def test_an_attachment_is_downloaded_and_can_do_nothing(town, operator):
    message = packet(town)
    operator.get(f"/messages/{message}/packet")
    assert f"/messages/{message}/attachments/1" in operator.links()
    answer = operator.get(f"/messages/{message}/attachments/1")
    assert (answer.status, answer.content, answer.filename) == (200, b"Noi dung van ban\n", "van-ban.txt")
    assert answer.content_type == "application/octet-stream"
    assert town.told("content-opened")[-1]["name"] == "van-ban.txt"
    for other in ("0", "2", "x", "99999", "-1"):
        assert operator.get(f"/messages/{message}/attachments/{other}").status == 404, other


@pytest.mark.parametrize("content", [b"\xff\xfe<\0", b"<a>", b"no XML\nat all <script>", b"<!DOCTYPE a><a/>", b"\0"])
def test_what_is_no_xml_is_shown_as_text(town, operator, content):
    message = town.take(1, content=content, problems=(Problem("not-well-formed", "line 1: junk"),))
    assert operator.get(f"/messages/{message}/packet").status == 200
    assert "This is no XML that can be read" in operator.page
    assert "<script" not in operator.page
    assert operator.get(f"/messages/{message}/attachments/1").status == 404


@pytest.mark.slow
def test_who_may_open_what(town):
    """Every place of a message × every kind of user: content is never shown without the permission and an event."""
    message = packet(town, 1)
    try_to_deliver(town, (200, b"<taken/>"))
    private = town.take(2, service="lookups", subject="tra cứu")
    refused = packet(town, 3, problems=(Problem("unit-unknown", "H55.99"),))
    call(town)
    users = {
        "operator": signed_in(town, "op", role=Role.OPERATOR),
        "sender": signed_in(town, "an", "H55.13"),
        "recipient": signed_in(town, "binh", "H55.01", role=Role.CLERK),
        "foreign": signed_in(town, "chi", "H55.30"),
        "everywhere": signed_in(town, "dung", "*"),
        "viewer": signed_in(town, "giang", "*", role=Role.VIEWER),
        "engineer": signed_in(town, "hai", role=Role.ENGINEER),
        "of a unit": signed_in(town, "khanh", "H55.13", role=Role.OPERATOR),
        "nobody": Browser(town),
    }
    users["operator"].get(f"/messages/{message}")
    (attempt,) = attempts(users["operator"], message)
    own = {"operator", "sender", "recipient", "everywhere", "engineer", "of a unit"}
    every = {"operator", "engineer"}  # those who see what belongs to no unit
    places = {
        f"/messages/{message}": own | {"viewer"},
        f"/messages/{message}/receipt": own | {"viewer"},
        f"/messages/{message}/content": own,
        f"/messages/{message}/packet": own,
        f"/messages/{message}/attachments/1": own,
        attempt: own,
        f"/messages/{private}": own | {"viewer"},
        f"/messages/{private}/content": {"operator", "of a unit"},
        f"/messages/{private}/packet": {"operator", "of a unit"},
        f"/messages/{refused}": every,
        f"/messages/{refused}/packet": every,
        f"/messages/{refused}/attachments/1": every,
        f"/messages/{message}/compare/{refused}": every,
        f"/messages/{message}/compare/{private}": {"operator", "of a unit"},
        f"/messages/{message}/compare/{TRACKING}": set(),
        f"{attempt}/compare/{attempt.rpartition('/')[2]}": own,
        f"/messages/{TRACKING}": every,
        attempt.replace(message, refused): set(),
    }
    shows = ("/content", "/packet", "/attachments/1", attempt)
    for place, may in places.items():
        for name, browser in users.items():
            before = len(town.told("content-opened"))
            answer = browser.get(place)
            expected = 200 if name in may else 401 if name == "nobody" else 404
            assert answer.status == expected, (place, name)
            opened = len(town.told("content-opened")) - before
            shown = 2 if "/compare/" in place else 1 if place.endswith(shows) else 0
            assert opened == (shown if expected == 200 else 0), (place, name)


def test_who_opened_it_is_told_to_operators_alone(town, operator):
    message = packet(town)
    an = signed_in(town, "an", "H55.13")
    an.get(f"/messages/{message}/packet")
    assert "content-opened" not in an.get(f"/messages/{message}").content.decode()
    assert "content-opened" in operator.get(f"/messages/{message}").content.decode()


def test_what_a_partner_says_is_text_wherever_it_stands(town, operator):
    evil = "</pre><script>alert(1)</script>"
    message = town.take(1)
    try_to_deliver(town, (500, evil.encode()), (200, b"ok"))
    with transactions.write_transaction(town.engine) as tx:
        head = {
            "x": f'{{"method":"POST","url":"{evil}","sent":[["{evil}","{evil}"]],"status":200,"heard":[],"size":9}}'
        }
        tx.execute(sa.text("UPDATE exchange SET head = :x WHERE body LIKE '%script%'"), head)
        assert tx.scalar(sa.select(sa.func.count()).select_from(event))
    operator.get(f"/messages/{message}")
    for place in (f"/messages/{message}", *attempts(operator, message)):
        assert operator.get(place).status == 200
        assert "<script" not in operator.page
