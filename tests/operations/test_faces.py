"""What a face has and no topic of operations: it stands in `by_hand.txt`, which only becomes shorter."""

from functools import partial
from pathlib import Path

import click

from hub.api import projection as addresses
from hub.api.table import OPERATIONS
from hub.cli import lienthong
from hub.cli import projection as commands
from tests.declared import find_command, walk_commands

KEPT = Path(__file__).with_name("by_hand.txt").read_text("utf-8").splitlines()


def is_made_of(run: object, function: object) -> bool:
    """Tell whether *run* is what a projection makes of an operation."""
    return isinstance(run, partial) and run.func is function


def test_an_operation_that_a_face_has_and_no_topic_is_one_of_those_written_by_hand() -> None:
    by_hand = [f"api {each.name}" for each in OPERATIONS if not is_made_of(each.run, addresses._run_projected)]
    for path in walk_commands():
        found = find_command(path)
        if not isinstance(found, click.Group) and not is_made_of(getattr(found, "runs", None), commands._run_projected):
            by_hand.append(f"lienthong {' '.join(path)}")
    assert sorted(by_hand) == KEPT, "define it in hub/operations; what is defined there leaves the list"


def test_every_command_is_reached_by_its_words() -> None:
    assert find_command(()) is lienthong
    assert find_command(("tokens", "add")).name == "add"
