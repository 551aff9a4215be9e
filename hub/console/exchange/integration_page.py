"""What the developers of a partner need, as a page and as files. No HTTP, no SQL.

/integration/PARTNER                     the page
/integration/PARTNER/kit.zip             the same as a file
/integration/PARTNER/invitation.zip      with a letter
"""

from collections.abc import Sequence
from functools import partial

from hub.console.page import PageAnswer, PageReach, console_page
from hub.console.visit import Visit
from hub.domain.local_time import find_local_day
from hub.monitoring.integration.facts import IntegrationFacts, gather_facts
from hub.monitoring.integration.first_messages import StepState
from hub.monitoring.integration.kit import KIT, make_kit, name_kit
from hub.monitoring.integration.letter import INVITATION, PartnerInvitation, name_invitation, write_letters
from hub.monitoring.integration.page import arrange_integration
from hub.monitoring.integration.reading import read_integration
from hub.operations.accounts.permissions import Permission
from hub.operations.refusals import refuse_as_absent
from hub.operations.turns import ReadingTurns
from hub.units.live import Live
from hub.web import layout
from hub.web.answers import ConsoleResponse

_seeing = partial(console_page, right=Permission.SEE_PARTNERS, reach=PageReach.EVERY_UNIT)


@_seeing("GET", "/integration/{code}", template="integration")
async def show_integration(visit: Visit, code: str, turns: ReadingTurns, live: Live) -> PageAnswer:
    """Show what the developers of a partner need."""
    facts, steps = await _gather_page_facts(visit, code, turns, live)
    return {**arrange_integration(facts, steps), "at": visit.now}


@_seeing("GET", "/integration/{code}/{file}")
async def send_integration(visit: Visit, code: str, file: str, turns: ReadingTurns, live: Live) -> PageAnswer:
    """Return it as a file."""
    if file not in {KIT, INVITATION}:
        raise refuse_as_absent()
    facts, steps = await _gather_page_facts(visit, code, turns, live)
    invites, query = file == INVITATION, visit.asked.query
    invitation = PartnerInvitation.of(query.get("contact", ""), query.get("window", ""))
    letters = write_letters(facts, invitation) if invites else None
    kit = await turns.alone(make_kit, facts, steps, visit.now, layout.render_kit_page, letters)
    name = name_invitation(code) if invites else name_kit(code)
    return ConsoleResponse(content=kit, content_type="application/zip", filename=name)


async def _gather_page_facts(
    visit: Visit, code: str, turns: ReadingTurns, live: Live
) -> tuple[IntegrationFacts, Sequence[StepState]]:
    config = live.config
    partner = config.partners.get(code)
    if partner is None or not visit.user.sees_partner(code):
        raise refuse_as_absent()
    units, steps = await turns.look(read_integration, partner, config, find_local_day(visit.now))
    return gather_facts(config, partner, units), steps
