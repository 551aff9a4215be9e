"""The hub as one Twisted service: its parts put together, started and stopped in order, its configuration read again.

Knows every part's constructor and nothing of what a part does.  `tap.py` hands in the reactor; tests hand in a Clock.
"""

import random
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import structlog
from cryptography import x509
from OpenSSL import SSL
from twisted.application.service import MultiService, Service
from twisted.internet import defer
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IOpenSSLContextFactory
from twisted.logger import ILogObserver
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

import adapters
from hub import admin, broker, check, cloudevent, contract, feed, pidfile, spool, store, tls
from hub.bell import Bell
from hub.certificates import CLIENT, CONFIGURED, fingerprint
from hub.chainer import Chainer
from hub.config import Config, Listen, Partner, changes
from hub.contract import Contract
from hub.database import Database
from hub.delivery import POLL, DeliveryService
from hub.errors import ConfigurationFault, Mistake, Rejected
from hub.feed import Feed
from hub.heard import Heard
from hub.heartbeat import Heartbeat
from hub.inquiry import Inquiry, network
from hub.intake import Intake
from hub.listener import BoundedSite, ServiceResource
from hub.model import Adapter, Receive, Reply, Request
from hub.nodes import Node
from hub.province import Province
from hub.room import Room
from hub.sender import Sender
from hub.timekeeper import Timekeeper
from hub.turn import Turn
from hub.vault import VAULT
from hub.workroom import THRESHOLD, Workroom

log = structlog.get_logger()

#: How long /readyz waits for a key in a token, in seconds.
KEY_PATIENCE = 5.0
#: How often to look for what is due while other nodes and the command line ring, in seconds.
SLOW_POLL = 5.0


