"""Signing in at an OpenID provider: who comes in, what binds it to one browser, and what a bad provider cannot do."""

import html
import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from joserfc.jwk import ECKey
from twisted.internet.defer import Deferred

from hub.config.values import ConsoleSettings
from hub.console.request import SESSION
from hub.console.sign_in import openid_client, openid_flow
from hub.console.sign_in.openid_sign_in import FLOW
from hub.operations.accounts import openid_metadata, provider_accounts, second_factor
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.provider_accounts import ProviderPerson
from hub.operations.accounts.users import list_users
from hub.operations.turns import WAITING
from hub.runtime.thread_pool import run_at_once
from hub.store import transactions
from tests.console_town import HOST, PASSWORD, Browser, Town
from tests.openid import ISSUER, PROVIDER, SsoSite
from tests.province import NOW

PLACE = "/sign-in/openid/sso"
PERSON = ProviderPerson(ISSUER, "sub", "9f1c")


class Visitor(Browser):
    """A browser that follows the page which leads on."""

    def begin(self, following: str = "/units", **said: Any) -> str:
        """Press the button; return the address at the provider."""
        self.get("/sign-in")
        self.post(PLACE, next=following, **said)
        return self.onward

    @property
    def onward(self) -> str:
        """Where the open page leads at once."""
        found = re.search(r'http-equiv="refresh" content="0; url=([^"]*)"', self.page)
        return html.unescape(found[1]) if found else ""


@pytest.fixture
def site(town: Town) -> SsoSite:
    town.settings = ConsoleSettings(url=f"https://{HOST}", providers={"sso": PROVIDER})
    town.add("an", "H55.13")
    bind(town)
    return SsoSite(town)


def bind(town: Town, name: str = "an", person: ProviderPerson = PERSON) -> bool:
    with transactions.write_transaction(town.engine) as tx:
        return provider_accounts.bind_person(tx, name, person, by="root", now=town.now)


def enter(town: Town, site: SsoSite, subject: str = "9f1c", following: str = "/units") -> Visitor:
    browser = Visitor(town)
    browser.get(f"{PLACE}?{site.sign_in(browser.begin(following), subject)}")
    return browser


def test_a_bound_person_signs_in_and_comes_to_the_page_that_was_asked_for(town, site):
    an = enter(town, site, following="/reports/edoc/H55.13/2026-12")
    assert an.onward == "/reports/edoc/H55.13/2026-12"
    assert FLOW not in an.cookies
    assert an.get(an.onward).status == 200
    assert [each["user"] for each in town.told("user-signed-in")] == ["an"]
    assert an.get("/account").status == 200
    assert "9f1c" in an.page
    assert PROVIDER.title in an.page
    assert site.asked == ["/.well-known/openid-configuration", "/token", "/jwks"]
    del an.cookies[SESSION]
    an.get(f"{PLACE}?{site.sign_in(an.begin(), '9f1c')}")
    assert an.onward == "/units"
    assert site.asked[3:] == ["/token"], "document and keys are kept"


def test_who_has_no_account_here_is_refused_with_code_subject_and_event(town, site):
    other = enter(town, site, "somebody", "/units?x=1")
    assert "no-account" in other.page
    assert "somebody" in other.page
    assert SESSION not in other.cookies
    (told,) = town.told("user-sign-in-failed")
    known = {name: told[name] for name in ("user", "address", "code", "issuer", "claim", "subject")}
    assert known == {
        "user": None,
        "address": "10.0.0.1",
        "code": "no-account",
        "issuer": ISSUER,
        "claim": "sub",
        "subject": "somebody",
    }
    with transactions.read_transaction(town.engine) as tx:
        assert [each.name for each in list_users(tx)] == ["an"], "none is made"
    assert other.post("/sign-in", name="an", password=PASSWORD, next="/units").status == 303, "the page has the form"


