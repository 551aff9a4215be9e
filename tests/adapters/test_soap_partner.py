"""A partner by its WSDL: what the samples of conversations do not show."""

import hashlib
from collections import Counter
from datetime import timedelta
from typing import Any

import attrs
import pytest
from lxml import etree

import adapters
from hub.domain.conversations import Accepted, Arrival, Collector, Judged, Postponed, Query, Refused, Reply, Unavailable
from hub.domain.errors import ConfigurationFault
from hub.domain.model import Problem
from hub.formats.spool import Drawer, Octets
from hub.formats.streamed_xml import Load, Loads
from hub.partner.adapter_settings import AdapterNotes, Terms
from hub.security import signing, wss_verify
from hub.soap import attachments, documents_responses, envelope, wsdl
from hub.soap.attachments import Carriage, Manner
from tests.adapters.test_conformance import FOLDER, consignment
from tests.pki import NOW, partner

DICHVU = FOLDER / "soap" / "samples" / "dichvu"
TYPES = ("dichvu.wsdl", "types.xsd")
HEAD = '[wsdl]\nfile = "dichvu.wsdl"\n[wsdl.sha256]\n' + "".join(
    f'"{name}" = "{hashlib.sha256((DICHVU / name).read_bytes()).hexdigest()}"\n' for name in TYPES
)
SEND = """
[[deliver]]
operation = "GuiVanBan"
[deliver.input]
"maTin" = "{message.id}"
"noiDung" = "{content}"
[[deliver.outcome]]
when = { "GuiVanBanResult/ma" = "0" }
then = "accepted"
reason = "GuiVanBanResult/soBienNhan"
"""
XML = {"content-type": "text/xml"}


def terms(mapping, **more):
    files = {name: (DICHVU / name).read_bytes() for name in TYPES}
    return Terms(
        partner="bo",
        url="https://bo.example.vn/dichvu",
        identity=partner("hub"),
        certificates=(partner("vpub").certificate,),
        settings={"mapping": "bo/mapping.toml", **more.pop("settings", {})},
        files={**files, "mapping.toml": (HEAD + mapping).encode()},
        **more,
    )


def answer(ma="0", more="", operation="GuiVanBan"):
    """Return the envelope of an answer."""
    child = (
        f'<{operation}Response xmlns="urn:vi-du:dich-vu"><{operation}Result xmlns:k="urn:vi-du:kieu"><k:ma>{ma}</k:ma>'
        f"{more}</{operation}Result></{operation}Response>"
    )
    return envelope.write_unsigned_envelope(etree.fromstring(child))


def deliver(mapping, *replies, content=b"<a/>", **more):
    """Hold the delivery; return the requests and the outcome."""
    given = {key: more.pop(key) for key in ("unsure", "recipients") if key in more}
    adapter = adapters.make_adapter("soap", terms(mapping, **more))
    conversation = adapter.deliver(attrs.evolve(consignment(content, "documents"), **given), NOW)
    return hold(conversation, replies)


def hold(conversation, replies):
    asked, left = [], list(replies)
    try:
        asked.append(next(conversation))
        while True:
            asked.append(conversation.send(left.pop(0)))
    except StopIteration as end:
        return asked, end.value


class TestWhatAMappingSays:
    def test_every_mistake_is_named_by_its_place_and_what_is_expected(self):
        mapping = """
[[deliver]]
operaton = "GuiVanBan"
[deliver.input]
"maTin" = "{mesage.id}"
"noiDung" = "{content | gzip}"
"a//b" = "x"
"token" = "{kept.token}"
[[deliver.outcome]]
when = { "GuiVanBanResult/ma" = "0" }
then = "excepted"
"""
        found = adapters.find_file_mistakes("soap", {"mapping": "bo/mapping.toml"}, terms(mapping).files)
        assert {each.path.partition(": ")[2] for each in found} == {
            "deliver[1].operation",
            "deliver[1].operaton",
            "deliver[1].input.maTin",
            "deliver[1].input.noiDung",
            'deliver[1].input."a//b"',
            "deliver[1].outcome[1].then",
            "deliver[1]",
        }
        assert all(str(each.expected) for each in found)

    def test_the_settings_and_secrets_that_it_names_are_required(self):
        mapping = SEND.replace("{message.id}", "{settings.prefix}{message.id}") + (
            '[security.basic]\nusername = "{settings.user}"\npassword = "{secrets.password}"\n'
        )
        files = terms(mapping).files
        given = {"mapping": "bo/mapping.toml", "user": "u", "usr": "u"}
        flaws = {(key, str(wrong)) for key, wrong, _ in adapters.find_settings_flaws("soap", given, {}, files)}
        assert flaws == {("prefix", "is missing"), ("password-file", "is missing"), ("usr", "unknown key")}

    def test_a_mapping_without_its_file_cannot_be_used(self):
        with pytest.raises(ConfigurationFault):
            adapters.make_adapter("soap", attrs.evolve(terms(SEND), files={}))


