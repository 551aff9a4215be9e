"""No target: a mistake that is there to be found, so that the tests can tell whether fuzzing finds any."""

from collections.abc import Iterator

LONGEST = 16


def seeds() -> Iterator[bytes]:
    yield b"abc"


def judge(content: bytes) -> None:
    assert content[:1] != b"!", "planted"
