"""`lienthong archive`: lists the archive files, verifies them, and shows and extracts the messages in them.

Contains the wording only. `hub.keeping.archive` reads the files.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

import attrs
import click

from hub.audit.seals import AuditTrust
from hub.cli.journal import open_journal, read_journal_config, read_view_config
from hub.cli.monitoring.events import print_events
from hub.cli.opened_content import record_openings
from hub.cli.person import name_person
from hub.cli.screen import (
    FAILED,
    NOT_FOUND,
    OK,
    UNAVAILABLE,
    CommandStop,
    Screen,
    exit_command,
    progress_bar,
    say,
    say_count,
    t,
)
from hub.cli.words import say_value
from hub.config import Config
from hub.domain.model import Message
from hub.keeping.archive import catalogue, giving_up, opening
from hub.keeping.archive.archived import NoArchive
from hub.keeping.archive.catalogue import ArchiveAbsent, ArchiveEntry
from hub.keeping.archive.giving_up import LostFile
from hub.keeping.archive.reading import Archive, audit_archive_file, open_archive
from hub.keeping.archive.unrecorded import judge_unrecorded_file
from hub.keeping.retention.parts import PartMoved
from hub.language.system_errors import name_system_error
from hub.operations.messages.visible_messages import OpenedContent
from hub.report.counting.lines import write_compact_json
from hub.security.anchors import Anchors
from hub.store import transactions
from hub.store.transactions import Transaction


def list_archive_files(screen: Screen, limit: int, before: str | None) -> None:
    config = read_view_config(screen, "archive")
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        found = catalogue.list_archives(tx, limit, before)
    rows = [_write_entry(each, config) for each in found]
    columns = {
        "id": t("id"),
        "period": t("month"),
        "messages": t("messages"),
        "events": t("events"),
        "size": t("octets"),
        "made_at": t("made"),
        "file": t("file"),
    }
    if not screen.json:
        rows = [row | {"file": row["file"] or t("absent: {name}", name=row["name"])} for row in rows]
    if not screen.table(columns, rows) and not screen.json:
        screen.note(t("There is no archive file yet."))


def _write_entry(entry: ArchiveEntry, config: Config) -> dict[str, object]:
    place = entry.find_file(config.archive)
    return attrs.asdict(entry) | {"name": entry.name, "file": None if place is None else str(place)}


def verify_archive_files(screen: Screen, archives: Sequence[str]) -> None:
    config = read_view_config(screen, "archive")
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        found = [_find_entry(tx, name) for name in archives] if archives else catalogue.list_archives(tx)
        for name in [] if archives else catalogue.list_unrecorded_files(found, config.archive):
            _judge_unrecorded(screen, tx, config, found, name)
    wrong = 0
    for entry in found:
        problems = list(_find_problems(entry, config))
        wrong += bool(problems)
        fields = {"id": entry.id, "name": entry.name, "holds": not problems, "problems": problems, "recorded": True}
        word = click.style(t("FALSE"), fg="red") if problems else click.style(t("HOLDS"), fg="green")
        screen.row(fields, "\n".join([f"{word}  {entry.name}", *(f"       {each}" for each in problems)]))
    if not screen.json:
        screen.note(t("{count} archive files, {wrong} wrong", count=say_count(len(found)), wrong=say_count(wrong)))
    exit_command(FAILED if wrong else OK)


def _judge_unrecorded(
    screen: Screen, tx: Transaction, config: Config, known: Sequence[ArchiveEntry], name: str
) -> None:
    """Say of the file *name* of the folder, which is none of those *known*, whether anything in it is nowhere else."""
    fields: dict[str, object] = {"id": None, "name": name, "holds": None, "problems": [], "recorded": False}
    said = t("{name} is in the folder, but not in the journal.", name=name)
    try:
        with open_archive(config.archive / name) as archive:
            content = judge_unrecorded_file(tx, archive, known, config.archive)
    except (OSError, NoArchive) as error:
        why = t("It cannot be read: {error}", error=str(error))
        screen.row(fields | {"problems": [str(error)], "count": None, "alone": None}, f"{said} {why}")
        return
    counts = {"count": say_count(content.count), "alone": say_count(content.alone)}
    why = (
        t(
            "Only it has {alone} of the {count} messages and events in it: keep it. It is another hub's, or the journal "
            "was put back from an older backup, or the file that has them is absent.",
            **counts,
        )
        if content.alone
        else t(
            "All {count} messages and events in it are in the journal, or went with other files that are there: it may be "
            "deleted. Writing it was interrupted, or it was given up.",
            **counts,
        )
    )
    screen.row(fields | attrs.asdict(content), f"{said} {why}")


def _find_problems(entry: ArchiveEntry, config: Config) -> Iterator[str]:
    """Yield what is wrong with the file of *entry*: it is absent, it is not the one that was written, or it is not whole."""
    path = entry.find_file(config.archive)
    if path is None:
        yield t("the file is absent")
        return
    # without CRLs, as `lienthong verify`: those of today say nothing about the time of sealing
    trust = AuditTrust(anchors=Anchors(config.authorities), now=datetime.now(UTC))
    try:
        with path.open("rb") as file, progress_bar(t("Checking")) as tell:
            if file_digest(file, "sha256").hexdigest() != entry.sha256:
                yield t("its SHA-256 is not that of the file that was written")
            file.seek(0)
            for each in audit_archive_file(file, path, trust, tell):
                if each.holds is False:
                    yield f"{each.check}: {each.place}: {say(each.text)}"
    except OSError as error:
        yield str(error)


def show_archive_file(screen: Screen, archive: str, listed: bool, others: bool) -> None:
    with _open_archive(screen, archive) as found:
        said = found.manifest
        fields = {
            "id": said.id,
            "period": said.period,
            "made_at": said.made_at,
            "schema": said.version,
            **attrs.asdict(said.counts),
            "first_message": said.messages[0] or None,
            "last_message": said.messages[1] or None,
            "first_number": said.numbers[0] or None,
            "last_number": said.numbers[1] or None,
            "file": str(found.path),
        }
        screen.row(fields, "" if screen.json else _say_fields(fields))
        if listed:
            columns = {
                "id": t("id"),
                "received_at": t("received"),
                "partner": t("partner"),
                "message_id": t("message id"),
                "state": t("state"),
                "subject": t("subject"),
            }
            _ = screen.table(columns, _list_messages(found))
        if others:
            print_events(screen, (json.loads(each.text) for each in found.other_events()))


def _say_fields(fields: dict[str, object]) -> str:
    titles = {
        "id": t("id"),
        "period": t("month"),
        "made_at": t("made"),
        "schema": t("version of the tables"),
        "messages": t("messages"),
        "deliveries": t("deliveries"),
        "attempts": t("attempts"),
        "events": t("events"),
        "others": t("events of no message in it"),
        "octets": t("contents"),
        "first_message": t("first message"),
        "last_message": t("last message"),
        "first_number": t("lowest number of an event"),
        "last_number": t("highest number of an event"),
        "file": t("file"),
    }
    lines = [(titles[key], say_value(key, value)) for key, value in fields.items() if value is not None]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in lines)


def _list_messages(found: Archive) -> Iterator[dict[str, object]]:
    names = ("id", "received_at", "partner", "message_id", "service", "kind", "state", "sender", "subject", "sha256")
    for each in found.messages():
        yield {name: each.row[name] for name in names} | {"size": each.row["size"], "octets": each.has_octets}


def extract_message(screen: Screen, archive: str, message: str, directory: Path) -> None:
    with _open_archive(screen, archive) as found:
        try:
            one = found.read_message(message)
        except KeyError:
            raise CommandStop(
                t("no message {message} in {path}", message=message, path=found.path), NOT_FOUND
            ) from None
        with open_journal(read_journal_config(screen)) as engine:
            record_openings(engine, [(one.id, OpenedContent.BYTES, "")])
        try:
            directory.mkdir(parents=True, exist_ok=True)
            written = list(_extract_message(found, message, directory))
        except OSError as error:
            raise CommandStop(
                t("cannot write {place}: {strerror}", place=directory, strerror=name_system_error(error))
            ) from None
    screen.row({"id": one.id, "files": [str(each) for each in written]}, "\n".join(map(str, written)))


def _extract_message(found: Archive, message: str, directory: Path) -> Iterator[Path]:
    """Write the files of one message, each only if there is no such file. Yield each."""
    one, line = found.read_message(message), found.read_message_lines([message])[message]
    with _new_file(directory / f"{message}.json") as (path, write):
        write(write_compact_json({**line, "events": [attrs.asdict(each) for each in found.read_events(message)]}))
    yield path
    if one.has_octets:
        with _new_file(directory / f"{message}.octets") as (path, write):
            for piece in found.read_octets(one.row["sha256"]):
                write(piece)
        yield path
    if one.row["receipt"] is not None:
        with _new_file(directory / f"{message}.receipt.xml") as (path, write):
            write(one.row["receipt"])
        yield path


@contextmanager
def _new_file(path: Path) -> Iterator[tuple[Path, Callable[[bytes], object]]]:
    """Yield the new file *path*, which only this user can read, and the function that writes to it."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        yield path, file.write


