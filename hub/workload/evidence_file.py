"""Writes the sealed evidence file of a report: the report, the facts behind its cells, and the messages, down to their
exact octets.

Knows what the journal stores of a fact: its message, the message's events and receipt. Does not know how the file is
checked (`hub.audit`).

Messages are read and written in small groups. Only the facts of the report are in memory, as when it is counted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import IO, TypeVar

import attrs
import sqlalchemy as sa

from hub.domain.model import Fact
from hub.formats.zip_archive import LARGEST, MOST, Packing
from hub.journal import blobs, events
from hub.journal.searching import message_reading
from hub.keeping.archive.opening import ArchiveShelf, list_archives_of
from hub.language.phrases import phrase
from hub.report.counting import evidence, lines, pieces, posting
from hub.report.counting.counting import COUNTING, Report
from hub.report.counting.dates import find_fact_time, make_fact_sort_key
from hub.report.counting.declared import DeclaredFigure
from hub.report.counting.evidence import EvidenceLine, EvidenceSummary
from hub.report.counting.pieces import Pieces
from hub.report.form import definition
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form
from hub.report.signed import sealed
from hub.report.signed.manifest import (  # fmt: skip
    BESIDE,
    COLUMNS,
    EVENTS,
    FACTS,
    FORM,
    MANIFEST,
    MESSAGES,
    MIMETYPE,
    MOST_EVENTS,
    MOST_FACTS,
    OCTETS,
    PERIODS,
    REPORT,
    ROWS,
    SIGNED,
    TYPE,
    Counts,
    Manifest,
    OctetsPlace,
    name_base_member,
    name_declared_member,
    name_rows_member,
)
from hub.report.signed.manifest import build_manifest_element as manifest_element
from hub.security import signing
from hub.security.certificates import Signer
from hub.store.tables import event as event_table
from hub.store.tables import message as message_table
from hub.store.tables import write_instant
from hub.store.transactions import Transaction
from hub.workload import revisions, submission
from hub.workload.report_sources import Difference, ReportSources

LISTED = (*COUNTING, ColumnKind.TIME)  #: the kinds of columns that take facts themselves

_T = TypeVar("_T")
#: An event: its message, its number in the chain, the hash before it, its hash, its text.
_EventLine = tuple[str, int | None, str | None, str | None, str]
#: The folder of archive files where there is none.
_NOWHERE = Path("archive")
_TOGETHER = 200  #: the number of messages that one query reads
_OF_MESSAGE = ("id", "message_id", "partner", "service", "kind", "sender", "sha256", "size", "signature")


class TooMany(Exception):
    """The report counts more than one file may hold. The argument is a phrase that names the quantity that
    exceeds the limit.
    """


@attrs.frozen(kw_only=True)
class WrittenEvidence:
    """The result of writing an evidence file."""

    manifest: Manifest
    #: units whose facts are not those of the closing; if there are any, the file is inconsistent
    wrong: Sequence[Difference]
    #: the revision of the report in the file, if it was given out, submitted or published; None: a report counted only
    #: for this file
    revision: int | None


def write_evidence_file(
    tx: Transaction,
    asked: ReportSources,
    now: datetime,
    identity: Signer,
    file: IO[bytes],
    *,
    octets: bool = False,
    archives: Path = _NOWHERE,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> WrittenEvidence:
    """Write the evidence of the report *asked*, as of *now*, into the empty and seekable *file*.

    *octets*: include the exact octets of the messages. *archives*: the folder of archive files, from which the events and
    octets are read that are not in the journal any more. *tell*: called with the number of messages done and their total.
    A form that takes its numbers from others has the whole evidence of each of those inside. *file* must then be
    readable too. Raises TooMany, and OverflowError where a member becomes too large; Unready when the hub's key cannot be
    used; ArchiveAbsent.
    """
    if asked.bases:
        return _write_derived(tx, asked, now, identity, file, octets=octets, archives=archives, tell=tell)
    gathered, by_unit = _gather_evidence(asked, now)
    packing, revision = _begin_bundle(tx, asked, gathered, identity, file)
    packing.put(PERIODS, pieces.write_pieces(_make_pieces(asked)))
    beside = dict(_list_facts_beside(asked, by_unit))
    _write_facts(packing, asked.form, by_unit, beside)
    ids = sorted({fact.message for fact in _list_all_facts(by_unit, beside)})
    with ArchiveShelf(tx, archives) as shelf:
        here = _write_messages(tx, packing, ids, shelf, octets=octets)
        many = _write_events(tx, packing, ids, shelf, lambda done: tell(done, len(ids)))
        listed = _list_members(packing)
        for digest, archive in here.items():
            with packing.writing(f"{OCTETS}/{digest}") as put:
                for piece in shelf.read_octets(archive, digest) if archive else blobs.read_blob_pieces(tx, digest):
                    put(piece)
    counts = Counts(gathered.summary.facts, sum(map(len, beside.values())), len(ids), many, len(here))
    manifest = _end_bundle(tx, asked, now, identity, packing, listed, counts)
    return WrittenEvidence(manifest=manifest, revision=revision, wrong=gathered.wrong)


def _write_derived(
    tx: Transaction,
    asked: ReportSources,
    now: datetime,
    identity: Signer,
    file: IO[bytes],
    *,
    octets: bool,
    archives: Path,
    tell: Callable[[int, int], None],
) -> WrittenEvidence:
    """Write the evidence of a form that takes its numbers from others: its own list of facts, and the whole evidence of
    each of those forms. *tell* is called with the messages of one of them after another, as parts of one whole.
    """
    gathered, by_unit = _gather_evidence(asked, now)
    packing, revision = _begin_bundle(tx, asked, gathered, identity, file)
    if octets:
        _write_declarations(tx, packing, _read_declared(tx, gathered.report, revision))
    _write_facts(packing, asked.form, by_unit, {})
    by_unit.clear()  # the lists of the bases come next: one report's facts at a time are in memory
    inside: list[Counts] = []
    wrong = list(gathered.wrong)
    for place, (name, base) in enumerate(asked.bases.items()):

        def told(done: int, total: int, place: int = place) -> None:
            tell(place * total + done, len(asked.bases) * total)

        with packing.embedding(name_base_member(name)) as window:
            written = write_evidence_file(tx, base, now, identity, window, octets=octets, archives=archives, tell=told)
        inside.append(written.manifest.counts)
        wrong += written.wrong
    counts = Counts.add(gathered.summary.facts, inside)
    manifest = _end_bundle(tx, asked, now, identity, packing, _list_members(packing), counts)
    return WrittenEvidence(manifest=manifest, revision=revision, wrong=tuple(dict.fromkeys(wrong)))


def _read_declared(tx: Transaction, report: Report, revision: int | None) -> Sequence[DeclaredFigure]:
    """Return the declared figures as the report in the file says them: of the *revision* that was given out, or of *report*."""
    if revision is None:
        return report.declared
    before = submission.read_newest_revision(tx, report.total.unit, report.form.id, report.period.text)
    return () if before is None else before.said.report.declared


def _write_declarations(tx: Transaction, packing: Packing, declared: Iterable[DeclaredFigure]) -> None:
    """Write the messages with the *declared* figures of the report, as far as the hub still has their octets."""
    for message in sorted({figure.message for figure in declared}):
        found = message_reading.read_message(tx, message)
        if blobs.read_blob_size(tx, found.sha256) is not None:
            packing.put(name_declared_member(message), blobs.read_blob(tx, found.sha256))


@attrs.frozen(kw_only=True)
class _Gathered:
    """A report as it is counted now."""

    report: Report
    wrong: Sequence[Difference]
    summary: EvidenceSummary


def _gather_evidence(asked: ReportSources, now: datetime) -> tuple[_Gathered, dict[str, list[EvidenceLine]]]:
    """Return the report, and the facts that it counts, by unit, oldest first. Raises TooMany."""
    by_unit: dict[str, list[EvidenceLine]] = {}
    with asked.open_evidence(now) as found:
        summary = found.listing.summary
        if summary.facts > MOST_FACTS:
            raise TooMany(phrase("{count} facts > {most}", count=summary.facts, most=MOST_FACTS))
        for line in found.listing:
            by_unit.setdefault(line.fact.unit, []).append(line)
    return _Gathered(report=found.report, wrong=found.differences, summary=summary), by_unit


def _begin_bundle(
    tx: Transaction, asked: ReportSources, gathered: _Gathered, identity: Signer, file: IO[bytes]
) -> tuple[Packing, int | None]:
    """Write the members that the evidence of every form begins with. Return the bundle, and the revision in it."""
    content, document, revision = _write_report_members(tx, asked, gathered.report, gathered.summary, identity)
    packing = Packing(file)
    packing.put(TYPE, MIMETYPE)
    packing.put(REPORT, content)
    if document is not None:
        packing.put(SIGNED, document)
    packing.put(FORM, definition.write_definition(asked.form))
    return packing, revision


def _list_members(packing: Packing) -> dict[str, tuple[int, str]]:
    return {member.name: (member.size, packing.digests[member.name]) for member in packing.members}


def _end_bundle(
    tx: Transaction,
    asked: ReportSources,
    now: datetime,
    identity: Signer,
    packing: Packing,
    listed: Mapping[str, tuple[int, str]],
    counts: Counts,
) -> Manifest:
    """Write the sealed manifest, and end the bundle."""
    manifest = Manifest(
        unit=asked.members[0],
        form=asked.form.id,
        period=asked.period.text,
        made_at=now,
        counts=counts,
        head=events.read_chain_head(tx),
        members=listed,
    )
    packing.put(MANIFEST, signing.write_sealed_document(manifest_element(manifest), identity))
    packing.end()
    return manifest


def _write_report_members(
    tx: Transaction, asked: ReportSources, report: Report, found: EvidenceSummary, identity: Signer
) -> tuple[bytes, bytes | None, int | None]:
    """Return the sealed report, the document signed by one official or two (None: none), and the revision (None: the report is
    sealed now).

    If the newest revision in the journal has the same numbers and facts, return exactly that revision. Otherwise seal
    the report now.
    """
    before = submission.read_newest_revision(tx, report.total.unit, asked.form.id, asked.period.text)
    if before is not None and before.said.says(report, found.sha256):
        signed = revisions.find_signed_message(tx, before.said) or revisions.find_drafted_message(tx, before.said)
        document = None if signed is None else blobs.read_blob(tx, signed.sha256)
        return blobs.read_blob(tx, before.message.sha256), document, before.said.revision
    return sealed.seal_report(report, asked.names, found, identity), None, None


def _make_pieces(asked: ReportSources) -> Pieces:
    parts = tuple((part.period, part.rows is not None) for part in asked.parts)
    return Pieces(parts, asked.parts[0].books if asked.parts else posting.OPEN)


def _list_all_facts(
    by_unit: Mapping[str, Sequence[EvidenceLine]], beside: Mapping[str, Sequence[Fact]]
) -> Iterator[Fact]:
    for unit, found in by_unit.items():
        yield from (line.fact for line in found)
        yield from beside.get(unit, ())


def _list_facts_beside(
    asked: ReportSources, by_unit: Mapping[str, Sequence[EvidenceLine]]
) -> Iterator[tuple[str, list[Fact]]]:
    """Yield for each unit the facts that no column counts but that decide whether other facts count, oldest first.

    They are the other facts of the same business keys. Where a form counts only the newest statement about a thing,
    they include the other facts about the same things.
    """
    form, end = asked.form, asked.period.end
    having = frozenset[str]().union(*(rule.having for rule in form.rules))
    histories: dict[str, list[Fact]] = {unit: [] for unit in by_unit}
    for fact in asked.facts:
        if fact.unit not in histories or fact.service != form.service:
            continue
        if fact.milestone in having or find_fact_time(form, fact) < end:
            histories[fact.unit].append(fact)
    for unit, history in histories.items():
        counted = [line.fact for line in by_unit[unit]]
        named = {(fact.key, fact.milestone) for fact in counted}
        related = _list_related(form, history, counted)
        others = [fact for fact in related if (fact.key, fact.milestone) not in named]
        if others:
            yield unit, sorted(others, key=make_fact_sort_key)


def _list_related(form: Form, history: Iterable[Fact], counted: Sequence[Fact]) -> list[Fact]:
    """Return the facts of a unit's *history* that share a key or a thing with a fact of *counted*, directly or through
    other facts of the history.
    """
    places: dict[tuple[str, str], list[Fact]] = {}
    for fact in history:
        for place in _list_places(form, fact):
            places.setdefault(place, []).append(fact)
    waiting = [place for fact in counted for place in _list_places(form, fact)]
    found: dict[tuple[str, str], Fact] = {}
    while waiting:
        for fact in places.pop(waiting.pop(), ()):
            found[fact.key, fact.milestone] = fact
            waiting += (place for place in _list_places(form, fact) if place in places)
    return list(found.values())


def _list_places(form: Form, fact: Fact) -> list[tuple[str, str]]:
    """Return the fact's business key, and the things that it is about."""
    attributes = dict(fact.attributes)
    things = {rule.revised[0] for rule in form.rules if rule.revised}
    return [("", fact.key), *((name, attributes[name]) for name in sorted(things) if attributes.get(name))]


