"""A partner by its WSDL at the command line: added, checked, called by hand, put in force, and given a new version."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from hub.cli.partner import call
from hub.config import read_config
from hub.domain.conversations import Reply, Request
from hub.journal import event_index
from hub.journal.event_index import EventFilter
from hub.partner.partner_calls import PartnerOperation
from hub.runtime.http_client import Unreachable
from hub.store import transactions
from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall, serve_calls
from tests import homes
from tests.conftest import ROOT
from tests.homes import Type
from tests.waiting import PROGRAM

JAVA = ROOT / "tests/interop/jaxws/wsdl"
NEEDED = ("VanBanDenService.wsdl", "VanBanDen.wsdl", "VanBanDen_schema1.xsd", "VanBanDen_schema2.xsd")
SPACE = "http://vanban.tinh.example.vn/"
PASSWORD = "mật<khẩu>"
#: What a person fills in, by what stands in the mapping.
FILLED = {
    '# "tenDangNhap" = ""': '"tenDangNhap" = "{settings.user}"',
    '# "matKhau" = ""': '"matKhau" = "{secrets.password}"',
    '# [deliver.keep]\n# NAME = "PATH"': '[deliver.keep]\nma = "phien/ma"',
    '# "maPhien" = ""': '"maPhien" = "{kept.ma}"',
    '# "vanBan/maTin" = ""': '"vanBan/maTin" = "{message.id}"',
    '# "vanBan/noiNhan" = ""': '"vanBan/noiNhan" = "{recipients}"',
    '# "vanBan/noiDung"': '"vanBan/noiDung"',
}


def answer(content: str) -> bytes:
    envelope = "http://schemas.xmlsoap.org/soap/envelope/"
    return f'<e:Envelope xmlns:e="{envelope}"><e:Body>{content}</e:Body></e:Envelope>'.encode()


SESSION = answer(
    f'<t:dangNhapResponse xmlns:t="{SPACE}"><phien><ma>p1</ma><soGiay>60</soGiay></phien></t:dangNhapResponse>'
)
FAULT = answer(
    "<e:Fault xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><faultcode>e:Client</faultcode><faultstring>sai mật khẩu</faultstring></e:Fault>"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with the partner `dvc`, whose mapping is to be filled in."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    added = homes.typing(home)(
        *words(), "--unit", "H55.77", "--url", "http://127.0.0.1:9/x", "--policy", "transport=plain"
    )
    assert added.exit_code == 0, added.output
    return home


def words(*more: str) -> tuple[str, ...]:
    said = ("partners", "add", "dvc", "--wsdl", str(JAVA / "VanBanDenService.wsdl"))
    return (*said, "--operation", "dangNhap", "--operation", "guiVanBan", *more)


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tinh"))


@pytest.fixture
def typed(home: Path) -> Type:
    return homes.typing(home)


def fill_in(home: Path, wanted: dict[str, str] | None = None) -> None:
    mapping = home / "partners/dvc/mapping.toml"
    text = mapping.read_text("utf-8")
    for empty, filled in (FILLED if wanted is None else wanted).items():
        assert empty in text, empty
        text = text.replace(empty, filled, 1)
    mapping.write_text(text, "utf-8")
    homes.lay_secret(home, "dvc", "pw", PASSWORD)


@pytest.fixture
def filled(home: Path, typed: Type) -> Path:
    fill_in(home)
    assert typed("partners", "set", "dvc", "settings.user=truc", "settings.password-file=pw").exit_code == 0
    return home


class TestAdding:
    def test_the_files_stand_beside_the_mapping_and_nothing_is_pushed_yet(self, home: Path) -> None:
        partner = read_config(home / "hub.toml").partners["dvc"]
        assert (partner.adapter, partner.receive, partner.folder) == ("soap", "none", "dvc")
        assert {name: content for name, content in partner.files.items() if name != "mapping.toml"} == {
            name: (JAVA / name).read_bytes() for name in NEEDED
        }

    def test_a_mapping_in_the_making_keeps_no_hub_from_starting(self, home: Path, typed: Type) -> None:
        fill_in(home, {'# "maPhien" = ""': '"maPhienn" = "{settings.x}"'})
        checked = typed("check")
        assert checked.exit_code == 0
        assert 'deliver[2].input."maPhienn"' in checked.stderr

    def test_in_force_it_must_fit(self, home: Path, typed: Type) -> None:
        fill_in(home, {'# "maPhien" = ""': '"maPhienn" = "x"'})
        refused = typed("partners", "set", "dvc", "receive=push")
        assert refused.exit_code == 78
        assert "one of maPhien, vanBan" in refused.stderr
        assert read_config(home / "hub.toml").partners["dvc"].receive == "none"

    def test_which_operation_is_asked_for_where_there_are_several(self, home: Path, typed: Type) -> None:
        asked = typed("partners", "add", "dvc2", "--wsdl", str(JAVA / "VanBanDenService.wsdl"))
        assert asked.exit_code == 2
        assert "dangNhap, guiVanBan, xemTinhTrang" in asked.stderr
        assert not (home / "partners/dvc2").exists()

    def test_nothing_is_written_by_a_dry_run(self, home: Path, typed: Type) -> None:
        shutil.rmtree(home / "partners/dvc")
        (home / "partners/dvc.toml").unlink()
        result = typed(*words("--dry-run", "--json"))
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["files"][-1].endswith("partners/dvc.toml")
        assert not (home / "partners/dvc").exists()

    def test_a_folder_that_is_there_is_not_written_over(self, home: Path, typed: Type) -> None:
        (home / "partners/dvc.toml").unlink()
        before = (home / "partners/dvc/mapping.toml").read_bytes()
        assert typed(*words()).exit_code == 1
        assert (home / "partners/dvc/mapping.toml").read_bytes() == before

    def test_a_new_version_is_laid_beside_the_one_in_force(self, filled: Path, typed: Type, tmp_path: Path) -> None:
        new = Path(shutil.copytree(JAVA, tmp_path / "new"))
        schema = new / "VanBanDen_schema1.xsd"
        schema.write_text(schema.read_text("utf-8").replace('name="noiNhan"', 'name="donViNhan"'), "utf-8")
        before = read_config(filled / "hub.toml").partners["dvc"]
        laid = typed("partners", "add", "dvc", "--wsdl", str(new / "VanBanDenService.wsdl"), "--replace", "--json")
        assert json.loads(laid.stdout)["folder"] == "partners/dvc-2"
        assert read_config(filled / "hub.toml").partners["dvc"] == before
        judged = typed("partners", "set", "dvc", "settings.mapping=dvc-2/mapping.toml", "--dry-run")
        assert 'partners/dvc-2/mapping.toml: deliver[2].input."vanBan/noiNhan"' in judged.stderr


class TestChecking:
    def test_a_complete_mapping_has_no_mistake(self, filled: Path, typed: Type) -> None:
        checked = typed("check")
        assert (checked.exit_code, checked.stderr) == (0, "")

    def test_a_sample_message_shows_what_no_value_is_given_for(self, filled: Path, typed: Type) -> None:
        fill_in(filled, {'"vanBan/noiNhan" = "{recipients}"': ""})
        checked = typed("check")
        assert "deliver[2]" in checked.stderr
        assert "noiNhan" in checked.stderr

    def test_of_a_partner_that_is_called_that_is_a_mistake(self, filled: Path, typed: Type) -> None:
        fill_in(filled, {'"vanBan/noiNhan" = "{recipients}"': ""})
        refused = typed("partners", "set", "dvc", "receive=push")
        assert refused.exit_code == 78
        assert "noiNhan" in refused.stderr
        fill_in(filled, {"# vanBan: optional": '"vanBan/noiNhan" = "{recipients}"'})
        assert typed("partners", "set", "dvc", "receive=push").exit_code == 0
        assert typed("check").exit_code == 0

    def test_whatever_zeep_makes_of_a_schema_the_hub_starts(
        self, filled: Path, typed: Type, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_words: object, **_more: object) -> object:
            raise TypeError("zeep")

        monkeypatch.setattr(PartnerOperation, "build", fail)
        checked = typed("check")
        assert checked.exit_code == 0
        assert "TypeError: zeep" in checked.stderr

    def test_and_what_a_schema_does_not_allow(self, filled: Path, typed: Type) -> None:
        schema = filled / "partners/dvc/VanBanDen_schema1.xsd"
        short = (
            '<xs:simpleType><xs:restriction base="xs:string"><xs:maxLength value="3"/></xs:restriction></xs:simpleType>'
        )
        text = schema.read_text("utf-8").replace(
            '<xs:element name="maTin" type="xs:string"/>', f'<xs:element name="maTin">{short}</xs:element>'
        )
        schema.write_text(text, "utf-8")
        mapping = filled / "partners/dvc/mapping.toml"
        found = typed("check").stderr
        sha256 = next(word for word in found.split() if len(word) == 64)
        lines = mapping.read_text("utf-8").splitlines()
        lines = [f'"{schema.name}" = "{sha256}"' if line.startswith(f'"{schema.name}"') else line for line in lines]
        mapping.write_text("\n".join(lines), "utf-8")
        checked = typed("check")
        assert checked.exit_code == 0
        assert "maTin: " in checked.stderr
        assert "maxLength" in checked.stderr


Play = Callable[[bytes | Exception], list[Request]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Lets the partner answer as told, and returns what it was sent."""

    def told_to(reply: bytes | Exception) -> list[Request]:
        sent: list[Request] = []

        def hold(_config: object, _partner: object, talk: Any, watch: Any) -> object:
            request = next(talk)
            sent.append(request)
            if isinstance(reply, Exception):
                raise reply
            got = Reply(500 if b"Fault" in reply else 200, reply, {"content-type": "text/xml", "set-cookie": "s"})
            watch(request, got)
            with pytest.raises(StopIteration) as end:
                talk.send(got)
            return end.value.value

        monkeypatch.setattr(call, "hold_conversation", hold)
        return sent

    return told_to


