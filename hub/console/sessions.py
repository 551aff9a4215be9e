"""Who is signed in, and how often signing in may fail.  Knows two tables, times and delays; no cookie and no password.

A session is a random word that the browser holds; the journal keeps its SHA-256, so that every node knows it and nobody who reads the
journal can take it over.

Signing in is counted as failed before the password is compared, and taken back when it was right: however many tries come at once, none
is free.  Three counts hold: of a name from one address, of an address, of a name from anywhere.  The last one does not hold where the name
has signed in from before: strangers at many addresses would else take each turn, and lock the person out.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.console import users
from hub.console.users import User
from hub.domain.model import Event
from hub.journal import events
from hub.store import transactions
from hub.store.tables import console_failure, console_session
from hub.store.transactions import Transaction

IDLE = timedelta(minutes=30)  #: a session that is not used for so long is over
LONGEST = timedelta(hours=12)  #: every session is over after so long
_TO_THE_MINUTE = timedelta(minutes=1)
#: What failed so long ago is forgotten.
FORGOTTEN = timedelta(hours=1)
#: From where somebody signed in is remembered for so long.
REMEMBERED = timedelta(days=90)


@attrs.frozen
class Count:
    """One count of failures: how many are free, and how long the next try may have to wait."""

    name: str  #: of what it is, hashed
    free: int
    longest: timedelta

    def delay(self, failures: int) -> timedelta:
        """Return how long after the last of so many *failures* the next try may come: 1 s after the free ones, then twice as long each time."""
        over = failures - self.free
        return timedelta(0) if over <= 0 else min(self.longest, timedelta(seconds=2 ** min(over - 1, 20)))


@attrs.frozen
class ConsoleSession:
    """Somebody who is signed in."""

    sha256: str
    user: User
    address: str
    begun_at: datetime
    seen_at: datetime
    until: datetime


@attrs.frozen
class SignInPermit:
    """Whether a password may be compared now."""

    again: datetime | None  #: not before then
    password: str | None = None  #: the hash that is kept of that user's; None: there is no such user


def name_of(word: str) -> str:
    """Return what the journal keeps of the random word of a session."""
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()


def form_proof(word: str) -> str:
    """Return what each form of the session carries: only who has read a page of it knows this, and it gives *word* away to nobody."""
    return hmac.new(word.encode("utf-8", "surrogatepass"), b"lienthong form", hashlib.sha256).hexdigest()


def place_of(address: str) -> str:
    """Return what an address is counted as: an IPv6 address as its /64, one that is mapped as IPv4."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def count_keys(name: str, address: str) -> tuple[Count, Count, Count]:
    """Return the counts of a try: of the name from that address, of the address, of the name; an IPv6 address counts as its /64."""
    place = place_of(address)
    return (
        Count(_hashed("pair", name, place), 5, timedelta(minutes=15)),
        Count(_hashed("place", place), 30, timedelta(minutes=1)),
        Count(_hashed("name", name), 50, timedelta(seconds=30)),
    )


def is_known(tx: Transaction, name: str, address: str, now: datetime) -> bool:
    """Tell whether *name* has signed in from that address lately."""
    row = console_failure.c
    query = sa.select(row.until).where(row.sha256 == _known(name, address), row.until > now)
    return tx.scalar(query) is not None


def permit_sign_in(tx: Transaction, name: str, address: str, now: datetime) -> SignInPermit:
    """Say whether *name* may try a password now from *address*; if so, it is counted as failed until `begin_session` says otherwise."""
    tries = count_keys(name, address)
    transactions.one_at_a_time(tx, [each.name for each in tries])
    tx.execute(sa.delete(console_failure).where(console_failure.c.until <= now))
    known = _known(name, address)
    wanted = console_failure.c.sha256.in_([known, *(each.name for each in tries)])
    held = {row.sha256: row for row in tx.execute(sa.select(console_failure).where(wanted))}
    holding = tries[:2] if known in held else tries
    waits = [held[each.name].next_at for each in holding if each.name in held and held[each.name].next_at > now]
    if waits:
        return SignInPermit(max(waits))
    for each in holding:
        failures = held[each.name].failures + 1 if each.name in held else 1
        _count(tx, each, failures, now)
    return SignInPermit(None, users.read_password_hash(tx, name))


def begin_session(
    tx: Transaction, name: str, password: str, sha256: str, address: str, now: datetime
) -> ConsoleSession | None:
    """Begin a session of *name*, whose password was right when its hash was *password*.  None when it was changed meanwhile."""
    user = users.find_user(tx, name)
    if user is None or users.read_password_hash(tx, name, to_move=True) != password:
        return None
    tries = count_keys(name, address)
    transactions.one_at_a_time(tx, [each.name for each in tries])
    pair, place, anywhere = tries
    tx.execute(sa.delete(console_failure).where(console_failure.c.sha256.in_([pair.name, anywhere.name])))
    failures = tx.scalar(sa.select(console_failure.c.failures).where(console_failure.c.sha256 == place.name))
    if failures is not None:  # of the address only this try is taken back: a user of our own may be guessing at others
        _count(tx, place, failures - 1, now)
    forget_ended_sessions(tx, now)
    _keep(tx, _known(name, address), {"failures": 0, "next_at": now, "until": now + REMEMBERED})
    session = ConsoleSession(sha256, user, address, now, now, now + LONGEST)
    kept = {"sha256": sha256, "name": name, "address": address, "begun_at": now, "seen_at": now, "until": now + LONGEST}
    tx.execute(sa.insert(console_session), kept)
    events.append_events(tx, Event("user-signed-in", now, None, None, {"user": name, "address": address}))
    return session


