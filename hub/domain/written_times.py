"""Writes moments and durations as people of both languages read them."""

from datetime import datetime, timedelta

from hub.domain.local_time import HANOI
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase, phrases


def write_second(value: datetime | str) -> str:
    """Write an instant as dd/MM/yyyy HH:mm:ss in Hà Nội."""
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{instant.astimezone(HANOI):%d/%m/%Y %H:%M:%S}"


def write_duration(length: timedelta | float | None, language: Language) -> str:
    """Write a duration (a number: in milliseconds) in its largest units; "–" for None."""
    if length is None:
        return "–"
    milliseconds = length if isinstance(length, int | float) else length / timedelta(milliseconds=1)
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        text = f"{seconds:.1f}"
        return f"{text if language == 'en' else text.replace('.', ',')} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    minute = translate(phrase("min"), language)
    if days:
        written = translate(phrases("{count} day", "{count} days", count=days), language)
        return f"{written} {hours} h" if hours else written
    if hours:
        return f"{hours} h" + (f" {minutes} {minute}" if minutes else "")
    return f"{minutes} {minute}" + (f" {rest} s" if rest else "")
