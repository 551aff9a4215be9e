"""The operations on the province at a glance: the units of a class beside one another, as values and as a file.

Reads as the pages do (`hub.console.province.glance_reading`). Counts nothing that is kept.
"""

from enum import StrEnum

from hub.api.operation import ApiCall, ApiOperation, ApiParameter, ApiParts, answer_value, in_path
from hub.api.values import ApiGlance
from hub.console.permissions import Permission
from hub.console.province.glance_reading import KINDS, GlanceReader
from hub.console.request import ConsoleResponse
from hub.language.phrases import phrase
from hub.report.glance import files
from hub.report.glance.view import GlanceView
from hub.workload.glance_view import GlanceAsked


class GlanceFormat(StrEnum):
    """The format of a ranking as a file."""

    XLSX = "xlsx"
    PDF = "pdf"
    CSV = "csv"
    JSON = "json"


_PARAMETERS = (
    in_path("form", phrase("id of the form, such as edoc")),
    in_path("period", phrase("the period: 2026-11, 2026-Q4, 2026-H1, 2026-9M or 2026")),
    ApiParameter("by", phrase("key of an indicator or of a column; none: the first indicator")),
    ApiParameter("class", phrase("key of a class of units; none: the first")),
    ApiParameter("under", phrase("code of a unit: the units directly below it are compared, instead of a class")),
)


async def _read(parts: ApiParts, call: ApiCall) -> GlanceView:
    reader = GlanceReader(parts.journal, parts.live, parts.turns)
    asked = GlanceAsked(
        form=call.text("form"),
        period=call.text("period"),
        indicator=call.text("by"),
        of_class=call.text("class"),
        under=call.text("under"),
    )
    return await reader.read_view(call.user, asked, call.now, call.wanted)


async def read_glance(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the ranking."""
    view = await _read(parts, call)
    said = ApiGlance(form=view.form.id, period=view.period.text, glance=files.describe_glance(view))
    return answer_value(said, call)


async def read_glance_file(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the ranking as a file."""
    view, kind = await _read(parts, call), call.text("format")
    content = await parts.turns.alone(files.write_glance, view, kind, call.language)
    name = f"{view.form.id}_{view.indicator.key}_{view.period.text}.{kind}"
    return ConsoleResponse(content=content, content_type=KINDS[kind], filename=name)


OPERATIONS = (
    ApiOperation(
        name="getGlance",
        path="/glance/{form}/{period}",
        tag="reports",
        about=phrase("Rank the units of a class by a number of a form, with change, trend and target."),
        scopes=(Permission.SEE_REPORTS,),
        parameters=_PARAMETERS,
        answers=ApiGlance,
        run=read_glance,
    ),
    ApiOperation(
        name="getGlanceFile",
        path="/glance/{form}/{period}/file",
        tag="reports",
        about=phrase("Get a ranking as a file."),
        scopes=(Permission.SEE_REPORTS,),
        parameters=(
            *_PARAMETERS,
            ApiParameter("format", phrase("format of the file"), kind=GlanceFormat, required=True),
        ),
        media=tuple(each.partition(";")[0] for each in KINDS.values()),
        run=read_glance_file,
    ),
)
