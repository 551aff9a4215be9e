"""Writes one archive file from the journal: a part of a month, with everything that is known of its messages.

Knows the rows of messages, and the format of the file. Does not choose what goes, deletes nothing, and takes no lock.

The file counts only after it was synced to the disk and read back from there: `write_archive` raises, and leaves no file,
if that fails. Memory: some hundred octets per message and event, 60 MB for a full file. All is read in one transaction; while it is open, SQLite
cannot shorten its WAL, so a file is bounded (`MOST_MESSAGES`, `most_octets`).
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Any

import attrs
import sqlalchemy as sa

from hub.config.durable_files import hold_workplace, sync_folder
from hub.domain.ids import make_id
from hub.formats.zip_archive import LARGEST, Packing
from hub.journal import blobs, events
from hub.keeping.archive import archived, manifest, reading
from hub.keeping.archive.manifest import (  # fmt: skip
    EVENTS,
    EXCHANGES,
    FORMS,
    MANIFEST,
    MESSAGES,
    MIMETYPE,
    MOST_EVENTS,
    MOST_LINES,
    MOST_MESSAGES,
    OTHERS,
    SIGNERS,
    TYPE,
    ArchiveCounts,
    ArchiveManifest,
)
from hub.keeping.archive.rows import write_row_values
from hub.report.counting.lines import write_compact_json
from hub.security import kept_envelopes, signing
from hub.security.certificates import Signer
from hub.store import transactions
from hub.store.tables import attempt, change, content, delivery, envelope_form, event, exchange, message, signer
from hub.store.transactions import Transaction

#: Octets of messages in one file, before compression. The last message may exceed them.
MOST_OCTETS = 2 << 30
#: Messages that one query reads. Lines of a member, at most.
_TOGETHER, _LINES = 100, 200
#: Events that one query reads, of one message or several.
_EVENTS = 2000


class ArchiveBroken(Exception):
    """A new archive file does not read back as it was written, or would not verify. The text says what is wrong."""


@attrs.frozen(kw_only=True)
class ArchiveChoice:
    """What goes into archive files."""

    period: str  #: the calendar month in which the messages were received, such as `2026-08`
    messages: Sequence[str] = ()  #: hub ids, in their order
    #: serials of events of none of these messages, in their order; also those of refused calls
    others: Sequence[int] = ()


@attrs.frozen(kw_only=True)
class ArchiveRecord:
    """One archive file that was written and read back, as the journal remembers it."""

    id: str
    period: str
    path: Path
    size: int
    sha256: str  #: of the whole file
    made_at: datetime
    counts: ArchiveCounts
    first_message: str  #: hub id; empty: none
    last_message: str
    first_number: int  #: the lowest number in the chain; 0: none
    last_number: int
    messages: tuple[str, ...] = attrs.field(repr=False)  #: hub ids of all messages in it, in their order
    others: tuple[int, ...] = attrs.field(repr=False)  #: serials of the events in it of none of these messages


@attrs.define
class _Gathering:
    """What was met so far, to be written behind the messages."""

    octets: dict[str, int] = attrs.field(factory=dict)  #: SHA-256 -> size
    exchanges: set[str] = attrs.field(factory=set)
    signers: set[str] = attrs.field(factory=set)
    forms: dict[str, bytes | None] = attrs.field(factory=dict)
    messages: dict[str, int] = attrs.field(factory=dict)  #: hub id -> number of its events, in their order
    others: list[int] = attrs.field(factory=list)
    deliveries: int = 0
    attempts: int = 0
    events: int = 0
    size: int = 0
    numbers: tuple[int, int] = (0, 0)


def write_archive(
    tx: Transaction,
    chosen: ArchiveChoice,
    folder: Path,
    identity: Signer,
    now: datetime,
    *,
    most_octets: int = MOST_OCTETS,
) -> ArchiveRecord | None:
    """Write as much of *chosen* as fits into one new file of *folder*, sealed by *identity*, and return what is in it.

    Messages come first, in their order, until the file is full, then other events; call again with what is left.
    Messages that do not exist, and those with an event that has no number in the chain yet, are left out. None: nothing
    could be written; then there is no file.

    *tx* must see one state of the journal (`transactions.read_transaction`). Raises OSError; Unready when the hub's key
    cannot be used; ArchiveBroken.
    """
    name = make_id(now)
    path = folder / f"archive-{chosen.period}-{name}.zip"
    with hold_workplace(path) as place:
        temporary = place / path.name
        with _create_private_file(temporary) as file:
            written = _write_file(tx, chosen, name, identity, now, file, most_octets)
            if written is None:
                return None
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # so that reading back reads the disk
        record = _read_back(temporary, path, written, identity)
        temporary.rename(path)
    sync_folder(folder)
    return record


def _create_private_file(path: Path) -> IO[bytes]:
    """Return the new empty file at *path*, which only this user can read."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b")


