"""The service `dossiers` of one-stop offices: states of dossiers, steps of work, and monthly figures declared by units.

Knows the three messages of `urn:lienthong:dossiers:1` and the facts in each (docs/reference/dossiers.md). Does not know
who may send them or what earlier messages said.

The cost of reading is bounded as `hub.formats.xml_cost.WORST` states.
"""

from datetime import datetime

from hub.domain.errors import Rejected
from hub.domain.local_time import find_local_day
from hub.domain.model import Problem, Record
from hub.formats import safe_xml
from hub.services import Service
from hub.services.dossiers import online, states, statistic, steps
from hub.services.dossiers.codes import load_dossier_codes
from hub.services.dossiers.identity import HANDED_OVER, PASSED_ON, REGISTERED, TAKEN_OVER
from hub.services.dossiers.item import NAMESPACE, CallItem, CallNotes, read_call_items
from hub.services.dossiers.results import NAME, FactSource
from hub.services.dossiers.waits import RESUMES, WAITS

#: The kind of a message, by the name of its root element.
KINDS = {"SyncDossiers": "dossiers", "UpdateDossierProgress": "progress", "SubmitStatistic": "statistic"}


def read_dossier_call(content: bytes, at: datetime, message: str) -> Record:
    """Read a message about dossiers into its facts.

    Raises Rejected with `contract-broken` if the root element is another one, else with every problem by its path.
    Raises as `parse_safe_xml` does if the content is not sound XML.
    """
    call = safe_xml.parse_safe_xml(content)
    operation = call.tag.removeprefix(f"{{{NAMESPACE}}}")
    if operation not in KINDS:
        raise Rejected(Problem("contract-broken", call.tag[:200]))
    codes = load_dossier_codes()
    notes = CallNotes(codes.first_day, codes.find_last_day(find_local_day(at)))
    source = FactSource(unit=CallItem(call, operation, "", notes).must("OrganId"), at=at, message=message)
    match operation:
        case "SyncDossiers":
            facts, about = (
                states.read_dossier_states(call, source, codes, notes),
                read_call_items(call, "HoSo", notes, "MaHoSo"),
            )
        case "UpdateDossierProgress":
            facts, about = (
                steps.read_dossier_steps(call, source, codes, notes),
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
        keys=keys,  # monthly figures are not about one dossier
        subject=f"{len(keys)} hồ sơ" if len(keys) > 1 else next(iter(keys), facts[0].key if facts else ""),
        facts=facts,
        deviations=tuple(notes.tolerated),
    )


SERVICE = Service(
    name=NAME,
    read=read_dossier_call,
    operations=frozenset(KINDS),
    queries=frozenset({"GetDossier"}),
    milestones=frozenset([
        "received", "refused", "supplement-requested", "supplemented", "supplement-requested-again", "supplemented-again",
        "payment-requested", "paused", "finished", "withdrawn", "returned", "synced", TAKEN_OVER, HANDED_OVER,
        REGISTERED, PASSED_ON,
        *WAITS, *RESUMES, *online.MILESTONES, *statistic.DECLARED.values(),
    ]),
    attributes=frozenset([
        "applicant", "channel", "competent", "field", "field_name", "level", "outcome", "place", "procedure", "reason",
    ]),
    undelivered_kinds=frozenset(["statistic"]),  # no other system has a service for monthly figures
    synced="synced",
)  # fmt: skip
