"""The connection test: each fault on the way to a partner, and on its way to the hub, has its step, its verdict and what to do."""

import functools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from OpenSSL import SSL

from hub.config import Config, Partner
from hub.domain.errors import Rejected
from hub.domain.ids import make_id
from hub.domain.model import Event, Problem, Receive
from hub.journal import events, messages
from hub.journal.queue import partner_state
from hub.language.catalogues import say_both
from hub.monitoring import outbound_check
from hub.monitoring.connection_steps import (
    DIRECTION_NAMES,
    STEP_NAMES,
    VERDICT_NAMES,
    CallDirection,
    ConnectionStepName,
    StepVerdict,
)
from hub.monitoring.inbound_check import check_inbound
from hub.monitoring.outbound_check import check_outbound
from hub.partner.circuit_breaker import Breaker, BreakerPosition
from hub.partner.policy import PartnerTransport, Policy
from hub.security import tls
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from hub.services import list_services
from tests import pki
from tests.pki import DAY, NOW
from tests.province import ROUTES, document, entry
from tests.waiting import PATIENCE

HUB = pki.authority().issue("hub", ends=NOW + 300 * DAY)
SERVER = pki.authority().issue("server", ends=NOW + 300 * DAY)
OTHER = pki.authority().issue("other", ends=NOW + 300 * DAY)
GREAT = b"HTTP/1.1 200 OK\r\n\r\n<definitions xmlns='http://schemas.xmlsoap.org/wsdl/'/>"
Answer = Callable[[Any], object]


def config(**partners: Partner) -> Config:
    anchors = Anchors([pki.authority().certificate])
    return cast(
        "Config",
        SimpleNamespace(
            tls=HUB, anchors=anchors, upstream="", services={}, every_service=list_services(), partners=partners
        ),
    )


def partner(port: int, scheme: str = "https", host: str = "127.0.0.1", **said: Any) -> Partner:
    fields = {"certificates": (SERVER.certificate,), "receive": Receive.PUSH} | said
    return Partner(code="soyte", name="Sở Y tế", url=f"{scheme}://{host}:{port}/soap/documents", **fields)


@contextmanager
def listening(answer: Answer, context: SSL.Context | None = None) -> Iterator[int]:
    """Serve one connection: *answer* gets it, after the handshake if there is a *context*. Yield the port."""

    def serve() -> None:
        with suppress(OSError, SSL.Error), closing(listener.accept()[0]) as plain:
            plain.settimeout(PATIENCE)
            if context is None:
                answer(plain)
                return
            line = SSL.Connection(context, plain)
            line.set_accept_state()
            plain.setblocking(True)
            line.do_handshake()
            answer(line)
            line.shutdown()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
    thread.join(PATIENCE)


def say(octets: bytes) -> Answer:
    def answer(line: Any) -> None:
        line.recv(65536)
        line.send(octets)

    return answer


def refuse(*_: object) -> None:
    raise Rejected(Problem("certificate-unknown"))


def admit(*_: object) -> None:
    pass


def tried(wanted: Partner) -> dict[ConnectionStepName, list[tuple[StepVerdict, str, str]]]:
    """Return verdict, finding and advice of each step; each is said in both languages."""
    found: dict[ConnectionStepName, list[tuple[StepVerdict, str, str]]] = {}
    for step in check_outbound(wanted, config(soyte=wanted), NOW):
        assert all(say_both(step.found))
        found.setdefault(step.name, []).append((step.verdict, str(step.found), str(step.do or "")))
    return found


def verdicts(found: dict[ConnectionStepName, list[tuple[StepVerdict, str, str]]]) -> dict[str, list[str]]:
    return {str(name): [str(verdict) for verdict, _, _ in steps] for name, steps in found.items()}


def test_a_good_connection_is_good_in_every_step() -> None:
    with listening(say(GREAT), tls.make_tls_context(SERVER, admit)) as port:
        found = tried(partner(port))
    assert verdicts(found) == {
        "dns": ["good"],
        "tcp": ["good"],
        "tls": ["good"],
        "server-certificate": ["good", "good"],  # its own, and its CA's
        "client-certificate": ["good"],
        "answer": ["good"],
    }
    assert "WSDL" in found[ConnectionStepName.ANSWER][0][1]
    assert hash_certificate(SERVER.certificate)[:16] in found[ConnectionStepName.SERVER_CERTIFICATE][0][1]


def test_the_request_is_a_get_that_brings_nothing() -> None:
    heard: list[bytes] = []

    def answer(line: Any) -> None:
        heard.append(line.recv(65536))
        line.send(GREAT)

    with listening(answer, tls.make_tls_context(SERVER, admit)) as port:
        tried(partner(port))
    assert heard[0].startswith(b"GET /soap/documents?wsdl HTTP/1.1\r\n")
    assert heard[0].endswith(b"\r\n\r\n")


