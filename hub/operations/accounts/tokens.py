"""Stores the tokens of programs that use the API: scopes, units, partners, expiry. Contains one table, no HTTP.

A token is shown once, when it is made. The journal keeps the SHA-256 of it, so nobody who reads the journal can use it,
and its first letters, by which it is found: in the journal, in a log, in a repository where somebody left it. A token
has 256 random bits, so no attempt to guess one is worth while; wrong ones are counted all the same
(`hub.api.token_check`).

A token acts for its owner, the person who answers for it. In `by` of an event stands `OWNER/TOKEN`: who made a plan
cannot approve it by a token of one's own.

A token never has more than the account that made it: whatever that loses, the token loses at its next request. The account
is that of the name in `made_by`, for a token that was made in a shell too; without such an account nothing bounds it but its
own limits. The tokens that an account made go with it.

Each function is one step of a transaction. Each change writes an event that names who made it.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.config import ANY
from hub.domain.model import Event
from hub.journal import events, unit_registry
from hub.operations.accounts import users
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.accounts.users import User
from hub.store import transactions
from hub.store.tables import api_key, api_token
from hub.store.transactions import Transaction

#: What every token begins with.
MARK = "lt"
_TOKEN = re.compile(rf"{MARK}_([0-9a-f]{{8}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
#: A token lasts at most so many days.
LONGEST = 730
#: The last use is written again after this time.
_STALE = timedelta(minutes=1)


@attrs.frozen(kw_only=True)
class ApiToken:
    """A token, without its secret."""

    name: str
    prefix: str  #: its letters up to the secret: `lt_1a2b3c4d`
    owner: str  #: the person who answers for it
    scopes: tuple[str, ...]  #: permissions
    units: tuple[str, ...]  #: unit codes, each including the units below it, or `*`
    partners: tuple[str, ...]  #: partner codes, or `*`
    made_at: datetime
    made_by: str
    until: datetime
    used_at: datetime | None = None  #: to the minute

    @property
    def by(self) -> str:
        """What events name as the person who did something with it."""
        return f"{self.owner}/{self.name}"

    def is_stale(self, now: datetime) -> bool:
        """Tell whether the last use should be written again."""
        return self.used_at is None or now - self.used_at >= _STALE


@attrs.frozen(kw_only=True)
class TokenUser(User):
    """What the pages' functions take as their user: a token, whose permissions are its scopes."""

    scopes: frozenset[Permission]

    @classmethod
    def of(cls, token: ApiToken, day: date) -> "TokenUser":
        """Return *token* as a user that looks on *day*. A scope that is no permission any more gives none."""
        return cls(
            name=token.by,
            role=Role.VIEWER,
            units=token.units,
            partners=token.partners,
            added_at=token.made_at,
            changed_at=token.made_at,
            day=day,
            scopes=frozenset(Permission(each) for each in token.scopes if each in {*Permission}),
        )

    def may(self, what: Permission) -> bool:
        """Tell whether the token has the scope *what*."""
        return what in self.scopes


class TokenUnfit(ValueError):
    """The text is not a valid name of a token."""


def normalise_token_name(text: str) -> str:
    """Return the name of a token in *text*, in lower case. Raises `TokenUnfit`."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise TokenUnfit(text)
    return name


def write_token(prefix: str, secret: str) -> str:
    """Return the token of a prefix of 8 hexadecimal digits and a secret of 43 letters of URL-safe base64."""
    return f"{MARK}_{prefix}_{secret}"


def find_prefix(token: str) -> str | None:
    """Return the first letters of *token*, by which it is found; None if it is no token."""
    found = _TOKEN.fullmatch(token)
    return f"{MARK}_{found[1]}" if found else None


def hash_token(token: str) -> str:
    """Return the hash under which the journal stores a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def add_token(tx: Transaction, token: ApiToken, sha256: str) -> bool:
    """Add a token with the hash of it. Return False if the name is taken."""
    row = attrs.asdict(token) | {"sha256": sha256}
    row |= {name: json.dumps(row[name]) for name in ("scopes", "units", "partners")}
    if not transactions.insert_missing_rows(tx, api_token, [row]):
        return False
    said: dict[str, object] = {name: list(getattr(token, name)) for name in ("scopes", "units", "partners")}
    said |= {"token": token.name, "prefix": token.prefix, "owner": token.owner, "until": token.until.isoformat()}
    events.append_events(tx, Event("token-added", token.made_at, None, None, said | {"by": token.made_by}))
    return True


def list_tokens(tx: Transaction) -> Sequence[ApiToken]:
    """Return all tokens, sorted by name."""
    return [_read_token(row) for row in tx.execute(sa.select(api_token).order_by(api_token.c.name)).mappings()]


