"""The adapter of the population database against its process: over real HTTP, in every mood of it; and the process against what is published."""

import hashlib
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from lxml import etree

import adapters
from hub.domain.conversations import Answer, Query, Refused, Request, Unavailable
from hub.partner.adapter_settings import Terms
from tests.offices import carry, hold, opened
from tests.pki import partner

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
MEMBER = "VN:GOV:000.00.00.H55:truclienthong"
SERVICE = "VN:GOV:000.00.00.G01:dancu:XacThucThongTinCongDan"


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with opened("dancu", tmp_path_factory.mktemp("dancu")) as office:
        yield office


def made(office, **settings):
    given = {"client": MEMBER, "service": SERVICE} | settings
    return adapters.make_adapter(
        "dancu", Terms(partner="dancu", url=office.url, identity=partner("hub"), settings=given, secrets={})
    )


def asked(office, how=None, /, **fields):
    query = Query("VerifyCitizen", fields, "01936f1e-7c80-7000-8000-000000000001")
    return hold(made(office, **(how or {})).ask(query, NOW))


@pytest.mark.parametrize(
    ("fields", "exists"),
    [
        ({"CitizenId": "019085000001", "FullName": "Nguyễn Văn Mẫu"}, "true"),
        ({"OldId": "091234567", "FullName": "Nguyễn Văn Mẫu"}, "true"),
        ({"CitizenId": "019085000001", "FullName": "Nguyễn Văn Khác"}, "false"),
        ({"CitizenId": "019085000001", "OldId": "092345678", "FullName": "Nguyễn Văn Mẫu"}, "false"),
    ],
)
def test_there_is_just_such_a_citizen_or_not(office, fields, exists):
    assert asked(office, **fields).outcome == Answer((("Exists", exists),))


def test_the_answer_carries_the_header_back_and_a_hash_of_the_request(office):
    held = asked(office, CitizenId="019085000001", FullName="Nguyễn Văn Mẫu")
    root = etree.fromstring(held.replies[0].body)
    found = root.findtext(".//{http://x-road.eu/xsd/xroad.xsd}requestHash")
    assert found == b64encode(hashlib.sha512(held.requests[0].body).digest()).decode()
    assert root.findtext(".//{http://x-road.eu/xsd/xroad.xsd}id") == "01936f1e-7c80-7000-8000-000000000001"


def test_who_the_security_server_does_not_know_is_told_to_the_operator(office):
    outcome = asked(office, {"client": "VN:GOV:000.00.00.H99:ai"}, CitizenId="019085000001", FullName="X").outcome
    assert isinstance(outcome, Unavailable)
    assert outcome.credentials
    assert outcome.detail.endswith("Server.ServerProxy.AccessDenied")


def test_a_service_that_is_not_there_may_come_back(office):
    outcome = asked(office, {"service": f"{MEMBER}:Khac"}, CitizenId="019085000001", FullName="X").outcome
    assert isinstance(outcome, Unavailable)
    assert not outcome.credentials


@pytest.mark.parametrize("how", [{"officer": "AI_DO"}, {"service-code": "999"}])
def test_a_code_that_is_not_agreed_is_refused(office, how):
    assert asked(office, how, CitizenId="019085000001", FullName="X").outcome == Refused("a fault, Client")


@pytest.mark.parametrize("mood", ["unavailable", "mute", "garbage", "denied"])
def test_no_answer_is_no_refusal(office, mood):
    office.mood(mood, times=1)
    outcome = asked(office, CitizenId="019085000001", FullName="Nguyễn Văn Mẫu").outcome
    assert isinstance(outcome, Unavailable)
    assert outcome.credentials is (mood == "denied")


def test_a_refusal_names_no_person(office):
    office.mood("refuse", times=1)
    outcome = asked(office, CitizenId="019085000001", FullName="Nguyễn Văn Mẫu").outcome
    assert isinstance(outcome, Refused)
    assert "Mẫu" not in outcome.detail


HEADER = """<x:client xmlns:x="http://x-road.eu/xsd/xroad.xsd" xmlns:i="http://x-road.eu/xsd/identifiers" i:objectType="SUBSYSTEM">
<i:xRoadInstance>VN</i:xRoadInstance><i:memberClass>GOV</i:memberClass><i:memberCode>000.00.00.H55</i:memberCode>
<i:subsystemCode>truclienthong</i:subsystemCode></x:client>
<x:service xmlns:x="http://x-road.eu/xsd/xroad.xsd" xmlns:i="http://x-road.eu/xsd/identifiers" i:objectType="SERVICE">
<i:xRoadInstance>VN</i:xRoadInstance><i:memberClass>GOV</i:memberClass><i:memberCode>000.00.00.G01</i:memberCode>
<i:subsystemCode>dancu</i:subsystemCode><i:serviceCode>XacThucThongTinCongDan</i:serviceCode></x:service>
<x:id xmlns:x="http://x-road.eu/xsd/xroad.xsd">1</x:id>
<x:protocolVersion xmlns:x="http://x-road.eu/xsd/xroad.xsd">4.0</x:protocolVersion>"""


def test_the_process_answers_what_the_published_client_writes(office):
    """Its prefix, its blank behind MaCanBo, its order; and nothing but that order."""
    leaves = ["MaYeuCau>1", "MaDichVu>033", "MaCanBo>VDXP_VPCP ", "SoDinhDanh>019085000001", "SoCMND>", "HoVaTen>X"]

    def told(names):
        inner = "".join(f"<dan:{leaf}</dan:{leaf.partition('>')[0]}>" for leaf in names)
        envelope = f"""<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:dan="http://dancuquocgia.bca">
            <soapenv:Header>{HEADER}</soapenv:Header><soapenv:Body><dan:XacThucThongTinCongDanRequest>{inner}
            </dan:XacThucThongTinCongDanRequest></soapenv:Body></soapenv:Envelope>"""
        return carry(Request(office.url, envelope.encode(), (("Content-Type", "text/xml; charset=utf-8"),)))

    good, bad = told(leaves), told(leaves[::-1])
    assert (good.status, bad.status) == (200, 500)
    assert etree.fromstring(good.body).findtext(".//{http://dancuquocgia.bca}TonTai") == "false"
    assert etree.fromstring(bad.body).findtext(".//faultcode") == "SOAP-ENV:Client"
