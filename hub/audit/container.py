"""Opens an evidence file and verifies what every one has: the container, the manifest, the sealed report, its form.

Knows the members that the evidence of any form has. Does not know what is behind the numbers (`hub.audit.files`,
`hub.audit.derived`). The content is proved only if the seals are valid.
"""

from collections.abc import Callable, Container, Generator, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import BinaryIO

import attrs
from lxml import etree

from hub.audit import documents
from hub.audit.findings import AuditFinding, FindingCollector, confirm_finding, deny_finding, note_finding
from hub.audit.members import BundleMembers
from hub.audit.seals import AuditTrust, SealBroken, Sealers, describe_seal, open_sealed_document
from hub.formats import zip_archive
from hub.formats.zip_archive import Member
from hub.language.phrases import phrase
from hub.report.counting import lines
from hub.report.form import definition
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form, state_basis
from hub.report.signed import manifest
from hub.report.signed.manifest import (  # fmt: skip
    BESIDE,
    FACTS,
    FORM,
    MANIFEST,
    MIMETYPE,
    OCTETS,
    PERIODS,
    REPORT,
    ROWS,
    SIGNED,
    TYPE,
    Counts,
    Manifest,
)
from hub.report.signed.sealed import Sealed


class AuditStop(Exception):
    """The rest of this file cannot be checked."""


