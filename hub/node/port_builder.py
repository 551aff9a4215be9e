"""Builds the ports of one node and their sites: SOAP, admin (with console and public pages) and syslog.

Maps the paths of the admin port to parts, and each of its connections to a share. Does not answer requests itself.
"""

import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import attrs
from cryptography import x509
from twisted.application.service import Service
from twisted.internet import defer
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import Resource

from hub.api.edge import ApiResource, write_early_problem
from hub.api.service import ApiService
from hub.console import edge
from hub.console.parts import ConsoleParts
from hub.console.router import ConsoleRouter
from hub.console.sign_in.openid_client import make_network_fetch
from hub.domain.errors import Rejected
from hub.domain.fair_queue import HUB, PortShare
from hub.domain.model import Detail, Problem, RevocationRule
from hub.intake.dear_calls import AnswerElsewhere
from hub.language.phrases import phrase
from hub.monitoring import metrics
from hub.monitoring.syslog_listener import LineOutcome, SyslogListener
from hub.node import admin, readiness
from hub.node.builders import DatabaseParts, ExchangeParts, NodeFrame, ReportingParts
from hub.node.form_rules import FormRules, FormServices
from hub.node.partner_manager import PartnerManager, run_in_reactor_pool
from hub.node.soap_port import (
    find_client_flaw,
    list_soap_peers,
    make_bounded_site,
    make_soap_site,
    name_https_url,
    name_service_url,
)
from hub.node.workers.background import COMMAND, BackgroundWorker
from hub.node.workers.pool import WorkerPool
from hub.operations.accounts.sessions import find_address_network
from hub.runtime import exposition
from hub.runtime.disk_reader import DiskReader
from hub.runtime.pidfile import ReloadVerdict
from hub.runtime.ports import DirectTlsFactory, Port
from hub.runtime.shared_counts import SharedCounts
from hub.runtime.thread_pool import Work
from hub.runtime.trust_sweep import TrustSweep, WatchedPeer
from hub.security.anchors import Purpose
from hub.security.certificates import hash_certificate
from hub.services.defined import DefinedService, load_defined_contract
from hub.soap.wsdl import Contract
from hub.store import transactions
from hub.units.live import Live
from hub.units.province import Province
from hub.web import public_pages
from hub.web.public_pages import Public
from hub.web.soap_listener import BoundedRequest, BoundedSite

#: Seconds that `/readyz` waits for a key in a token.
KEY_PATIENCE = 5.0
_Pool = TypeVar("_Pool", bound=WorkerPool)
#: Cost estimate for the thread pool: writing one sample costs as much as parsing this many octets of XML.
_LINE = 64


def build_ports(
    frame: NodeFrame,
    database: DatabaseParts,
    exchange: ExchangeParts,
    reporting: ReportingParts,
    workers: WorkerPool | None,
    background: BackgroundWorker,
    sockets: Mapping[str, socket.socket],
    reload: Callable[[], defer.Deferred[ReloadVerdict]],
) -> tuple[Sequence[Service], TrustSweep]:
    """Return the services that listen on *sockets* (by section of `hub.toml`), in start order; and what judges all open
    connections of this process after a change of trust.

    *workers* serve the SOAP port; None: this process serves it. *background* answers dear calls. *reload* reloads the configuration.
    """
    live, heard = frame.live, "syslog" in sockets
    listener = SyslogListener(live, exchange.access, frame.reactor, frame.now)

    def port(name: str, site: Any, tls: type[TLSMemoryBIOFactory] = TLSMemoryBIOFactory) -> Port:
        return Port(sockets[name], site, lambda: live.setup.contexts[name], frame.reactor, tls)

    counts = listener.counts if heard else None
    readings = AdminReadings(frame, database, exchange, reporting, workers, background, counts)
    admin_site = _admin_site(readings, frame, database, exchange, reload)
    groups: list[Callable[[Any], Iterator[WatchedPeer]]] = [
        partial(_list_admin_peers, admin_site, live, frame.now),
        partial(_list_syslog_peers, listener, live, frame.now),
        lambda _before: exchange.sender.list_peers(),
        lambda _before: exchange.mail.list_peers(),
    ]
    soap: Service
    if workers is None:
        site = make_soap_site(live, frame.reactor, exchange.intake)
        soap = port("soap", site, DirectTlsFactory)
        groups.append(partial(list_soap_peers, site, live, frame.now))
    else:
        soap = workers
    syslog = [port("syslog", listener.factory())] if heard else []
    return [port("admin", admin_site), soap, listener, *syslog], TrustSweep(frame.reactor, tuple(groups))


