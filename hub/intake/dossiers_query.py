"""GetDossier: finds the messages about one dossier and checks that the caller may read them.

The dossiers service itself formats the answer.
"""

from collections.abc import Collection
from itertools import accumulate

from lxml import etree

from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import xsd_types
from hub.intake.endpoint import Case, JournalAccess
from hub.intake.records_endpoint import QueryCall
from hub.journal import blobs
from hub.journal.searching import message_reading
from hub.services.dossiers import history
from hub.services.dossiers.history import AcceptedMessage
from hub.services.dossiers.item import NAMESPACE
from hub.services.dossiers.results import NAME
from hub.store.transactions import Transaction
from hub.units.routing import ANY

#: Maximum messages of the history, and their octets, which are in memory together. The latest message is always
#: included.
MESSAGES, OCTETS = 100, 32 * 1024 * 1024


async def get_dossier(access: JournalAccess, case: Case) -> etree._Element:
    """Answer GetDossier. Raises CallRefused: `not-yours` for another system's unit, `dossier-unknown`."""
    asked, routes, partner = case.opened.call, case.province.routes, case.partner
    assert isinstance(asked, QueryCall)
    dossier, organ = _read_asked_text(asked, "MaHoSo"), _read_asked_text(asked, "OrganId")
    if organ:
        if not routes.may_send(partner.code, organ):
            raise CallRefused(Problem("not-yours", organ))
        units = [routes.canonical(organ)]
        brought_by = None if routes.stands_for(partner.code, organ) else partner.code
        unit, told = await access.journal.read(_find_told_steps, dossier, units, brought_by)
    else:
        units = [routes.canonical(unit) for unit in partner.units if unit != ANY]
        unit, told = await access.journal.read(_find_told_steps, dossier, units)
        if not told and ANY in partner.units:  # of all other units it sees only what it sent itself
            unit, told = await access.journal.read(_find_told_steps, dossier, None, partner.code)
    size = sum(len(each.content) for each in told)
    found = await access.work(case.owner, size, history.answer_get_dossier, unit, dossier, told)
    if found is None:
        raise CallRefused(Problem("dossier-unknown", " ".join(filter(None, (dossier, organ)))))
    return found


def _find_told_steps(
    tx: Transaction, dossier: str, units: Collection[str] | None, brought_by: str | None = None
) -> tuple[str, list[AcceptedMessage]]:
    """Return the unit among *units* (None: any) with the latest message about the dossier, and its messages about it.

    With *brought_by*, only messages that this partner sent.
    """
    rows = message_reading.find_messages_about(tx, NAME, dossier, units, MESSAGES, brought_by=brought_by)
    unit = rows[0]["sender"] if rows else ""
    own = [row for row in rows if row["sender"] == unit]
    together = accumulate(row["size"] for row in own)
    near = [row for row, octets in zip(own, together, strict=True) if octets <= OCTETS or row is own[0]]
    return unit, [AcceptedMessage(row["id"], row["received_at"], blobs.read_blob(tx, row["sha256"])) for row in near]


def _read_asked_text(asked: QueryCall, name: str) -> str:
    found = asked.child.find(f"{{{NAMESPACE}}}{name}")
    return "" if found is None else xsd_types.read_xs_token(found)
