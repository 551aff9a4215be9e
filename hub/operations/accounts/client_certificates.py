"""Keeps which client certificate signs in which user. Contains one table; does not check certificates.

A certificate is named by the SHA-256 of its DER, so a renewed one is another one. It signs in one user.
"""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import events
from hub.operations.accounts import users
from hub.store import transactions
from hub.store.tables import console_certificate as table
from hub.store.transactions import Transaction


def find_certificate_user(tx: Transaction, sha256: str) -> str | None:
    """Return the name of the user whom the certificate with this *sha256* signs in, or None."""
    return tx.scalar(sa.select(table.c.name).where(table.c.sha256 == sha256))


def list_certificates(tx: Transaction) -> Mapping[str, list[str]]:
    """Return the certificates, by name of their user."""
    found: dict[str, list[str]] = {}
    for row in tx.execute(sa.select(table).order_by(table.c.name, table.c.sha256)):
        found.setdefault(row.name, []).append(row.sha256)
    return found


def add_certificate(tx: Transaction, name: str, sha256: str, *, by: str, now: datetime) -> bool:
    """Let the certificate sign in the user *name*. Return False if there is no such user, or it signs in another one."""
    if users.find_user(tx, name) is None:
        return False
    row = {"sha256": sha256, "name": name, "added_at": now}
    if not transactions.insert_missing_rows(tx, table, [row]):
        return find_certificate_user(tx, sha256) == name
    said = {"user": name, "certificate": sha256, "by": by}
    events.append_events(tx, Event("user-certificate-added", now, None, None, said))
    return True


def remove_certificate(tx: Transaction, name: str, sha256: str, *, by: str, now: datetime) -> bool:
    """Let the certificate not sign in the user *name* any more, and end the user's sessions.

    Return False if it did not.
    """
    removed = tx.execute(sa.delete(table).where(table.c.sha256 == sha256, table.c.name == name)).rowcount
    if removed:
        said = {"user": name, "certificate": sha256, "sessions": users.end_sessions(tx, name), "by": by}
        events.append_events(tx, Event("user-certificate-removed", now, None, None, said))
    return bool(removed)
