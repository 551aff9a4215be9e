"""Verifies the evidence of a form that counts facts, member by member: from the report's cells down to the octets of the
messages behind them.

Knows how the members are related (docs/reference/evidence.md). Reads each one once or twice, in order, and keeps only a
few octets of each fact, message and event. The content is proved only if the seals are valid.
"""

import json
from collections.abc import Generator, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import attrs

from hub.audit import documents, recount
from hub.audit.chains import ChainAudit
from hub.audit.container import AuditStop, ContainerAudit
from hub.audit.findings import MOST, AuditFinding, FindingCollector, deny_finding, note_finding
from hub.audit.seals import Sealers
from hub.domain.model import DOCUMENTS, Fact
from hub.formats import zip_archive
from hub.formats.zip_archive import Malformed, Member
from hub.language.phrases import Phrase, phrase
from hub.report.counting import lines, pieces
from hub.report.counting.counting import COUNTING
from hub.report.counting.dates import make_fact_sort_key
from hub.report.counting.division import Division
from hub.report.counting.pieces import Pieces
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form
from hub.report.signed.manifest import (  # fmt: skip
    BESIDE,
    COLUMNS,
    EVENTS,
    FACTS,
    FORM,
    MANIFEST,
    MESSAGES,
    MOST_FACTS,
    OCTETS,
    PERIODS,
    REPORT,
    ROWS,
    TYPE,
    Counts,
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


@attrs.define
class FactsAudit(ContainerAudit):
    """The audit of the evidence of a form that counts facts."""

    chain: ChainAudit = attrs.field(init=False, factory=ChainAudit)
    messages: dict[str, _Message] = attrs.field(init=False, factory=dict)
    #: the first octets of the hash of the fact line, for each fact that the report counts
    listed: set[bytes] = attrs.field(init=False, factory=set)
    signatures: FindingCollector = attrs.field(init=False, factory=lambda: FindingCollector("signature", OCTETS))
    signed: int = attrs.field(init=False, default=0)  #: packets whose own signature is as recorded
    untold: int = attrs.field(init=False, default=0)  #: packets whose signature only gives rise to a remark
    pieces: Pieces = attrs.field(init=False)
    beside: int = attrs.field(init=False, default=0)
    facts: int = attrs.field(init=False, default=0)
    octets: int = attrs.field(init=False, default=0)

    def run(self) -> Iterator[AuditFinding]:
        """Yield all findings but the one about the sealers. Raises AuditStop."""
        report, form = yield from self.audit_container(_ALWAYS)
        if form.bases:
            yield deny_finding("form", FORM, phrase("a form that takes its numbers from others has other evidence"))
            raise AuditStop
        self.pieces = yield from self._pieces(report)
        yield from self._messages()
        yield from self.chain.check(self.read_lines(EVENTS), self.messages)
        yield from self._facts(report, form)
        yield from self._columns(report, form)
        yield from self._octets()
        counts = Counts(self.facts, self.beside, len(self.messages), self.chain.many, self.octets)
        yield from self.compare_counts(counts)
        yield from self.chain.told(self.said.head)

    # --- periods

    def _pieces(self, found: Sealed) -> Generator[AuditFinding, None, Pieces]:
        """Read the parts of the period. They must cover the period of the report without gaps."""
        period, day = found.report.period, found.report.period.first
        try:
            said = pieces.read_pieces(self.read_whole(PERIODS))
        except ValueError as error:
            yield deny_finding("period", PERIODS, phrase("it cannot be read: {error}", error=error))
            raise AuditStop from None
        whole = True
        for part, _ in said.parts:
            whole &= part.first == day
            day = part.last + timedelta(days=1)
        if not whole or day - timedelta(days=1) != period.last:  # `day` may already be the last representable one
            yield deny_finding("period", PERIODS, phrase("not the period of the report"))
            raise AuditStop
        return said

    # --- messages

    def _messages(self) -> Iterator[AuditFinding]:
        rows, receipts = FindingCollector("message", MESSAGES), FindingCollector("receipt", MESSAGES)
        before, without = "", 0
        for line in self.read_lines(MESSAGES):
            try:
                said = _read_message_line(line)
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
                raise AuditStop
            self.messages[name] = message
            if said["receipt"] is None:
                without += 1
                continue
            receipt = _read_sealed_receipt(said["receipt"].encode(), name, self.sealers)
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
        divisions: dict[str, Division] = {}
        expected: set[str] = set()
        listed, hexdigest = yield from self.read_rows(many, rows)
        for place, unit, digest in listed:
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
        yield from self.compare_list(many, expected, hexdigest, self.facts, found)
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
        for line in self.read_lines(name):
            whole.update(line)
            self.facts += listed
            if self.facts + self.beside + len(facts) > 4 * MOST_FACTS:
                yield deny_finding("list", name, phrase("too many facts"))
                raise AuditStop
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
            for line in self.read_lines(name):
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
                self.tell_progress(member)
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


def _read_sealed_receipt(content: bytes, place: str, sealers: Sealers) -> documents.AuditedReceipt | Phrase:
    """Return the content of a receipt, or the reason if its seal is not valid."""
    judged = documents.audit_receipt(content, place, sealers, quiet=True)
    try:
        return next(judged).text
    except StopIteration as end:
        found: documents.AuditedReceipt = end.value
        return found


def _read_message_line(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(said, dict) or list(said) != list(_MESSAGE):
        raise ValueError("its members are not those of a message")
    if lines.write_compact_json(said) != line:
        raise ValueError("not in the required form")
    for name, kind in _MESSAGE.items():
        if not isinstance(said[name], kind) or isinstance(said[name], bool):
            raise ValueError(f"{name} has the wrong type")  # noqa: TRY004 - it is read, not passed
    return said
