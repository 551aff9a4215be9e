"""Facts: each result counted once for one unit.  Knows what a message row yields and how facts are kept; not the forms.

Rules: design.md «Facts».  A fact's key is (unit, service, business key, milestone); the first of a key wins.  Each fact is told of by
the event `fact-recorded`, with all of it: whoever reads the events alone can count what the hub counts.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub import events, store
from hub.model import Event, Fact, Kind, Standing
from hub.schema import fact as table
from hub.store import Transaction

_SENT = {
    Kind.DOCUMENT: "sent",
    Kind.RECALL: "sent-recall",
    Kind.UPDATE: "sent-update",
    Kind.REPLACEMENT: "sent-replacement",
}

_TOLD = tuple(field.name for field in attrs.fields(Fact) if field.name not in {"at", "message"})


def business_key(organ: str, document_id: str, *, packet: str | None = None) -> str:
    """Return the key of a document: its From unit and edXML DocumentId, and the packet's SHA-256 for what changes it."""
    return json.dumps([organ, document_id, *([packet] if packet else [])], ensure_ascii=False, separators=(",", ":"))


def sent(row: sa.RowMapping, recipients: Iterable[str], *, outside: bool) -> Fact:
    """Return the fact that the From unit sent the document *row*; *outside* when any recipient is not the province's."""
    return attrs.evolve(
        _of_document(row), milestone=_SENT[Kind(row["kind"])], counterpart=" ".join(recipients), outside=outside
    )


def received(row: sa.RowMapping, unit: str, at: datetime) -> Fact:
    """Return the fact that *unit* got the document *row*."""
    return attrs.evolve(
        _of_document(row), unit=unit, milestone="received", at=at, counterpart=row["sender"], outside=row["outside"]
    )


def failed(row: sa.RowMapping, recipient: str, at: datetime) -> Fact:
    """Return the fact that a delivery of the document *row* to *recipient* died."""
    return attrs.evolve(_of_document(row), milestone="failed", at=at, counterpart=recipient)


def _of_document(row: sa.RowMapping) -> Fact:
    changes = row["kind"] != Kind.DOCUMENT  # no status ever joins the key of a change, so it has no DueDate to miss
    return Fact(
        unit=row["sender"],
        service=row["service"],
        key=business_key(row["sender"], row["document_id"], packet=row["sha256"] if changes else None),
        milestone="",
        at=row["received_at"],
        message=row["id"],
        document_type=row["document_type"],
        paper=row["paper"],
        signature=row["signature"] or Standing.UNSIGNED,  # a message from before packets were looked at has none
        due=None if changes else row["due"],
    )


def write(tx: Transaction, facts: Iterable[Fact]) -> int:
    """Write *facts*, each with its event; one whose key is taken is left as it was.  Returns how many were new."""
    new = [fact for fact in facts if store.put_once(tx, table, [attrs.asdict(fact)])]
    events.append(tx, *map(recorded, new))
    return len(new)


def recorded(fact: Fact) -> Event:
    """Return the event that tells of *fact*; its `at` and `message` are the fact's."""
    body = attrs.asdict(fact) | {"due": fact.due.isoformat() if fact.due else None}
    return Event("fact-recorded", fact.at, fact.message, None, {key: body[key] for key in _TOLD})


def facts(
    tx: Transaction,
    *,
    units: Collection[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Fact]:
    """Yield facts in the order of their time: of *units* (None: all), `since` inclusive, `until` exclusive."""
    query = sa.select(table).order_by(table.c.at, table.c.message, table.c.unit, table.c.milestone)
    if since is not None:
        query = query.where(table.c.at >= since)
    if until is not None:
        query = query.where(table.c.at < until)
    wanted = None if units is None else frozenset(units)
    with tx.execute(query.execution_options(yield_per=1000)) as rows:
        for row in rows.mappings():
            if wanted is None or row["unit"] in wanted:
                yield Fact(**row)
