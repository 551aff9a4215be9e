"""`lienthong users`: manages the users of the console, their roles and limits, and their sessions."""

import getpass
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click
from cryptography import x509

from hub.cli import person
from hub.cli.carrying import carry_out, stop_refused
from hub.cli.journal import open_journal, read_journal_config, read_view_config
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, say, say_count, t
from hub.cli.words import say_filter_word
from hub.config import Config, files
from hub.domain.errors import Rejected
from hub.operations.accounts import (
    accounts,
    client_certificates,
    desk,
    passwords,
    provider_accounts,
    second_factor,
    sessions,
)
from hub.operations.accounts import users as people
from hub.operations.accounts.account_operations import CHANGE, SET_CODES, TOPIC, Account, AccountChange, AccountCodes
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.provider_accounts import ProviderPerson
from hub.operations.accounts.users import NameUnfit, User, normalise_user_name
from hub.security.anchors import Purpose
from hub.security.certificates import hash_certificate
from hub.security.id_token import LONGEST_SUBJECT
from hub.store import transactions


def add_console_user(
    screen: Screen,
    name: str,
    role: str,
    units: tuple[str, ...],
    partners: tuple[str, ...],
    password_file: Path | None,
    once: bool,
) -> None:
    now, config, by = datetime.now(UTC), read_journal_config(screen), person.name_person()
    try:
        user = desk.make_user(name, Role(role), units, partners, now)
        with open_journal(config) as engine:
            with transactions.read_transaction(engine) as tx:
                taken = people.find_user(tx, user.name) is not None
                accounts.require_known_limits(tx, user.units, user.partners, config.partners)
            password, hashed = ("", "") if taken else choose_password(user.name, password_file, once=once)
            user = attrs.evolve(user, must_change=once)
            with transactions.write_transaction(engine) as tx:
                accounts.make_account(tx, user, hashed, configured=config.partners, by=by, now=now)
    except accounts.AccountRefused as refused:
        stop_refused(TOPIC, refused)
    show_password(screen, {**_describe_user(user)}, t("Added {name}.", name=user.name), password)


def set_console_user(
    screen: Screen, name: str, role: str | None, units: tuple[str, ...], partners: tuple[str, ...]
) -> None:
    if role is None and not units and not partners:
        raise click.UsageError(t("give --role, --unit or --partner"))
    asked = AccountChange(role=Role(role) if role else None, units=units, partners=partners)

    changed: Account = carry_out(screen, TOPIC, CHANGE, name, asked)
    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        persons = provider_accounts.list_persons(tx, changed.name).get(changed.name, ())
    row = _describe_user(changed, totp=changed.codes, certificates=changed.certificates, persons=persons)
    screen.row(row, t("Changed {name}.", name=changed.name))


def list_users(screen: Screen) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found, coded = people.list_users(tx), second_factor.list_users_with_codes(tx)
        certified, persons = client_certificates.list_certificates(tx), provider_accounts.list_persons(tx)
    titles = {
        "name": t("name"),
        "role": t("role"),
        "units": t("units"),
        "partners": t("partners"),
        "totp": t("one-time codes"),
        "changed_at": t("password set"),
        "signed_in_at": t("last sign-in"),
        "locked_at": t("locked since"),
    }
    rows: Iterable[Mapping[str, object]] = (
        _describe_user(
            user,
            totp=user.name in coded,
            certificates=certified.get(user.name, ()),
            persons=persons.get(user.name, ()),
        )
        for user in found
    )
    if not screen.json:
        yes = t("yes")
        rows = (
            {**row, "role": say_filter_word("role", row["role"]), "totp": yes if row["totp"] else ""} for row in rows
        )
    if not screen.table(titles, rows) and not screen.json:
        screen.note(t("There is no user yet: lienthong users add"))


def set_user_password(screen: Screen, name: str, password_file: Path | None, once: bool) -> None:
    name = _read_person_name(name)
    with open_journal(read_journal_config(screen)) as engine:
        with transactions.read_transaction(engine) as tx:
            _must_be(people.find_user(tx, name) is not None, name)
        password, hashed = choose_password(name, password_file, once=once)
        with transactions.write_transaction(engine) as tx:
            by, now = person.name_person(), datetime.now(UTC)
            _must_be(people.change_password(tx, name, hashed, by=by, now=now, must_change=once), name)
    show_password(screen, {"name": name}, t("Changed the password of {name}.", name=name), password)


