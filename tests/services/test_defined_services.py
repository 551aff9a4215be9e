"""A service by an XSD and a few lines of TOML: the example of docs/howto/add-a-service.md, word for word."""

import base64
import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from lxml import etree
from twisted.internet.defer import Deferred
from zeep import Client, Settings
from zeep.transports import Transport

from adapters import make_adapter
from hub import config
from hub.config import describe_config_changes
from hub.domain.conversations import Accepted, Refused, Reply, Unavailable
from hub.domain.errors import ConfigurationFault
from hub.domain.model import Consignment, Receive, Unit
from hub.formats.spool import Drawer, Octets
from hub.intake import grants
from hub.intake.admission import judge_record
from hub.intake.endpoint import JournalAccess
from hub.intake.intake import Intake
from hub.journal import blobs
from hub.journal.searching import message_reading, search
from hub.journal.searching.message_filter import MessageFilter
from hub.node.check import check_config
from hub.node.consistency import find_adapter_mistakes
from hub.node.soap_port import DefinedIntakes
from hub.partner.adapter_settings import Terms
from hub.partner.throttle import Throttle
from hub.report.form import book
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.runtime.thread_pool import run_at_once
from hub.security.anchors import Anchors
from hub.services.defined import load_defined_contract
from hub.services.defined.reading import make_defined_service
from hub.soap import envelope
from hub.soap.attachments import Manner, read_http_manner
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import delivery, fact
from hub.units.live import Live, Setup
from hub.units.province import Province
from hub.web.endpoints import make_defined_endpoint
from hub.workload import closing, month_world, unit_report
from tests import databases, effort, homes, pki
from tests.conftest import ROOT
from tests.mtom import Body
from tests.opened import lines_of
from tests.pki import NOW
from tests.signatures import Layout, stamp
from tests.wsdls import keeps_the_basic_profile

