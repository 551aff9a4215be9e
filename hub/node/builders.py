"""Builds the services of one node, except its ports (`port_builder`): database, exchange and reporting.

Calls the constructor of every part. Contains no behaviour of the parts.

Each function returns what the next functions need, and its services in start order. They stop in reverse order.
"""

import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

import attrs
import sqlalchemy as sa
from twisted.application.service import Service

from hub.config import Partner
from hub.config.revocation_cache import RevocationAnswer
from hub.console.sign_in.code_sealer import CodeSealer
from hub.delivery.hand_over import HandOver
from hub.delivery.http_transport import Sender
from hub.delivery.imap_idle import MailWatch
from hub.delivery.mail_connection import MailConnector
from hub.delivery.pull_service import CollectionService
from hub.delivery.push_service import POLL, DeliveryService
from hub.delivery.replay_service import ReplayService
from hub.delivery.transports import list_carriers
from hub.domain.conversations import Reply, Request
from hub.domain.measures import Measures
from hub.domain.node_counts import NodeCounts
from hub.domain.sightings import Sightings
from hub.domain.spans import NO_TRACER, Tracer
from hub.domain.writer_budget import WriterBudget, WriterReading
from hub.feed import cloudevents, publisher
from hub.feed.publisher import Feed
from hub.formats import spool
from hub.intake.duty_service import DutyService, wait_for_facts
from hub.intake.endpoint import JournalAccess
from hub.journal.nodes import Node
from hub.keeping import integrity
from hub.keeping.archive import retention_service
from hub.keeping.archive.retention_service import RetentionService
from hub.keeping.backups.following import WitnessFollower, end_process
from hub.keeping.backups.receipts_first import ReceiptsFirst
from hub.keeping.backups.schedule import BackupSchedule
from hub.keeping.backups.witness import Witness
from hub.keeping.leftovers import LeftoverSweep
from hub.monitoring import tcp_probe
from hub.monitoring.hub_alerts import channels
from hub.monitoring.hub_alerts.evaluator import AlertEvaluator
from hub.monitoring.hub_alerts.sender import AlertSender
from hub.monitoring.keys.sighting_writer import SightingWriter
from hub.monitoring.late_alerts import LateAlerts
from hub.monitoring.link_prober import LinkProber
from hub.monitoring.mail_sending import SendRequest
from hub.node.clock_steps import ClockStepDetector
from hub.node.count_folder import CountFolder
from hub.node.day_change import DayChangeDetector
from hub.node.followers.event_chain import EventChainer
from hub.node.followers.open_work_follower import OpenWorkFollower
from hub.node.followers.search_indexer import SearchIndexer
from hub.node.heartbeat import Heartbeat
from hub.node.partner_manager import run_in_reactor_pool
from hub.node.revocation_fetch import RevocationFetcher, make_network_fetch
from hub.node.soap_port import IntakeParts, build_intake, watch_disks
from hub.node.surroundings import REAL, Surroundings
from hub.report.form import book
from hub.report.output.reminder import ReturnedReports
from hub.runtime.garbage import MemoryReturn
from hub.runtime.thread_pool import WorkScheduler
from hub.store import transactions
from hub.store.group_commit import Database
from hub.store.leader_lock import LeaderLock
from hub.store.notify import NotifyListener
from hub.store.report_pool import ReportPool
from hub.store.report_worker import WorkerSettings
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.web.lookups.expiry import AnswerExpiry
from hub.web.lookups.partner_query import PartnerQueryRunner
from hub.workload import closing_plan
from hub.workload.attestation_watch import AttestationWatch
from hub.workload.glance.glance_refresh import GlanceRefresh
from hub.workload.many import reminders, returned_reports
from hub.workload.month_end import MonthEnd

#: Seconds between two polls for due deliveries while NOTIFY from other nodes and the command line is received.
SLOW_POLL = 5.0
_CHANCE = random.SystemRandom().random


