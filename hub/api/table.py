"""Lists the operations of the API. The list routes the requests and makes the OpenAPI document.

An operation with a fixed piece stands before one that has a parameter in its place.
"""

from collections.abc import Mapping, Sequence

from hub.api import (
    corrections,
    declarations,
    messages,
    partner_changes,
    partners,
    replays,
    report_signing,
    reports,
    trust,
    watching,
    what_if,
)
from hub.api.operation import ApiOperation
from hub.api.projection import project_topic
from hub.operations.accounts import account_operations, token_operations
from hub.operations.replays import plan_operations


def list_operations() -> Sequence[ApiOperation]:
    """Return every operation."""
    return (
        *watching.OPERATIONS,
        *messages.OPERATIONS,
        *project_topic(plan_operations.TOPIC),
        *replays.OPERATIONS,
        *corrections.OPERATIONS,
        *what_if.OPERATIONS,
        *partners.OPERATIONS,
        *partner_changes.OPERATIONS,
        *partners.UNIT_OPERATIONS,
        *reports.OPERATIONS,
        *declarations.OPERATIONS,
        *report_signing.OPERATIONS,
        *project_topic(account_operations.TOPIC),
        *project_topic(token_operations.TOPIC),
        *trust.OPERATIONS,
    )


OPERATIONS = list_operations()


def find_operations(pieces: tuple[str, ...]) -> dict[str, tuple[ApiOperation, Mapping[str, str]]]:
    """Return the operations at the address *pieces* behind `/api/v1`, by method, with the parameters of the path."""
    found: dict[str, tuple[ApiOperation, Mapping[str, str]]] = {}
    for each in OPERATIONS:
        said = each.match(pieces)
        if said is not None:
            found.setdefault(each.method, (each, said))
    return found
