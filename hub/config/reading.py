"""Reads `hub.toml`, `partners/*.toml`, `services/` and `trust/`. Knows the keys and their consistency rules.

Does not know the database, ports or the time. Relative paths are relative to the directory of `hub.toml`, in the
partners' files too.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config import files, identities, incidents, service_files
from hub.config import lookups as asking
from hub.config import reports as reporting
from hub.config.alerting import alerts as alerting
from hub.config.alerting.alerts import AlertSettings
from hub.config.alerting.operator_alerts import OperatorAlertSettings
from hub.config.hub_tables import (
    PROVINCE,
    read_archive_folder,
    read_console_settings,
    read_database,
    read_exchange_folder,
    read_feed,
    read_listen,
    read_pki,
    read_portal,
    read_replay_settings,
    read_syslog,
    read_unit_settings,
)
from hub.config.identities import OwnIdentities
from hub.config.incidents import IncidentSettings
from hub.config.lookups import LookupSettings
from hub.config.officials import Officials, read_officials
from hub.config.partners.partner_reading import (
    PARTNER_CODE,
    find_disagreements,
    leave_out_partners,
    list_partner_files,
    list_tellers,
    read_partners,
)
from hub.config.reports import ReportSettings
from hub.config.table import ConfigTable, parse_toml_parts, read_toml_file
from hub.config.trusting import is_authority
from hub.config.upkeep import backup as backing
from hub.config.upkeep import link_settings
from hub.config.upkeep import retention as keeping
from hub.config.upkeep.backup import BackupSettings
from hub.config.upkeep.link_settings import LinkSettings
from hub.config.upkeep.retention import RetentionSettings
from hub.config.upkeep.tracing import TracingSettings, read_tracing_settings
from hub.config.urls import PLAIN_SCHEMES, check_url
from hub.config.values import (
    FREE_DISK,
    Broker,
    Config,
    ConsoleSettings,
    Listen,
    Partner,
    PortalSettings,
    ReplaySettings,
    RevocationSource,
    UnitSettings,
)
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import phrase
from hub.security.anchors import Anchors
from hub.security.attesting import AttestationTrust
from hub.security.certificates import Signer, hash_certificate
from hub.security.encryption import CODES, Keyring
from hub.security.sample_pki import is_sample
from hub.services import list_services
from hub.services.defined import DefinedService

MOST_WORKERS = 64


@attrs.frozen(kw_only=True)
class NodeTables:
    """What hub.toml says of the hub itself. The names are those of `Config`, but for `own` and `database_named`."""

    name: str
    province: str
    upstream: str
    public_url: str | None
    data: Path
    workers: int
    soap: Listen
    admin: Listen
    own: OwnIdentities | None  #: None after a mistake
    authorities: tuple[x509.Certificate, ...]
    crls: tuple[x509.CertificateRevocationList, ...]
    database_url: str
    password_file: Path | None
    database_named: bool  #: the file says which database it is
    free_disk: int
    feed: Broker | None
    syslog: Listen | None
    incidents: IncidentSettings


@attrs.frozen(kw_only=True)
class WorkTables:
    """What hub.toml, and files beside it, say of what the hub does with messages. The names are those of `Config`."""

    archive: Path
    exchange: Path | None
    portal: PortalSettings | None
    units: UnitSettings
    replay: ReplaySettings
    console: ConsoleSettings
    alerts: AlertSettings | None
    operator_alerts: OperatorAlertSettings
    backup: BackupSettings | None
    witness: Path | None
    witness_first: bool
    tracing: TracingSettings | None
    services: Mapping[str, DefinedService]
    retention: RetentionSettings
    reports: ReportSettings
    lookups: LookupSettings | None
    sources: tuple[RevocationSource, ...]
    officials: Officials | None


_CONFIG = frozenset(field.name for field in attrs.fields(Config))


def _read_node_tables(table: ConfigTable, home: Path, mistakes: list[Mistake]) -> NodeTables:
    name = table.text("name", "Liên Thông")
    province = table.text("province", like=PROVINCE, expected=phrase('the code of the province, such as "H55"'))
    upstream = table.text("upstream", "", like=PARTNER_CODE, expected=phrase("the code of a partner"))
    public_url, data = table.text("public-url", ""), home / table.text("data", "data")
    workers = table.number("workers", 1, least=1, most=MOST_WORKERS)
    soap = read_listen(table.table("soap"), 8443, limited=True)
    admin = read_listen(table.table("admin"), 8444, limited=False)
    own, authorities, crls = read_pki(table.table("pki"), home, mistakes)
    database_table = table.table("database")
    database_url, password_file = read_database(database_table, home)
    limits = table.table("limits")
    free_disk = limits.size("free-disk", FREE_DISK)
    limits.close()
    return NodeTables(
        name=name,
        province=province,
        upstream=upstream,
        public_url=public_url or None,
        data=data,
        workers=workers,
        soap=soap,
        admin=admin,
        own=own,
        authorities=authorities,
        crls=crls,
        database_url=database_url,
        password_file=password_file,
        database_named=database_table.given("url"),
        free_disk=free_disk,
        feed=read_feed(table.table("feed"), home),
        syslog=read_syslog(table.table("syslog")),
        incidents=incidents.read_incident_settings(table.table("incidents")),
    )


def _read_work_tables(table: ConfigTable, home: Path, node: NodeTables, mistakes: list[Mistake]) -> WorkTables:
    archive = read_archive_folder(table.table("archive"), home, node.data)
    exchange = read_exchange_folder(table.table("exchange"), home)
    portal = read_portal(table.table("portal"))
    units = read_unit_settings(table.table("units"), node.province)
    replay = read_replay_settings(table.table("replay"))
    console = read_console_settings(table.table("console"), home)
    alerts, operator_alerts = alerting.read_alert_settings(table.table("alerts"), home)
    backup, witness, witness_first = backing.read_backup_settings(table.table("backup"), home)
    tracing = read_tracing_settings(table.table("tracing"))
    services, countable = service_files.read_services(table.table("services"), home, mistakes)
    every_service = list_services().keys() | services.keys()
    retention = keeping.read_retention_settings(table.table("retention"), every_service)
    reports = reporting.read_report_settings(table.table("reports"), home, countable)
    lookups = asking.read_lookup_settings(table.table("lookups"), home)
    sources, asked = _read_revocation_sources(home, mistakes), table.table("officials")
    return WorkTables(
        archive=archive,
        exchange=exchange,
        portal=portal,
        units=units,
        replay=replay,
        console=_add_key(console, lookups),
        alerts=alerts,
        operator_alerts=operator_alerts,
        backup=backup,
        witness=witness,
        witness_first=witness_first,
        tracing=tracing,
        services=services,
        retention=retention,
        reports=reports,
        lookups=lookups,
        sources=sources,
        officials=read_officials(asked, home, partial(_open_table, mistakes), [each.issuer for each in sources]),
    )


def _make_config(
    path: Path,
    own: OwnIdentities,
    node: NodeTables,
    work: WorkTables,
    partners: Mapping[str, Partner],
    links: LinkSettings | None,
    *,
    sample: bool,
) -> Config:
    """Return the configuration of the tables, and of what only all of them together show."""
    tables = {**attrs.asdict(node, recurse=False), **attrs.asdict(work, recurse=False)}
    return Config(
        path=path,
        identity=own.signer,
        tls=own.tls,
        rotation=own.rotation,
        anchors=Anchors(
            node.authorities,
            node.crls,
            intermediates=[link for partner in partners.values() for link in partner.chain],
            sourced=[source.issuer for source in work.sources],
        ),
        secrets=tuple(_list_secrets(own, node, work)),
        links=links,
        partners=partners,
        sample=sample,
        **{name: value for name, value in tables.items() if name in _CONFIG},
    )


def _list_secrets(own: OwnIdentities, node: NodeTables, work: WorkTables) -> Iterator[tuple[str, Path]]:
    """Yield the files that only their owner may read, each with its configuration key."""
    yield from own.secrets
    if node.password_file:
        yield "database.password-file", node.password_file
    if node.feed:
        yield "feed.password-file", node.feed.password_file
    if work.lookups:
        yield "lookups.key-file", work.lookups.key_file
    yield from ((f"console.{key}", file) for key, file in work.console.key_files.items())
    if hook := work.operator_alerts.webhook:
        yield "alerts.operators.webhook-key-file", hook.key_file
    for name, one in work.console.providers.items():
        yield f"console.providers.{name}.client-secret-file", one.secret_file


def read_config(
    path: Path,
    environment: Mapping[str, str] | None = None,
    candidates: Mapping[str, str | None] | None = None,
    *,
    partner_files: Mapping[str, bytes] | None = None,
    set_aside: Callable[[Sequence[Mistake]], None] | None = None,
    needs: Collection[str] | None = None,
) -> Config:
    """Return the configuration at *path*. `LIENTHONG_TABLE_KEY` in *environment* overrides hub.toml.

    *candidates* (partner code -> TOML) stand in for partner files that are not written yet; None: the file is away.
    *partner_files* (path below the directory -> content) do so for the files of partners' folders. If *set_aside* is given, it
    receives the mistakes of partner files, and the configuration omits these partners. It serves callers that need only
    the rest. *needs*, with *set_aside*: the tables of hub.toml, and folders beside it, that the caller needs beside
    `data` and `[database]`. The mistakes of all others are set aside too, and their defaults stand. None: it needs all.

    Raises `ConfigurationFault` with all mistakes that the files alone show. hub/node/check.py finds those
    that need a clock, a database or a socket.
    """
    path, home = path.absolute(), path.absolute().parent
    content, broken = _read_parts(path)
    mistakes = list(broken)
    table = ConfigTable(content, path.name, mistakes, os.environ if environment is None else environment)

    node = _read_node_tables(table, home, mistakes)
    links_table = table.table("links")
    work = _read_work_tables(table, home, node, mistakes)
    table.close()

    partners, wrong = read_partners(home, candidates or {}, partner_files or {}, work.exchange)
    known = frozenset(partners) | list_partner_files(home, candidates or {}).keys()
    links = link_settings.read_link_settings(links_table, known)
    if node.public_url:
        check_url(table, "public-url", node.public_url)
    _check_upstream(table, node.upstream, partners, known)
    _check_mail_system(table, work.alerts, partners, known)
    own, officials = node.own, work.officials
    shown = own.certificates if own else ()
    everyone = [certificate for partner in partners.values() for certificate in partner.certificates]
    partners = leave_out_partners(
        partners,
        [*wrong, *find_disagreements(partners, node.upstream, shown, work.services)],
        set_aside or mistakes.extend,
    )
    sample = any(map(is_sample, [*everyone, *node.authorities, *shown, *(officials.everybody if officials else ())]))
    _check_listens(table, node, sample=sample)
    mistakes = _leave_consequences(mistakes, broken)
    trust = None if own is None else _trust_own_statements(own.signer, node.authorities, node.data)
    if needs is not None and set_aside is not None:
        # without a URL the database might be any that a table of unknown name was meant to say
        said = None if node.database_named else table.known
        mistakes, left = _part_mistakes(mistakes, path.name, {"data", "database", *needs}, said)
        set_aside(left)
        own = own or identities.make_unread_identities(left)
    if mistakes or own is None:
        raise ConfigurationFault(mistakes)
    reports = attrs.evolve(work.reports, tellers=list_tellers(partners), trust=trust)
    return _make_config(path, own, node, attrs.evolve(work, reports=reports), partners, links, sample=sample)


def read_partner_change(
    path: Path, code: str, text: str | None, partner_files: Mapping[str, bytes] | None = None
) -> Config:
    """Return the configuration at *path* with *text* as the file of the partner *code*; None: without that file.

    Partners whose files have mistakes already are left out. Raises ConfigurationFault with the mistakes that the change
    makes or leaves in the partner's own file.
    """
    before: list[Mistake] = []
    after: list[Mistake] = []
    _ = read_config(path, set_aside=before.extend)
    config = read_config(path, candidates={code: text}, partner_files=partner_files, set_aside=after.extend)
    known, own = set(map(str, before)), f"partners/{code}.toml:"
    if mistakes := [each for each in after if str(each) not in known or each.path.startswith(own)]:
        raise ConfigurationFault(mistakes)
    if text is not None and code not in config.partners:  # it names a mapping that has mistakes already
        raise ConfigurationFault(after)
    return config


def _leave_consequences(mistakes: Sequence[Mistake], broken: Sequence[Mistake]) -> list[Mistake]:
    """Return *mistakes* without those that only follow from *broken*, the parts of the file that are not TOML."""
    places = tuple(each.path for each in broken)
    return [
        each
        for each in mistakes
        if each in broken or not any(each.path == place or each.path.startswith(f"{place}.") for place in places)
    ]


def _part_mistakes(
    mistakes: Iterable[Mistake], file: str, needs: Collection[str], known: Collection[str] | None
) -> tuple[list[Mistake], list[Mistake]]:
    """Return the mistakes of the tables and folders *needs*, and the others.

    *known*: the keys of *file*; if given, a mistake at any other key is with the first, too.
    """
    needed: list[Mistake] = []
    left: list[Mistake] = []
    for each in mistakes:
        shown, _, key = each.path.partition(": ")
        root = key.partition(".")[0] if shown == file else shown.partition("/")[0]
        doubtful = shown == file and (not root or (known is not None and root not in known))
        (needed if doubtful or root in needs else left).append(each)
    return needed, left


def read_data_directory(path: Path) -> Path:
    """Return the data directory of the hub at *path*, even if the rest of its configuration has mistakes.

    Raises ConfigurationFault.
    """
    content, found = _read_parts(path)
    data = ConfigTable(content, path.name, found, os.environ).text("data", "data")
    mistakes, _ = _part_mistakes(found, path.name, {"data"}, None)
    if mistakes:
        raise ConfigurationFault(mistakes)
    return path.absolute().parent / data


def _read_parts(path: Path) -> tuple[Mapping[str, object], list[Mistake]]:
    """Return the content of `hub.toml`, without the parts that are not TOML, and their mistakes.

    Raises ConfigurationFault if nothing of it can be read.
    """
    mistakes: list[Mistake] = []
    content = read_toml_file(path, path.name, mistakes, partial(parse_toml_parts, shown=path.name, mistakes=mistakes))
    if any(mistake.path == path.name for mistake in mistakes):
        raise ConfigurationFault(mistakes)
    return content, mistakes


def _open_table(mistakes: list[Mistake], path: Path, shown: str) -> ConfigTable | None:
    """Return the table of the file *path*. Return None if it cannot be read."""
    before = len(mistakes)
    content = read_toml_file(path, shown, mistakes)
    return ConfigTable(content, shown, mistakes) if len(mistakes) == before else None


def _read_revocation_sources(home: Path, mistakes: list[Mistake]) -> tuple[RevocationSource, ...]:
    """Return the sources of revocations: one per file `trust/NAME.toml`."""
    found: dict[str, RevocationSource] = {}
    for path in sorted((home / "trust").glob("*.toml")):
        shown, before = f"trust/{path.name}", len(mistakes)
        table = ConfigTable(read_toml_file(path, shown, mistakes), shown, mistakes)
        if len(mistakes) > before:
            continue
        named = table.text("issuer")
        issuers = files.read_certificate_file(home / named, partial(table.wrong, "issuer")) if named else ()
        crl_urls, ocsp_urls = table.texts("crl-urls", ()), table.texts("ocsp-urls", ())
        for key, urls in (("crl-urls", crl_urls), ("ocsp-urls", ocsp_urls)):
            for url in urls:
                check_url(table, key, url, PLAIN_SCHEMES)
        if not crl_urls and not ocsp_urls:
            table.wrong(
                "crl-urls",
                phrase("is missing, and ocsp-urls too"),
                phrase("the URLs at which the CA publishes revocations"),
            )
        table.close()
        if issuers and not is_authority(issuers[0]):
            table.wrong(
                "issuer",
                phrase("{name} is not a CA", name=issuers[0].subject.rfc4514_string()),
                phrase("the certificate of a CA"),
            )
        elif issuers and (twin := found.get(hash_certificate(issuers[0]))) is not None:
            table.wrong(
                "issuer",
                phrase("{name} already has a file", name=twin.issuer.subject.rfc4514_string()),
                phrase("one file per CA"),
            )
        elif issuers:
            found[hash_certificate(issuers[0])] = RevocationSource(
                issuer=issuers[0], crl_urls=crl_urls, ocsp_urls=ocsp_urls
            )
    return tuple(found.values())


def _check_upstream(table: ConfigTable, upstream: str, partners: Collection[str], known: Collection[str]) -> None:
    """Record that the upstream partner has no file. *partners*: those whose files can be read; *known*: all."""
    if not upstream or upstream in known:
        return
    expected = (
        phrase("one of {partners}", partners=", ".join(partners))
        if partners
        else phrase("partners/{upstream}.toml", upstream=upstream)
    )
    table.wrong("upstream", phrase("there is no partner {upstream}", upstream=upstream), expected)


def _check_listens(table: ConfigTable, node: NodeTables, *, sample: bool) -> None:
    """Record ports that are the same, and ports of other machines' reach while there are certificates of a sample PKI."""
    soap, admin, syslog = node.soap, node.admin, node.syslog
    if soap.port and (soap.host, soap.port) == (admin.host, admin.port):
        table.wrong("admin.port", phrase("{port} is also the SOAP port", port=admin.port), phrase("another port"))
    if syslog and (syslog.host, syslog.port) in {(soap.host, soap.port), (admin.host, admin.port)}:
        table.wrong(
            "syslog.port", phrase("{port} is also another port of the hub", port=syslog.port), phrase("another port")
        )
    for key, listen in (("soap", soap), ("admin", admin), *([("syslog", syslog)] if syslog else [])):
        if sample and not ip_address(listen.host).is_loopback:
            table.wrong(
                f"{key}.host",
                phrase("{host} with certificates of the sample PKI", host=listen.host),
                phrase("127.0.0.1, or certificates of your own"),
            )


