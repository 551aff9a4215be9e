"""Tells from messages' bytes and events what must have become of every delivery, and what else the journal must say.

An event is either something that happened to the hub (a message, an attempt, a fetch, a replay) or what the hub made of it.  From
the first the story works out the second, and complains of every difference.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from tests.recount import documents, places
from tests.recount import letter as letters
from tests.recount.documents import DOCUMENTS, Message, Sent
from tests.recount.letter import CHANGES, Letter
from tests.recount.places import canonical

RANK = {"01": 1, "02": 2, "03": 2, "04": 3, "05": 4, "06": 5}
OVERDUE = timedelta(days=3)
GIVE_UP = timedelta(days=14)
SET_ASIDE = 5

#: What the hub itself makes of what happened.
MADE = {
    "document-unknown",
    "matched-by-number",
    "delivery-waiting",
    "delivery-held",
    "delivery-dead",
    "delivery-suspended",
    "delivery-marked",
    "delivery-delivered",
    "status-moved",
    "status-kept",
    "change-answered",
    "recall-agreed",
    "recall-refused",
}
BESIDE = {
    "deviation-tolerated",
    "enclosure-ignored",
    "fact-differs",
    "fact-recorded",
    "figure-corrected",
    "packet-signature",
    "sha1-used",
    "vxp-signature-used",
    "message-refused",
    "call-refused",
}

Said = dict[str, Any]


@attrs.define(eq=False)
class Story:
    """What is known of one journal."""

    octets: Callable[[str], bytes]  #: SHA-256 -> the bytes
    messages: list[Message] = attrs.field(factory=list)
    log: list[tuple[datetime, str, Message, str]] = attrs.field(
        factory=list
    )  #: what counts: when, what, message, recipient
    expected: list[Said] = attrs.field(factory=list)
    suspends: frozenset[str] = frozenset()  #: partners whose policy suspends what has waited too long

    # --- what the story hears -----------------------------------------------------------------------------------------

    def hear(
        self, events: Iterable[Said], parts: Sequence[tuple[str, Sequence[str]]] = (), due: datetime | None = None
    ) -> None:
        """Take in new events, in order.

        *parts* are messages and recipients: of the attempts that end, or are interrupted, for their events name no recipient.
        *due* is when the one that ends is tried again, if it is.
        """
        left, found = list(parts), list[Said]()
        for event in events:
            name = event["event"]
            if name in BESIDE:
                continue
            if name == "delivery-possibly-twice":
                assert self._sent(event).doubted
                continue
            if name in MADE and not (name == "delivery-delivered" and self._sent(event).state == "fetched"):
                found.append(event)
                continue
            if name != "attempt-interrupted":  # several are told of before what they lead to
                self._compare(found)
                found = []
            self._take_in(event, left, due)
        self._compare(found)
        assert not left, f"nothing ended of {left}"

    def _take_in(self, event: Said, left: list[tuple[str, Sequence[str]]], due: datetime | None) -> None:
        at = datetime.fromisoformat(event["at"])
        match event["event"]:
            case "message-accepted":
                self._accept(event, at)
            case "message-repeated":
                assert any(each.id == event["message"] for each in self.messages)
            case "attempt-started":
                self._start(event, at)
            case "attempt-ended":
                self._end(event, at, self._part(event, left), due)
            case "attempt-interrupted":
                self._interrupt(at, self._part(event, left), crashed=event["crashed"])
            case "delivery-delivered":
                self._arrive(self._sent(event), at)
            case "delivery-fetched":
                self._fetch(self._sent(event), at)
            case "delivery-replayed":
                self._replay(self._sent(event), at)
            case "delivery-resumed":
                assert self._sent(event).state == "suspended"
                self._replay(self._sent(event), at)
            case "delivery-overdue-held":
                self._overdue(self._sent(event), at)
            case "attempt-stale" | "replay" | "give-up" | "replay-plan":
                pass
            case name:
                raise AssertionError(f"nobody knows {name}")

    def _compare(self, found: list[Said]) -> None:
        expected, self.expected = self.expected, []
        missing, unexpected = list(expected), []
        for event in found:
            fits = next((one for one in missing if one.items() <= event.items()), None)
            if fits is None:
                unexpected.append(event)
            else:
                missing.remove(fits)
        assert not missing, f"expected: {missing}; found: {found}"
        assert not unexpected, f"not expected: {unexpected}; expected: {expected}"

    def _part(self, event: Said, left: list[tuple[str, Sequence[str]]]) -> list[Sent]:
        for part in left:
            sent = [self._of(part[0], recipient) for recipient in part[1]]
            if (part[0], sent[0].partner) == (event["message"], event["partner"]):
                left.remove(part)
                return sent
        raise AssertionError(f"nobody ended {event}")

    def _sent(self, event: Said) -> Sent:
        return self._of(event["message"], event["recipient"])

    def _of(self, message: str, recipient: str) -> Sent:
        sent = self.message(message).to(recipient)
        assert sent is not None, f"{message} does not go to {recipient}"
        return sent

    def message(self, message: str) -> Message:
        return next(each for each in self.messages if each.id == message)

    def every(self) -> list[Sent]:
        return [sent for message in self.messages for sent in message.sent]

    def _expect(self, name: str, at: datetime, message: Message, **said: object) -> None:
        self.expected.append({"event": name, "at": written(at), "message": message.id} | said)

    # --- a message ------------------------------------------------------------------------------------------------------

    def refusal(self, partner: str, message_id: str, sha256: str, letter: Letter, at: datetime) -> set[str] | str:
        """Return the codes with which a message must be refused, none if it is taken; or the id of the one it repeats."""
        twin = next((one for one in self.messages if (one.partner, one.message_id) == (partner, message_id)), None)
        if twin is not None and twin.sha256 == sha256:
            return twin.id
        problems = self._wrong(partner, letter, places.day(at))
        if not problems and twin is not None:
            return {"id-reused"}
        if (
            not problems
            and letter.kind in CHANGES
            and any(known is None for known in documents.named(self.messages, letter, partner).values())
        ):
            return {"not-the-sender"}
        return problems

    def _wrong(self, partner: str, letter: Letter, on: Any) -> set[str]:
        if not places.may_send(partner, letter.sender):
            return {"sender-not-allowed"}
        if places.has_ended(letter.sender, on, days=90):
            return {"unit-inactive"}
        organ = letter.answers[0].organ if letter.kind == "status" else ""
        if letter.kind == "status" and canonical(organ) == canonical(letter.sender):
            return set()
        told = letter.told if letter.kind != "status" else (organ,)
        found = [places.way(code, on) for code in told if self._is_ours(partner, code)]
        problems = {way for way in found if isinstance(way, str)}
        if letter.kind == "status":
            problems -= {"unit-without-system", *({"unit-inactive"} if places.has_ended(organ, on) else ())}
            return problems or ({"not-ours"} if not found else set())
        removed = [code for code in letter.removed if self._is_ours(partner, code)]
        served = [code for code in removed if not isinstance(places.way(code, on), str)]
        return problems or ({"not-ours"} if not found and not served else set())

    @staticmethod
    def _is_ours(partner: str, code: str) -> bool:
        return partner != places.UPSTREAM or not places.outside(code)

    def _accept(self, event: Said, at: datetime) -> None:
        letter = letters.read(self.octets(event["sha256"]))
        message = Message(event["message"], event["partner"], event["message_id"], at, event["sha256"], letter)
        refused = self.refusal(message.partner, message.message_id, message.sha256, letter, at)
        assert refused == set(), f"taken, but {refused}: {letter}"
        assert event["kind"] == letter.kind
        named: dict[str, bool] = {}
        if letter.kind == "status":
            message.answered, message.by_number = documents.answered(self.messages, letter)
            message.of_change = documents.is_of_change(self.messages, message)
        elif letter.kind in CHANGES:
            found = documents.named(self.messages, letter, message.partner)
            named = {document: bool(known) for document, known in found.items()}
            message.about = tuple(named)
        message.lane = documents.lane(self.messages, message)
        early = self._early(message) if letter.kind == "document" else []
        self._address(message)
        been = {
            each.recipient
            for other in documents.carriers(self.messages, message.sender, letter.document_id)
            for each in other.sent
        }
        self.messages.append(message)
        if letter.kind == "status":
            self._hear_status(message)
            return
        self.log.append((at, "sent" if letter.kind == "document" else f"sent-{letter.kind}", message, ""))
        if letter.kind == "document":
            for unit, effect, by in early:
                for sent in message.sent:
                    if unit in ("", sent.recipient) and sent.recipient not in been:
                        self._stop([message], sent.recipient, effect, by, at)
            return
        if not any(named.values()):
            self._expect("document-unknown", at, message, unit=message.sender, documents=list(named))
        for unit, effect, document in documents.effects(message):
            carriers = documents.changed_by(message, document, self.messages)
            self._stop(carriers, unit, effect, message, at)

    def _early(self, document: Message) -> list[tuple[str, str, Message]]:
        return [
            (unit, effect, change)
            for change in self.messages
            if change.sender == document.sender
            and (change.partner == document.partner or places.stands_for(change.partner, change.sender))
            for unit, effect, about in documents.effects(change)
            if about == document.letter.document_id
        ]

    def _stop(self, messages: list[Message], unit: str, effect: str, by: Message, at: datetime) -> None:
        for sent in (sent for message in messages for sent in message.sent):
            if unit in ("", sent.recipient) and sent.stopped is None and sent.state not in ("fetched", "delivered"):
                sent.stopped = f"{effect}: {by.id}"
                if sent.state in ("waiting", "held", "suspended"):
                    self._die(sent, sent.stopped, at)
                else:
                    self._expect("delivery-marked", at, sent.message, recipient=sent.recipient, reason=sent.stopped)

    def _address(self, message: Message) -> None:
        letter, at = message.letter, message.at
        ways: dict[str, tuple[str, str]] = {}
        if letter.kind == "status" and canonical(letter.answers[0].organ) == message.sender:
            answered = message.answered.sent if message.answered else []
            ways = {one.recipient: (one.partner, one.via) for one in answered}
        else:
            told = (letter.answers[0].organ,) if letter.kind == "status" else (*letter.told, *letter.removed)
            for code in told:
                way = places.way(code, places.day(at))
                if self._is_ours(message.partner, code) and not isinstance(way, str):
                    ways.setdefault(canonical(code), way)
        due = max(at, letter.hour or at)
        for recipient, (partner, via) in ways.items():
            state = "held" if places.PARTNERS[partner][1] == "fetch" else "waiting"
            message.sent.append(
                Sent(message, recipient, partner, via, state, due, due, len(self.every()) + len(message.sent))
            )
            said = {"due": written(due)} if due > at else {}
            self._expect(f"delivery-{state}", at, message, recipient=recipient, partner=partner, **said)

    # --- a status -------------------------------------------------------------------------------------------------------

    def _hear_status(self, message: Message) -> None:
        letter, at, answered = message.letter, message.at, message.answered
        self.log.append((at, f"status-{letter.status}", message, ""))
        said = {"unit": message.sender, "status": letter.status, "document": letter.answers[0].document_id}
        if answered is None:
            self._expect("document-unknown", at, message, **said)
            return
        if message.by_number:
            number, document = letter.answers[0].number, answered.letter.document_id
            named = {"number": number, "answers": answered.id, "document": document}
            self._expect("matched-by-number", at, message, **said | named)
            said["matched"] = "number"
        sent = answered.to(message.sender)
        if sent is None:
            return
        said["by"] = message.id
        if letter.status in ("15", "16") and answered.letter.kind in CHANGES and sent.answer is None:
            sent.answer = letter.status
            self._expect("change-answered", at, answered, **said)
            if answered.letter.kind == "recall":
                name = "recall-agreed" if letter.status == "15" else "recall-refused"
                for one in self.messages:
                    recalled = one.letter.kind in DOCUMENTS and one.letter.document_id in answered.about
                    if recalled and one.sender == answered.sender and one.to(message.sender):
                        self._expect(name, at, one, **said)
            return
        rank = RANK.get(letter.status, 0)
        moves = sent.status not in ("02", "06") and (letter.status == "02" or rank > RANK.get(sent.status or "", 0))
        if moves:
            sent.status = letter.status
        self._expect("status-moved" if moves else "status-kept", at, answered, **said)

    # --- a delivery -----------------------------------------------------------------------------------------------------

    def due(self, partner: str, at: datetime) -> list[Sent]:
        """Return what may go to *partner*, those whose turn it is first: due, nothing of its lane under way, nothing earlier waits."""
        every = self.every()
        ready = []
        for one in every:
            if one.partner != partner or one.state != "waiting" or one.due > at:
                continue
            mates = [mate for mate in every if mate.place == one.place and mate is not one]
            if not any(m.state == "sending" or (m.state == "waiting" and m.number < one.number) for m in mates):
                ready.append(one)
        return sorted(ready, key=lambda one: (one.turn, one.message.id, one.number))

    def next_to_go(self, partner: str, at: datetime, limit: int) -> list[tuple[str, tuple[str, ...]]]:
        """Return what a claim must take: messages by their turns, each with all that may go of it."""
        parts: dict[str, list[Sent]] = {}
        for sent in self.due(partner, at):
            parts.setdefault(sent.message.id, []).append(sent)
        ordered = {message: sorted(part, key=lambda sent: sent.number) for message, part in parts.items()}
        return [(message, tuple(sent.recipient for sent in part)) for message, part in ordered.items()][:limit]

    def _start(self, event: Said, at: datetime) -> None:
        part = [self._of(event["message"], recipient) for recipient in event["recipients"]]
        assert part, "an attempt for nobody"
        ready = self.due(event["partner"], at)
        for sent in part:
            assert sent.stopped is None, "what was stopped is sent"
            assert sent in ready, f"{sent} goes out of its turn"
        assert event["number"] == max(sent.attempts for sent in part) + 1
        for sent in part:
            sent.state = "sending"
            sent.attempts += 1

    def _end(self, event: Said, at: datetime, part: list[Sent], due: datetime | None) -> None:
        outcome, since = event["outcome"], min(sent.since for sent in part)
        for sent in part:
            assert sent.state == "sending"
            sent.crashes = max(one.crashes for one in part) if outcome == "postponed" else 0
            if outcome == "accepted":
                self._arrive(sent, at)
                self._expect("delivery-delivered", at, sent.message, recipient=sent.recipient, partner=sent.partner)
            elif outcome == "unavailable" and at - since >= GIVE_UP and sent.partner in self.suspends:
                assert event["reason"].startswith("suspended: ")
                self._suspend(sent, event["reason"], at)
            elif outcome == "refused" or (outcome == "unavailable" and at - since >= GIVE_UP):
                self._die(sent, event["reason"], at)
                assert event["reason"].startswith(("refused: ", "given up: "))
                self._fail(sent, at)
            else:
                assert due is not None
                sent.due = due
                sent.attempts -= outcome == "postponed"
                self._wait(sent, event["reason"], at)

    def _wait(self, sent: Sent, reason: str | None, at: datetime) -> None:
        sent.state, sent.reason = "waiting", reason
        if sent.stopped is not None:
            self._die(sent, sent.stopped, at)

    def _suspend(self, sent: Sent, reason: str, at: datetime) -> None:
        if sent.stopped is not None:
            self._die(sent, sent.stopped, at)
            return
        sent.state, sent.reason = "suspended", reason
        said = {"recipient": sent.recipient, "partner": sent.partner, "reason": reason}
        self._expect("delivery-suspended", at, sent.message, **said)

    def give_up(self, given_up: Sequence[Sent], reason: str, at: datetime) -> None:
        """Hear that a person gives these up, before the events that tell of it."""
        for sent in given_up:
            assert sent.state in ("waiting", "suspended")
            self._die(sent, reason, at)
            self._fail(sent, at)

    def _fail(self, sent: Sent, at: datetime) -> None:
        """Note that a message fails: with its first dead delivery, until none is dead."""
        if sent.again:
            return
        sent.failed, message = True, sent.message
        if not message.failing:
            message.failing, message.failures = True, message.failures + 1
            self.log.append((at, f"failed {message.failures}", message, sent.recipient))

    def _die(self, sent: Sent, reason: str, at: datetime) -> None:
        sent.state, sent.reason = "dead", reason
        self._expect("delivery-dead", at, sent.message, recipient=sent.recipient, partner=sent.partner, reason=reason)

    def _interrupt(self, at: datetime, part: list[Sent], *, crashed: bool) -> None:
        for sent in part:
            assert sent.state == "sending"
            sent.crashes += crashed
            sent.doubted = True
            if crashed and sent.crashes == SET_ASIDE:
                self._die(sent, f"set aside: the hub stopped {SET_ASIDE} times in a row while it was sent", at)
                self._fail(sent, at)
                continue
            late = sent.crashes > 1 and crashed
            sent.due = at + timedelta(seconds=10 * 2 ** (sent.crashes - 2)) if late else at
            sent.attempts -= 1
            self._wait(sent, sent.reason, at)

    def _arrive(self, sent: Sent, at: datetime) -> None:
        assert sent.state in ("sending", "fetched")
        sent.state, sent.reason = "delivered", None
        if not sent.again:
            self.log.append((at, "received", sent.message, sent.recipient))
            self._recover(sent, at)

    def _recover(self, sent: Sent, at: datetime) -> None:
        """Note that the failure of a message is over, if the delivery that arrives failed and no other is dead."""
        message, before = sent.message, sent.failed
        sent.failed = False
        others = any(each.failed and each.state == "dead" and each.stopped is None for each in message.sent)
        if before and message.failing and not others:
            message.failing = False
            self.log.append((at, f"failed-over {message.failures}", message, ""))

    def _fetch(self, sent: Sent, at: datetime) -> None:
        assert (sent.state, sent.stopped) == ("held", None), f"{sent} cannot be fetched"
        assert sent.due <= at, "fetched before its hour"
        sent.state = "fetched"

    def _replay(self, sent: Sent, at: datetime) -> None:
        assert sent.state in ("dead", "suspended", "delivered"), f"{sent} cannot be replayed"
        assert self.withheld(sent) == set(), f"{sent} was taken back"
        sent.again = sent.again or sent.state == "delivered"
        sent.state = "held" if places.PARTNERS[sent.partner][1] == "fetch" else "waiting"
        sent.due = sent.since = at
        sent.reason, sent.told_overdue, sent.crashes = None, False, 0

    def withheld(self, sent: Sent) -> set[str]:
        """Return the reasons for which a delivery that ended must not be replayed: what took the document back there."""
        if sent.stopped is not None:
            return {sent.stopped}
        message = sent.message
        if sent.state != "delivered" or message.letter.kind not in ("document", "replacement", "update"):
            return set()
        carried = message.about if message.letter.kind == "update" else (message.letter.document_id,)
        later = self.messages[self.messages.index(message) + 1 :]
        return {
            f"{effect}: {change.id}"
            for change in later
            if change.sender == message.sender
            and (change.partner == message.partner or places.stands_for(change.partner, change.sender))
            for unit, effect, about in documents.effects(change)
            if about in carried and unit in ("", sent.recipient)
        }

    def _overdue(self, sent: Sent, at: datetime) -> None:
        assert sent in self.overdue(at), f"{sent} is not overdue"
        sent.told_overdue = True

    def overdue(self, at: datetime) -> list[Sent]:
        """Return what nobody has fetched and confirmed for three days, not yet told of."""
        held = [one for one in self.every() if one.state in ("held", "fetched") and not one.told_overdue]
        return [one for one in held if one.since <= at - OVERDUE]

    # --- what others may see ----------------------------------------------------------------------------------------------

    def pending(self, partner: str, unit: str, at: datetime) -> list[str]:
        """Return the messages that *partner* has to fetch and confirm for *unit*, the oldest first; none before the hour of an
        earlier one of its lane.
        """
        found, later = list[str](), set[tuple[object, str]]()
        for message in self.messages:
            held = [sent for sent in message.sent if sent.partner == partner and sent.state in ("held", "fetched")]
            later |= {(message.lane, sent.recipient) for sent in held if sent.due > at and sent.state == "held"}
            theirs = [sent for sent in held if unit in (sent.recipient, sent.via)]
            if any(sent.due <= at and (message.lane, sent.recipient) not in later for sent in theirs):
                found.append(message.id)
        return found

    def traces(
        self, unit: str, document: str | None = None, carried_by: str | None = None
    ) -> list[tuple[str | None, str]]:
        """Return the statuses for *unit*: the message answered, and the SHA-256 of the status; of one *document*, if asked."""
        found = []
        for one in self.messages:
            if one.letter.kind != "status" or not (canonical(one.letter.answers[0].organ) == unit or one.to(unit)):
                continue
            if document is not None and not documents.is_about(one, self.message(document)):
                continue
            if carried_by is None or (one.answered and one.answered.partner == carried_by):
                found.append((one.answered.id if one.answered else None, one.sha256))
        return found


def written(at: datetime) -> str:
    """Return an instant as events have it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
