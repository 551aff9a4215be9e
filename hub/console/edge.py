"""Connects the console to HTTP on the admin port: header fields, cookies, bodies. Does not make pages.

Every answer, including refusals, carries the same security header fields: it runs no script, cannot be framed and loads
nothing from elsewhere. Only the signing page and the page of a replay plan run a script, the hub's own.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import attrs
import structlog
from cryptography import x509
from twisted.internet.defer import CancelledError

from hub.console import request as given
from hub.console.request import BEGINNING, LANGUAGE, SESSION, ConsoleRequest
from hub.console.router import ConsoleRouter
from hub.console.sign_in.openid_sign_in import FLOW, PROVIDER
from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import mime
from hub.formats.spool import Octets
from hub.language.catalogues import say_both
from hub.operations import refusals
from hub.operations.refusals import RequestRefused
from hub.runtime.peer_check import read_peer_certificates
from hub.store.batch_commit import Journal
from hub.web.answering import HEADERS, AnsweringResource, read_path_pieces
from hub.web.answers import ConsoleResponse

log = structlog.get_logger()

#: Maximum octets of a body; and of a body with a file, which only a signed-in user may send.
LIMIT, LARGEST = 64 * 1024, (8 << 20) + 64 * 1024
#: Requests answered at a time. A waiting request keeps a file descriptor open, and the SOAP port needs some too.
ANSWERING = 150
#: Maximum fields of a query, fields of a form, and octets of a form.
_FIELDS, _FORM_FIELDS, _FORM = 20, 80, 16 * 1024
#: Maximum octets of the text area of a packet (`editable.LARGEST_TEXT`, each letter in at most three, each line ending
#: in two).
_PACKET = 1 << 20


class Console(AnsweringResource):
    """All pages of the admin port that need a sign-in."""

    def __init__(self, router: ConsoleRouter, journal: Journal) -> None:
        super().__init__(journal)
        self._router = router

    def limit(self, request: Any) -> int:
        """Return the maximum octets of the body of *request*. Only a session known to this node may send a file."""
        word = (request.getCookie(SESSION.encode()) or b"").decode("latin-1")
        return LARGEST if self._router.knows(word) else LIMIT

    async def make_answer(self, request: Any, wanted: Callable[[], bool]) -> ConsoleResponse:
        """Return the page that *request* asks for, or the page of its refusal."""
        asked, drawer = ConsoleRequest(), None
        try:
            asked = attrs.evolve(_read_console_request(request), wanted=wanted)
            if request.method == b"POST":
                octets, drawer = request.take_body()
                asked = attrs.evolve(asked, **_read_form(request.getHeader("content-type") or "", octets))
            return await self._router.answer(asked)
        except RequestRefused as refused:
            return self._router.refusal(asked, refused)
        except CancelledError:
            raise
        except Exception:
            log.exception("console-failed")
            return self._router.refusal(asked, refusals.refuse_as_failed())
        finally:
            if drawer is not None:
                drawer.close()


def _read_console_request(request: Any) -> ConsoleRequest:
    """Return the request as a value. Raises `RequestRefused`."""
    head = {name: request.getHeader(name) or "" for name in ("host", "origin", "sec-fetch-site", "accept-language")}
    address = request.getClientAddress()
    method = request.method.decode("latin-1")
    path, _, query = request.uri.partition(b"?")
    cookies = {}
    for each in (SESSION, BEGINNING, LANGUAGE, FLOW, PROVIDER):
        value = request.getCookie(each.encode())
        if value is not None:
            cookies[each] = value.decode("latin-1")
    return ConsoleRequest(
        method="GET" if method == "HEAD" else method,
        path=read_path_pieces(path),
        query=_read_pairs(query),
        cookies=cookies,
        host=head["host"],
        origin=head["origin"],
        site=head["sec-fetch-site"],
        languages=head["accept-language"],
        address=str(getattr(address, "host", "")),
        shown=partial(_read_certificates, request),
    )


def _read_certificates(request: Any) -> Sequence[x509.Certificate]:
    """Return the certificate that the client showed in its handshake, and what it sent above it; none are checked."""
    return read_peer_certificates(request.channel.transport)


def _read_pairs(text: bytes, most: int = _FIELDS) -> dict[str, str]:
    """Return names and values; for a repeated name, the first value. Raises `RequestRefused`."""
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=most, strict_parsing=False
        )
    except ValueError:
        raise refusals.refuse_as_absent() from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _read_form(header: str, body: Octets) -> dict[str, Any]:
    """Return the `form` and the `file` in *body*, as its Content-Type says. Raises `RequestRefused`."""
    kind = header.partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        if len(body) > _FORM:
            raise refusals.refuse_too_large()
        return {"form": _read_pairs(body.read(), _FORM_FIELDS) if kind == "application/x-www-form-urlencoded" else {}}
    try:
        fields = mime.read_form_data(body, header, most=_FORM_FIELDS)
    except CallRefused:
        raise given.refuse_unproven_form() from None
    file, packet = fields.pop("file", None), fields.pop("packet", None)
    if sum(map(len, fields.values())) > _FORM or (packet is not None and len(packet) > _PACKET):
        raise refusals.refuse_too_large()
    form = {name: octets.read().decode("utf-8", "replace") for name, octets in fields.items()}
    return {"form": form, "file": file, "packet": packet}


def write_early_refusal(problem: Problem) -> tuple[dict[str, str], bytes]:
    """Return header fields and text of a refusal before the request is complete.

    It is sent if the body is too large or cannot be stored.
    """
    refused = refusals.refuse_too_large() if problem.code == "too-large" else refusals.refuse_as_busy()
    lines = zip(say_both(refused.wrong), say_both(refused.do), strict=True)
    text = "".join(f"{wrong}. {do}\n" for wrong, do in lines).encode()
    return {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}, text