def _write_file(
    tx: Transaction,
    chosen: ArchiveChoice,
    name: str,
    identity: Signer,
    now: datetime,
    file: IO[bytes],
    most_octets: int,
) -> tuple[ArchiveManifest, _Gathering] | None:
    packing, found = Packing(file), _Gathering()
    packing.put(TYPE, MIMETYPE)
    _write_messages(tx, packing, sorted(set(chosen.messages)), found, most_octets)
    _write_message_events(tx, packing, found)
    _write_other_events(tx, packing, sorted(set(chosen.others)), found)
    if not found.messages and not found.others:
        return None
    _write_shared(tx, packing, EXCHANGES, exchange, found.exchanges)
    _write_shared(tx, packing, SIGNERS, signer, found.signers)
    _write_shared(tx, packing, FORMS, envelope_form, found.forms)
    listed = {member.name: (member.size, packing.digests[member.name]) for member in packing.members}
    for digest in found.octets:
        with packing.writing(manifest.name_octets(digest), deflated=True) as put:
            for piece in blobs.read_blob_pieces(tx, digest):
                put(piece)
    said = ArchiveManifest(
        id=name,
        period=chosen.period,
        made_at=now,
        version=transactions.select_schema_version(tx) or "",
        counts=ArchiveCounts(
            messages=len(found.messages),
            deliveries=found.deliveries,
            attempts=found.attempts,
            events=found.events,
            others=len(found.others),
            octets=len(found.octets),
        ),
        messages=(min(found.messages), max(found.messages)) if found.messages else ("", ""),
        numbers=found.numbers,
        head=events.read_chain_head(tx),
        members=listed,
    )
    packing.put(MANIFEST, signing.write_sealed_document(manifest.build_archive_element(said), identity))
    packing.end()
    return said, found


class _LineWriter:
    """Writes lines into the members of a folder, each named by the key of its first line."""

    def __init__(self, packing: Packing, folder: str) -> None:
        self._packing, self._folder = packing, folder
        self._name, self._lines, self._size = "", list[bytes](), 0

    def add(self, key: str | int, said: object) -> bool:
        """Add the line *said*, unless it is too long for a reader. Keys come in ascending order."""
        line = write_compact_json(said)
        if not manifest.is_bounded_line(line):
            return False
        if len(self._lines) >= _LINES or (self._lines and self._size + len(line) > MOST_LINES):
            self.end()
        self._name = self._name or manifest.name_member(self._folder, key)
        self._lines.append(line)
        self._size += len(line)
        return True

    def end(self) -> None:
        """Write the lines that are left."""
        if self._lines:
            self._packing.put(self._name, b"".join(self._lines), deflated=True)
        self._name, self._lines, self._size = "", [], 0


