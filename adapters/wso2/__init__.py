"""A provincial exchange behind WSO2 API Manager, in the form of Quảng Nam's `/truclienthong/v1.0.0`.

Sends to it and collects from it. Knows the token of OAuth2 client credentials, the calls to `/vanbans`, and the
settings for what no document defines. Knows no HTTP, no journal, and not the contents of a packet. README.md names the
source of each rule and how reliable it is.
"""

import base64
import json
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import quote, urlencode

import attrs

from adapters.wso2 import replies
from adapters.wso2.replies import Wso2Answer, Wso2Codes
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
    Setting("consumer-key", like=_WORD, expected=phrase("the consumer key of the hub's application")),
    Setting("consumer-secret", like=_WORD, expected=phrase("a file with its consumer secret"), secret=True),
    Setting(
        "unit-secret", like=_WORD, expected=phrase("a file with the secret code of the unit that connects"), secret=True
    ),
    Setting(
        "token-path",
        default="/token",
        like="/[!-~]*",
        expected=phrase("the path that issues tokens, from the root of the address"),
    ),
    Setting(
        "unit-name", default="secretDonVi", like="[A-Za-z0-9_-]+", expected=phrase("the name of the unit's secret")
    ),
    Setting("unit-in", default="header", like="header|query", expected=phrase("header or query")),
    Setting("packet-name", default="data", like="[A-Za-z0-9_-]+", expected=phrase("the name of the packet's base64")),
    Setting("packet-in", default="form", like="form|json|text", expected=phrase("form, json or text")),
    Setting("document-type", default="edoc", like=_WORD, expected=phrase("the loaiVanBan of documents")),
    Setting("status-type", default="status", like=_WORD, expected=phrase("the loaiVanBan of status packets")),
    Setting("done", default="DONE", like=_WORD, expected=phrase("the status of documents that the hub accepted")),
    Setting("fail", default="FAIL", like=_WORD, expected=phrase("the status of documents that the hub refused")),
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
)

#: Octets of the largest answer: a packet with a document of 20 MB is 36 MB in base64.
_LARGEST = 64 << 20
#: Documents fetched in one collection. The next begins at once.
_MOST = 20
#: A token is dropped this long before the end of its stated lifetime.
_MARGIN = timedelta(seconds=10)
_FORM = "application/x-www-form-urlencoded"

Asked = Generator[Request, Reply, Wso2Answer | Unavailable]


