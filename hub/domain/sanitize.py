"""Replaces the characters of untrusted text that a database, an XML document or a terminal cannot accept; shows values.

Does not interpret the text.
"""

import re
import unicodedata
from datetime import date

#: Characters that an XML 1.0 document cannot contain (2.2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: General categories whose characters move the cursor, change the text direction or are invisible: controls, line and
#: paragraph separators.
_MOVING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def replace_unstorable(text: str) -> str:
    """Return *text* in a form that every database can store: a lone surrogate and U+0000 become a question mark.

    JSON can contain both.
    """
    return text.encode(errors="replace").decode().replace("\0", "?")


def replace_unwritable(text: str) -> str:
    """Return *text* in a form that XML can contain: each forbidden character becomes U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def show_value(value: object) -> str:
    """Return a value of a TOML file much as its writer wrote it there."""
    match value:
        case date():
            return value.isoformat()
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(show_value, value))}]"
        case dict():
            pairs = (f"{key} = {show_value(each)}" for key, each in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            return repr(value)


def replace_controls(text: str) -> str:
    """Return *text* as one safe line for a terminal.

    Each character that moves the cursor or is invisible becomes U+FFFD.
    """
    return "".join("\ufffd" if unicodedata.category(each) in _MOVING else each for each in text)


def clean_line(text: str, longest: int | None = None) -> str:
    """Return a typed *text* on one line without control characters, at most *longest* characters of it."""
    return replace_controls(" ".join(text.split()))[:longest]