def _write_messages(tx: Transaction, packing: Packing, ids: Iterable[str], found: _Gathering, most_octets: int) -> None:
    lines = _LineWriter(packing, MESSAGES)
    for some in _batch_rows(ids, _TOGETHER):
        for said in read_message_lines(tx, some):
            if len(found.messages) >= MOST_MESSAGES or found.size >= most_octets or found.events >= MOST_EVENTS:
                lines.end()
                return
            if not lines.add(said.id, said.line):
                continue
            found.messages[said.id] = said.events
            found.deliveries += len(said.line["deliveries"])
            found.attempts += len(said.line["attempts"])
            found.events += said.events
            found.exchanges.update(each["exchange"] for each in said.line["attempts"] if "exchange" in each)
            _gather_envelope(tx, said.envelope, found)
            if said.line["octets"] == "here" and said.sha256 not in found.octets:
                found.octets[said.sha256] = said.size
                found.size += said.size
    lines.end()


def _gather_envelope(tx: Transaction, packed: bytes | None, found: _Gathering) -> None:
    """Note the certificate and the form that the kept parts of a call refer to."""
    if packed is None:
        return
    name = kept_envelopes.read_form_name(packed)
    if name is not None and name not in found.forms:
        query = sa.select(envelope_form.c.packed).where(envelope_form.c.sha256 == name)
        found.forms[name] = tx.scalars(query).first()
    with suppress(ValueError):  # the journal lacks the form: it does not know the certificate either
        parts = kept_envelopes.unpack_parts(packed, found.forms[name] if name else None)
        found.signers.add(parts.certificate)


@attrs.frozen(kw_only=True)
class MessageLine:
    """One message as its line in an archive."""

    id: str
    sha256: str
    size: int
    envelope: bytes | None
    events: int  #: number of its events, which have lines of their own
    line: Mapping[str, Any]


def read_message_lines(tx: Transaction, ids: Sequence[str]) -> Iterator[MessageLine]:
    """Yield the lines of those messages among *ids* that exist and whose events all have a number, in the order of *ids*."""
    rows = {row["id"]: row for row in tx.execute(sa.select(message).where(message.c.id.in_(ids))).mappings()}
    counts = _count_events(tx, ids)
    made = _group_rows(tx, delivery, ids, delivery.c.id)
    tried = _group_rows(tx, attempt, ids, attempt.c.started_at, attempt.c.number, attempt.c.id)
    changed = _group_rows(tx, change, ids, change.c.document_id, change.c.unit)
    sizes = _read_sizes(tx, {row["sha256"] for row in rows.values()})
    for each in ids:
        row, (many, unchained) = rows.get(each), counts.get(each, (0, 0))
        if row is None or unchained:
            continue
        here = sizes.get(row["sha256"]) == row["size"] <= LARGEST
        line = {
            "id": each,
            "message": write_row_values(row),
            "deliveries": made.get(each, []),
            "attempts": tried.get(each, []),
            "changes": changed.get(each, []),
            "events": many,
            "octets": "here" if here else "not-kept",
        }
        yield MessageLine(
            id=each, sha256=row["sha256"], size=row["size"], envelope=row["envelope"], events=many, line=line
        )


