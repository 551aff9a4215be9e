"""Sends commands to a mailbox by IMAP4rev1 (RFC 3501) with STARTTLS and IDLE (RFC 2177).

Does not know what a mail contains.

The body of a request is one command without its tag, for the folder in its URL. The reply holds the server's answer. A
session stays open for a while, so that the commands of one collection share it. Worst-case cost: 6 µs per line of the
server. One turn of the reactor handles at most the lines in 64 KiB, and one answer has at most a line per `_LINE`
octets of `LIMIT`. The content of a mail is copied without being parsed.
"""

import base64
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
from twisted.internet.interfaces import IDelayedCall

from hub.config import Partner
from hub.delivery.http_transport import Carrier
from hub.delivery.mail_connection import MailConnector
from hub.domain.conversations import Reply, Request
from hub.runtime import line_protocol
from hub.runtime.call_progress import CallProgress
from hub.runtime.http_client import Unreachable
from hub.runtime.line_protocol import ConnectionBroken, LineConnection
from hub.runtime.thread_pool import Work

_USUAL = {"imap": 143, "imaps": 993}
SCHEMES = tuple(_USUAL)
_STATUS = {b"OK": 200, b"NO": 404, b"BAD": 400}
_LITERAL = re.compile(rb".*\{([0-9]{1,10})\+?\}", re.DOTALL)
_NUMBER = re.compile(rb"\* [0-9]+ (EXISTS|RECENT)", re.IGNORECASE)
_VALIDITY = re.compile(rb"\[UIDVALIDITY ([0-9]+)\]", re.IGNORECASE)
_KEPT = 5.0  #: seconds that a session waits for the next command
_LATE = 30.0  #: seconds that a server may take to end an IDLE
#: Maximum octets of the answer to one command: a mail of 20 MB has 27 MB on the wire, 40 MB at worst.
LIMIT = 64 * 1024 * 1024
_LITERALS = 100  #: maximum literals of one answer: each one concatenates the line again
_LINE = 64  #: overhead in octets counted per line, for the memory that a line needs


class SignInRefused(Exception):
    """The server refused the sign-in."""


@attrs.frozen
class ImapResponse:
    """The answer to one command."""

    status: int  #: 200 for OK, 404 for NO, 400 for BAD
    text: str  #: text of the tagged response
    lines: tuple[bytes, ...]  #: untagged responses, with `{n}` where a literal was
    literals: tuple[bytes, ...]  #: the literals in order


@attrs.define(eq=False)
class ImapSession:
    """One signed-in connection with one selected folder."""

    _line: LineConnection  #: the connection
    validity: str = ""  #: UIDVALIDITY of the folder
    offered: frozenset[bytes] = frozenset()  #: CAPABILITY words of the server, in upper case
    _count: int = attrs.field(default=0, init=False)  #: number of commands sent, for the tags

    @classmethod
    async def open(cls, post: MailConnector, request: Request, partner: Partner) -> "ImapSession":
        """Connect, begin TLS, sign in and select the folder.

        Raises SignInRefused, Unreachable, ConnectionBroken, or the error that broke the connection.
        """
        session = cls(await post.call(request.url, _USUAL, partner))
        try:
            await session._begin(post, request, partner)
        except BaseException:
            session.close()
            raise
        return session

    async def _begin(self, post: MailConnector, request: Request, partner: Partner) -> None:
        greeting = await self._line.read_line()
        if not greeting.upper().startswith(b"* OK"):
            raise Unreachable(f"the server greets with {greeting[:200]!r}")
        if post.starts_tls(request.url, partner):
            if (started := await self.command(b"STARTTLS")).status != 200:
                raise Unreachable(f"the server refuses STARTTLS: {started.text}")
            self._line.start_tls(post.creator(request.url, partner))
        headers = {name.lower(): value for name, value in request.headers}
        await self._learn()
        await self._sign_in(headers.get("user", ""), headers.get("password", ""))
        await self._learn()
        folder = unquote(urlsplit(request.url).path.strip("/")) or "INBOX"
        selected = await self.command(b"SELECT " + _quote_string(folder))
        if selected.status != 200:
            raise Unreachable(f"there is no folder {folder}: {selected.text}")
        found = [_VALIDITY.search(line) for line in selected.lines]
        self.validity = next((each[1].decode() for each in found if each), "")

    async def _learn(self) -> None:
        lines = (await self.command(b"CAPABILITY")).lines
        words = [line.upper().split()[2:] for line in lines if line.upper().startswith(b"* CAPABILITY")]
        self.offered = frozenset(word for line in words for word in line)

    async def _sign_in(self, user: str, password: str) -> None:
        if b"AUTH=PLAIN" in self.offered:
            said = base64.b64encode(f"\0{user}\0{password}".encode())
            answer = await self.command(b"AUTHENTICATE PLAIN", said)
        else:
            answer = await self.command(b"LOGIN " + _quote_string(user) + b" " + _quote_string(password))
        if answer.status != 200:
            raise SignInRefused(answer.text)

    def follow(self, progress: CallProgress | None) -> None:
        """Tell *progress* of what comes from now on."""
        self._line.progress = progress

    async def command(self, command: bytes, more: bytes | None = None) -> ImapResponse:
        """Send one command, and *more* after the server's continuation request. Return the answer."""
        tag = self._say(command)
        lines: list[bytes] = []
        literals: list[bytes] = []
        size = 0
        while True:
            whole = b""
            while True:
                part = await self._line.read_line()
                whole += part
                size += len(part) + _LINE
                if not (found := _LITERAL.fullmatch(part)):
                    break
                size += int(found[1])
                if size > LIMIT or len(literals) == _LITERALS:
                    raise ConnectionBroken(f"the server sends more than {LIMIT} octets, or {_LITERALS} literals")
                literals.append(await self._line.read_octets(int(found[1])))
            if size > LIMIT:
                raise ConnectionBroken(f"the server sends more than {LIMIT} octets")
            if whole.startswith(b"+") and more is not None:
                self._line.write(more + b"\r\n")
                more = None
            elif whole.startswith(tag + b" "):
                status, _, text = whole[len(tag) + 1 :].partition(b" ")
                if status.upper() not in _STATUS:
                    raise ConnectionBroken(f"the server answers {whole[:200]!r}")
                said = text.decode("utf-8", "replace")[:500]
                return ImapResponse(_STATUS[status.upper()], said, tuple(lines), tuple(literals))
            elif whole.upper().startswith(b"* BYE"):
                raise ConnectionBroken(f"the server closes the connection: {whole[:200]!r}")
            elif whole.startswith(b"* "):
                lines.append(whole)
            else:
                raise ConnectionBroken(f"the server does not speak IMAP: {whole[:200]!r}")

    async def probe(self) -> bool:
        """Send NOOP, so that the server reports new mails and a later list is current.

        Return False, and close, if the session is dead.
        """
        try:
            if (await self.command(b"NOOP")).status == 200:
                return True
        except line_protocol.BROKEN:
            pass  # it was closed while idle, which shows nothing about the server
        self.close()
        return False

    async def idle(self, clock: Any, patience: float) -> bool:
        """Wait up to *patience* seconds for a new mail. Return whether one came. Raises as `command` does."""
        tag = self._say(b"IDLE")
        ends = [clock.callLater(patience, self._line.write, b"DONE\r\n"), clock.callLater(patience + _LATE, self.close)]
        came = False
        try:
            while not (line := await self._line.read_line()).startswith(tag + b" "):
                if not line.startswith((b"* ", b"+")):
                    raise ConnectionBroken(f"the server does not speak IMAP: {line[:200]!r}")
                if _NUMBER.match(line) and not came:
                    came = True
                    if ends[0].active():
                        ends[0].reset(0)
                        ends[1].reset(_LATE)
        finally:
            for each in ends:
                if each.active():
                    each.cancel()
        if not line.upper().startswith(tag + b" OK"):
            raise ConnectionBroken(f"the server does not IDLE: {line[:200]!r}")
        return came

    def close(self) -> None:
        """Abort the connection."""
        self._line.close()

    def _tag(self) -> bytes:
        return b"L%d" % self._count

    def _say(self, command: bytes) -> bytes:
        if b"\r" in command or b"\n" in command:
            raise ValueError("the request has more than one command")
        self._count += 1
        self._line.write(self._tag() + b" " + command + b"\r\n")
        return self._tag()


