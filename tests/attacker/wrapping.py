"""XML signature wrapping: what was signed is moved, copied or hidden, and something else is put where the hub reads.

Knows every place, identifier and order of McIntosh & Austel (2005), Gajek et al. (2009), Somorovsky et al. ("All Your Clouds Are Belong to
Us", 2011; "On Breaking SAML", 2012) and of the generator in Mainka's WS-Attacker, and permutes them.
"""

import copy
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from lxml import etree

from tests.attacker.campaign import REFUSE, SAME, Attack, Case, Shot
from tests.attacker.honest import (
    DS,
    EXC,
    ID_KINDS,
    INC,
    SOAP,
    WSSE,
    WSU,
    Form,
    Letter,
    call,
    frame,
    moment,
    parse,
    seal,
    timestamp,
)

MCINTOSH = "McIntosh & Austel 2005"
CLOUDS = "Somorovsky et al. 2011, All Your Clouds"
SAML = "Somorovsky et al. 2012, On Breaking SAML"
WSATTACKER = "Mainka et al., WS-Attacker XSW"
WINS = "the unsigned Body is carried out"
STRANGE = "urn:strange"


def wrapper(*children: Any) -> Any:
    made = etree.Element(f"{{{STRANGE}}}Wrapper", nsmap={"x": STRANGE})
    made.extend(children)
    return made


def into_object(letter: Letter, part: Any) -> None:
    holder = etree.SubElement(letter.signature, f"{{{DS}}}Object")
    holder.append(part)


def new_security(letter: Letter, part: Any, *, first: bool) -> None:
    made = etree.Element(f"{{{WSSE}}}Security")
    if letter.soap == SOAP["1.1"]:
        made.set(f"{{{letter.soap}}}actor", "urn:other")
    else:
        made.set(f"{{{letter.soap}}}role", "urn:other")
    made.append(part)
    letter.header.insert(0 if first else len(letter.header), made)


def nested_envelope(letter: Letter, part: Any) -> None:
    inner = etree.Element(f"{{{letter.soap}}}Envelope")
    inner.append(part)
    letter.header.append(inner)


def below_body(letter: Letter, part: Any) -> None:
    letter.body[0].append(part)


# Where the signed element may be hidden.
PLACES: dict[str, Callable[[Letter, Any], None]] = {
    "header wrapper": lambda letter, part: letter.header.append(wrapper(part)),
    "header wrapper first": lambda letter, part: letter.header.insert(0, wrapper(part)),
    "header": lambda letter, part: letter.header.append(part),
    "header first": lambda letter, part: letter.header.insert(0, part),
    "security wrapper": lambda letter, part: letter.security.append(wrapper(part)),
    "security": lambda letter, part: letter.security.append(part),
    "security first": lambda letter, part: letter.security.insert(0, part),
    "object": into_object,
    "signature": lambda letter, part: letter.signature.append(part),
    "key info": lambda letter, part: letter.signature.find(f"{{{DS}}}KeyInfo").append(part),
    "token": lambda letter, part: letter.token.append(part),
    "timestamp": lambda letter, part: letter.clock.append(part),
    "operation": below_body,
    "body, before": lambda letter, part: letter.body.insert(0, part),
    "body, after": lambda letter, part: letter.body.append(part),
    "envelope, before header": lambda letter, part: letter.root.insert(0, part),
    "envelope, before body": lambda letter, part: letter.body.addprevious(part),
    "envelope, after body": lambda letter, part: letter.body.addnext(part),
    "envelope wrapper": lambda letter, part: letter.root.append(wrapper(part)),
    "envelope wrapper first": lambda letter, part: letter.root.insert(0, wrapper(part)),
    "second security": lambda letter, part: new_security(letter, part, first=False),
    "second security first": lambda letter, part: new_security(letter, part, first=True),
    "nested envelope": nested_envelope,
}

# What identifier the false element bears: none, another, or the same under any attribute a resolver may look at.
MARKS = ["none", "other", *ID_KINDS]


def mark(part: Any, how: str, same: str) -> None:
    for attribute in ID_KINDS.values():
        part.attrib.pop(attribute, None)
    if how == "other":
        part.set(ID_KINDS["wsu:Id"], f"{same}2")
    elif how != "none":
        part.set(ID_KINDS[how], same)


def false_body(case: Case, letter: Letter, how: str, operation: str | None = None) -> Any:
    made = etree.Element(f"{{{letter.soap}}}Body")
    made.append(parse((operation or case.evil).encode()))
    mark(made, how, case.form.body_id)
    return made


