"""The recount: compares the partners' own files and the exact bytes with what the hub says. Pure. Trusts neither side.

The hub's side comes through its public commands (`messages`, `trace`, `show --raw`, `report --facts`), the partners'
side from their notebooks. *Lost* is only what was promised and is missing. Every other disagreement is a *difference*.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from cryptography import x509

from lienthong_demo.protocol.notebook import hash_content
from lienthong_demo.protocol.reading import Reading, read_sample_packet
from lienthong_demo.protocol.signing import is_sealed

Line = Mapping[str, Any]

#: Columns of the e-document report that count exactly one milestone.
_COLUMNS = {
    "sent": "sent",
    "received": "received",
    "recalls": "sent-recall",
    "updates": "sent-update",
    "replacements": "sent-replacement",
    "acknowledged": "status-03",
    "refused": "status-02",
    "completed": "status-06",
}
_SENT = {"document": "sent", "recall": "sent-recall", "update": "sent-update", "replacement": "sent-replacement"}


@attrs.frozen
class Planted:
    """A call that had to be refused: its mistake, the codes that may refuse it, and the answer."""

    name: str
    expected: frozenset[str]
    codes: tuple[str, ...]
    accepted: bool

    @property
    def was_refused(self) -> bool:
        """Tell whether it was refused for the expected reason."""
        return not self.accepted and not self.expected.isdisjoint(self.codes)


@attrs.frozen(kw_only=True)
class Statements:
    """Everything that is compared."""

    messages: Sequence[Line]  #: rows of the journal: id, partner, message_id, state, sha256, …; in order of arrival
    contents: Mapping[str, bytes]  #: id -> exact bytes, of every accepted message
    deliveries: Mapping[str, Sequence[Line]]  #: id -> recipient, partner, state, reason
    facts: Sequence[Line]  #: message_id, unit, milestone, at
    report: Line  #: the province's e-document report of the period: `rows` of units, `total`
    notebooks: Mapping[str, Sequence[Line]]  #: partner -> its lines
    planted: Sequence[Planted]
    province: str
    upstream: str
    aliases: Mapping[str, str] = attrs.field(factory=dict)  #: other code -> the unit's code
    certificates: Mapping[str, x509.Certificate] = attrs.field(factory=dict)  #: partner -> its signing certificate


@attrs.frozen(kw_only=True)
class RecountVerdict:
    """The numbers of the last line, and a sentence for each disagreement."""

    accepted: int
    refused: int
    delivered: int
    dead: int
    facts: int
    lost: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Tell whether nothing is lost, different or dead."""
        return not self.lost and not self.differences and not self.dead


def recount_day(said: Statements) -> RecountVerdict:
    """Compare both sides. An accepted message whose packet cannot be read is a difference, not an error."""
    accepted = {row["id"]: row for row in said.messages if row["state"] == "accepted"}
    readings, unreadable = _read_all(said.contents, accepted)
    deliveries = [delivery for message in accepted for delivery in said.deliveries.get(message, ())]
    differences = [
        *unreadable,
        *_undelivered(said, accepted),
        *_unasked(said, accepted, readings),
        *_unaccounted(said, accepted),
        *_unlike_receipts(said.notebooks),
        *_facts(said, accepted, readings),
        *_report(said, accepted, readings),
        *_signatures(said, accepted),
        *(
            f"refusal {p.name}: expected {sorted(p.expected)}, got {list(p.codes)}"
            for p in said.planted
            if not p.was_refused
        ),
    ]
    return RecountVerdict(
        accepted=len(accepted),
        refused=sum(row["state"] == "refused" for row in said.messages),
        delivered=sum(delivery["state"] == "delivered" for delivery in deliveries),
        dead=sum(delivery["state"] == "dead" for delivery in deliveries),
        facts=len(said.facts),
        lost=(*_lost_messages(said, accepted), *_lost_deliveries(said, accepted, readings)),
        differences=tuple(differences),
    )


def resolve_told_code(said: Statements, code: str) -> str:
    """Return the unit's own code for any of its codes."""
    return said.aliases.get(code, code)


def is_inside(said: Statements, code: str) -> bool:
    """Tell whether *code* has the shape of the province's codes."""
    code, province = resolve_told_code(said, code), said.province
    return code == province or code.startswith(f"{province}.") or code.endswith(f".{province}")


