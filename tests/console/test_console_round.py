"""All units at once at the console: one page says how the report of each stands, gives out many files to sign and takes many back."""

import io
import zipfile

import pytest

from hub.config.alerting.alerts import AlertAddress, AlertSettings
from hub.formats.spool import Octets
from hub.operations.accounts.permissions import Role
from hub.workload.many import signed_batch
from tests.console.test_console_signing import INSIDE, PERIOD, get, hand_in, signed_in, text
from tests.officials import by_xmlsec, official, officials
from tests.pki import NOW as STAMPED_AT
from tests.pki import authority

PLACE = f"/month/edoc/{PERIOD}"


@pytest.fixture
def office(town):
    """The browser of a clerk of the whole province, for all of whose units An signs."""
    town.officials = officials(official(units=("H55", "H55.01", "H55.13", "H55.13.1", "H55.30")))
    town.take(1, at=INSIDE)
    return signed_in(town, "chi", Role.CLERK, "H55")


def files(answer):
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, octets in members.items():
            archive.writestr(name, octets)
    return Octets.of(made.getvalue())


def hand_in_all(browser, members):
    browser.get(PLACE)
    return browser.post(PLACE, file=pack(members))


def test_the_month_leads_to_the_last_one_that_ended_and_keeps_what_was_chosen(town, office):
    assert office.get("/month").location == PLACE
    assert office.get("/month?form=ii06a&period=2026-10&step=ready").location == "/month/ii06a/2026-10?step=ready"
    for place in ("/month/none/2026-11", "/month/edoc/2026-13", "/month/edoc/11-2026", f"{PLACE}/x"):
        assert office.get(place).status == 404


def test_every_unit_is_on_the_page_with_its_step_and_its_ways_on(town, office):
    hand_in(office, by_xmlsec(get(office)), "/signing/edoc/H55.13/" + PERIOD)
    office.get(PLACE)
    assert "5 trên 5 đơn vị chưa nộp" in text(office)
    assert {f"/reports/edoc/H55.13/{PERIOD}", f"/signing/edoc/H55.30/{PERIOD}", f"{PLACE}?step=signed"} <= set(
        office.links()
    )
    office.get(f"{PLACE}?step=signed")
    assert "Sở TT&amp;TT" in office.page
    assert "Huyện chưa có hệ thống" not in office.page
    office.get(f"{PLACE}?below=000.00.13.H55&step=ready")
    assert "Trung tâm CNTT" in office.page
    assert "Văn phòng UBND tỉnh" not in office.page
    office.get(f"{PLACE}?step=nothing")
    assert "Không có đơn vị nào khớp" in text(office)


@pytest.mark.slow
def test_a_user_sees_the_round_of_its_own_units_only(town, office):
    clerk = signed_in(town, "lan", Role.CLERK, "H55.13")
    clerk.get(PLACE)
    assert "2 trên 2 đơn vị chưa nộp" in text(clerk)
    assert "Văn phòng UBND tỉnh" not in clerk.page
    made = files(clerk.post(f"{PLACE}.zip"))
    assert sorted(made) == [f"edoc_H55.13.1_{PERIOD}_1.xml", f"edoc_H55.13_{PERIOD}_1.xml"]
    given = files(office_zip(office))
    stranger = {name: by_xmlsec(octets) for name, octets in given.items() if "H55.01" in name}
    assert hand_in_all(clerk, stranger).status == 422
    assert "H55.01" in text(clerk)
    office.get(f"{PLACE}?step=signed")
    assert "Không có đơn vị nào khớp" in text(office)


def office_zip(office, **form):
    office.get(PLACE)
    answer = office.post(f"{PLACE}.zip", **form)
    assert answer.status == 200
    return answer


@pytest.mark.slow
def test_the_files_of_all_units_are_got_signed_elsewhere_and_handed_in_at_once(town, office):
    given = files(office_zip(office))
    assert len(given) == 5
    assert files(office_zip(office)) == given, "the same octets each time"
    signed = {name: by_xmlsec(octets) for name, octets in given.items()}
    left = f"edoc_H55.30_{PERIOD}_1.xml"
    endless = given[left].replace(b'revision="1"', b'revision="' + b"1" * 5_000 + b'"', 1)
    assert endless != given[left]
    strange = {"a.xml": endless, "la.pdf": b"%PDF-1.7"}
    assert hand_in_all(office, {**strange, **signed, left: given[left]}).status == 422
    page = text(office)
    assert page.count("được chấp nhận") == 4
    assert "Báo cáo chưa có chữ ký" in page
    assert f"FORM_UNIT_{PERIOD}" in page.replace("edoc_UNIT", "FORM_UNIT")
    office.get(f"{PLACE}?step=signed")
    assert "Huyện chưa có hệ thống" not in office.page
    assert hand_in_all(office, {left: signed[left]}).status == 200
    office.get(PLACE)
    assert "/month/edoc/2026-11?step=closed" not in office.links()
    assert [each["by"] for each in town.told("report-signed")] == ["chi"] * 5