def moved_body(place: str, how: str) -> Callable[[Case], Shot]:
    """The signed Body goes to `place`; the false one stands where it stood."""

    def shoot(case: Case) -> Shot:
        letter = case.letter()
        signed, false = letter.body, false_body(case, letter, how)
        letter.root.replace(signed, false)
        PLACES[place](letter, signed)
        return Shot(letter.octets())

    return shoot


def extra_body(place: str, how: str) -> Callable[[Case], Shot]:
    """The signed Body stays; the false one is put at `place`."""

    def shoot(case: Case) -> Shot:
        letter = case.letter()
        PLACES[place](letter, false_body(case, letter, how))
        return Shot(letter.octets())

    return shoot


def bare_operation(place: str, wrapped: bool) -> Callable[[Case], Shot]:
    """The signed Body stays where it is, its operation's twin stands at `place`."""

    def shoot(case: Case) -> Shot:
        letter = case.letter()
        false = parse(case.evil.encode())
        PLACES[place](letter, wrapper(false) if wrapped else false)
        return Shot(letter.octets())

    return shoot


def moved_clock(place: str, how: str) -> Callable[[Case], Shot]:
    """An old message is made fresh: its signed Timestamp is hidden and a new one stands in its place."""

    def shoot(case: Case) -> Shot:
        then = datetime.now(UTC) - timedelta(hours=1)
        old = timestamp(moment(then), moment(then + timedelta(minutes=5)))
        letter = Letter(case.message(case.honest, Honest, clock=old))
        signed = letter.clock
        now = datetime.now(UTC)
        false = etree.fromstring(
            f'<wsu:Timestamp xmlns:wsu="{WSU}">{timestamp(moment(now), moment(now + timedelta(minutes=5)))}</wsu:Timestamp>'
        )
        mark(false, how, case.form.timestamp_id)
        if place == "beside, before":
            signed.addprevious(false)
        elif place == "beside, after":
            signed.addnext(false)
        elif place == "around":
            letter.security.replace(signed, false)
            false.append(signed)
        else:
            letter.security.replace(signed, false)
            if place == "timestamp":
                false.append(wrapper(signed))
            else:
                PLACES[place](letter, signed)
        return Shot(letter.octets())

    return shoot


Honest: Any = None  # `message` signs honestly when it is given nothing else


def moved_signature(place: str, *, body: bool, leave_reference: bool) -> Callable[[Case], Shot]:
    """The Signature (and with it the token) leaves the Security header; a false Body may come with it."""

    def shoot(case: Case) -> Shot:
        letter = case.letter()
        signature, token = letter.signature, letter.token
        if place in {"second security", "second security first"}:
            PLACES[place](letter, signature)
            if not leave_reference:
                signature.addprevious(token)
        elif place == "body":
            letter.body.append(signature)
        elif place == "header":
            letter.header.append(signature)
        elif place == "wrapper":
            letter.security.append(wrapper(signature))
        elif place == "envelope":
            letter.root.append(signature)
        if body:
            signed = letter.body
            letter.root.replace(signed, false_body(case, letter, "wsu:Id"))
            letter.header.append(wrapper(signed))
        return Shot(letter.octets())

    return shoot


def copied_security(first: bool, stripped: bool) -> Callable[[Case], Shot]:
    """A second Security header without actor: a copy, or one with nothing but a Timestamp."""

    def shoot(case: Case) -> Shot:
        letter = case.letter()
        twin = copy.deepcopy(letter.security)
        if stripped:
            for child in list(twin)[:]:
                if not str(child.tag).endswith("Timestamp"):
                    twin.remove(child)
        letter.header.insert(0 if first else 9, twin)
        signed = letter.body
        letter.root.replace(signed, false_body(case, letter, "none"))
        letter.header.append(wrapper(signed))
        return Shot(letter.octets())

    return shoot


def two_signatures(order: str, false: str) -> Callable[[Case], Shot]:
    """An attacker's own signature over his Body stands beside the honest one."""

    def shoot(case: Case) -> Shot:
        mallory = case.campaign.extras["counterfeits"][false]
        theirs = Letter(seal(frame(case.form, mallory, case.evil), case.form, mallory))
        letter = case.letter()
        if order == "before":
            letter.signature.addprevious(theirs.signature)
        elif order == "after":
            letter.signature.addnext(theirs.signature)
        elif order == "within":
            into_object(letter, theirs.signature)
        else:
            into_object(theirs, letter.signature)
            letter.security.append(theirs.signature)
        letter.root.replace(letter.body, theirs.body)
        return Shot(letter.octets())

    return shoot


