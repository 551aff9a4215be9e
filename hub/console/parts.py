"""What the pages of one node work with, beside what the operations do. A page takes of it what it names."""

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from hub.console import help_pages, registry
from hub.console.sign_in.openid_client import MakeFetch
from hub.console.visit import PageFrame
from hub.domain.writer_budget import WriterReading
from hub.operations.parts import OperationParts
from hub.runtime.disk_reader import DiskReader

T = TypeVar("T")


@attrs.frozen(eq=False, kw_only=True)
class ConsoleParts(OperationParts):
    """What the pages of one node work with."""

    word: Callable[[], str]  #: returns a new random word of 43 letters
    salt: Callable[[], bytes]  #: returns a new random salt of 16 octets
    make_fetch: MakeFetch  #: calls OpenID providers
    disk: DiskReader  #: looks at the folders of backups and of archive files
    writer: Callable[[], WriterReading] = WriterReading  #: tells how busy this node's writer is
    frame: PageFrame = attrs.field(
        default=attrs.Factory(lambda self: PageFrame(self.live, registry.may_open_page), takes_self=True), init=False
    )  #: puts the head of the console around the pages
    library: help_pages.HelpLibrary = attrs.field(factory=help_pages.read_help_library, init=False, repr=False)

    def make_owner(self, kind: type[T]) -> T:
        """Return an object of *kind*, whose fields are parts."""
        fields: Any = attrs.fields(kind)  # type: ignore[arg-type]
        return kind(**{each.alias: getattr(self, each.alias) for each in fields if each.init})
