"""Every address × every role × every limit: no way in to what an account may not see, and content only on record.

The expectations are written down here once more, and not read from `hub.operations.accounts.permissions`.
"""

import json
import re
from datetime import timedelta
from functools import partial
from typing import Any

import attrs
import pytest

from hub import config
from hub.config.values import ReplaySettings
from hub.console.registry import PAGES
from hub.domain.model import DeliveryState, Event, Problem, Receive
from hub.edxml.sample import make_sample_packet
from hub.formats.spool import Octets
from hub.journal import events, messages
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.replay import ReplayChoice
from hub.journal.searching.message_filter import MessageFilter
from hub.monitoring.integration import kit, samples
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from tests.console.test_console_messages import try_to_deliver
from tests.console_town import Browser, Town, done
from tests.journal.test_replay_plans import push
from tests.province import NOW, ROUTES, document, entry

#: Stands in everything that an account without the right limits must not see.
SECRET = "V/v bí mật"
CODES = ("vpub", "sotttt2")
TRACKING = "0193aaaa-0000-7000-8000-000000000001"
PERIOD = "2026-11"
REPORT = f"edoc/H55.13/{PERIOD}"

OFFICIALS = {Role.VIEWER, Role.READER, Role.CLERK}
EXCHANGE = {Role.ENGINEER, Role.APPROVER, Role.OPERATOR, Role.ADMINISTRATOR}
EVERYBODY = OFFICIALS | EXCHANGE
RULERS = {Role.OPERATOR, Role.ADMINISTRATOR}
OPENING = EVERYBODY - {Role.VIEWER}
REPLAYING = RULERS | {Role.ENGINEER}
SIGNING = RULERS | {Role.CLERK}

#: Limits: the units and the partners of an account.
LIMITS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "none": (("*",), ("*",)),
    "own unit": (("H55.13",), ("*",)),
    "foreign unit": (("H55.30",), ("*",)),
    "own partner": (("*",), ("vpub",)),
    "foreign partner": (("*",), ("sotttt2",)),
    "own unit, foreign partner": (("H55.13",), ("sotttt2",)),
}
ALL = set(LIMITS)
EVERY_UNIT = {"none", "own partner", "foreign partner"}
OF_UNIT = ALL - {"foreign unit"}
OF_MESSAGE = {"none", "own unit", "own partner"}
OF_NO_UNIT = {"none", "own partner"}


#: Addresses that lead elsewhere, or that only a hub with files has; `test_console_statuses` asks them.
NOT_WALKED = {
    "/sign-in",
    "/reports",
    "/glance",
    "/month",
    "/what-if/{trial_id}",
    "/partners/{code}",
    "/partners/{code}/settings",
}


@attrs.frozen
class Place:
    """An address, who may open it, and how many events of opened content it writes."""

    address: str
    roles: set[Role]
    limits: set[str]
    opened: int = 0
    status: int = 200


@attrs.frozen
class Stage:
    """A town with something at each kind of address."""

    town: Town
    places: list[Place]
    plan: str
    message: str