def test_what_a_fault_does_not_have_is_not_empty():
    """A service that is down denies nobody: `= ""` means an answer without the element."""
    rule = '[[deliver.outcome]]\nwhen = { "GuiVanBanResult/soBienNhan" = "" }\nthen = "credentials"\n'
    child = f'<s:Fault xmlns:s="{envelope.SOAP11}"><faultcode>s:Server</faultcode><faultstring>bảo trì</faultstring></s:Fault>'
    _, outcome = deliver(SEND + rule, Reply(500, made(child), XML))
    assert outcome == Unavailable("HTTP 500: bảo trì", unknown=True)
    _, outcome = deliver(SEND + rule, Reply(200, answer("7"), XML))
    assert isinstance(outcome, Unavailable)
    assert outcome.credentials


class TestAnAnswerThatMustBeSigned:
    MAPPING = SEND + "[security]\nsign = true\nverify = true\n"

    def test_a_signed_one_is_read(self):
        signed = signing.sign_envelope(answer(more="<k:soBienNhan>7</k:soBienNhan>"), partner("vpub"), NOW)
        _, outcome = deliver(self.MAPPING, Reply(200, signed, XML))
        assert outcome == Accepted("7")

    def test_without_a_signature_it_counts_as_none(self):
        _, outcome = deliver(self.MAPPING, Reply(200, answer(), XML))
        assert isinstance(outcome, Unavailable)
        assert outcome.unknown

    def test_signed_by_somebody_else_it_counts_as_none(self):
        _, outcome = deliver(self.MAPPING, Reply(200, signing.sign_envelope(answer(), partner("sotttt"), NOW), XML))
        assert isinstance(outcome, Unavailable)

    def test_changed_after_the_signature_it_counts_as_none(self):
        signed = signing.sign_envelope(answer("1"), partner("vpub"), NOW).replace(b"ma>1<", b"ma>0<")
        _, outcome = deliver(self.MAPPING, Reply(200, signed, XML))
        assert isinstance(outcome, Unavailable)


FAULT = f'<s:Fault xmlns:s="{envelope.SOAP11}"><faultcode>s:Client</faultcode><faultstring>không nhận</faultstring></s:Fault>'


class TestARuleThatAsksTooLittle:
    """`when` is missing, or looks at HTTP only."""

    @pytest.mark.parametrize("when", ["", 'when = { "http/status" = "200" }\n'], ids=["no condition", "the status"])
    @pytest.mark.parametrize("then", ["accepted", "next"])
    def test_takes_no_fault_for_a_success(self, when, then):
        _, outcome = deliver(f'{SEND}[[deliver.outcome]]\n{when}then = "{then}"\n', Reply(200, made(FAULT), XML))
        assert outcome == Refused("không nhận")

    def test_takes_no_stray_page_for_a_success(self):
        page = Reply(502, b"<html>Bad Gateway</html>", {"content-type": "text/html"})
        _, outcome = deliver(f'{SEND}[[deliver.outcome]]\nthen = "accepted"\n', page)
        assert isinstance(outcome, Unavailable)
        assert outcome.unknown

    @pytest.mark.parametrize("then", ["accepted", "refused", "next"])
    @pytest.mark.parametrize("body", [answer("1"), b"", b"<html/>"], ids=["an answer", "nothing", "a page"])
    def test_believes_nothing_unsigned_where_the_answer_must_be_signed(self, then, body):
        rule = f'[[deliver.outcome]]\nwhen = {{ "http/status" = ["200", "202"] }}\nthen = "{then}"\n'
        _, outcome = deliver(f"{SEND}{rule}[security]\nverify = true\n", Reply(202, body, XML))
        assert isinstance(outcome, Unavailable)
        assert outcome.unknown

    def test_may_take_a_fault_for_a_success_where_it_names_one(self):
        rule = '[[deliver.outcome]]\nwhen = { "fault/text" = "không nhận" }\nthen = "accepted"\n'
        _, outcome = deliver(SEND + rule, Reply(500, made(FAULT), XML))
        assert isinstance(outcome, Accepted)


