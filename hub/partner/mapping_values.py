"""Reads and evaluates the small expressions of a mapping: texts with placeholders, and paths.

Knows the sources and functions of docs/reference/soap-partners.md, and how a path is written. Knows neither SOAP nor
the tables in which the expressions stand. There is no general expression language: no condition, no loop, no call.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import cast

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.sanitize import replace_unwritable
from hub.formats import safe_xml
from hub.language.phrases import Phrase, phrase

_Element = etree._Element  # noqa: SLF001 - lxml has no other name

#: The time of Viet Nam: no summer time since 1975.
VIETNAM = timezone(timedelta(hours=7))
#: Maximum items of one list.
MOST_ITEMS = 10_000

#: What a placeholder stands for: a text, octets, a time, an element, or several texts.
Found = str | bytes | datetime | _Element | tuple[str, ...]

_NAME = r"[^\W\d][\w.-]*"
_STEP = re.compile(rf"({_NAME})(?:\[([1-9][0-9]{{0,4}})\])?")
_ATTRIBUTE = re.compile(rf"@((?:xsi:)?{_NAME})")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_TOKENS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S", "SSS": ""}
_TOKEN = re.compile("yyyy|MM|dd|HH|mm|SSS|ss")
_XML_SPACE = " \t\r\n"


class Unwritten(ValueError):
    """An expression of a mapping that cannot be read."""

    def __init__(self, wrong: Phrase, expected: Phrase) -> None:
        super().__init__(str(wrong))
        self.wrong, self.expected = wrong, expected


class Unfit(ValueError):
    """A value of the message that the mapping cannot use: the partner can never be given this message."""


@attrs.frozen
class Step:
    """One step of a path: a local name, or one of `xml()`, `json()`, `*`, `.`, `@name`."""

    name: str
    number: int | None = None  #: from 1; None: the first, or all where a list is meant


@attrs.frozen
class Function:
    """One function with its argument, as written."""

    name: str
    argument: str = ""


@attrs.frozen
class Placeholder:
    """One placeholder: a source such as `message.id`, the path below it, and functions."""

    source: str
    path: tuple[Step, ...] = ()
    anywhere: bool = False  #: the path begins with `//`
    functions: tuple[Function, ...] = ()


@attrs.frozen
class Value:
    """A value to be written: texts and placeholders in order."""

    pieces: tuple[str | Placeholder, ...]

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        return tuple(each for each in self.pieces if isinstance(each, Placeholder))

    @property
    def single(self) -> Placeholder | None:
        """Return the placeholder of which the value consists, None if it is anything else."""
        only = self.pieces[0] if len(self.pieces) == 1 else None
        return only if isinstance(only, Placeholder) else None

    def uses(self, *sources: str) -> bool:
        """Tell whether a placeholder has one of *sources*, each a name or the part of it before the dot."""
        return any(each.source in sources or each.source.partition(".")[0] in sources for each in self.placeholders)


@attrs.frozen
class AnswerPath:
    """A path in an answer, with functions. `part` is `body`, `fault`, `header` or `http`."""

    part: str
    steps: tuple[Step, ...]
    functions: tuple[Function, ...] = ()
    written: str = ""


@attrs.define
class Sources:
    """What the placeholders of one conversation stand for."""

    fixed: dict[str, Found]  #: by source
    root: Callable[[], etree._Element] | None = None  #: returns the root of the message, which is parsed when needed
    item: etree._Element | str | None = None  #: the item of the list
    tables: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)

    def find(self, place: Placeholder) -> Found | None:
        """Return what *place* stands for, before its functions. None: there is nothing."""
        if place.functions and place.functions[0].name == "count":
            return tuple(str(number) for number, _ in enumerate(islice(self.find_all(place), MOST_ITEMS), 1)) or "0"
        if place.source in {"xml", "item"}:
            found = next(self.find_all(place), None)
            return found if found is None or isinstance(found, str) else _read_path_end(found, place.path)
        return self.fixed.get(place.source)

    def find_all(self, place: Placeholder) -> Iterator[etree._Element | str]:
        """Yield the elements, or the texts, that *place* names. Raises Unfit for more than `MOST_ITEMS`."""
        if place.source == "item":
            beginning = self.item
        elif place.source == "xml":
            beginning = None if self.root is None else self.root()
        else:
            found = self.fixed.get(place.source)
            yield from found if isinstance(found, tuple) else (str(found),) if isinstance(found, str) else ()
            return
        if beginning is None or isinstance(beginning, str):
            yield from () if beginning is None or place.path else (beginning,)
        else:
            yield from find_elements_at(beginning, place.path, anywhere=place.anywhere)


def list_mapped_items(value: Value, sources: Sources) -> list[etree._Element | str]:
    """Return the items of the list that *value*, one placeholder, names. Raises Unfit."""
    place = value.single
    assert place is not None  # as read
    items = list(islice(sources.find_all(place), MOST_ITEMS + 1))
    if len(items) > MOST_ITEMS:
        raise Unfit(f"{place.source}: more than {MOST_ITEMS} items")
    return items


def find_elements_at(
    beginning: etree._Element, path: Sequence[Step], *, anywhere: bool = False
) -> Iterator[etree._Element]:
    """Yield the elements at *path* below *beginning*, in document order, by local name.

    A step with a number is that one of its parent's children of the name. An attribute at the end is left to the
    caller.
    """
    steps = [each for each in path if each.name != "." and not each.name.startswith("@")]
    found: Iterator[etree._Element] = iter((beginning,))
    for place, step in enumerate(steps):
        found = _descend_elements(found, step, everywhere=anywhere and place == 0)
    return found


def _descend_elements(parents: Iterator[etree._Element], step: Step, *, everywhere: bool) -> Iterator[etree._Element]:
    for parent in parents:
        named = parent.iter(f"{{*}}{step.name}") if everywhere else parent.iterchildren(f"{{*}}{step.name}")
        children = (each for each in named if each is not parent)
        yield from children if step.number is None else islice(children, step.number - 1, step.number)


def _read_path_end(element: etree._Element, path: Sequence[Step]) -> str | None:
    """Return the text of *element*, or of its attribute that ends *path*."""
    last = path[-1].name if path else ""
    if last.startswith("@"):
        return next((str(value) for name, value in element.attrib.items() if local_name(name) == last[1:]), None)
    return read_element_text(element)


def read_element_text(element: etree._Element) -> str:
    """Return the text of *element* with that of its descendants, without white space around it."""
    return "".join(cast("Iterator[str]", element.itertext())).strip(_XML_SPACE)


def local_name(name: str | bytes) -> str:
    """Return the local part of a Clark name."""
    return str(name).rpartition("}")[2]


# Evaluation


def evaluate_value(value: Value, sources: Sources) -> Found | None:
    """Return what *value* is: for one placeholder what it stands for, otherwise a text. None: there is nothing.

    Raises Unfit when a function cannot be applied.
    """
    place = value.single
    if place is not None:
        return apply_functions(place.functions, sources.find(place), sources.tables)
    return replace_unwritable(
        "".join(
            each
            if isinstance(each, str)
            else write_text(apply_functions(each.functions, sources.find(each), sources.tables), each.source)
            for each in value.pieces
        )
    )


def write_mapped_value(value: Value, sources: Sources) -> str:
    """Return what *value* is, as a text. Raises Unfit."""
    return write_text(evaluate_value(value, sources))


def write_text(found: Found | None, source: str = "") -> str:
    """Return *found* as a text: a time as in XML Schema, texts separated by commas, nothing as "". Raises Unfit."""
    match found:
        case None:
            return ""
        case str():
            return found
        case datetime():
            return found.astimezone(VIETNAM).isoformat(timespec="seconds")
        case tuple():
            return ",".join(found)
        case bytes():
            raise Unfit(f"{source or 'octets'}: octets are no text; the mapping must say base64 or text")
    return read_element_text(found)


def apply_functions(
    functions: Sequence[Function], found: Found | None, tables: Mapping[str, Mapping[str, str]]
) -> Found | None:
    """Return *found* after *functions*. Nothing stays nothing, except for `default`. Raises Unfit."""
    for each in functions:
        if found is None or found in ("", ()):
            found = each.argument if each.name == "default" else None
        elif each.name == "map":
            text, table = write_text(found), tables.get(each.argument, {})
            found = table.get(text, table.get("*"))
            if found is None:
                raise Unfit(f"tables.{each.argument}: no entry for {text[:100]!r}")
        elif each.name != "default":
            found = FUNCTIONS[each.name](found, each.argument)
    return found


def _make_octets(found: Found) -> bytes:
    return found if isinstance(found, bytes) else write_text(found).encode("utf-8", "replace")


def _decode_base64(found: Found, _: str) -> Found:
    try:
        return base64.b64decode(b"".join(_make_octets(found).split()), validate=True)
    except ValueError:
        raise Unfit("octets: the text is not base64") from None


def _decode_text(found: Found, _: str) -> Found:
    if not isinstance(found, bytes):
        return write_text(found)
    try:
        text = found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unfit(f"text: the octets are not UTF-8: {error}") from error
    if replace_unwritable(text) != text:
        raise Unfit("text: the octets contain characters that XML 1.0 does not allow")
    return text


def _parse_xml(found: Found, _: str) -> Found:
    if not isinstance(found, str | bytes | datetime | tuple):
        return found
    try:
        return safe_xml.parse_safe_xml(_make_octets(found), limits=INNER)
    except Rejected as rejected:
        raise Unfit(f"xml: {rejected}") from rejected


#: XML inside a text: the same bounds as a message, and comments anywhere, since nothing in it is verified.
INNER = safe_xml.Limits(size=48 << 20, plain=frozenset())


def _write_date(found: Found, written: str) -> Found:
    at = found if isinstance(found, datetime) else _read_time(write_text(found))
    try:
        at = at.astimezone(VIETNAM)
    except OverflowError:  # such as 9999-12-31T23:59:59Z, which many toolkits write for "never"
        raise Unfit(f"date: {at.isoformat()} is beyond the calendar in Viet Nam") from None
    return _TOKEN.sub(
        lambda token: f"{at.microsecond // 1000:03}" if token[0] == "SSS" else at.strftime(_TOKENS[token[0]]), written
    )


def _read_time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Unfit(f"date: {text[:50]!r} is not a time in the form of XML Schema") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=VIETNAM)


def _read_format(found: Found, written: str) -> Found:
    text = write_text(found)
    try:
        return _read_moment(text, written)
    except (ValueError, OverflowError):
        raise Unfit(f"read: {text[:50]!r} is not {written}") from None


def _read_moment(text: str, written: str) -> datetime:
    pattern = _TOKEN.sub(lambda token: _TOKENS[token[0]] or "%f", written)
    return datetime.strptime(text, pattern).replace(tzinfo=VIETNAM).astimezone(UTC)


def _read_boolean(found: Found, _: str) -> Found:
    said = {"true": "true", "1": "true", "false": "false", "0": "false"}.get(write_text(found).strip().lower())
    if said is None:
        raise Unfit("boolean: not true or false")
    return said


#: The functions by name, except `map` and `default`.
FUNCTIONS: Mapping[str, Callable[[Found, str], Found | None]] = {
    "date": _write_date,
    "read": _read_format,
    "join": lambda found, argument: argument.join(found) if isinstance(found, tuple) else found,
    "base64": lambda found, _: base64.b64encode(_make_octets(found)).decode(),
    "text": _decode_text,
    "xml": _parse_xml,
    "boolean": _read_boolean,
    "count": lambda found, _: str(len(found)) if isinstance(found, tuple) else found,
    "octets": _decode_base64,
    "sha256": lambda found, _: hashlib.sha256(_make_octets(found)).hexdigest(),
    "cut": lambda found, argument: write_text(found)[: int(argument)],
    "part": lambda found, argument: "".join(write_text(found).split(":")[int(argument) - 1 : int(argument)]) or None,
    "upper": lambda found, _: write_text(found).upper(),
    "lower": lambda found, _: write_text(found).lower(),
}
_ARGUMENTS = {
    "date": r".*(yyyy|MM|dd|HH|mm|ss).*",
    "read": r".*yyyy.*",
    "map": r"[A-Za-z0-9_-]+",
    "default": r".*",
    "join": r".*",
    "cut": r"[1-9][0-9]{0,5}",
    "part": r"[1-9][0-9]?",
}


# Reading


def read_value(written: str, sources: Sequence[str]) -> Value:
    """Return the value that *written* describes. *sources* are the allowed sources.

    A source that ends in `.` has any name behind it (`settings.`), one that ends in `/` a path (`xml/`, `item/`).
    Raises Unwritten.
    """
    pieces: list[str | Placeholder] = []
    at = 0
    for match in _PIECE.finditer(written):
        pieces.append(written[at : match.start()])
        at = match.end()
        if match[1] is not None:
            pieces.append(_read_placeholder(match[1], sources))
        elif match[0] in {"{", "}"}:
            raise Unwritten(
                phrase("an unpaired brace: {text}", text=written[:100]),
                phrase("braces in pairs around a placeholder; {{ and }} for braces themselves"),
            )
        else:
            pieces.append(match[0][0])
    pieces.append(written[at:])
    joined: list[str | Placeholder] = []
    for each in pieces:
        if isinstance(each, str) and joined and isinstance(joined[-1], str):
            joined[-1] += each
        elif each:
            joined.append(each)
    return Value(tuple(joined))


def _read_placeholder(written: str, sources: Sequence[str]) -> Placeholder:
    head, *rest = _split_at_bars(written)
    functions = tuple(_read_function(each) for each in rest)
    for source in sources:
        if source.endswith("/"):
            name = source[:-1]
            if head == name and name == "item":
                return Placeholder(name, (), functions=functions)
            if head.startswith(f"{name}."):
                path = head[len(name) + 1 :]
                return Placeholder(
                    name, read_path(path.removeprefix("//")), anywhere=path.startswith("//"), functions=functions
                )
        elif source.endswith("."):
            if head.startswith(source) and re.fullmatch(r"[\w/.@\[\]-]+", head[len(source) :]):
                return Placeholder(head, functions=functions)
        elif head == source:
            return Placeholder(head, functions=functions)
    shown = ", ".join(
        f"{each}NAME" if each.endswith(".") else f"{each[:-1]}.PATH" if each.endswith("/") else each for each in sources
    )
    raise Unwritten(phrase("{source} is no source of values", source=head[:100]), phrase("one of {keys}", keys=shown))


def _split_at_bars(written: str) -> list[str]:
    """Split at the bars outside quotes."""
    return [each.strip() for each in re.findall(r"""(?:[^|'"]|'[^']*'|"[^"]*")+""", written)] or [""]


