"""Reads and records the declarations of units, and compares them with the hub's count. A declaration is a message of
the journal.

Knows where a declaration is found, and that the newest one counts. Does not know the lines of a form, nor how two cells
are compared.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import sqlalchemy as sa
from lxml import etree

from hub.domain import local_time
from hub.domain.ids import make_first_id, make_id
from hub.domain.model import HUB, Event, Message, MessageState
from hub.intake import admission
from hub.journal import blobs, events, messages, unit_registry
from hub.journal.effects import RecordedMessage
from hub.journal.searching import message_reading
from hub.report.counting import declaring, reconciling
from hub.report.counting.declared import MOST_REMARKS, NO_REMARKS, DeclaredFigure, Remark, Remarks
from hub.report.counting.declaring import Declaration
from hub.report.counting.reconciling import Reconciliation
from hub.report.form import book
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form
from hub.report.form.period import Period
from hub.report.signed.declared_figures import NewestDeclaration, choose_declared_figures
from hub.services import Service, reports
from hub.store import transactions
from hub.store.tables import SEARCHED
from hub.store.tables import message as table
from hub.store.transactions import Transaction
from hub.units.province import Province
from hub.units.unit_names import UnitNames

if TYPE_CHECKING:
    from hub.workload.report_sources import ReportSources

#: Declarations that one transaction records: of 989 units, each for itself, others write in between.
TOGETHER = 10
#: The maximum number of a report's declarations that are counted.
MANY = 1000
#: In each declaration that has a note, also with a prefix.
_NOTE = b"Note>"
#: The maximum number of declarations that are read at once for each unit; with more, each unit is looked up by itself.
_MOST_EACH = 10
#: The maximum number of declared cells that a process keeps of declarations that it has read.
_MOST_CELLS = 50_000
_KEPT: dict[tuple[str, tuple[str, ...]], Declaration] = {}


class Undeclared(Exception):
    """The unit has declared nothing for this form and period."""


@attrs.frozen
class KeptDeclaration:
    """The newest declaration of a unit for a form and a period."""

    message: Message
    said: Declaration  #: with the unit codes as the sender wrote them
    earlier: int  #: the number of declarations before it, at most `MANY`


@attrs.frozen
class ComparedDeclaration:
    """The newest declaration compared with the count."""

    asked: "ReportSources"
    kept: KeptDeclaration
    found: Reconciliation


def make_declarations_service(province: Province) -> Service:
    """Return the service `reports` that accepts declarations for the forms and periods of *province*."""
    return declaring.make_reports_service(lambda: book.read_book(province.config.reports))


def read_newest_declaration(tx: Transaction, unit: str, form: str, period: str) -> KeptDeclaration | None:
    """Return the newest declaration of *unit* (the registry's code); None if there is none."""
    rows = message_reading.find_messages_about(
        tx, reports.NAME, declaring.make_declaration_key(form, period), [unit], MANY + 1
    )
    if not rows:
        return None
    content = blobs.read_blob(tx, rows[0]["sha256"])
    return KeptDeclaration(
        message_reading.read_message(tx, rows[0]["id"]), declaring.parse_declaration(content), len(rows) - 1
    )


@attrs.frozen
class StoredDeclaration:
    """Where the newest declaration of a unit is stored."""

    message: str  #: the hub's id
    sha256: str  #: of its octets
    at: datetime  #: when it was received


def find_newest_declarations(
    tx: Transaction, form: str, period: Period, units: Collection[str]
) -> dict[str, StoredDeclaration]:
    """Return the newest declaration of each of *units* that has one, by unit.

    Reads the declarations of all forms since the period began, by an index: none is accepted before.
    """
    key, wanted, keys = declaring.make_declaration_key(form, period.text), frozenset(units), table.c["keys"]
    query = (
        sa.select(table.c.id, table.c.sender, table.c.received_at, table.c.sha256, keys)
        .where(table.c.service == reports.NAME, table.c.kind == declaring.KIND, SEARCHED)
        .where(table.c.state == MessageState.ACCEPTED, table.c.id >= make_first_id(period.start))
        .where(keys.contains(json.dumps(key, ensure_ascii=False), autoescape=True))
        .order_by(table.c.received_at, table.c.id)
    )
    return {
        row.sender: StoredDeclaration(row.id, row.sha256, row.received_at)
        for row in tx.execute(query)
        if row.sender in wanted and key in json.loads(row[4])  # SQLite's LIKE ignores case
    }


def read_remarks(tx: Transaction, form: str, period: Period, members: Sequence[str]) -> Remarks:
    """Return what the newest declarations of *members* for the report *form* say of their figures, in the order of
    *members*, at most `MOST_REMARKS`.
    """
    stored = find_newest_declarations(tx, form, period, members)
    found: list[Remark] = []
    for unit in members:
        if unit in stored:
            content = blobs.read_blob(tx, stored[unit].sha256)
            found += _list_remarks(unit, stored[unit], declaring.parse_declaration(content)) if _NOTE in content else ()
    return (
        Remarks(told=tuple(found[:MOST_REMARKS]), left_out=max(0, len(found) - MOST_REMARKS)) if found else NO_REMARKS
    )


def _list_remarks(unit: str, stored: StoredDeclaration, said: Declaration) -> Iterator[Remark]:
    told = Remark(unit=unit, text=said.note, by=said.by, at=stored.at, message=stored.message)
    if said.note:
        yield told
    for cell in said.cells:
        if cell.note:
            yield attrs.evolve(told, text=cell.note, column=cell.column, of=cell.unit)


def compare_declaration(tx: Transaction, asked: "ReportSources", now: datetime) -> ComparedDeclaration:
    """Compare the newest declaration of the unit in *asked* with the count as of *now*. Raises Undeclared."""
    kept = read_newest_declaration(tx, asked.members[0], asked.form.id, asked.period.text)
    if kept is None:
        raise Undeclared
    today = local_time.find_local_day(now)
    canonical = {
        unit: unit_registry.resolve_unit_code(tx, unit, today)
        for unit in {cell.unit for cell in kept.said.cells}
        if unit
    }
    cells = tuple(attrs.evolve(cell, unit=canonical.get(cell.unit, "")) for cell in kept.said.cells)
    said = attrs.evolve(kept.said, cells=cells)
    with asked.open_evidence(now) as gathered:
        look = partial(reconciling.find_cell_evidence, asked.form, gathered.listing)
        return ComparedDeclaration(asked.bare, kept, reconciling.reconcile_declaration(said, gathered.report, look))


def read_unit_names(tx: Transaction, asked: "ReportSources") -> UnitNames:
    """Return the names by which a workbook may call the units of the report *asked*."""
    histories = unit_registry.list_unit_histories(tx)
    deeds = unit_registry.list_registry_deeds(tx)
    return UnitNames.of(histories, deeds, asked.members, asked.period.first, asked.period.last)


def read_declared_figures(
    tx: Transaction, form: Form, period: Period, members: Sequence[str], parents: Mapping[str, str | None]
) -> tuple[DeclaredFigure, ...]:
    """Return the declared figures of the report *form* of *members*, the reporting unit first, for *period*.

    *parents*: the unit above each unit of the province. Only the newest declaration of each unit counts.
    """
    columns = tuple(column.key for column in form.columns if column.kind is ColumnKind.DECLARED)
    if not columns:
        return ()
    above = {unit: _list_above(unit, parents) for unit in members}
    with_units_below = set(parents.values())
    senders = list(dict.fromkeys(unit for member in members for unit in (member, *above[member])))
    key = declaring.make_declaration_key(form.id, period.text)
    most = _MOST_EACH * len(senders)
    rows = message_reading.find_messages_about(tx, reports.NAME, key, senders, most + 1)
    if len(rows) > most:
        rows = [
            row for sender in senders for row in message_reading.find_messages_about(tx, reports.NAME, key, [sender], 1)
        ]
    told: dict[str, NewestDeclaration] = {}
    for row in rows:
        if row["sender"] not in told:
            said = _read_cells(tx, row["sha256"], columns)
            own = "" if row["sender"] in with_units_below else row["sender"]
            said = _with_registry_codes(tx, said, own, period)
            told[row["sender"]] = NewestDeclaration(message=row["id"], at=row["received_at"], said=said)
    return choose_declared_figures(form, members, above, told)


def _read_cells(tx: Transaction, sha256: str, columns: tuple[str, ...]) -> Declaration:
    """Return the declaration with the octets *sha256*, with only its cells of *columns* and without notes. A page asks again
    for what it asked a moment ago, so up to `_MOST_CELLS` cells are kept.
    """
    found = _KEPT.get((sha256, columns))
    if found is None:
        said = declaring.parse_declaration(blobs.read_blob(tx, sha256))
        cells = tuple(attrs.evolve(cell, note="") for cell in said.cells if cell.column in columns)
        found = attrs.evolve(said, cells=cells, note="")
        if sum(1 + len(each.cells) for each in list(_KEPT.values())) + len(cells) >= _MOST_CELLS:
            _KEPT.clear()
        _KEPT[sha256, columns] = found
    return found


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


def record_declaration(
    tx: Transaction, province: Province, said: Declaration, *, by: str, now: datetime
) -> RecordedMessage:
    """Journal, as a message of the hub's own, what the operator *by* declares on behalf of a unit.

    If the figures equal the newest declaration's, write nothing and return that message. Otherwise the declaration is a
    new message, even if an earlier one had the same figures.
    """
    content = _write_canonical(declaring.build_declaration_element(said))
    unit = province.routes.canonical(said.unit)
    transactions.lock_names(tx, [f"declaration {said.form} {unit} {said.period}"])
    before = read_newest_declaration(tx, unit, said.form, said.period)
    if before is not None and _write_canonical(declaring.build_declaration_element(before.said)) == content:
        return RecordedMessage(before.message.id, message_reading.read_stored_receipt(tx, before.message.id))
    message = make_id(now)
    name = f"{declaring.KIND}/{said.form}/{unit}/{said.period}/{message}"
    entry = admission.judge_record(make_declarations_service(province), content, name, HUB, province, now, message)
    taken = messages.record_message(tx, entry, province.routes)
    if not taken.problems:
        body = {"by": by, "unit": unit, "form": said.form, "period": said.period}
        events.append_events(tx, Event("report-declared", now, taken.id, body=body))
    return taken


def record_declarations(
    tx: Transaction, province: Province, some: Sequence[Declaration], *, by: str, now: datetime
) -> list[RecordedMessage]:
    """Journal several declarations as `record_declaration` does. One takes about 5 ms, so `TOGETHER` at a time."""
    return [record_declaration(tx, province, each, by=by, now=now) for each in some]


def _write_canonical(element: Any) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)
