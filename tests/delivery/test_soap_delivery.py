"""A partner by its WSDL as an operator sees its deliveries: repetitions, and the thread."""

import base64
from typing import Any

import attrs
import pytest
from lxml import etree

import adapters
from hub.domain.conversations import Reply
from hub.domain.model import DeliveryState
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import THRESHOLD, run_at_once
from hub.soap import envelope
from tests.adapters.test_soap_partner import DICHVU, SEND, XML, answer, terms
from tests.delivery.test_collection import made, node, packet

__all__ = ("made", "node")

COLLECTING = "[tables" + (DICHVU / "collect.toml").read_text("utf-8").partition("[tables")[2]


@pytest.fixture
def partner(desk):
    """The desk, with `vpub` as a partner by its WSDL."""
    desk.adapters["vpub"] = adapters.make_adapter("soap", terms(SEND))
    return desk


class TestADelivery:
    def test_that_is_answered_is_delivered(self, partner):
        partner.up["vpub"] = lambda: Reply(200, answer(), XML)
        partner.start()
        message = partner.take(1, "H55.01")
        assert partner.states(message) == {"H55.01": (DeliveryState.DELIVERED, 1)}

    def test_whose_answer_was_lost_is_sent_again_under_the_same_id(self, partner):
        partner.up["vpub"] = "hangs"
        partner.start()
        message = partner.take(1, "H55.01")
        first = partner.waiting.pop()
        first.reply.errback(Unreachable("connection broke"))
        partner.pass_time(5)
        (second,) = partner.waiting
        assert read_id(first.body) == read_id(second.body) == message

    def test_runs_outside_the_reactors_thread_however_short_the_message_is(self, partner, monkeypatch):
        costs = list[int]()

        def work(owner, cost, *step, **more):
            costs.append(cost)
            return run_at_once(owner, cost, *step, **more)

        monkeypatch.setattr("tests.outgoing.run_at_once", work)
        partner.up["vpub"] = lambda: Reply(200, answer(), XML)
        partner.start()
        partner.take(1, "H55.01")
        assert len(costs) == 2, "the call was made, and the answer read"
        assert min(costs) >= THRESHOLD


def read_id(body):
    return next(etree.fromstring(body).iter("{*}maTin")).text


@attrs.define
class Axis:
    """A partner by its WSDL that keeps packets until each is confirmed: what it is, and its adapter."""

    kept: dict[str, bytes] = attrs.field(factory=dict)
    heard: list[tuple[str, str]] = attrs.field(factory=list)
    adapter: Any = attrs.field(
        factory=lambda: adapters.make_adapter(
            "soap", terms(COLLECTING, settings={"user": "u"}, secrets={"password": "p"})
        )
    )

    def collect(self, cursor, now):
        return self.adapter.collect(cursor, now)

    async def send(self, request, partner):
        call = etree.fromstring(request.body)[-1][0]
        said = {etree.QName(each).localname: each.text or "" for each in call}
        match etree.QName(call).localname:
            case "DangNhap":
                inside = "<DangNhapResult><token>1</token></DangNhapResult>"
            case "DanhSachCho":
                items = "".join(f'<vanBan><ma xmlns="urn:vi-du:kieu">{name}</ma></vanBan>' for name in self.kept)
                inside = f"<moc>{len(self.heard)}</moc>{items}"
            case "LayVanBan":
                inside = f"<noiDung>{base64.b64encode(self.kept[said['ma']]).decode()}</noiDung>"
            case _:
                self.heard.append((said["ma"], said["ketQua"]))
                del self.kept[said["ma"]]
                inside = '<XacNhanResult><ma xmlns="urn:vi-du:kieu">0</ma></XacNhanResult>'
        name = etree.QName(call).localname
        child = f'<{name}Response xmlns="urn:vi-du:dich-vu">{inside}</{name}Response>'
        return Reply(200, envelope.write_unsigned_envelope(etree.fromstring(child)), XML)


class TestACollection:
    def test_takes_what_waits_and_tells_the_partner_what_became_of_it(self, node):
        axis = node.shelf = Axis({"v1": packet(1), "v2": packet(2, to="H55.99")})
        service = node.start()
        assert axis.heard == [("v1", "DA_NHAN"), ("v2", "LOI")]
        assert node.messages() == [("v1", "accepted"), ("v2", "refused")]
        axis.kept = {"v1": packet(1)}
        node.pass_time(11)
        assert axis.heard[2:] == [("v1", "DA_NHAN")]
        assert node.messages() == [("v1", "accepted"), ("v2", "refused")], "what was listed again counts once"
        service.stopService()