def wrapped_confirm(place: str, how: str) -> Callable[[Case], Shot]:
    """A signed harmless question wraps a ConfirmReceived that nobody signed: the document must go on waiting."""

    def shoot(case: Case) -> Shot:
        campaign = case.campaign
        target = campaign.plant(case)
        campaign.document(target)  # only what was fetched can be confirmed
        recipient = case.role("recipient")
        question = call("GetPendingDocumentIds", OrganId=campaign.unit)
        letter = Letter(seal(frame(case.form, recipient, question), case.form, recipient))
        signed = letter.body
        letter.root.replace(signed, false_body(case, letter, how, call("ConfirmReceived", DocumentId=target)))
        PLACES[place](letter, signed)
        return Shot(letter.octets(), case.form.headers("ConfirmReceived"), via=recipient)

    return shoot


def ids() -> Iterator[tuple[str, Callable[[Letter], None], str]]:
    """Games with the identifiers themselves: (name, change, expectation)."""
    wsu = ID_KINDS["wsu:Id"]

    def on_root(letter: Letter) -> None:
        letter.root.set(wsu, "Body")

    def both_kinds(letter: Letter) -> None:
        letter.body.set("Id", "Other")

    def swapped(letter: Letter) -> None:
        letter.body.set(wsu, "Time")
        letter.clock.set(wsu, "Body")

    def spaced(letter: Letter) -> None:
        letter.signature.findall(f".//{{{DS}}}Reference")[1].set("URI", "#Body ")

    def encoded(letter: Letter) -> None:
        letter.signature.findall(f".//{{{DS}}}Reference")[1].set("URI", "#%42ody")

    def strange_prefix(letter: Letter) -> None:
        value = letter.body.attrib.pop(wsu)
        letter.body.set(f"{{{STRANGE}}}Id", value)

    yield "the envelope bears the Body's id", on_root, REFUSE
    yield "two kinds of id on Body", both_kinds, REFUSE
    yield "ids of Body and Timestamp exchanged", swapped, REFUSE
    yield "white space in the reference", spaced, REFUSE
    yield "percent-encoding in the reference", encoded, REFUSE
    yield "an Id of a strange namespace", strange_prefix, REFUSE


def changed(change: Callable[[Letter], None], *, false: bool = False) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        letter = case.letter()
        change(letter)
        if false:
            letter.root.replace(letter.body, false_body(case, letter, "none"))
        return Shot(letter.octets())

    return shoot


def by_text(find: str, put: str, count: int = 1) -> Callable[[Case], Shot]:
    """A change of the bytes, signature and all left as they are."""

    def shoot(case: Case) -> Shot:
        changed_text = case.base.decode().replace(
            find, put.replace("@EVIL@", case.evil).replace("@HONEST@", case.honest), count
        )
        return Shot(changed_text.encode())

    return shoot


def attacks() -> Iterator[Attack]:
    turn = itertools.cycle(
        Form(version, kind, canonical)
        for canonical in (EXC, EXC, EXC, INC)
        for kind in ("wsu:Id", "Id", "xml:id")
        for version in ("1.1", "1.2")
    )
    for place, how in itertools.product(PLACES, MARKS):
        yield Attack(
            "wrapping-moved",
            f"signed Body to {place}; false id {how}",
            MCINTOSH,
            WINS,
            moved_body(place, how),
            form=next(turn),
        )
    for place, how in itertools.product(PLACES, MARKS):
        yield Attack(
            "wrapping-decoy",
            f"false Body at {place}; id {how}",
            CLOUDS,
            WINS,
            extra_body(place, how),
            SAME,
            form=next(turn),
        )
    for place, wrapped in itertools.product(PLACES, (False, True)):
        name = f"false operation at {place}{', wrapped' * wrapped}"
        yield Attack("wrapping-decoy", name, WSATTACKER, WINS, bare_operation(place, wrapped), SAME, form=next(turn))
    for place, how in itertools.product([*PLACES, "beside, before", "beside, after", "around"], MARKS):
        if place not in {"operation", "body, before", "body, after"}:
            yield Attack(
                "wrapping-time",
                f"old Timestamp to {place}; false id {how}",
                CLOUDS,
                "an expired message is fresh again",
                moved_clock(place, how),
                form=next(turn),
            )
    places = ("second security", "second security first", "body", "header", "wrapper", "envelope")
    for place, body, leave in itertools.product(places, (False, True), (False, True)):
        name = f"Signature to {place}; body {body}, token stays {leave}"
        yield Attack(
            "wrapping-moved",
            name,
            SAML,
            WINS,
            moved_signature(place, body=body, leave_reference=leave),
            form=next(turn),
        )
    for first, stripped in itertools.product((False, True), (False, True)):
        name = f"a second Security, first {first}, only Timestamp {stripped}"
        yield Attack("wrapping-moved", name, WSATTACKER, WINS, copied_security(first, stripped), form=next(turn))
    for order, false in itertools.product(("before", "after", "within", "around"), ("twin", "selfsigned")):
        name = f"the attacker's signature {order} the honest one ({false})"
        yield Attack("wrapping-moved", name, SAML, WINS, two_signatures(order, false), form=next(turn))
    wins = "a ConfirmReceived that nobody signed ends a delivery"
    for place, how in itertools.product(PLACES, ("none", "other", "wsu:Id", "Id")):
        yield Attack(
            "wrapping-confirm", f"{place}; false id {how}", MCINTOSH, wins, wrapped_confirm(place, how), form=next(turn)
        )
    for name, change, expect in ids():
        for version in ("1.1", "1.2"):
            yield Attack("wrapping-ids", name, CLOUDS, WINS, changed(change), expect, form=Form(version))
    yield from namespaces()


