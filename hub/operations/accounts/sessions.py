"""Manages console sessions and limits failed sign-ins.

Contains three tables, times and delays, but no cookies and no passwords.

The browser holds a session's random word. The journal stores only its SHA-256, so every node can check it, and nobody
who reads the journal can take the session over.

A sign-in attempt is counted as a failure before the password is compared; the count is undone if it was right. So no
attempt is free, however many arrive at once. Failures are counted per name and address, per address, and per name. The
count per name does not apply where the name has signed in before from that address. Otherwise attackers at many
addresses could use up every attempt and lock the user out.

If the user needs a one-time code, the right password begins no session, but a wait for the code. A wrong code counts as
a wrong password does, and nothing but the right code forgets the failures.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.domain.local_time import find_local_day
from hub.domain.model import Event
from hub.journal import events
from hub.operations.accounts import client_certificates, provider_accounts, second_factor, users
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.provider_accounts import ProviderPerson
from hub.operations.accounts.refusals import SignInRefusal
from hub.operations.accounts.users import User
from hub.security.encryption import Keyring
from hub.store import transactions
from hub.store.tables import console_code_wait, console_failure, console_session
from hub.store.transactions import Transaction

#: A sign-in whose password was right waits so long for a code, and for so many wrong ones.
CODE_WAIT, WRONG_CODES = timedelta(minutes=5), 5
IDLE = timedelta(minutes=30)  #: a session unused for this long has ended
LONGEST = timedelta(hours=12)  #: every session ends after this time
_TO_THE_MINUTE = timedelta(minutes=1)
#: A count of failures is deleted after this time.
FORGOTTEN = timedelta(hours=1)
#: An address from which a user signed in is remembered for this time.
REMEMBERED = timedelta(days=90)


@attrs.frozen
class FailureCount:
    """One count of failures: how many have no effect, and the maximum delay of the next attempt."""

    name: str  #: hash of what is counted
    free: int  #: failures without a delay
    longest: timedelta  #: maximum delay

    def delay(self, failures: int) -> timedelta:
        """Return how long after the last of *failures* the next attempt may come.

        It is 1 s for the first failure after the free ones, and doubles with each further failure up to `longest`.
        """
        over = failures - self.free
        return timedelta(0) if over <= 0 else min(self.longest, timedelta(seconds=2 ** min(over - 1, 20)))


@attrs.frozen
class ConsoleSession:
    """The session of a signed-in user."""

    sha256: str  #: hash of the session's secret word
    user: User
    address: str  #: address of the sign-in
    begun_at: datetime
    seen_at: datetime  #: when the session was used last, to the minute
    until: datetime  #: when it ends at the latest
    #: it began with a password that somebody else has set: the user must change it before anything else
    must_change: bool = False


@attrs.frozen
class SignInPermit:
    """Whether a password may be compared now."""

    again: datetime | None  #: not before this time; None: now
    password: str | None = None  #: the user's stored password hash; None if there is no such user


def hash_session_word(word: str) -> str:
    """Return the hash under which the journal stores a session's secret word."""
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()


def make_form_proof(word: str) -> str:
    """Return the proof that each form of the session carries (an HMAC of *word*).

    Only a reader of the session's pages knows it, and it does not reveal *word*.
    """
    return hmac.new(word.encode("utf-8", "surrogatepass"), b"lienthong form", hashlib.sha256).hexdigest()


def find_address_network(address: str) -> str:
    """Return the place that an address belongs to: the /64 of an IPv6 address; IPv4 for a mapped one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def list_failure_keys(name: str, address: str) -> tuple[FailureCount, FailureCount, FailureCount]:
    """Return the counts that apply to an attempt: per name and address, per address, per name."""
    place = find_address_network(address)
    return (
        FailureCount(_hash_words("pair", name, place), 5, timedelta(minutes=15)),
        FailureCount(_hash_words("place", place), 30, timedelta(minutes=1)),
        FailureCount(_hash_words("name", name), 50, timedelta(seconds=30)),
    )


def is_known(tx: Transaction, name: str, address: str, now: datetime) -> bool:
    """Tell whether *name* has signed in from *address* within `REMEMBERED`."""
    row = console_failure.c
    query = sa.select(row.until).where(row.sha256 == _hash_known_pair(name, address), row.until > now)
    return tx.scalar(query) is not None


def permit_sign_in(tx: Transaction, name: str, address: str, now: datetime) -> SignInPermit:
    """Return whether *name* may attempt to sign in now from *address*.

    If so, the attempt is counted as a failure, until `begin_session` or `undo_failed_sign_in` undoes the count.
    """
    tries = list_failure_keys(name, address)
    transactions.lock_names(tx, [each.name for each in tries])
    tx.execute(sa.delete(console_failure).where(console_failure.c.until <= now))
    known = _hash_known_pair(name, address)
    wanted = console_failure.c.sha256.in_([known, *(each.name for each in tries)])
    held = {row.sha256: row for row in tx.execute(sa.select(console_failure).where(wanted))}
    holding = tries[:2] if known in held else tries
    waits = [held[each.name].next_at for each in holding if each.name in held and held[each.name].next_at > now]
    if waits:
        return SignInPermit(max(waits))
    for each in holding:
        failures = held[each.name].failures + 1 if each.name in held else 1
        _count_failures(tx, each, failures, now)
    return SignInPermit(None, users.read_password_hash(tx, name))


@attrs.frozen
class CodeWait:
    """A sign-in whose password was right and that waits for a code."""

    sha256: str  #: hash of the browser's secret word
    name: str


@attrs.frozen
class CodeMissing:
    """The password was right, but the user's role needs one-time codes and the user has none."""

    name: str


