"""The page of who is late today: reads what its address asks for, and arranges what is found. No HTTP, no SQL.

A user sees the open work of its own units only. A message of partners that the user does not see is not named.
"""

from collections.abc import Mapping, Sequence

from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.visit import Visit
from hub.language.languages import Language
from hub.monitoring.late_work import LateView
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.turns import ReadingTurns
from hub.operations.watching import visible_late_work
from hub.operations.watching.visible_late_work import FILED, UNITS, LateSearch, write_place
from hub.report.counting.open_work import ListedWork, WorkState, read_rules
from hub.report.output import work_list
from hub.report.output.work_list import WorkListHead
from hub.units.live import Live
from hub.web.answers import ConsoleResponse

#: Kinds of files: media type of each.
FILES: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def arrange_late(search: LateSearch, view: LateView | None) -> dict[str, object]:
    """Return the values of the page. *view*: None if nothing was searched."""
    said = {name: value for name, value in search.typed.items() if value}
    shown = () if view is None else view.units if search.every_unit else view.units[:UNITS]
    found: dict[str, object] = {
        "search": search,
        "view": view,
        "units": shown,
        "services": sorted(read_rules()),
        "states": work_list.STATES,
        "days": search.asked.days,
        "filed": FILED,
        "totals": {}
        if view is None
        else {state: sum(getattr(each, state) for each in view.units) for state in WorkState},
        "narrow": lambda **more: build_page_path("late", **{**said, **more}),
        "file": lambda kind: build_page_path(f"late.{kind}", **said),
    }
    if view is not None:
        found |= {
            "more": build_page_path("late", **said, after=write_place(view.items[-1].place)) if view.more else None,
            "hidden": len(view.units) - len(shown),
            "state_of": lambda work: work.find_state(view.today),
            "head": view.head,
        }
    return found


def write_late_file(kind: str, items: Sequence[ListedWork], head: WorkListHead, language: Language) -> bytes:
    """Return the items as a file of the *kind*, a key of `FILES`."""
    write = work_list.write_work_xlsx if kind == "xlsx" else work_list.write_work_csv
    return write(items, head, language)


@console_page("GET", "/late", "/late.csv", "/late.xlsx", right=Permission.SEE_REPORTS, template="late")
async def show_late(visit: Visit, turns: ReadingTurns, live: Live) -> PageAnswer:
    """Show who is late today, or return it as a file."""
    kind, search = visit.asked.path[0].partition(".")[2], visible_late_work.read_late_search(visit.asked.query)
    workdays = (await turns.read_book()).workdays
    view = None
    if not search.wrong:
        limit = FILED if kind else visible_late_work.PAGE
        view = await turns.look(visible_late_work.read_late_page, visit.user, search.asked, workdays, visit.now, limit)
    if kind and view is not None:
        content = await turns.alone(write_late_file, kind, view.items, view.head, visit.asked.language)
        name = f"late-{search.asked.unit or live.config.province}-{view.today:%Y%m%d}.{kind}"
        return ConsoleResponse(content=content, content_type=FILES[kind], filename=name)
    return PageValues(arrange_late(search, view), 422 if view is None else 200)
