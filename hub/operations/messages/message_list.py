"""Finds the messages of the list page for one user. Contains no HTTP and no SQL.

The address is the search: everything that a page shows is in its query. A user finds what this user may open
(hub.operations.messages.visible_messages), and of that what its units sent or get, or whose documents they answer. Lookups, refused
messages and refused calls are found with a permission only.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import attrs

from hub.domain.model import Message, MessageState
from hub.journal import unit_registry
from hub.journal.searching import message_reading, refused_calls, search, search_index
from hub.journal.searching.message_filter import MessageFilter
from hub.journal.searching.refused_calls import RefusedCall
from hub.journal.searching.search import DeliverySummary
from hub.language.languages import Language
from hub.language.phrases import Phrase
from hub.operations.accounts import saved_searches, users
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.saved_searches import SavedSearch
from hub.operations.accounts.users import User
from hub.operations.messages import search_export, visible_messages
from hub.operations.messages.search_request import Direction, SearchPlan, SearchRequest, plan_search
from hub.operations.messages.visible_messages import PRIVATE, may_see_refused
from hub.operations.typed_fields import read_time
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction

#: Rows of a page; messages that are counted for a user who sees everything, and for others; rows of an export and of its parts.
PAGE, COUNTED, COUNTED_OWN, EXPORTED, PART = 50, 1_000, 200, 100_000, 500
#: The value of `state` that lists refused calls instead of messages.
CALLS = "call"
#: The parameters of the address that choose messages, and the field of the request that each one sets.
CHOOSING: Mapping[str, str] = {
    "q": "text",
    "since": "since",
    "until": "until",
    "direction": "direction",
    "state": "state",
    "delivery": "delivery_state",
    "kind": "kind",
    "partner": "partner",
    "sent_to": "sent_to",
    "unit": "unit",
    "recipient": "recipient",
    "refusal": "refusal",
    "answer": "answer",
    "cause": "cause",
}
#: Kinds of files: media type of each.
FILES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
_LONGEST = 200


@attrs.frozen(kw_only=True)
class ListQuery:
    """What the address of the list asks for."""

    given: Mapping[str, str]  #: the parameters that choose messages, as they were typed
    asked: SearchRequest
    calls: bool = False  #: the refused calls are asked for
    before: str | None = None  #: hub id: the page of older rows
    after: str | None = None  #: hub id: the page of newer rows
    wrong: tuple[Phrase, ...] = ()  #: what cannot be understood

    @property
    def text(self) -> str:
        """The query of the address, without a page."""
        return urlencode(self.given)

    def page(self, **place: str) -> str:
        """Return the query of the address of the page at *place*."""
        return urlencode({**self.given, **place})


@attrs.frozen(kw_only=True)
class MessagePage:
    """One page of the list."""

    messages: Sequence[Message] = ()
    calls: Sequence[RefusedCall] = ()
    summaries: Mapping[str, Sequence[DeliverySummary]] = attrs.field(factory=dict)
    count: int = 0  #: of all that is found, at most `most`
    most: int = COUNTED
    newer: str | None = None  #: hub id for `after`, if there are newer rows
    older: str | None = None  #: hub id for `before`, if there are older rows
    plan: SearchPlan
    behind: bool = False  #: older messages are not found by words yet
    names: Mapping[str, str]  #: of units, by code
    kinds: Sequence[tuple[str, str]]  #: service and kind of the messages of the journal
    saved: Sequence[SavedSearch]


def parse_list_query(query: Mapping[str, str]) -> ListQuery:
    """Return what the parameters of an address ask for."""
    given = {name: query[name].strip()[:_LONGEST] for name in CHOOSING if query.get(name, "").strip()}
    said: dict[str, Any] = {CHOOSING[name]: value for name, value in given.items()}
    wrong: list[Phrase] = []
    said |= {name: read_time(said.get(name, ""), wrong) for name in ("since", "until")}
    if "direction" in said:
        said["direction"] = Direction(said["direction"]) if said["direction"] in {*Direction} else None
    if "kind" in said:
        service, _, kind = said.pop("kind").partition("/")
        said |= {"service": service or None, "kind": kind or None}
    calls = said.get("state") == CALLS
    if said.get("state") not in {*MessageState}:
        said.pop("state", None)
    places = {name: query[name] for name in ("before", "after") if len(query.get(name, "")) == 36}
    return ListQuery(given=given, asked=SearchRequest(**said), calls=calls, wrong=tuple(wrong), **places)


def normalise_saved_query(text: str) -> str:
    """Return the query *text* with the parameters that choose messages only."""
    return parse_list_query(dict(parse_qsl(text, max_num_fields=50))).text


def find_message_page(
    tx: Transaction, user: User, query: ListQuery, partners: Mapping[str, str], upstream: str, on: date
) -> MessagePage:
    """Return one page of what *user* finds. *partners*: names by code."""
    plan = plan_search(tx, query.asked, user.keep_visible(partners), upstream, on)
    seen = users.read_visible_units(tx, user)
    around: dict[str, Any] = {
        "plan": plan,
        "behind": any(each.words for each in plan.filters) and search_index.is_behind(tx),
        "names": unit_registry.read_unit_names(tx, on),
        "kinds": search.list_kinds(tx),
        "saved": saved_searches.list_saved_searches(tx, user.name),
        "most": _choose_most(user, plan),
    }
    if query.wrong or plan.unknown:
        return MessagePage(**around)
    filters = limit_filters(user, seen, plan.filters)
    if query.calls:
        calls = _find_calls(tx, user, query, plan.filters[0])
        return MessagePage(calls=calls[:PAGE], older=calls[PAGE - 1].tracking if len(calls) > PAGE else None, **around)
    rows, count = _read_rows(tx, query, filters, around["most"] + 1)
    if not rows and (call := _find_call(tx, user, plan)) is not None:
        return MessagePage(calls=[call], **around)
    shown = rows[-PAGE:] if query.after else rows[:PAGE]
    more = len(rows) > PAGE
    return MessagePage(
        messages=shown,
        summaries=search.summarise_deliveries(tx, [each.id for each in shown], user.visible_partners),
        count=count,
        newer=shown[0].id if shown and (query.before or (query.after and more)) else None,
        older=shown[-1].id if shown and (query.after or more) else None,
        **around,
    )


def _choose_most(user: User, plan: SearchPlan) -> int:
    """Return how many messages are counted: by words and codes no more than are shown, because each is looked at."""
    if any(each.words or each.answer or each.refusal for each in plan.filters):
        return PAGE
    return COUNTED if may_see_refused(user) and user.visible_partners is None else COUNTED_OWN


def limit_filters(user: User, seen: frozenset[str] | None, filters: Sequence[MessageFilter]) -> list[MessageFilter]:
    """Return *filters* with what *user*, who sees the units *seen* (None: all), may find."""
    hidden = () if user.may(Permission.SEE_PRIVATE) else tuple(sorted(PRIVATE))
    units = None if seen is None else tuple(sorted(seen))
    limited = [
        attrs.evolve(each, visible=units, partners=user.visible_partners, services_hidden=hidden) for each in filters
    ]
    if may_see_refused(user):
        return limited
    own = [each for each in limited if each.state in (None, MessageState.ACCEPTED)]
    return [attrs.evolve(each, state=MessageState.ACCEPTED) for each in own]


def _read_rows(
    tx: Transaction, query: ListQuery, filters: Sequence[MessageFilter], most: int
) -> tuple[list[Message], int]:
    """Return the rows of the page and one more, if there is one, newest first; and how many are found, at most *most*.

    The first page is the beginning of what is counted.
    """
    if not query.after and not query.before:
        ids = list(search.find_message_ids(tx, filters, most, newest_first=True))
        return message_reading.read_messages(tx, ids[: PAGE + 1]), len(ids)
    count = search.count_messages(tx, filters, most)
    if query.after:
        behind = [attrs.evolve(each, after=query.after) for each in filters]
        return list(search.find_messages(tx, behind, PAGE + 1))[::-1], count
    ahead = [attrs.evolve(each, before=query.before) for each in filters]
    return list(search.find_messages(tx, ahead, PAGE + 1, newest_first=True)), count


def _find_calls(tx: Transaction, user: User, query: ListQuery, wanted: MessageFilter) -> list[RefusedCall]:
    if not may_see_refused(user):
        return []
    chosen = attrs.evolve(wanted, before=query.before, partners=user.visible_partners)
    return list(refused_calls.find_refused_calls(tx, chosen, PAGE + 1))


def _find_call(tx: Transaction, user: User, plan: SearchPlan) -> RefusedCall | None:
    """Return the refused call whose Tracking stands in the box."""
    name = next((look.id for look in plan.reading.looks if look.id), None)
    shown = None if name is None else visible_messages.find_refused_call(tx, user, name)
    return None if shown is None else shown.call


@attrs.frozen
class ExportPart:
    """Some rows of an export."""

    octets: bytes
    last: str | None  #: the hub id of the last row; None: there are no more
    count: int


def write_export_part(
    tx: Transaction,
    user: User,
    query: ListQuery,
    partners: Mapping[str, str],
    upstream: str,
    on: date,
    kind: str,
    language: Language,
    before: str | None,
) -> ExportPart:
    """Return the next rows of the export, behind the row *before*, newest first; at first with the headings of CSV."""
    plan = plan_search(tx, query.asked, user.keep_visible(partners), upstream, on)
    head = search_export.write_csv_head(language) if kind == "csv" and before is None else b""
    if query.wrong or plan.unknown:
        return ExportPart(head, None, 0)
    filters = limit_filters(user, users.read_visible_units(tx, user), plan.filters)
    ahead = [attrs.evolve(each, before=before) for each in filters]
    found = list(search.find_messages(tx, ahead, PART, newest_first=True))
    summaries = search.summarise_deliveries(tx, [each.id for each in found], user.visible_partners)
    if kind == "csv":
        octets = search_export.write_csv_rows(found, summaries, language)
    else:
        octets = search_export.write_json_lines(found, summaries)
    return ExportPart(head + octets, found[-1].id if len(found) == PART else None, len(found))


async def iterate_export(
    journal: Journal,
    user: User,
    query: ListQuery,
    partners: Mapping[str, str],
    upstream: str,
    on: date,
    kind: str,
    language: Language,
) -> AsyncIterator[bytes]:
    """Yield what *query* finds as a file, at most `EXPORTED` rows, each part when the one before was taken."""
    count, before = 0, None
    while count < EXPORTED:
        words = (user, query, partners, upstream, on, kind, language, before)
        part = await journal.read(write_export_part, *words)
        yield part.octets
        count, before = count + part.count, part.last
        if before is None:
            return


def list_row_texts(page: MessagePage, language: Language) -> Iterator[tuple[Message, str, str]]:
    """Yield each message with what the list says of its deliveries, and the reason of a refusal or a partner's answer."""
    for each in page.messages:
        made = page.summaries.get(each.id, ())
        yield each, search_export.say_deliveries(made, language), search_export.say_reason(each, made, language)


def name_file(now: datetime, kind: str) -> str:
    """Return the name of an exported file."""
    return f"messages-{now:%Y%m%d-%H%M%S}.{kind}"
