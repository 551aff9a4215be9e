"""What `lienthong show` says of the life of a message, and `lienthong compare`, which compares two messages or attempts.

Contains the wording only. The journal works out the stages and finds the links.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import click

from hub.cli.audit.archive import open_kept_rows
from hub.cli.journal import open_journal, read_view_config
from hub.cli.message.named_message import find_one_message
from hub.cli.opened_content import record_openings
from hub.cli.screen import NOT_FOUND, USAGE, CommandStop, Screen, exit_command, read_language, t
from hub.cli.words import say_value, say_word
from hub.config import Config
from hub.domain.errors import write_problem_json
from hub.domain.model import Delivery, Message, Problem
from hub.domain.sanitize import replace_controls
from hub.domain.written_times import write_duration, write_second
from hub.edxml import readable
from hub.formats.line_difference import compare_lines
from hub.journal import blobs, events, lineage
from hub.journal.lineage import MessageLink
from hub.journal.queue import exchanges
from hub.journal.queue.exchanges import AttemptRecord
from hub.journal.queue.timeline import DeliveryStage, list_delivery_stages
from hub.operations.messages.visible_messages import OpenedContent
from hub.store import transactions
from hub.store.transactions import Transaction

_COLOURS = {"-": "red", "+": "green"}


@attrs.frozen(kw_only=True)
class MessageLife:
    """The life of one message."""

    deliveries: Sequence[Delivery]
    stages: Mapping[str, Sequence[DeliveryStage]]  #: by delivery
    attempts: Sequence[AttemptRecord]
    links: Sequence[MessageLink]
    problems: Sequence[Problem]  #: why it was refused

    def fields(self) -> dict[str, object]:
        """Return what `show --json` prints of it."""
        return {
            "stages": [
                {"recipient": each.recipient, **_describe_stage(stage)}
                for each in self.deliveries
                for stage in self.stages[each.id]
            ],
            "attempts": [make_attempt_fields(each) for each in self.attempts],
            "links": [attrs.asdict(each) for each in self.links],
            "problems": list(map(write_problem_json, self.problems)),
        }

    def text(self) -> str:
        """Return what `show` prints of it, each part under its heading; "" if there is nothing."""
        parts = []
        if self.deliveries:
            parts.append(t("Where its time went"))
            parts += [line for each in self.deliveries for line in self._lines(each)]
        if self.attempts:
            parts.append(t("Attempts"))
            parts += [f"  {_write_attempt(each)}" for each in self.attempts]
        if self.links:
            parts.append(t("Linked messages"))
            parts += [f"  {_write_link(each)}" for each in self.links]
        return "\n".join(map(replace_controls, parts))

    def _lines(self, delivery: Delivery) -> Iterator[str]:
        doubt = t("possibly twice") if delivery.twice else t("possibly there already") if delivery.unsure else ""
        yield f"  {delivery.recipient} ({delivery.partner})" + (f": {doubt}" if doubt else "")
        for stage in self.stages[delivery.id]:
            spent = "" if stage.is_last else _write_duration(stage.duration) if stage.duration else t("still")
            tried = t("attempt {number}", number=stage.attempt) if stage.attempt else ""
            why = say_value("reason", stage.why)
            ended = say_word("attempt", stage.outcome)
            said = [say_word("delivery", stage.state), tried, ended, spent, why]
            yield f"    {_write_time(stage.begin)}  " + ", ".join(filter(None, said))


def read_message_life(tx: Transaction, message: Message, made: Sequence[Delivery], kept: Transaction) -> MessageLife:
    """Return the life of *message*, whose deliveries were *made*. *kept*: where its own rows are read."""
    told = events.read_message_events(kept, message.id)
    attempts = exchanges.read_attempts(kept, message.id)
    return MessageLife(
        deliveries=made,
        stages={each.id: list_delivery_stages(each, told, attempts) for each in made},
        attempts=attempts,
        links=lineage.read_message_links(tx, message, told),
        problems=events.read_refusal(told),
    )


def list_attempts(tx: Transaction, message: Message) -> Iterator[tuple[dict[str, object], str]]:
    """Yield fields and text of each attempt to deliver *message*, with its request and its reply."""
    for each in exchanges.read_attempts(tx, message.id):
        body = None if each.exchange is None else exchanges.read_reply_body(tx, each.exchange)
        shown = None if body is None else body.decode("utf-8", "replace")
        lines = map(replace_controls, _show_attempt(each, shown))
        yield make_attempt_fields(each) | {"body": shown}, "\n".join(lines)


def make_attempt_fields(attempt: AttemptRecord) -> dict[str, object]:
    """Return an attempt for JSON: without the reply's body."""
    plain = attrs.asdict(attempt, filter=attrs.filters.exclude("message", "head", "exchange", "varying"), recurse=False)
    head = attempt.head
    asked: dict[str, object] | None = None
    heard: dict[str, object] | None = None
    if head is not None:
        asked = {"method": head.method, "url": head.url, "operation": head.operation, "headers": head.sent}
        if head.status is not None:
            headers = [*head.heard, *attempt.varying.items()]
            heard = {"status": head.status, "headers": headers, "size": head.size, "left_out": head.left_out or None}
    return {**plain, "request": asked, "reply": heard}


