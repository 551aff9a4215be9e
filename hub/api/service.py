"""Answers the requests to `/api/v1`: checks the token, its scope, the parameters and the body, and runs the operation.

Contains no HTTP and no SQL. Whatever is wrong becomes a problem (RFC 9457) in the language of the reader.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import attrs
import structlog

from hub.api.idempotency import IdempotencyConflict, KeysExhausted, hash_request
from hub.api.openapi import write_openapi
from hub.api.operation import FILE_TYPE, LONGEST, ROOT, ApiCall, ApiOperation, ParameterPlace
from hub.api.problems import MEDIA_TYPE, ApiProblem, NamedFlaw, write_problem
from hub.api.schemas import JsonUnfit, read_object
from hub.api.table import find_operations
from hub.api.token_check import TokenCheck
from hub.domain.errors import Unready
from hub.domain.fair_queue import CONSOLE
from hub.domain.local_time import find_local_day
from hub.journal.replays.replay_plans import KeyReused
from hub.language.languages import Language, choose_language
from hub.language.phrases import phrase
from hub.operations.accounts import tokens
from hub.operations.accounts.sessions import find_address_network
from hub.operations.accounts.tokens import ApiToken, TokenUser
from hub.operations.partners.partner_orders import Flaw, OrderRefusal, OrderRefused
from hub.operations.parts import OperationParts
from hub.operations.refusals import RequestRefused
from hub.operations.replays.order_fields import FieldUnfit
from hub.web.answers import ConsoleResponse

log = structlog.get_logger()

#: Octets of a body, and of a file: the page takes as many.
BODY, FILE = 64 * 1024, 8 << 20
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_BEARER = re.compile(r"bearer +([\x21-\x7e]+) *", re.ASCII | re.IGNORECASE)
#: Statuses of the pages' refusals, and the problems that they are here.
_REFUSED = {404: "not-found", 503: "busy"}


@attrs.frozen(kw_only=True)
class ApiRequest:
    """One request to the API, as it came."""

    method: str = "GET"
    path: tuple[str, ...] = ()  #: decoded piece by piece, without `api`
    query: Sequence[tuple[str, str]] = ()
    authorization: str = attrs.field(default="", repr=False)
    languages: str = ""
    key: str | None = None
    content_type: str = ""
    body: bytes = attrs.field(default=b"", repr=False)
    address: str = ""
    wanted: Callable[[], bool] = attrs.field(default=lambda: True, eq=False, repr=False)

    @property
    def language(self) -> Language:
        """The language of the answer."""
        return choose_language(None, None, self.languages)


@attrs.define(eq=False)
class ApiService:
    """Answers the requests of one node."""

    _parts: OperationParts
    _check: TokenCheck = attrs.field(factory=TokenCheck, init=False, repr=False)

    async def answer(self, asked: ApiRequest) -> ConsoleResponse:
        """Return the answer to *asked*. A problem is an answer, too."""
        try:
            return self._finish(asked, await self._answer(asked))
        except ApiProblem as problem:
            return self.write_problem(asked, problem)
        except FieldUnfit as unfit:
            return self.write_problem(asked, ApiProblem("order-unfit", unfit.why))
        except OrderRefused as refused:
            return self.write_problem(asked, _name_problem(refused))
        except (IdempotencyConflict, KeyReused):
            return self.write_problem(asked, ApiProblem("key-reused"))
        except KeysExhausted as exhausted:
            return self.write_problem(asked, ApiProblem("keys-exhausted", retry_after=exhausted.args[0]))
        except RequestRefused as refused:
            code = _REFUSED.get(refused.status, "internal")
            return self.write_problem(asked, ApiProblem(code, retry_after=refused.retry_after))
        except Unready as unready:
            log.warning("api-unready", problem=unready.problem.code, detail=str(unready.problem.detail))
            code = unready.problem.code if unready.problem.code == "facts-outstanding" else "busy"
            return self.write_problem(asked, ApiProblem(code, retry_after=unready.retry_after))

    def write_problem(self, asked: ApiRequest, problem: ApiProblem) -> ConsoleResponse:
        """Return *problem* as an answer."""
        made = ConsoleResponse(
            status=problem.status,
            content=write_problem(problem, asked.language),
            content_type=MEDIA_TYPE,
            retry_after=problem.retry_after,
            fields=problem.fields,
        )
        return self._finish(asked, made)

    def _finish(self, asked: ApiRequest, made: ConsoleResponse) -> ConsoleResponse:
        fields = {"Vary": "Accept-Language", "Content-Language": str(asked.language)}
        return attrs.evolve(made, fields={**fields, **made.fields})

    async def _answer(self, asked: ApiRequest) -> ConsoleResponse:
        if asked.path[:1] != ROOT[1:]:
            raise ApiProblem("not-found")
        pieces = asked.path[1:]
        if pieces == ("openapi.json",) and asked.method == "GET":
            return ConsoleResponse(content=write_openapi(asked.language), content_type="application/json")
        now = self._parts.now()
        token = await self._authenticate(asked, now)
        found = find_operations(pieces)
        if not found:
            raise ApiProblem("not-found")
        if asked.method not in found:
            raise ApiProblem("method-unfit", fields={"Allow": ", ".join(sorted(found))})
        operation, named = found[asked.method]
        user = TokenUser.of(token, find_local_day(now))
        if operation.scopes and not any(map(user.may, operation.scopes)):
            raise ApiProblem("scope-missing", ", ".join(operation.scopes))
        if operation.whole and not user.sees_all:
            raise ApiProblem("token-limited")
        if operation.unlimited and not user.is_unlimited:
            raise ApiProblem("token-bounded")
        call = ApiCall(
            token=token,
            user=user,
            parameters={**_read_parameters(operation, asked.query), **_read_pieces(named)},
            body=_read_body(operation, asked),
            key=_read_key(operation, asked),
            request=hash_request(asked.authorization.split()[1], asked.method, "/".join(asked.path), asked.body),
            language=asked.language,
            now=now,
            wanted=asked.wanted,
        )
        return await operation.run(self._parts, call)

    def limit_body(self, authorization: str, target: bytes) -> int:
        """Return the maximum octets of the body of a request to *target*: a file only from a token that is known to be
        right, and only where one is taken.
        """
        given, pieces = _BEARER.fullmatch(authorization), tuple(target.partition(b"?")[0].decode("latin-1").split("/"))
        taking = [each for each in find_operations(pieces[len(ROOT) + 1 :]).values() if each[0].takes_file]
        return FILE if taking and given and self._check.knows(given[1], self._parts.now()) else BODY

    # --- the token ----------------------------------------------------------------------------------------------------

    async def _authenticate(self, asked: ApiRequest, now: datetime) -> ApiToken:
        given = _BEARER.fullmatch(asked.authorization)
        if given is None:
            raise ApiProblem("token-missing", fields={"WWW-Authenticate": 'Bearer realm="lienthong"'})
        text, place = given[1], find_address_network(asked.address)
        if seconds := self._check.count_wait(place, text, now):
            raise ApiProblem("wrong-tokens", retry_after=seconds)
        token = await self._parts.journal.read(tokens.find_token, text)
        if token is None or token.until <= now:
            await self._refuse(asked, text, place, "unknown" if token is None else "expired", now)
        assert token is not None
        self._check.note_right(text, now)
        if token.is_stale(now):
            await self._parts.journal.admit(CONSOLE, tokens.touch_token, token.name, now)
        return token

    async def _refuse(self, asked: ApiRequest, text: str, place: str, why: str, now: datetime) -> None:
        """Count a wrong token, tell of it, and raise its problem."""
        if self._check.note_wrong(place, now):
            words = (tokens.find_prefix(text), asked.address, why, now)
            await self._parts.journal.admit(CONSOLE, tokens.record_refused_token, *words)
        raise ApiProblem(f"token-{why}", fields={"WWW-Authenticate": 'Bearer realm="lienthong", error="invalid_token"'})


# --- what is the matter with an order --------------------------------------------------------------------------------


def _name_problem(refused: OrderRefused) -> ApiProblem:
    """Return the problem that a refused order is."""
    match refused.refusal:
        case OrderRefusal.STALE:
            return ApiProblem("file-changed")
        case OrderRefusal.LAST:
            return ApiProblem("last-certificate", refused.flaws[0][1])
        case OrderRefusal.UNWRITABLE:
            return ApiProblem("unwritable", refused.flaws[0][1])
    return ApiProblem("order-unfit", flaws=[_name_flaw(each) for each in refused.flaws])


def _name_flaw(flaw: Flaw) -> NamedFlaw:
    place, wrong, expected = flaw
    if expected is None:
        return NamedFlaw(place, wrong)
    return NamedFlaw(place, phrase("{wrong}; expected: {expected}", wrong=wrong, expected=expected))


# --- what a request says ----------------------------------------------------------------------------------------------


def _read_pieces(named: Mapping[str, str]) -> Mapping[str, str]:
    if any(len(each) > LONGEST for each in named.values()):
        raise ApiProblem("not-found")
    return named


def _read_parameters(operation: ApiOperation, query: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the parameters of the query. An unknown or repeated one is refused: no typo may widen a search."""
    known = {each.name: each for each in operation.parameters if each.place is ParameterPlace.QUERY}
    found: dict[str, str] = {}
    flaws = []
    for name, value in query:
        if name not in known:
            flaws.append(NamedFlaw(name[:100], phrase("is not known")))
        elif name in found:
            flaws.append(NamedFlaw(name, phrase("stands there twice")))
        elif len(value) > LONGEST:
            flaws.append(NamedFlaw(name, phrase("must be a text of at most {count} letters", count=LONGEST)))
        elif (words := known[name].words) and value not in words:
            flaws.append(NamedFlaw(name, phrase("must be one of {names}", names=", ".join(words))))
        found.setdefault(name, value)
    flaws += [
        NamedFlaw(name, phrase("is missing")) for name, each in known.items() if each.required and not found.get(name)
    ]
    if flaws:
        raise ApiProblem("parameter-wrong", flaws=flaws)
    return found


