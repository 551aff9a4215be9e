"""Reads SyncDossiers, the current state of dossiers, into facts.

Knows the fields of DongBoHoSoMC and which field dates which milestone.

A unit sends a whole dossier again whenever its state changes. So each message is read for every milestone that it
proves: a dossier whose result was handed over was also received and finished. The facts do not depend on the order of a
dossier's messages, or on whether all of them arrived.
"""

from collections.abc import Iterator
from datetime import date

import attrs
from lxml import etree

from hub.domain import local_time
from hub.domain.model import Fact
from hub.language.phrases import phrase
from hub.services.dossiers.codes import DossierCodes
from hub.services.dossiers.identity import REGISTERED
from hub.services.dossiers.item import CallItem, CallNotes, read_call_items
from hub.services.dossiers.online import tell_apology, tell_online_facts
from hub.services.dossiers.results import (
    FactSource,
    keep_earliest_milestones,
    list_known_attributes,
    read_reached_milestones,
)
from hub.services.dossiers.waits import tell_wait

_LONGEST_CODE = 50  #: the letters that are kept of DonViXuLy
_LONGEST_NAME = 250  #: the letters that are kept of the name of a field


def read_dossier_states(
    call: etree._Element, source: FactSource, codes: DossierCodes, notes: CallNotes
) -> tuple[Fact, ...]:
    """Return the facts that the dossiers of *call* prove."""
    found: list[Fact] = []
    seen: set[str] = set()
    for item in read_call_items(call, "HoSo", notes, "MaHoSo"):
        code = item.must("MaHoSo")
        if code and code in seen:
            item.refuse("M", "MaHoSo", phrase("another HoSo of this call has it"))
        seen.add(code)
        found += _list_facts(item, source, codes)
    return keep_earliest_milestones(found)


@attrs.frozen
class _Days:
    """The days of one dossier, as its unit reports them."""

    registered: date | None  #: the day on which it was handed in
    received: date | None
    due: date | None
    ended: date | None  #: the day on which the work ended
    returned: date | None
    take_on: date | None  #: until when what was handed in must be taken on or refused

    @classmethod
    def of(cls, item: CallItem) -> "_Days":
        received, due, ended, returned = (
            item.day(name) for name in ("NgayTiepNhan", "NgayHenTra", "NgayKetThucXuLy", "NgayTra")
        )
        registered, take_on = item.day("NgayNop"), item.day("HanTiepNhan")
        return cls(registered, received, due, ended or returned, returned or ended, take_on)


def _list_facts(item: CallItem, source: FactSource, codes: DossierCodes) -> Iterator[Fact]:
    milestones = read_reached_milestones(codes, item, "TrangThaiHoSo")
    days = _Days.of(item)
    _judge_days(item, days, milestones, local_time.find_local_day(source.at))
    key, known = item.text("MaHoSo"), _read_known_attributes(item, codes)
    if REGISTERED in milestones or (milestones and days.registered):  # told once it was received, too: it was handed in
        yield source.fact(
            key,
            REGISTERED,
            days.registered or days.received,
            due=days.take_on,
            attributes=list_known_attributes(**known),
        )
    milestones -= {REGISTERED}
    when = {
        "received": days.received,
        "refused": days.ended or days.received,
        "finished": days.ended,
        "withdrawn": days.ended,
        "returned": days.returned,
    }
    outcome = codes.statuses[item.text("TrangThaiHoSo")].outcome if milestones else ""
    for milestone in sorted(milestones):
        said = {**known, "outcome": outcome} if milestone == "finished" else known
        yield source.fact(key, milestone, when.get(milestone), due=days.due, attributes=list_known_attributes(**said))
    if milestones:
        yield from _list_supplements(item, source, days, known)
        yield from _list_waits(item, source, codes)
        yield from tell_apology(item, source)
    if "received" in milestones:
        ended = days.ended if outcome == "done" else None
        yield from tell_online_facts(item, source, codes, received=days.received, ended=ended)


