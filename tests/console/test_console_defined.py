"""What the console calls a service that the configuration defines, its messages and its milestones."""

import re
from datetime import timedelta

import pytest
from cryptography import x509
from lxml import etree

from hub import config
from hub.formats.xsd_schemas import SchemaFiles, compile_schema
from hub.operations.accounts.permissions import Role
from hub.security import wss_verify
from hub.services.defined import load_defined_contract
from hub.soap import envelope
from tests import homes, pki
from tests.console.test_console_integration import kit
from tests.console_town import Browser
from tests.province import NOW
from tests.services.test_defined_services import SAMPLE, define, make_town


@pytest.mark.parametrize("defined", [True, False], ids=["defined", "removed since"])
def test_its_names_are_those_of_its_toml_and_its_words_once_it_is_gone(town, tmp_path, defined):
    made = make_town(tmp_path, define(homes.begin(tmp_path / "tinh")))
    made.engine.dispose()
    made.engine = town.engine
    (identity,) = re.findall("<DocumentId>(.*?)<", made.ask(SAMPLE))[:1]
    town.services = dict(made.live.config.services) if defined else {}
    town.add("op", role=Role.OPERATOR)
    browser = Browser(town)
    browser.sign_in("op")
    names = ("Phản ánh, kiến nghị", "đã trả lời") if defined else ("phananh", "tra-loi")
    assert browser.get(f"/messages/{identity}").status == 200
    assert [name for name in names if name not in browser.page] == []
    assert browser.get("/messages").status == 200
    assert names[0] in browser.page


def test_the_kit_of_a_partner_that_may_call_it_has_its_contract_and_a_signed_sample(town, tmp_path):
    made = config.read_config(define(homes.begin(tmp_path / "tinh")) / "hub.toml")
    town.services = dict(made.services)
    certificate = pki.partner("sotttt").certificate
    town.partners = {
        "sotttt": config.Partner(code="sotttt", name="", certificates=(certificate,), units=("H55.13",)),
    }
    town.add("op", role=Role.OPERATOR)
    browser = Browser(town)
    browser.sign_in("op")
    assert browser.get("/integration/sotttt").status == 200
    assert "GuiPhanAnh" in browser.page
    files = kit(browser, "sotttt")
    assert 'schemaLocation="xsd/phananh/phananh-answers.xsd"' in files["phananh.wsdl"].decode()
    assert {"xsd/phananh/phananh.xsd", "xsd/phananh/phananh-answers.xsd"} <= files.keys()
    (sandbox, _) = x509.load_pem_x509_certificates(files["samples/sandbox.crt"])
    contract = load_defined_contract(made.services["phananh"])
    children = list[etree._Element]()
    for part, tag in (
        ("call", "{urn:tinh:phananh:1}GuiPhanAnh"),
        ("answer", "{urn:lienthong:phananh:1}GuiPhanAnhResponse"),
    ):
        root = etree.fromstring(files[f"samples/phananh-GuiPhanAnh-{part}.xml"])
        child = envelope.find_only_child(
            wss_verify.verify_envelope(root, [sandbox], NOW, max_age=timedelta(minutes=15)).body
        )
        assert child.tag == tag
        children.append(child)
    answers = SchemaFiles("phananh-answers.xsd", tuple((each, contract.xsd(each)) for each in contract.schema_names))
    assert compile_schema(answers).validate(children[-1]), "the hub answers as its schema says"
