"""Builds the ports of one node and their sites: SOAP, admin (with console and public pages) and syslog.

Maps paths to parts, and each connection to its share of a port. Does not answer requests itself.
"""

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer
from twisted.web.resource import Resource
from twisted.web.server import Site

from hub.config import Listen
from hub.console import edge
from hub.console.pages import ConsolePages
from hub.console.sessions import find_address_network
from hub.domain.fair_queue import HUB, PortShare
from hub.domain.model import DOCUMENTS
from hub.formats import spool
from hub.journal import metrics
from hub.language.phrases import Phrase, phrase
from hub.monitoring.syslog_listener import LineOutcome, SyslogListener
from hub.node import admin
from hub.node.builders import DatabaseParts, ExchangeParts, NodeFrame, ReportingParts
from hub.runtime import disk_space
from hub.runtime.disk_space import SpoolReservations
from hub.runtime.ports import Port
from hub.runtime.thread_pool import Work
from hub.security.certificates import hash_certificate
from hub.soap.wsdl import Contract
from hub.units.live import Live
from hub.web import public_pages
from hub.web.public_pages import Public
from hub.web.soap_listener import BoundedSite, ServiceResource, read_client_certificate

#: Seconds that `/readyz` waits for a key in a token.
KEY_PATIENCE = 5.0


def build_ports(
    frame: NodeFrame,
    database: DatabaseParts,
    exchange: ExchangeParts,
    reporting: ReportingParts,
    sockets: Mapping[str, socket.socket],
) -> Sequence[Service]:
    """Return the services that listen on *sockets* (by section of `hub.toml`), in start order."""
    live, heard = frame.live, "syslog" in sockets
    listener = SyslogListener(live, exchange.access, frame.reactor, frame.now)
    spool_room = SpoolReservations(lambda: disk_space.count_octets_left(live.config))

    def port(name: str, site: Any) -> Port:
        return Port(sockets[name], site, lambda: live.setup.contexts[name], frame.reactor)

    admin_site = _admin_site(frame, database, exchange, reporting, spool_room, listener.counts if heard else None)
    soap_site = _soap_site(frame, exchange, spool_room)
    syslog = [port("syslog", listener.factory())] if heard else []
    return [port("admin", admin_site), port("soap", soap_site), listener, *syslog]


async def find_key_flaw(live: Live, work: Work, clock: Any) -> Phrase | str:
    """Return why the key cannot sign, or an empty text.

    A token that does not answer within `KEY_PATIENCE` cannot sign.
    """
    asked = work(HUB, 0, live.config.identity.flaw)
    try:
        return await asked.addTimeout(KEY_PATIENCE, clock)
    except defer.TimeoutError:
        return phrase("no answer within {seconds} s", seconds=f"{KEY_PATIENCE:g}")


def _soap_site(frame: NodeFrame, exchange: ExchangeParts, spool_room: SpoolReservations) -> Site:
    live, intakes = frame.live, exchange.intakes
    root, soap = Resource(), Resource()
    root.putChild(b"soap", soap)
    for name, endpoint in exchange.endpoints.items():
        served = ServiceResource(intakes[name], endpoint.contract, partial(_service_url, live, name))
        soap.putChild(name.encode(), served)
    site = _site(root, live.config.soap.body_limit, frame, exchange, spool_room)
    site.note, site.stranger = intakes[DOCUMENTS].record_refusal, intakes[DOCUMENTS].check_certificate
    site.share_of = partial(_share_of_partner, live)
    return site


