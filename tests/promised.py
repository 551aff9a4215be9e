"""Does the duties that a journal's receipts have promised, at once: for tests that have no service running."""

import sqlalchemy as sa

from hub.intake import duty_service
from hub.journal import duties
from hub.journal.queue import outstanding_effects
from hub.store import transactions
from hub.units.routing import Routes
from tests.province import NOW


def keep_promises(engine: sa.Engine, routes: Routes) -> int:
    """Do all that is outstanding, as `hub.intake.duty_service` does; return in how many transactions."""
    count = 0
    while step(engine, routes):
        count += 1
    return count


def step(engine: sa.Engine, routes: Routes) -> bool:
    """Do the next step of what is outstanding, in one transaction.  False when all is done."""
    with transactions.write_transaction(engine) as tx:
        return do_next(tx, routes)


def do_next(tx: transactions.Transaction, routes: Routes) -> bool:
    """Do the next step of what is outstanding.  False when all is done."""
    if outstanding_effects.write_next_effects(tx, NOW):
        return True
    of = duties.read_next_duty(tx)
    if of is None:
        return False
    if of.kind == duties.DutyKind.FACTS:
        return duties.write_next_slice(tx)
    found = duties.read_duty_content(tx, of)
    assert found is not None, "nobody else is at it"
    enclosed, slices = duty_service.read_duty_attachments(found, of, routes)
    return duties.record_enclosed_facts(tx, of, slices, [(each.attachment, each.problem) for each in enclosed.ignored])
