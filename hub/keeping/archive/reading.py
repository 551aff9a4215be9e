"""Reads archive files: finds a message, its events and octets in one, and verifies that a file is whole.

Knows the format (docs/reference/archive.md). Needs no journal and no key. What a file says of itself is believed only
after `verify`; a message is read without that, checked only against its hashes in the manifest.

Opening reads the headers of the members, some 20 µs each. Memory: 300 octets per member, and the lines of one member.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import attrs
from cryptography import x509

from hub.audit.findings import AuditFinding, FindingCollector, confirm_finding, deny_finding, note_finding
from hub.audit.members import BundleMembers
from hub.audit.seals import AuditTrust, SealBroken, Sealers, describe_seal, open_sealed_document
from hub.domain.errors import Rejected
from hub.formats import zip_archive
from hub.formats.zip_archive import Malformed, Member
from hub.keeping.archive import manifest
from hub.keeping.archive.archived import (
    CHAIN_ORIGIN,
    MANIFEST_BYTES,
    ArchivedEvent,
    ArchivedMessage,
    NoArchive,
    make_archived_event,
    read_archive_line,
    read_archived_row,
    read_manifest_content,
    shorten_digest,
    split_lines,
)
from hub.keeping.archive.manifest import (  # fmt: skip
    EVENTS,
    EXCHANGES,
    FOLDERS,
    FORMS,
    MANIFEST,
    MESSAGES,
    MIMETYPE,
    MOST_EVENTS,
    MOST_LINE,
    MOST_LINES,
    MOST_MESSAGES,
    OCTETS,
    OTHERS,
    SIGNERS,
    TYPE,
    ArchiveManifest,
)
from hub.language.phrases import phrase
from hub.security import wss_verify
from hub.store import tables

#: Members whose lines are remembered.
_RECENT = 3
#: Events that are verified, at most.
_MOST_LINKS = 4 * MOST_EVENTS
_TABLES = {EXCHANGES: tables.exchange, SIGNERS: tables.signer, FORMS: tables.envelope_form}


@attrs.define
class Archive:
    """An open archive file. It uses *file*, which must stay open."""

    file: IO[bytes] = attrs.field(repr=False)
    path: Path
    members: Mapping[str, Member] = attrs.field(repr=False)
    manifest: ArchiveManifest = attrs.field(repr=False)  #: as it stands there, its seal not verified
    _names: Mapping[str, Sequence[str]] = attrs.field(init=False, repr=False)
    #: the lines of the members that were read last, by name: neighbours are in the same ones
    _recent: dict[str, Sequence[Mapping[str, Any]]] = attrs.field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        found: dict[str, list[str]] = {folder: [] for folder in (*FOLDERS, OCTETS)}
        for name in self.members:
            folder, slash, _ = name.partition("/")
            if slash and folder in found:
                found[folder].append(name)
        self._names = {folder: sorted(names) for folder, names in found.items()}

    @classmethod
    def read(cls, file: IO[bytes], path: Path) -> "Archive":
        """Return the archive in *file*, which is named *path* in what is said of it. Raises NoArchive, OSError."""
        try:
            members = {member.name: member for member in zip_archive.read_zip_members(file, deflated=True)}
            names = list(members)
            if len(names) < 2 or names[0] != TYPE or names[-1] != MANIFEST:
                raise NoArchive(f"{path}: not an archive file")
            if members[MANIFEST].size > MANIFEST_BYTES or members[TYPE].size != len(MIMETYPE):
                raise NoArchive(f"{path}: not an archive file")
            if b"".join(zip_archive.read_member_pieces(file, members[TYPE])) != MIMETYPE:
                raise NoArchive(f"{path}: not an archive file")
            content = b"".join(zip_archive.read_member_pieces(file, members[MANIFEST]))
        except Malformed as error:
            raise NoArchive(f"{path}: {error}") from None
        return cls(file, path, members, read_manifest_content(content, path))

    # --- what is in it

    def messages(self) -> Iterator[ArchivedMessage]:
        """Yield all messages, in the order of their ids. Raises NoArchive."""
        for name in self._names[MESSAGES]:
            for line in self._read_lines(name):
                yield self._make_message(line)

    def read_message(self, message_id: str) -> ArchivedMessage:
        """Return the message with this hub id. Raises KeyError if it is not in the file; NoArchive."""
        for line in self._find_lines(MESSAGES, message_id):
            if line.get("id") == message_id:
                return self._make_message(line)
        raise KeyError(message_id)

    def has_message(self, message_id: str) -> bool:
        """Tell whether the message with this hub id is in the file. Raises NoArchive."""
        first, last = self.manifest.messages
        return first <= message_id <= last and any(
            line.get("id") == message_id for line in self._find_lines(MESSAGES, message_id)
        )

    def read_message_lines(self, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Return the lines of those messages among *ids* that are in the file, as they stand there. Raises NoArchive."""
        wanted, found = set(ids), dict[str, Mapping[str, Any]]()
        names = self._names[MESSAGES]
        places = {bisect_right(names, manifest.name_member(MESSAGES, each)) - 1 for each in wanted}
        for place in sorted(places - {-1}):
            found |= {line["id"]: line for line in self._read_lines(names[place]) if line.get("id") in wanted}
        return found

    def read_events(self, message_id: str) -> Iterator[ArchivedEvent]:
        """Yield the events of a message, in their order. Raises NoArchive."""
        names = self._names[EVENTS]
        first = max(0, bisect_right(names, f"{EVENTS}/{message_id}-") - 1)
        for name in names[first:]:
            if name > f"{EVENTS}/{message_id}.":  # "." sorts behind "-"
                return
            yield from (each for each in map(make_archived_event, self._read_lines(name)) if each.message == message_id)

    def other_events(self) -> Iterator[ArchivedEvent]:
        """Yield the events of none of the messages, in the order of their serials. Raises NoArchive."""
        for name in self._names[OTHERS]:
            yield from map(make_archived_event, self._read_lines(name))

    def read_shared_row(self, folder: str, sha256: str) -> Mapping[str, Any] | None:
        """Return the row of *folder* (`EXCHANGES`, `SIGNERS`, `FORMS`) with this SHA-256, or None. Raises NoArchive."""
        for line in self._find_lines(folder, sha256):
            if line.get("sha256") == sha256:
                return read_archived_row(_TABLES[folder], line)
        return None

    def read_octets(self, sha256: str) -> Iterator[bytes]:
        """Yield the octets with this SHA-256, in pieces. Raises KeyError if they are not in the file; NoArchive.

        They are read twice: none is given out before all were hashed.
        """
        member, found = self.members[manifest.name_octets(sha256)], hashlib.sha256()
        try:
            for piece in zip_archive.read_member_pieces(self.file, member):
                found.update(piece)
            if found.hexdigest() != sha256:
                raise NoArchive(f"{self.path}: {member.name}: other octets")
            yield from zip_archive.read_member_pieces(self.file, member)
        except Malformed as error:
            raise NoArchive(f"{self.path}: {error}") from None

    def _make_message(self, line: Mapping[str, Any]) -> ArchivedMessage:
        try:
            if not (isinstance(line["id"], str) and type(line["events"]) is int):
                raise TypeError("id or events")  # noqa: TRY301 - said as the others are
            return ArchivedMessage(
                id=line["id"],
                row=read_archived_row(tables.message, line["message"]),
                deliveries=[read_archived_row(tables.delivery, each) for each in line["deliveries"]],
                attempts=[read_archived_row(tables.attempt, each) for each in line["attempts"]],
                changes=[read_archived_row(tables.change, each) for each in line["changes"]],
                events=line["events"],
                has_octets=line["octets"] == "here",
            )
        except (KeyError, TypeError) as error:
            raise NoArchive(f"{self.path}: a message cannot be read: {error!r}") from None

    def _find_lines(self, folder: str, key: str) -> Iterator[Mapping[str, Any]]:
        """Yield the lines of the one member of *folder* that may have *key*."""
        names = self._names[folder]
        place = bisect_right(names, manifest.name_member(folder, key)) - 1
        return self._read_lines(names[place]) if place >= 0 else iter(())

    def _read_lines(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Yield the lines of a member whose hash is that of the manifest. Raises NoArchive."""
        if (recent := self._recent.get(name)) is not None:
            return iter(recent)
        found, digest = list[Mapping[str, Any]](), hashlib.sha256()
        size = self.members[name].size
        if size > MOST_LINE:
            raise NoArchive(f"{self.path}: {name}: too large")
        try:
            for line in split_lines(zip_archive.read_member_pieces(self.file, self.members[name])):
                if size > MOST_LINES and len(line) < size:
                    raise NoArchive(f"{self.path}: {name}: too large")
                digest.update(line)
                found.append(read_archive_line(line))
        except (Malformed, ValueError) as error:
            raise NoArchive(f"{self.path}: {name}: {error}") from None
        if digest.hexdigest() != self.manifest.members.get(name, (0, ""))[1]:
            raise NoArchive(f"{self.path}: {name}: its SHA-256 is not that of the manifest")
        while len(self._recent) >= _RECENT:
            del self._recent[next(iter(self._recent))]
        self._recent[name] = found
        return iter(found)

    # --- whether it is whole

    def read_seal(self, trusted: Sequence[x509.Certificate], at: datetime) -> ArchiveManifest | None:
        """Return the manifest if one of *trusted* sealed it, else None."""
        content = b"".join(zip_archive.read_member_pieces(self.file, self.members[MANIFEST]))
        try:
            root, _ = wss_verify.unseal_document(content, trusted, at)
        except Rejected:
            return None
        return manifest.read_archive_element(root)

    def verify(
        self, trust: AuditTrust, tell: Callable[[int, int], None] = lambda _done, _total: None
    ) -> Iterator[AuditFinding]:
        """Yield the findings about the whole file: its seal, and all that `verify_content` finds.

        *tell* is called with the octets read so far and in total.
        """
        sealers = Sealers(trust)
        content = b"".join(zip_archive.read_member_pieces(self.file, self.members[MANIFEST], judged=False))
        try:
            _, certificate, at = open_sealed_document(content, trust, manifest.read_made_at)
        except SealBroken as broken:
            yield deny_finding("seal", MANIFEST, broken.why)
        else:
            sealers.meet(certificate, MANIFEST)
            yield from describe_seal(MANIFEST, certificate, at, trust.now)
        yield from self.verify_content(tell)
        yield from sealers.judge()

    def verify_content(self, tell: Callable[[int, int], None] = lambda _done, _total: None) -> Iterator[AuditFinding]:
        """Yield whether the members are those that the manifest lists, and whether they agree with one another."""
        yield confirm_finding("container", "", phrase("{count} members, and nothing else", count=len(self.members)))
        yield from _ContentAudit(self, tell).audit()


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open the archive file at *path*. Raises NoArchive, OSError."""
    with path.open("rb") as file:
        yield Archive.read(file, path)


def is_archive(head: bytes) -> bool:
    """Tell whether a file that begins with *head*, at least 100 octets, is an archive file, perhaps damaged."""
    return MIMETYPE in head[:100]


def audit_archive_file(
    file: IO[bytes],
    path: Path,
    trust: AuditTrust,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[AuditFinding]:
    """Yield the findings about the archive in *file*, whatever it contains. See `Archive.verify`."""
    try:
        archive = Archive.read(file, path)
    except NoArchive as error:
        yield deny_finding("container", "", phrase("not an archive file: {error}", error=str(error)))
        return
    yield from archive.verify(trust, tell)


@attrs.define
class _ContentAudit:
    """The verification of what is in one file. Memory: 100 octets for each message, event and member."""

    archive: Archive
    tell: Callable[[int, int], None]
    events: dict[str, int] = attrs.field(factory=dict)  #: hub id -> events that are still to come
    octets: dict[str, int] = attrs.field(factory=dict)  #: SHA-256 -> size of what must be there
    counted: dict[str, int] = attrs.field(factory=dict)
    #: number -> the first octets of its hash, and of the hash before it
    links: dict[int, tuple[int, int | None]] = attrs.field(factory=dict)

    def audit(self) -> Iterator[AuditFinding]:
        yield from self._members()
        try:
            yield from self._messages()
            yield from self._events()
        except NoArchive as error:
            yield deny_finding("archive", "", phrase("cannot be read: {error}", error=error))
            return
        yield from self._octets()
        yield from self._counts()

    def _members(self) -> Iterator[AuditFinding]:
        """Yield whether each member but octets has the size and the hash of the manifest, and is listed there."""
        many, said = FindingCollector("manifest", MANIFEST), self.archive.manifest.members
        others = [name for name in self.archive.members if not name.startswith(f"{OCTETS}/") and name != MANIFEST]
        yield from self._compared.compare(many, others, said)
        yield from many.end(
            phrase("{count} members have the size and SHA-256 listed in the manifest", count=len(others)),
        )

    @property
    def _compared(self) -> BundleMembers:
        return BundleMembers(self.archive.file, self.archive.members, self._tell)

    def _messages(self) -> Iterator[AuditFinding]:
        many, before, deliveries, attempts = FindingCollector("message", MESSAGES), "", 0, 0
        for each in self.archive.messages():
            if len(self.events) > MOST_MESSAGES:
                raise NoArchive(f"more than {MOST_MESSAGES} messages")
            if each.id <= before or each.row["id"] != each.id:
                yield from many.no(each.id, phrase("repeated, or out of order"))
            before = each.id
            rows = (*each.deliveries, *each.attempts, *each.changes)
            if any(row["message"] != each.id for row in rows):
                yield from many.no(each.id, phrase("a row of another message"))
            self.events[each.id] = each.events
            if each.has_octets:
                self.octets[each.row["sha256"]] = each.row["size"]
            deliveries += len(each.deliveries)
            attempts += len(each.attempts)
        self.counted |= {"messages": len(self.events), "deliveries": deliveries, "attempts": attempts}
        yield from many.end(phrase("{count} messages, each once", count=len(self.events)))

    def _events(self) -> Iterator[AuditFinding]:
        many, others = FindingCollector("event", EVENTS), 0
        for name in self.archive._names[EVENTS]:  # noqa: SLF001 - of this module
            for event in map(make_archived_event, self.archive._read_lines(name)):  # noqa: SLF001
                if event.message is None or event.message not in self.events:
                    yield from many.no(str(event.number), phrase("not of a message in this file, or out of order"))
                else:
                    self.events[event.message] -= 1
                yield from self._link(many, event)
        for event in self.archive.other_events():
            others += 1
            yield from self._link(many, event)
        for number, (_, previous) in self.links.items():
            known = self.links.get(number - 1)
            if known is not None and previous is not None and known[0] != previous:
                yield from many.no(str(number), phrase("it does not follow from the event before it"))
        for message in sorted(name for name, left in self.events.items() if left):
            yield from many.no(message, phrase("the number of its events differs"))
        self.counted |= {"events": len(self.links), "others": others}
        yield from many.end(
            phrase("{many_} events: each hash follows from the text and the hash before it", many_=len(self.links)),
        )
        yield from self._chain()

    def _link(self, many: FindingCollector, event: ArchivedEvent) -> Iterator[AuditFinding]:
        if event.number in self.links:
            yield from many.no(str(event.number), phrase("two events with the same number"))
        if len(self.links) > _MOST_LINKS:
            raise NoArchive(f"more than {_MOST_LINKS} events")
        self.links[event.number] = (
            shorten_digest(event.hash),
            None if event.previous is None else shorten_digest(event.previous),
        )
        if event.number == 1 and event.previous != CHAIN_ORIGIN:
            yield from many.no(str(event.number), phrase("the chain does not begin at its origin"))
        if event.previous is None:
            return
        if hashlib.sha256(f"{event.previous}\n{event.text}".encode()).hexdigest() != event.hash:
            yield from many.no(str(event.number), phrase("the hash does not follow from the text"))

    def _chain(self) -> Iterator[AuditFinding]:
        number, hashed = self.archive.manifest.head
        loose = sum(previous is None for _, previous in self.links.values())
        if loose:
            yield note_finding("chain", EVENTS, phrase("{loose} events without the hash before them", loose=loose))
        if self.links and max(self.links) > number:
            yield deny_finding("chain", EVENTS, phrase("an event beyond the head {number}", number=number))
        elif number in self.links and self.links[number][0] != shorten_digest(hashed):
            yield deny_finding("chain", EVENTS, phrase("the head {number} has another hash", number=number))
        if self.links and (min(self.links), max(self.links)) != self.archive.manifest.numbers:
            yield deny_finding("chain", EVENTS, phrase("other numbers than the manifest says"))

    def _octets(self) -> Iterator[AuditFinding]:
        many = FindingCollector("octets", OCTETS)
        here = {name.partition("/")[2]: name for name in self.archive._names[OCTETS]}  # noqa: SLF001
        for digest in sorted({*here, *self.octets}):
            if digest not in here:
                yield from many.no(digest, phrase("the octets are missing"))
            elif digest not in self.octets:
                yield from many.no(digest, phrase("octets of no message in this file"))
            else:
                yield from self._compared.compare_member(many, here[digest], (self.octets[digest], digest))
        self.counted["octets"] = len(here)
        yield from many.end(
            phrase("{count} members have the size and SHA-256 of their messages", count=len(here)),
        )

    def _counts(self) -> Iterator[AuditFinding]:
        said = attrs.asdict(self.archive.manifest.counts)
        if said != self.counted:
            yield deny_finding(
                "manifest",
                MANIFEST,
                phrase("there are {found}, the manifest says {counts}", found=str(self.counted), counts=str(said)),
            )
        names = sorted(self.events)
        if ((names[0], names[-1]) if names else ("", "")) != self.archive.manifest.messages:
            yield deny_finding("manifest", MANIFEST, phrase("other messages than the manifest says"))

    def _tell(self, member: Member) -> None:
        self.tell(member.start + member.length, self.archive.members[MANIFEST].start)