def namespaces() -> Iterator[Attack]:
    """Jensen et al. 2011 (namespace injection), and prefixes or defaults bound to something else."""
    source = "Jensen et al. 2011, namespace injection"
    for version in ("1.1", "1.2"):
        form, soap = Form(version), SOAP[version]
        other = SOAP["1.2" if version == "1.1" else "1.1"]
        rebound = f'<d:SendDocument xmlns:d="{STRANGE}">'
        cases = {
            "operation's prefix rebound": ('<d:SendDocument xmlns:d="urn:lienthong:documents:1">', rebound),
            "default namespace on Envelope": ("<s:Envelope ", f'<s:Envelope xmlns="{STRANGE}" '),
            "unused prefix on Body": ("<s:Body ", f'<s:Body xmlns:unused="{STRANGE}" '),
            "relative namespace on Envelope": ("<s:Envelope ", '<s:Envelope xmlns:v="1" '),
            "relative namespace on Body": ("<s:Body ", '<s:Body xmlns:v="1" '),
            "relative namespace, used, on Body": ("<s:Body ", '<s:Body xmlns:v="1" v:a="" '),
            "relative namespace on SignedInfo": ("<ds:SignedInfo>", '<ds:SignedInfo xmlns:v="1" v:a="">'),
            "empty prefix undeclared": ("<s:Body ", '<s:Body xmlns="" '),
            "Body of the other SOAP": ("<s:Body ", f'<s:Body xmlns:s="{other}" '),
            "a false Body of the other SOAP first": ("<s:Body ", f'<o:Body xmlns:o="{other}">@EVIL@</o:Body><s:Body '),
            "a false Body without namespace": ("<s:Body ", '<Body Id="Body">@EVIL@</Body><s:Body '),
            "a false Body of a strange namespace": (
                "<s:Body ",
                f'<x:Body xmlns:x="{STRANGE}" Id="Body">@EVIL@</x:Body><s:Body ',
            ),
            "Envelope within Envelope": (
                "<s:Body ",
                f'<s:Envelope xmlns:s="{soap}"><s:Body>@EVIL@</s:Body></s:Envelope><s:Body ',
            ),
            "namespace with a blank behind": (f'xmlns:s="{soap}"', f'xmlns:s="{soap} "'),
            "namespace with a character reference": (f'xmlns:ds="{DS}"', f'xmlns:ds="{DS[:-1]}&#35;"'),
            "namespace in capitals": (f'xmlns:ds="{DS}"', f'xmlns:ds="{DS.replace("www.w3.org", "WWW.w3.org")}"'),
            "xml prefix declared": ("<s:Envelope ", '<s:Envelope xmlns:xml="http://www.w3.org/XML/1998/namespace" '),
            "xml:base on Envelope": ("<s:Envelope ", '<s:Envelope xml:base="http://127.0.0.1/" '),
            "xml:space on Body": ("<s:Body ", '<s:Body xml:space="preserve" '),
            "xml:lang on Envelope": ("<s:Envelope ", '<s:Envelope xml:lang="vi" '),
            "id by a character reference, twice": (
                "<s:Header>",
                '<s:Header><x:y xmlns:x="urn:strange" Id="&#66;ody"/>',
            ),
            "id with blanks, twice": ("<s:Header>", '<s:Header><x:y xmlns:x="urn:strange" Id=" Body "/>'),
            "id on a comment's neighbour": ("<s:Header>", '<s:Header><!-- Id="Body" -->'),
            "a processing instruction before Body": ("<s:Body ", "<?x Body?><s:Body "),
            "text beside Body": ("<s:Body ", "text<s:Body "),
            "two operations": ("</s:Body>", "@EVIL@</s:Body>"),
            "two operations, false first": ('Id="Body">', 'Id="Body">@EVIL@'),
            "Body empty": ("@", "@"),
        }
        for name, (find, put) in cases.items():
            yield Attack("namespaces", name, source, WINS, by_text(find, put), SAME, form=form)