def _list_admin_peers(
    site: BoundedSite, live: Live, now: Callable[[], datetime], before: Province | None
) -> Iterator[WatchedPeer]:
    """Yield every open connection of the admin port whose client has shown a certificate, with its judgement.

    There a client may show any certificate, so only one that was trusted *before*, or that is revoked, counts.
    """

    def find_flaw(peer: Sequence[x509.Certificate]) -> str:
        flaw = find_client_flaw(live, None, now(), peer)
        if not flaw or before is None:
            return flaw if flaw == "certificate-revoked" else ""
        try:
            before.config.anchors.check(peer[0], now(), peer[1:], purpose=Purpose.CLIENT, unknown=RevocationRule.ALLOW)
        except Rejected:
            return ""
        return flaw

    for channel in site.list_connections():
        peer = channel.read_peer()
        if peer:
            yield WatchedPeer("", hash_certificate(peer[0]), partial(find_flaw, peer), channel.part)


def _list_syslog_peers(
    listener: SyslogListener, live: Live, now: Callable[[], datetime], before: Province | None
) -> Iterator[WatchedPeer]:
    for connection in listener.list_connections():
        peer = connection.read_peer()
        if peer:
            partner = live.province.partner_with(peer[0]) or (before and before.partner_with(peer[0]))
            find_flaw = partial(find_client_flaw, live, before, now(), peer)
            owner = partner.code if partner else ""
            yield WatchedPeer(owner, hash_certificate(peer[0]), find_flaw, connection.part)


def build_background_worker(frame: NodeFrame, database: DatabaseParts, exchange: ExchangeParts) -> BackgroundWorker:
    """Return what answers the dear calls of this process, and let it."""
    counts = SharedCounts.create(2, frame.live.config.data)
    worker = _make_pool(BackgroundWorker, frame, database, exchange, counts, socket=None, size=1, command=COMMAND)
    exchange.intake.dear.elsewhere = worker.answer
    return worker


def build_workers(
    frame: NodeFrame,
    database: DatabaseParts,
    exchange: ExchangeParts,
    soap: socket.socket,
    elsewhere: AnswerElsewhere,
) -> WorkerPool | None:
    """Return the worker processes that serve the port *soap*. Return None where this process serves it.

    *elsewhere* answers their dear calls.
    """
    counts, size = exchange.intake.counts, frame.live.config.workers
    if not isinstance(counts, SharedCounts):
        return None
    return _make_pool(WorkerPool, frame, database, exchange, counts, socket=soap, size=size, elsewhere=elsewhere)


def _make_pool(
    kind: type[_Pool],
    frame: NodeFrame,
    database: DatabaseParts,
    exchange: ExchangeParts,
    counts: SharedCounts,
    **particular: Any,
) -> _Pool:
    """Return a pool of this *kind*, with what all pools of a node share."""
    return kind(
        reactor=frame.reactor,
        live=frame.live,
        journal=database.journal,
        query_runner=exchange.query_runner,
        wake=frame.wake,
        counts=counts,
        node=frame.node,
        expect_steps=database.journal.expect_steps,
        measures=frame.measures,
        sightings=frame.sightings,
        inodes=lambda: database.journal.inodes,
        **particular,
    )


