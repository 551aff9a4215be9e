"""The operations on the tokens of programs: add, list, remove. A secret stands in the answer once.

A token has no more than who makes it. Contains no page, no address and no command: those are made of the values below.
"""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Annotated

import attrs

from hub.config import ANY
from hub.domain.sanitize import replace_controls
from hub.language.phrases import phrase
from hub.operations.accounts import accounts, tokens
from hub.operations.accounts.accounts import AccountRefused
from hub.operations.accounts.permissions import PERMISSIONS, Permission, Role
from hub.operations.accounts.tokens import ApiToken
from hub.operations.accounts.users import User
from hub.operations.operation import (
    ONCE,
    CommandWords,
    HubOperation,
    OperationCall,
    Option,
    RefusalKind,
    RefusalMeaning,
    Subject,
    Topic,
)
from hub.store.transactions import Transaction

#: Days that a token lasts if nothing else is asked.
DAYS = 90
#: Characters of the person who answers for a token.
_OWNER = 64


@attrs.frozen(kw_only=True)
class NewToken:
    """A token to make."""

    asked = True
    name: str
    scopes: Annotated[Sequence[Permission], Option(phrase("What it may do; repeatable."))] = ()
    role: Annotated[
        Role | None, phrase("also all scopes of this role"), Option(phrase("All permissions of this role as scopes."))
    ] = None
    units: Annotated[
        Sequence[str],
        phrase("unit codes, each with the units below it; none: every unit"),
        Option(
            phrase("A unit that it sees, including the units below it; repeatable. Without it, all."),
            metavar="CODE|'*'",
        ),
    ] = ()
    partners: Annotated[
        Sequence[str],
        phrase("partner codes; none: every partner"),
        Option(
            phrase("A partner whose messages and deliveries it sees; repeatable. Without it, all."),
            metavar="CODE|'*'",
        ),
    ] = ()
    days: Annotated[
        int, phrase("it expires after so many days"), Option(phrase("It expires after so many days."), least=1)
    ] = DAYS
    owner: Annotated[
        str,
        phrase("the person who answers for it; empty: the owner of the calling token"),
        Option(phrase("The person who answers for it; without it, who runs the command.")),
    ] = ""


@attrs.frozen(kw_only=True)
class ListedToken(ApiToken):
    """A token without its secret."""

    @classmethod
    def of(cls, token: ApiToken) -> "ListedToken":
        """Return *token* as it is listed."""
        return cls(**attrs.asdict(token))


@attrs.frozen(kw_only=True)
class TokenList:
    """All tokens, by name."""

    items: Sequence[ListedToken]


@attrs.frozen(kw_only=True)
class TokenMade:
    """A new token."""

    token: ListedToken
    secret: Annotated[
        str | None, phrase("shown in this answer only; null where the same Idempotency-Key was sent before"), ONCE
    ] = None


def make_token(call: OperationCall) -> Callable[[Transaction], TokenMade]:
    """Return the step that makes a token (`NewToken`). Raises `AccountRefused`, as the step does."""
    text = tokens.write_token(call.random(4).hex(), base64.urlsafe_b64encode(call.random(32)).decode().rstrip("="))
    token = _draw_up_token(call, text)

    def step(tx: Transaction) -> TokenMade:
        keep_token(tx, token, text, call.config.partners, call.maker)
        return TokenMade(token=ListedToken.of(token), secret=text)

    return step


def _draw_up_token(call: OperationCall, text: str) -> ApiToken:
    asked: NewToken = call.asked
    name = _normalise_name(asked.name)
    granted = {*asked.scopes, *(PERMISSIONS[asked.role] if asked.role is not None else ())}
    if not granted:
        raise AccountRefused("scopes-missing", phrase("give the token at least one scope"))
    if not 1 <= asked.days <= tokens.LONGEST:
        bound = phrase("a token lasts at least 1 and at most {days} days", days=tokens.LONGEST)
        raise AccountRefused("days-unfit", bound)
    return ApiToken(
        name=name,
        prefix=tokens.find_prefix(text) or "",
        owner=replace_controls(" ".join(asked.owner.split()))[:_OWNER] or accounts.name_person(call.by),
        scopes=tuple(sorted(map(str, granted))),
        units=tuple(dict.fromkeys(asked.units or [ANY])),
        partners=tuple(dict.fromkeys(asked.partners or [ANY])),
        made_at=call.now,
        made_by=call.by,
        until=call.now + timedelta(days=asked.days),
    )


def _normalise_name(text: str) -> str:
    try:
        return tokens.normalise_token_name(text)
    except tokens.TokenUnfit:
        unfit = phrase("{name} is not a valid name: letters a to z, digits, . _ -", name=repr(text[:64]))
        raise AccountRefused("name-unfit", unfit) from None


def keep_token(
    tx: Transaction, token: ApiToken, text: str, configured: Collection[str], maker: User | None = None
) -> None:
    """Keep *token* with the hash of its secret *text*. Raises `AccountRefused`, also if *maker* has less than it.

    Without *maker* that is the account of its name, if there is one.
    """
    accounts.require_known_limits(tx, token.units, token.partners, configured)
    maker = maker or tokens.find_maker(tx, token.made_by)
    if maker is not None and (more := _find_excess(token, tokens.bound_token(tx, token, maker))):
        why = phrase("a token has no more than {name}, who makes it: not {more}", name=maker.name, more=", ".join(more))
        raise AccountRefused("token-exceeds", why)
    if not tokens.add_token(tx, token, tokens.hash_token(text)):
        raise AccountRefused("name-taken", phrase("the token {name} exists already", name=token.name))


