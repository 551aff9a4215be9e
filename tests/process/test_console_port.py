"""The console over its real port: plain HTTP, and Chromium from the sign-in down to the bytes."""

import hashlib
import http.client
import re
import ssl
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from hub.report.form.period import find_month_containing
from hub.web.answering import HEADERS
from tests.browsing import chromium, window
from tests.declaring import filled
from tests.officials import by_signxml
from tests.packets import document
from tests.pki import authority, pem
from tests.running import PATIENCE, RunningHub, until

pytestmark = pytest.mark.slow

PASSWORD = "một mật khẩu dài"
PERIOD = find_month_containing(datetime.now(UTC)).text
ENDED = f"{datetime.now(UTC).year - 1}-10"
EVIL = "</a><script src=//evil.example/x.js></script><img src=//evil.example/x>"
#: What is downloaded may do nothing, even where a browser shows it.
OF_A_FILE = HEADERS | {"Content-Security-Policy": f"{HEADERS['Content-Security-Policy']}; sandbox"}


def ready(hub: RunningHub, *, users=True) -> RunningHub:
    """Start the hub with users, a unit with a hostile name, and a document from H55.13 to H55.12."""
    if users:
        (hub.home / "word").write_text(f"{PASSWORD}\n", "utf-8")
        for name, *words in (("an", "--role", "reader", "--unit", "H55.13"), ("op", "--role", "operator")):
            hub.cli("users", "add", name, *words, "--password-file", hub.home / "word")
    (hub.home / "units.csv").write_text(f'code,name,parent\nH55.13.9,"{EVIL}",H55.13\n', "utf-8")
    hub.cli("units", "import", hub.home / "units.csv")
    hub.start()
    packet = hub.home / "packet.edxml"
    packet.write_bytes(document(EVIL.replace("<", "&lt;"), "H55.12"))
    hub.cli("send", packet, "--as", "sotttt")
    return hub


class Caller:
    """Speaks HTTP to the admin port, to the letter; keeps cookies."""

    def __init__(self, hub):
        self.netloc = hub.admin.removeprefix("https://")
        self.tls = ssl.create_default_context(cafile=str(hub.home / "pki/ca.crt"))
        self.cookies: dict[str, str] = {}
        self.page = ""

    def call(self, method, path, body=None, **headers):
        """Return the status and the headers; `self.page` is the text, `self.content` the octets."""
        line = http.client.HTTPSConnection(self.netloc, context=self.tls, timeout=PATIENCE)
        try:
            line.putrequest(method, path, skip_accept_encoding=True)
            if self.cookies:
                line.putheader("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
            content = b"" if body is None else body if isinstance(body, bytes) else urlencode(body).encode()
            if body is not None:
                said = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"https://{self.netloc}"}
                headers = {**said, "Content-Length": str(len(content)), **headers}
            for name, value in headers.items():
                line.putheader(name, value)
            line.endheaders(content or None)
            answer = line.getresponse()
            self.content = answer.read()
        finally:
            line.close()
        self.page = self.content.decode("utf-8", "replace")
        for each in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = each.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in each:
                del self.cookies[name]
        return answer.status, answer.headers

    def sign_in(self, name, password=PASSWORD):
        self.call("GET", "/")
        return self.call("POST", "/sign-in", {"proof": self.proof, "name": name, "password": password})[0]

    def hand_in(self, path, file, **fields):
        """Send a form with a file, as the page that is open has it; return the status."""
        parts = [("proof", self.proof.encode()), *fields.items(), ("file", file)]
        body = b"".join(
            b'--lienthong\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), octets)
            for name, octets in parts
        )
        said = {"Content-Type": "multipart/form-data; boundary=lienthong"}
        return self.call("POST", path, body + b"--lienthong--\r\n", **said)[0]

    @property
    def proof(self):
        found = re.search(r'name="proof" value="([^"]*)"', self.page)
        return found[1] if found else ""