@pytest.mark.parametrize(
    "child",
    [
        FAULT.replace("không nhận", "sai mật khẩu a&amp;b-bí-mật"),
        "<r><GuiVanBanResult><ma>1</ma><soBienNhan>sai mật khẩu a&amp;b-bí-mật</soBienNhan></GuiVanBanResult></r>",
    ],
    ids=["fault", "answer"],
)
def test_a_reason_does_not_repeat_our_password(child):
    mapping = f"""{SEND}
[[deliver.outcome]]
when = {{ "GuiVanBanResult/ma" = "1" }}
then = "refused"
reason = "GuiVanBanResult/soBienNhan"
[security.basic]
username = "u"
password = "{{secrets.mat-khau}}"
"""
    _, outcome = deliver(mapping, Reply(200, made(child), XML), secrets={"mat-khau": "a&b-bí-mật"})
    assert outcome == Refused("sai mật khẩu ***")


class TestAnAnswerWithParts:
    """A document of 300,000 octets that a partner gives by MTOM, signed."""

    CONTENT = b"<a>" + b"x" * 300_000 + b"</a>"
    MAPPING = """
[security]
verify = true
[[collect]]
operation = "DanhSachCho"
list = "vanBan"
id = "ma"
[[collect]]
operation = "LayVanBan"
content = "noiDung"
[collect.input]
"ma" = "{open.id}"
"""

    def collect(self, change=lambda octets: octets):
        loads = Loads()
        answered = etree.fromstring('<LayVanBanResponse xmlns="urn:vi-du:dich-vu"><noiDung/></LayVanBanResponse>')
        loads.put(answered[0], Load(Octets.of(self.CONTENT), carried=True))
        how = Manner(envelope.SOAP11, carriage=Carriage.MTOM)
        unsigned = envelope.write_unsigned_envelope(answered)
        sent = attachments.pack_envelope(unsigned, loads, how, partner("vpub"), NOW)
        listed = '<DanhSachChoResponse xmlns="urn:vi-du:dich-vu"><vanBan><ma xmlns="urn:vi-du:kieu">v</ma></vanBan></DanhSachChoResponse>'
        shown = signing.sign_envelope(made(listed), partner("vpub"), NOW)
        adapter: Any = adapters.make_adapter("soap", terms(self.MAPPING))
        conversation = adapter.collect("", NOW)
        next(conversation)
        assert b"LayVanBan" in conversation.send(Reply(200, shown, XML)).body
        return conversation.send(Reply(200, change(sent.read()), {"content-type": sent.content_type}))

    def test_has_the_octets_of_the_part(self):
        assert self.collect().content == self.CONTENT

    def test_of_which_one_was_changed_is_none(self):
        with pytest.raises(StopIteration) as ended:
            self.collect(lambda octets: octets.replace(b"xxx</a>", b"xxy</a>"))
        assert isinstance(ended.value.value, Unavailable)
        assert "signature-invalid" in ended.value.value.detail


class TestWhatIsWritten:
    def test_a_user_name_token_travels_as_digest(self):
        mapping = SEND + (
            '[security.username-token]\nusername = "{settings.user}"\npassword = "{secrets.password}"\ndigest = true\n'
        )
        asked, _ = deliver(
            mapping, Reply(200, answer(), XML), settings={"user": "tinh"}, secrets={"password": "bi-mat"}
        )
        root = etree.fromstring(asked[0].body)
        assert root[0].tag.endswith("Header")
        token = {etree.QName(each).localname: each.text for each in root.iter("*")}
        assert token["Username"] == "tinh"
        assert b"bi-mat" not in asked[0].body
        assert len(token["Nonce"] or "") == 24

    @pytest.mark.parametrize("mtom", ["true", "false"])
    @pytest.mark.parametrize("sign", ["true", "false"])
    def test_long_octets_arrive_as_they_are(self, mtom, sign):
        content = b"\xff\x00a" * 100_000
        mapping = SEND.replace('operation = "GuiVanBan"', f'operation = "GuiVanBan"\nmtom = {mtom}')
        asked, _ = deliver(f"{mapping}[security]\nsign = {sign}\n", Reply(200, answer(), XML), content=content)
        sent = dict(asked[0].headers)
        how = attachments.read_http_manner(sent["Content-Type"], None)
        unpacked = attachments.unpack_body(
            Octets.of(asked[0].body), how, frozenset({"noiDung"}), Drawer(memory=1 << 20)
        )
        (place,) = unpacked.root.iter("{*}noiDung")
        load = unpacked.loads.get(place)
        assert load is not None
        assert unpacked.loads.decoded(load).read() == content
        assert (len(asked[0].body) < len(content) * 1.1) == (mtom == "true")
        if sign == "true":
            wss_verify.verify_envelope(
                unpacked.root, [partner("hub").certificate], NOW, max_age=timedelta(minutes=15), loads=unpacked.loads
            )

    def test_octets_for_a_text_must_be_made_a_text(self):
        _, outcome = deliver(SEND.replace("{message.id}", "{content}"))
        assert isinstance(outcome, Refused)
        assert "base64" in outcome.detail

    def test_the_call_hands_the_message_over(self):
        asked, _ = deliver(SEND, Reply(200, answer(), XML))
        assert [each.hands_over for each in asked] == [True]

    @pytest.mark.parametrize(
        ("login", "send", "hands"),
        [
            ("", "", [False, True]),
            ("hands-over = false\n", "", [False, True]),
            ("hands-over = true\n", "", [True, False]),
            ("", "hands-over = true\n", [False, True]),
        ],
    )
    def test_the_mapping_may_say_which_call_does(self, login, send, hands):
        mapping = f'[[deliver]]\noperation = "DangNhap"\n{login}[deliver.input]\n"taiKhoan" = "u"\n"matKhau" = "p"\n'
        mapping += SEND.replace("[deliver.input]", f"{send}[deliver.input]")
        asked, _ = deliver(mapping, Reply(200, answer(operation="DangNhap"), XML), Reply(200, answer(), XML))
        assert [each.hands_over for each in asked] == hands

    def test_if_none_does_the_mapping_is_mistaken(self):
        mapping = SEND.replace("[deliver.input]", "hands-over = false\n[deliver.input]")
        (found,) = adapters.find_file_mistakes("soap", {"mapping": "bo/mapping.toml"}, terms(mapping).files)
        assert found.path == "mapping.toml: deliver"

    def test_a_login_does_not(self):
        mapping = '[[deliver]]\noperation = "DangNhap"\n[deliver.input]\n"taiKhoan" = "u"\n"matKhau" = "p"\n' + SEND
        asked, _ = deliver(mapping, Reply(200, answer(operation="DangNhap"), XML), Reply(200, answer(), XML))
        assert [each.hands_over for each in asked] == [False, True]


