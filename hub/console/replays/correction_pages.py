"""The pages on which an engineer corrects a message: its packet in a text area, and the comparison before it is sent.

Content is shown only to a user who may see the message, and each time an event records who opened it. Contains no HTTP
and no SQL.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime

import attrs

from hub.console.request import ConsoleRequest
from hub.delivery.correction_runner import CorrectionRunner
from hub.domain.errors import Rejected
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import Problem
from hub.edxml import editable, readable
from hub.edxml.readable import PacketFinding
from hub.journal import blobs
from hub.journal.replays import corrections, replay_plans
from hub.journal.replays.corrections import CorrectionOrder
from hub.journal.replays.replay_plans import KeyReused
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts.users import User
from hub.operations.messages import visible_messages
from hub.operations.messages.visible_messages import OpenedContent, ShownMessage
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.replays.order_fields import REASON, FieldUnfit, clean_field, read_reason, sees_original
from hub.runtime.thread_pool import Work
from hub.store.group_commit import Journal
from hub.web.message_views import compare_packets

#: Maximum characters of the key of an order; the form has the same limit.
_KEY = 200


@attrs.frozen
class ReplayPage:
    """One page: its template and what it says."""

    template: str
    said: Mapping[str, object]
    status: int = 200
    live: bool = False  #: a script keeps it fresh


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
    _runner: CorrectionRunner  #: records the orders
    _word: Callable[[], str]  #: returns a new random word: the key of an order
    _work: Work  #: runs XML work where its cost says

    async def show(self, user: User, message_id: str, now: datetime) -> ReplayPage:
        """Return the page with the packet of a message in a text area, or why the message cannot be corrected."""
        opened, octets = await self._open(user, message_id, now)
        text = await self._work(CONSOLE, len(octets), editable.write_editable_text, octets)
        return await self._write(opened, _Draft(text=text, key=self._word(), shown=octets), 200)

    async def order(self, asked: ConsoleRequest, user: User, message_id: str, now: datetime) -> ReplayPage | str:
        """Plan the correction that the form of *asked* describes. Return the address of the plan, or what is wrong."""
        opened, octets = await self._open(user, message_id, now)
        file = asked.file.read() if asked.file else b""
        text = asked.packet.read().decode("utf-8", "replace") if asked.packet else ""
        given = file or await self._work(CONSOLE, len(octets), editable.read_edited_text, text, octets)
        key = clean_field(asked.form.get("key", ""), _KEY) or self._word()
        draft = _Draft(
            text=text,
            reason=clean_field(asked.form.get("reason", ""), REASON),
            key=key,
            shown=given,
            uploaded=bool(file),
        )
        try:
            order = CorrectionOrder(
                original=message_id,
                given=hashlib.sha256(given).hexdigest(),
                key=f"{user.name} {key}",
                reason=read_reason(draft.reason),
                by=user.name,
            )
            plan = await self._runner.order(order, given)
        except FieldUnfit as unfit:
            return await self._write(opened, attrs.evolve(draft, wrong=unfit.why), 422)
        except KeyReused:  # the form was sent before, with another packet: this is another order
            return await self._write(opened, attrs.evolve(draft, key=self._word(), wrong=_SENT_BEFORE), 422)
        except Rejected as rejected:
            return await self._write(opened, attrs.evolve(draft, problems=rejected.problems), 422)
        return build_page_path("replays", plan.id)

    async def compare(self, user: User, plan_id: str, now: datetime) -> ReplayPage:
        """Return the page that compares the packet of a correction with that of the original."""
        try:
            plan = await self._journal.read(replay_plans.read_plan, plan_id)
        except KeyError:
            raise refuse_as_absent() from None
        if plan.corrects is None or plan.packet is None:
            raise refuse_as_absent()
        opened, octets = await self._open(user, plan.corrects, now)
        packet = await self._journal.read(blobs.read_blob, plan.packet)
        difference = await self._work(CONSOLE, len(octets) + len(packet), compare_packets, octets, packet)
        names = [opened.code or opened.message.id, plan.reason]
        places = [("messages", plan.corrects), ("replays", plan.id)]
        return ReplayPage(
            "compare", {"opened": opened, "parts": [(None, difference)], "names": names, "places": places}
        )

    async def _open(self, user: User, message_id: str, now: datetime) -> tuple[ShownMessage, bytes]:
        """Return a message that *user* may see, and its octets, after recording that they are opened."""
        if not await self._journal.read(sees_original, user, message_id):
            raise refuse_as_absent()
        opened = await self._journal.read(visible_messages.find_visible_message, user, message_id)
        if opened is None or not opened.kept or opened.message.size > readable.LARGEST:
            raise refuse_as_absent()
        await self._journal.admit(CONSOLE, visible_messages.record_opening, user, message_id, OpenedContent.PACKET, now)
        return opened, await self._journal.read(blobs.read_blob, opened.message.sha256)

    async def _write(self, opened: ShownMessage, draft: _Draft, status: int) -> ReplayPage:
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
        return ReplayPage("correct", said, status)


_SENT_BEFORE = phrase("This form was sent before with other values. Send it again to make another plan.")