@attrs.define(eq=False)
class ImapCarrier:
    """Sends commands and keeps one session per partner and URL open for a while."""

    _connector: MailConnector  #: opens the connections
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _clock: Any  #: the reactor's clock, for the end of idle sessions
    #: idle sessions by partner code and URL, with the timer that closes them
    _kept: dict[tuple[str, str], tuple[ImapSession, IDelayedCall]] = attrs.field(factory=dict, init=False)

    async def carry(self, request: Request, partner: Partner, progress: CallProgress) -> Reply:
        """Send the command in the body of *request*.

        Request headers: `User` and `Password`. The status of the reply is 200 (OK), 404 (NO), 400 (BAD), or 401 when
        the server refuses the sign-in. Its headers are `uidvalidity` and `text`. Its body is the literals or, without
        any, the untagged lines. Raises Unreachable.
        """
        key = (partner.code, request.url)
        session = self._take(key)
        try:
            if session is not None and not await session.probe():
                session = None
            if session is None:
                session = await ImapSession.open(self._connector, request, partner)
            session.follow(progress)
            answer = await session.command(request.body)
        except SignInRefused as stranger:
            return Reply(401, str(stranger).encode(), {"text": str(stranger)}, self._now())
        except BaseException:
            if session is not None:
                session.close()
            raise
        session.follow(None)
        self._keep(key, session)
        body = b"".join(answer.literals) if answer.literals else b"\r\n".join(answer.lines)
        return Reply(answer.status, body, {"uidvalidity": session.validity, "text": answer.text}, self._now())

    def close(self) -> None:
        """Close all sessions."""
        for key in list(self._kept):
            if (session := self._take(key)) is not None:
                session.close()

    def _take(self, key: tuple[str, str]) -> ImapSession | None:
        session, ends = self._kept.pop(key, (None, None))
        if ends is not None:
            ends.cancel()
        return session

    def _keep(self, key: tuple[str, str], session: ImapSession) -> None:
        if (before := self._take(key)) is not None:
            before.close()
        self._kept[key] = (session, self._clock.callLater(_KEPT, self._end, key))

    def _end(self, key: tuple[str, str]) -> None:
        session, _ = self._kept.pop(key)
        session.close()


def carrier(post: MailConnector, work: Work, now: Callable[[], datetime], reactor: Any) -> Carrier:
    """Return the IMAP carrier. It connects with *post* and keeps sessions open by the clock of *reactor*."""
    return ImapCarrier(post, now, reactor).carry


def _quote_string(text: str) -> bytes:
    if not text.isprintable():
        raise ValueError("the text cannot be quoted")
    return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