def test_a_mapping_that_delivers_nothing_kills_no_message():
    _, outcome = deliver('[[ask.VerifyCitizen]]\noperation = "XacThuc"\n')
    assert outcome == Unavailable("the mapping has no [[deliver]]")


def test_a_mapping_that_does_not_fit_the_wsdl_kills_no_message_and_opens_no_breaker():
    asked, outcome = deliver(SEND.replace('"maTin"', '"maTinn"'))
    assert asked == []
    assert isinstance(outcome, Unavailable)
    assert outcome.ours
    assert outcome.detail.startswith(
        "deliver[1]: the mapping does not fit the WSDL: GuiVanBan has no maTinn; one of token"
    )


class TestSeveralRecipients:
    def test_are_all_named_in_one_call_where_the_mapping_says_so(self):
        mapping = SEND.replace('"maTin"', '"trichYeu" = "{recipients}"\n"maTin"')
        asked, outcome = deliver(mapping, Reply(200, answer(), XML), recipients=("H55.1", "H55.2"))
        assert b"H55.1,H55.2" in asked[0].body
        assert outcome == Accepted()

    def test_are_sent_to_one_by_one_where_a_call_names_one(self):
        """Else the second would count as delivered and never get it."""
        mapping = SEND.replace('"maTin"', '"trichYeu" = "{recipient}"\n"maTin"')
        asked, outcome = deliver(mapping, recipients=("H55.1", "H55.2", "H55.3"))
        assert asked == []
        assert outcome == Refused("the mapping names one recipient in each call", ("H55.2", "H55.3"))
        asked, outcome = deliver(mapping, Reply(200, answer(), XML), recipients=("H55.2",))
        assert b"H55.2" in asked[0].body

    def test_are_divided_by_a_refusal_of_one(self):
        mapping = (
            SEND + '[[deliver.outcome]]\nwhen = { "GuiVanBanResult/ma" = "8" }\nthen = "refused"\nabout = "recipient"\n'
        )
        _, outcome = deliver(mapping, Reply(200, answer("8"), XML), recipients=("H55.1", "H55.2"))
        assert outcome == Refused("refused, without a reason", ())


