"""A service by its XSD and TOML in real processes: the guide's example, taken up by a reload, called by a stock zeep client.

On SQLite one node with two worker processes serves it, on PostgreSQL two nodes.
"""

import re
import shutil
import tomllib
from contextlib import contextmanager

import pytest
from requests import Session
from zeep import Client
from zeep.exceptions import Fault
from zeep.transports import Transport

from lienthong_demo.protocol.http_server import ServerAnswer, serve_calls
from lienthong_demo.protocol.letterbox import make_server_context
from tests.process.test_zeep import Signed
from tests.running import RunningHub, until
from tests.services.test_defined_services import define

pytestmark = pytest.mark.slow

UNIT, OTHER = "H55.13", "H55.1"
#: The complaints of the guide's message.
COMPLAINTS = [
    {
        "MaPhanAnh": "PA-1",
        "MaDonVi": UNIT,
        "LinhVuc": "dat-dai",
        "NgayNhan": "2026-11-16",
        "HanTraLoi": "2026-11-20",
        "NgayTraLoi": "2026-11-23",
        "HaiLong": "co",
    },
    {
        "MaPhanAnh": "PA-2",
        "MaDonVi": UNIT,
        "LinhVuc": "moi-truong",
        "NgayNhan": "2026-11-17",
        "HanTraLoi": "2026-12-01",
    },
]
ANSWER = b"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><GuiPhanAnhResponse>
<Report><IsSuccess>true</IsSuccess><ErrorList/></Report></GuiPhanAnhResponse></s:Body></s:Envelope>"""


@pytest.fixture(params=["sqlite", "postgresql"])
def nodes(request, tmp_path):
    """Return the running nodes of one province: one with two workers, or two."""
    if request.param == "sqlite":
        made = [RunningHub(tmp_path / "hub")]
        text = made[0].config.read_text("utf-8")
        made[0].config.write_text("workers = 2\n" + re.sub("(?m)^workers = .*\n", "", text))
        yield start(made)
    else:
        with request.getfixturevalue("postgresql").database() as database:
            first = RunningHub(tmp_path / "first", database)
            yield start([first, RunningHub(tmp_path / "second", beside=first)])


def start(made):
    for each in made:
        each.start(wait=False)
    for each in made:
        until(each.is_ready, "the node to be ready")
    return made


@contextmanager
def called(node):
    """Yield the port of a zeep client that knows the WSDL of *node*, a key and a certificate, and no more."""
    files = node.files("sotttt")
    with Session() as session:
        session.trust_env = False
        session.verify = str(files["ca"])
        session.cert = (str(files["certificate"]), str(files["key"]))
        wsse = Signed(files["key"], files["certificate"], node.home / "pki/hub.crt")
        address = node.soap.replace("documents", "phananh")
        yield Client(f"{address}?wsdl", transport=Transport(session=session), wsse=wsse)


@contextmanager
def office(node):
    """Open the system of the other unit, which takes whatever the hub pushes. Yield the paths and bodies of what came."""
    came = []

    def take(call):
        came.append((call.path, call.body.decode()))
        return ServerAnswer(200, ANSWER, "text/xml; charset=utf-8")

    files = node.files("vpub")
    url = tomllib.loads((node.home / "partners/vpub.toml").read_text())["url"]
    port = int(url.split(":")[2].split("/")[0])
    with serve_calls(take, port, make_server_context(files["key"], files["certificate"], files["ca"])):
        yield came


def take_up(nodes):
    """Write the service, its form and its receiver into the configuration of each node, check and reload."""
    for node in nodes:
        define(node.home)
        sender = node.home / "partners/sotttt.toml"
        sender.write_text(re.sub(r"(?m)^calls = \[", 'calls = ["phananh", ', sender.read_text("utf-8")), "utf-8")
        partner = node.home / "partners/vpub.toml"
        text = partner.read_text("utf-8")
        url = tomllib.loads(text)["url"].replace("documents", "{service}")
        partner.write_text(f'services = ["documents", "phananh"]\n{text}\n[settings]\nservice-url = "{url}"\n', "utf-8")
        assert "Dịch vụ phananh: Phản ánh, kiến nghị, SHA-256" in node.cli("check", text=True)
        assert "thêm: services/phananh " in node.cli("reload", text=True)


def test_it_is_taken_up_called_counted_delivered_and_taken_away_while_the_nodes_run(nodes):
    first, last = nodes[0], nodes[-1]
    try:
        take_up(nodes)
        with office(first) as came:
            with called(first) as client, called(last) as other:
                call = {"MaThongDiep": "m-1", "MaDonVi": UNIT, "NoiNhan": [OTHER], "PhanAnh": COMPLAINTS}
                taken = client.bind("phananh", "Soap11").GuiPhanAnh(**call)
                assert taken.Report.IsSuccess is True
                again = other.bind("phananh", "Soap12").GuiPhanAnh(**call)
                assert again.DocumentId == taken.DocumentId, "known to both"
                for node in nodes:  # a wrong definition leaves the old one in force
                    file = node.home / "services/phananh/service.toml"
                    right = file.read_text("utf-8")
                    file.write_text(right.replace('day = "NgayNhan"', 'day = "NgayNhap"'), "utf-8")
                    (mistake,) = node.cli("reload", "--json", code=None)
                    assert mistake["path"] == "services/phananh/service.toml: message[0].fact[0].day"
                    file.write_text(right, "utf-8")
                wrong = {**call, "MaThongDiep": "m-2", "PhanAnh": [COMPLAINTS[0], {**COMPLAINTS[1], "LinhVuc": ""}]}
                with pytest.raises(Fault, match=r"/GuiPhanAnh/PhanAnh\[2\]/LinhVuc"):
                    client.bind("phananh", "Soap11").GuiPhanAnh(**wrong)
            until(lambda: came, "the other unit's system to get it")
            until(lambda: first.states(taken.DocumentId) == {OTHER: ("delivered", 1)}, "it to be settled")
        assert [path for path, _ in came] == ["/soap/phananh"]
        assert "PA-2" in came[0][1]
        for node in nodes:
            (report,) = node.cli("report", UNIT, "2026-12", "--form", "phananh", "--json")
            numbers = {key: report["total"][key] for key in ("nhan", "tra_loi", "tre_han", "hai_long")}
            assert numbers == {"nhan": 2, "tra_loi": 1, "tre_han": 1, "hai_long": 1}
            behind = node.cli("report", UNIT, "2026-12", "--form", "phananh", "--explain", "nhan", "--json")
            assert [(each["id"], each["milestone"]) for each in behind] == [(taken.DocumentId, "nhan")] * 2
        assert first.get("/contracts/phananh.wsdl")[0] == 200
        assert first.get("/contracts/services/phananh/phananh.xsd")[0] == 200
        for node in nodes:
            shutil.rmtree(node.home / "services")
            (node.home / "forms/phananh.toml").unlink()
            partner = node.home / "partners/vpub.toml"
            partner.write_text(partner.read_text("utf-8").replace(', "phananh"', ""), "utf-8")
            sender = node.home / "partners/sotttt.toml"
            sender.write_text(sender.read_text("utf-8").replace('"phananh", ', ""), "utf-8")
            assert ": services/phananh" in node.cli("reload", text=True)
            assert node.get("/contracts/phananh.wsdl")[0] == 404
        (row,) = [each for each in last.cli("messages", "--json") if each["id"] == taken.DocumentId]
        assert (row["service"], row["kind"], row["state"]) == ("phananh", "phan-anh", "accepted")
        facts = last.cli("report", "--facts", "--json")
        assert sorted(each["milestone"] for each in facts) == ["hai-long", "nhan", "nhan", "tra-loi"]
        assert "worker-failed" not in first.log.read_text()
    finally:
        for node in nodes:
            node.close()