GUIDE = ROOT / "docs/howto/add-a-service.md"
BLOCKS = re.findall(r"```(xml|toml|sh)\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
XSD, SAMPLE = (text for kind, text in BLOCKS if kind == "xml")
SETTINGS, FORM = (text for kind, text in BLOCKS if kind == "toml")
UNIT, OTHER = "H55.13", "H55.01"
PERIOD, AFTER = "2026-12", datetime(2026, 12, 20, tzinfo=UTC)
UNITS = [Unit(code, code) for code in ("H55", UNIT, OTHER, "H55.02")]


def define(home: Path, settings: str = SETTINGS, schema: str = XSD, form: str = FORM, name: str = "phananh") -> Path:
    """Write the service and the form of the guide, or others, into the configuration in *home*."""
    folder = home / "services" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.xsd").write_text(schema, "utf-8")
    (folder / "service.toml").write_text(settings, "utf-8")
    if form:
        (home / "forms").mkdir(exist_ok=True)
        (home / f"forms/{name}.toml").write_text(form, "utf-8")
        text = (home / "hub.toml").read_text("utf-8")
        if "[reports]" not in text:
            (home / "hub.toml").write_text(f'{text}\n[reports]\nforms = "forms"\n', "utf-8")
    return home


@attrs.define(eq=False)
class ServiceTown:
    """A hub that is configured by a folder, with a partner that sends and one that is pushed to; and its journal."""

    home: Path
    engine: sa.Engine
    who: Any
    live: Live
    calls: Any = attrs.field(factory=lambda: count(1))

    def ask(self, content: str, service: str = "phananh") -> str:
        """Return the answer to the call *content*, which the partner signs."""
        created = NOW - timedelta(seconds=next(self.calls))
        layout = Layout(content=content, created=stamp(created), expires=stamp(created + timedelta(minutes=5)))
        return self.put(layout.signed(self.who), self.who, service).decode()

    def put(self, body: bytes, shown: Any, service: str = "phananh", manner: Manner | None = None) -> bytes:
        """Return the answer to the envelope *body* on a connection whose client showed the certificate of *shown*."""
        access = JournalAccess(InlineDatabase(self.engine), run_at_once, lambda: None, lambda: None)
        endpoint = make_defined_endpoint(self.live.config.services[service], access)
        intake = Intake(self.live, endpoint, access, lambda: NOW, Throttle(lambda: 0.0))
        done: list[Any] = []
        drawer = Drawer()
        asked = intake.answer(Octets.of(body), manner or Manner(), shown.certificate, drawer)
        _ = Deferred.fromCoroutine(asked).addCallback(done.append)
        answer: bytes = done[0].body.read()
        drawer.close()
        return answer

    def facts(self) -> list[tuple[Any, ...]]:
        """Return unit, key, milestone, day, due day and amount of each fact."""
        columns = (fact.c.unit, fact.c.key, fact.c.milestone, fact.c.day, fact.c.due, fact.c.amount)
        with transactions.read_transaction(self.engine) as tx:
            return [tuple(row) for row in tx.execute(sa.select(*columns).order_by(fact.c.key, fact.c.milestone))]

    def report(self, form: str = "phananh", unit: str = UNIT) -> dict[str, Any]:
        """Return the numbers of the unit's report."""
        known = book.read_book(self.live.config.reports)
        with transactions.read_transaction(self.engine) as tx:
            asked = unit_report.resolve_report_sources(tx, unit, PERIOD, form, known, now=AFTER)
            return dict(asked.count(AFTER).total.numbers)


def make_town(place: Path, home: Path, journal: str = "town.db", **partner: Any) -> ServiceTown:
    """Return the town of the configuration in *home*, with a journal of its own."""
    made = config.read_config(home / "hub.toml")
    who = pki.partner("sotttt")
    sender = config.Partner(
        **{"code": "sotttt", "name": "", "certificates": (who.certificate,), "units": (UNIT,)} | partner
    )
    taker = config.Partner(
        code="vpub",
        name="",
        certificates=(pki.partner("vpub").certificate,),
        units=(OTHER,),
        receive=Receive.PUSH,
        url="https://127.0.0.1:1/soap/phananh",
        services=("documents", "phananh"),
    )
    partners = {each.code: each for each in (sender, taker, made.partners[made.upstream])}
    anchors = Anchors([pki.authority().certificate])
    changed = attrs.evolve(made, anchors=anchors, partners=partners, identity=pki.partner("hub"))
    engine = transactions.open_journal(databases.sqlite(place / journal))
    return ServiceTown(home, engine, who, Live(Setup(Province.of(changed, UNITS))))


@pytest.fixture
def town(tmp_path):
    made = make_town(tmp_path, define(homes.begin(tmp_path / "tinh")))
    yield made
    made.engine.dispose()


def test_a_message_is_counted_once_and_its_numbers_stand_in_the_report(town):
    first, again = town.ask(SAMPLE), town.ask(SAMPLE)
    assert "<IsSuccess>true</IsSuccess>" in first
    assert re.findall("<DocumentId>(.*?)<", first) == re.findall("<DocumentId>(.*?)<", again)
    assert town.facts() == [
        (UNIT, "PA-1", "hai-long", date(2026, 11, 23), None, 1),
        (UNIT, "PA-1", "nhan", date(2026, 11, 16), date(2026, 11, 20), 1),
        (UNIT, "PA-1", "tra-loi", date(2026, 11, 23), date(2026, 11, 20), 1),
        (UNIT, "PA-2", "nhan", date(2026, 11, 17), date(2026, 12, 1), 1),
    ]
    assert town.report() == {"nhan": 2, "tra_loi": 1, "tre_han": 1, "hai_long": 1}


def test_a_later_message_adds_what_was_not_told_yet(town):
    _ = town.ask(SAMPLE)
    later = SAMPLE.replace("2026-11-0001", "2026-11-0002").replace(
        "2026-12-01</HanTraLoi>", "2026-12-01</HanTraLoi><NgayTraLoi>2026-11-24</NgayTraLoi>"
    )
    assert "<IsSuccess>true</IsSuccess>" in town.ask(later)
    assert town.report() == {"nhan": 2, "tra_loi": 2, "tre_han": 1, "hai_long": 1}


def test_a_wrong_message_is_refused_with_its_place_and_label(town):
    wrong = SAMPLE.replace("2026-11-17", "17/11/2026", 1)
    answer = town.ask(wrong)
    assert "/GuiPhanAnh/PhanAnh[2]/NgayNhan (Ngày nhận phản ánh)" in answer
    assert "line" in answer
    assert town.facts() == []


def test_what_no_schema_can_say_is_refused_with_its_place_too(town):
    answer = town.ask(SAMPLE.replace("2026-11-23", "2026-11-25"))
    assert "<IsSuccess>false</IsSuccess>" in answer
    assert "R./GuiPhanAnh/PhanAnh[1]/NgayTraLoi" in answer
    twice = town.ask(SAMPLE.replace("PA-2", "PA-1"))
    assert "M./GuiPhanAnh/PhanAnh[2]" in twice
    assert town.facts() == []


@pytest.mark.slow
def test_a_value_that_a_pattern_of_the_schema_cannot_be_held_to_is_refused(tmp_path):
    """libxml2 gives up after a bounded number of steps, and lxml then raises an error of its own."""
    pattern = '<xs:pattern value="(P|A|PA|-|[0-9])+"/>'
    schema = XSD.replace('<xs:minLength value="1"/>', f'{pattern}<xs:minLength value="1"/>').replace(
        'name="NoiNhan" type="Ma"', 'name="NoiNhan" type="xs:token"'
    )
    schema = schema.replace('name="MaDonVi" type="Ma"', 'name="MaDonVi" type="xs:token"')
    schema = schema.replace('name="LinhVuc" type="Ma"', 'name="LinhVuc" type="xs:token"')
    made = make_town(tmp_path, define(homes.begin(tmp_path / "tinh"), schema=schema))
    assert "contract-broken" in made.ask(SAMPLE.replace("PA-1", "PA" * 45 + "!"))
    assert "<IsSuccess>true</IsSuccess>" in made.ask(SAMPLE)
    made.engine.dispose()


def test_an_attribute_in_a_namespace_is_found_too(tmp_path):
    """As the check of the configuration does. Otherwise its facts would be missing, and nobody would know."""
    day = re.compile('<xs:element name="NgayNhan".*?</xs:element>', re.DOTALL)
    attribute = '<xs:attribute name="ngay" type="xs:date" form="qualified"/>'
    schema = day.sub("", XSD).replace(
        'name="HaiLong" type="HaiLong" minOccurs="0"/>\n            </xs:sequence>',
        f'name="HaiLong" type="HaiLong" minOccurs="0"/>\n            </xs:sequence>{attribute}',
    )
    settings = SETTINGS.replace('day = "NgayNhan"', 'day = "@ngay"')
    sample = re.sub(
        r"<PhanAnh>(.*?)<NgayNhan>(.*?)</NgayNhan>", r'<PhanAnh p:ngay="\2">\1', SAMPLE, flags=re.DOTALL
    ).replace('xmlns="', 'xmlns:p="urn:tinh:phananh:1" xmlns="', 1)
    made = make_town(tmp_path, define(homes.begin(tmp_path / "tinh"), settings, schema))
    assert "<IsSuccess>true</IsSuccess>" in made.ask(sample)
    assert [each[3] for each in made.facts() if each[2] == "nhan"] == [date(2026, 11, 16), date(2026, 11, 17)]
    made.engine.dispose()


@pytest.mark.parametrize("number", ["9e999999", "1_000", "NaN", "9" * 200, "1.00000000000000000000000000000000001"])
def test_a_number_that_the_schema_has_not_judged_is_refused(tmp_path, number):
    """Where it lets any element in, one of the same name in another namespace stands there."""
    more = '<xs:element name="SoLuong" type="xs:decimal" minOccurs="0"/>'
    schema = XSD.replace(
        '<xs:element name="HaiLong" type="HaiLong" minOccurs="0"/>',
        f'<xs:element name="HaiLong" type="HaiLong" minOccurs="0"/>{more}'
        '<xs:any namespace="##other" processContents="lax" minOccurs="0"/>',
    )
    settings = SETTINGS.replace('milestone = "nhan"', 'milestone = "nhan"\namount = "SoLuong"')
    made = make_town(tmp_path, define(homes.begin(tmp_path / "tinh"), settings, schema))
    inside = f'</HaiLong><SoLuong xmlns="urn:khac">{number}</SoLuong>'
    assert "T./GuiPhanAnh/PhanAnh[1]/SoLuong" in made.ask(SAMPLE.replace("</HaiLong>", inside))
    made.engine.dispose()


def test_a_message_about_a_unit_of_another_is_refused(town):
    assert "sender-not-allowed" in town.ask(SAMPLE.replace(f"<MaDonVi>{UNIT}", f"<MaDonVi>{OTHER}"))


def test_it_goes_to_the_system_of_the_unit_that_it_names_and_to_no_other(town):
    _ = town.ask(SAMPLE)
    _ = town.ask(
        SAMPLE.replace("2026-11-0001", "2").replace(f"<NoiNhan>{OTHER}</NoiNhan>", f"<NoiNhan>{OTHER}</NoiNhan>" * 2)
    )
    with transactions.read_transaction(town.engine) as tx:
        rows = tx.execute(sa.select(delivery.c.recipient, delivery.c.partner, delivery.c.state)).all()
    assert [tuple(row) for row in rows] == [(OTHER, "vpub", "waiting")] * 2
    assert "unit-without-system" in town.ask(SAMPLE.replace("2026-11-0001", "3").replace(f">{OTHER}<", ">H55.02<"))
    assert "unit-unknown" in town.ask(SAMPLE.replace("2026-11-0001", "4").replace(f">{OTHER}<", ">H55.99<"))


# --- what `lienthong check` says of it ---


def test_check_says_the_hash_of_the_folder_when_all_is_right(tmp_path):
    home = define(homes.begin(tmp_path / "tinh"))
    done = homes.typing(home)("check", "--json")
    assert done.exit_code == 0, done.output
    said = [json.loads(line) for line in done.stdout.splitlines()]
    sha256 = config.read_config(home / "hub.toml").services["phananh"].sha256
    assert {"kind": "service", "name": "phananh", "sha256": sha256} in said


MISTAKES = {
    'day = "NgayNhan"': ('day = "NgayNhap"', "message[0].fact[0].day", "there is no NgayNhap"),
    'due = "HanTraLoi"': ('due = "LinhVuc"', "message[0].fact[0].due", "is of the type token"),
    'when = { "HaiLong" = ["co"] }': ('when = { "HaiLong" = ["có"] }', "message[0].fact[2].when", "is never"),
    'milestone = "hai-long"': ('milestone = "hailong"', "message[0].fact[2].milestone", "there is no milestone"),
    'item = "PhanAnh"': ('item = "PhanAnh/@ma"', "message[0].item", "is an attribute"),
    'id = "MaThongDiep"': ('id = "../Ma"', "message[0].id", "there is no .."),
    'sender = "MaDonVi"': ('sender = "PhanAnh"', "message[0].sender", "has elements inside"),
    'element = "GuiPhanAnh"': ('element = "GuiPhanAn"', "message[0].element", "has no element"),
    'kind = "phan-anh"': ('kind = "Phản ánh"', "message[0].kind", "does not fit"),
    'unit = "MaDonVi"': ('units = "MaDonVi"', "message[0].units", "unknown key"),
    'recipient = "NoiNhan"': ('recipient = "NoiNhan"\ndeliver = false', "message[0].recipient", "deliver = false"),
    "[milestones]": ('[milestones]\nmo = { vi = "mở", en = "open" }', "milestones.mo", "no fact has it"),
    'name = { vi = "Phản ánh, kiến nghị", en = "Feedback of citizens" }': (
        'name = { vi = "Phản ánh" }',
        "name.en",
        "is missing",
    ),
}


@pytest.mark.parametrize("right", MISTAKES)
def test_a_mistake_is_named_by_its_key(tmp_path, right):
    wrong, key, why = MISTAKES[right]
    assert SETTINGS.count(right) >= 1
    home = define(homes.begin(tmp_path / "tinh"), SETTINGS.replace(right, wrong, 1), form="")
    found = check_config(home / "hub.toml", datetime.now(UTC)).mistakes
    told = [(each.path.removeprefix("services/phananh/service.toml: "), why in str(each.wrong)) for each in found]
    assert [each for each in told if not each[0].startswith("milestones.hai-long")] == [(key, True)]


@pytest.mark.parametrize("pattern", ["(a|aa)+", "(PA|P|A)+-[0-9]", "([0-9]?[0-9]?[0-9]?)*x"])
@pytest.mark.slow
def test_a_pattern_that_is_too_hard_is_a_mistake(tmp_path, pattern):
    """A partner could keep the threads busy with values for it, one for 0.3 s and a message for minutes."""
    schema = XSD.replace('<xs:minLength value="1"/>', f'<xs:pattern value="{pattern}"/><xs:minLength value="1"/>')
    home = define(homes.begin(tmp_path / "tinh"), schema=schema)
    (found,) = check_config(home / "hub.toml", datetime.now(UTC)).mistakes
    assert found.path == "services/phananh/phananh.xsd"
    assert pattern in str(found.wrong)


def test_an_amount_must_be_a_number_in_the_schema(tmp_path):
    settings = SETTINGS.replace('due = "HanTraLoi"', 'amount = "LinhVuc"', 1)
    home = define(homes.begin(tmp_path / "tinh"), settings, form="")
    (found,) = check_config(home / "hub.toml", datetime.now(UTC)).mistakes
    assert found.path.endswith("message[0].fact[0].amount")


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (XSD.replace('type="xs:date" minOccurs="0"', 'type="Ngay" minOccurs="0"'), "Ngay"),
        (XSD.replace("<xs:simpleType", '<xs:include schemaLocation="/etc/passwd"/><xs:simpleType', 1), "not beside it"),
        (XSD.replace("<xs:simpleType", '<xs:include schemaLocation="kieu.xsd"/><xs:simpleType', 1), "not beside it"),
        (XSD.replace("<xs:schema", '<!DOCTYPE x [<!ENTITY a "b">]><xs:schema', 1), "DOCTYPE"),
        (XSD.replace("</xs:schema>", '<xs:element name="FaultDetail"/></xs:schema>'), ""),
        ("<", ""),
    ],
    ids=["type", "outside", "missing", "doctype", "other-namespace", "no-xml"],
)
def test_a_schema_that_cannot_serve_is_a_mistake(tmp_path, schema, why):
    home = define(homes.begin(tmp_path / "tinh"), schema=schema, form="")
    if 'name="FaultDetail"' in schema:  # in a namespace of its own the schema may use the names of the answers
        assert check_config(home / "hub.toml", datetime.now(UTC)).mistakes == ()
        schema = schema.replace("urn:tinh:phananh:1", "urn:lienthong:phananh:1")
        define(home, schema=schema, form="")
    (found,) = check_config(home / "hub.toml", datetime.now(UTC)).mistakes
    assert found.path.startswith("services/phananh/")
    assert why in str(found.wrong)