def _read_all(contents: Mapping[str, bytes], accepted: Mapping[str, Line]) -> tuple[dict[str, Reading], list[str]]:
    readings: dict[str, Reading] = {}
    problems = []
    for message in accepted:
        try:
            readings[message] = read_sample_packet(contents[message])
        except (KeyError, ValueError) as error:
            problems.append(f"message {message}: its bytes cannot be read: {error}")
    return readings, problems


def _lost_messages(said: Statements, accepted: Mapping[str, Line]) -> Iterator[str]:
    """Every receipt names a message of the journal with the same bytes."""
    for partner, lines in said.notebooks.items():
        for sent in _receipted(lines):
            message, name = sent["document_id"], f"{partner} {sent['message_id']}"
            row = accepted.get(message)
            if row is None:
                yield f"{name}: receipted as {message}, not in the journal"
            elif (row["partner"], row["message_id"], row["sha256"]) != (partner, sent["message_id"], sent["sha256"]):
                yield f"{name}: receipted as {message}, which is another message in the journal"
            elif hash_content(said.contents.get(message, b"")) != sent["sha256"]:
                yield f"{name}: the journal's bytes of {message} are not the bytes sent"


def _lost_deliveries(said: Statements, accepted: Mapping[str, Line], readings: Mapping[str, Reading]) -> Iterator[str]:
    """Every recipient of an accepted message has a delivery, and every delivered message is in the recipient's file."""
    taken = {
        partner: {line["document_id"]: line["sha256"] for line in lines if line["what"] == "received"}
        for partner, lines in said.notebooks.items()
    }
    for message, row in accepted.items():
        made = {delivery["recipient"]: delivery for delivery in said.deliveries.get(message, ())}
        if message in readings:
            for recipient in _recipients(said, row, readings) - set(made):
                yield f"message {message}: no delivery to {recipient}"
        for recipient, delivery in made.items():
            got = taken.get(delivery["partner"], {}).get(message)
            if delivery["state"] == "delivered" and got is None:
                yield f"message {message}: said to be delivered to {recipient}, not in the file of {delivery['partner']}"
            elif got not in (None, row["sha256"]):
                yield f"message {message}: {delivery['partner']} got other bytes"


def _recipients(said: Statements, row: Line, readings: Mapping[str, Reading]) -> set[str]:
    """Return the recipients that a packet must have by the rules.

    Recipients outside the province are skipped if the axis sent it.
    """
    reading = readings[row["id"]]
    if reading.kind != "status":
        found = {resolve_told_code(said, code) for code in reading.recipients}
        return {code for code in found if is_inside(said, code)} if row["partner"] == said.upstream else found
    answered = resolve_told_code(said, reading.answered)
    if answered != resolve_told_code(said, reading.sender):
        return {answered}
    return {  # the sender's own status goes to the document's recipients
        resolve_told_code(said, code)
        for document in readings.values()
        if document.kind == "document"
        and (resolve_told_code(said, document.sender), document.document_id) == (answered, reading.document_id)
        for code in document.recipients
    }


def _unasked(said: Statements, accepted: Mapping[str, Line], readings: Mapping[str, Reading]) -> Iterator[str]:
    """Every delivery goes to a recipient that the packet names."""
    for message in readings:
        made = {delivery["recipient"] for delivery in said.deliveries.get(message, ())}
        for recipient in made - _recipients(said, accepted[message], readings):
            yield f"message {message}: a delivery to {recipient}, which it does not name"


def _undelivered(said: Statements, accepted: Mapping[str, Line]) -> Iterator[str]:
    for message in accepted:
        for delivery in said.deliveries.get(message, ()):
            if delivery["state"] != "delivered":
                reason = f" ({delivery['reason']})" if delivery.get("reason") else ""
                yield f"message {message}: {delivery['state']} for {delivery['recipient']}{reason}"


def _unaccounted(said: Statements, accepted: Mapping[str, Line]) -> Iterator[str]:
    """Every message in the journal was sent by its partner, and nobody received a message that was not accepted."""
    tried = {
        (partner, line["sha256"])
        for partner, lines in said.notebooks.items()
        for line in lines
        if line["what"] == "sending"
    }
    for message, row in accepted.items():
        if (row["partner"], row["sha256"]) not in tried:
            yield f"message {message}: accepted from {row['partner']}, which never sent it"
    for partner, lines in said.notebooks.items():
        firsts = Counter(line["document_id"] for line in lines if line["what"] == "received" and line["first"])
        for message, times in firsts.items():
            if message not in accepted:
                yield f"{partner}: got {message}, which was never accepted"
            if times > 1:
                yield f"{partner}: noted {message} as new {times} times"