def _read_function(written: str) -> Function:
    name, _, argument = written.partition(" ")
    argument = argument.strip()
    if len(argument) > 1 and argument[0] == argument[-1] and argument[0] in "'\"":
        argument = argument[1:-1]
    known = ", ".join(sorted({*FUNCTIONS, "map", "default"}))
    if name not in FUNCTIONS and name not in {"map", "default"}:
        raise Unwritten(phrase("{name} is no function", name=name[:100]), phrase("one of {keys}", keys=known))
    like = _ARGUMENTS.get(name)
    if (like is None and argument) or (like is not None and not re.fullmatch(like, argument)):
        raise Unwritten(
            phrase("{name}: the argument {value} does not fit", name=name, value=repr(argument[:100])),
            phrase("as docs/reference/soap-partners.md shows"),
        )
    if name in {"date", "read"} and (
        "%" in argument or len(set(_TOKEN.findall(argument))) < len(_TOKEN.findall(argument))
    ):
        raise Unwritten(
            phrase("{name}: the argument {value} does not fit", name=name, value=repr(argument[:100])), _FORM
        )
    return Function(name, argument)


_FORM = phrase("yyyy, MM, dd, HH, mm, ss, SSS, each once, and other characters, but no %")
_PATH_EXPECTED = phrase("names separated by /, a number in brackets where not the first is meant, at the end @NAME")


