"""The story of a demo: who writes to whom, what is repeated, what must be refused.

Knows packets and codes. Sends nothing.

Acts are lists of letters. The same cast and day give the same letters, so that runs can be compared.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import count

import attrs

from lienthong_demo.plan import packets
from lienthong_demo.plan.packets import Answered, Variation
from lienthong_demo.protocol.reading import Reading, read_sample_packet

#: The ministries behind the axis, and another province, for whose units the hub has no duty to deliver.
AXIS = ("G22", "000.00.00.G12", "000.00.27.G14", "H41")
ELSEWHERE = "H14"
#: A dissolved unit of the province, and the file that imports it: code,name,parent,since,until,aliases.
DISSOLVED = "H55.90"
DISSOLVED_CSV = (
    "code,name,parent,since,until,level,kind\n"
    f"{DISSOLVED},Sở đã giải thể (mẫu),H55,2015-01-01,2025-07-01,province,department\n"
)

_SUBJECTS = (
    "V/v kết nối, liên thông phần mềm quản lý văn bản",
    "Báo cáo kết quả thực hiện nhiệm vụ quý IV",
    "Kế hoạch chuyển đổi số năm tới",
    "V/v góp ý dự thảo Nghị định",
    "Giấy mời họp giao ban tháng",
    "V/v cung cấp số liệu cải cách hành chính",
)
_TYPES = ("Công văn", "Báo cáo", "Kế hoạch", "Quyết định", "Giấy mời", "Tờ trình")

#: The variations of real packets (standards 1.10). None of them may be refused.
VARIATIONS = (
    Variation(order="clauses"),
    Variation(order="reversed"),
    Variation(prefix=""),
    Variation(bussiness="before", width=76),
    Variation(bussiness="absent"),
    Variation(cid=False, href=True, wrapped=False),
    Variation(signature="dummy", extension="ApplicationType"),
    Variation(dates="%d/%m/%Y"),
)
_LARGE = 1_500_000  #: octets

#: deliberate mistake in a call -> the codes that may refuse it
SPOILED: Mapping[str, frozenset[str]] = {
    "unsigned": frozenset({"unsigned"}),
    "changed": frozenset({"signature-invalid"}),
    "moved": frozenset({"signature-covers-too-little", "signature-invalid"}),
    "halved": frozenset({"timestamp-missing", "signature-covers-too-little", "signature-invalid"}),
    "stale": frozenset({"timestamp-expired"}),
}


@attrs.frozen
class Cast:
    """The units that take part, by the partner that speaks for them."""

    department: tuple[str, ...]  #: of sotttt
    office: tuple[str, ...]  #: of vpub
    aliases: Mapping[str, str]  #: other code -> unit
    today: date

    def other_code(self, unit: str) -> str:
        """Return another code of the unit; its own if it has no other."""
        return next((alias for alias, code in self.aliases.items() if code == unit), unit)


@attrs.frozen(kw_only=True)
class Letter:
    """One call of a partner. A letter with *expected* codes is planted: it must be refused with one of them."""

    name: str
    partner: str
    content: bytes
    message_id: str | None = None
    operation: str = "SendDocument"
    spoil: str | None = None
    sealed: bool = False  #: the sending partner signs the packet itself before it sends it
    expected: frozenset[str] = frozenset()

    @property
    def recipients(self) -> tuple[str, ...]:
        """Return the recipients that the packet names."""
        return read_sample_packet(self.content).recipients


def plan_inside_letters(cast: Cast) -> list[Letter]:
    """Write letters from every unit to another inside the province.

    Then letters with several recipients, a large attachment, other codes of units, and the variations of real packets.
    """
    write = partial(compose_letter, cast, "TT", count(1))
    pairs = [*_round("sotttt", cast.department, cast.office), *_round("vpub", cast.office, cast.department)]
    return [
        *(write(partner, sender, (recipient,)) for partner, sender, recipient in pairs),
        write("sotttt", cast.department[0], (cast.office[1], cast.office[2]), name="two recipients, one push"),
        write("sotttt", cast.department[1], (cast.department[2], cast.office[0], cast.department[3])),
        write("vpub", cast.office[0], cast.department, name="to every unit of the department's system"),
        write("sotttt", cast.department[0], (cast.other_code(cast.office[1]),), name="by an older code"),
        write("vpub", cast.office[1], (cast.department[0],), size=_LARGE, name="large"),
        *(
            write(
                "sotttt", cast.department[n % len(cast.department)], (cast.office[n % len(cast.office)],), variation=v
            )
            for n, v in enumerate(VARIATIONS)
        ),
    ]


def plan_upward_letters(cast: Cast) -> list[Letter]:
    """Write letters from the province to the ministries. Some have recipients on both sides."""
    write = partial(compose_letter, cast, "LT", count(1))
    return [
        *(write("sotttt", unit, (organ,)) for unit, organ in zip(cast.department, AXIS, strict=False)),
        *(write("vpub", unit, (organ,)) for unit, organ in zip(cast.office, AXIS, strict=False)),
        write("vpub", cast.office[0], (*AXIS, cast.department[0]), name="both sides"),
        write("sotttt", cast.department[4], (AXIS[0], cast.office[3], cast.office[4]), name="both sides"),
    ]


def plan_downward_letters(cast: Cast) -> list[Letter]:
    """Write letters from the ministries to the province.

    Some are also for another province; the hub delivers only its own part.
    """
    write = partial(compose_letter, cast, "BN", count(1))
    units = [unit for pair in zip(cast.office, cast.department, strict=False) for unit in pair][:10]
    return [
        *(write("vpcp", AXIS[n % len(AXIS)], (unit,)) for n, unit in enumerate(units)),
        write("vpcp", AXIS[0], (cast.office[0], ELSEWHERE, cast.department[0]), name="also to another province"),
        write("vpcp", AXIS[1], (cast.other_code(cast.office[0]),), name="by an older code"),
    ]


def plan_sealed_letters(cast: Cast) -> list[Letter]:
    """Write documents that carry their sender's own signature, which stays with them wherever they go."""
    write = partial(compose_letter, cast, "KS", count(1))
    letters = [
        write("sotttt", cast.department[0], (cast.office[0], AXIS[0]), name="signed, to both sides"),
        write("vpub", cast.office[0], cast.department[:3], name="signed, to three units"),
        write("vpcp", AXIS[0], (cast.office[1],), name="signed by the axis"),
    ]
    return [attrs.evolve(letter, sealed=True) for letter in letters]


