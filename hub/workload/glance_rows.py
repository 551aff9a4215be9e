"""Keeps, reads and removes the sheets of the page at a glance. Does not know how they are counted.

A sheet is sealed with the hub's own key. One that somebody edited in the database is never read: it is removed, told as
tampering and counted again. A closing, or another revision of a closed row, removes the sheets of all periods with a day of that month, in the same
transaction. A sheet that was counted before is not kept after. So a kept
sheet of closed months is never older than their rows.
"""

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import events
from hub.report.form.period import Period
from hub.report.glance.sheet import GlanceSheet
from hub.security.attesting import AttestationTrust, SignedStatement, is_believed, sign_statement
from hub.security.certificates import Signer
from hub.store.tables import closed_row, closing
from hub.store.tables import glance_sheet as table
from hub.store.transactions import Transaction

#: Sheets that are compared at once, of about 0.1 MB each.
TOGETHER = 12


@attrs.frozen
class KeptSheet:
    """What is known of a kept sheet without its numbers."""

    kept_at: datetime
    complete: bool


def read_sheets(
    tx: Transaction, form: str, periods: Collection[str], trust: AttestationTrust | None
) -> dict[str, GlanceSheet]:
    """Return the kept sheets of *form* by period; periods without one are absent, and those with one that somebody edited.
    Without *trust* seals are not looked at.
    """
    rows = tx.execute(sa.select(table).where(table.c.form == form, table.c.period.in_(list(periods))))
    return {row.period: sheet for row in rows if (sheet := _read_glance_row(row, trust)) is not None}


def find_forged_sheets(
    tx: Transaction, trust: AttestationTrust | None, after: tuple[str, str] = ("", "")
) -> tuple[list[tuple[str, str]], tuple[str, str]]:
    """Return form and period of those of the next `TOGETHER` sealed sheets that somebody edited, and the sheet after which to
    go on; ("", ""): from the first.
    """
    behind = sa.tuple_(table.c.form, table.c.period) > after
    query = sa.select(table).where(behind, table.c.seal != "").order_by(table.c.form, table.c.period).limit(TOGETHER)
    rows = tx.execute(query).all()
    forged = [(row.form, row.period) for row in rows if _read_glance_row(row, trust) is None]
    return forged, (rows[-1].form, rows[-1].period) if len(rows) == TOGETHER else ("", "")


def remove_forged_sheets(tx: Transaction, forged: Iterable[tuple[str, str]], now: datetime) -> None:
    """Remove the sheets *forged*, by form and period, and tell of it."""
    for form, period in forged:
        tx.execute(sa.delete(table).where(table.c.form == form, table.c.period == period))
        body = {"part": "sheet", "form": form, "period": period}
        events.append_events(tx, Event("tampering-found", now, body=body))


def _read_glance_row(row: sa.Row[Any], trust: AttestationTrust | None) -> GlanceSheet | None:
    """Return the sheet of *row*; None if somebody edited it, or nobody sealed it."""
    try:
        sheet = GlanceSheet(
            form=row.form,
            period=row.period,
            first=row.first_day,
            last=row.last_day,
            made_at=row.made_at,
            complete=row.complete,
            revision=row.revision,
            definition=row.definition,
            columns=tuple(json.loads(row.columns)),
            figures=row.figures,
            seal=row.seal,
        )
        if trust is not None:
            said = SignedStatement(_write_statement(sheet, row.kept_at), *sheet.seal.split(" "))
            return sheet if is_believed(trust, said, row.kept_at) else None
    except (ValueError, TypeError):
        return None
    return sheet


def seal_sheet(sheet: GlanceSheet, signer: Signer, now: datetime) -> GlanceSheet:
    """Return *sheet*, which is to be kept at *now*, with the hub's seal. Raises Unready if the key cannot be used now."""
    signed = sign_statement(signer, _write_statement(sheet, now))
    return attrs.evolve(sheet, seal=f"{signed.signature} {signed.certificate}")


def _write_statement(sheet: GlanceSheet, kept_at: datetime) -> str:
    """Return what the hub signs. No attestation is such a text."""
    return f"sheet {sheet.form} {sheet.period} {sheet.digest(kept_at)}"


def list_kept_sheets(tx: Transaction) -> dict[tuple[str, str], KeptSheet]:
    """Return what is known of each sheet that the hub sealed, by form and period."""
    rows = tx.execute(
        sa.select(table.c.form, table.c.period, table.c.kept_at, table.c.complete).where(table.c.seal != "")
    )
    return {(form, period): KeptSheet(*rest) for form, period, *rest in rows}


def read_stamp(tx: Transaction, forms: Collection[str], period: Period) -> str:
    """Return what changes when a month of *period* is closed in one of *forms*, or a row of it is revised: the number of
    closings and of rows. Neither is ever removed.
    """
    found = []
    for each in (closing, closed_row):
        mine = sa.and_(each.c.form.in_(list(forms)), each.c.period.in_(list(period.months)))
        found.append(tx.scalar(sa.select(sa.func.count()).select_from(each).where(mine)))
    return " ".join(map(str, found))


def keep_sheet(tx: Transaction, sheet: GlanceSheet, period: Period, now: datetime) -> bool:
    """Keep *sheet*, which is of *period* and was sealed at *now*, in place of the one that is kept. Return False, and keep nothing, if a month was
    closed or revised since it was counted.
    """
    if read_stamp(tx, (sheet.form, *sheet.bases), period) != sheet.stamp:
        return False
    tx.execute(sa.delete(table).where(table.c.form == sheet.form, table.c.period == sheet.period))
    said = {
        "form": sheet.form,
        "period": sheet.period,
        "first_day": sheet.first,
        "last_day": sheet.last,
        "made_at": sheet.made_at,
        "kept_at": now,
        "complete": sheet.complete,
        "revision": sheet.revision,
        "definition": sheet.definition,
        "columns": json.dumps(sheet.columns),
        "figures": sheet.figures,
        "seal": sheet.seal,
    }
    tx.execute(sa.insert(table), [said])
    return True


def remove_sheets(tx: Transaction, month: Period) -> None:
    """Remove the sheets of every period that has a day of *month*."""
    tx.execute(sa.delete(table).where(table.c.first_day <= month.last, table.c.last_day >= month.first))
