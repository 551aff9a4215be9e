"""Reads the tables of `hub.toml` that say nothing of partners. Knows each table alone, not how they agree."""

import os
import re
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from hub.config import database, files, identities, openid
from hub.config import feed as feeds
from hub.config import lookups as asking
from hub.config.identities import OwnIdentities
from hub.config.table import ConfigTable
from hub.config.trusting import is_authority
from hub.config.urls import PLAIN_SCHEMES, check_url
from hub.config.values import Broker, ConsoleSettings, Listen, PortalSettings, ReplaySettings, UnitSettings
from hub.domain.errors import Mistake
from hub.domain.sanitize import show_value
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.security.encryption import CODES, Keyring

ADMIN_BODY_LIMIT = 64 * 1024
BODY_LIMIT = 40_000_000  #: an attachment of 20 MB takes 37 MB inline
PROVINCE = r"[A-Z][0-9]{2}"
_ENDPOINT = r"systemd:domain=(INET|INET6):(index=[0-9]{1,3}|name=[A-Za-z0-9_.-]{1,255})"


def read_listen(table: ConfigTable, port: int, *, limited: bool, metrics: bool = True) -> Listen:
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


def read_syslog(table: ConfigTable) -> Listen | None:
    """Return the address of the syslog port. Return None without a port."""
    if not table.given("port"):
        if table.text("host", ""):
            table.wrong("port", phrase("is missing"), phrase("a port, such as 6514"))
        table.close()
        return None
    return read_listen(table, 6514, limited=False, metrics=False)


def read_database(table: ConfigTable, home: Path) -> tuple[str, Path | None]:
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


def read_portal(table: ConfigTable) -> PortalSettings | None:
    """Return the settings of the public portal. Return None if reports are not published."""
    publish, url = table.flag("publish", default=False), table.text("url", "")
    if url:
        check_url(table, "url", url, PLAIN_SCHEMES)
    table.close()
    return PortalSettings(url.rstrip("/")) if publish else None


def read_archive_folder(table: ConfigTable, home: Path, data: Path) -> Path:
    """Return the folder of archive files."""
    folder = home / table.text("folder", str(data / "archive"))
    table.close()
    return folder


def read_exchange_folder(table: ConfigTable, home: Path) -> Path | None:
    """Return the folder below which the directories of partners must be. Return None without one."""
    text = table.text("folder", "")
    table.close()
    return Path(os.path.normpath(home / text)) if text else None


def read_replay_settings(table: ConfigTable) -> ReplaySettings:
    """Return the settings of replay plans."""
    over = table.number("approve-over", -1, least=0, most=1_000_000_000)
    corrected = table.flag("approve-corrected", default=False)
    table.close()
    return ReplaySettings(None if over < 0 else over, corrected)


def read_unit_settings(table: ConfigTable, province: str) -> UnitSettings:
    """Return the rules for units that have ended, and the provinces that were merged into *province*."""
    grace = table.number("grace-days", UnitSettings().grace_days, least=0, most=3660)
    merged = table.texts("merged-provinces", ())
    for code in merged:
        if not re.fullmatch(PROVINCE, code) or code == province:
            expected = phrase('codes of other provinces, such as "H55"')
            table.wrong("merged-provinces", phrase("{code} does not fit", code=repr(code)), expected)
    table.close()
    return UnitSettings(grace, merged)


def read_console_settings(table: ConfigTable, home: Path) -> ConsoleSettings:
    """Return the settings of the accounts of the console."""
    needed = table.flag("administrators-need-codes", default=False)
    certificates = table.flag("client-certificates", default=False)
    url, providers = openid.read_openid_providers(table, home)
    opened = {key: asking.read_safe(table, key, home) for key in ("key-file", "former-key-file")}
    table.close()
    safes = tuple(each[0].of_use(CODES) for each in opened.values() if each)
    files = {key: each[1] for key, each in opened.items() if each}
    return ConsoleSettings(needed, certificates, url, providers, Keyring(safes), files)


def read_feed(table: ConfigTable, home: Path) -> Broker | None:
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


def read_pki(
    table: ConfigTable, home: Path, mistakes: list[Mistake]
) -> tuple[OwnIdentities | None, tuple[x509.Certificate, ...], tuple[x509.CertificateRevocationList, ...]]:
    own = identities.read_identities(table, home)
    authorities, crls = files.read_trusted_files(table, home)
    table.close()
    for path in sorted((home / "trust").glob("*")):
        wrong = _report_at(mistakes, f"trust/{path.name}")
        if path.suffix in {".crt", ".pem"}:
            authorities += files.read_certificate_file(path, wrong)
        elif path.suffix == ".crl":
            crls += files.read_crl_file(path, wrong)
    return own, tuple(authorities), tuple(crls)


def _report_at(mistakes: list[Mistake], place: str) -> files.Wrong:
    return lambda wrong, expected: mistakes.append(Mistake(place, wrong, expected))
