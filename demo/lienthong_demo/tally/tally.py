"""Counts what happened from the partners' own files, and compares it with the hub's facts and reports.

Pure. Trusts neither side.

A result is (unit, service, business key, milestone) with an amount. Each partner's file is read by the meaning of its
own lines; none of the hub's counting code is used. Each result counts once, however often its file reports it.
"""

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from lienthong_demo.protocol.reading import Reading, read_sample_packet

Line = Mapping[str, Any]
_SENT = {"document": "sent", "recall": "sent-recall", "update": "sent-update", "replacement": "sent-replacement"}


@attrs.frozen
class TalliedResult:
    """One result."""

    unit: str
    service: str
    key: tuple[str, ...]
    milestone: str
    amount: int = 1

    @property
    def name(self) -> tuple[str, str, tuple[str, ...], str]:
        """Return the identity of the result."""
        return self.unit, self.service, self.key, self.milestone


def tally_document_system(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield the results in the file of a document system (`partners.partner`): sent with a receipt, and received."""
    for line in lines:
        if line["what"] == "sent" and line["accepted"]:
            yield tally_packet(Reading(**line["about"]))
        elif line["what"] == "opened" and line["about"]["kind"] == "document":
            about = Reading(**line["about"])
            for unit in line["units"]:
                yield TalliedResult(unit, "documents", (about.sender, about.document_id), "received")


def tally_axis(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield the results in the axis's file (`lienthong_demo.partners.vxp`): what the hub sent, collected and finished."""
    said = list(lines)
    ours = {line["doc_id"] for line in said if line["what"] == "sent"}
    put: dict[str, Reading] = {}
    for line in said:
        if line["what"] == "parcel":
            about = put[line["doc_id"]] = read_sample_packet(base64.b64decode(line["packet"]))
            if line["sender_doc_id"] in ours and about.kind == "document":
                yield TalliedResult(line["to"], "documents", (about.sender, about.document_id), "received")
        elif line["what"] == "told" and line["status"] == "done":
            yield tally_packet(put[line["doc_id"]])


def tally_portal(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield the results in the portal's file (`lienthong_demo.partners.dvcqg`): its dossiers.

    A dossier's number begins with its unit.
    """
    for line in lines:
        if line["what"] == "dossier":
            number = str(line["item"]["MaHoSo"])
            yield TalliedResult(number.rsplit("-", 2)[0], "dossiers", (number,), "synced")


def tally_receipts(notebooks: Mapping[str, Iterable[Line]]) -> Iterator[tuple[str, str, str]]:
    """Yield what partners were told is in the journal: the partner, the message's id, and its SHA-256 if recorded."""
    for partner, lines in notebooks.items():
        put: dict[str, str] = {}
        for line in lines:
            if line["what"] == "sent" and line.get("accepted"):
                yield partner, line["message_id"], line.get("sha256", "")
            elif line["what"] == "parcel":
                put[line["doc_id"]] = line["sha256"]
            elif line["what"] == "told" and line["status"] == "done":
                yield partner, line["doc_id"], put[line["doc_id"]]


def find_lost_receipts(notebooks: Mapping[str, Iterable[Line]], messages: Iterable[Line]) -> Iterator[str]:
    """Yield the receipts that name no message of the journal, or one with other bytes."""
    held = {(row["partner"], row["message_id"]): row["sha256"] for row in messages if row["state"] == "accepted"}
    for partner, message_id, sha256 in tally_receipts(notebooks):
        found = held.get((partner, message_id))
        if found is None:
            yield f"{partner} {message_id}: receipted, not in the journal"
        elif sha256 not in ("", found):
            yield f"{partner} {message_id}: the journal has other bytes"


def tally_packet(about: Reading) -> TalliedResult:
    """Return the result of a packet's sender."""
    if about.kind == "status":
        return TalliedResult(about.sender, "documents", (about.answered, about.document_id), f"status-{about.status}")
    return TalliedResult(about.sender, "documents", (about.sender, about.document_id), _SENT[about.kind])


def count_results_once(results: Iterable[TalliedResult]) -> dict[tuple[str, str, tuple[str, ...], str], TalliedResult]:
    """Return each result once, by its identity."""
    found: dict[tuple[str, str, tuple[str, ...], str], TalliedResult] = {}
    for result in results:
        found.setdefault(result.name, result)
    return found


def sum_results(results: Iterable[TalliedResult]) -> Counter[tuple[str, str, str]]:
    """Return the sum of amounts by unit, service and milestone."""
    found: Counter[tuple[str, str, str]] = Counter()
    for result in results:
        found[result.unit, result.service, result.milestone] += result.amount
    return found


def compare_facts(
    results: Iterable[TalliedResult],
    facts: Iterable[Line],
    services: frozenset[str],
    key: Callable[[Line], tuple[str, ...]],
) -> Iterator[str]:
    """Yield the differences between the hub's *facts* of these *services* and the partners' *results*.

    *key* returns a fact's key.
    """
    expected = count_results_once(result for result in results if result.service in services)
    counted: dict[tuple[str, str, tuple[str, ...], str], int] = {}
    for fact in facts:
        if fact["service"] in services:
            counted[fact["unit"], fact["service"], key(fact), fact["milestone"]] = fact["amount"]
    for name in sorted(expected.keys() - counted.keys()):
        yield f"{_said(name)}: the partners' files give it, the hub has not counted it"
    for name in sorted(counted.keys() - expected.keys()):
        yield f"{_said(name)}: the hub counts it, no partner's file gives it"
    for name in expected.keys() & counted.keys():
        if expected[name].amount != counted[name]:
            yield f"{_said(name)}: {counted[name]} at the hub, {expected[name].amount} by the files"


def compare_report(
    rows: Iterable[Line], expected: Counter[tuple[str, str, str]], service: str, columns: Mapping[str, str], form: str
) -> Iterator[str]:
    """Yield the differences between a report and the partners' files. *columns* maps each column to its milestone."""
    seen = set()
    for row in rows:
        seen.add(row["unit"])
        for column, milestone in columns.items():
            right = expected[row["unit"], service, milestone]
            if row[column] != right:
                yield f"{form} of {row['unit']}: {column} is {row[column]}, the partners' files give {right}"
    for unit, named, milestone in expected:
        if named == service and milestone in columns.values() and unit not in seen and unit.startswith("H55"):
            yield f"{form}: {unit} has {milestone} and no row"


def _said(name: tuple[str, str, tuple[str, ...], str]) -> str:
    unit, service, key, milestone = name
    return f"{service} {milestone} of {unit} {'/'.join(key)}"
