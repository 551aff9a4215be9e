"""Sends one question to the portal in a session and reads the answer.

Knows sessions, headers and `error_code`, but no service.

A remembered session may have ended without notice, and the documents do not say how the portal reports it. So a
question that fails first under a remembered session is asked once more under a new session, and the second answer
counts.
"""

import json
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import attrs

from hub.domain.conversations import Reply, Request, Unavailable
from hub.partner.adapter_settings import AdapterNotes, Terms
from hub.partner.reply_parsing import may_have_taken, retry_after

_KEPT = "session"  #: the name of the note
_SHOWN = 500  #: characters of an answer that are shown to people
_NOT_YOU = (401, 403)


@attrs.frozen
class PortalAnswer:
    """The portal's answer to one question: whether it accepted, its `result`, and the remaining fields as text."""

    taken: bool
    rows: tuple[Mapping[str, Any], ...] | None = None
    text: str = ""


@attrs.frozen(kw_only=True)
class PortalEndpoint:
    """How the portal is reached through the X-Road proxy, and the account used."""

    url: str
    login: str  #: path of the login, relative to the URL
    dstcode: str
    username: str
    password: str = attrs.field(repr=False)
    lasts: timedelta  #: how long a session is remembered
    ended: tuple[str, ...]  #: texts in lower case by which an answer may say that the session has ended
    notes: AdapterNotes

    @classmethod
    def of(cls, terms: Terms) -> "PortalEndpoint":
        """Return the door that *terms* describe."""
        settings = terms.settings
        return cls(
            url=terms.url.rstrip("/"),
            login=settings["login"],
            dstcode=settings["dstcode"],
            username=settings["username"],
            password=terms.secrets["password"],
            lasts=timedelta(seconds=int(settings["session"])),
            ended=tuple(words.strip().lower() for words in settings["ended"].split(",")),
            notes=terms.notes,
        )

    def request(
        self, path: str, body: Mapping[str, object], *, hands_over: bool = False, progress: str | None = None
    ) -> Request:
        """Return the request that posts *body* to *path*.

        `dstcode` is sent both where the guide puts it and where clients put it.
        """
        url = f"{self.url}/{path}?{urlencode({'dstcode': self.dstcode}, safe=':')}"
        headers = (
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("Charset", "utf-8"),
            ("dstcode", self.dstcode),
        )
        return Request(url, write_portal_json(body), headers, hands_over=hands_over, progress=progress)


@attrs.define
class PortalSession:
    """The portal session of one conversation."""

    endpoint: PortalEndpoint
    now: datetime
    calls: int = 0  #: calls so far, logins included
    _new: bool = attrs.field(default=False, init=False)  #: this conversation has logged in
    _chances: int = attrs.field(default=2, init=False)  #: how often it may still retry under another session

    def ask(
        self, path: str, body: Mapping[str, object], *, hands_over: bool = False, progress: str | None = None
    ) -> Generator[Request, Reply, PortalAnswer | Unavailable]:
        """Ask at *path*. Return the portal's answer, or why there is none."""
        while True:
            session = yield from self._enter()
            if isinstance(session, Unavailable):
                return session
            asked = self.endpoint.request(path, {"session": session, **body}, hands_over=hands_over, progress=progress)
            reply = yield self._count(asked)
            told = self._read(reply)
            if isinstance(told, Unavailable) and hands_over:
                told = attrs.evolve(told, unknown=may_have_taken(reply.status))
            lost = reply.status in _NOT_YOU or (isinstance(told, PortalAnswer) and not told.taken)
            kept = self.endpoint.notes.recall(_KEPT, self.now)
            if lost and self._chances and (kept != session or not self._new):
                self._chances -= 1
                if kept == session:  # otherwise another conversation has renewed it
                    self.endpoint.notes.drop(_KEPT)
                continue
            if reply.status in _NOT_YOU:
                return Unavailable(f"HTTP {reply.status} under a new session", credentials=True)
            if (
                isinstance(told, PortalAnswer)
                and not told.taken
                and any(words in told.text.lower() for words in self.endpoint.ended)
            ):
                return Unavailable(f"a new session is not accepted: {told.text}")
            return told

    def _enter(self) -> Generator[Request, Reply, str | Unavailable]:
        """Return the remembered session, else the session of a new login."""
        kept = self.endpoint.notes.recall(_KEPT, self.now)
        if kept is not None:
            return kept
        self._new = True
        who = {"username": self.endpoint.username, "password": self.endpoint.password}
        reply = yield self._count(self.endpoint.request(self.endpoint.login, who))
        if reply.status in _NOT_YOU:
            return Unavailable(f"login as {self.endpoint.username}: HTTP {reply.status}", credentials=True)
        told = self._read(reply)
        if isinstance(told, Unavailable):
            return told
        session = _read_object(reply.body).get("session") if told.taken else None
        if not isinstance(session, str) or not session:
            # does not quote a text that may be a session
            told_us = "an answer without a session" if told.taken else told.text
            return Unavailable(f"login as {self.endpoint.username}: {told_us}", credentials=True)
        self.endpoint.notes.keep(_KEPT, session, self.now + self.endpoint.lasts)
        return session

    def _count(self, request: Request) -> Request:
        self.calls += 1
        return request

    def _read(self, reply: Reply) -> PortalAnswer | Unavailable:
        """Read an answer.

        `error_code` 0 or 00 means accepted, any other refused; a list without a code is accepted too.
        """
        if reply.status != 200:
            return Unavailable(f"HTTP {reply.status}", retry_after(reply.headers, reply.at or self.now))
        try:
            said = _read_object(reply.body)
        except ValueError as error:
            return Unavailable(f"no answer of the portal: {error}")
        rows, code = _read_rows(said.get("result")), said.get("error_code")
        if code is None and rows is None:
            return Unavailable("no answer of the portal: neither error_code nor result")
        shown = {name: value for name, value in said.items() if name not in {"session", "result"}}
        text = write_portal_json(shown).decode()[:_SHOWN]
        return PortalAnswer(code is None or str(code).strip() in {"0", "00"}, rows, text)


def write_portal_json(value: object) -> bytes:
    """Return *value* as JSON, the same octets for the same value. Half a surrogate pair stays an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")


def _read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in *body*. Raises ValueError."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    if not isinstance(said, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - it is the partner's text that is wrong, not our type
    return said


def _read_rows(result: object) -> tuple[Mapping[str, Any], ...] | None:
    """Return the rows of a `result`; None if it is not a list of objects."""
    if isinstance(result, list) and all(isinstance(row, dict) for row in result):
        return tuple(result)
    return None