@attrs.frozen(eq=False, kw_only=True)
class NodeFrame:
    """What every part of a node needs."""

    live: Live
    reactor: Any
    now: Callable[[], datetime]  #: aware and in UTC
    node: str  #: the node's name
    wake: Callable[[], None]  #: makes the delivery service look for due deliveries at once
    measures: Measures = attrs.field(factory=Measures)  #: what this node counts, in all its processes
    tracer: Tracer = NO_TRACER
    sightings: Sightings = attrs.field(factory=Sightings)  #: what this node sees of partners' keys, likewise
    budget: WriterBudget = attrs.field(factory=WriterBudget)  #: what each partner uses of this node's writer
    surroundings: Surroundings = REAL  #: its threads, and clocks of what they use

    @property
    def alone(self) -> bool:
        """Tell whether no other node can share the journal, as with SQLite."""
        return self.live.config.database_url.startswith("sqlite")

    def read_writer(self) -> WriterReading:
        """Return how busy this node's writer is, and by whom."""
        return self.budget.read(self.reactor.seconds())


@attrs.frozen(eq=False, kw_only=True)
class DatabaseParts:
    """The journal, and the services that work directly on it."""

    journal: Database
    heartbeat: Heartbeat
    scheduler: WorkScheduler
    gathers: list[Callable[[], bool]]  #: each tells whether more steps for the journal are about to come
    leader_lock: LeaderLock  #: the leader lock for publishing events
    retention_lock: LeaderLock  #: that for letting go
    follower: WitnessFollower  #: lets the node's witness follow the journal
    services: Sequence[Service]


@attrs.frozen(eq=False, kw_only=True)
class ExchangeParts:
    """The parts that accept messages and deliver them."""

    intake: IntakeParts
    access: JournalAccess
    query_runner: PartnerQueryRunner
    delivery: DeliveryService
    collection: CollectionService
    mail_watch: MailWatch
    sender: Sender
    mail: MailConnector
    revocation_fetcher: RevocationFetcher
    feed: Feed | None
    services: Sequence[Service]


@attrs.frozen(eq=False, kw_only=True)
class ReportingParts:
    """The parts that report on the exchange: the closing of months, the probing of links."""

    prober: LinkProber
    attestation_watch: AttestationWatch
    services: Sequence[Service]


def build_database(frame: NodeFrame) -> DatabaseParts:
    """Open the journal and build the services that depend on nothing else."""
    live, reactor, config = frame.live, frame.reactor, frame.live.config
    engine = _open_journal(frame, node=frame.node)
    scheduler = WorkScheduler(reactor, used=frame.surroundings.used, make_pool=frame.surroundings.make_pool)
    gathers: list[Callable[[], bool]] = [lambda: scheduler.busy]
    witness = Witness(config.witness_folder)
    first = ReceiptsFirst(witness, frame.now, frame.alone) if config.witness_first else None
    if first is None:
        witness.set_promise(frame.now(), first=False)
    journal = _make_database(frame, engine, gathers, first)
    heartbeat = _make_heartbeat(frame, journal)
    leader_lock, retention_lock = (
        LeaderLock(engine, lock, reactor) for lock in (publisher.LOCK, retention_service.LOCK)
    )
    follower = WitnessFollower(journal, live, reactor, frame.now, witness, frame.node, end_process, first)
    services = [
        *([leader_lock] if live.config.feed else []),  # stops after the database, which cuts a hanging connection
        *([] if frame.alone else [retention_lock]),
        journal,
        heartbeat,
        scheduler,
        MemoryReturn(reactor, run_in_reactor_pool(reactor)),
        follower,  # stops after the chainer has numbered the last events
        EventChainer(journal, reactor, frame.measures),
        SearchIndexer(journal, reactor),
        SightingWriter(journal, reactor, frame.now, frame.sightings),
        OpenWorkFollower(journal, reactor),
        CodeSealer(journal, live, reactor, frame.now, version("lienthong")),
        *([] if frame.alone else [CountFolder(journal, reactor)]),
        ClockStepDetector(journal, reactor, frame.now, frame.wake),
    ]
    return DatabaseParts(
        journal=journal,
        heartbeat=heartbeat,
        scheduler=scheduler,
        gathers=gathers,
        leader_lock=leader_lock,
        retention_lock=retention_lock,
        follower=follower,
        services=services,
    )


