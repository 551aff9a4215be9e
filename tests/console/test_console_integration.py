"""The integration page of a partner, and the kit for its developers: who sees it, what it says, and that it holds no secret."""

import json
import re
from datetime import timedelta
from functools import cache
from io import BytesIO
from zipfile import ZipFile

import pytest
from cryptography import x509
from lxml import etree

from hub import config
from hub.domain.errors import SENTENCES
from hub.domain.model import Problem, Receive
from hub.edxml import packet
from hub.monitoring.integration import kit as integration_kit
from hub.monitoring.integration import samples
from hub.operations.accounts.permissions import Permission, Role
from hub.security import wss_verify
from hub.security.certificates import hash_certificate
from hub.soap import envelope, wsdl
from tests import pki
from tests.browsing import chromium, judge, window
from tests.console_town import Browser
from tests.province import NOW

#: Making a key takes its time; all kits here but those of one test have the same.
_shared_key = cache(samples.make_sandbox_key)


@pytest.fixture(autouse=True)
def one_key(monkeypatch):
    monkeypatch.setattr(integration_kit, "make_sandbox_key", _shared_key)


@pytest.fixture
def partnered(town):
    town.partners = {
        code: config.Partner(
            code=code,
            name=name,
            certificates=(pki.partner(code).certificate,),
            receive=receive,
            units=units,
            calls=calls,
            url=url,
        )
        for code, name, receive, units, calls, url in (
            ("sotttt", "Sở <TT&TT>", Receive.FETCH, ("H55.13",), ("documents", "mail"), None),
            ("vpub", "Văn phòng", Receive.PUSH, ("H55.01",), None, "https://vpub.test/soap/documents"),
        )
    }
    return town


@pytest.fixture
def op(partnered):
    return signed_in(partnered, "op", role=Role.OPERATOR)


def signed_in(town, name, *units, role=Role.READER):
    town.add(name, *units, role=role)
    browser = Browser(town, languages="en")
    browser.sign_in(name)
    return browser


def text_of(browser):
    return " ".join(re.sub(r"<[^>]*>", " ", browser.page).split())


