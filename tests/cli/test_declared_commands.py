"""Every command names a function that is there, and gives it what it takes."""

import inspect
import subprocess
import sys

import pytest

from hub.cli.screen import Command, resolve
from tests.conftest import ROOT
from tests.declared import find_command, walk_commands

COMMANDS = {" ".join(path): found for path in walk_commands() if isinstance(found := find_command(path), Command)}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_runs_takes_what_its_options_say(name):
    command = COMMANDS[name]
    deed = resolve(command.runs) if isinstance(command.runs, str) else command.runs
    inspect.signature(deed).bind("screen", **{each.name: None for each in command.params if each.expose_value})


def test_the_help_of_no_command_imports_what_it_runs():
    """Nor do completion and manuals. The sample systems may be absent, and are not asked."""
    slow = "{'sqlalchemy', 'twisted', 'lxml', 'cryptography', 'zeep', 'rich'}"
    program = f"import sys; from tests.declared import walk_commands; list(walk_commands()); print(*{slow} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"
