"""What CPU time is measured by: how long this machine, in this second, takes to sign by RSA-2048 and to read XML.

A bound is stated in seconds of the machine that bounds are stated for. What a test measures is brought to that machine by a
calibration at most a second old, made before and after: whatever makes a machine slow, makes that slow too. Knows no reader.
"""

from collections.abc import Callable
from time import monotonic, thread_time
from typing import Any, TypeVar

import attrs
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree

from tests import pki

#: Seconds that a signature, and one reading of `_TEXT`, take on the machine that bounds are stated for.
SIGNATURE, READING = 0.0003, 0.000147
_TEXT = b"<a>" + b"<b c='1'>x</b>" * 400 + b"</a>"
_ROUNDS, _EACH = 4, 5
_OLD = 1.0  #: seconds after which a calibration is made anew
_TRIES = 5

T = TypeVar("T")


def measure(work: Callable[[], T]) -> tuple[float, T]:
    """Return how many seconds of CPU *work* takes on the machine that bounds are stated for, and what it returns."""
    before, begun = read_scale(), thread_time()
    found = work()
    spent = thread_time() - begun
    return spent * min(before, read_scale()), found


def run_within(most: float, work: Callable[[], T]) -> T:
    """Return what *work* returns. Fails unless one of five runs takes less than *most* seconds, as `measure` says.

    What falls into one run only, such as a search for rubbish or pages of memory that are fetched again, is not its cost.
    """
    spent: list[float] = []
    while len(spent) < _TRIES:
        seconds, found = measure(work)
        if seconds < most:
            return found
        spent.append(seconds)
    raise AssertionError(f"{min(spent):.3f} s of CPU, and {most:.3f} are the most")


def read_scale() -> float:
    """Return by how much the machine that bounds are stated for is slower than this one in this second."""
    return _scale.read()


@attrs.define
class _Scale:
    """The last calibration."""

    _found: float = 1.0
    _at: float = float("-inf")

    def read(self) -> float:
        """Return it, made anew if it is old."""
        if monotonic() - self._at > _OLD:
            self._found, self._at = self._calibrate(), monotonic()
        return self._found

    def _calibrate(self) -> float:
        key: Any = pki.key("effort")
        signing = min(_time_round(lambda: key.sign(b"", PKCS1v15(), SHA256())) for _ in range(_ROUNDS))
        reading = min(_time_round(_read) for _ in range(_ROUNDS))
        return min(SIGNATURE / signing, READING / reading)


_scale = _Scale()


def _read() -> object:
    return sorted(str(each.tag) for each in etree.fromstring(_TEXT).iter())


def _time_round(work: Callable[[], object]) -> float:
    begun = thread_time()
    for _ in range(_EACH):
        work()
    return (thread_time() - begun) / _EACH
