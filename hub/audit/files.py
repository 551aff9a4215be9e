"""Verifies an evidence file member by member: from the report's cells down to the octets of the messages behind them.

Knows how the members are related (docs/reference/evidence.md). Reads each one once or twice, in order, and keeps only a
few octets of each fact, message and event. The content is proved only if the seals are valid.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, BinaryIO

import attrs
from lxml import etree

from hub.audit import documents, recount
from hub.audit.chains import ChainAudit
from hub.audit.findings import MOST, AuditFinding, FindingCollector, confirm_finding, deny_finding, note_finding
from hub.audit.seals import AuditTrust, SealBroken, Sealers, describe_seal, open_sealed_document
from hub.domain.model import DOCUMENTS, Fact
from hub.formats import zip_archive
from hub.formats.zip_archive import Malformed, Member
from hub.language.phrases import Phrase, phrase
from hub.report.counting import lines, pieces
from hub.report.counting.counting import COUNTING
from hub.report.counting.dates import make_fact_sort_key
from hub.report.counting.division import Division
from hub.report.counting.pieces import Pieces
from hub.report.form import definition
from hub.report.form.form import ColumnKind, Form
from hub.report.form.toml import read_form_folder
from hub.report.signed import manifest
from hub.report.signed.manifest import (  # fmt: skip
    BESIDE,
    COLUMNS,
    EVENTS,
    FACTS,
    FORM,
    MANIFEST,
    MESSAGES,
    MIMETYPE,
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
    name_rows_member,
)
from hub.report.signed.sealed import Sealed

_ALWAYS = (TYPE, REPORT, FORM, PERIODS, ROWS, MESSAGES, EVENTS, MANIFEST)
_MESSAGE = {
    "id": str, "message_id": str | None, "partner": str, "service": str, "kind": str, "sender": str | None, "sha256": str,
    "size": int, "signature": str | None, "received_at": str, "octets": str, "receipt": str | None,
}  # fmt: skip


@attrs.frozen
class _Message:
    """The values of a message that are kept during the audit."""

    message_id: str | None
    sha256: str
    size: int
    signed: str | None  #: standing of the packet's own signature as the hub recorded it; None: not a packet
    at: datetime
    here: bool


class _Stop(Exception):
    """The rest of this file cannot be checked."""


def audit_evidence_file(file: BinaryIO, trust: AuditTrust, tell: Callable[[int, int], None]) -> Iterator[AuditFinding]:
    """Yield all findings."""
    try:
        members = {member.name: member for member in zip_archive.read_zip_members(file)}
    except Malformed as error:
        yield deny_finding("container", error.where, phrase("damaged or changed: {what}", what=error.what))
        return
    audit = _Audit(file, trust, members, tell)
    try:
        yield from audit.run()
    except _Stop:
        yield note_finding("container", "", phrase("stopped here: the rest was not checked"))


@attrs.define
class _Audit:
    """The audit of one file."""

    file: BinaryIO
    trust: AuditTrust
    members: Mapping[str, Member]
    tell: Callable[[int, int], None]
    sealers: Sealers = attrs.field(init=False)
    chain: ChainAudit = attrs.field(factory=ChainAudit)
    messages: dict[str, _Message] = attrs.field(factory=dict)
    #: the first octets of the hash of the fact line, for each fact that the report counts
    listed: set[bytes] = attrs.field(factory=set)
    signatures: FindingCollector = attrs.field(factory=lambda: FindingCollector("signature", OCTETS))
    signed: int = 0  #: packets whose own signature is as recorded
    untold: int = 0  #: packets whose signature only gives rise to a remark
    pieces: Pieces = attrs.field(init=False)
    beside: int = 0
    facts: int = 0
    octets: int = 0

    def __attrs_post_init__(self) -> None:
        self.sealers = Sealers(self.trust)

    def run(self) -> Iterator[AuditFinding]:
        """Yield all findings."""
        yield from self._container()
        said = yield from self._manifest()
        yield from self._hashes(said)
        report = yield from documents.audit_sealed_report(self._whole(REPORT), REPORT, self.sealers)
        if report is None:
            raise _Stop
        yield from self._same_report(said, report)
        if SIGNED in self.members:
            yield from documents.audit_official_signature(
                self._whole(SIGNED), SIGNED, self.trust, of=self._whole(REPORT)
            )
        form = yield from self._form(report)
        self.pieces = yield from self._pieces(report)
        yield from self._messages()
        yield from self.chain.check(self._lines(EVENTS), self.messages)
        yield from self._facts(report, form)
        yield from self._columns(report, form)
        yield from self._octets()
        yield from self._counts(said)
        yield from self.chain.told(said.head)
        yield from self.sealers.judge()

    # --- the file as a whole

    def _container(self) -> Iterator[AuditFinding]:
        missing = [name for name in _ALWAYS if name not in self.members]
        for name in missing:
            yield deny_finding("container", name, phrase("this member is missing"))
        if missing:
            raise _Stop
        for name in (TYPE, REPORT, SIGNED, FORM, PERIODS, MANIFEST):
            if name in self.members and self.members[name].size > documents.LARGEST:
                yield documents.make_too_large_finding("container", name)
                raise _Stop
        names = list(self.members)
        if names[0] != TYPE or names[-1] != MANIFEST or self._whole(TYPE) != MIMETYPE:
            yield deny_finding("container", names[0], phrase("not an evidence file"))
            raise _Stop
        yield confirm_finding(
            "container",
            "",
            phrase("{count} members, uncompressed, and nothing else", count=len(names)),
        )

    def _manifest(self) -> Generator[AuditFinding, None, Manifest]:
        content = self._whole(MANIFEST)
        try:
            root, certificate, at = open_sealed_document(content, self.trust, _made_at)
        except SealBroken as broken:
            yield deny_finding("seal", MANIFEST, broken.why)
            raise _Stop from None
        self.sealers.meet(certificate, MANIFEST)
        yield from describe_seal(MANIFEST, certificate, at, self.trust.now)
        try:
            return manifest.read_manifest(root)
        except ValueError as error:
            yield deny_finding("manifest", MANIFEST, phrase("it does not follow its schema: {error}", error=error))
            raise _Stop from None

    def _hashes(self, said: Manifest) -> Iterator[AuditFinding]:
        many = FindingCollector("manifest", MANIFEST)
        others = [name for name in self.members if not name.startswith(f"{OCTETS}/") and name != MANIFEST]
        for name in sorted({*others, *said.members}):
            if name not in said.members:
                yield from many.no(name, phrase("the manifest does not list it"))
            elif name not in self.members:
                yield from many.no(name, phrase("the manifest lists it, but it is missing"))
            else:
                yield from self._hash(many, name, said.members[name])
        if list(said.members) != others and not many.failed:
            yield from many.no(MANIFEST, phrase("the order differs from that in the file"))
        yield from many.end(
            phrase("{count} members have the size and SHA-256 listed in the manifest", count=len(others)),
        )

    def _hash(self, many: FindingCollector, name: str, expected: tuple[int, str]) -> Iterator[AuditFinding]:
        member, found = self.members[name], sha256()
        try:
            for piece in zip_archive.read_member_pieces(self.file, member):
                found.update(piece)
                self._tell(member)
        except Malformed as error:
            yield from many.no(name, phrase("changed: {what}", what=error.what))
            return
        if (member.size, found.hexdigest()) != expected:
            yield from many.no(
                name,
                phrase(
                    "SHA-256 {hexdigest}, the manifest says {expected}",
                    hexdigest=found.hexdigest(),
                    expected=expected[1],
                ),
            )

    def _same_report(self, said: Manifest, found: Sealed) -> Iterator[AuditFinding]:
        report = found.report
        if (said.unit, said.form, said.period) != (report.total.unit, report.form.id, report.period.text):
            yield deny_finding(
                "manifest",
                REPORT,
                phrase(
                    "the manifest is that of another report: {form} {unit} {period}",
                    form=said.form,
                    unit=said.unit,
                    period=said.period,
                ),
            )

    def _form(self, found: Sealed) -> Generator[AuditFinding, None, Form]:
        try:
            form = definition.read_definition(self._whole(FORM))
        except (ValueError, KeyError) as error:
            yield deny_finding("form", FORM, phrase("not the definition of a form: {error}", error=error))
            raise _Stop from None
        if _shape(form) != _shape(found.report.form):
            yield deny_finding("form", FORM, phrase("not the form of the report"))
            raise _Stop
        if form in read_form_folder():
            yield confirm_finding(
                "form",
                FORM,
                phrase("the form {id_} as included in this program", id_=form.id),
            )
        else:
            yield note_finding(
                "form",
                FORM,
                phrase(
                    "the form {id_} is not included in this program: counted by the definition in the file", id_=form.id
                ),
            )
        return form

    def _pieces(self, found: Sealed) -> Generator[AuditFinding, None, Pieces]:
        """Read the parts of the period. They must cover the period of the report without gaps."""
        period, day = found.report.period, found.report.period.first
        try:
            said = pieces.read_pieces(self._whole(PERIODS))
        except ValueError as error:
            yield deny_finding("period", PERIODS, phrase("it cannot be read: {error}", error=error))
            raise _Stop from None
        whole = True
        for part, _ in said.parts:
            whole &= part.first == day
            day = part.last + timedelta(days=1)
        if not whole or day - timedelta(days=1) != period.last:  # `day` may already be the last representable one
            yield deny_finding("period", PERIODS, phrase("not the period of the report"))
            raise _Stop
        return said

    # --- messages

    def _messages(self) -> Iterator[AuditFinding]:
        rows, receipts = FindingCollector("message", MESSAGES), FindingCollector("receipt", MESSAGES)
        before, without = "", 0
        for line in self._lines(MESSAGES):
            try:
                said = _message(line)
                message = _Message(
                    said["message_id"],
                    said["sha256"],
                    said["size"],
                    said["signature"] if said["service"] == DOCUMENTS else None,
                    lines.read_offset_time(said["received_at"]),
                    said["octets"] == OctetsPlace.HERE,
                )
            except ValueError as error:
                yield from rows.no(MESSAGES, phrase("a line that cannot be read: {error}", error=error))
                continue
            name = said["id"]
            if name <= before:
                yield from rows.no(name, phrase("repeated, or out of order"))
            before = name
            if len(self.messages) >= 2 * MOST_FACTS:
                yield deny_finding("message", MESSAGES, phrase("too many messages"))
                raise _Stop
            self.messages[name] = message
            if said["receipt"] is None:
                without += 1
                continue
            receipt = _receipt(said["receipt"].encode(), name, self.sealers)
            if isinstance(receipt, Phrase):
                yield from receipts.no(name, receipt)
            elif (receipt.document_id, receipt.message_id, receipt.sha256) != (
                name,
                message.message_id,
                message.sha256,
            ):
                yield from receipts.no(name, phrase("the receipt and the message disagree"))
        yield from rows.end(phrase("{count} messages, one line each", count=len(self.messages)))
        if without:
            yield note_finding("receipt", MESSAGES, phrase("{without} messages without receipt", without=without))
        many = len(self.messages) - without
        yield from receipts.end(
            phrase(
                "{many_} receipts: their seals are valid, and their ids and SHA-256 are those of the messages",
                many_=many,
            ),
        )

    # --- facts

    def _facts(self, found: Sealed, form: Form) -> Iterator[AuditFinding]:
        report, rows = found.report, {row.unit: row for row in found.report.rows}
        many, cells = FindingCollector("list", ROWS), FindingCollector("cell", REPORT)
        whole, before, place, divisions = sha256(), "", 0, dict[str, Division]()
        expected: set[str] = set()
        for line in self._lines(ROWS):
            whole.update(line)
            place += 1
            try:
                unit, digest = _pair(line)
            except ValueError as error:
                yield from many.no(ROWS, phrase("line {place}: {error}", place=place, error=error))
                continue
            if unit not in rows or unit <= before:
                yield from many.no(ROWS, phrase("line {place}: the unit {unit}", place=place, unit=unit))
                continue
            before = unit
            names = [name_rows_member(FACTS, place), name_rows_member(BESIDE, place)]
            expected.update(names)
            counted, hashed = yield from self._list(many, names[0], unit, form, listed=True)
            others, _ = yield from self._list(many, names[1], unit, form, listed=False)
            self.beside += len(others)
            if hashed != digest:
                yield from many.no(
                    names[0],
                    phrase("SHA-256 {hashed}, {rows} says {digest}", hashed=hashed, rows=ROWS, digest=digest),
                )
            facts = [*counted, *others]
            yield from recount.recount_cells(cells, form, self.pieces, facts, rows.pop(unit), found, divisions)
        for row in rows.values():
            yield from recount.recount_cells(cells, form, self.pieces, [], row, found, divisions)
        yield from recount.recount_divided(cells, form, divisions, found)
        for name in self.members:
            if name.startswith((f"{FACTS}/", f"{BESIDE}/")) and name not in expected:
                yield from many.no(name, phrase("it belongs to no row"))
        if (whole.hexdigest(), self.facts) != (found.evidence, found.facts):
            yield from many.no(
                ROWS,
                phrase(
                    "SHA-256 {hexdigest}, {facts} facts; the report seals {evidence}, {facts2}",
                    hexdigest=whole.hexdigest(),
                    facts=self.facts,
                    evidence=found.evidence,
                    facts2=found.facts,
                ),
            )
        yield from many.end(
            phrase("{facts} facts: exactly the list that the report seals, each with its event", facts=self.facts),
        )
        yield from cells.end(
            phrase("counted again by the form: {count} rows agree in every cell", count=len(report.rows)),
        )

    def _list(
        self, many: FindingCollector, name: str, unit: str, form: Form, *, listed: bool
    ) -> Generator[AuditFinding, None, tuple[list[Fact], str]]:
        """Check the facts of one unit in the member *name*. Return those that can be read, and the hash of the list."""
        whole, facts = sha256(), list[Fact]()
        if name not in self.members:
            if listed:
                yield from many.no(name, phrase("missing"))
            return facts, whole.hexdigest()
        for line in self._lines(name):
            whole.update(line)
            self.facts += listed
            if self.facts + self.beside + len(facts) > 4 * MOST_FACTS:
                yield deny_finding("list", name, phrase("too many facts"))
                raise _Stop
            try:
                fact = lines.read_fact_line(line)
            except ValueError as error:
                yield from many.no(name, phrase("a line that cannot be read: {error}", error=error))
                continue
            short = sha256(line).digest()[:16]
            where = f"{name}: {fact.key} {fact.milestone}"
            if (
                fact.unit != unit
                or fact.service != form.service
                or (facts and make_fact_sort_key(fact) <= make_fact_sort_key(facts[-1]))
            ):
                yield from many.no(where, phrase("wrong unit or service, or out of order"))
            if short not in self.chain.facts:
                yield from many.no(where, phrase("no event records this fact"))
            if fact.message not in self.messages:
                yield from many.no(where, phrase("there is no message {message}", message=fact.message))
            if listed:
                self.listed.add(short)
            facts.append(fact)
        return facts, whole.hexdigest()

    def _columns(self, found: Sealed, form: Form) -> Iterator[AuditFinding]:
        """Yield whether the facts listed for each column add up to its cells. Does not use the rules of the form."""
        many, unused = FindingCollector("column", COLUMNS), set(self.listed)
        taking = [column for column in form.columns if column.kind in (*COUNTING, ColumnKind.TIME)]
        names = {f"{COLUMNS}/{column.key}.jsonl" for column in taking}
        for name in self.members:
            if name.startswith(f"{COLUMNS}/") and name not in names:
                yield from many.no(name, phrase("there is no such column"))
        for column in taking:
            name = f"{COLUMNS}/{column.key}.jsonl"
            if name not in self.members:
                yield from many.no(name, phrase("missing"))
                continue
            sums: dict[str, int] = {}
            times: dict[str, datetime] = {}
            seen: set[bytes] = set()
            for line in self._lines(name):
                short = sha256(line).digest()[:16]
                if short not in self.listed or short in seen:
                    yield from many.no(name, phrase("a line that the report does not list, or a repeated one"))
                    continue
                seen.add(short)
                fact = lines.read_fact_line(line)  # read before: its hash is known
                sums[fact.unit] = sums.get(fact.unit, 0) + fact.amount
                times[fact.unit] = max(fact.at, times.get(fact.unit, fact.at))
            unused -= seen
            for row in found.report.rows:
                if column.kind is ColumnKind.TIME:
                    said, listed = row.times[column.key], times.get(row.unit)
                else:
                    said, listed = row.numbers[column.key], sums.get(row.unit, 0)  # type: ignore[assignment]
                if said != listed:
                    yield from many.no(
                        f"{row.unit} {column.key}",
                        phrase("the report says {said}, the facts listed add up to {listed}", said=said, listed=listed),
                    )
        if unused:
            yield from many.no(FACTS, phrase("{count} facts that belong to no column", count=len(unused)))
        yield from many.end(
            phrase("{count} columns: the listed facts add up to every cell", count=len(taking)),
        )

    # --- octets

    def _octets(self) -> Iterator[AuditFinding]:
        many = FindingCollector("octets", OCTETS)
        wanted: dict[str, list[_Message]] = {}
        for message in self.messages.values():
            if message.here:
                wanted.setdefault(message.sha256, []).append(message)
        for name in self.members:
            if name.startswith(f"{OCTETS}/") and name.partition("/")[2] not in wanted:
                yield from many.no(name, phrase("it belongs to no message"))
        for digest, those in wanted.items():
            name = f"{OCTETS}/{digest}"
            member = self.members.get(name)
            if member is None:
                yield from many.no(name, phrase("missing"))
                continue
            yield from self._octets_of(many, member, digest, those)
            self.octets += 1
        yield from self._signatures()
        if wanted or many.failed:
            yield from many.end(
                phrase("the exact octets of {count} messages have their SHA-256 and size", count=len(wanted)),
            )
        else:
            yield note_finding(
                "octets",
                "",
                phrase("the exact octets are not included (--with-messages)"),
            )

    def _octets_of(
        self, many: FindingCollector, member: Member, digest: str, those: list[_Message]
    ) -> Iterator[AuditFinding]:
        found, held = sha256(), list[bytes]()
        small = member.size <= documents.LARGEST
        try:
            for piece in zip_archive.read_member_pieces(self.file, member):
                found.update(piece)
                self._tell(member)
                if small:
                    held.append(piece)
        except Malformed as error:
            yield from many.no(member.name, phrase("changed: {what}", what=error.what))
            return
        if found.hexdigest() != digest or any(message.size != member.size for message in those):
            yield from many.no(member.name, phrase("SHA-256 {hexdigest}", hexdigest=found.hexdigest()))
            return
        for message in those:
            if message.signed is None:
                continue
            if small:
                judged = documents.audit_packet(b"".join(held), member.name, message.signed, message.at, self.trust)
            else:
                judged = note_finding(
                    "signature",
                    member.name,
                    phrase("too large to check its signature: {size} octets", size=member.size),
                )
            yield from self._signature(judged)

    def _signature(self, judged: AuditFinding) -> Iterator[AuditFinding]:
        """Yield the finding about one packet's signature, unless too many have been reported."""
        if judged.holds:
            self.signed += 1
        elif judged.holds is None:
            self.untold += 1
            if self.untold <= MOST:
                yield judged
        else:
            yield from self.signatures.no(judged.place, judged.text)

    def _signatures(self) -> Iterator[AuditFinding]:
        """Yield how many packets' signatures are as recorded, and how many were not reported individually."""
        if self.signed or self.signatures.failed:
            yield from self.signatures.end(
                phrase("{signed} packets are signed, or not, as the hub recorded", signed=self.signed),
            )
        if self.untold > MOST:
            more = self.untold - MOST
            yield note_finding("signature", OCTETS, phrase("and {more} more packets to note", more=more))

    def _counts(self, said: Manifest) -> Iterator[AuditFinding]:
        found = Counts(self.facts, self.beside, len(self.messages), self.chain.many, self.octets)
        if found != said.counts:
            yield deny_finding(
                "manifest",
                MANIFEST,
                phrase("there are {found}, the manifest says {counts}", found=found, counts=said.counts),
            )

    # --- reading

    def _tell(self, member: Member) -> None:
        self.tell(member.start + member.size, self.members[MANIFEST].start)

    def _whole(self, name: str) -> bytes:
        """Return a member as a whole. `_container` has checked that it is small enough."""
        member = self.members[name]
        return b"".join(zip_archive.read_member_pieces(self.file, member, judged=False))

    def _lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a member, each with its line feed.

        A line that is too long comes in pieces, which cannot be parsed.
        """
        rest = b""
        for piece in zip_archive.read_member_pieces(self.file, self.members[name], judged=False):
            *found, rest = (rest + piece).split(b"\n")
            for line in found:
                yield line + b"\n"
            if len(rest) > lines.LARGEST:
                yield rest
                rest = b""
        if rest:
            yield rest


def _made_at(root: etree._Element) -> datetime:
    return lines.read_offset_time(root.findtext(f"{{{manifest.EVIDENCE}}}MadeAt") or "")


def _shape(form: Form) -> object:
    """Return what a report contains of its form."""
    columns = [(column.key, column.kind, column.heading, column.group, column.named) for column in form.columns]
    words = (form.id, form.service, form.since, form.until, form.title, form.basis, form.counted)
    return words, dict(form.parameters), columns


def _receipt(content: bytes, place: str, sealers: Sealers) -> documents.AuditedReceipt | Phrase:
    """Return the content of a receipt, or the reason if its seal is not valid."""
    judged = documents.audit_receipt(content, place, sealers, quiet=True)
    try:
        return next(judged).text
    except StopIteration as end:
        found: documents.AuditedReceipt = end.value
        return found


def _message(line: bytes) -> dict[str, Any]:
    said = _json(line)
    if not isinstance(said, dict) or list(said) != list(_MESSAGE):
        raise ValueError("its members are not those of a message")
    if lines.write_compact_json(said) != line:
        raise ValueError("not in the required form")
    for name, kind in _MESSAGE.items():
        if not isinstance(said[name], kind) or isinstance(said[name], bool):
            raise ValueError(f"{name} has the wrong type")  # noqa: TRY004 - it is read, not passed
    return said


def _pair(line: bytes) -> tuple[str, str]:
    said = _json(line)
    if not isinstance(said, list) or [type(each) for each in said] != [str, str] or lines.write_row_line(*said) != line:
        raise ValueError("not a pair of a unit and a hash")
    return said[0], said[1]


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
