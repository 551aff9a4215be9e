"""A real hub and a real OpenID provider (npm's `oidc-provider`): a plain HTTP client and Chromium sign in through it."""

import html
import http.cookiejar
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.browsing import chromium, judge, window
from tests.interop.building import install_node_packages
from tests.interop.toolkits import Program
from tests.pki import authority, pem
from tests.ports import find_free_ports
from tests.process.test_console_port import PASSWORD, Caller
from tests.running import PATIENCE, RunningHub

pytestmark = pytest.mark.slow

SECRET = "s:e/c r+e%t" * 4


@attrs.frozen
class ProviderSite:
    """The running provider."""

    issuer: str
    trusting: ssl.SSLContext
    hub: RunningHub  #: knows it, and runs


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderSite]:
    """A provider and a hub that knows it, for all tests of the file."""
    place, tmp_path = install_node_packages(), tmp_path_factory.mktemp("sso")
    hub = RunningHub(tmp_path / "hub")
    (port,) = find_free_ports(1)
    ca = authority("SSO CA", datetime.now(UTC))
    server = ca.issue("localhost", label="sso")
    (tmp_path / "sso.key").write_bytes(server.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "sso.crt").write_bytes(pem(server.certificate))
    (hub.home / "sso-ca.crt").write_bytes(pem(ca.certificate))
    (hub.home / "sso.secret").write_text(f"{SECRET}\n")
    (hub.home / "sso.secret").chmod(0o600)
    issuer = f"https://localhost:{port}"
    with (hub.home / "hub.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'\n[console]\nurl = "{hub.admin}"\n[console.providers.sso]\ntitle = "Cổng SSO tỉnh"\nissuer = "{issuer}"\n'
            'client-id = "lienthong"\nclient-secret-file = "sso.secret"\nca = "sso-ca.crt"\n'
        )
    words = ("node", place / "openid_provider.mjs", port, tmp_path / "sso.key", tmp_path / "sso.crt", hub.admin, SECRET)
    (hub.home / "word").write_text(f"{PASSWORD}\n", "utf-8")
    hub.cli("users", "add", "an", "--role", "operator", "--password-file", hub.home / "word")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not so strict that a CA needs a key identifier
    trusting.load_verify_locations(hub.home / "sso-ca.crt")
    with Program(words, tmp_path / "sso.log") as program:
        assert program.line() == "ready"
        hub.start()
        yield ProviderSite(issuer, trusting, hub)
        hub.close()


class Person:
    """Walks through the provider's pages, as a browser without script, and comes back to the console with its address."""

    def __init__(self, site: ProviderSite) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        tls = urllib.request.HTTPSHandler(context=site.trusting)
        self.opener = urllib.request.build_opener(tls, jar, Still())
        self.site = site

    def sign_in(self, address: str, name: str) -> str:
        """Return the path and query to which the provider sends the browser, at the console."""
        form: dict[str, str] | None = None
        for _ in range(12):
            if not address.startswith(self.site.issuer):
                parts = urllib.parse.urlsplit(address)
                return f"{parts.path}?{parts.query}"
            body = None if form is None else urllib.parse.urlencode(form).encode()
            try:
                answer = self.opener.open(address, body, timeout=PATIENCE)
            except urllib.error.HTTPError as moved:
                answer = moved
            with answer:
                page = answer.read().decode()
            if answer.status in {302, 303}:
                address, form = urllib.parse.urljoin(address, answer.headers["Location"]), None
                continue
            found = re.search(r'<form[^>]*action="([^"]*)"', page)
            assert found, page
            address = html.unescape(found[1])
            form = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page))
            form |= {"login": name, "password": "x"} if 'name="login"' in page else {}
        raise AssertionError("the provider leads in a circle")


class Still(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_: Any) -> None:
        return None


def onward(caller: Caller) -> str:
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]*)"', caller.page)
    assert found, caller.page
    return html.unescape(found[1])


def come_in(site: ProviderSite, caller: Caller, name: str) -> int:
    caller.call("GET", "/sign-in")
    assert caller.call("POST", "/sign-in/openid/sso", {"proof": caller.proof, "next": "/account"})[0] == 200
    status: int = caller.call("GET", Person(site).sign_in(onward(caller), name))[0]
    return status


def test_a_person_signs_in_at_a_real_provider_once_it_is_bound(site: ProviderSite) -> None:
    hub, caller = site.hub, Caller(site.hub)
    hub.cli("check", "--connect", code=69)  # the sample partners do not run; a mistake would be 78
    assert come_in(site, caller, "nguyen.van.an") == 403
    assert "no-account" in caller.page
    (told,) = hub.cli("events", "--kind", "user-sign-in-failed", "--json")
    assert told["subject"] == "nguyen.van.an"
    hub.cli("users", "openid", "an", "sso", told["subject"])
    assert come_in(site, caller, "nguyen.van.an") == 200
    assert onward(caller) == "/account"
    assert caller.call("GET", "/account")[0] == 200
    assert "nguyen.van.an" in caller.page
    assert caller.call("POST", "/sign-out", {"proof": caller.proof})[0] == 200
    assert onward(caller).startswith(f"{site.issuer}/session/end?client_id=lienthong&")
    with Person(site).opener.open(onward(caller), timeout=PATIENCE) as answer:
        assert answer.status == 200
    assert caller.call("GET", "/account")[0] == 401


def test_chromium_signs_in_at_a_real_provider_with_and_without_script(site: ProviderSite) -> None:
    """Where `PICTURES` is set, a picture of the sign-in page is left in that folder."""
    hub = site.hub
    hub.cli("users", "add", "binh", "--role", "operator", "--password-file", hub.home / "word")
    hub.cli("users", "openid", "binh", "sso", "binh")
    with chromium() as browser:
        for width, scheme, script in ((1280, "light", True), (390, "dark", False)):
            context = window(browser, width, scheme, java_script_enabled=script)
            page = context.new_page()
            page.goto(f"{hub.admin}/account")
            if script:
                judge(page)
            if folder := os.environ.get("PICTURES"):
                page.screenshot(path=Path(folder) / f"openid-sign-in-{width}-{scheme}.png", full_page=True)
            page.click("form[action='/sign-in/openid/sso'] button")
            page.fill("input[name=login]", "binh")
            page.fill("input[name=password]", "x")
            page.get_by_role("button", name="Sign-in").click()
            page.get_by_role("button", name="Continue").click()  # of its page of consent
            page.wait_for_url(f"{hub.admin}/account")
            cookies = {each["name"]: each["sameSite"] for each in context.cookies(hub.admin)}
            assert cookies["__Host-lienthong"] == "Strict"
            assert "__Host-lienthong-openid" not in cookies
            context.close()
    assert hub.log.read_text().count("Traceback") == 0