@pytest.fixture
def stage(town: Town, monkeypatch: pytest.MonkeyPatch) -> Stage:
    key = samples.make_sandbox_key(NOW)
    monkeypatch.setattr(kit, "make_sandbox_key", lambda _now: key)
    town.partners = {
        code: config.Partner(code=code, name=code, certificates=(), receive=Receive.PUSH) for code in CODES
    }
    message = bring(town, 1)
    try_to_deliver(town, (200, b"<taken/>"))
    dead = bring(town, 2)
    push(town.engine, DeliveryState.DEAD)
    refused = bring(town, 3, problems=(Problem("unit-unknown", "H55.99"),))
    private = bring(town, 4, service="lookups")
    said = {"partner": "vpub", "operation": SECRET, "code": "x", "tracking": TRACKING}
    with transactions.write_transaction(town.engine) as tx:
        events.append_events(tx, Event("call-refused", NOW, body=said))
        choice = ReplayChoice.of(MessageFilter(), None, "vpub", again=True, made_at=NOW + timedelta(hours=1))
        plan = replay_plans.make_plan(tx, choice, key="k", reason=SECRET, by="x", now=NOW, goes=False)
        replay_plans.take_step(tx, plan.id, ROUTES, NOW, approve_over=None)
    town.add("first", role=Role.OPERATOR)
    browser = visit(town, "first")
    browser.get(f"/messages/{message}")
    (attempt,) = [link for link in browser.links() if f"{message}/attempts/" in link]
    item = next(link for link in browser.links() if link.startswith("/item?unit=H55.13&"))
    shown = Place(f"/messages/{message}", EVERYBODY, OF_MESSAGE)

    def content(rest: str, roles: set[Role] = OPENING, *, opened: int = 1) -> Place:
        return Place(f"/messages/{rest}", roles, OF_MESSAGE, opened)

    places = [
        Place("/", EVERYBODY, ALL),
        Place("/account", EVERYBODY, ALL),
        Place("/units", EVERYBODY, ALL),
        Place("/events", EXCHANGE, EVERY_UNIT),
        Place("/events?partner=vpub", EXCHANGE, OF_NO_UNIT),
        Place("/failures", EXCHANGE, EVERY_UNIT),
        Place("/failures?partner=vpub", EXCHANGE, OF_NO_UNIT),
        Place("/late", EVERYBODY, ALL),
        Place("/late.csv", EVERYBODY, ALL),
        Place("/late.xlsx", EVERYBODY, ALL),
        Place("/late?unit=H55.13", EVERYBODY, OF_UNIT, status=200),
        Place(item, EVERYBODY, OF_UNIT),
        Place("/readiness", EXCHANGE, ALL),
        Place("/alerts", EXCHANGE, EVERY_UNIT),
        Place("/backups", EXCHANGE, EVERY_UNIT),
        Place("/retention", EXCHANGE, EVERY_UNIT),
        Place("/upgrades", EXCHANGE, EVERY_UNIT),
        Place("/integration/vpub", EXCHANGE, OF_NO_UNIT),
        Place("/integration/vpub/kit.zip", EXCHANGE, OF_NO_UNIT),
        Place("/integration/vpub/invitation.zip?contact=x", EXCHANGE, OF_NO_UNIT),
        Place("/partners", EXCHANGE, EVERY_UNIT),
        Place("/partners?add=1", RULERS, EVERY_UNIT),
        Place("/what-if", REPLAYING, ALL),
        Place("/trust", set(), set()),  # this hub has no files; test_console_trust.py walks the roles
        Place("/users", {Role.ADMINISTRATOR}, {"none"}),
        Place("/users/_new", {Role.ADMINISTRATOR}, {"none"}),
        Place("/users/first", {Role.ADMINISTRATOR}, {"none"}),
        Place("/tokens", {Role.ADMINISTRATOR}, {"none"}),
        Place(f"/reports/{REPORT}", EVERYBODY, OF_UNIT),
        Place(f"/reports/{REPORT}/sent_inside", EVERYBODY, OF_UNIT),
        *(Place(f"/reports/{REPORT}.{kind}", EVERYBODY, OF_UNIT) for kind in ("csv", "xlsx", "json")),
        Place("/validate", EVERYBODY, ALL),
        Place("/glance/edoc/2026-12", EVERYBODY, ALL),
        Place("/glance/edoc/2026-12/H55.13", EVERYBODY, OF_UNIT),
        Place("/glance/edoc/2026-12.csv?under=H55.13", EVERYBODY, OF_UNIT),
        Place(f"/declarations/{REPORT}", EVERYBODY, OF_UNIT),
        Place(f"/declarations/{REPORT}.xlsx", EVERYBODY, OF_UNIT),
        Place(f"/signing/{REPORT}", EVERYBODY, OF_UNIT),
        Place(f"/month/edoc/{PERIOD}", EVERYBODY, ALL),
        Place("/messages", EVERYBODY, ALL),
        Place("/messages.csv", EVERYBODY, ALL),
        Place("/messages.jsonl?q=m1", EVERYBODY, ALL),
        shown,
        attrs.evolve(shown, address=f"{shown.address}/receipt"),
        content(f"{message}/content"),
        content(f"{message}/packet"),
        content(f"{message}/attachments/1"),
        content(attempt.removeprefix("/messages/")),
        content(f"{attempt.removeprefix('/messages/')}/compare/{attempt.rpartition('/')[2]}", opened=2),
        content(f"{message}/compare/{dead}", opened=2),
        attrs.evolve(shown, address=f"/messages/{private}"),
        content(f"{private}/content", RULERS),
        content(f"{message}/compare/{private}", RULERS, opened=2),
        Place(f"/messages/{refused}", EXCHANGE, OF_NO_UNIT),
        Place(f"/messages/{refused}/content", EXCHANGE, OF_NO_UNIT, 1),
        Place(f"/messages/{refused}/packet", EXCHANGE, OF_NO_UNIT, 1),
        Place(f"/messages/{TRACKING}", EXCHANGE, OF_NO_UNIT),
        Place("/replays", EXCHANGE, ALL),
        Place("/replays/new", REPLAYING, ALL),
        Place(f"/replays/{plan.id}", EXCHANGE, OF_NO_UNIT),
        Place(f"/replays/correct/{message}", REPLAYING, {"none"}, 1),
        Place(f"/replays/correct/{refused}", REPLAYING, {"none"}, 1),
        Place(f"/replays/{plan.id}/compare", set(), set()),
    ]
    return Stage(town, places, plan.id, message)


