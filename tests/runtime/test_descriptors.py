"""Descriptors and memory that are short: told for a moment, whatever failed for them."""

import errno
import os
import resource

import pytest

from hub.runtime.descriptors import RECENT, Shortage, count_reserve, is_reserved


@pytest.fixture
def clock(monkeypatch):
    """Make a limit of 1024 files, and return the time of the shortage that is looked at."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    return [0.0]


def test_the_last_descriptors_are_kept_for_the_hub_itself(clock):
    assert [count_reserve(limit) for limit in (100, 1024, 65536)] == [25, 256, 256]
    assert [is_reserved(file) for file in (767, 768)] == [False, True]
    assert [is_reserved(file, lately=True) for file in (895, 896)] == [False, True]


def test_a_process_without_a_limit_has_no_reserve(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert not is_reserved(10**6)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files"),
        (OSError(errno.ENFILE, os.strerror(errno.ENFILE)), "Too many open files in system"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "Cannot allocate memory"),
        (MemoryError(), "Cannot allocate memory"),
        (OSError(errno.ENOENT, "No such file"), ""),
        (ValueError("x"), ""),
    ],
)
def test_a_shortage_is_told_for_a_moment_also_when_another_error_follows_from_it(clock, error, said):
    shortage = Shortage(lambda: clock[0])
    after = RuntimeError("no words for it")
    after.__cause__ = error
    shortage.note_error(after)
    assert str(shortage.describe()) == said
    clock[0] = RECENT
    assert shortage.describe() == ""


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_who_measures_opens_a_file_as_anybody_does(clock, monkeypatch, code):
    def fail(*_args):
        raise OSError(code, os.strerror(code))

    shortage = Shortage(lambda: clock[0])
    assert shortage.measure() == ""
    monkeypatch.setattr(os, "open", fail)
    assert str(shortage.measure()) == os.strerror(code)


def test_who_measures_tells_that_only_the_reserve_is_left(clock, monkeypatch):
    shortage = Shortage(lambda: clock[0])
    monkeypatch.setattr(resource, "getrlimit", lambda _: (4, 4))
    assert str(shortage.measure()) == "fewer than 1 of 4 files may still be opened"
