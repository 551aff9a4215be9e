"""The units, the forms and the periods: the way to each report. No HTTP, no SQL."""

from hub.console.page import console_page
from hub.console.province import waiting
from hub.console.visit import Visit
from hub.domain.fair_queue import CONSOLE
from hub.domain.local_time import find_local_day
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.reports import reading
from hub.operations.turns import ReadingTurns
from hub.report.form.period import find_month_containing
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.batch_commit import Journal

_DEFAULT_FORM = "edoc"


@console_page("GET", "/", template="home")
@console_page("GET", "/units", right=Permission.SEE_REPORTS, template="home")
async def show_units(visit: Visit, turns: ReadingTurns, journal: Journal, work: Work) -> dict[str, object]:
    """Show the units that are searched for, and what waits for the user."""
    asked, user = visit.asked, visit.user
    query = asked.query.get("q", "")[:200]
    found = await turns.look(reading.find_units, user, query, find_local_day(visit.now))
    book = await turns.read_closed_book()
    waits = await journal.read(waiting.list_waiting_reports, user, book, visit.now)
    shown = await work(CONSOLE, THRESHOLD, reading.list_report_choices, visit.now, book)
    ids = {form.id for form in shown.forms}
    form = asked.query.get("form", _DEFAULT_FORM)
    period = asked.query.get("period", "")
    texts = {each.text for _, members in shown.periods for each in members}
    return {
        "query": query,
        "waits": waits,
        "here_units": build_page_path(*asked.path),
        "units": found.found,
        "count": found.count,
        "names": found.names,
        "forms": shown.forms,
        "periods": shown.periods,
        "form": form if form in ids else _DEFAULT_FORM,
        "period": period if period in texts else find_month_containing(visit.now, book.cuts).text,
    }
