"""Runs a command that `hub.cli.projection` made of an operation: reads what was typed, carries it out, prints the answer."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from hub.cli.carrying import carry_out
from hub.cli.screen import Screen, say
from hub.cli.words import fill_words, say_filter_word
from hub.language.terms import name_word
from hub.operations.operation import AskedField, CommandWords, HubOperation, Topic, list_fields


def _read_field(field: AskedField, typed: Any) -> Any:
    if not issubclass(field.kind, StrEnum):
        return typed
    return tuple(map(field.kind, typed)) if field.many else field.kind(typed)


def run_operation(topic: Topic, operation: HubOperation, words: CommandWords, screen: Screen, /, **typed: Any) -> None:
    """Carry out *operation* with what was *typed*, and print its answer as *words* say."""
    subject = typed.pop(operation.subject.typed) if operation.subject else ""
    asked = None
    if operation.takes:
        fields = {each.name: each for each in list_fields(operation.takes)}
        asked = operation.takes(**{n: _read_field(fields[n], value) for n, value in typed.items() if value is not None})
    _show_answer(screen, words, carry_out(screen, topic, operation, subject, asked, words.refusals))


def _show_answer(screen: Screen, words: CommandWords, answer: Any) -> None:
    if words.columns:
        titles = {key: say(title) for key, title in words.columns.items()}
        rows: Iterable[Mapping[str, object]] = map(words.write_row, answer.items)
        if not screen.json:
            rows = (
                {**row, **{key: say_filter_word(words.scopes[key], row[key]) for key in words.scopes}} for row in rows
            )
        if not screen.table(titles, rows) and words.empty and not screen.json:
            screen.note(say(words.empty))
        return
    row = words.write_row(answer)
    named = {key: name_word(scope, str(row[key])) for key, scope in words.scopes.items()}
    said = fill_words(words.said, {**row, **named}) if words.said else ""
    screen.row(row, str(row[words.prints]) if words.prints else said)
    if words.prints:
        screen.note(said)
