"""The Government reporting system over HTTP: one POST for each report, one GET for the verdicts.

Knows multipart. The names of fields and words come from `wording`.
"""

import hashlib
import json
from collections.abc import Generator, Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from adapters.govreport.wording import MalformedVerdict, ReportFiles, SystemWording, UnknownWord
from hub.domain.conversations import (
    Accepted,
    Arrival,
    Collected,
    Collection,
    Conversation,
    Refused,
    Reply,
    Request,
    Unavailable,
)
from hub.domain.model import Consignment
from hub.partner.reply_parsing import may_have_taken, retry_after
from hub.services import verdicts

_XML, _XLSX = "application/xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def deliver_online(url: str, wording: SystemWording, consignment: Consignment, now: datetime) -> Conversation:
    """Submit one report. In the raw format the workbook follows the XML in a second request."""
    report_files, message = wording.make_files(consignment.content), consignment.message.id
    outcome: Accepted | Refused | Unavailable = Unavailable("nothing was sent")
    for name, content_type, body in _write_bodies(report_files, wording, message):
        headers = (*wording.headers(name), ("Content-Type", content_type), ("Accept", "application/json"))
        reply = yield Request(url + wording.settings["submit-path"], body, headers, hands_over=True)
        outcome = _judge_reply(reply, wording, now)
        if not isinstance(outcome, Accepted):
            return outcome
    return outcome


def _write_bodies(report_files: ReportFiles, wording: SystemWording, message: str) -> Iterable[tuple[str, str, bytes]]:
    """Yield the id of each request, the same on every repetition, its content type and its body."""
    if wording.settings["format"] == "raw":
        yield message, _XML, report_files.xml
        if report_files.xlsx is not None:
            yield f"{message}-xlsx", _XLSX, report_files.xlsx
        return
    boundary = f"lienthong-{message}"
    name = "_".join(quote(report_files.keys[key], safe="") for key in ("form", "unit", "period"))
    name = f"{name}_r{report_files.keys['revision']}"
    parts = [_write_part(boundary, field, value.encode()) for field, value in wording.fields(report_files.keys)]
    parts.append(_write_part(boundary, wording.settings["xml-field"], report_files.xml, f"{name}.xml", _XML))
    if report_files.xlsx is not None:
        parts.append(_write_part(boundary, wording.settings["xlsx-field"], report_files.xlsx, f"{name}.xlsx", _XLSX))
    yield message, f"multipart/form-data; boundary={boundary}", b"".join(parts) + f"--{boundary}--\r\n".encode()


def _write_part(boundary: str, field: str, value: bytes, file: str = "", content_type: str = "") -> bytes:
    """Return one part of a multipart/form-data (RFC 7578)."""
    named = f'; filename="{file}"' if file else ""
    typed = f"Content-Type: {content_type}\r\n" if content_type else ""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"{named}\r\n{typed}\r\n'
    return head.encode() + value + b"\r\n"


def _judge_reply(reply: Reply, wording: SystemWording, now: datetime) -> Accepted | Refused | Unavailable:
    said = _read_object(reply.body)
    match reply.status:
        case 200 | 201 | 202 if said is not None:
            reference = said.get(wording.settings["reference"])
            if isinstance(reference, str | int) and not isinstance(reference, bool):
                return Accepted(str(reference))
            return Unavailable(f"HTTP {reply.status} without {wording.settings['reference']}", unknown=True)
        case 409 if said is not None:
            return Accepted("it was submitted before")
        case 400 | 413 | 415 | 422 if said is not None:
            errors = said.get(wording.settings["errors"]) or []
            told = errors if isinstance(errors, list) else [errors]
            return Refused("; ".join(map(str, told)) or f"HTTP {reply.status}")
        case 401 | 403:
            return Unavailable(f"HTTP {reply.status}: it does not know us", credentials=True)
    why, lost = f"HTTP {reply.status}: {reply.body[:200]!r}", may_have_taken(reply.status)
    return Unavailable(why, retry_after(reply.headers, now), unknown=lost)


def collect_online(url: str, wording: SystemWording, cursor: str, now: datetime) -> Collection:
    """Collect the verdicts after *cursor*, the id of the last verdict that was taken in.

    A malformed verdict is taken in unchanged; the hub refuses it with the reason. One without an id is taken in as soon
    as a later verdict has an id that can be the cursor. A verdict with a word that the settings do not define stays
    there until they do.
    """
    path = wording.settings["verdict-path"].replace("{cursor}", quote(cursor, safe=""))
    reply = yield Request(url + path, b"", (*wording.credentials(), ("Accept", "application/json")), "GET")
    if reply.status in {401, 403}:
        return Unavailable(f"HTTP {reply.status}: it does not know us", credentials=True)
    said = _read_object(reply.body)
    items = said.get(wording.settings["verdict-list"]) if said is not None else None
    if reply.status != 200 or not isinstance(items, list):
        return Unavailable(f"HTTP {reply.status}: {reply.body[:200]!r}", retry_after(reply.headers, now))
    begun, nameless, flaw = cursor, list[bytes](), ""
    for item in items:
        try:
            identity = wording.identity(item)
        except MalformedVerdict as error:
            nameless.append(_as_it_is(item))
            flaw = str(error)
            continue
        try:
            yield from take_in_verdict(item, identity, wording)
        except UnknownWord as error:
            return Unavailable(str(error)) if cursor == begun else Collected(cursor)
        for content in nameless:
            yield Arrival(content, hashlib.sha256(content).hexdigest(), verdicts.NAME)
        cursor, nameless = identity, []
    if nameless and cursor == begun:
        return Unavailable(flaw)
    return Collected(cursor, more=cursor != begun)


def take_in_verdict(item: object, identity: str, wording: SystemWording) -> Generator[Arrival, Any, bool]:
    """Take in one verdict, a malformed one unchanged. Return whether the hub accepted it. Raises UnknownWord."""
    try:
        verdict = wording.verdict(item)
        content = None if verdict is None else verdicts.write_verdict_message(verdict)
    except MalformedVerdict:
        content = _as_it_is(item)
    if content is None:
        return True
    judged = yield Arrival(content, identity, verdicts.NAME)
    return bool(judged.accepted)


def _as_it_is(item: object) -> bytes:
    return json.dumps(item, ensure_ascii=False).encode(errors="backslashreplace")


def _read_object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # nor UTF-8
        return None
    return found if isinstance(found, dict) else None