def _admin_site(
    frame: NodeFrame,
    database: DatabaseParts,
    exchange: ExchangeParts,
    reporting: ReportingParts,
    spool_room: SpoolReservations,
    syslog: Mapping[LineOutcome, int] | None,
) -> Site:
    """Return the site of the admin port, which also serves the console.

    *syslog* counts syslog messages; None without that port.
    """
    live, journal, work, seconds = frame.live, database.journal, database.scheduler.work, frame.reactor.seconds
    told, prober = admin.ReadinessLog(), reporting.prober

    async def readiness() -> admin.Readiness:
        key_flaw = partial(find_key_flaw, live, work, frame.reactor)
        return told.log_changes(
            await admin.measure_readiness(
                journal, live.province, frame.now(), work, key_flaw, prober.describe_down_links()
            )
        )

    measure = admin.SharedMeasurement(readiness, seconds).get

    def wsdls() -> dict[str, bytes]:
        found = {
            name: _wsdls_of(endpoint.contract, _service_url(live, name))
            for name, endpoint in exchange.endpoints.items()
        }
        return {file: text for each in found.values() for file, text in each.items()}

    async def measured() -> bytes:
        found, standings = await measure(), prober.standings
        return metrics.write_metrics(
            await admin.gather_metrics(found, journal, live.province, frame.now(), exchange.feed, syslog, standings)
        )

    tell = admin.SharedMeasurement(measured, seconds).get if live.config.admin.metrics else None
    console = _console(frame, database, exchange, measure)
    served = admin.make_admin_resource(measure, wsdls, tell, _public(frame, database), console)
    site = _site(served, edge.LIMIT, frame, exchange, spool_room)
    site.refusal, site.limit, site.answering = edge.write_early_refusal, console.limit, edge.ANSWERING
    site.share_of = _share_of_address
    return site


def _site(
    root: Resource, limit: int, frame: NodeFrame, exchange: ExchangeParts, spool_room: SpoolReservations
) -> BoundedSite:
    # The namespace of a fault's detail as long as the called service is unknown.
    namespace = exchange.endpoints[DOCUMENTS].contract.namespace
    site = BoundedSite(root, limit, namespace, frame.reactor, spool.name_spool_folder(frame.live.config.data))
    site.room, site.spool_room = exchange.disk_space.require_space, spool_room
    return site


def _public(frame: NodeFrame, database: DatabaseParts) -> Resource | None:
    config = frame.live.config
    if config.portal is None:
        return None
    url = config.portal.url or f"{_https_url(config.admin)}/public"
    return Public(public_pages.PublicPages(database.journal, database.scheduler.work, frame.live, lambda: url))


def _console(
    frame: NodeFrame,
    database: DatabaseParts,
    exchange: ExchangeParts,
    measure: Callable[[], defer.Deferred[admin.Readiness]],
) -> edge.Console:
    async def checks() -> dict[str, tuple[str, Phrase | str]]:
        found = await measure()
        return {name: (code, found.reasons[name]) for name, code in found.codes.items()}

    pages = ConsolePages(
        database.journal,
        database.scheduler.work,
        frame.live,
        frame.now,
        word=lambda: secrets.token_urlsafe(32),
        salt=lambda: secrets.token_bytes(16),
        checks=checks,
        facts=exchange.access.wait_for_facts,
    )
    return edge.Console(pages, database.journal)


def _share_of_partner(live: Live, channel: Any) -> PortShare:
    """Return the connection's share of the SOAP port: by partner, or by fingerprint for a certificate of no partner."""
    shown = read_client_certificate(channel)
    partner = live.province.partner_with(shown)
    if partner is None:
        return PortShare(hash_certificate(shown))
    return PortShare(partner.code, partner.policy.intake_connections, partner.policy.intake_spool)


def _share_of_address(channel: Any) -> PortShare:
    """Return the share of the admin port for the client address of a connection."""
    return PortShare(find_address_network(str(channel.getPeer().host)))


def _wsdls_of(service: Contract, at: str) -> dict[str, bytes]:
    """Return the WSDL of *service* with the address *at*, by file name.

    It refers to schemas that need no client certificate.
    """
    return {f"{service.name}.wsdl": service.wsdl(at, "xsd/lienthong/1/")}


def _service_url(live: Live, service: str) -> str:
    """Return a service's public URL. It comes from the configuration, never from a caller's Host header."""
    return f"{live.config.public_url or _https_url(live.config.soap)}/soap/{service}"


def _https_url(listen: Listen) -> str:
    """Return the https URL of a port."""
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"https://{host}:{listen.port}"