class TestACallForEachElement:
    MESSAGE = b"<r><HoSo><Ma>1</Ma></HoSo><HoSo><Ma>2</Ma></HoSo><HoSo><Ma>3</Ma></HoSo></r>"
    MAPPING = """
[[deliver]]
operation = "GuiHoSo"
each = "{xml.HoSo}"
[deliver.input]
"maTin" = "{message.id}-{item.Ma}"
"danhSach/hoSo/ma" = "{item.Ma}"
[[deliver.outcome]]
when = { "GuiHoSoResult" = ["00", ""] }
then = "accepted"
[[deliver.outcome]]
when = { "GuiHoSoResult" = "99" }
then = "unavailable"
[[deliver.outcome]]
when = { "GuiHoSoResult" = "*" }
then = "refused"
reason = "GuiHoSoResult"
"""

    def test_that_is_made_again_after_a_lost_answer_or_a_restart_may_be_there_twice(self, monkeypatch):
        monkeypatch.setattr(type(self), "MAPPING", self.MAPPING.replace("{message.id}-", ""))
        notes = AdapterNotes()
        conversation = self.begin(notes)
        _ = next(conversation), conversation.send(Reply(200, self.TAKEN, XML))
        conversation.close()  # no answer to the second
        assert self.deliver("00", "00", notes=notes, unsure=NOW) == (["2", "3"], Accepted(twice=True))
        _ = self.deliver("00", "99", notes=notes)
        assert self.deliver("00", "00", "00", unsure=NOW) == (["1", "2", "3"], Accepted(twice=True)), "it forgot"

    def begin(self, notes):
        adapter = adapters.make_adapter("soap", terms(self.MAPPING, notes=notes))
        return adapter.deliver(consignment(self.MESSAGE, "documents"), NOW)

    def test_that_is_made_for_the_first_time_is_not(self, monkeypatch):
        monkeypatch.setattr(type(self), "MAPPING", self.MAPPING.replace("{message.id}-", ""))
        notes = AdapterNotes()
        _, outcome = hold(self.begin(notes), [Reply(200, self.TAKEN, XML, NOW + timedelta(seconds=20))])
        assert isinstance(outcome, Postponed)
        assert outcome.unknown, "what is there is not kept on the disk"
        _, outcome = self.deliver("99", notes=notes, unsure=NOW)
        assert isinstance(outcome, Unavailable)
        assert self.deliver("00", "00", notes=notes, unsure=NOW) == (["2", "3"], Accepted())

    TAKEN = envelope.write_unsigned_envelope(
        etree.fromstring(
            '<GuiHoSoResponse xmlns="urn:vi-du:dich-vu"><GuiHoSoResult>00</GuiHoSoResult></GuiHoSoResponse>'
        )
    )

    def deliver(self, *said, notes=None, content=MESSAGE, **more):
        replies = [
            Reply(
                200,
                made(
                    f'<GuiHoSoResponse xmlns="urn:vi-du:dich-vu"><GuiHoSoResult>{each}</GuiHoSoResult></GuiHoSoResponse>'
                ),
                XML,
            )
            for each in said
        ]
        asked, outcome = deliver(self.MAPPING, *replies, content=content, notes=notes or AdapterNotes(), **more)
        return [next(etree.fromstring(each.body).iter("{*}ma")).text for each in asked], outcome

    def test_is_made_in_their_order(self):
        assert self.deliver("00", "00", "00") == (["1", "2", "3"], Accepted())

    def test_goes_on_where_the_last_attempt_ended(self):
        notes = AdapterNotes()
        asked, outcome = self.deliver("00", "99", notes=notes)
        assert asked == ["1", "2"]
        assert isinstance(outcome, Unavailable)
        assert self.deliver("00", "00", notes=notes) == (["2", "3"], Accepted())
        assert self.deliver("00", "00", "00", notes=notes) == (["1", "2", "3"], Accepted()), "a person sent it again"

    def test_gives_way_after_a_while_and_goes_on(self):
        """A conversation is cut off after three times the timeout of a call: what is done by then would count as lost."""
        notes = AdapterNotes()
        adapter = adapters.make_adapter("soap", terms(self.MAPPING, notes=notes))
        said = made('<GuiHoSoResponse xmlns="urn:vi-du:dich-vu"><GuiHoSoResult>00</GuiHoSoResult></GuiHoSoResponse>')
        slow = [Reply(200, said, XML, NOW + timedelta(seconds=8 * number)) for number in (1, 2, 3)]
        asked, outcome = hold(adapter.deliver(consignment(self.MESSAGE, "documents"), NOW), slow)
        assert len(asked) == 2
        assert outcome == Postponed(NOW + timedelta(seconds=16), "2 of 3 are sent", unknown=True)
        assert self.deliver("00", notes=notes) == (["3"], Accepted())

    def test_keeps_no_other_back_where_one_is_refused(self):
        notes = AdapterNotes()
        asked, outcome = self.deliver("00", "07", "00", notes=notes)
        assert asked == ["1", "2", "3"]
        assert outcome == Refused("1 of 3 refused: 2: 07")
        assert self.deliver("00", notes=notes) == (["2"], Accepted()), "replayed, it brings what is missing"

    def test_is_none_for_a_message_without_elements(self):
        assert self.deliver(content=b"<r/>") == ([], Refused("the message has nothing for GuiHoSo"))

    @pytest.mark.parametrize("each", ["x", "{recipients}", "{xml.HoSo | upper}", "{item.Ma}"])
    def test_needs_a_path_in_the_message(self, each):
        mapping = self.MAPPING.replace("{xml.HoSo}", each)
        found = adapters.find_file_mistakes("soap", {"mapping": "bo/mapping.toml"}, terms(mapping).files)
        assert "mapping.toml: deliver[1].each" in {mistake.path for mistake in found}


