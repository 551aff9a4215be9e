"""What a configuration says once it is read: every path absolute, every file loaded, nothing left to be wrong by itself."""

from collections.abc import Mapping
from pathlib import Path

import attrs
from cryptography import x509

from hub.config.feed import Place
from hub.config.incidents import Incidents
from hub.config.linked import Links
from hub.config.lookups import Lookups
from hub.config.officials import Officials
from hub.config.reports import Reports
from hub.domain.model import DOCUMENTS, Receive
from hub.partner.policy import Policy
from hub.security.certificates import Anchors, Identity, Signer

ANY = "*"  #: in a partner's units: it may send for every unit, and receives for none by that

#: The largest message, its index pages and a checkpoint must fit, in octets.
FREE_DISK = 256 << 20


@attrs.frozen
class Listen:
    """Where one port listens: an IP address, a port, and how many bytes a request body may have."""

    host: str
    port: int
    body_limit: int
    metrics: bool = False  #: whether `/metrics` is served there; the admin port only


@attrs.frozen(kw_only=True)
class RevocationSource:
    """Where one CA is asked over the network what it revokes: `trust/NAME.toml`."""

    issuer: x509.Certificate
    crl_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()  #: tried in this order


@attrs.frozen(kw_only=True)
class Partner:
    """One outside system: `partners/CODE.toml`."""

    code: str
    name: str
    certificates: tuple[x509.Certificate, ...]
    chain: tuple[x509.Certificate, ...] = ()  #: CAs between those and an anchor, not trusted by themselves
    units: tuple[str, ...] = ()
    calls: tuple[str, ...] | None = (
        None  #: what it may call, SERVICE or SERVICE.OPERATION; None: what its kind may (`hub.intake.grants`)
    )
    tells: bool = False  #: it may report figures about any unit
    receive: Receive = Receive.NONE
    url: str | None = None  #: where it is called: pushed to, collected from, or asked
    adapter: str = "documents"
    services: tuple[str, ...] = ("documents",)  #: whose messages it is pushed
    lookups: tuple[str, ...] = ()  #: the operations of `/soap/lookups` that it answers
    settings: Mapping[str, str] = attrs.field(factory=dict)  #: what its adapter reads
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)  #: the same, from files
    policy: Policy = attrs.field(factory=Policy)

    @property
    def takes_documents(self) -> bool:
        """Tell whether it receives the documents of its units, by fetching them or pushed to."""
        return self.receive is not Receive.NONE and DOCUMENTS in self.services

    @property
    def called(self) -> bool:
        """Tell whether the hub calls it: to push, to collect or to ask."""
        return self.receive is Receive.PUSH or self.policy.collect is not None or bool(self.lookups)


@attrs.frozen(kw_only=True)
class Broker:
    """The RabbitMQ that events are published to: `[feed]`."""

    place: Place
    password_file: Path
    authorities: tuple[x509.Certificate, ...] = ()  #: its certificate leads to one of these; none without TLS
    exchange: str
    waits: bool  #: whether the feed waits for a queue that takes an event, or lets the event go


@attrs.frozen
class PortalSettings:
    """That published reports may be seen by everybody: `[portal]`."""

    url: str  #: of `/public`, as the outside calls it; empty: the admin port's


@attrs.frozen(kw_only=True)
class Config:
    """`hub.toml` and what stands beside it."""

    path: Path
    name: str
    province: str
    upstream: str  #: the partner for every code outside the province; empty without one
    soap: Listen
    admin: Listen
    public_url: str | None
    identity: Signer  #: who signs what the hub says
    tls: Identity  #: what the hub shows in TLS; the same key and certificate unless the key lies in a token
    authorities: tuple[x509.Certificate, ...]  #: the anchors one by one, `trust/` included
    crls: tuple[x509.CertificateRevocationList, ...]
    sources: tuple[RevocationSource, ...] = ()
    anchors: Anchors
    database_url: str  #: as the store takes it, without a password
    password_file: Path | None = None  #: holds the database's password
    secrets: tuple[tuple[str, Path], ...] = ()  #: files that only their owner may read, each with the key that names it
    data: Path
    free_disk: int = FREE_DISK  #: octets that must be free where the hub writes
    feed: Broker | None = None
    syslog: Listen | None = None  #: where syslog over TLS is taken; nowhere without a port
    incidents: Incidents = attrs.field(factory=Incidents)
    links: Links | None = None  #: how links are probed; None: they are not
    portal: PortalSettings | None = None
    reports: Reports = attrs.field(factory=Reports)
    lookups: Lookups | None = None  #: None: no lookup is answered
    officials: Officials | None = None  #: who may sign reports; None: nobody, and none needs a signature
    partners: Mapping[str, Partner]
    sample: bool  #: whether any certificate is of a sample PKI

    @property
    def listens(self) -> tuple[tuple[str, Listen], ...]:
        """Return each port of the hub with the table of hub.toml that sets it."""
        found = (("soap", self.soap), ("admin", self.admin))
        return (*found, ("syslog", self.syslog)) if self.syslog else found

    @property
    def own(self) -> tuple[tuple[str, Signer], ...]:
        """Return the hub's identities, each with the key of hub.toml that names its certificate; one is there once."""
        named = (("pki.certificate", self.identity), ("pki.tls-certificate", self.tls))
        return named[: 1 if self.identity.certificate == self.tls.certificate else 2]
