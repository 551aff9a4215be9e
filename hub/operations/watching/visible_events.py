"""Searches the event chain for a person."""

import re
from collections.abc import Collection, Mapping, Sequence

import attrs

from hub.journal import event_index
from hub.journal.event_index import EventCursor, EventFilter, EventsPage
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts import users
from hub.operations.accounts.users import User
from hub.operations.refusals import refuse_as_absent
from hub.operations.typed_fields import read_time, read_typed_fields
from hub.store.transactions import Transaction

#: Events on one page.
PAGE = 50


#: Characters read of each field of the search.
_LONGEST = 200


_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


#: The fields of the search, in the order of the page. They are also the names in the address.
FIELDS = ("q", "kind", "partner", "user", "since", "until", "cause")


@attrs.frozen(kw_only=True)
class EventSearch:
    """What the address of the page asks for."""

    typed: Mapping[str, str]  #: the fields of the search as typed
    wanted: EventFilter
    before: EventCursor | None = None
    wrong: Sequence[Phrase] = ()  #: what cannot be read; then nothing is searched
    id: str | None = None  #: the typed text is an id: the Tracking of a call, or the id of a message


@attrs.frozen(kw_only=True)
class FoundEvents:
    """One page of the list, and what the page offers to choose from."""

    page: EventsPage
    names: Sequence[str]  #: of the events that there are
    partners: Sequence[str]  #: and links that they are about
    wrong: Sequence[Phrase] = ()  #: why nothing was searched


def read_event_search(query: Mapping[str, str]) -> EventSearch:
    """Return what *query*, the query of the address, asks for. Raises `RequestRefused` for a cursor that is none."""
    typed = read_typed_fields(query, FIELDS, _LONGEST)
    wrong: list[Phrase] = []
    since, until = (read_time(typed[name], wrong) for name in ("since", "until"))
    text = typed["q"]
    named = text.lower() if _ID.fullmatch(text.lower()) else None
    wanted = EventFilter(
        name=typed["kind"] or None,
        partner=typed["partner"] or None,
        user=typed["user"].lower() or None,
        tracking=named,
        cause=typed["cause"] or None,
        text="" if named else text,
        since=since,
        until=until,
    )
    try:
        before = EventCursor.parse(query["before"]) if "before" in query else None
    except ValueError:
        raise refuse_as_absent() from None
    return EventSearch(typed=typed, wanted=wanted, before=before, wrong=wrong, id=named)


def read_events_page(tx: Transaction, search: EventSearch, partners: Collection[str], user: User) -> FoundEvents:
    """Return one page of the events that *search* asks for. *partners*: the codes of the configuration.

    If *user* is limited to some partners, the page has the events about these.
    A partner or an account that is not known is an error, so that no typo looks like “none”.
    """
    names, wanted = event_index.list_event_names(tx), attrs.evolve(search.wanted, partners=user.visible_partners)
    about = [code for code in event_index.list_event_partners(tx) if user.sees_partner(code)]
    known = [code for code in (*partners, *about, event_index.NOBODY) if user.sees_partner(code)]
    partner, person, wrong = wanted.partner, wanted.user, list(search.wrong)
    if partner and partner not in known:
        wrong.append(phrase("There is no partner or link “{name}”.", name=partner))
    if person and users.find_user(tx, person) is None and not event_index.has_event_user(tx, person):
        wrong.append(phrase("There is no account or person “{name}”.", name=person))
    page = EventsPage(found=()) if wrong else event_index.find_events(tx, wanted, PAGE, search.before)
    return FoundEvents(page=page, names=names, partners=about, wrong=wrong)