def test_a_name_that_the_hub_uses_itself_is_a_mistake(tmp_path):
    home = define(homes.begin(tmp_path / "tinh"), name="mail", form="")
    assert [each.path for each in check_config(home / "hub.toml", datetime.now(UTC)).mistakes] == ["services/mail"]


def test_one_configuration_knows_nothing_of_the_services_of_another(tmp_path):
    first = config.read_config(define(homes.begin(tmp_path / "one")) / "hub.toml")
    second = config.read_config(homes.begin(tmp_path / "two") / "hub.toml")
    assert "phananh" in first.every_service
    assert "phananh" not in second.every_service
    assert "phananh.GuiPhanAnh" in grants.list_grant_names(first)
    assert "phananh" not in grants.list_grant_names(second)
    with pytest.raises(ConfigurationFault, match="phananh"):
        read_form_toml(FORM.encode(), "phananh.toml", second.reports.countable)


# --- how it reaches the system of another unit ---


def hand_over(town: ServiceTown, there: ServiceTown | None, reply: Reply | None = None) -> Any:
    """Push the first delivery of *town* by its adapter to the hub *there*, or let *reply* be the answer."""
    with transactions.read_transaction(town.engine) as tx:
        identity = str(tx.scalar(sa.select(delivery.c.message).limit(1)))
        known = message_reading.read_message(tx, identity)
        content = blobs.read_blob(tx, known.sha256)
    terms = Terms(
        partner="vpub",
        url="https://vpub/soap/documents",
        identity=town.live.config.identity,
        certificates=[pki.partner("hub").certificate],
        settings={"service-url": "https://vpub/soap/{service}"},
    )
    push = make_adapter("documents", terms)
    conversation = push.deliver(Consignment(message=known, content=content, recipients=(OTHER,), attempt=1), NOW)
    request = next(conversation)
    assert request.url == "https://vpub/soap/phananh"
    assert dict(request.headers)["SOAPAction"] == '"urn:lienthong:phananh:1/GuiPhanAnh"'
    if there is not None:
        assert reply is None
        reply = Reply(200, there.put(request.body, town.live.config.identity))
    assert reply is not None
    with pytest.raises(StopIteration) as end:
        conversation.send(reply)
    return end.value.value


