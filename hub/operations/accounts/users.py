"""Stores the users of the console: names, roles, limits and password hashes. Contains no browser.

Each function is one step of a transaction. Each change writes an event that names who made it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TypeVar

import attrs
import sqlalchemy as sa

from hub.config import ANY
from hub.domain.model import Event
from hub.journal import events, unit_registry
from hub.operations.accounts import saved_searches
from hub.operations.accounts.permissions import Permission, Role
from hub.report.counting.family import list_unit_family
from hub.store import transactions
from hub.store.tables import (
    console_certificate,
    console_code_wait,
    console_identity,
    console_session,
    console_totp,
    console_user,
)
from hub.store.transactions import Transaction
from hub.units.deeds import Estate
from hub.units.heirs import find_forebears, find_heirs
from hub.units.unit_index import UnitIndex

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)


@attrs.frozen(kw_only=True)
class User:
    """A person who may sign in."""

    name: str
    role: Role
    units: tuple[str, ...]  #: unit codes, each including the units below it, or `*`
    partners: tuple[str, ...] = (ANY,)  #: codes of the partners whose messages and deliveries it sees, or `*`
    added_at: datetime
    changed_at: datetime  #: when the password was set last
    must_change: bool = False  #: somebody else has set the password: the user must change it before anything else
    locked_at: datetime | None = None  #: since when the user may not sign in
    signed_in_at: datetime | None = None  #: the last sign-in
    #: the day on which it looks, in Hà Nội, so that deeds of succession count; None: they do not
    day: date | None = attrs.field(default=None, eq=False)

    @property
    def sees_all(self) -> bool:
        """Whether the user sees every unit, including units that the registry does not contain."""
        return ANY in self.units

    @property
    def visible_partners(self) -> tuple[str, ...] | None:
        """The partners whose messages and deliveries the user sees; None: all, also those that are not configured."""
        return None if ANY in self.partners else self.partners

    @property
    def is_unlimited(self) -> bool:
        """Whether the user sees every unit and every partner."""
        return self.sees_all and self.visible_partners is None

    def sees_partner(self, code: str | None) -> bool:
        """Tell whether the user sees what concerns the partner *code* (None: a caller that is no partner)."""
        return ANY in self.partners or code in self.partners

    def keep_visible(self, partners: Mapping[str, T]) -> dict[str, T]:
        """Return those of *partners*, by code, that the user sees."""
        return {code: each for code, each in partners.items() if self.sees_partner(code)}

    def may(self, what: Permission) -> bool:
        """Tell whether the user's role has the permission *what*."""
        return self.role.may(what)


class NameUnfit(ValueError):
    """The text is not a valid user name."""


