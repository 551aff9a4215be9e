"""Builds the services of one node, except its ports (`port_builder`): database, exchange and reporting.

Calls the constructor of every part. Contains no behaviour of the parts.

Each function returns what the next functions need, and its services in start order. They stop in reverse order.
"""

import random
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from importlib.metadata import version
from typing import Any

import attrs
from twisted.application.service import Service

from hub.config import Partner
from hub.config.revocation_cache import RevocationAnswer
from hub.delivery.http_transport import Sender
from hub.delivery.imap_idle import MailWatch
from hub.delivery.mail_connection import MailConnector
from hub.delivery.pull_service import CollectionService
from hub.delivery.push_service import POLL, DeliveryService
from hub.delivery.transports import list_carriers
from hub.domain.model import Reply, Request
from hub.feed import cloudevents, publisher, rabbitmq
from hub.feed.publisher import Feed
from hub.formats import spool
from hub.intake.duty_service import DutyService, wait_for_facts
from hub.intake.endpoint import Counted, Desk, EndpointJournal
from hub.intake.intake import Intake
from hub.journal.nodes import Node
from hub.lookup.endpoint import LookupDesk
from hub.lookup.expiry import Forgetting
from hub.lookup.partner_query import Asker
from hub.monitoring import tcp_probe
from hub.monitoring.link_prober import Prober
from hub.node.clock_steps import Timekeeper
from hub.node.day_change import Daybreak
from hub.node.event_chain import Chainer
from hub.node.heartbeat import Heartbeat
from hub.node.revocation_fetch import Inquiry, network_fetch
from hub.partner.throttle import Throttle
from hub.report.form import book
from hub.runtime import disk_space
from hub.runtime.disk_space import DiskRoom
from hub.runtime.thread_pool import Workroom
from hub.services.lookups import operations
from hub.soap import wsdl
from hub.store import transactions
from hub.store.group_commit import Database
from hub.store.leader_lock import LeaderTurn
from hub.store.notify import Bell
from hub.store.report_pool import ReportPool
from hub.store.report_worker import Settings
from hub.units.live import Live
from hub.web.endpoints import list_desks
from hub.workload.month_end import MonthEnd

#: Seconds between two polls for due deliveries while NOTIFY from other nodes and the command line is received.
SLOW_POLL = 5.0


@attrs.frozen(eq=False, kw_only=True)
class NodeFrame:
    """What every part of a node needs."""

    live: Live
    reactor: Any
    now: Callable[[], datetime]  #: aware and in UTC
    node: str  #: the node's name
    wake: Callable[[], None]  #: makes the delivery service look for due deliveries at once

    @property
    def alone(self) -> bool:
        """Tell whether no other node can share the journal, as with SQLite."""
        return self.live.config.database_url.startswith("sqlite")


@attrs.frozen(eq=False, kw_only=True)
class DatabaseParts:
    """The journal, and the services that work directly on it."""

    journal: Database
    heartbeat: Heartbeat
    scheduler: Workroom
    leader_lock: LeaderTurn  #: the leader lock for publishing events
    services: Sequence[Service]


@attrs.frozen(eq=False, kw_only=True)
class ExchangeParts:
    """The parts that accept messages and deliver them."""

    endpoints: Mapping[str, Desk]  #: by service
    intakes: Mapping[str, Intake]  #: by service
    access: EndpointJournal
    disk_space: DiskRoom
    delivery: DeliveryService
    collection: CollectionService
    mail_watch: MailWatch
    revocation_fetcher: Inquiry
    feed: Feed | None
    services: Sequence[Service]


@attrs.frozen(eq=False, kw_only=True)
class ReportingParts:
    """The parts that report on the exchange: the closing of months, the probing of links."""

    prober: Prober
    services: Sequence[Service]


def build_database(frame: NodeFrame) -> DatabaseParts:
    """Open the journal and build the services that depend on nothing else."""
    live, reactor, config = frame.live, frame.reactor, frame.live.config
    engine = _open_journal(frame, node=frame.node)
    apart = None if frame.alone else _open_journal(frame, pooled=False)
    settings = Settings(config.database_url, config.password_file, spool.spool_folder(config.data))
    journal = Database(engine, reactor, apart, ReportPool(reactor, settings))
    heartbeat = Heartbeat(
        journal=journal,
        clock=reactor,
        steady=time.monotonic,
        now=frame.now,
        node=_node(frame),
        alone=frame.alone,
        rescued=frame.wake,
    )
    workroom = Workroom(reactor)
    turn = LeaderTurn(engine, publisher.LOCK, reactor)
    services = [
        *([turn] if live.config.feed else []),  # stops after the database, which cuts a hanging connection
        journal,
        heartbeat,
        workroom,
        Chainer(journal, reactor),
        Timekeeper(journal, reactor, frame.now, frame.wake),
    ]
    return DatabaseParts(journal=journal, heartbeat=heartbeat, scheduler=workroom, leader_lock=turn, services=services)


