"""Reads `hub.toml`, `partners/*.toml`, `services/` and `trust/`. Knows the keys and their consistency rules.

Does not know the database, ports or the time. Relative paths are relative to the directory of `hub.toml`, in the
partners' files too.
"""

import itertools
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config import database, files, identities, incidents, officials, openid, service_files
from hub.config import feed as feeds
from hub.config import lookups as asking
from hub.config import reports as reporting
from hub.config.alerting import alerts as alerting
from hub.config.alerting.alerts import AlertSettings
from hub.config.identities import OwnIdentities
from hub.config.lookups import LookupSettings
from hub.config.partner_files import PartnerFileReader
from hub.config.table import ConfigTable, describe_toml_error, parse_toml_parts
from hub.config.trusting import is_authority
from hub.config.upkeep import backup as backing
from hub.config.upkeep import link_settings
from hub.config.upkeep import retention as keeping
from hub.config.upkeep.tracing import read_tracing_settings
from hub.config.values import (
    ANY,
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
from hub.domain.model import HUB, Receive
from hub.domain.own_addresses import is_own_host
from hub.domain.sanitize import show_value
from hub.language.phrases import Phrase, phrase
from hub.language.sorting import make_code_sort_key
from hub.language.system_errors import name_system_error
from hub.partner.adapter_settings import MAPPING, SECRET_FILE
from hub.partner.policy import PartnerTransport, parse_policy
from hub.security.attesting import AttestationTrust
from hub.security.certificates import Anchors, Signer, hash_certificate
from hub.security.encryption import CODES, Keyring
from hub.security.sample_pki import is_sample
from hub.services import list_services
from hub.services.defined import DefinedService

ADMIN_BODY_LIMIT = 64 * 1024
MOST_WORKERS = 64
BODY_LIMIT = 40_000_000  #: an attachment of 20 MB takes 37 MB inline
_CODE = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
PROVINCE = r"[A-Z][0-9]{2}"
_ENDPOINT = r"systemd:domain=(INET|INET6):(index=[0-9]{1,3}|name=[A-Za-z0-9_.-]{1,255})"
PLAIN_SCHEMES = ("http", "https")  #: fetched content is signed; TLS would only hide what is fetched
HTTPS_URL = phrase("an https URL without user, password or fragment, such as https://10.0.0.5/soap/documents")
PLAIN_URL = phrase("an http or https URL without user, password or fragment, such as http://crl.ca.example/ca.crl")
_CALLED_EXPECTED = phrase('a URL, because of receive = "push", policy.collect or lookups')
#: The accepted URL schemes by `transport`. The adapter decides which of them it supports. Any other scheme belongs to a
#: delivery transport that itself defines how it secures its content. It may be used with every `transport` but mutual
#: TLS (`_schemes`).
_SCHEMES = {
    PartnerTransport.MUTUAL_TLS: ("https",),
    PartnerTransport.TLS: ("https", "smtps", "imaps", "smtp", "imap"),
    PartnerTransport.PLAIN: ("http", "smtp", "imap", "file"),
}
_UNIT_EXPECTED = phrase("an agency code without spaces, such as H55.13, or '*'")


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

    name = table.text("name", "Liên Thông")
    province = table.text("province", like=PROVINCE, expected=phrase('the code of the province, such as "H55"'))
    upstream = table.text("upstream", "", like=_CODE, expected=phrase("the code of a partner"))
    public_url, data = table.text("public-url", ""), home / table.text("data", "data")
    workers = table.number("workers", 1, least=1, most=MOST_WORKERS)
    soap = _listen(table.table("soap"), 8443, limited=True)
    admin = _listen(table.table("admin"), 8444, limited=False)
    pki = table.table("pki")
    own, authorities, crls = _pki(pki, home, mistakes)
    database_table = table.table("database")
    database_url, password_file = _database(database_table, home)
    limits = table.table("limits")
    free_disk = limits.size("free-disk", FREE_DISK)
    limits.close()
    feed = _feed(table.table("feed"), home)
    syslog = _syslog(table.table("syslog"))
    told = incidents.read_incident_settings(table.table("incidents"))
    links_table = table.table("links")
    (
        (archive, exchange),
        (portal, units, replay, console),
        (alerts, operator_alerts),
        (backup, witness, witness_first),
        tracing,
    ) = (
        (_archive(table.table("archive"), home, data), _exchange(table.table("exchange"), home)),
        (
            _portal(table.table("portal")),
            _units(table.table("units"), province),
            _replay(table.table("replay")),
            _console(table.table("console"), home),
        ),
        alerting.read_alert_settings(table.table("alerts"), home),
        backing.read_backup_settings(table.table("backup"), home),
        read_tracing_settings(table.table("tracing")),
    )
    services, countable = service_files.read_services(table.table("services"), home, mistakes)
    retention, reports, lookups = (
        keeping.read_retention_settings(table.table("retention"), list_services().keys() | services.keys()),
        reporting.read_report_settings(table.table("reports"), home, countable),
        asking.read_lookup_settings(table.table("lookups"), home),
    )
    sources, asked = _sources(home, mistakes), table.table("officials")
    signing = officials.read_officials(asked, home, partial(_opened, mistakes), [each.issuer for each in sources])
    table.close()

    partners, wrong = _partners(home, candidates or {}, partner_files or {}, exchange)
    known = frozenset(partners) | _list_partner_files(home, candidates or {}).keys()
    links = link_settings.read_link_settings(links_table, known)
    if public_url:
        _check_url(table, "public-url", public_url)
    _check_upstream(table, upstream, partners, known)
    _check_mail_system(table, alerts, partners, known)
    shown = own.certificates if own else ()
    everyone = [certificate for partner in partners.values() for certificate in partner.certificates]
    partners = _without(
        partners, [*wrong, *_disagreements(partners, upstream, shown, services)], set_aside or mistakes.extend
    )
    sample = any(map(is_sample, [*everyone, *authorities, *shown, *(signing.everybody if signing else ())]))
    _check_listens(table, soap, admin, syslog, sample=sample)
    mistakes = _leave_consequences(mistakes, broken)
    trust = None if own is None else _trust_own_statements(own.signer, authorities, data)
    if needs is not None and set_aside is not None:
        # without a URL the database might be any that a table of unknown name was meant to say
        said = None if database_table.given("url") else table.known
        mistakes, left = _part_mistakes(mistakes, path.name, {"data", "database", *needs}, said)
        set_aside(left)
        own = own or identities.make_unread_identities(left)
    if mistakes or own is None:
        raise ConfigurationFault(mistakes)
    return Config(
        path=path,
        name=name,
        province=province,
        upstream=upstream,
        soap=soap,
        admin=admin,
        public_url=public_url or None,
        identity=own.signer,
        tls=own.tls,
        rotation=own.rotation,
        authorities=authorities,
        crls=crls,
        sources=sources,
        anchors=Anchors(
            authorities,
            crls,
            intermediates=[link for partner in partners.values() for link in partner.chain],
            sourced=[source.issuer for source in sources],
        ),
        database_url=database_url,
        password_file=password_file,
        secrets=(
            *own.secrets,
            *([("database.password-file", password_file)] if password_file else []),
            *([("feed.password-file", feed.password_file)] if feed else []),
            *([("lookups.key-file", lookups.key_file)] if lookups else []),
            *((f"console.{key}", file) for key, file in console.key_files.items()),
            *([("alerts.operators.webhook-key-file", hook.key_file)] if (hook := operator_alerts.webhook) else []),
            *(
                (f"console.providers.{name}.client-secret-file", one.secret_file)
                for name, one in console.providers.items()
            ),
        ),
        data=data,
        archive=archive,
        exchange=exchange,
        workers=workers,
        free_disk=free_disk,
        feed=feed,
        syslog=syslog,
        incidents=told,
        alerts=alerts,
        operator_alerts=operator_alerts,
        backup=backup,
        tracing=tracing,
        retention=retention,
        witness=witness,
        witness_first=witness_first,
        links=links,
        portal=portal,
        reports=attrs.evolve(reports, tellers=_list_tellers(partners), trust=trust),
        replay=replay,
        console=_add_key(console, lookups),
        units=units,
        lookups=lookups,
        officials=signing,
        partners=partners,
        services=services,
        sample=sample,
    )


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
    content = _toml(path, path.name, mistakes, partial(parse_toml_parts, shown=path.name, mistakes=mistakes))
    if any(mistake.path == path.name for mistake in mistakes):
        raise ConfigurationFault(mistakes)
    return content, mistakes


def _toml(
    path: Path, shown: str, mistakes: list[Mistake], parse: Callable[[str], Mapping[str, object]] = tomllib.loads
) -> Mapping[str, object]:
    try:
        return parse(path.read_text("utf-8"))
    except OSError as error:
        mistakes.append(
            Mistake(
                shown,
                phrase("cannot be read: {strerror}", strerror=name_system_error(error)),
                phrase("{file}; `lienthong init DIR` writes all files of a hub", file=path.absolute()),
            )
        )
    except (ValueError, RecursionError) as error:  # not UTF-8, or not TOML, or thousands of brackets
        mistakes.append(describe_toml_error(shown, error))
    return {}


def _opened(mistakes: list[Mistake], path: Path, shown: str) -> ConfigTable | None:
    """Return the table of the file *path*. Return None if it cannot be read."""
    before = len(mistakes)
    content = _toml(path, shown, mistakes)
    return ConfigTable(content, shown, mistakes) if len(mistakes) == before else None


def _listen(table: ConfigTable, port: int, *, limited: bool, metrics: bool = True) -> Listen:
    host = table.text("host", "127.0.0.1")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        ip_address(host)
    except ValueError:
        if host:
            table.wrong(
                "host",
                phrase("{host} is not an IP address", host=repr(host)),
                phrase("an IP address, such as 127.0.0.1 or 0.0.0.0"),
            )
        host = "127.0.0.1"
    body_limit = table.size("body-limit", BODY_LIMIT) if limited else ADMIN_BODY_LIMIT
    shown = metrics and not limited and table.flag("metrics", default=False)
    expected = phrase('such as "systemd:domain=INET:name=soap"')
    endpoint = table.text("endpoint", "", like=_ENDPOINT, expected=expected)
    listen = Listen(host, table.number("port", port, least=1, most=65535), body_limit, shown, endpoint)
    if endpoint and (endpoint.split(":")[1] == "domain=INET6") != (":" in host):
        table.wrong("endpoint", phrase("{value} does not fit", value=show_value(endpoint)), expected)
    table.close()
    return listen


def _syslog(table: ConfigTable) -> Listen | None:
    """Return the address of the syslog port. Return None without a port."""
    if not table.given("port"):
        if table.text("host", ""):
            table.wrong("port", phrase("is missing"), phrase("a port, such as 6514"))
        table.close()
        return None
    return _listen(table, 6514, limited=False, metrics=False)


def _pki(
    table: ConfigTable, home: Path, mistakes: list[Mistake]
) -> tuple[OwnIdentities | None, tuple[x509.Certificate, ...], tuple[x509.CertificateRevocationList, ...]]:
    own = identities.read_identities(table, home)
    authorities, crls = files.read_trusted_files(table, home)
    table.close()
    for path in sorted((home / "trust").glob("*")):
        wrong = _at(mistakes, f"trust/{path.name}")
        if path.suffix in {".crt", ".pem"}:
            authorities += files.read_certificate_file(path, wrong)
        elif path.suffix == ".crl":
            crls += files.read_crl_file(path, wrong)
    return own, tuple(authorities), tuple(crls)


def _sources(home: Path, mistakes: list[Mistake]) -> tuple[RevocationSource, ...]:
    """Return the sources of revocations: one per file `trust/NAME.toml`."""
    found: dict[str, RevocationSource] = {}
    for path in sorted((home / "trust").glob("*.toml")):
        shown, before = f"trust/{path.name}", len(mistakes)
        table = ConfigTable(_toml(path, shown, mistakes), shown, mistakes)
        if len(mistakes) > before:
            continue
        named = table.text("issuer")
        issuers = files.read_certificate_file(home / named, partial(table.wrong, "issuer")) if named else ()
        crl_urls, ocsp_urls = table.texts("crl-urls", ()), table.texts("ocsp-urls", ())
        for key, urls in (("crl-urls", crl_urls), ("ocsp-urls", ocsp_urls)):
            for url in urls:
                _check_url(table, key, url, PLAIN_SCHEMES)
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


def _database(table: ConfigTable, home: Path) -> tuple[str, Path | None]:
    """Return the URL of the database and the file of its password."""
    text, secret = (
        table.text("url", "sqlite:///data/hub.db", expected=database.EXPECTED),
        table.text("password-file", ""),
    )
    table.close()
    url, file = "", home / secret if secret else None
    try:
        url = database.parse_database_url(text, home) if text else ""
    except database.DatabaseUrlUnfit as unfit:
        table.wrong("url", *unfit.args)
    if file is not None and url.startswith("sqlite"):
        table.wrong("password-file", phrase("SQLite takes no password"), phrase("no password-file"))
    elif file is not None:
        _check_password(table, file)
    return url, file


def _check_password(table: ConfigTable, file: Path) -> None:
    try:
        file.read_text("utf-8")
    except (OSError, ValueError) as error:
        table.wrong(
            "password-file",
            phrase("{file} cannot be read: {error}", file=file, error=name_system_error(error)),
            phrase("a file that holds the password and nothing else"),
        )


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


def _check_listens(table: ConfigTable, soap: Listen, admin: Listen, syslog: Listen | None, *, sample: bool) -> None:
    """Record ports that are the same, and ports of other machines' reach while there are certificates of a sample PKI."""
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


def _portal(table: ConfigTable) -> PortalSettings | None:
    """Return the settings of the public portal. Return None if reports are not published."""
    publish, url = table.flag("publish", default=False), table.text("url", "")
    if url:
        _check_url(table, "url", url, PLAIN_SCHEMES)
    table.close()
    return PortalSettings(url.rstrip("/")) if publish else None


def _archive(table: ConfigTable, home: Path, data: Path) -> Path:
    """Return the folder of archive files."""
    folder = home / table.text("folder", str(data / "archive"))
    table.close()
    return folder


def _exchange(table: ConfigTable, home: Path) -> Path | None:
    """Return the folder below which the directories of partners must be. Return None without one."""
    text = table.text("folder", "")
    table.close()
    return Path(os.path.normpath(home / text)) if text else None


def _replay(table: ConfigTable) -> ReplaySettings:
    """Return the settings of replay plans."""
    over = table.number("approve-over", -1, least=0, most=1_000_000_000)
    corrected = table.flag("approve-corrected", default=False)
    table.close()
    return ReplaySettings(None if over < 0 else over, corrected)


def _units(table: ConfigTable, province: str) -> UnitSettings:
    """Return the rules for units that have ended, and the provinces that were merged into *province*."""
    grace = table.number("grace-days", UnitSettings().grace_days, least=0, most=3660)
    merged = table.texts("merged-provinces", ())
    for code in merged:
        if not re.fullmatch(PROVINCE, code) or code == province:
            expected = phrase('codes of other provinces, such as "H55"')
            table.wrong("merged-provinces", phrase("{code} does not fit", code=repr(code)), expected)
    table.close()
    return UnitSettings(grace, merged)


def _console(table: ConfigTable, home: Path) -> ConsoleSettings:
    """Return the settings of the accounts of the console."""
    needed = table.flag("administrators-need-codes", default=False)
    certificates = table.flag("client-certificates", default=False)
    url, providers = openid.read_openid_providers(table, home)
    opened = {key: asking.read_safe(table, key, home) for key in ("key-file", "former-key-file")}
    table.close()
    safes = tuple(each[0].of_use(CODES) for each in opened.values() if each)
    files = {key: each[1] for key, each in opened.items() if each}
    return ConsoleSettings(needed, certificates, url, providers, Keyring(safes), files)


def _add_key(console: ConsoleSettings, lookups: LookupSettings | None) -> ConsoleSettings:
    """Return the settings with the key of `[lookups]`: without `console.key-file` it encrypts the secrets of codes too."""
    if lookups is None:
        return console
    safe, safes = lookups.safe.of_use(CODES), console.keys.safes
    named = "key-file" in console.key_files
    return attrs.evolve(console, keys=Keyring((*safes, safe) if named else (safe, *safes)))


def _feed(table: ConfigTable, home: Path) -> Broker | None:
    """Return the broker that events are published to. Return None if they are not published."""
    text = table.text("url", "", expected=feeds.EXPECTED)
    secret = table.text("password-file", "")
    authority = table.text("ca", "")
    exchange = table.text(
        "exchange", "lienthong", like=r"[A-Za-z0-9._:-]{1,127}", expected=phrase("letters, digits and . _ : -")
    )
    unrouted = table.text("unrouted", "wait", like="wait|drop", expected=phrase("wait or drop"))
    table.close()
    if not text:
        if secret or authority:
            table.wrong("url", phrase("is missing"), feeds.EXPECTED)
        return None
    try:
        place = feeds.parse_broker_url(text)
    except feeds.BrokerUrlUnfit as unfit:
        table.wrong("url", *unfit.args)
        return None
    if secret:
        _check_password(table, home / secret)
    else:
        table.wrong("password-file", phrase("is missing"), phrase("a file that holds the password and nothing else"))
    if place.tls != bool(authority):
        table.wrong(
            "ca",
            phrase("is missing") if place.tls else phrase("is set although the URL is amqp"),
            phrase("a file of CAs with amqps, none with amqp"),
        )
    authorities = files.read_certificate_file(home / authority, partial(table.wrong, "ca")) if authority else ()
    for each in authorities:
        if not is_authority(each):
            table.wrong(
                "ca",
                phrase("{name} is not a CA", name=each.subject.rfc4514_string()),
                phrase("certificates of CAs"),
            )
    return Broker(
        place=place,
        password_file=home / secret,
        authorities=authorities,
        exchange=exchange,
        waits=unrouted == "wait",
    )


def _list_partner_files(home: Path, candidates: Mapping[str, str | None]) -> dict[str, Path]:
    """Return the file of each partner by code, those of *candidates* included, those that are away not."""
    there = [path.stem for path in (home / "partners").glob("*.toml") if not path.name.startswith(".")]
    away = {code for code, text in candidates.items() if text is None}
    return {code: home / f"partners/{code}.toml" for code in {*there, *candidates} - away}


def _without(
    partners: Mapping[str, Partner], wrong: Sequence[Mistake], tell: Callable[[Sequence[Mistake]], None]
) -> dict[str, Partner]:
    """Return the partners whose files have no mistakes. The mistakes *wrong* are passed to *tell*."""
    if wrong:
        tell(wrong)
    files = {mistake.path.partition(":")[0] for mistake in wrong}
    return {
        code: partner
        for code, partner in partners.items()
        if not files & {f"partners/{code}.toml", f"partners/{partner.settings.get(MAPPING)}"}
    }


def _list_tellers(partners: Mapping[str, Partner]) -> tuple[reporting.Teller, ...]:
    return tuple(
        reporting.Teller(code, each.units, each.tells, each.policy.collect is not None)
        for code, each in sorted(partners.items())
    )


def _trust_own_statements(signer: Signer, authorities: Sequence[x509.Certificate], data: Path) -> AttestationTrust:
    ours, *others = (each.public_bytes(Encoding.DER) for each in (signer.certificate, *authorities))
    return AttestationTrust(ours, tuple(others), data / "attested.json", data / "own-certificates.txt")


def _partners(
    home: Path, candidates: Mapping[str, str | None], partner_files: Mapping[str, bytes], exchange: Path | None
) -> tuple[dict[str, Partner], list[Mistake]]:
    """Return the partners whose files can be read, in the natural order of their codes, and all mistakes of these files."""
    partners: dict[str, Partner] = {}
    mistakes: list[Mistake] = []
    reader = PartnerFileReader(home, mistakes, partner_files)
    found = _list_partner_files(home, candidates)
    for code, path in sorted(found.items(), key=lambda each: make_code_sort_key(each[0])):
        shown = f"partners/{code}.toml"
        before, text = len(mistakes), candidates.get(code)
        content: Mapping[str, object] = _toml(path, shown, mistakes) if text is None else tomllib.loads(text)
        if len(mistakes) == before:
            partner = _partner(code, ConfigTable(content, shown, mistakes), home, mistakes, reader)
            partners[code] = _place_directory(partner, exchange, mistakes)
    return partners, mistakes


def _place_directory(partner: Partner, exchange: Path | None, mistakes: list[Mistake]) -> Partner:
    """Return *partner* with the folder below which its directory is. Records a mistake if its directory is elsewhere."""
    place = find_url_directory(partner.url or "")
    if place is None:
        return partner
    if exchange is None or exchange not in place.parents:
        wrong = phrase("{url} is not below the folder of directories", url=repr(partner.url))
        expected = (
            phrase("[exchange] folder in hub.toml: the folder below which partners have their directories")
            if exchange is None
            else phrase("a directory below {url}, the folder of [exchange] in hub.toml", url=exchange.as_uri())
        )
        mistakes.append(Mistake(f"partners/{partner.code}.toml: url", wrong, expected))
    return attrs.evolve(partner, exchange=exchange)


def is_partner_code(code: str) -> bool:
    """Tell whether *code* may be the code of a partner, and so the name of its file."""
    return re.fullmatch(_CODE, code) is not None and code != HUB


def _check_partner_code(table: ConfigTable, code: str) -> None:
    if not is_partner_code(code):
        table.wrong(
            "",
            phrase("{code} is not a valid partner code", code=repr(code)),
            phrase("letters, digits, - and _; not {hub}, which is the hub itself", hub=HUB),
        )


def _read_partner_units(table: ConfigTable) -> tuple[str, ...]:
    units = table.texts("units", ())
    for unit in units:
        if unit != ANY and (len(unit) > 64 or not unit.isprintable() or " " in unit or ANY in unit):
            table.wrong("units", phrase("{unit} does not fit", unit=repr(unit)), _UNIT_EXPECTED)
    return units


def _check_partner_url(table: ConfigTable, partner: Partner, *, mapped: bool) -> None:
    """Note a URL that is missing, unused or of a wrong scheme. *mapped*: the partner has a mapping for SOAP calls."""
    if partner.called and not partner.url:
        table.wrong("url", phrase("is missing"), _CALLED_EXPECTED)
    elif partner.url and not partner.called and not mapped:  # with a mapping, `lienthong call` uses it
        table.wrong(
            "url",
            phrase('is set although receive = "{receive}"', receive=partner.receive),
            phrase('no url, or receive = "push"'),
        )
    elif partner.url:
        _check_url(table, "url", partner.url, _schemes(partner.policy.transport, partner.url))


def _check_partner_certificates(
    table: ConfigTable, partner: Partner, named: Sequence[object], mistakes: Sequence[Mistake]
) -> None:
    """Note that no certificate is *named*, unless one that is could not be read."""
    unread = any(mistake.path == table.place("certificates") for mistake in mistakes)
    if not partner.certificates and partner.policy.transport == PartnerTransport.MUTUAL_TLS and not unread:
        table.wrong(
            "certificates", phrase("is empty") if named else phrase("is missing"), phrase("at least one PEM file")
        )


def _partner(code: str, table: ConfigTable, home: Path, mistakes: list[Mistake], reader: PartnerFileReader) -> Partner:
    receive = (
        table.text(
            "receive", "none", like="|".join(Receive), expected=phrase("one of {words}", words=", ".join(Receive))
        )
        or "none"
    )
    url = table.text("url", "")
    named = [
        files.read_certificate_file(home / name, partial(table.wrong, "certificates"))
        for name in table.texts("certificates", ())
    ]
    certificates = [file[0] for file in named if file]
    _check_partner_code(table, code)
    units = _read_partner_units(table)
    calls = table.texts("calls", ())
    tells = table.text("tells", "", like=r"\*", expected=phrase("'*': it may report figures about any unit"))
    policy, wrongs = parse_policy(table.table("policy").pairs(), table.place("policy"))
    mistakes += wrongs
    own = table.table("settings")
    settings, secret_files, secrets = _settings(own, code, reader)
    mapping = settings.get(MAPPING)
    partner = Partner(
        code=code,
        name=table.text("name", code),
        certificates=tuple(certificates),
        chain=tuple(link for file in named for link in file[1:]),
        units=units,
        calls=calls if table.given("calls") else None,
        tells=bool(tells),
        receive=Receive(receive),
        url=url or None,
        adapter=table.text(
            "adapter", "documents", like=r"[a-z][a-z0-9_]*", expected=phrase("the name of a folder in adapters/")
        ),
        services=table.texts("services", ("documents",)),
        lookups=table.texts("lookups", ()),
        contracts=table.texts("contracts", ()),
        settings=settings,
        secrets=secrets,
        secret_files=secret_files,
        files={} if mapping is None else reader.read(mapping, partial(own.wrong, MAPPING)),
        policy=policy,
    )
    _check_partner_url(table, partner, mapped=mapping is not None)
    _check_partner_certificates(table, partner, named, mistakes)
    table.close()
    return partner


def _settings(
    table: ConfigTable, code: str, reader: PartnerFileReader
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return the adapter's settings: texts by name, and by NAME what `NAME-file` keys name, and the contents of these files."""
    texts, named, secrets = dict[str, str](), dict[str, str](), dict[str, str]()
    for key, value in table.pairs().items():
        if not isinstance(value, str) or not value:
            table.wrong(key, phrase("{value} does not fit", value=show_value(value)), phrase("text in quotes"))
        elif key.endswith(SECRET_FILE):
            name, placed = key.removesuffix(SECRET_FILE), table.place_credential(key, value)
            content = reader.read_secret(code, placed, partial(table.wrong, key)) if placed else None
            if content is not None:
                named[name], secrets[name] = value, content
        else:
            texts[key] = value
    return texts, named, secrets


def _schemes(transport: PartnerTransport, url: str) -> tuple[str, ...]:
    """Return the accepted schemes of *url*: those of `transport`, and possibly the URL's own.

    A scheme unknown to the hub belongs to the adapter or to its transport. `lienthong check` asks them about it.
    """
    scheme = url.partition(":")[0]
    own = transport != PartnerTransport.MUTUAL_TLS and scheme not in itertools.chain(*_SCHEMES.values())
    return (*_SCHEMES[transport], scheme) if own else _SCHEMES[transport]


def _check_url(table: ConfigTable, key: str, url: str, schemes: Collection[str] = ("https",)) -> None:
    expected = (
        HTTPS_URL
        if tuple(schemes) == ("https",)
        else PLAIN_URL
        if set(schemes) <= set(PLAIN_SCHEMES)
        else _any_url(schemes)
    )
    if flaw := find_url_flaw(url, schemes):
        table.wrong(key, flaw, expected)


def _any_url(schemes: Collection[str]) -> Phrase:
    return phrase("a URL without user, password or fragment that begins with {schemes}", schemes=", ".join(schemes))


def find_url_directory(url: str) -> Path | None:
    """Return the directory that a `file:` URL names, without `..`; links are not followed. Return None for another URL."""
    try:
        parts = urlsplit(url)
    except ValueError:  # `find_url_flaw` says it
        return None
    return Path(os.path.normpath(unquote(parts.path))) if parts.scheme == "file" else None


def names_own_machine(url: str) -> bool:
    """Tell whether the host of *url* is written as an address of the hub's own machine."""
    try:
        return "://" in url and is_own_host(urlsplit(url).hostname or "")
    except ValueError:  # `find_url_flaw` says it
        return False


def lies_in_exchange(place: Path, exchange: Path | None) -> bool:
    """Tell whether the directory *place* lies in the folder *exchange*, links followed."""
    return exchange is not None and place.resolve().is_relative_to(exchange.resolve())


def find_url_flaw(url: str, schemes: Collection[str]) -> Phrase | None:
    """Return what is wrong with *url*, which must have one of *schemes*. Return None if nothing is wrong."""
    try:
        parts = urlsplit(url)
        placed = parts.path if parts.scheme == "file" else parts.hostname
        sound = parts.scheme in schemes and placed and parts.port != 0 and not parts.fragment
        sound = sound and (parts.scheme != "file" or (not parts.netloc and unquote(parts.path).isprintable()))
        if not sound or parts.username is not None or not url.isascii() or not url.isprintable() or " " in url:
            return phrase("{url} does not fit", url=repr(url))
    except ValueError as error:
        return phrase("{url} does not fit: {error}", url=repr(url), error=error)
    return None


def _list_unknown_editions(
    partners: Mapping[str, Partner], services: Mapping[str, DefinedService]
) -> Iterable[Mistake]:
    """Yield each entry of `contracts` that names no edition of a service of the operator, or a service twice."""
    known = [f"{name}@{edition}" for name, each in services.items() for edition, _ in each.editions]
    for partner in partners.values():
        named = [each.partition("@")[0] for each in partner.contracts]
        for entry, name in zip(partner.contracts, named, strict=True):
            if entry not in known or named.count(name) > 1:
                expected = phrase("each service once, one of {names}", names=", ".join(known) or "–")
                wrong = phrase("there is no edition {name}", name=repr(entry))
                yield Mistake(f"partners/{partner.code}.toml: contracts", wrong, expected)


def _disagreements(
    partners: Mapping[str, Partner],
    upstream: str,
    own: Collection[x509.Certificate],
    services: Mapping[str, DefinedService],
) -> Iterable[Mistake]:
    """Yield conflicts between partners, keys that the upstream partner must not have, and unknown editions."""
    yield from _list_unknown_editions(partners, services)
    receiving: defaultdict[str, list[str]] = defaultdict(list)
    showing: defaultdict[str, list[str]] = defaultdict(list)
    for partner in partners.values():
        for certificate in partner.certificates:
            showing[hash_certificate(certificate)].append(partner.code)
        if partner.code == upstream and partner.units:
            wrong = phrase("the upstream partner names {units}", units=", ".join(partner.units))
            expected = phrase("no units: it may send for every unit outside the province and owns none")
            yield Mistake(f"partners/{partner.code}.toml: units", wrong, expected)
        if partner.policy.relay == partner.code or partner.policy.relay not in {"", *partners}:
            wrong = phrase("{relay} is not another partner", relay=partner.policy.relay)
            expected = phrase("the code of the partner that carries its calls, or none")
            yield Mistake(f"partners/{partner.code}.toml: policy.relay", wrong, expected)
        if partner.code != upstream and partner.takes_documents:
            for unit in set(partner.units) - {ANY}:
                receiving[unit].append(partner.code)
    for unit, codes in sorted(receiving.items()):
        for code in codes[1:]:
            yield Mistake(
                f"partners/{code}.toml: units",
                phrase("{unit} already receives through {codes}", unit=unit, codes=codes[0]),
                phrase("one receiving partner per unit"),
            )
    for shown, codes in showing.items():
        for code in sorted(set(codes) - {codes[0]}):
            wrong = phrase("the certificate {shown}… also belongs to {codes}", shown=shown[:16], codes=codes[0])
            yield Mistake(f"partners/{code}.toml: certificates", wrong, phrase("a certificate of its own"))
        if shown in map(hash_certificate, own):
            yield Mistake(
                f"partners/{codes[0]}.toml: certificates",
                phrase("it is the hub's own certificate"),
                phrase("a certificate of its own"),
            )


def _at(mistakes: list[Mistake], place: str) -> files.Wrong:
    return lambda wrong, expected: mistakes.append(Mistake(place, wrong, expected))
