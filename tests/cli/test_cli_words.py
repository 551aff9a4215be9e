"""What the commands print is said by name, in the reader's language; under `--json` the words stay."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli import lienthong, screen, send
from hub.config import read_config
from hub.domain import errors
from hub.domain.local_time import write_local_time
from hub.domain.model import DeliveryState, Event, MessageState, Receive
from hub.intake import grants
from hub.journal import events, messages
from hub.journal.replays import replay
from hub.journal.searching import message_filter
from hub.language.catalogues import say_both
from hub.language.fields import read_field_names
from hub.language.terms import read_terms
from hub.monitoring import link_rows
from hub.operations.accounts import permissions
from hub.services.links.probes import Link, LinkStanding, LinkState
from hub.store import transactions
from tests import homes
from tests.pages import DOCS, quoted, rows, sections
from tests.province import GRANTING, NOW, ROUTES, document, entry

Type = Callable[..., Result]
#: Words that each have a name: none of them may be left in what a Vietnamese reads.
RAW = {
    word
    for key in read_terms()
    for scope, word in [key.split("/")]
    if scope in {"event", "attempt", "documents", "status"}
}
FILTERS = {*MessageState, *DeliveryState, *permissions.Role, *Receive}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A hub with two documents for the province office, one of them given up by a person, and a link that is down."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        for number in (1, 2):
            messages.record_message(tx, entry(document(document_id=f"D{number}"), number, at=NOW), ROUTES)
        plan = replay.plan_give_up(tx, message_filter.MessageFilter(ids=("m1",)))
        dead = [delivery for _, delivery in plan.moves]
        replay.give_up_deliveries(tx, dead, reason="gửi nhầm", by="an", now=NOW)
        first = dead[0].message
        said = {"partner": "vpub", "number": 1234, "outcome": "unavailable", "reason": "connection failed: x"}
        problems = [{"code": "too-large", "detail": "9"}]
        events.append_events(
            tx,
            Event("attempt-ended", NOW, first, None, said),
            Event("report-signature-refused", NOW, first, None, {"revision": 2, "problems": problems, "by": None}),
            Event("status-moved", NOW, first, None, {"unit": "H55.12", "status": "03"}),
        )
        down = LinkStanding(state=LinkState.DOWN, since=NOW, seen_at=NOW)
        link = Link(name="vpub", host="10.0.0.1", port=443, tls=True)
        link_rows.record_link_standings(tx, "may-1", {link: down}, {}, [], timedelta(days=9999), NOW)
    engine.dispose()
    return home


@pytest.fixture
def type_(home: Path) -> Type:
    def run(*words: str, language: str = "vi") -> Result:
        runner = CliRunner(env={"LANG": f"{language}.UTF-8", "LIENTHONG_CONFIG": str(home / "hub.toml")})
        done = runner.invoke(lienthong, list(words))
        assert done.exit_code == 0, done.output
        return done

    return run


@pytest.mark.parametrize(
    ("line", "vietnamese", "english"),
    [
        ("trace m1", ["thôi gửi, do an: gửi nhầm", "lỗi (dead)"], ["given up by an: gửi nhầm", "state: dead"]),
        (
            "trace m1",
            ["không liên lạc được", "không kết nối được: x"],
            ["outcome: unavailable", "connection failed: x"],
        ),
        ("trace m1", ["số thứ tự: 1.234", "đã tiếp nhận"], ["number: 1,234", "status of the document: taken on"]),
        ("trace m1", ["lý do từ chối: too-large: 9"], ["reasons of the refusal: too-large: 9"]),
        (
            "show m1",
            ["văn bản điện tử", "được nhận (accepted)"],
            ["electronic documents", "accepted by the hub (accepted)"],
        ),
        ("messages", ["văn bản", "được nhận (accepted)"], ["document", "accepted by the hub (accepted)"]),
        ("replay --partner vpub --reason x", ["dự kiến", "thôi gửi, do an"], ["planned", "given up by an"]),
        ("partners list", ["tự đến lấy (fetch)", "trục gửi đến (push)"], ["fetches (fetch)", "connected"]),
        ("partners show vpub", ["documents (văn bản điện tử)"], ["documents (electronic documents)"]),
        ("partners grants", ["lookups (tra cứu dịch vụ"], ["lookups (lookups in national"]),
        ("links", ["đang đứt"], ["unreachable"]),
        ("units list", ["mẫu"], ["a sample"]),
        ("report facts", ["gửi đi"], ["document sent"]),
        ("report periods", ["từ ngày", "đang mở"], ["first day", "month open"]),
        ("report state H55 2026-11", ["chưa khóa"], ["not closed yet"]),
    ],
)
def test_a_command_says_words_by_name(type_, line, vietnamese, english):
    for language, expected in {"vi": vietnamese, "en": english}.items():
        said = type_(*line.split(), language=language).output
        for each in expected:
            assert each in said, said
        assert not re.search(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\d\d:\d\d:\d\d\.\d", said), (
            "a time is not as people write it"
        )
    assert not left(type_(*line.split()).stdout)


def test_a_time_is_that_of_hanoi_but_under_json(type_):
    there = write_local_time(NOW)
    assert there in type_("show", "m1").stdout
    assert type_("trace", "m1").stdout.startswith(there)
    (shown,) = (json.loads(line) for line in type_("show", "m1", "--json").stdout.splitlines())
    assert datetime.fromisoformat(shown["received_at"]) == NOW


def test_show_opens_the_only_message_with_a_number(home, type_):
    assert "D2" in type_("show", "D2").stdout
    assert type_("trace", "D1").stdout == type_("trace", "m1").stdout
    both = homes.typing(home)("show", "7816/VPUB")
    assert both.exit_code == 4
    assert "`lienthong messages 7816/VPUB` lists them" in both.stderr
    assert homes.typing(home)("show", "7817/VPUB").exit_code == 4


@pytest.mark.parametrize(
    ("line", "near"), [("partner list", "'partners'"), ("partners lst", "'list'"), ("users lits", "'list'")]
)
def test_the_nearest_command_is_named(home, line, near):
    for language, asked in {"en": "Did you mean", "vi": "Có phải bạn muốn"}.items():
        wrong = homes.typing(home)(*line.split(), language=language)
        assert wrong.exit_code == 2
        assert asked in wrong.stderr
        assert near in wrong.stderr


def left(said: str) -> set[str]:
    """Return the words of the hub that a Vietnamese would read, without those that are values of an option."""
    plain = re.sub(r"\(([a-z-]+)\)", lambda met: "" if met[1] in FILTERS else met[0], said)
    plain = re.sub(r"lienthong [^\n]*|[a-z.]+ \(|bộ chuyển đổi +documents", "", plain)
    return {each for each in RAW if re.search(rf"(?<![\w.-]){re.escape(each)}(?![\w-])", plain) and each.isascii()} - {
        each for each in RAW if each.isdecimal()
    }


def test_under_json_the_words_are_those_of_the_journal(type_):
    told = [json.loads(line) for line in type_("trace", "m1", "--json").stdout.splitlines()]
    assert {"message-accepted", "delivery-dead", "attempt-ended", "status-moved", "delivery"} <= {
        each["event"] for each in told
    }
    assert told[-1]["state"] == "dead"
    assert told[-1]["reason"] == "given up by an: gửi nhầm"
    (shown,) = (json.loads(line) for line in type_("show", "m1", "--json").stdout.splitlines())
    assert (shown["kind"], shown["state"], shown["deliveries"][0]["state"]) == ("document", "accepted", "dead")
    assert {json.loads(line)["receive"] for line in type_("partners", "list", "--json").stdout.splitlines()} == {
        "fetch",
        "push",
    }
    (link,) = (json.loads(line) for line in type_("links", "--json").stdout.splitlines())
    assert link["state"] == "down"
    (planned,) = (
        json.loads(line) for line in type_("replay", "--partner", "vpub", "--reason", "x", "--json").stdout.splitlines()
    )
    assert (planned["action"], planned["reason"]) == ("planned", "given up by an: gửi nhầm")
    assert {json.loads(line)["milestone"] for line in type_("report", "facts", "--json").stdout.splitlines()} == {
        "sent",
        "failed",
    }


def test_every_field_of_an_event_has_a_name_in_both_languages():
    reference = sections(DOCS / "reference/events.md")["Events"]
    fields = {field for row in rows(reference) for field in quoted(row[2]) if re.fullmatch(r"[a-z0-9_-]+", field)}
    # in the column stand also the words of some fields
    words_of_fields = {"message", "delivery"} | {key.split("/")[1] for key in read_terms()}
    for field in fields - words_of_fields | {"state", "status", "unit"}:
        assert field in read_field_names(), field
    for name in read_field_names().values():
        vietnamese, english = say_both(name)
        assert vietnamese == english == "SHA-256" or vietnamese != english, english


def test_what_may_be_called_has_a_name(monkeypatch):
    monkeypatch.setenv("LANG", "vi_VN.UTF-8")
    from hub.cli.partner.partners import name_grant

    assert all(name_grant(each) for each in grants.list_grant_names(GRANTING))
    assert name_grant("lookups.VerifyCitizen") == say_both(read_terms()["lookups/verify-citizen"].name)[0]
    assert name_grant("unheard") == ""


@pytest.mark.parametrize(("language", "said"), [("vi_VN.UTF-8", "-1.234.567"), ("en_US.UTF-8", "-1,234,567")])
def test_a_large_number_has_the_signs_of_the_language(monkeypatch, language, said):
    monkeypatch.setenv("LANG", language)
    assert screen.say_count(-1_234_567) == said
    assert screen.say_count(999) == "999"


@pytest.mark.parametrize(
    ("answer", "vietnamese", "english"),
    [
        ("{vi}. / {en}. [H55]", "{vi}. [H55]", "{en}. [H55]"),
        ("{vi}. [dòng 1] / {en}. [line 1]", "{vi}. [dòng 1]", "{en}. [line 1]"),
        ("{vi}. / {en}.", "{vi}.", "{en}."),
        ("in other words / {en}. [H55]", "in other words / {en}. [H55]", "in other words / {en}. [H55]"),
    ],
)
def test_of_an_answer_in_both_languages_one_is_shown(monkeypatch, answer, vietnamese, english):
    vi, en = say_both(errors.find_error_sentence("sender-not-allowed"))
    for language, expected in (("vi_VN.UTF-8", vietnamese), ("en_US.UTF-8", english)):
        monkeypatch.setenv("LANG", language)
        shown = send._choose_language("sender-not-allowed", answer.format(vi=vi, en=en))
        assert shown == expected.format(vi=vi, en=en)
    assert send._choose_language("of-a-later-version", "said") == "said"