def remove_token(tx: Transaction, name: str, *, by: str, now: datetime) -> ApiToken | None:
    """Remove the token *name*: from now on it is not known. Return it as it was; None if there is none."""
    row = tx.execute(sa.select(api_token).where(api_token.c.name == name)).mappings().first()
    if row is None:
        return None
    tx.execute(sa.delete(api_key).where(api_key.c.token == row["prefix"]))
    tx.execute(sa.delete(api_token).where(api_token.c.name == name))
    of_it = api_token.c.made_by == _read_token(row).by  # from now on bounded by whoever made it
    tx.execute(sa.update(api_token).where(of_it).values(made_by=row["made_by"]))
    said = {"token": name, "prefix": row["prefix"], "by": by}
    events.append_events(tx, Event("token-removed", now, None, None, said))
    return _read_token(row)


def find_token(tx: Transaction, token: str) -> ApiToken | None:
    """Return the token whose secret *token* has, with what it may do now; None for any other text.

    It may have expired, and has no more than the account that made it.
    The hashes are compared in a time that does not depend on them.
    """
    prefix = find_prefix(token)
    if prefix is None:
        return None
    row = tx.execute(sa.select(api_token).where(api_token.c.prefix == prefix)).mappings().first()
    kept = "" if row is None else row["sha256"]
    if row is None or not hmac.compare_digest(kept, hash_token(token)):
        return None
    found = _read_token(row)
    maker = find_maker(tx, found.made_by)
    return found if maker is None else bound_token(tx, found, maker)


def find_maker(tx: Transaction, by: str) -> User | None:
    """Return the account that *by* names, itself or by a token; None: there is none, as for a person with a shell."""
    return users.find_user(tx, _name_maker(by, {each.by: each.made_by for each in list_tokens(tx)}))


def _name_maker(by: str, makers: Mapping[str, str]) -> str:
    """Return the person at whose end stands *by*. *makers*: who made each token, by what it is named as."""
    seen = set[str]()
    while by in makers and by not in seen:
        seen.add(by)
        by = makers[by]
    return by.partition("/")[0]


def remove_made_tokens(tx: Transaction, name: str, *, by: str, now: datetime) -> None:
    """Remove the tokens that the account *name* made, itself or by a token: nothing would bound them without it."""
    held = list_tokens(tx)
    makers = {each.by: each.made_by for each in held}
    for each in held:
        if _name_maker(each.made_by, makers) == name:
            remove_token(tx, each.name, by=by, now=now)


def bound_token(tx: Transaction, token: ApiToken, maker: User) -> ApiToken:
    """Return *token* without what *maker* may not do or see. From a locked account it has no scope."""
    allowed = [] if maker.locked_at is not None else [each for each in Permission if maker.may(each)]
    return attrs.evolve(
        token,
        scopes=tuple(each for each in token.scopes if each in allowed),
        units=_meet_units(tx, token, maker),
        partners=_meet_rights(token.partners, maker.partners),
    )


def _meet_units(tx: Transaction, token: ApiToken, maker: User) -> tuple[str, ...]:
    """Return the units, each with those below it, that both see."""
    if ANY in token.units or ANY in maker.units:
        return _meet_rights(token.units, maker.units)
    bounds = users.read_visible_units(tx, maker) or frozenset()
    own = users.read_visible_units(tx, attrs.evolve(maker, units=token.units)) or frozenset()

    def keep(codes: Sequence[str], seen: frozenset[str]) -> list[str]:
        return [code for code in codes if unit_registry.resolve_unit_code(tx, code, date.max) in seen]

    return tuple(dict.fromkeys([*keep(token.units, bounds), *keep(maker.units, own)]))


def _meet_rights(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in both; `*` in one stands for all of the other."""
    return other if ANY in one else one if ANY in other else tuple(each for each in one if each in other)


def touch_token(tx: Transaction, name: str, now: datetime) -> None:
    """Write the time of the token's last use."""
    tx.execute(sa.update(api_token).where(api_token.c.name == name).values(used_at=now))


def record_refused_token(tx: Transaction, prefix: str | None, address: str, why: str, now: datetime) -> None:
    """Write the event of a wrong token. *prefix*: its first letters, if there is such a token."""
    if prefix is not None and tx.scalar(sa.select(api_token.c.name).where(api_token.c.prefix == prefix)) is None:
        prefix = None  # it may be the secret of something else
    events.append_events(
        tx, Event("token-refused", now, None, None, {"prefix": prefix, "address": address, "reason": why})
    )


def _read_token(row: sa.RowMapping) -> ApiToken:
    names = {field.name for field in attrs.fields(ApiToken)}
    fields = {name: value for name, value in row.items() if name in names}
    return ApiToken(**fields | {name: tuple(json.loads(row[name])) for name in ("scopes", "units", "partners")})