def _write_facts(
    packing: Packing, form: Form, by_unit: Mapping[str, Sequence[EvidenceLine]], beside: Mapping[str, Sequence[Fact]]
) -> None:
    """Write the lists: the rows, each row's facts, each row's other facts (`_list_facts_beside`), and each column's facts."""
    units = sorted(by_unit)
    rows = [lines.write_row_line(unit, evidence.hash_row(line.fact for line in by_unit[unit])) for unit in units]
    packing.put(ROWS, b"".join(rows))
    for place, unit in enumerate(units, 1):
        with packing.writing(name_rows_member(FACTS, place)) as put:
            for line in by_unit[unit]:
                put(lines.write_fact_line(line.fact))
    for place, unit in enumerate(units, 1):
        if unit in beside:
            with packing.writing(name_rows_member(BESIDE, place)) as put:
                for fact in beside[unit]:
                    put(lines.write_fact_line(fact))
    for column in form.columns:
        if column.kind in LISTED:
            with packing.writing(f"{COLUMNS}/{column.key}.jsonl") as put:
                for unit in units:
                    for line in by_unit[unit]:
                        if column.key in line.columns:
                            put(lines.write_fact_line(line.fact))


def _write_messages(
    tx: Transaction, packing: Packing, ids: Sequence[str], shelf: ArchiveShelf, *, octets: bool
) -> dict[str, str]:
    """Write one line per message. Return the hashes of the messages whose octets must be written.

    Each with the id of the archive file that has them; empty: the journal has them.
    """
    here: dict[str, str] = {}
    with packing.writing(MESSAGES) as put:
        for some in _cut_some(ids):
            archives = list_archives_of(tx, some)
            rows = tx.execute(sa.select(message_table).where(message_table.c.id.in_(some))).mappings()
            for row in sorted(rows, key=lambda row: str(row["id"])):
                where = _find_octets_place(tx, row) if octets else OctetsPlace.NOT_ASKED
                archive = ""
                if where == OctetsPlace.NOT_KEPT and row["id"] in archives:
                    archive = shelf.find_octets(row["id"], archives[row["id"]]) or ""
                    where = OctetsPlace.HERE if archive else where
                if where == OctetsPlace.HERE:
                    here.setdefault(row["sha256"], archive)
                    if len(here) > MOST - len(packing.members) - 3:
                        raise TooMany(phrase("octets of more than {count} messages", count=len(here) - 1))
                said = {name: row[name] for name in _OF_MESSAGE} | {
                    "received_at": write_instant(row["received_at"]),
                    "octets": where,
                    "receipt": _read_receipt(tx, row),
                }
                put(lines.write_compact_json(said))
    return here