@pytest.mark.parametrize("hub", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True)
def test_a_report_is_read_down_to_the_bytes_over_http(hub):
    ready(hub)
    an = Caller(hub)
    assert an.call("GET", f"/reports/edoc/H55.13/{PERIOD}")[0] == 401
    assert an.sign_in("an", "wrong") == 401
    assert an.sign_in("an") == 303
    assert an.call("GET", f"/reports/edoc/H55.13/{PERIOD}")[0] == 200
    assert an.call("GET", f"/reports/edoc/H55.13/{PERIOD}/sent")[0] == 200
    (place,) = set(re.findall(r'href="(/messages/[^"]*)"', an.page))
    assert an.call("GET", place)[0] == 200
    sha256 = re.search(r"<dd class=\"code\">([0-9a-f]{64})<", an.page)
    status, headers = an.call("GET", f"{place}/content")
    assert status == 200
    assert hashlib.sha256(an.content).hexdigest() == (sha256 and sha256[1])
    assert an.content == (hub.home / "packet.edxml").read_bytes()
    assert headers["Content-Disposition"].startswith("attachment; ")
    assert headers["Content-Length"] == str(len(an.content))
    for kind in ("xlsx", "html", "csv", "json", "xml"):
        assert an.call("GET", f"/reports/edoc/H55.13/{PERIOD}.{kind}")[0] == 200
        assert an.content
    assert an.call("GET", f"/reports/edoc/H55.12/{PERIOD}")[0] == 404

    word = an.cookies["__Host-lienthong"]
    hub.cli("users", "password", "an", "--password-file", hub.home / "word")
    assert an.call("GET", place)[0] == 401, "old sessions die with the password"
    assert an.sign_in("an") == 303
    assert an.cookies["__Host-lienthong"] != word
    an.call("GET", "/account")
    assert an.call("POST", "/sign-out", {"proof": an.proof})[0] == 303
    assert hub.cli("users", "sessions", "--json") == []
    names = [line["name"] for line in hub.cli("users", "list", "--json")]
    assert names == ["an", "op"]


def test_every_answer_carries_the_headers_and_no_trick_opens_anything(hub):
    ready(hub)
    stranger, an = Caller(hub), Caller(hub)
    assert an.sign_in("an") == 303
    big = b"x" * (70 * 1024)
    asked = [
        ("GET", "/", None, 200),
        ("HEAD", "/", None, 200),
        ("GET", "/sign-in", None, 303),
        ("GET", "/console/style.css", None, 200),
        ("GET", "/console/icon.svg", None, 200),
        ("GET", "/console/signing.js", None, 200),
        ("GET", "/console/base.html.jinja", None, 404),
        ("GET", "/console/..%2f..%2fpages.py", None, 404),
        ("GET", "/console/%2e%2e/pages.py", None, 404),
        ("GET", "/console/../../pages.py", None, 404),
        ("GET", "//evil.example/", None, 404),
        ("GET", "/%ff", None, 404),
        ("GET", "/favicon.ico", None, 404),
        ("GET", f"/reports/edoc/H55.13/{PERIOD}", None, 200),
        ("GET", f"/reports/edoc/H55.13%2f/{PERIOD}", None, 404),
        ("GET", f"/reports/edoc/H55/{PERIOD}", None, 404),
        ("PUT", "/", None, 405),
        ("OPTIONS", "/", None, 405),
        ("POST", "/account", {"old": "x"}, 403),
        ("POST", "/account", b"x" * (20 * 1024), 413),
        ("POST", "/account", big, 413),
    ]
    for method, path, body, expected in asked:
        status, headers = an.call(method, path, body)
        assert status == expected, (method, path)
        policy = OF_A_FILE if "Content-Disposition" in headers else HEADERS
        assert {name: headers[name] for name in HEADERS} == policy, (method, path)
        assert "evil.example/x" not in an.page.replace("&lt;", "").partition("<script")[2]
        assert "<script" not in an.page
    for path in ("/", "/account", f"/reports/edoc/H55.13/{PERIOD}.xlsx", "/messages/x", "/none"):
        status, headers = stranger.call("GET", path)
        assert status == (200 if path == "/" else 401)
        policy = OF_A_FILE if "Content-Disposition" in headers else HEADERS
        assert {name: headers[name] for name in HEADERS} == policy
        assert "H55.13" not in stranger.page.replace(f"/reports/edoc/H55.13/{PERIOD}.xlsx", "")
    assert stranger.call("POST", "/sign-in", big)[0] == 413, "a large body comes only in a session"
    assert stranger.call("POST", "/sign-in", big, Cookie="__Host-lienthong=" + "A" * 43)[0] == 413
    forged = an.call("POST", "/sign-out", {"proof": "x"}, Origin="https://evil.example")[0]
    assert forged == 403
    assert an.call("GET", "/account")[0] == 200
    assert an.call("GET", "/healthz")[0] == 200, "what is for everybody stays so"
    assert an.call("GET", "/contracts/")[0] == 200


