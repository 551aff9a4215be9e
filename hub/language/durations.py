"""Says how long something has lasted, to people. Knows no clock."""

from hub.language.phrases import Phrase, phrase

_MINUTE, _HOUR, _DAY = 60, 3600, 24 * 3600


def describe_age(seconds: float) -> Phrase:
    """Return a duration in its largest unit, rounded down: `40 s`, `12 min`, `5 h`, `3 d`. A negative one is 0 s."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return phrase("{count} s", count=whole)
    if whole < _HOUR:
        return phrase("{count} min", count=whole // _MINUTE)
    if whole < 2 * _DAY:
        return phrase("{count} h", count=whole // _HOUR)
    return phrase("{count} d", count=whole // _DAY)