def _read_receipt(tx: Transaction, row: sa.RowMapping) -> str | None:
    receipt = row["receipt"] if row["archive"] is None else message_reading.read_stored_receipt(tx, row["id"])
    return receipt.decode() if receipt else None


def _find_octets_place(tx: Transaction, row: sa.RowMapping) -> OctetsPlace:
    if row["size"] > LARGEST:
        return OctetsPlace.TOO_LARGE
    return OctetsPlace.HERE if blobs.read_blob_size(tx, row["sha256"]) == row["size"] else OctetsPlace.NOT_KEPT


def _write_events(
    tx: Transaction, packing: Packing, ids: Sequence[str], shelf: ArchiveShelf, tell: Callable[[int], None]
) -> int:
    """Write one line per event, ordered by message, each with the hash of the event before it in the chain. Return the
    number of events.
    """
    table, many, done = event_table, 0, 0
    with packing.writing(EVENTS) as put:
        for some in _cut_some(ids):
            query = sa.select(table.c.message, table.c.number, table.c.hash, table.c.text)
            rows = tx.execute(query.where(table.c.message.in_(some)).order_by(table.c.serial)).all()
            before = events.read_link_hashes(tx, [row.number - 1 for row in rows if row.number])
            told = [
                (row.message, row.number, before.get(row.number - 1) if row.number else None, row.hash, row.text)
                for row in rows
            ]
            told = [*_read_archived_events(tx, shelf, some), *told]  # of one message those in archives come first
            for _, number, previous, hashed, text in sorted(told, key=itemgetter(0)):
                put(lines.write_compact_json({"number": number, "previous": previous, "hash": hashed, "text": text}))
            many += len(told)
            if many > MOST_EVENTS:
                raise TooMany(phrase("events > {most}", most=MOST_EVENTS))
            done += len(some)
            tell(done)
    return many


def _read_archived_events(tx: Transaction, shelf: ArchiveShelf, ids: Sequence[str]) -> Iterator[_EventLine]:
    """Yield the events of those of the messages *ids* that have some in archive files."""
    for name, archives in sorted(list_archives_of(tx, ids).items()):
        for each in shelf.read_events(name, archives):
            yield name, each.number, each.previous, each.hash, each.text


def _cut_some(every: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for first in range(0, len(every), _TOGETHER):
        yield every[first : first + _TOGETHER]
