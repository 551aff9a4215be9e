"""`lienthong what-if`: other schemas, another policy, another form; nothing is sent or written."""

import re
import shutil
from pathlib import Path

import attrs
import pytest

from hub.domain.model import DeliveryState, Problem
from hub.journal import messages
from hub.store import transactions
from tests import homes
from tests.cli.test_cli_corrected import DOCUMENT, PACKET, WRONG
from tests.cli.test_cli_replays import rows
from tests.conftest import ROOT
from tests.homes import Type, engine_of
from tests.journal.test_replay_plans import push, read
from tests.province import ROUTES, document, entry


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A hub with a normal packet, one that departs from the standard, and a refused one."""
    home = homes.begin(tmp_path_factory.mktemp("what") / "tinh")
    deviates = PACKET.replace(b"<Type>1<", b"<Type>x<").replace(b"15/SNV", b"16/SNV")
    for number, content in enumerate((PACKET, deviates, WRONG), 1):
        made = entry(document("H55.13", "H55.01", document_id=DOCUMENT), number, content=content)
        keep(home, made if content != WRONG else attrs.evolve(made, problems=REFUSED, receipt=None))
    push(engine_of(home), DeliveryState.DELIVERED)
    return home


REFUSED = (Problem("R.TraceHeaderList.Bussiness.BussinessDocType", "9"),)


def keep(home, made):
    with transactions.write_transaction(engine_of(home)) as tx:
        messages.record_message(tx, made, ROUTES)


@pytest.fixture
def type_(home) -> Type:
    return homes.typing(home)


def written(home):
    return read(engine_of(home), lambda tx: tx.exec_driver_sql("SELECT max(serial) FROM event").scalar())


def test_a_stricter_policy_would_refuse_what_is_tolerated(home, type_):
    before = written(home)
    (found,) = rows(type_("what-if", "--policy", "profile=strict", "--json"), 1)
    assert (found["effect"], found["problems"][0]["code"].rpartition(".")[2]) == ("would-refuse", "Type")
    assert found["problems"][0]["line"] is not None
    said = type_("what-if", "--policy", "profile=strict", language="vi")
    assert ("sẽ bị từ chối" in said.stdout, "3 gói tin" in said.stderr) == (True, True)
    assert type_("what-if", "--policy", "profile=strict", "--partner", "vpcp").exit_code == 0
    signed = rows(type_("what-if", "--policy", "signature=both", "--json"), 1)
    assert {each["problems"][0]["code"] for each in signed} == {"packet-unsigned"}
    assert len(rows(type_("what-if", "--policy", "signature=both", "-n", "1", "--json"), 1)) == 1
    assert written(home) == before


@pytest.mark.slow
def test_other_schemas_refuse_and_accept(home, type_, tmp_path):
    folder = shutil.copytree(ROOT / "xsd/qcvn102", tmp_path / "xsd")
    assert type_("what-if", "--schema", str(folder)).exit_code == 0, "they are the same"
    place = shutil.copytree(folder, tmp_path / "shorter") / "observed/document.xsd"
    text = place.read_text("utf-8")
    shorter = re.sub(r'(<xs:simpleType name="Subject">.*?maxLength value=")[0-9]+', r"\g<1>5", text, flags=re.DOTALL)
    assert shorter != text
    place.write_text(shorter, "utf-8")
    found = rows(type_("what-if", "--schema", str(place.parent.parent), "--json"), 1)
    assert [each["effect"] for each in found] == ["other-reasons", "would-refuse", "would-refuse"]
    assert {each["code"].rpartition(".")[2] for each in found[1]["problems"]} == {"Subject"}
    assert [each["state"] for each in found] == ["refused", "accepted", "accepted"]
    broken_file = shutil.copytree(folder, tmp_path / "broken") / "observed/document.xsd"
    broken_file.write_text("<a/>", "utf-8")
    broken = type_("what-if", "--schema", str(broken_file.parent.parent))
    assert (broken.exit_code, "no schemas of packets" in broken.stderr) == (2, True)


def test_another_form_shows_the_cells_that_differ(home, type_, tmp_path):
    form = (ROOT / "hub/report/forms/edoc.toml").read_text("utf-8")
    same = tmp_path / "edoc.toml"
    same.write_text(form, "utf-8")
    words = ("what-if", "--form", str(same), "--period", "2026-12", "--unit", "H55.13")
    assert type_(*words).exit_code == 0
    same.write_text(form.replace('where = { signature = "valid" }', 'where = { signature = "unsigned" }'), "utf-8")
    found = rows(type_(*words, "--json"), 1)
    assert all((each["unit"], each["before"], each["after"]) != ("H55.13", 0, 0) for each in found)
    assert any(each["after"] for each in found)
    assert "would differ" in type_(*words).stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "say what to try"),
        (("--policy", "rate=1/s"), "profile"),
        (("--policy", "profile=strange"), "profile"),
        (("--form", "FORM"), "--period"),
        (("--form", "FORM", "--period", "2026-11", "--partner", "vpub"), "--form"),
        (("--form", "FORM", "--period", "never"), "never"),
        (("--policy", "profile=strict", "--service", "dossiers"), "packets"),
    ],
)
def test_what_cannot_be_tried_is_said(type_, words, told):
    form = str(ROOT / "hub/report/forms/edoc.toml")
    done = type_("what-if", *(form if each == "FORM" else each for each in words))
    assert (done.exit_code, told in done.stderr) == (2, True), done.output


def test_a_unit_that_is_unknown_is_said(type_):
    form = str(ROOT / "hub/report/forms/edoc.toml")
    assert type_("what-if", "--form", form, "--period", "2026-11", "--unit", "H55.77").exit_code == 4
