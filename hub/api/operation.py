"""Defines an operation of the API as data: address, parameters, body, answer, scope, and the function that does it.

Contains no operation, no HTTP and no journal. `hub.api.table` lists them, `hub.api.openapi` describes them,
`hub.api.service` runs them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import attrs

from hub.api.idempotency import OrderedAnswer
from hub.api.schemas import write_json
from hub.domain.model import Detail
from hub.language.languages import Language
from hub.language.phrases import Phrase
from hub.monitoring.connection_steps import ConnectionStep
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.tokens import ApiToken, TokenUser
from hub.operations.partners.partner_orders import PartnerOrders
from hub.operations.partners.rule_trials import RuleTrials
from hub.operations.partners.trust_orders import TrustOrders
from hub.operations.turns import ReadingTurns
from hub.runtime.thread_pool import Work
from hub.store.group_commit import Journal
from hub.units.live import Live
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


def in_path(name: str, about: Phrase) -> ApiParameter:
    """Return a parameter that is a piece of the path."""
    return ApiParameter(name, about, ParameterPlace.PATH)


@attrs.frozen(kw_only=True)
class ApiParts:
    """What the operations work with."""

    journal: Journal
    live: Live
    turns: ReadingTurns  #: the same as those of the pages: both together have their bound
    now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    #: tests the connection with a partner in both directions; raises `RequestRefused`
    trust: TrustOrders  #: carries out changes of the trusted CAs; the same as that of the pages
    work: Work  #: runs heavy computations in worker threads
    test_partner: Callable[[str, datetime], Awaitable[Sequence[ConnectionStep]]]
    partners: PartnerOrders  #: carries out changes of partners; the same as that of the pages
    trials: RuleTrials  #: trials of other rules; the same as those of the pages
    checks: Callable[[], Awaitable[Mapping[str, tuple[str, Detail]]]]  #: of `/readyz`: code and details of each

    def names(self) -> tuple[Mapping[str, str], str, date]:
        """Return what a search needs besides the journal."""
        return self.turns.list_names(self.now())


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


Deed = Callable[[ApiParts, ApiCall], Awaitable[ConsoleResponse]]


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
    parameters: tuple[ApiParameter, ...] = ()
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


def answer_order(made: OrderedAnswer) -> ConsoleResponse:
    """Return the answer to an order."""
    return ConsoleResponse(
        status=made.status,
        content=made.content,
        content_type="application/json",
        location=made.location,
        fields={"Idempotency-Replayed": "true"} if made.again else {},
    )
