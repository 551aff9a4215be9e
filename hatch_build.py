"""Compiles the catalogues of the hub's words where the project is built or installed."""

import os
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: The `.po` say no date, for which Babel takes that of now; the same source gives the same octets.
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)


def compile_catalogues(root: Path) -> None:
    """Write a `.mo` beside each `.po` of `hub/language/locale` in the project at *root*, whole, whoever reads it meanwhile."""
    for source in sorted((root / "hub/language/locale").rglob("*.po")):
        with source.open("rb") as file:
            catalogue = read_po(file, locale=source.parts[-3])
        catalogue.creation_date = catalogue.revision_date = _NO_DATE
        written = BytesIO()
        write_mo(written, catalogue)
        to = source.with_suffix(".mo")
        for left in to.parent.glob("*.mo.*"):  # of a process that was killed: its number is in the name
            if not Path("/proc", left.suffix[1:]).exists():
                left.unlink(missing_ok=True)
        new = to.with_suffix(f".mo.{os.getpid()}")
        new.write_bytes(written.getvalue())
        new.replace(to)


class CatalogueBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles the catalogues before anything is packed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile them."""
        compile_catalogues(Path(self.root))
