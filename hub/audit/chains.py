"""Verifies the events in an evidence file: computes each hash from the event and the hash before it.

An event in the chain cannot be changed, moved or removed without changing every later hash. A segment of the chain
proves that this text stood at this number, after this hash. It proves neither what stands between the segments, nor
that the hub has no other chain. Proof of these needs the whole chain (`lienthong db verify`), or a later head that an
outsider has kept.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from hashlib import sha256
from typing import Any, Protocol

import attrs

from hub.audit.findings import AuditFinding, FindingCollector, deny_finding, note_finding
from hub.domain.model import Fact
from hub.language.phrases import phrase
from hub.report.counting import lines
from hub.report.signed.manifest import EVENTS, MOST_EVENTS

_EVENT = ["number", "previous", "hash", "text"]
_ORIGIN = "0" * 64


class _Known(Protocol):
    """The values of a message that its event must also contain."""

    @property
    def message_id(self) -> str | None: ...
    @property
    def sha256(self) -> str: ...


@attrs.define
class ChainAudit:
    """The state of the verification of the chain."""

    #: the first octets of the hash of the fact line, for each recorded fact
    facts: set[bytes] = attrs.field(factory=set)
    many: int = 0
    unchained: int = 0
    loose: int = 0  #: chained events whose preceding hash is not in the file
    hashes: dict[int, int] = attrs.field(factory=dict)  #: number -> the first octets of the hash
    neighbours: int = 0

    def check(self, events: Iterator[bytes], messages: Mapping[str, _Known]) -> Iterator[AuditFinding]:
        """Yield the findings about the lines *events*.

        Each hash must be right, and each event must agree with its message.
        """
        many, wanted = FindingCollector("event", EVENTS), set(messages)
        before = ("", 0)
        links: dict[int, int] = {}
        for line in events:
            self.many += 1
            if self.many > MOST_EVENTS:
                yield deny_finding("event", EVENTS, phrase("too many events"))
                return
            try:
                said, event = _read_chain_line(line)
            except ValueError as error:
                yield from many.no(f"{EVENTS}: {self.many}", phrase("a line that cannot be read: {error}", error=error))
                continue
            where = f"{EVENTS}: {said['number'] or self.many} {event.get('event')}"
            message = event.get("message")
            if not isinstance(message, str) or message not in messages or message < before[0]:
                yield from many.no(
                    where,
                    phrase("not of a message in this file, or out of order"),
                )
                continue
            number = said["number"] or 0
            if message == before[0] and number and number <= before[1]:
                yield from many.no(where, phrase("repeated, or out of order"))
            before = (message, number)
            yield from self._link(many, where, said, links)
            yield from self._tells(many, where, event, messages[message], wanted)
        for number, previous in links.items():
            known = self.hashes.get(number - 1)
            self.neighbours += known is not None
            if known is not None and known != previous:
                yield from many.no(
                    f"{EVENTS}: {number}",
                    phrase("it does not follow from the event before it"),
                )
        for message in sorted(wanted):
            yield from many.no(message, phrase("no event message-accepted"))
        yield from many.end(
            phrase("{many_} events: each hash follows from the text and the hash before it", many_=self.many),
        )

    def _link(
        self, many: FindingCollector, where: str, said: Mapping[str, Any], links: dict[int, int]
    ) -> Iterator[AuditFinding]:
        number, previous = said["number"], said["previous"]
        if number is None:
            self.unchained += 1
            return
        if number in self.hashes:
            yield from many.no(where, phrase("two events with the same number"))
        self.hashes[number] = int(said["hash"][:16], 16)
        if previous is None:
            self.loose += 1
            return
        links[number] = int(previous[:16], 16)
        if number == 1 and previous != _ORIGIN:
            yield from many.no(where, phrase("the chain does not begin at its origin"))
        if sha256(f"{previous}\n{said['text']}".encode()).hexdigest() != said["hash"]:
            yield from many.no(where, phrase("the hash does not follow from the text"))

    def _tells(
        self, many: FindingCollector, where: str, event: Mapping[str, Any], message: _Known, wanted: set[str]
    ) -> Iterator[AuditFinding]:
        if event.get("event") == "message-accepted":
            wanted.discard(event["message"])
            if (event.get("sha256"), event.get("message_id")) != (message.sha256, message.message_id):
                yield from many.no(where, phrase("the event and the message disagree"))
        elif event.get("event") == "fact-recorded":
            try:
                self.facts.add(sha256(lines.write_fact_line(_make_fact(event))).digest()[:16])
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
                yield from many.no(where, phrase("the fact in it cannot be read: {error}", error=repr(error)))

    def told(self, head: tuple[int, str]) -> Iterator[AuditFinding]:
        """Yield what these events prove and what they do not.

        *head* is the last event of the chain when the file was made.
        """
        number, hashed = head
        if self.hashes and max(self.hashes) > number:
            yield deny_finding("chain", EVENTS, phrase("an event beyond the head {number}", number=number))
        elif number in self.hashes and self.hashes[number] != int(hashed[:16], 16):
            yield deny_finding("chain", EVENTS, phrase("the head {number} has another hash", number=number))
        if self.unchained:
            yield note_finding(
                "chain",
                EVENTS,
                phrase("{unchained} events had no number yet", unchained=self.unchained),
            )
        if self.loose:
            yield note_finding(
                "chain",
                EVENTS,
                phrase("{loose} events without the hash before them", loose=self.loose),
            )
        yield note_finding(
            "chain",
            EVENTS,
            phrase(
                "{many_} events are at their places in the chain, {neighbours} neighbours agree; these segments "
                "do not prove that nothing is between them: compare the head {number} {hashed} with a head that "
                "you kept, or run lienthong db verify",
                many_=self.many,
                neighbours=self.neighbours,
                number=number,
                hashed=hashed,
            ),
        )


def _read_chain_line(line: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the line and the event in it. Raises ValueError."""
    try:
        said = json.loads(line)
        if not isinstance(said, dict) or list(said) != _EVENT or not isinstance(said["text"], str):
            raise ValueError("its members are not those of an event")
        if lines.write_compact_json(said) != line:
            raise ValueError("not in the required form")
        event = json.loads(said["text"])
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(event, dict):
        raise ValueError("the text is not an object")  # noqa: TRY004 - it is read, not passed
    number = said["number"]
    chained = type(number) is int and 0 < number < 1 << 63
    if not (chained or (number is None and said["hash"] is None and said["previous"] is None)):
        raise ValueError("no number")
    for name in ("hash", "previous"):
        found = said[name]
        if chained and not (isinstance(found, str) and _is_hash(found)) and (name == "hash" or found is not None):
            raise ValueError(f"{name} is not a hash")
    return said, event


def _is_hash(text: str) -> bool:
    return len(text) == len(_ORIGIN) and all(digit in "0123456789abcdef" for digit in text)


def _make_fact(event: Mapping[str, Any]) -> Fact:
    """Return the fact in the event `fact-recorded` (docs/reference/events.md)."""
    texts = ("unit", "service", "key", "milestone", "message", "counterpart", "document_type", "signature")
    due, day = event.get("due"), event.get("day")
    return Fact(
        **{name: event[name] for name in (*texts, "outside", "paper")},
        due=None if due is None else date.fromisoformat(due),
        day=None if day is None else date.fromisoformat(day),
        at=lines.read_offset_time(event["at"]),
        amount=event.get("amount", 1),
        attributes=tuple(sorted(event.get("attributes", {}).items())),
    )
