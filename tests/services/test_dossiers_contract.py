"""The published contract of the dossiers service: what a stock client reads from it, and that two judges of schemas agree on it."""

import hashlib
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from zeep.exceptions import Fault

from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import xsd_schemas
from hub.services.dossiers import history, read_dossier_call
from hub.soap import envelope, wsdl
from tests import wsdls
from tests.dossiers import NAMESPACE, NUMBERS, ORDER, hoso, progress, statistic, sync, tiendo

OPERATIONS = {"SyncDossiers", "UpdateDossierProgress", "SubmitStatistic", "GetDossier"}
NOON = datetime(2026, 11, 30, 5, tzinfo=UTC)
PATH = xsd_schemas.find_schema_root() / "xsd/lienthong/1/dossiers.xsd"


@pytest.fixture(scope="module")
def dossiers():
    return wsdl.load_contract("dossiers")


@pytest.fixture(scope="module")
def zeep():
    return wsdls.client("dossiers")


# --- what is published ----------------------------------------------------------------------------------------------------


def test_the_wsdl_offers_exactly_the_operations_that_are_served(dossiers):
    wsdls.offers_exactly(dossiers, NAMESPACE, OPERATIONS)


def test_a_stock_client_loads_the_served_wsdl_by_its_links_alone(dossiers):
    wsdls.loads_by_its_links_alone(dossiers, "dossiers", OPERATIONS)


def test_the_wsdl_keeps_the_basic_profile(dossiers):
    wsdls.keeps_the_basic_profile(dossiers, "dossiers", OPERATIONS)


# --- a stock client and our validation agree ------------------------------------------------------------------------------

FULL = hoso(
    **dict.fromkeys(("SoBienNhan", "MaDoiTuong", "Email", "HinhThuc", "GhiChu", "MaCSDL", "TrangThaiThanhToan"), "x"),
    TaiLieuNop=[{"TepDinhKemId": "1", "TenTepDinhKem": "don.pdf", "IsDeleted": "false", "DuongDanTaiTepTin": "https://a/1"}] * 2,
    DanhSachLePhi=[{"TenPhiLePhi": "Lệ phí", "HinhThucThu": "1", "Gia": "20000", "LoaiPhiLePhi": "1"}],
    DanhSachTepDinhKemKhac=[{"TenGiayTo": "CCCD", "SoLuong": 1, "LoaiGiayTo": "1"}],
    DanhSachHoSoBoSung=[
        {
            "HoSoBoSungId": "b",
            "NgayBoSung": "20261121080000",
            "DanhSachGiayToBoSung": [{"TenGiayTo": "Giấy khác"}],
            "DanhSachLePhiBoSung": [{"Gia": "0"}],
            "NgayHenTraMoi": "20261130170000",
        }
    ],
    DanhSachGiayToKetQua=[{"TenGiayTo": "Kết quả", "GiayToId": "k"}],
)  # fmt: skip