def take_back(tx: Transaction, name: str, address: str, now: datetime) -> None:
    """Undo what `permit_sign_in` counted, for a try that came to no end."""
    tries = count_keys(name, address)
    transactions.one_at_a_time(tx, [each.name for each in tries])
    known = _known(name, address)
    wanted = console_failure.c.sha256.in_([known, *(each.name for each in tries)])
    held = {row.sha256: row.failures for row in tx.execute(sa.select(console_failure).where(wanted))}
    for each in tries[:2] if known in held else tries:
        if held.get(each.name):
            _count(tx, each, held[each.name] - 1, now)


def record_failed_sign_in(tx: Transaction, name: str, address: str, now: datetime) -> None:
    """Tell that signing in failed; a name of nobody is not written down: it may be a password."""
    known = users.find_user(tx, name) is not None
    said = {"user": name if known else None, "address": address}
    events.append_events(tx, Event("user-sign-in-failed", now, None, None, said))


def find_session(tx: Transaction, sha256: str, now: datetime) -> ConsoleSession | None:
    """Return the session, if it is not over."""
    row = tx.execute(sa.select(console_session).where(console_session.c.sha256 == sha256)).mappings().first()
    if row is None or row["until"] <= now or row["seen_at"] + IDLE <= now:
        return None
    user = users.find_user(tx, row["name"])
    return None if user is None else _read(row, user)


def is_stale(session: ConsoleSession, now: datetime) -> bool:
    """Tell whether it should be written down that the session is still used."""
    return now - session.seen_at >= _TO_THE_MINUTE


def touch_session(tx: Transaction, sha256: str, now: datetime) -> None:
    """Write down that the session is used."""
    tx.execute(sa.update(console_session).where(console_session.c.sha256 == sha256).values(seen_at=now))


def end_own_session(tx: Transaction, session: ConsoleSession, now: datetime, *, everywhere: bool = False) -> int:
    """End the session, or *everywhere* each of its user's.  Returns how many."""
    own = console_session.c.name == session.user.name
    which = own if everywhere else sa.and_(own, console_session.c.sha256 == session.sha256)
    ended = tx.execute(sa.delete(console_session).where(which)).rowcount
    name = session.user.name
    events.append_events(tx, Event("user-signed-out", now, None, None, {"user": name, "sessions": ended, "by": name}))
    return ended


def end_user_sessions(tx: Transaction, name: str, *, by: str, now: datetime) -> int:
    """End every session of the user *name*, by an operator's word.  Returns how many."""
    ended = tx.execute(sa.delete(console_session).where(console_session.c.name == name)).rowcount
    events.append_events(tx, Event("user-signed-out", now, None, None, {"user": name, "sessions": ended, "by": by}))
    return ended


def list_sessions(tx: Transaction, now: datetime, name: str | None = None) -> Sequence[ConsoleSession]:
    """Return the sessions that are not over, of all or of the user *name*, the latest first."""
    query = sa.select(console_session).where(console_session.c.until > now, console_session.c.seen_at > now - IDLE)
    if name is not None:
        query = query.where(console_session.c.name == name)
    people = {user.name: user for user in users.list_users(tx)}
    rows = tx.execute(query.order_by(console_session.c.begun_at.desc())).mappings()
    return [_read(row, people[row["name"]]) for row in rows]


def forget_ended_sessions(tx: Transaction, now: datetime) -> None:
    """Take away the sessions that are over."""
    over = sa.or_(console_session.c.until <= now, console_session.c.seen_at <= now - IDLE)
    tx.execute(sa.delete(console_session).where(over))


def _count(tx: Transaction, which: Count, failures: int, now: datetime) -> None:
    longest = which.delay(failures)
    _keep(tx, which.name, {"failures": failures, "next_at": now + longest, "until": now + longest + FORGOTTEN})


def _keep(tx: Transaction, sha256: str, values: Mapping[str, object]) -> None:
    if not transactions.put_once(tx, console_failure, [{"sha256": sha256, **values}]):
        tx.execute(sa.update(console_failure).where(console_failure.c.sha256 == sha256).values(**values))


def _known(name: str, address: str) -> str:
    """Return what stands beside the counts where *name* has signed in from that address lately."""
    return _hashed("known", name, place_of(address))


def _hashed(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()


def _read(row: sa.RowMapping, user: User) -> ConsoleSession:
    return ConsoleSession(row["sha256"], user, row["address"], row["begun_at"], row["seen_at"], row["until"])
