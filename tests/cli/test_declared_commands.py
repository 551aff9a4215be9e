"""Every command names a function that is there, and gives it what it takes."""

import inspect
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from hub.cli import lienthong
from hub.cli.screen import Command, resolve
from tests.paths import ROOT


def _walk(command: click.Command, name: str = "") -> Iterator[tuple[str, Command]]:
    if isinstance(command, click.Group):
        for each in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), each)
            assert found is not None
            yield from _walk(found, f"{name} {each}".strip())
    else:
        assert isinstance(command, Command)
        yield name, command


COMMANDS = dict(_walk(lienthong))


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_runs_takes_what_its_options_say(name):
    command = COMMANDS[name]
    deed = resolve(command.runs) if isinstance(command.runs, str) else command.runs
    given = {each.name: None for each in command.params if each.expose_value}
    inspect.signature(deed).bind("screen", **given)


def test_the_help_of_no_command_imports_what_it_runs():
    """Libraries that take long to import are none of the declarations' business."""
    program = (
        "import sys; from tests.cli.test_declared_commands import COMMANDS; "
        "print(*{'sqlalchemy', 'twisted', 'lxml', 'cryptography', 'zeep', 'rich'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"
