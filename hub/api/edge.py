"""Connects the API to HTTP on the admin port: header fields, bodies, problems. Contains no operation.

The API is there where the console listens, over TLS only. It looks at no cookie, so no page of another site can use it
with the session of a person.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import attrs
import structlog
from twisted.internet.defer import CancelledError

from hub.api.problems import MEDIA_TYPE, ApiProblem, write_problem
from hub.api.service import FILE, ApiRequest, ApiService
from hub.domain.model import Problem
from hub.language.languages import choose_language
from hub.language.phrases import phrase
from hub.operations.refusals import RequestRefused
from hub.store.batch_commit import Journal
from hub.web.answering import HEADERS, AnsweringResource, read_path_pieces
from hub.web.answers import ConsoleResponse

log = structlog.get_logger()

#: Parameters of an address.
_PARAMETERS = 50


class ApiResource(AnsweringResource):
    """Everything below `/api`."""

    def __init__(self, service: ApiService, journal: Journal) -> None:
        super().__init__(journal)
        self._service = service

    def limit(self, request: Any) -> int:
        """Return the maximum octets of the body of *request*."""
        return self._service.limit_body(request.getHeader("authorization") or "", request.target)

    async def make_answer(self, request: Any, wanted: Callable[[], bool]) -> ConsoleResponse:
        """Return the answer of the operation that *request* names, or a problem."""
        asked = _read_head(request, wanted)
        try:
            return await self._service.answer(_complete_request(request, asked))
        except ApiProblem as problem:
            return self._service.write_problem(asked, problem)
        except CancelledError:
            raise
        except Exception:
            log.exception("api-failed")
            return self._service.write_problem(asked, ApiProblem("internal"))


def _read_head(request: Any, wanted: Callable[[], bool]) -> ApiRequest:
    def read(name: str) -> str:
        return request.getHeader(name) or ""

    method = request.method.decode("latin-1")
    return ApiRequest(
        method="GET" if method == "HEAD" else method,
        authorization=read("authorization"),
        languages=read("accept-language"),
        key=request.getHeader("idempotency-key"),
        content_type=read("content-type"),
        address=str(getattr(request.getClientAddress(), "host", "")),
        wanted=wanted,
    )


def _complete_request(request: Any, asked: ApiRequest) -> ApiRequest:
    """Return *asked* with the address and the body of *request*. Raises `ApiProblem`."""
    path, _, query = request.uri.partition(b"?")
    try:
        pieces = read_path_pieces(path)
    except RequestRefused:
        raise ApiProblem("not-found") from None
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_PARAMETERS)
    except ValueError:
        why = phrase("the parameters must be UTF-8, percent-encoded, at most {count}", count=_PARAMETERS)
        raise ApiProblem("parameter-wrong", why) from None
    return attrs.evolve(asked, path=pieces[1:], query=pairs, body=_read_body(request))


def _read_body(request: Any) -> bytes:
    if request.method != b"POST":
        return b""
    octets, drawer = request.take_body()
    try:
        if len(octets) > FILE:
            raise ApiProblem("too-large")
        found: bytes = octets.read()
        return found
    finally:
        drawer.close()


def write_early_problem(problem: Problem, languages: str) -> tuple[dict[str, str], bytes]:
    """Return header fields and text of a refusal before the request is complete.

    It is sent if the body is too large or cannot be stored. *languages*: Accept-Language.
    """
    language = choose_language(None, None, languages)
    text = write_problem(ApiProblem("too-large" if problem.code == "too-large" else "busy"), language)
    fields = {"Content-Type": MEDIA_TYPE, "Content-Language": str(language), "Cache-Control": "no-store"}
    return {**HEADERS, **fields}, text