@pytest.mark.parametrize("flaw", ["no cookie", "other browser", "state", "provider", "late", "early", "twice"])
def test_an_answer_is_only_taken_from_the_browser_that_began(town, site, flaw):
    victim, attacker = Visitor(town), Visitor(town)
    answer = site.sign_in(attacker.begin(), "9f1c")
    began = attacker
    if flaw == "no cookie":
        began = victim
    elif flaw == "other browser":
        victim.begin()
        began = victim
    elif flaw == "state":
        answer = re.sub("state=.", "state=~", answer)
    elif flaw == "provider":
        other = attrs.evolve(PROVIDER, name="khac", issuer="https://khac.example")
        town.settings = attrs.evolve(town.settings, providers={"sso": PROVIDER, "khac": other})
        began = Visitor(town)
        began.cookies = attacker.cookies
    elif flaw == "late":
        town.wait(minutes=10, seconds=2)
    elif flaw == "early":
        town.wait(minutes=-1)
    elif flaw == "twice":
        assert began.get(f"{PLACE}?{answer}").status == 200
        del began.cookies[SESSION]
    place = "/sign-in/openid/khac" if flaw == "provider" else PLACE
    asked = len(site.asked)
    assert began.get(f"{place}?{answer}").status == 401
    assert "flow-unknown" in began.page
    assert SESSION not in began.cookies
    assert len(site.asked) == asked, "the provider is not asked"
    if flaw not in {"early", "late"}:
        assert began.post("/sign-in", name="an", password=PASSWORD).status == 303


def test_the_cookie_cannot_be_made_to_lead_elsewhere(town, site):
    for following in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        assert enter(town, site, following=following).onward == "/"
    an = Visitor(town)
    answer = site.sign_in(an.begin("/units"), "9f1c")
    word, begun, _ = an.cookies[FLOW].split(".")
    an.cookies[FLOW] = f"{word}.{begun}.{'Ly9ldmlsLmV4YW1wbGU'}"  # //evil.example
    assert an.get(f"{PLACE}?{answer}").status == 401
    assert enter(town, site, following="/" + "x" * 2000).onward == "/"


@pytest.mark.parametrize("begun", ["9" * 10, "9" * 12, "0", ""], ids=repr)
def test_a_cookie_that_its_browser_made_up_breaks_nothing(begun):
    flow = attrs.evolve(openid_flow.begin_flow("w" * 43, PROVIDER, "/", NOW), begun=int(begun or 1))
    cookie = flow.cookie.replace(f".{flow.begun}.", f".{begun}.")
    assert openid_flow.find_flow(cookie, PROVIDER, flow.state, NOW) is None


def test_a_sign_in_is_begun_by_a_form_of_the_page_at_the_own_address_only(town, site):
    an = Visitor(town)
    an.get("/sign-in")
    assert an.post(PLACE, proof="x").status == 403
    assert an.post(PLACE, origin="https://evil.example").status == 403
    assert an.get(PLACE).location == "/sign-in"
    assert an.get("/sign-in/openid/other").status == 404
    an.get("/sign-in")
    assert an.post("/sign-in/openid/other").status == 404
    an.get("/sign-in")
    assert an.post(PLACE, host="localhost:8444", origin="https://localhost:8444").status == 421
    assert f"https://{HOST}" in an.page
    town.settings = ConsoleSettings()
    assert Visitor(town).get(f"{PLACE}?state=x").status == 404
    assert site.asked == []


def test_the_session_is_of_a_new_word_and_an_old_one_is_not_taken_over(town, site):
    an = Visitor(town)
    an.cookies[SESSION] = planted = "P" * 43
    an.get(f"{PLACE}?{site.sign_in(an.begin(), '9f1c')}")
    assert an.cookies[SESSION] != planted
    other = Visitor(town)
    other.cookies[SESSION] = planted
    assert other.get("/account").status == 401