def test_a_check_of_the_handshake_alone_sends_nothing_above_it() -> None:
    heard: list[bytes] = []

    def answer(line: Any) -> None:
        heard.append(line.recv(65536))

    with listening(answer, tls.make_tls_context(SERVER, admit)) as port:
        wanted = partner(port)
        steps = list(check_outbound(wanted, config(soyte=wanted), NOW, asks=False))
    assert {str(step.name) for step in steps} == {"dns", "tcp", "tls", "server-certificate"}
    assert heard in ([], [b""])


@pytest.mark.parametrize("newest", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_a_server_that_refuses_the_hubs_certificate_is_told_apart(newest: int) -> None:
    context = tls.make_tls_context(SERVER, refuse)
    context.set_max_proto_version(newest)
    with listening(say(GREAT), context) as port:
        found = tried(partner(port))
    name = ConnectionStepName.TLS if newest == SSL.TLS1_2_VERSION else ConnectionStepName.CLIENT_CERTIFICATE
    verdict, _, do = found[name][0]
    assert verdict is StepVerdict.FAILED
    assert hash_certificate(HUB.certificate) in do
    assert found[ConnectionStepName.SERVER_CERTIFICATE][0][0] is StepVerdict.GOOD
    assert ConnectionStepName.ANSWER not in found


def test_a_server_that_asks_for_no_certificate_is_a_warning() -> None:
    with listening(say(GREAT), tls.make_tls_context(SERVER)) as port:
        found = tried(partner(port))
    assert found[ConnectionStepName.CLIENT_CERTIFICATE][0][0] is StepVerdict.WARNING
    with listening(say(GREAT), tls.make_tls_context(SERVER)) as port:
        found = tried(partner(port, policy=Policy(transport=PartnerTransport.TLS)))
    assert ConnectionStepName.CLIENT_CERTIFICATE not in found


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (OTHER, "certificate-unknown"),
        (pki.authority().issue("server", label="server", begins=NOW - 9 * DAY, ends=NOW - DAY), "certificate-expired"),
        (pki.authority("Stranger CA").issue("server", label="server"), "certificate-untrusted"),
    ],
)
def test_a_wrong_server_certificate_is_named_with_its_remedy_and_nothing_is_sent(shown: Any, code: str) -> None:
    known = OTHER if shown is OTHER else shown
    with listening(say(GREAT), tls.make_tls_context(shown, admit)) as port:
        configured = SERVER if shown is OTHER else known
        found = tried(partner(port, certificates=(configured.certificate,)))
    verdict, said, do = found[ConnectionStepName.SERVER_CERTIFICATE][0]
    assert verdict is StepVerdict.FAILED
    assert code in said
    assert hash_certificate(shown.certificate)[:16] in said
    assert do
    assert ConnectionStepName.ANSWER not in found
    assert ConnectionStepName.CLIENT_CERTIFICATE not in found


@pytest.mark.parametrize(
    ("answer", "verdict", "do"),
    [
        (b"HTTP/1.1 405 Method Not Allowed\r\n\r\n", "good", ""),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n<Fault/>", "good", ""),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", "warning", "redirect"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "warning", "admit"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "warning", "path"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "failed", "behind"),
        (b"SSH-2.0-x\r\n", "failed", "HTTP"),
    ],
)
def test_each_answer_has_its_verdict(answer: bytes, verdict: str, do: str) -> None:
    plain = Policy(transport=PartnerTransport.PLAIN)
    with listening(say(answer)) as port:
        found = tried(partner(port, "http", policy=plain, certificates=()))
    assert verdicts(found)["answer"] == [verdict]
    assert do in found[ConnectionStepName.ANSWER][0][2]