@attrs.frozen
class AccountLocked:
    """The password or the certificate was right, but the account is locked."""

    name: str


#: What becomes of a sign-in whose password or certificate was right.
Entered = ConsoleSession | CodeWait | CodeMissing | AccountLocked


def begin_session(
    tx: Transaction,
    name: str,
    password: str,
    sha256: str,
    address: str,
    now: datetime,
    code_roles: Collection[Role] = (),
) -> Entered | None:
    """Begin a session of *name*, or the wait for a code. Return None if the password changed since *password* was read.

    *password* is the hash that was compared. *sha256* is the hash of the browser's secret word (`hash_session_word`).
    Users of *code_roles* need one-time codes.
    """
    kept = users.read_password_hash(tx, name, to_move=True)
    user = users.find_user(tx, name)
    if user is None or kept != password:
        return None
    found = _let_in(tx, user, sha256, address, now, code_roles, must_change=user.must_change)
    if not isinstance(found, ConsoleSession):
        undo_failed_sign_in(tx, name, address, now, at_once=True)
    return found


def begin_session_by_certificate(
    tx: Transaction, certificate: str, sha256: str, address: str, now: datetime, code_roles: Collection[Role] = ()
) -> Entered | None:
    """Begin the session of the user of a *certificate* (its SHA-256), or the wait for a code. None: it has no user.

    The other arguments are those of `begin_session`. A certificate cannot be guessed, so no attempt is counted.
    """
    name = client_certificates.find_certificate_user(tx, certificate)
    user = None if name is None else users.find_user(tx, name)
    if user is None:
        events.append_events(tx, Event("user-sign-in-failed", now, None, None, {"user": None, "address": address}))
        return None
    return _let_in(tx, user, sha256, address, now, code_roles)


def permit_place(tx: Transaction, address: str, now: datetime) -> datetime | None:
    """Return when a sign-in from *address* that names no user may be attempted; None: now.

    If so, the attempt is counted as a failure of the address, until a session begins or `undo_failed_place` undoes it.
    """
    place = list_failure_keys("", address)[1]
    transactions.lock_names(tx, [place.name])
    query = sa.select(console_failure).where(console_failure.c.sha256 == place.name, console_failure.c.until > now)
    held = tx.execute(query).first()
    again: datetime | None = None if held is None else held.next_at
    if again is not None and again > now:
        return again
    _count_failures(tx, place, held.failures + 1 if held is not None else 1, now)
    return None


def undo_failed_place(tx: Transaction, address: str, now: datetime) -> None:
    """Undo the count of an attempt that the provider did not answer, or that waits for a code."""
    place = list_failure_keys("", address)[1]
    transactions.lock_names(tx, [place.name])
    failures = tx.scalar(sa.select(console_failure.c.failures).where(console_failure.c.sha256 == place.name))
    if failures:
        _count_failures(tx, place, failures - 1, now, at_once=True)


def begin_session_by_provider(
    tx: Transaction,
    person: ProviderPerson,
    sha256: str,
    address: str,
    now: datetime,
    code_roles: Collection[Role] = (),
    *,
    codes: bool,
) -> Entered | None:
    """Begin the session of the user who is *person* at a provider, or the wait for a code. None: it is no user.

    *codes*: a user who has codes is asked for one. The other arguments are those of `begin_session`. The caller has
    counted the attempt by `permit_place`.
    """
    name = provider_accounts.find_provider_user(tx, person)
    user = None if name is None else users.find_user(tx, name)
    if user is None:
        record_refused_provider(tx, SignInRefusal.NO_ACCOUNT, address, now, person.tell())
        return None
    found = _let_in(tx, user, sha256, address, now, code_roles, codes=codes)
    if not isinstance(found, ConsoleSession):
        undo_failed_place(tx, address, now)
    return found


