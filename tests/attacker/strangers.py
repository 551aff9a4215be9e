"""A registered partner as the enemy: it speaks for others, reads what is not its own, and names things so that something breaks.

Knows broken access control (OWASP API1 and API5: object and function level), injection and confusable names.  What it sends is signed
honestly; what counts is whose documents move.
"""

from collections.abc import Callable, Iterator

from tests.attacker.campaign import ALIVE, REFUSE, SAME, Attack, Case, Shot
from tests.attacker.honest import EDXML, Form, call, frame, seal, send_document

OBJECTS = "OWASP API1:2023, broken object level authorisation"
FUNCTIONS = "OWASP API5:2023, broken function level authorisation"
INJECTION = "OWASP A03:2021, injection"
CONFUSABLE = "Unicode TR 36 and 39; CVE-2024-6800"


def by(role: str, operation: str, **values: Callable[[Case], str]) -> Callable[[Case], Shot]:
    """A call of another partner about what belongs to sender and recipient."""

    def shoot(case: Case) -> Shot:
        who = case.role(role)
        inner = call(operation, **{name: value(case) for name, value in values.items()})
        return Shot(seal(frame(case.form, who, inner), case.form, who), case.form.headers(operation), via=who)

    return shoot


def unit(case: Case) -> str:
    return case.campaign.unit


def waiting(case: Case) -> str:
    """The hub's id of a document that waits for the recipient alone."""
    return case.campaign.plant(case)


def letter_of(change: Callable[[Case, str], str]) -> Callable[[Case], Shot]:
    """The sender signs an altered packet itself."""

    def shoot(case: Case) -> Shot:
        text = case.paper.octets().decode()
        packet = change(case, text)
        assert packet != text, "an attack that changes nothing"
        return Shot(case.message(send_document(case.message_id, packet.encode())))

    return shoot


def organ(change: Callable[[str, str], str]) -> Callable[[Case], Shot]:
    """The first OrganId, which is that of From, becomes something else; `change` gets the sender's unit and the second partner's."""

    def shoot(case: Case) -> Shot:
        def altered(case: Case, text: str) -> str:
            own, other = case.sender.unit, case.role("second").unit
            return text.replace(f"<OrganId>{own}</OrganId>", f"<OrganId>{change(own, other)}</OrganId>", 1)

        return letter_of(altered)(case)

    return shoot


def second_from(first: bool) -> Callable[[Case], Shot]:
    def altered(case: Case, text: str) -> str:
        other = f"<From><OrganId>{case.role('second').unit}</OrganId><OrganName>Khac</OrganName></From>"
        return text.replace("<From>", f"{other}<From>", 1) if first else text.replace("</From>", f"</From>{other}", 1)

    return letter_of(altered)


def second_header(where: str) -> Callable[[Case], Shot]:
    """A packet with two of something: which one is believed?"""

    def altered(case: Case, text: str) -> str:
        other = text.replace(case.sender.unit, case.role("second").unit)
        start, end = f"<{where}>", f"</{where}>"
        twin = other[other.index(start) : other.index(end) + len(end)]
        return text.replace(start, twin + start, 1)

    return letter_of(altered)


def named(message_id: str) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        case.campaign.own.add(message_id.strip())
        return Shot(case.message(send_document(message_id.replace("&", "&amp;").replace("<", "&lt;"), case.packet)))

    return shoot


def change_of_others(kind: str) -> Callable[[Case], Iterator[Shot]]:
    """The second partner recalls, updates or replaces the sender's document, which must go on waiting."""

    def shoot(case: Case) -> Iterator[Shot]:
        yield Shot(case.base, expect=SAME)
        second = case.role("second")
        text = case.paper.octets().decode().replace(f"<OrganId>{case.sender.unit}<", f"<OrganId>{second.unit}<")
        text = text.replace("<BussinessDocType>0<", f"<BussinessDocType>{kind}<")
        operation = send_document(case.evil_id, text.encode())
        yield Shot(seal(frame(case.form, second, operation), case.form, second), via=second, expect=REFUSE)

    return shoot