CALLS: dict[str, tuple[dict[str, Any], bytes]] = {
    "SyncDossiers": ({"OrganId": "H55.13", "HoSo": [FULL, hoso("2")]}, sync(FULL, hoso("2"))),
    "UpdateDossierProgress": ({"OrganId": "H55.13", "TienDo": [tiendo()]}, progress(tiendo())),
    "SubmitStatistic": ({"OrganId": "H55.13", "MStatistic": {**NUMBERS, "IsMonthStatistic": True}}, statistic()),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_a_stock_client_writes_is_a_valid_call_and_reads_as_what_was_written_by_hand(dossiers, zeep, name):
    fields, by_hand = CALLS[name]
    opened = envelope.open_envelope(zeep.create_message(zeep.service, name, MessageId="m-1", **fields))
    dossiers.validate(opened.child)
    assert dossiers.operation(opened.child).name == name
    content = etree.tostring(opened.child, method="c14n", exclusive=True)
    assert read_dossier_call(content, NOON, "m") == read_dossier_call(by_hand, NOON, "m")


def test_every_field_of_a_dossier_may_be_told(dossiers):
    text = {name: "1" for name in ORDER if not name.startswith(("DanhSach", "TaiLieu", "Ngay", "Han"))}
    moments = dict.fromkeys((name for name in ORDER if name.startswith(("Ngay", "Han"))), "20261126090000")
    dossiers.validate(etree.fromstring(sync(hoso(**text, **moments))))


def heard(zeep, name, element):
    binding = zeep.wsdl.services["Dossiers"].ports["DossiersSoap11"].binding
    octets = envelope.write_unsigned_envelope(element)
    reply = SimpleNamespace(
        status_code=200, headers={"Content-Type": envelope.CONTENT_TYPE}, content=octets, encoding="utf-8"
    )
    return binding.process_reply(zeep, binding.get(name), reply)


def test_a_stock_client_reads_a_dossier_with_its_history(dossiers, zeep):
    told = [
        history.AcceptedMessage("d-1", NOON, sync(FULL)),
        history.AcceptedMessage("d-2", NOON, progress(tiendo(status="8"))),
    ]
    element = history.answer_get_dossier("H55.13", str(FULL["MaHoSo"]), told)
    got = heard(zeep, "GetDossier", element)
    assert (got.OrganId, got.MaHoSo, got.TrangThai) == ("H55.13", FULL["MaHoSo"], "8")
    assert (got.HoSo.TrangThaiHoSo, got.HoSo.TenTTHC, len(got.HoSo.TaiLieuNop)) == ("4", FULL["TenTTHC"], 2)
    first, second = got.LichSu.LanCapNhat
    assert (first.DocumentId, first.Time, first.TienDo) == ("d-1", NOON, None)
    assert (second.TrangThai, second.TienDo.ThoiDiemXuLy) == ("8", "20261121090000")


@pytest.mark.parametrize("name", sorted(OPERATIONS - {"GetDossier"}))
def test_a_stock_client_reads_a_receipt_and_each_reason_of_a_refusal(dossiers, zeep, name):
    ok = {
        "DocumentId": "0192",
        "MessageId": "m",
        "Sha256": hashlib.sha256(b"").hexdigest(),
        "Time": "2026-11-30T05:00:00Z",
    }
    taken = envelope.build_element(NAMESPACE, f"{name}Response", {})
    report = envelope.build_element(NAMESPACE, "Report", {"IsSuccess": "true"})
    report.append(envelope.build_error_list(NAMESPACE, ()))
    receipt = envelope.build_element(NAMESPACE, "Receipt", ok)
    etree.SubElement(receipt, "{http://www.w3.org/2000/09/xmldsig#}Signature")
    taken.extend([report, envelope.build_element(NAMESPACE, "x", {"DocumentId": "0192"})[0], receipt])
    dossiers.validate(taken)
    got = heard(zeep, name, taken)
    assert (got.Report.IsSuccess, got.DocumentId, got.Receipt.MessageId, got.Receipt.Time) == (True, "0192", "m", NOON)

    refused = envelope.build_element(NAMESPACE, f"{name}Response", {})
    report = envelope.build_element(NAMESPACE, "Report", {"IsSuccess": "false"})
    report.append(
        envelope.build_error_list(NAMESPACE, (Problem("R.HoSo[1].TrangThaiHoSo", "11"), Problem("id-reused")))
    )
    refused.append(report)
    dossiers.validate(refused)
    got = heard(zeep, name, refused)
    assert [error.Code for error in got.Report.ErrorList.Error] == ["R.HoSo[1].TrangThaiHoSo", "id-reused"]


def test_a_stock_client_raises_our_faults_with_their_typed_detail(dossiers, zeep):
    octets = envelope.write_fault(
        NAMESPACE, [Problem("dossier-unknown", "H55.13-1")], server=False, tracking="0192-abc"
    )
    (detail,) = envelope.open_reply(etree.fromstring(octets)).child.iterfind("detail/*")
    dossiers.validate(detail)
    binding = zeep.wsdl.services["Dossiers"].ports["DossiersSoap11"].binding
    headers = {"Content-Type": envelope.CONTENT_TYPE}
    reply = SimpleNamespace(status_code=500, headers=headers, content=octets, encoding="utf-8")
    with pytest.raises(Fault) as raised:
        binding.process_reply(zeep, binding.get("GetDossier"), reply)
    typed = zeep.wsdl.types.get_element(f"{{{NAMESPACE}}}FaultDetail").parse(raised.value.detail[0], zeep.wsdl.types)
    assert (typed.Code, typed.Tracking) == ("dossier-unknown", "0192-abc")


# --- a call that breaks the contract ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (sync(hoso(MaTTHC=None)), "SyncDossiers/HoSo"),
        (sync(hoso(), hoso(NgayTiepNhan="2026-11-20")), "SyncDossiers/HoSo[2]/NgayTiepNhan: "),
        (sync(hoso(MaHoSo="x" * 201)), "SyncDossiers/HoSo/MaHoSo: "),
        (sync(hoso(GhiChu="x" * 10001)), "SyncDossiers/HoSo/GhiChu: "),
        (sync(), "SyncDossiers/HoSo: "),
        (progress(), "UpdateDossierProgress/TienDo: "),
        (progress({"TrangThai": "4", "MaHoSo": "1"}), "UpdateDossierProgress/TienDo/MaHoSo: "),
        (statistic(Month="13"), "SubmitStatistic/MStatistic/Month: "),
        (statistic(SolvedLate="-1"), "SubmitStatistic/MStatistic/SolvedLate: "),
        (statistic(PreExtisting=None), "SubmitStatistic/MStatistic/PreExtisting: "),
        (f'<GetDossier xmlns="{NAMESPACE}"><OrganId>a</OrganId></GetDossier>'.encode(), "GetDossier/MaHoSo: "),
    ],
)
def test_a_call_that_breaks_the_schema_is_refused_with_its_place(dossiers, content, place):
    with pytest.raises(CallRefused) as refused:
        dossiers.validate(etree.fromstring(content))
    assert any(
        problem.code == "contract-broken" and place in re.sub(r" \([^)]*\): ", ": ", str(problem.detail))
        for problem in refused.value.problems
    )