def record_refused_provider(
    tx: Transaction, code: SignInRefusal, address: str, now: datetime, said: Mapping[str, str]
) -> None:
    """Write the event of a sign-in at a provider that failed. *said* has the `issuer`, and the person if known."""
    body = {"user": None, "address": address, "code": str(code), **said}
    events.append_events(tx, Event("user-sign-in-failed", now, None, None, body))


def _let_in(
    tx: Transaction,
    user: User,
    sha256: str,
    address: str,
    now: datetime,
    code_roles: Collection[Role],
    *,
    codes: bool = True,
    must_change: bool = False,
) -> Entered:
    name = user.name
    if user.locked_at is not None:
        said = {"user": name, "address": address, "reason": "locked"}
        events.append_events(tx, Event("user-sign-in-failed", now, None, None, said))
        return AccountLocked(name)
    if codes and second_factor.has_codes(tx, name):
        tx.execute(sa.delete(console_code_wait).where(console_code_wait.c.until <= now))
        wait = {"sha256": sha256, "name": name, "wrong": 0, "until": now + CODE_WAIT, "must_change": must_change}
        tx.execute(sa.insert(console_code_wait), wait)
        return CodeWait(sha256, name)
    if user.role in code_roles and not second_factor.has_codes(tx, name):
        return CodeMissing(name)
    return _begin_session(tx, user, sha256, address, now, must_change=must_change)


def find_code_wait(tx: Transaction, sha256: str, now: datetime) -> CodeWait | None:
    """Return the sign-in that waits for a code, or None if it has ended."""
    query = sa.select(console_code_wait.c.name).where(
        console_code_wait.c.sha256 == sha256, console_code_wait.c.until > now
    )
    name = tx.scalar(query)
    return None if name is None else CodeWait(sha256, name)


def begin_session_by_code(
    tx: Transaction, wait: CodeWait, code: str, keys: Keyring, sha256: str, address: str, now: datetime
) -> ConsoleSession | None:
    """Begin the session of a sign-in that waits for a code. Return None if it has ended, or for a wrong code.

    *keys* decrypt the secret of the codes.

    A code that was accepted before is wrong. After `WRONG_CODES` the sign-in has ended.
    """
    ours = console_code_wait.c.sha256 == wait.sha256
    user = None if find_code_wait(tx, wait.sha256, now) is None else users.find_user(tx, wait.name)
    if user is None or user.locked_at is not None:
        return None
    if not second_factor.use_code(tx, wait.name, code, keys, now):
        tx.execute(sa.update(console_code_wait).where(ours).values(wrong=console_code_wait.c.wrong + 1))
        tx.execute(sa.delete(console_code_wait).where(ours, console_code_wait.c.wrong >= WRONG_CODES))
        return None
    must_change = bool(tx.scalar(sa.select(console_code_wait.c.must_change).where(ours)))
    ended = tx.execute(sa.delete(console_code_wait).where(ours)).rowcount
    if not ended:  # a new password was faster
        return None
    return _begin_session(tx, user, sha256, address, now, must_change=must_change)


def _begin_session(
    tx: Transaction, user: User, sha256: str, address: str, now: datetime, *, must_change: bool
) -> ConsoleSession:
    name = user.name
    tries = list_failure_keys(name, address)
    transactions.lock_names(tx, [each.name for each in tries])
    pair, place, anywhere = tries
    tx.execute(sa.delete(console_failure).where(console_failure.c.sha256.in_([pair.name, anywhere.name])))
    failures = tx.scalar(sa.select(console_failure.c.failures).where(console_failure.c.sha256 == place.name))
    # only this failure of the address is undone: one of our own users may be guessing the passwords of others
    if failures is not None:
        _count_failures(tx, place, failures - 1, now)
    forget_ended_sessions(tx, now)
    _keep_failures(tx, _hash_known_pair(name, address), {"failures": 0, "next_at": now, "until": now + REMEMBERED})
    user = attrs.evolve(user, signed_in_at=now)
    session = ConsoleSession(sha256, user, address, now, now, now + LONGEST, must_change)
    kept = attrs.asdict(session, recurse=False) | {"name": name}
    del kept["user"]
    tx.execute(sa.insert(console_session), kept)
    users.note_sign_in(tx, name, now)
    events.append_events(tx, Event("user-signed-in", now, None, None, {"user": name, "address": address}))
    return session


