"""The pages on which an engineer corrects a message: its packet in a text area, and the comparison before it is sent.

Content is shown only to a user who may see the message, and each time an event records who opened it. Contains no HTTP
and no SQL.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import partial, wraps
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred

from hub.console.page import PageAnswer, PageReach, PageValues, console_page
from hub.console.visit import Visit
from hub.delivery.correction_runner import CorrectionRunner
from hub.domain.errors import Rejected
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import Problem
from hub.domain.sanitize import clean_line
from hub.edxml import editable, readable
from hub.edxml.readable import PacketFinding
from hub.journal import blobs
from hub.journal.replays import corrections, plan_rows
from hub.journal.replays.corrections import CorrectionOrder
from hub.journal.replays.replay_plans import KeyReused
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.messages import visible_messages
from hub.operations.messages.visible_messages import OpenedContent, ShownMessage
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.replays.order_fields import REASON, FieldUnfit, read_reason, sees_original
from hub.operations.turns import ReadingTurns, queue_turn
from hub.runtime.thread_pool import Work
from hub.store.batch_commit import Journal
from hub.units.live import Live
from hub.web.message_views import compare_packets

F = TypeVar("F", bound=Callable[..., Any])

_correcting = partial(console_page, right=Permission.CORRECT, reach=PageReach.UNLIMITED)
#: Maximum characters of the key of an order; the form has the same limit.
_KEY = 200


def read_in_turn(show: F) -> F:
    """Let the page *show* have its turn at the journal."""

    @wraps(show)
    async def shown(self: Any, *words: Any, **named: Any) -> PageAnswer:
        return await queue_turn(self.turns.looking, lambda: Deferred.fromCoroutine(show(self, *words, **named)))

    return shown  # type: ignore[return-value]


@attrs.frozen(kw_only=True)
class _Draft:
    """What the form of a correction contains."""

    text: str | None  #: of the packet; None: it is replaced by a file only
    reason: str = ""
    key: str
    shown: bytes  #: the packet whose lines are shown
    problems: tuple[Problem, ...] = ()  #: what is wrong with it
    wrong: Phrase | None = None  #: what is wrong with a field
    uploaded: bool = False  #: it is a file, not the text


@attrs.define(eq=False)
class CorrectionPages:
    """Makes the pages of corrections."""

    _journal: Journal  #: the journal to read and write
    _live: Live  #: the configuration and the province in force
    _word: Callable[[], str]  #: returns a new random word: the key of an order
    _work: Work  #: runs XML work where its cost says
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    turns: ReadingTurns  #: limits what is read

    @_correcting("GET", "/replays/correct/{message}", template="correct")
    @read_in_turn
    async def show_correction(self, visit: Visit, message: str) -> PageAnswer:
        """Show the packet of a message in a text area, or why the message cannot be corrected."""
        opened, octets = await self._open(visit.user, message, visit.now)
        text = await self._work(CONSOLE, len(octets), editable.write_editable_text, octets)
        return await self._write(opened, _Draft(text=text, key=self._word(), shown=octets), 200)

    @_correcting("POST", "/replays/correct/{message}", template="correct")
    async def plan_correction(self, visit: Visit, message: str) -> PageAnswer:
        """Plan the correction that the form describes. Lead to the plan, or say what is wrong."""
        asked, user = visit.asked, visit.user
        opened, octets = await self._open(user, message, visit.now)
        file = asked.read_file()
        text = asked.packet.read().decode("utf-8", "replace") if asked.packet else ""
        given = file or await self._work(CONSOLE, len(octets), editable.read_edited_text, text, octets)
        key = clean_line(asked.form.get("key", ""), _KEY) or self._word()
        draft = _Draft(
            text=text,
            reason=clean_line(asked.form.get("reason", ""), REASON),
            key=key,
            shown=given,
            uploaded=bool(file),
        )
        try:
            order = CorrectionOrder(
                original=message,
                given=hashlib.sha256(given).hexdigest(),
                key=f"{user.name} {key}",
                reason=read_reason(draft.reason),
                by=user.name,
            )
            plan = await CorrectionRunner(CONSOLE, self._journal, self._live, self._work, self._now).order(order, given)
        except FieldUnfit as unfit:
            return await self._write(opened, attrs.evolve(draft, wrong=unfit.why), 422)
        except KeyReused:  # the form was sent before, with another packet: this is another order
            return await self._write(opened, attrs.evolve(draft, key=self._word(), wrong=_SENT_BEFORE), 422)
        except Rejected as rejected:
            return await self._write(opened, attrs.evolve(draft, problems=rejected.problems), 422)
        return build_page_path("replays", plan.id)

    @console_page(
        "GET", "/replays/{plan_id}/compare", right=Permission.SEE_REPLAYS, reach=PageReach.UNLIMITED, template="compare"
    )
    @read_in_turn
    async def compare_correction(self, visit: Visit, plan_id: str) -> PageAnswer:
        """Show the packet of a correction beside that of the original."""
        try:
            plan = await self._journal.read(plan_rows.read_plan, plan_id)
        except KeyError:
            raise refuse_as_absent() from None
        if plan.corrects is None or plan.packet is None:
            raise refuse_as_absent()
        opened, octets = await self._open(visit.user, plan.corrects, visit.now)
        packet = await self._journal.read(blobs.read_blob, plan.packet)
        difference = await self._work(CONSOLE, len(octets) + len(packet), compare_packets, octets, packet)
        names = [opened.code or opened.message.id, plan.reason]
        places = [("messages", plan.corrects), ("replays", plan.id)]
        return {"opened": opened, "parts": [(None, difference)], "names": names, "places": places}

    async def _open(self, user: User, message_id: str, now: datetime) -> tuple[ShownMessage, bytes]:
        """Return a message that *user* may see, and its octets, after recording that they are opened."""
        if not await self._journal.read(sees_original, user, message_id):
            raise refuse_as_absent()
        opened = await self._journal.read(visible_messages.find_visible_message, user, message_id)
        if opened is None or not opened.kept or opened.message.size > readable.LARGEST:
            raise refuse_as_absent()
        await self._journal.admit(CONSOLE, visible_messages.record_opening, user, message_id, OpenedContent.PACKET, now)
        return opened, await self._journal.read(blobs.read_blob, opened.message.sha256)

    async def _write(self, opened: ShownMessage, draft: _Draft, status: int) -> PageValues:
        obstacle: Problem | None = None
        try:
            _ = await self._journal.read(corrections.read_correctable_message, opened.message.id)
        except Rejected as rejected:
            obstacle = rejected.problems[0]
        findings = [PacketFinding(code=each.code, detail=each.detail, refuses=True) for each in draft.problems] or (
            [] if draft.uploaded or draft.wrong else list(opened.findings)
        )
        packet = await self._work(CONSOLE, len(draft.shown), readable.write_readable_packet, draft.shown, findings)
        said = {
            "opened": opened,
            "draft": draft,
            "obstacle": obstacle,
            "packet": packet,
            "longest": editable.LARGEST_TEXT,
        }
        return PageValues(said, status)


_SENT_BEFORE = phrase("This form was sent before with other values. Send it again to make another plan.")
