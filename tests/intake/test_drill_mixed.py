"""What names test units of a drill and other units at once is refused, and what a drill reports is delivered to nobody."""

from datetime import UTC, datetime

import attrs
import pytest

from hub import config
from hub.domain.errors import Rejected
from hub.domain.model import Fact, Receive, Record, Unit, UnitKind
from hub.edxml.packet import read_packet
from hub.intake import admission
from hub.intake.enclosures import _Permission
from hub.services import list_services
from hub.units.province import Province
from tests import dossiers, homes
from tests.packets import letter

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
UNITS = [
    Unit("H55", "Tỉnh"),
    Unit("H55.13", "Sở", "H55"),
    Unit("H55.K01", "Gốc thử", kind=UnitKind.DRILL),
    Unit("H55.K01.1", "Đơn vị thử", "H55.K01", kind=UnitKind.DRILL),
]


@pytest.fixture(scope="module", name="province")
def _province(tmp_path_factory):
    made = config.read_config(homes.begin(tmp_path_factory.mktemp("made") / "tinh") / "hub.toml")
    partners = {
        "any": config.Partner(code="any", name="", certificates=(), units=("*",), receive=Receive.NONE),
        "kiemtra": config.Partner(
            code="kiemtra", name="", certificates=(), units=("H55.13", "H55.K01", "H55.K01.1"), receive=Receive.FETCH
        ),
        "portal": config.Partner(
            code="portal", name="", certificates=(), receive=Receive.PUSH, url="https://x/", services=("dossiers",)
        ),
    }
    return Province.of(attrs.evolve(made, partners=partners, upstream=""), UNITS)


def routed(province, sender, *recipients):
    packet = read_packet(letter(sender, recipients, document_id="D1"))
    try:
        return [route.recipient for route in admission.authorise_call(packet, "any", province, NOW)]
    except Rejected as rejected:
        return [problem.code for problem in rejected.problems]


def test_a_document_goes_from_test_unit_to_test_unit_or_from_others_to_others(province):
    assert routed(province, "H55.K01", "H55.K01.1") == ["H55.K01.1"]
    assert routed(province, "H55.K01", "H55.K01.1", "H55.13") == ["drill-mixed"]
    assert routed(province, "H55.13", "H55.K01") == ["drill-mixed"]
    assert routed(province, "H55.K01", "G22") == ["drill-mixed"]


def synced(province, unit, code):
    content = dossiers.sync(dossiers.hoso(code), organ=unit)
    return admission.judge_record(list_services()["dossiers"], content, None, "any", province, NOW, "id")


def test_dossiers_of_a_test_unit_have_its_code_and_reach_no_portal(province):
    ours = synced(province, "H55.K01.1", "H55.K01.1-261124-0001")
    assert (ours.problems, ours.routes) == ((), ())
    real = synced(province, "H55.13", "H55.13-261124-0001")
    assert [route.partner for route in real.routes] == ["portal"]


@pytest.mark.parametrize(
    ("unit", "code"),
    [("H55.K01.1", "H55.13-261124-0001"), ("H55.K01.1", "tu-dat"), ("H55.13", "H55.K01.1-261124-0001")],
)
def test_a_dossier_of_another_world_is_refused(province, unit, code):
    assert [problem.code for problem in synced(province, unit, code).problems] == ["drill-mixed"]


def test_a_record_tells_of_one_world_only():
    fact = Fact(unit="H55.K01", service="mail", key="1", milestone="m", at=NOW, message="id")
    record = Record(kind="usage", sender="H55.13", facts=(fact,))
    assert set(admission.list_named_units(record)) == {"H55.13", "H55.K01"}


def test_an_attachment_yields_no_results_of_the_other_kind(province):
    may_tell = _Permission("kiemtra", "H55.K01", province.routes)
    assert (may_tell("H55.K01.1"), may_tell("H55.13")) == (True, False)
    assert [problem.code for problem in may_tell.refusals()] == ["drill-mixed"]
