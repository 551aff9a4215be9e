"""Keeps, reads and removes the sheets of the page at a glance. Does not know how they are counted.

A closing, or another revision of a closed row, removes the sheets of all periods with a day of that month, in the same
transaction. A sheet that was counted before is not kept after. So a kept
sheet of closed months is never older than their rows.
"""

import json
from collections.abc import Collection
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.report.form.period import Period
from hub.report.glance.sheet import GlanceSheet
from hub.store.tables import closed_row, closing
from hub.store.tables import glance_sheet as table
from hub.store.transactions import Transaction


@attrs.frozen
class KeptSheet:
    """What is known of a kept sheet without its numbers."""

    kept_at: datetime
    complete: bool


def read_sheets(tx: Transaction, form: str, periods: Collection[str]) -> dict[str, GlanceSheet]:
    """Return the kept sheets of *form* by period; periods without one are absent."""
    rows = tx.execute(sa.select(table).where(table.c.form == form, table.c.period.in_(list(periods))))
    return {
        row.period: GlanceSheet(
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
        )
        for row in rows
    }


def list_kept_sheets(tx: Transaction) -> dict[tuple[str, str], KeptSheet]:
    """Return what is known of each kept sheet, by form and period."""
    rows = tx.execute(sa.select(table.c.form, table.c.period, table.c.kept_at, table.c.complete))
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
    """Keep *sheet*, which is of *period*, in place of the one that is kept. Return False, and keep nothing, if a month was
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
    }
    tx.execute(sa.insert(table), [said])
    return True


def remove_sheets(tx: Transaction, month: Period) -> None:
    """Remove the sheets of every period that has a day of *month*."""
    tx.execute(sa.delete(table).where(table.c.first_day <= month.last, table.c.last_day >= month.first))
