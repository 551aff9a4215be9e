"""The pages of messages: the list, its saved searches and its files, and one message or refused call. No HTTP, no SQL.

/messages?q=TEXT&…                           the list of messages; by POST saves or removes a search
/messages.csv?…, /messages.jsonl?…           what it finds, as a file
/messages/ID, /content, /receipt             a message or a refused call; its exact bytes; the hub's receipt
/messages/ID/packet, /attachments/N          the packet for people; one attachment of it
/messages/ID/attempts/ATTEMPT                one attempt to deliver it: request and reply; /compare/OTHER
/messages/ID/compare/OTHER                   its packet beside that of another message
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial

import attrs

from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.visit import Visit
from hub.domain.fair_queue import CONSOLE
from hub.domain.local_time import find_local_day
from hub.domain.model import DeliveryState, MessageState, Problem
from hub.domain.sanitize import replace_controls
from hub.journal.searching import message_reading
from hub.operations.accounts import saved_searches
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.saved_searches import SavedSearch
from hub.operations.messages import message_list
from hub.operations.messages.shown_reasons import group_reasons
from hub.operations.messages.visible_messages import ShownCall, ShownMessage, may_see_refused
from hub.operations.refusals import refuse_as_absent
from hub.operations.reports import reading
from hub.operations.turns import ReadingTurns
from hub.store.batch_commit import Journal
from hub.units.live import Live
from hub.web.answers import ConsoleResponse
from hub.web.message_views import MessageViews

_opening = partial(console_page, "GET", right=Permission.SEE_CONTENT)

_MESSAGE = re.compile(r"[0-9a-f-]{36}", re.ASCII)


@attrs.frozen
class MessagePages:
    """Makes the pages of messages."""

    _journal: Journal  #: the journal to read and write
    _live: Live  #: the configuration in force
    _turns: ReadingTurns  #: limits what is read
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC

    @console_page("GET", "/messages/{identity}", right=Permission.FIND_MESSAGES, template="message")
    async def show_message(self, visit: Visit, identity: str) -> PageAnswer:
        """Show a message or a refused call."""
        opened, names = await self._read(visit, identity)
        if isinstance(opened, ShownCall):
            call, reasons = opened.call, group_reasons([Problem(opened.call.code, opened.call.detail)])
            return PageValues({"call": call, "events": opened.happened, "reasons": reasons}, template="call")
        return self._views.show(opened, names, await self._turns.read_book())

    @console_page("GET", "/messages/{identity}/receipt", right=Permission.FIND_MESSAGES)
    async def send_receipt(self, visit: Visit, identity: str) -> PageAnswer:
        """Return the hub's receipt of the message."""
        opened, _ = await self._open(visit, identity)
        if not opened.receipt:
            raise refuse_as_absent()
        receipt = await self._journal.read(message_reading.read_stored_receipt, identity)
        assert receipt is not None
        name = f"{identity}-receipt.xml"
        return ConsoleResponse(content=receipt, content_type="application/octet-stream", filename=name)

    @_opening("/messages/{identity}/content")
    async def send_content(self, visit: Visit, identity: str) -> PageAnswer:
        """Return the exact bytes of the message."""
        opened, _ = await self._open(visit, identity)
        return await self._views.download(visit.user, opened, visit.now)

    @_opening("/messages/{identity}/packet", template="packet")
    async def show_packet(self, visit: Visit, identity: str) -> PageAnswer:
        """Show the packet for people."""
        opened, _ = await self._open(visit, identity)
        return await self._views.open_packet(visit.user, opened, visit.now)

    @_opening("/messages/{identity}/attachments/{number}")
    async def send_attachment(self, visit: Visit, identity: str, number: str) -> PageAnswer:
        """Return one attachment of the packet."""
        opened, _ = await self._open(visit, identity)
        return await self._views.open_attachment(visit.user, opened, visit.now, number)

    @_opening("/messages/{identity}/compare/{other}", template="compare")
    async def compare_packets(self, visit: Visit, identity: str, other: str) -> PageAnswer:
        """Show the packet beside that of another message."""
        opened, _ = await self._open(visit, identity)
        return await self._views.compare_packet(visit.user, opened, visit.now, other)

    @_opening("/messages/{identity}/attempts/{attempt}", template="attempt")
    async def show_attempt(self, visit: Visit, identity: str, attempt: str) -> PageAnswer:
        """Show one attempt to deliver the message: request and reply."""
        opened, names = await self._open(visit, identity)
        return {**await self._views.open_attempt(visit.user, opened, visit.now, attempt), "names": names}

    @_opening("/messages/{identity}/attempts/{attempt}/compare/{other}", template="compare")
    async def compare_attempts(self, visit: Visit, identity: str, attempt: str, other: str) -> PageAnswer:
        """Show two attempts beside each other."""
        opened, _ = await self._open(visit, identity)
        return await self._views.compare_attempts(visit.user, opened, visit.now, attempt, other)

    @property
    def _views(self) -> MessageViews:
        return MessageViews(self._journal, self._live, self._turns.alone)

    async def _read(self, visit: Visit, identity: str) -> tuple[ShownMessage | ShownCall, Mapping[str, str]]:
        """Return a message or a refused call with the names of units. Raises `RequestRefused`."""
        if not _MESSAGE.fullmatch(identity):
            raise refuse_as_absent()
        words = (visit.user, identity, find_local_day(visit.now), self._live.config.archive)
        return await self._turns.look(reading.open_visible_message, *words)

    async def _open(self, visit: Visit, identity: str) -> tuple[ShownMessage, Mapping[str, str]]:
        """Return a message with the names of units. Raises `RequestRefused`."""
        opened, names = await self._read(visit, identity)
        if isinstance(opened, ShownCall):
            raise refuse_as_absent()
        return opened, names

    def _names(self) -> tuple[Mapping[str, str], str, date]:
        """Return what a search needs besides the journal: names of partners by code, the upstream partner, the day."""
        return self._turns.list_names(self._now())

    @console_page("GET", "/messages", right=Permission.FIND_MESSAGES, template="messages")
    async def list_messages(self, visit: Visit) -> PageAnswer:
        """Show a page of the list of messages. What is not understood is said on it."""
        user, names = visit.user, self._names()
        query = message_list.parse_list_query(visit.asked.query)
        page = await self._turns.look(message_list.find_message_page, user, query, *names)
        said = {
            "query": query,
            "given": query.given,
            "page": page,
            "rows": list(message_list.list_row_texts(page, visit.asked.language)),
            "partners": user.keep_visible(names[0]),
            "states": [*MessageState, *([message_list.CALLS] if may_see_refused(user) else [])],
            "delivery_states": list(DeliveryState),
            "exported": message_list.EXPORTED,
            "files": {"csv": "CSV", "jsonl": "JSON"},
            "is_open": any(name not in {"q", "since", "until", "state"} for name in query.given),
        }
        return PageValues(said, 422 if query.wrong or page.plan.unknown else 200)

    @console_page("POST", "/messages", right=Permission.FIND_MESSAGES)
    async def keep_search(self, visit: Visit) -> PageAnswer:
        """Save the search of the open page under a name, or remove the one with that name."""
        form, user = visit.asked.form, visit.user.name
        name = " ".join(replace_controls(form.get("name", "")).split())[: saved_searches.NAME]
        query = message_list.normalise_saved_query(form.get("query", ""))
        if form.get("action") == "remove":
            await self._journal.admit(CONSOLE, saved_searches.remove_saved_search, user, name)
        elif name:
            saved = SavedSearch(name, query)
            await self._journal.admit(CONSOLE, saved_searches.save_search, user, saved, visit.now)
        return f"/messages?{query}" if query else "/messages"

    @console_page("GET", "/messages.csv", "/messages.jsonl", right=Permission.FIND_MESSAGES)
    def export_messages(self, visit: Visit) -> PageAnswer:
        """Return what the list finds as a file, at most `EXPORTED` rows."""
        kind = visit.asked.path[0].partition(".")[2]
        query, words = message_list.parse_list_query(visit.asked.query), (kind, visit.asked.language)
        parts = message_list.iterate_export(self._journal, visit.user, query, *self._names(), *words)
        name = message_list.name_file(visit.now, kind)
        return ConsoleResponse(parts=parts, content_type=message_list.FILES[kind], filename=name)
