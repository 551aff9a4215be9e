"""One request of a signed-in user, and the frame around every page. Knows no page."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

import attrs

from hub.console.help_pages import name_error_help
from hub.console.request import ConsoleRequest
from hub.operations.accounts import sessions
from hub.operations.accounts.sessions import ConsoleSession
from hub.operations.accounts.users import User
from hub.units.live import Live
from hub.web import layout


@attrs.frozen
class Visit:
    """One request of a signed-in user."""

    asked: ConsoleRequest
    session: ConsoleSession
    word: str  #: the session's secret word, as in the cookie
    now: datetime

    @property
    def user(self) -> User:
        """The user whose session it is."""
        return self.session.user


@attrs.frozen
class PageFrame:
    """Puts the head of the console around the pages."""

    _live: Live  #: the configuration in force
    _opens: Callable[[User, str], bool]  #: tells whether a user may open the page of a template

    def draw_page(self, template: str, visit: Visit, said: Mapping[str, object]) -> bytes:
        """Return the page of *template* that says *said*."""
        around = self.describe(visit.asked, visit.word, visit.user)
        return layout.render_page(template, visit.asked.language, {**around, **said})

    def draw_public_page(
        self, template: str, asked: ConsoleRequest, said: Mapping[str, object], word: str | None = None
    ) -> bytes:
        """Return the page of *template* for somebody who is not signed in. *word*: proves that its form is ours."""
        return layout.render_page(template, asked.language, {**self.describe(asked, word), **said})

    def describe(self, asked: ConsoleRequest, word: str | None = None, user: User | None = None) -> dict[str, object]:
        """Return the values that every page needs."""
        return {
            "hub": self._live.config.name,
            "here": asked.here,
            "place": asked.path or ("",),
            "visitor": user,
            "opens": partial(self._opens, user) if user else None,
            "proof": sessions.make_form_proof(word) if word else "",
            "defined": self._live.config.services,
            "error_help": name_error_help,
        }
