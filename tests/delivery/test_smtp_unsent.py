"""A connection to a mail server that ends before the mail is transmitted is known to have sent nothing; later it is not."""

from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub.delivery.smtp_transport import SmtpCarrier
from hub.domain.conversations import Request
from hub.runtime.call_progress import CallProgress
from hub.runtime.http_client import Unreachable
from hub.runtime.line_protocol import ConnectionBroken

PROGRESS = partial(CallProgress, cast("Any", Clock()), 30.0)
SAID = [b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go"]


class Line:
    """A server that says some lines and is gone."""

    def __init__(self, said: list[bytes]) -> None:
        self.said, self.heard = list(said), b""

    def local_address(self) -> str:
        return "127.0.0.1"

    def write(self, octets: bytes) -> None:
        self.heard += octets

    async def read_line(self) -> bytes:
        if not self.said:
            raise ConnectionBroken("the server is gone")
        return self.said.pop(0)

    def close(self) -> None:
        pass


MAIL = (("Mail-From", "a@b.vn"), ("Rcpt-To", "c@d.vn"))


def carry(line: Line, headers: tuple[tuple[str, str], ...] = MAIL) -> object:
    async def call(*_words: object) -> Line:
        return line

    connector: Any = SimpleNamespace(call=call, starts_tls=lambda *_: False)
    carrier = SmtpCarrier(connector, lambda: datetime(2026, 11, 24, tzinfo=UTC))
    request = Request("smtp://mail", b"hello", headers)
    done: list[object] = []
    _ = Deferred.fromCoroutine(carrier.carry(request, cast("Any", None), PROGRESS())).addBoth(done.append)
    return done[0]


@pytest.mark.parametrize("lines", range(5))
def test_before_the_mail_nothing_was_sent(lines):
    failure: Any = carry(line := Line(SAID[:lines]))
    assert isinstance(failure.value, Unreachable)
    assert failure.value.unsent
    assert b"hello" not in line.heard


def test_a_server_that_refuses_to_be_greeted_was_sent_nothing():
    failure: Any = carry(Line([b"220 hi", b"502 no"]))
    assert isinstance(failure.value, Unreachable)
    assert failure.value.unsent


def test_in_the_midst_of_the_mail_nobody_knows():
    failure: Any = carry(line := Line(SAID))
    assert b"hello" in line.heard
    assert not getattr(failure.value, "unsent", False)


def test_a_mail_that_was_taken_is_answered():
    reply: Any = carry(Line([*SAID, b"250 taken"]))
    assert (reply.status, reply.headers["stage"]) == (250, "content")


def test_without_a_sender_only_the_sign_in_is_tried():
    line = Line([b"220 hi", b"250-hi", b"250 AUTH PLAIN", b"235 ok"])
    answer: Any = carry(line, (("User", "truc"), ("Password", "p")))
    assert (answer.status, answer.headers["stage"]) == (235, "auth")
    assert [each.split(b" ")[0] for each in line.heard.split(b"\r\n")] == [b"EHLO", b"AUTH", b"QUIT", b""]