def bring(town: Town, number: int, **fields: Any) -> str:
    """Journal a document from H55.13 to H55.01 by the partner vpub; return the hub's id of it."""
    said = attrs.evolve(document(document_id=f"D{number}"), subject=SECRET)
    content = make_sample_packet("H55.13", "H55.01", SECRET, NOW.date())
    made = entry(said, number, content=content + b" " * number, partner="vpub", **fields)
    with transactions.write_transaction(town.engine) as tx:
        messages.record_message(tx, made, ROUTES)
    return made.id


def visit(town: Town, name: str) -> Browser:
    browser = Browser(town)
    config: Any = browser.pages.parts.live.config
    config.replay = ReplaySettings()
    assert browser.sign_in(name).status == 303
    return browser


def add(town: Town, role: Role, limit: str) -> str:
    """Add an account; return its name."""
    units, partners = LIMITS[limit]
    name = re.sub(r"\W+", "-", f"{role}-{limit}")
    town.add(name, *units, role=role, partners=partners)
    return name


def send(browser: Browser, proof: str, place: str, **form: Any) -> int:
    """Send a form with the proof of another page; return the status."""
    return browser.post(place, proof=proof, **form).status


def shows(browser: Browser, answer: Any) -> str:
    """Return everything that an answer brings, also in parts."""
    if answer.parts is None:
        return browser.page
    parts = answer.parts

    async def gather() -> str:
        return b"".join([part async for part in parts]).decode()

    return str(done(gather()))


@pytest.mark.slow
@pytest.mark.parametrize("role", [*Role])
def test_every_address_opens_for_its_roles_and_limits_and_content_on_record_alone(stage: Stage, role: Role) -> None:
    town = stage.town
    for limit in LIMITS:
        browser = visit(town, add(town, role, limit))
        sees = limit in OF_MESSAGE
        for place in stage.places:
            before = len(town.told("content-opened"))
            answer = browser.get(place.address)
            said = shows(browser, answer)
            may = role in place.roles and limit in place.limits
            case = (place.address, role, limit)
            wanted = {200} if may else {404, 422}
            assert answer.status in wanted, (*case, answer.status)
            assert may or sees or SECRET not in said, case
            assert len(town.told("content-opened")) - before == (place.opened if may else 0), case
        for name in ("/messages", "/messages.csv", "/messages.jsonl"):
            assert (SECRET in shows(browser, browser.get(name))) == sees, (name, role, limit)
        if role in EXCHANGE:
            browser.get("/replays")
            assert (stage.plan in browser.page) == (limit in OF_NO_UNIT), (role, limit)
            for name in ("/", "/events", "/partners"):
                known = limit in OF_NO_UNIT
                assert ("vpub" in browser.get(name).content.decode()) == known or limit not in EVERY_UNIT, (
                    name,
                    limit,
                )


def test_a_stranger_gets_nothing(stage: Stage) -> None:
    stranger = Browser(stage.town)
    for place in stage.places:
        assert stranger.get(place.address).status in ({401, 200} if place.address == "/" else {401})
        assert SECRET not in stranger.page


