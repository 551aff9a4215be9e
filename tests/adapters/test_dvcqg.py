"""The national portal's dialect where one conversation is not enough to show it: sessions that end, long messages, other codes."""

import hashlib
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

import adapters
from hub.config import read_config
from hub.domain.conversations import Accepted, Postponed, Refused, Reply, Unavailable
from hub.domain.model import Consignment, Message, MessageState
from hub.node import init_province
from hub.node.consistency import find_adapter_mistakes
from hub.partner.adapter_settings import Terms
from tests.homes import lay_secret
from tests.pages import DOCS, fenced
from tests.pki import NOW, partner

SETTINGS = {"username": "h55", "madonvi": "000.00.00.H55", "integrate": "mapi/integrate", "share": "mapi/share"}
ENDED = {"error_code": -1, "message": "?"}


@attrs.define
class Portal:
    """Answers as the test tells it to; keeps what it was asked."""

    sessions: int = 0
    live: str = ""
    there: set[str] = attrs.field(factory=set)
    bad: set[str] = attrs.field(factory=set)
    known: bool = False  #: it refuses what does not say rightly whether it has the dossier
    strict: bool = True  #: it does not take a session that another login has ended
    asked: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)
    progress: str | None = None  #: what the hub's journal keeps of the message

    def answer(self, request):
        body = json.loads(request.body)
        self.progress = request.progress or self.progress
        self.asked.append((urlsplit(request.url).path.rpartition("/")[2], body))
        return Reply(200, json.dumps(self._said(body)).encode())

    def _said(self, body):
        if "username" in body:
            self.sessions += 1
            self.live = f"s{self.sessions}"
            return {"session": self.live, "error_code": 0}
        if self.strict and body["session"] != self.live:
            return ENDED
        if body["service"] == "TraCuuHoSo":
            return {"result": [{}] if body["mahoso"] in self.there else []}
        numbers = [item["MaHoSo"] for item in body["data"]]
        if self.bad & set(numbers) or (self.known and (body["isUpdating"] == "True") != (set(numbers) <= self.there)):
            return {"error_code": "-1", "message": "không hợp lệ"}
        self.there |= set(numbers)
        return {"error_code": "00"}

    def writes(self):
        return [body for _, body in self.asked if "data" in body]


def speak(conversation, portal, reply=None):
    """Hold a conversation with *portal*, from its beginning or from a *reply* on; return its outcome."""
    try:
        request = next(conversation) if reply is None else conversation.send(reply)
        while True:
            request = conversation.send(portal.answer(request))
    except StopIteration as end:
        portal.progress = getattr(end.value, "progress", None) or portal.progress
        return end.value


def made(**settings):
    settings = {name.replace("_", "-"): value for name, value in settings.items()}
    terms = Terms(
        partner="dvcqg",
        url="http://ss.example.vn/forward",
        identity=partner("hub"),
        settings=SETTINGS | settings,
        secrets={"password": "mat-khau-mau"},
    )
    return adapters.make_adapter("dvcqg", terms)


def sent(*numbers, fields="", organ="H55.13"):
    dossiers = "".join(f"<HoSo><MaHoSo>{number}</MaHoSo>{fields}</HoSo>" for number in numbers)
    content = f'<SyncDossiers xmlns="urn:lienthong:dossiers:1"><OrganId>{organ}</OrganId>{dossiers}</SyncDossiers>'
    return consignment(content.encode())


