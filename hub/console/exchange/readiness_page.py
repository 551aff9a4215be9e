"""The readiness checks as a page, with their details. No HTTP, no SQL."""

from collections.abc import Awaitable, Callable, Mapping

from hub.console.page import PageAnswer, console_page
from hub.domain.model import Detail
from hub.operations.accounts.permissions import Permission


@console_page("GET", "/readiness", right=Permission.SEE_READINESS, template="readiness")
async def show_readiness(checks: Callable[[], Awaitable[Mapping[str, tuple[str, Detail]]]]) -> PageAnswer:
    """Show the checks of `/readyz`."""
    return {"checks": await checks()}
