"""Compares the members of a bundle with those that its manifest lists. Knows neither what a bundle holds nor its seal."""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import IO

import attrs

from hub.audit.findings import AuditFinding, FindingCollector
from hub.formats import zip_archive
from hub.formats.zip_archive import Malformed, Member
from hub.language.phrases import phrase

#: The size and the SHA-256 of a member.
MemberSum = tuple[int, str]


@attrs.frozen
class BundleMembers:
    """The members of one bundle."""

    file: IO[bytes] = attrs.field(repr=False)
    members: Mapping[str, Member]
    tell: Callable[[Member], None]  #: called while a member is read

    def compare(
        self, many: FindingCollector, names: list[str], said: Mapping[str, MemberSum]
    ) -> Iterator[AuditFinding]:
        """Yield each difference between the members *names* and those that the manifest *said*, by their names."""
        for name in sorted({*names, *said}):
            if name not in said:
                yield from many.no(name, phrase("the manifest does not list it"))
            elif name not in self.members:
                yield from many.no(name, phrase("the manifest lists it, but it is missing"))
            else:
                yield from self.compare_member(many, name, said[name])

    def compare_member(self, many: FindingCollector, name: str, expected: MemberSum) -> Iterator[AuditFinding]:
        """Yield a finding if the member *name* cannot be read whole, or has another size or SHA-256 than *expected*."""
        member, found = self.members[name], sha256()
        try:
            for piece in zip_archive.read_member_pieces(self.file, member):
                found.update(piece)
                self.tell(member)
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
