"""The pages of partners: the list, one partner, its settings and certificates, the connection test, its removal.

Contains what each page reads and the steps of a change. A change is shown before it is made: the plan is judged, written
only while the partner's file is the one that the person saw, recorded with its reason, and taken back if the hub
refuses it. Contains no HTTP, no TOML and no SQL.

    /partners                       the partners that the user sees; with `add=1` the form of a new one, by POST its plan
                                    and, with `do=apply`, the addition
    /partners/CODE                  one partner
    /partners/CODE/test             by POST: the connection test
    /partners/CODE/settings         the form of its settings; by POST the plan, and with `do=apply` the change
    /partners/CODE/certificates     by POST: a file to accept, or `remove` with a SHA-256; then as above
    /partners/CODE/removal          by POST: the plan to remove it; then as above
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, time
from functools import partial

import attrs
from cryptography.hazmat.primitives.serialization import Encoding

import adapters
from hub.config.files import parse_certificates
from hub.config.partners.partner_edit import PartnerLook, PartnerOrder
from hub.console.exchange import overview_page
from hub.console.exchange.partner_forms import (
    REASON,
    list_new_assignments,
    list_new_fields,
    list_setting_fields,
    make_settings_order,
    name_group,
    read_typed_partner,
    read_typed_secrets,
    read_typed_settings,
    write_field,
)
from hub.console.page import PageAnswer, PageReach, PageValues, console_page
from hub.console.request import ConsoleRequest
from hub.console.visit import Visit
from hub.domain.fair_queue import CONSOLE
from hub.domain.local_time import HANOI, find_local_day
from hub.domain.sanitize import clean_line
from hub.domain.writer_budget import WriterReading, WriterUse
from hub.journal import nodes
from hub.language.phrases import Phrase, phrase, verbatim
from hub.monitoring import overview
from hub.monitoring.connection_steps import DIRECTION_NAMES, STEP_NAMES, VERDICT_NAMES, CallDirection, ConnectionStep
from hub.monitoring.overview import PartnerOverview
from hub.monitoring.partner_view import list_trusted_authorities, measure_partner
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.page_paths import build_page_path
from hub.operations.partners.partner_orders import (
    CERTIFICATE,
    SAY_WHY,
    Flaw,
    JudgedOrder,
    OrderRefusal,
    OrderRefused,
    PartnerOrders,
)
from hub.operations.refusals import RequestRefused, refuse_as_absent
from hub.operations.turns import ReadingTurns
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.transactions import Transaction
from hub.units.live import Live

_seeing = partial(console_page, right=Permission.SEE_PARTNERS, reach=PageReach.EVERY_UNIT)
_managing = partial(console_page, right=Permission.MANAGE_PARTNERS, reach=PageReach.EVERY_UNIT)


@attrs.frozen(kw_only=True)
class _Wanted:
    """One change that a form asks for."""

    code: str
    name: str  #: the displayed name of the partner
    kind: str  #: the last piece of the page's address; "": the partner is new
    title: Phrase
    order: PartnerOrder
    #: fields that the page with the plan sends again
    kept: Mapping[str, str] = attrs.field(repr=False)
    seen: str  #: SHA-256 of the partner's file when the person saw it
    reason: str


@attrs.define(eq=False)
class PartnerPages:
    """Makes the pages of partners."""

    _work: Work  #: runs what reads files in worker threads
    _live: Live  #: the configuration in force
    _turns: ReadingTurns  #: limits what is read
    _partners: PartnerOrders  #: carries out changes
    _writer: Callable[[], WriterReading]  #: tells how busy this node's writer is
    _test_partner: Callable[[str, datetime], Awaitable[Sequence[ConnectionStep]]]  #: tests the connection

    @_seeing("GET", "/partners", template="partners")
    async def list_partners(self, visit: Visit) -> PageAnswer:
        """Show the partners that the user sees, or the form of a new one."""
        user, now = visit.user, visit.now
        if visit.asked.query.get("add") == "1":
            if not user.may(Permission.MANAGE_PARTNERS):
                raise refuse_as_absent()
            return self._ask_new({})
        partners = user.keep_visible(self._live.config.partners)
        found = await self._turns.look(overview.measure_overview, partners, now)
        states = {each.code: each for each in found.partners}
        trusted = await self._work(CONSOLE, THRESHOLD, list_trusted_authorities, self._live.config, now)
        return {
            "partners": list(partners.values()),
            "states": states,
            "manages": user.may(Permission.MANAGE_PARTNERS),
            "trusted": [attrs.evolve(each, partners=_keep_seen(user, each.partners)) for each in trusted],
        }

    @_seeing("GET", "/partners/{code}", template="partner")
    async def show_partner(self, visit: Visit, code: str) -> PageAnswer:
        """Show one partner."""
        _require_seen(visit, code)
        now = visit.now
        look = await self._partners.look(code, now)
        state = await self._turns.look(measure_partner, self._live.config.partners, code, now)
        view = await self._partners.view(look, code, now)
        running = await self._turns.look(_count_nodes, now)
        return {
            "code": code,
            "view": view,
            "look": look,
            "state": state,
            "writer": self._writer().uses.get(code, WriterUse()),
            "numbers": {} if state is None else _link_numbers(state, now),
            "manages": visit.user.may(Permission.MANAGE_PARTNERS),
            "done": visit.asked.query.get("done", ""),
            "nodes": running,
            "write_field": write_field,
        }

    @_seeing("POST", "/partners/{code}/test", template="partner_test")
    async def test_connection(self, visit: Visit, code: str) -> PageAnswer:
        """Test the connection with the partner, and show the steps."""
        _require_seen(visit, code)
        steps = await self._test_partner(code, visit.now)
        return {
            "code": code,
            "directions": [
                (DIRECTION_NAMES[direction], [each for each in steps if each.direction is direction])
                for direction in CallDirection
            ],
            "step_names": STEP_NAMES,
            "verdict_names": VERDICT_NAMES,
        }

    # --- changes -------------------------------------------------------------------------------------------------------

    @_managing("GET", "/partners/{code}/settings", template="partner_settings")
    async def ask_settings(self, visit: Visit, code: str) -> PageAnswer:
        """Show the form of the settings."""
        _require_seen(visit, code)
        return await self._ask_settings(code, visit.now)

    async def _ask_settings(
        self,
        code: str,
        now: datetime,
        typed: Mapping[str, str] | None = None,
        wrong: Sequence[Flaw] = (),
        status: int = 200,
    ) -> PageValues:
        """Return the form of the settings. *typed* stands in its fields if it is shown again, with what is *wrong*."""
        look = await self._partners.look(code, now)
        view = await self._partners.view(look, code, now)
        fields = list_setting_fields(view.settings, adapters.list_adapter_names(), look.secrets, typed)
        groups: dict[str, list[object]] = {}
        for field in fields:
            groups.setdefault(name_group(field.key), []).append(field)
        said = {"code": code, "name": view.partner.name, "groups": groups, "seen": look.sha256, "wrong": wrong}
        return PageValues(said, status, template="partner_settings")

    @_managing(
        "POST",
        *("/partners/{code}/settings", "/partners/{code}/certificates", "/partners/{code}/removal"),
        template="partner_plan",
    )
    async def change_partner(self, visit: Visit, code: str) -> PageAnswer:
        """Show the plan of a change, or make it."""
        _require_seen(visit, code)
        look = await self._partners.look(code, visit.now)
        return await self._carry_out(visit, await self._read_wanted(visit, code, look))

    @_managing("POST", "/partners", template="partner_plan")
    async def add_partner(self, visit: Visit) -> PageAnswer:
        """Show the plan of a new partner, or add it."""
        asked = visit.asked
        typed = read_typed_partner(asked.form)
        _require_seen(visit, typed["code"])
        content = asked.read_file() or asked.form.get("pem", "").encode()
        wanted = _Wanted(
            code=typed["code"],
            name=typed["name"],
            kind="",
            title=phrase("Add a partner"),
            order=PartnerOrder(new=True, assignments=list_new_assignments(typed), added=content[:CERTIFICATE] or None),
            kept=typed | {"pem": _write_pem(content[:CERTIFICATE])},
            seen="",
            reason=clean_line(asked.form.get("reason", ""), REASON),
        )
        return await self._carry_out(visit, wanted)

    async def _carry_out(self, visit: Visit, wanted: _Wanted) -> PageAnswer:
        code, asked, now = wanted.code, visit.asked, visit.now
        try:
            judged = await self._partners.judge(code, wanted.order, wanted.seen, now)
            wrong = _find_missing(wanted, judged, asked) if asked.form.get("do") == "apply" else None
            if wrong is not None or asked.form.get("do") != "apply":
                return self._confirm(wanted, judged, wrong=wrong)
            await self._partners.make(judged, by=visit.user.name, reason=wanted.reason, now=now)
        except OrderRefused as refused:
            match refused.refusal:
                case OrderRefusal.STALE if not wanted.order.new:
                    return await self._refuse_stale(wanted, await self._partners.look(code, now), now)
                case OrderRefusal.LAST:
                    return self._confirm(wanted, None, last=refused.flaws[0][1])
                case OrderRefusal.UNWRITABLE:
                    raise _refuse_unwritable(refused) from refused
            return await self._refuse(wanted, refused.flaws, now)
        if judged.edit.removed:
            return build_page_path("partners")
        return build_page_path("partners", code, done="added" if wanted.order.new else "1")

    def _ask_new(self, typed: Mapping[str, str], wrong: Sequence[Flaw] = ()) -> PageValues:
        """Return the form of a new partner."""
        said = {
            "code": typed.get("code", ""),
            "fields": list_new_fields(adapters.list_adapter_names(), typed),
            "pem": typed.get("pem", ""),
            "wrong": wrong,
        }
        return PageValues(said, 422 if wrong else 200, template="partner_new")

    async def _read_wanted(self, visit: Visit, code: str, look: PartnerLook) -> _Wanted:
        asked, form, kind = visit.asked, visit.asked.form, visit.asked.path[-1]
        partner = look.config.partners.get(code)
        common = {
            "code": code,
            "name": "" if partner is None else partner.name,
            "kind": kind,
            "seen": form.get("seen", ""),
            "reason": clean_line(form.get("reason", ""), REASON),
        }
        if kind == "removal":
            return _Wanted(**common, title=phrase("Remove the partner"), order=PartnerOrder(leaves=True), kept={})
        if kind == "settings":
            view = await self._partners.view(look, code, visit.now)
            typed, secrets = read_typed_settings(form, view.settings), read_typed_secrets(form, view.settings)
            order = make_settings_order(typed, view.settings, secrets)
            return _Wanted(**common, title=phrase("Change the settings"), order=order, kept=typed | secrets)
        if fingerprint := form.get("remove", "")[:64]:
            order = PartnerOrder(removed=fingerprint, last=form.get("last") == "1")
            kept = {"remove": fingerprint} | ({"last": "1"} if order.last else {})
            return _Wanted(**common, title=phrase("Accept a certificate no longer"), order=order, kept=kept)
        content = asked.read_file() or form.get("pem", "").encode()
        order = PartnerOrder(added=content[:CERTIFICATE])
        kept = {"pem": _write_pem(content[:CERTIFICATE])}
        return _Wanted(**common, title=phrase("Accept one more certificate"), order=order, kept=kept)

    def _confirm(
        self,
        wanted: _Wanted,
        judged: JudgedOrder | None,
        *,
        last: Phrase | None = None,
        wrong: Phrase | None = None,
    ) -> PageValues:
        """Return the page that shows the plan before it is made. Without a plan it asks whether the *last* one may go."""
        new = wanted.order.new
        said = {
            "code": wanted.code,
            "name": wanted.name,
            "new": new,
            "action": build_page_path("partners", *(() if new else (wanted.code, wanted.kind))),
            "title_of": wanted.title,
            "edit": None if judged is None else judged.edit,
            "kept": wanted.kept,
            "seen": wanted.seen,
            "reason": wanted.reason,
            "last": last,
            "left": {} if judged is None else judged.left,
            "wrong": wrong,
        }
        return PageValues(said, 422 if wrong else 200)

    async def _refuse(
        self,
        wanted: _Wanted,
        wrong: Sequence[Flaw],
        now: datetime,
        status: int = 422,
    ) -> PageValues:
        """Return the page that says why the change is not possible. Nothing was written."""
        if wanted.order.new:
            return self._ask_new(wanted.kept, wrong)
        if wanted.kind == "settings":
            return await self._ask_settings(wanted.code, now, wanted.kept, wrong, status)
        said = {"code": wanted.code, "title_of": wanted.title, "wrong": wrong}
        return PageValues(said, status, template="partner_refused")

    async def _refuse_stale(self, wanted: _Wanted, look: PartnerLook, now: datetime) -> PageValues:
        """Tell that the file was changed since the person saw it; the form shows what it says now."""
        why = phrase("The partner's file has changed since this page was loaded. Nothing was written.")
        if wanted.kind != "settings":
            again = phrase("Open the partner's page again and repeat the step.")
            return await self._refuse(wanted, [("", why, again)], now, 409)
        view = await self._partners.view(look, wanted.code, now)
        differing = [
            (each.key, verbatim(wanted.kept[each.key] or "–"), None)
            for each in view.settings
            if wanted.kept[each.key] != write_field(each)
        ]
        again = phrase(
            "The fields show the file as it is now. What you had written and it does not say is listed here."
        )
        return await self._ask_settings(wanted.code, now, None, [("", why, again), *differing], 409)


def _find_missing(wanted: _Wanted, judged: JudgedOrder, asked: ConsoleRequest) -> Phrase | None:
    """Return what the person must still say before the change is made."""
    if not wanted.reason:
        return SAY_WHY
    if judged.left and asked.form.get("leave") != "1":
        return phrase("Deliveries to the partner are left. Tick that they stay in the journal, or replay them first.")
    if judged.edit.any_unit and asked.form.get("any_unit") != "1":
        return phrase("The partner may send for any unit from then on. Tick that it may.")
    return None


def _keep_seen(user: User, codes: Sequence[str]) -> tuple[str, ...]:
    return tuple(code for code in codes if user.sees_partner(code))


def _require_seen(visit: Visit, code: str) -> None:
    """Check that the user sees the partner *code*. Raises `RequestRefused`, as for a page that does not exist."""
    if not visit.user.sees_partner(code):
        raise refuse_as_absent()


def _refuse_unwritable(refused: OrderRefused) -> RequestRefused:
    return RequestRefused(
        500,
        refused.flaws[0][1],
        phrase("Nothing was changed. Let the hub's account write in partners/, or use `lienthong partners set`."),
    )


def _write_pem(content: bytes) -> str:
    """Return a certificate file as text, which the page with the plan sends again; "" if it cannot be read."""
    try:
        found = parse_certificates(content)
    except (ValueError, TypeError):
        return ""
    return b"".join(each.public_bytes(Encoding.PEM) for each in found).decode("ascii")


def _count_nodes(tx: Transaction, now: datetime) -> int:
    return len(nodes.list_live_nodes(tx, now))


def _link_numbers(state: PartnerOverview, now: datetime) -> dict[str, object]:
    day = datetime.combine(find_local_day(now), time(), HANOI)
    return {
        **overview_page.link_deliveries(state),
        "refused": overview_page.link_refused_messages(state, day),
        "calls": overview_page.link_refused_calls(state.refused_calls, day, state.code),
    }
