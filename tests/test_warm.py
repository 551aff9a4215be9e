"""What is forked is a process like any other: `tests/warm.py` may be trusted where tests count on one."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import warm
from tests.waiting import PATIENCE
from tests.warm import BIN, Started

pytestmark = pytest.mark.slow
TOLD = "tests.warm_told"


@pytest.fixture
def told():
    """Return a way to start the program that tells; what was started so ends with the test."""
    begun: list[Any] = []

    def start(*words, **how):
        process = warm.start([sys.executable, "-m", TOLD, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **how)
        assert isinstance(process, Started)
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.wait(PATIENCE)
        process.stdin.close()
        process.stdout.close()


def test_it_has_an_id_a_session_a_directory_and_an_environment_of_its_own(told, tmp_path):
    process = told("who", cwd=tmp_path, env=os.environ | {"SAID": "đây"}, text=True)
    pid, session, place, said = process.stdout.read().splitlines()
    assert (int(pid), int(session), place, said) == (process.pid, process.pid, str(tmp_path), "đây")
    assert process.pid != told("who").pid
    assert process.wait(PATIENCE) == 0


def test_it_reads_until_the_end_of_its_input_though_others_were_started_meanwhile(told):
    first, second = told("cat"), told("cat")
    first.stdin.write(b"one")
    first.stdin.close()
    assert first.stdout.read() == b"one"
    assert first.wait(PATIENCE) == 0
    assert second.poll() is None
    second.stdin.close()
    assert second.wait(PATIENCE) == 0


def test_several_threads_may_wait_for_it_and_each_gets_its_exit_code(told):
    process = told("cat")
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(process.wait, PATIENCE) for _ in range(8)]
        process.stdin.close()
        assert {each.result() for each in waiting} == {0}


@pytest.mark.parametrize(("words", "code"), [(["exit", "78"], 78), (["raise"], 1), (["say"], 1)])
def test_its_exit_code_is_that_of_the_interpreter(told, words, code):
    assert told(*words, stderr=subprocess.DEVNULL).wait(PATIENCE) == code


def test_it_waits_for_its_threads_and_does_at_its_end_what_it_registered_and_all_it_said_comes_out(told):
    process = told("last", text=True)
    assert process.stdout.read() == "thread exit"
    assert process.wait(PATIENCE) == 0


def test_a_signal_ends_it_and_is_its_exit_code(told):
    process = told("cat")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.kill()
    assert process.wait(PATIENCE) == -signal.SIGKILL
    process.kill()  # nobody else gets it


def test_the_command_line_is_the_same():
    words = [BIN / "lienthong", "--version"]
    ordinary = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    forked = warm.run(words)
    assert (forked.stdout, forked.stderr, forked.returncode) == (ordinary.stdout, ordinary.stderr, 0)


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["true"], {}),
        ([BIN / "lienthong", "--version"], {"PYTHONUTF8": "0"}),
        ([BIN / "twistd", "--reactor=poll", "--version"], {}),
    ],
)
def test_another_program_or_an_interpreter_that_is_changed_is_started_as_ever(words, env):
    process = warm.start(words, stdout=subprocess.DEVNULL, env=os.environ | env)
    assert isinstance(process, subprocess.Popen)
    assert process.wait(PATIENCE) == 0
