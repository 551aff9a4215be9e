"""Defines from when on operators are told of a condition."""

from datetime import timedelta

import attrs


@attrs.frozen(kw_only=True)
class AlertLimits:
    """From when on a condition is met."""

    waiting: timedelta = timedelta(hours=1)  #: of the oldest delivery that is pushed
    link_down: timedelta = timedelta(minutes=2)
    disk: int = 2 << 30  #: octets that should be free
    closing: timedelta = timedelta(days=3)  #: before a month is closed
    chain: timedelta = timedelta(minutes=1)
    node_lost: timedelta = timedelta(minutes=1)