def test_a_token_that_is_not_for_this_sign_in_is_refused(town, site):
    wrong = ({"iss": "https://evil.example"}, {"aud": "other"}, {"nonce": "x"}, {"exp": 1}, {"iat": 1}, {"sub": ""})
    an = Visitor(town)
    for claims in wrong:
        site.claims = claims
        an.get(f"{PLACE}?{site.sign_in(an.begin(), '9f1c')}")
        assert "token-refused" in an.page, claims
        assert SESSION not in an.cookies
    told = [(each["code"], each["issuer"]) for each in town.told("user-sign-in-failed")]
    assert told == [("token-refused", ISSUER)] * len(wrong)


def test_the_nonce_of_another_sign_in_is_refused(town, site):
    thief, an = Visitor(town), Visitor(town)
    stolen = site.sign_in(thief.begin(), "9f1c")
    own = site.sign_in(an.begin(), "somebody")
    # a code of another sign-in is of another verifier and nonce
    an.get(f"{PLACE}?code={parse_qs(stolen)['code'][0]}&state={parse_qs(own)['state'][0]}")
    assert "provider-refused" in an.page
    assert SESSION not in an.cookies


REFUSED = {
    "error=access_denied": "access_denied",
    "error=<b>x</b>": "unknown_error",
    "code=x&iss=https://evil.example": "another_issuer",
    "x=y": "no_code",
    f"code={'x' * 2049}": "no_code",
    "code=unknown": "provider-refused",
}


def test_what_the_provider_refuses_is_said_and_recorded(town, site):
    an = Visitor(town)
    for query, said in REFUSED.items():
        state = parse_qs(urlsplit(an.begin()).query)["state"][0]
        assert an.get(f"{PLACE}?{query}&state={state}").status == 401
        assert said in an.page
        assert "<b>" not in an.page
    assert {each["code"] for each in town.told("user-sign-in-failed")} == {"provider-refused"}


def test_where_the_provider_names_itself_in_each_answer_one_without_it_is_refused(town, site):
    site.metadata["authorization_response_iss_parameter_supported"] = True
    an = Visitor(town)
    answer = site.sign_in(an.begin(), "9f1c")
    assert an.get(f"{PLACE}?{answer}").status == 401
    an = Visitor(town)
    an.get(f"{PLACE}?{site.sign_in(an.begin(), '9f1c')}&iss={ISSUER}")
    assert an.onward == "/units"


def test_a_provider_that_is_down_leaves_the_other_ways_and_is_not_asked_at_once_again(town, site):
    site.down = True
    an = Visitor(town)
    assert an.begin() == ""
    assert "provider-down" in an.page
    assert len(site.asked) == 1
    assert an.post(PLACE, next="/units").status == 503
    assert len(site.asked) == 1, "within ten seconds it is not asked"
    assert an.get("/sign-in").status == 200
    assert "vừa rồi không trả lời" in an.page
    assert an.post("/sign-in", name="an", password=PASSWORD, next="/units").status == 303
    town.wait(seconds=11)
    site.down = False
    assert an.post(PLACE, next="/units").status == 403, "a form of the page before signing in"
    assert enter(town, site).onward == "/units"


def test_a_provider_that_fails_on_the_way_counts_as_no_failed_attempt(town, site):
    an = Visitor(town)
    for path in ["/token"] * 16 + ["/jwks"] * 16:
        site.status = {path: 503}
        an.get(f"{PLACE}?{site.sign_in(an.begin(), '9f1c')}")
        assert "provider-down" in an.page
        town.wait(seconds=11)
    site.status.clear()
    assert enter(town, site).onward == "/units"
    assert town.told("user-sign-in-failed") == []


def test_failed_sign_ins_of_an_address_are_slowed_down(town, site):
    an = Visitor(town)
    for _ in range(31):
        state = parse_qs(urlsplit(an.begin()).query)["state"][0]
        assert an.get(f"{PLACE}?code=guess&state={state}").status == 401
    answer = site.sign_in(an.begin(), "9f1c")
    found = an.get(f"{PLACE}?{answer}")
    assert (found.status, found.retry_after) == (429, 2)
    assert len(town.told("user-sign-in-failed")) == 31
    town.wait(seconds=2)
    an.get(f"{PLACE}?{site.sign_in(an.begin(), '9f1c')}")
    assert an.onward == "/units"