def _make_heartbeat(frame: NodeFrame, journal: Database) -> Heartbeat:
    return Heartbeat(
        journal=journal,
        clock=frame.reactor,
        steady=frame.surroundings.steady,
        now=frame.now,
        node=_describe_own_node(frame),
        alone=frame.alone,
        rescued=frame.wake,
        measures=frame.measures,
    )


def _make_database(
    frame: NodeFrame, engine: sa.Engine, gathers: Sequence[Callable[[], bool]], first: ReceiptsFirst | None
) -> Database:
    config = frame.live.config
    settings = WorkerSettings(config.database_url, config.password_file, spool.name_spool_folder(config.data))
    return Database(
        engine,
        frame.reactor,
        None if frame.alone else _open_journal(frame, pooled=False),
        ReportPool(frame.reactor, settings),
        more=lambda: any(each() for each in gathers),
        steady=frame.surroundings.steady,
        measures=frame.measures,
        budget=frame.budget,
        find_damage=integrity.find_damage_until,
        witness=first,
        make_pool=frame.surroundings.make_pool,
    )


def _guard_sending(sender: Sender, check: Callable[[], None]) -> SendRequest:
    async def send(request: Request, partner: Partner) -> Reply:
        """Send *request*, unless other nodes may believe this node dead and send the same. Raises `Unready` then."""
        check()
        return await sender.send(request, partner)

    return send


def _make_listener(frame: NodeFrame) -> NotifyListener | None:
    if frame.alone:
        return None
    return NotifyListener(_open_journal(frame, pooled=False), frame.reactor, frame.node, frame.wake)


def _make_delivery(
    frame: NodeFrame, database: DatabaseParts, send: SendRequest, listener: NotifyListener | None
) -> DeliveryService:
    return DeliveryService(
        live=frame.live,
        journal=database.journal,
        send=send,
        work=database.scheduler.work,
        clock=frame.reactor,
        now=frame.now,
        random=_CHANCE,
        node=frame.node,
        alone=frame.alone,
        poll=lambda: SLOW_POLL if listener is not None and listener.is_listening else POLL,
        may_take=database.heartbeat.require_lease,
        measures=frame.measures,
        tracer=frame.tracer,
    )


def _make_collection(
    frame: NodeFrame, database: DatabaseParts, access: JournalAccess, send: SendRequest
) -> CollectionService:
    return CollectionService(
        live=frame.live,
        access=access,
        send=send,
        clock=frame.reactor,
        now=frame.now,
        random=_CHANCE,
        node=frame.node,
        may_take=database.heartbeat.require_lease,
    )


def _list_message_services(
    frame: NodeFrame, database: DatabaseParts, send: SendRequest, wake: Callable[[], None]
) -> list[Service]:
    """Return what follows from messages beside their delivery: duties, alerts, what is handed over or sent again."""
    live, reactor, now, journal = frame.live, frame.reactor, frame.now, database.journal
    work, check = database.scheduler.work, database.heartbeat.require_lease
    return [
        DutyService(journal, work, live, reactor, now, wake),
        AnswerExpiry(journal, reactor, now),
        LateAlerts(journal, live, send, reactor, now, frame.node, partial(reminders.list_reminders, live)),
        AlertSender(journal, channels.make_channels(live, send, reactor, now), reactor, now, frame.node),
        HandOver(live, journal, reactor, now),
        ReplayService(journal, live, reactor, now, check, frame.wake, work),
    ]


