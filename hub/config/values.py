"""Defines the values of a configuration after reading.

Paths are absolute, files are loaded, and no value is invalid in itself.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import attrs
from cryptography import x509

from hub.config.alerting.alerts import AlertSettings
from hub.config.alerting.operator_alerts import OperatorAlertSettings
from hub.config.feed import BrokerPlace
from hub.config.incidents import IncidentSettings
from hub.config.lookups import LookupSettings
from hub.config.officials import Officials
from hub.config.openid import OpenIdProvider
from hub.config.reports import ReportSettings
from hub.config.upkeep.backup import BackupSettings
from hub.config.upkeep.link_settings import LinkSettings
from hub.config.upkeep.retention import RetentionSettings
from hub.config.upkeep.tracing import TracingSettings
from hub.domain.model import DOCUMENTS, Receive
from hub.partner.adapter_settings import MAPPING
from hub.partner.policy import Policy
from hub.security.anchors import Anchors
from hub.security.certificates import Identity, Signer
from hub.security.encryption import Keyring
from hub.services import Service, list_services
from hub.services.defined import DefinedService
from hub.services.defined.reading import make_defined_service

ANY = "*"  #: in a partner's units: the partner may send for every unit; it does not receive for any because of it

#: Octets that must be free: enough for the largest message, its index pages and a checkpoint.
FREE_DISK = 256 << 20


@attrs.frozen
class Listen:
    """The address of one port: an IP address, a port, and the maximum number of bytes in a request body."""

    host: str
    port: int
    body_limit: int
    metrics: bool = False  #: whether `/metrics` is served; only on the admin port
    #: the listening socket at this address that systemd passes, as a Twisted endpoint; empty: the hub opens the port
    endpoint: str = ""


@attrs.frozen(kw_only=True)
class RevocationSource:
    """The URLs from which revocations of one CA are fetched: `trust/NAME.toml`."""

    issuer: x509.Certificate
    crl_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()  #: tried in this order


@attrs.frozen(kw_only=True)
class Partner:
    """One outside system: `partners/CODE.toml`."""

    code: str
    name: str
    certificates: tuple[x509.Certificate, ...]
    chain: tuple[x509.Certificate, ...] = ()  #: CAs between these certificates and an anchor; not trusted by themselves
    units: tuple[str, ...] = ()
    #: the calls it may make, SERVICE or SERVICE.OPERATION; None: the default for its kind (`hub.intake.grants`)
    calls: tuple[str, ...] | None = None
    tells: bool = False  #: it may report figures about any unit
    receive: Receive = Receive.NONE
    url: str | None = None  #: the URL at which it is called: to push, to collect or to ask
    adapter: str = "documents"
    services: tuple[str, ...] = ("documents",)  #: services whose messages are pushed to it
    lookups: tuple[str, ...] = ()  #: the operations of `/soap/lookups` that it answers
    contracts: tuple[
        str, ...
    ] = ()  #: SERVICE@EDITION: the contracts of which it uses another edition than the main one
    settings: Mapping[str, str] = attrs.field(factory=dict)  #: settings of its adapter
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)  #: settings of its adapter that come from files
    secret_files: Mapping[str, str] = attrs.field(
        factory=dict
    )  #: the file of each secret, as the partner's file names it
    #: the mapping that `[settings]` names and the files that it lists, by their names; all are in one folder
    files: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)
    exchange: Path | None = None  #: the folder below which its directory must be; None: it has none
    policy: Policy = attrs.field(factory=Policy)

    @property
    def folder(self) -> str:
        """Return the folder below `partners/` in which `files` are; "" without any."""
        return self.settings[MAPPING].partition("/")[0] if self.files else ""

    def find_edition(self, service: str) -> str:
        """Return the edition of the contract of *service* that it uses; empty: the main one."""
        named = (each.partition("@") for each in self.contracts)
        return next((edition for name, _, edition in named if name == service), "")

    @property
    def takes_documents(self) -> bool:
        """Tell whether it receives the documents of its units, by fetch or by push."""
        return self.receive is not Receive.NONE and DOCUMENTS in self.services

    @property
    def called(self) -> bool:
        """Tell whether the hub calls it: to push, to collect or to ask."""
        return self.receive is Receive.PUSH or self.policy.collect is not None or bool(self.lookups)


@attrs.frozen(kw_only=True)
class Broker:
    """The RabbitMQ to which events are published: `[feed]`."""

    place: BrokerPlace
    password_file: Path
    authorities: tuple[x509.Certificate, ...] = ()  #: its certificate must lead to one of these; empty without TLS
    exchange: str
    waits: bool  #: for an event that no queue takes: True: the feed waits; False: the event is dropped


@attrs.frozen
class PortalSettings:
    """The settings of the public page of published reports: `[portal]`."""

    url: str  #: the public URL of `/public`; empty: that of the admin port


@attrs.frozen
class ReplaySettings:
    """The rules for replay plans: `[replay]`."""

    #: a plan for more deliveries needs the approval of a second person; None: no plan does
    approve_over: int | None = None
    approve_corrected: bool = False  #: a corrected message needs the approval of a second person

    def need_approval(self, deliveries: int, *, corrected: bool = False) -> bool:
        """Tell whether a second person must approve a plan for so many *deliveries*. *corrected*: it corrects a message."""
        return (corrected and self.approve_corrected) or (
            self.approve_over is not None and deliveries > self.approve_over
        )


@attrs.frozen
class UnitSettings:
    """The rules for units that have ended, and for provinces that were merged into this one: `[units]`."""

    grace_days: int = 90  #: days after its end in which the code of a unit may still be used for its successor
    merged_provinces: tuple[str, ...] = ()  #: codes of provinces whose units are this province's

    @property
    def grace(self) -> timedelta:
        """The days of grace."""
        return timedelta(days=self.grace_days)


@attrs.frozen
class ConsoleSettings:
    """The rules for the accounts of the console: `[console]`."""

    administrators_need_codes: bool = False  #: administrators sign in with one-time codes only
    client_certificates: bool = False  #: users may sign in by client certificates
    url: str = ""  #: the console's https address in browsers, without a path; needed with providers
    #: the OpenID providers at which users may sign in, by name
    providers: Mapping[str, OpenIdProvider] = attrs.field(factory=dict)
    #: encrypt the secrets of one-time codes; without a key no account can be given codes
    keys: Keyring = attrs.field(factory=Keyring)
    key_files: Mapping[str, Path] = attrs.field(factory=dict)  #: files of keys that `[console]` names, by setting


@attrs.frozen(kw_only=True)
class KeyRotation:
    """A change of the hub's certificate in progress: `lienthong keys rotate` makes its steps."""

    next: x509.Certificate | None = None  #: announced to partners, with its key in place; not in use yet
    next_from: date | None = None  #: the first day on which it may be used
    previous: x509.Certificate | None = None  #: was in use before; partners may still know it
    previous_until: date | None = None  #: the last day on which it is named
    use: str = ""  #: `tls`: it is that of TLS alone


