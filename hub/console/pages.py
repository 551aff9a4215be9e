"""Answers the requests of the console: signing in, reports, the facts behind a number, messages.

Checks what each user may do (`access`, `permissions`).

Contains addresses, sessions and what each page reads from the journal. Contains no HTTP and no SQL.

    /                                            the overview, for who may see it; else units, forms, periods
    /units                                       units, forms, periods
    /events                                      the events that no message leads to
    /failures                                    what failed, by cause
    /alerts                                      the alerts to operators (`exchange.alerts_page`); by POST acknowledges
    /retention                                   what goes into archives and what went (`exchange.retention_page`)
    /late, /late.csv, /late.xlsx                 who is late today (`province.late_page`); as a file
    /item                                        all that was told of one thing (`province.item_page`)
    /sign-in, /sign-out, /account                by POST; the account also by GET
    /sign-in/certificate                         by POST: signs in by the client certificate
    /sign-in/code                                the one-time code of a sign-in
    /sign-in/openid/NAME                         by POST: leads to an OpenID provider; GET: comes back from it
    /reports?form=F&unit=U&period=P              redirects to
    /reports/FORM/UNIT/PERIOD[?revision=N]       the report;  PERIOD.xlsx, .html, .csv, .json, .xml: as a file
    /reports/FORM/UNIT/PERIOD/COLUMN[?unit=ROW]  the facts behind a number
    /glance, /glance/FORM/PERIOD[/UNIT]          the units beside one another (`province.glance_pages`)
    /month, /month/FORM/PERIOD[.zip]             the reports of all units of a form and period (`province.round_page`)
    /validate                                    tests the report of anyone; by POST the file (`province.validator_page`)
    /signing/FORM/UNIT/PERIOD                    the state of the report; by POST the signed one
    /signing/FORM/UNIT/PERIOD.xml                by POST: the file to sign
    /declarations/FORM/UNIT/PERIOD               the unit's declaration beside the count; by POST a new one
    /declarations/FORM/UNIT/PERIOD.xlsx          the workbook for a declaration
    /messages?q=TEXT&…                           the list of messages; by POST saves or removes a search
    /messages.csv?…, /messages.jsonl?…           what it finds, as a file
    /messages/ID, /content, /receipt             a message or a refused call; its exact bytes; the hub's receipt
    /messages/ID/packet, /attachments/N          the packet for people; one attachment of it
    /messages/ID/attempts/ATTEMPT                one attempt to deliver it: request and reply; /compare/OTHER
    /messages/ID/compare/OTHER                   its packet beside that of another message
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

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

import attrs
import structlog
from twisted.internet.defer import Deferred

from hub.console import (
    access,
    help_pages,
    layout,
    message_list,
    reading,
    saved_searches,
    sessions,
    signing_tool,
    standing,
    users,
)
from hub.console import request as given
from hub.console.exchange import events_page, failures_page, overview_page
from hub.console.exchange.alerts_page import AlertPages
from hub.console.exchange.partner_orders import PartnerManaging
from hub.console.exchange.partner_pages import PartnerPages
from hub.console.exchange.retention_page import RetentionPages
from hub.console.exchange.rule_trials import RuleTrials
from hub.console.exchange.trust_orders import TrustOrders
from hub.console.exchange.trust_pages import TrustPages
from hub.console.exchange.what_if_pages import WhatIfPages
from hub.console.message_views import MessageViews, group_reasons
from hub.console.people.account_pages import AccountPages
from hub.console.people.accounts import list_code_roles
from hub.console.people.desk import AccountDesk
from hub.console.people.token_pages import TokenPages
from hub.console.permissions import Permission, Role
from hub.console.province import item_page, late_page, validator_page, waiting
from hub.console.province.glance_pages import GlancePages
from hub.console.province.round_page import RoundPages
from hub.console.province.validator_page import NOT_JUDGED, JudgedFile
from hub.console.replays.replay_pages import ReplayPages
from hub.console.request import (
    BEGINNING,
    LANGUAGE,
    SESSION,
    ConsoleRequest,
    ConsoleResponse,
    RequestRefused,
    refuse_as_absent,
    require_form_proof,
    write_set_cookie,
)
from hub.console.saved_searches import SavedSearch
from hub.console.sessions import AccountLocked, CodeMissing, CodeWait, ConsoleSession, Entered
from hub.console.sign_in import openid_flow, passwords, provider_accounts, second_factor
from hub.console.sign_in.openid_client import MakeFetch, OpenIdClients
from hub.console.sign_in.openid_sign_in import (
    FLOW,
    PROVIDER,
    OpenIdSignIn,
    ProviderSignInRefused,
    TriedTooOften,
)
from hub.console.sign_in.sign_in_queue import SignInQueue
from hub.console.signed_uploads import SignedUpload, SignedUploads
from hub.console.turns import ReadingTurns, queue_turn
from hub.console.users import User
from hub.console.visible_messages import ShownCall, may_see_refused
from hub.domain.errors import Rejected, Unready, describe_problem
from hub.domain.fair_queue import CONSOLE
from hub.domain.local_time import find_local_day
from hub.domain.model import DeliveryState, Detail, MessageState, Problem, ReportState
from hub.domain.sanitize import replace_controls
from hub.journal import blobs, search
from hub.language.catalogues import say_both, translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.monitoring import overview
from hub.monitoring.integration.facts import gather_facts
from hub.monitoring.integration.kit import KIT, make_kit, name_kit
from hub.monitoring.integration.letter import INVITATION, PartnerInvitation, name_invitation, write_letters
from hub.monitoring.integration.page import arrange_integration
from hub.monitoring.integration.reading import read_integration
from hub.report.counting.declared import place_figures
from hub.report.form.book import Book
from hub.report.form.period import find_month_containing
from hub.report.output import schematron
from hub.report.output.body import arrange_body, write_check_findings, write_dimensions
from hub.report.output.closing_lines import write_closing_lines
from hub.report.output.remark_lines import write_remark_lines
from hub.report.output.spike_lines import describe_spike
from hub.report.output.words import group_columns, write_column_sums
from hub.report.output.workings import write_workings
from hub.report.signed import sealed, signed_pdf
from hub.report.signed.declared_workbook import read_declared_workbook
from hub.report.signed.declaring import split_declaration
from hub.report.workbooks.mistakes import Misfilled
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.security.certificates import Purpose, hash_certificate
from hub.store.group_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.workload import closing, declarations, submission
from hub.workload.revisions import EarlyStep

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

#: Cost estimate: writing one row costs as much as parsing this many octets of XML.
_ROW = 4096
#: Maximum characters of a reason; its form has the same limit.
_REASON = 500
_DEFAULT_FORM = "edoc"
#: The help page of a refusal that has no code of its own: it lists the statuses.
_HELP_WITHOUT_CODE = "/help/reference/console"
_MESSAGE = re.compile(r"[0-9a-f-]{36}", re.ASCII)
#: Ending of the address of the file to sign.
_GIVEN = ".xml"
#: Steps of a report at which there is something to sign.
_TO_SIGN = frozenset({EarlyStep.READY, ReportState.CLOSED, ReportState.DRAFTED})
_WORD = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_YEAR = 365 * 24 * 3600


@attrs.frozen
class Visit:
    """One request of a signed-in user."""

    asked: ConsoleRequest
    session: ConsoleSession
    word: str  #: the session's secret word, as in the cookie
    now: datetime


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
    #: secret words of sessions seen by this node, and when each session ends at the latest
    _known: dict[str, datetime] = attrs.field(factory=dict, init=False, repr=False)
    #: limits what is read, and heavy computations; the API has the same
    turns: ReadingTurns = attrs.field(
        default=attrs.Factory(
            lambda self: ReadingTurns(self._journal, self._work, self.live, self._facts), takes_self=True
        ),
        init=False,
    )
    #: One password is compared at a time, because each takes 32 MiB. One attempt is committed at a time: two nodes that
    #: lock the same rows in different order would block each other's writers.
    _turns: SignInQueue = attrs.field(
        default=attrs.Factory(lambda self: SignInQueue(self._now), takes_self=True), init=False
    )
    _openid: OpenIdSignIn = attrs.field(
        default=attrs.Factory(
            lambda self: OpenIdSignIn(
                self._journal,
                self.live,
                self._word,
                self._now,
                OpenIdClients(self._make_fetch, self._work, self._now),
            ),
            takes_self=True,
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
            lambda self: PartnerPages(self._journal, self._work, self.live, self.turns, self._manager), takes_self=True
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
    desk: AccountDesk = attrs.field(
        default=attrs.Factory(lambda self: AccountDesk(self._work, self.live, self._word, self._salt), takes_self=True),
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
                return self.refusal(asked, given.refuse_outstanding_duties(detail, unready.retry_after), code)
            return self.refusal(asked, given.refuse_as_busy(unready.retry_after), code)
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
        content = layout.render_page("error", asked.language, self._around(asked) | said)
        return ConsoleResponse(status=refused.status, content=content, retry_after=refused.retry_after)

    async def _answer(self, asked: ConsoleRequest) -> ConsoleResponse:
        if asked.method not in {"GET", "POST"}:
            raise given.refuse_method()
        if asked.path[:1] == ("console",):
            return _beside(asked)
        if asked.path[:1] == (help_pages.HELP,):
            return await self._help(asked)
        if (asked.method, asked.path) == ("POST", ("sign-in",)):
            return await self._sign_in(asked)
        if (asked.method, asked.path) == ("POST", ("sign-in", "certificate")):
            return await self._sign_in_by_certificate(asked)
        if asked.path == ("sign-in", "code"):
            return await self._sign_in_by_code(asked)
        if asked.path[:2] == ("sign-in", "openid") and len(asked.path) == 3:
            return await self._sign_in_by_provider(asked, asked.path[2])
        visit = await self._visit(asked)
        if visit is None:
            if asked.method == "POST":
                raise given.refuse_unproven_form()
            return await self._ask_to_sign_in(asked)
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
                return await self._sign_out(visit)
            case ("account",):
                return await self._change_password(visit)
            case ("replays", *_):
                return await self._replay(visit)
            case ("partners" | "trust" | "what-if" | "users" | "tokens" | "month" | "alerts" | "retention", *_):
                return await self._manage(visit)
            case ("messages",):
                return await self._keep_search(visit)
            case ("validate",):
                return await self._validate(visit)
            case ("declarations", form, unit, period):
                return await self._declare(visit, form, unit, period)
            case ("signing", form, unit, period):
                if period.endswith(_GIVEN):
                    return await self._give_out(visit, form, unit, period.removesuffix(_GIVEN))
                return await self._take_signed(visit, form, unit, period)
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
                return await pages.get(name, self._account)(visit)
            case ("sign-in",):
                return ConsoleResponse(status=303, location="/")
            case ("partners" | "trust" | "what-if" | "users" | "tokens" | "month" | "alerts" | "retention", *_):
                return await self._manage(visit)
            case ("replays" | "integration" | "late" | "late.csv" | "late.xlsx" | "item" | "glance", *_):
                return await self._show_exchange(visit)
            case ("reports",):
                return _chosen(visit.asked)
            case ("reports", form, unit, period):
                return await self._report(visit, form, unit, period)
            case ("reports", form, unit, period, column):
                return await self._behind(visit, form, unit, period, column)
            case ("declarations", form, unit, period):
                return await self._declared(visit, form, unit, period)
            case ("signing", form, unit, period):
                return await self._signing(visit, form, unit, period)
            case ("messages" | "messages.csv" | "messages.jsonl", *_):
                return await self._show_messages(visit)
        raise refuse_as_absent()

    async def _show_exchange(self, visit: Visit) -> ConsoleResponse:
        match visit.asked.path:
            case ("replays", *_):
                return await self._replay(visit)
            case ("glance", *_):
                around = partial(self._around, visit.asked, visit.word, visit)
                return await self.glance.answer(visit.asked, visit.session.user, visit.now, around)
            case ("integration", code, *rest):
                return await self._integration(visit, code, tuple(rest))
            case ("late" | "late.csv" | "late.xlsx",):
                return await self._late(visit)
            case ("item",):
                user, query = visit.session.user, visit.asked.query
                seen = await self.turns.look(item_page.read_item_page, user, query, visit.now)
                return self._page("item", visit, {"life": seen.life, "messages": seen.messages})
        raise refuse_as_absent()

    async def _show_messages(self, visit: Visit) -> ConsoleResponse:
        match visit.asked.path:
            case ("messages",):
                return await self._messages(visit)
            case ("messages.csv" | "messages.jsonl" as file,):
                return self._export(visit, file.partition(".")[2])
            case ("messages", identity, *rest) if _MESSAGE.fullmatch(identity):
                return await self._message(visit, identity, tuple(rest))
        raise refuse_as_absent()

    def knows(self, word: str) -> bool:
        """Tell whether this node has shown a page to the session with *word*."""
        return word in self._known and self._known[word] > self._now()

    # --- sign-in ---------------------------------------------------------------------------------------------------

    async def _visit(self, asked: ConsoleRequest) -> Visit | None:
        word = asked.cookies.get(SESSION, "")
        if not _WORD.fullmatch(word):
            return None
        now, name = self._now(), sessions.hash_session_word(word)
        session = await self._journal.read(sessions.find_session, name, now)
        if session is None or not await self._has_needed_codes(session.user):
            return None
        self._known = {each: until for each, until in self._known.items() if until > now} | {word: session.until}
        if sessions.is_stale(session, now):
            await self._journal.admit(CONSOLE, sessions.touch_session, name, now)
        return Visit(asked, session, word, now)

    def _code_roles(self) -> frozenset[Role]:
        """Return the roles whose users need one-time codes."""
        return list_code_roles(self.live.config)

    async def _has_needed_codes(self, user: User) -> bool:
        """Tell whether *user* has one-time codes, if the user's role needs them."""
        return user.role not in self._code_roles() or await self._journal.read(second_factor.has_codes, user.name)

    async def _ask_to_sign_in(
        self, asked: ConsoleRequest, wrong: Phrase | None = None, status: int = 401, code: str = ""
    ) -> ConsoleResponse:
        nobody = not await self._journal.read(users.has_users)
        kept = asked.cookies.get(BEGINNING, "")
        word = kept if _WORD.fullmatch(kept) else self._word()
        here = layout.build_page_path(*asked.path, **{k: v for k, v in asked.query.items() if k != "lang"})
        place = asked.form.get("next", "") if asked.method == "POST" else here
        said = {
            "wrong": _said(wrong, asked),
            "code": code,
            "nobody": nobody,
            "next": given.sanitize_redirect(place),
            "certificates": self.live.config.console.client_certificates,
            "providers": self._openid.list_buttons(),
        }
        content = layout.render_page("signin", asked.language, self._around(asked, word) | said)
        if asked.path in {(), ("sign-in",)} and not wrong:
            status = 200  # nothing was withheld: this page was asked for
        return ConsoleResponse(status=status, content=content, cookies=(write_set_cookie(BEGINNING, word),))

    async def _sign_in(self, asked: ConsoleRequest) -> ConsoleResponse:
        begun = asked.cookies.get(BEGINNING, "")
        require_form_proof(asked, begun if _WORD.fullmatch(begun) else None)
        try:
            name = users.normalise_user_name(asked.form.get("name", ""))
        except users.NameUnfit:
            name = ""
        password = asked.form.get("password", "")[: passwords.LONGEST + 1]
        word = self._word()

        async def enter(kept: str) -> Entered | None:
            named, roles = sessions.hash_session_word(word), self._code_roles()
            return await self._journal.write(
                sessions.begin_session, name, kept, named, asked.address, self._now(), roles
            )

        async def judge(stored: str | None) -> Entered | None:
            return await self._compare(password, enter, stored)

        tried: tuple[datetime | None, Entered | None]
        tried = await self._try(name, asked.address, judge)
        again, found = tried
        if again is not None:
            later, seconds = self._say_later(again)
            return attrs.evolve(await self._ask_to_sign_in(asked, later, 429), retry_after=seconds)
        if found is None:
            return await self._ask_to_sign_in(asked, phrase("The name or the password is wrong."))
        return await self._let_in(asked, word, found)

    async def _let_in(self, asked: ConsoleRequest, word: str, found: Entered, provider: str = "") -> ConsoleResponse:
        """Return the answer to a password, certificate or *provider* that was right.

        *word* is of the session, or of the wait for a code. The browser remembers by which provider it came in.
        """
        following = given.sanitize_redirect(asked.form.get("next", ""))
        if isinstance(found, CodeMissing):
            missing = phrase("This account needs one-time codes to sign in. Ask an operator to set them up.")
            return await self._ask_to_sign_in(asked, missing)
        if isinstance(found, AccountLocked):
            return await self._ask_to_sign_in(asked, phrase("This account is locked. Ask an administrator."))
        if isinstance(found, CodeWait):
            place = layout.build_page_path("sign-in", "code", next=following)
            answer = ConsoleResponse(status=303, location=place, cookies=(write_set_cookie(BEGINNING, word),))
        else:
            answer = _enter(word, following)
        if provider or PROVIDER in asked.cookies:
            way = write_set_cookie(PROVIDER, provider, None if provider else 0)
            answer = attrs.evolve(answer, cookies=(*answer.cookies, way))
        return answer

    async def _sign_in_by_certificate(self, asked: ConsoleRequest) -> ConsoleResponse:
        """Sign in the user whose certificate the browser showed when it opened the connection."""
        begun = asked.cookies.get(BEGINNING, "")
        require_form_proof(asked, begun if _WORD.fullmatch(begun) else None)
        if not self.live.config.console.client_certificates:
            raise refuse_as_absent()
        shown, now, word = asked.shown(), self._now(), self._word()
        if not shown:
            none = phrase("The browser showed no certificate. Close it, insert the token, and open this page again.")
            return await self._ask_to_sign_in(asked, none)
        try:
            check = partial(self.live.config.anchors.check, shown[0], now, shown[1:], purpose=Purpose.CLIENT)
            await self._work(CONSOLE, THRESHOLD, check)
        except Rejected as rejected:
            why = describe_problem(rejected.problems[0], asked.language)
            return await self._ask_to_sign_in(asked, phrase("The certificate is not accepted: {why}", why=why))
        certificate, named = hash_certificate(shown[0]), sessions.hash_session_word(word)
        found = await self._journal.write(
            sessions.begin_session_by_certificate, certificate, named, asked.address, now, self._code_roles()
        )
        if found is None:
            unknown = phrase(
                "No account has this certificate. Tell an operator its SHA-256: {sha256}", sha256=certificate
            )
            return await self._ask_to_sign_in(asked, unknown)
        return await self._let_in(asked, word, found)

    async def _sign_in_by_provider(self, asked: ConsoleRequest, name: str) -> ConsoleResponse:
        """By POST lead the browser to an OpenID provider; by GET judge what it comes back with.

        A browser that another site leads here does not send the cookies of sessions, nor after a redirect. So both ways
        are a page that leads on.
        """
        if asked.method == "POST":
            begun = asked.cookies.get(BEGINNING, "")
            require_form_proof(asked, begun if _WORD.fullmatch(begun) else None)
        elif "state" not in asked.query:
            _ = self._openid.find_provider(name)
            return ConsoleResponse(status=303, location="/sign-in")
        over = write_set_cookie(FLOW, "", 0, site="Lax")
        try:
            if asked.method == "POST":
                address, flow = await self._openid.begin(asked, name)
                kept = write_set_cookie(FLOW, flow, int(openid_flow.LASTS.total_seconds()), site="Lax")
                return self._lead_on(asked, address, kept)
            entry = await self._openid.finish(asked, name, self._code_roles())
        except ProviderSignInRefused as refused:
            back = _back_at_sign_in(asked, refused.following)
            answer = await self._ask_to_sign_in(back, refused.said, refused.status, refused.code)
            return attrs.evolve(answer, cookies=(*answer.cookies, over))
        except TriedTooOften as often:
            later, seconds = self._say_later(often.again)
            answer = await self._ask_to_sign_in(_back_at_sign_in(asked, often.following), later, 429)
            return attrs.evolve(answer, cookies=(*answer.cookies, over), retry_after=seconds)
        found = await self._let_in(_back_at_sign_in(asked, entry.following), entry.word, entry.found, name)
        cookies = (*found.cookies, over)
        if found.location is None:
            return attrs.evolve(found, cookies=cookies)
        return self._lead_on(asked, found.location, *cookies)

    def _lead_on(self, asked: ConsoleRequest, address: str, *cookies: str) -> ConsoleResponse:
        """Return a page that leads to *address* at once, without script."""
        said = {"address": address, "host": urlsplit(address).netloc}
        content = layout.render_page("onward", asked.language, self._around(_back_at_sign_in(asked, "/")) | said)
        return ConsoleResponse(content=content, cookies=cookies)

    async def _sign_in_by_code(self, asked: ConsoleRequest) -> ConsoleResponse:
        """Ask for the one-time code of a sign-in whose password was right; by POST, judge it."""
        begun = asked.cookies.get(BEGINNING, "")
        if not _WORD.fullmatch(begun):
            return ConsoleResponse(status=303, location="/sign-in")
        named = sessions.hash_session_word(begun)
        if asked.method == "POST":
            require_form_proof(asked, begun)
        wait = await self._journal.read(sessions.find_code_wait, named, self._now())
        if wait is None:
            if asked.method == "POST":
                return await self._ask_to_sign_in(asked, phrase("The sign-in has ended. Type name and password again."))
            return ConsoleResponse(status=303, location="/sign-in")
        if asked.method == "GET":
            return self._ask_for_code(asked, begun)
        code, word = "".join(asked.form.get("code", "")[:20].split()), self._word()

        async def judge(_kept: str | None) -> ConsoleSession | None:
            new = sessions.hash_session_word(word)
            return await self._journal.write(
                sessions.begin_session_by_code, wait, code, new, asked.address, self._now()
            )

        again, session = await self._try(wait.name, asked.address, judge)
        if again is not None:
            later, seconds = self._say_later(again)
            return attrs.evolve(self._ask_for_code(asked, begun, later, 429), retry_after=seconds)
        if session is None:
            wrong = phrase("The code is wrong, or was used before. Wait for the next one.")
            return self._ask_for_code(asked, begun, wrong, 401)
        return _enter(word, given.sanitize_redirect(asked.form.get("next", "")))

    def _ask_for_code(
        self, asked: ConsoleRequest, word: str, wrong: Phrase | None = None, status: int = 200
    ) -> ConsoleResponse:
        place = asked.form.get("next", "") if asked.method == "POST" else asked.query.get("next", "")
        said = {"wrong": _said(wrong, asked), "next": given.sanitize_redirect(place)}
        content = layout.render_page("code", asked.language, self._around(asked, word) | said)
        return ConsoleResponse(status=status, content=content)

    def _say_later(self, again: datetime) -> tuple[Phrase, int]:
        """Return how the page says that attempts are permitted from *again* on, and the seconds until then."""
        seconds = max(0, int((again - self._now()).total_seconds())) + 1
        return phrase("Too many attempts. Try again in {seconds} s.", seconds=seconds), seconds

    async def _readiness(self, visit: Visit) -> ConsoleResponse:
        return self._page("readiness", visit, {"checks": await self.list_checks()})

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
        return attrs.evolve(self._page(shown.template, visit, said), status=shown.status, live=shown.live)

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
        return self._page("integration", visit, arrange_integration(facts, steps) | {"at": visit.now})

    async def _serve(
        self,
        visit: Visit,
        pages: PartnerPages
        | TrustPages
        | WhatIfPages
        | AccountPages
        | TokenPages
        | RoundPages
        | AlertPages
        | RetentionPages,
    ) -> ConsoleResponse:
        """Answer by the pages of one part of the console."""
        user, asked = visit.session.user, visit.asked
        shown = await (pages.act if asked.method == "POST" else pages.show)(asked, user, visit.now)
        if isinstance(shown, str):
            return ConsoleResponse(status=303, location=shown)
        if isinstance(shown, ConsoleResponse):
            return shown
        return attrs.evolve(self._page(shown.template, visit, dict(shown.said)), status=shown.status)

    async def _manage(self, visit: Visit) -> ConsoleResponse:
        """Answer at an address of partners, trusted CAs, other rules, accounts, tokens, rounds of reports, alerts or
        retention.
        """
        match visit.asked.path[0]:
            case "alerts":
                return await self._serve(visit, AlertPages(self._journal, self.turns))
            case "retention":
                return await self._serve(visit, RetentionPages(self.turns, self.live))
            case "month":
                return await self._serve(visit, RoundPages(self._journal, self.turns, self.live))
            case "partners":
                return await self._serve(visit, self.partners)
            case "trust":
                return await self._serve(visit, TrustPages(self.trust))
            case "what-if":
                return await self._serve(visit, WhatIfPages(self._journal, self.live, self.trials))
            case "users":
                return await self._serve(visit, AccountPages(self._journal, self.turns, self.desk))
        return await self._serve(visit, TokenPages(self._journal, self.turns, self.desk))

    async def _sign_out(self, visit: Visit) -> ConsoleResponse:
        everywhere = visit.asked.form.get("everywhere") == "1"
        await self._journal.write(sessions.end_own_session, visit.session, visit.now, everywhere=everywhere)
        over = (write_set_cookie(SESSION, "", 0), write_set_cookie(PROVIDER, "", 0))
        logout = await self._openid.name_logout(visit.asked.cookies.get(PROVIDER, ""))
        if logout is not None:
            return self._lead_on(visit.asked, logout, *over)
        return ConsoleResponse(status=303, location="/", cookies=over)

    async def _account(self, visit: Visit, wrong: Phrase | None = None) -> ConsoleResponse:
        name = visit.session.user.name
        open_now = await self._journal.read(sessions.list_sessions, visit.now, name)
        coded = await self._journal.read(second_factor.has_codes, name)
        said = {
            "sessions": open_now,
            "own": visit.session.sha256,
            "coded": coded,
            "persons": await self._list_persons(name),
            "must_change": visit.session.must_change,
            "wrong": _said(wrong, visit.asked),
        }
        content = layout.render_page(
            "account", visit.asked.language, self._around(visit.asked, visit.word, visit) | said
        )
        return ConsoleResponse(status=400 if wrong else 200, content=content)

    async def _list_persons(self, name: str) -> list[tuple[str, str]]:
        """Return title and subject of the user *name* at each provider in force."""
        titles = {(each.issuer, each.claim): each.title for each in self.live.config.console.providers.values()}
        bound = (await self._journal.read(provider_accounts.list_persons, name)).get(name, [])
        return [
            (titles[each.issuer, each.claim], each.subject) for each in bound if (each.issuer, each.claim) in titles
        ]

    async def _change_password(self, visit: Visit) -> ConsoleResponse:
        form, name = visit.asked.form, visit.session.user.name
        old, new = form.get("old", ""), form.get("new", "")
        try:
            passwords.check_password(new, name)
        except passwords.PasswordUnfit as unfit:
            return await self._account(visit, unfit.reason)
        if new == old:
            return await self._account(visit, phrase("The new password is the current one."))
        if new != form.get("again"):
            return await self._account(visit, phrase("The two passwords differ."))

        async def change(kept: str) -> tuple[bool]:
            hashed = await self._work(CONSOLE, THRESHOLD, passwords.hash_password, new, self._salt())
            return (await self._journal.write(users.change_password, name, hashed, by=name, now=visit.now, was=kept),)

        given_old = old[: passwords.LONGEST + 1]
        again, changed = await self._try(name, visit.asked.address, partial(self._compare, given_old, change))
        if again is not None:
            return await self._account(visit, phrase("Too many attempts; wait."))
        if changed is None:
            return await self._account(visit, phrase("The current password is wrong."))
        if changed == (False,):
            raise given.refuse_unproven_form()
        return ConsoleResponse(status=303, location="/", cookies=(write_set_cookie(SESSION, "", 0),))

    async def _compare(self, password: str, then: Callable[[str], Awaitable[T | None]], stored: str | None) -> T | None:
        """Compare a password with the *stored* hash. If it is right, return the result of *then* with this hash."""
        kept = stored or passwords.NOBODY
        right = await self._work(CONSOLE, THRESHOLD, passwords.matches_hash, password, kept)
        return await then(kept) if right and stored is not None else None

    async def _try(
        self, name: str, address: str, judge: Callable[[str | None], Awaitable[T | None]]
    ) -> tuple[datetime | None, T | None]:
        """Judge a password or a code when its turn comes: call *judge* with the stored hash of the password, if any.

        Return the time of the next permitted attempt, or None; and the result of *judge*, which is None if it was
        wrong. An attempt that an internal error ended does not count.
        """
        place = sessions.find_address_network(address)

        async def attempt() -> tuple[datetime | None, T | None]:
            now = self._now()  # later than `now` of a caller that waited
            leave = await self._journal.admit(CONSOLE, sessions.permit_sign_in, name, address, now)
            if leave.again is not None:
                return leave.again, None
            try:
                done = await judge(leave.password)
                if done is None:
                    await self._journal.write(sessions.record_failed_sign_in, name, address, now)
            except Exception:
                await self._take_back(name, address, now)
                raise
            if done is None:
                self._turns.note_failure(place, name)
            return None, done

        known = await self._journal.read(sessions.is_known, name, address, self._now())
        return await self._turns.run_in_turn(place, name, known, attempt)

    async def _take_back(self, name: str, address: str, now: datetime) -> None:
        """Undo the count of an attempt that an internal error ended."""
        try:
            await self._journal.write(sessions.undo_failed_sign_in, name, address, now)
        except Unready as unready:  # the journal does not answer; a few failures have no effect
            log.warning("sign-in-still-counted", detail=str(unready.problem.detail))

    # --- help -----------------------------------------------------------------------------------------------------

    async def _help(self, asked: ConsoleRequest) -> ConsoleResponse:
        """Show a page of the documentation, or the list of all. It is public: the request's session is not looked at."""
        language, address, around = asked.language, asked.path[1:], self._around(asked)
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
        shown, limited = overview_page.limit_overview(found, user), user.visible_partners is not None
        return self._page("overview", visit, overview_page.arrange_overview(shown, limited=limited))

    async def _events(self, visit: Visit) -> ConsoleResponse:
        """Show one page of the events that no message leads to."""
        search = events_page.read_event_search(visit.asked.query)
        found = await self.turns.look(
            events_page.read_events_page, search, self.live.config.partners, visit.session.user
        )
        page = self._page("event_list", visit, events_page.arrange_events(search, found))
        return attrs.evolve(page, status=422) if found.wrong else page

    async def _failures(self, visit: Visit) -> ConsoleResponse:
        """Show the failures by cause."""
        partners = self.live.config.partners
        search = failures_page.read_failure_search(visit.asked.query, visit.now)
        user = visit.session.user
        found = await self.turns.look(failures_page.read_failures_page, user, search, partners)
        seen = [code for code in partners if user.sees_partner(code)]
        page = self._page("failures", visit, failures_page.arrange_failures(search, found, seen))
        return attrs.evolve(page, status=422) if found.wrong else page

    async def _late(self, visit: Visit) -> ConsoleResponse:
        """Show who is late today, or return it as a file."""
        kind, search = visit.asked.path[0].partition(".")[2], late_page.read_late_search(visit.asked.query)
        user, workdays = visit.session.user, (await self._book()).workdays
        view = None
        if not search.wrong:
            limit = late_page.FILED if kind else late_page.PAGE
            view = await self.turns.look(late_page.read_late_page, user, search.asked, workdays, visit.now, limit)
        if kind and view is not None:
            content = await self.turns.alone(
                late_page.write_late_file, kind, view.items, view.head, visit.asked.language
            )
            name = f"late-{search.asked.unit or self.live.config.province}-{view.today:%Y%m%d}.{kind}"
            return ConsoleResponse(content=content, content_type=late_page.FILES[kind], filename=name)
        page = self._page("late", visit, late_page.arrange_late(search, view))
        return page if view is not None else attrs.evolve(page, status=422)

    async def _home(self, visit: Visit) -> ConsoleResponse:
        asked, user = visit.asked, visit.session.user
        query = asked.query.get("q", "")[:200]
        found = await self.turns.look(reading.find_units, user, query, find_local_day(visit.now))
        book = await self._journal.read(closing.keep_closed_workdays, await self._book())
        waits = await self._journal.read(waiting.list_waiting_reports, user, book, visit.now)
        shown = await self._work(CONSOLE, THRESHOLD, reading.list_report_choices, visit.now, book)
        ids = {form.id for form in shown.forms}
        form = asked.query.get("form", _DEFAULT_FORM)
        period = asked.query.get("period", "")
        texts = {each.text for _, members in shown.periods for each in members}
        said = {
            "query": query,
            "waits": waits,
            "here_units": layout.build_page_path(*asked.path),
            "units": found.found,
            "count": found.count,
            "names": found.names,
            "forms": shown.forms,
            "periods": shown.periods,
            "form": form if form in ids else _DEFAULT_FORM,
            "period": period if period in texts else find_month_containing(visit.now, book.cuts).text,
        }
        return self._page("home", visit, said)

    async def _report(self, visit: Visit, form: str, unit: str, period: str) -> ConsoleResponse:
        text, dot, kind = period.rpartition(".")
        if dot:
            return await self._file(visit, form, unit, text, kind)
        charted = visit.asked.query.get("charts") == "1"
        book = await self._journal.read(closing.keep_closed_workdays, await self._book())
        words = (visit.session.user, book, form, unit, period, visit.now)
        revision = reading.read_revision_number(visit.asked.query.get("revision", ""))
        counted, stands = await self._counted(
            visit, form, standing.count_report_with_standing, *words, charted=charted, revision=revision
        )
        found, language = counted.asked, visit.asked.language
        if found.members[0] != unit:  # an alias: redirect to the report's only address
            return ConsoleResponse(
                status=303, location=layout.build_page_path("reports", form, found.members[0], period)
            )

        def make() -> bytes:
            report = counted.report
            shown = reading.list_report_choices(visit.now, book, found.form, found.period)
            said = {
                "report": report,
                "asked": found,
                "names": found.names,
                "groups": group_columns(found.form.columns),
                "sums": write_column_sums(found.form),
                "lines": [
                    attrs.evolve(line, opens=line.opens and found.is_newest)
                    for line in arrange_body(report, found.names, language)
                ],
                "closing": write_closing_lines(report, found.names, language),
                "remarks": write_remark_lines(report, found.names, language),
                "rules": schematron.name_rule_files(report.form),
                "heading": write_dimensions(report.by, language),
                "findings": write_check_findings(report, found.names, language),
                "workings": write_workings(report, found.names, language),
                "unusual": [
                    (
                        each,
                        translate(
                            describe_spike(each, found.form, found.names.get(each.unit, each.unit), language), language
                        ),
                    )
                    for each in counted.spikes.named
                ],
                "unnamed": counted.spikes.left_out,
                "charts": layout.render_charts(report, found.names, counted.others, language),
                "forms": shown.forms,
                "periods": shown.periods,
                "kinds": reading.list_file_kinds(book, found.form, found.period) if found.is_newest else (),
                "standing": stands,
                "needs_drafter": self._needs_drafter(form),
                "may": visit.session.user.may(Permission.SIGN),
            }
            return layout.render_page("report", language, self._around(visit.asked, visit.word, visit) | said)

        return ConsoleResponse(content=await self._work(CONSOLE, len(found.members) * _ROW, make))

    async def _file(self, visit: Visit, form: str, unit: str, period: str, kind: str) -> ConsoleResponse:
        if kind not in reading.KINDS:
            raise refuse_as_absent()
        words = (visit.session.user, await self._book(), form, unit, period, visit.now)
        made = await self._counted(visit, form, reading.write_report_file, *words, kind, visit.asked.language)
        content = made.content
        if not isinstance(content, bytes):
            identity = self.live.config.identity
            content = await self._work(
                CONSOLE, THRESHOLD, sealed.seal_report, content.report, content.names, content.lines, identity
            )
        name = reading.name_report_file(made.asked, kind)
        return ConsoleResponse(content=content, content_type=reading.KINDS[kind], filename=name)

    async def _behind(self, visit: Visit, form: str, unit: str, period: str, column: str) -> ConsoleResponse:
        query, user = visit.asked.query, visit.session.user
        after = reading.FactCursor.parse(query["after"]) if "after" in query else None
        row, divided, address = query.get("unit"), query.get("row"), (form, unit, period, column)
        behind = await self._counted(
            visit, form, reading.read_facts_page, user, await self._book(), address, (row, divided), after, visit.now
        )
        found = behind.asked

        def place(cursor: str | None) -> str:
            return layout.build_page_path("reports", *address, unit=row, row=divided, after=cursor)

        said = {
            "form": found.form,
            "period": found.period,
            "unit": found.members[0],
            "row": row or found.members[0],
            "family": row is None and len(found.members) > 1,
            "divided": behind.row_name,
            "column": found.form.column(column),
            "names": found.names,
            "value": behind.value,
            "count": behind.count,
            "counted": behind.count is not None or behind.value is not None,
            "reached": behind.more.at if behind.more is not None and not behind.facts else None,
            "facts": behind.facts,
            "differences": behind.differences,
            "messages": behind.messages,
            "declared": [
                figure
                for figure in place_figures(found.declared, found.members)
                if (figure.unit, figure.column) == (row or "", column)
            ],
            "first": place(None) if after is not None else None,
            "more": place(behind.more.text()) if behind.more is not None else None,
        }
        return self._page("facts", visit, said)

    async def _declared(
        self, visit: Visit, form: str, unit: str, period: str, wrong: Sequence[str] = ()
    ) -> ConsoleResponse:
        text, dot, kind = period.rpartition(".")
        user = visit.session.user
        if dot:
            if kind != "xlsx":
                raise refuse_as_absent()
            asked = await self._counted(
                visit, form, reading.find_visible_report, user, await self._book(), form, unit, text, visit.now
            )
            made = await self.turns.alone(reading.write_declaration_template, asked, visit.asked.language)
            name = f"khai_{asked.form.id}_{asked.members[0]}_{asked.period.text}.xlsx"
            return ConsoleResponse(content=made, content_type=reading.KINDS["xlsx"], filename=name)
        asked, compared = await self._counted(
            visit, form, reading.compare_visible_declaration, user, await self._book(), form, unit, period, visit.now
        )
        if asked.members[0] != unit:
            return ConsoleResponse(
                status=303, location=layout.build_page_path("declarations", form, asked.members[0], period)
            )
        said = {
            "asked": asked,
            "form": asked.form,
            "period": asked.period,
            "unit": unit,
            "names": asked.names,
            "compared": compared,
            "headings": reading.name_form_columns(asked.form, visit.asked.language),
            "may": user.may(Permission.DECLARE),
            "many": len(asked.members) > 1,
            "wrong": wrong,
        }
        page = await self._work(CONSOLE, len(asked.members) * _ROW, self._page, "declared", visit, said)
        return attrs.evolve(page, status=422) if wrong else page

    async def _declare(self, visit: Visit, form: str, unit: str, period: str) -> ConsoleResponse:
        user, file, language = visit.session.user, visit.asked.file, visit.asked.language
        if not user.may(Permission.DECLARE):
            raise given.refuse_declaration()
        report, names = await self._counted(
            visit, form, reading.find_declared_report, user, await self._book(), form, unit, period, visit.now
        )
        try:
            said = await self.turns.alone(read_declared_workbook, file.read() if file else b"", report, names)
        except Misfilled as misfilled:
            wrong = [
                f"{each.cell}: {translate(each.wrong, language)}" if each.cell else translate(each.wrong, language)
                for each in misfilled.wrong
            ]
            return await self._declared(visit, form, unit, period, wrong)
        named = attrs.evolve(said, by=said.by or user.name)
        parts = split_declaration(named, report.form) if visit.asked.form.get("each") == "1" else (named,)
        for start in range(0, len(parts), declarations.TOGETHER):
            some = parts[start : start + declarations.TOGETHER]
            taken = await self._journal.admit(
                CONSOLE, declarations.record_declarations, self.live.province, some, by=user.name, now=visit.now
            )
            if problems := [problem for recorded in taken for problem in recorded.problems]:
                wrong = [describe_problem(each, language) for each in problems]
                return await self._declared(visit, form, unit, period, wrong)
        return ConsoleResponse(status=303, location=layout.build_page_path("declarations", form, said.unit, period))

    async def _validator(self, visit: Visit, judged: JudgedFile = NOT_JUDGED) -> ConsoleResponse:
        said = {**attrs.asdict(judged, recurse=False), "most": validator_page.MOST_LISTED}
        page = self._page("validator", visit, said)
        return attrs.evolve(page, status=422) if judged.wrong else page

    async def _validate(self, visit: Visit) -> ConsoleResponse:
        judged = await validator_page.judge_file(self.turns, visit.asked)
        return await self._validator(visit, judged)

    async def _signing(
        self, visit: Visit, form: str, unit: str, period: str, problems: Sequence[Problem] = ()
    ) -> ConsoleResponse:
        """Show the state of the report and what a clerk may do next, or why an action failed."""
        user, language = visit.session.user, visit.asked.language
        found = await self._counted(
            visit, form, standing.compare_report_standing, user, await self._book(), form, unit, period, visit.now
        )
        asked = found.asked
        if asked.members[0] != unit and not problems:
            return ConsoleResponse(
                status=303, location=layout.build_page_path("signing", form, asked.members[0], period)
            )
        scripted = user.may(Permission.SIGN) and found.step in _TO_SIGN
        said = {
            "standing": found,
            "needs_drafter": self._needs_drafter(form),
            "stamped": self._needs_stamp(),
            "pdf": signed_pdf.is_pades_installed() and not self._needs_drafter(form),
            "form": asked.form,
            "period": asked.period,
            "unit": asked.members[0],
            "names": asked.names,
            "may": user.may(Permission.SIGN),
            "scripted": scripted,
            "tool": signing_tool.SIGN_XML,
            "wrong": [(each.code, describe_problem(each, language)) for each in problems],
            "problem": None if found.problem is None else describe_problem(found.problem, language),
            "error_help": help_pages.name_error_help,
        }
        page = attrs.evolve(self._page("signing", visit, said), scripted=scripted)
        return attrs.evolve(page, status=422) if problems else page

    def _needs_drafter(self, form: str) -> bool:
        officials = self.live.config.officials
        return officials is not None and officials.needs_drafter(form)

    def _needs_stamp(self) -> bool:
        officials = self.live.config.officials
        return officials is not None and officials.needs_stamp

    async def _give_out(self, visit: Visit, form: str, unit: str, period: str) -> ConsoleResponse:
        """Return the file to sign: the same octets each time, or a new revision if a reason is given."""
        user, said = visit.session.user, visit.asked.form.get("reason")
        reason = None if said is None else replace_controls(" ".join(said.split()))[:_REASON]
        if not user.may(Permission.SIGN):
            raise given.refuse_signing()
        if reason == "":
            return await self._signing(visit, form, unit, period, [Problem("reason-missing")])
        try:
            words = (user, await self._book(), form, unit, period, visit.now)
            counted = await self._counted(visit, form, standing.count_report_for_release, *words)
            kept = await self._journal.admit(
                CONSOLE,
                submission.issue_report,
                self.live.province,
                counted,
                reason=reason or "",
                by=user.name,
                now=visit.now,
            )
        except Rejected as rejected:
            return await self._signing(visit, form, unit, period, rejected.problems)
        except submission.Unended:
            return await self._signing(visit, form, unit, period, [Problem("period-not-ended")])
        except submission.Unclosed as unclosed:
            return await self._signing(visit, form, unit, period, [Problem("period-not-closed", str(unclosed))])
        sha256 = (await self._journal.read(submission.read_signing_base, kept)).sha256
        return ConsoleResponse(
            stored=sha256,
            size=await self._journal.read(blobs.read_blob_size, sha256),
            content_type=reading.KINDS["xml"],
            filename=submission.name_signing_file(kept, sha256),
        )

    async def _take_signed(self, visit: Visit, form: str, unit: str, period: str) -> ConsoleResponse:
        """Record what an official has signed. Of a refused file, the SHA-256 and the reasons are recorded."""
        user, file = visit.session.user, visit.asked.file
        if not user.may(Permission.SIGN):
            raise given.refuse_signing()
        upload = SignedUpload(
            user=user,
            form=form,
            unit=unit,
            period=period,
            content=file.read() if file else b"",
            now=visit.now,
            wanted=visit.asked.wanted,
        )
        try:
            code = await SignedUploads(self._journal, self.live, self.turns).take(upload)
        except Rejected as rejected:
            return await self._signing(visit, form, unit, period, rejected.problems)
        return ConsoleResponse(status=303, location=layout.build_page_path("signing", form, code, period))

    async def _message(self, visit: Visit, identity: str, rest: tuple[str, ...]) -> ConsoleResponse:
        user = visit.session.user
        words = (user, identity, find_local_day(visit.now), self.live.config.archive)
        opened, names = await self.turns.look(reading.open_visible_message, *words)
        if isinstance(opened, ShownCall):
            if rest:
                raise refuse_as_absent()
            call = opened.call
            said = {
                "call": call,
                "events": opened.happened,
                "reasons": group_reasons([Problem(call.code, call.detail)]),
            }
            return self._page("call", visit, {**said, "error_help": help_pages.name_error_help})
        if rest == ("receipt",) and opened.receipt:
            receipt = await self._journal.read(search.read_stored_receipt, identity)
            assert receipt is not None
            name = f"{identity}-receipt.xml"
            return ConsoleResponse(content=receipt, content_type="application/octet-stream", filename=name)
        views = MessageViews(self._journal, self.live, self.turns.alone)
        if rest:
            answer = await views.open(user, opened, names, rest, visit.now)
            if isinstance(answer, ConsoleResponse):
                return answer
            template, said = answer
        else:
            template, said = views.show(opened, names, await self._book())
        return self._page(template, visit, {**said, "error_help": help_pages.name_error_help})

    def _names(self) -> tuple[Mapping[str, str], str, date]:
        """Return what a search needs besides the journal: names of partners by code, the upstream partner, the day."""
        return self.turns.list_names(self._now())

    async def _messages(self, visit: Visit) -> ConsoleResponse:
        """Show a page of the list of messages. What is not understood is said on it."""
        user, names = visit.session.user, self._names()
        query = message_list.parse_list_query(visit.asked.query)
        page = await self.turns.look(message_list.find_message_page, user, query, *names)
        said = {
            "query": query,
            "given": query.given,
            "page": page,
            "rows": list(message_list.list_row_texts(page, visit.asked.language)),
            "partners": user.keep_visible(names[0]),
            "states": [*MessageState, *([message_list.CALLS] if may_see_refused(user) else [])],
            "delivery_states": list(DeliveryState),
            "exported": message_list.EXPORTED,
            "files": {"csv": "CSV", "jsonl": "JSON"},
            "is_open": any(name not in {"q", "since", "until", "state"} for name in query.given),
        }
        answer = self._page("messages", visit, said)
        return attrs.evolve(answer, status=422) if query.wrong or page.plan.unknown else answer

    async def _keep_search(self, visit: Visit) -> ConsoleResponse:
        """Save the search of the open page under a name, or remove the one with that name."""
        form, user = visit.asked.form, visit.session.user.name
        name = " ".join(replace_controls(form.get("name", "")).split())[: saved_searches.NAME]
        query = message_list.normalise_saved_query(form.get("query", ""))
        if form.get("action") == "remove":
            await self._journal.admit(CONSOLE, saved_searches.remove_saved_search, user, name)
        elif name:
            saved = SavedSearch(name, query)
            await self._journal.admit(CONSOLE, saved_searches.save_search, user, saved, visit.now)
        return ConsoleResponse(status=303, location=f"/messages?{query}" if query else "/messages")

    def _export(self, visit: Visit, kind: str) -> ConsoleResponse:
        """Return what the list finds as a file, at most `EXPORTED` rows."""
        query, words = message_list.parse_list_query(visit.asked.query), (kind, visit.asked.language)
        parts = message_list.iterate_export(self._journal, visit.session.user, query, *self._names(), *words)
        name = message_list.name_file(visit.now, kind)
        return ConsoleResponse(parts=parts, content_type=message_list.FILES[kind], filename=name)

    async def _book(self) -> Book:
        """Return the province's forms."""
        return await self.turns.read_book()

    async def _counted(
        self, visit: Visit, form: str, step: Callable[Concatenate[Transaction, P], T], *words: P.args, **named: P.kwargs
    ) -> T:
        """Read what a report needs from the journal, which may be a large amount."""
        return await self.turns.count(visit.session.user.name, visit.asked.wanted, form, step, *words, **named)

    def _page(self, template: str, visit: Visit, said: dict[str, object]) -> ConsoleResponse:
        return ConsoleResponse(
            content=layout.render_page(
                template, visit.asked.language, self._around(visit.asked, visit.word, visit) | said
            )
        )

    def _around(self, asked: ConsoleRequest, word: str | None = None, visit: Visit | None = None) -> dict[str, object]:
        """Return the values that every page needs."""
        return {
            "hub": self.live.config.name,
            "here": asked.here,
            "place": asked.path or ("",),
            "visitor": visit.session.user if visit else None,
            "opens": partial(access.may_open, visit.session.user) if visit else None,
            "proof": sessions.make_form_proof(word) if word else "",
            "defined": self.live.config.services,
        }