def test_what_was_kept_of_a_message_is_forgotten_when_its_delivery_has_ended():
    """Else a replay would take the step for done."""
    keeping = '[deliver.keep]\nso = "GuiVanBanResult/ma"\nfor = "1d"\nof = "message"\n'
    mapping = SEND.replace('then = "accepted"', 'then = "next"').replace(
        "[[deliver.outcome]]", f"{keeping}[[deliver.outcome]]"
    )
    mapping += '[[deliver]]\noperation = "XacNhan"\n[deliver.input]\n"ma" = "{kept.so}"\n"ketQua" = "?"\n'
    rules = '[[deliver.outcome]]\nwhen = {{ "XacNhanResult/ma" = "{}" }}\nthen = "{}"\nafter = "1m"\n'
    mapping += rules.format("1", "postponed") + rules.format("2", "refused").replace('after = "1m"\n', "")
    notes = AdapterNotes()
    sent, asked = Reply(200, answer(), XML), [Reply(200, answer(ma, operation="XacNhan"), XML) for ma in "12"]
    first, outcome = deliver(mapping, sent, asked[0], notes=notes)
    assert isinstance(outcome, Postponed)
    assert len(first) == 2
    second, outcome = deliver(mapping, asked[1], notes=notes)
    assert isinstance(outcome, Refused)
    assert len(second) == 1, "it was not sent again, only asked for"
    third, _ = deliver(mapping, sent, asked[1], notes=notes)
    assert len(third) == 2, "replayed, it is sent again"


class TestARepetition:
    def test_is_known_by_the_id_of_the_message(self):
        _, outcome = deliver(SEND, Reply(200, answer(), XML), unsure=NOW)
        assert outcome == Accepted()

    def test_may_be_there_twice_where_no_id_is_sent(self):
        mapping = SEND.replace("{message.id}", "x")
        _, outcome = deliver(mapping, Reply(200, answer(), XML), unsure=NOW)
        assert outcome == Accepted(twice=True)


def login(user, only=""):
    """Return the step that logs in as *user* and keeps the token; *only*: where the message comes from this unit."""
    condition = f'only = {{ "message.sender" = "{only}" }}\n' if only else ""
    return f"""
[[deliver]]
operation = "DangNhap"
{condition}[deliver.input]
"taiKhoan" = "{user}"
"matKhau" = "p"
[deliver.keep]
token = "DangNhapResult/ma"
for = "10m"
"""


class TestWhatIsKept:
    SEND = SEND.replace('"maTin"', '"token" = "{kept.token}"\n"maTin"')
    MAPPING = login("u") + SEND

    def hold(self, notes, now):
        adapter = adapters.make_adapter("soap", terms(self.MAPPING, notes=notes))
        replies = [Reply(200, answer("phien", operation="DangNhap"), XML), Reply(200, answer(), XML)]
        conversation = adapter.deliver(consignment(b"<a/>", "documents"), now)
        asked = []
        try:
            asked.append(next(conversation))
            while True:
                login = b"DangNhap" in asked[-1].body
                asked.append(conversation.send(replies[0 if login else 1]))
        except StopIteration as end:
            return len(asked), end.value

    def test_is_no_part_of_the_kept_exchange(self):
        asked, _ = deliver(
            self.MAPPING, Reply(200, answer("phien", operation="DangNhap"), XML), Reply(200, answer(), XML)
        )
        assert [each.secrets for each in asked] == [(), ("phien",)]

    def test_until_its_time(self):
        notes = AdapterNotes()
        assert self.hold(notes, NOW) == (2, Accepted())
        assert self.hold(notes, NOW + timedelta(minutes=9)) == (1, Accepted())
        assert self.hold(notes, NOW + timedelta(minutes=10)) == (2, Accepted())

    def test_is_not_forgotten_where_another_conversation_has_logged_in_since(self):
        notes = AdapterNotes()
        adapter = adapters.make_adapter("soap", terms(self.MAPPING, notes=notes))
        first, second, third = (adapter.deliver(consignment(b"<a/>", "documents"), NOW) for _ in range(3))
        assert b"DangNhap" in next(first).body
        assert b"alt" in first.send(Reply(200, answer("alt", operation="DangNhap"), XML)).body
        assert b"alt" in next(second).body
        assert b"alt" in next(third).body
        assert b"DangNhap" in second.send(Reply(401, b"", {})).body
        assert b"neu" in second.send(Reply(200, answer("neu", operation="DangNhap"), XML)).body
        again = third.send(Reply(401, b"", {}))
        assert b"neu" in again.body
        assert b"DangNhap" not in again.body

    @pytest.mark.parametrize(
        "logins",
        [login("{message.sender}"), login("u", only="H55.1") + login("v", only="H55.2")],
        ids=["one login for each unit", "one of two logins"],
    )
    def test_for_one_unit_is_not_used_for_another(self, logins):
        """Otherwise the second unit's message would go out in the name of the first."""
        notes = AdapterNotes()
        adapter = adapters.make_adapter("soap", terms(logins + self.SEND, notes=notes))
        for unit, token in (("H55.1", "mot"), ("H55.2", "hai")):
            asked = consignment(b"<a/>", "documents")
            conversation = adapter.deliver(attrs.evolve(asked, message=attrs.evolve(asked.message, sender=unit)), NOW)
            assert b"DangNhap" in next(conversation).body
            sent = conversation.send(Reply(200, answer(token, operation="DangNhap"), XML))
            assert token.encode() in sent.body


