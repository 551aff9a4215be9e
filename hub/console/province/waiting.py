"""Lists the reports that wait for a clerk: of the last ended month, closed with facts, and not wholly signed yet or returned.

Reads the journal and changes nothing. Other roles have no step to do, so nothing waits for them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.domain.model import HUB, ReportState
from hub.journal import unit_registry
from hub.journal.searching import message_reading
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.report.counting.family import list_unit_family
from hub.report.form.book import Book
from hub.report.form.form import Form
from hub.report.form.period import Period, find_month_containing
from hub.services import reports
from hub.store.tables import closed_row
from hub.store.transactions import Transaction
from hub.workload import closing_plan, revisions, spikes
from hub.workload.revisions import EarlyStep
from hub.workload.spikes import FoundSpikes

#: Units of an account whose reports are looked at.
_UNITS = 20
#: States in which a clerk has the next step.
_OURS = frozenset({EarlyStep.READY, ReportState.CLOSED, ReportState.DRAFTED, ReportState.RETURNED})


@attrs.frozen(kw_only=True)
class WaitingReport:
    """A report whose next step is the clerk's."""

    form: Form
    unit: str
    name: str  #: of the unit
    period: Period
    step: EarlyStep | ReportState
    unusual: int = 0  #: the number of figures that were unusual at the closing


def list_waiting_reports(tx: Transaction, user: User, book: Book, now: datetime) -> Sequence[WaitingReport]:
    """Return the reports of the last ended month that wait for *user*, unit by unit."""
    if user.sees_all or not (user.role.is_official and user.may(Permission.SIGN)):
        return ()
    month = find_month_containing(find_month_containing(now, book.cuts).start - timedelta(seconds=1), book.cuts)
    units = unit_registry.list_registry_units(tx, month.last)
    names = {unit.code: unit.name for unit in units}
    own = [unit_registry.resolve_unit_code(tx, unit, month.last) for unit in user.units[:_UNITS]]
    found, spiking = [], dict[str, FoundSpikes]()
    for unit in dict.fromkeys(own):
        family = list_unit_family(units, unit, month.last + timedelta(days=1))
        for form in _list_closed_forms(tx, book, family, month):
            step = _find_step(tx, unit, form, month)
            if step in _OURS:
                named = names.get(unit, unit)
                if form.id not in spiking:
                    spiking[form.id] = spikes.read_spikes(tx, form.id, month.text)
                unusual = len(spiking[form.id].select(frozenset(family)).named)
                found.append(WaitingReport(form=form, unit=unit, name=named, period=month, step=step, unusual=unusual))
    return found


def _list_closed_forms(tx: Transaction, book: Book, family: Sequence[str], month: Period) -> Iterator[Form]:
    """Yield the forms whose closed *month* has facts of a unit of *family*."""
    forms = {form.id: form for form in book.forms}
    counting = closing_plan.list_counting_forms(book.forms)
    closed = sa.and_(closed_row.c.form.in_(counting), closed_row.c.period == month.text, closed_row.c.facts > 0)
    query = sa.select(closed_row.c.form).where(closed, closed_row.c.unit.in_(family)).distinct()
    yield from (forms[form] for form in sorted(tx.scalars(query)))


def _find_step(tx: Transaction, unit: str, form: Form, month: Period) -> EarlyStep | ReportState:
    first = revisions.name_revision(reports.NAME, form.id, unit, month.text, 1)
    if message_reading.find_accepted_message(tx, HUB, first) is None:  # by an index, unlike the list of revisions
        return EarlyStep.READY
    return revisions.list_revisions(tx, unit, form.id, month.text)[-1].state