def _unlike_receipts(notebooks: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    """Equal messages get equal receipts."""
    for partner, lines in notebooks.items():
        receipts = defaultdict(set)
        for sent in _receipted(lines):
            receipts[sent["message_id"]].add((sent["document_id"], sent["receipt"]))
        for message_id, different in receipts.items():
            if len(different) > 1:
                yield f"{partner} {message_id}: {len(different)} different receipts"


def _facts(said: Statements, accepted: Mapping[str, Line], readings: Mapping[str, Reading]) -> Iterator[str]:
    """The facts are exactly those that the bytes and the partners' files give, each once."""
    ids = {row["message_id"]: message for message, row in accepted.items()} | {message: message for message in accepted}
    counted: Counter[tuple[str, ...]] = Counter()
    for fact in said.facts:
        message = str(fact.get("message") or ids.get(fact["message_id"]) or "")
        if message not in readings or fact["message_id"] not in (message, accepted[message]["message_id"]):
            yield f"fact {fact['milestone']} of {fact['unit']}: no accepted message {fact['message_id']} behind it"
        else:
            counted[fact["unit"], fact["milestone"], *_key(said, readings[message], accepted[message])] += 1
    expected = set(_expected_facts(said, accepted, readings))
    yield from (f"fact {' '.join(fact)}: not counted by the hub" for fact in sorted(expected - set(counted)))
    yield from (f"fact {' '.join(fact)}: the bytes do not give it" for fact in sorted(set(counted) - expected))
    yield from (f"fact {' '.join(fact)}: counted {times} times" for fact, times in sorted(counted.items()) if times > 1)


def _report(said: Statements, accepted: Mapping[str, Line], readings: Mapping[str, Reading]) -> Iterator[str]:
    """Every number that counts one milestone is the number that the bytes give, and each total is the sum of its rows."""
    expected = Counter((unit, milestone) for unit, milestone, *_ in set(_expected_facts(said, accepted, readings)))
    for column, milestone in _COLUMNS.items():
        for row in said.report["rows"]:
            if row[column] != (right := expected[row["unit"], milestone]):
                yield f"report of {row['unit']}: {column} is {row[column]}, the bytes give {right}"
        total, summed = said.report["total"][column], sum(row[column] for row in said.report["rows"])
        if total != summed:
            yield f"report: the total of {column} is {total}, its rows make {summed}"


def _signatures(said: Statements, accepted: Mapping[str, Line]) -> Iterator[str]:
    """The hub calls a packet's signature valid exactly where another verifier does, in the message and in its facts."""
    sealed = {
        message
        for message, row in accepted.items()
        if row["partner"] in said.certificates and is_sealed(said.contents[message], said.certificates[row["partner"]])
    }
    for message, row in accepted.items():
        if (row["signature"] == "valid") != (message in sealed):
            yield f"message {message}: its own signature is called {row['signature']}"
    for fact in said.facts:
        if "message" in fact and (fact["signature"] == "valid") != (fact["message"] in sealed):
            yield f"fact {fact['milestone']} of {fact['unit']}: its packet's signature is called {fact['signature']}"


def _expected_facts(
    said: Statements, accepted: Mapping[str, Line], readings: Mapping[str, Reading]
) -> Iterator[tuple[str, ...]]:
    taken = {
        (partner, line["document_id"])
        for partner, lines in said.notebooks.items()
        for line in lines
        if line["what"] == "received"
    }
    for message, reading in readings.items():
        key = _key(said, reading, accepted[message])
        sender = resolve_told_code(said, reading.sender)
        if reading.kind == "status":
            yield sender, f"status-{reading.status}", *key
            continue
        yield sender, _SENT[reading.kind], *key
        for delivery in said.deliveries.get(message, ()):
            if (delivery["partner"], message) in taken:
                yield delivery["recipient"], "received", *key
            if delivery["state"] == "dead":
                yield sender, "failed", *key


def _key(said: Statements, reading: Reading, row: Line) -> tuple[str, ...]:
    """Return the business key: the document's From and id, plus the packet's hash for a recall, update or replacement."""
    if reading.kind == "status":
        return resolve_told_code(said, reading.answered), reading.document_id
    return (
        resolve_told_code(said, reading.sender),
        reading.document_id,
        *(() if reading.kind == "document" else (row["sha256"],)),
    )


def _receipted(lines: Iterable[Line]) -> Iterator[Line]:
    return (line for line in lines if line["what"] == "sent" and line["accepted"])
