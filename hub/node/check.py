"""Checks everything that must be right before the hub runs, and returns all mistakes at once. Changes nothing.

`lienthong check`, `twistd` at its start and a reload call the same function. A mistake stops them; a warning does not.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterable
from datetime import date, datetime
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

import attrs
from sqlalchemy.exc import SQLAlchemyError

import hub
from hub.config import Config, Listen, read_config
from hub.config import revocation_cache as heard
from hub.config.database import find_sqlite_file
from hub.config.partners.partner_files import find_secret_file, is_path
from hub.config.revocation_cache import RevocationAnswer
from hub.config.table import is_credential
from hub.domain.errors import ConfigurationFault, Mistake, Unready
from hub.domain.local_time import find_local_day
from hub.journal import unit_registry
from hub.keeping import eras, integrity
from hub.keeping.backups import claims, lineage
from hub.keeping.backups.witness import Witness
from hub.language.phrases import Phrase, phrase, verbatim
from hub.language.system_errors import name_system_error
from hub.node import consistency
from hub.node.contract_check import find_contract_mistakes
from hub.node.dry_run import rehearse_deliveries, rehearse_mapping
from hub.operations.accounts import second_factor
from hub.partner.adapter_settings import SECRET_FILE
from hub.report.form import book
from hub.report.form.basis_check import find_ending_bases, find_lapsed_bases
from hub.report.form.period import find_month_containing
from hub.report.glance.settings import read_glance
from hub.runtime import pidfile
from hub.runtime.private_files import list_open_files
from hub.security.encryption import KEY_EXPECTED
from hub.soap import wsdl
from hub.store import database_errors, move_marks, schema_version, transactions
from hub.units.province import Province
from hub.units.unit_index import UnitIndex

#: Where the hub's keys and those whom it trusts are.
_TRUST = frozenset({"pki", "trust"})


@attrs.frozen
class Findings:
    """The mistakes and warnings found in a configuration.

    *province* is set if the configuration and the registry agree.
    """

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...] = ()
    province: Province | None = None
    #: forms whose legal basis has ended: mistakes for whoever asks, but no decree stops the exchange of messages
    lapsed: tuple[Mistake, ...] = ()
    #: stored answers of CAs about revocation; the province's anchors use them already
    heard: tuple[RevocationAnswer, ...] = ()


def check_config(path: Path, now: datetime, *, starting: bool = False) -> Findings:
    """Check the configuration file *path* and everything that it refers to.

    If a hub already runs in the data directory, its ports may be in use. With *starting*, such a hub is a mistake.
    """
    aside: list[Mistake] = []
    try:
        config = read_config(path, set_aside=aside.extend, needs=())
    except ConfigurationFault as fault:
        return Findings((*aside, *fault.mistakes))
    config, flawed = _defined_services(config)
    wrong = frozenset(map(_find_part, aside))
    known = () if wrong & _TRUST else heard.load_revocation_answers(config, now)
    heard.set_revocation_answers(config, known)
    kept = list[Mistake]()
    units, mistakes = _check_journal(config, find_local_day(now), kept)
    mistakes = [*aside, *mistakes, *flawed, *_find_mistakes(config, now, wrong)]
    if not wrong & {"soap", "admin", "syslog"}:
        mistakes += _check_ports(config, starting=starting)
    warnings = [*_find_warnings(config, now, wrong), *kept]
    lapsed = tuple(_judge_bases(config, now, warnings)) if not wrong & {"reports", "services"} else ()
    for found, grave in _judge_config(config, now, wrong):
        (mistakes if grave else warnings).append(found)
    if units is None or aside:
        return Findings(tuple(mistakes), tuple(warnings), lapsed=lapsed)
    mistakes += consistency.find_routing_mistakes(config, units)
    province = Province.of(config, units)
    mistakes += consistency.find_report_mistakes(config, province.routes, find_local_day(now))
    if not mistakes:
        try:
            mistakes += rehearse_deliveries(province, wsdl.load_contract("documents"), now)
            for partner in config.partners.values():
                for found, grave in rehearse_mapping(config, partner, now):
                    (mistakes if grave else warnings).append(found)
        except Unready as unready:  # the token went away during the check
            mistakes.append(
                Mistake(
                    "hub.toml: pki.key", phrase("{detail}", detail=unready.problem.detail), phrase("a token that signs")
                )
            )
    return Findings(tuple(mistakes), tuple(warnings), province, lapsed, tuple(known))


def _find_part(mistake: Mistake) -> str:
    """Return the table of hub.toml, or the folder beside it, that the mistake is in."""
    file, _, key = mistake.path.partition(": ")
    return file.partition("/")[0] if "/" in file else key.partition(".")[0]


def _find_mistakes(config: Config, now: datetime, wrong: frozenset[str]) -> Iterable[Mistake]:
    """Yield the mistakes that reading the files does not show, but for those that may only follow from the parts *wrong*."""
    yield from _check_installation()
    yield from find_contract_mistakes()
    if not wrong & {"services", "lookups"}:
        yield from consistency.find_adapter_mistakes(config)
        yield from consistency.find_grant_mistakes(config)
    if not wrong & _TRUST:
        yield from consistency.find_identity_mistakes(config, now)
    yield from _check_feed(config)
    yield from _check_tracing(config)
    yield from _check_providers(config)
    if not wrong & {"reports", "services"}:
        yield from _check_reports(config)


def _find_warnings(config: Config, now: datetime, wrong: frozenset[str]) -> Iterable[Mistake]:
    if not wrong & _TRUST:
        yield from consistency.find_expiring_certificates(config, now)
        yield from consistency.find_weak_anchors(config)
    yield from consistency.find_official_certificate_flaws(config, now)
    yield from consistency.find_grant_warnings(config)
    yield from consistency.find_secret_warnings(config)
    yield from _check_secrets(config)


def _judge_config(config: Config, now: datetime, wrong: frozenset[str]) -> Iterable[tuple[Mistake, bool]]:
    """Yield what is a mistake or, without the flag, a warning."""
    yield from consistency.find_mapping_flaws(config)
    if not wrong & _TRUST:
        yield from _check_own_key(config)
        yield from consistency.find_partner_certificate_flaws(config, now)
        yield from consistency.check_revocations(config)


def _defined_services(config: Config) -> tuple[Config, list[Mistake]]:
    """Return the configuration with what the schemas of its services say, and the mistakes in their rules."""
    if not config.services:
        return config, []
    from hub.services.defined.schema_check import check_services  # a third of a second that few need

    services, mistakes = check_services(config.services)
    return attrs.evolve(config, services=services), mistakes


def _check_journal(config: Config, today: date, warnings: list[Mistake]) -> tuple[UnitIndex | None, list[Mistake]]:
    """Return the registry's units as of *today*, and the mistakes found. The units are None if they cannot be read.

    Add what is only to be warned of to *warnings*.
    """
    if not config.data.is_dir() or not os.access(config.data, os.W_OK | os.X_OK):
        expected = phrase("a directory that this account may write")
        return None, [
            Mistake("hub.toml: data", phrase("{data} does not exist or is not writable", data=config.data), expected)
        ]
    file = find_sqlite_file(config.database_url)
    if file is not None and (second := pidfile.find_second_hub(config.data, file)) is not None:
        return None, [second]
    # read before the journal: the witness of a running hub goes on, and what the transaction sees does not
    seen = Witness(config.witness_folder).read_last()
    engine = transactions.open_journal(config.database_url, password_file=config.password_file, pooled=False)
    try:
        with transactions.read_transaction(engine) as tx:
            mistakes = [
                Mistake("hub.toml: database.url", *problem) for problem in transactions.find_unsafe_settings(tx)
            ]
            if marked := move_marks.find_move_mark(tx):
                return None, [*mistakes, marked]
            found = transactions.select_schema_version(tx)
            if not schema_version.is_schema_supported(tx):
                return None, [*mistakes, consistency.find_version_mistake(found, schema_version.list_migration_steps())]
            mistakes += [integrity.describe_damage(found) for found in integrity.find_file_damage(tx, briefly=True)]
            if (back := lineage.find_put_back(tx, seen)) is not None:
                mistakes.append(_describe_put_back(back))
            mistakes += _find_replaced(config, tx)
            warnings += _find_unsealed_codes(config, tx)
            return unit_registry.read_unit_index(tx, today), mistakes
    except SQLAlchemyError as error:
        if database_errors.is_damage_error(error):
            return None, [integrity.describe_damage(verbatim(getattr(error, "orig", error)))]
        wrong = phrase("the database does not answer: {error}", error=getattr(error, "orig", None) or error)
        return None, [Mistake("hub.toml: database.url", wrong, phrase("a database that opens"))]
    finally:
        engine.dispose()


def _find_replaced(config: Config, tx: transactions.Transaction) -> Iterable[Mistake]:
    """Yield that another hub serves a later era of this journal, if it says so beside the backups."""
    try:
        claim = None if config.backup is None else claims.read_claim(config.backup.folder, config.province)
    except OSError:
        return  # the folder cannot be read: then there is no claim; the running hub says so in its log
    known = eras.list_eras(tx)
    if (found := claims.find_replacement(known[-1] if known else None, claim)) is not None:
        yield Mistake("hub.toml: backup.folder", found, phrase("leave this hub stopped (docs/howto/back-up.md)"))


def _describe_put_back(found: Phrase) -> Mistake:
    expected = phrase(
        "the journal that went on; if it is lost: `lienthong backup adopt --reason …` (docs/howto/back-up.md)"
    )
    return Mistake("hub.toml: database.url", found, expected)


def _check_installation() -> Iterable[Mistake]:
    """Check that the module `tap` is the hub's own. Other distributions use the names `hub` and `tap` too."""
    found, home = find_spec("tap"), Path(hub.__file__).parent.parent
    if found is None or found.origin is None or Path(found.origin).resolve().parent != home.resolve():
        wrong = phrase("`tap` is {origin}", origin=found.origin) if found else phrase("there is no module `tap`")
        yield Mistake(
            "installation",
            wrong,
            phrase("{home}: install lienthong in an environment of its own", home=home / "tap.py"),
        )