def _list_supplements(item: CallItem, source: FactSource, days: _Days, known: dict[str, str]) -> Iterator[Fact]:
    """Yield facts from the list of supplement requests: the first and second request and their answers.

    Later ones bring no fact.
    """
    for number, request in enumerate(item.each("DanhSachHoSoBoSung")):
        asked, answered = request.day("NgayBoSung"), request.day("NgayTiepNhanBoSung")
        due = request.day("NgayHenTraMoi") or days.due
        if number > 1:
            continue  # read above only to report its problems
        again = "-again" if number else ""
        said = {"due": due, "attributes": list_known_attributes(**known)}
        yield source.fact(item.text("MaHoSo"), f"supplement-requested{again}", asked, **said)
        if answered:
            yield source.fact(item.text("MaHoSo"), f"supplemented{again}", answered, **said)


def _list_waits(item: CallItem, source: FactSource, codes: DossierCodes) -> Iterator[Fact]:
    """Yield the fact that the dossier waits, from the day of a request for papers that is not answered, or that it does
    not wait.
    """
    status, day = codes.statuses[item.text("TrangThaiHoSo")], None
    for request in item.each("DanhSachHoSoBoSung") if status.waits == "papers" else ():
        day = None if request.day("NgayTiepNhanBoSung") else request.day("NgayBoSung")
    if told := tell_wait(source, item.text("MaHoSo"), status, day):
        yield told


def _read_known_attributes(item: CallItem, codes: DossierCodes) -> dict[str, str]:
    """Return the attributes of the dossier. A code that is not in its list is tolerated and left empty."""
    found = {"procedure": item.text("MaTTHC"), "field": item.text("MaLinhVuc")}
    unit = item.text("DonViXuLy")
    found["competent"] = unit[:_LONGEST_CODE] if len(unit.split()) == 1 else ""  # a name is no code
    found["field_name"] = " ".join(item.text("TenLinhVuc").split())[:_LONGEST_NAME]
    found["place"] = "elsewhere" if item.text("PhiDiaGioi") == "1" else ""
    if not codes.procedure.fullmatch(found["procedure"]):
        item.tolerate("R", "MaTTHC", phrase("{procedure} is not a procedure code", procedure=found["procedure"][:50]))
    for attribute, name, listed in (
        ("channel", "KenhThucHien", codes.channels),
        ("applicant", "LoaiDoiTuong", codes.applicants),
        ("level", "MucDoTrucTuyen", codes.levels),
    ):
        code = item.text(name)
        if code and code not in listed:
            item.tolerate("R", name, phrase("{code} is none of {names}", code=code, names=" ".join(listed)))
        found[attribute] = listed.get(code, "")
    return found


def _judge_days(item: CallItem, days: _Days, milestones: frozenset[str], now: date) -> None:
    """Report impossible days.

    Refuses a dossier that would count in no period, or whose work ended before it was received.
    """
    if days.received is None and not item.text("NgayTiepNhan"):
        item.refuse("N", "NgayTiepNhan", phrase("it is empty"))
    if "finished" in milestones and not (item.text("NgayKetThucXuLy") or item.text("NgayTra")):
        item.refuse("N", "NgayKetThucXuLy", phrase("TrangThaiHoSo is {status}", status=item.text("TrangThaiHoSo")))
    if days.received is None:
        return
    if "finished" in milestones and days.ended and days.ended < days.received:
        name = "NgayKetThucXuLy" if item.text("NgayKetThucXuLy") else "NgayTra"
        item.refuse(
            "M", name, phrase("{ended} is before NgayTiepNhan, {received}", ended=days.ended, received=days.received)
        )
    if days.due and days.due < days.received:
        item.tolerate(
            "M", "NgayHenTra", phrase("{due} is before NgayTiepNhan, {received}", due=days.due, received=days.received)
        )
    for name, day in (
        ("NgayTiepNhan", days.received),
        ("NgayKetThucXuLy", days.ended),
        ("NgayNop", days.registered),
    ):
        if day and day > now:
            item.tolerate("R", name, phrase("{day} is after {now}", day=day, now=now))
