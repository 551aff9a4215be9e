"""The problems that the API answers with (RFC 9457, Problem Details for HTTP APIs): codes, statuses and sentences.

A code is stable; a title is said in the language of the reader. Contains no HTTP and no operation.
"""

import json
from collections.abc import Mapping, Sequence

import attrs

from hub.domain.model import Detail
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.operations.page_paths import build_page_path

MEDIA_TYPE = "application/problem+json"


@attrs.frozen
class ProblemKind:
    """One kind of problem."""

    status: int
    title: Phrase  #: what is wrong
    do: Phrase  #: what the caller can do


PROBLEMS: Mapping[str, ProblemKind] = {
    "token-missing": ProblemKind(
        401,
        phrase("No token came with the request"),
        phrase("Send the header Authorization: Bearer TOKEN. An administrator makes tokens: lienthong tokens add."),
    ),
    "token-unknown": ProblemKind(
        401,
        phrase("The token is not known"),
        phrase("Check it. It may have been removed, or belong to another hub."),
    ),
    "token-expired": ProblemKind(
        401, phrase("The token has expired"), phrase("Ask an administrator for a new one: lienthong tokens add.")
    ),
    "wrong-tokens": ProblemKind(
        429,
        phrase("Too many wrong tokens came from this address"),
        phrase("Wait as long as Retry-After says, then send the right token."),
    ),
    "scope-missing": ProblemKind(
        403,
        phrase("The token does not have the scope that this operation needs"),
        phrase("Ask an administrator for a token with the scope that is named."),
    ),
    "token-limited": ProblemKind(
        403,
        phrase("The token is limited to some units, and this operation is about what belongs to no unit"),
        phrase("Ask an administrator for a token of all units."),
    ),
    "token-bounded": ProblemKind(
        403,
        phrase(
            "The token is limited to some partners, and this operation gives rights or changes what all partners need"
        ),
        phrase("Ask an administrator for a token of all units and partners."),
    ),
    "not-found": ProblemKind(
        404,
        phrase("There is nothing at this address, or not for this token"),
        phrase("Check the address, and the units and partners of the token: GET /api/v1/token."),
    ),
    "method-unfit": ProblemKind(
        405, phrase("This address does not have that method"), phrase("Use a method that the header Allow names.")
    ),
    "parameter-wrong": ProblemKind(
        400,
        phrase("A parameter of the address is unknown or cannot be read"),
        phrase("Compare the parameters with /api/v1/openapi.json."),
    ),
    "media-type": ProblemKind(
        415,
        phrase("The body is not of the media type that this operation takes"),
        phrase("Send the header Content-Type: application/json; with a file application/octet-stream."),
    ),
    "body-wrong": ProblemKind(
        400,
        phrase("The body is not the JSON object that this operation takes"),
        phrase("Compare it with /api/v1/openapi.json."),
    ),
    "too-large": ProblemKind(
        413,
        phrase("The body is too large"),
        phrase("Send at most 64 KiB; a file at most 8 MiB, within ten minutes of another request with the token."),
    ),
    "search-unfit": ProblemKind(
        422,
        phrase("The search names something that there is not, or cannot be read"),
        phrase("Correct what is named; nothing was searched."),
    ),
    "order-unfit": ProblemKind(
        422, phrase("The order cannot be carried out as it stands"), phrase("Correct what is named; nothing was done.")
    ),
    "key-missing": ProblemKind(
        400,
        phrase("The header Idempotency-Key is missing"),
        phrase("Send a new random value with each order, and the same value when you repeat the order."),
    ),
    "key-wrong": ProblemKind(
        400,
        phrase("The header Idempotency-Key cannot be used"),
        phrase("Send 1 to 255 letters, digits and signs of ASCII, without blanks."),
    ),
    "key-reused": ProblemKind(
        422,
        phrase("The Idempotency-Key was sent before with another request"),
        phrase("Nothing was done. Send a new key with a new order."),
    ),
    "keys-exhausted": ProblemKind(
        429,
        phrase("The token has used too many Idempotency-Keys within a day"),
        phrase("Nothing was done. Wait as long as Retry-After says, or choose more deliveries with one order."),
    ),
    "state-unfit": ProblemKind(
        409,
        phrase("The plan is in a state that this does not fit"),
        phrase("Nothing was done. Read the plan again, and do what its state allows."),
    ),
    "same-person": ProblemKind(
        409,
        phrase("Another person must approve the plan"),
        phrase("Nothing was done. Let a person approve it who did not make it."),
    ),
    "own-account": ProblemKind(
        409,
        phrase("This would lock out the person for whom the token acts"),
        phrase("Nothing was done. Let another administrator do it."),
    ),
    "last-administrator": ProblemKind(
        409,
        phrase("Afterwards no administrator could sign in"),
        phrase("Nothing was done. Make another administrator of all units and partners first."),
    ),
    "name-taken": ProblemKind(
        409, phrase("There is one of that name already"), phrase("Nothing was done. Choose another name.")
    ),
    "certificate-taken": ProblemKind(
        409,
        phrase("The certificate signs in another account"),
        phrase("Nothing was done. Remove it from that account first."),
    ),
    "not-pushed": ProblemKind(
        409, phrase("The hub does not push to this partner"), phrase("Nothing was done: there is nothing to pause.")
    ),
    "file-changed": ProblemKind(
        409,
        phrase("The partner's file is not the one that the order was made for"),
        phrase("Nothing was done. Read the settings again, and send the order with their sha256 as seen."),
    ),
    "last-certificate": ProblemKind(
        409,
        phrase("It is the partner's last certificate that is valid"),
        phrase("Nothing was done. Send last: true to remove it all the same."),
    ),
    "unwritable": ProblemKind(
        500,
        phrase("The hub cannot write the partner's files"),
        phrase("Nothing was done. Let the hub's account write in partners/, then send the order again."),
    ),
    "facts-outstanding": ProblemKind(
        503,
        phrase("Facts of accepted messages are still being written"),
        phrase("Ask again when Retry-After is over."),
    ),
    "busy": ProblemKind(
        503,
        phrase("The hub is busy, or cannot use its journal now"),
        phrase("Send the same request again when Retry-After is over."),
    ),
    "internal": ProblemKind(
        500,
        phrase("Internal error of the hub"),
        phrase("Send the request again. If the error stays, tell the operator its time."),
    ),
}
#: The page that explains the codes.
_PAGE = ("help", "reference", "api")


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