def _read_body(operation: ApiOperation, asked: ApiRequest) -> object:
    """Return the body as the class that *operation* takes, or the octets of a file."""
    if len(asked.body) > (FILE if operation.takes_file else BODY):
        raise ApiProblem("too-large")
    kind = asked.content_type.partition(";")[0].strip().lower()
    if operation.takes_file:
        if kind != FILE_TYPE:
            raise ApiProblem("media-type")
        return asked.body
    if operation.takes is None:
        return None
    if kind != "application/json":
        raise ApiProblem("media-type")
    try:
        said = json.loads(asked.body, object_pairs_hook=_read_pairs)
    except (ValueError, RecursionError) as error:
        why = error.args[0] if isinstance(error, JsonUnfit) else phrase("cannot be read as JSON")
        raise ApiProblem("body-wrong", why) from None
    try:
        return read_object(operation.takes, said)
    except JsonUnfit as unfit:
        raise ApiProblem("body-wrong", flaws=[NamedFlaw(unfit.name, unfit.why)]) from None


def _read_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object of JSON. One name twice is refused: readers differ in which value they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _read_key(operation: ApiOperation, asked: ApiRequest) -> str | None:
    """Return the idempotency key. It may stand in quotes, as a string of RFC 9651."""
    if operation.method != "POST" or asked.key is None:
        if operation.keyed:
            raise ApiProblem("key-missing")
        return None
    key = asked.key.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise ApiProblem("key-wrong")
    return key
