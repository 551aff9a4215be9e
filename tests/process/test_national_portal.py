"""The adapter and the national portal, a process of its own, over real HTTP: in every mood, through ended sessions and lost answers."""

import json
from http.client import HTTPException

import pytest

import adapters
from hub.domain.conversations import Accepted, Collected, Refused, Unavailable
from hub.partner.adapter_settings import Terms
from tests.adapters.test_dvcqg import consignment
from tests.offices import carry, hold, opened
from tests.pki import NOW, partner

#: The portal demands all that a portal may, and recognises a step that is sent again: the adapter must bear it.
DEMANDING = [f"--demand={name}" for name in ("updating", "session", "procedure", "step", "size")] + ["--recognise"]
FORWARD = "/XrdAdapter/RestService/forward"


@pytest.fixture
def portal(tmp_path):
    with opened("dvcqg", tmp_path, *DEMANDING) as office:
        yield office


def adapter(office, *, password="mat-khau-mau", path=FORWARD, **settings):
    given = {"username": "h55", "madonvi": "000.00.00.H55", "integrate": "mapi/integrate", "share": "mapi/share"}
    terms = Terms(
        partner="dvcqg",
        url=office.url + path,
        identity=partner("hub"),
        settings=given | settings,
        secrets={"password": password},
    )
    return adapters.make_adapter("dvcqg", terms)


def dossier(number, *, procedure="2.000815", status="2", received="20261124083000", name="Chứng thực bản sao"):
    return (
        f"<HoSo><MaHoSo>{number}</MaHoSo><MaTTHC>{procedure}</MaTTHC><TenTTHC>{name}</TenTTHC>"
        "<MaLinhVuc>CT</MaLinhVuc><TenLinhVuc>Chứng thực</TenLinhVuc><LoaiDoiTuong>1</LoaiDoiTuong>"
        f"<NgayTiepNhan>{received}</NgayTiepNhan><NgayHenTra>20261126170000</NgayHenTra>"
        f"<TrangThaiHoSo>{status}</TrangThaiHoSo><DonViXuLy>Sở mẫu 13</DonViXuLy></HoSo>"
    )


def message(operation, *entries):
    content = "".join(("<OrganId>H55.13</OrganId>", *entries))
    return consignment(f'<{operation} xmlns="urn:lienthong:dossiers:1">{content}</{operation}>'.encode())


def sync(*dossiers):
    return message("SyncDossiers", *dossiers)


def step(number, status="4", *, said="Chuyển phòng"):
    return message(
        "UpdateDossierProgress",
        f"<TienDo><MaHoSo>{number}</MaHoSo><NguoiXuLy>Cán bộ mẫu</NguoiXuLy><ThoiDiemXuLy>20261124093000</ThoiDiemXuLy>"
        f"<NoiDungXuLy>{said}</NoiDungXuLy><TrangThai>{status}</TrangThai></TienDo>",
    )


def deliver(speaker, sent, **how):
    return hold(speaker.deliver(sent, NOW), **how).outcome


def counted(office, **more):
    return office.order("count", unit="H55.13", **more)


def test_dossiers_and_their_progress_reach_the_portal(portal):
    speaker = adapter(portal)
    assert deliver(speaker, sync(dossier("H55.13-261124-0001"), dossier("H55.13-261124-0002"))) == Accepted("2 of 2")
    assert deliver(speaker, step("H55.13-261124-0001")) == Accepted("1 of 1")
    assert deliver(speaker, sync(dossier("H55.13-261124-0001", status="10"))) == Accepted("1 of 1")
    assert counted(portal) == {"dossiers": 2, "by_status": {"10": 1, "2": 1}, "steps": 1}
    assert len(portal.noted("login")) == 1


def test_the_portal_counts_the_dossiers_of_a_period_and_keeps_them_over_a_restart(tmp_path):
    with opened("dvcqg", tmp_path) as portal:
        early, late = dossier("H55.13-261114-0001", received="20261114235959"), dossier("H55.13-261115-0001")
        assert deliver(adapter(portal), sync(early, late)) == Accepted("2 of 2")
    with opened("dvcqg", tmp_path) as portal:
        assert counted(portal)["dossiers"] == 2
        assert counted(portal, since="20261115000000", until="20261215000000")["dossiers"] == 1


