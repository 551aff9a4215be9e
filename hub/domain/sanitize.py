"""A stranger's text, made fit for where it goes: a database, an XML document, a screen.  Knows characters; not what the text says."""

import re
import unicodedata

#: What no XML 1.0 document can hold (2.2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: General categories whose characters move a cursor, turn the direction, or show nothing: controls, ends of lines and paragraphs.
_MOVING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def replace_unstorable(text: str) -> str:
    """Return *text* as every database can keep it: half a surrogate pair, and U+0000, as a question mark.  JSON may say either."""
    return text.encode(errors="replace").decode().replace("\0", "?")


def replace_unwritable(text: str) -> str:
    """Return *text* as XML can hold it: what it cannot as U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def replace_controls(text: str) -> str:
    """Return one line of *text* as a terminal may be shown it: what would move the cursor, or show nothing, as U+FFFD."""
    return "".join("\ufffd" if unicodedata.category(each) in _MOVING else each for each in text)