def test_it_is_pushed_as_it_came_and_another_hub_with_the_same_service_takes_it(tmp_path, town):
    _ = town.ask(SAMPLE)
    own = town.live.config.identity
    there = make_town(
        tmp_path, define(homes.begin(tmp_path / "there")), "there.db", certificates=(own.certificate,), units=("*",)
    )
    try:
        taken = hand_over(town, there)
        assert isinstance(taken, Accepted), taken
        assert there.facts() == town.facts()
    finally:
        there.engine.dispose()


WRONG = "<ErrorList><Error><Code>E1</Code><Description>sai</Description></Error></ErrorList>"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (
            "<GuiPhanAnhResponse xmlns='urn:x'><Report><IsSuccess>true</IsSuccess></Report></GuiPhanAnhResponse>",
            Accepted,
        ),
        (f"<GuiPhanAnhResponse><Report><IsSuccess>false</IsSuccess>{WRONG}</Report></GuiPhanAnhResponse>", Refused),
        ("<SendDocumentResponse><Report><IsSuccess>true</IsSuccess></Report></SendDocumentResponse>", Unavailable),
    ],
    ids=["taken", "refused", "another operation"],
)
def test_the_answer_of_the_other_system_settles_the_delivery(town, answer, kind):
    _ = town.ask(SAMPLE)
    body = f'<s:Envelope xmlns:s="{envelope.SOAP11}"><s:Body>{answer}</s:Body></s:Envelope>'
    assert isinstance(hand_over(town, None, Reply(200, body.encode())), kind)


