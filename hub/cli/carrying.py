"""Carries out an operation of `hub.operations` for the person who types, and ends the command if it is refused."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import click

from hub.cli import person
from hub.cli.journal import open_journal, read_journal_config, read_view_config
from hub.cli.screen import FAILED, NOT_FOUND, CommandStop, Screen
from hub.cli.words import fill_words
from hub.language.phrases import Phrase
from hub.operations.operation import HubOperation, OperationCall, OperationRefused, RefusalKind, Topic
from hub.store import transactions

#: Exit codes of refusals; that of what cannot be so is that of a wrong use.
_CODES = {RefusalKind.ABSENT: NOT_FOUND, RefusalKind.UNKNOWN: NOT_FOUND, RefusalKind.CONFLICT: FAILED}


def carry_out(
    screen: Screen,
    topic: Topic,
    operation: HubOperation,
    subject: str = "",
    asked: object = None,
    refusals: Mapping[str, Phrase] | None = None,
) -> Any:
    """Carry out *operation* for the person who types; return its answer. What is refused ends the command.

    *refusals*: by code, what is said instead of the reason.
    """
    config = read_journal_config(screen) if operation.event else read_view_config(screen)
    call = OperationCall(subject=subject, asked=asked, by=person.name_person(), now=datetime.now(UTC), config=config)
    begin = transactions.write_transaction if operation.event else transactions.read_transaction
    try:
        step = operation.prepare(call)
        with open_journal(config) as engine, begin(engine) as tx:
            return step(tx)
    except OperationRefused as refused:
        stop_refused(topic, refused, refusals)


def stop_refused(topic: Topic, refused: OperationRefused, refusals: Mapping[str, Phrase] | None = None) -> NoReturn:
    """End the command because its order is refused."""
    kind, why = topic.refusals[refused.code].kind, refused.why
    said = fill_words((refusals or {}).get(refused.code, why), why.arguments)
    if kind in _CODES:
        raise CommandStop(said, _CODES[kind]) from None
    raise click.UsageError(said) from None
