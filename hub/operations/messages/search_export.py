"""Writes found messages as rows: of a list for people, of CSV, as JSON lines. Pure: does not search.

The command line and the console write the same rows.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from io import StringIO
from typing import Any

import attrs

from hub.domain.errors import explain_refusal
from hub.domain.local_time import write_local_time
from hub.domain.model import Message, MessageState
from hub.journal.searching.search import DeliverySummary
from hub.language import terms
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.report.words import quote_formula

#: Byte order mark, by which spreadsheets recognise UTF-8.
MARK = b"\xef\xbb\xbf"
#: The columns of CSV and what they are called.
COLUMNS: Mapping[str, Phrase] = {
    "received_at": phrase("received (Hà Nội)"),
    "code": phrase("number and notation"),
    "subject": phrase("subject of the document"),
    "sender": phrase("from"),
    "partner": phrase("sending partner"),
    "service": phrase("service"),
    "kind": phrase("kind"),
    "state": phrase("state"),
    "deliveries": phrase("deliveries"),
    "reason": phrase("reason"),
    "message_id": phrase("the sender's id"),
    "document_id": phrase("DocumentId"),
    "sha256": phrase("SHA-256"),
    "id": phrase("id"),
}


def say_deliveries(summaries: Sequence[DeliverySummary], language: Language) -> str:
    """Return the deliveries of one message by state: `delivered 2, dead 1`."""
    said = ((translate(terms.name_word("delivery", each.state), language), each.count) for each in summaries)
    return ", ".join(name if len(summaries) == 1 and count == 1 else f"{name} {count}" for name, count in said)


def say_reason(message: Message, summaries: Sequence[DeliverySummary], language: Language) -> str:
    """Return why the hub refused the message, else what a partner answered to one of its deliveries."""
    if message.state is MessageState.REFUSED:
        return "; ".join(each for each, _ in explain_refusal(message.refusal or "") if each)
    reason = next((each.reason for each in summaries if each.reason), None)
    return translate(terms.describe_reason(reason), language) if reason else ""


def make_row(message: Message, summaries: Sequence[DeliverySummary], language: Language) -> dict[str, str]:
    """Return the texts of a row of CSV, by column."""
    said = {
        "received_at": write_local_time(message.received_at),
        "kind": translate(terms.name_word(message.service, message.kind), language),
        "service": translate(terms.name_word("service", message.service), language),
        "state": translate(terms.name_word("message", message.state), language),
        "deliveries": say_deliveries(summaries, language),
        "reason": say_reason(message, summaries, language),
    }
    return {key: said[key] if key in said else getattr(message, key) or "" for key in COLUMNS}


def write_csv_head(language: Language) -> bytes:
    """Return the headings of CSV (RFC 4180) in UTF-8, behind a byte order mark."""
    return MARK + _write_lines([[translate(heading, language) for heading in COLUMNS.values()]])


def write_csv_rows(
    found: Iterable[Message], summaries: Mapping[str, Sequence[DeliverySummary]], language: Language
) -> bytes:
    """Return the rows of CSV. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return _write_lines(make_row(each, summaries.get(each.id, ()), language).values() for each in found)


def _write_lines(rows: Iterable[Iterable[str]]) -> bytes:
    written = StringIO()
    csv.writer(written).writerows([quote_formula(cell) for cell in row] for row in rows)
    return written.getvalue().encode()


def write_json_lines(found: Iterable[Message], summaries: Mapping[str, Sequence[DeliverySummary]]) -> bytes:
    """Return an object on a line for each message: the fields of `lienthong messages --json`, and its deliveries."""
    lines = []
    for each in found:
        made = [attrs.asdict(one) for one in summaries.get(each.id, ())]
        lines.append(
            json.dumps(attrs.asdict(each) | {"deliveries": made}, ensure_ascii=False, default=_write_plain_value)
        )
    return "".join(f"{line}\n" for line in lines).encode()


def _write_plain_value(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