@attrs.define
class ContainerAudit:
    """The audit of one file."""

    file: BinaryIO
    trust: AuditTrust
    members: Mapping[str, Member]
    tell: Callable[[int, int], None]
    sealers: Sealers = attrs.field(init=False)
    said: Manifest = attrs.field(init=False)  #: the content of its manifest; set by `audit_container`
    sealed: Sealed | None = attrs.field(init=False, default=None)  #: its report; None: it could not be read
    form: Form | None = attrs.field(init=False, default=None)  #: its form; None: it could not be read, or is another

    def __attrs_post_init__(self) -> None:
        self.sealers = Sealers(self.trust)

    def audit_container(self, always: tuple[str, ...]) -> Generator[AuditFinding, None, tuple[Sealed, Form]]:
        """Yield the findings about the file as a whole, its report and its form. Return these two.

        *always*: the members that it must have. Raises AuditStop.
        """
        yield from self._container(always)
        self.said = yield from self._manifest()
        yield from self._hashes(self.said)
        report = yield from documents.audit_sealed_report(self.read_whole(REPORT), REPORT, self.sealers)
        if report is None:
            raise AuditStop
        yield from self._same_report(self.said, report)
        self.sealed = report
        if SIGNED in self.members:
            yield from documents.audit_official_signature(
                self.read_whole(SIGNED), SIGNED, self.trust, of=self.read_whole(REPORT)
            )
        self.form = yield from self._form(report)
        return report, self.form

    # --- the file as a whole

    def _container(self, always: tuple[str, ...]) -> Iterator[AuditFinding]:
        missing = [name for name in always if name not in self.members]
        for name in missing:
            yield deny_finding("container", name, phrase("this member is missing"))
        if missing:
            raise AuditStop
        for name in (TYPE, REPORT, SIGNED, FORM, PERIODS, MANIFEST):
            if name in self.members and self.members[name].size > documents.LARGEST:
                yield documents.make_too_large_finding("container", name)
                raise AuditStop
        names = list(self.members)
        if names[0] != TYPE or names[-1] != MANIFEST or self.read_whole(TYPE) != MIMETYPE:
            yield deny_finding("container", names[0], phrase("not an evidence file"))
            raise AuditStop
        yield confirm_finding(
            "container",
            "",
            phrase("{count} members, uncompressed, and nothing else", count=len(names)),
        )

    def _manifest(self) -> Generator[AuditFinding, None, Manifest]:
        content = self.read_whole(MANIFEST)
        try:
            root, certificate, at = open_sealed_document(content, self.trust, _made_at)
        except SealBroken as broken:
            yield deny_finding("seal", MANIFEST, broken.why)
            raise AuditStop from None
        self.sealers.meet(certificate, MANIFEST)
        yield from describe_seal(MANIFEST, certificate, at, self.trust.now)
        try:
            return manifest.read_manifest(root)
        except ValueError as error:
            yield deny_finding("manifest", MANIFEST, phrase("it does not follow its schema: {error}", error=error))
            raise AuditStop from None

    def _hashes(self, said: Manifest) -> Iterator[AuditFinding]:
        many = FindingCollector("manifest", MANIFEST)
        others = [name for name in self.members if not name.startswith(f"{OCTETS}/") and name != MANIFEST]
        yield from BundleMembers(self.file, self.members, self.tell_progress).compare(many, others, said.members)
        if list(said.members) != others and not many.failed:
            yield from many.no(MANIFEST, phrase("the order differs from that in the file"))
        yield from many.end(
            phrase("{count} members have the size and SHA-256 listed in the manifest", count=len(others)),
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
            form = definition.read_definition(self.read_whole(FORM))
        except (ValueError, KeyError) as error:
            yield deny_finding("form", FORM, phrase("not the definition of a form: {error}", error=error))
            raise AuditStop from None
        if _describe_form(form) != _describe_form(found.report.form):
            yield deny_finding("form", FORM, phrase("not the form of the report"))
            raise AuditStop
        if form in (state_basis(each, found.report.period.last) for each in read_form_folder()):
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

    # --- what the evidence of every form has of facts

    def read_rows(
        self, many: FindingCollector, units: Container[str]
    ) -> Generator[AuditFinding, None, tuple[list[tuple[int, str, str]], str]]:
        """Yield what is wrong with the lines of ROWS, each of which must name another of *units*, in order.

        Return the number of each good line, its unit and the SHA-256 of that unit's list of facts; and the SHA-256 of
        the whole member.
        """
        whole, before = sha256(), ""
        found: list[tuple[int, str, str]] = []
        for place, line in enumerate(self.read_lines(ROWS), start=1):
            whole.update(line)
            try:
                unit, digest = lines.read_row_line(line)
            except ValueError as error:
                yield from many.no(ROWS, phrase("line {place}: {error}", place=place, error=error))
                continue
            if unit not in units or unit <= before:
                yield from many.no(ROWS, phrase("line {place}: the unit {unit}", place=place, unit=unit))
                continue
            before = unit
            found.append((place, unit, digest))
        return found, whole.hexdigest()

    def compare_list(
        self, many: FindingCollector, expected: Container[str], hexdigest: str, facts: int, report: Sealed
    ) -> Iterator[AuditFinding]:
        """Yield the lists that are not *expected*, and whether the *facts* listed are those that *report* seals.

        *hexdigest*: the SHA-256 of ROWS.
        """
        for name in self.members:
            if name.startswith((f"{FACTS}/", f"{BESIDE}/")) and name not in expected:
                yield from many.no(name, phrase("it belongs to no row"))
        if (hexdigest, facts) != (report.evidence, report.facts):
            yield from many.no(
                ROWS,
                phrase(
                    "SHA-256 {hexdigest}, {facts} facts; the report seals {evidence}, {facts2}",
                    hexdigest=hexdigest,
                    facts=facts,
                    evidence=report.evidence,
                    facts2=report.facts,
                ),
            )

    def compare_counts(self, found: Counts) -> Iterator[AuditFinding]:
        """Yield that the manifest counts something else than was *found*, if so."""
        if found != self.said.counts:
            yield deny_finding(
                "manifest",
                MANIFEST,
                phrase("there are {found}, the manifest says {counts}", found=found, counts=self.said.counts),
            )

    # --- reading

    def tell_progress(self, member: Member) -> None:
        """Tell that *member* has been read."""
        self.tell(member.start + member.size, self.members[MANIFEST].start)

    def read_whole(self, name: str) -> bytes:
        """Return a member as a whole. `_container` has checked that it is small enough."""
        member = self.members[name]
        return b"".join(zip_archive.read_member_pieces(self.file, member, judged=False))

    def read_lines(self, name: str) -> Iterator[bytes]:
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


def _describe_form(form: Form) -> object:
    """Return what a report contains of its form."""
    columns = [(column.key, column.kind, column.heading, column.group, column.named) for column in form.columns]
    words = (form.id, form.service, form.since, form.until, form.title, form.basis, form.counted)
    return words, dict(form.parameters), columns
