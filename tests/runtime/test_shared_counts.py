"""The counts of a node: the same answers with one process and with several, and nothing left of a process that ended."""

import fcntl
import os
import random
import subprocess
import sys

import pytest

from hub.domain.errors import Unready
from hub.domain.node_counts import Counted, LocalCounts
from hub.runtime import shared_counts
from hub.runtime.shared_counts import SharedCounts


@pytest.fixture
def pair():
    first = SharedCounts.create(3)
    yield first, SharedCounts(first.file, 1, 3)
    os.close(first.file)


def test_two_processes_count_as_one_would(pair):
    alone, chance = LocalCounts(), random.Random(7)
    for _ in range(3000):
        what, name = chance.choice(list(Counted)), f"partner-{chance.randrange(40)}"
        by = chance.choice([1, 5, -alone.count(what, name)])
        alone.add(what, name, by)
        chance.choice(pair).add(what, name, by)
    for each in pair:
        for what in Counted:
            assert each.total(what) == alone.total(what)
            assert each.owners(what) == alone.owners(what)
            for number in range(40):
                assert each.count(what, f"partner-{number}") == alone.count(what, f"partner-{number}")


def test_a_process_that_ended_leaves_no_count(pair):
    first, second = pair
    first.add(Counted.ANSWERING, "vpub", 2)
    second.add(Counted.ANSWERING, "vpub", 3)
    second.add(Counted.ANSWERING, "sotttt", 1)
    first.clear_process(1)
    assert (first.count(Counted.ANSWERING, "vpub"), first.total(Counted.ANSWERING)) == (2, 2)
    assert first.owners(Counted.ANSWERING) == 1


def test_a_row_is_used_again_once_it_counts_nothing(pair, monkeypatch):
    monkeypatch.setattr(shared_counts, "WINDOW", 1)
    monkeypatch.setattr(shared_counts, "_hash_name", lambda name: (name.encode().ljust(16), 5))
    first, second = pair
    first.add(Counted.CONNECTIONS, "a", 1)
    with pytest.raises(Unready):
        second.add(Counted.CONNECTIONS, "b", 1)
    first.add(Counted.CONNECTIONS, "a", -1)
    second.add(Counted.CONNECTIONS, "b", 1)
    assert [first.count(Counted.CONNECTIONS, name) for name in "ab"] == [0, 1]


def test_the_start_of_the_next_call_is_the_same_for_all(pair):
    first, second = pair
    assert first.next_at("vpub") == 0.0
    second.set_next_at("vpub", 17.5)
    assert first.next_at("vpub") == 17.5
    assert first.next_at("sotttt") == 0.0


def test_a_process_suspended_in_the_middle_of_a_change_stops_no_other(pair, monkeypatch):
    monkeypatch.setattr(shared_counts, "PATIENCE", 0.05)
    first, _ = pair
    holds = "import fcntl, sys; fcntl.lockf(FILE, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holds.replace("FILE", str(first.file))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[first.file],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        first.add(Counted.ANSWERING, "vpub", 1)
        other.kill()
    assert first.count(Counted.ANSWERING, "vpub") == 1
    fcntl.lockf(first.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
