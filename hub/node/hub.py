"""The hub as one Twisted service: its parts put together, started and stopped in order, its configuration read again.

Knows every part's constructor and nothing of what a part does.  `tap.py` hands in the reactor; tests hand in a Clock.
"""

import random
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from twisted.internet import defer
from twisted.logger import ILogObserver
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

from hub.config import Listen, Partner, changes
from hub.config.revocation_cache import Heard
from hub.console import edge
from hub.console.pages import Pages
from hub.console.sessions import place_of
from hub.delivery.http_transport import Sender
from hub.delivery.imap_idle import MailWatch
from hub.delivery.mail_connection import Post
from hub.delivery.pull_service import CollectionService
from hub.delivery.push_service import POLL, DeliveryService
from hub.delivery.transports import adapters_of, carriers
from hub.domain.errors import ConfigurationFault, Mistake, Rejected
from hub.domain.fair_queue import HUB, PortShare
from hub.domain.model import DOCUMENTS, Reply, Request
from hub.feed import cloudevents, publisher, rabbitmq
from hub.feed.publisher import Feed
from hub.formats import spool
from hub.intake.duty_service import DutyService, wait_for_facts
from hub.intake.endpoint import Books, Counted
from hub.intake.intake import Intake
from hub.journal import metrics, unit_registry
from hub.journal.nodes import Node
from hub.lookup.endpoint import LookupDesk
from hub.lookup.expiry import Forgetting
from hub.lookup.partner_query import Asker
from hub.monitoring import tcp_probe
from hub.monitoring.link_prober import Prober
from hub.monitoring.syslog_listener import Ear
from hub.node import admin, check
from hub.node.clock_steps import Timekeeper
from hub.node.day_change import Daybreak
from hub.node.event_chain import Chainer
from hub.node.heartbeat import Heartbeat
from hub.node.revocation_fetch import Inquiry, network
from hub.partner.throttle import Throttle
from hub.report.form import book
from hub.runtime import pidfile
from hub.runtime.disk_space import Room, SpoolRoom, left
from hub.runtime.ports import Hold, Ordered, Port, bind
from hub.runtime.thread_pool import THRESHOLD, Workroom
from hub.security import tls
from hub.security.certificates import CLIENT, CONFIGURED, fingerprint
from hub.security.token_key import VAULT
from hub.services.lookups import operations
from hub.soap import wsdl
from hub.soap.wsdl import Contract
from hub.store import transactions
from hub.store.group_commit import Database
from hub.store.leader_lock import Turn
from hub.store.notify import Bell
from hub.store.report_pool import ReportPool
from hub.store.report_worker import Settings
from hub.units.province import Province
from hub.web import public_pages
from hub.web.endpoints import desks
from hub.web.public_pages import Public
from hub.web.soap_listener import BoundedSite, ServiceResource, peer
from hub.workload.month_end import MonthEnd

log = structlog.get_logger()

#: How long /readyz waits for a key in a token, in seconds.
KEY_PATIENCE = 5.0
#: How often to look for what is due while other nodes and the command line ring, in seconds.
SLOW_POLL = 5.0


