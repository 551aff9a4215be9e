"""Lets a step of work that runs in a turn of the reactor leave it when it finds that it must do more than was estimated.

Knows neither the reactor nor what the work is. Outside a turn nothing happens.
"""

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class NeedsThread(Exception):
    """The step costs more than was estimated. It has changed nothing and is run again in a worker thread."""


class _Turn(threading.local):
    running = False


_TURN = _Turn()


def run_in_turn(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run *step* as part of a turn of the reactor. Raises NeedsThread, and what *step* raises."""
    _TURN.running = True
    try:
        return step(*args, **kwargs)
    finally:
        _TURN.running = False


def leave_turn() -> None:
    """Raise NeedsThread if this runs in a turn of the reactor. Called before what is dear and could not be estimated."""
    if _TURN.running:
        raise NeedsThread