def build_exchange(
    frame: NodeFrame, database: DatabaseParts, known: Sequence[RevocationAnswer], counts: NodeCounts
) -> ExchangeParts:
    """Build the parts that accept messages and deliver them.

    *known* holds the stored answers of CAs about revocation. *counts* are what the limits of the ports count.
    """
    live, reactor, now = frame.live, frame.reactor, frame.now
    journal, work, check = database.journal, database.scheduler.work, database.heartbeat.require_lease
    post = MailConnector(reactor, live, now)
    sender = Sender(live, reactor, now, list_carriers(post, work, now, reactor), frame.sightings)
    send = _guard_sending(sender, check)
    listener = _make_listener(frame)
    delivery = _make_delivery(frame, database, send, listener)
    database.gathers.append(lambda: delivery.is_flowing)
    wait = partial(wait_for_facts, journal, reactor)
    disks = watch_disks(live, reactor)
    access = JournalAccess(
        journal, work, disks.require_space, delivery.wake, wait, frame.measures, frame.sightings, tracer=frame.tracer
    )
    query_runner = PartnerQueryRunner(
        live=live, journal=journal, send=send, work=work, clock=reactor, now=now, random=_CHANCE
    )
    intake = build_intake(live, reactor, now, access, disks, query_runner, counts)
    collection = _make_collection(frame, database, access, send)
    watch = MailWatch(live, post, collection.wake, reactor, _CHANCE)
    revocation_fetcher = RevocationFetcher(live, known, reactor, work, now, make_network_fetch(reactor, now))
    feed = _build_feed(frame, database)
    services = [
        *_list_message_services(frame, database, send, delivery.wake),
        revocation_fetcher,
        *([feed] if feed else []),
        delivery,
        collection,
        watch,
        *([listener] if listener else []),
    ]
    return ExchangeParts(
        intake=intake,
        access=access,
        query_runner=query_runner,
        delivery=delivery,
        collection=collection,
        mail_watch=watch,
        sender=sender,
        mail=post,
        revocation_fetcher=revocation_fetcher,
        feed=feed,
        services=services,
    )


def build_reporting(
    frame: NodeFrame, database: DatabaseParts, begin_day: Callable[[date], Awaitable[None]]
) -> ReportingParts:
    """Build the parts that close months and probe links. *begin_day* is called with each new day in Hà Nội."""
    live, reactor, now, journal = frame.live, frame.reactor, frame.now, database.journal

    def read_returned(tx: Transaction, within: timedelta, at: datetime) -> Sequence[ReturnedReports]:
        return returned_reports.read_returned_reports(tx, book.read_book(live.config.reports), within, at)

    prober = LinkProber(
        live, journal, tcp_probe.make_network_probe(reactor, now), reactor, now, frame.node, frame.measures
    )
    watch = AttestationWatch(
        journal, reactor, now, lambda: live.config.identity, lambda: book.read_book(live.config.reports)
    )
    services = [
        watch,
        DayChangeDetector(reactor, now, begin_day),
        MonthEnd(
            journal,
            reactor,
            now,
            lambda: book.read_book(live.config.reports),
            lambda: live.config.reports.close_hour,
            prober.write_past_days,
            lambda: live.config.identity,
        ),
        RetentionService(
            journal,
            live,
            reactor,
            now,
            lambda: closing_plan.list_counting_forms(book.read_book(live.config.reports).forms),
            database.retention_lock.try_lock,
        ),
        GlanceRefresh(journal, reactor, now, lambda: live.config.identity, lambda: book.read_book(live.config.reports)),
        BackupSchedule(journal, live, reactor, now, frame.node),
        LeftoverSweep(journal, live, reactor, now),
        prober,
        AlertEvaluator(journal, live, reactor, now, frame.node, read_returned, frame.read_writer),
    ]
    return ReportingParts(prober=prober, attestation_watch=watch, services=services)


def _open_journal(frame: NodeFrame, **how: Any) -> Any:
    config = frame.live.config
    return transactions.open_journal(config.database_url, password_file=config.password_file, **how)


def _describe_own_node(frame: NodeFrame) -> Node:
    return Node(
        name=frame.node,
        host=socket.gethostname(),
        version=version("lienthong"),
        schema=transactions.read_latest_version(),
        started_at=frame.now(),
    )


def _build_feed(frame: NodeFrame, database: DatabaseParts) -> Feed | None:
    live, said = frame.live, frame.live.config.feed
    if said is None:
        return None
    from hub.feed import rabbitmq  # pika is an extra that only a hub with `[feed]` needs

    return Feed(
        said.exchange,
        cloudevents.feed_source(live.config.province),
        database.journal,
        connect=lambda: rabbitmq.connect_to_broker(said, live.config.tls, frame.reactor, frame.now),
        take_turn=database.leader_lock.try_lock,
        clock=frame.reactor,
        random=random.SystemRandom().random,
    )
