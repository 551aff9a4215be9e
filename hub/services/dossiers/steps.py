"""Reads UpdateDossierProgress, steps of work on dossiers, into facts. Knows the fields of CapNhatTienDoHoSoMC.

A step does not say when or how a dossier was received, or when it is due. So only SyncDossiers brings the milestone
`received`.
"""

from datetime import date

from lxml import etree

from hub.domain import local_time
from hub.domain.model import Fact
from hub.language.phrases import phrase
from hub.services.dossiers.codes import DossierCodes
from hub.services.dossiers.item import CallNotes, read_call_items
from hub.services.dossiers.results import (
    FactSource,
    keep_earliest_milestones,
    list_known_attributes,
    read_reached_milestones,
)
from hub.services.dossiers.waits import tell_wait


def read_dossier_steps(
    call: etree._Element, source: FactSource, codes: DossierCodes, notes: CallNotes
) -> tuple[Fact, ...]:
    """Return the facts that the steps of *call* prove."""
    found = []
    waits: list[Fact] = []
    for item in read_call_items(call, "TienDo", notes, "MaHoSo"):
        key, day = item.must("MaHoSo"), item.day("ThoiDiemXuLy")
        if day is None and not item.text("ThoiDiemXuLy"):
            item.refuse("N", "ThoiDiemXuLy", phrase("it is empty"))
        elif day is not None and day > local_time.find_local_day(source.at):
            item.tolerate(
                "R",
                "ThoiDiemXuLy",
                phrase("{day} is after {now}", day=day, now=local_time.find_local_day(source.at)),
            )
        milestones = read_reached_milestones(codes, item, "TrangThai") - {"received"}
        for milestone in sorted(milestones):
            outcome = codes.statuses[item.text("TrangThai")].outcome if milestone == "finished" else ""
            found.append(source.fact(key, milestone, day, attributes=list_known_attributes(outcome=outcome)))
        status = codes.statuses.get(item.text("TrangThai"))
        if status is not None and (told := tell_wait(source, key, status, day)):
            waits.append(told)
    # steps of one dossier change it in the order of their days, whatever their order in the call
    waits.sort(key=lambda told: told.day or date.max)
    return (*keep_earliest_milestones(found), *waits)
