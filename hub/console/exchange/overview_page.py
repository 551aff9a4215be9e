"""What the overview page shows of each number, and where each leads. Pure; reads no journal.

A number leads to the list of what it counts; a message with several of these deliveries is one row of its list.
"""

from collections.abc import Mapping
from datetime import datetime

import attrs

from hub.console.page import PageAnswer, PageReach, PageValues, console_page
from hub.console.province.units_page import show_units
from hub.console.visit import Visit
from hub.domain.model import DeliveryState, MessageState
from hub.journal.event_index import NOBODY
from hub.language.durations import describe_age
from hub.monitoring import overview
from hub.monitoring.overview import MOST, BoundedCount, Overview, PartnerOverview
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.turns import ReadingTurns
from hub.operations.watching import limited_overview, visible_alerts
from hub.operations.watching.visible_alerts import ShownAlerts
from hub.runtime.thread_pool import Work
from hub.store.batch_commit import Journal
from hub.units.live import Live


@attrs.frozen(kw_only=True)
class LinkedCount:
    """A number of the overview."""

    count: BoundedCount
    place: str  #: the list of what it counts


def arrange_overview(found: Overview, alerts: ShownAlerts, *, limited: bool = False) -> dict[str, object]:
    """Return the values of the page. *limited*: it shows only some partners, so nothing of the whole exchange."""
    return {
        "alerts": [each for each in alerts.raised if not each.alert.acknowledged_at],
        "found": found,
        "limited": limited,
        "most": MOST,
        "strangers": link_refused_calls(found.strangers, found.day, None),
        "numbers": {each.code: _link_numbers(each, found.day) for each in found.partners},
        "ages": {
            each.code: describe_age((found.at - each.oldest).total_seconds()) for each in found.partners if each.oldest
        },
    }


def _link_numbers(partner: PartnerOverview, day: datetime) -> dict[str, LinkedCount]:
    return {
        **link_deliveries(partner),
        "refused": link_refused_messages(partner, day),
        "calls": link_refused_calls(partner.refused_calls, day, partner.code),
    }


def link_refused_calls(count: BoundedCount, day: datetime, partner: str | None) -> LinkedCount:
    """Return the number of calls refused since *day*: of *partner*, or (None) of callers that are no partner."""
    about = NOBODY if partner is None else partner
    place = build_page_path("events", kind="call-refused", partner=about, since=f"{day:%d/%m/%Y}")
    return LinkedCount(count=count, place=place)


def link_deliveries(found: PartnerOverview) -> Mapping[str, LinkedCount]:
    """Return the number of deliveries to a partner, by state."""
    return {
        str(state): LinkedCount(count=waiting.count, place=_place_of_deliveries(found.code, state))
        for state, waiting in found.deliveries.items()
    }


def link_refused_messages(found: PartnerOverview, day: datetime) -> LinkedCount:
    """Return the number of messages of a partner that were refused since *day*."""
    return LinkedCount(count=found.refused_messages, place=_place_of_refused(found.code, day))


def _place_of_deliveries(partner: str, state: DeliveryState) -> str:
    return build_page_path("messages", sent_to=partner, delivery=str(state))


def _place_of_refused(partner: str, day: datetime) -> str:
    return build_page_path("messages", partner=partner, state=str(MessageState.REFUSED), since=f"{day:%d/%m/%Y}")


@console_page("GET", "/", right=Permission.SEE_OVERVIEW, reach=PageReach.EVERY_UNIT, template="overview")
async def show_overview(visit: Visit, turns: ReadingTurns, live: Live, journal: Journal, work: Work) -> PageAnswer:
    """Show how the exchange stands. If a unit is searched for, as the address once said, show the units."""
    if not visit.asked.query.keys().isdisjoint({"q", "form", "period"}):
        return PageValues(await show_units(visit, turns, journal, work), template="home")
    found = await turns.look(overview.measure_overview, live.config.partners, visit.now)
    alerts = await turns.look(visible_alerts.read_visible_alerts, visit.user)
    shown, limited = limited_overview.limit_overview(found, visit.user), visit.user.visible_partners is not None
    return arrange_overview(shown, alerts, limited=limited)
