"""Reads `[backup]`: where backups are written, to whose public keys, when, and what is in them. Opens no backup."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import attrs

from hub.config import database
from hub.config.table import ConfigTable
from hub.language.phrases import phrase
from hub.partner.policy import DURATION_EXPECTED, parse_duration
from hub.security.age_files import Recipient, parse_recipient

_EVERY, _LEAST, _MOST = timedelta(days=1), timedelta(minutes=5), timedelta(days=31)
_AT, _KEEP, _MOST_KEPT = "01:00", 14, 10_000
_AT_EXPECTED = phrase('an hour of the day in Hà Nội, such as "01:00"')
_RECIPIENT_EXPECTED = phrase("public keys as `age-keygen -y` prints them: age1…")


@attrs.frozen(kw_only=True)
class BackupSettings:
    """How the hub is backed up."""

    folder: Path  #: where the backups lie
    recipients: tuple[Recipient, ...]  #: the public keys to which each is encrypted
    every: timedelta | None  #: time between two backups; None: only `lienthong backup run` makes one
    at: timedelta  #: time of the day in Hà Nội from which `every` counts
    keep: int  #: backups that are kept; older ones are removed
    configuration: bool  #: whether the files beside hub.toml are in it
    keys: bool  #: whether private keys and password files are in it
    #: the words of the program that brings a file elsewhere, with `{file}` and `{name}`; empty: none is called
    send: tuple[str, ...] = ()
    trial_url: str | None = None  #: PostgreSQL: the database into which a backup is restored to try it
    programs: Path | None = None  #: PostgreSQL: the folder of pg_dump and pg_restore; None: the system's newest


def find_longest_age(every: timedelta | None) -> timedelta:
    """Return the age beyond which the last good backup is too old: twice the interval; a week, where only persons make them."""
    return 2 * every if every else timedelta(days=7)


def read_backup_settings(table: ConfigTable, home: Path) -> tuple[BackupSettings | None, Path | None, bool]:
    """Return the settings of `[backup]`, None without `folder`; the folder of the node's witness, if given; and whether
    a receipt leaves only after the witness has it.

    Paths are relative to *home*.
    """
    folder, witness = table.text("folder", ""), table.text("witness", "")
    first = table.flag("witness-first", default=False)
    return _read_settings(table, home, folder), (home / witness if witness else None), first


def _read_settings(table: ConfigTable, home: Path, folder: str) -> BackupSettings | None:
    names = table.texts("recipients", ())
    every, at = _read_backup_interval(table), _read_backup_time(table)
    keep = table.number("keep", _KEEP, least=1, most=_MOST_KEPT)
    configuration = table.flag("configuration", default=True)
    keys = table.flag("keys", default=False)
    send = table.texts("send", ())
    trial, programs = table.text("trial-database", ""), table.text("programs", "")
    table.close()
    recipients = []
    for name in names:
        try:
            recipients.append(parse_recipient(name))
        except ValueError as error:
            table.wrong(
                "recipients",
                phrase("{name} does not fit: {error}", name=f"{name[:16]}…", error=error),
                _RECIPIENT_EXPECTED,
            )
    if not folder:
        if names and not table.given("folder"):
            table.wrong("folder", phrase("is missing"), phrase("the folder in which backups are written"))
        return None
    if not names:
        table.wrong("recipients", phrase("is missing"), _RECIPIENT_EXPECTED)
    if send and not any("{file}" in word for word in send):
        expected = phrase('words with "{word}", such as ["scp", "{word}", "x:"]', word="{file}")
        table.wrong("send", phrase("it names no file"), expected)
    if keys and not configuration:
        table.wrong("keys", phrase("is set although configuration = false"), phrase("keys = false"))
    trial_url = None
    if trial:
        try:
            trial_url = database.parse_database_url(trial, home)
        except database.DatabaseUrlUnfit as unfit:
            table.wrong("trial-database", *unfit.args)
        if trial_url and trial_url.startswith("sqlite"):
            table.wrong("trial-database", phrase("it is not PostgreSQL"), phrase("postgresql://…, a database to try"))
    return BackupSettings(
        folder=(home / folder).resolve(),
        recipients=tuple(recipients),
        every=every,
        at=at,
        keep=keep,
        configuration=configuration,
        keys=keys,
        send=send,
        trial_url=trial_url,
        programs=home / programs if programs else None,
    )


def _read_backup_interval(table: ConfigTable) -> timedelta | None:
    text = table.text("every", "1d", like="never|[0-9]{1,6}(m|h|d)", expected=DURATION_EXPECTED)
    if text == "never":
        return None
    every = parse_duration(text) if text else _EVERY
    if not _LEAST <= every <= _MOST:
        table.wrong("every", phrase("{value} does not fit", value=repr(text)), phrase("from 5m to 31d, or never"))
    return every


def _read_backup_time(table: ConfigTable) -> timedelta:
    text = table.text("at", _AT, like="([01][0-9]|2[0-3]):[0-5][0-9]", expected=_AT_EXPECTED) or _AT
    hours, minutes = map(int, re.split(":", text))
    return timedelta(hours=hours, minutes=minutes)


def list_secret_files(home: Path, content: Mapping[str, object]) -> set[Path]:
    """Return the files that the tables of *content*, a TOML file, name by keys that mean a secret: `key`, `*-file`."""
    found: set[Path] = set()
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= list_secret_files(home, value)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, Mapping):
                    found |= list_secret_files(home, each)
        elif isinstance(value, str) and (key in {"key", "tls-key"} or key.endswith("-file")):
            found.add((home / value).resolve())
    return found
