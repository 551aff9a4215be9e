"""Keeps the secrets of one-time codes and judges codes (TOTP, RFC 6238). Contains one table, no passwords and no pages.

A code has six digits and changes every 30 s, by HMAC-SHA-1: other values are unknown to common apps. The codes of the
step before and the step after are accepted, for clocks that differ. Each step's code is accepted once: the last step
that was accepted is kept, and earlier ones are refused from then on (RFC 6238 section 5.2).

A code cannot be judged without the secret, so the journal keeps it, encrypted by a key that is kept outside.
"""

import base64
from collections.abc import Callable
from datetime import datetime

import attrs
import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from hub.domain.model import Event
from hub.journal import events
from hub.operations.accounts import users
from hub.security.encryption import NONCE, Keyring, Unsealable
from hub.store.tables import console_totp as table
from hub.store.transactions import Transaction

#: Octets of a secret (RFC 4226 section 4 recommends 160 bits), digits of a code, and seconds of a step.
SECRET, DIGITS, STEP = 20, 6, 30
#: Steps before and after the present one whose codes are accepted.
_AROUND = 1
#: What an encrypted secret begins with. A secret by itself is base32 and has no such letters.
_SEALED = "sealed:"


@attrs.frozen
class KeptSecrets:
    """How the journal keeps the secrets of codes, by the names of their users."""

    due: tuple[str, ...] = ()  #: not encrypted, or by a key that is not the present one
    readable: tuple[str, ...] = ()  #: of these, those that are not encrypted
    lost: tuple[str, ...] = ()  #: no key decrypts them: their users cannot sign in


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


def seal_secret(keys: Keyring, name: str, secret: str, salt: bytes) -> str:
    """Return the *secret* of the user *name* as the journal keeps it. *salt*: at least `NONCE` random octets."""
    sealed = keys.safes[0].seal(secret.encode("ascii"), _name_place(name), salt[:NONCE])
    return _SEALED + base64.b64encode(sealed).decode("ascii")


def judge_secrets(tx: Transaction, keys: Keyring) -> KeptSecrets:
    """Return which secrets are to be encrypted with the present key, and which no key decrypts."""
    due, readable, lost = list[str](), list[str](), list[str]()
    for name, kept in tx.execute(sa.select(table.c.name, table.c.secret).order_by(table.c.name)):
        try:
            if not _open_secret(keys, name, kept)[1]:
                due.append(name)
                readable += [] if kept.startswith(_SEALED) else [name]
        except Unsealable:
            lost.append(name)
    return KeptSecrets(tuple(due), tuple(readable), tuple(lost))


def seal_secrets(tx: Transaction, keys: Keyring, draw_salt: Callable[[], bytes]) -> int:
    """Encrypt with the present key each secret that is not, and return their number.

    On SQLite the pages of the file that held them are overwritten.
    """
    due = judge_secrets(tx, keys).due if keys.safes else ()
    _overwrite_deleted(tx, on=True)
    held = tx.execute(sa.select(table.c.name, table.c.secret).where(table.c.name.in_(due)).with_for_update())
    for name, kept in held.all():
        sealed = seal_secret(keys, name, _open_secret(keys, name, kept)[0], draw_salt())
        tx.execute(sa.update(table).where(table.c.name == name).values(secret=sealed))
    _overwrite_deleted(tx, on=False)
    return len(due)


def _overwrite_deleted(tx: Transaction, *, on: bool) -> None:
    """On SQLite, let what is deleted or changed be overwritten in the file, or no longer."""
    if tx.dialect.name == "sqlite":
        tx.execute(sa.text(f"PRAGMA secure_delete = {'ON' if on else 'OFF'}"))


def enrol_user(tx: Transaction, name: str, secret: str, *, by: str, now: datetime) -> bool:
    """Give the user *name* a new *secret* and end the user's sessions. Return False if there is no such user.

    *secret*: as `seal_secret` returns it.
    """
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


def use_code(tx: Transaction, name: str, code: str, keys: Keyring, now: datetime) -> bool:
    """Accept a code of the user *name*, once. Return False if it is wrong, or was accepted before.

    A code whose secret none of the *keys* decrypts is wrong.
    """
    row = tx.execute(sa.select(table.c.secret, table.c.used).where(table.c.name == name).with_for_update()).first()
    if row is None:
        return False
    try:
        step = find_step(_open_secret(keys, name, row.secret)[0], code, now)
    except Unsealable:
        return False
    if step is None or step <= row.used:
        return False
    tx.execute(sa.update(table).where(table.c.name == name).values(used=step))
    return True


def _open_secret(keys: Keyring, name: str, kept: str) -> tuple[str, bool]:
    """Return the secret of the user *name*, and whether the present key encrypts it. Raises Unsealable."""
    if not kept.startswith(_SEALED):
        return kept, False
    try:
        sealed = base64.b64decode(kept.removeprefix(_SEALED))
    except ValueError:
        raise Unsealable(name) from None
    octets, present = keys.unseal(sealed, _name_place(name))
    return octets.decode("ascii"), present


def _name_place(name: str) -> str:
    """Return the place that a secret is encrypted for: in the row of another user it cannot be decrypted."""
    return f"console_totp {name}"


def _make_codes(secret: str) -> TOTP:
    return TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP)  # noqa: S303 - what RFC 6238 and the apps use