def test_new_keys_are_read_when_a_token_has_one_and_at_most_once_a_minute(town, site):
    node = town.pages()

    def enter_again() -> Visitor:
        browser = Visitor(town)
        browser.pages = node
        browser.get(f"{PLACE}?{site.sign_in(browser.begin(), '9f1c')}")
        return browser

    enter_again()
    site.key, site.kid = ECKey.generate_key("P-256"), "2"
    assert "token-refused" in enter_again().page, "they were read less than a minute ago"
    town.wait(minutes=1)
    assert enter_again().onward == "/units"
    assert site.asked.count("/jwks") == 2
    site.kid = "3"
    for _ in range(5):
        town.wait(seconds=15)
        enter_again()
    assert site.asked.count("/jwks") == 3
    town.wait(hours=1)
    enter_again()
    assert site.asked.count("/.well-known/openid-configuration") == 2


def test_codes_are_asked_for_behind_it_unless_the_provider_asks_for_them(town, site):
    with transactions.write_transaction(town.engine) as tx:
        assert second_factor.enrol_user(tx, "an", "A" * 32, by="root", now=town.now)
    an = enter(town, site)
    assert an.onward == "/sign-in/code?next=%2Funits"
    assert SESSION not in an.cookies
    assert an.get(an.onward).status == 200
    trusted = attrs.evolve(PROVIDER, codes=False)
    town.settings = attrs.evolve(town.settings, providers={"sso": trusted})
    assert enter(town, site).onward == "/units"


@pytest.mark.parametrize("codes", [True, False])
def test_an_administrator_who_needs_codes_and_has_none_does_not_come_in(town, site, codes):
    provider = attrs.evolve(PROVIDER, codes=codes)
    town.settings = attrs.evolve(town.settings, administrators_need_codes=True, providers={"sso": provider})
    town.add("root", role=Role.ADMINISTRATOR)
    assert bind(town, "root", ProviderPerson(ISSUER, "sub", "r"))
    root = enter(town, site, "r")
    assert SESSION not in root.cookies
    assert root.onward == ""


def test_a_person_is_one_user_is_unbound_and_goes_with_the_user(town, site):
    town.add("binh", "H55.01")
    assert not bind(town, "binh"), "it is another one's"
    assert not bind(town, "nobody")
    assert bind(town), "again"
    an = enter(town, site)
    with transactions.write_transaction(town.engine) as tx:
        assert provider_accounts.list_persons(tx) == {"an": [PERSON]}
        assert not provider_accounts.unbind_person(tx, "binh", ISSUER, "9f1c", by="root", now=town.now)
        assert provider_accounts.unbind_person(tx, "an", ISSUER, "9f1c", by="root", now=town.now)
    assert an.get("/account").status == 401, "the sessions have ended"
    assert "no-account" in enter(town, site).page
    told = [each["event"] for each in town.told("user-identity-added", "user-identity-removed")]
    assert told == ["user-identity-added", "user-identity-removed"]


def test_the_same_text_of_another_claim_or_issuer_is_another_person(town, site):
    assert bind(town, person=ProviderPerson(ISSUER, "email", "x"))
    assert bind(town, person=ProviderPerson("https://other.example", "sub", "y"))
    assert "no-account" in enter(town, site, "x").page
    assert "no-account" in enter(town, site, "y").page
    town.settings = attrs.evolve(town.settings, providers={"sso": attrs.evolve(PROVIDER, claim="email")})
    site.claims = {"email": "x"}
    assert enter(town, site, "z").onward == "/units"


