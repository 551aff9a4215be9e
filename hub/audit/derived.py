"""Verifies an evidence file of any form; of a form that takes its numbers from others, down through their evidence.

Knows that such a file has the whole evidence of each of those forms inside, its bases. Each is verified as a file of its
own (`hub.audit.files`), one after another. Then the cells are computed again from the cells of the bases, by the form.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from fractions import Fraction
from hashlib import sha256
from typing import BinaryIO

import attrs

from hub.audit import documents
from hub.audit.container import AuditStop, ContainerAudit
from hub.audit.files import FactsAudit
from hub.audit.findings import AuditFinding, FindingCollector, confirm_finding, deny_finding, note_finding
from hub.audit.seals import AuditTrust, explain_rejection
from hub.domain.errors import Rejected
from hub.formats import zip_archive
from hub.formats.zip_archive import Malformed, Member
from hub.language.phrases import phrase
from hub.report.counting import declaring, deriving, lines
from hub.report.counting.counting import Report
from hub.report.counting.dates import make_fact_sort_key
from hub.report.counting.declared import DeclaredFigure
from hub.report.counting.deriving import Number
from hub.report.form import definition
from hub.report.form.column import FACTLESS, Column, ColumnKind
from hub.report.form.form import Form
from hub.report.signed.manifest import (  # fmt: skip
    BASES,
    COLUMNS,
    DECLARED,
    FACTS,
    FORM,
    MANIFEST,
    MOST_FACTS,
    REPORT,
    ROWS,
    SIGNED,
    TYPE,
    Counts,
    name_base_member,
    name_declared_member,
    name_rows_member,
)
from hub.report.signed.sealed import Sealed

_ALWAYS = (TYPE, REPORT, FORM, ROWS, MANIFEST)


def audit_evidence_file(file: BinaryIO, trust: AuditTrust, tell: Callable[[int, int], None]) -> Iterator[AuditFinding]:
    """Yield all findings."""
    try:
        members = {member.name: member for member in zip_archive.read_zip_members(file)}
    except Malformed as error:
        yield deny_finding("container", error.where, phrase("damaged or changed: {what}", what=error.what))
        return
    kind = DerivedAudit if _takes_from_others(file, members) else FactsAudit
    audit = kind(file, trust, members, tell)
    try:
        yield from audit.run()
        yield from audit.sealers.judge()
    except AuditStop:
        yield _note_stop("")


def _takes_from_others(file: BinaryIO, members: Mapping[str, Member]) -> bool:
    """Tell whether the form in the file takes its numbers from others. Its hash is verified later, in either case."""
    member = members.get(FORM)
    if member is None or member.size > documents.LARGEST:
        return False
    try:
        content = b"".join(zip_archive.read_member_pieces(file, member, judged=False))
        return bool(definition.read_definition(content).bases)
    except (ValueError, KeyError, Malformed):
        return False  # `ContainerAudit` says why it cannot be read


def _note_stop(place: str) -> AuditFinding:
    return note_finding("container", place, phrase("stopped here: the rest was not checked"))


@attrs.define
class DerivedAudit(ContainerAudit):
    """The audit of the evidence of a form that takes its numbers from others."""

    bases: dict[str, FactsAudit] = attrs.field(init=False, factory=dict)  #: those that are the bases of this report
    #: the first octets of the hash of the fact line, for each fact that the columns taken from the bases count, until it
    #: is met in the list
    behind: set[bytes] = attrs.field(init=False, factory=set)
    facts: int = attrs.field(init=False, default=0)

    def run(self) -> Iterator[AuditFinding]:
        """Yield all findings but the one about the sealers. Raises AuditStop."""
        report, form = yield from self.audit_container(_ALWAYS)
        for column in form.columns:
            if column.kind not in FACTLESS and column.kind is not ColumnKind.TAKEN:
                yield deny_finding("form", FORM, phrase("the column {key} is not taken from a form", key=column.key))
                raise AuditStop
        for name in form.bases:
            yield from self._base(name, report, form)
        places = {name_base_member(name) for name in form.bases}
        for name in self.members:
            if name.startswith(f"{BASES}/") and name not in places:
                yield deny_finding("base", name, phrase("the form takes no number from it"))
            elif name not in (*_ALWAYS, SIGNED) and not name.startswith((f"{BASES}/", f"{FACTS}/", f"{DECLARED}/")):
                yield deny_finding("container", name, phrase("the evidence of such a form has no such member"))
        yield from self._cells(report, form)
        yield from self._declared(report, form)
        if len(self.bases) < len(form.bases):
            yield note_finding(
                "list", ROWS, phrase("the facts were not compared, because the evidence of a form is missing or false")
            )
            return
        yield from self._facts(report, form)
        yield from self.compare_counts(Counts.add(self.facts, [audit.said.counts for audit in self.bases.values()]))

    # --- the bases

    def _base(self, name: str, report: Sealed, form: Form) -> Iterator[AuditFinding]:
        """Yield the findings about the evidence of the form *name*, and whether it belongs to this report."""
        place = name_base_member(name)
        member = self.members.get(place)
        if member is None:
            yield deny_finding("base", place, phrase("missing: the form takes numbers from {form}", form=name))
            return
        inside = zip_archive.open_member(self.file, member)
        try:
            members = {each.name: each for each in zip_archive.read_zip_members(inside)}
        except Malformed as error:
            text = phrase("damaged or changed: {what}", what=error.what)
            yield deny_finding("container", f"{place}: {error.where}", text)
            return
        end = self.members[MANIFEST].start
        audit = FactsAudit(inside, self.trust, members, lambda done, _total: self.tell(member.start + done, end))
        try:
            for found in audit.run():
                yield attrs.evolve(found, place=f"{place}: {found.place}" if found.place else place)
        except AuditStop:
            yield _note_stop(place)
        for subject, met in audit.sealers.subjects.items():
            self.sealers.subjects.setdefault(subject, f"{place}: {met}")
        if audit.sealed is None or audit.form is None:
            yield deny_finding("base", place, phrase("it cannot be read: nothing taken from {form} holds", form=name))
            return
        yield from self._belongs(name, audit.sealed, report)
        if audit.sealed.report.form.id == name and _same_place(audit.sealed, report):
            yield from self._take(name, audit, form)

    def _belongs(self, name: str, base: Sealed, report: Sealed) -> Iterator[AuditFinding]:
        """Yield whether the report *base* is of the form *name*, and of the unit and period of *report*."""
        place, theirs, mine = name_base_member(name), base.report, report.report
        said = {"form": theirs.form.id, "unit": theirs.total.unit, "period": theirs.period.text}
        if theirs.form.id != name or not _same_place(base, report):
            yield deny_finding(
                "base",
                place,
                phrase(
                    "another report: {form} {unit} {period}; this one takes from {form2} {unit2} {period2}",
                    **said,
                    form2=name,
                    unit2=mine.total.unit,
                    period2=mine.period.text,
                ),
            )
            return
        yield confirm_finding("base", place, phrase("the evidence of {form} {unit} {period}", **said))
        if (theirs.period.first, theirs.period.last) != (mine.period.first, mine.period.last):
            yield note_finding(
                "base",
                place,
                phrase(
                    "its period is {first} to {last}, the report's {first2} to {last2}",
                    first=theirs.period.first.isoformat(),
                    last=theirs.period.last.isoformat(),
                    first2=mine.period.first.isoformat(),
                    last2=mine.period.last.isoformat(),
                ),
            )

    def _take(self, name: str, audit: FactsAudit, form: Form) -> Iterator[AuditFinding]:
        """Remember the base, and the facts behind the columns that the form takes from it."""
        assert audit.form is not None
        columns = {column.key: column for column in audit.form.columns}
        counting: set[str] = set()
        for column in form.columns:
            if column.taken is None or column.taken[0] != name:
                continue
            if column.taken[1] not in columns:
                yield deny_finding(
                    "form",
                    FORM,
                    phrase("{key}: {form} has no column {taken}", key=column.key, form=name, taken=column.taken[1]),
                )
                raise AuditStop
            counting |= _list_counting(columns, column.taken[1])
        for key in sorted(counting):
            place = f"{COLUMNS}/{key}.jsonl"
            if place in audit.members:  # if not, the audit of the base has said so
                found = (sha256(line).digest()[:16] for line in audit.read_lines(place))
                self.behind.update(short for short in found if short in audit.listed)
            if len(self.behind) > 4 * MOST_FACTS:
                yield deny_finding("list", name_base_member(name), phrase("too many facts"))
                raise AuditStop
        # What only the audit itself needs is given up, so that the bases need no more memory than the largest of them.
        audit.messages.clear()
        audit.listed.clear()
        audit.chain.facts.clear()
        audit.chain.hashes.clear()
        self.bases[name] = audit

    # --- the cells

    def _cells(self, found: Sealed, form: Form) -> Iterator[AuditFinding]:
        """Yield whether each cell is that of the base it is taken from, or follows from such cells by the form."""
        many, report = FindingCollector("cell", REPORT), found.report
        if form.counts_services:
            yield from self._services(many, form, report)
            return
        theirs = {name: _read_sealed_rows(audit) for name, audit in self.bases.items()}
        sums: dict[str, int] = {}
        try:
            for row in report.rows:
                taken = yield from self._taken(many, form, row.unit, row.numbers, theirs)
                for key, value in taken.items():
                    sums[key] = sums.get(key, 0) + value
                yield from self._derived(many, form, row.unit, row.numbers, taken)
            if report.rows:
                yield from self._derived(many, form, report.total.unit, report.total.numbers, sums)
        except (ValueError, KeyError, ArithmeticError) as error:
            yield from many.no(REPORT, phrase("it cannot be computed: {error}", error=repr(error)))
        units = {row.unit for row in report.rows}
        for column in form.columns:
            base, key = column.taken or ("", "")
            for unit, numbers in theirs.get(base, {}).items():
                if unit not in units and numbers.get(key):
                    text = phrase("{form} says {said}, the report has no such row", form=base, said=numbers[key])
                    yield from many.no(f"{unit} {column.key}", text)
        if len(self.bases) == len(form.bases):
            yield from many.end(
                phrase(
                    "computed again from the cells of {forms}: {count} rows agree in every cell",
                    forms=" ".join(form.bases),
                    count=len(report.rows),
                )
            )

    def _services(self, many: FindingCollector, form: Form, report: Report) -> Iterator[AuditFinding]:
        """Yield whether no more public services have a dossier than there are procedures with one. Which procedures are
        services says a list that the file does not contain.
        """
        for column in form.columns:
            base, key = column.taken or ("", "")
            if not column.least or base not in self.bases:
                continue
            sealed = self.bases[base].sealed
            rows = () if sealed is None else sealed.report.divided
            most, said = sum(bool(each.row.numbers[key]) for each in rows), report.total.numbers[column.key]
            if said is None or said > most:
                text = phrase("the report says {said}, {form} has {most} procedures", said=said, form=base, most=most)
                yield from many.no(column.key, text)
        if len(self.bases) == len(form.bases):
            yield from many.end(
                phrase("not more services than procedures with a dossier; the list of services is not in the file")
            )

    def _taken(
        self,
        many: FindingCollector,
        form: Form,
        unit: str,
        said: Mapping[str, Number],
        theirs: Mapping[str, Mapping[str, Mapping[str, Number]]],
    ) -> Generator[AuditFinding, None, dict[str, int]]:
        """Yield the cells of a row that differ from those of the bases. Return the cells of the bases."""
        taken: dict[str, int] = {}
        for column in form.columns:
            if column.taken is None or column.taken[0] not in theirs:
                continue
            base, key = column.taken
            row = theirs[base].get(unit)
            number = 0 if row is None else row.get(key)
            if not isinstance(number, int):
                text = phrase("{form} has no number in {key}, which is taken from it", form=base, key=key)
                yield from many.no(f"{unit} {column.key}", text)
                continue
            taken[column.key] = number
            found = deriving.round_number(Fraction(number, 10**column.places), column)
            if said[column.key] != found:
                yield from many.no(
                    f"{unit} {column.key}",
                    phrase(
                        "the report says {said}, {form} says {found} in {key}",
                        said=said[column.key],
                        form=base,
                        found=found,
                        key=key,
                    ),
                )
        return taken

    def _derived(
        self, many: FindingCollector, form: Form, unit: str, said: Mapping[str, Number], taken: Mapping[str, int]
    ) -> Iterator[AuditFinding]:
        """Yield the cells of a row that do not follow from the cells *taken* and its declared ones. Nothing, if one of
        these is unknown.
        """
        if any(column.taken and column.key not in taken for column in form.columns):
            return
        declared = {
            column.key: deriving.read_sum(column, said[column.key])
            for column in form.columns
            if column.kind is ColumnKind.DECLARED and said[column.key] is not None
        }
        computed = deriving.derive_row_numbers(form, {**taken, **declared})
        for column in form.columns:
            if column.taken is None and said[column.key] != computed[column.key]:
                yield from many.no(
                    f"{unit} {column.key}",
                    phrase(
                        "the report says {said}, from the cells taken follows {found}",
                        said=said[column.key],
                        found=computed[column.key],
                    ),
                )

    def _declared(self, found: Sealed, form: Form) -> Iterator[AuditFinding]:
        """Yield whether the report says of each declared figure which message declared it."""
        keys = [column.key for column in form.columns if column.kind is ColumnKind.DECLARED]
        if not keys:
            return
        many, report = FindingCollector("declared", REPORT), found.report
        told = {(figure.unit, figure.column): figure for figure in report.declared}
        rows = [("", report.total.numbers), *((row.unit, row.numbers) for row in report.rows)]
        stated = [(unit, key) for unit, numbers in rows for key in keys if numbers.get(key) is not None]
        for unit, key in stated:
            if (unit, key) not in told:
                where = f"{unit or report.total.unit} {key}"
                yield from many.no(where, phrase("a declared figure, and the report does not say who declared it"))
        for figure in told.values():
            yield from self._declaration(many, figure, report)
        if stated and not many.failed:
            messages = {figure.message for figure in told.values()}
            here = sum(name_declared_member(message) in self.members for message in messages)
            text = phrase(
                "{count} declared figures of {messages} messages, {here} of them in the file: declared, not counted",
                count=len(stated),
                messages=len(messages),
                here=here,
            )
            yield note_finding("declared", REPORT, text)

    def _declaration(self, many: FindingCollector, figure: DeclaredFigure, report: Report) -> Iterator[AuditFinding]:
        """Yield whether the message of *figure*, if it is in the file, declares it. Codes are compared as they are
        written: what a sender wrote under an alias only the hub can tell.
        """
        name = name_declared_member(figure.message)
        if name not in self.members:
            return
        if self.members[name].size > documents.LARGEST:
            yield documents.make_too_large_finding("declared", name)
            return
        column, unit = report.form.column(figure.column), figure.unit or report.total.unit
        try:
            said = declaring.parse_declaration(self.read_whole(name))
        except Rejected as rejected:
            yield from many.no(name, explain_rejection(rejected))
            return
        cells = [cell for cell in said.cells if cell.column == column.key]
        named = [cell for cell in cells if cell.unit in (unit, "")] or cells
        stated = [cell.figure for cell in named]
        if (said.form, said.period) != (report.form.id, report.period.text) or figure.value not in [
            deriving.read_sum(column, value) for value in stated
        ]:
            number = deriving.round_number(Fraction(figure.value, 10**column.places), column)
            text = phrase(
                "the message does not declare {number} in {key} of {unit}", number=number, key=column.key, unit=unit
            )
            yield from many.no(name, text)

    # --- the facts

    def _facts(self, found: Sealed, form: Form) -> Iterator[AuditFinding]:
        """Yield whether the facts listed are those of the columns taken, and the list that the report seals."""
        many, units = FindingCollector("list", ROWS), {row.unit for row in found.report.rows}
        if form.counts_services:  # it has one row for all units
            units |= {unit for audit in self.bases.values() for unit in _read_sealed_rows(audit)}
        expected: set[str] = set()
        listed, hexdigest = yield from self.read_rows(many, units)
        for place, unit, digest in listed:
            name = name_rows_member(FACTS, place)
            expected.add(name)
            hashed = yield from self._list(many, name, unit)
            if hashed != digest:
                yield from many.no(
                    name, phrase("SHA-256 {hashed}, {rows} says {digest}", hashed=hashed, rows=ROWS, digest=digest)
                )
        if self.behind:
            yield from many.no(
                FACTS, phrase("{count} facts that the forms it takes from count are not listed", count=len(self.behind))
            )
        yield from self.compare_list(many, expected, hexdigest, self.facts, found)
        yield from many.end(
            phrase("{facts} facts: exactly the list that the report seals, each from a column taken", facts=self.facts)
        )

    def _list(self, many: FindingCollector, name: str, unit: str) -> Generator[AuditFinding, None, str]:
        """Check the facts of one unit in the member *name*, and take them out of `behind`. Return the list's hash."""
        whole, before = sha256(), None
        if name not in self.members:
            yield from many.no(name, phrase("missing"))
            return whole.hexdigest()
        for line in self.read_lines(name):
            whole.update(line)
            self.facts += 1
            try:
                fact = lines.read_fact_line(line)
            except ValueError as error:
                yield from many.no(name, phrase("a line that cannot be read: {error}", error=error))
                continue
            where, order = f"{name}: {fact.key} {fact.milestone}", make_fact_sort_key(fact)
            if fact.unit != unit or (before is not None and order <= before):
                yield from many.no(where, phrase("wrong unit or service, or out of order"))
            before = order
            short = sha256(line).digest()[:16]
            if short not in self.behind:
                yield from many.no(where, phrase("no column that is taken counts this fact, or it is repeated"))
            self.behind.discard(short)
        return whole.hexdigest()


def _same_place(base: Sealed, report: Sealed) -> bool:
    """Tell whether two reports are of the same unit and period."""
    theirs, mine = base.report, report.report
    return (theirs.total.unit, theirs.period.text) == (mine.total.unit, mine.period.text)


def _read_sealed_rows(audit: FactsAudit) -> Mapping[str, Mapping[str, Number]]:
    return {} if audit.sealed is None else {row.unit: row.numbers for row in audit.sealed.report.rows}


def _list_counting(columns: Mapping[str, Column], key: str) -> set[str]:
    """Return the columns that count facts from which the column *key* is computed, each visited once."""
    found: set[str] = set()
    seen, waiting = {key}, [key]
    while waiting:
        column = columns[waiting.pop()]
        if column.kind not in FACTLESS:
            found.add(column.key)
            continue
        for name in column.named:
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return found