@contextmanager
def _open_archive(screen: Screen, name: str) -> Iterator[Archive]:
    """Yield the open archive *name*. Raises `CommandStop` 4 if it is not known, 1 if its file is absent or damaged."""
    config = read_view_config(screen, "archive")
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        entry = _find_entry(tx, name)
    try:
        with catalogue.open_entry(entry, config.archive) as found:
            yield found
    except catalogue.ArchiveAbsent as absent:
        raise CommandStop(say_absent(absent, config)) from None
    except NoArchive as damaged:
        raise CommandStop(t("the archive file is damaged: {error}", error=str(damaged))) from None


@contextmanager
def stop_without_archive(config: Config) -> Iterator[None]:
    """Raise `CommandStop` 1, which names the file, if the block needs an archive file that is not there or damaged."""
    try:
        yield
    except ArchiveAbsent as absent:
        raise CommandStop(say_absent(absent, config)) from None


@contextmanager
def open_kept_rows(tx: Transaction, message: Message, config: Config, *, octets: bool = False) -> Iterator[Transaction]:
    """Yield where the rows of *message* are read: the journal, or what it and archive files have together.

    *octets*: its bytes, too, if they are not very large. Raises `CommandStop` 1.
    """
    with (
        stop_without_archive(config),
        opening.open_kept_message(tx, message.id, config.archive, octets=octets) as kept,
    ):
        yield kept


