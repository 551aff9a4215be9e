"""Decides which program may run on which schema version, and plans an upgrade in two parts.

Each migration declares its *part*. A `before` migration only adds, so programs that do not know it keep working beside
newer ones. An `after` migration removes what older programs need, so it may run only when no older program is left. The
table `upgrade` records the migrations that were applied and their part. An older program reads there whether a newer
migration, which it does not have, removed something. This module knows migrations, not tables.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import attrs
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, MigrationInfo

from hub.language.phrases import Phrase, phrase
from hub.store import transactions
from hub.store.tables import upgrade as table
from hub.store.transactions import Transaction


class MigrationPart(StrEnum):
    """When a migration is applied."""

    BEFORE = "before"  #: it only adds: programs that do not know it keep working
    AFTER = "after"  #: it needs all nodes to run a program that knows it


@attrs.frozen
class MigrationStep:
    """One migration of this program."""

    version: str  #: such as `0009`
    part: MigrationPart


def list_migration_steps() -> list[MigrationStep]:
    """Return this program's migrations, oldest first."""
    return [MigrationStep(version, MigrationPart(part)) for version, part in transactions.list_migrations()]


def is_version_supported(known: Sequence[MigrationStep], found: str | None, least: str | None) -> bool:
    """Tell whether a program with the migrations *known* runs on a database at version *found*.

    Of its own migrations, only `after` parts at the end may be missing. A version that the program does not know is
    newer. The program runs there unless something was removed since: *least*, the last `after` part applied, must be no
    later than what it knows.
    """
    versions = [step.version for step in known]
    if found not in versions:
        return _is_newer(known, found) and least is not None and least <= versions[-1]
    return all(step.part == MigrationPart.AFTER for step in known[versions.index(found) + 1 :])


def _is_newer(known: Sequence[MigrationStep], found: str | None) -> bool:
    return found is not None and found.isdigit() and found > known[-1].version


def find_way_to_upgrade(known: Sequence[MigrationStep], found: str) -> Phrase | None:
    """Return what to do with a database at version *found* if it is older, and a program with the migrations *known* does not upgrade it."""
    needed = [step.version for step in known if step.version >= found]
    if not found.isdigit() or _is_newer(known, found) or needed[0] == found:
        return None
    return phrase(
        "the journal has version {found}, of an internal build from which this program does not upgrade: first run "
        "`lienthong db upgrade` with the build of version {needed} (0050: 2026.11.0; 0066: the last one before 2026.12.0), "
        "then with this program",
        found=found,
        needed=needed[0],
    )


def is_schema_supported(tx: Transaction) -> bool:
    """Tell whether this program runs on the database of *tx*."""
    return is_version_supported(list_migration_steps(), transactions.select_schema_version(tx), read_least_version(tx))


def read_least_version(tx: Transaction) -> str | None:
    """Return the last version that removed something, the oldest that a program must know. None if none is recorded."""
    if not sa.inspect(tx).has_table(table.name):
        return None
    return tx.scalars(sa.select(sa.func.max(table.c.version)).where(table.c.part == MigrationPart.AFTER)).first()


def list_applied_migrations(tx: Transaction) -> list[MigrationStep]:
    """Return the migrations that were applied to the database of *tx* and noted there, the newest first."""
    rows = tx.execute(sa.select(table.c.version, table.c.part).order_by(table.c.version.desc()))
    return [MigrationStep(row.version, MigrationPart(row.part)) for row in rows]


def note_migration(ctx: MigrationContext, step: MigrationInfo, heads: object, run_args: object) -> None:
    """Record the part of a migration that was just applied. Alembic calls this as `on_version_apply`."""
    assert ctx.connection is not None
    _note_versions(ctx.connection, step.destination_revision_ids)


def note_new_journal(tx: Transaction) -> None:
    """Record all migrations of this program: they have nothing to do in a journal that was just made."""
    _note_versions(tx, [version for version, _ in transactions.list_migrations()])


def _note_versions(tx: Transaction, versions: Iterable[str]) -> None:
    parts = dict(transactions.list_migrations())
    transactions.insert_missing_rows(tx, table, [{"version": each, "part": parts[each]} for each in versions])


def list_pending_migrations(known: Sequence[MigrationStep], found: str | None) -> list[MigrationStep]:
    """Return the migrations that a database at version *found* lacks. Empty if it is newer than this program."""
    versions = [step.version for step in known]
    if found is None:
        return list(known)
    return list(known[versions.index(found) + 1 :]) if found in versions else []


def choose_target_version(known: Sequence[MigrationStep], found: str | None, part: str | None) -> str | None:
    """Return the version to upgrade a database at version *found* to, or None if there is nothing to do.

    *part* `before` stops ahead of the first `after` migration, so that old programs keep working. `after` or None goes
    to the end.
    """
    todo = list_pending_migrations(known, found)
    if part == MigrationPart.BEFORE:
        lengths = [number for number, step in enumerate(todo) if step.part == MigrationPart.AFTER]
        todo = todo[: lengths[0]] if lengths else todo
    return todo[-1].version if todo else None


def applies_after_part(known: Sequence[MigrationStep], found: str | None, target: str) -> bool:
    """Tell whether an upgrade of a database at version *found* to *target* applies an `after` part."""
    return any(
        step.part == MigrationPart.AFTER for step in list_pending_migrations(known, found) if step.version <= target
    )
