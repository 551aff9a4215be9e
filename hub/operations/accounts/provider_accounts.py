"""Keeps which person at an OpenID provider is which user. Contains one table; knows no tokens and no HTTP.

A person is named by the issuer and the value of the claim that the provider's settings name, by default `sub`, which
the provider never gives to another one (OpenID Connect Core 1.0, section 5.7). Only an operator binds one to a user.
"""

from collections.abc import Mapping
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import events
from hub.operations.accounts import users
from hub.store import transactions
from hub.store.tables import console_identity as table
from hub.store.transactions import Transaction


@attrs.frozen
class ProviderPerson:
    """A person as a provider names it."""

    issuer: str
    claim: str  #: the claim that has the subject
    subject: str

    def tell(self) -> dict[str, str]:
        """Return the fields of an event about the person."""
        return attrs.asdict(self)


def find_provider_user(tx: Transaction, person: ProviderPerson) -> str | None:
    """Return the name of the user who is *person*, or None."""
    return tx.scalar(sa.select(table.c.name).where(*_is_person(person)))


def list_persons(tx: Transaction, name: str | None = None) -> Mapping[str, list[ProviderPerson]]:
    """Return the persons by name of their user; with *name* only those of that user."""
    found: dict[str, list[ProviderPerson]] = {}
    query = sa.select(table).order_by(table.c.name, table.c.issuer, table.c.claim, table.c.subject)
    for row in tx.execute(query if name is None else query.where(table.c.name == name)):
        found.setdefault(row.name, []).append(ProviderPerson(row.issuer, row.claim, row.subject))
    return found


def bind_person(tx: Transaction, name: str, person: ProviderPerson, *, by: str, now: datetime) -> bool:
    """Let *person* sign in as the user *name*. Return False if there is no such user, or the person is another one."""
    if users.find_user(tx, name) is None:
        return False
    row = {**person.tell(), "name": name, "added_at": now}
    if not transactions.insert_missing_rows(tx, table, [row]):
        return find_provider_user(tx, person) == name
    events.append_events(tx, Event("user-identity-added", now, None, None, {"user": name, **person.tell(), "by": by}))
    return True


def unbind_person(tx: Transaction, name: str, issuer: str, subject: str, *, by: str, now: datetime) -> bool:
    """Let the person sign in no longer, whatever the claim, and end the user's sessions. Return False if it did not."""
    ours = (table.c.issuer == issuer, table.c.subject == subject, table.c.name == name)
    removed = tx.execute(sa.delete(table).where(*ours)).rowcount
    if removed:
        said = {"user": name, "issuer": issuer, "subject": subject, "sessions": users.end_sessions(tx, name), "by": by}
        events.append_events(tx, Event("user-identity-removed", now, None, None, said))
    return bool(removed)


def _is_person(person: ProviderPerson) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.issuer == person.issuer, table.c.claim == person.claim, table.c.subject == person.subject)