def test_figures_are_declared_over_http(hub):
    ready(hub)
    operator, place = Caller(hub), f"/declarations/edoc/H55.13/{PERIOD}"
    assert operator.sign_in("op") == 303
    assert operator.call("GET", f"{place}.xlsx")[0] == 200
    workbook = filled(operator.content, {("H55.13", "sent_inside"): 1, ("H55.13", "not_signed"): 9})
    for padding, expected in (("x" * 100_000, 413), ("", 303)):
        operator.call("GET", place)
        assert operator.hand_in(place, workbook, more=padding.encode()) == expected
    assert operator.call("GET", place)[0] == 200
    assert (operator.page.count('<tr class="equal">'), operator.page.count('<tr class="differs">')) == (1, 1)


@pytest.mark.parametrize("hub", ["postgresql", pytest.param("sqlite", marks=pytest.mark.soak)], indirect=True)
def test_a_report_is_signed_over_http(hub):
    persons = authority("Persons", datetime.now(UTC))
    person = persons.issue("An")
    appoint(hub, persons, person)
    ready(hub)
    hub.cli("users", "add", "chi", "--role", "clerk", "--unit", "H55.13", "--password-file", hub.home / "word")
    clerk, place = Caller(hub), f"/signing/edoc/H55.13/{ENDED}"
    assert clerk.sign_in("chi") == 303
    assert clerk.call("GET", place)[0] == 200
    status, headers = clerk.call("POST", f"{place}.xml", {"proof": clerk.proof})
    octets = clerk.content
    assert (status, headers["Content-Length"]) == (200, str(len(octets)))
    assert headers["Content-Disposition"] == f'attachment; filename="edoc_H55.13_{ENDED}_1.xml"'
    assert {name: headers[name] for name in HEADERS} == OF_A_FILE
    assert hub.cli("report", "H55.13", ENDED, "--format", "xml", text=True) == octets.decode(), "as at the command line"
    clerk.call("GET", place)
    assert clerk.hand_in(place, octets) == 422
    assert "<code>report-unsigned</code>" in clerk.page
    document = by_signxml(octets, person, datetime.now(UTC))
    assert clerk.hand_in(place, document) == 303
    for page in (place, f"/reports/edoc/H55.13/{ENDED}"):
        assert clerk.call("GET", page)[0] == 200
        assert "đã ký" in clerk.page
        assert "Nguyễn Văn An" in clerk.page
    (state,) = hub.cli("report", "state", "H55.13", ENDED, "--json")
    assert (state["state"], state["signing"]["official"]) == ("signed", "an")
    assert clerk.call("GET", f"/messages/{state['signing']['message']}/content")[0] == 200
    assert clerk.content == document, "the very octets that were signed"


