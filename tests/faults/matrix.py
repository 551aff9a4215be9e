"""The table of what was broken and what became of it, printed at the end of a run and kept in var/fault-matrix.txt."""

from collections.abc import Mapping

import attrs

from tests.conftest import ROOT
from tests.faults.checker import Violation
from tests.faults.evidence import Evidence

FILE = ROOT / "var/fault-matrix.txt"
ORDER = ("waiting", "sending", "held", "fetched", "delivered", "dead")


@attrs.frozen
class Row:
    """One fault on one database."""

    fault: str
    database: str
    result: str
    occupied: Mapping[str, int]  #: how often a delivery stood in each state when the fault came
    messages: int = 0
    receipts: int = 0
    duplicates: int = 0
    longest: float = 0.0  #: seconds under one claim

    @classmethod
    def of(
        cls, fault: str, database: str, occupied: Mapping[str, int], found: Evidence, violations: list[Violation]
    ) -> "Row":
        """Return the row of a run that was checked."""
        bad = ", ".join(sorted({violation.invariant for violation in violations}))
        receipted = sum(bool(each.receipts) for each in found.sent)
        return cls(
            fault, database, bad or "ok", occupied, len(found.sent), receipted, found.duplicates, found.stuck.seconds
        )


#: Written by the tests of this process, and not yet sent to the one that reports.
WRITTEN: list[Row] = []
#: Of all tests, where the run is reported.
ROWS: list[Row] = []


def table() -> list[str]:
    """Return the lines of the table."""
    heads = (
        "fault",
        "database",
        "result",
        "states occupied when it came",
        "messages",
        "receipts",
        "duplicates",
        "held s",
    )
    rows = [
        (
            row.fault,
            row.database,
            row.result,
            " ".join(f"{state}:{row.occupied[state]}" for state in ORDER if row.occupied.get(state)),
            *map(str, (row.messages, row.receipts, row.duplicates)),
            f"{row.longest:.1f}",
        )
        for row in ROWS
    ]
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)).rstrip()
        for each in (heads, *rows)
    ]


def keep() -> None:
    """Write the table to its file."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("\n".join(table()) + "\n", "utf-8")
