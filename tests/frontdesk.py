"""The intake of a hub whose partners a test names, on a journal of its own, and calls put to it as a partner signs them.

Knows no port: an answer comes at once.  The time is `NOW`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import sqlalchemy as sa
from lxml import etree
from twisted.internet.defer import Deferred

from hub import config
from hub.domain.model import Receive, Unit
from hub.domain.spans import NO_TRACER, Tracer
from hub.formats.spool import Drawer, Octets
from hub.intake.documents_endpoint import DocumentsEndpoint
from hub.intake.endpoint import JournalAccess
from hub.intake.intake import Intake
from hub.intake.signed_response import SignedResponse
from hub.partner.throttle import Throttle
from hub.runtime.thread_pool import run_at_once
from hub.security.anchors import Anchors
from hub.security.certificates import Identity
from hub.soap import documents_requests, wsdl
from hub.soap.attachments import Manner
from hub.store.inline_database import InlineDatabase
from hub.units.live import Live, Setup
from hub.units.province import Province
from tests import pki
from tests.pki import NOW
from tests.signatures import Layout, stamp


def nothing() -> None:
    """Find room, or write nothing down."""


def partner(code: str, who: Identity, *units: str, **said: Any) -> config.Partner:
    """Return the partner that *who* is the certificate of, which fetches."""
    return config.Partner(
        code=code, name="", certificates=(who.certificate,), units=units, receive=Receive.FETCH, **said
    )


def intake(
    made: config.Config,
    engine: sa.Engine,
    *partners: config.Partner,
    room: Callable[[], None] = nothing,
    anchors: Anchors | None = None,
    tracer: Tracer = NO_TRACER,
) -> Intake:
    """Return the intake of documents of a hub that is configured as *made*, but with these *partners* and *anchors*."""
    known = {each.code: each for each in (*partners, made.partners[made.upstream or ""])}
    trusted = anchors or Anchors([pki.authority().certificate])
    changed = attrs.evolve(made, anchors=trusted, partners=known)
    province = Province.of(changed, [Unit(code, code) for code in ("H55", "H55.13", "H55.01")])
    books = JournalAccess(InlineDatabase(engine), run_at_once, room, nothing, tracer=tracer)
    return Intake(
        Live(Setup(province)),
        DocumentsEndpoint(wsdl.load_contract("documents"), books),
        books,
        lambda: NOW,
        Throttle(lambda: 0.0),
    )


def ask(
    desk: Intake, who: Identity, call: Any, *, earlier: int = 0, drawer: Drawer | None = None, **layout: Any
) -> SignedResponse:
    """Return the answer to *call* of *who*, signed so many seconds *earlier*: the octets of two calls must not be the same."""
    return put(desk, written(who, call, earlier=earlier, **layout), who, drawer)


def written(who: Identity, call: Any, *, earlier: int = 0, **layout: Any) -> bytes:
    """Return *call* as *who* signs it so many seconds *earlier*."""
    created = NOW - timedelta(seconds=earlier)
    content = etree.tostring(documents_requests.build_call_element(call)).decode()
    times = {"created": stamp(created), "expires": stamp(created + timedelta(minutes=5))}
    return Layout(**{"content": content, **times, **layout}).signed(who)


def put(
    desk: Intake, body: bytes, shown: Identity, drawer: Drawer | None = None, manner: Manner | None = None
) -> SignedResponse:
    """Return the answer to the octets *body*, which come over a connection whose client showed the certificate of *shown*."""
    asked = desk.answer(Octets.of(body), manner or Manner(), shown.certificate, drawer or Drawer())
    answered = Deferred.fromCoroutine(asked)
    done: list[SignedResponse] = []
    _ = answered.addCallback(done.append)
    (answer,) = done
    return answer