def status_of_others(code: str) -> Callable[[Case], Shot]:
    """A status in the name of the recipient, brought by the second partner: nothing may come of it."""

    def shoot(case: Case) -> Shot:
        waiting(case)
        second = case.role("second")
        packet = (
            f'<edXML xmlns="{EDXML}"><edXMLEnvelope><edXMLHeader><MessageHeader><From><OrganId>{case.campaign.unit}</OrganId>'
            f"<OrganName>x</OrganName></From><ResponseFor><OrganId>{case.sender.unit}</OrganId><Code>{case.paper.number}/ATK</Code>"
            f"<PromulgationDate>2026/11/20</PromulgationDate><DocumentId>{case.sender.unit},2026/11/20,{case.paper.number}/ATK</DocumentId>"
            f"</ResponseFor><StaffInfo><Staff>x</Staff></StaffInfo><StatusCode>{code}</StatusCode><Description>x</Description>"
            "<Timestamp>2026/11/21 09:00:00</Timestamp></MessageHeader></edXMLHeader></edXMLEnvelope></edXML>"
        )
        operation = send_document(case.evil_id, packet.encode(), "UpdateTraces")
        return Shot(
            seal(frame(case.form, second, operation), case.form, second), case.form.headers("UpdateTraces"), via=second
        )

    return shoot