def test_a_refusal_names_the_field_and_the_others_of_the_call_are_taken(portal):
    sent = sync(dossier("H55.13-261124-0001"), dossier("H55.13-261124-0002", procedure="9.999999"))
    outcome = deliver(adapter(portal), sent)
    assert isinstance(outcome, Refused)
    assert "MaTTHC = 9.999999" in outcome.detail
    assert "0001" not in outcome.detail
    assert counted(portal)["dossiers"] == 1


def test_a_required_field_that_is_empty_is_refused_by_name(portal):
    outcome = deliver(adapter(portal), sync(dossier("H55.13-261124-0001", name="")))
    assert isinstance(outcome, Refused)
    assert "TenTTHC" in outcome.detail
    assert counted(portal)["dossiers"] == 0


def test_progress_of_a_dossier_that_is_not_there_is_refused(portal):
    outcome = deliver(adapter(portal), step("H55.13-261124-0001"))
    assert isinstance(outcome, Refused)
    assert "chưa tồn tại" in outcome.detail


def test_a_portal_that_refuses_is_not_asked_for_ever(portal):
    portal.mood("refuse")
    assert isinstance(deliver(adapter(portal), sync(dossier("H55.13-261124-0001"))), Refused)
    assert len(portal.noted("refused")) == 1


@pytest.mark.parametrize("mood", ["unavailable", "garbage", "mute"])
def test_a_portal_that_makes_no_sense_is_unavailable_and_gets_the_dossier_once_it_is_back(portal, mood):
    speaker, sent = adapter(portal), sync(dossier("H55.13-261124-0001"))
    portal.mood(mood)
    outcome = deliver(speaker, sent)
    assert isinstance(outcome, Unavailable)
    assert not outcome.credentials
    portal.mood("normal")
    assert deliver(speaker, sent) == Accepted("1 of 1")
    assert counted(portal)["dossiers"] == 1


def test_a_portal_that_is_too_slow_is_unavailable(portal):
    portal.mood("slow", seconds=2, times=1)
    assert isinstance(deliver(adapter(portal), sync(dossier("H55.13-261124-0001")), patience=0.1), Unavailable)


def test_a_lost_answer_makes_no_second_dossier_and_no_second_step(portal):
    """The portal does what it is told and closes the line; the same message comes again."""
    speaker = adapter(portal)
    deliver(speaker, sync(dossier("H55.13-261124-0001")))
    for sent, what in ((sync(dossier("H55.13-261124-0002")), "dossier"), (step("H55.13-261124-0001"), "step")):
        conversation = speaker.deliver(sent, NOW)
        hold_until(conversation, "data", portal)
        assert len(portal.noted(what)) == (2 if what == "dossier" else 1)
        assert deliver(speaker, sent) == Accepted("1 of 1")
    assert counted(portal) == {"dossiers": 2, "by_status": {"2": 2}, "steps": 1}
    assert [line["updating"] for line in portal.noted("dossier")] == [False, False, True]
    assert len(portal.noted("step-again")) == 1


def test_a_portal_that_demands_and_recognises_nothing_that_no_document_names_stores_a_repeated_step_twice(tmp_path):
    """The documents have no id for a step (README, Quirks): the stand-in must not be kinder than they are."""
    with opened("dvcqg", tmp_path) as office:
        speaker = adapter(office)
        unlisted = dossier("H55.13-261124-0001", procedure="9.999999")
        assert [deliver(speaker, sync(unlisted)) for _ in range(2)] == [Accepted("1 of 1")] * 2
        assert [line["updating"] for line in office.noted("dossier")] == [False, True], "it is looked up first"
        assert [deliver(speaker, step("H55.13-261124-0001")) for _ in range(2)] == [Accepted("1 of 1")] * 2
        assert counted(office) == {"dossiers": 1, "by_status": {"2": 1}, "steps": 2}
        assert len(office.order("dossier", number="H55.13-261124-0001")["found"][0]["TienDo"]) == 2


