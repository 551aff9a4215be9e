"""The dearest call of each operation of the contracts that a partner may make, and packets whose effects are dear.  Knows formats; no hub.

An operation of which nothing dearer is known has a sample of its contract, so that none is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache

import attrs
from lxml import etree

from hub.services.mail import FIGURES
from hub.soap import wsdl
from hub.soap.sample_calls import SampleWriter
from lienthong_demo.plan import packets
from tests.costs import declarations, dossiers
from tests.overload import payloads

#: Documents that a packet replaces: one of 70 kB as a call, and one of 400 kB.
FEW, MANY = 330, 2000
#: Units below that of a hostile partner, whose mail it may tell of.
CHILDREN = 200
#: Records of a call about dossiers.
RECORDS = 250
#: The name of the call that brought a dossier before any attack, and the month of the declaration that came then.
KNOWN, DECLARED = "0", "2026-10"
#: Octets a second of one connection.
SLOW, FAST = 44_000, 200_000


@attrs.frozen(kw_only=True)
class Caller:
    """Who calls."""

    unit: str
    recipient: str  #: a unit of a partner that is pushed to
    period: str  #: a month
    waiting: str  #: hub id of a document that waits for the unit
    sender: str  #: the unit that sent it
    about: str  #: and the DocumentId that the sender gave it


#: Makes the content of a call, from who calls and a name that no other call has.
Make = Callable[[Caller, str], str]


@attrs.frozen
class Kind:
    """A kind of hostile traffic: the service, what makes a call, and the octets a second of each connection."""

    service: str
    make: Make
    rate: int = FAST


def name_document(unit: str, number: str) -> str:
    """Return the DocumentId that a packet of *unit* with this number has."""
    return f"{unit},2026/11/20,{number}/TAI"


def _carry(packet: bytes, name: str) -> str:
    return payloads.send_document(packet, name)


def _write(caller: Caller, name: str, kind: int = 0, about: str | None = None, replaced: Sequence[str] = ()) -> bytes:
    return packets.write_document_packet(
        caller.unit,
        [caller.recipient],
        number=name,
        notation="TAI",
        subject="x",
        promulgated=date(2026, 11, 20),
        attachments=(("a.txt", b"x"),),
        kind=kind,
        about=about,
        replaced=replaced,
        variation=packets.Variation(wrapped=False),
    )


def replace(count: int) -> Make:
    """Return what makes packets that replace so many documents, none of which exists."""

    def make(caller: Caller, name: str) -> str:
        replaced = [name_document(caller.unit, f"{name}-{number}") for number in range(count)]
        return _carry(_write(caller, name, 3, replaced=replaced), name)

    return make


def change(kind: int) -> Make:
    """Return what makes a document, and then a packet of this BussinessDocType about it, in turn."""

    def make(caller: Caller, name: str) -> str:
        words, _, number = name.rpartition("-")
        if int(number) % 2 == 0:
            return _carry(_write(caller, name), name)
        about = name_document(caller.unit, f"{words}-{int(number) - 1}")
        return _carry(_write(caller, name, kind, about=about), name)

    return make


def _send_facts(caller: Caller, name: str) -> str:
    return _carry(payloads.fact_flood(caller.unit, caller.recipient, name), name)


def _update_traces(caller: Caller, name: str) -> str:
    answered = packets.Answered(caller.sender, "", date(2026, 11, 20), caller.about)
    packet = packets.write_status_packet(
        caller.unit, "03", answered, at=datetime.now(UTC), description=f"{name} {'x' * 150}"
    )
    return _carry(packet, name).replace("SendDocument", "UpdateTraces")


def tell_dossiers(operation: str, records: int = RECORDS) -> Make:
    """Return what makes calls of so many dossiers, steps, or (one only) months of a unit."""

    def make(caller: Caller, name: str) -> str:
        made = dossiers.build({"records": records}, {"operation": operation, "place": "record"}).decode()
        return made.replace("H55.13", caller.unit).replace(">K", f">{caller.unit}-{name}-")

    return make


def declare(caller: Caller, name: str) -> str:
    """Return the declaration of a month of a unit and of those below it; the figures are others each time."""
    counts, form = {"units": CHILDREN, "digits": int(name.rpartition("-")[2]) % 5}, {"place": "call", "figure": "1"}
    return declarations.build(counts, form).decode().replace("H55.13", caller.unit)


def _tell_mail(caller: Caller, name: str) -> str:
    figures = "".join(f"<{each}>1</{each}>" for each in FIGURES)
    usage = "".join(f"<Usage><OrganId>{caller.unit}.{at}</OrganId>{figures}</Usage>" for at in range(CHILDREN))
    day = date(2026, 11, 20) - timedelta(days=int(name.rpartition("-")[2]) % 60)
    return (
        f'<SubmitMailUsage xmlns="urn:lienthong:mail:1"><OrganId>{caller.unit}</OrganId><Day>{day}</Day>'
        f"<Correction>{name}</Correction>{usage}</SubmitMailUsage>"
    )


def _sample(service: str, operation: str) -> Make:
    def make(caller: Caller, _name: str) -> str:
        values = {"OrganId": caller.unit, "Form": "edoc", "Period": caller.period, "DocumentId": caller.waiting}
        if operation == "GetDossier":
            values["MaHoSo"] = f"{caller.unit}-{KNOWN}-"
        if operation == "GetReconciliation":
            values["Period"] = DECLARED
        if operation == "GetTraces":
            del values["DocumentId"]  # all of them
        return etree.tostring(_writer(service, tuple(values.items())).write(operation), encoding="unicode")

    return make


@cache
def _writer(service: str, values: tuple[tuple[str, str], ...]) -> SampleWriter:
    return SampleWriter.of(wsdl.load_contract(service), dict(values))


def _in_turn(makers: Sequence[Make]) -> Make:
    return lambda caller, name: makers[int(name.rpartition("-")[2]) % len(makers)](caller, name)


#: What is dearer than a sample of the contract.
DEAREST: Mapping[tuple[str, str], Make] = {
    ("documents", "SendDocument"): _send_facts,
    ("documents", "UpdateTraces"): _update_traces,
    ("dossiers", "SyncDossiers"): tell_dossiers("sync"),
    ("dossiers", "UpdateDossierProgress"): tell_dossiers("progress"),
    ("dossiers", "SubmitStatistic"): tell_dossiers("statistic", 0),
    ("reports", "SubmitWorkloadReport"): declare,
    ("mail", "SubmitMailUsage"): _tell_mail,
}
_EFFECTS: Mapping[str, Make] = {
    f"replaced-{FEW}": replace(FEW),
    f"replaced-{MANY}": replace(MANY),
    "recalls": change(1),
    "updates": change(2),
}


def _list_operations() -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for service in wsdl.list_contract_names():
        names = [etree.QName(tag).localname for tag in wsdl.load_contract(service).operations]
        makers = {name: DEAREST.get((service, name)) or _sample(service, name) for name in names}
        if service == "lookups":  # nobody answers here, so all are refused alike
            found[service] = Kind(service, _in_turn(list(makers.values())))
            continue
        found |= {name: Kind(service, make) for name, make in makers.items()}
    return found


#: Every kind by its name: dear effects at both rates, then each operation.
KINDS: Mapping[str, Kind] = {
    **{
        f"{name}@{rate // 1000}": Kind("documents", make, rate)
        for name, make in _EFFECTS.items()
        for rate in (SLOW, FAST)
    },
    **_list_operations(),
}