@pytest.mark.slow
@pytest.mark.parametrize("role", [*Role])
def test_every_form_is_taken_from_its_roles_and_limits_alone(stage: Stage, role: Role) -> None:
    town = stage.town
    for limit in LIMITS:
        browser = visit(town, add(town, role, limit))
        browser.get("/account")
        case, post = (role, limit), partial(send, browser, browser.proof)
        for place, kind in ((f"/declarations/{REPORT}", "declare"), (f"/signing/{REPORT}", "sign")):
            allowed = {422} if limit in OF_UNIT else {404}
            assert post(place, file=Octets.of(b"x")) in (allowed if role in SIGNING else {403}), (*case, kind)
        assert post("/signing/edoc/H55.13/2026-12.xml") in (
            {422} if role in SIGNING and limit in OF_UNIT else {403, 404}
        ), case
        rules = role is Role.ADMINISTRATOR and limit == "none"
        assert post("/users/first", do="unlock") == (303 if rules else 404), case
        assert post("/users/_new", name="x") == (422 if rules else 404), case
        assert post("/tokens", name="x") == (422 if rules else 404), case
        assert post("/tokens/x") == 404, case
        made = post("/replays", to="vpub", reason="x", again="1", key="1")
        reaches = limit not in {"foreign partner", "own unit, foreign partner"}
        assert made == ((303 if reaches else 422) if role in REPLAYING else 404), case
        for what in ("start", "pause", "resume", "approve", "cancel"):
            roles = {"approve": EXCHANGE - {Role.ENGINEER}, "cancel": EXCHANGE}.get(what, REPLAYING)
            found = post(f"/replays/{'0' * 36}", do=what)
            assert found == 404
            if limit not in OF_NO_UNIT or role not in roles:
                assert post(f"/replays/{stage.plan}", do=what) == 404, (*case, what)
    with transactions.read_transaction(town.engine) as tx:
        assert plan_rows.read_plan(tx, stage.plan).state == "planned"


def test_a_limited_plan_chooses_what_its_maker_sees(stage: Stage) -> None:
    town = stage.town
    foreign = town.take(9, "H55.01", "H55.13", "H55.13.1", partner="vpub")
    for limit, found in {"none": {"vpub", "sotttt"}, "own unit": {"vpub", "sotttt"}, "own partner": {"vpub"}}.items():
        browser = visit(town, add(town, Role.ENGINEER, limit))
        browser.get("/replays/new")
        place = browser.post("/replays", proof=browser.proof, state="accepted", reason="x", again="1").location
        assert place is not None
        with transactions.write_transaction(town.engine) as tx:
            plan = replay_plans.take_step(tx, place.rpartition("/")[2], ROUTES, town.now, approve_over=None)
        assert plan is not None
        with transactions.read_transaction(town.engine) as tx:
            items = list(plan_rows.iterate_items(tx, plan.id))
        assert {each.delivery.partner for each in items} == found, limit
        assert browser.get(place).status == 200
    assert foreign


def test_deliveries_and_attempts_of_foreign_partners_are_not_shown(town: Town) -> None:
    with transactions.write_transaction(town.engine) as tx:
        made = entry(document("H55.13", "H55.01", "H55.13.1"), 1, partner="any")
        messages.record_message(tx, made, ROUTES)
    try_to_deliver(town, (200, b"<taken/>"))
    town.add("ky", role=Role.ENGINEER, partners=("sotttt",))
    browser = visit(town, "ky")
    assert browser.get(f"/messages/{made.id}").status == 200
    assert "vpub" not in browser.page
    assert "H55.13.1" in browser.page
    assert not [link for link in browser.links() if "/attempts/" in link]
    browser.get("/messages.jsonl")
    rows = [json.loads(line) for line in shows(browser, browser.get("/messages.jsonl")).splitlines()]
    assert [[one["state"] for one in row["deliveries"]] for row in rows] == [["held"]]
    assert "delivered" not in shows(browser, browser.get("/messages?delivery=delivered")).partition("<tbody")[2]


def test_every_page_but_those_of_everybody_needs_a_permission() -> None:
    free = {page.address for page in PAGES if page.right is None and not page.public}
    assert free == {"/", "/account", "/sign-in", "/sign-out"}


def test_the_walk_visits_every_page(stage: Stage) -> None:
    visited = [tuple(filter(None, place.address.partition("?")[0].split("/"))) for place in stage.places]
    shown = [page for page in PAGES if page.method == "GET" and not page.public]
    missed = {page.address for page in shown if not any(page.match_path(path) is not None for path in visited)}
    assert missed == NOT_WALKED