def undo_failed_sign_in(tx: Transaction, name: str, address: str, now: datetime, *, at_once: bool = False) -> None:
    """Undo the count of an attempt that an internal error ended, or whose password was right.

    With *at_once* the next attempt need not wait: it is the code of the same sign-in.
    """
    tries = list_failure_keys(name, address)
    transactions.lock_names(tx, [each.name for each in tries])
    known = _hash_known_pair(name, address)
    wanted = console_failure.c.sha256.in_([known, *(each.name for each in tries)])
    held = {row.sha256: row.failures for row in tx.execute(sa.select(console_failure).where(wanted))}
    for each in tries[:2] if known in held else tries:
        if held.get(each.name):
            _count_failures(tx, each, held[each.name] - 1, now, at_once=at_once)


def record_failed_sign_in(tx: Transaction, name: str, address: str, now: datetime) -> None:
    """Write the event of a failed sign-in. An unknown name is not written, because it may be a mistyped password."""
    known = users.find_user(tx, name) is not None
    said = {"user": name if known else None, "address": address}
    events.append_events(tx, Event("user-sign-in-failed", now, None, None, said))


def find_session(tx: Transaction, sha256: str, now: datetime) -> ConsoleSession | None:
    """Return the session, or None if it has ended."""
    row = tx.execute(sa.select(console_session).where(console_session.c.sha256 == sha256)).mappings().first()
    if row is None or row["until"] <= now or row["seen_at"] + IDLE <= now:
        return None
    user = users.find_user(tx, row["name"])
    if user is None or user.locked_at is not None:
        return None
    return _read_session(row, attrs.evolve(user, day=find_local_day(now)))


def is_stale(session: ConsoleSession, now: datetime) -> bool:
    """Tell whether the session's last use should be written again."""
    return now - session.seen_at >= _TO_THE_MINUTE


def touch_session(tx: Transaction, sha256: str, now: datetime) -> None:
    """Write the time of the session's last use."""
    tx.execute(sa.update(console_session).where(console_session.c.sha256 == sha256).values(seen_at=now))


def end_own_session(tx: Transaction, session: ConsoleSession, now: datetime, *, everywhere: bool = False) -> int:
    """End the session, or with *everywhere* all sessions of its user. Return the number of sessions ended."""
    own = console_session.c.name == session.user.name
    which = own if everywhere else sa.and_(own, console_session.c.sha256 == session.sha256)
    ended = tx.execute(sa.delete(console_session).where(which)).rowcount
    name = session.user.name
    events.append_events(tx, Event("user-signed-out", now, None, None, {"user": name, "sessions": ended, "by": name}))
    return ended


def end_user_sessions(tx: Transaction, name: str, *, by: str, now: datetime) -> int:
    """End every session of the user *name* on an operator's command. Return the number of sessions ended."""
    ended = users.end_sessions(tx, name)
    events.append_events(tx, Event("user-signed-out", now, None, None, {"user": name, "sessions": ended, "by": by}))
    return ended


def list_sessions(tx: Transaction, now: datetime, name: str | None = None) -> Sequence[ConsoleSession]:
    """Return the open sessions of all users, or of the user *name*, newest first."""
    query = sa.select(console_session).where(console_session.c.until > now, console_session.c.seen_at > now - IDLE)
    if name is not None:
        query = query.where(console_session.c.name == name)
    people = {user.name: user for user in users.list_users(tx)}
    rows = tx.execute(query.order_by(console_session.c.begun_at.desc())).mappings()
    return [_read_session(row, people[row["name"]]) for row in rows]


def forget_ended_sessions(tx: Transaction, now: datetime) -> None:
    """Delete the sessions that have ended."""
    over = sa.or_(console_session.c.until <= now, console_session.c.seen_at <= now - IDLE)
    tx.execute(sa.delete(console_session).where(over))


def _count_failures(
    tx: Transaction, which: FailureCount, failures: int, now: datetime, *, at_once: bool = False
) -> None:
    longest = which.delay(failures)
    next_at = now if at_once else now + longest
    _keep_failures(tx, which.name, {"failures": failures, "next_at": next_at, "until": now + longest + FORGOTTEN})


def _keep_failures(tx: Transaction, sha256: str, values: Mapping[str, object]) -> None:
    if not transactions.insert_missing_rows(tx, console_failure, [{"sha256": sha256, **values}]):
        tx.execute(sa.update(console_failure).where(console_failure.c.sha256 == sha256).values(**values))


def _hash_known_pair(name: str, address: str) -> str:
    """Return the key of the row which says that *name* has signed in from *address*."""
    return _hash_words("known", name, find_address_network(address))


def _hash_words(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()


def _read_session(row: sa.RowMapping, user: User) -> ConsoleSession:
    names = [each.name for each in attrs.fields(ConsoleSession) if each.name != "user"]
    return ConsoleSession(user=user, **{name: row[name] for name in names})