def say_absent(absent: ArchiveAbsent, config: Config) -> str:
    """Return what to do when an archive file is needed and not there, or cannot be read."""
    if absent.why:
        return t("the archive file {name} cannot be read: {why}", name=absent.entry.name, why=absent.why)
    return t(
        "the archive file {name} is not there; put it into {folder} (its SHA-256: {sha256})",
        name=absent.entry.name,
        folder=config.archive,
        sha256=absent.entry.sha256,
    )


def _find_entry(tx: Transaction, name: str) -> ArchiveEntry:
    try:
        return catalogue.read_archive_entry(tx, name)
    except KeyError:
        raise CommandStop(
            t("there is no archive file {name}; `lienthong archive list` shows all", name=name), NOT_FOUND
        ) from None


def give_up_archive_file(screen: Screen, archive: str, reason: str, yes: bool) -> None:
    config = read_journal_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            entry = _find_entry(tx, archive)
            lost = _read_lost_file(tx, entry)
        fault = giving_up.find_fault(entry, config.archive)
        if not fault:
            raise CommandStop(t("{name} is whole: its part goes on with it", name=entry.name))
        screen.note(fault)
        if yes:
            try:
                with transactions.write_transaction(engine) as tx:
                    giving_up.give_up_file(tx, entry, by=name_person(), reason=reason, now=datetime.now(UTC))
            except PartMoved:
                raise CommandStop(t("another process is at it"), UNAVAILABLE) from None
    said = {"name": entry.name, "month": lost.part.month, "gone": say_count(lost.gone)}
    text = (
        t("{month}: nothing has gone with {name}; all of it goes into another file", **said)
        if lost.is_unused
        else t("{month}: {gone} messages have gone, and only {name} has them; the rest goes into another file", **said)
    )
    fields = {"id": entry.id, "name": entry.name, "part": lost.part.number, "month": lost.part.month, "gone": lost.gone}
    screen.row(fields | {"unused": lost.is_unused, "given_up": yes}, text)


def _read_lost_file(tx: Transaction, entry: ArchiveEntry) -> LostFile:
    try:
        return giving_up.read_lost_file(tx, entry)
    except giving_up.FileNeeded as needed:
        raise CommandStop(f"{entry.name}: {say(needed.why)}") from None
