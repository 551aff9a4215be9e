"""The page connect-by-wsdl.md is typed as it stands, and its two offices, of toolkits nobody here wrote, exchange messages with the hub.

The hub begins with nothing of them: what they are is in their WSDLs and in the mappings that the page shows.
"""

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import attrs
import pytest
from lxml import etree

from tests import warm
from tests.interop.building import php_server
from tests.interop.test_clients import letter
from tests.interop.test_servers import post
from tests.interop.toolkits import HERE, Program
from tests.pages import DOCS
from tests.ports import find_free_ports
from tests.running import RunningHub, until
from tests.warm import BIN

pytestmark = pytest.mark.slow

PAGE = DOCS / "howto/connect-by-wsdl.md"
#: What the partners give, beside their certificates: folder -> where the toolkit wrote it.
GIVEN = {"vanban": HERE / "jaxws/wsdl", "tiepnhan": HERE / "php/TiepNhan.wsdl"}
#: So that a test need not wait.
POLICY = ("policy.first-retry=200ms", "policy.max-retry=200ms")


@attrs.define
class Town:
    """A hub, and the two offices that the page connects."""

    place: Path
    hub: RunningHub
    java: Program
    printed: str = ""
    said: dict[str, str] = attrs.field(factory=dict)  #: what each line typed printed
    sent: int = 0

    def type(self, line: str) -> None:
        """Type a line of the page. It must do what it is to do."""
        if line.startswith("lienthong "):
            env = os.environ | {"LANG": "en_US.UTF-8"}
            ran = warm.run([BIN / "lienthong", *shlex.split(line)[1:]], cwd=self.place, env=env)
        else:
            ran = subprocess.run(
                ["bash", "-eu", "-c", line], cwd=self.place, capture_output=True, text=True, check=False
            )
        self.said[line] = ran.stdout + ran.stderr
        self.printed += f"$ {line}\n{self.said[line]}"
        if ran.returncode:
            pytest.fail(self.printed)

    def send(self, what: str, to: str = "H55.21") -> tuple[str, bytes]:
        """Send a document of which the number begins with *what*. Return the hub's id of it, and the packet."""
        self.sent += 1
        packet = letter(f"{what}-{self.sent}", to, sender="H55.13")
        with self.hub.client("sotttt") as client:
            return client.send(packet).document_id, packet

    def told(self, message: str) -> str:
        """Return what `trace` tells of a message and of the attempts to deliver it."""
        return str(self.hub.cli("trace", message, text=True))

    def ends(self, message: str, state: str, office: str = "H55.21") -> str:
        """Wait until the delivery is in that state. Return all that is told of it."""
        try:
            until(lambda: self.hub.states(message)[office][0] == state, f"{message} to be {state}")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.hub.cli('show', message, '--attempts', text=True)}") from late
        return self.told(message)

    def reason(self, message: str) -> str:
        """Return why the delivery is as it is."""
        (line,) = [line for line in self.hub.cli("trace", message, "--json") if line["event"] == "delivery"]
        return str(line["reason"])

    def tell(self, word: str) -> None:
        """Give the office in Java a word."""
        self.java.say(word)
        assert self.java.line() == word

    def taken(self, office: str) -> dict[str, bytes]:
        """Return what an office has, by the id that the hub gave."""
        return {path.name: path.read_bytes() for path in (self.place / office).iterdir() if path.is_file()}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the fenced blocks of a page, in order: language and text."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, java_office: tuple[tuple[object, ...], Path]) -> Iterator[Town]:
    """Type the page where its reader stands: a hub from `lienthong init` that runs, and what the partners gave."""
    place = tmp_path_factory.mktemp("connected")
    java, php = java_office[0], php_server()
    hub = RunningHub(place / "tinh")
    for folder, source in GIVEN.items():
        (place / folder).mkdir()
        for file in source.iterdir() if source.is_dir() else [source]:
            (place / folder / file.name).write_bytes(file.read_bytes())
    ports = dict(zip(("9443", "9444"), map(str, find_free_ports(2)), strict=True))
    with ExitStack() as stack:
        stack.callback(hub.close)
        offices = {}
        for code, command, port in (("sovh", java, ports["9443"]), ("sott", php, ports["9444"])):
            hub.issue(code)
            files = hub.files(code)
            (place / f"{code}.crt").write_bytes(files["certificate"].read_bytes())
            (place / f"has-{code}").mkdir()
            words = [*command, port, files["key"], files["certificate"], files["ca"]]
            if code == "sovh":
                words += [hub.home / "pki/hub.crt", place / "has-sovh", *list(hub.files("vpub").values())[:2]]
            else:
                words += [place / "has-sott"]
            offices[code] = stack.enter_context(Program(words, place / f"{code}.log"))
            assert offices[code].line() == "ready"
        (place / "ca.crt").write_bytes((hub.home / "pki/ca.crt").read_bytes())
        (place / "docs").symlink_to(DOCS)
        hub.start()
        made = Town(place, hub, offices["sovh"])
        follow(made, ports)
        for code in offices:
            hub.cli("partners", "set", code, *POLICY)
        hub.cli("partners", "set", "sovh", "policy.collect=500ms", "--reload")
        yield made