class Hub(Ordered):
    """Every part of one node."""

    observer: ILogObserver | None = None  #: how twistd is to log, unless it was told otherwise

    def setServiceParent(self, parent: Any) -> None:
        """Join the application; its log observer is ours from now on."""
        if self.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.observer)
        super().setServiceParent(parent)

    def __init__(
        self,
        province: Province,
        reactor: Any,
        wall: Callable[[], float],
        ports: Mapping[str, socket.socket],
        known: Sequence[Heard] = (),
    ) -> None:
        super().__init__()
        config = province.config
        self.province = province
        self._data = config.data
        self._reactor = reactor
        self._wall = wall
        node, alone = pidfile.node(config.data, self.now()), config.database_url.startswith("sqlite")
        open_journal = partial(transactions.open_journal, config.database_url, password_file=config.password_file)
        apart = None if alone else open_journal(pooled=False)
        engine = open_journal(node=node)
        settings = Settings(config.database_url, config.password_file, spool.folder(config.data))
        self._database = Database(engine, reactor, apart, ReportPool(reactor, settings))
        self._heartbeat = Heartbeat(
            journal=self._database,
            clock=reactor,
            steady=time.monotonic,
            now=self.now,
            node=self._node(node),
            alone=alone,
            rescued=self._wake,
        )
        self._bell = None if alone else Bell(open_journal(pooled=False), reactor, node, self._wake)
        workroom = self._workroom = Workroom(reactor)
        post = Post(reactor, lambda: self.province.config.anchors, self.now)
        self._sender = Sender(config, reactor, self.now, carriers(post, workroom.work, self.now, reactor))
        self._delivery = DeliveryService(
            province=province,
            adapters=adapters_of(config),
            journal=self._database,
            send=self._send,
            work=workroom.work,
            clock=reactor,
            now=self.now,
            random=random.SystemRandom().random,
            node=node,
            alone=alone,
            poll=lambda: SLOW_POLL if self._bell is not None and self._bell.hears else POLL,
            may_take=self._heartbeat.check,
        )
        self._room = Room(config, reactor.seconds)
        self._spool_room = SpoolRoom(lambda: left(self.province.config))
        books = Books(self._database, workroom.work, self._room.demand, self._delivery.wake, self._facts)
        self._asker = Asker(
            adapters=self._delivery.adapters,
            journal=self._database,
            send=self._send,
            work=workroom.work,
            clock=reactor,
            now=self.now,
            random=random.SystemRandom().random,
        )
        self._desks = desks(books, LookupDesk(wsdl.load(operations.NAME), self._asker, books))
        throttle = Throttle(reactor.seconds)
        self._intakes = {name: Intake(province, desk, books, self.now, throttle) for name, desk in self._desks.items()}
        self._collection = CollectionService(
            province=province,
            adapters=self._delivery.adapters,
            books=books,
            send=self._send,
            clock=reactor,
            now=self.now,
            random=random.SystemRandom().random,
            node=node,
            may_take=self._heartbeat.check,
        )
        self._watch = MailWatch(post, self._collection.wake, reactor, random.SystemRandom().random)
        self._watch.take_up(config.partners, self._collection.adapters)
        self._listens = "syslog" in ports
        self._ear = Ear(province, books, reactor, self.now)
        self._inquiry = Inquiry(config, known, reactor, workroom.work, self.now, network(reactor, self.now))
        turn = Turn(engine, publisher.LOCK, reactor)
        self._prober = Prober(province, self._database, tcp_probe.network(reactor, self.now), reactor, self.now, node)
        self._feed = self._make_feed(turn)
        self._soap_context = self._admin_context = tls.context(config.tls)
        self._make_contexts()
        for part in (
            Hold(config.data, self.reload, reactor),
            *([turn] if self._feed else []),  # ends after the database, which cuts a connection that hangs
            self._database,
            self._heartbeat,
            workroom,
            Chainer(self._database, reactor),
            DutyService(self._database, workroom.work, lambda: self.province.routes, reactor),
            Timekeeper(self._database, reactor, self.now, self._delivery.wake),
            Forgetting(self._database, reactor, self.now),
            Daybreak(reactor, self.now, self._turn_over),
            MonthEnd(self._database, reactor, self.now, lambda: book.read(self.province.config.reports)),
            self._inquiry,
            self._prober,
            *([self._feed] if self._feed else []),
            self._delivery,
            self._collection,
            self._watch,
            *([self._bell] if self._bell else []),
            Port(ports["admin"], self._admin_site(), lambda: self._admin_context, reactor),
            Port(ports["soap"], self._soap_site(), lambda: self._soap_context, reactor),
            self._ear,
            *(
                [Port(ports["syslog"], self._ear.factory(), lambda: self._soap_context, reactor)]
                if self._listens
                else []
            ),
        ):
            part.setServiceParent(self)

    def _make_feed(self, turn: Turn) -> Feed | None:
        config, said = self.province.config, self.province.config.feed
        if said is None:
            return None
        return Feed(
            said.exchange,
            cloudevents.source(config.province),
            self._database,
            connect=lambda: rabbitmq.connect(said, self.province.config.tls, self._reactor, self.now),
            take_turn=turn.take,
            clock=self._reactor,
            random=random.SystemRandom().random,
        )

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        return datetime.fromtimestamp(self._wall(), UTC)

    def _node(self, name: str) -> Node:
        return Node(
            name=name,
            host=socket.gethostname(),
            version=version("lienthong"),
            schema=transactions.latest_version(),
            started_at=self.now(),
        )

    async def _facts(self, services: Counted) -> None:
        """Wait until all facts of before, of these *services*, are written.  Raises `Unready`."""
        await wait_for_facts(self._database, self._reactor, services)

    def _wake(self) -> None:
        self._delivery.wake()

    async def _send(self, request: Request, partner: Partner) -> Reply:
        """Send, unless others believe this node dead and may be sending the same."""
        self._heartbeat.check()
        return await self._sender.send(request, partner)

    def reload(self) -> None:
        """Read configuration, registry, certificates and CRLs again; keep what is if anything is wrong; tell who asked.

        Connections and conversations under way keep what they began with.
        """
        data = self._data  # where we began, whatever is written now
        nonce = pidfile.question(data)
        asked = self._database.read(lambda _tx: check.look(self.province.config.path, self.now()))
        _ = asked.addCallback(self._take_up).addErrback(_refuse).addCallback(_tell, data, nonce)

    async def _turn_over(self, today: date) -> None:
        """Take up what the codes of the registry mean from *today* on."""
        roll = await self._database.read(unit_registry.roll, today)
        self._go_on_with(Province.of(self.province.config, roll))
        log.info("day-begun", day=today.isoformat())

    def _go_on_with(self, province: Province) -> None:
        self.province = self._delivery.province = self._collection.province = province
        self._ear.province = self._prober.province = province
        for intake in self._intakes.values():
            intake.province = province

    def _take_up(self, found: check.Findings) -> pidfile.Verdict:
        if found.mistakes or found.province is None:
            log.warning("reload-refused", mistakes=[str(mistake) for mistake in found.mistakes])
            return pidfile.Verdict(ok=False, mistakes=found.mistakes)
        old, new = self.province.config, found.province.config
        changed = tuple(changes(old, new))
        self._go_on_with(found.province)
        self._delivery.adapters = self._collection.adapters = self._asker.adapters = adapters_of(new)
        self._watch.take_up(new.partners, self._collection.adapters)
        self._sender.config = self._room.config = new
        self._inquiry.take_up(new, found.heard)
        self._prober.take_up(found.province)
        self._make_contexts()
        self._delivery.wake()
        for code, partner in new.partners.items():
            if partner.policy.collect is not None and partner != old.partners.get(code):
                self._collection.wake(
                    code
                )  # it may be a secret that was put right: nobody wants to wait for `max-retry`
        log.info("reloaded", changes=changed)
        return pidfile.Verdict(ok=True, changes=changed)

    def _make_contexts(self) -> None:
        config = self.province.config
        self._workroom.threshold = 0 if config.identity.waits else THRESHOLD
        self._admin_context = tls.context(config.tls)
        self._soap_context = tls.context(config.tls, self._check, config.authorities)

    def _check(self, shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
        """Judge the certificate of a client; one that is refused sees a TLS alert, so the reason stands in the log."""
        partner = self.province.partner_with(shown)
        rule = partner.policy.revocation if partner is not None else CONFIGURED
        try:
            self.province.config.anchors.check(shown, self.now(), above, purpose=CLIENT, unknown=rule)
        except Rejected as rejected:
            subject = shown.subject.rfc4514_string()[:200]
            log.warning("client-refused", subject=subject, certificate=fingerprint(shown), reason=str(rejected))
            raise

    async def _key_flaw(self) -> str:
        """Return why the key cannot sign, if it cannot; a token that keeps us waiting cannot."""
        identity = self.province.config.identity
        asked = self._workroom.work(HUB, 0, identity.flaw)
        try:
            return await asked.addTimeout(KEY_PATIENCE, self._reactor)
        except defer.TimeoutError:
            return f"no answer within {KEY_PATIENCE:g} s"

    def _address(self, service: str) -> str:
        """Return a service's public URL, from the configuration and never from a caller's Host header."""
        config = self.province.config
        return f"{config.public_url or address(config.soap)}/soap/{service}"

    def _soap_site(self) -> Site:
        root, soap = Resource(), Resource()
        root.putChild(b"soap", soap)
        for name, desk in self._desks.items():
            served = ServiceResource(self._intakes[name], desk.contract, partial(self._address, name))
            soap.putChild(name.encode(), served)
        limit = self.province.config.soap.body_limit
        site = BoundedSite(root, limit, self._namespace, self._reactor, spool.folder(self._data))
        site.note, site.stranger = self._intakes[DOCUMENTS].note, self._intakes[DOCUMENTS].stranger
        site.room, site.spool_room, site.share_of = self._room.demand, self._spool_room, self._share_of
        return site

    def _share_of(self, channel: Any) -> PortShare:
        """Return the share of whose connection it is: of a partner, or of a certificate that is nobody's."""
        shown = peer(channel)
        partner = self.province.partner_with(shown)
        if partner is None:
            return PortShare(fingerprint(shown))
        return PortShare(partner.code, partner.policy.intake_connections, partner.policy.intake_spool)

    def _public(self) -> Resource | None:
        said = self.province.config.portal
        if said is None:
            return None
        url = said.url or f"{address(self.province.config.admin)}/public"
        return Public(public_pages.Pages(self._database, self._workroom.work, lambda: self.province, lambda: url))

    def _admin_site(self) -> Site:
        seconds, told = self._reactor.seconds, admin.ReadinessLog()

        async def readiness() -> admin.Readiness:
            return told.tell(
                await admin.readiness(
                    self._database,
                    self.province,
                    self.now(),
                    self._workroom.work,
                    self._key_flaw,
                    self._prober.trouble(),
                )
            )

        look = admin.SharedLook(readiness, seconds).ask

        def wsdls() -> dict[str, bytes]:
            found = {name: wsdls_of(desk.contract, self._address(name)) for name, desk in self._desks.items()}
            return {file: text for each in found.values() for file, text in each.items()}

        async def measured() -> bytes:
            found, heard = await look(), self._ear.counts if self._listens else None
            standings = self._prober.standings
            return metrics.text(
                await admin.gather(found, self._database, self.province, self.now(), self._feed, heard, standings)
            )

        tell = admin.SharedLook(measured, seconds).ask if self.province.config.admin.metrics else None
        console = self._console(look)
        served = admin.resource(look, wsdls, tell, self._public(), console)
        site = BoundedSite(served, edge.LIMIT, self._namespace, self._reactor, spool.folder(self._data))
        site.refusal, site.limit, site.answering = edge.refusal, console.limit, edge.ANSWERING
        site.room, site.spool_room, site.share_of = self._room.demand, self._spool_room, _share_of_address
        return site

    def _console(self, look: Callable[[], defer.Deferred[admin.Readiness]]) -> edge.Console:
        async def checks() -> dict[str, tuple[str, str]]:
            found = await look()
            return {name: (code, found.reasons[name]) for name, code in found.codes.items()}

        pages = Pages(
            self._database,
            self._workroom.work,
            lambda: self.province,
            self.now,
            word=lambda: secrets.token_urlsafe(32),
            salt=lambda: secrets.token_bytes(16),
            checks=checks,
            facts=self._facts,
        )
        return edge.Console(pages, self._database)

    @property
    def _namespace(self) -> str:
        """Return the namespace of a fault's detail where it is not known yet which service is called."""
        return self._desks[DOCUMENTS].contract.namespace


def _share_of_address(channel: Any) -> PortShare:
    """Return the share of the address that a connection to the admin port comes from."""
    return PortShare(place_of(str(channel.getPeer().host)))


def wsdls_of(service: Contract, at: str) -> dict[str, bytes]:
    """Return the WSDL of *service* with its address, by file name; its schemas beside it, where no certificate is asked for."""
    return {f"{service.name}.wsdl": service.wsdl(at, "xsd/lienthong/1/")}


def address(listen: Listen) -> str:
    """Return the https URL of a port."""
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"https://{host}:{listen.port}"


def make_hub(path: Path, reactor: Any, wall: Callable[[], float] | None = None) -> Hub:
    """Put the hub of the configuration *path* together.  Raises `ConfigurationFault` on all that `check` would refuse.

    *wall* is the clock on the wall, in seconds since 1970, which somebody may set; that of *reactor* only measures how long
    something takes.  Without it they are one, as on a `Clock`.
    """
    wall = wall or reactor.seconds
    found = check.look(path, datetime.fromtimestamp(wall(), UTC), starting=True)
    if found.mistakes or found.province is None:
        raise ConfigurationFault(found.mistakes)
    VAULT.close()  # twistd forks after this, and a session is of the process that opened it
    config = found.province.config
    ports, mistakes = {}, []
    for name, listen in config.listens:
        try:
            ports[name] = bind(listen)
        except OSError as error:
            wrong = f"{listen.host}:{listen.port}: {error.strerror}"
            mistakes.append(Mistake(f"hub.toml: {name}.port", wrong, "a port that is free"))
    if mistakes:
        raise ConfigurationFault(mistakes)
    return Hub(found.province, reactor, wall, ports, found.heard)


def _refuse(failure: Failure) -> pidfile.Verdict:
    log.error("reload-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    mistake = Mistake("hub.toml", failure.getErrorMessage(), "see the log")
    return pidfile.Verdict(ok=False, mistakes=(mistake,))


def _tell(verdict: pidfile.Verdict, data: Path, nonce: str) -> None:
    pidfile.answer(data, nonce, verdict)