def _find_excess(token: ApiToken, bounded: ApiToken) -> list[str]:
    """Return the scopes, units and partners of *token* that it would not have."""
    kinds = ((token.scopes, bounded.scopes), (token.units, bounded.units), (token.partners, bounded.partners))
    return [each for asked, left in kinds for each in asked if each not in left]


def list_tokens(_call: OperationCall) -> Callable[[Transaction], TokenList]:
    """Return the step that reads all tokens."""
    return lambda tx: TokenList(items=list(map(ListedToken.of, tokens.list_tokens(tx))))


def remove_token(call: OperationCall) -> Callable[[Transaction], ListedToken]:
    """Return the step that removes the token *subject*, and returns it as it was. Raises `AccountRefused`, as it does."""
    name = _normalise_name(call.subject)

    def step(tx: Transaction) -> ListedToken:
        removed = tokens.remove_token(tx, name, by=call.by, now=call.now)
        if removed is None:
            raise AccountRefused("token-unknown", phrase("there is no token {name}", name=name))
        return ListedToken.of(removed)

    return step


def _write_made_row(made: TokenMade) -> Mapping[str, object]:
    return {**attrs.asdict(made.token), "token": made.secret}


def _write_name(token: ListedToken) -> Mapping[str, object]:
    return {"name": token.name}


ADD = HubOperation(
    name="makeToken",
    about=phrase("Make a token. It stands in the answer once."),
    rights=(Permission.MANAGE_USERS,),
    whole=True,
    unlimited=True,
    takes=NewToken,
    answers=TokenMade,
    prepare=make_token,
    event="token-added",
    makes=True,
    address="/tokens",
    command=CommandWords(
        name="add",
        about=phrase(
            "Add a token. It is printed once, and cannot be shown again: only its SHA-256 is kept.\n\nEach scope is a "
            "permission of the console; --role gives all of a role. A program sends the token in the header "
            "Authorization: Bearer TOKEN."
        ),
        examples=(
            "lienthong tokens add kho-du-lieu --scope find-messages --scope see-reports",
            "lienthong tokens add giam-sat --scope see-overview --scope see-events --days 365",
            "lienthong tokens add gui-lai --role engineer --partner vpub --owner nguyenvana",
        ),
        write_row=_write_made_row,
        prints="token",
        said=phrase("Added {name}. Keep the token now: it cannot be shown again."),
        refusals={"scopes-missing": phrase("--scope or --role is needed")},
    ),
)
LIST = HubOperation(
    name="listTokens",
    about=phrase("List the tokens of programs, by name."),
    rights=(Permission.MANAGE_USERS,),
    whole=True,
    unlimited=True,
    answers=TokenList,
    prepare=list_tokens,
    address="/tokens",
    command=CommandWords(
        name="list",
        about=phrase("List the tokens: their scopes and limits, when they expire, and when each was used last."),
        examples=(
            "lienthong tokens list",
            "lienthong tokens list --json | jq 'select(.prefix == \"lt_1a2b3c4d\")'",
        ),
        write_row=attrs.asdict,
        columns={
            "name": phrase("name"),
            "prefix": phrase("begins with"),
            "owner": phrase("owner"),
            "scopes": phrase("scopes"),
            "units": phrase("units"),
            "partners": phrase("partners"),
            "until": phrase("expires"),
            "used_at": phrase("last used"),
        },
        empty=phrase("There is no token yet: lienthong tokens add"),
    ),
)
REMOVE = HubOperation(
    name="removeToken",
    about=phrase("Remove a token. The API refuses it from now on."),
    rights=(Permission.MANAGE_USERS,),
    whole=True,
    unlimited=True,
    subject=Subject("name", phrase("name of the token")),
    answers=ListedToken,
    prepare=remove_token,
    event="token-removed",
    address="/tokens/{name}/remove",
    command=CommandWords(
        name="remove",
        about=phrase("Remove a token. From now on the API refuses it."),
        examples=("lienthong tokens remove kho-du-lieu",),
        write_row=_write_name,
        said=phrase("Removed {name}."),
    ),
)

TOPIC = Topic(
    name="tokens",
    about=phrase("The tokens of programs that use the API: add, list, remove."),
    operations=(ADD, LIST, REMOVE),
    refusals={
        "token-unknown": RefusalMeaning(RefusalKind.ABSENT, "name"),
        "name-unfit": RefusalMeaning(RefusalKind.UNFIT, "name"),
        "name-taken": RefusalMeaning(RefusalKind.CONFLICT, "name"),
        "scopes-missing": RefusalMeaning(RefusalKind.UNFIT, "scopes"),
        "days-unfit": RefusalMeaning(RefusalKind.UNFIT, "days"),
        "token-exceeds": RefusalMeaning(RefusalKind.UNFIT, "scopes"),
        "limits-many": RefusalMeaning(RefusalKind.UNFIT, "units"),
        "unit-unknown": RefusalMeaning(RefusalKind.UNKNOWN, "units"),
        "partner-unknown": RefusalMeaning(RefusalKind.UNKNOWN, "partners"),
    },
)