def appoint(hub, persons, person):
    """Let *person* sign for H55.13."""
    folder = hub.home / "officials"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(pem(persons.certificate))
    (folder / "an.crt").write_bytes(pem(person.certificate))
    said = 'name = "Nguyễn Văn An"\ncertificates = ["officials/an.crt"]\nunits = ["H55.13"]\n'
    (folder / "an.toml").write_text(said, "utf-8")
    with hub.config.open("a", encoding="utf-8") as file:
        file.write('\n[officials]\nanchors = ["officials/ca.crt"]\n')


def test_a_client_certificate_signs_in_over_its_connection(hub):
    with (hub.home / "hub.toml").open("a") as file:
        file.write("\n[console]\nclient-certificates = true\n")
    ready(hub)
    hub.cli("users", "certificate", "an", hub.home / "pki/partners/sotttt.crt")
    for own, status in ((True, 303), (False, 401)):
        caller = Caller(hub)
        if own:
            caller.tls.load_cert_chain(hub.home / "pki/partners/sotttt.crt", hub.home / "pki/partners/sotttt.key")
        caller.call("GET", "/sign-in")
        assert caller.call("POST", "/sign-in/certificate", {"proof": caller.proof, "next": "/account"})[0] == status
        assert caller.call("GET", "/account")[0] == (200 if own else 401)
        assert caller.call("GET", "/healthz")[0] == 200, "with or without"


def test_without_users_the_console_says_how_to_make_the_first(hub):
    ready(hub, users=False)
    caller = Caller(hub)
    assert caller.call("GET", "/")[0] == 200
    assert "lienthong users add" in caller.page


def test_the_whole_way_in_a_browser(hub, tmp_path):
    """By keyboard and by clicks, wide and narrow, light and dark: it is read, and nothing leaves this host."""
    ready(hub)
    asked, complaints = [], []

    with chromium() as browser:
        for width, scheme in ((1280, "light"), (390, "dark")):
            context = window(browser, width, scheme, accept_downloads=True)
            page = context.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda said: complaints.append(said.text))
            page.goto(f"{hub.admin}/help/reference/errors")
            page.goto(f"{hub.admin}/reports/edoc/H55.13/{PERIOD}")
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip"
            page.get_by_label("Tên người dùng").fill("op")
            page.get_by_label("Mật khẩu").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.locator("table.report").wait_for()
            page.locator('tr.total td[data-column="sent"] a').focus()
            page.keyboard.press("Enter")
            page.wait_for_url("**/sent")
            page.locator("main table a").click()
            page.wait_for_url("**/messages/*")
            with page.expect_download() as download:
                page.get_by_text("Tải nguyên bản").click()
            download.value.save_as(tmp_path / "bytes")
            assert (tmp_path / "bytes").read_bytes() == (hub.home / "packet.edxml").read_bytes()
            page.goto(f"{hub.admin}/?q=so+thong+tin")
            page.goto(f"{hub.admin}/signing/edoc/H55.13/{ENDED}")
            with page.expect_download() as download:
                page.get_by_role("button", name="Tải XML để ký").click()
            download.value.save_as(tmp_path / "report.xml")
            assert b"<Report" in (tmp_path / "report.xml").read_bytes()
            page.reload()
            page.get_by_label("Tệp XML hoặc PDF đã ký").set_input_files(tmp_path / "report.xml")
            page.get_by_role("button", name="Nộp bản đã ký").click()
            page.get_by_text("report-unsigned").wait_for()
            page.goto(f"{hub.admin}/readiness")
            page.goto(f"{hub.admin}/account")
            page.get_by_role("link", name="English").click()
            assert page.locator("html").get_attribute("lang") == "en"
            page.get_by_role("button", name="Sign out", exact=True).click()
            page.get_by_label("User name").wait_for()
            page.go_back()
            assert "Change the password" not in page.content(), "nothing is kept for who comes after"
            context.close()
    assert {url.split("/")[2] for url in asked} == {hub.admin.removeprefix("https://")}
    assert [said for said in complaints if "Failed to load resource" not in said] == []
    until(lambda: hub.cli("users", "sessions", "--json") == [], "both to be signed out")
