"""The operations on the tokens of programs: add, list, remove. A secret stands in the answer once.

Contains no page, no address and no command: those are made of the values below. What an operation does is in
`hub.operations.accounts.token_steps`, so that the help of a command loads nothing of it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import attrs

from hub.language.phrases import phrase
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.operation import (
    ONCE,
    CommandWords,
    HubOperation,
    Option,
    RefusalKind,
    RefusalMeaning,
    Subject,
    Topic,
)

if TYPE_CHECKING:
    from hub.operations.accounts.tokens import ApiToken

#: Days that a token lasts if nothing else is asked.
DAYS = 90


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
class ListedToken:
    """A token without its secret."""

    name: str
    prefix: str
    owner: str
    scopes: tuple[str, ...]
    units: tuple[str, ...]
    partners: tuple[str, ...]
    made_at: datetime
    made_by: str
    until: datetime
    used_at: datetime | None = None

    @classmethod
    def of(cls, token: "ApiToken") -> "ListedToken":
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
    does="hub.operations.accounts.token_steps:make_token",
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
    does="hub.operations.accounts.token_steps:list_tokens",
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
    does="hub.operations.accounts.token_steps:remove_token",
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
