"""`lienthong partners kit`: the checklist of a partner, and the file for its developers."""

import json
import re
from zipfile import ZipFile

import pytest
from cryptography import x509

from hub.domain.ids import make_id
from hub.domain.model import Event
from hub.journal import events
from hub.security.certificates import hash_certificate
from hub.store import transactions
from tests import homes
from tests.province import NOW


@pytest.fixture
def home(tmp_path):
    return homes.begin(tmp_path / "tinh")


def test_the_checklist_shows_what_came(home):
    engine = homes.engine_of(home)
    with transactions.write_transaction(engine) as tx:
        told = {"partner": "sotttt", "code": "unsigned", "tracking": make_id(NOW)}
        events.append_events(tx, Event("call-refused", NOW, body=told))
    engine.dispose()
    typed = homes.typing(home, "partners", "kit", "sotttt")
    lines = typed().stdout.splitlines()
    assert lines[0].startswith("[x] The first call came")
    assert "[ ] A document was accepted" in lines
    steps = [json.loads(line) for line in typed("--json").stdout.splitlines()]
    assert {each["step"] for each in steps if each["at"]} == {"called", "certificate", "refused"}


def test_the_file_is_written_and_a_partner_that_is_not_there_is_an_error(home, tmp_path):
    typed = homes.typing(home, "partners", "kit")
    done = typed("vpub", "-o", str(tmp_path / "vpub.zip"), "--json")
    assert done.exit_code == 0, done.output
    (said,) = [each for each in map(json.loads, done.stdout.splitlines()) if each["kind"] == "kit"]
    assert said["size"] == (tmp_path / "vpub.zip").stat().st_size
    with ZipFile(tmp_path / "vpub.zip") as archive:
        assert "guide.html" in archive.namelist()
    assert typed("nobody").exit_code == 4


def test_a_letter_says_in_both_languages_what_to_send_back(home, tmp_path):
    typed = homes.typing(home, "partners", "invite")
    file = tmp_path / "vpub-moi.zip"
    done = typed("vpub", "-o", str(file), "--contact", "Trần Văn A,\n0261 123", "--window", "x" * 300)
    assert done.exit_code == 0, done.output
    with ZipFile(file) as archive:
        assert "guide.html" in archive.namelist()
        vietnamese, english = (archive.read(name).decode() for name in ("thu-moi.txt", "letter.txt"))
        (address,) = set(re.findall(r'soap:address location="([^"]+)"', archive.read("documents.wsdl").decode()))
        own = x509.load_pem_x509_certificate(archive.read("certificates/hub.crt"))
    for letter in (vietnamese, english):
        assert address in letter
        assert hash_certificate(own) in letter
        assert "   - Trần Văn A, 0261 123\n" in letter
        assert "x" * 200 in letter
        assert "x" * 201 not in letter
        assert "PKCS #10" in letter
        assert "PRIVATE" not in letter
    assert ("Đề nghị gửi lại" in vietnamese, "Please send back" in english) == (True, True)
    assert ("huong-dan.html" in vietnamese, "guide.html" in english) == (True, True)
    assert typed("nobody").exit_code == 4


def test_without_words_of_the_operator_the_letter_asks_for_them(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert homes.typing(home, "partners", "invite")("sotttt").exit_code == 0
    with ZipFile(tmp_path / "lienthong-sotttt-invitation.zip") as archive:
        assert "Please suggest a day and hours" in archive.read("letter.txt").decode()