async def find_key_flaw(live: Live, work: Work, clock: Any) -> Detail:
    """Return why the key cannot sign, or an empty text.

    A token that does not answer within `KEY_PATIENCE` cannot sign.
    """
    asked = work(HUB, 0, live.config.identity.flaw)
    try:
        return await asked.addTimeout(KEY_PATIENCE, clock)
    except defer.TimeoutError:
        return phrase("no answer within {seconds} s", seconds=f"{KEY_PATIENCE:g}")


@attrs.frozen(eq=False)
class AdminReadings:
    """Reads what the admin port tells of its node."""

    _frame: NodeFrame
    _database: DatabaseParts
    _exchange: ExchangeParts
    _reporting: ReportingParts
    _workers: WorkerPool | None
    _background: BackgroundWorker
    _syslog: Mapping[LineOutcome, int] | None  #: counts syslog messages; None without that port
    _told: readiness.ReadinessLog = attrs.field(factory=readiness.ReadinessLog, init=False)
    _forms: FormServices = attrs.field(init=False)

    @_forms.default
    def _read_forms(self) -> FormServices:
        return FormServices(self._frame.live, self._database.scheduler.work)

    async def measure_readiness(self) -> readiness.Readiness:
        """Return the readiness of the node, and log it if it changed."""
        frame, database = self._frame, self._database
        live, journal, work = frame.live, database.journal, database.scheduler.work
        parts = readiness.PartFindings(
            links=self._reporting.prober.describe_down_links(),
            workers=self._workers,
            pending=database.heartbeat.pending,
            put_back=database.follower.describe_put_back(),
            awaited=database.follower.describe_awaited(),
            writer=frame.read_writer(),
            file=journal.describe_file_flaw(),
            unknown=database.follower.unknown,
            edited=self._reporting.attestation_watch.describe_findings(),
        )
        key_flaw = partial(find_key_flaw, live, work, frame.reactor)
        return self._told.log_changes(
            await readiness.measure_readiness(journal, live.province, frame.now(), work, key_flaw, parts)
        )

    async def write_metrics(self, found: readiness.Readiness) -> bytes:
        """Return the text of `/metrics` for a node of the readiness *found*."""
        frame, workers, intake = self._frame, self._workers, self._exchange.intake
        parts = admin.MeasuredParts(
            feed=self._exchange.feed,
            heard=self._syslog,
            standings=self._reporting.prober.standings,
            counts=intake.counts,
            workers=workers,
        )
        journal, province = self._database.journal, frame.live.province
        gathered = await admin.gather_metrics(found, journal, province, frame.now(), parts)
        pools = [each for each in (workers, self._background) if each is not None]
        processes = {name: each for pool in pools for name, each in pool.list_processes().items()}
        own = exposition.list_process_metrics(version("lienthong"), transactions.read_latest_version(), processes)
        told = [*own, *metrics.measure_forms(frame.measures, await self._forms.read()), *gathered]
        told.append(admin.measure_ended_workers(pools))
        counted = frame.measures.copy()
        size = _LINE * (counted.count_values() + sum(len(each.samples) for each in told))
        return await self._database.scheduler.work(HUB, size, exposition.write_metrics, told, counted)

    def list_wsdls(self) -> dict[str, bytes]:
        """Return the WSDLs and schemas of all services by file name."""
        live = self._frame.live
        found = [
            _wsdls_of(endpoint.contract, name_service_url(live, name))
            for name, endpoint in self._exchange.intake.endpoints.items()
        ]
        own = [_files_of(each, name_service_url(live, name)) for name, each in live.config.services.items()]
        return {file: text for each in [*found, *own] for file, text in each.items()}


