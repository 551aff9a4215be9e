"""The outgoing desk of a hub under a clock, its partners' answers, and what they got: for tests of delivery as an operator sees it."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import attrs
import sqlalchemy as sa
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub.delivery.push_service import DeliveryService
from hub.domain.conversations import Accepted, Reply, Request, Unavailable
from hub.domain.measures import Measures
from hub.domain.model import DeliveryState
from hub.domain.spans import NO_TRACER, Tracer
from hub.journal import messages as written
from hub.journal.queue import deliveries
from hub.partner.policy import Policy
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import run_at_once
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import delivery
from hub.units.live import Live, Setup
from hub.units.province import Province
from tests.province import ROUTES, document, entry

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
POLICY = Policy(
    first_retry=timedelta(seconds=2),
    max_retry=timedelta(seconds=8),
    give_up=timedelta(minutes=2),
    timeout=timedelta(seconds=10),
)


class Asking:
    """An adapter of one question: 200 is accepted, 400 refused, anything else unavailable."""

    def deliver(self, consignment, now):
        reply = yield Request("https://partner/", consignment.content)
        if reply.status == 200:
            return Accepted()
        return Unavailable(f"HTTP {reply.status}")


@attrs.define
class Broken:
    """An adapter with a bug, which shows with one message, or with all."""

    content: bytes | None = None

    def deliver(self, consignment, now):
        if self.content in (None, consignment.content):
            raise ZeroDivisionError
        reply = yield Request("https://partner/", consignment.content)
        assert reply.status == 200
        return Accepted()


@attrs.define
class Silent:
    """A question that a partner has not answered."""

    partner: str
    body: bytes
    reply: Deferred[Reply] = attrs.field(factory=Deferred)


@attrs.define
class Desk:
    """A hub's delivery under a clock, its partners' answers, and what they got."""

    engine: Any
    clock: Clock = attrs.field(factory=Clock)
    policy: Policy = POLICY
    up: dict[str, Any] = attrs.field(factory=lambda: {"vpub": True, "vpcp": True})  #: or "hangs", or who answers
    got: list[tuple[str, bytes]] = attrs.field(factory=list)
    headers: list[dict[str, str]] = attrs.field(factory=list)  #: of each request, as it was sent
    asked: Counter[str] = attrs.field(factory=Counter)
    waiting: list[Silent] = attrs.field(factory=list)
    adapters: dict[str, Any] = attrs.field(factory=lambda: {"vpub": Asking(), "vpcp": Asking()})
    random: Callable[[], float] = lambda: 0.5
    measures: Measures = attrs.field(factory=Measures)
    tracer: Tracer = NO_TRACER
    service: Any = None

    def start(self, node="node", *, alone=True, journal=None):
        desk = self

        class Ours:
            """What is configured of a partner, as it is now."""

            def __init__(self, code):
                self.code, self.secrets = code, {"key": "s3cret-of-the-partner"}

            @property
            def policy(self):
                return desk.policy

        partners = {code: Ours(code) for code in ("vpub", "vpcp")}
        self.service = DeliveryService(
            live=Live(
                Setup(cast("Province", SimpleNamespace(config=SimpleNamespace(partners=partners))), self.adapters)
            ),
            journal=journal or InlineDatabase(self.engine),
            send=self.send,
            work=run_at_once,
            clock=self.clock,
            now=self.now,
            random=self.random,
            node=node,
            alone=alone,
            measures=self.measures,
            tracer=self.tracer,
        )
        self.service.startService()
        return self

    def now(self):
        return START + timedelta(seconds=self.clock.seconds())

    async def send(self, request, partner):
        self.asked[partner.code] += 1
        self.headers.append(dict(request.headers))
        up = self.up[partner.code]
        if up == "hangs":
            silent = Silent(partner.code, request.body)
            self.waiting.append(silent)
            return await silent.reply
        if callable(up):
            return up()
        if not up:
            raise Unreachable("connection refused")
        self.got.append((partner.code, request.body))
        return Reply(200, b"")

    def answer(self, number=0):
        """Let a partner that hung answer at last."""
        silent = self.waiting.pop(number)
        self.got.append((silent.partner, silent.body))
        silent.reply.callback(Reply(200, b""))

    def take(self, number, *recipients):
        sent = document("H55.13", *recipients, document_id=f"D{number}")
        with transactions.write_transaction(self.engine) as tx:
            taken = written.record_message(tx, entry(sent, number, at=self.now()), ROUTES)
        if self.service is not None:
            self.service.wake()
        return taken.id

    def states(self, message):
        with transactions.read_transaction(self.engine) as tx:
            return {
                made.recipient: (made.state, made.attempts) for made in deliveries.read_message_deliveries(tx, message)
            }

    def reason(self, message):
        with transactions.read_transaction(self.engine) as tx:
            (made,) = deliveries.read_message_deliveries(tx, message)
        return made.reason

    def count(self, state: DeliveryState) -> int:
        with transactions.read_transaction(self.engine) as tx:
            return tx.scalar(sa.select(sa.func.count()).select_from(delivery).where(delivery.c.state == state)) or 0

    def attempts(self) -> list[tuple[str, int]]:
        """Return the state and the counted attempts of each delivery."""
        with transactions.read_transaction(self.engine) as tx:
            return [(row.state, row.attempts) for row in tx.execute(sa.select(delivery.c.state, delivery.c.attempts))]

    def pass_time(self, seconds, step=0.5):
        self.clock.pump([step] * round(seconds / step))
