"""The page of one thing's life: reads its address, and leaves out what the user does not see. No HTTP, no SQL.

A user sees the things of its own units. Of a message of partners that it does not see, neither id nor details are shown.
"""

from collections.abc import Mapping
from datetime import datetime

import attrs

from hub.console.page import PageAnswer, console_page
from hub.console.visit import Visit
from hub.monitoring import item_life
from hub.monitoring.item_life import ItemLife
from hub.monitoring.late_work import UnitUnknown
from hub.operations.accounts import users
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.messages import visible_messages
from hub.operations.messages.visible_messages import MessageName
from hub.operations.refusals import refuse_as_absent
from hub.operations.turns import ReadingTurns
from hub.store.transactions import Transaction

_LONGEST = 400


@attrs.frozen(kw_only=True)
class SeenLife:
    """A thing's life as a user sees it."""

    life: ItemLife
    messages: Mapping[str, MessageName]  #: by the hub's id: those that the user sees


def read_item_page(tx: Transaction, user: User, query: Mapping[str, str], now: datetime) -> SeenLife:
    """Return the life of the thing that the address names by `unit`, `service` and `key`.

    Raises `RequestRefused` if there is none, or the user does not see its unit.
    """
    unit, service, key = (query.get(name, "")[:_LONGEST] for name in ("unit", "service", "key"))
    try:
        life = item_life.read_item_life(tx, unit, service, key, now, users.read_visible_units(tx, user))
    except UnitUnknown:
        life = None
    if life is None:
        raise refuse_as_absent()
    messages = visible_messages.name_visible_messages(tx, user, {each.message for each in life.facts})
    facts = [
        each if each.message in messages else attrs.evolve(each, counterpart="", attributes=()) for each in life.facts
    ]
    return SeenLife(life=attrs.evolve(life, facts=facts), messages=messages)


@console_page("GET", "/item", right=Permission.SEE_REPORTS, template="item")
async def show_item(visit: Visit, turns: ReadingTurns) -> PageAnswer:
    """Show all that was told of one thing."""
    seen = await turns.look(read_item_page, visit.user, visit.asked.query, visit.now)
    return {"life": seen.life, "messages": seen.messages}
