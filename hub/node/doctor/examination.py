"""Examines a hub from its configuration to the running process, in the order in which one thing needs the other."""

import os
import pwd
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from ssl import OPENSSL_VERSION
from urllib.parse import urlsplit

import attrs
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.backends.openssl import backend
from lxml import etree
from sqlalchemy.exc import SQLAlchemyError

from hub.config import Config, read_config
from hub.config.database import find_sqlite_file
from hub.config.partners.partner_files import SECRETS
from hub.config.table import is_credential
from hub.config.upkeep.backup import BackupSettings, find_longest_age
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.local_time import write_local_time
from hub.journal import nodes
from hub.journal.nodes import SeenNode
from hub.keeping.archive import catalogue
from hub.keeping.backups.shelf import find_last_backup
from hub.language.phrases import phrase, verbatim
from hub.node.check import Findings, check_config
from hub.node.doctor.diagnosis import Diagnosis, DiagnosisState
from hub.node.doctor.machine import examine_machine, examine_service
from hub.node.doctor.running import examine_running
from hub.security.certificate_request import list_server_names
from hub.security.certificates import RENEWAL
from hub.store import transactions

#: How far the clocks of this machine and of the database server may be apart.
_APART = timedelta(seconds=1)
#: Files that `check` finds wrong are named there; here each file that the account cannot use is.
_NAMED = 3


def examine_hub(path: Path, clock: Callable[[], datetime], environment: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Yield every finding about the hub that the file *path* configures. *clock* returns the time, aware and in UTC."""
    now = clock()
    yield Diagnosis("native", DiagnosisState.OK, verbatim(_list_native_versions()))
    findings = check_config(path, now)
    config = _read_sound_config(path)
    yield from judge_configuration(findings)
    yield from judge_overrides(environment)
    yield from examine_machine(config, now)
    if config is not None:
        yield judge_files(_list_files(config), _stat_or_none(config.data), os.geteuid())
        yield judge_hub_certificate(config, now)
        yield from judge_revocation(config)
        found, seen = examine_database(config, clock)
        yield from found
        yield from examine_running(config, seen)
        yield judge_backup(_find_last_backup(config), now, config.backup)
    yield examine_service(config)


def _list_native_versions() -> str:
    xml = ".".join(map(str, etree.LIBXML_VERSION))
    return f"{backend.openssl_version_text()}; ssl: {OPENSSL_VERSION}; libxml2 {xml}"


def _read_sound_config(path: Path) -> Config | None:
    """Return the configuration without the partners whose files have mistakes; None if the rest has some too."""
    try:
        return read_config(path, set_aside=lambda _mistakes: None)
    except ConfigurationFault:
        return None


def judge_configuration(findings: Findings) -> Iterator[Diagnosis]:
    """Yield what `check` found, one diagnosis for each mistake and warning."""

    def tell(mistakes: Sequence[Mistake], verdict: DiagnosisState) -> Iterator[Diagnosis]:
        for each in mistakes:
            found = phrase("{path}: {wrong}", path=each.path, wrong=each.wrong)
            yield Diagnosis("configuration", verdict, found, phrase("expected: {expected}", expected=each.expected))

    yield from tell((*findings.mistakes, *findings.lapsed), DiagnosisState.FAILED)
    yield from tell(findings.warnings, DiagnosisState.WARNING)
    if not (findings.mistakes or findings.warnings or findings.lapsed):
        yield Diagnosis("configuration", DiagnosisState.OK, phrase("`check` finds everything right"))


def judge_overrides(environment: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Yield a warning for variables that change the configuration here, and perhaps not for the service."""
    names = sorted(name for name in environment if name.startswith("LIENTHONG_") and name != "LIENTHONG_CONFIG")
    if names:
        found = phrase("the environment overrides hub.toml: {names}", names=", ".join(names))
        yield Diagnosis("environment", DiagnosisState.WARNING, found, phrase("make sure that the service has the same"))


# --- files -----------------------------------------------------------------------------------------------------------


@attrs.frozen
class FileState:
    """A file that the hub needs."""

    path: Path
    uid: int
    gid: int
    mode: int
    written: bool  #: the hub writes it, too


def judge_files(files: Iterable[FileState], data: os.stat_result | None, uid: int) -> Diagnosis:
    """Judge whether the account of the hub, the owner of its data directory, may use its *files*.

    *uid*: the account that asks. Groups beside the owner's own are not looked up.
    """
    if data is None:
        found = phrase("the data directory is missing")
        return Diagnosis(
            "files", DiagnosisState.FAILED, found, phrase("make it, and give it to the account of the hub")
        )
    owner = _name_account(data.st_uid)
    unusable = [each.path for each in files if not _may_write(each, data)]
    if unusable:
        named = ", ".join(map(str, unusable[:_NAMED])) + (" …" if len(unusable) > _NAMED else "")
        found = phrase("{owner}, who owns the data, may not use {named}", owner=owner, named=named)
        return Diagnosis("files", DiagnosisState.FAILED, found, phrase("chown {owner} these files", owner=owner))
    if uid not in {0, data.st_uid}:
        found = phrase("the data belong to {owner}, not to {account}", owner=owner, account=_name_account(uid))
        return Diagnosis("files", DiagnosisState.FAILED, found, phrase("type the commands as {owner}", owner=owner))
    if data.st_mode & 0o007:
        found = phrase("others may look into the data directory")
        return Diagnosis("files", DiagnosisState.WARNING, found, phrase("chmod 700"))
    if data.st_uid == 0:
        found = phrase("the data belong to root, so the hub runs as root")
        return Diagnosis("files", DiagnosisState.WARNING, found, phrase("an account of its own: docs/howto/install.md"))
    return Diagnosis("files", DiagnosisState.OK, phrase("all files can be used by {owner}", owner=owner))


def _may_write(file: FileState, account: os.stat_result) -> bool:
    if account.st_uid == 0:
        return True
    wanted = 0o6 if file.written else 0o4
    shift = 6 if file.uid == account.st_uid else 3 if file.gid == account.st_gid else 0
    return (file.mode >> shift) & wanted == wanted


def _list_files(config: Config) -> Iterator[FileState]:
    home = config.path.parent
    read = [config.path, *(path for _, path in config.secrets if not is_credential(path))]
    for folder in ("partners", "officials", "trust"):
        read += sorted(path for path in (home / folder).glob("*") if path.is_file())
    read += sorted(path for path in (home / SECRETS).glob("*/*") if path.is_file())
    written = [path for path in config.data.glob("*") if path.is_file()]
    if file := find_sqlite_file(config.database_url):
        written += [Path(f"{file}{end}") for end in ("", "-wal", "-shm")]
    for path in dict.fromkeys([*read, *written]):
        found = _stat_or_none(path)
        if found is not None:
            yield FileState(path, found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), written=path in written)


