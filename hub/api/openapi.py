"""Makes the OpenAPI 3.1 document of the API from the table of operations. Contains no sentence about an operation.

The document is in the language of its reader: titles and descriptions follow Accept-Language.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from hub.api.operation import FILE_TYPE, ROOT, ApiOperation, ApiParameter
from hub.api.problems import MEDIA_TYPE, PROBLEMS
from hub.api.schemas import Schema, SchemaCollection
from hub.api.table import OPERATIONS
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase

#: The version of the document. It changes when an operation or a field is added; `/api/v1` stays.
VERSION = "1.0.0"
_PROBLEM: Schema = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(PROBLEMS)},
        "do": {"type": "string"},
        "detail": {"type": "string"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "detail": {"type": "string"}},
                "required": ["name", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "code", "do"],
}


@cache
def write_openapi(language: Language) -> bytes:
    """Return the document as JSON."""
    return (json.dumps(make_openapi(language), ensure_ascii=False) + "\n").encode()


def make_openapi(language: Language, operations: Sequence[ApiOperation] = OPERATIONS) -> dict[str, Any]:
    """Return the document of *operations*."""
    schemas = SchemaCollection(language, {"Problem": _PROBLEM})
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _describe_operation(each, schemas)
    about = phrase(
        "Everything that the pages of the console show and do, for programs. A token's scopes are permissions."
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": translate(phrase("Liên Thông: the API of the hub"), language),
            "version": VERSION,
            "description": translate(about, language),
        },
        "servers": [{"url": "/" + "/".join(ROOT)}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in operations)],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas.found,
            "responses": {
                "Problem": {
                    "description": translate(phrase("A problem, by RFC 9457"), language),
                    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
            },
        },
    }


def _describe_operation(each: ApiOperation, schemas: SchemaCollection) -> dict[str, Any]:
    language = schemas.language
    said: dict[str, Any] = {
        "operationId": each.name,
        "summary": translate(each.about, language),
        "tags": [each.tag],
        "x-scopes": [str(scope) for scope in each.scopes],
    }
    parameters = [_describe_parameter(one, schemas) for one in each.parameters]
    if each.method == "POST":
        parameters.append(_describe_key(each, language))
    if parameters:
        said["parameters"] = parameters
    if each.takes is not None:
        content = {"application/json": {"schema": schemas.refer_to(each.takes)}}
        said["requestBody"] = {"required": True, "content": content}
    if each.takes_file:
        content = {FILE_TYPE: {"schema": {"type": "string", "format": "binary"}}}
        said["requestBody"] = {"required": True, "content": content}
    said["responses"] = {
        str(each.status): _describe_answer(each, schemas),
        "default": {"$ref": "#/components/responses/Problem"},
    }
    return said


def _describe_parameter(one: ApiParameter, schemas: SchemaCollection) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": str(one.place),
        "required": one.place == "path" or one.required,
        "description": translate(one.about, schemas.language),
        "schema": schemas.describe_type(one.kind),
    }


def _describe_key(each: ApiOperation, language: Language) -> dict[str, Any]:
    about = phrase("A new random value for each order; the same value when an order is repeated.")
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": each.keyed,
        "description": translate(about, language),
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    }


def _describe_answer(each: ApiOperation, schemas: SchemaCollection) -> dict[str, Any]:
    language = schemas.language
    said: dict[str, Any] = {"description": translate(each.about, language)}
    if each.answers is not None:
        said["content"] = {"application/json": {"schema": schemas.describe_type(each.answers)}}
    else:
        said["content"] = {media: {"schema": {"type": "string", "format": "binary"}} for media in each.media}
    if each.status == 202:
        about = phrase("The address of the plan")
        said["headers"] = {"Location": {"description": translate(about, language), "schema": {"type": "string"}}}
    return said