def choose_password(name: str, file: Path | None, *, once: bool) -> tuple[str, str]:
    """Return a new one-time password, or an empty text, and the hash of the password that is set."""
    if not once:
        return "", _hash_given_password(name, file)
    if file is not None:
        raise click.UsageError(t("give either --password-file or --one-time"))
    password = passwords.write_one_time_password(secrets.token_bytes(16))
    return password, passwords.hash_password(password, secrets.token_bytes(16))


def show_password(screen: Screen, row: Mapping[str, object], said: str, password: str) -> None:
    """Print what was done, and a one-time password if one was made."""
    if not password:
        screen.row(row, said)
        return
    screen.row({**row, "password": password}, password)
    screen.note(said)
    screen.note(t("Keep the password now: it cannot be shown again. It must be changed at the next sign-in."))


def set_one_time_codes(screen: Screen, name: str, remove: bool) -> None:
    name = _read_person_name(name)
    if remove:
        with open_journal(read_journal_config(screen)) as engine, transactions.write_transaction(engine) as tx:
            if not second_factor.remove_codes(tx, name, by=person.name_person(), now=datetime.now(UTC)):
                raise CommandStop(t("there is no user {name} with one-time codes", name=name), NOT_FOUND)
        screen.row({"name": name}, t("{name} signs in without codes.", name=name))
        return

    made: AccountCodes = carry_out(screen, TOPIC, SET_CODES, name)
    said = t(
        "Type this secret into the app of {name}, or show the address as a QR code. It is not shown again.", name=name
    )
    screen.row({"name": name, "secret": made.secret, "uri": made.uri}, f"{said}\n{made.secret}\n{made.uri}")


def set_client_certificate(screen: Screen, name: str, file: Path, remove: bool) -> None:
    def wrong(what: object, _expected: object) -> None:
        raise CommandStop(say(what))

    name, config, now = _read_person_name(name), read_journal_config(screen), datetime.now(UTC)
    shown = files.read_certificate_file(file, wrong)
    sha256, by = hash_certificate(shown[0]), person.name_person()
    with open_journal(config) as engine, transactions.write_transaction(engine) as tx:
        step = client_certificates.remove_certificate if remove else client_certificates.add_certificate
        done = step(tx, name, sha256, by=by, now=now)
    if not done and remove:
        raise CommandStop(t("{name} does not sign in by the certificate {sha256}", name=name, sha256=sha256), NOT_FOUND)
    if not done:
        raise CommandStop(
            t("there is no user {name}, or the certificate {sha256} signs in another one", name=name, sha256=sha256),
            NOT_FOUND,
        )
    said = {"name": name, "certificate": sha256}
    if remove:
        screen.row(said, t("{name} signs in by this certificate no longer.", name=name))
        return
    _warn_of_certificate(screen, config, shown, now)
    screen.row(said, t("{name} signs in by the certificate {sha256}.", name=name, sha256=sha256))


def _warn_of_certificate(screen: Screen, config: Config, shown: Sequence[x509.Certificate], now: datetime) -> None:
    """Say why the hub would not accept a certificate now, as far as the configuration shows it."""
    if not config.console.client_certificates:
        screen.note(t("Warning: `[console] client-certificates` is off: no browser is asked for a certificate."))
    try:
        config.anchors.check(shown[0], now, shown[1:], purpose=Purpose.CLIENT)
    except Rejected as rejected:
        screen.note(t("Warning: the hub does not accept this certificate: {why}", why=str(rejected)))