def _stat_or_none(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _name_account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# --- certificate -----------------------------------------------------------------------------------------------------


def judge_hub_certificate(config: Config, now: datetime) -> Diagnosis:
    """Judge the name and the days of the certificate by which partners know the hub."""
    certificate = config.tls.certificate
    days = (certificate.not_valid_after_utc - now).days
    host = (urlsplit(config.public_url or "").hostname or "").lower()
    if config.sample:
        found = phrase("a certificate of a sample PKI is in use")
        return Diagnosis("certificate", DiagnosisState.WARNING, found, phrase("for production: init --production"))
    if host and not names_host(certificate, host):
        found = phrase("the certificate does not name {host}, the host of public-url", host=host)
        advice = phrase("a certificate with this name, or another public-url: partners refuse the connection")
        return Diagnosis("certificate", DiagnosisState.FAILED, found, advice)
    found = phrase("the certificate of the hub is valid for {days} days", days=days)
    if days < RENEWAL.days:
        return Diagnosis("certificate", DiagnosisState.WARNING, found, phrase("ask the CA for the next one now"))
    return Diagnosis("certificate", DiagnosisState.OK, found)


def judge_revocation(config: Config) -> Iterator[Diagnosis]:
    """Yield a warning for each trusted CA of which the hub knows neither a CRL nor where to ask."""
    known = {each.issuer for each in config.crls} | {each.issuer.subject for each in config.sources}
    for authority in config.authorities:
        if authority.subject not in known:
            found = phrase(
                "nothing tells which certificates of {ca} are revoked", ca=authority.subject.rfc4514_string()
            )
            advice = phrase(
                "`lienthong trust add FILE --crl-url URL`: a stolen key of a partner opens the hub until then"
            )
            yield Diagnosis("revocation", DiagnosisState.WARNING, found, advice)


def names_host(certificate: x509.Certificate, host: str) -> bool:
    """Tell whether *certificate* names *host*, a wildcard for the first label included (RFC 9525, 6.3)."""
    names = list_server_names(certificate)
    return host in names or f"*.{host.partition('.')[2]}" in names


# --- backup ----------------------------------------------------------------------------------------------------------


def judge_backup(last: datetime | None, now: datetime, settings: BackupSettings | None) -> Diagnosis:
    """Judge the moment of the newest backup that was tried; None: there is none. *settings*: those of `[backup]`."""
    if settings is None:
        return Diagnosis("backup", DiagnosisState.WARNING, phrase("no backup is set up here ([backup])"), _BACKUP)
    if last is None:
        return Diagnosis("backup", DiagnosisState.WARNING, phrase("there is no backup yet"), _BACKUP)
    found = phrase("the newest backup is of {at}", at=write_local_time(last))
    if now - last > find_longest_age(settings.every):
        return Diagnosis("backup", DiagnosisState.WARNING, found, _BACKUP)
    return Diagnosis("backup", DiagnosisState.OK, found)


_BACKUP = phrase("docs/howto/back-up.md")


def _find_last_backup(config: Config) -> datetime | None:
    """Return the moment of the newest backup. Return None if there is none, or its folder cannot be read."""
    try:
        found = find_last_backup(config.backup.folder) if config.backup is not None else None
    except OSError:
        return None
    return found.made_at if found is not None else None


# --- database --------------------------------------------------------------------------------------------------------


def examine_database(config: Config, clock: Callable[[], datetime]) -> tuple[list[Diagnosis], list[SeenNode] | None]:
    """Return the findings about the database, and the nodes in it; None if they cannot be read.

    A mistake that `check` names is not repeated here.
    """
    file = find_sqlite_file(config.database_url)
    engine = transactions.open_journal(config.database_url, password_file=config.password_file, pooled=False)
    try:
        if file is not None and not file.exists():
            return [], None
        with transactions.read_transaction(engine) as tx:
            here, there = clock(), nodes.read_node_time(tx, clock())
            found = [_describe_database(tx), *judge_server_clock(there - here)]
            if transactions.select_schema_version(tx) != transactions.read_latest_version():
                return found, None  # `check` says what to do; other tables and columns than these may be there
            return [*found, *_examine_archives(tx, config)], nodes.list_nodes(tx, here)
    except SQLAlchemyError as error:
        told = getattr(error, "orig", None) or error
        said = phrase("it does not answer: {error}", error=told)
        advice = _SERVER_AWAY if file is None else _FILE_DAMAGED
        return [Diagnosis("database", DiagnosisState.FAILED, said, advice)], None
    finally:
        engine.dispose()


_SERVER_AWAY = phrase("docs/howto/incident-book.md, The database server is away")
_FILE_DAMAGED = phrase("docs/howto/incident-book.md, The journal is damaged")


def _examine_archives(tx: sa.Connection, config: Config) -> Iterator[Diagnosis]:
    """Yield whether the archive files are there that the journal names, and no others, if there are some."""
    known = catalogue.list_archives(tx)
    absent = catalogue.list_absent_files(known, config.archive)
    unrecorded = catalogue.list_unrecorded_files(known, config.archive)
    if known or unrecorded:
        yield judge_archives(len(known), absent, unrecorded, config.archive)


def judge_archives(known: int, absent: Sequence[str], unrecorded: Sequence[str], folder: Path) -> Diagnosis:
    """Judge that of *known* archive files those named *absent* are not in *folder*, and those named *unrecorded* are too much."""
    if absent:
        found = phrase(
            "{count} archive files are not in {folder}: {names}",
            count=len(absent),
            folder=folder,
            names=_join_names(absent),
        )
        advice = phrase("put copies of them there: docs/howto/keep-and-let-go.md")
        return Diagnosis("archives", DiagnosisState.WARNING, found, advice)
    if unrecorded:
        found = phrase(
            "{count} archive files in {folder} are not in the journal: {names}",
            count=len(unrecorded),
            folder=folder,
            names=_join_names(unrecorded),
        )
        advice = phrase("`lienthong archive verify` says of each whether it may be deleted")
        return Diagnosis("archives", DiagnosisState.WARNING, found, advice)
    found = phrase(
        "{count} archive files are in {folder}; no backup has them: copy each to two places", count=known, folder=folder
    )
    return Diagnosis("archives", DiagnosisState.OK, found)


def _join_names(names: Sequence[str]) -> str:
    return ", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])])


def _describe_database(tx: sa.Connection) -> Diagnosis:
    name = "SQLite" if tx.dialect.name == "sqlite" else "PostgreSQL"
    query = "SELECT sqlite_version()" if tx.dialect.name == "sqlite" else "SHOW server_version"
    server = str(tx.exec_driver_sql(query).scalar()).split(" ")[0]
    schema = transactions.select_schema_version(tx) or "–"
    return Diagnosis(
        "database",
        DiagnosisState.OK,
        phrase("{name} {server}, schema {schema}", name=name, server=server, schema=schema),
    )


def judge_server_clock(ahead: timedelta) -> Iterator[Diagnosis]:
    """Yield a warning if the database server's clock is ahead or behind."""
    if abs(ahead) > _APART:
        found = phrase("the clock of the database server is {seconds} s apart", seconds=f"{ahead.total_seconds():+.1f}")
        yield Diagnosis("clock", DiagnosisState.WARNING, found, phrase("a time service on both machines"))