def follow(town: Town, ports: dict[str, str]) -> None:
    """Do what the page says, from top to bottom: type commands, and put a mapping where it says."""
    added = ""
    for language, text in blocks(PAGE):
        mapping = town.hub.home / f"partners/{added}/mapping.toml"
        if text.startswith("[[collect]]"):
            mapping.write_text(f"{mapping.read_text()}\n{text}")
        elif language == "toml":
            fill_in(mapping, text)
        for line in text.splitlines() if language == "sh" else []:
            town.type(re.sub(r"\b944[34]\b", lambda met: ports[met[0]], line))
            added = next(iter(re.findall(r"partners add (\w+)", line)), added)


def fill_in(mapping: Path, text: str) -> None:
    """Replace everything after the table [wsdl.sha256] with *text*."""
    kept = re.match(r".*?^\[wsdl\.sha256\]\n.*?(?=^\s*$|\Z)", mapping.read_text(), re.DOTALL | re.MULTILINE)
    assert kept is not None, mapping.read_text()
    mapping.write_text(f"{kept[0]}\n{text}")


def test_a_call_by_hand_is_signed_believed_and_shows_no_secret(town):
    said = town.said["lienthong -c tinh/hub.toml call sovh dangNhap"]
    for each in ("<tenDangNhap>truc</tenDangNhap>", "<soGiay>3600</soGiay>", "The signature of the answer is good."):
        assert each in said
    assert "the mapping takes this answer as: next" in said, "a login decides nothing of a delivery"
    assert "mat-khau" not in said


@pytest.mark.parametrize(
    ("file", "office", "unit", "number"),
    [("den.edxml", "has-sovh", "H55.21", "DEN-1"), ("den2.edxml", "has-sott", "H55.22", "TN-")],
)
def test_what_the_page_sends_is_taken_and_the_partners_own_number_is_known(town, file, office, unit, number):
    packet = (town.place / file).read_bytes()
    until(lambda: packet in town.taken(office).values(), f"the document at {office}")
    (message,) = [each for each, content in town.taken(office).items() if content == packet]
    assert number in town.ends(message, "delivered", unit)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("khong-nhan", "refused: 4: Không thuộc thẩm quyền."),  # its answer says no
        ("tra-lai", "refused: Thiếu phụ lục."),  # it took it, and returns it
        (
            "sai-mau",
            "refused: SAI_MAU: Gói tin không đúng mẫu.",
        ),  # a fault about the sender, which calls itself the server's
    ],
)
def test_what_the_java_office_will_not_have_is_a_dead_letter_with_its_reason(town, what, reason):
    message, _ = town.send(what)
    town.ends(message, "dead")
    assert town.reason(message) == reason


def test_while_the_java_office_is_busy_the_message_waits(town):
    town.tell("busy")
    message, packet = town.send("cho")
    until(lambda: town.hub.states(message)["H55.21"][1] > 1, "two attempts")
    assert message not in town.taken("has-sovh")
    town.tell("free")
    town.ends(message, "delivered")
    assert town.taken("has-sovh")[message] == packet


def test_a_session_that_the_java_office_has_forgotten_is_opened_anew(town):
    town.tell("forget")
    message, _ = town.send("phien")
    town.ends(message, "delivered")
    assert town.hub.states(message)["H55.21"][1] == 1, "at the first attempt"


@pytest.mark.parametrize("lie", ["unsigned", "altered", "another"])
def test_an_answer_that_the_partner_did_not_sign_is_not_believed(town, lie):
    town.tell(lie)
    message, _ = town.send(lie)
    until(lambda: town.hub.states(message)["H55.21"][1] > 1, "two attempts")
    assert town.hub.states(message)["H55.21"][0] not in {"delivered", "dead"}
    assert "GIA-" not in town.told(message)
    assert "câu trả lời không có chữ ký đúng của đối tác" in town.told(message)
    town.tell("signed")
    assert "DEN-" in town.ends(message, "delivered")


