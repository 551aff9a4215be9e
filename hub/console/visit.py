"""One request of a signed-in user, and the frame around every page. Knows no page."""

from datetime import datetime
from functools import partial

import attrs

from hub.console import access
from hub.console.request import ConsoleRequest
from hub.operations.accounts import sessions
from hub.operations.accounts.sessions import ConsoleSession
from hub.units.live import Live
from hub.web import layout
from hub.web.answers import ConsoleResponse


@attrs.frozen
class Visit:
    """One request of a signed-in user."""

    asked: ConsoleRequest
    session: ConsoleSession
    word: str  #: the session's secret word, as in the cookie
    now: datetime


@attrs.frozen
class PageFrame:
    """Puts the head of the console around the pages."""

    _live: Live  #: the configuration in force

    def render(self, template: str, visit: Visit, said: dict[str, object]) -> ConsoleResponse:
        """Return the page of *template* that says *said*."""
        around = self.describe(visit.asked, visit.word, visit)
        return ConsoleResponse(content=layout.render_page(template, visit.asked.language, around | said))

    def describe(self, asked: ConsoleRequest, word: str | None = None, visit: Visit | None = None) -> dict[str, object]:
        """Return the values that every page needs."""
        return {
            "hub": self._live.config.name,
            "here": asked.here,
            "place": asked.path or ("",),
            "visitor": visit.session.user if visit else None,
            "opens": partial(access.may_open, visit.session.user) if visit else None,
            "proof": sessions.make_form_proof(word) if word else "",
            "defined": self._live.config.services,
        }
