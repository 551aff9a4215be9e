"""Keeps the secrets of one-time codes and judges codes (TOTP, RFC 6238). Contains one table, no passwords and no pages.

A code has six digits and changes every 30 s, by HMAC-SHA-1: other values are unknown to common apps. The codes of the
step before and the step after are accepted, for clocks that differ. Each step's code is accepted once: the last step
that was accepted is kept, and earlier ones are refused from then on (RFC 6238 section 5.2).

The journal holds the secret itself, since a code cannot be judged without it.
"""

import base64
from datetime import datetime

import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from hub.console import users
from hub.domain.model import Event
from hub.journal import events
from hub.store.tables import console_totp as table
from hub.store.transactions import Transaction

#: Octets of a secret (RFC 4226 section 4 recommends 160 bits), digits of a code, and seconds of a step.
SECRET, DIGITS, STEP = 20, 6, 30
#: Steps before and after the present one whose codes are accepted.
_AROUND = 1


def write_secret(octets: bytes) -> str:
    """Return the secret as people type it into an app: in base32."""
    return base64.b32encode(octets).decode("ascii")


def write_enrolment_address(secret: str, name: str, issuer: str) -> str:
    """Return the `otpauth:` address from which an app reads the *secret* of the account *name*."""
    return _make_codes(secret).get_provisioning_uri(name, issuer or None)


def find_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the time step whose code is *code*: the present one, or one beside it; None if it is none of these."""
    octets, codes = code.encode("utf-8", "surrogatepass"), _make_codes(secret)
    present = int(now.timestamp()) // STEP
    for step in range(present - _AROUND, present + _AROUND + 1):
        try:
            codes.verify(octets, step * STEP)
        except InvalidToken:
            continue
        return step
    return None


def has_codes(tx: Transaction, name: str) -> bool:
    """Tell whether the user *name* needs a code to sign in."""
    return tx.scalar(sa.select(table.c.name).where(table.c.name == name)) is not None


def list_users_with_codes(tx: Transaction) -> frozenset[str]:
    """Return the names of the users who need a code to sign in."""
    return frozenset(tx.scalars(sa.select(table.c.name)))


def enrol_user(tx: Transaction, name: str, secret: str, *, by: str, now: datetime) -> bool:
    """Give the user *name* a new *secret* and end the user's sessions. Return False if there is no such user."""
    if users.find_user(tx, name) is None:
        return False
    tx.execute(sa.delete(table).where(table.c.name == name))
    tx.execute(sa.insert(table), {"name": name, "secret": secret, "used": 0, "added_at": now})
    said = {"user": name, "sessions": users.end_sessions(tx, name), "by": by}
    events.append_events(tx, Event("user-codes-set", now, None, None, said))
    return True


def remove_codes(tx: Transaction, name: str, *, by: str, now: datetime) -> bool:
    """Let the user *name* sign in without a code, and end the user's sessions. Return False if none was needed."""
    removed = tx.execute(sa.delete(table).where(table.c.name == name)).rowcount
    if removed:
        said = {"user": name, "sessions": users.end_sessions(tx, name), "by": by}
        events.append_events(tx, Event("user-codes-removed", now, None, None, said))
    return bool(removed)


def use_code(tx: Transaction, name: str, code: str, now: datetime) -> bool:
    """Accept a code of the user *name*, once. Return False if it is wrong, or was accepted before."""
    row = tx.execute(sa.select(table.c.secret, table.c.used).where(table.c.name == name).with_for_update()).first()
    step = None if row is None else find_step(row.secret, code, now)
    if row is None or step is None or step <= row.used:
        return False
    tx.execute(sa.update(table).where(table.c.name == name).values(used=step))
    return True


def _make_codes(secret: str) -> TOTP:
    return TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP)  # noqa: S303 - what RFC 6238 and the apps use
