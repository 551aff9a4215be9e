"""The REST interface of a provincial LGSP, in Lạng Sơn's form: sends documents and statuses, collects from its list.

Knows the calls, their envelope and the settings that classify error codes. Knows no HTTP, no journal, and not the
contents of a packet. README.md names the source of each rule and how reliable it is.
"""

import json
from collections.abc import Generator, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import attrs

from adapters.lgsp import replies
from adapters.lgsp.cursor import LgspCursor
from adapters.lgsp.replies import LgspAnswer, LgspCodes
from hub.domain.conversations import Accepted, Collected, Collection, Conversation, Reply, Request, Unavailable
from hub.domain.model import Consignment, PacketKind
from hub.edxml.recipient_naming import RecipientNaming, find_told_recipients, name_recipients
from hub.language.phrases import phrase
from hub.partner.adapter_settings import AdapterNotes, Setting, Terms
from hub.partner.list_polling import FetchedDocument, list_open_documents, settle_open_list
from hub.partner.secret_trials import SecretTrial

_CODES = "[0-9]+( [0-9]+)*"
_WORD = "[!-~]+"

SETTINGS = (
    Setting("system-id", like=_WORD, expected=phrase("the X-SystemId they gave, such as H37.DN.001")),
    Setting("secret", like=_WORD, expected=phrase("a file with the X-SecretKey they gave"), secret=True),
    Setting(
        "username", default="", expected=phrase("the user that logs in for a bearer token; empty: no token is used")
    ),
    Setting("password", default="", expected=phrase("a file with the password of that user"), secret=True),
    Setting("application", default="", expected=phrase("the applicationCode of that login")),
    Setting("document-type", default="edoc", like=_WORD, expected=phrase("the messageType of documents")),
    Setting("status-type", default="status", like=_WORD, expected=phrase("the messageType of status packets")),
    Setting("done", default="done", like=_WORD, expected=phrase("the status of documents that the hub accepted")),
    Setting("fail", default="fail", like=_WORD, expected=phrase("the status of documents that the hub refused")),
    Setting(
        "name-recipients",
        default=RecipientNaming.PACKET,
        like="packet|unsigned|no",
        expected=phrase("packet, unsigned or no"),
    ),
    Setting(
        "refused-codes",
        default="10 18 19 22 23",
        like=_CODES,
        expected=phrase("error codes that are final and not retried"),
    ),
    Setting(
        "recipient-codes",
        default="18 23",
        like=_CODES,
        expected=phrase("error codes that are about one of the recipients"),
    ),
    Setting(
        "credentials-codes",
        default="15",
        like=_CODES,
        expected=phrase("error codes that mean: credentials not accepted"),
    ),
    Setting(
        "limited-codes",
        default="21",
        like=_CODES,
        expected=phrase("error codes that are retried a limited number of times"),
    ),
    Setting("limited-tries", default="3", like="[1-9][0-9]?", expected=phrase("the number of tries, 1 to 99")),
    Setting(
        "overlap-days",
        default="7",
        like="[0-9]{1,3}",
        expected=phrase("how many days each list begins before the cursor"),
    ),
)

#: The dates of the list are local days in Việt Nam.
_HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
#: How long a bearer token is used. It is valid for 30 minutes (V LS).
_TOKEN_LIFE = timedelta(minutes=29)
#: Octets of the largest answer: a packet with a document of 20 MB is 36 MB in base64.
_LARGEST = 64 << 20
#: Documents fetched in one collection. The next begins at once.
_MOST = 20

Asked = Generator[Request, Reply, LgspAnswer | Unavailable]