def test_what_waits_at_the_java_office_is_collected_once_and_the_office_is_told(town):
    outgoing = town.place / "has-sovh/di"
    outgoing.mkdir()
    good, bad = letter("cho-lay", "H55.1", sender="H55.21"), letter("nham", "H55.1", sender="H55.13")
    for name, content in (("VB-1", good), ("VB-2", bad)):
        (outgoing / f"{name}.moi").write_bytes(content)
        (outgoing / f"{name}.moi").rename(outgoing / f"{name}.edxml")  # whole, or not there
    until(lambda: {path.name for path in outgoing.iterdir()} == {"VB-1.accepted", "VB-2.refused"}, "both to be told")
    lines = [line for line in town.hub.cli("messages", "--partner", "sovh", "--json") if line["partner"] == "sovh"]
    assert {line["sha256"]: line["state"] for line in lines} == {
        sha256(good).hexdigest(): "accepted",
        sha256(bad).hexdigest(): "refused",
    }
    assert len(lines) == 2


def test_the_java_office_believes_nothing_that_the_hub_did_not_sign(town):
    url = tomllib.loads((town.hub.home / "partners/sovh.toml").read_text())["url"]
    call = '<v:dangNhap xmlns:v="http://vanban.tinh.example.vn/"/>'
    envelope = f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{call}</e:Body></e:Envelope>'
    assert post(town.hub, url, envelope.encode()) == 500
    assert "no Security header" in (town.place / "sovh.log").read_text()


@pytest.mark.parametrize(
    ("what", "reason"),
    [("khong-nhan", "refused: 04: Không thuộc thẩm quyền."), ("sai-mau", "refused: Gói tin không đúng mẫu.")],
)
def test_what_the_php_office_will_not_have_is_a_dead_letter_with_its_reason(town, what, reason):
    message, _ = town.send(what, "H55.22")
    town.ends(message, "dead", "H55.22")
    assert town.reason(message) == reason


def test_while_the_php_office_is_busy_the_message_waits(town):
    message, packet = town.send("dang-ban", "H55.22")
    until(lambda: town.hub.states(message)["H55.22"][1] > 1, "two attempts")
    (town.place / "has-sott/ranh").touch()
    town.ends(message, "delivered", "H55.22")
    assert town.taken("has-sott")[message] == packet


def test_what_the_java_office_itself_serves_can_be_fetched_in_place_of_files(town):
    """JAX-WS makes it anew for whoever asks: ?wsdl, and in it ?wsdl=1 and ?xsd=1, with its own address."""
    partners = town.hub.home / "partners"
    url = tomllib.loads((partners / "sovh.toml").read_text())["url"]
    before = set(partners.iterdir())
    town.type(f"lienthong -c tinh/hub.toml partners add sovh --replace --as-hub --wsdl {url}?wsdl")
    (folder,) = [each for each in set(partners.iterdir()) - before if each.is_dir()]
    files = tomllib.loads((folder / "mapping.toml").read_text())["wsdl"]["sha256"]
    given = tomllib.loads((partners / "sovh/mapping.toml").read_text())["wsdl"]["sha256"]
    assert len(files) == len(given) == 4
    assert definitions(folder / name for name in files) == definitions(partners / "sovh" / name for name in given)


def definitions(files: Iterable[Path]) -> list[str]:
    """Return what these files define, whichever defines it: all but what they import, and where the service is."""
    found = [part for file in files for part in etree.parse(file).getroot().iterchildren("*")]
    kept = [part for part in found if etree.QName(part).localname not in {"types", "import", "service"}]
    return sorted(etree.canonicalize(etree.tostring(part, encoding="unicode"), strip_text=True) for part in kept)


def test_a_new_version_in_soap_12_with_octets_beside_the_envelope_takes_the_place_of_the_old_one(town):
    """The mapping goes on as it is, but for the signatures: WSS4J 1.6 knows none of MTOM."""
    partners, lienthong = town.hub.home / "partners", "lienthong -c tinh/hub.toml partners"
    url = tomllib.loads((partners / "sovh.toml").read_text())["url"]
    before = set(partners.glob("sovh*/mapping.toml"))
    town.type(f"{lienthong} add sovh --replace --wsdl vanban/VanBanDenMtomService.wsdl")
    (mapping,) = set(partners.glob("sovh*/mapping.toml")) - before
    text = mapping.read_text().replace('service = "VanBanDenService"', 'service = "VanBanDenMtomService"\nmtom = true')
    mapping.write_text(text.replace("sign = true", "").replace("verify = true", ""))
    named = mapping.relative_to(partners)
    town.type(f"{lienthong} set sovh settings.mapping={named} url={url.replace('/vanban', '/mtom')} --reload")
    message, packet = town.send("mtom")
    assert "DEN-" in town.ends(message, "delivered")
    assert town.taken("has-sovh")[message] == packet
    assert 'start-info="application/soap+xml"' in (town.place / "sovh.log").read_text(), "as it came in"