# --- when it is changed or taken away ---


def test_closed_months_stay_readable_when_the_service_and_its_form_are_gone(town):
    _ = town.ask(SAMPLE)
    period = parse_period(PERIOD)
    with transactions.write_transaction(town.engine) as tx:
        made = closing.close_month(tx, book.read_book(town.live.config.reports), "phananh", period, AFTER, "an")
        assert made is not None
    shutil.rmtree(town.home / "services")
    (town.home / "forms/phananh.toml").unlink()
    bare = config.read_config(town.home / "hub.toml")
    assert "phananh" not in bare.every_service
    for module in (closing, month_world):  # as in a process that starts now
        for name in ("_form", "_parse"):
            getattr(getattr(module, name, None), "cache_clear", lambda: None)()
    read_form_toml.cache_clear()
    with transactions.read_transaction(town.engine) as tx:
        asked = unit_report.resolve_report_sources(tx, UNIT, PERIOD, "phananh", book.read_book(bare.reports))
        assert dict(asked.count(AFTER).total.numbers) == {"nhan": 2, "tra_loi": 1, "tre_han": 1, "hai_long": 1}
        assert {line.fact.key for line in lines_of(asked, AFTER)} == {"PA-1", "PA-2"}
        assert [each.service for each in search.find_messages(tx, [MessageFilter()], 9)] == ["phananh"]


