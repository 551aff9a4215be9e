"""What a killed process was making is removed by whoever comes next; what a living one makes is not."""

import os
import signal
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.config.durable_files import MARK, hold_workplace, remove_leftovers, replace_file

_MAKER = """
import sys
from pathlib import Path
from hub.config.durable_files import hold_workplace
with hold_workplace(Path(sys.argv[1])) as place:
    (place / "half").write_text("x")
    print("making", flush=True)
    sys.stdin.read()
"""


def begin_making(path: Path) -> "subprocess.Popen[str]":
    """Start a process that makes *path*, and wait until it is at it."""
    words = [sys.executable, "-c", _MAKER, str(path)]
    maker = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    assert maker.stdout.readline() == "making\n"
    return maker


def end(maker: "subprocess.Popen[str]") -> None:
    maker.send_signal(signal.SIGKILL)
    maker.communicate()


def left(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.name.endswith(MARK)]


@pytest.mark.slow
def test_what_a_killed_maker_left_goes_and_what_a_living_one_makes_stays(tmp_path: Path) -> None:
    killed, living = begin_making(tmp_path / "a"), begin_making(tmp_path / "b")
    try:
        end(killed)
        assert len(left(tmp_path)) == 2
        with hold_workplace(tmp_path / "c"):
            assert len(left(tmp_path)) == 2, "that of b, and this one"
        (kept,) = left(tmp_path)
        assert kept.startswith(".b.")
    finally:
        end(living)
    remove_leftovers([tmp_path, tmp_path / "absent"])
    assert left(tmp_path) == []


def test_what_another_machine_makes_stays_until_it_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "other")
        with hold_workplace(tmp_path / "a") as place:
            name = place.name
    (tmp_path / name).mkdir()
    moment = datetime(2026, 11, 24, tzinfo=UTC)
    os.utime(tmp_path / name, (moment.timestamp(), moment.timestamp()))
    remove_leftovers([tmp_path])
    remove_leftovers([tmp_path], moment - timedelta(days=1))
    assert left(tmp_path) == [name]
    remove_leftovers([tmp_path], moment + timedelta(seconds=1))
    assert left(tmp_path) == []


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    replace_file(file, b"one", 0o600)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            replace_file(file, b"two")
    assert file.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_left_where_the_maker_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), hold_workplace(tmp_path / "a"):
        raise ValueError("x")
    assert list(tmp_path.iterdir()) == []