@attrs.frozen(kw_only=True)
class Wso2:
    """One exchange at *url*, the address up to the API's version."""

    url: str
    root: str  #: the address without a path
    settings: Mapping[str, str]
    consumer_secret: str = attrs.field(repr=False)
    unit_secret: str = attrs.field(repr=False)
    codes: Wso2Codes
    notes: AdapterNotes

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Send the packet in base64. Only the packet itself identifies a repetition.

        The exchange has no list of what it was sent, so after a lost answer the packet may be there twice.
        """
        is_status = consignment.message.kind == PacketKind.STATUS
        kind = self.settings["status-type" if is_status else "document-type"]
        packet = name_recipients(consignment, RecipientNaming(self.settings["name-recipients"]))
        letters, fields = base64.b64encode(packet.content).decode(), {"loaiVanBan": kind}
        name, place = self.settings["packet-name"], self.settings["packet-in"]
        query: Mapping[str, str] = {}
        if place == "text":
            media, body, query = "text/plain", letters, fields
        elif place == "json":
            media, body = "application/json", json.dumps({name: letters, **fields})
        else:
            media, body = _FORM, urlencode({name: letters, **fields})
        answer = yield from self._ask(
            "POST", "/vanbans", now, query=query, body=body.encode(), media=media, hands_over=True
        )
        if isinstance(answer, Unavailable):
            return answer
        if not answer.success:
            return self.codes.outcome(answer, find_told_recipients([answer.told], consignment))
        told = packet.tell(f"docId {answer.document_id}" if answer.document_id else "")
        return Accepted(told, twice=consignment.unsure is not None)

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Fetch the documents that the list shows as open, and set the new status of each.

        The cursor names documents that were listed but not returned, or whose new status was not accepted, so that they
        do not delay the others.
        """
        answer = yield from self._ask("GET", "/vanbans", now)
        if isinstance(answer, Unavailable):
            return answer
        shown = (
            list_open_documents(answer.data, {self.settings["done"], self.settings["fail"]}) if answer.success else None
        )
        if shown is None:
            return self.codes.trouble(answer)
        owed = json.loads(cursor) if cursor else {}
        fetch, put = partial(self._fetch, now=now), partial(self._put, now=now)
        settled = yield from settle_open_list(shown, owed, _MOST, fetch, put, self.notes, now)
        if isinstance(settled, Unavailable):
            return settled
        return Collected(json.dumps(settled.owed, sort_keys=True) if settled.owed else "", settled.fresh > _MOST)

    def try_secret(self, now: datetime) -> SecretTrial:
        """Request a token and list the documents, as a collection does, and fetch none."""
        return SecretTrial(("consumer-secret", "unit-secret"), self._try_list(now))

    def _try_list(self, now: datetime) -> Generator[Request, Reply, Unavailable | None]:
        answer = yield from self._ask("GET", "/vanbans", now)
        if isinstance(answer, Unavailable):
            return answer
        return None if answer.success else self.codes.trouble(answer)

    def _fetch(self, document_id: str, now: datetime) -> Generator[Request, Reply, FetchedDocument | Unavailable]:
        answer = yield from self._ask("GET", f"/vanbans/{quote(document_id, safe='')}", now)
        if isinstance(answer, Unavailable):
            return answer
        content = replies.read_wso2_packet(answer)
        if content is None and not answer.success and answer.code in self.codes.credentials:
            return self.codes.trouble(answer)
        return FetchedDocument(content, answer.body)

    def _put(self, document_id: str, here: bool, now: datetime) -> Generator[Request, Reply, bool | Unavailable]:
        """Set the new status of a document. Return whether the exchange accepted it."""
        path, query = f"/vanbans/{quote(document_id, safe='')}", {"status": self.settings["done" if here else "fail"]}
        answer = yield from self._ask("PUT", path, now, query=query)
        return answer if isinstance(answer, Unavailable) else answer.success

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
        """Make one call with a token. If a remembered token was not accepted, call once more with a new one."""
        secret = {self.settings["unit-name"]: self.unit_secret}
        in_query = self.settings["unit-in"] == "query"
        asked = {**(query or {}), **(secret if in_query else {})}
        url = f"{self.url}{path}" + (f"?{urlencode(asked)}" if asked else "")
        headers = [*([] if in_query else secret.items()), ("Accept", "application/json")]
        headers += [("Content-Type", media)] if media else []
        kept = self.notes.recall("token", now)
        while True:
            token = kept or (yield from self._token(now))
            if isinstance(token, Unavailable):
                return token
            bearer = ("Authorization", f"Bearer {token}")
            reply = yield Request(url, body, (*headers, bearer), method, _LARGEST, hands_over)
            if reply.status != 401 or kept is None:
                return replies.read_wso2_reply(reply, now)
            self.notes.drop("token")
            kept = None

    def _token(self, now: datetime) -> Generator[Request, Reply, str | Unavailable]:
        """Request a token (RFC 6749, 4.4) and keep it until it expires."""
        pair = f"{self.settings['consumer-key']}:{self.consumer_secret}".encode()
        headers = (("Content-Type", _FORM), ("Authorization", f"Basic {base64.b64encode(pair).decode()}"))
        url = f"{self.root}{self.settings['token-path']}"
        reply = yield Request(url, b"grant_type=client_credentials", headers)
        token = replies.read_wso2_token(reply, now)
        if isinstance(token, Unavailable):
            return token
        self.notes.keep("token", token.value, now + timedelta(seconds=token.seconds) - _MARGIN)
        return token.value


def adapter(terms: Terms) -> Wso2:
    """Return the adapter of one partner. Every adapter folder has this function."""
    settings, url = terms.settings, terms.url.rstrip("/")
    return Wso2(
        url=url,
        root="/".join(url.split("/")[:3]),
        settings=settings,
        consumer_secret=terms.secrets["consumer-secret"],
        unit_secret=terms.secrets["unit-secret"],
        codes=Wso2Codes(
            refused=frozenset(settings["refused-codes"].split()),
            recipient=frozenset(settings["recipient-codes"].split()),
            credentials=frozenset(settings["credentials-codes"].split()),
        ),
        notes=terms.notes,
    )
