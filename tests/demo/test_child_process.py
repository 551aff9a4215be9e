"""A part of the demo in a child process: its result comes back, or the reason why there is none."""

import os
import signal
import time

import pytest

from hub.cli.screen import CommandStop
from lienthong_demo.command.child_process import run_in_child_process
from lienthong_demo.run.stage import StageFailed


def ended(process):
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    return True


def test_the_result_comes_from_another_process():
    with run_in_child_process("the recount", os.getpid) as result:
        found = result()
    assert found != os.getpid()
    assert ended(found)


@pytest.mark.parametrize("broken", [StageFailed("no hub"), CommandStop("no hub")])
def test_the_reason_why_it_stopped_is_told_to_the_caller_that_waits(broken):
    def work():
        raise broken

    with pytest.raises(StageFailed, match=str(broken)), run_in_child_process("the recount", work) as result:
        result()


def test_a_process_that_dies_is_named():
    with (
        pytest.raises(StageFailed, match="the recount ended with -9"),
        run_in_child_process("the recount", lambda: os.kill(os.getpid(), signal.SIGKILL)) as result,
    ):
        result()


def test_the_child_is_stopped_when_the_caller_is_interrupted(tmp_path):
    def work():
        (tmp_path / "process").write_text(f"{os.getpid()}\n")
        time.sleep(60)

    def interrupt():
        while not (tmp_path / "process").exists() or not (tmp_path / "process").read_text().endswith("\n"):
            time.sleep(0.01)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), run_in_child_process("the recount", work):
        interrupt()
    assert ended(int((tmp_path / "process").read_text()))
