"""`lienthong demo` is a command of the distribution `lienthong-demo`, which is not part of a node: finds it, or says how to install it."""

from importlib import import_module
from importlib.util import find_spec

import click

from hub.cli.screen import UNAVAILABLE, CommandStop, command, t


@command("demo", t("Run the whole hub with sample systems, which are a distribution of their own."), "lienthong demo")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def _name_distribution(words: tuple[str, ...]) -> None:
    raise CommandStop(t("the sample systems are not installed: pip install 'lienthong[demo]'"), UNAVAILABLE)


_name_distribution.ignore_unknown_options = True


def find_command() -> click.Command:
    """Return the command of the distribution; without it, one that takes the same words and ends with 69."""
    if find_spec("lienthong_demo") is None:
        return _name_distribution
    found: click.Command = import_module("lienthong_demo.command.demo").demo
    return found


demo = find_command()