def test_signing_out_ends_the_session_and_leads_to_the_provider(town, site):
    an = enter(town, site)
    an.get("/account")
    an.post("/sign-out")
    address = urlsplit(an.onward)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{ISSUER}/end"
    query = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert query == {"client_id": "lienthong", "post_logout_redirect_uri": f"https://{HOST}/sign-in"}
    assert an.cookies.keys() <= {"__Host-lienthong-begin"}
    assert an.get("/account").status == 401
    an = enter(town, site)
    del an.cookies[SESSION]  # it has ended
    an.sign_in("an")
    an.get("/account")
    assert an.post("/sign-out").location == "/", "a session by password"
    del site.metadata["end_session_endpoint"]
    an = enter(town, site)
    an.get("/account")
    assert an.post("/sign-out").location == "/"


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://evil.example"},
        {"issuer": f"{ISSUER}/"},
        {"token_endpoint": "http://sso.tinh.gov.vn/token"},
        {"token_endpoint": "https://sso.tinh.gov.vn:444/token"},
        {"token_endpoint": "https://169.254.169.254/token"},
        {"token_endpoint": "https://sso.tinh.gov.vn@evil.example/token"},
        {"token_endpoint": None},
        {"jwks_uri": "https://evil.example/jwks"},
        {"jwks_uri": ["https://sso.tinh.gov.vn/jwks"]},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://sso.tinh.gov.vn/auth#x"},
        {"end_session_endpoint": "https://evil.example/"},
        {"response_types_supported": ["id_token"]},
        {"id_token_signing_alg_values_supported": ["HS256", "none"]},
        {"code_challenge_methods_supported": ["plain"]},
        {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
    ],
    ids=str,
)
def test_a_discovery_document_that_leads_elsewhere_is_not_used(change):
    right = SsoSite.write_metadata()
    assert openid_metadata.read_metadata(json.dumps(right).encode(), PROVIDER).token == f"{ISSUER}/token"
    with pytest.raises(openid_metadata.ProviderDown):
        openid_metadata.read_metadata(json.dumps(right | change).encode(), PROVIDER)


def test_a_host_that_the_operator_names_is_used_too():
    provider = attrs.evolve(PROVIDER, hosts=("keys.example:8443", "token.example"))
    for url in ("https://token.example/t", "https://token.example:443/t", "https://keys.example:8443/", ISSUER):
        assert provider.allows(url)
    for url in ("https://keys.example/", "https://token.example.evil.example/", "https://token.example:x/", "https://"):
        assert not provider.allows(url)


@pytest.mark.parametrize("age", [timedelta(hours=8), None])
def test_the_age_of_the_sign_in_at_the_provider_is_asked_for_and_checked(town, site, age):
    town.settings = attrs.evolve(town.settings, providers={"sso": attrs.evolve(PROVIDER, max_age=age)})
    query = parse_qs(urlsplit(Visitor(town).begin()).query)
    assert query.get("max_age") == (None if age is None else ["28800"])
    site.claims = {"auth_time": int(town.now.timestamp()) - 30_000}
    assert ("token-refused" in enter(town, site).page) == (age is not None)


def test_what_the_browser_learns_reveals_neither_verifier_nor_word(town, site):
    an = Visitor(town)
    address = an.begin()
    word = an.cookies[FLOW].partition(".")[0]
    flow = openid_flow.begin_flow(word, PROVIDER, "/units", town.now)
    assert flow.state in address
    assert flow.verifier not in address
    assert word not in address
    assert len({flow.state, flow.nonce, flow.verifier, word}) == 4
    assert len(flow.verifier) == 43, "as RFC 7636 says"
    assert "bí mật" not in an.page


def test_too_many_sign_ins_at_a_time_are_refused():
    silent: Deferred[Any] = Deferred()
    client = openid_client.OpenIdClient(PROVIDER, lambda *_: silent, run_at_once, lambda: NOW)
    ends: list[Any] = []
    for _ in range(openid_client.ASKING + WAITING + 1):
        _ = Deferred.fromCoroutine(client.find_metadata()).addBoth(ends.append)
    assert [each.value.status for each in ends] == [503], "the others wait"
    silent.errback(ConnectionError("refused"))
    assert len(ends) == openid_client.ASKING + WAITING + 1
    assert all(each.check(openid_metadata.ProviderDown) for each in ends[1:])
