"""A stock zeep client asks a real hub, which asks the shared services and the population database, each a process of its own."""

import contextlib
import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from requests import Session
from zeep import Client, Settings
from zeep.exceptions import Fault
from zeep.transports import Transport

from tests.offices import opened
from tests.process.test_zeep import Signed
from tests.running import PATIENCE, until

pytestmark = pytest.mark.slow

WHO = {"OrganId": "H55.13", "Officer": "nv.mau", "Purpose": "Giải quyết hồ sơ"}
CITIZEN = WHO | {"CitizenId": "019085000001", "FullName": "Nguyễn Văn Mẫu"}
ORDER = WHO | {
    "Dossier": "H55.13-261125-0001",
    "OrderNumber": "H55.13-261125-0001",
    "SenderName": "Một cửa (mẫu)",
    "SenderAddress": "Số 1 đường Mẫu",
    "SenderTel": "0208000000",
    "SenderProvince": 25,
    "ReceiverName": "Trần Thị Thử",
    "ReceiverAddress": "Xóm Bí Mật",
    "ReceiverTel": "0911222333",
    "ReceiverProvince": 25,
}
FORM = "<hotich><hoso><nksHoTen>Hoàng Bé Con</nksHoTen></hoso></hotich>"
RECORD = {
    "RecordType": "1",
    "RecordPurpose": "Xin việc",
    "FullName": "Nguyễn Văn Mẫu",
    "Gender": "1",
    "BornOn": "1985",
    "IdType": "3",
    "IdNumber": "019085000001",
}
#: What no file of the hub may hold, at no time.
PERSONAL = ("019085000001", "Nguyễn Văn Mẫu", "Trần Thị Thử", "Xóm Bí Mật", "0911222333", "Hoàng Bé Con", "CHÈ MẪU")

NGSP = """
name = "NGSP"
adapter = "ngsp"
url = "{url}"
lookups = ["LookupEnterprise", "LookupCategory", "OrderPostalReturn", "RegisterCivilStatus", "RequestJudicialRecord"]

[settings]
token-url = "{url}/token"
client-id-file = "pki/ngsp-id"
client-secret-file = "pki/ngsp-secret"
customer-code = "TNG01"

[policy]
transport = "plain"
timeout = "{timeout}"
first-retry = "20ms"
max-retry = "200ms"
"""
DANCU = """
name = "Cơ sở dữ liệu quốc gia về dân cư"
adapter = "dancu"
url = "{url}/"
lookups = ["VerifyCitizen"]

[settings]
client = "VN:GOV:000.00.00.H55:truclienthong"
service = "VN:GOV:000.00.00.G01:dancu:XacThucThongTinCongDan"

[policy]
transport = "plain"
timeout = "{timeout}"
first-retry = "20ms"
max-retry = "200ms"
"""


class Town:
    """The hub, its two partners, and a client of a department."""

    def __init__(self, hub, ngsp, dancu, timeout):
        self.hub, self.ngsp, self.dancu = hub, ngsp, dancu
        home = hub.home
        for name, text in (("ngsp-id", "truc-lien-thong"), ("ngsp-secret", "mật khẩu mẫu")):
            (home / "pki" / name).write_text(text)
            (home / "pki" / name).chmod(0o600)
        (home / "partners/ngsp.toml").write_text(NGSP.format(url=ngsp.url, timeout=timeout))
        (home / "partners/dancu.toml").write_text(DANCU.format(url=dancu.url, timeout=timeout))
        config = hub.config.read_text()
        hub.config.write_text(f"{config}\n[lookups.quota]\nLookupCategory = 3\n")
        hub.start()
        self.session = Session()
        self.client = self._client()

    def _client(self):
        files = self.hub.files("sotttt")
        self.session.trust_env, self.session.verify = False, str(files["ca"])
        self.session.cert = (str(files["certificate"]), str(files["key"]))
        url = self.hub.soap.replace("documents", "lookups")
        made = Client(
            f"{url}?wsdl",
            transport=Transport(session=self.session),
            wsse=Signed(files["key"], files["certificate"], self.hub.home / "pki/hub.crt"),
            settings=Settings(strict=True),
        )
        return made.bind("Lookups", "LookupsSoap11")

    def fault(self, operation, **fields):
        """Ask, and return the code of the fault that comes and how long it took."""
        begun = time.monotonic()
        with pytest.raises(Fault) as refused:
            getattr(self.client, operation)(**fields)
        code = refused.value.detail.findtext(".//{urn:lienthong:lookups:1}Code")
        return code, time.monotonic() - begun

    def asked(self):
        """Return how often anybody was asked for anything."""
        return len(self.ngsp.noted("asked")) + len(self.dancu.noted("verified"))

    def facts(self):
        lines = self.hub.cli("report", "--facts", "--json")
        return [(fact["unit"], fact["milestone"], fact["message_id"]) for fact in lines]


