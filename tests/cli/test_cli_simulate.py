"""`lienthong partners simulate` before it serves: what it finds, what it refuses; and how it says a call and its end."""

import socket
from datetime import date

import pytest

from hub.cli.partner import simulate, simulated_calls
from hub.cli.screen import FAILED, NOT_FOUND, OK, PARTLY, UNAVAILABLE, USAGE
from hub.domain.model import Problem
from hub.edxml import packet
from hub.edxml.sample import make_sample_packet, make_sample_status
from hub.simulator.answers import ToldAnswer, parse_answer
from hub.simulator.partner_site import SimulatedCall
from hub.simulator.received_call import CallCheck, ReceivedCall
from hub.simulator.tally import SentOutcome, SimulationTally
from tests import homes
from tests.province import NOW


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch):
    """A reactor in this process would never end."""

    def run(*_words):
        raise AssertionError("it would have served")

    monkeypatch.setattr(simulate, "_serve_simulation", run)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return homes.begin(tmp_path_factory.mktemp("simulate") / "tinh")


@pytest.fixture
def typed(home):
    return homes.typing(home, "partners", "simulate")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vpub", "--answer", "maybe"), "maybe is not an answer"),
        (("vpub", "--answer", "slow:-1"), "a number of seconds"),
        (("vpub", "--rate", "0"), "--rate and --seconds must be above 0"),
        (("neu", "--add"), "--add needs --unit"),
        (("vpub", "--send", "1", "--url", "http://127.0.0.1/"), "not an https address"),
    ],
)
def test_a_wrong_line_is_refused_before_anything_happens(typed, words, said):
    done = typed(*words)
    assert done.exit_code == USAGE, done.output
    assert said in done.output


def test_a_mistake_in_a_script_names_its_line(typed, tmp_path):
    (tmp_path / "script").write_text("accept\nnever\n")
    done = typed("vpub", "--script", str(tmp_path / "script"))
    assert done.exit_code == USAGE
    assert "line 2: never is not an answer" in done.output


def test_the_key_must_be_there_and_be_the_partners(home, typed, tmp_path):
    away = homes.begin(tmp_path / "away")
    (away / "pki/partners/vpub.key").unlink()
    assert homes.typing(away, "partners", "simulate")("vpub").exit_code == NOT_FOUND
    pki = home / "pki/partners"
    done = typed("vpub", "--key", str(pki / "sotttt.key"), "--certificate", str(pki / "sotttt.crt"))
    assert done.exit_code == FAILED
    assert "is not a certificate of the partner vpub" in done.output
    assert "not a valid partner code" in typed("../x").output


def test_a_port_that_is_taken_is_told(typed):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = typed("vpub", "--port", str(taken.getsockname()[1]))
    assert done.exit_code == UNAVAILABLE
    assert "The hub does not push to this port" in done.output


def test_a_hub_elsewhere_gets_documents_only_after_a_yes(typed):
    done = typed("vpub", "--send", "1", "--url", "https://hub.example.vn/soap/documents")
    assert done.exit_code == FAILED
    assert "add --yes" in done.output


@pytest.mark.parametrize(
    ("failed", "sent", "code"),
    [
        ((), "", OK),
        ((), "aa", OK),
        ((), "ar", PARTLY),
        ((), "au", PARTLY),
        ((), "r", FAILED),
        ((), "uu", UNAVAILABLE),
        (("signature",), "a", FAILED),
    ],
)
def test_the_exit_code_says_how_it_went(failed, sent, code):
    tally = SimulationTally()
    outcomes = {outcome.value[0]: outcome for outcome in SentOutcome}
    for each in sent:
        tally.count_sent(outcomes[each])
    for each in failed:
        tally.failed[each] += 1
    assert simulated_calls.choose_exit_code(tally) == code


def call(answer, received, *, again=False):
    return SimulatedCall(number=7, at=NOW, answer=answer, received=received, again=again)


DOCUMENT = packet.read_packet(make_sample_packet("H55.13", "H55.1", "x", date(2026, 11, 24)))
STATUS = packet.read_packet(make_sample_status("H55.1", "H55.13", date(2026, 11, 24)))
REFUSED = ReceivedCall(failed=CallCheck.SIGNATURE, problems=(Problem("unsigned", "no Header"),))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            call(ToldAnswer(), ReceivedCall(message_id="m", packet=DOCUMENT), again=True),
            "15:00:00  ← 7  accept  all right  m  1/CHECK H55.13 → H55.1  again",
        ),
        (
            call(parse_answer("refuse:E1"), ReceivedCall(message_id="m", packet=STATUS)),
            "15:00:00  ← 7  refuse:E1  all right  m  03 H55.1 → H55.13",
        ),
        (call(None, REFUSED), "15:00:00  ← 7  fault  NOT right: signature: unsigned: no Header"),
        (call(parse_answer("down"), None), "15:00:00  ← 7  down  connection closed"),
    ],
)
def test_a_call_is_said_in_one_line(monkeypatch, told, said):
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    assert simulated_calls.say_simulated_call(told) == said
    assert simulated_calls.write_simulated_call(told)["number"] == 7
