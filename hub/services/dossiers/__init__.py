"""The dossiers of one-stop offices: their state, their progress, and what units declare of a month (docs/reference/dossiers.md).

Knows the three messages of `urn:lienthong:dossiers:1` and the facts each shows; not who may send, nor what was told before.

What reading may cost `hub.formats.xml_cost.WORST` states.
"""

from datetime import datetime

from hub.domain.errors import Rejected
from hub.domain.model import Problem, Record
from hub.formats import safe_xml
from hub.services import Service
from hub.services.dossiers import states, statistic, steps
from hub.services.dossiers.codes import load_dossier_codes
from hub.services.dossiers.item import NAMESPACE, CallItem, CallNotes, read_call_items
from hub.services.dossiers.results import NAME, FactSource

#: The kind of each message, by its element.
KINDS = {"SyncDossiers": "dossiers", "UpdateDossierProgress": "progress", "SubmitStatistic": "statistic"}


def read_dossier_call(content: bytes, at: datetime, message: str) -> Record:
    """Return what a message about dossiers says.

    Raises Rejected: as `parse_safe_xml` does for what is no sound XML, `contract-broken` for another element, else with every
    problem by its path.
    """
    call = safe_xml.parse_safe_xml(content)
    operation = call.tag.removeprefix(f"{{{NAMESPACE}}}")
    if operation not in KINDS:
        raise Rejected(Problem("contract-broken", call.tag[:200]))
    notes = CallNotes()
    source = FactSource(unit=CallItem(call, operation, "", notes).must("OrganId"), at=at, message=message)
    match operation:
        case "SyncDossiers":
            facts, about = (
                states.read_dossier_states(call, source, load_dossier_codes(), notes),
                read_call_items(call, "HoSo", notes, "MaHoSo"),
            )
        case "UpdateDossierProgress":
            facts, about = (
                steps.read_dossier_steps(call, source, load_dossier_codes(), notes),
                read_call_items(call, "TienDo", notes, "MaHoSo"),
            )
        case _:
            facts, about = statistic.read_dossier_statistic(call, source, notes), iter(())
    if notes.refused:
        raise Rejected(*notes.refused)
    keys = tuple(dict.fromkeys(item.text("MaHoSo") for item in about))
    return Record(
        kind=KINDS[operation],
        sender=source.unit,
        keys=keys,  # a month's numbers are about no dossier
        subject=f"{len(keys)} hồ sơ" if len(keys) > 1 else next(iter(keys), facts[0].key if facts else ""),
        facts=facts,
        deviations=tuple(notes.tolerated),
    )


SERVICE = Service(
    name=NAME,
    read=read_dossier_call,
    milestones=frozenset([
        "received", "refused", "supplement-requested", "supplemented", "supplement-requested-again", "supplemented-again",
        "payment-requested", "paused", "finished", "withdrawn", "returned", "synced", *statistic.DECLARED.values(),
    ]),
    attributes=frozenset(["applicant", "channel", "field", "outcome", "procedure"]),
    ours=frozenset(["statistic"]),  # no other system has a service for a month's numbers
    synced="synced",
)  # fmt: skip
