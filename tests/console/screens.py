"""The table of the console's screens: every address in each state in which a person may find it.

A new address needs a line here: `test_console_screens.py` finds the addresses in the code, and fails on one without.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import count
from typing import Any

import attrs

from hub.formats.spool import Octets
from hub.report.counting.counting import count_report
from hub.report.form.folder import read_form_folder
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.report.output.outputs import write_json_report
from hub.security.certificates import hash_certificate
from hub.web.answers import ConsoleResponse
from tests.conftest import ROOT
from tests.console.screen_town import ENDED, RUNNING, TRACKING, ScreenTown
from tests.console_town import Browser, Town
from tests.pki import authority, pem
from tests.province import NOW
from tests.report.laid_out import Rows, as_xls, lay_out
from tests.report.workbooks import find_layout


class Hub(StrEnum):
    """The hub of a screen."""

    WORKS = "works"
    IDLE = "idle"  #: nothing has happened in it
    NEW = "new"  #: it has no account yet


_MONTH = parse_period(ENDED)
#: A JSON report of another hub.
SOUND = write_json_report(
    count_report(choose_form(read_form_folder(), "edoc", _MONTH), [], _MONTH, _MONTH.end, ["H99"]), {}
)

#: Rows of a workbook with a mistake of each kind.
UNFIT: Rows = [(1, "H55.13", {"received": "ba"}), (2, "Sở Lạ", {"received": 2}), (3, "", {"settled": 1.5})]

#: What a screen is opened with, beside its address.
Form = dict[str, Any]


@attrs.frozen(kw_only=True)
class Screen:
    """One screen in one state."""

    name: str  #: of the screen and the state; a picture of it has this name
    address: str
    person: str = "minh"  #: who is signed in; empty: nobody
    before: str = ""  #: the page whose form is sent; then the screen is what comes of it
    form: Form | None = None  #: what is typed into that form; `{number}` in it is a new number each time
    status: int = 200
    hub: Hub = Hub.WORKS
    pictured: bool = False  #: whether the documentation shows it


def list_screens(made: ScreenTown) -> Iterator[Screen]:
    """Return all screens over the hub *made*."""
    yield from _sign_in()
    yield from _reports(made)
    yield from _messages(made)
    yield from _replays(made)
    yield from _partners(made)
    yield from _trust(made)
    yield from _what_if(made)
    yield from _people()
    yield from _others()


def _sign_in() -> Iterator[Screen]:
    at = "/sign-in"
    yield Screen(name="sign-in", address="/", person="", pictured=True)
    yield Screen(name="sign-in-wanted", address=f"/reports/edoc/H55/{ENDED}", person="", status=401)
    yield Screen(name="sign-in-first", address="/", person="", hub=Hub.NEW)
    wrong: Form = {"name": "lan", "password": "not it", "next": "/"}
    yield Screen(name="sign-in-wrong", address=at, person="", before="/", form=wrong, status=401)
    shown: Form = {"next": "/"}
    yield Screen(
        name="sign-in-certificate-missing", address=f"{at}/certificate", person="", before="/", form=shown, status=401
    )
    yield Screen(name="sign-in-elsewhere", address=f"{at}/openid/sso", person="", before="/", form=shown)
    yield Screen(name="sign-in-elsewhere-refused", address=f"{at}/openid/sso?state=x&code=y", person="", status=401)
    yield Screen(name="sign-in-code", address=f"{at}/code", person="tuan", pictured=True)
    code: Form = {"code": "000000", "next": "/"}
    yield Screen(
        name="sign-in-code-wrong", address=f"{at}/code", person="tuan", before=f"{at}/code", form=code, status=401
    )
    yield Screen(name="account", address="/account", person="lan", pictured=True)
    new: Form = {"old": "x", "new": "short", "again": "short"}
    yield Screen(name="account-wrong", address="/account", person="lan", before="/account", form=new, status=400)


def _reports(made: ScreenTown) -> Iterator[Screen]:
    yield Screen(name="units-waiting", address="/", person="lan", pictured=True)
    yield Screen(name="units", address="/units")
    yield Screen(name="units-one", address="/units?q=so+khcn", person="quang")
    yield Screen(name="units-none", address="/units?q=nothing", person="quang")
    place = f"/reports/edoc/H55/{ENDED}"
    yield Screen(name="report", address=f"{place}?charts=1", pictured=True)
    yield Screen(name="report-running", address=f"/reports/edoc/H55.13/{RUNNING}?charts=1", person="quang")
    yield Screen(name="report-signed", address=f"/reports/edoc/H55.13/{ENDED}", person="lan")
    yield Screen(name="report-no-charts", address=f"/reports/edoc/H55.83/{ENDED}?charts=1")
    yield Screen(name="report-empty", address=f"/reports/edoc/H55/{ENDED}?charts=1", hub=Hub.IDLE)
    yield Screen(name="report-sections", address=f"/reports/ii06a/H55/{ENDED}?rows=unit")
    yield Screen(name="report-principals", address=f"/reports/ii06a/H55/{ENDED}")
    yield Screen(name="report-row-opened", address=f"/reports/ii06a/H55/{ENDED}?open=H55.13")
    yield Screen(name="facts-row-opened", address=f"/reports/ii06a/H55/{ENDED}/settled?open=H55.13")
    yield Screen(name="report-points", address=f"/reports/nd335/H55.13/{ENDED}")
    yield Screen(name="facts-declared", address=f"/reports/nd335/H55.13/{ENDED}/general?unit=H55.13")
    yield Screen(name="report-fields", address=f"/reports/ii06a/H55.41/{ENDED}")
    yield Screen(name="report-units-and-fields", address=f"/reports/ii06a/H55.13/{ENDED}", person="quang")
    yield Screen(name="facts-field", address=f"/reports/ii06a/H55.13/{ENDED}/settled?unit=H55.13.1&row=HTX")
    yield Screen(name="glance", address=f"/glance/edoc/{ENDED}?by=sent")
    yield Screen(name="glance-nothing", address="/glance", hub=Hub.IDLE)
    yield Screen(name="glance-running", address=f"/glance/edoc/{RUNNING}?class=communes", person="quang")
    yield Screen(name="glance-share", address=f"/glance/ii06a/{ENDED}?under=H55.13")
    yield Screen(name="glance-none", address=f"/glance/edoc/{ENDED}?under=H55.83")
    yield Screen(name="glance-unit", address=f"/glance/edoc/{ENDED}/H55.13?by=sent")
    yield Screen(name="glance-unit-alone", address=f"/glance/ii06a/{ENDED}/H55")
    yield Screen(name="report-wide", address=f"/reports/tonghop/H55/{ENDED}?charts=1")
    yield Screen(name="facts", address=f"{place}/sent", pictured=True)
    yield Screen(name="facts-one", address=f"{place}/sent?unit=H55.13.1")
    yield Screen(name="facts-none", address=f"{place}/sent?unit=H55.83")
    told = "/declarations/edoc/H55.12"
    yield Screen(name="declaration", address=f"{told}/{ENDED}", person="lan", pictured=True)
    yield Screen(name="declaration-none", address=f"{told}/{RUNNING}", person="lan")
    yield Screen(name="declaration-reader", address=f"{told}/{ENDED}")
    bad: Form = {"file": Octets.of(b"PK no workbook")}
    there = f"{told}/{RUNNING}"
    yield Screen(name="declaration-refused", address=there, person="lan", before=there, form=bad, status=422)
    many, lost = f"/declarations/ii06a/H55.13/{ENDED}", lay_out(find_layout("ii06a"), UNFIT, top=())
    bad_rows: Form = {"file": Octets.of(as_xls(lost)), "each": "1"}
    yield Screen(name="declaration-many", address=many, person="lan", before=many, form=bad_rows, status=422)
    yield Screen(name="validator", address="/validate")
    right: Form = {"file": Octets.of(SOUND.encode())}
    yield Screen(name="validator-holds", address="/validate", before="/validate", form=right)
    altered: Form = {"file": Octets.of(SOUND.replace('"sent": 0', '"sent": 1', 1).encode())}
    yield Screen(name="validator-broken", address="/validate", before="/validate", form=altered)
    yield Screen(name="validator-refused", address="/validate", before="/validate", form=bad, status=422)
    sign = "/signing/edoc"
    yield Screen(name="signing", address=f"{sign}/H55.14/{ENDED}", person="lan", pictured=True)
    yield Screen(name="signing-ready", address=f"{sign}/H55.81/{ENDED}", person="lan")
    yield Screen(name="signing-signed", address=f"{sign}/H55.13/{ENDED}", person="lan")
    yield Screen(name="signing-running", address=f"{sign}/H55.14/{RUNNING}", person="lan")
    yield Screen(name="signing-reader", address=f"{sign}/H55.13/{ENDED}", person="quang")
    there = f"{sign}/H55.14/{ENDED}"
    unsigned: Form = {"file": Octets.of(b"<a/>")}
    yield Screen(name="signing-refused", address=there, person="lan", before=there, form=unsigned, status=422)
    yield from _rounds()


def _rounds() -> Iterator[Screen]:
    there = f"/month/edoc/{ENDED}"
    yield Screen(name="round", address=there)
    yield Screen(name="round-clerk", address=f"{there}?step=ready", person="lan")
    yield Screen(name="round-running", address=f"/month/edoc/{RUNNING}", person="quang")
    yield Screen(name="round-none", address=f"{there}?below=none")
    wrong: Form = {"file": Octets.of(b"<a/>")}
    yield Screen(name="round-refused", address=there, person="lan", before=there, form=wrong, status=422)


def _messages(made: ScreenTown) -> Iterator[Screen]:
    ids = made.ids
    yield Screen(name="messages", address="/messages", pictured=True)
    yield Screen(name="messages-found", address="/messages?q=chu+ky+so&state=accepted&partner=sotttt", person="quang")
    yield Screen(name="messages-refused", address="/messages?state=refused")
    yield Screen(name="messages-calls", address="/messages?state=call")
    yield Screen(name="messages-none", address="/messages", hub=Hub.IDLE)
    yield Screen(name="messages-wrong", address="/messages?partner=nobody&unit=none&since=x", status=422)
    message, refused = f"/messages/{ids['message']}", f"/messages/{ids['refused']}"
    yield Screen(name="message", address=message, pictured=True)
    yield Screen(name="message-reader", address=message, person="quang")
    yield Screen(name="message-dead", address=f"/messages/{ids['dead']}")
    yield Screen(name="message-refused", address=refused, pictured=True)
    yield Screen(name="message-mistakes", address=f"/messages/{ids['mistakes']}", pictured=True)
    yield Screen(name="message-corrected", address=f"/messages/{ids['corrected']}")
    yield Screen(name="message-report", address=f"/messages/{ids['report']}")
    yield Screen(name="call-refused", address=f"/messages/{TRACKING}", pictured=True)
    yield Screen(name="packet", address=f"{message}/packet", pictured=True)
    yield Screen(name="packet-findings", address=f"{refused}/packet")
    yield Screen(name="packet-broken", address=f"/messages/{ids['broken']}/packet")
    first, last = made.list_attempts(ids["message"])
    yield Screen(name="attempt", address=f"{message}/attempts/{first}", pictured=True)
    yield Screen(name="attempts-compared", address=f"{message}/attempts/{first}/compare/{last}", pictured=True)
    yield Screen(name="packets-compared", address=f"{message}/compare/{ids['dead']}")
    yield Screen(name="packets-equal", address=f"{message}/compare/{ids['message']}")
    yield Screen(name="packets-incomparable", address=f"{message}/compare/{ids['broken']}")
    yield Screen(name="late", address="/late")
    yield Screen(name="late-unit", address="/late?unit=H55.41&days=60")
    yield Screen(name="item", address=made.find_item(ids["message"]))
    yield Screen(name="item-none", address="/item?unit=H55.13&service=work&key=x", status=404)
    yield Screen(name="late-none", address="/late", hub=Hub.IDLE)
    yield Screen(name="late-wrong", address="/late?state=x&days=x", status=422)
    yield Screen(name="failures", address="/failures", pictured=True)
    yield Screen(name="failures-none", address="/failures", hub=Hub.IDLE)
    yield Screen(name="failures-wrong", address="/failures?partner=nobody&since=x", status=422)
    yield Screen(name="events", address="/events?until=24/11/2026+14:59", pictured=True)
    yield Screen(name="events-all", address="/events")
    yield Screen(name="events-none", address="/events?kind=breaker-opened&partner=sotttt")
    yield Screen(name="events-wrong", address="/events?partner=vpub&since=yesterday", status=422)


def _replays(made: ScreenTown) -> Iterator[Screen]:
    ids = made.ids
    yield Screen(name="replays", address="/replays", pictured=True)
    yield Screen(name="replays-none", address="/replays", hub=Hub.IDLE)
    yield Screen(name="replay-new", address="/replays/new?partner=sotttt&since=23/11/2026", pictured=True)
    new: Form = {"to": "vpub", "reason": "", "rate": "many", "key": "k"}
    yield Screen(name="replay-new-wrong", address="/replays", before="/replays/new", form=new, status=422)
    for state in ("planning", "planned", "running", "paused", "cancelled", "finished", "awaiting"):
        yield Screen(name=f"replay-{state}", address=f"/replays/{ids[state]}", pictured=state == "running")
    yield Screen(name="replay-approver", address=f"/replays/{ids['awaiting']}", person="hanh")
    place = f"/replays/{ids['cancelled']}"
    late: Form = {"do": "resume"}
    yield Screen(name="replay-moved", address=place, before=f"/replays/{ids['running']}", form=late, status=409)
    yield Screen(name="replay-correction", address=f"/replays/{ids['correction']}")
    yield Screen(name="correction-compared", address=f"/replays/{ids['correction']}/compare", pictured=True)
    correct = f"/replays/correct/{ids['refused']}"
    yield Screen(name="correct", address=correct, pictured=True)
    typed: Form = {"packet": Octets.of(b"<edXML>"), "reason": "sai", "key": "c"}
    yield Screen(name="correct-wrong", address=correct, before=correct, form=typed, status=422)
    yield Screen(name="correct-corrected", address=f"/replays/correct/{ids['corrected']}")


def _partners(made: ScreenTown) -> Iterator[Screen]:
    place, settings = "/partners/soyte", "/partners/soyte/settings"
    yield Screen(name="overview", address="/", pictured=True)
    yield Screen(name="overview-none", address="/", hub=Hub.IDLE)
    yield Screen(name="partners", address="/partners", pictured=True)
    yield Screen(name="partners-none", address="/partners", hub=Hub.IDLE)
    yield Screen(name="partner", address=place, pictured=True)
    yield Screen(name="partner-done", address=f"{place}?done=1")
    yield Screen(name="partner-engineer", address="/partners/vpub", person="thao")
    yield Screen(name="partner-test", address="/partners/vpub/test", before="/partners/vpub", form={}, pictured=True)
    yield Screen(name="partner-settings", address=settings, pictured=True)
    form = made.read_form(settings)
    changed = form | {"policy.timeout": "9s", "units": "H55.81, H55.83"}
    yield Screen(name="partner-plan", address=settings, before=settings, form=changed, pictured=True)
    unsaid: Form = changed | {"do": "apply", "reason": ""}
    yield Screen(name="partner-plan-no-reason", address=settings, before=settings, form=unsaid, status=422)
    wrong: Form = form | {"policy.timeout": "soon", "units": "H55.13"}
    yield Screen(name="partner-settings-wrong", address=settings, before=settings, form=wrong, status=422)
    stale: Form = changed | {"seen": "0" * 64}
    yield Screen(name="partner-settings-stale", address=settings, before=settings, form=stale, status=409)
    more = f"{place}/certificates"
    foreign = pem(authority("Another CA", NOW).issue("another").certificate).decode()
    yield Screen(
        name="partner-certificate-refused", address=more, before=place, form=form | {"pem": foreign}, status=422
    )
    known = hash_certificate(made.office.live.config.partners["soyte"].certificates[0])
    yield Screen(name="partner-last-certificate", address=more, before=place, form=form | {"remove": known})
    yield Screen(name="partner-removal", address=f"{place}/removal", before=place, form=form)
    new: Form = {"code": "motcua", "name": "Một cửa", "units": "H55.84", "policy.transport": "tls"}
    yield Screen(name="partner-new", address="/partners?add=1", pictured=True)
    yield Screen(
        name="partner-new-wrong", address="/partners", before="/partners?add=1", form={"code": "motcua"}, status=422
    )
    yield Screen(name="partner-new-plan", address="/partners", before="/partners?add=1", form=new)
    yield Screen(name="partner-added", address=f"{place}?done=added")
    yield Screen(name="integration", address="/integration/vpub", pictured=True)
    yield Screen(name="integration-fetching", address="/integration/soyte")
    yield Screen(name="readiness", address="/readiness", pictured=True)
    yield Screen(name="alerts", address="/alerts", pictured=True)
    yield Screen(name="backups", address="/backups", pictured=True)
    yield Screen(name="backups-none", address="/backups", hub=Hub.IDLE)
    yield Screen(name="retention", address="/retention", pictured=True)
    yield Screen(name="retention-none", address="/retention", hub=Hub.IDLE)
    yield Screen(name="upgrades", address="/upgrades")
    yield Screen(name="upgrades-none", address="/upgrades", hub=Hub.IDLE)


def _trust(made: ScreenTown) -> Iterator[Screen]:
    form: Form = made.read_form("/trust")
    another = authority("Another CA", NOW)
    yield Screen(name="trust", address="/trust", pictured=True)
    yield Screen(name="trust-done", address="/trust?done=added")
    plan: Form = {**form, "packet": Octets.of(pem(another.certificate)), "crl_urls": "http://ca.example/1.crl"}
    yield Screen(name="trust-plan", address="/trust", before="/trust", form=plan)
    unsaid: Form = {**plan, "do": "apply", "reason": ""}
    yield Screen(name="trust-plan-no-reason", address="/trust", before="/trust", form=unsaid, status=422)
    unfit: Form = {**form, "packet": Octets.of(pem(another.issue("x").certificate))}
    yield Screen(name="trust-wrong", address="/trust", before="/trust", form=unfit, status=422)
    own = hash_certificate(made.office.live.config.authorities[0])
    yield Screen(name="trust-needed", address=f"/trust/{own}", before="/trust", form=form, status=422)


def _what_if(made: ScreenTown) -> Iterator[Screen]:
    at = "/what-if"
    yield Screen(name="what-if", address=at, person="thao")
    yield Screen(name="what-if-tried", address=f"{at}?q=15/SNV")
    yield Screen(name="what-if-wrong", address=at, before=at, form={"tries": "rules"}, status=422)
    yield Screen(name="trial", address=f"{at}/{made.ids['trial']}", pictured=True)
    yield Screen(name="trial-running", address=f"{at}/{made.ids['trial-runs']}")
    yield Screen(name="trial-failed", address=f"{at}/{made.ids['trial-failed']}")
    form = (ROOT / "hub/report/forms/edoc.toml").read_text("utf-8")
    report: Form = {"tries": "form", "period": ENDED, "file": Octets.of(form.encode())}
    yield Screen(name="what-if-form-same", address=at, before=at, form=report)
    other = form.replace('where = { signature = "valid" }', 'where = { signature = "unsigned" }')
    report = {"tries": "form", "period": ENDED, "file": Octets.of(other.encode())}
    yield Screen(name="what-if-form", address=at, before=at, form=report)


def _people() -> Iterator[Screen]:
    at = "/users"
    yield Screen(name="accounts", address=at, pictured=True)
    yield Screen(name="accounts-none", address=f"{at}?q=nobody&role=viewer&state=locked")
    yield Screen(name="account-new", address=f"{at}/_new")
    new: Form = {"name": "hoa{number}", "role": "clerk", "units": "H55.32", "partners": "*"}
    yield Screen(name="account-made", address=f"{at}/_new", before=f"{at}/_new", form=new)
    yield Screen(
        name="account-new-taken", address=f"{at}/_new", before=f"{at}/_new", form=new | {"name": "lan"}, status=409
    )
    yield Screen(name="account-new-wrong", address=f"{at}/_new", before=f"{at}/_new", form={"name": "hoa"}, status=422)
    yield Screen(name="account-of", address=f"{at}/lan", pictured=True)
    yield Screen(name="account-own", address=f"{at}/minh")
    yield Screen(name="account-with-codes", address=f"{at}/tuan?done=change")
    spare = f"{at}/hoang"
    for act, status in (("set-password", 200), ("set-codes", 200), ("add-certificate", 422), ("remove", 422)):
        yield Screen(name=f"account-{act}", address=spare, before=spare, form={"do": act}, status=status)
    token: Form = {"name": "theo-doi-{number}", "scope.find-messages": "1", "units": "*", "partners": "*", "days": "30"}
    token |= {"owner": "minh"}
    yield Screen(name="token-made", address="/tokens", before="/tokens", form=token)
    yield Screen(name="tokens", address="/tokens", pictured=True)
    yield Screen(name="token-wrong", address="/tokens", before="/tokens", form=token | {"days": "0"}, status=422)
    yield Screen(name="tokens-removed", address="/tokens?removed=theo-doi")
    yield Screen(name="token-absent", address="/tokens/nobody", before="/tokens", form={}, status=404)
    yield Screen(name="account-locked", address=f"{at}/hoang?done=lock")


def _others() -> Iterator[Screen]:
    yield Screen(name="help", address="/help", person="", pictured=True)
    yield Screen(name="help-page", address="/help/reference/errors", person="")
    yield Screen(name="absent", address="/partners", person="quang", status=404)
    unproven: Form = {"proof": "", "reason": "x"}
    yield Screen(name="unproven", address="/replays", before="/replays/new", form=unproven, status=403)
    barred: Form = {"file": Octets.of(b"x")}
    there = f"/signing/edoc/H55.13/{ENDED}"
    yield Screen(name="barred", address=there, person="quang", before="/account", form=barred, status=403)


class ScreenVisitor:
    """Opens screens, as a person at a browser does."""

    def __init__(self, towns: Mapping[Hub, Town]) -> None:
        self._towns = towns
        self._browsers: dict[tuple[str, Hub], Browser] = {}
        self._numbers = count(1)
        self.rendered: set[str] = set()  #: names of the templates that were used

    def open(self, screen: Screen, language: str) -> ConsoleResponse:
        """Return the page of *screen* in *language*."""
        browser = self._enter(screen)
        browser.languages = language
        if screen.form is None:
            return browser.get(screen.address)
        browser.get(screen.before)
        number = str(next(self._numbers))
        typed = {
            name: value.replace("{number}", number) if isinstance(value, str) else value
            for name, value in screen.form.items()
        }
        return browser.post(screen.address, **typed)

    def _enter(self, screen: Screen) -> Browser:
        named = screen.person, screen.hub
        if named not in self._browsers:
            browser = Browser(self._towns[screen.hub], f"10.20.0.{20 + len(self._browsers)}")
            if screen.person:
                assert browser.sign_in(screen.person).status == 303
            self._browsers[named] = browser
        return self._browsers[named]
