"""Time and repetition: Timestamps that lie, and messages that come again.

Knows Timestamp of WS-Security 1.1 chapter 10 and what an honest retry may and may not change.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from tests.attacker.campaign import REFUSE, SAME, Attack, Case, Shot
from tests.attacker.honest import Form, call, frame, moment, seal, send_document, timestamp

WINS = "a message counts outside its time"


def clock(created: float | str | None, expires: float | str | None, *, around: str = "{}") -> Callable[[Case], Shot]:
    """Seconds from now, or text; signed by the partner itself."""

    def shoot(case: Case) -> Shot:
        now = datetime.now(UTC)
        first, last = (
            moment(now + timedelta(seconds=one)) if isinstance(one, int | float) else one for one in (created, expires)
        )
        return Shot(case.message(case.honest, Signed, clock=around.format(timestamp(first, last))))

    return shoot


Signed = None  # `message` signs honestly when it is told nothing else


def clocks() -> dict[str, tuple[Callable[[Case], Shot], str]]:
    def at(seconds: float, pattern: str) -> str:
        return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime(pattern)

    digits = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    day, second = "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"
    fresh = at(300, f"{second}Z")
    return {
        "expired by a minute and two seconds": (clock(-362, -62), REFUSE),  # a minute of skew is agreed
        "expired by a second": (clock(-301, -1), SAME),
        "expired by an hour": (clock(-3900, -3600), REFUSE),
        "a year old": (clock(-31_536_000, -31_535_700), REFUSE),
        "created a year ago, expires soon": (clock(-31_536_000, 300), REFUSE),
        "created 901 s ago, lives 1800 s": (clock(-901, 899), REFUSE),
        "lives 901 s": (clock(0, 901), REFUSE),
        "lives for ever": (clock(0, "9999-12-31T23:59:59Z"), REFUSE),
        "from year 1": (clock("0001-01-01T00:00:00Z", 300), REFUSE),
        "year 0": (clock("0000-01-01T00:00:00Z", 300), REFUSE),
        "a negative year": (clock("-2026-01-01T00:00:00Z", 300), REFUSE),
        "year 12026": (clock(0, "12026-01-01T00:00:00Z"), REFUSE),
        "created in two minutes": (clock(120, 300), REFUSE),
        "created tomorrow": (clock(86_400, 86_700), REFUSE),
        "expires before created": (clock(0, -1), REFUSE),
        "no Expires": (clock(0, None), REFUSE),
        "no Created": (clock(None, 300), REFUSE),
        "nothing": (clock(None, None), REFUSE),
        "empty": (clock("", ""), REFUSE),
        "no zone": (clock(at(0, second), at(300, second)), REFUSE),
        "days alone": (clock(at(0, f"{day}Z"), at(86_400, f"{day}Z")), REFUSE),
        "Unix time": (clock(at(0, "%s"), at(300, "%s")), REFUSE),
        "hour 24": (clock(at(0, f"{day}T24:00:00Z"), at(86_400, f"{day}T24:00:00Z")), REFUSE),
        "second 60": (clock(at(0, f"{day}T%H:%M:60Z"), fresh), REFUSE),
        "offset +99:99": (clock(at(0, f"{second}+99:99"), fresh), REFUSE),
        "offset +24:00": (clock(0, at(300 - 86_400, f"{second}-24:00")), REFUSE),
        "an old hour with an offset": (clock(at(-3600, f"{second}+00:00"), at(-3300, f"{second}+00:00")), REFUSE),
        "Arabic digits": (clock(at(0, f"{second}Z").translate(digits), fresh.translate(digits)), REFUSE),
        "lower case": (clock(at(0, f"{second}Z").lower(), fresh.lower()), REFUSE),
        "a blank between": (clock(at(0, f"{day} %H:%M:%SZ"), at(300, f"{day} %H:%M:%SZ")), REFUSE),
        "thousand fraction digits": (clock(at(0, f"{second}.") + "9" * 1000 + "Z", fresh), SAME),
        "ten fraction digits": (clock(at(0, f"{second}.0000000001Z"), fresh), SAME),
        "hundred thousand digits of a year": (clock(0, "9" * 100_000 + "-01-01T00:00:00Z"), REFUSE),
        "not a time": (clock("now", "never"), REFUSE),
        "NaN": (clock("NaN", "INF"), REFUSE),
        "two Created": (clock(-3600, 300, around="<wsu:Created>" + at(0, f"{second}Z") + "</wsu:Created>{}"), REFUSE),
        "two Expires": (clock(-3600, -3300, around="{}<wsu:Expires>" + fresh + "</wsu:Expires>"), REFUSE),
        "two Expires, fresh first": (clock(-3600, -3300, around="<wsu:Expires>" + fresh + "</wsu:Expires>{}"), REFUSE),
        "a child in Expires": (clock(-3600, f"<x>{fresh}</x>"), REFUSE),
        "a Timestamp within": (
            clock(
                -3600,
                -3300,
                around="{}<wsu:Timestamp><wsu:Created>" + at(0, f"{second}Z") + "</wsu:Created></wsu:Timestamp>",
            ),
            REFUSE,
        ),
    }


def changed(find: str, put: str) -> Callable[[Case], Shot]:
    return lambda case: Shot(case.base.decode().replace(find, put, 1).encode())


def second_clock(first: bool) -> Callable[[Case], Shot]:
    """An expired message with a fresh unsigned Timestamp beside."""

    def shoot(case: Case) -> Shot:
        then, now = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)
        old = case.message(
            case.honest, Signed, clock=timestamp(moment(then), moment(then + timedelta(minutes=5)))
        ).decode()
        fresh = f"<wsu:Timestamp>{timestamp(moment(now), moment(now + timedelta(minutes=5)))}</wsu:Timestamp>"
        put = (
            ("<wsu:Timestamp ", f"{fresh}<wsu:Timestamp ")
            if first
            else ("</wsu:Timestamp>", f"</wsu:Timestamp>{fresh}")
        )
        return Shot(old.replace(*put, 1).encode())

    return shoot


def unsigned_clock(case: Case) -> Shot:
    return Shot(case.seal(references=lambda letter, true: true[1:]))


def again(case: Case) -> Iterator[Shot]:
    for _ in range(3):
        yield Shot(case.base)


def altered_again(find: str, put: str) -> Callable[[Case], Iterator[Shot]]:
    """The message has been taken; it comes again with another unsigned part."""

    def shoot(case: Case) -> Iterator[Shot]:
        yield Shot(case.base)
        yield Shot(case.base.decode().replace(find, put, 1).encode())

    return shoot


def id_reused(other: Callable[[Case], bytes]) -> Callable[[Case], Iterator[Shot]]:
    """The partner itself uses an id twice, for other bytes."""

    def shoot(case: Case) -> Iterator[Shot]:
        yield Shot(case.base)
        yield Shot(case.message(send_document(case.message_id, other(case))), expect=REFUSE)

    return shoot


def id_like(change: Callable[[str], str]) -> Callable[[Case], Shot]:
    """Ids that look the same to a database or a person: if taken, then as what they are."""

    def shoot(case: Case) -> Shot:
        return Shot(case.message(send_document(change(case.message_id), case.packet)))

    return shoot


def old_answer(operation: str) -> Callable[[Case], Shot]:
    """A question of the recipient, an hour old, asked again."""

    def shoot(case: Case) -> Shot:
        who, then = case.role("recipient"), datetime.now(UTC) - timedelta(hours=1)
        old = timestamp(moment(then), moment(then + timedelta(minutes=5)))
        values = {"OrganId": case.campaign.unit} if operation != "GetDocument" else {"DocumentId": "x"}
        text = frame(case.form, who, call(operation, **values), clock=old)
        return Shot(seal(text, case.form, who), case.form.headers(operation), via=who)

    return shoot


def attacks() -> Iterator[Attack]:
    source = "WS-Security 1.1 chapter 10; Gruschka & Lo Iacono 2009 (the Amazon EC2 attack)"
    for version in ("1.1", "1.2"):
        form = Form(version)
        for name, (shoot, expect) in clocks().items():
            yield Attack("clocks", name, source, WINS, shoot, expect, form=form)
        yield Attack("clocks", "Timestamp not signed", source, WINS, unsigned_clock, form=form)
        for first in (True, False):
            yield Attack(
                "clocks",
                f"a fresh unsigned Timestamp {'before' if first else 'after'}",
                source,
                WINS,
                second_clock(first),
                form=form,
            )
        yield Attack(
            "clocks", "Expires altered", source, WINS, changed("<wsu:Expires>20", "<wsu:Expires>29"), form=form
        )
        for operation in ("GetPendingDocumentIds", "GetTraces", "GetDocument"):
            yield Attack("clocks", f"an old {operation}", source, WINS, old_answer(operation), form=form)
        replays = "a repetition counts as a second message"
        yield Attack("replays", "the same again, thrice", source, replays, again, SAME, form=form)
        for name, find, put in (
            ("another header", "<s:Header>", '<s:Header><x:y xmlns:x="urn:x"/>'),
            ("a comment in the header", "<s:Header>", "<s:Header><!-- -->"),
            ("white space behind the Body", "</s:Body>", "</s:Body>\n"),
            ("other quotes", "version='1.0'", 'version="1.0"'),
            ("mustUnderstand", ' s:mustUnderstand="1"', ""),
        ):
            yield Attack("replays", f"again, with {name}", source, replays, altered_again(find, put), SAME, form=form)
        yield Attack(
            "replays",
            "again, with another MessageId",
            source,
            replays,
            altered_again("-honest<", "-another<"),
            SAME,
            form=form,
        )
        reused = "an id stands for two contents"
        yield Attack(
            "replays",
            "an id for other bytes",
            "design",
            reused,
            id_reused(lambda case: case.evil_packet),
            SAME,
            form=form,
        )
        yield Attack(
            "replays",
            "an id for one octet more",
            "design",
            reused,
            id_reused(lambda case: case.packet + b"\n"),
            SAME,
            form=form,
        )
        yield Attack(
            "replays",
            "an id with blanks",
            "XML Schema token",
            reused,
            id_like(lambda name: f"  {name}\n "),
            SAME,
            form=form,
        )
