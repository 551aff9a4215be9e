"""Finds the work that is late, or soon due, for a person."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from hub.language.phrases import Phrase, phrase
from hub.monitoring import late_work
from hub.monitoring.late_work import DAYS, MOST_DAYS, LateRequest, LateView, UnitUnknown
from hub.operations.accounts import users
from hub.operations.accounts.users import User
from hub.operations.messages import visible_messages
from hub.operations.refusals import refuse_as_absent
from hub.operations.typed_fields import read_typed_fields
from hub.report.counting.open_work import ListedWork, WorkState, read_rules
from hub.report.form.workdays import Workdays
from hub.store.transactions import Transaction

#: The fields of the search. They are also the names in the address.
FIELDS = ("unit", "service", "state", "field", "officer", "days")


#: Units on the page, unless all are asked for; items in a file.
UNITS, FILED = 50, 10_000


PAGE = late_work.PAGE


_LONGEST = 200


@attrs.frozen(kw_only=True)
class LateSearch:
    """What the address of the page asks for."""

    typed: Mapping[str, str]
    asked: LateRequest
    every_unit: bool = False
    wrong: Sequence[Phrase] = ()  #: what cannot be read; then nothing is searched


def read_late_search(query: Mapping[str, str]) -> LateSearch:
    """Return what *query*, the query of the address, asks for. Raises `RequestRefused` for a place that is none."""
    typed = read_typed_fields(query, FIELDS, _LONGEST)
    wrong: list[Phrase] = []
    state, service, days = typed["state"], typed["service"], typed["days"]
    if state and state not in {*WorkState}:
        wrong.append(phrase("There is no state “{name}”.", name=state))
    if service and service not in read_rules():
        wrong.append(phrase("The service “{name}” has no due days.", name=service))
    if days and not (days.isascii() and days.isdigit() and len(days) < 4 and int(days) <= MOST_DAYS):
        wrong.append(phrase("“{text}” is not a number of working days from 0 to {most}.", text=days, most=MOST_DAYS))
    asked = LateRequest()
    if not wrong:
        asked = LateRequest(
            unit=typed["unit"] or None,
            service=service or None,
            state=WorkState(state) if state else None,
            field=typed["field"] or None,
            officer=typed["officer"] or None,
            days=int(days) if days else DAYS,
            after=parse_place(query["after"]) if query.get("after") else None,
        )
    return LateSearch(typed=typed, asked=asked, every_unit=bool(query.get("all")), wrong=wrong)


def write_place(place: Sequence[str]) -> str:
    """Return the place of an item as a part of an address."""
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode().rstrip("=")


def parse_place(text: str) -> tuple[str, ...]:
    """Parse the result of `write_place`. Raises `RequestRefused` if it is not one."""
    try:
        day, *rest = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if len(rest) == 3 and all(isinstance(each, str) for each in rest):
            return datetime.strptime(day, "%Y-%m-%d").date().isoformat(), *rest  # noqa: DTZ007 - a day has no zone
    except (ValueError, TypeError, binascii.Error):
        pass
    raise refuse_as_absent()


def read_late_page(
    tx: Transaction,
    user: User,
    asked: LateRequest,
    workdays: Workdays,
    now: datetime,
    limit: int = PAGE,
) -> LateView | None:
    """Return who is late, as far as *user* sees the units; None if there is no such unit, or the user does not see it.

    A user who is limited to some partners does not see who has the things of the others, so it finds nothing by officer.
    """
    seen = users.read_visible_units(tx, user)
    if asked.officer is not None and user.visible_partners is not None:
        seen = frozenset()
        asked = attrs.evolve(asked, unit=None)
    try:
        view = late_work.read_late_view(tx, asked, workdays, now, seen, limit)
    except UnitUnknown:
        return None
    if user.visible_partners is None:
        return view
    named = visible_messages.name_visible_messages(tx, user, {each.work.message for each in view.items})
    return attrs.evolve(
        view, items=[_hide_messages(each) if each.work.message not in named else each for each in view.items]
    )


def _hide_messages(each: ListedWork) -> ListedWork:
    """Return *each* without what only its messages say."""
    return attrs.evolve(each, number="", work=attrs.evolve(each.work, counterpart="", officer=""))
