"""Inputs changed along their structure: XML as a tree and as a text.  Blind changes of octets seldom get past a parser.

Everything drawn is drawn from the seed that is given, so that a run with the same seed does the same.
"""

import copy
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import cast

import attrs
from lxml import etree


def blind(data: bytes, longest: int) -> bytes:
    """Change octets without looking, as libFuzzer does."""
    import atheris  # not in every environment; and it has this function only while it fuzzes

    return cast("bytes", atheris.Mutate(data, longest))


XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
IDS = ("Id", XML_ID, "ID", "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}Id")
TEXTS = (
    *(
        "",
        " ",
        "0",
        "1",
        "-1",
        "true",
        "false",
        "\n",
        "é",
        "𝄞",
        "\u00a0",
        "]]>",
        "<&>'\"",
        "AA==",
        "AB==",
        "A" * 70,
        "\u2028",
        "\u0085",
    ),
    *(
        "2026-11-24T08:00:00Z",
        "2026/02/30",
        "99999999999",
        "0001-01-01T00:00:00+14:00",
        "2026-11-24T24:00:00",
        "#",
        "#B",
        "cid:1",
    ),
)
SPACES = ("urn:evil", "relative", "http://www.w3.org/2000/09/xmldsig#", "http://www.w3.org/XML/1998/namespace")
BEGINNINGS = (
    *(
        b"\xef\xbb\xbf",
        b"<!DOCTYPE x>",
        b'<!DOCTYPE x [<!ENTITY e "y">]>',
        b"<?x y?>",
        b"<!-- c -->",
        b" ",
        b"\0",
        b"<?xml version='1.0'?>",
    ),
    *(
        b"<?xml version='1.1'?>",
        b"<?xml version='1.0' encoding='iso-8859-1'?>",
        b"<?xml version='1.0' standalone='yes'?>",
    ),
)
INSERTIONS = (
    *(
        b"<!-- c -->",
        b"<![CDATA[",
        b"]]>",
        b"<![CDATA[x]]>",
        b"&#10;",
        b"&#13;",
        b"&#x0;",
        b"&lt;",
        b"&e;",
        b"<?x y?>",
        b"\r",
        b"\r\n",
    ),
    *(
        b"\0",
        b"\xc2\x85",
        b"\xff",
        b"/",
        b">",
        b"<x/>",
        b" xmlns=''",
        b" xmlns:s='urn:s'",
        b" Id='B'",
        b" xml:id='B'",
        b"\xed\xa0\x80",
    ),
)

Change = Callable[[etree._Element, Random, Sequence[str]], object]


def lenient(content: bytes) -> etree._Element | None:
    """Parse whatever can be made of *content*, with its comments."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True, huge_tree=True, collect_ids=False)
    with suppress(etree.LxmlError, ValueError):
        return etree.fromstring(content, parser)
    return None


def _any(root: etree._Element, random: Random) -> etree._Element:
    return random.choice(list(root.iter("*")))


def _put(place: etree._Element, element: etree._Element, random: Random) -> None:
    if place.getparent() is None or random.random() < 0.6:
        place.insert(random.randint(0, len(place)), element)
    elif random.random() < 0.5:
        place.addnext(element)
    else:
        place.addprevious(element)


def move(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken, place = _any(root, random), _any(root, random)
    if taken is not root and taken is not place and taken not in place.iterancestors():
        _put(place, taken, random)


def repeat(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken, place = _any(root, random), _any(root, random)
    _put(place, copy.deepcopy(taken), random)


def repeat_beside(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken = _any(root, random)
    if taken is not root:
        taken.addnext(copy.deepcopy(taken))


def remove(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken = _any(root, random)
    if (parent := taken.getparent()) is not None:
        parent.remove(taken)


def swap(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken = _any(root, random)
    if (other := taken.getnext()) is not None:
        other.addnext(taken)


def rename(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken, other = _any(root, random), _any(root, random)
    taken.tag = random.choice(
        [other.tag, f"{{{etree.QName(taken).namespace or 'urn:x'}}}{etree.QName(other).localname}"]
    )


def rehome(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken = _any(root, random)
    space = random.choice([*SPACES, etree.QName(_any(root, random)).namespace or ""])
    taken.tag = f"{{{space}}}{etree.QName(taken).localname}" if space else etree.QName(taken).localname


def wrap(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken = _any(root, random)
    parent = taken.getparent()
    if parent is not None:
        around = etree.Element(random.choice(["{urn:evil}w", _any(root, random).tag]))
        parent.replace(taken, around)
        around.append(taken)


def unwrap(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken = _any(root, random)
    if taken.getparent() is not None:
        for child in list(taken):
            taken.addprevious(child)
        remove_one = taken.getparent()
        assert remove_one is not None
        remove_one.remove(taken)


def _text(root: etree._Element, random: Random, words: Sequence[str]) -> str:
    drawn = random.random()
    if drawn < 0.4 and words:
        return random.choice(words)
    if drawn < 0.7:
        return random.choice(TEXTS)
    return _any(root, random).text or ""


def retell(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    _any(root, random).text = _text(root, random, words)


def retail(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken = _any(root, random)
    if taken is not root:
        taken.tail = _text(root, random, words)


def touch(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    """Change one character of a text."""
    taken = _any(root, random)
    if text := taken.text:
        at = random.randrange(len(text))
        taken.text = (
            text[:at]
            + random.choice(["", " ", "A", "=", "0", "\n", text[at] * 2, text[at].swapcase()])
            + text[at + 1 :]
        )


def give(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    """Give an element another's attribute, perhaps under another name."""
    giver, taken = _any(root, random), _any(root, random)
    if giver.attrib:
        name = random.choice(sorted(map(str, giver.attrib)))
        taken.set(random.choice([name, *IDS]), giver.get(name, ""))


