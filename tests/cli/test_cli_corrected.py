"""`lienthong replay ID --corrected FILE`: what is wrong is shown at its line, and a corrected message goes once."""

import json
import shlex
from pathlib import Path
from typing import Any

import attrs
import pytest

from hub.config import read_config
from hub.domain.model import DeliveryState, Problem
from hub.journal import blobs, messages
from hub.journal.fact_reading import fact_rows
from hub.journal.searching import message_reading
from hub.operations.accounts.permissions import Role
from hub.security import signing
from hub.store import transactions
from tests import homes
from tests.cli.test_cli_replays import account, be, rows
from tests.conftest import ROOT
from tests.homes import Type, engine_of
from tests.journal.test_replay_plans import push, read, told
from tests.province import ROUTES, document, entry

EXAMPLE = (ROOT / "docs/examples/van-ban.edxml").read_bytes()
#: A document of a unit of the partner `sotttt` to one of `vpub`, which is pushed to.
PACKET = EXAMPLE.replace(b"H55.13", b"H55.x").replace(b"H55.12", b"H55.13").replace(b"H55.x", b"H55.12")
DOCUMENT = "H55.13,2026/11/20,15/SNV-VP"
WRONG = PACKET.replace(b"BussinessDocType>0<", b"BussinessDocType>9<")
LINE = WRONG[: WRONG.index(b"Type>9<")].count(b"\n") + 1
REFUSAL = (Problem("R.TraceHeaderList.Bussiness.BussinessDocType", f"line {LINE}: 9"),)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A hub that has refused one document."""
    home = homes.begin(tmp_path / "tinh")
    keep(home, entry(document(), content=WRONG, problems=REFUSAL, receipt=None))
    return home


def keep(home, made):
    with transactions.write_transaction(engine_of(home)) as tx:
        return messages.record_message(tx, made, ROUTES).id


@pytest.fixture
def type_(home: Path) -> Type:
    return homes.typing(home)


ORIGINAL = "00000000-0000-7000-8000-000000000001"


@pytest.fixture
def send(home, type_, tmp_path):
    """Type the command with a packet."""

    def run(packet: bytes, *words: str, **said: Any):
        file = tmp_path / "da-sua.edxml"
        file.write_bytes(packet)
        return type_("replay", ORIGINAL, "--corrected", str(file), "--reason", "trích yếu dài", *words, **said)

    return run


def test_what_is_wrong_is_shown_at_its_line_and_nothing_is_sent(home, send):
    (found,) = rows(send(WRONG, "--yes", "--json"), 1)
    assert (found["line"], found["code"].rpartition(".")[2]) == (LINE, "BussinessDocType")
    vietnamese = send(WRONG, language="vi")
    assert (vietnamese.exit_code, str(LINE) in vietnamese.stdout) == (1, True)
    (unknown,) = rows(send(PACKET.replace(b"H55.12", b"H55.77"), "--json"), 1)
    assert unknown["code"] == "unit-unknown"
    assert rows(send(b"<a>", "--json"), 1)[0]["code"] == "not-well-formed"
    assert rows(send(PACKET.replace(b"<Code>", b"<!-- x --><Code>"), "--json"), 1)[0]["code"] == "packet-unsignable"
    assert told(engine_of(home), "replay-plan") == []


def test_a_refused_message_goes_corrected_signed_by_the_hub_and_once(home, type_, send):
    (planned,) = rows(send(PACKET, "--json"))
    assert (planned["action"], planned["recipient"], planned["corrected"]) == ("planned", "H55.12", None)
    assert told(engine_of(home), "replay-plan") == []
    done = send(PACKET, "--yes", "--json", "--key", "k")
    (sent,) = rows(done)
    assert (sent["action"], sent["state"]) == ("replayed", "waiting")
    shown = rows(type_("show", ORIGINAL, "--json"))[0]
    assert [(each["relation"], each["id"]) for each in shown["links"]] == [("corrected-by", sent["corrected"])]
    (again,) = rows(type_("show", sent["corrected"], "--json"))
    assert (again["partner"], again["links"][0]["relation"], again["signature"]) == ("sotttt", "corrects", "unsigned")
    (packet,) = [
        each for each in rows(type_("show", sent["corrected"], "--signature", "--json")) if each["what"] == "packet"
    ]
    assert (packet["again"], packet["code"]) == ("valid", "signed-by-hub")
    hub = read_config(home / "hub.toml").identity.certificate.subject.rfc4514_string()
    assert hub.rpartition("CN=")[2].split(",")[0] in packet["subject"]
    assert sent["corrected"] in send(PACKET, "--yes", "--key", "k").stderr, "given twice"
    late = send(PACKET, "--yes", "--json")
    assert (late.exit_code, json.loads(late.stdout)["code"]) == (1, "not-correctable")
    assert len(told(engine_of(home), "message-accepted")) == 1
    differs = type_("compare", ORIGINAL, sent["corrected"])
    assert (differs.exit_code, "BussinessDocType>9" in differs.stdout) == (1, True)


def test_the_signature_of_the_sender_gives_way_to_that_of_the_hub(home, send):
    identity = read_config(home / "hub.toml").identity
    signed = signing.sign_packet(PACKET, identity)
    assert signing.remove_signatures(signed) == PACKET
    (sent,) = rows(send(signed.replace(b"Paper>0", b"Paper>1"), "--yes", "--json"))
    engine = engine_of(home)
    kept = read(engine, blobs.read_blob, read(engine, message_reading.read_message, sent["corrected"]).sha256)
    assert kept.count(b"<ds:Signature ") == 1


def test_an_accepted_document_stays_the_same_document_and_is_counted_once(tmp_path):
    home = homes.begin(tmp_path / "khac")
    engine, type_ = engine_of(home), homes.typing(home)
    sent = entry(document("H55.13", "H55.01", document_id=DOCUMENT), 1, content=PACKET)
    keep(home, attrs.evolve(sent, routes=(attrs.evolve(sent.routes[0], recipient="H55.12", via="H55.12"),)))
    push(engine, DeliveryState.DEAD)
    before = read(engine, lambda tx: list(fact_rows.read_facts(tx)))
    file = tmp_path / "sua.edxml"
    words = ("replay", ORIGINAL, "--corrected", str(file), "--reason", "sai", "--json")
    file.write_bytes(PACKET.replace(DOCUMENT.encode(), b"khac"))
    assert [(each["code"], each["detail"]) for each in rows(type_(*words), 1)] == [
        ("correction-differs", f"DocumentId: {DOCUMENT} → khac")
    ]
    file.write_bytes(PACKET.replace(b"<Paper>0", b"<Paper>1"))
    assert "1 dead deliveries" in type_(*words).stderr
    (done,) = rows(type_(*words, "--yes"))
    shown = rows(type_("show", ORIGINAL, "--json"))[0]
    assert shown["deliveries"][0]["stopped"] == f"corrected: {done['corrected']}"
    assert read(engine, lambda tx: list(fact_rows.read_facts(tx))) == before
    assert type_("replay", ORIGINAL, "--reason", "x", "--yes").exit_code == 4, "a closed one is not replayed"


def test_a_second_person_approves_a_correction(home, send, type_, monkeypatch):
    with (home / "hub.toml").open("a") as file:
        file.write("\n[replay]\napprove-corrected = true\n")
    be(monkeypatch, "an")
    account(home, "an", Role.OPERATOR, ("*",))
    done = send(PACKET, "--yes")
    assert (done.exit_code, "approve" in done.stderr) == (3, True)
    (plan,) = rows(type_("replays", "list", "--json"))
    assert (plan["state"], plan["corrects"], plan["corrected"]) == ("awaiting", ORIGINAL, None)
    assert type_("replays", "approve", plan["id"]).exit_code == 1
    be(monkeypatch, "binh")
    account(home, "binh", Role.APPROVER, ("sotttt", "vpub", "vpcp"))
    assert type_("replays", "approve", plan["id"]).exit_code == 4, "who is limited sees no original, as in the console"
    account(home, "binh", Role.APPROVER, ("*",))
    assert rows(type_("replays", "approve", plan["id"], "--json"))[0]["state"] == "running", "the running hub sends it"
    assert ORIGINAL in type_("replays", "show", plan["id"]).stdout


@pytest.mark.parametrize("words", [("--to", "vpub"), ("--again",), ("--rate", "1/s"), ("--partner", "vpub"), ("khac",)])
def test_a_correction_is_of_one_message(send, words):
    done = send(PACKET, *words)
    assert (done.exit_code, "--corrected" in done.stderr) == (2, True)


@pytest.mark.parametrize("page", ["docs/howto/replay.md", "docs/vi/howto/replay.md"])
def test_the_manual_is_typed_as_it_stands(type_, tmp_path, page):
    lines = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("    lienthong")]
    typed = [shlex.split(line)[3:] for line in lines if "--corrected" in line]
    (tmp_path / "sua.edxml").write_bytes(PACKET)
    for words in typed:
        words[words.index("$ID")], words[words.index("sua.edxml")] = ORIGINAL, str(tmp_path / "sua.edxml")
        assert type_(*words).exit_code == 0
    assert ["--yes" in words for words in typed] == [False, True]