def read_path(written: str, *, answer: bool = False, wildcard: bool = False) -> tuple[Step, ...]:
    """Return the steps of a path. Raises Unwritten.

    *answer*: `xml()`, `json()` are steps too. *wildcard*: `*` may end it.
    """
    if written == ".":
        return ()
    steps = list[Step]()
    parts = written.split("/")
    for place, part in enumerate(parts):
        last, match = place == len(parts) - 1, _STEP.fullmatch(part)
        if match is not None:
            steps.append(Step(match[1], int(match[2]) if match[2] else None))
        elif (
            (last and _ATTRIBUTE.fullmatch(part))
            or (last and part == "." and steps)
            or (wildcard and last and part == "*")
            or (answer and part in {"xml()", "json()"})
        ):
            steps.append(Step(part))
        else:
            raise Unwritten(phrase("{path} is no path", path=written[:200]), _PATH_EXPECTED)
    return tuple(steps)


def read_answer_path(written: str) -> AnswerPath:
    """Return the path in an answer that *written* describes. Raises Unwritten."""
    head, *rest = _split_at_bars(written)
    functions = tuple(_read_function(each) for each in rest)
    part, slash, below = head.partition("/")
    if slash and part in {"fault", "header", "http", "body"}:
        if part == "http":
            if not re.fullmatch(r"[A-Za-z0-9-]+", below):
                raise Unwritten(phrase("{path} is no path", path=head[:200]), phrase("http/status or http/HEADER"))
            return AnswerPath(part, (Step(below.lower()),), functions, head)
        return AnswerPath(part, read_path(below, answer=True), functions, head)
    return AnswerPath("body", read_path(head, answer=True), functions, head)