def test_the_portal_lists_as_many_procedures_as_a_province_has(portal):
    (found,) = hold(adapter(portal, lists="LayDanhSachTTHC").collect("", NOW)).arrivals
    assert len({row["MATTHC"] for row in json.loads(found.content)["result"]}) == 1700


def hold_until(conversation, key, office):
    """Hold *conversation* up to the question whose body has *key*; let its answer be lost."""
    request = next(conversation)
    while key not in json.loads(request.body):
        request = conversation.send(carry(request))
    office.mood("mute", times=1)
    with pytest.raises((OSError, HTTPException)):
        carry(request)
    conversation.close()


def test_an_ended_session_is_renewed(portal):
    speaker = adapter(portal)
    deliver(speaker, sync(dossier("H55.13-261124-0001")))
    assert portal.order("expire") == {"ended": 1}
    assert deliver(speaker, sync(dossier("H55.13-261124-0002"))) == Accepted("1 of 1")
    assert len(portal.noted("login")) == 2


def test_a_wrong_password_is_told_to_a_person_and_tried_once(portal):
    outcome = deliver(adapter(portal, password="sai"), sync(dossier("H55.13-261124-0001")))
    assert isinstance(outcome, Unavailable)
    assert outcome.credentials
    assert "Sai tên đăng nhập hoặc mật khẩu" in outcome.detail
    assert "sai" not in outcome.detail
    assert len(portal.noted("login-refused")) == 1


def test_an_account_that_the_portal_closes_is_told_to_a_person(portal):
    speaker = adapter(portal)
    deliver(speaker, sync(dossier("H55.13-261124-0001")))
    portal.mood("denied")
    outcome = deliver(speaker, sync(dossier("H55.13-261124-0002")))
    assert isinstance(outcome, Unavailable)
    assert outcome.credentials


@pytest.mark.parametrize("settings", [{"dstcode": "VN:GOV:000.00.00.G22:nobody"}, {"path": "/elsewhere"}])
def test_a_wrong_address_is_unavailable(portal, settings):
    assert isinstance(deliver(adapter(portal, **settings), sync(dossier("H55.13-261124-0001"))), Unavailable)


def test_a_code_the_portal_does_not_know_us_by_is_refused(portal):
    outcome = deliver(adapter(portal, madonvi="000.00.00.H99"), sync(dossier("H55.13-261124-0001")))
    assert isinstance(outcome, Refused)
    assert "madonvi" in outcome.detail


def test_lists_come_when_they_are_new_and_when_they_changed(portal):
    speaker = adapter(portal)
    first = hold(speaker.collect("", NOW))
    assert [json.loads(found.content)["service"] for found in first.arrivals] == [
        "LayDanhSachTTHC",
        "LayDanhMucLinhVuc",
        "LayDanhMucCoQuan",
    ]
    assert "2.000815" in {row["MATTHC"] for row in json.loads(first.arrivals[0].content)["result"]}
    second = hold(speaker.collect(first.outcome.cursor, NOW))
    assert (second.arrivals, second.outcome) == ([], first.outcome)
    portal.order("list", service="LayDanhMucLinhVuc", rows=[{"MALINHVUC": "HT", "TENLINHVUC": "Hộ tịch"}])
    third = hold(speaker.collect(first.outcome.cursor, NOW))
    [found] = third.arrivals
    assert json.loads(found.content)["result"] == [{"MALINHVUC": "HT", "TENLINHVUC": "Hộ tịch"}]
    assert found.message_id.startswith("LayDanhMucLinhVuc-2-")
    assert isinstance(third.outcome, Collected)


def test_a_list_that_the_portal_does_not_give_comes_as_what_it_said_once(portal):
    speaker = adapter(portal, lists="LayDanhMucDanToc LayDanhMucLinhVuc")
    held = hold(speaker.collect("", NOW))
    refused, given = (json.loads(found.content) for found in held.arrivals)
    assert "LayDanhMucDanToc" in refused["refused"]
    assert given["service"] == "LayDanhMucLinhVuc"
    assert hold(speaker.collect(held.outcome.cursor, NOW)).arrivals == []
