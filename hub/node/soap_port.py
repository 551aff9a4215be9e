"""Builds the intake of SOAP calls and the site of the SOAP port, in the node's own process or in a worker process.

Maps paths to services, and each connection to its share of the port. Does not answer requests itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import attrs
import structlog
from cryptography import x509
from twisted.web.resource import Resource

from hub.config import Listen
from hub.domain.errors import Rejected
from hub.domain.fair_queue import PortShare
from hub.domain.model import DOCUMENTS, RevocationRule
from hub.domain.node_counts import NodeCounts
from hub.domain.sightings import SightingKind, Sightings
from hub.formats import spool
from hub.intake.dear_calls import DearCalls
from hub.intake.endpoint import Endpoint, JournalAccess
from hub.intake.intake import Intake
from hub.partner.throttle import Throttle
from hub.runtime import disk_space
from hub.runtime.disk_space import DiskSpace, SpoolReservations
from hub.runtime.trust_sweep import WatchedPeer
from hub.security.anchors import Purpose
from hub.security.certificates import hash_certificate
from hub.services.defined import DefinedService
from hub.services.lookups import operations
from hub.soap import wsdl
from hub.units.live import Live
from hub.units.province import Province
from hub.web.endpoints import list_endpoints, make_defined_endpoint
from hub.web.lookups.endpoint import LookupsEndpoint
from hub.web.lookups.partner_query import QueryRunner
from hub.web.soap_listener import BoundedSite, ServiceResource, read_client_certificate

log = structlog.get_logger()


@attrs.frozen(eq=False, kw_only=True)
class IntakeParts:
    """The parts that take in SOAP calls."""

    endpoints: Mapping[str, Endpoint]  #: by service
    intakes: Mapping[str, Intake]  #: by service
    defined: "DefinedIntakes"  #: of the services that the configuration defines
    throttle: Throttle
    disk_space: DiskSpace
    spool_room: SpoolReservations
    sightings: Sightings  #: what is seen of partners' keys
    now: Callable[[], datetime]  #: aware and in UTC
    counts: NodeCounts  #: what the limits of the port count, over all processes of the node
    dear: DearCalls  #: which calls another process answers

    def find_intake(self, service: str, certificate: x509.Certificate) -> Intake | None:
        """Return the intake of *service* for the partner with this *certificate*; None if there is no such service."""
        if service in self.intakes:
            return self.intakes[service]
        found = self.defined.find(service, self.defined.choose_edition(service, certificate))
        return found and found[1]


@attrs.define(eq=False)
class DefinedIntakes:
    """The endpoints and intakes of the services that the configuration in force defines.

    They are made when they are first asked for, and again when a reload has changed the service. A call in progress
    keeps those that it began with.
    """

    _live: Live
    _access: JournalAccess
    _now: Callable[[], datetime]
    _throttle: Throttle
    _seconds: Callable[[], float]  #: a monotonic clock
    _dear: DearCalls = attrs.field(factory=DearCalls)
    #: by service and edition of its contract
    _made: dict[tuple[str, str], tuple[DefinedService, Endpoint, Intake]] = attrs.field(factory=dict, init=False)

    def choose_edition(self, name: str, certificate: x509.Certificate) -> str:
        """Return the edition of the contract of the service *name* that the partner with this *certificate* has."""
        partner = self._live.province.partner_with(certificate)
        return "" if partner is None else partner.find_edition(name)

    def find(self, name: str, edition: str = "") -> tuple[Endpoint, Intake] | None:
        """Return the endpoint and the intake of the service *name*, with this *edition* of its contract.

        Return None if none is defined.
        """
        defined = self._live.config.services.get(name)
        if defined is None:
            for key in [key for key in self._made if key[0] == name]:
                del self._made[key]
            return None
        made = self._made.get((name, edition))
        if made is None or (made[0] is not defined and made[0] != defined):
            endpoint = make_defined_endpoint(defined.choose_edition(edition), self._access)
            made = (
                defined,
                endpoint,
                Intake(self._live, endpoint, self._access, self._now, self._throttle, self._seconds, self._dear),
            )
        self._made[name, edition] = (defined, *made[1:])
        return made[1:]


class _SoapResource(Resource):
    """`/soap/`: the services of the hub are its children, those of the configuration are looked up."""

    def __init__(self, live: Live, defined: DefinedIntakes) -> None:
        super().__init__()
        self._live, self._defined = live, defined
        self._served: dict[tuple[str, str], tuple[Intake, ServiceResource]] = {}

    def getChild(self, path: bytes, request: Any) -> Any:
        """Return the resource of a service that the configuration defines, in the caller's edition of its contract."""
        name = path.decode("ascii", "replace")
        edition = self._defined.choose_edition(name, read_client_certificate(request.channel))
        found = self._defined.find(name, edition)
        if found is None:
            for key in [key for key in self._served if key[0] == name]:
                del self._served[key]
            return super().getChild(path, request)
        endpoint, intake = found
        served = self._served.get((name, edition))
        if served is None or served[0] is not intake:
            resource = ServiceResource(intake, endpoint.contract, partial(name_service_url, self._live, name))
            served = self._served[name, edition] = intake, resource
        return served[1]


