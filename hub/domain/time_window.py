"""Which facts are asked for, by their times.  Knows bounds; not why a report asks."""

from datetime import date, datetime

import attrs


@attrs.frozen(kw_only=True)
class TimeWindow:
    """Facts by when they were recorded (half-open), and by their day (both inclusive); None: unbounded."""

    since: datetime | None = None
    until: datetime | None = None
    dated: bool | None = None  #: only those that have a day of their own, or only those that have none; None: either
    first: date | None = None
    last: date | None = None
