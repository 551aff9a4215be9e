"""Programs that call the API without a port: over the journal of a console's town, each with a token of its own.

Every answer is compared with the OpenAPI document. What comes over a real port is tests/process/test_api_client.py's.
"""

import json
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import jsonschema

from hub.api.openapi import make_openapi
from hub.api.problems import MEDIA_TYPE
from hub.api.service import ApiRequest, ApiService
from hub.api.table import find_operations
from hub.config.values import ReplaySettings
from hub.language.languages import Language
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.tokens import ApiToken, add_token, hash_token, write_token
from hub.store import transactions
from hub.web.answering import read_path_pieces
from hub.web.answers import ConsoleResponse
from tests.console_town import Town, done

_number = count(1)
DOCUMENT = make_openapi(Language.EN)


def make_token(town: Town, *scopes: str, name: str = "", owner: str = "an", **said: Any) -> str:
    """Give a program a token with *scopes*, all if none is named; return the token."""
    number = next(_number)
    text = write_token(f"{number:08x}", f"{number:x>43}")
    token = ApiToken(
        name=name or f"t{number}",
        prefix=text[:11],
        owner=owner,
        scopes=scopes or tuple(Permission),
        units=said.pop("units", ("*",)),
        partners=said.pop("partners", ("*",)),
        made_at=town.now,
        made_by=said.pop("made_by", "root"),
        until=said.pop("until", town.now + timedelta(days=365)),
    )
    with transactions.write_transaction(town.engine) as tx:
        assert add_token(tx, token, hash_token(text))
    return text


class Program:
    """One program that calls the API of one node."""

    def __init__(self, town: Town, *scopes: str, language: str = "en", **said: Any) -> None:
        self.town, self.language, self.address = town, language, "10.0.0.9"
        self.token = make_token(town, *scopes, **said)
        self.pages = town.pages()
        config: Any = self.pages.parts.live.config
        if not hasattr(config, "replay"):
            config.replay = ReplaySettings()
        self.service = ApiService(self.pages.parts)
        self.said: Any = None  #: the last answer, decoded

    def get(self, place: str, **said: Any) -> ConsoleResponse:
        """Send a GET request; *place* is behind `/api/v1`."""
        return self.send("GET", place, **said)

    def post(self, place: str, body: Any = None, *, key: str | None = None, **said: Any) -> ConsoleResponse:
        """Send a POST request with *body* as JSON."""
        octets = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {"body": octets, "content_type": "application/json", "key": key} | said
        return self.send("POST", place, **said)

    def send(self, method: str, place: str, **said: Any) -> ConsoleResponse:
        """Send a request, and compare the answer with the document."""
        path, _, query = place.partition("?")
        around = {"authorization": f"Bearer {self.token}", "languages": self.language, "address": self.address}
        pieces = read_path_pieces(f"/v1{path}".encode())
        asked = ApiRequest(method=method, path=pieces, query=parse_qsl(query), **around | said)
        answer: ConsoleResponse = done(self.service.answer(asked))
        self.said = json.loads(answer.content) if answer.content_type.endswith("json") and answer.content else None
        check_answer(method, pieces[1:], answer, self.said)
        return answer


@cache
def _validator(reference: str) -> Any:
    return jsonschema.Draft202012Validator({"$ref": reference, "components": DOCUMENT["components"]})


def check_answer(method: str, pieces: tuple[str, ...], answer: ConsoleResponse, said: Any) -> None:
    """Compare an answer with what the document says of its operation."""
    if answer.content_type == MEDIA_TYPE:
        _validator("#/components/schemas/Problem").validate(said)
        assert answer.status == said["status"] >= 400
        return
    if pieces == ("openapi.json",):
        return
    operation, _ = find_operations(pieces)[method]
    assert answer.status == operation.status
    if operation.answers is not None:
        told = DOCUMENT["paths"][operation.path][method.lower()]["responses"][str(operation.status)]
        _validator(told["content"]["application/json"]["schema"]["$ref"]).validate(said)
    else:
        assert answer.content_type.partition(";")[0] in operation.media