def attacks() -> Iterator[Attack]:
    reads, moves = "one partner reads another's documents", "one partner moves another's documents"
    bends: dict[str, Callable[[str], str]] = {
        "as it is": lambda value: value,
        "in lower case": str.lower,
        "with blanks": lambda value: f" {value} ",
        "with a percent sign": lambda value: f"{value[:-1]}%",
        "with an underscore": lambda value: f"{value[:-1]}_",
        "with SQL": lambda value: f"{value}' OR '1'='1",
        "a star": lambda value: "*",
        "with a NUL's picture": lambda value: f"{value}\u2400",
    }
    for version in ("1.1", "1.2"):
        form = Form(version)
        for name, bend in bends.items():
            ask = {"DocumentId": lambda case, bend=bend: bend(waiting(case)).replace("'", "&apos;")}
            of_unit = {"OrganId": lambda case, bend=bend: bend(unit(case)).replace("'", "&apos;")}
            for role in ("second", "elliptic", "sender"):
                yield Attack(
                    "access",
                    f"GetDocument by {role}, {name}",
                    OBJECTS,
                    reads,
                    by(role, "GetDocument", **ask),
                    form=form,
                )
                yield Attack(
                    "access",
                    f"ConfirmReceived by {role}, {name}",
                    OBJECTS,
                    moves,
                    by(role, "ConfirmReceived", **ask),
                    form=form,
                )
                yield Attack(
                    "access",
                    f"GetPendingDocumentIds by {role}, {name}",
                    OBJECTS,
                    reads,
                    by(role, "GetPendingDocumentIds", **of_unit),
                    form=form,
                )
                yield Attack(
                    "access",
                    f"GetTraces by {role}, {name}",
                    OBJECTS,
                    reads,
                    by(role, "GetTraces", **of_unit),
                    form=form,
                )
        both = {"DocumentId": waiting, "OrganId": unit}
        yield Attack(
            "access",
            "ConfirmReceived for the recipient's unit",
            OBJECTS,
            moves,
            by("second", "ConfirmReceived", **both),
            form=form,
        )
        own = {"DocumentId": waiting, "OrganId": lambda case: case.role("second").unit}
        yield Attack(
            "access",
            "ConfirmReceived for its own unit",
            OBJECTS,
            moves,
            by("second", "ConfirmReceived", **own),
            form=form,
        )
        yield Attack(
            "access",
            "CheckPermission for another's unit",
            OBJECTS,
            "a right that is not there",
            by("second", "CheckPermission", OrganId=unit),
            form=form,
        )
        for kind in ("1", "2", "3"):
            yield Attack(
                "access",
                f"a change of kind {kind} of another's document",
                FUNCTIONS,
                moves,
                change_of_others(kind),
                form=form,
            )
        for code in ("01", "02", "03", "06", "13", "15", "16"):
            yield Attack(
                "access", f"status {code} in another's name", FUNCTIONS, moves, status_of_others(code), form=form
            )
        speaks = "one partner speaks for another's unit"
        for name, change in {
            "the second partner's": lambda own, other: other,
            "the upstream's": lambda own, other: "000.00.00.A80",
            "the province": lambda own, other: "H55",
            "a unit below its own": lambda own, other: f"{own}.1",
            "an unknown unit of the province": lambda own, other: "H55.777",
            "an unknown unit outside": lambda own, other: "G99.1",
            "lower case": lambda own, other: own.lower(),
            "a full stop behind": lambda own, other: f"{own}.",
            "both, by a comma": lambda own, other: f"{own},{other}",
            "a Cyrillic letter": lambda own, other: own.replace("H", "Н"),
            "full-width digits": lambda own, other: own.replace("8", "\uff18"),
            "a zero-width blank": lambda own, other: own.replace(".", ".\u200b"),
            "a star": lambda own, other: "*",
            "empty": lambda own, other: "",
            "a percent sign": lambda own, other: "H55.%",
            "SQL": lambda own, other: f"{own}' OR 1=1 --",
        }.items():
            yield Attack("speaking", f"From is {name}", FUNCTIONS, speaks, organ(change), form=form)
        for name, change in {
            "own, a comment, more": lambda own, other: f"{own}<!-- -->.9",
            "a comment, then own": lambda own, other: f"<!-- -->{own}",
            "another's, a comment cuts": lambda own, other: f"{other}<!--{own}-->",
            "CDATA": lambda own, other: f"<![CDATA[{other}]]>",
            "references": lambda own, other: "".join(f"&#{ord(letter)};" for letter in other),
            "a child": lambda own, other: f"{own}<x>{other}</x>",
            "an instruction": lambda own, other: f"{own[:-1]}<?x?>{own[-1]}",
        }.items():
            honest = name == "a comment, then own"
            expect = ALIVE if honest else REFUSE
            yield Attack("speaking", f"From is {name}", CONFUSABLE, speaks, organ(change), expect, form=form)
        for first in (True, False):
            yield Attack(
                "speaking",
                f"two From, the other's {'first' if first else 'last'}",
                CONFUSABLE,
                speaks,
                second_from(first),
                form=form,
            )
        for where in ("MessageHeader", "edXMLHeader", "edXMLEnvelope"):
            yield Attack("speaking", f"two {where}", CONFUSABLE, speaks, second_header(where), form=form)
    for message_id in (
        "'; DROP TABLE messages; --", '" OR ""="', "%", "_", "../../etc/passwd", "\\..\\..", "<script>alert(1)</script>", "{{7*7}}", "${jndi:ldap://127.0.0.1/a}",
        "=cmd|' /C calc'!A0", "%s%s%s%n", "\u202egnp.exe", "\u001b[31m".replace("\u001b", "\u241b"), "a" * 200, "\U0001f600" * 50, "null", "None", "0", "-1", "NaN",
    ):  # fmt: skip
        yield Attack(
            "names", f"MessageId {message_id[:30]!r}", INJECTION, "a name does something", named(message_id), ALIVE
        )
    for message_id in ("a" * 201, "a" * 1_000_000, " "):
        yield Attack(
            "names", f"MessageId of {len(message_id)} letters", INJECTION, "a name without bound", named(message_id)
        )
    for name, value in {
        "path": "../../../../tmp/attacker", "absolute": "/etc/cron.d/attacker", "drive": "C:\\Windows\\x", "device": "CON", "long": "a" * 5000, "script": "&lt;script&gt;",
        "formula": "=1+1", "override": "\u202efdp.exe", "dots": "..", "empty": "",
    }.items():  # fmt: skip

        def attached(case: Case, value: str = value) -> Shot:
            return Shot(case.message(send_document(case.message_id, case.paper.but(attachment_name=value).octets())))

        yield Attack(
            "names",
            f"an attachment called by {name}",
            "Zip Slip, Snyk 2018; OWASP file upload",
            "a file elsewhere",
            attached,
            ALIVE,
        )
