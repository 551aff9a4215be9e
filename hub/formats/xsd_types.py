"""Reads and writes leaf values of XML by the lexical rules of the XSD 1.0 simple types in use.

Knows no element names and no schema.

Each reader takes an element and raises ValueError if its text is not of the type.
"""

from datetime import UTC, datetime

from lxml import etree

from hub.formats.base64_text import decode_strict_base64, encode_base64, remove_white_space

_WHITE = " \t\r\n"


def read_leaf_text(element: etree._Element) -> str:
    """Return the whole text of a leaf.

    A comment inside does not end it: canonicalisation drops comments, so the text on both sides was signed.
    """
    if len(element) == 0:
        return element.text or ""
    return "".join([element.text or "", *(child.tail or "" for child in element)])


def read_xs_token(element: etree._Element) -> str:
    """Return the text as `xs:token` defines it: white space collapsed."""
    text = read_leaf_text(element)
    if text.isprintable() and " " not in text:  # tabs and line ends are not printable
        return text
    return " ".join(part for part in text.replace("\t", " ").replace("\n", " ").replace("\r", " ").split(" ") if part)


def read_xs_boolean(element: etree._Element) -> bool:
    """Read `xs:boolean`: `true`, `1`, `false`, `0`."""
    match _read_whole_text(element).strip(_WHITE):
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    raise ValueError("not true or false")


def read_xs_int(element: etree._Element) -> int:
    """Read `xs:int`."""
    written = _read_whole_text(element).strip(_WHITE)
    digits = written.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise ValueError("not a number of 32 bits")
    return int(written)


def read_xs_datetime(element: etree._Element) -> datetime:
    """Read `xs:dateTime` as an aware UTC time. A time without an offset is UTC.

    Digits beyond the microsecond are dropped.
    """
    written = _read_whole_text(element).strip(_WHITE)
    if "T" not in written:
        raise ValueError("not a date and time")
    when = datetime.fromisoformat(written)
    try:
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999") from None


def write_xs_datetime(when: datetime) -> str:
    """Write an aware time as `xs:dateTime` in UTC, to the microsecond."""
    return when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def read_xs_base64(element: etree._Element) -> bytes:
    """Read `xs:base64Binary` (XSD 1.0 part 2, 3.2.16). The four XML white-space characters are ignored.

    Several times faster than libxml2, and stricter, since libxml2 skips foreign characters. Refuses foreign characters,
    missing or misplaced padding, and stray bits in the last quantum (`QR==`), which would give one packet two
    spellings.
    """
    content = _read_whole_text(element)
    try:
        letters = content.encode("ascii")
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start + 1} is not a base64 letter") from None
    try:
        return decode_strict_base64(remove_white_space(letters))
    except ValueError as error:
        raise ValueError(f"not base64: {error}") from None


def encode_canonical_base64(content: bytes) -> str:
    """Return *content* as canonical base64 on one line."""
    return encode_base64(content).decode("ascii")


def _read_whole_text(element: etree._Element) -> str:
    """Return the whole text of an element that must be a leaf. Readers disagree about text between child elements."""
    if any(isinstance(child.tag, str) for child in element):
        raise ValueError("child elements instead of a value")
    return read_leaf_text(element)