class TestAQuestion:
    MAPPING = """
[[ask.VerifyCitizen]]
operation = "XacThuc"
[ask.VerifyCitizen.input]
"soDinhDanh" = "{query.CitizenId}"
"hoVaTen" = "{query.FullName}"
[ask.VerifyCitizen.answer]
"Exists" = "tonTai | boolean"
"""

    def ask(self, reply):
        adapter: Any = adapters.make_adapter("soap", terms(self.MAPPING))
        question = Query("VerifyCitizen", {"CitizenId": "001", "FullName": "Nguyễn Văn A"}, "q-1")
        return hold(adapter.ask(question, NOW), [reply])

    def test_is_answered_by_path(self):
        child = '<XacThucResponse xmlns="urn:vi-du:dich-vu"><tonTai>1</tonTai></XacThucResponse>'
        said = envelope.write_unsigned_envelope(etree.fromstring(child))
        asked, outcome = self.ask(Reply(200, said, XML))
        assert outcome.fields == (("Exists", "true"),)
        assert "Nguyễn Văn A" in asked[0].body.decode()

    def test_whose_answer_does_not_fit_is_asked_again(self):
        child = '<XacThucResponse xmlns="urn:vi-du:dich-vu"><tonTai>có lẽ</tonTai></XacThucResponse>'
        _, outcome = self.ask(Reply(200, envelope.write_unsigned_envelope(etree.fromstring(child)), XML))
        assert outcome == Unavailable("the answer does not fit the mapping")

    def test_a_refusal_quotes_no_fault(self):
        child = f'<s:Fault xmlns:s="{envelope.SOAP11}"><faultcode>s:Client</faultcode><faultstring>ông A</faultstring></s:Fault>'
        said = envelope.write_unsigned_envelope(etree.fromstring(child))
        _, outcome = self.ask(Reply(500, said, XML))
        assert outcome == Refused("a fault, Client")


class TestACollection:
    def mapping(self):
        return (DICHVU / "collect.toml").read_text("utf-8").partition("[tables")[2]

    def test_makes_a_collector_only_where_the_mapping_collects(self):
        collecting = adapters.make_adapter("soap", terms("[tables" + self.mapping()))
        assert isinstance(collecting, Collector)
        assert not isinstance(adapters.make_adapter("soap", terms(SEND)), Collector)

    def test_logs_in_once_for_all_documents(self):
        adapter: Any = adapters.make_adapter(
            "soap", terms("[tables" + self.mapping(), settings={"user": "u"}, secrets={"password": "p"})
        )
        listed = "".join(f"<vanBan><ma xmlns='urn:vi-du:kieu'>v{number}</ma></vanBan>" for number in range(25))
        said = {
            "DangNhap": answer("x", operation="DangNhap").replace(b"k:ma", b"token"),
            "DanhSachCho": made(
                f'<DanhSachChoResponse xmlns="urn:vi-du:dich-vu"><moc>9</moc>{listed}</DanhSachChoResponse>'
            ),
            "LayVanBan": made(
                '<LayVanBanResponse xmlns="urn:vi-du:dich-vu"><noiDung>PGEvPg==</noiDung></LayVanBanResponse>'
            ),
            "XacNhan": answer(operation="XacNhan"),
        }
        conversation = adapter.collect("", NOW)
        asked, step, collected = [], next(conversation), None
        try:
            while True:
                if isinstance(step, Arrival):
                    step = conversation.send(Judged(accepted=True))
                    continue
                asked.append(etree.QName(etree.fromstring(step.body)[-1][0]).localname)
                step = conversation.send(Reply(200, said[asked[-1]], XML))
        except StopIteration as end:
            collected = end.value
        assert Counter(asked) == {"DangNhap": 1, "DanhSachCho": 1, "LayVanBan": 20, "XacNhan": 20}
        assert collected is not None
        assert collected.more
        assert '"at": ""' in collected.cursor  # five are left, so the next collection lists from the same place