def _check_mail_system(
    table: ConfigTable, alerts: AlertSettings | None, partners: Mapping[str, Partner], known: Collection[str]
) -> None:
    """Record if no mail can be sent through the partner that *alerts* names. Mistakes of its own file are not repeated."""
    if alerts is None:
        return
    code, partner = alerts.through, partners.get(alerts.through)
    expected = phrase('a partner with adapter = "mail" and the URL of its server, such as smtp://mail.tinh.gov.vn')
    if partner is None and code not in known:
        table.wrong("alerts.through", phrase("there is no partner {upstream}", upstream=code), expected)
    elif partner and not (partner.adapter == "mail" and (partner.url or "").startswith(("smtp://", "smtps://"))):
        table.wrong("alerts.through", phrase("no mail is sent through {code}", code=code), expected)


def _add_key(console: ConsoleSettings, lookups: LookupSettings | None) -> ConsoleSettings:
    """Return the settings with the key of `[lookups]`: without `console.key-file` it encrypts the secrets of codes too."""
    if lookups is None:
        return console
    safe, safes = lookups.safe.of_use(CODES), console.keys.safes
    named = "key-file" in console.key_files
    return attrs.evolve(console, keys=Keyring((*safes, safe) if named else (safe, *safes)))


def _trust_own_statements(signer: Signer, authorities: Sequence[x509.Certificate], data: Path) -> AttestationTrust:
    ours, *others = (each.public_bytes(Encoding.DER) for each in (signer.certificate, *authorities))
    return AttestationTrust(ours, tuple(others), data / "attested.json", data / "own-certificates.txt")
