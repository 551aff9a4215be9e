"""UpdateDossierProgress: steps of work on dossiers.  Knows the fields of CapNhatTienDoHoSoMC.

A step tells neither when a dossier was received, nor how, nor when it is due: `received` comes from SyncDossiers alone.
"""

from lxml import etree

from hub.domain import local_time
from hub.domain.model import Fact
from hub.services.dossiers.codes import DossierCodes
from hub.services.dossiers.item import CallNotes, items
from hub.services.dossiers.results import FactSource, attributes, once, reached


def read(call: etree._Element, source: FactSource, codes: DossierCodes, notes: CallNotes) -> tuple[Fact, ...]:
    """Return what the steps of *call* have brought their dossiers to."""
    found = []
    for item in items(call, "TienDo", notes, "MaHoSo"):
        key, day = item.must("MaHoSo"), item.day("ThoiDiemXuLy")
        if day is None and not item.text("ThoiDiemXuLy"):
            item.refuse("N", "ThoiDiemXuLy", "it says nothing")
        elif day is not None and day > local_time.day(source.at):
            item.tolerate("R", "ThoiDiemXuLy", f"{day} is after {local_time.day(source.at)}")
        milestones = reached(codes, item, "TrangThai") - {"received"}
        for milestone in sorted(milestones):
            outcome = codes.statuses[item.text("TrangThai")].outcome if milestone == "finished" else ""
            found.append(source.fact(key, milestone, day, attributes=attributes(outcome=outcome)))
    return once(found)