def reword(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken = _any(root, random)
    if taken.attrib:
        taken.set(random.choice(sorted(map(str, taken.attrib))), _text(root, random, words))


def strip(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    taken = _any(root, random)
    if taken.attrib:
        name = random.choice(sorted(map(str, taken.attrib)))
        taken.attrib.pop(name, "")  # lxml finds none whose namespace has a brace


def adorn(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    name = random.choice([*IDS, "{http://www.w3.org/XML/1998/namespace}lang", "{http://www.w3.org/2001/XMLSchema-instance}type",
        "{http://www.w3.org/2001/XMLSchema-instance}nil", "{urn:evil}a", "mustUnderstand", "Algorithm", "URI"])  # fmt: skip
    _any(root, random).set(name, _text(root, random, words))


def remark(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    """Put a comment or an instruction somewhere, at times into the midst of a text."""
    taken = _any(root, random)
    made = etree.Comment("c") if random.random() < 0.8 else etree.ProcessingInstruction("x", "y")
    text, at = taken.text or "", random.randint(0, len(taken.text or ""))
    taken.text, made.tail = text[:at], text[at:]
    taken.insert(0, made)


def crowd(root: etree._Element, random: Random, words: Sequence[str]) -> None:
    """Do so much of one thing that a bound is met."""
    taken, many = _any(root, random), random.choice([31, 33, 63, 65])
    for number in range(many):
        if random.random() < 0.5:
            taken.set(f"a{number}", "")
        else:
            taken = etree.SubElement(taken, "d")


STEPS: tuple[Change, ...] = (
    *(
        move,
        move,
        repeat,
        repeat,
        repeat_beside,
        remove,
        remove,
        swap,
        rename,
        rehome,
        wrap,
        unwrap,
        retell,
        retell,
        retail,
    ),
    *(touch, touch, give, give, reword, strip, adorn, remark),
)


def _written(root: etree._Element, random: Random) -> bytes:
    drawn = random.random()
    if drawn < 0.9:
        return etree.tostring(root, encoding="UTF-8", xml_declaration=random.random() < 0.3)
    other = random.choice(["UTF-16", "US-ASCII", "UTF-16LE", "ISO-8859-1"])
    return cast("bytes", etree.tostring(root, encoding=other))


def _spoilt(content: bytes, random: Random) -> bytes:
    """Change the text of a document where only a text can be changed."""
    drawn = random.random()
    if drawn < 0.15:
        return random.choice(BEGINNINGS) + content
    if drawn < 0.25:
        return content + random.choice([b"<!-- c -->", b" ", b"x", b"<x/>", b"<?x y?>", b"\0"])
    places = [found.end() for found in re.finditer(rb"[<>=/: ]", content)] or [0]
    at = random.choice(places) if drawn < 0.8 else random.randint(0, len(content))
    if drawn < 0.45:  # a piece of text as character data
        end = content.find(b"<", at)
        return content[:at] + b"<![CDATA[" + content[at : max(end, at)] + b"]]>" + content[max(end, at) :]
    return content[:at] + random.choice(INSERTIONS) + content[at:]


@attrs.frozen
class Trees:
    """How inputs that are XML are changed."""

    words: Sequence[str] = ()  #: texts that mean something to the target
    finish: Callable[[bytes, Random], bytes] | None = None  #: such as signing anew
    finished: float = 0.3  #: how often
    blindly: float = 0.1  #: how often octets are changed without looking

    def change(self, data: bytes, longest: int, seed: int) -> bytes:
        """Return *data* changed, of at most *longest* octets."""
        random = Random(seed)
        root = None if random.random() < self.blindly else lenient(data)
        if root is None:
            return blind(data, longest)
        for _ in range(1 + min(int(random.expovariate(0.9)), 6)):
            step = random.choice(STEPS) if random.random() < 0.99 else crowd
            with suppress(ValueError, TypeError, AssertionError):  # lxml makes no such name, or no such text
                step(root, random, self.words)
        try:
            content = _written(root, random)
        except (etree.LxmlError, ValueError, LookupError):
            return data[:longest]
        if self.finish is not None and random.random() < self.finished:
            content = self.finish(content, random)
        if random.random() < 0.15:
            content = _spoilt(content, random)
        return content if len(content) <= longest else data[:longest]

    def cross(self, one: bytes, other: bytes, longest: int, seed: int) -> bytes:
        """Return *one* with an element of *other* in it."""
        random = Random(seed)
        roots = lenient(one), lenient(other)
        if roots[0] is None or roots[1] is None:
            return one[:longest]
        taken, place = copy.deepcopy(_any(roots[1], random)), _any(roots[0], random)
        parent = place.getparent()
        if parent is not None and random.random() < 0.5:
            parent.replace(place, taken)
        else:
            _put(place, taken, random)
        content = etree.tostring(roots[0], encoding="UTF-8")
        return content if len(content) <= longest else one[:longest]
