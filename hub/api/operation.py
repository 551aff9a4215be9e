"""Defines an operation of the API as data: address, parameters, body, answer, scope, and the function that does it.

Contains no operation, no HTTP and no journal. `hub.api.table` lists them, `hub.api.openapi` describes them,
`hub.api.service` runs them.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from hub.api.idempotency import OrderedAnswer, find_kept_answer, run_once
from hub.api.schemas import write_json
from hub.domain.fair_queue import CONSOLE
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.tokens import ApiToken, TokenUser
from hub.operations.operation import hide_secrets
from hub.operations.parts import OperationParts
from hub.store.transactions import Transaction
from hub.web.answers import ConsoleResponse

#: First pieces of every address.
ROOT = ("api", "v1")
#: The media type of a file that is sent.
FILE_TYPE = "application/octet-stream"
#: Characters of a parameter.
LONGEST = 500


class ParameterPlace(StrEnum):
    """Where a parameter stands in the address."""

    PATH = "path"
    QUERY = "query"


@attrs.frozen
class ApiParameter:
    """One parameter of an operation."""

    name: str
    about: Phrase
    place: ParameterPlace = ParameterPlace.QUERY
    kind: type = str  #: `str`, or an enumeration
    required: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What it may be, if it is of an enumeration."""
        return tuple(str(each) for each in self.kind) if issubclass(self.kind, StrEnum) else ()


#: What the parameters of paths are, by name. An operation that means another thing says so.
PIECES: Mapping[str, Phrase] = {
    "message": phrase("the hub's id of the message"),
    "other": phrase("the hub's id of the other message"),
    "attempt": phrase("id of the attempt"),
    "number": phrase("number of the attachment, from 1"),
    "tracking": phrase("the Tracking that its caller got"),
    "plan": phrase("id of the plan"),
    "trial": phrase("id of the trial"),
    "partner": phrase("code of the partner"),
    "fingerprint": phrase("beginning of its SHA-256, at least 8 digits"),
    "form": phrase("id of the form, such as edoc"),
    "unit": phrase("code of the unit"),
    "period": phrase("the period: 2026-11, 2026-Q4, 2026-H1, 2026-9M or 2026"),
    "column": phrase("key of the column"),
}


@attrs.frozen(kw_only=True)
class ApiCall:
    """One request to an operation, checked."""

    token: ApiToken
    user: TokenUser  #: what the token may see and do
    parameters: Mapping[str, str]  #: those that were given, also those of the path
    body: Any = None  #: of the class that the operation takes
    request: str = ""  #: `hash_request` of the request
    key: str | None = None  #: the Idempotency-Key
    language: Language
    now: datetime
    wanted: Callable[[], bool] = lambda: True  #: tells whether the caller still waits

    def text(self, name: str) -> str:
        """Return a parameter, or an empty text."""
        return self.parameters.get(name, "")


Deed = Callable[[OperationParts, ApiCall], Awaitable[ConsoleResponse]]


@attrs.frozen(kw_only=True)
class ApiOperation:
    """One operation."""

    name: str  #: its operationId
    method: str = "GET"
    path: str  #: behind `/api/v1`, with `{name}` for each parameter of the path
    tag: str
    about: Phrase
    scopes: tuple[Permission, ...]  #: the permissions of which a token needs one; empty: any token
    whole: bool = False  #: it is about what belongs to no unit, so a token that is limited to some units may not
    unlimited: bool = False  #: it gives rights, so a token that is limited to some units or partners may not
    means: Mapping[str, Phrase] = attrs.field(factory=dict)  #: what its parameters of the path are, unless as `PIECES`
    query: tuple[ApiParameter, ...] = ()
    takes: type | None = None  #: the class of its body
    takes_file: bool = False  #: its body is a file, as `application/octet-stream`
    answers: type | None = None  #: the class of its answer; None: a file
    media: tuple[str, ...] = ()  #: the media types of a file
    status: int = 200
    keyed: bool = False  #: an Idempotency-Key must be sent; it may be sent with any POST
    run: Deed

    @property
    def pieces(self) -> tuple[str, ...]:
        """The pieces of the path."""
        return tuple(self.path.strip("/").split("/"))

    @property
    def parameters(self) -> tuple[ApiParameter, ...]:
        """Those of the path, then those of the query."""
        names = [each[1:-1] for each in self.pieces if each.startswith("{")]
        said = {**PIECES, **self.means}
        return (*(ApiParameter(each, said[each], ParameterPlace.PATH) for each in names), *self.query)

    def match(self, pieces: tuple[str, ...]) -> Mapping[str, str] | None:
        """Return the parameters of the path *pieces*; None if it is no address of this operation."""
        if len(pieces) != len(self.pieces):
            return None
        found = {}
        for ours, given in zip(self.pieces, pieces, strict=True):
            if ours.startswith("{"):
                found[ours[1:-1]] = given
            elif ours != given:
                return None
        return found


def answer_value(value: object, call: ApiCall, *, status: int = 200, location: str | None = None) -> ConsoleResponse:
    """Return *value*, of an attrs class, as the answer."""
    content = write_json(value, call.language)
    return ConsoleResponse(status=status, content=content, content_type="application/json", location=location)


async def order_once(
    parts: OperationParts,
    call: ApiCall,
    step: Callable[[Transaction], Any],
    *,
    status: int = 200,
    locate: Callable[[Any], str] | None = None,
) -> ConsoleResponse:
    """Take the *step* of an order unless its key was sent before, and answer with what it returns, now or then.

    What is shown once is not kept. *locate* returns the address of what the order has made.
    """
    said: Any = None

    def do(tx: Transaction) -> OrderedAnswer:
        nonlocal said
        said = step(tx)
        content = write_json(hide_secrets(said), call.language)
        return OrderedAnswer(status=status, content=content, location=locate(said) if locate else None)

    made = await parts.journal.admit(CONSOLE, run_once, call.token.prefix, call.key, call.request, call.now, do)
    return _answer_order(made if made.again else attrs.evolve(made, content=write_json(said, call.language)))


async def find_answer(parts: OperationParts, call: ApiCall) -> ConsoleResponse | None:
    """Return what an order was answered when its key was sent before."""
    kept = await parts.journal.read(find_kept_answer, call.token.prefix, call.key, call.request, call.now)
    return None if kept is None else _answer_order(kept)


def _answer_order(made: OrderedAnswer) -> ConsoleResponse:
    return ConsoleResponse(
        status=made.status,
        content=made.content,
        content_type="application/json",
        location=made.location,
        fields={"Idempotency-Replayed": "true"} if made.again else {},
    )
