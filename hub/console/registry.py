"""Every page of the console, as the modules below declare them: the router, the menu and the table of rights read it.

What a page then shows is limited to the units and partners of the account by the functions that read it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from hub.console import open_pages
from hub.console.exchange import (
    alerts_page,
    events_page,
    failures_page,
    integration_page,
    overview_page,
    partner_pages,
    readiness_page,
    trust_pages,
    what_if_pages,
)
from hub.console.keeping import backups_page, retention_page, upgrades_page
from hub.console.messages import message_pages
from hub.console.page import PageDeclaration, list_declared_pages
from hub.console.people import account_pages, token_pages
from hub.console.province import (
    glance_pages,
    item_page,
    late_page,
    report_pages,
    round_page,
    units_page,
    validator_page,
)
from hub.console.replays import correction_pages, replay_pages
from hub.console.sign_in import sign_in_pages
from hub.operations.accounts.users import User

#: The pages, in their order: of those that an address and a user fit, the first answers.
PAGES: Sequence[PageDeclaration] = [
    page
    for module in (
        *(open_pages, sign_in_pages, overview_page, units_page),
        *(report_pages, glance_pages, round_page, validator_page, late_page, item_page),
        *(message_pages, correction_pages, replay_pages, what_if_pages),
        *(events_page, failures_page, alerts_page, readiness_page, integration_page, partner_pages, trust_pages),
        *(backups_page, retention_page, upgrades_page, account_pages, token_pages),
    )
    for page in list_declared_pages(module)
]
#: The first pieces of addresses below which every page is public.
PUBLIC = {page.pieces[0] for page in PAGES if page.public} - {
    page.pieces[0] for page in PAGES if page.pieces and not page.public
}


def find_pages(
    method: str, path: Sequence[str], *, public: bool = False
) -> Iterator[tuple[PageDeclaration, dict[str, Any]]]:
    """Yield the pages at an address, each with the pieces of the address by their names."""
    for page in PAGES:
        if page.method == method and page.public == public and (pieces := page.match_path(path)) is not None:
            yield page, pieces


def may_open_page(user: User, template: str) -> bool:
    """Tell whether *user* may open the page of *template*."""
    return any(page.is_open_to(user) for page in PAGES if page.template == template and page.method == "GET")