@pytest.fixture
def town(request, hub, tmp_path):
    with ExitStack() as stack:
        offices = [stack.enter_context(opened(name, tmp_path)) for name in ("ngsp", "dancu")]
        ngsp, dancu = offices
        made = Town(hub, ngsp, dancu, getattr(request, "param", "10s"))
        yield made
        made.session.close()
        hub.close()


def codes(answer):
    return [error.Code for error in answer.Report.ErrorList.Error] if answer.Report.ErrorList else []


def test_officials_ask_and_order_and_each_result_is_a_fact_of_their_unit_and_nothing_is_kept_of_persons(town):
    client, hub = town.client, town.hub
    begun = datetime.now(UTC)

    # asked, kept, refused
    first = client.LookupEnterprise(**WHO, EnterpriseCode="4600100001")
    assert first.Report.IsSuccess is True
    assert (first.Name, first.Representative) == ("CÔNG TY TNHH CHÈ MẪU THÁI NGUYÊN", ["Nguyễn Thị Mẫu"])
    assert first.At >= begun
    kept = client.LookupEnterprise(**WHO, EnterpriseCode="4600100001")
    assert (kept.Name, kept.At) == (first.Name, first.At)
    assert kept.LookupId != first.LookupId
    assert len(town.ngsp.noted("asked")) == 1
    assert codes(client.LookupEnterprise(**WHO, EnterpriseCode="0")) == ["lookup-refused"]
    row = client.LookupCategory(**WHO, Category="magioitinh").Row[0]
    assert {column.Name: column.Value for column in row.Column} == {"Ma": "1", "Ten": "Nam"}

    # a citizen, never kept; the same message once
    assert client.VerifyCitizen(**CITIZEN, MessageId="m-1").Exists is True
    assert client.VerifyCitizen(**CITIZEN, MessageId="m-1").Exists is True
    assert len(town.dancu.noted("verified")) == 2
    assert len({line["request"] for line in town.dancu.noted("verified")}) == 1
    assert codes(client.VerifyCitizen(**CITIZEN | {"FullName": "Trần Thị Thử"}, MessageId="m-1")) == ["id-reused"]
    assert client.VerifyCitizen(**CITIZEN | {"FullName": "Trần Thị Thử"}).Exists is False

    # quota
    assert client.LookupCategory(**WHO).Report.IsSuccess is True
    assert client.LookupCategory(**WHO).Report.IsSuccess is True
    before = town.asked()
    assert codes(client.LookupCategory(**WHO)) == ["quota-exceeded"]
    assert town.asked() == before

    # an order that was placed though nobody heard, tried again within the call, then sent again by the caller
    town.ngsp.mood("mute", times=1)
    assert client.OrderPostalReturn(**ORDER).OrderNumber == "H55.13-261125-0001"
    assert client.OrderPostalReturn(**ORDER).OrderNumber == "H55.13-261125-0001"
    assert [line["key"] for line in town.ngsp.noted("placed")] == ["order:TNG01/H55.13-261125-0001"]
    assert codes(client.OrderPostalReturn(**ORDER | {"ReceiverTel": "0999"})) == ["lookup-refused"]
    registered = WHO | {"Dossier": "HS-7", "Commune": "05431", "Module": "KS", "ReceivedOn": "2026-11-24", "Data": FORM}
    assert client.RegisterCivilStatus(**registered).Report.IsSuccess is True
    assert client.RequestJudicialRecord(**WHO, Dossier="HS-9", **RECORD).RecordId.startswith("LLTP-")

    # who may not ask; what cannot be read
    assert codes(client.VerifyCitizen(**CITIZEN | {"OrganId": "H55.1"})) == ["sender-not-allowed"]
    assert codes(client.VerifyCitizen(**WHO, FullName="Nguyễn Văn Mẫu")) == ["N.VerifyCitizen.CitizenId"]
    assert town.fault("VerifyCitizen", **CITIZEN | {"FullName": "Nguyễn Văn Mẫu " * 50})[0] == "contract-broken"

    # what is not granted any more
    before = town.asked()
    hub.cli("partners", "add", "sotttt", "--replace", "--calls", "documents,lookups.LookupEnterprise")
    hub.cli("reload")
    assert town.fault("VerifyCitizen", **CITIZEN)[0] == "call-not-granted"
    assert client.LookupEnterprise(**WHO, EnterpriseCode="4600100001").Report.IsSuccess is True
    assert town.asked() == before

    milestones = sorted(milestone for unit, milestone, _ in town.facts() if unit == "H55.13")
    assert milestones == sorted(
        ["lookup-enterprise"] * 3
        + ["lookup-category"] * 3
        + ["verify-citizen"] * 2
        + ["postal-ordered", "civil-status-sent", "judicial-record-requested"]
    )
    lines = hub.cli("messages", "--json", "--partner", "sotttt")
    assert {line["service"] for line in lines} == {"lookups"}
    (shown,) = [line for line in lines if line["id"] == first.LookupId]
    assert (shown["kind"], shown["state"]) == ("lookup-enterprise", "accepted")
    trace = json.dumps(hub.cli("trace", first.LookupId, "--json"), ensure_ascii=False)
    assert "nv.mau" in trace
    assert "Giải quyết hồ sơ" in trace
    for _ in ("as it runs", "when it has ended"):
        for path in [*(hub.home / "data").rglob("*"), hub.log]:
            with contextlib.suppress(FileNotFoundError):  # the hub has done with it since
                octets = path.read_bytes() if path.is_file() else b""
                assert not [text for text in PERSONAL if text.encode() in octets], path
        hub.stop()


@pytest.mark.parametrize("town", ["1s"], indirect=True)
def test_a_partner_that_does_not_answer_is_a_clear_fault_soon_and_at_once_and_over_when_it_is_back(town):
    def opened():
        return town.hub.log.read_text().count('"breaker-opened"')

    def back():
        try:
            return town.client.VerifyCitizen(**CITIZEN).Exists
        except Fault:
            return False

    until(back, "the population database to answer")
    for done, mood in enumerate(["unavailable", "slow", "mute", "garbage", "denied"]):
        town.dancu.mood(mood, seconds=1.5)
        tries = 0
        while opened() == done:
            code, took = town.fault("VerifyCitizen", **CITIZEN)
            assert code == "lookup-unavailable"
            assert took < PATIENCE
            tries += 1
        assert tries == 1 if mood == "denied" else tries <= 5
        code, took = town.fault("VerifyCitizen", **CITIZEN)
        assert code == "lookup-unavailable"
        town.dancu.mood("normal")
        assert until(back, "the population database to be back")
    assert '"credentials-refused"' in town.hub.log.read_text()
    assert [milestone for _, milestone, _ in town.facts()] == ["verify-citizen"] * 6
