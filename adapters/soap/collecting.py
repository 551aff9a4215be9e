"""Collects what waits at a partner by WSDL: the steps with `list`, `content` and `confirm` of `[[collect]]`.

Knows the position of the collection. Knows no SOAP and no journal.
"""

import json
from collections.abc import Generator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from hub.domain.conversations import Arrival, Collected, Collection, Reply, Request, Unavailable
from hub.partner.list_polling import FetchedDocument, Owed, settle_open_list
from hub.partner.mapped_conversation import AnswerJudgement, PartnerConversation, PartnerCourse
from hub.partner.mapping_values import AnswerPath, Unfit, read_path
from hub.partner.partner_answers import PartnerAnswer
from hub.partner.soap_mapping import MappedStep, Then

#: Documents fetched in one collection, beside those that are owed.
_MOST = 20


@attrs.frozen
class _Position:
    """Where the partner lists from next, and what is owed for documents that it will show as open."""

    at: str = ""
    owed: Owed = attrs.field(factory=dict)

    @classmethod
    def read(cls, text: str) -> "_Position":
        """Parse the text that `write` returned, or an empty one."""
        said = json.loads(text) if text else {}
        return cls(said.get("at", ""), said.get("owed", {}))

    def write(self) -> str:
        """Return the position as text, the same for equal positions."""
        return json.dumps({"at": self.at, "owed": dict(sorted(self.owed.items()))}, ensure_ascii=False)


def collect_open_documents(talk: PartnerConversation, cursor: str, now: datetime) -> Collection:
    """Hold the conversation of `[[collect]]`: log in, list, fetch each document, hand it to the hub, confirm it.

    A document that the partner does not give, or whose confirmation it does not take, is owed until it is listed no
    more. The partner's own cursor moves on only when nothing is owed and nothing was left for the next collection.
    """
    try:
        return (yield from _Round(talk, now).collect(_Position.read(cursor)))
    except Unfit as unfit:
        return Unavailable(f"the mapping cannot be applied: {unfit}", ours=True)


@attrs.define
class _Round:
    """One collection."""

    talk: PartnerConversation
    now: datetime
    _items: dict[str, Any] = attrs.field(factory=dict, init=False)  #: elements of the list by the partner's id
    _listed: PartnerAnswer | None = attrs.field(default=None, init=False)

    def collect(self, before: _Position) -> Collection:
        steps = self.talk.mapping.collect
        listing = next(step for step in steps if step.list is not None)
        giving = next(step for step in steps if step.content is not None)
        confirming = next((step for step in steps if step.confirm), None)
        logins = tuple(step for step in steps if step not in (listing, giving, confirming))
        sources = self.talk.make_sources(self.now, {"cursor": before.at})
        course = PartnerCourse((), sources, self.now, lasting=True)

        def call(step: MappedStep) -> Generator[Request, Reply, tuple[AnswerJudgement, PartnerAnswer] | Unavailable]:
            course.steps, course.again = (*logins, step), False
            ended = yield from self.talk.hold(course)
            if isinstance(ended, Unavailable):
                return ended
            judged, answer = ended
            assert answer is not None  # the step itself was called
            if judged.then in _TROUBLE:
                outcome = judged.outcome(self.now)
                return outcome if isinstance(outcome, Unavailable) else Unavailable(judged.reason)
            return judged, answer

        called = yield from call(listing)
        if isinstance(called, Unavailable):
            return called
        judged, answer = called
        if judged.then is Then.REFUSED:
            return Unavailable(judged.reason or "the list was refused")
        self._keep_items(listing, answer)
        fetch = partial(self._fetch, listing=listing, giving=giving, call=call, course=course)
        tell = partial(self._tell, confirming=confirming, call=call, course=course)
        settling = settle_open_list(
            tuple(self._items), before.owed, _MOST, fetch, tell, self.talk.terms.notes, self.now
        )
        settled = yield from _of_service(settling, giving.service)
        if isinstance(settled, Unavailable):
            return settled
        more = settled.fresh > _MOST
        at = before.at
        if listing.cursor is not None and not settled.owed and not more:
            at = answer.read(listing.cursor, self.talk.mapping.tables) or before.at
        return Collected(_Position(at, settled.owed).write(), more)

    def _keep_items(self, listing: MappedStep, answer: PartnerAnswer) -> None:
        assert listing.list is not None
        tables, self._listed = self.talk.mapping.tables, answer
        for item in answer.list_items(listing.list):
            name = answer.read(AnswerPath("body", listing.id), tables, under=item)
            if name:
                self._items.setdefault(name, item)

    def _open(self, document_id: str, step: MappedStep, course: PartnerCourse, more: Mapping[str, str]) -> None:
        """Put what the values of *step* name of the open document into the sources."""
        assert self._listed is not None
        fixed, tables = course.sources.fixed, self.talk.mapping.tables
        for name in [each for each in fixed if each.startswith("open.")]:
            del fixed[name]
        for place in (each for value in step.values for each in value.placeholders):
            if place.source.startswith("open."):
                path = AnswerPath("body", read_path(place.source.removeprefix("open."), answer=True))
                text = self._listed.read(path, tables, under=self._items[document_id])
                if text:
                    fixed[place.source] = text
        fixed |= {"open.id": document_id, **more}

    def _fetch(
        self, document_id: str, *, listing: MappedStep, giving: MappedStep, call: Any, course: PartnerCourse
    ) -> Generator[Request, Reply, FetchedDocument | Unavailable]:
        assert giving.content is not None
        if giving is listing:
            assert self._listed is not None
            return FetchedDocument(self._listed.read_octets(giving.content, self._items[document_id]), b"")
        self._open(document_id, giving, course, {})
        called = yield from call(giving)
        if isinstance(called, Unavailable):
            return called
        judged, answer = called
        content = None if judged.then is Then.REFUSED else answer.read_octets(giving.content)
        return FetchedDocument(content or None, (judged.reason or answer.trouble or "no document").encode())

    def _tell(
        self, document_id: str, here: bool, *, confirming: MappedStep | None, call: Any, course: PartnerCourse
    ) -> Generator[Request, Reply, bool | Unavailable]:
        if confirming is None:
            return True
        self._open(document_id, confirming, course, {"judged": "accepted" if here else "refused"})
        called = yield from call(confirming)
        if isinstance(called, Unavailable):
            return called
        return called[0].then is not Then.REFUSED


_TROUBLE = {Then.UNAVAILABLE, Then.POSTPONED, Then.CREDENTIALS, Then.LOGIN}


def _of_service(
    settling: Generator[Request | Arrival, Any, Any], service: str
) -> Generator[Request | Arrival, Any, Any]:
    """Hold *settling*, with each arrival for *service*."""
    answer: Any = None
    while True:
        try:
            step = settling.send(answer)
        except StopIteration as end:
            return end.value
        answer = yield attrs.evolve(step, service=service) if isinstance(step, Arrival) else step