def set_openid_person(screen: Screen, name: str, provider: str, subject: str, remove: bool) -> None:
    name, config, now, by = (
        _read_person_name(name),
        read_journal_config(screen),
        datetime.now(UTC),
        person.name_person(),
    )
    known = config.console.providers.get(provider)
    if known is None and not remove:
        names = ", ".join(config.console.providers) or "–"
        said = t("there is no provider {name}; `[console.providers]` has: {names}", name=repr(provider), names=names)
        raise CommandStop(said, NOT_FOUND)
    if not (0 < len(subject) <= LONGEST_SUBJECT and subject.isprintable()):
        raise click.UsageError(t("SUBJECT has 1 to {longest} printable characters", longest=LONGEST_SUBJECT))
    issuer = known.issuer if known else provider
    with open_journal(config) as engine, transactions.write_transaction(engine) as tx:
        if remove:
            done = provider_accounts.unbind_person(tx, name, issuer, subject, by=by, now=now)
        else:
            bound = ProviderPerson(issuer, known.claim if known else "", subject)
            done = provider_accounts.bind_person(tx, name, bound, by=by, now=now)
    if not done and remove:
        wrong = t("{name} does not sign in as {subject} at {issuer}", name=name, subject=subject, issuer=issuer)
        raise CommandStop(wrong, NOT_FOUND)
    if not done:
        wrong = t("there is no user {name}, or {subject} signs in another one", name=name, subject=subject)
        raise CommandStop(wrong, NOT_FOUND)
    row = {"name": name, "issuer": issuer, "subject": subject}
    if remove:
        screen.row(row, t("{name} signs in as {subject} at {issuer} no longer.", **row))
        return
    screen.row(row, t("{name} signs in as {subject} at {issuer}.", **row))


def list_sessions(screen: Screen, name: str | None, end: bool) -> None:
    if end and name is None:
        raise click.UsageError(t("--end needs NAME"))
    name, now = None if name is None else _read_person_name(name), datetime.now(UTC)
    with open_journal(read_journal_config(screen)) as engine:
        with transactions.read_transaction(engine) as tx:
            if name is not None:
                _must_be(people.find_user(tx, name) is not None, name)
            found = sessions.list_sessions(tx, now, name)
        if end and name is not None:
            with transactions.write_transaction(engine) as tx:
                ended = sessions.end_user_sessions(tx, name, by=person.name_person(), now=now)
            said = {"name": name, "ended": ended}
            screen.row(said, t("Ended {ended} sessions of {name}.", ended=say_count(ended), name=name))
            return
    rows = (
        {
            "name": each.user.name,
            "address": each.address,
            "begun_at": each.begun_at,
            "seen_at": each.seen_at,
            "until": each.until,
        }
        for each in found
    )
    titles = {
        "name": t("name"),
        "address": t("address"),
        "begun_at": t("signed in"),
        "seen_at": t("last used"),
    }
    if not screen.table(titles, rows) and not screen.json:
        screen.note(t("Nobody is signed in."))


def _read_person_name(text: str) -> str:
    try:
        return normalise_user_name(text)
    except NameUnfit:
        said = t("{name} is not a valid name: letters a to z, digits, . _ @ -", name=repr(text))
        raise click.UsageError(said) from None


def _must_be(there: bool, name: str) -> None:
    if not there:
        raise _make_absent(name)


def _make_absent(name: str) -> CommandStop:
    return CommandStop(t("there is no user {name}", name=name), NOT_FOUND)


def _hash_given_password(name: str, file: Path | None) -> str:
    """Return the hash of the password in *file*, or of the password typed twice."""
    if file is not None:
        given = file.read_text("utf-8").rstrip("\r\n")
    elif sys.stdin.isatty():
        given = getpass.getpass(t("Password: "))
        if given != getpass.getpass(t("Again: ")):
            raise CommandStop(t("the two passwords differ"))
    else:
        raise click.UsageError(t("--password-file is needed"))
    try:
        passwords.check_password(given, name)
    except passwords.PasswordUnfit as unfit:
        raise CommandStop(say(unfit.reason)) from None
    return passwords.hash_password(given, secrets.token_bytes(16))


def _describe_user(
    user: User | Account,
    *,
    totp: bool = False,
    certificates: Sequence[str] = (),
    persons: Sequence[ProviderPerson] = (),
) -> Mapping[str, object]:
    keys = ("name", "role", "units", "partners", "added_at", "changed_at", "must_change", "locked_at", "signed_in_at")
    more = {"totp": totp, "certificates": list(certificates), "openid": [each.tell() for each in persons]}
    return {key: getattr(user, key) for key in keys} | more
