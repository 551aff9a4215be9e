"""Defines the bounds of time by which facts are selected. Does not know which report selects them."""

from datetime import date, datetime

import attrs


@attrs.frozen(kw_only=True)
class TimeWindow:
    """Selects facts by the time of recording (half-open) and by their own day (both ends included).

    None means unbounded.
    """

    since: datetime | None = None
    until: datetime | None = None
    #: True: only facts that have a day of their own; False: only facts without one; None: both
    dated: bool | None = None
    first: date | None = None
    last: date | None = None