@pytest.mark.slow
def test_what_speaks_no_tls_or_nothing_at_all_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(say(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        found = tried(partner(port))
    assert "scheme" in found[ConnectionStepName.TLS][0][2]
    over = threading.Event()
    with listening(lambda _line: over.wait(PATIENCE)) as port, monkeypatch.context() as impatient:
        impatient.setattr(outbound_check, "PATIENCE", 0.2)
        found = tried(partner(port))
        over.set()
    assert "says nothing" in found[ConnectionStepName.TLS][0][2]
    with listening(lambda _line: None) as port:
        found = tried(partner(port))
    assert "cut" in found[ConnectionStepName.TLS][0][2]


def test_a_closed_port_an_unknown_name_and_a_partner_that_is_not_called(tmp_path: Any) -> None:
    with socket.socket() as bound:  # nobody else gets the port, and nothing listens there
        bound.bind(("127.0.0.1", 0))
        found = tried(partner(bound.getsockname()[1]))
    assert verdicts(found) == {"dns": ["good"], "tcp": ["failed"]}
    assert "nothing listens" in found[ConnectionStepName.TCP][0][2]
    assert verdicts(tried(partner(443, host="nobody.invalid"))) == {"dns": ["failed"]}
    assert verdicts(tried(Partner(code="soyte", name="", certificates=()))) == {"address": ["skipped"]}
    there = Partner(code="soyte", name="", certificates=(), url=f"file://{tmp_path}", exchange=tmp_path)
    assert verdicts(tried(there)) == {"address": ["good"]}
    assert verdicts(tried(Partner(code="soyte", name="", certificates=(), url="file:///nowhere"))) == {
        "address": ["failed"]
    }


def _greet(said: bytes, line: Any) -> None:
    line.send(said)


def test_a_mail_server_only_has_to_greet() -> None:
    plain = Policy(transport=PartnerTransport.PLAIN)
    for greeting, verdict in ((b"220 mx ESMTP\r\n", "good"), (b"554 no\r\n", "failed")):
        with listening(functools.partial(_greet, greeting)) as port:
            found = tried(partner(port, "smtp", policy=plain, certificates=()))
        assert verdicts(found)["answer"] == [verdict]


# --- the other way -----------------------------------------------------------------------------------------------------


def judged(tx: Any, wanted: Partner) -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {}
    for step in check_inbound(tx, wanted, config(soyte=wanted), NOW):
        assert all(say_both(step.found))
        found.setdefault(str(step.name), []).append((str(step.verdict), str(step.found), str(step.do or "")))
    return found


def test_a_partner_that_has_never_called_is_told_where_to_look(tx: Any) -> None:
    silent = Partner(code="soyte", name="", certificates=(SERVER.certificate,))
    found = judged(tx, silent)
    assert found["caller-certificate"][0][0] == "good"
    assert found["grants"][0][0] == "warning"
    assert "client-refused" in found["last-call"][0][2]
    assert found["refusals"] == [("good", "nothing", "")]
    assert "sending" not in found
    ended = pki.authority().issue("server", label="server", begins=NOW - 9 * DAY, ends=NOW - DAY)
    wrong = judged(tx, Partner(code="soyte", name="", certificates=(ended.certificate,)))["caller-certificate"][0]
    assert wrong[0] == "failed"
    assert "renew" in wrong[2]
    assert judged(tx, Partner(code="soyte", name="", certificates=()))["caller-certificate"][0][0] == "skipped"


def test_the_last_call_and_the_refusals_of_today_are_told_by_code(tx: Any) -> None:
    wanted = partner(1, units=("H55.13",))
    messages.record_message(tx, entry(document(), 1, at=NOW - DAY, partner="soyte", id=make_id(NOW - DAY)), ROUTES)
    assert judged(tx, wanted)["last-call"][0][0] == "good"
    problems = (Problem("unit-unknown", "H55.99"), Problem("replayed"))
    messages.record_message(
        tx, entry(document(), 2, at=NOW, partner="soyte", id=make_id(NOW), problems=problems), ROUTES
    )
    at = NOW + timedelta(seconds=1)
    events.append_events(
        tx,
        Event("call-refused", at, None, None, {"partner": "soyte", "code": "replayed", "tracking": make_id(at)}),
        Event("call-refused", NOW - DAY, None, None, {"partner": "soyte", "code": "not-yours"}),
        Event("call-refused", NOW, None, None, {"certificate": "ab" * 32, "code": "certificate-unknown"}),
    )
    found = judged(tx, wanted)
    assert found["last-call"][0][:2] == (
        "warning",
        "24/11/2026 15:00:01: refused before it brought a message, replayed",
    )
    assert [each[1].split(",")[0] for each in found["refusals"]] == ["replayed: 2 times", "unit-unknown: 1 time"]
    assert "sign it again" in found["refusals"][0][2]
    assert "ab" * 32 in found["strangers"][0][1]


def test_a_pause_and_a_breaker_are_told(tx: Any) -> None:
    wanted = partner(1)
    assert judged(tx, wanted)["sending"][0][0] == "good"
    cut = Breaker(position=BreakerPosition.OPEN, failures=5, opened=1, until=NOW, reason="connection failed: x")
    partner_state.move_breaker(tx, "soyte", lambda _breaker: cut, NOW)
    assert judged(tx, wanted)["sending"][0][0] == "failed"
    partner_state.pause_partner(tx, "soyte", reason="bảo trì", by="an", now=NOW)
    assert "bảo trì" in judged(tx, wanted)["sending"][0][1]


def test_every_step_verdict_and_direction_has_a_name_in_both_languages() -> None:
    for names, words in (
        (STEP_NAMES, ConnectionStepName),
        (VERDICT_NAMES, StepVerdict),
        (DIRECTION_NAMES, CallDirection),
    ):
        assert set(names) == set(words)
        assert all(all(say_both(name)) for name in names.values())