def _count_events(tx: Transaction, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the number of events of each message, and how many of them have no number yet."""
    columns = (event.c.message, sa.func.count().label("many"), sa.func.count(event.c.number).label("chained"))
    rows = tx.execute(sa.select(*columns).where(event.c.message.in_(ids)).group_by(event.c.message))
    return {row.message: (row.many, row.many - row.chained) for row in rows}


def _group_rows(
    tx: Transaction, table: sa.Table, ids: Sequence[str], *order: sa.ColumnElement[Any]
) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for row in tx.execute(sa.select(table).where(table.c.message.in_(ids)).order_by(*order)).mappings():
        found.setdefault(row["message"], []).append(write_row_values(row))
    return found


def _read_sizes(tx: Transaction, hashes: Iterable[str]) -> dict[str, int]:
    size = sa.func.sum(sa.func.length(content.c.octets))
    query = sa.select(content.c.sha256, size).where(content.c.sha256.in_(list(hashes))).group_by(content.c.sha256)
    return {digest: int(many) for digest, many in tx.execute(query)}


def _write_message_events(tx: Transaction, packing: Packing, found: _Gathering) -> None:
    lines = _LineWriter(packing, EVENTS)
    for some in _batch_events(found.messages):
        query = sa.select(event).where(event.c.message.in_(some)).order_by(event.c.serial)
        with tx.execute(query.execution_options(yield_per=_EVENTS)) as rows:
            for page in rows.partitions():  # several only of one message: in the order of serials, as they must be
                for row, said in _make_event_lines(tx, sorted(page, key=lambda each: str(each.message)), found):
                    _ = lines.add(f"{row.message}-{row.serial:015}", said)
    lines.end()


def _batch_events(messages: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield ids of messages that have at most `_EVENTS` events together, or of one that has more."""
    some, total = list[str](), 0
    for each, many in messages.items():
        if some and (total + many > _EVENTS or len(some) >= 500):
            yield some
            some, total = [], 0
        some.append(each)
        total += many
    if some:
        yield some


def _write_other_events(tx: Transaction, packing: Packing, serials: Iterable[int], found: _Gathering) -> None:
    lines = _LineWriter(packing, OTHERS)
    for some in _batch_rows(serials, 500):
        if found.events >= MOST_EVENTS:
            break
        where = sa.and_(event.c.serial.in_(some), event.c.number.is_not(None))
        rows = tx.execute(sa.select(event).where(where).order_by(event.c.serial)).all()
        for row, said in _make_event_lines(tx, rows, found):
            _ = lines.add(row.serial, said)
            found.others.append(row.serial)
            found.events += 1
    lines.end()


def _make_event_lines(
    tx: Transaction, rows: Sequence[sa.Row[Any]], found: _Gathering
) -> Iterator[tuple[sa.Row[Any], dict[str, object]]]:
    before = events.read_link_hashes(tx, [row.number - 1 for row in rows])
    for row in rows:
        low, high = found.numbers
        found.numbers = (min(low or row.number, row.number), max(high, row.number))
        previous = before.get(row.number - 1)
        links = {"number": row.number, "previous": previous, "hash": row.hash}
        yield row, {"serial": row.serial, "message": row.message, "delivery": row.delivery, **links, "text": row.text}


def _write_shared(tx: Transaction, packing: Packing, folder: str, table: sa.Table, hashes: Iterable[str]) -> None:
    """Write the rows of *table* with these hashes that exist."""
    lines = _LineWriter(packing, folder)
    for some in _batch_rows(sorted(hashes), _TOGETHER):
        query = sa.select(table).where(table.c.sha256.in_(some)).order_by(table.c.sha256)
        for row in tx.execute(query).mappings():
            _ = lines.add(row["sha256"], write_row_values(row))
    lines.end()


def _batch_rows(every: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(every)
    while some := list(islice(rest, size)):
        yield some


def _read_back(written: Path, path: Path, made: tuple[ArchiveManifest, _Gathering], identity: Signer) -> ArchiveRecord:
    """Read the file *written* from the disk, verify it whole, and return the record of it under its name *path*."""
    said, found = made
    certificate = identity.certificate
    if not certificate.not_valid_before_utc <= said.made_at <= certificate.not_valid_after_utc:
        raise ArchiveBroken(f"{path}: the hub's certificate is not valid at {said.made_at.isoformat()}")
    digest = sha256()
    with written.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
        size = file.tell()
        try:
            archive = reading.Archive.read(file, path)
            wrong = [str(each.text) for each in archive.verify_content() if each.holds is False]
            same = archive.read_seal([certificate], said.made_at) == said
        except archived.NoArchive as error:
            raise ArchiveBroken(str(error)) from error
    if wrong or not same:
        raise ArchiveBroken(f"{path}: {'; '.join(wrong[:3]) or 'the manifest or its seal'}")
    return ArchiveRecord(
        id=said.id,
        period=said.period,
        path=path,
        size=size,
        sha256=digest.hexdigest(),
        made_at=said.made_at,
        counts=said.counts,
        first_message=said.messages[0],
        last_message=said.messages[1],
        first_number=said.numbers[0],
        last_number=said.numbers[1],
        messages=tuple(found.messages),
        others=tuple(found.others),
    )
