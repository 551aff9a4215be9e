"""The pages of the province at a glance. Contains no SQL and counts nothing.

/glance[?form=…&period=…]                  leads to the first form and its newest closed month, or to what is chosen
/glance/FORM/PERIOD[?by=…&class=…&under=…] the units of a class, ranked;  PERIOD.csv, .json, …: as a file
/glance/FORM/PERIOD/UNIT[?by=…]            how one unit stands among those that are like it, and why
"""

from functools import partial
from typing import Any

import attrs
from markupsafe import Markup

from hub.console.page import PageAnswer, console_page
from hub.console.request import ConsoleRequest
from hub.console.visit import PageFrame, Visit
from hub.domain.fair_queue import CONSOLE
from hub.journal.fact_reading import fact_rows
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.reports import reading
from hub.operations.reports.glance_reading import KINDS, GlanceReader
from hub.operations.turns import ReadingTurns
from hub.report.glance.drawing import draw_bar, draw_trend, make_unit_plot, name_shown
from hub.report.glance.view import GlanceView
from hub.report.output import svg
from hub.report.output.spike_lines import describe_spike
from hub.store.batch_commit import Journal
from hub.units.live import Live
from hub.web.answers import ConsoleResponse
from hub.workload.glance.glance_view import GlanceAsked

#: Units that are named among those that changed most, up and down.
_CHANGED = 5
#: Cost estimate: writing one row costs as much as parsing this many octets of XML.
_ROW = 4096


@attrs.define(eq=False)
class GlancePages:
    """Makes the pages of the province at a glance."""

    _journal: Journal
    _turns: ReadingTurns  #: limits what is read, and runs heavy computations
    _live: Live
    _frame: PageFrame
    _reader: GlanceReader = attrs.field(
        default=attrs.Factory(lambda self: GlanceReader(self._journal, self._live, self._turns), takes_self=True),
        init=False,
    )

    @console_page("GET", "/glance", right=Permission.SEE_REPORTS, template="glance_none")
    async def find_glance(self, visit: Visit) -> PageAnswer:
        """Lead to the first form and its newest closed month, or to what is chosen."""
        if await self._turns.look(fact_rows.read_earliest_fact_time) is None:
            return {}
        query = visit.asked.query
        form, period = await self._reader.find_first(query.get("form", ""), visit.now)
        chosen = {name: query[name] for name in ("by", "class", "under") if query.get(name)}
        if query.get("was", form) != form:
            chosen.pop("by", None)  # an indicator of the form that was shown before
        return build_page_path("glance", form, query.get("period") or period, **chosen)

    @console_page("GET", "/glance/{form}/{period}", right=Permission.SEE_REPORTS, template="glance")
    async def show_glance(self, visit: Visit, form: str, period: str) -> PageAnswer:
        """Show the units of a class, ranked, or return them as a file."""
        asked, (period, dot, kind) = visit.asked, period.partition(".")
        if dot and kind not in KINDS:
            raise refuse_as_absent()
        wanted = _read_wanted(asked, form, period)
        view = await self._reader.read_view(visit.user, wanted, visit.now, asked.wanted)
        if not dot:
            return await self._show(visit, view)
        content = await self._reader.write_file(view, kind, asked.language)
        name = f"{view.form.id}_{view.indicator.key}_{view.period.text}.{kind}"
        return ConsoleResponse(content=content, content_type=KINDS[kind], filename=name)

    async def _show(self, visit: Visit, view: GlanceView) -> ConsoleResponse:
        book = await self._turns.read_closed_book()
        language = visit.asked.language

        def make() -> bytes:
            shown = reading.list_report_choices(visit.now, book, view.form, view.period)
            ups, downs = view.ranking.list_changes(_CHANGED)
            said = {
                **_say_glance(view, language),
                "forms": shown.forms,
                "periods": shown.periods,
                "ups": ups,
                "downs": downs,
                "kinds": tuple(KINDS),
                "shown": name_shown(view, language),
            }
            return self._frame.draw_page("glance", visit, said)

        return ConsoleResponse(content=await self._turns.work(CONSOLE, len(view.ranking.rows) * _ROW, make))

    @console_page("GET", "/glance/{form}/{period}/{unit}", right=Permission.SEE_REPORTS, template="glance_unit")
    async def show_unit_glance(self, visit: Visit, form: str, period: str, unit: str) -> PageAnswer:
        """Show how one unit stands among those that are like it, and why."""
        if "." in period:
            raise refuse_as_absent()
        asked, user, now = visit.asked, visit.user, visit.now
        wanted = _read_wanted(asked, form, period)
        found = await self._reader.read_unit(user, wanted, unit, now, asked.wanted)
        language, view = asked.language, found.view
        divides, shows = bool(view.form.divides_by), view.complete or asked.query.get("fields") == "1"
        fields = await self._reader.read_fields(user, wanted, unit, now, asked.wanted) if divides and shows else None

        def make() -> bytes:
            chart = svg.draw_plot(make_unit_plot(found, language), language)
            said = {
                **_say_glance(view, language),
                "found": found,
                "row": found.row,
                "chart": Markup(chart),  # noqa: S704 - it is ours, and escapes
                "unusual": _list_unusual(view, unit, language),
                "below": [] if found.below is None else found.below.rows,
                "shown": name_shown(view, language),
                "fields": fields,
                "divides": divides,
            }
            return self._frame.draw_page("glance_unit", visit, said)

        rows = 1 if found.below is None else len(found.below.rows)
        return ConsoleResponse(content=await self._turns.work(CONSOLE, rows * _ROW, make))


def _read_wanted(asked: ConsoleRequest, form: str, period: str) -> GlanceAsked:
    query = asked.query
    return GlanceAsked(
        form=form,
        period=period,
        indicator=query.get("by", ""),
        of_class=query.get("class", ""),
        under=query.get("under", ""),
    )


def _say_glance(view: GlanceView, language: Language) -> dict[str, Any]:
    """Return what both pages say, and how they say numbers."""

    def draw(values: Any) -> Markup:
        return Markup(draw_trend(values, view.ranking.periods, language))  # noqa: S704 - it is ours, and escapes

    known = [row.value for row in view.ranking.rows if row.value is not None]
    greatest = max([*known, *([] if view.ranking.target is None else [view.ranking.target])], default=None)

    def draw_figure(value: Any) -> Markup:
        return Markup(draw_bar(value, greatest, view.ranking.target))  # noqa: S704 - it is ours, of numbers alone

    place = "glance", view.form.id, view.period.text
    return {
        "view": view,
        "ranking": view.ranking,
        "indicator": view.indicator,
        "called": view.name_indicator(view.indicator, language),
        "indicators": [(each.key, view.name_indicator(each, language)) for each in view.indicators],
        "value": partial(view.write_value, language=language),
        "change": partial(view.write_change, language=language),
        "draw": draw,
        "draw_figure": draw_figure,
        "place_of": lambda code: build_page_path(*place, code, by=view.indicator.key),
        "unusual_of": partial(_list_unusual, view, language=language),
        "heading_of": lambda key: view.name_column(key, language),
        "before": view.trend[-2],
    }


def _list_unusual(view: GlanceView, unit: str, language: Language) -> list[tuple[Any, str]]:
    """Return what was unusual at the closing in *unit* and below it, each with its sentence."""
    return [
        (each, translate(describe_spike(each, view.form, view.names.get(each.unit, each.unit), language), language))
        for each in view.list_spikes(unit)
    ]
