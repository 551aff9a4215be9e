"""The commands that are declared, by the words that one types. Imports nothing of what they run."""

from collections.abc import Iterator, Sequence

import click

from hub.cli import lienthong


def walk_commands(command: click.Command = lienthong, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command, groups included, in the order of their help."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk_commands(found, (*path, name))


def find_command(path: Sequence[str]) -> click.Command:
    """Return the command of the words *path*."""
    found: click.Command = lienthong
    for name in path:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), name)
        assert inner is not None
        found = inner
    return found
