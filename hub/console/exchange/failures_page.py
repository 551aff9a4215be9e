"""The failures by cause as a page: reads what its address asks for, and arranges what is found. No HTTP, no SQL.

Each group leads to the list of exactly its failures. A group of dead deliveries leads to the form of a replay plan that
chooses exactly these.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import attrs

from hub.config import Partner
from hub.domain.failure_causes import NOBODY
from hub.journal.search_request import is_known_partner
from hub.language.phrases import Phrase, phrase
from hub.language.sorting import make_code_sort_key
from hub.monitoring import failures
from hub.monitoring.failures import BACK, FailureFilter, FailureGroup, FailureKind, FailureList
from hub.operations.accounts.users import User
from hub.operations.refusals import read_time
from hub.store.transactions import Transaction
from hub.web.page_paths import build_page_path

#: Characters read of each field of the search.
_LONGEST = 200
#: The fields of the search. They are also the names in the address.
FIELDS = ("partner", "state", "since", "until")
NAMES: Mapping[FailureKind, Phrase] = {
    FailureKind.DEAD: phrase("dead delivery"),
    FailureKind.SUSPENDED: phrase("suspended delivery"),
    FailureKind.REFUSED: phrase("refused message"),
    FailureKind.CALL: phrase("refused call"),
}


@attrs.frozen(kw_only=True)
class FailureSearch:
    """What the address of the page asks for."""

    typed: Mapping[str, str]
    wanted: FailureFilter
    wrong: Sequence[Phrase] = ()  #: what cannot be read; then nothing is searched


@attrs.frozen(kw_only=True)
class FoundFailures:
    """What the page shows."""

    list: FailureList
    wrong: Sequence[Phrase] = ()  #: why nothing was searched


@attrs.frozen(kw_only=True)
class GroupPlaces:
    """Where a group of failures leads."""

    list: str  #: exactly its failures
    example: str | None  #: the message or the call of the last one
    replay: str | None = None  #: a plan for exactly its deliveries; None: they cannot be replayed


def read_failure_search(query: Mapping[str, str], now: datetime) -> FailureSearch:
    """Return what *query*, the query of the address, asks for."""
    typed = {name: " ".join(query.get(name, "").split())[:_LONGEST] for name in FIELDS}
    wrong: list[Phrase] = []
    since, until = (read_time(typed[name], wrong) for name in ("since", "until"))
    kind = typed["state"]
    if kind and kind not in {*FailureKind}:
        wrong.append(phrase("There are no failures of the kind “{name}”.", name=kind))
    wanted = FailureFilter(
        partner=typed["partner"] or None,
        kind=FailureKind(kind) if kind in {*FailureKind} else None,
        since=since or now - BACK,
        until=until,
    )
    return FailureSearch(typed=typed, wanted=wanted, wrong=wrong)


def read_failures_page(
    tx: Transaction, user: User, search: FailureSearch, partners: Mapping[str, Partner]
) -> FoundFailures:
    """Return the groups of failures that *search* asks for, as far as *user* sees their partners.

    *partners*: those of the configuration.
    """
    wrong, partner = [*search.wrong], search.wanted.partner
    names = {code: each.name for code, each in partners.items()}
    known = partner in (None, NOBODY) or is_known_partner(tx, partner, names)
    if partner and not (known and user.sees_partner(None if partner == NOBODY else partner)):
        wrong.append(phrase("There is no partner “{value}”.", value=partner))
    if wrong:
        return FoundFailures(list=FailureList(groups=()), wrong=wrong)
    return FoundFailures(list=failures.list_failures(tx, attrs.evolve(search.wanted, visible=user.visible_partners)))


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
