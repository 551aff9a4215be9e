"""Records that the person who types opened the content of messages."""

from collections.abc import Iterable
from datetime import UTC, datetime

import sqlalchemy as sa

from hub.cli import person
from hub.operations.messages import visible_messages
from hub.operations.messages.visible_messages import OpenedContent
from hub.store import transactions


def record_openings(engine: sa.Engine, openings: Iterable[tuple[str, OpenedContent, str]]) -> None:
    """Record that the person opens content, before any of it is shown.

    Each of *openings* is the hub's id of a message, what of it is opened, and its name if there are several.
    """
    now, by = datetime.now(UTC), person.name_person()
    with transactions.write_transaction(engine) as tx:
        for identity, what, name in openings:
            visible_messages.record_opening_by(tx, by, identity, what, now, name)
