"""Requests a token with client credentials (RFC 6749, 4.4). Knows no SOAP and no partner."""

import base64
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

import attrs

from hub.domain.conversations import Reply, Request, Unavailable
from hub.partner.adapter_settings import AdapterNotes
from hub.partner.reply_parsing import read_json, retry_after

#: A token is dropped this long before it expires, because the call that carries it takes time too.
_MARGIN = timedelta(seconds=30)


@attrs.frozen
class TokenClient:
    """What a server that issues tokens knows us by."""

    url: str  #: of the server
    client_id: str
    client_secret: str = attrs.field(repr=False)
    scope: str = ""  #: empty: none is asked for


def request_token(
    client: TokenClient, notes: AdapterNotes, name: str, now: datetime
) -> Generator[Request, Reply, str | Unavailable]:
    """Request a token and keep it in *notes* under *name*, until shortly before it expires."""
    pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
    headers = (
        ("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Accept", "application/json"),
    )
    form = {"grant_type": "client_credentials"} | ({"scope": client.scope} if client.scope else {})
    reply = yield Request(client.url, urlencode(form).encode(), headers)
    said, at = read_json(reply.body), reply.at or now
    error = said.get("error") if isinstance(said, Mapping) else None
    if reply.status == 401 or (reply.status == 400 and error in {"invalid_client", "unauthorized_client"}):
        return Unavailable(f"HTTP {reply.status}: no token for our client-id and client-secret", credentials=True)
    token = said.get("access_token") if isinstance(said, Mapping) else None
    if reply.status != 200 or not isinstance(token, str) or not token.isascii() or not token.isprintable():
        return Unavailable(f"HTTP {reply.status}: no token", retry_after(reply.headers, at))
    assert isinstance(said, Mapping)
    lasts = said.get("expires_in")
    if isinstance(lasts, int | float) and not isinstance(lasts, bool) and 0 < lasts < 10**8:
        notes.keep(name, token, at + timedelta(seconds=lasts) - _MARGIN)
    return token
