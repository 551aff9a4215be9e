"""Reads the published reports for public pages: the newest revision of each, and its bytes. Reads rows of the journal.
Knows no page and no port.
"""

from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.domain.model import HUB, MessageState
from hub.journal import blobs
from hub.services.publications import NAME
from hub.store.tables import SEARCHED, message
from hub.store.transactions import Transaction

#: The maximum number of publications in one feed; the newest are kept.
MOST = 100


@attrs.frozen(kw_only=True)
class ReportPublication:
    """One published revision of a report."""

    form: str
    unit: str
    period: str
    revision: int
    at: datetime  #: when it was published
    title: str
    sha256: str  #: the SHA-256 of the sealed report


def list_publications(tx: Transaction) -> list[ReportPublication]:
    """Return the newest revision of each published report, the last published first, at most `MOST`."""
    rows = tx.execute(_make_published_query().order_by(message.c.received_at.desc(), message.c.id.desc()))
    newest: dict[tuple[str, str, str], ReportPublication] = {}
    for one in map(_read_publication, rows.mappings()):
        key = (one.form, one.unit, one.period)
        if key not in newest or newest[key].revision < one.revision:
            newest[key] = one
    return sorted(newest.values(), key=lambda each: each.at, reverse=True)[:MOST]


def find_publication(
    tx: Transaction, form: str, unit: str, period: str, revision: int | None = None
) -> ReportPublication | None:
    """Return the published revision *revision*, or the newest if it is None; None when there is no such publication."""
    begins = f"{NAME}/{form}/{unit}/{period}/"
    rows = tx.execute(
        _make_published_query().where(message.c.message_id.startswith(begins, autoescape=True))
    ).mappings()
    found = [one for one in map(_read_publication, rows) if (one.form, one.unit, one.period) == (form, unit, period)]
    wanted = [one for one in found if revision in {None, one.revision}]
    return max(wanted, key=lambda each: each.revision, default=None)


def read_published_report(tx: Transaction, publication: ReportPublication) -> bytes:
    """Return the bytes of the sealed report."""
    return blobs.read_blob(tx, publication.sha256)


def _make_published_query() -> sa.Select[tuple[str, str, str, datetime]]:
    query = sa.select(message.c.message_id, message.c.subject, message.c.sha256, message.c.received_at)
    hub_own = sa.and_(message.c.partner == HUB, message.c.state == MessageState.ACCEPTED, SEARCHED)
    return query.where(hub_own, message.c.service == NAME)


def _read_publication(row: sa.RowMapping) -> ReportPublication:
    _, form, rest = row["message_id"].split("/", 2)
    unit, period, revision = rest.rsplit("/", 2)  # split from the right: a unit's code is opaque and may contain "/"
    return ReportPublication(
        form=form,
        unit=unit,
        period=period,
        revision=int(revision),
        at=row["received_at"],
        title=row["subject"] or "",
        sha256=row["sha256"],
    )
