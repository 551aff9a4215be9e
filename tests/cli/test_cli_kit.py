"""`lienthong partners kit`: the checklist of a partner, and the file for its developers."""

import json
from zipfile import ZipFile

import pytest

from hub.domain.ids import make_id
from hub.domain.model import Event
from hub.journal import events
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
