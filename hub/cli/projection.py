"""Makes commands of the operations of `hub.operations`: arguments, options, help, table, `--json`, exit code. Knows none of them."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any

import attrs
import click

from hub.cli.screen import (
    CommandGroup,
    Screen,
    WholeNumber,
    command,
    command_group,
    say,
)
from hub.cli.words import fill_words, say_filter_word
from hub.language.terms import name_word
from hub.operations.operation import (
    AskedField,
    CommandWords,
    HubOperation,
    Topic,
    list_fields,
)


def project_topic(topic: Topic) -> CommandGroup:
    """Return the group of the commands of *topic*, in the language of the environment."""
    return command_group(topic.name, say(topic.about), commands=project_commands(topic))


def project_commands(topic: Topic) -> list[click.Command]:
    """Return the commands of those operations of *topic* that have words for one, in their order."""
    return [_project_operation(topic, each, each.command) for each in topic.operations if each.command]


def _project_operation(topic: Topic, operation: HubOperation, words: CommandWords) -> click.Command:
    made = command(words.name, say(words.about), *words.examples, runs=partial(_run, topic, operation, words))
    fields = list_fields(operation.takes) if operation.takes else ()
    subject = [click.Argument([operation.subject.typed])] if operation.subject else []
    made.params[:0] = [*subject, *map(_project_field, fields)]
    return made


def _project_field(field: AskedField) -> click.Parameter:
    """Return the option of *field*; an argument, if it has no words of its own."""
    if field.option is None:
        return click.Argument([field.name])
    kind = click.Choice([str(each) for each in field.kind]) if issubclass(field.kind, StrEnum) else None
    option, number = field.option, dict[str, Any]()
    if field.kind is int:
        number = {"default": option.default or field.default, "show_default": True}
    return click.Option(
        [f"--{option.typed or (field.name.removesuffix('s') if field.many else field.name)}", field.name],
        type=WholeNumber(option.least) if number else kind,
        multiple=field.many,
        required=field.default is attrs.NOTHING,
        **number,
        metavar=option.metavar,
        help=say(option.about),
    )


def _read_field(field: AskedField, typed: Any) -> Any:
    if not issubclass(field.kind, StrEnum):
        return typed
    return tuple(map(field.kind, typed)) if field.many else field.kind(typed)


def _run(topic: Topic, operation: HubOperation, words: CommandWords, screen: Screen, /, **typed: Any) -> None:
    subject = typed.pop(operation.subject.typed) if operation.subject else ""
    asked = None
    if operation.takes:
        fields = {each.name: each for each in list_fields(operation.takes)}
        asked = operation.takes(**{n: _read_field(fields[n], value) for n, value in typed.items() if value is not None})
    from hub.cli.carrying import carry_out

    _show(screen, words, carry_out(screen, topic, operation, subject, asked, words.refusals))


def _show(screen: Screen, words: CommandWords, answer: Any) -> None:
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