@attrs.frozen(kw_only=True)
class Config:
    """The values of `hub.toml` and of the files beside it."""

    path: Path
    name: str
    province: str
    upstream: str  #: the partner for every code outside the province; empty: none
    soap: Listen
    admin: Listen
    public_url: str | None
    identity: Signer  #: signs the hub's messages
    tls: Identity  #: presented in TLS; the same key and certificate unless the key is in a token
    rotation: KeyRotation = attrs.field(factory=KeyRotation)  #: of the certificate of one of them
    authorities: tuple[x509.Certificate, ...]  #: the certificates of the anchors, `trust/` included
    crls: tuple[x509.CertificateRevocationList, ...]
    sources: tuple[RevocationSource, ...] = ()
    anchors: Anchors
    database_url: str  #: in the form that the store accepts, without a password
    password_file: Path | None = None  #: file with the database's password
    secrets: tuple[tuple[str, Path], ...] = ()  #: files that only their owner may read, each with its configuration key
    data: Path
    archive: Path  #: the folder of archive files
    exchange: Path | None = None  #: the folder below which the directories of partners must be; None: there are none
    workers: int = 1  #: processes that serve the SOAP port; 1: the node's own process serves it
    free_disk: int = FREE_DISK  #: octets that must be free where the hub writes
    feed: Broker | None = None
    syslog: Listen | None = None  #: the port for syslog over TLS; None: syslog is not received
    incidents: IncidentSettings = attrs.field(factory=IncidentSettings)
    alerts: AlertSettings | None = None  #: mail to units about what is due soon or late; None: none is sent
    #: how operators are told of conditions of the hub
    operator_alerts: OperatorAlertSettings = attrs.field(factory=OperatorAlertSettings)
    witness: Path | None = None  #: folder of the node's witness; None: below `data`
    witness_first: bool = False  #: whether a receipt leaves only after the witness has it
    tracing: TracingSettings | None = None  #: where spans are sent; None: nothing is traced
    backup: BackupSettings | None = None  #: how the hub is backed up; None: it makes no backup
    retention: RetentionSettings = attrs.field(factory=RetentionSettings)  #: how long what is handled is kept
    links: LinkSettings | None = None  #: how links are probed; None: they are not probed
    portal: PortalSettings | None = None
    reports: ReportSettings = attrs.field(factory=ReportSettings)
    replay: ReplaySettings = attrs.field(factory=ReplaySettings)
    console: ConsoleSettings = attrs.field(factory=ConsoleSettings)
    units: UnitSettings = attrs.field(factory=UnitSettings)
    lookups: LookupSettings | None = None  #: None: no lookup is answered
    #: officials who may sign reports; None: there are none, and no report needs a signature
    officials: Officials | None = None
    partners: Mapping[str, Partner]
    #: the services that the operator defines, by name: `services/NAME/`
    services: Mapping[str, DefinedService] = attrs.field(factory=dict)
    sample: bool  #: whether any certificate belongs to a sample PKI

    @property
    def witness_folder(self) -> Path:
        """Return the folder in which the node keeps what it has seen of the journal (`hub.keeping.backups.witness`)."""
        return self.witness or self.data / "witness"

    @property
    def listens(self) -> tuple[tuple[str, Listen], ...]:
        """Return each port of the hub with the name of its table in hub.toml."""
        found = (("soap", self.soap), ("admin", self.admin))
        return (*found, ("syslog", self.syslog)) if self.syslog else found

    @property
    def every_service(self) -> Mapping[str, Service]:
        """Return every service, by name: those of the hub, and those that this configuration defines."""
        if not self.services:
            return list_services()
        return {**list_services(), **{name: make_defined_service(each) for name, each in self.services.items()}}

    def name_soap_address(self) -> str:
        """Return the https address of the SOAP port, without a path: the public one, or that of the port itself."""
        host = f"[{self.soap.host}]" if ":" in self.soap.host else self.soap.host
        return (self.public_url or f"https://{host}:{self.soap.port}").rstrip("/")

    @property
    def own(self) -> tuple[tuple[str, Signer], ...]:
        """Return the hub's identities, each with the hub.toml key of its certificate.

        If both are the same, return it once.
        """
        named = (("pki.certificate", self.identity), ("pki.tls-certificate", self.tls))
        return named[: 1 if self.identity.certificate == self.tls.certificate else 2]
