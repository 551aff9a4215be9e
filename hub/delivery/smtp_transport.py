"""Sends a mail to a partner's server by SMTP (RFC 5321) with STARTTLS. Does not know the content or what a reply means.

A mail goes to all its recipients or to none: as soon as the server refuses one, nothing is sent. The password is sent
only under TLS, unless the operator configured `transport = "plain"`.
"""

import base64
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs
from twisted.internet.defer import CancelledError

from hub.config import Partner
from hub.delivery.http_transport import Carrier
from hub.delivery.mail_connection import MailConnector
from hub.domain.conversations import Reply, Request
from hub.runtime.call_progress import CallProgress
from hub.runtime.http_client import Unreachable, describe_connection_error
from hub.runtime.line_protocol import ConnectionBroken, LineConnection
from hub.runtime.thread_pool import Work

_USUAL = {"smtp": 587, "smtps": 465}
SCHEMES = tuple(_USUAL)
_REPLY = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_LINES = 200  #: maximum lines of one reply
_ADDRESS = re.compile(r"[!-;=?-~]*", re.ASCII)  # no character that could end the command: no space, no angle bracket


@attrs.frozen
class _SmtpReply:
    """One reply of the server."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def text(self) -> bytes:
        return b"\n".join(self.lines)


@attrs.define(eq=False)
class SmtpCarrier:
    """Sends mails, with one connection per mail."""

    _connector: MailConnector  #: opens the connections
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC

    async def carry(self, request: Request, partner: Partner, progress: CallProgress) -> Reply:
        """Send the mail in *request*.

        Return the server's last reply: code, text, and the step it answers (header `stage`).

        Request headers: `Mail-From`, `Rcpt-To` (one each), and `User` and `Password` if the server requires a sign-in.
        With these two alone it ends after the sign-in. Raises Unreachable.
        """
        progress.sent = False
        line = await self._connector.call(request.url, _USUAL, partner)
        try:
            stage, said = await self._offer(line, request, partner)
            if said.code == 354:
                content = _stuff_dots(request.body) + b"."
                progress.sent = True
                progress.write_all(len(content))
                stage, said = "content", await _ask_server(line, content)
            line.write(b"QUIT\r\n")
        finally:
            line.close()
        return Reply(said.code, said.text, {"stage": stage}, self._now())

    async def _offer(self, line: LineConnection, request: Request, partner: Partner) -> tuple[str, _SmtpReply]:
        """Send the commands before the mail. A failure is known to have sent nothing of it."""
        try:
            return await self._command(line, request, partner)
        except CancelledError:
            raise
        except Unreachable as error:
            raise Unreachable(*error.args, unsent=True) from error
        except Exception as error:
            raise Unreachable(describe_connection_error(error), unsent=True) from error

    async def _command(self, line: LineConnection, request: Request, partner: Partner) -> tuple[str, _SmtpReply]:
        """Send the commands one by one until one is refused. Return the last step and its reply; of DATA, 354."""
        greeting = await _hear_reply(line)
        if greeting.code != 220:
            return "greeting", greeting
        hello = await _greet_server(line)
        if self._connector.starts_tls(request.url, partner):
            if b"STARTTLS" not in hello:
                raise Unreachable("the server offers no STARTTLS, so no password and no mail was sent")
            started = await _ask_server(line, b"STARTTLS")
            if started.code != 220:
                return "starttls", started
            line.start_tls(self._connector.creator(request.url, partner))
            hello = await _greet_server(line)
        headers = {name.lower(): value for name, value in request.headers}
        if headers.get("user"):
            known = await _sign_in(line, hello.get(b"AUTH", b"").split(), headers["user"], headers.get("password", ""))
            if known.code != 235 or "mail-from" not in headers:
                return "auth", known
        size = b" SIZE=%d" % len(request.body) if b"SIZE" in hello else b""
        steps = [("mail", b"MAIL FROM:<" + _encode_address(headers["mail-from"]) + b">" + size)]
        recipients = [value for name, value in request.headers if name.lower() == "rcpt-to"]
        steps += [("rcpt", b"RCPT TO:<" + _encode_address(recipient) + b">") for recipient in recipients]
        for stage, command in steps:
            said = await _ask_server(line, command)
            if said.code not in {250, 251}:
                return stage, said
        return "data", await _ask_server(line, b"DATA")


def carrier(post: MailConnector, work: Work, now: Callable[[], datetime], reactor: Any) -> Carrier:
    """Return the SMTP carrier. It connects with *post* and stamps replies with *now*."""
    return SmtpCarrier(post, now).carry


async def _hear_reply(line: LineConnection) -> _SmtpReply:
    lines: list[bytes] = []
    while len(lines) < _LINES:
        found = _REPLY.fullmatch(await line.read_line())
        if found is None:
            break
        lines.append(found[3] or b"")
        if found[2] != b"-":
            return _SmtpReply(int(found[1]), tuple(lines))
    raise ConnectionBroken("the server does not speak SMTP")


async def _ask_server(line: LineConnection, command: bytes) -> _SmtpReply:
    line.write(command + b"\r\n")
    return await _hear_reply(line)


async def _greet_server(line: LineConnection) -> dict[bytes, bytes]:
    """Send EHLO with our address. Return the server's extensions by keyword."""
    here = line.local_address()
    said = await _ask_server(line, b"EHLO [" + (f"IPv6:{here}" if ":" in here else here).encode() + b"]")
    if said.code != 250:
        raise Unreachable(f"the server refuses EHLO: {said.code} {said.text.decode('utf-8', 'replace')[:200]}")
    offered = (each.upper().replace(b"=", b" ").partition(b" ") for each in said.lines[1:])
    return {keyword: more for keyword, _, more in offered}


async def _sign_in(line: LineConnection, offered: list[bytes], user: str, password: str) -> _SmtpReply:
    if b"PLAIN" in offered:
        return await _ask_server(line, b"AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()))
    if b"LOGIN" not in offered:
        raise Unreachable("the server offers neither AUTH PLAIN nor AUTH LOGIN")
    said = await _ask_server(line, b"AUTH LOGIN")
    for word in (user, password):
        if said.code != 334:
            break
        said = await _ask_server(line, base64.b64encode(word.encode()))
    return said


def _encode_address(written: str) -> bytes:
    if not _ADDRESS.fullmatch(written):
        raise ValueError(f"not a mail address: {written!r}")
    return written.encode("ascii")


def _stuff_dots(body: bytes) -> bytes:
    """Return *body* with CRLF line ends, also at its end, and with dot stuffing (RFC 5321, 4.5.2)."""
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", body)
    return re.sub(rb"(?m)^\.", b"..", lines if lines.endswith(b"\r\n") else lines + b"\r\n")