def test_a_form_of_a_service_that_is_gone_is_a_mistake(tmp_path):
    home = define(homes.begin(tmp_path / "tinh"))
    shutil.rmtree(home / "services")
    (found,) = check_config(home / "hub.toml", datetime.now(UTC)).mistakes
    assert found.path == "phananh.toml: service"


def test_a_call_meets_the_definition_that_is_in_force_and_a_changed_schema_judges_the_next_call(town):
    assert "<IsSuccess>true</IsSuccess>" in town.ask(SAMPLE)
    define(town.home, schema=XSD.replace('maxOccurs="1000"', 'maxOccurs="1"'))
    before = town.live.config
    after = config.read_config(town.home / "hub.toml")
    assert [line[:22] for line in describe_config_changes(before, attrs.evolve(before, services=after.services))] == [
        f"~ services/phananh {after.services['phananh'].sha256[:3]}"
    ]
    town.live.setup = Setup(attrs.evolve(town.live.province, config=attrs.evolve(before, services=after.services)))
    assert "/GuiPhanAnh/PhanAnh[2]" in town.ask(SAMPLE.replace("2026-11-0001", "x"))
    assert len(town.facts()) == 4


def test_the_port_serves_what_the_configuration_in_force_defines(town):
    access = JournalAccess(InlineDatabase(town.engine), run_at_once, lambda: None, lambda: None)
    intakes = DefinedIntakes(town.live, access, lambda: NOW, Throttle(lambda: 0.0), lambda: 0.0)
    found = intakes.find("phananh")
    assert found is not None
    assert intakes.find("phananh") == found, "made once"
    again = config.read_config(town.home / "hub.toml").services  # a reload that changes nothing
    town.live.setup = Setup(attrs.evolve(town.live.province, config=attrs.evolve(town.live.config, services=again)))
    assert intakes.find("phananh") == found
    assert intakes.find("phanan") is None
    town.live.setup = Setup(attrs.evolve(town.live.province, config=attrs.evolve(town.live.config, services={})))
    assert intakes.find("phananh") is None


def test_rules_that_read_too_much_of_each_item_are_a_mistake(tmp_path):
    more = "".join(f'[[message.fact]]\nmilestone = "nhan"\nattributes = {{ {names} }}\n' for names in [ATTRIBUTES] * 5)
    home = define(homes.begin(tmp_path / "tinh"), SETTINGS + more, form="")
    with pytest.raises(ConfigurationFault) as refused:
        config.read_config(home / "hub.toml")
    assert [each.path for each in refused.value.mistakes] == ["services/phananh/service.toml: message[0].fact"]


