"""Makes the pages of one message: its life, its packet for people, its attachments, and each attempt.

Content is shown only to a user with the permission `see-content` who may see the message, and each time an event
records who opened what. Pages and the API show the same. Contains no Twisted and no SQL.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import attrs
from cryptography import x509

from hub.config import Config, Partner
from hub.domain.fair_queue import CONSOLE
from hub.edxml import readable
from hub.formats.line_difference import LineDifference, compare_lines
from hub.journal import blobs
from hub.journal.queue import exchanges
from hub.keeping.archive import opening
from hub.keeping.archive.catalogue import ArchiveAbsent
from hub.operations.accounts.users import User
from hub.operations.messages import visible_messages
from hub.operations.messages.shown_reasons import FINDINGS, group_reasons, list_cells
from hub.operations.messages.visible_messages import OpenedContent, ShownMessage
from hub.operations.refusals import refuse_as_absent
from hub.report.form.book import Book
from hub.security.certificates import hash_certificate
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.web.answers import ConsoleResponse

T = TypeVar("T")


#: Runs a heavy computation when its turn comes.
Alone = Callable[..., Awaitable[object]]
#: What a page says.
View = dict[str, object]


@attrs.frozen(kw_only=True)
class ShownCertificate:
    """The certificate of a signature."""

    fingerprint: str
    subject: str = ""  #: empty: it is not configured any more
    issuer: str = ""
    since: datetime | None = None
    until: datetime | None = None


@attrs.define(eq=False)
class MessageViews:
    """Makes the pages of one message that a user may see."""

    _journal: Journal
    _live: Live
    _alone: Alone

    def show(self, opened: ShownMessage, names: Mapping[str, str], book: Book) -> View:
        """Return the page of the message."""
        message = opened.message
        partner = self._live.config.partners.get(message.partner)
        signed = opened.signature or {}
        return {
            "opened": opened,
            "names": names,
            "reasons": group_reasons(opened.reasons),
            "certificate": find_certificate(partner, str(signed.get("certificate") or "")),
            "sealer": _describe_own_certificate(self._live.config),
            "cells": [list_cells(each, book, opened.seen) for each in opened.facts],
        }

    async def _record(
        self, user: User, opened: ShownMessage, what: OpenedContent, now: datetime, name: str = ""
    ) -> None:
        """Record that the content is opened, before any of it is shown."""
        await self._journal.admit(CONSOLE, visible_messages.record_opening, user, opened.message.id, what, now, name)

    async def download(self, user: User, opened: ShownMessage, now: datetime) -> ConsoleResponse:
        """Return the exact octets. Raises `RequestRefused`, as all below, if there is no such thing, or not for *user*."""
        _require_found(opened.kept)
        sha256, name = opened.message.sha256, f"{opened.message.id}.xml"
        size = await self._journal.read(blobs.read_blob_size, sha256)
        if size is None:
            pieces = self._read_archived(opened)
            first = await self._next(pieces)  # so that a file that is away is found before anything is sent
            await self._record(user, opened, OpenedContent.BYTES, now)
            parts = self._pour(first, pieces)
            return ConsoleResponse(parts=parts, content_type="application/octet-stream", filename=name)
        await self._record(user, opened, OpenedContent.BYTES, now)
        return ConsoleResponse(stored=sha256, size=size, content_type="application/octet-stream", filename=name)

    def _read_archived(self, opened: ShownMessage) -> Generator[bytes]:
        """Return the octets of a message in pieces, as its archive file has them."""
        return opening.read_archived_octets(opened.archives, opened.message.id, self._live.config.archive)

    async def _next(self, pieces: Generator[bytes]) -> bytes | None:
        """Return the next one of *pieces*, which are read in the thread of a reader. None: there are no more."""
        try:
            return await self._journal.read(_read_piece, pieces)
        except (ArchiveAbsent, KeyError):
            raise refuse_as_absent() from None

    async def _pour(self, first: bytes | None, pieces: Generator[bytes]) -> AsyncIterator[bytes]:
        with closing(pieces):
            piece = first
            while piece is not None:
                yield piece
                piece = await self._next(pieces)

    async def _octets(self, opened: ShownMessage) -> bytes | None:
        """Return the message's octets; None if there are too many to be shown."""
        if opened.message.size > readable.LARGEST:
            return None
        return await self._read_kept(opened, _read_octets, opened.message.sha256, octets=True)

    async def _read_kept(
        self, opened: ShownMessage, step: Callable[[Transaction, str], T], key: str, *, octets: bool = False
    ) -> T:
        """Return what *step* reads of the message, wherever its rows are."""
        name, folder = opened.message.id, self._live.config.archive
        try:
            return await self._journal.read(_read_with_archives, name, folder, step, key, octets)
        except ArchiveAbsent:
            raise refuse_as_absent() from None

    async def open_packet(self, user: User, opened: ShownMessage, now: datetime) -> View:
        """Return the packet line by line."""
        _require_found(opened.kept)
        octets = await self._octets(opened)
        packet = None
        if octets is not None:
            await self._record(user, opened, OpenedContent.PACKET, now)
            packet = await self._alone(readable.write_readable_packet, octets, opened.findings[:FINDINGS])
        return {"opened": opened, "packet": packet}

    async def open_attachment(self, user: User, opened: ShownMessage, now: datetime, number: str) -> ConsoleResponse:
        """Return an attachment of the packet."""
        _require_found(opened.kept and number.isdecimal() and len(number) < 5)
        octets = await self._octets(opened)
        found = None if octets is None else await self._alone(readable.read_packet_attachment, octets, int(number))
        if not isinstance(found, tuple):
            raise refuse_as_absent()
        listed, content = found
        await self._record(user, opened, OpenedContent.ATTACHMENT, now, listed.name or str(int(number)))
        return ConsoleResponse(
            content=content,
            content_type="application/octet-stream",
            filename=listed.name or f"{opened.message.id}-{int(number)}",
        )

    async def open_attempt(self, user: User, opened: ShownMessage, now: datetime, name: str) -> View:
        """Return the request and the reply of one attempt."""
        _require_found(opened.may_open)
        place = next((place for place, each in enumerate(opened.attempts) if each.id == name), None)
        if place is None:
            raise refuse_as_absent()
        attempt = opened.attempts[place]
        body = None
        if attempt.head is not None:
            await self._record(user, opened, OpenedContent.REPLY, now, f"{attempt.partner} {attempt.number}")
        if attempt.head is not None and attempt.head.size and attempt.exchange:
            body = await self._read_kept(opened, exchanges.read_reply_body, attempt.exchange)
        same = [each for each in opened.attempts if each.partner == attempt.partner]
        at = same.index(attempt)
        return {
            "opened": opened,
            "attempt": attempt,
            "body": None if body is None else body.decode("utf-8", "replace"),
            "kept": 0 if body is None else len(body),
            "before": same[at - 1] if at else None,
            "after": same[at + 1] if at + 1 < len(same) else None,
        }

    async def compare_packet(self, user: User, opened: ShownMessage, now: datetime, other: str) -> View:
        """Compare the packet with that of another message that the user may see."""
        _require_found(opened.kept)
        folder = self._live.config.archive
        second = await self._journal.read(visible_messages.find_visible_message, user, other, folder)
        if second is None or not second.kept:
            raise refuse_as_absent()
        octets = [await self._octets(opened), await self._octets(second)]
        difference = None
        if octets[0] is not None and octets[1] is not None:
            for each in (opened, second):
                await self._record(user, each, OpenedContent.PACKET, now)
            difference = await self._alone(compare_packets, *octets)
        names = [each.code or each.message.message_id or each.message.id for each in (opened, second)]
        places = [("messages", each.message.id) for each in (opened, second)]
        return {"opened": opened, "parts": [(None, difference)], "names": names, "places": places}

    async def compare_attempts(self, user: User, opened: ShownMessage, now: datetime, one: str, other: str) -> View:
        """Compare the requests and the replies of two attempts."""
        _require_found(opened.may_open)
        by_name = {each.id: each for each in opened.attempts}
        if one not in by_name or other not in by_name:
            raise refuse_as_absent()
        bodies = []
        for attempt in (by_name[one], by_name[other]):
            body = b""
            if attempt.head is not None:
                await self._record(user, opened, OpenedContent.REPLY, now, f"{attempt.partner} {attempt.number}")
            if attempt.head is not None and attempt.exchange:
                kept = await self._read_kept(opened, exchanges.read_reply_body, attempt.exchange)
                body = kept or b""
            bodies.append(body)
        first, second = by_name[one], by_name[other]
        requests = await self._alone(compare_lines, first.write_request_lines(), second.write_request_lines())
        replies = await self._alone(
            compare_lines, first.write_reply_lines(bodies[0]), second.write_reply_lines(bodies[1])
        )
        return {
            "opened": opened,
            "parts": [("request", requests), ("reply", replies)],
            "names": [f"{each.partner} {each.number}" for each in (first, second)],
            "places": [("messages", opened.message.id, "attempts", each.id) for each in (first, second)],
        }