def _check_feed(config: Config) -> Iterable[Mistake]:
    if config.feed is not None and find_spec("pika") is None:
        yield Mistake("hub.toml: feed", phrase("pika is not installed"), phrase("pip install 'lienthong[amqp]'"))


def _check_tracing(config: Config) -> Iterable[Mistake]:
    if config.tracing is not None and find_spec("opentelemetry") is None:
        yield Mistake(
            "hub.toml: tracing", phrase("opentelemetry is not installed"), phrase("pip install 'lienthong[otel]'")
        )


def _check_providers(config: Config) -> Iterable[Mistake]:
    if config.console.providers and find_spec("joserfc") is None:
        yield Mistake(
            "hub.toml: console.providers", phrase("joserfc is not installed"), phrase("pip install 'lienthong[oidc]'")
        )


def _check_reports(config: Config) -> Iterable[Mistake]:
    """Return every mistake in the forms, in the calendar of working days and in what the page at a glance compares,
    including those shipped with the hub.
    """
    try:
        known = book.read_book(config.reports)
        _ = read_glance(config.reports.glance, known.forms)
    except ConfigurationFault as fault:
        return fault.mistakes
    return ()


def _judge_bases(config: Config, now: datetime, warnings: list[Mistake]) -> Iterable[Mistake]:
    """Yield each form whose legal basis has ended. Add to *warnings* what is about to end."""
    try:
        known = book.read_book(config.reports)
    except ConfigurationFault:
        return  # `_check_reports` tells it
    month = find_month_containing(now, known.cuts)
    warnings += find_ending_bases(known.forms, month, find_local_day(now))
    yield from find_lapsed_bases(known.forms, month)