def test_only_the_chosen_units_are_given_out(town, office):
    assert list(files(office_zip(office, below="H55.13", step="ready"))) == [
        f"edoc_H55.13_{PERIOD}_1.xml",
        f"edoc_H55.13.1_{PERIOD}_1.xml",
    ]
    assert len(town.told("report-closed")) == 2


def test_who_may_not_sign_sees_the_page_and_gets_no_files(town, office):
    viewer = signed_in(town, "xem", Role.VIEWER, "H55")
    assert viewer.get(PLACE).status == 200
    assert '<form method="post" action="/month' not in viewer.page
    for place in (PLACE, f"{PLACE}.zip"):
        assert viewer.post(place, file=Octets.of(b"x")).status == 403
    assert town.told("report-closed") == []


def test_an_upload_that_is_nothing_is_told(town, office):
    for content in (b"", b"PK no archive", b"<a/>"):
        office.get(PLACE)
        assert office.post(PLACE, file=Octets.of(content)).status == 422


def test_a_small_zip_that_unpacks_to_much_is_read_only_in_part(town, office, monkeypatch):
    monkeypatch.setattr(signed_batch, "UNPACKED", 100_000)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}.xml", bytes(60_000))
    office.get(PLACE)
    assert office.post(PLACE, file=Octets.of(made.getvalue())).status == 422
    assert text(office).count("mọi tệp cộng lại lớn hơn 100000 byte") == 3
    monkeypatch.setattr(signed_batch, "LARGEST", 50_000)
    office.get(PLACE)
    office.post(PLACE, file=Octets.of(made.getvalue()))
    assert text(office).count("mọi tệp cộng lại lớn hơn 100000 byte") == 3, "nor of files that are too large"


@pytest.mark.slow
def test_the_certificate_of_nobody_is_refused_for_each_file_alone(town, office):
    given = files(office_zip(office, below="H55.13"))
    first, second = given
    stranger = authority("Persons CA", STAMPED_AT).issue("Giả")
    assert (
        hand_in_all(office, {first: by_xmlsec(given[first], stranger), second: by_xmlsec(given[second])}).status == 422
    )
    assert text(office).count("được chấp nhận") == 1


def test_units_are_reminded_from_the_page_at_the_addresses_that_the_user_sees(town, office):
    office.get(PLACE)
    assert f"{PLACE}/remind" not in office.page, "the province sends no mail"
    town.alerts = AlertSettings(
        through="thu",
        before=(),
        hour=7,
        weekly=False,
        addresses=(AlertAddress(unit="H55", address="vt@tinh.vn"), AlertAddress(unit="H55.13", address="vt@so13.vn")),
    )
    office = signed_in(town, "bao", Role.CLERK, "H55")
    office.get(PLACE)
    assert "Nhắc qua thư (2 thư)" in text(office)
    clerk = signed_in(town, "lan", Role.CLERK, "H55.13")
    clerk.get(PLACE)
    assert "Nhắc qua thư (1 thư)" in text(clerk), "the address above is not theirs to use"
    assert clerk.post(f"{PLACE}/remind", below="H55.13.1").location == f"{PLACE}?below=H55.13.1&reminded=1"
    office.get(PLACE)
    assert office.post(f"{PLACE}/remind").location == f"{PLACE}?reminded=1", "one was asked for today already"
    office.get(f"{PLACE}?reminded=1")
    assert "1 thư được gửi trong vòng một phút" in text(office)
    office.post(f"{PLACE}/remind")
    office.get(f"{PLACE}?reminded=0")
    assert "đã được nhắc hôm nay" in text(office)
    assert [(each["by"], each["items"]) for each in town.told("reminders-requested")] == [("lan", 1), ("bao", 1)]
    viewer = signed_in(town, "xem", Role.VIEWER, "H55")
    viewer.get(PLACE)
    assert viewer.post(f"{PLACE}/remind").status == 403