def _admin_site(
    readings: AdminReadings,
    frame: NodeFrame,
    database: DatabaseParts,
    exchange: ExchangeParts,
    reload: Callable[[], defer.Deferred[ReloadVerdict]],
) -> BoundedSite:
    """Return the site of the admin port, which also serves the console."""
    live, seconds = frame.live, frame.reactor.seconds
    measure = readiness.SharedMeasurement(readings.measure_readiness, seconds, readiness.choose_shared_seconds).get

    async def measured() -> bytes:
        return await readings.write_metrics(await measure())

    tell = readiness.SharedMeasurement(measured, seconds).get if live.config.admin.metrics else None
    parts = _console_parts(frame, database, exchange, measure, reload)
    console = edge.Console(ConsoleRouter(parts), database.journal)
    rules = FormRules(lambda: live.config.reports).list_files
    served = admin.make_admin_resource(
        measure, readings.list_wsdls, tell, _build_public_pages(frame, database), console, rules
    )
    programs = ApiResource(ApiService(parts), database.journal)
    served.putChild(b"api", programs)

    def limit(request: Any) -> int:
        return (programs if request.target.startswith(b"/api/") else console).limit(request)

    site = make_bounded_site(served, edge.LIMIT, live, frame.reactor, exchange.intake)
    site.refusal, site.limit, site.answering = _refuse_early, limit, edge.ANSWERING
    site.share_of = _share_of_address
    return site


def _build_public_pages(frame: NodeFrame, database: DatabaseParts) -> Resource | None:
    config = frame.live.config
    if config.portal is None:
        return None
    url = config.portal.url or f"{name_https_url(config.admin)}/public"
    return Public(public_pages.PublicPages(database.journal, database.scheduler.work, frame.live, lambda: url))


def _refuse_early(problem: Problem, request: BoundedRequest) -> tuple[dict[str, str], bytes]:
    """Return header fields and text of a refusal before the request is complete: to a program, or to a person."""
    if request.target.startswith(b"/api/"):
        return write_early_problem(problem, request.getHeader("accept-language") or "")
    return edge.write_early_refusal(problem)


def _console_parts(
    frame: NodeFrame,
    database: DatabaseParts,
    exchange: ExchangeParts,
    measure: Callable[[], defer.Deferred[readiness.Readiness]],
    reload: Callable[[], defer.Deferred[ReloadVerdict]],
) -> ConsoleParts:
    async def checks() -> dict[str, tuple[str, Detail]]:
        found = await measure()
        return {name: (code, found.reasons[name]) for name, code in found.codes.items()}

    return ConsoleParts(
        journal=database.journal,
        work=database.scheduler.work,
        live=frame.live,
        now=frame.now,
        word=lambda: secrets.token_urlsafe(32),
        salt=lambda: secrets.token_bytes(16),
        checks=checks,
        facts=exchange.access.wait_for_facts,
        manager=PartnerManager(frame.live, reload, run_in_reactor_pool(frame.reactor)),
        make_fetch=lambda provider: make_network_fetch(
            provider, lambda: frame.live.config.anchors, frame.reactor, frame.now
        ),
        disk=DiskReader(run_in_reactor_pool(frame.reactor), frame.reactor),
        writer=frame.read_writer,
    )


def _share_of_address(channel: Any) -> PortShare:
    """Return the share of the admin port for the client address of a connection."""
    return PortShare(find_address_network(str(channel.getPeer().host)))


def _wsdls_of(service: Contract, at: str) -> dict[str, bytes]:
    """Return the WSDL of *service* with the address *at*, by file name.

    It refers to schemas that need no client certificate.
    """
    return {f"{service.name}.wsdl": service.wsdl(at, "xsd/lienthong/1/")}


def _files_of(defined: DefinedService, at: str) -> dict[str, bytes]:
    """Return the WSDL of a service that the configuration defines, and the files of its schema, by file name."""
    found: dict[str, bytes] = {}
    for edition in ("", *(name for name, _ in defined.editions)):
        named = f"{defined.name}@{edition}" if edition else defined.name
        contract, folder = load_defined_contract(defined.choose_edition(edition)), f"services/{named}/"
        found |= {f"{folder}{each}": contract.xsd(each) for each in contract.schema_names}
        found[f"{named}.wsdl"] = contract.wsdl(at, folder)
    return found