class TestCalling:
    def test_both_envelopes_are_shown_and_no_secret(self, filled: Path, typed: Type, play: Play) -> None:
        sent = play(SESSION)
        called = typed("call", "dvc", "dangNhap")
        assert called.exit_code == 0, called.output
        assert "<tenDangNhap>truc</tenDangNhap>" in called.stdout
        assert "<ma>p1</ma>" in called.stdout
        assert "mật&lt;khẩu&gt;".encode() in sent[0].body
        assert "khẩu" not in called.output
        assert "•••" in called.stdout

    def test_what_is_only_shown_says_that_it_was_not_sent(self, filled: Path, typed: Type) -> None:
        shown = {words: typed("call", "dvc", "dangNhap", "--dry-run", *words).stdout for words in ((), ("--json",))}
        assert shown[()].startswith("Request, not sent: http")
        assert json.loads(shown[("--json",)])["sent"] is False

    def test_that_a_person_called_is_recorded_and_not_with_what(self, filled: Path, typed: Type, play: Play) -> None:
        play(SESSION)
        for words in (("--dry-run",), ("khongCo=1",), ("--reason", "thử nối")):
            typed("call", "dvc", "dangNhap", *words)
        engine = homes.engine_of(filled)
        with transactions.read_transaction(engine) as tx:
            (event,) = event_index.find_events(tx, EventFilter(name="partner-called"), 10).found
        engine.dispose()
        assert event.fields["operation"] == "dangNhap"
        assert event.fields["reason"] == "thử nối"
        assert set(event.fields) == {"event", "at", "partner", "operation", "by", "reason"}

    def test_what_a_person_gives_comes_before_the_mapping(self, filled: Path, typed: Type, play: Play) -> None:
        play(SESSION)
        fields = json.loads(typed("call", "dvc", "dangNhap", "tenDangNhap=khac", "--json").stdout)
        assert "<tenDangNhap>khac</tenDangNhap>" in fields["request"]["body"]
        assert fields["then"] == "next"
        assert (fields["status"], fields["fault"]) == (200, None)

    def test_a_fault_is_told_and_exits_1(self, filled: Path, typed: Type, play: Play) -> None:
        play(FAULT)
        called = typed("call", "dvc", "dangNhap")
        assert called.exit_code == 1
        assert "sai mật khẩu" in called.stdout

    @pytest.mark.parametrize("reply", [b"<html/>", Unreachable("no route")], ids=["a-page", "nothing"])
    def test_no_answer_that_can_be_read_exits_69(
        self, filled: Path, typed: Type, play: Play, reply: bytes | Exception
    ) -> None:
        play(reply)
        assert typed("call", "dvc", "dangNhap").exit_code == 69

    def test_an_unsigned_answer_is_not_believed_where_it_must_be_signed(
        self, filled: Path, typed: Type, play: Play
    ) -> None:
        fill_in(filled, {"# verify = true": "verify = true"})
        play(SESSION)
        called = typed("call", "dvc", "dangNhap", "--json")
        assert called.exit_code == 69
        assert json.loads(called.stdout)["verified"] is False

    def test_a_file_gives_octets_and_a_long_text_is_shortened(self, filled: Path, typed: Type) -> None:
        file = filled / "goi-tin.xml"
        file.write_bytes(b"x" * 3000)
        given = (
            "call",
            "dvc",
            "guiVanBan",
            f"vanBan/noiDung=@{file}",
            "vanBan/maTin=1",
            "vanBan/noiNhan=a",
            "--dry-run",
        )
        shown = typed(*given)
        assert shown.exit_code == 0, shown.output
        assert "3,800 characters" in shown.stdout
        assert len(shown.stdout) < 2000
        assert "eHh4" * 900 in typed(*given, "--full").stdout

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            (("nobody", "x"), 4),
            (("vpub", "x"), 2),
            (("dvc", "khong-co"), 2),
            (("dvc", "dangNhap", "khongCo=1"), 2),
            (("dvc", "dangNhap", "tenDangNhap"), 2),
            (("dvc", "dangNhap", "tenDangNhap=@/khong/co"), 2),
            (("dvc", "dangNhap", "tenDangNhap={message.id}"), 2),
        ],
    )
    def test_what_cannot_be_called_is_told_before_anything_is_sent(
        self, filled: Path, typed: Type, given: tuple[str, ...], code: int
    ) -> None:
        refused = typed("call", *given, "--dry-run")
        assert refused.exit_code == code, refused.output
        assert "Traceback" not in refused.output


