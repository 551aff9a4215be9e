"""Reads the declared figures that stand in a report. Knows where declarations are in the journal, and which units lie above
another. Which figure counts is `hub.report.signed.declared_figures`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import attrs

from hub.journal import blobs, search, unit_registry
from hub.report.counting.declared import DeclaredFigure
from hub.report.form.form import ColumnKind, Form
from hub.report.form.period import Period
from hub.report.signed import declaring
from hub.report.signed.declared_figures import NewestDeclaration, choose_declared_figures
from hub.report.signed.declaring import Declaration
from hub.services import reports
from hub.store.transactions import Transaction

#: The maximum number of declarations that are read at once for each unit; with more, each unit is looked up by itself.
_MOST_EACH = 10


def read_declared_figures(
    tx: Transaction, form: Form, period: Period, members: Sequence[str], parents: Mapping[str, str | None]
) -> tuple[DeclaredFigure, ...]:
    """Return the declared figures of the report *form* of *members*, the reporting unit first, for *period*.

    *parents*: the unit above each unit of the province. Only the newest declaration of each unit counts.
    """
    if all(column.kind is not ColumnKind.DECLARED for column in form.columns):
        return ()
    above = {unit: _list_above(unit, parents) for unit in members}
    with_units_below = set(parents.values())
    senders = list(dict.fromkeys(unit for member in members for unit in (member, *above[member])))
    key = declaring.make_declaration_key(form.id, period.text)
    most = _MOST_EACH * len(senders)
    rows = search.find_messages_about(tx, reports.NAME, key, senders, most + 1)
    if len(rows) > most:
        rows = [row for sender in senders for row in search.find_messages_about(tx, reports.NAME, key, [sender], 1)]
    told: dict[str, NewestDeclaration] = {}
    for row in rows:
        if row["sender"] not in told:
            said = _parse(blobs.read_blob(tx, row["sha256"]))
            own = "" if row["sender"] in with_units_below else row["sender"]
            said = _with_registry_codes(tx, said, own, period)
            told[row["sender"]] = NewestDeclaration(message=row["id"], at=row["received_at"], said=said)
    return choose_declared_figures(form, members, above, told)


@lru_cache(2048)  # a page asks again for what it asked a moment ago
def _parse(content: bytes) -> Declaration:
    return declaring.parse_declaration(content)


def _with_registry_codes(tx: Transaction, said: Declaration, own: str, period: Period) -> Declaration:
    """Return *said* with the registry's codes of its units. *own*: the row of what it declares as its total: of a unit
    with none below it the unit's own, else "".
    """
    codes = {
        unit: unit_registry.resolve_unit_code(tx, unit, period.last) for unit in {each.unit for each in said.cells}
    }
    cells = tuple(attrs.evolve(cell, unit=codes[cell.unit] if cell.unit else own) for cell in said.cells)
    return attrs.evolve(said, cells=cells)


def _list_above(unit: str, parents: Mapping[str, str | None]) -> tuple[str, ...]:
    """Return the units above *unit*, the nearest first."""
    found: list[str] = []
    at = parents.get(unit)
    while at is not None and at not in found:
        found.append(at)
        at = parents.get(at)
    return tuple(found)