def watch_disks(live: Live, reactor: Any) -> DiskSpace:
    """Return the state of the disks that the hub writes to."""
    return DiskSpace(lambda: disk_space.describe_lacking_space(live.config), reactor.seconds)


def build_intake(
    live: Live,
    reactor: Any,
    now: Callable[[], datetime],
    access: JournalAccess,
    disks: DiskSpace,
    query_runner: QueryRunner,
    counts: NodeCounts,
) -> IntakeParts:
    """Build the parts that take in SOAP calls."""
    served = list_endpoints(access, LookupsEndpoint(wsdl.load_contract(operations.NAME), query_runner, access))
    throttle, dear = Throttle(reactor.seconds, counts), DearCalls()
    return IntakeParts(
        endpoints=served,
        intakes={
            name: Intake(live, endpoint, access, now, throttle, reactor.seconds, dear)
            for name, endpoint in served.items()
        },
        defined=DefinedIntakes(live, access, now, throttle, reactor.seconds, dear),
        throttle=throttle,
        dear=dear,
        disk_space=disks,
        spool_room=SpoolReservations(lambda: disk_space.count_octets_left(live.config), counts),
        counts=counts,
        sightings=access.sightings,
        now=now,
    )


def check_client(live: Live, now: datetime, shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
    """Check the certificate of a TLS client. A refused client sees only a TLS alert, so the reason is logged.

    Raises `Rejected`.
    """
    partner = live.province.partner_with(shown)
    rule = partner.policy.revocation if partner is not None else RevocationRule.CONFIGURED
    try:
        live.config.anchors.check(shown, now, above, purpose=Purpose.CLIENT, unknown=rule)
    except Rejected as rejected:
        subject = shown.subject.rfc4514_string()[:200]
        log.warning("client-refused", subject=subject, certificate=hash_certificate(shown), reason=str(rejected))
        raise


def find_client_flaw(live: Live, before: Province | None, now: datetime, peer: Sequence[x509.Certificate]) -> str:
    """Return the code of why a client of an open connection is not trusted any more; an empty text if it is.

    *peer* is the certificate that it showed, and what it sent above it. *before* is the province before the change;
    None if it is the same. A certificate of which it is not known whether it is revoked stays: its calls are refused
    until the CA has answered, and then go on.
    """
    shown, province = peer[0], live.province
    partner, owner = province.partner_with(shown), before and before.partner_with(shown)
    if owner and (partner is None or partner.code != owner.code):
        return "certificate-unknown"
    rule = partner.policy.revocation if partner is not None else RevocationRule.CONFIGURED
    try:
        live.config.anchors.check(shown, now, peer[1:], purpose=Purpose.CLIENT, unknown=rule)
    except Rejected as rejected:
        code = str(rejected.problems[0].code)
        return "" if code == "revocation-unknown" else code
    return ""


def list_soap_peers(
    site: BoundedSite, live: Live, now: Callable[[], datetime], before: Province | None
) -> Iterator[WatchedPeer]:
    """Yield every open connection of the SOAP port in this process, with its judgement after a change.

    *before* as of `find_client_flaw`. A connection without a certificate is still in its handshake, in which it is
    judged by what is trusted then.
    """
    known: dict[x509.Certificate, str] = {}

    def find_flaw(peer: Sequence[x509.Certificate]) -> str:
        if peer[0] not in known:
            known[peer[0]] = find_client_flaw(live, before, now(), peer)
        return known[peer[0]]

    for channel in site.list_connections():
        peer = channel.read_peer()
        if peer:
            owner = channel.share.key if channel.share is not None else ""
            yield WatchedPeer(owner, hash_certificate(peer[0]), partial(find_flaw, peer), channel.part)


def make_soap_site(live: Live, reactor: Any, parts: IntakeParts, processes: int = 1) -> BoundedSite:
    """Return the site of the SOAP port for this process, one of *processes* that serve the port."""
    root, soap = Resource(), _SoapResource(live, parts.defined)
    root.putChild(b"soap", soap)
    services: dict[bytes, ServiceResource] = {}
    for name, endpoint in parts.endpoints.items():
        served = ServiceResource(parts.intakes[name], endpoint.contract, partial(name_service_url, live, name))
        soap.putChild(name.encode(), served)
        services[b"/soap/%b" % name.encode()] = served
    site = make_bounded_site(root, live.config.soap.body_limit, live, reactor, parts)
    documents = parts.intakes[DOCUMENTS]
    site.note, site.stranger = partial(documents.record_refusal, service=""), documents.check_certificate
    site.count = partial(documents.count_unread, service="")
    site.share_of, site.services = partial(_share_of_partner, live, parts), services
    site.divide_connections(processes, parts.counts)
    return site


def make_bounded_site(root: Resource, limit: int, live: Live, reactor: Any, parts: IntakeParts) -> BoundedSite:
    """Return a site for *root* whose bodies have at most *limit* octets."""
    # The namespace of a fault's detail as long as the called service is unknown.
    namespace = parts.endpoints[DOCUMENTS].contract.namespace
    site = BoundedSite(root, limit, namespace, reactor, spool.name_spool_folder(live.config.data))
    site.room, site.spool_room = parts.disk_space.require_space, parts.spool_room
    return site


def name_service_url(live: Live, service: str) -> str:
    """Return a service's public URL. It comes from the configuration, never from a caller's Host header."""
    return f"{live.config.name_soap_address()}/soap/{service}"


def name_https_url(listen: Listen) -> str:
    """Return the https URL of a port."""
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"https://{host}:{listen.port}"


def _share_of_partner(live: Live, parts: IntakeParts, channel: Any) -> PortShare:
    """Return the connection's share of the SOAP port: by partner, or by fingerprint for a certificate of no partner.

    Called once for each connection. Notes what was seen of the partner in its handshake.
    """
    shown = read_client_certificate(channel)
    partner = live.province.partner_with(shown)
    if partner is None:
        return PortShare(hash_certificate(shown))
    note, now, handle = parts.sightings.note, parts.now(), channel.transport.getHandle()
    name = handle.get_servername()
    address = str(channel.getHost().host)
    note(partner.code, SightingKind.CALLER_TLS, f"{handle.get_protocol_version_name()} {handle.get_cipher_name()}", now)
    note(partner.code, SightingKind.CALLER_NAME, name.decode("ascii", "replace") if name else address, now)
    note(partner.code, SightingKind.CALLER_CERTIFICATE, hash_certificate(shown), now)
    return PortShare(partner.code, partner.policy.intake_connections, partner.policy.intake_spool)
