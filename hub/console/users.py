"""The people who may sign in: their names, roles, units and passwords, as the journal keeps them.  Knows one table; no browser.

Each function is one step of one transaction, and what it changes is told by an event with who did it.
"""

import json
import re
from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum

import attrs
import sqlalchemy as sa

from hub.config import ANY
from hub.domain.model import Event
from hub.journal import events, unit_registry
from hub.report.counting.family import list_unit_family
from hub.store import transactions
from hub.store.tables import console_session, console_user
from hub.store.transactions import Transaction

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)


class Role(StrEnum):
    """What a user may do."""

    READER = "reader"  #: reads the reports of its units, and the messages behind them
    CLERK = "clerk"  #: also declares figures and hands in signed reports for its units
    OPERATOR = "operator"  #: sees every unit, and refused messages


@attrs.frozen(kw_only=True)
class User:
    """One person."""

    name: str
    role: Role
    units: tuple[str, ...]  #: codes, each with those below it, or `*`
    added_at: datetime
    changed_at: datetime  #: the password

    @property
    def sees_all(self) -> bool:
        """Whether every unit is open to it, known to the registry or not."""
        return self.role is Role.OPERATOR or ANY in self.units


class NameUnfit(ValueError):
    """The text is no user's name."""


def normalise_user_name(text: str) -> str:
    """Return the user's name that *text* means; capital letters are small ones.  Raises `NameUnfit`."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise NameUnfit(text)
    return name


def list_users(tx: Transaction) -> list[User]:
    """Return all, by name."""
    return sorted(map(_read, tx.execute(sa.select(console_user)).mappings()), key=lambda user: user.name)


def has_users(tx: Transaction) -> bool:
    """Tell whether there is any."""
    return tx.execute(sa.select(sa.literal(1)).select_from(console_user).limit(1)).first() is not None


def find_user(tx: Transaction, name: str) -> User | None:
    """Return the user *name*; None when there is none."""
    row = tx.execute(sa.select(console_user).where(console_user.c.name == name)).mappings().first()
    return None if row is None else _read(row)


def read_password_hash(tx: Transaction, name: str, *, to_move: bool = False) -> str | None:
    """Return the hash of a user's password, locked against a change when something is *to move*; None when there is no such user."""
    query = sa.select(console_user.c.password).where(console_user.c.name == name)
    return tx.scalars(query.with_for_update() if to_move else query).first()


def find_unknown_units(tx: Transaction, units: Iterable[str]) -> list[str]:
    """Return those of *units* that the registry does not hold."""
    held = {unit.code for unit in unit_registry.list_registry_units(tx)}
    return [code for code in units if code != ANY and code not in held]


def add_user(tx: Transaction, user: User, hashed: str, *, by: str, now: datetime) -> bool:
    """Add *user* with the hash of a password.  False when the name is taken."""
    row = attrs.asdict(user) | {"units": json.dumps(user.units), "role": str(user.role), "password": hashed}
    if not transactions.put_once(tx, console_user, [row]):
        return False
    said = {"user": user.name, "role": str(user.role), "units": list(user.units), "by": by}
    events.append_events(tx, Event("user-added", now, None, None, said))
    return True


def change_password(tx: Transaction, name: str, hashed: str, *, by: str, now: datetime, was: str | None = None) -> bool:
    """Keep another password's hash, and end every session of the user.  False when there is no such user.

    With *was*, only while that is the hash that is kept: of two changes at once, one is made.
    """
    where = [console_user.c.name == name, *([console_user.c.password == was] if was is not None else [])]
    changed = tx.execute(sa.update(console_user).where(*where).values(password=hashed, changed_at=now)).rowcount
    if changed:
        ended = _end_sessions(tx, name)
        said = {"user": name, "sessions": ended, "by": by}
        events.append_events(tx, Event("user-password-changed", now, None, None, said))
    return bool(changed)


def remove_user(tx: Transaction, name: str, *, by: str, now: datetime) -> bool:
    """Remove a user and end its sessions.  False when there is none."""
    ended = _end_sessions(tx, name)
    removed = tx.execute(sa.delete(console_user).where(console_user.c.name == name)).rowcount
    if removed:
        events.append_events(tx, Event("user-removed", now, None, None, {"user": name, "sessions": ended, "by": by}))
    return bool(removed)


def read_visible_units(tx: Transaction, user: User) -> frozenset[str] | None:
    """Return the units that are open to *user*: its own and all that are, were or will be below them; None: every unit."""
    if user.sees_all:
        return None
    units = unit_registry.list_registry_units(tx)
    return frozenset(
        code
        for own in user.units
        for code in list_unit_family(units, unit_registry.resolve_unit_code(tx, own, date.max))
    )


def _end_sessions(tx: Transaction, name: str) -> int:
    return tx.execute(sa.delete(console_session).where(console_session.c.name == name)).rowcount


def _read(row: sa.RowMapping) -> User:
    return User(
        name=row["name"],
        role=Role(row["role"]),
        units=tuple(json.loads(row["units"])),
        added_at=row["added_at"],
        changed_at=row["changed_at"],
    )
