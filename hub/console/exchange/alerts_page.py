"""The alerts to operators as a page: what is raised and what has ended lately, and their acknowledgement. No HTTP, no SQL.

    /alerts     the alerts; by POST acknowledges one of them, or all

An account that is limited to some partners sees the alerts about these, and those about no partner.
"""

import contextlib

from hub.console.page import PageAnswer, PageReach, console_page
from hub.console.visit import Visit
from hub.domain.fair_queue import CONSOLE
from hub.keeping.hub_alerts import HubAlertKey
from hub.operations.accounts.permissions import Permission
from hub.operations.turns import ReadingTurns
from hub.operations.watching.visible_alerts import NOTE, acknowledge_visible_alerts, clean_note, read_visible_alerts
from hub.store.batch_commit import Journal


@console_page("GET", "/alerts", right=Permission.SEE_READINESS, reach=PageReach.EVERY_UNIT, template="alerts")
async def show_alerts(visit: Visit, turns: ReadingTurns) -> PageAnswer:
    """Show what is raised and what has ended lately."""
    return {"found": await turns.look(read_visible_alerts, visit.user), "note": NOTE}


@console_page("POST", "/alerts", right=Permission.ACKNOWLEDGE, reach=PageReach.EVERY_UNIT)
async def acknowledge_alerts(visit: Visit, journal: Journal) -> PageAnswer:
    """Acknowledge what the form names."""
    user, form, now = visit.user, visit.asked.form, visit.now
    said = {name: form.get(name, "") for name in ("condition", "about", "node")}
    keys = None if form.get("all") else [HubAlertKey(said["condition"], said["about"], said["node"])]
    note = clean_note(form.get("note", ""))
    with contextlib.suppress(KeyError):  # it has ended meanwhile: the page says so
        await journal.admit(CONSOLE, acknowledge_visible_alerts, user, keys, by=user.name, note=note, now=now)
    return "/alerts"
