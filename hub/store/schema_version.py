"""Which program runs on which version of the schema, and bringing a database there in two parts.  Knows migrations, not tables.

A migration says its *part*.  `before` only adds: programs that do not know it go on working beside those that do.  `after`
takes away what older programs need, so it runs when none of them is left.  The table `upgrade` keeps what was applied: an older
program finds there whether something was taken from it that a newer one, which it cannot ask, had no need of.
"""

from collections.abc import Sequence

import attrs
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, MigrationInfo

from hub.store import transactions
from hub.store.tables import upgrade as table
from hub.store.transactions import Transaction

BEFORE, AFTER = "before", "after"


@attrs.frozen
class MigrationStep:
    """One migration of this program."""

    version: str
    part: str


def list_migration_steps() -> list[MigrationStep]:
    """Return this program's migrations, the first one first."""
    return [MigrationStep(version, part) for version, part in transactions.list_migrations()]


def runs_on(known: Sequence[MigrationStep], found: str | None, least: str | None) -> bool:
    """Tell whether a program with the migrations *known* runs on a database of version *found*.

    Of its own migrations only trailing `after` parts may be missing.  A version it does not know is newer: it runs there unless
    something was taken away since, that is unless *least*, the last `after` part applied, is newer than the program.
    """
    versions = [step.version for step in known]
    if found not in versions:
        return found is not None and found.isdigit() and least is not None and least in versions
    return all(step.part == AFTER for step in known[versions.index(found) + 1 :])


def fits_schema(tx: Transaction) -> bool:
    """Tell whether this program runs on the database of *tx*."""
    return runs_on(list_migration_steps(), transactions.version_in(tx), read_least_version(tx))


def read_least_version(tx: Transaction) -> str | None:
    """Return the last version that took something away: older programs do not run.  None where nothing is known of it."""
    if not sa.inspect(tx).has_table(table.name):
        return None
    return tx.scalars(sa.select(sa.func.max(table.c.version)).where(table.c.part == AFTER)).first()


def note_migration(ctx: MigrationContext, step: MigrationInfo, heads: object, run_args: object) -> None:
    """Write down the part of a migration that was just applied, as Alembic tells of it."""
    if ctx.connection is None or not sa.inspect(ctx.connection).has_table(table.name):
        return
    parts = dict(transactions.list_migrations())
    rows = [{"version": version, "part": parts[version]} for version in step.destination_revision_ids]
    transactions.put_once(ctx.connection, table, rows)


def list_pending_migrations(known: Sequence[MigrationStep], found: str | None) -> list[MigrationStep]:
    """Return the migrations that a database of version *found* lacks; none when it is newer than this program."""
    versions = [step.version for step in known]
    if found is None:
        return list(known)
    return list(known[versions.index(found) + 1 :]) if found in versions else []


def choose_target_version(known: Sequence[MigrationStep], found: str | None, part: str | None) -> str | None:
    """Return the version to bring a database of version *found* to; None when there is nothing to do.

    *part* `before`: as far as old programs go on working.  `after`, or None: to the end.
    """
    todo = list_pending_migrations(known, found)
    if part == BEFORE:
        lengths = [number for number, step in enumerate(todo) if step.part == AFTER]
        todo = todo[: lengths[0]] if lengths else todo
    return todo[-1].version if todo else None


def takes_away(known: Sequence[MigrationStep], found: str | None, target: str) -> bool:
    """Tell whether bringing a database of version *found* to *target* applies an `after` part."""
    return any(step.part == AFTER for step in list_pending_migrations(known, found) if step.version <= target)