class Ordered(MultiService):
    """Starts its parts in order and stops them one after another, the last started first."""

    def stopService(self) -> Deferred[None]:
        """Stop each part when the one above it has stopped."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop_in_turn())

    async def _stop_in_turn(self) -> None:
        for part in reversed(list(self)):
            await maybeDeferred(part.stopService)


@implementer(IOpenSSLContextFactory)
@attrs.define(eq=False)
class Port(Service):
    """One listening port over TLS, whose context is asked for anew by each connection."""

    _socket: socket.socket  #: bound before anything else starts: a taken port is found in time
    _site: Site
    _context: Callable[[], SSL.Context]
    _reactor: Any
    _port: IListeningPort | None = attrs.field(default=None, init=False)

    def getContext(self) -> SSL.Context:
        """Return the context of a new connection, as Twisted asks a context factory for it."""
        return self._context()

    def startService(self) -> None:
        """Listen."""
        Service.startService(self)
        factory = TLSMemoryBIOFactory(self, False, self._site)
        self._port = self._reactor.adoptStreamPort(self._socket.fileno(), self._socket.family, factory)
        self._socket.close()  # the reactor has its own duplicate

    def stopService(self) -> Deferred[None] | None:
        """Take no more connections."""
        Service.stopService(self)
        return None if self._port is None else self._port.stopListening()


@attrs.define(eq=False)
class Hold(Service):
    """The grip on the data directory, and the ear for SIGHUP."""

    _data: Path
    _reload: Callable[[], None]
    _reactor: Any
    _hold: pidfile.Hold | None = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Take hold.  Exits 78 when another hub has it."""
        Service.startService(self)
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._reload))
        try:
            self._hold = pidfile.Hold.take(self._data)
        except pidfile.Held as held:
            path = f"hub.toml: data ({self._data})"
            raise ConfigurationFault(
                [Mistake(path, f"the hub with pid {held} runs here", "one hub a data directory")]
            ) from None
        spool.clear(spool.folder(self._data))

    def stopService(self) -> None:
        """Let go."""
        Service.stopService(self)
        if self._hold is not None:
            self._hold.release()


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
        self._contract = contract.load("documents")
        self._wall = wall
        node, alone = pidfile.node(config.data, self.now()), config.database_url.startswith("sqlite")
        open_journal = partial(store.open_journal, config.database_url, password_file=config.password_file)
        apart = None if alone else open_journal(pooled=False)
        engine = open_journal(node=node)
        self._database = Database(engine, reactor, apart)
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
        self._sender = Sender(config, reactor, self.now)
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
        self._intake = Intake(
            province,
            self._contract,
            self._database,
            workroom.work,
            self.now,
            self._room.demand,
            self._delivery.wake,
        )
        self._inquiry = Inquiry(config, known, reactor, workroom.work, self.now, network(reactor, self.now))
        turn = Turn(engine, feed.LOCK, reactor)
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
            Timekeeper(self._database, reactor, self.now, self._delivery.wake),
            self._inquiry,
            *([self._feed] if self._feed else []),
            self._delivery,
            *([self._bell] if self._bell else []),
            Port(ports["admin"], self._admin_site(), lambda: self._admin_context, reactor),
            Port(ports["soap"], self._soap_site(), lambda: self._soap_context, reactor),
        ):
            part.setServiceParent(self)

    def _make_feed(self, turn: Turn) -> Feed | None:
        config, said = self.province.config, self.province.config.feed
        if said is None:
            return None
        return Feed(
            said.exchange,
            cloudevent.source(config.province),
            self._database,
            connect=lambda: broker.connect(said, self.province.config.tls, self._reactor, self.now),
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
            schema=store.latest_version(),
            started_at=self.now(),
        )

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

    def _take_up(self, found: check.Findings) -> pidfile.Verdict:
        if found.mistakes or found.province is None:
            log.warning("reload-refused", mistakes=[str(mistake) for mistake in found.mistakes])
            return pidfile.Verdict(ok=False, mistakes=found.mistakes)
        old, new = self.province.config, found.province.config
        changed = tuple(changes(old, new))
        self.province = self._intake.province = self._delivery.province = found.province
        self._delivery.adapters = adapters_of(new)
        self._sender.config = self._room.config = new
        self._inquiry.take_up(new, found.heard)
        self._make_contexts()
        self._delivery.wake()
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
        asked = self._workroom.work(0, identity.flaw)
        try:
            return await asked.addTimeout(KEY_PATIENCE, self._reactor)
        except defer.TimeoutError:
            return f"no answer within {KEY_PATIENCE:g} s"

    def _address(self) -> str:
        """Return the documents service's public URL, from the configuration and never from a caller's Host header."""
        config = self.province.config
        return f"{config.public_url or address(config.soap)}/soap/documents"

    def _soap_site(self) -> Site:
        root, soap = Resource(), Resource()
        root.putChild(b"soap", soap)
        soap.putChild(b"documents", ServiceResource(self._intake, self._contract, self._address))
        limit = self.province.config.soap.body_limit
        site = BoundedSite(root, limit, self._contract.namespace, self._reactor, spool.folder(self._data))
        site.note = self._intake.note
        site.room = self._room.demand
        return site

    def _admin_site(self) -> Site:
        def look() -> Any:
            return admin.readiness(self._database, self.province, self.now(), self._workroom.work, self._key_flaw)

        def wsdls() -> dict[str, bytes]:
            return wsdls_of(self._contract, self._address())

        async def gather() -> Any:
            return await admin.gather(await look(), self._database, self.province, self.now(), self._feed)

        served = admin.resource(look, wsdls, gather if self.province.config.admin.metrics else None)
        return BoundedSite(served, 64 * 1024, self._contract.namespace, self._reactor, spool.folder(self._data))


def wsdls_of(service: Contract, at: str) -> dict[str, bytes]:
    """Return the WSDL of *service* with its address, by file name; its schemas beside it, where no certificate is asked for."""
    return {f"{service.name}.wsdl": service.wsdl(at, "xsd/lienthong/1/")}


def address(listen: Listen) -> str:
    """Return the https URL of a port."""
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"https://{host}:{listen.port}"


def adapters_of(config: Config) -> dict[str, Adapter]:
    """Return the adapter of each partner that is pushed to."""
    return {
        partner.code: adapters.adapter(
            partner.adapter,
            url=partner.url or "",
            identity=config.identity,
            certificates=partner.certificates,
            max_age=partner.policy.max_age,
            skew=partner.policy.clock_skew,
        )
        for partner in config.partners.values()
        if partner.receive is Receive.PUSH
    }


def bind(listen: Listen) -> socket.socket:
    """Bind and listen on a port.  Raises OSError when another has it."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.create_server((listen.host, listen.port), family=family, backlog=1024)
    bound.setblocking(False)
    return bound


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
    for name, listen in (("soap", config.soap), ("admin", config.admin)):
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