def normalise_user_name(text: str) -> str:
    """Return the user name in *text*, in lower case. Raises `NameUnfit`."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise NameUnfit(text)
    return name


def list_users(tx: Transaction) -> list[User]:
    """Return all users, sorted by name."""
    return sorted(map(_read_user, tx.execute(sa.select(console_user)).mappings()), key=lambda user: user.name)


def find_users(tx: Transaction, names: Sequence[str]) -> list[User]:
    """Return the users with these *names*, sorted by name."""
    query = sa.select(console_user).where(console_user.c.name.in_(names)).order_by(console_user.c.name)
    return list(map(_read_user, tx.execute(query).mappings()))


def has_users(tx: Transaction) -> bool:
    """Tell whether there is any user."""
    return tx.execute(sa.select(sa.literal(1)).select_from(console_user).limit(1)).first() is not None


def find_user(tx: Transaction, name: str) -> User | None:
    """Return the user *name*, or None."""
    row = tx.execute(sa.select(console_user).where(console_user.c.name == name)).mappings().first()
    return None if row is None else _read_user(row)


def read_password_hash(tx: Transaction, name: str, *, to_move: bool = False) -> str | None:
    """Return a user's password hash, or None if there is no such user.

    With *to_move*, the row is locked against a change until the transaction ends.
    """
    query = sa.select(console_user.c.password).where(console_user.c.name == name)
    return tx.scalars(query.with_for_update() if to_move else query).first()


def find_unknown_units(tx: Transaction, units: Iterable[str]) -> list[str]:
    """Return the codes in *units* that the registry does not contain."""
    held = {unit.code for unit in unit_registry.list_unit_histories(tx)}
    return [code for code in units if code != ANY and code not in held]


def add_user(tx: Transaction, user: User, hashed: str, *, by: str, now: datetime) -> bool:
    """Add *user* with a password hash. Return False if the name is taken."""
    row = attrs.asdict(user) | _write_limits(user) | {"password": hashed}
    if not transactions.insert_missing_rows(tx, console_user, [row]):
        return False
    events.append_events(tx, Event("user-added", now, None, None, _tell_limits(user) | {"by": by}))
    return True


def change_user(tx: Transaction, user: User, *, by: str, now: datetime) -> bool:
    """Give the user the role, units and partners of *user*. Return False if there is no such user.

    The open sessions of the user go on, with the new limits.
    """
    where = console_user.c.name == user.name
    changed = tx.execute(sa.update(console_user).where(where).values(_write_limits(user))).rowcount
    if changed:
        events.append_events(tx, Event("user-changed", now, None, None, _tell_limits(user) | {"by": by}))
    return bool(changed)


def _write_limits(user: User) -> dict[str, str]:
    """Return the columns of what the user may do, and to what."""
    return {"role": str(user.role), "units": json.dumps(user.units), "partners": json.dumps(user.partners)}


def _tell_limits(user: User) -> dict[str, object]:
    said: dict[str, object] = {"user": user.name, "role": str(user.role), "units": list(user.units)}
    return said if ANY in user.partners else said | {"partners": list(user.partners)}


def change_password(
    tx: Transaction,
    name: str,
    hashed: str,
    *,
    by: str,
    now: datetime,
    was: str | None = None,
    must_change: bool = False,
) -> bool:
    """Replace a user's password hash and end all sessions of the user. Return False if there is no such user.

    With *was*, the hash is replaced only if it is still *was*: of two concurrent changes, one succeeds. With
    *must_change* the user must change it after the next sign-in.
    """
    where = [console_user.c.name == name, *([console_user.c.password == was] if was is not None else [])]
    values = {"password": hashed, "changed_at": now, "must_change": must_change}
    changed = tx.execute(sa.update(console_user).where(*where).values(values)).rowcount
    if changed:
        ended = end_sessions(tx, name)
        said: dict[str, object] = {"user": name, "sessions": ended, "by": by}
        if must_change:
            said["must_change"] = True
        events.append_events(tx, Event("user-password-changed", now, None, None, said))
    return bool(changed)


def remove_user(tx: Transaction, name: str, *, by: str, now: datetime) -> bool:
    """Remove a user with the saved searches, codes, certificates and persons at providers, and end the user's sessions.

    Return False if there is none.
    """
    ended = end_sessions(tx, name)
    for table in (console_totp, console_certificate, console_identity):
        tx.execute(sa.delete(table).where(table.c.name == name))
    saved_searches.remove_all_searches(tx, name)
    removed = tx.execute(sa.delete(console_user).where(console_user.c.name == name)).rowcount
    if removed:
        events.append_events(tx, Event("user-removed", now, None, None, {"user": name, "sessions": ended, "by": by}))
    return bool(removed)


def lock_user(tx: Transaction, name: str, *, by: str, now: datetime) -> bool:
    """Let the user not sign in any more, and end the user's sessions. Return False if there is none that is not locked."""
    where = console_user.c.name == name, console_user.c.locked_at.is_(None)
    locked = tx.execute(sa.update(console_user).where(*where).values(locked_at=now)).rowcount
    if locked:
        said = {"user": name, "sessions": end_sessions(tx, name), "by": by}
        events.append_events(tx, Event("user-locked", now, None, None, said))
    return bool(locked)


def unlock_user(tx: Transaction, name: str, *, by: str, now: datetime) -> bool:
    """Let a locked user sign in again. Return False if there is none."""
    where = console_user.c.name == name, console_user.c.locked_at.is_not(None)
    unlocked = tx.execute(sa.update(console_user).where(*where).values(locked_at=None)).rowcount
    if unlocked:
        events.append_events(tx, Event("user-unlocked", now, None, None, {"user": name, "by": by}))
    return bool(unlocked)


def note_sign_in(tx: Transaction, name: str, now: datetime) -> None:
    """Write the time of the user's last sign-in."""
    tx.execute(sa.update(console_user).where(console_user.c.name == name).values(signed_in_at=now))


def read_visible_units(tx: Transaction, user: User) -> frozenset[str] | None:
    """Return the units visible to *user*: its own and those that stand below them on its day, also if they have ended or
    not begun; None for every unit. A unit that has moved away is not among them.

    On its day it also sees the units whose work these continue, and what its own units hand over their people to.
    """
    if user.sees_all:
        return None
    histories = unit_registry.list_unit_histories(tx)
    units = [unit.at(user.day or date.max) for unit in histories]
    own = [unit_registry.resolve_unit_code(tx, code, date.max) for code in user.units]
    day = user.day
    if day is None or not any(unit.successors and unit.until and unit.until <= day for unit in histories):
        return frozenset(code for each in own for code in list_unit_family(units, each))
    index = UnitIndex.of(histories, day, unit_registry.list_registry_deeds(tx))
    own += [heir for code in own for heir in find_heirs(index, code, day, Estate.OFFICIALS)]
    seen = {code for each in own for code in list_unit_family(units, each)}
    return frozenset(seen.union(*(find_forebears(index, code, day) for code in seen)))


def end_sessions(tx: Transaction, name: str) -> int:
    """End all sessions of a user, and the sign-ins that wait for a code. Return the number of sessions."""
    tx.execute(sa.delete(console_code_wait).where(console_code_wait.c.name == name))
    return tx.execute(sa.delete(console_session).where(console_session.c.name == name)).rowcount


def _read_user(row: sa.RowMapping) -> User:
    return User(
        name=row["name"],
        role=Role(row["role"]),
        units=tuple(json.loads(row["units"])),
        partners=tuple(json.loads(row["partners"])),
        added_at=row["added_at"],
        changed_at=row["changed_at"],
        must_change=row["must_change"],
        locked_at=row["locked_at"],
        signed_in_at=row["signed_in_at"],
    )
