"""`lienthong demo` is a command of the distribution `lienthong-demo`, which is not part of a node: finds it, or says how to install it."""

from importlib.util import find_spec

import click

from hub.cli.screen import UNAVAILABLE, CommandStop, Screen, command, resolve, t


def _name_distribution(_screen: Screen, words: tuple[str, ...]) -> None:
    raise CommandStop(t("the sample systems are not installed: pip install 'lienthong[demo]'"), UNAVAILABLE)


_absent = command(
    "demo",
    t("Run the whole hub with sample systems, which are a distribution of their own."),
    "lienthong demo",
    runs=_name_distribution,
    options=(click.argument("words", nargs=-1, type=click.UNPROCESSED),),
)
_absent.ignore_unknown_options = True


def find_command() -> click.Command:
    """Return the command of the distribution; without it, one that takes the same words and ends with 69."""
    if find_spec("lienthong_demo") is None:
        return _absent
    found: click.Command = resolve("lienthong_demo.command.commands:demo")
    return found


demo = find_command()
