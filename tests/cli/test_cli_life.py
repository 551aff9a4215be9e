"""`lienthong show` says where the time of a message went, what each attempt asked and heard, and what it is linked to."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.conversations import Reply, Request
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import messages
from hub.journal.queue import claims
from hub.journal.queue.claims import AttemptExchange
from hub.partner.kept_exchange import keep_exchange
from hub.store import transactions
from tests import homes
from tests.province import NOW, ROUTES, document, entry, status

ASKED = Request(
    "https://vpub.example/edoc", b"x", (("SOAPAction", "Send"), ("Authorization", "Basic c2VjcmV0c2VjcmV0"))
)


@pytest.fixture
def type_(tmp_path: Path) -> Callable[..., Result]:
    home = homes.begin(tmp_path / "tinh")
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    replies = [
        (Reply(503, b"<away>\n</away>", {"date": "Tue", "set-cookie": "k"}), DeliveryEvent.UNAVAILABLE),
        (None, DeliveryEvent.UNAVAILABLE),
        (Reply(200, b"\x1f", {"content-encoding": "gzip"}), DeliveryEvent.ACCEPTED),
    ]
    with transactions.write_transaction(engine) as tx:
        assert not messages.record_message(tx, entry(document(), 1), ROUTES).problems
        for number, (reply, outcome) in enumerate(replies, 1):
            now = NOW + timedelta(minutes=number)
            (claimed,) = claims.claim_deliveries(tx, "vpub", now, limit=1, holder="n", lease=timedelta(minutes=1))
            verdict = (
                AttemptVerdict(DeliveryState.DELIVERED, word="taken")
                if outcome is DeliveryEvent.ACCEPTED
                else AttemptVerdict(DeliveryState.WAITING, "away", now)
            )
            said = AttemptExchange(reply_status=reply.status if reply else None, kept=keep_exchange(ASKED, reply, ()))
            assert claims.settle_claim(
                tx, claims.EndedAttempt(claimed, outcome, verdict, said, now + timedelta(seconds=3))
            )
        assert not messages.record_message(tx, entry(status("03"), 2, partner="vpub"), ROUTES).problems

    def run(*words: str, language: str = "en", code: int = 0) -> Result:
        runner = CliRunner(env={"LANG": f"{language}.UTF-8", "LIENTHONG_CONFIG": str(home / "hub.toml")})
        done = runner.invoke(lienthong, list(words))
        assert done.exit_code == code, done.output
        return done

    return run


def test_a_message_is_shown_with_its_life(type_):
    said = type_("show", "m1").output
    for each in (
        "Where its time went\n  H55.01 (vpub)\n    24/11/2026 15:00:00  waiting, 1 min\n",
        "    24/11/2026 15:01:00  being sent, attempt 1, unavailable, 3.0 s, away\n",
        "    24/11/2026 15:01:03  waiting, 57.0 s, away\n",
        "    24/11/2026 15:03:03  delivered\n",
        "Attempts\n  24/11/2026 15:01:00  vpub  attempt 1, unavailable, HTTP 503, 3.0 s, away\n",
        "Linked messages\n  answered by: ",
    ):
        assert each in said, (each, said)
    assert "Thời gian ở từng bước" in type_("show", "m1", language="vi").output


def test_under_json_it_has_its_stages_attempts_and_links(type_):
    shown = json.loads(type_("show", "m1", "--json").stdout)
    assert [(each["state"], each["seconds"]) for each in shown["stages"]] == [
        ("waiting", 60.0),
        ("sending", 3.0),
        ("waiting", 57.0),
        ("sending", 3.0),
        ("waiting", 57.0),
        ("sending", 3.0),
        ("delivered", None),
    ]
    first, second, third = shown["attempts"]
    assert first["request"] == {
        "method": "POST",
        "url": "https://vpub.example/edoc",
        "operation": "Send",
        "headers": [["SOAPAction", "Send"], ["Authorization", "***"]],
    }
    assert first["reply"]["headers"] == [["set-cookie", "***"], ["date", "Tue"]]
    assert (second["reply"], third["reply"]["left_out"]) == (None, "encoded")
    (link,) = shown["links"]
    assert (link["relation"], link["kind"]) == ("answered-by", "status")
    (back,) = json.loads(type_("show", link["id"], "--json").stdout)["links"]
    assert (back["relation"], back["id"]) == ("answers", shown["id"])


def test_content_is_shown_on_record_alone(type_, monkeypatch):
    monkeypatch.setattr("hub.cli.person.name_person", lambda: "an")

    def opened() -> list[tuple[str, str, str]]:
        told = [json.loads(line) for line in type_("events", "--kind", "content-opened", "--json").stdout.splitlines()]
        return [(each["content"], each.get("name", ""), each["by"]) for each in told]

    type_("show", "m1")
    type_("show", "m1", "--signature")
    type_("show", "m2", "--json")
    assert opened() == []
    type_("show", "m1", "--raw")
    type_("show", "m1", "--attempts")
    type_("show", "m1", "--json")
    assert opened()[::-1] == [("bytes", "", "an"), ("reply", "", "an"), ("reply", "", "an")]


def test_each_attempt_is_shown_with_what_was_asked_and_heard(type_):
    said = type_("show", "m1", "--attempts").output
    for each in (
        "  > POST https://vpub.example/edoc\n  > SOAPAction: Send\n  > Authorization: ***\n  < 503\n",
        "  < date: Tue\n  <away>\n  </away>\n",
        "  < No reply came.\n",
        "  The body is not kept: it is compressed or no text.\n",
    ):
        assert each in said, (each, said)
    assert "c2VjcmV0" not in said
    bodies = [json.loads(line)["body"] for line in type_("show", "m1", "--attempts", "--json").stdout.splitlines()]
    assert bodies == ["<away>\n</away>", "", ""]


def test_two_attempts_and_two_messages_are_compared(type_):
    first, second, _ = (each["id"] for each in json.loads(type_("show", "m1", "--json").stdout)["attempts"])
    lines = [json.loads(line) for line in type_("compare", first, second, "--json", code=1).stdout.splitlines()]
    assert {"part": "reply", "sign": "-", "text": "HTTP 503"} in lines
    assert {each["part"] for each in lines} == {"reply"}, "the requests are equal"
    assert "Nothing differs." in type_("compare", first, first).output
    assert "- packet 1\n+ packet 2\n" in type_("compare", "m1", "m2", code=1).output
    type_("compare", "m1", first, code=2)
    type_("compare", "m1", "no-such", code=4)
