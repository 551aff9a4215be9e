"""Counts the octets of answers that lie on the disk until their callers have read them, by partner."""

from collections import Counter
from functools import partial

import attrs

from hub.domain.errors import Unready
from hub.formats.spool import Drawer
from hub.language.phrases import phrase

#: Maximum octets on the disk for one partner, in all answers that it has not read yet.
LYING = 256 * 1024 * 1024


@attrs.frozen(eq=False)
class UnreadAnswers:
    """The answers of one process that nobody has read yet."""

    _lying: Counter[str] = attrs.field(factory=Counter, init=False)  #: octets by partner

    def require_reader(self, code: str) -> None:
        """Raise `Unready` if the partner with this *code* does not read its answers."""
        if self._lying[code] > LYING:
            raise Unready("hub-busy", phrase("{lying} octets of answers are not read yet", lying=self._lying[code]))

    def note(self, code: str, size: int, drawer: Drawer) -> None:
        """Note an answer of *size* octets, which is read when *drawer* is closed."""
        self._lying[code] += size
        drawer.afterwards(partial(self._lying.subtract, {code: size}))
