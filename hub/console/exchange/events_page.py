"""The list of events as a page: reads what its address asks for, and one page of the journal. No HTTP, no SQL."""

from hub.console.page import PageAnswer, PageReach, PageValues, console_page
from hub.console.visit import Visit
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.turns import ReadingTurns
from hub.operations.watching import visible_events
from hub.operations.watching.visible_events import EventSearch, FoundEvents
from hub.units.live import Live

#: Fields of an event that stand beside its name.
_HIDDEN = frozenset({"at", "event", "message", "delivery", "partner", "link", "user", "by"})


def arrange_events(search: EventSearch, found: FoundEvents) -> dict[str, object]:
    """Return the values of the page."""
    said = {name: text or None for name, text in search.typed.items()}
    more = found.page.more
    return {
        "search": search,
        "choices": found,
        "page": found.page,
        "wrong": found.wrong,
        "hidden": _HIDDEN,
        "first": build_page_path("events", **said) if search.before is not None else None,
        "more": build_page_path("events", **said, before=more.text()) if more is not None else None,
    }


@console_page("GET", "/events", right=Permission.SEE_EVENTS, reach=PageReach.EVERY_UNIT, template="event_list")
async def show_events(visit: Visit, turns: ReadingTurns, live: Live) -> PageAnswer:
    """Show one page of the events that no message leads to."""
    search = visible_events.read_event_search(visit.asked.query)
    found = await turns.look(visible_events.read_events_page, search, live.config.partners, visit.user)
    return PageValues(arrange_events(search, found), 422 if found.wrong else 200)
