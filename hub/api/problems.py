"""The problems that the API answers with (RFC 9457, Problem Details for HTTP APIs): codes, statuses and sentences.

A code is stable; a title is said in the language of the reader. Contains no HTTP and no operation.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from hub.domain.model import Detail
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.language.tables import read_table
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import RequestRefused

MEDIA_TYPE = "application/problem+json"


@attrs.frozen
class ProblemKind:
    """One kind of problem."""

    status: int
    title: Phrase  #: what is wrong
    do: Phrase  #: what the caller can do


#: Code -> status, what is wrong and what to do, as `hub/language/problems.json` says.
PROBLEMS: Mapping[str, ProblemKind] = {
    code: ProblemKind(status, Phrase(title), Phrase(do)) for code, (status, title, do) in read_table("problems").items()
}
#: The page that explains the codes.
_PAGE = ("help", "reference", "api")
_NO_CURSOR = phrase("is no cursor of this list")


@attrs.frozen
class NamedFlaw:
    """What is wrong with one parameter or field."""

    name: str
    detail: Detail


class ApiProblem(Exception):
    """The request is answered with a problem of the code *code*."""

    def __init__(
        self,
        code: str,
        detail: Detail = "",
        *,
        flaws: Sequence[NamedFlaw] = (),
        retry_after: int | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.flaws, self.retry_after = code, detail, flaws, retry_after
        self.fields: Mapping[str, str] = fields or {}  #: header fields of the answer

    @property
    def status(self) -> int:
        """The status of the answer."""
        return PROBLEMS[self.code].status


@contextmanager
def refusing_parameter(name: str = "cursor", why: Phrase = _NO_CURSOR) -> Iterator[None]:
    """Refuse the parameter *name* if what is done within raises `RequestRefused`."""
    try:
        yield
    except RequestRefused:
        raise ApiProblem("parameter-wrong", flaws=[NamedFlaw(name, why)]) from None


def write_problem(problem: ApiProblem, language: Language) -> bytes:
    """Return the answer as JSON in *language*. `code`, `do` and `problems` are members beside those of RFC 9457."""
    kind = PROBLEMS[problem.code]
    said: dict[str, object] = {
        "type": f"{build_page_path(*_PAGE)}#{problem.code}",
        "title": translate(kind.title, language),
        "status": kind.status,
        "code": problem.code,
        "do": translate(kind.do, language),
    }
    if problem.detail:
        said["detail"] = translate(problem.detail, language)
    if problem.flaws:
        said["problems"] = [{"name": each.name, "detail": translate(each.detail, language)} for each in problem.flaws]
    return (json.dumps(said, ensure_ascii=False) + "\n").encode("utf-8", "replace")