def made(child):
    return envelope.write_unsigned_envelope(etree.fromstring(child))


class TestAnotherHub:
    """Our own documents service, by its WSDL: what a partner by its WSDL sends passes as strict a reader as the hub."""

    MAPPING = """
[wsdl]
file = "documents.wsdl"
port = "%s"
mtom = %s
[wsdl.sha256]
%s
[security]
sign = true
verify = true
[[deliver]]
operation = "SendDocument"
[deliver.input]
"MessageId" = "{message.id}"
"Packet" = "{content}"
[[deliver.outcome]]
when = { "Report/IsSuccess" = "true" }
then = "accepted"
reason = "DocumentId"
[[deliver.outcome]]
when = { "Report/IsSuccess" = "false" }
then = "refused"
reason = ["Report/ErrorList/Error/Code", "Report/ErrorList/Error/Description"]
"""

    @pytest.mark.parametrize("mtom", ["true", "false"])
    @pytest.mark.parametrize("port", ["DocumentsSoap11", "DocumentsSoap12"])
    def test_is_sent_what_its_contract_says(self, port, mtom):
        known = wsdl.list_contract_files()
        kinds = ("wsdl", "xsd")
        files = {f"documents.{kind}": known[f"{kind}/lienthong/1/documents.{kind}"].read_bytes() for kind in kinds}
        listed = "".join(f'"{name}" = "{hashlib.sha256(octets).hexdigest()}"\n' for name, octets in files.items())
        files["mapping.toml"] = (self.MAPPING % (port, mtom, listed)).encode()
        adapter = adapters.make_adapter("soap", attrs.evolve(terms(SEND), files=files))
        content = FOLDER.joinpath("documents", "samples", "message.edxml").read_bytes()
        said = documents_responses.build_refused_response("SendDocument", [Problem("unit-unknown", "H55.1")])
        signed = signing.sign_envelope(envelope.write_unsigned_envelope(said), partner("vpub"), NOW)
        asked, outcome = hold(adapter.deliver(consignment(content, "documents"), NOW), [Reply(200, signed, XML)])
        sent = dict(asked[0].headers)
        how = attachments.read_http_manner(sent["Content-Type"], sent.get("SOAPAction"))
        contract = wsdl.load_contract("documents")
        unpacked = attachments.unpack_body(Octets.of(asked[0].body), how, contract.binary_names, Drawer(memory=1 << 20))
        opened = envelope.open_envelope(unpacked.root)
        wss_verify.verify_envelope(
            unpacked.root, [partner("hub").certificate], NOW, max_age=timedelta(minutes=9), loads=unpacked.loads
        )
        (packet,) = contract.validate(opened.child, unpacked.loads)
        assert packet == content
        assert envelope.action_matches(how.action, contract.operation(opened.child).action)
        assert how.carriage.value == ("mtom" if mtom == "true" else "inline")
        assert isinstance(outcome, Refused)
        assert outcome.detail.startswith("unit-unknown: ")


class TestWhatAnAnswerToTheHandOverLeavesOpen:
    """The partner may have what it, or a proxy before it, says nothing final about."""

    FAULT = Reply(500, made(f'<s:Fault xmlns:s="{envelope.SOAP11}"><faultcode>s:Server</faultcode></s:Fault>'), XML)
    NAMED = '[[deliver.outcome]]\nwhen = { "fault/code" = "Server" }\nthen = "postponed"\nafter = "1m"\n'
    PAGE = '[[deliver.outcome]]\nwhen = { "http/status" = ["503", "504"] }\nthen = "postponed"\nafter = "1m"\n'

    @pytest.mark.parametrize(
        ("rules", "reply", "unknown"),
        [
            ("", FAULT, True),
            (NAMED, FAULT, False),
            (PAGE, Reply(504, b"<html>"), True),
            (PAGE, Reply(503, b"<html>"), False),
            ('[deliver.keep]\nnumber = "GuiVanBanResult/soBienNhan"\n', Reply(200, answer(), XML), True),
        ],
    )
    def test_is_told(self, rules, reply, unknown):
        mapping = SEND.replace('then = "accepted"\nreason = "GuiVanBanResult/soBienNhan"', 'then = "next"')
        _, outcome = deliver(mapping + rules, reply)
        assert isinstance(outcome, Postponed | Unavailable)
        assert outcome.unknown == unknown
