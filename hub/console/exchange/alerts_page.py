"""The alerts to operators as a page: what is raised and what has ended lately, and their acknowledgement. No HTTP, no SQL.

    /alerts     the alerts; by POST acknowledges one of them, or all

An account that is limited to some partners sees the alerts about these, and those about no partner.
"""

import contextlib
from collections.abc import Mapping
from datetime import datetime

import attrs

from hub.console.request import ConsoleRequest
from hub.domain.fair_queue import CONSOLE
from hub.keeping.hub_alerts import HubAlertKey
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.refusals import refuse_as_absent
from hub.operations.turns import ReadingTurns
from hub.operations.watching.visible_alerts import (
    NOTE,
    acknowledge_visible_alerts,
    clean_note,
    read_visible_alerts,
)
from hub.store.group_commit import Journal


@attrs.frozen(kw_only=True)
class AlertsPage:
    """The page: its template and what it says."""

    said: Mapping[str, object]
    status: int = 200
    template: str = "alerts"


@attrs.frozen
class AlertPages:
    """Makes the page."""

    _journal: Journal
    _turns: ReadingTurns

    async def show(self, asked: ConsoleRequest, user: User, now: datetime) -> AlertsPage:
        """Return the page."""
        del now
        if asked.path[1:]:
            raise refuse_as_absent()
        found = await self._turns.look(read_visible_alerts, user)
        return AlertsPage(said={"found": found, "note": NOTE})

    async def act(self, asked: ConsoleRequest, user: User, now: datetime) -> str:
        """Acknowledge what the form names, and return the address of the page."""
        if asked.path[1:] or not user.may(Permission.ACKNOWLEDGE):
            raise refuse_as_absent()
        said = {name: asked.form.get(name, "") for name in ("condition", "about", "node")}
        keys = None if asked.form.get("all") else [HubAlertKey(said["condition"], said["about"], said["node"])]
        note = clean_note(asked.form.get("note", ""))
        with contextlib.suppress(KeyError):  # it has ended meanwhile: the page says so
            await self._journal.admit(CONSOLE, acknowledge_visible_alerts, user, keys, by=user.name, note=note, now=now)
        return "/alerts"