def _check_own_key(config: Config) -> Iterable[tuple[Mistake, bool]]:
    for wrong, expected, grave in config.identity.prove():
        yield Mistake("hub.toml: pki.key", wrong, expected), grave


def _find_unsealed_codes(config: Config, tx: transactions.Transaction) -> Iterable[Mistake]:
    """Yield the accounts whose secrets of one-time codes can be read in the journal, or by nobody."""
    kept, place = second_factor.judge_secrets(tx, config.console.keys), "hub.toml: console.key-file"
    if kept.readable and not config.console.keys.safes:
        users = ", ".join(kept.readable)
        wrong = phrase("without a key, the secrets of codes of {users} stand readable in the journal", users=users)
        yield Mistake(place, wrong, KEY_EXPECTED)
    if kept.lost:
        wrong = phrase(
            "no key decrypts the secrets of codes of {users}: they cannot sign in", users=", ".join(kept.lost)
        )
        expected = phrase("the former key as former-key-file, or new codes by `lienthong users totp NAME`")
        yield Mistake(place, wrong, expected)


def _check_secrets(config: Config) -> Iterable[Mistake]:
    for file, found in list_open_files(config.data, find_sqlite_file(config.database_url)):
        expected = phrase("chmod 700") if stat.S_ISDIR(found.st_mode) else phrase("chmod 600")
        yield Mistake("hub.toml: data", phrase("{file} may be read by others", file=file), expected)
    for key, file in config.secrets:
        if not is_credential(file) and file.exists() and file.stat().st_mode & 0o077:
            expected = phrase("a file that only its owner may read: chmod 600")
            yield Mistake(f"hub.toml: {key}", phrase("{file} may be read by others", file=file), expected)
    for place, file in _list_partner_secrets(config):
        if file.is_file() and file.stat().st_mode & 0o077:
            expected = phrase("a file that only its owner may read: chmod 600")
            yield Mistake(place, phrase("{file} may be read by others", file=file), expected)