@attrs.frozen(kw_only=True)
class Lgsp:
    """One LGSP at *url*, the address up to `/v1/`."""

    url: str
    settings: Mapping[str, str]
    secret: str = attrs.field(repr=False)
    password: str = attrs.field(repr=False)
    codes: LgspCodes
    notes: AdapterNotes

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Send the packet as the file `edocFile`.

        Its name is the hub's id of the message, the same on every repetition. An LGSP has no list of what it was sent,
        so after a lost answer the packet is sent again, and may be there twice.
        """
        name, is_status = consignment.message.id, consignment.message.kind == PacketKind.STATUS
        kind = self.settings["status-type" if is_status else "document-type"]
        packet = name_recipients(consignment, RecipientNaming(self.settings["name-recipients"]))
        media, body = _write_form(name, packet.content, {"messageType": kind})
        answer = yield from self._ask("POST", "sendEdoc", now, body=body, media=media, hands_over=True)
        if isinstance(answer, Unavailable):
            return answer
        if not answer.success:
            about = find_told_recipients([answer.told], consignment)
            return self.codes.outcome(answer, consignment.attempt, about)
        told = packet.tell(f"docId {answer.document_id}" if answer.document_id else "")
        return Accepted(told, twice=consignment.unsure is not None)

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Fetch the documents that the list shows as open, and report back whether the hub accepted each.

        The list begins `overlap-days` before the cursor's day, because documents may be listed late.
        """
        today = now.astimezone(_HANOI).date()
        before = LgspCursor.read(cursor, today)
        first = before.day - timedelta(days=int(self.settings["overlap-days"]))
        owed: dict[str, str] = {}
        fresh = 0
        for kind in dict.fromkeys((self.settings["document-type"], self.settings["status-type"])):
            answer = yield from self._list(kind, first, today, now)
            if isinstance(answer, Unavailable):
                return answer
            shown = (
                list_open_documents(answer.data, {self.settings["done"], self.settings["fail"]})
                if answer.success
                else None
            )
            if shown is None:
                return self.codes.trouble(answer)
            room = max(_MOST - fresh, 0)
            fetch, tell = partial(self._fetch, now=now), partial(self._tell, now=now)
            settled = yield from settle_open_list(shown, before.owed, room, fetch, tell, self.notes, now)
            if isinstance(settled, Unavailable):
                return settled
            owed |= settled.owed
            fresh += settled.fresh
        more = fresh > _MOST
        return Collected(LgspCursor(before.day if owed or more else today, owed).write(), more)

    def try_secret(self, now: datetime) -> SecretTrial:
        """List the documents that were received today, as a collection does, and fetch none."""
        login = ("password",) if self.settings["username"] else ()
        return SecretTrial(("secret", *login), self._try_list(now))

    def _try_list(self, now: datetime) -> Generator[Request, Reply, Unavailable | None]:
        today = now.astimezone(_HANOI).date()
        answer = yield from self._list(self.settings["document-type"], today, today, now)
        if isinstance(answer, Unavailable):
            return answer
        return None if answer.success else self.codes.trouble(answer)

    def _list(self, kind: str, first: date, last: date, now: datetime) -> Asked:
        asked = {"messageType": kind, "fromDate": f"{first:%Y/%m/%d}", "toDate": f"{last:%Y/%m/%d}"}
        return self._ask("GET", "syncReceivedEdocList", now, query=asked)

    def _fetch(self, document_id: str, now: datetime) -> Generator[Request, Reply, FetchedDocument | Unavailable]:
        answer = yield from self._ask("GET", "getEdoc", now, query={"docId": document_id})
        if isinstance(answer, Unavailable):
            return answer
        content = replies.read_lgsp_packet(answer)
        if content is None and not answer.success and self.codes.passing(answer):
            return self.codes.trouble(answer)
        return FetchedDocument(content, answer.body)

    def _tell(self, document_id: str, here: bool, now: datetime) -> Generator[Request, Reply, bool | Unavailable]:
        """Report whether the hub accepted a document. Return whether the LGSP recorded it."""
        body = json.dumps({"docId": document_id, "status": self.settings["done" if here else "fail"]}).encode()
        answer = yield from self._ask("POST", "updateStatus", now, body=body, media="application/json")
        if isinstance(answer, Unavailable):
            return answer
        if not answer.success and self.codes.passing(answer):
            return self.codes.trouble(answer)
        return answer.success

    def _ask(
        self,
        method: str,
        path: str,
        now: datetime,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        media: str = "",
        hands_over: bool = False,
    ) -> Asked:
        """Make one call. If a remembered bearer token was not accepted, call once more with a new one."""
        url = f"{self.url}/v1/{path}" + (f"?{urlencode(query)}" if query else "")
        headers = [("X-SystemId", self.settings["system-id"]), ("X-SecretKey", self.secret)]
        headers += [("Accept", "application/json"), *([("Content-Type", media)] if media else [])]
        kept = self.notes.recall("token", now) is not None
        while True:
            bearer = yield from self._bearer(now)
            if isinstance(bearer, Unavailable):
                return bearer
            reply = yield Request(url, body, (*headers, *bearer), method, _LARGEST, hands_over)
            if reply.status == 401 and kept:
                self.notes.drop("token")
                kept = False
                continue
            return replies.read_lgsp_reply(reply, now)

    def _bearer(self, now: datetime) -> Generator[Request, Reply, tuple[tuple[str, str], ...] | Unavailable]:
        """Return the Authorization header, after a login if necessary; empty if no user is set."""
        if not self.settings["username"]:
            return ()
        token = self.notes.recall("token", now)
        if token is None:
            asked = {"username": self.settings["username"], "password": self.password}
            asked |= {"applicationCode": self.settings["application"]}
            body = json.dumps({**asked, "otp": None, "twoFactorProvider": None, "typeObjs": [0, 1]}).encode()
            headers = (("Content-Type", "application/json"), ("Accept", "application/json"))
            reply = yield Request(f"{self.url}/v1/auth/login?allow_anonymous=true", body, headers)
            answer = replies.read_lgsp_reply(reply, now)
            if isinstance(answer, Unavailable):
                return answer
            token = answer.token
            if not token:
                # does not quote a text that may be a token
                told = "an answer without one" if answer.success else answer.told
                return Unavailable(f"no token: {told}"[:500], credentials=True)
            self.notes.keep("token", token, now + _TOKEN_LIFE)
        return (("Authorization", f"Bearer {token}"),)


def adapter(terms: Terms) -> Lgsp:
    """Return the adapter of one partner. Every adapter folder has this function."""
    settings = terms.settings
    return Lgsp(
        url=terms.url.rstrip("/"),
        settings=settings,
        secret=terms.secrets["secret"],
        password=terms.secrets.get("password", ""),
        codes=LgspCodes(
            refused=frozenset(settings["refused-codes"].split()),
            recipient=frozenset(settings["recipient-codes"].split()),
            credentials=frozenset(settings["credentials-codes"].split()),
            limited=frozenset(settings["limited-codes"].split()),
            tries=int(settings["limited-tries"]),
        ),
        notes=terms.notes,
    )


def _write_form(name: str, content: bytes, fields: Mapping[str, str]) -> tuple[str, bytes]:
    """Return the media type and the octets of a multipart/form-data (RFC 7578) with the file.

    Equal input gives equal octets.
    """
    boundary = f"lienthong-{name}"
    while boundary.encode() in content:
        boundary += "-"
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="edocFile"; filename="{name}.edxml"\r\n'.encode()]
    parts += [b"Content-Type: application/xml\r\n\r\n", content, b"\r\n"]
    for field, value in fields.items():
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode())
    parts.append(f"--{boundary}--\r\n".encode())
    return f'multipart/form-data; boundary="{boundary}"', b"".join(parts)