def build_exchange(frame: NodeFrame, database: DatabaseParts, known: Sequence[RevocationAnswer]) -> ExchangeParts:
    """Build the parts that accept messages and deliver them.

    *known* holds the stored answers of CAs about revocation.
    """
    live, reactor, now = frame.live, frame.reactor, frame.now
    journal, work, check = database.journal, database.scheduler.work, database.heartbeat.require_lease
    chance = random.SystemRandom().random
    post = MailConnector(reactor, live, now)
    sender = Sender(live, reactor, now, list_carriers(post, work, now, reactor))

    async def send(request: Request, partner: Partner) -> Reply:
        """Send *request*, unless other nodes may believe this node dead and send the same. Raises `Unready` then."""
        check()
        return await sender.send(request, partner)

    bell = None if frame.alone else Bell(_open_journal(frame, pooled=False), reactor, frame.node, frame.wake)
    delivery = DeliveryService(
        live=live,
        journal=journal,
        send=send,
        work=work,
        clock=reactor,
        now=now,
        random=chance,
        node=frame.node,
        alone=frame.alone,
        poll=lambda: SLOW_POLL if bell is not None and bell.is_listening else POLL,
        may_take=check,
    )

    async def wait(services: Counted) -> None:
        """Wait until all earlier facts of *services* are written. Raises `Unready`."""
        await wait_for_facts(journal, reactor, services)

    room = DiskRoom(lambda: disk_space.describe_lacking_space(live.config), reactor.seconds)
    books = EndpointJournal(journal, work, room.require_space, delivery.wake, wait)
    asker = Asker(live=live, journal=journal, send=send, work=work, clock=reactor, now=now, random=chance)
    served = list_desks(books, LookupDesk(wsdl.load_contract(operations.NAME), asker, books))
    throttle = Throttle(reactor.seconds)
    intakes = {name: Intake(live, desk, books, now, throttle) for name, desk in served.items()}
    collection = CollectionService(
        live=live,
        access=books,
        send=send,
        clock=reactor,
        now=now,
        random=chance,
        node=frame.node,
        may_take=check,
    )
    watch = MailWatch(live, post, collection.wake, reactor, chance)
    inquiry = Inquiry(live, known, reactor, work, now, network_fetch(reactor, now))
    feed = _build_feed(frame, database)
    services = [
        DutyService(journal, work, live, reactor),
        Forgetting(journal, reactor, now),
        inquiry,
        *([feed] if feed else []),
        delivery,
        collection,
        watch,
        *([bell] if bell else []),
    ]
    return ExchangeParts(
        endpoints=served,
        intakes=intakes,
        access=books,
        disk_space=room,
        delivery=delivery,
        collection=collection,
        mail_watch=watch,
        revocation_fetcher=inquiry,
        feed=feed,
        services=services,
    )


def build_reporting(
    frame: NodeFrame, database: DatabaseParts, begin_day: Callable[[date], Awaitable[None]]
) -> ReportingParts:
    """Build the parts that close months and probe links. *begin_day* is called with each new day in Hà Nội."""
    live, reactor, now, journal = frame.live, frame.reactor, frame.now, database.journal
    prober = Prober(live, journal, tcp_probe.network_probe(reactor, now), reactor, now, frame.node)
    services = [
        Daybreak(reactor, now, begin_day),
        MonthEnd(journal, reactor, now, lambda: book.read_book(live.config.reports)),
        prober,
    ]
    return ReportingParts(prober=prober, services=services)


def _open_journal(frame: NodeFrame, **how: Any) -> Any:
    config = frame.live.config
    return transactions.open_journal(config.database_url, password_file=config.password_file, **how)


def _node(frame: NodeFrame) -> Node:
    return Node(
        name=frame.node,
        host=socket.gethostname(),
        version=version("lienthong"),
        schema=transactions.latest_version(),
        started_at=frame.now(),
    )


def _build_feed(frame: NodeFrame, database: DatabaseParts) -> Feed | None:
    live, said = frame.live, frame.live.config.feed
    if said is None:
        return None
    return Feed(
        said.exchange,
        cloudevents.feed_source(live.config.province),
        database.journal,
        connect=lambda: rabbitmq.connect_to_broker(said, live.config.tls, frame.reactor, frame.now),
        take_turn=database.leader_lock.try_lock,
        clock=frame.reactor,
        random=random.SystemRandom().random,
    )
