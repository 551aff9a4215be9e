"""Makes commands of the operations of `hub.operations`: arguments, options, help, table, `--json`, exit code. Knows none of them."""

from enum import StrEnum
from functools import partial
from typing import Any

import attrs
import click

from hub.cli.screen import CommandGroup, WholeNumber, command, command_group, say
from hub.operations.operation import AskedField, CommandWords, HubOperation, Topic, list_fields


def project_topic(topic: Topic) -> CommandGroup:
    """Return the group of the commands of *topic*, in the language of the environment."""
    return command_group(topic.name, say(topic.about), commands=project_commands(topic))


def project_commands(topic: Topic) -> list[click.Command]:
    """Return the commands of those operations of *topic* that have words for one, in their order."""
    return [_project_operation(topic, each, each.command) for each in topic.operations if each.command]


def _project_operation(topic: Topic, operation: HubOperation, words: CommandWords) -> click.Command:
    made = command(words.name, say(words.about), *words.examples, runs=partial(_run_projected, topic, operation, words))
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


def _run_projected(*given: Any, **typed: Any) -> None:
    from hub.cli.operation_runs import run_operation  # the journal and the words of a table: not for a help page

    run_operation(*given, **typed)