def plan_changes(cast: Cast, earlier: Sequence[Letter]) -> list[Letter]:
    """Write what happens to four documents sent earlier: a recall, an update, a replacement, a request to return one."""
    write = partial(compose_letter, cast, "TD", count(1))
    kinds = ((1, "recall"), (2, "update"), (3, "replacement"))
    letters = []
    for letter, (kind, name) in zip(earlier, kinds, strict=False):
        old = read_sample_packet(letter.content)
        letters.append(write(letter.partner, old.sender, old.recipients, kind=kind, old=old, name=name))
    asked = read_sample_packet(earlier[3].content)
    back = packets.write_status_packet(
        asked.sender, "13", _answered(asked), at=_noon(cast.today), description="Xin lấy lại văn bản"
    )
    return [*letters, Letter(name="take back", partner=earlier[3].partner, content=back, operation="UpdateTraces")]


def plan_repeats(earlier: Sequence[Letter]) -> list[Letter]:
    """Repeat letters byte for byte, as a partner that missed the answer.

    Reuse one id for other bytes, which is refused.
    """
    other = attrs.evolve(earlier[1], name="other bytes, same id", content=earlier[4].content)
    return [
        *(attrs.evolve(letter, name="the same again") for letter in (*earlier[:3], earlier[0])),
        attrs.evolve(other, expected=frozenset({"id-reused"})),
    ]


