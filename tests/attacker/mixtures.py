"""Mixtures: two or three small changes at once, by chance.

Knows operators on an honest signed envelope, each harmless or refused by itself, and composes them.  There is one rule for all: what the hub
keeps, if it keeps anything, is what the honest key signed.
"""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from lxml import etree

from tests.attacker.campaign import SAME, Attack, Case, Shot
from tests.attacker.honest import DS, EXC, ID_KINDS, INC, WSU, Form, Letter, parse
from tests.attacker.wrapping import MARKS, PLACES, false_body, mark, wrapper

Change = Callable[[Letter, Case, random.Random], None]


def any_element(letter: Letter, chance: random.Random) -> Any:
    return chance.choice([one for one in letter.root.iter() if isinstance(one.tag, str)])


def move(letter: Letter, case: Case, chance: random.Random) -> None:
    """Any element goes anywhere else."""
    one, other = any_element(letter, chance), any_element(letter, chance)
    if one.getparent() is None or one in list(other.iterancestors()) or one is other:
        return
    other.insert(chance.randrange(len(other) + 1), one)


def double(letter: Letter, case: Case, chance: random.Random) -> None:
    one, other = any_element(letter, chance), any_element(letter, chance)
    if one.getparent() is not None:
        other.insert(chance.randrange(len(other) + 1), copy.deepcopy(one))


def remove(letter: Letter, case: Case, chance: random.Random) -> None:
    one = any_element(letter, chance)
    if one.getparent() is not None:
        one.getparent().remove(one)


def shuffle(letter: Letter, case: Case, chance: random.Random) -> None:
    one = any_element(letter, chance)
    children = list(one)
    chance.shuffle(children)
    for child in children:
        one.append(child)


def swap_body(letter: Letter, case: Case, chance: random.Random) -> None:
    if letter.body is None or letter.header is None:
        return
    signed = letter.body
    letter.root.replace(signed, false_body(case, letter, chance.choice(MARKS)))
    put(letter, signed, chance)


def put(letter: Letter, part: Any, chance: random.Random) -> None:
    try:
        chance.choice(list(PLACES.values()))(letter, part)
    except (AttributeError, IndexError, TypeError, ValueError):  # an earlier change took that place away
        letter.root.append(wrapper(part))


def add_body(letter: Letter, case: Case, chance: random.Random) -> None:
    put(letter, false_body(case, letter, chance.choice(MARKS)), chance)


def add_operation(letter: Letter, case: Case, chance: random.Random) -> None:
    put(letter, parse(case.evil.encode()), chance)


def rewrite(letter: Letter, case: Case, chance: random.Random) -> None:
    """The operation's values become the false ones, here or in a copy."""
    for one in list(letter.root.iter()):
        if isinstance(one.tag, str) and one.text == case.message_id and chance.random() < 0.7:
            one.text = case.evil_id


def mark_again(letter: Letter, case: Case, chance: random.Random) -> None:
    mark(any_element(letter, chance), chance.choice(MARKS), chance.choice(["Body", "Time", "X509"]))


def id_kind(letter: Letter, case: Case, chance: random.Random) -> None:
    one = any_element(letter, chance)
    for attribute in ID_KINDS.values():
        value = one.attrib.pop(attribute, None)
        if value is not None:
            one.set(chance.choice(list(ID_KINDS.values())), value)
            return


def reference(letter: Letter, case: Case, chance: random.Random) -> None:
    found = letter.root.findall(f".//{{{DS}}}Reference")
    if found:
        chance.choice(found).set("URI", chance.choice(["", "#", "#Body", "#Time", "#X509", "#xpointer(/)", "#Body2"]))


def algorithm(letter: Letter, case: Case, chance: random.Random) -> None:
    found = [one for one in letter.root.iter() if isinstance(one.tag, str) and "Algorithm" in one.attrib]
    if found:
        values = [one.get("Algorithm") for one in found] + [
            EXC,
            INC,
            f"{EXC}WithComments",
            "",
            "none",
            f"{DS}hmac-sha1",
            f"{DS}rsa-sha1",
            f"{DS}base64",
        ]
        chance.choice(found).set("Algorithm", chance.choice(values))


def comment(letter: Letter, case: Case, chance: random.Random) -> None:
    one = any_element(letter, chance)
    made = (
        etree.Comment(chance.choice(["", "x", " Body "]))
        if chance.random() < 0.8
        else etree.ProcessingInstruction("x", "y")
    )
    if one.text and chance.random() < 0.6:
        cut = chance.randrange(len(one.text))
        made.tail, one.text = one.text[cut:], one.text[:cut]
        one.insert(0, made)
    else:
        one.insert(chance.randrange(len(one) + 1), made)


def text(letter: Letter, case: Case, chance: random.Random) -> None:
    one = any_element(letter, chance)
    one.tail = (one.tail or "") + chance.choice([" ", "\n", "x", "\u200b"])


def attribute(letter: Letter, case: Case, chance: random.Random) -> None:
    names = [
        "a",
        f"{{{WSU}}}Created",
        "{http://www.w3.org/2001/XMLSchema-instance}nil",
        "{http://www.w3.org/XML/1998/namespace}base",
        "{urn:x}Id",
    ]
    any_element(letter, chance).set(chance.choice(names), chance.choice(["", "true", "Body", "x"]))


def rename(letter: Letter, case: Case, chance: random.Random) -> None:
    one = any_element(letter, chance)
    name = etree.QName(one)
    one.tag = chance.choice(
        [name.localname, f"{{urn:x}}{name.localname}", f"{{{name.namespace}}}{name.localname}x", f"{{{DS}}}Object"]
    )


def flip(letter: Letter, case: Case, chance: random.Random) -> None:
    """One letter of one text."""
    found = [one for one in letter.root.iter() if isinstance(one.tag, str) and one.text]
    if found:
        one = chance.choice(found)
        at = chance.randrange(len(one.text))
        one.text = one.text[:at] + chance.choice("ABz0+= \n") + one.text[at + 1 :]


CHANGES: list[Change] = [
    move, double, remove, shuffle, swap_body, add_body, add_operation, rewrite, mark_again, id_kind, reference, algorithm, comment, text, attribute,
    rename, flip,
]  # fmt: skip


def mixed(seed: int) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        chance = random.Random(seed)
        letter = case.letter()
        for change in chance.choices(CHANGES, k=chance.choice((2, 2, 3))):
            try:
                change(letter, case, chance)
            except (AttributeError, IndexError):  # an earlier change took away what this one needs
                continue
        return Shot(letter.octets())

    return shoot


def attacks(chance: random.Random, count: int) -> Iterator[Attack]:
    """As many mixtures as asked for; each one's own seed is its name, so that it can be made again."""
    for number in range(count):
        seed = chance.randrange(2**32)
        form = Form(
            chance.choice(("1.1", "1.2")),
            chance.choice(("wsu:Id", "Id", "xml:id")),
            chance.choice((EXC, EXC, INC)),
            chance.choice(("direct", "issuer-serial", "ski", "thumbprint")),
        )
        # The honest message follows every third: the hub's health is seen often enough, and more is tried in the time.
        yield Attack(
            "mixtures",
            f"seed {seed}, {form.version}, {form.id_kind}, {form.reference}, {form.canonical[-12:]}",
            "composition",
            "what is kept is not what was signed",
            mixed(seed),
            SAME,
            form=form,
            control=number % 3 == 0,
        )