@pytest.fixture
def office() -> Generator[tuple[str, list[bytes]]]:
    """A server that opens a session, and what it was sent."""
    bodies: list[bytes] = []

    def answer(call: ServerCall) -> ServerAnswer:
        bodies.append(call.body)
        return ServerAnswer(200, SESSION, "text/xml")

    with serve_calls(answer) as server:
        yield f"{server.url}/x", bodies


@pytest.mark.slow
def test_a_call_goes_over_the_hubs_own_sender(filled: Path, typed: Type, office: tuple[str, list[bytes]]) -> None:
    url, bodies = office
    assert typed("partners", "set", "dvc", f"url={url}").exit_code == 0
    run = (sys.executable, "-c", "from hub.cli import main; main()", "-c", str(filled / "hub.toml"))
    done = subprocess.run(
        [*run, "call", "dvc", "dangNhap", "--json"], capture_output=True, cwd=ROOT, check=False, timeout=PROGRAM
    )
    assert done.returncode == 0, done.stderr
    assert "<ma>p1</ma>" in json.loads(done.stdout)["reply"]["body"]
    (body,) = bodies
    assert b"<tenDangNhap>truc</tenDangNhap>" in body


class TestOtherServices:
    """`check` makes a sample of each message of the services that a partner takes."""

    @pytest.fixture
    def dossiers(self, home: Path) -> Path:
        shutil.copytree(ROOT / "adapters/soap/samples/dichvu", home / "partners/dossiers")
        for name in ("id", "secret"):
            homes.lay_secret(home, "dossiers", name, "x")
        (home / "partners/dossiers.toml").write_text(
            'certificates = []\nadapter = "soap"\nservices = ["dossiers"]\nunits = ["H55.77"]\ncalls = []\n'
            'url = "https://doitac.example.vn/x"\n[policy]\ntransport = "tls"\n[settings]\n'
            'mapping = "dossiers/dossiers.toml"\nsystem = "LT"\ntoken-url = "https://doitac.example.vn/token"\n'
            'client-id-file = "id"\nclient-secret-file = "secret"\n',
            "utf-8",
        )
        return home / "partners/dossiers/dossiers.toml"

    def test_a_mapping_is_tried_with_each_kind_of_message(self, dossiers: Path, typed: Type) -> None:
        found = typed("check").stderr
        assert "dossiers, progress" in found, "it has no HoSo"
        assert "dossiers, dossiers" not in found
        text = dossiers.read_text("utf-8")
        only = 'only = { "message.service" = "dossiers"'
        dossiers.write_text(text.replace(only, f'{only}, "message.kind" = "sync"'), "utf-8")
        checked = typed("check")
        assert (checked.exit_code, checked.stderr) == (0, "")

    @pytest.mark.parametrize(
        ("right", "wrong", "place"),
        [
            ("read yyyyMMddHHmmss | date dd/MM/yyyy", "read dd/MM/yyyy", "deliver[1]: dossiers, dossiers: "),
            ('"ma" = "{item.MaHoSo}"', "", 'deliver[1].input."danhSach/hoSo/ma": '),
        ],
    )
    def test_what_no_dossier_would_fit_is_told(
        self, dossiers: Path, typed: Type, right: str, wrong: str, place: str
    ) -> None:
        text = dossiers.read_text("utf-8")
        assert right in text
        dossiers.write_text(text.replace(right, wrong), "utf-8")
        checked = typed("check")
        assert checked.exit_code == 0
        assert f"partners/dossiers/dossiers.toml: {place}" in checked.stderr