def _require_access(visit: Visit) -> None:
    """Check that the user may open the address. Raises `RequestRefused`, as for an address that does not exist."""
    path = visit.asked.path
    if path and not access.may_open(visit.session.user, path[0]):
        raise refuse_as_absent()


def _enter(word: str, following: str) -> ConsoleResponse:
    """Return the answer that begins the session with the secret *word*, and leads to the page *following*."""
    # the word is new, so nobody can have planted it before
    cookies = (write_set_cookie(SESSION, word), write_set_cookie(BEGINNING, "", 0))
    return ConsoleResponse(status=303, location=following, cookies=cookies)


def _back_at_sign_in(asked: ConsoleRequest, following: str) -> ConsoleRequest:
    """Return *asked* as if the user pressed a button of the sign-in page for the page *following*."""
    query = {name: value for name, value in asked.query.items() if name == "lang"}
    return attrs.evolve(asked, method="POST", path=("sign-in",), query=query, form={"next": following})


def _chosen(asked: ConsoleRequest) -> ConsoleResponse:
    words = [asked.query.get(name, "") for name in ("form", "unit", "period")]
    if not all(words):
        raise refuse_as_absent()
    return ConsoleResponse(status=303, location=layout.build_page_path("reports", *words))


def _beside(asked: ConsoleRequest) -> ConsoleResponse:
    """Return the style sheet, the icon or the script."""
    if asked.method != "GET" or len(asked.path) != 2 or asked.path[1] not in layout.BESIDE:
        raise refuse_as_absent()
    name = asked.path[1]
    return ConsoleResponse(content=layout.read_static_file(name), content_type=layout.BESIDE[name], lasting=True)


def _said(text: Phrase | None, asked: ConsoleRequest) -> str:
    return "" if text is None else translate(text, asked.language)
