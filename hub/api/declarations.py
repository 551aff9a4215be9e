"""The operations on declared figures: read them beside the count, declare, get and send the workbook.

Declares as the page does (`hub.workload.declarations`).
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import attrs

from hub.api.operation import FILE_TYPE, ApiCall, ApiOperation, answer_value, order_once
from hub.api.problems import ApiProblem, NamedFlaw
from hub.api.report_values import ApiDeclarable, ApiDeclaration, ApiDeclarationOrder, ApiRecordedDeclaration
from hub.api.reports import count_report
from hub.domain.errors import describe_problem
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import Problem
from hub.domain.sanitize import clean_line
from hub.language.phrases import phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.parts import OperationParts
from hub.operations.reports import reading
from hub.report.counting.declaring import Declaration, DeclaredCell
from hub.report.workbooks.declared_workbook import read_declared_workbook
from hub.report.workbooks.mistakes import Misfilled
from hub.store.transactions import Transaction
from hub.web.answers import ConsoleResponse
from hub.workload import declarations

_CELL = 200  #: octets of the JSON of a cell, roughly


async def read_declaration(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the newest declaration beside the count."""
    asked, compared = await count_report(parts, call, reading.compare_visible_declaration, call.now)
    said = ApiDeclarable(
        form=asked.form.id,
        unit=asked.members[0],
        period=asked.period.text,
        columns=reading.name_form_columns(asked.form, call.language),
        units={code: asked.names.get(code, code) for code in asked.members},
        declaration=None if compared is None else ApiDeclaration.of(compared),
    )
    cells = len(asked.members) if compared is None else len(compared.found.cells)
    return await parts.turns.work(CONSOLE, cells * _CELL, answer_value, said, call)


async def declare_report(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Record what a unit declares."""
    wanted: ApiDeclarationOrder = call.body
    asked = await count_report(parts, call, reading.find_visible_report, call.now)
    columns, flaws = reading.name_form_columns(asked.form, call.language), []
    for place, cell in enumerate(wanted.cells):
        if cell.unit and cell.unit not in asked.members:
            flaws.append(NamedFlaw(f"cells[{place}].unit", phrase("is neither this unit nor one below it")))
        if cell.column not in columns:
            names = ", ".join(columns)
            flaws.append(NamedFlaw(f"cells[{place}].column", phrase("must be one of {names}", names=names)))
    if flaws:
        raise ApiProblem("order-unfit", flaws=flaws[:_FLAWS])
    cells = tuple(
        DeclaredCell(unit=each.unit, column=each.column, figure=_read_figure(each.figure), note=clean_line(each.note))
        for each in wanted.cells
    )
    said = {"by": clean_line(wanted.by), "note": clean_line(wanted.note)}
    return await _record_declaration(
        parts,
        call,
        Declaration(unit=asked.members[0], form=asked.form.id, period=asked.period.text, cells=cells, **said),
    )


async def declare_by_workbook(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Record what a unit declares by a filled workbook."""
    report, names = await count_report(parts, call, reading.find_declared_report, call.now)
    try:
        said = await parts.turns.alone(read_declared_workbook, call.body, report, names)
    except Misfilled as misfilled:
        flaws = [NamedFlaw(each.cell, each.wrong) for each in misfilled.wrong]
        raise ApiProblem("order-unfit", flaws=flaws[:_FLAWS]) from None
    return await _record_declaration(parts, call, said)


async def read_workbook(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the empty workbook for a declaration."""
    asked = await count_report(parts, call, reading.find_visible_report, call.now)
    made = await parts.turns.alone(reading.write_declaration_template, asked, call.language)
    name = f"khai_{asked.form.id}_{asked.members[0]}_{asked.period.text}.xlsx"
    return ConsoleResponse(content=made, content_type=FILE_TYPE, filename=name)


#: Mistakes that one answer names, at most.
_FLAWS = 100


async def _record_declaration(parts: OperationParts, call: ApiCall, said: Declaration) -> ConsoleResponse:
    """Record a declaration, and answer with its message. Raises `ApiProblem`; then nothing is recorded."""
    named, province = attrs.evolve(said, by=said.by or call.token.by), parts.live.province

    def step(tx: Transaction) -> ApiRecordedDeclaration:
        taken = declarations.record_declaration(tx, province, named, by=call.token.by, now=call.now)
        if taken.problems:
            raise refuse_by_problems(taken.problems, call)
        return ApiRecordedDeclaration(message=taken.id)

    return await order_once(parts, call, step)


def refuse_by_problems(problems: Sequence[Problem], call: ApiCall) -> ApiProblem:
    """Return the problem of an order that was refused, each reason with its code."""
    flaws = [NamedFlaw(each.code, describe_problem(each, call.language)) for each in problems[:_FLAWS]]
    return ApiProblem("order-unfit", flaws=flaws)


def _read_figure(said: float | None) -> int | Decimal | None:
    """Return a figure without the noise of a binary number: 98.7 is 98.7."""
    if said is None or isinstance(said, int):
        return said
    return int(said) if said == int(said) else Decimal(repr(said))


_reading = partial(ApiOperation, tag="reports", scopes=(Permission.SEE_REPORTS,))
_declaring = partial(ApiOperation, method="POST", tag="reports", scopes=(Permission.DECLARE,))
OPERATIONS = (
    _reading(
        name="getDeclaration",
        path="/reports/{form}/{unit}/{period}/declaration",
        about=phrase("Read what a unit has declared for a report beside the count, and what it may declare."),
        answers=ApiDeclarable,
        run=read_declaration,
    ),
    _declaring(
        name="declareReport",
        path="/reports/{form}/{unit}/{period}/declaration",
        about=phrase("Declare figures of a unit. The newest declaration counts; equal ones are one."),
        takes=ApiDeclarationOrder,
        answers=ApiRecordedDeclaration,
        run=declare_report,
    ),
    _reading(
        name="getDeclarationWorkbook",
        path="/reports/{form}/{unit}/{period}/declaration/workbook",
        about=phrase("Get the empty workbook for a declaration."),
        media=(FILE_TYPE,),
        run=read_workbook,
    ),
    _declaring(
        name="declareByWorkbook",
        path="/reports/{form}/{unit}/{period}/declaration/workbook",
        about=phrase("Declare figures of a unit by the filled workbook."),
        takes_file=True,
        answers=ApiRecordedDeclaration,
        run=declare_by_workbook,
    ),
)