def _show_attempt(attempt: AttemptRecord, body: str | None) -> Iterator[str]:
    yield _write_attempt(attempt)
    head = attempt.head
    if head is None:
        yield f"  {t('nothing is kept of this exchange')}"
        return
    yield f"  > {head.method} {head.url}"
    yield from (f"  > {name}: {value}" for name, value in head.sent)
    if head.status is None:
        yield f"  < {t('No reply came.')}"
        return
    yield f"  < {head.status}"
    yield from (f"  < {name}: {value}" for name, value in (*head.heard, *attempt.varying.items()))
    if head.left_out:
        yield f"  {t('The body is not kept: it is compressed or no text.')}"
    yield from (f"  {line}" for line in (body or "").splitlines())
    if head.size is not None and body and head.size > len(body.encode()):
        yield f"  … {t('the reply had {size} octets', size=head.size)}"


def _write_attempt(attempt: AttemptRecord) -> str:
    number = t("attempt {number}", number=attempt.number)
    said = [
        number,
        say_word("attempt", attempt.outcome) or t("under way"),
        "" if attempt.reply_status is None else f"HTTP {attempt.reply_status}",
        "" if attempt.duration is None else _write_duration(attempt.duration),
        say_value("reason", attempt.detail),
    ]
    return f"{_write_time(attempt.started_at)}  {attempt.partner}  " + ", ".join(filter(None, said))


def _write_link(link: MessageLink) -> str:
    said = [link.code, link.subject, say_word("message", link.state)]
    return f"{say_word('relation', link.relation)}: {link.id}  " + ", ".join(filter(None, said))


def _describe_stage(stage: DeliveryStage) -> dict[str, Any]:
    spent = None if stage.duration is None else stage.duration.total_seconds()
    return attrs.asdict(stage) | {"seconds": spent}


def _write_time(at: datetime) -> str:
    return write_second(at)


def _write_duration(length: timedelta) -> str:
    return write_duration(length, read_language())


def compare(screen: Screen, one: str, other: str) -> None:
    config = read_view_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            (opened, first), (also_opened, second) = (_read_lines(tx, each, config) for each in (one, other))
        if first.keys() != second.keys():
            raise CommandStop(t("one of both is a message and the other an attempt"), USAGE)
        record_openings(engine, (opened, also_opened))
    differs = False
    for part, lines in first.items():
        found = compare_lines(lines, second[part])
        differs = differs or not found.is_equal
        for line in found.lines:
            text = click.style(f"{line.sign} {replace_controls(line.text)}", fg=_COLOURS.get(line.sign))
            screen.row({"part": part, "sign": line.sign, "text": line.text}, text)
        if found.cut:
            screen.note(t("More differs than is compared here."))
    if not differs:
        screen.note(t("Nothing differs."))
    exit_command(int(differs))


def _read_lines(
    tx: Transaction, name: str, config: Config
) -> tuple[tuple[str, OpenedContent, str], dict[str, list[str]]]:
    """Return what of the attempt or the message *name* is opened, and the lines to compare, by part.

    Raises `CommandStop` 4; 1 if its archive file is not there.
    """
    attempt = exchanges.find_attempt(tx, name)
    if attempt is not None:
        body = b"" if attempt.exchange is None else exchanges.read_reply_body(tx, attempt.exchange) or b""
        opened = (attempt.message, OpenedContent.REPLY, f"{attempt.partner} {attempt.number}")
        return opened, {"request": attempt.write_request_lines(), "reply": attempt.write_reply_lines(body)}
    message = find_one_message(tx, name, config)
    with open_kept_rows(tx, message, config, octets=True) as kept:
        if not 0 < (blobs.read_blob_size(kept, message.sha256) or 0) <= readable.LARGEST:
            raise CommandStop(
                t("the bytes of {id_} are not stored, or too large to be compared", id_=message.id), NOT_FOUND
            )
        lines = readable.write_packet_lines(blobs.read_blob(kept, message.sha256))
    return (message.id, OpenedContent.PACKET, ""), {"packet": lines}
