"""The national shared services (NGSP): one REST call for each question, with a token that is kept until it expires.

Knows the JSON of these services. Knows no journal and no clock. README.md names the source of the dialect and how
reliable it is. The reasons of outcomes never quote the question or the answer, so that what a partner says about a
person stays out of the journal.
"""

import json
from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import attrs

from adapters.ngsp import services
from adapters.ngsp.services import GatewayRequest
from hub.domain.conversations import Inquest, Query, Refused, Reply, Request, Unavailable
from hub.language.phrases import phrase
from hub.partner.adapter_settings import Setting, Terms
from hub.partner.client_credentials import TokenClient, request_token
from hub.partner.reply_parsing import read_json, retry_after
from hub.partner.secret_trials import SecretTrial

_PATH = r"[^\s/][^\s]*"
_PATH_EXPECTED = phrase("a path below the url, without a leading /")

SETTINGS = (
    Setting(
        "token-url",
        like=r"https?://\S+",
        expected=phrase("the URL that issues tokens, such as https://api.ngsp.gov.vn/token"),
    ),
    Setting("client-id", secret=True, expected=phrase("a file that holds the consumer key and nothing else")),
    Setting("client-secret", secret=True, expected=phrase("a file that holds the consumer secret and nothing else")),
    Setting("enterprise-path", "apiCSDLDKDN/1.0/chiTietDoanhNghiep", _PATH, _PATH_EXPECTED),
    Setting("categories-path", "dmdc/1.0/AllCategory", _PATH, _PATH_EXPECTED),
    Setting(
        "category-path",
        "dmdc/1.0/Category/{category}",
        r"[^\s/]\S*\{category\}\S*",
        phrase("a path with the category's name in braces"),
    ),
    Setting("order-path", "apiVNPostNGSP/p1.0/order/post", _PATH, _PATH_EXPECTED),
    Setting("civil-status-path", "hotich/1.0/dangKyHoTich", _PATH, _PATH_EXPECTED),
    Setting("joint-civil-status-path", "apiLienThongKSKT/1.0/nhanHoSoDKHT", _PATH, _PATH_EXPECTED),
    Setting("judicial-record-path", "apiLyLichTuPhap/1.0/nhanHoSoDangKy", _PATH, _PATH_EXPECTED),
    Setting("customer-code", "", ".*", phrase("the post's code of this customer; none: the post answers no order")),
    Setting(
        "order-accepted",
        "1 00 200 success",
        expected=phrase("the statuses that mean: order accepted; separated by spaces"),
    ),
    Setting("civil-status-accepted", "1 00", expected=phrase("the statuses that mean: accepted; separated by spaces")),
    Setting(
        "judicial-record-accepted", "1 00", expected=phrase("the statuses that mean: accepted; separated by spaces")
    ),
)

#: HTTP statuses by which a gateway rejects our credentials and not the question: a person must act.
_UNKNOWN_TO_THEM = {401, 403}
_TOKEN = "token"  # noqa: S105 - the name of the note, not the token


@attrs.frozen
class NGSP:
    """The shared services behind one gateway."""

    terms: Terms

    def ask(self, query: Query, now: datetime) -> Inquest:
        """Ask one service. If the gateway does not accept a remembered token, request a new one once."""
        settings = self.terms.settings
        found = services.BY_OPERATION.get(query.operation)
        if found is None:
            return Refused(f"NGSP knows no {query.operation}")
        if missing := [name for name in found.needs if not settings[name]]:
            return Refused(f"{', '.join(missing)} is not set for this partner")
        asking = found.asking(query, settings)
        kept = self.terms.notes.recall(_TOKEN, now)
        token = kept or (yield from self._token(now))
        if isinstance(token, Unavailable):
            return token
        reply = yield self._request(asking, token)
        if reply.status == 401:
            self.terms.notes.drop(_TOKEN)
        if reply.status == 401 and kept:
            token = yield from self._token(reply.at or now)
            if isinstance(token, Unavailable):
                return token
            reply = yield self._request(asking, token)
        if reply.status in _UNKNOWN_TO_THEM:
            return Unavailable(f"HTTP {reply.status}: our token is not accepted", credentials=True)
        if reply.status != 200:
            return _make_unavailable(reply, "no answer", reply.at or now)
        said = _read_object(reply.body)
        if said is None:
            return _make_unavailable(reply, "not a valid JSON answer", reply.at or now)
        try:
            return found.read(said, settings)
        except (KeyError, TypeError, ValueError, AttributeError):
            return _make_unavailable(reply, "JSON of another shape than agreed", reply.at or now)

    def try_secret(self, now: datetime) -> SecretTrial:
        """Request a token."""
        return SecretTrial(("client-id", "client-secret"), self._token(now))

    def _token(self, now: datetime) -> Generator[Request, Reply, str | Unavailable]:
        secrets = self.terms.secrets
        client = TokenClient(self.terms.settings["token-url"], secrets["client-id"], secrets["client-secret"])
        return request_token(client, self.terms.notes, _TOKEN, now)

    def _request(self, asking: GatewayRequest, token: str) -> Request:
        url = f"{self.terms.url.rstrip('/')}/{asking.path}"
        if asking.query:
            url += ("&" if "?" in url else "?") + urlencode(asking.query)
        headers = (("Authorization", f"Bearer {token}"), ("Accept", "application/json"))
        if asking.body is None:
            return Request(url, b"", headers, "GET")
        body = json.dumps(asking.body, ensure_ascii=False, separators=(",", ":")).encode()
        return Request(url, body, (*headers, ("Content-Type", "application/json; charset=utf-8")))


def adapter(terms: Terms) -> NGSP:
    """Return the adapter of one gateway. Every adapter folder has this function."""
    return NGSP(terms)


def _read_object(body: bytes) -> Mapping[str, Any] | list[Any] | None:
    said = read_json(body)
    return said if isinstance(said, dict | list) else None


def _make_unavailable(reply: Reply, what: str, now: datetime) -> Unavailable:
    return Unavailable(f"HTTP {reply.status}: {what}", retry_after(reply.headers, now))
