"""The list of events as a page: reads what its address asks for, and one page of the journal. No HTTP, no SQL."""

from hub.operations.page_paths import build_page_path
from hub.operations.watching.visible_events import EventSearch, FoundEvents

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
