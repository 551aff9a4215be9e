"""What the operations on tokens do: each function returns a step of a transaction. A token has no more than who makes it."""

import base64
from collections.abc import Callable, Collection
from datetime import timedelta

from hub.config import ANY
from hub.domain.sanitize import clean_line
from hub.language.phrases import phrase
from hub.operations.accounts import accounts, tokens
from hub.operations.accounts.accounts import AccountRefused
from hub.operations.accounts.permissions import PERMISSIONS
from hub.operations.accounts.token_operations import ListedToken, NewToken, TokenList, TokenMade
from hub.operations.accounts.tokens import ApiToken
from hub.operations.accounts.users import User
from hub.operations.operation import OperationCall
from hub.store.transactions import Transaction

#: Characters of the person who answers for a token.
_OWNER = 64


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
        owner=clean_line(asked.owner, _OWNER) or accounts.name_person(call.by),
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