ATTRIBUTES = ", ".join(f'a{number} = "LinhVuc"' for number in range(20))


def test_a_path_to_the_items_beside_costs_no_more_for_many_items(tmp_path):
    """What is above an item is read once. It took 2 s for a thousand items, and four times that for twice as many."""
    settings = SETTINGS.replace('linh-vuc = "LinhVuc"', 'linh-vuc = "../PhanAnh/LinhVuc"')
    service = config.read_config(define(homes.begin(tmp_path / "tinh"), settings) / "hub.toml").services["phananh"]
    item = re.findall(r"<PhanAnh>.*?</PhanAnh>", SAMPLE, re.DOTALL)[0]
    items = "".join(item.replace("PA-1", f"P-{number}") for number in range(1000))
    read, many = make_defined_service(service, validated=True).read, SAMPLE.replace(item, items).encode()
    record = effort.run_within(0.5, lambda: read(many, NOW, "m"))
    assert {each.attributes for each in record.facts if each.milestone == "nhan"} == {(("linh-vuc", "dat-dai"),)}


@pytest.mark.parametrize("path", ["LinhVuc/../LinhVuc", "../PhanAnh/..", "LinhVuc/.."])
def test_a_path_goes_up_first_or_not_at_all(tmp_path, path):
    settings = SETTINGS.replace('linh-vuc = "LinhVuc"', f'linh-vuc = "{path}"', 1)
    with pytest.raises(ConfigurationFault) as refused:
        config.read_config(define(homes.begin(tmp_path / "tinh"), settings) / "hub.toml")
    assert [each.path for each in refused.value.mistakes] == [
        "services/phananh/service.toml: message[0].fact[0].attributes.linh-vuc"
    ]


def test_settings_that_are_too_deep_are_a_mistake(tmp_path):
    with pytest.raises(ConfigurationFault):
        config.read_config(define(homes.begin(tmp_path / "tinh"), f"a = {'[' * 5000}") / "hub.toml")


def test_only_who_may_send_for_a_unit_or_was_granted_it_may_call(tmp_path):
    home = define(homes.begin(tmp_path / "tinh"))
    made = config.read_config(home / "hub.toml")
    telling = attrs.evolve(made.services["phananh"], tells=True)
    for partner, may, may_tell in (
        ({"units": (UNIT,)}, True, True),
        ({}, False, False),
        ({"tells": True}, False, True),
        ({"units": (UNIT,), "calls": ("documents",)}, False, False),
        ({"calls": ("phananh.GuiPhanAnh",)}, True, True),
    ):
        who = config.Partner(code="x", name="", certificates=(), **partner)
        assert grants.is_granted(who, made, "phananh", "GuiPhanAnh") is may, partner
        told = attrs.evolve(made, services={"phananh": telling})
        assert grants.is_granted(who, told, "phananh", "GuiPhanAnh") is may_tell, partner


# --- binary values ---

WITH_FILE = XSD.replace(
    '<xs:element name="PhanAnh" maxOccurs="1000">',
    '<xs:element name="TepDinhKem" type="xs:base64Binary" minOccurs="0"/>\n        <xs:element name="PhanAnh" maxOccurs="1000">',
)


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize("form", ["inline", "wrapped", "mtom"])
def test_a_binary_value_is_kept_whole_however_it_comes_and_is_the_same_message(tmp_path, size, form):
    made = make_town(tmp_path, define(homes.begin(tmp_path / "tinh"), schema=WITH_FILE))
    content = Random(size).randbytes(size)
    letters = base64.b64encode(content).decode()
    whole = SAMPLE.replace("<PhanAnh>", f"<TepDinhKem>{letters}</TepDinhKem><PhanAnh>", 1)
    if form == "wrapped":
        lines = "\n".join(letters[at : at + 76] for at in range(0, len(letters), 76))
        call = whole.replace(letters, lines)
    else:
        call = whole
    try:
        if form == "mtom":
            signed = Layout(content=call).signed(made.who)
            include = '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:tep"/>'
            body = Body()
            sent = body.written(signed.replace(letters.encode(), include.encode()), {"tep": content})
            answer = made.put(sent, made.who, manner=read_http_manner(body.content_type, None)).decode(
                "utf-8", "replace"
            )
        else:
            answer = made.ask(call)
        assert "<IsSuccess>true</IsSuccess>" in answer, answer[:2000]
        with transactions.read_transaction(made.engine) as tx:
            (known,) = search.find_messages(tx, [MessageFilter()], 9)
            kept = blobs.read_blob(tx, known.sha256)
        assert kept == etree.tostring(etree.fromstring(whole), method="c14n", exclusive=True)
    finally:
        made.engine.dispose()