def consignment(content):
    message = Message(
        id="01936f1e-7c80-7000-8000-000000000001",
        partner="sotttt",
        message_id="m-1",
        service="dossiers",
        kind="sync",
        state=MessageState.ACCEPTED,
        received_at=NOW,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
    return Consignment(message=message, content=content, recipients=("H55.13",), attempt=1)


def test_a_session_is_kept_from_one_message_to_the_next():
    adapter, portal = made(), Portal()
    for number in ("A-1", "A-2"):
        assert isinstance(speak(adapter.deliver(sent(number), NOW), portal), Accepted)
    assert portal.sessions == 1


def test_a_session_is_forgotten_when_its_time_is_over():
    adapter, portal = made(session="60"), Portal()
    speak(adapter.deliver(sent("A-1"), NOW), portal)
    speak(adapter.deliver(sent("A-2"), NOW + timedelta(seconds=60)), portal)
    assert portal.sessions == 2


def test_a_session_that_ended_unsaid_is_renewed_once_and_the_question_asked_again():
    adapter, portal = made(), Portal()
    speak(adapter.deliver(sent("A-1"), NOW), portal)
    portal.live = "gone"
    assert isinstance(speak(adapter.deliver(sent("A-2"), NOW), portal), Accepted)
    assert portal.sessions == 2
    assert portal.there == {"A-1", "A-2"}


def test_a_refusal_under_a_remembered_session_is_asked_again_once_under_a_new_one():
    """The documents do not say how a session that ended is told; a refusal might be that."""
    adapter, portal = made(), Portal(bad={"A-2"})
    speak(adapter.deliver(sent("A-1"), NOW), portal)
    assert isinstance(speak(adapter.deliver(sent("A-2"), NOW), portal), Refused)
    assert portal.sessions == 2
    assert len(portal.writes()) == 3


def test_a_session_that_another_conversation_renewed_is_taken_over():
    adapter, portal = made(), Portal()
    first = adapter.deliver(sent("A-1"), NOW)
    asked = portal.answer(next(first))  # the login
    waiting = first.send(asked)
    assert isinstance(speak(adapter.deliver(sent("A-2"), NOW), portal), Accepted)
    portal.live = "gone"
    assert isinstance(speak(adapter.deliver(sent("A-3"), NOW), portal), Accepted)
    request, outcome = waiting, None
    try:
        while True:
            request = first.send(portal.answer(request))
    except StopIteration as end:
        outcome = end.value
    assert isinstance(outcome, Accepted)
    assert portal.sessions == 2


def test_a_dossier_that_is_there_already_is_brought_as_an_update():
    """So that a repetition after a lost answer makes no second one."""
    adapter, portal = made(), Portal(there={"A-2"})
    speak(adapter.deliver(sent("A-1", "A-2"), NOW), portal)
    said = [(body["isUpdating"], [item["MaHoSo"] for item in body["data"]]) for body in portal.writes()]
    assert said == [("False", ["A-1"]), ("True", ["A-2"])]


def test_a_dossier_named_twice_in_a_message_comes_twice_in_its_order():
    adapter, portal = made(), Portal()
    assert isinstance(speak(adapter.deliver(sent("A-1", "A-2", "A-1"), NOW), portal), Accepted)
    said = [(body["isUpdating"], [item["MaHoSo"] for item in body["data"]]) for body in portal.writes()]
    assert said == [("False", ["A-1", "A-2"]), ("True", ["A-1"])]


def test_a_long_message_goes_in_batches_and_is_gone_on_with_where_it_stood():
    portal = Portal()
    numbers = [f"A-{number}" for number in range(100)]
    outcomes: list[Any] = []
    while not outcomes or isinstance(outcomes[-1], Postponed):
        following = attrs.evolve(sent(*numbers), progress=portal.progress)
        outcomes.append(speak(made(batch="10").deliver(following, NOW), portal))
    assert outcomes[-1] == Accepted("100 of 100")
    assert attrs.evolve(outcomes[0], progress=None) == Postponed(NOW, "4 of 10 batches are there")
    assert len(outcomes) == 3
    assert [len(body["data"]) for body in portal.writes()] == [10] * 10
    assert portal.there == set(numbers)


def test_what_was_refused_early_in_a_long_message_is_told_at_its_end():
    adapter, portal = made(batch="10"), Portal(bad={"A-3"})
    numbers = [f"A-{number}" for number in range(60)]
    outcome: Any = Postponed(NOW)
    while isinstance(outcome, Postponed):
        outcome = speak(adapter.deliver(attrs.evolve(sent(*numbers), progress=portal.progress), NOW), portal)
    assert isinstance(outcome, Refused)
    assert outcome.detail.startswith("1 of 60: A-3: ")
    assert portal.there == set(numbers) - {"A-3"}


class TestAfterALostAnswer:
    """The portal has no id of a call. It can be asked for a dossier, not for a step of progress."""

    def progress(self, steps=2, **more):
        inside = "<TienDo><MaHoSo>A-1</MaHoSo></TienDo>" * steps
        content = f'<UpdateDossierProgress xmlns="urn:lienthong:dossiers:1">{inside}</UpdateDossierProgress>'
        return attrs.evolve(consignment(content.encode()), **more)

    def test_a_step_of_progress_that_is_sent_again_may_be_there_twice(self):
        portal = Portal()
        lose(made(batch="1").deliver(self.progress(), NOW), portal, 2)
        following = self.progress(unsure=NOW, progress=portal.progress)
        assert speak(made(batch="1").deliver(following, NOW), portal) == Accepted("2 of 2", twice=True)
        assert len(portal.writes()) == 3, "the first batch is known to be there, whatever was forgotten since"

    def test_of_batches_of_another_size_nothing_is_known(self):
        portal = Portal()
        lose(made(batch="1").deliver(self.progress(3), NOW), portal, 3)
        following = self.progress(3, unsure=NOW, progress=portal.progress)
        assert speak(made(batch="2").deliver(following, NOW), portal) == Accepted("3 of 3", twice=True)

    def test_what_goes_on_with_the_next_batch_is_not(self):
        portal = Portal()
        assert isinstance(speak(made(batch="1").deliver(self.progress(50), NOW), portal), Postponed)
        following = self.progress(50, unsure=NOW, progress=portal.progress)
        assert speak(made(batch="1").deliver(following, NOW), portal) == Accepted("50 of 50")
        assert len(portal.writes()) == 50

    def test_what_the_journal_keeps_of_a_long_message_is_bounded(self):
        portal = Portal(bad={"A-1"})
        speak(made(batch="1").deliver(self.progress(30), NOW), portal)
        assert portal.progress is not None
        assert len(portal.progress) < 4000

    def test_a_new_dossier_that_came_meanwhile_is_an_update_and_no_refusal(self):
        adapter, portal = made(), Portal()
        lose(adapter.deliver(sent("A-1"), NOW), portal, 1)
        portal.there.clear()  # it is still at work when it is asked...
        conversation = adapter.deliver(attrs.evolve(sent("A-1"), unsure=NOW), NOW)
        reply = portal.answer(next(conversation))
        portal.there, portal.known = {"A-1"}, True  # ...and has done it when it is sent again
        assert speak(conversation, portal, reply) == Accepted("1 of 1", twice=True)
        assert [body["isUpdating"] for body in portal.writes()][1:] == ["False", "False", "True"]


def lose(conversation, portal, writes):
    """Hold a conversation until the portal has got so many writing calls, and lose the answer to the last."""
    request = next(conversation)
    reply = portal.answer(request)
    while len(portal.writes()) < writes:
        request = conversation.send(reply)
        reply = portal.answer(request)
    assert request.hands_over
    conversation.close()


def test_the_replay_of_a_refused_message_begins_from_the_beginning():
    adapter, portal = made(), Portal(bad={"A-1"})
    assert isinstance(speak(adapter.deliver(sent("A-1"), NOW), portal), Refused)
    portal.bad = set()
    assert isinstance(speak(adapter.deliver(sent("A-1"), NOW), portal), Accepted)


def test_codes_are_translated_as_the_settings_say():
    adapter, portal = made(loai_doi_tuong="1=0 2=1", trang_thai="9=10", per_unit="yes"), Portal()
    fields = "<LoaiDoiTuong>2</LoaiDoiTuong><TrangThaiHoSo>9</TrangThaiHoSo><HinhThuc>1</HinhThuc>"
    speak(adapter.deliver(sent("A-1", fields=fields), NOW), portal)
    [body] = portal.writes()
    assert body["data"] == [{"MaHoSo": "A-1", "LoaiDoiTuong": "1", "TrangThaiHoSo": "10", "HinhThuc": "1"}]
    assert body["madonvi"] == "H55.13"


def test_the_fields_that_are_the_hubs_own_are_not_passed_on():
    ours = "NgayThanhToan", "NgayNop", "HanTiepNhan", "MucDoTrucTuyen", "PhiDiaGioi", "NgayThuXinLoi"
    portal, fields = Portal(), "".join(f"<{name}>1</{name}>" for name in ("GhiChu", *ours))
    speak(made().deliver(sent("A-1", fields=fields), NOW), portal)
    [body] = portal.writes()
    assert body["data"] == [{"MaHoSo": "A-1", "GhiChu": "1"}]


def test_settings_that_do_not_fit_are_named():
    given = SETTINGS | {"batch": "101", "per-unit": "maybe", "loai-doi-tuong": "1", "session": "0"}
    keys = {key for key, _, _ in adapters.find_settings_flaws("dvcqg", given, {})}
    assert keys == {"batch", "per-unit", "loai-doi-tuong", "session", "password-file"}


def test_half_a_surrogate_pair_in_an_answer_breaks_nothing():
    reply = Reply(200, b'{"error_code": -1, "message": "\\ud83d"}')
    conversation = made().deliver(sent("A-1"), NOW)
    next(conversation)
    with pytest.raises(StopIteration) as end:
        conversation.send(reply)
    assert isinstance(end.value.value, Unavailable)
    assert end.value.value.detail == 'login as h55: {"error_code":-1,"message":"\\ud83d"}'


def test_what_is_no_message_of_dossiers_is_refused_without_a_call():
    for content in (b"<a/>", b"not XML", b'<GetDossier xmlns="urn:lienthong:dossiers:1"/>'):
        assert isinstance(speak(made().deliver(consignment(content), NOW), Portal()), Refused)


def test_the_configuration_that_the_how_to_shows_is_right(tmp_path):
    home = tmp_path / "tinh"
    init_province.write_province(home, init_province.ProvincePorts(8443, 8444, 9001, 9002), NOW)
    [shown] = fenced((DOCS / "howto/national-portal.md").read_text("utf-8"), "toml")
    (home / "partners/dvcqg.toml").write_text(shown, "utf-8")
    lay_secret(home, "dvcqg", "password", "mat-khau-mau")
    config = read_config(home / "hub.toml", {})
    assert config.partners["dvcqg"].secrets == {"password": "mat-khau-mau"}
    assert list(find_adapter_mistakes(config)) == []
