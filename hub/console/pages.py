"""Answers the requests of the console: who asks, and whose page it is.

Checks which addresses each user may open (`access`, `permissions`). Knows the parts of the console, and the pages that
belong to none. Contains no HTTP and no SQL.

    /                                            the overview, for who may see it; else units, forms, periods
    /units                                       units, forms, periods
    /events                                      the events that no message leads to
    /failures                                    what failed, by cause
    /alerts                                      the alerts to operators (`exchange.alerts_page`); by POST acknowledges
    /backups                                     the backups, and the eras of the journal (`keeping.backups_page`)
    /retention                                   what goes into archives and what went (`keeping.retention_page`)
    /upgrades                                    the versions in force, and the upgrades (`keeping.upgrades_page`)
    /late, /late.csv, /late.xlsx                 who is late today (`province.late_page`); as a file
    /item                                        all that was told of one thing (`province.item_page`)
    /sign-in, /sign-out, /account                signing in and out, the own account (`sign_in.sign_in_pages`)
    /reports, /declarations, /signing            the report of a unit (`province.report_pages`)
    /glance, /glance/FORM/PERIOD[/UNIT]          the units beside one another (`province.glance_pages`)
    /month, /month/FORM/PERIOD[.zip]             the reports of all units of a form and period (`province.round_page`)
    /validate                                    tests the report of anyone; by POST the file (`province.validator_page`)
    /messages, /messages.csv, /messages.jsonl    the messages (`messages.message_pages`)
    /replays, /replays/new, /replays/ID          plans to replay deliveries (`replay_pages`)
    /partners, /partners/CODE/…                  the partners of the exchange (`exchange.partner_pages`)
    /trust, /trust/SHA256                        the trusted CAs (`exchange.trust_pages`)
    /users, /users/NAME                          the accounts (`people.account_pages`)
    /tokens, /tokens/NAME                        the tokens of programs (`people.token_pages`)
    /readiness                                   the readiness checks with their details
    /what-if, /what-if/TRIAL                     what other rules would change
    /integration/PARTNER, /kit.zip               what the developers of a partner need; as a file, `/invitation.zip` with a letter
    /help, /help/FOLDER/PAGE                     the documentation; without a sign-in, and with nothing of a session
    /help/pictures/NAME.png, /help/vi/pictures/NAME.png  its pictures
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial

import attrs
import structlog
from twisted.internet.defer import Deferred

from hub.console import access, help_pages
from hub.console import request as given
from hub.console.exchange import events_page, failures_page, overview_page
from hub.console.exchange.alerts_page import AlertPages
from hub.console.exchange.partner_pages import PartnerPages
from hub.console.exchange.trust_pages import TrustPages
from hub.console.exchange.what_if_pages import WhatIfPages
from hub.console.keeping import backups_page, retention_page, upgrades_page
from hub.console.messages.message_pages import MessagePages
from hub.console.people.account_pages import AccountPages
from hub.console.people.token_pages import TokenPages
from hub.console.province import item_page, late_page, validator_page, waiting
from hub.console.province.glance_pages import GlancePages
from hub.console.province.report_pages import ReportPages
from hub.console.province.round_page import RoundPages
from hub.console.province.validator_page import NOT_JUDGED, JudgedFile
from hub.console.replays.replay_pages import ReplayPages
from hub.console.request import LANGUAGE, ConsoleRequest, require_form_proof, write_set_cookie
from hub.console.sign_in.openid_client import MakeFetch
from hub.console.sign_in.sign_in_pages import SignInPages
from hub.console.visit import PageFrame, Visit
from hub.domain.errors import Unready
from hub.domain.fair_queue import CONSOLE
from hub.domain.local_time import find_local_day
from hub.domain.model import Detail
from hub.domain.writer_budget import WriterReading
from hub.language.catalogues import say_both, translate
from hub.language.languages import Language
from hub.monitoring import overview
from hub.monitoring.integration.facts import gather_facts
from hub.monitoring.integration.kit import KIT, make_kit, name_kit
from hub.monitoring.integration.letter import INVITATION, PartnerInvitation, name_invitation, write_letters
from hub.monitoring.integration.page import arrange_integration
from hub.monitoring.integration.reading import read_integration
from hub.operations import refusals
from hub.operations.page_paths import build_page_path
from hub.operations.partners.partner_orders import PartnerManaging
from hub.operations.partners.rule_trials import RuleTrials
from hub.operations.partners.trust_orders import TrustOrders
from hub.operations.refusals import RequestRefused, refuse_as_absent
from hub.operations.reports import reading
from hub.operations.turns import ReadingTurns, queue_turn
from hub.operations.watching import (
    limited_overview,
    visible_alerts,
    visible_events,
    visible_failures,
    visible_late_work,
)
from hub.report.form.period import find_month_containing
from hub.runtime.disk_reader import DiskReader
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.group_commit import Journal
from hub.units.live import Live
from hub.web import layout
from hub.web.answers import ConsoleResponse
from hub.workload import closing

log = structlog.get_logger()

_DEFAULT_FORM = "edoc"
#: The help page of a refusal that has no code of its own: it lists the statuses.
_HELP_WITHOUT_CODE = "/help/reference/console"
_YEAR = 365 * 24 * 3600


@attrs.define(eq=False)
class ConsolePages:
    """Makes the answer to each request."""

    _journal: Journal  #: the journal to read and write
    _work: Work  #: runs heavy computations in worker threads
    live: Live  #: the configuration and the province in force
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _word: Callable[[], str]  #: returns a new random word of 43 letters
    _salt: Callable[[], bytes]  #: returns a new random salt of 16 octets
    #: the checks of `/readyz`: code and details of each
    list_checks: Callable[[], Awaitable[Mapping[str, tuple[str, Detail]]]]
    #: Waits until all earlier facts of some services are written. Raises `Unready`.
    _facts: Callable[[Callable[[], frozenset[str] | None]], Awaitable[None]]
    _manager: PartnerManaging | None  #: reads, tests and changes partners; None: there are no pages of partners
    _make_fetch: MakeFetch  #: calls OpenID providers
    _disk: DiskReader  #: looks at the folders of backups and of archive files
    _writer: Callable[[], WriterReading] = WriterReading  #: tells how busy this node's writer is
    #: limits what is read, and heavy computations; the API has the same
    turns: ReadingTurns = attrs.field(
        default=attrs.Factory(
            lambda self: ReadingTurns(self._journal, self._work, self.live, self._facts), takes_self=True
        ),
        init=False,
    )
    _frame: PageFrame = attrs.field(
        default=attrs.Factory(lambda self: PageFrame(self.live), takes_self=True), init=False
    )
    _sign_in: SignInPages = attrs.field(
        default=attrs.Factory(
            lambda self: SignInPages(
                self._journal,
                self._work,
                self.live,
                self._frame,
                self._now,
                self._word,
                self._salt,
                self._make_fetch,
            ),
            takes_self=True,
        ),
        init=False,
    )
    _reports: ReportPages = attrs.field(
        default=attrs.Factory(
            lambda self: ReportPages(self._journal, self._work, self.live, self.turns, self._frame), takes_self=True
        ),
        init=False,
    )
    _messages: MessagePages = attrs.field(
        default=attrs.Factory(
            lambda self: MessagePages(self._journal, self.live, self.turns, self._frame, self._now), takes_self=True
        ),
        init=False,
    )
    _replays: ReplayPages = attrs.field(
        default=attrs.Factory(
            lambda self: ReplayPages(self._journal, self.live, self._word, self._work, self._now), takes_self=True
        ),
        init=False,
    )
    partners: PartnerPages = attrs.field(
        default=attrs.Factory(
            lambda self: PartnerPages(self._journal, self._work, self.live, self.turns, self._manager, self._writer),
            takes_self=True,
        ),
        init=False,
    )
    glance: GlancePages = attrs.field(
        default=attrs.Factory(lambda self: GlancePages(self._journal, self.turns, self.live), takes_self=True),
        init=False,
    )
    trials: RuleTrials = attrs.field(
        default=attrs.Factory(
            lambda self: RuleTrials(self._journal, self._work, self.live, self.turns), takes_self=True
        ),
        init=False,
    )
    trust: TrustOrders = attrs.field(
        default=attrs.Factory(
            lambda self: TrustOrders(self._journal, self._work, self.live, self._manager), takes_self=True
        ),
        init=False,
    )
    _library: help_pages.HelpLibrary = attrs.field(factory=help_pages.read_help_library, init=False, repr=False)

    async def answer(self, asked: ConsoleRequest) -> ConsoleResponse:
        """Return the answer to *asked*. A refusal is a page too."""
        try:
            answer = await self._answer(asked)
        except RequestRefused as refused:
            return self.refusal(asked, refused)
        except Unready as unready:
            log.warning("console-unready", problem=unready.problem.code, detail=str(unready.problem.detail))
            code, detail = unready.problem.code, str(unready.problem.detail)
            if code == "facts-outstanding":
                return self.refusal(asked, refusals.refuse_outstanding_duties(detail, unready.retry_after), code)
            return self.refusal(asked, refusals.refuse_as_busy(unready.retry_after), code)
        said = asked.query.get("lang")
        if said is not None and said in {*Language} and answer.content_type.startswith("text/html"):
            return attrs.evolve(answer, cookies=(*answer.cookies, write_set_cookie(LANGUAGE, said, _YEAR)))
        return answer

    def refusal(self, asked: ConsoleRequest, refused: RequestRefused, code: str = "") -> ConsoleResponse:
        """Return the page of a refusal. Its help is that of the error *code*, if there is one."""
        said = {
            "status": refused.status,
            "wrong": say_both(refused.wrong),
            "do": say_both(refused.do),
            "help": help_pages.name_error_help(code) if code else _HELP_WITHOUT_CODE,
        }
        content = layout.render_page("error", asked.language, self._frame.describe(asked) | said)
        return ConsoleResponse(status=refused.status, content=content, retry_after=refused.retry_after)

    async def _answer(self, asked: ConsoleRequest) -> ConsoleResponse:
        if asked.method not in {"GET", "POST"}:
            raise given.refuse_method()
        if asked.path[:1] == ("console",):
            return _beside(asked)
        if asked.path[:1] == (help_pages.HELP,):
            return await self._help(asked)
        entered = await self._sign_in.answer(asked)
        if entered is not None:
            return entered
        visit = await self._sign_in.find_visit(asked)
        if visit is None:
            if asked.method == "POST":
                raise given.refuse_unproven_form()
            return await self._sign_in.ask_to_sign_in(asked)
        if asked.method == "POST":
            require_form_proof(asked, visit.word)
        if visit.session.must_change and asked.path not in {("account",), ("sign-out",)}:
            return ConsoleResponse(status=303, location="/account")
        return await (self._do if asked.method == "POST" else self._show)(visit)

    async def _do(self, visit: Visit) -> ConsoleResponse:
        """Answer a form sent by POST."""
        _require_access(visit)
        match visit.asked.path:
            case ("sign-out",):
                return await self._sign_in.sign_out(visit)
            case ("account",):
                return await self._sign_in.change_password(visit)
            case ("replays", *_):
                return await self._replay(visit)
            case ("partners" | "trust" | "what-if" | "users" | "tokens" | "month" | "alerts", *_):
                return await self._manage(visit)
            case ("messages",):
                return await self._messages.keep_search(visit)
            case ("validate",):
                return await self._validate(visit)
            case ("declarations" | "signing", *_):
                return await self._reports.act(visit)
        raise refuse_as_absent()

    async def _show(self, visit: Visit) -> ConsoleResponse:
        """Answer a GET request."""
        _require_access(visit)
        match visit.asked.path:
            case ():
                return await self._first(visit)
            case ("units" | "events" | "failures" | "account" | "readiness" | "validate" as name,):
                pages = {
                    "validate": self._validator,
                    "units": self._home,
                    "events": self._events,
                    "failures": self._failures,
                    "readiness": self._readiness,
                }
                return await pages.get(name, self._sign_in.show_account)(visit)
            case ("sign-in",):
                return ConsoleResponse(status=303, location="/")
            case ("partners" | "trust" | "what-if" | "users" | "tokens" | "month" | "alerts", *_):
                return await self._manage(visit)
            case ("replays" | "integration" | "late" | "late.csv" | "late.xlsx" | "item" | "glance", *_):
                return await self._show_exchange(visit)
            case ("backups" | "retention" | "upgrades" as name,):
                return await self._show_kept(visit, name)
            case ("reports" | "declarations" | "signing", *_):
                return await self._reports.show(visit)
            case ("messages" | "messages.csv" | "messages.jsonl", *_):
                return await self._messages.show(visit)
        raise refuse_as_absent()

    async def _show_exchange(self, visit: Visit) -> ConsoleResponse:
        match visit.asked.path:
            case ("replays", *_):
                return await self._replay(visit)
            case ("glance", *_):
                around = partial(self._frame.describe, visit.asked, visit.word, visit)
                return await self.glance.answer(visit.asked, visit.session.user, visit.now, around)
            case ("integration", code, *rest):
                return await self._integration(visit, code, tuple(rest))
            case ("late" | "late.csv" | "late.xlsx",):
                return await self._late(visit)
            case ("item",):
                user, query = visit.session.user, visit.asked.query
                seen = await self.turns.look(item_page.read_item_page, user, query, visit.now)
                return self._frame.render("item", visit, {"life": seen.life, "messages": seen.messages})
        raise refuse_as_absent()

    def knows(self, word: str) -> bool:
        """Tell whether this node has shown a page to the session with *word*."""
        return self._sign_in.knows(word)

    async def _readiness(self, visit: Visit) -> ConsoleResponse:
        return self._frame.render("readiness", visit, {"checks": await self.list_checks()})

    async def _replay(self, visit: Visit) -> ConsoleResponse:
        user, asked = visit.session.user, visit.asked
        shown = (
            await self._replays.act(asked, user, visit.now)
            if asked.method == "POST"
            else await queue_turn(
                self.turns.looking, lambda: Deferred.fromCoroutine(self._replays.show(asked, user, visit.now))
            )
        )
        if isinstance(shown, str):
            return ConsoleResponse(status=303, location=shown)
        said = {**shown.said, "error_help": help_pages.name_error_help}
        return attrs.evolve(self._frame.render(shown.template, visit, said), status=shown.status, live=shown.live)

    async def _integration(self, visit: Visit, code: str, rest: tuple[str, ...]) -> ConsoleResponse:
        """Show what the developers of a partner need, or make it a file."""
        config = self.live.config
        partner = config.partners.get(code)
        if partner is None or not visit.session.user.sees_partner(code) or rest not in {(), (KIT,), (INVITATION,)}:
            raise refuse_as_absent()
        units, steps = await self.turns.look(read_integration, partner, config, find_local_day(visit.now))
        facts = gather_facts(config, partner, units)
        if rest:
            invites, query = rest == (INVITATION,), visit.asked.query
            invitation = PartnerInvitation.of(query.get("contact", ""), query.get("window", ""))
            letters = write_letters(facts, invitation) if invites else None
            kit = await self.turns.alone(make_kit, facts, steps, visit.now, layout.render_kit_page, letters)
            name = name_invitation(code) if invites else name_kit(code)
            return ConsoleResponse(content=kit, content_type="application/zip", filename=name)
        return self._frame.render("integration", visit, arrange_integration(facts, steps) | {"at": visit.now})

    async def _serve(
        self,
        visit: Visit,
        pages: PartnerPages | TrustPages | WhatIfPages | AccountPages | TokenPages | RoundPages | AlertPages,
    ) -> ConsoleResponse:
        """Answer by the pages of one part of the console."""
        user, asked = visit.session.user, visit.asked
        shown = await (pages.act if asked.method == "POST" else pages.show)(asked, user, visit.now)
        if isinstance(shown, str):
            return ConsoleResponse(status=303, location=shown)
        if isinstance(shown, ConsoleResponse):
            return shown
        return attrs.evolve(self._frame.render(shown.template, visit, dict(shown.said)), status=shown.status)

    async def _manage(self, visit: Visit) -> ConsoleResponse:
        """Answer at an address of partners, trusted CAs, other rules, accounts, tokens, rounds of reports or alerts."""
        match visit.asked.path[0]:
            case "alerts":
                return await self._serve(visit, AlertPages(self._journal, self.turns))
            case "month":
                return await self._serve(visit, RoundPages(self._journal, self.turns, self.live))
            case "partners":
                return await self._serve(visit, self.partners)
            case "trust":
                return await self._serve(visit, TrustPages(self.trust))
            case "what-if":
                return await self._serve(visit, WhatIfPages(self._journal, self.live, self.trials))
            case "users":
                return await self._serve(visit, AccountPages(self._journal, self.turns, self._work, self.live))
        return await self._serve(visit, TokenPages(self._journal, self.turns, self.live))

    async def _show_kept(self, visit: Visit, name: str) -> ConsoleResponse:
        """Show one of the pages of what the hub keeps."""
        pages = {
            "backups": backups_page.show_backups,
            "retention": retention_page.show_retention,
            "upgrades": upgrades_page.show_upgrades,
        }
        said = await pages[name](self.turns, self._disk, self.live.config, visit.asked.query, visit.now)
        return self._frame.render(name, visit, said)

    # --- help -----------------------------------------------------------------------------------------------------

    async def _help(self, asked: ConsoleRequest) -> ConsoleResponse:
        """Show a page of the documentation, or the list of all. It is public: the request's session is not looked at."""
        language, address, around = asked.language, asked.path[1:], self._frame.describe(asked)
        if asked.method != "GET":
            raise refuse_as_absent()
        if not address:
            groups = [(translate(heading, language), pages) for heading, pages in self._library.group_pages(language)]
            return ConsoleResponse(content=layout.render_page("help_contents", language, around | {"groups": groups}))
        if picture := self._library.pictures.get("/".join(address)):
            return ConsoleResponse(content=picture.content, content_type="image/png", lasting=True)
        page = self._library.pages.get(address)
        if page is None:
            raise refuse_as_absent()
        content = self._library.find_rendered(page, language)
        if content is None:
            content = await self._work(CONSOLE, THRESHOLD, self._library.render, page, language)
        said = {"title": page.title(language), "written": page.choose(language), "content": content}
        return ConsoleResponse(content=layout.render_page("help", language, around | said))

    # --- pages ----------------------------------------------------------------------------------------------------

    async def _first(self, visit: Visit) -> ConsoleResponse:
        """Show the overview to who may see it, unless a unit is searched for as the address once said; else the units."""
        searched = not visit.asked.query.keys().isdisjoint({"q", "form", "period"})
        if searched or not access.may_open(visit.session.user, access.OVERVIEW):
            return await self._home(visit)
        found = await self.turns.look(overview.measure_overview, self.live.config.partners, visit.now)
        user = visit.session.user
        alerts = await self.turns.look(visible_alerts.read_visible_alerts, user)
        shown, limited = limited_overview.limit_overview(found, user), user.visible_partners is not None
        return self._frame.render("overview", visit, overview_page.arrange_overview(shown, alerts, limited=limited))

    async def _events(self, visit: Visit) -> ConsoleResponse:
        """Show one page of the events that no message leads to."""
        search = visible_events.read_event_search(visit.asked.query)
        found = await self.turns.look(
            visible_events.read_events_page, search, self.live.config.partners, visit.session.user
        )
        page = self._frame.render("event_list", visit, events_page.arrange_events(search, found))
        return attrs.evolve(page, status=422) if found.wrong else page

    async def _failures(self, visit: Visit) -> ConsoleResponse:
        """Show the failures by cause."""
        partners = self.live.config.partners
        search = visible_failures.read_failure_search(visit.asked.query, visit.now)
        user = visit.session.user
        found = await self.turns.look(visible_failures.read_failures_page, user, search, partners)
        seen = [code for code in partners if user.sees_partner(code)]
        page = self._frame.render("failures", visit, failures_page.arrange_failures(search, found, seen))
        return attrs.evolve(page, status=422) if found.wrong else page

    async def _late(self, visit: Visit) -> ConsoleResponse:
        """Show who is late today, or return it as a file."""
        kind, search = visit.asked.path[0].partition(".")[2], visible_late_work.read_late_search(visit.asked.query)
        user, workdays = visit.session.user, (await self.turns.read_book()).workdays
        view = None
        if not search.wrong:
            limit = visible_late_work.FILED if kind else visible_late_work.PAGE
            view = await self.turns.look(
                visible_late_work.read_late_page, user, search.asked, workdays, visit.now, limit
            )
        if kind and view is not None:
            content = await self.turns.alone(
                late_page.write_late_file, kind, view.items, view.head, visit.asked.language
            )
            name = f"late-{search.asked.unit or self.live.config.province}-{view.today:%Y%m%d}.{kind}"
            return ConsoleResponse(content=content, content_type=late_page.FILES[kind], filename=name)
        page = self._frame.render("late", visit, late_page.arrange_late(search, view))
        return page if view is not None else attrs.evolve(page, status=422)

    async def _home(self, visit: Visit) -> ConsoleResponse:
        asked, user = visit.asked, visit.session.user
        query = asked.query.get("q", "")[:200]
        found = await self.turns.look(reading.find_units, user, query, find_local_day(visit.now))
        book = await self._journal.read(closing.keep_closed_workdays, await self.turns.read_book())
        waits = await self._journal.read(waiting.list_waiting_reports, user, book, visit.now)
        shown = await self._work(CONSOLE, THRESHOLD, reading.list_report_choices, visit.now, book)
        ids = {form.id for form in shown.forms}
        form = asked.query.get("form", _DEFAULT_FORM)
        period = asked.query.get("period", "")
        texts = {each.text for _, members in shown.periods for each in members}
        said = {
            "query": query,
            "waits": waits,
            "here_units": build_page_path(*asked.path),
            "units": found.found,
            "count": found.count,
            "names": found.names,
            "forms": shown.forms,
            "periods": shown.periods,
            "form": form if form in ids else _DEFAULT_FORM,
            "period": period if period in texts else find_month_containing(visit.now, book.cuts).text,
        }
        return self._frame.render("home", visit, said)

    async def _validator(self, visit: Visit, judged: JudgedFile = NOT_JUDGED) -> ConsoleResponse:
        said = {**attrs.asdict(judged, recurse=False), "most": validator_page.MOST_LISTED}
        page = self._frame.render("validator", visit, said)
        return attrs.evolve(page, status=422) if judged.wrong else page

    async def _validate(self, visit: Visit) -> ConsoleResponse:
        judged = await validator_page.judge_file(self.turns, visit.asked)
        return await self._validator(visit, judged)


def _require_access(visit: Visit) -> None:
    """Check that the user may open the address. Raises `RequestRefused`, as for an address that does not exist."""
    path = visit.asked.path
    if path and not access.may_open(visit.session.user, path[0]):
        raise refuse_as_absent()


def _beside(asked: ConsoleRequest) -> ConsoleResponse:
    """Return the style sheet, the icon or the script."""
    if asked.method != "GET" or len(asked.path) != 2 or asked.path[1] not in layout.BESIDE:
        raise refuse_as_absent()
    name = asked.path[1]
    return ConsoleResponse(content=layout.read_static_file(name), content_type=layout.BESIDE[name], lasting=True)