def _list_partner_secrets(config: Config) -> Iterable[tuple[str, Path]]:
    """Yield the place and the file of each secret in the folder of a partner's secrets."""
    for partner in config.partners.values():
        for name, written in partner.secret_files.items():
            if not is_path(written):
                place = f"partners/{partner.code}.toml: settings.{name}{SECRET_FILE}"
                yield place, find_secret_file(config.path.parent, partner.code, written)


def _check_ports(config: Config, *, starting: bool) -> Iterable[Mistake]:
    pid = pidfile.find_live_pid(config.data)
    if pid and starting:
        yield Mistake(
            "hub.toml: data",
            phrase("a hub runs in {data} already (pid {pid})", data=config.data, pid=pid),
            phrase("one hub per data directory"),
        )
    if pid:
        return
    for key, listen in config.listens:
        if listen.endpoint:
            continue  # systemd holds it, and the start judges what it passes
        error = _port_error(listen)
        if error == errno.EADDRINUSE:
            wrong = phrase("{port} on {host} is held by another process", port=listen.port, host=listen.host)
            yield Mistake(f"hub.toml: {key}.port", wrong, phrase("a free port"))
        elif error:
            place, reason = f"{listen.host}:{listen.port}", name_system_error(OSError(error, os.strerror(error)))
            wrong = phrase("{file}: {reason}", file=place, reason=reason)
            yield Mistake(f"hub.toml: {key}.host", wrong, phrase("an address of this machine"))


def _port_error(listen: Listen) -> int | None:
    family = socket.AF_INET6 if ip_address(listen.host).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Twisted sets it
        try:
            listening.bind((listen.host, listen.port))
            listening.listen(1)
        except OSError as error:
            return error.errno
    return None
