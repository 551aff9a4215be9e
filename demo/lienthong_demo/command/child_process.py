"""Runs a part of the demo in a child process, so that two cores share the work. Knows processes; not what they do."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from typing import TypeVar

from hub.cli.screen import CommandStop
from lienthong_demo.run.parent import bind_to_parent
from lienthong_demo.run.stage import StageFailed

Result = TypeVar("Result")


@contextlib.contextmanager
def run_in_child_process(name: str, work: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Fork a child process that runs *work*. Yield a function that waits for the result. Stop the child at the end.

    This process must have one thread. The function raises StageFailed when *work* raised it or CommandStop, or when the
    child ended without a result. The result must be picklable.
    """
    parent, fork = os.getpid(), multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)

    def run() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which stops this process
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        bind_to_parent(parent)
        try:
            sender.send((work(), None))
        except (CommandStop, StageFailed) as broken:
            sender.send((None, str(broken)))

    def wait() -> Result:
        try:
            result, broken = receiver.recv()
        except EOFError:
            child.join()
            raise StageFailed(f"{name} ended with {child.exitcode}") from None
        if broken is not None:
            raise StageFailed(broken)
        found: Result = result
        return found

    child = fork.Process(target=run, name=name)
    child.start()
    sender.close()
    try:
        yield wait
    finally:
        child.terminate()
        child.join()
        receiver.close()