def test_more_binary_octets_than_are_read_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("hub.intake.records_endpoint.BINARY", 1000)
    made = make_town(tmp_path, define(homes.begin(tmp_path / "tinh"), schema=WITH_FILE))
    letters = base64.b64encode(bytes(1001)).decode()
    assert "too-large" in made.ask(SAMPLE.replace("<PhanAnh>", f"<TepDinhKem>{letters}</TepDinhKem><PhanAnh>", 1))
    made.engine.dispose()


def test_a_toolkit_may_name_types_by_a_prefix_of_its_envelope(town):
    typed = SAMPLE.replace("<NgayNhan>", '<NgayNhan xsi:type="xs:date">')
    typed = typed.replace(
        "<GuiPhanAnh ",
        '<GuiPhanAnh xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ',
    )
    assert "<IsSuccess>true</IsSuccess>" in town.ask(typed)
    assert len(town.facts()) == 4


def test_what_an_adapter_has_collected_is_validated_too(town):
    entry = judge_record(
        town.live.config.every_service["phananh"],
        SAMPLE.replace("2026-11-17", "17/11/2026").encode(),
        None,
        "sotttt",
        town.live.province,
        NOW,
        "id",
    )
    assert [each.code for each in entry.problems] == ["contract-broken"]
    assert "/GuiPhanAnh/PhanAnh[2]/NgayNhan" in str(entry.problems[0].detail)


# --- the contract ---

#: The guide's schema in two files.
SPLIT = XSD.replace(XSD[XSD.index("  <xs:simpleType") : XSD.index("  <xs:element name=")], "").replace(
    '  <xs:element name="GuiPhanAnh">', '  <xs:include schemaLocation="kieu.xsd"/>\n  <xs:element name="GuiPhanAnh">'
)
TYPES = f"{XSD[: XSD.index('  <xs:element name=')]}</xs:schema>"


def same_space(schema: str) -> str:
    """Return *schema* with the namespace that the answers have, too."""
    return schema.replace("urn:tinh:phananh:1", "urn:lienthong:phananh:1")


@pytest.mark.parametrize("change", [str, same_space], ids=["own namespace", "namespace of the answers"])
def test_a_stock_client_needs_nothing_but_what_is_served_at_the_address_of_the_service(tmp_path, change):
    home = define(homes.begin(tmp_path / "tinh"), schema=change(SPLIT), form="")
    (home / "services/phananh/kieu.xsd").write_text(change(TYPES), "utf-8")
    assert check_config(home / "hub.toml", datetime.now(UTC)).mistakes == ()
    defined = config.read_config(home / "hub.toml").services["phananh"]
    contract, address = load_defined_contract(defined), "https://truc.example.vn/soap/phananh"
    pages = {f"{address}?wsdl": contract.wsdl(address)}
    pages |= {f"{address}?xsd={name}": contract.xsd(name, address) for name in contract.schema_names}

    class Pages(Transport):
        def load(self, url: str) -> bytes:
            return pages.pop(url)

    loaded = Client(f"{address}?wsdl", transport=Pages(), settings=Settings(strict=True))
    assert pages == {}, "each file is read, and once"
    ports = loaded.wsdl.services["phananh"].ports
    assert list(ports) == ["Soap11", "Soap12"]
    for port in ports.values():
        assert port.binding_options["address"] == address
        assert set(port.binding.all()) == {"GuiPhanAnh"}
    keeps_the_basic_profile(contract, "phananh", {"GuiPhanAnh"})
    root = etree.fromstring(change(SAMPLE))
    assert contract.validate(root) == []


@pytest.mark.parametrize(("adapter", "wrong"), [("documents", False), ("wso2", True)])
def test_an_adapter_that_cannot_deliver_it_is_a_mistake(tmp_path, adapter, wrong):
    made = config.read_config(define(homes.begin(tmp_path / "tinh")) / "hub.toml")
    partner = config.Partner(
        code="x",
        name="",
        certificates=(),
        adapter=adapter,
        services=("phananh",),
        receive=Receive.PUSH,
        url="https://x.example/",
    )
    found = list(find_adapter_mistakes(attrs.evolve(made, partners={"x": partner})))
    assert ("partners/x.toml: services" in [each.path for each in found]) is wrong