def kit(browser, code):
    answer = browser.get(f"/integration/{code}/kit.zip")
    assert (answer.status, answer.content_type, answer.filename) == (200, "application/zip", f"lienthong-{code}.zip")
    with ZipFile(BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_page_says_where_to_call_what_and_with_which_certificates(op):
    assert op.get("/integration/sotttt").status == 200
    said = text_of(op)
    assert "https://hub.tinh.gov.vn:8443/soap/documents" in said
    assert "https://hub.tinh.gov.vn:8443/soap/mail" in said
    assert "/soap/lookups" not in said, "it is not granted"
    assert "SubmitMailUsage" in said
    assert "Sở &lt;TT&amp;TT&gt;" in said
    for each in (pki.partner("hub"), pki.partner("sotttt")):
        assert hash_certificate(each.certificate) in said
    assert "You fetch the messages" in said
    for code in SENTENCES:
        assert code in said
    op.get("/integration/vpub")
    assert "https://vpub.test/soap/documents" in text_of(op)


def test_the_checklist_ticks_itself(partnered, op):
    op.get("/integration/sotttt")
    assert "0 of 9 steps are taken" in text_of(op)
    refused = partnered.take(1, problems=(Problem("unit-unknown", "H55.99"),))
    message = partnered.take(2, at=NOW + timedelta(minutes=1))
    op.get("/integration/sotttt")
    said = text_of(op)
    assert "6 of 9 steps are taken" in said
    assert "unit-unknown" in said
    assert {f"/messages/{refused}", f"/messages/{message}"} <= set(op.links())


@pytest.mark.parametrize("role", [*Role])
def test_only_those_who_see_partners_have_it(partnered, role):
    browser = signed_in(partnered, "an", *(("H55.13",) if role.is_official else ("*",)), role=role)
    expected = 200 if role.may(Permission.SEE_PARTNERS) else 404
    assert browser.get("/integration/sotttt").status == expected
    assert browser.get("/integration/sotttt/kit.zip").status == expected


@pytest.mark.parametrize(
    "place", ["/integration/nobody", "/integration/sotttt/x", "/integration", "/integration/a/kit.zip"]
)
def test_there_is_nothing_else_there(op, place):
    assert op.get(place).status == 404


def test_the_kit_has_every_part_and_no_private_key(op):
    files = kit(op, "sotttt")
    assert {"guide.html", "huong-dan.html", "documents.wsdl", "xsd/documents.xsd", "mail.wsdl", "errors.json"} <= set(
        files
    )
    assert "lookups.wsdl" not in files
    assert not [name for name, content in files.items() if b"PRIVATE KEY" in content]
    assert x509.load_pem_x509_certificate(files["certificates/hub.crt"]) == pki.partner("hub").certificate
    assert [each["code"] for each in json.loads(files["errors.json"])] == sorted(SENTENCES)
    wsdl_text = files["documents.wsdl"].decode()
    assert 'schemaLocation="xsd/documents.xsd"' in wsdl_text
    assert 'location="https://hub.tinh.gov.vn:8443/soap/documents"' in wsdl_text


def test_each_operation_that_may_be_called_has_a_signed_sample_that_keeps_the_contract(op):
    files = kit(op, "sotttt")
    sandbox, authority = x509.load_pem_x509_certificates(files["samples/sandbox.crt"])
    assert samples.SANDBOX in sandbox.subject.rfc4514_string().replace("\\", "")
    assert sandbox.issuer == authority.subject
    for name in ("documents", "mail"):
        contract = wsdl.load_contract(name)
        for operation in contract.operations.values():
            for part, tag in (("call", operation.request), ("answer", operation.response)):
                root = etree.fromstring(files[f"samples/{name}-{operation.name}-{part}.xml"])
                verified = wss_verify.verify_envelope(root, [sandbox], NOW, max_age=timedelta(minutes=15))
                child = envelope.find_only_child(verified.body)
                assert child.tag == tag
                contract.validate(child)


def test_the_samples_of_packets_are_without_a_deviation(op):
    files = kit(op, "sotttt")
    document = packet.read_packet(files["samples/packet-document.edxml"])
    assert (document.sender, document.recipients, document.deviations) == ("H55.13", ("H55.01",), ())
    answer = packet.read_packet(files["samples/packet-status.edxml"])
    assert (answer.status, answer.responses[0].document_id, answer.deviations) == ("03", document.document_id, ())


def test_the_two_pages_of_the_kit_say_the_same_in_two_languages(op):
    files = kit(op, "vpub")
    english, vietnamese = (
        etree.fromstring(files[name], etree.HTMLParser()) for name in ("guide.html", "huong-dan.html")
    )
    for page in (english, vietnamese):
        assert not page.findall(".//script")
        links = [each.get("href") for each in page.iter("a")]
        assert set(links) <= set(files), "each link leads to a file of the kit"
    assert (english.get("lang"), vietnamese.get("lang")) == ("en", "vi")
    assert "partners simulate vpub" in files["guide.html"].decode()


def test_a_sample_key_is_never_the_same():
    one, other = (samples.make_sandbox_key(NOW) for _ in range(2))
    assert one.identity.certificate != other.identity.certificate


@pytest.mark.slow
def test_the_kit_is_read_in_a_browser_without_the_hub(op, tmp_path):
    for name, content in kit(op, "vpub").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with chromium() as browser:
        for width, scheme in ((1280, "light"), (390, "dark")):
            context = window(browser, width, scheme)
            page = context.new_page()
            page.goto((tmp_path / "huong-dan.html").as_uri())
            judge(page)
            page.get_by_role("link", name="English").click()
            page.get_by_role("heading", name="First messages").wait_for()
            judge(page)
            context.close()