def _require_found(there: bool) -> None:
    if not there:
        raise refuse_as_absent()


def _read_with_archives(
    tx: Transaction, message: str, folder: Path, step: Callable[[Transaction, str], T], key: str, octets: bool
) -> T:
    with opening.open_kept_message(tx, message, folder, octets=octets) as kept:
        return step(kept, key)


def _read_octets(tx: Transaction, sha256: str) -> bytes | None:
    return None if blobs.read_blob_size(tx, sha256) is None else blobs.read_blob(tx, sha256)


def _read_piece(_tx: Transaction, pieces: Generator[bytes]) -> bytes | None:
    return next(pieces, None)


def compare_packets(first: bytes, second: bytes) -> LineDifference:
    """Compare two packets line by line, whatever way they are written."""
    return compare_lines(readable.write_packet_lines(first), readable.write_packet_lines(second))


def find_certificate(partner: Partner | None, fingerprint: str) -> ShownCertificate | None:
    """Return the certificate of *partner* with this *fingerprint*; without its names if it is not configured any more."""
    if not fingerprint:
        return None
    for each in partner.certificates if partner is not None else ():
        if hash_certificate(each) == fingerprint:
            return _show_certificate(each)
    return ShownCertificate(fingerprint=fingerprint)


def _show_certificate(found: x509.Certificate) -> ShownCertificate:
    return ShownCertificate(
        fingerprint=hash_certificate(found),
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        since=found.not_valid_before_utc,
        until=found.not_valid_after_utc,
    )


def _describe_own_certificate(config: Config) -> ShownCertificate | None:
    """Return the certificate with which the hub seals receipts now."""
    certificate = getattr(config.identity, "certificate", None)
    return None if certificate is None else _show_certificate(certificate)
