"""Names the person who types a command, and records that this person opened content. Contains no permissions.

Who may run a command on the hub's machine may read its database, so nothing is refused here.
"""

import os
import pwd
from collections.abc import Iterable
from datetime import UTC, datetime

import sqlalchemy as sa

from hub.operations.messages import visible_messages
from hub.operations.messages.visible_messages import OpenedContent
from hub.store import transactions


def name_person() -> str:
    """Return the name of the account that runs the process. The environment cannot change it."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under a number that has no name
        return str(uid)


def record_openings(engine: sa.Engine, openings: Iterable[tuple[str, OpenedContent, str]]) -> None:
    """Record that the person opens content, before any of it is shown.

    Each of *openings* is the hub's id of a message, what of it is opened, and its name if there are several.
    """
    now, by = datetime.now(UTC), name_person()
    with transactions.write_transaction(engine) as tx:
        for identity, what, name in openings:
            visible_messages.record_opening_by(tx, by, identity, what, now, name)
