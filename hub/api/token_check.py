"""Counts wrong tokens by the network that they come from, in memory. Does not know the journal or HTTP.

A wrong token costs one look-up. After `FREE` of them within a minute the network waits: its requests are refused
without a look-up until no wrong one came for a minute. A token that this node knew to be right a moment ago is not
held up, so that nobody locks a program out from the address that they share.
"""

import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta

import attrs

#: Wrong tokens of one network within `WITHIN` that have no effect.
FREE = 20
WITHIN = timedelta(minutes=1)
#: Networks, and right tokens, that are remembered; how long a right token is.
MOST, REMEMBERED = 10_000, timedelta(minutes=10)


@attrs.define
class _WrongTokens:
    count: int
    since: datetime
    last: datetime


@attrs.define(eq=False)
class TokenCheck:
    """Tells whether a token may be looked up now."""

    _wrong: OrderedDict[str, _WrongTokens] = attrs.field(factory=OrderedDict, init=False, repr=False)
    _right: OrderedDict[bytes, datetime] = attrs.field(factory=OrderedDict, init=False, repr=False)

    def count_wait(self, place: str, token: str, now: datetime) -> int:
        """Return for how many seconds the network *place* must not try *token*; 0: it may."""
        found = self._wrong.get(place)
        if found is None or found.count < FREE or self.knows(token, now):
            return 0
        left = (found.last + WITHIN - now).total_seconds()
        if not 0 < left <= WITHIN.total_seconds():  # also if the clock was set back
            del self._wrong[place]
            return 0
        return int(left) + 1

    def note_right(self, token: str, now: datetime) -> None:
        """Remember that *token* is right."""
        key = _name_token(token)
        self._right[key] = now + REMEMBERED
        self._right.move_to_end(key)
        _drop_oldest_checks(self._right)

    def note_wrong(self, place: str, now: datetime) -> bool:
        """Count a wrong token of the network *place*. Return whether it is told: the first, and the last of `FREE`."""
        found = self._wrong.get(place)
        if found is None or not timedelta(0) <= now - found.since < WITHIN or found.count >= FREE:
            found = _WrongTokens(0, now, now)
        found.count, found.last = found.count + 1, now
        self._wrong[place] = found
        self._wrong.move_to_end(place)
        _drop_oldest_checks(self._wrong)
        return found.count in {1, FREE}

    def knows(self, token: str, now: datetime) -> bool:
        """Tell whether *token* was right within `REMEMBERED`."""
        return self._right.get(_name_token(token), now) > now


def _name_token(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _drop_oldest_checks(found: "OrderedDict[str, _WrongTokens] | OrderedDict[bytes, datetime]") -> None:
    while len(found) > MOST:
        found.popitem(last=False)
