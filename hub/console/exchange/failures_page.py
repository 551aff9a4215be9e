"""The failures by cause as a page: reads what its address asks for, and arranges what is found. No HTTP, no SQL.

Each group leads to the list of exactly its failures. A group of dead deliveries leads to the form of a replay plan that
chooses exactly these.
"""

from collections.abc import Collection, Mapping

import attrs

from hub.console.page import PageAnswer, PageReach, PageValues, console_page
from hub.console.visit import Visit
from hub.domain.failure_causes import NOBODY
from hub.language.phrases import Phrase, phrase
from hub.language.sorting import make_code_sort_key
from hub.monitoring import failures
from hub.monitoring.failures import BACK, FailureGroup, FailureKind
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.turns import ReadingTurns
from hub.operations.watching import visible_failures
from hub.operations.watching.visible_failures import FailureSearch, FoundFailures
from hub.units.live import Live

NAMES: Mapping[FailureKind, Phrase] = {
    FailureKind.DEAD: phrase("dead delivery"),
    FailureKind.SUSPENDED: phrase("suspended delivery"),
    FailureKind.REFUSED: phrase("refused message"),
    FailureKind.CALL: phrase("refused call"),
}


@attrs.frozen(kw_only=True)
class GroupPlaces:
    """Where a group of failures leads."""

    list: str  #: exactly its failures
    example: str | None  #: the message or the call of the last one
    replay: str | None = None  #: a plan for exactly its deliveries; None: they cannot be replayed


def arrange_failures(search: FailureSearch, found: FoundFailures, partners: Collection[str]) -> dict[str, object]:
    """Return the values of the page. *partners*: the codes of the configuration."""
    return {
        "search": search,
        "found": found.list,
        "wrong": found.wrong,
        "places": {(each.kind, each.cause): link_group(each) for each in found.list.groups},
        "names": NAMES,
        "partners": sorted({*partners, *filter(None, [search.typed["partner"]])} - {NOBODY}, key=make_code_sort_key),
        "nobody": NOBODY,
        "days": BACK.days,
        "counted": failures.COUNTED,
    }


def link_group(group: FailureGroup) -> GroupPlaces:
    """Return where *group* leads."""
    example = None if group.example is None else build_page_path("messages", group.example)
    if group.kind is FailureKind.REFUSED:
        return GroupPlaces(list=build_page_path("messages", cause=group.cause, state="refused"), example=example)
    if group.kind is FailureKind.CALL:
        return GroupPlaces(list=build_page_path("events", kind="call-refused", cause=group.cause), example=example)
    chosen = {"cause": group.cause, "delivery": str(group.kind)}
    return GroupPlaces(
        list=build_page_path("messages", **chosen),
        example=example,
        replay=build_page_path("replays", "new", **chosen),
    )


@console_page("GET", "/failures", right=Permission.SEE_REFUSED, reach=PageReach.EVERY_UNIT, template="failures")
async def show_failures(visit: Visit, turns: ReadingTurns, live: Live) -> PageAnswer:
    """Show the failures by cause."""
    partners, user = live.config.partners, visit.user
    search = visible_failures.read_failure_search(visit.asked.query, visit.now)
    found = await turns.look(visible_failures.read_failures_page, user, search, partners)
    return PageValues(arrange_failures(search, found, user.keep_visible(partners)), 422 if found.wrong else 200)