def plan_refusals(cast: Cast) -> list[Letter]:
    """Write letters that must be refused, each for another reason. The last is the first, corrected, under the same id."""
    write = partial(compose_letter, cast, "SAI", count(1))
    unit, office = cast.department[0], cast.office[0]
    good = write("sotttt", unit, (office,))
    unknown = write("sotttt", unit, ("H55.999", office), name="unit unknown", expected={"unit-unknown"})
    cut = attrs.evolve(good, name="cut short", content=good.content[:-20], expected=frozenset({"not-well-formed"}))
    bomb = good.content.replace(b"<edXML ", b'<!DOCTYPE edXML [<!ENTITY a "a">]><edXML ', 1)
    bare = good.content.replace(b"<edXML:Subject>", b"<edXML:Subjekt>").replace(
        b"</edXML:Subject>", b"</edXML:Subjekt>"
    )
    return [
        unknown,
        write("vpub", office, (DISSOLVED,), name="unit dissolved", expected={"unit-inactive"}),
        write("sotttt", office, (unit,), name="for a unit of another system", expected={"sender-not-allowed"}),
        write("vpcp", unit, (office,), name="the axis for a unit of ours", expected={"sender-not-allowed"}),
        write("vpcp", AXIS[0], (ELSEWHERE,), name="nobody here", expected={"not-ours"}),
        _again(cut, "SAI-cut"),
        _again(
            attrs.evolve(good, name="DOCTYPE", content=bomb, expected=frozenset({"doctype-refused"})), "SAI-doctype"
        ),
        _again(
            attrs.evolve(good, name="no subject", content=bare, expected=frozenset({"N.MessageHeader.Subject"})),
            "SAI-subject",
        ),
        _again(
            attrs.evolve(
                good,
                name="no status",
                operation="UpdateTraces",
                expected=frozenset({"N.MessageHeader.StatusCode"}),
            ),
            "SAI-status",
        ),
        *(
            _again(attrs.evolve(good, name=spoil, spoil=spoil, expected=codes), f"SAI-{spoil}")
            for spoil, codes in SPOILED.items()
        ),
        write("sotttt", unit, (office,), name="corrected", message_id=unknown.message_id),
    ]


def _round(partner: str, senders: Sequence[str], recipients: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for n, sender in enumerate(senders):
        yield partner, sender, recipients[n % len(recipients)]


def compose_letter(
    cast: Cast,
    series: str,
    numbers: Iterator[int],
    partner: str,
    sender: str,
    recipients: Iterable[str],
    *,
    name: str = "",
    message_id: str | None = None,
    kind: int = 0,
    old: Reading | None = None,
    size: int = 0,
    variation: Variation = packets.SEEN,
    expected: Iterable[str] = (),
) -> Letter:
    """Write the next letter of a *series*."""
    n = next(numbers)
    files = [("van-ban.txt", f"Nội dung văn bản {n}/{series}\n".encode())]
    if size:
        files.append(("phu-luc.bin", _noise(size)))
    content = packets.write_document_packet(
        sender,
        recipients,
        number=str(n),
        notation=f"{series}-MAU",
        subject=_SUBJECTS[n % len(_SUBJECTS)],
        promulgated=cast.today - timedelta(days=n % 3),
        document_id=old.document_id if old else None,
        attachments=files,
        due=cast.today + timedelta(days=10) if n % 2 else None,
        paper=n % 5 == 0,
        priority=n % 4,
        kind=kind,
        about=old.document_id if old and kind != 3 else None,
        responses=[_answered(old)] if old else (),
        replaced=[old.document_id] if old and kind == 3 else (),
        type_name=_TYPES[n % len(_TYPES)],
        variation=variation,
    )
    # Every third leaves the id to the hub, which uses the SHA-256 of the bytes.
    chosen = message_id or (f"{series}-{n:03}" if n % 3 else None)
    return Letter(name=name, partner=partner, content=content, message_id=chosen, expected=frozenset(expected))


def _again(letter: Letter, message_id: str) -> Letter:
    return attrs.evolve(letter, message_id=message_id)


def _answered(old: Reading) -> Answered:
    return Answered(old.sender, old.code, old.promulgation_date, old.document_id)


def _noise(size: int) -> bytes:
    """Return *size* octets that do not compress."""
    return random.Random(size).randbytes(size)


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), packets.HANOI)