def test_a_thousand_dossiers_fit_in_one_call_and_no_more(dossiers):
    many = [hoso(str(number)) for number in range(1001)]
    dossiers.validate(etree.fromstring(sync(*many[:1000])))
    with pytest.raises(CallRefused):
        dossiers.validate(etree.fromstring(sync(*many)))


# --- two judges -------------------------------------------------------------------------------------------------------------

VALUES = st.sampled_from(
    ["", " ", "1", "x" * 51, "20261120083000", " 20261120083000 ", "2026112008300", "-1", "+1", "true", "é"]
)
CHANGED = st.dictionaries(st.sampled_from(ORDER), VALUES | st.none(), max_size=2)
OTHERS = st.sampled_from([{}, {}, {}, {"Khac": "1"}, {"TaiLieuNop": {"IsDeleted": "1"}}])
STEPS = st.dictionaries(
    st.sampled_from(["MaHoSo", "ThoiDiemXuLy", "TrangThai", "NgayBatDau", "Khac"]), VALUES, max_size=2
)
MONTHS = st.dictionaries(st.sampled_from(list(NUMBERS)), VALUES | st.none(), max_size=2)


@pytest.fixture(scope="module")
def judges():
    return etree.XMLSchema(file=PATH), xmlschema.XMLSchema(str(PATH))


@given(
    st.builds(lambda changes, others: sync({**hoso(**changes), **others}), CHANGED, OTHERS)
    | st.builds(lambda changes: progress({**tiendo(), **changes}), STEPS)
    | st.builds(lambda changes: statistic(**changes), MONTHS)
)
def test_two_judges_agree_on_what_keeps_the_schema(judges, content):
    ours, second = judges
    element = etree.fromstring(content)
    assert ours.validate(element) == second.is_valid(element), content
