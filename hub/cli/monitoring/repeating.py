"""Repeats a step until the user ends it. Knows the terminal and the clock; not what is shown."""

import sys
from collections.abc import Callable
from time import sleep

import click

#: Seconds between two steps, unless the user says otherwise.
EVERY = 5.0


def repeat(step: Callable[[], object], seconds: float) -> None:
    """Call *step* now and every *seconds* until Ctrl-C, which ends quietly."""
    try:
        while True:
            step()
            sys.stdout.flush()
            sleep(seconds)
    except KeyboardInterrupt:
        click.echo(err=True)  # the terminal shows `^C` on this line


def is_terminal() -> bool:
    """Tell whether standard output is a terminal."""
    return sys.stdout.isatty()
