"""Work items as a service by XSD and TOML alone: assigned, due, done, returned for quality, excused, with a factor.

Nothing here is code of the hub: the schema and the rules are what a province would write for Decree 335/2025.
"""

from datetime import UTC, date, datetime

import attrs
import pytest

from hub import config
from hub.domain.errors import Rejected
from hub.node.check import check_config
from hub.report.counting.counting import count_report
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.services.defined import Repetition
from hub.services.defined.reading import make_defined_service
from tests import homes
from tests.services.test_defined_services import define

XSD = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:w="urn:lienthong:work:1"
    targetNamespace="urn:lienthong:work:1" elementFormDefault="qualified">
  <xs:complexType name="Item">
    <xs:sequence>
      <xs:element name="Code" type="xs:token"/>
      <xs:element name="OrganId" type="xs:token"/>
      <xs:element name="Kind" type="xs:token"/>
      <xs:element name="Factor" type="xs:decimal" minOccurs="0"/>
      <xs:element name="Assigned" type="xs:date" minOccurs="0"/>
      <xs:element name="Due" type="xs:date" minOccurs="0"/>
      <xs:element name="Done" type="xs:dateTime" minOccurs="0"/>
      <xs:element name="Returned" minOccurs="0" maxOccurs="10">
        <xs:complexType>
          <xs:sequence><xs:element name="Reason" type="xs:string"/></xs:sequence>
          <xs:attribute name="day" type="xs:date" use="required"/>
        </xs:complexType>
      </xs:element>
      <xs:element name="Excused" minOccurs="0">
        <xs:complexType>
          <xs:sequence>
            <xs:element name="Day" type="xs:string"/>
            <xs:element name="ConfirmedBy" type="xs:token"/>
            <xs:element name="Objective" type="xs:boolean"/>
          </xs:sequence>
        </xs:complexType>
      </xs:element>
    </xs:sequence>
    <xs:attribute name="officer" type="xs:token"/>
  </xs:complexType>
  <xs:element name="SubmitWorkItems">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="OrganId" type="xs:token"/>
        <xs:element name="Correction" type="xs:string" minOccurs="0"/>
        <xs:element name="Item" type="w:Item" maxOccurs="2000"/>
      </xs:sequence>
      <xs:attribute name="id" type="xs:token"/>
    </xs:complexType>
  </xs:element>
</xs:schema>"""
SETTINGS = """name = { vi = "Công việc được giao", en = "Work items" }
tells = true

[milestones]
assigned = { vi = "được giao", en = "assigned" }
factor = { vi = "hệ số quy đổi, phần trăm", en = "conversion factor, hundredths" }
done = { vi = "hoàn thành", en = "done" }
returned = { vi = "bị trả lại vì chất lượng", en = "returned for quality" }
excused = { vi = "có lý do khách quan", en = "excused" }

[[message]]
element = "SubmitWorkItems"
kind = "items"
name = { vi = "Công việc", en = "Work items" }
id = "@id"
sender = "OrganId"
corrects = "Correction"
item = "Item"
unit = "OrganId"
key = ["Code"]
deliver = false

[[message.fact]]
milestone = "assigned"
day = "Assigned"
due = "Due"
attributes = { kind = "Kind", officer = "@officer" }

[[message.fact]]
milestone = "factor"
day = "Assigned"
amount = { at = "Factor", times = 100 }
attributes = { kind = "Kind" }

[[message.fact]]
milestone = "done"
day = "Done"
due = "Due"

[[message.fact]]
milestone = "returned"
each = "Returned"
key = ["../Code", "@day"]
day = "@day"

[[message.fact]]
milestone = "excused"
day = { at = "Excused/Day", as = "dd/MM/yyyy" }
when = { "Excused/Objective" = ["true", "1"] }
counterpart = "Excused/ConfirmedBy"
"""
FORM = """id = "work"
service = "work"
by_day = true
title = { vi = "Kết quả công việc", en = "Work done" }
basis = { vi = "Nghị định 335/2025/NĐ-CP", en = "Decree 335/2025" }
counted = { vi = "công việc", en = "work items" }

[[column]]
key = "assigned"
kind = "flow"
vi = "Được giao"
en = "Assigned"
milestones = ["assigned"]

[[column]]
key = "converted"
kind = "flow"
vi = "Quy đổi"
en = "Converted"
milestones = ["factor"]

[[column]]
key = "late"
kind = "flow"
vi = "Trễ hạn, không có lý do"
en = "Late, not excused"
milestones = ["done"]
timing = "late"
without = ["excused"]

[[column]]
key = "returned"
kind = "flow"
vi = "Bị trả lại"
en = "Returned"
milestones = ["returned"]

[[column]]
key = "reports"
kind = "flow"
vi = "Báo cáo được giao"
en = "Reports assigned"
milestones = ["assigned"]
where = { kind = "bao-cao" }
"""
ITEMS = """
<Item officer="CB-07"><Code>V1</Code><OrganId>H55.13</OrganId><Kind>bao-cao</Kind><Factor>1.5</Factor>
  <Assigned>2026-11-16</Assigned><Due>2026-11-18</Due><Done>2026-11-19T18:30:00Z</Done>
  <Returned day="2026-11-20"><Reason>thiếu phụ lục</Reason></Returned>
  <Returned day="2026-11-21"><Reason>sai số liệu</Reason></Returned></Item>
<Item><Code>V2</Code><OrganId>H55.13</OrganId><Kind>to-trinh</Kind><Factor>0.75</Factor>
  <Assigned>2026-11-16</Assigned><Due>2026-11-18</Due><Done>2026-11-20T09:00:00+07:00</Done>
  <Excused><Day>20/11/2026</Day><ConfirmedBy>CB-01</ConfirmedBy><Objective>true</Objective></Excused></Item>"""
AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


def message(items: str, head: str = "", identity: str = "") -> bytes:
    """Return a message with these *items*."""
    named = f' id="{identity}"' if identity else ""
    text = f'<SubmitWorkItems xmlns="urn:lienthong:work:1"{named}><OrganId>H55</OrganId>{head}{items}</SubmitWorkItems>'
    return text.encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = homes.begin(tmp_path_factory.mktemp("work") / "tinh")
    define(home, SETTINGS, XSD, FORM, name="work")
    assert check_config(home / "hub.toml", datetime.now(UTC)).mistakes == ()
    return config.read_config(home / "hub.toml")


@pytest.fixture(scope="module")
def read(made):
    service = made.every_service["work"]
    return lambda content: service.read(content, AT, "m-1")


def test_an_item_is_told_with_all_that_335_asks(read):
    record = read(message(ITEMS))
    assert (record.kind, record.sender, record.keys) == ("items", "H55", ("V1", "V2"))
    told = {(each.key, each.milestone): each for each in record.facts}
    assert sorted(told) == [
        ("V1", "assigned"),
        ("V1", "done"),
        ("V1", "factor"),
        ("V2", "assigned"),
        ("V2", "done"),
        ("V2", "excused"),
        ("V2", "factor"),
        ('["V1","2026-11-20"]', "returned"),
        ('["V1","2026-11-21"]', "returned"),
    ]
    assert told["V1", "assigned"].attributes == (("kind", "bao-cao"), ("officer", "CB-07"))
    assert told["V1", "factor"].amount == 150
    assert told["V1", "done"].day == date(2026, 11, 20), "the day in Hà Nội"
    assert (told["V2", "excused"].counterpart, told["V2", "excused"].day) == ("CB-01", date(2026, 11, 20))


def test_its_numbers_stand_in_a_form_that_is_data_too(made, read):
    form = read_form_toml(FORM.encode(), "work.toml", made.reports.countable)
    facts = list(read(message(ITEMS)).facts)
    corrected = "<Item><Code>V1</Code><OrganId>H55.13</OrganId><Kind>bao-cao</Kind><Factor>-0.5</Factor>"
    corrected += "<Assigned>2026-11-16</Assigned></Item>"
    facts += read(message(corrected, "<Correction>sai hệ số</Correction>")).facts
    period = parse_period("2026-12")
    numbers = count_report(form, facts, period, period.end, ["H55.13"]).total.numbers
    assert dict(numbers) == {"assigned": 2, "converted": 175, "late": 1, "returned": 2, "reports": 1}


def test_a_correction_is_a_difference_and_counts_beside_what_was_told(read):
    (fact,) = read(
        message(
            "<Item><Code>V1</Code><OrganId>H55.13</OrganId><Kind>bao-cao</Kind><Factor>-0.5</Factor>"
            "<Assigned>2026-11-16</Assigned></Item>",
            "<Correction>sai</Correction>",
        )
    ).facts
    assert (fact.milestone, fact.amount, fact.key[:3], len(fact.key)) == ("factor", -50, "V1#", 19)


@pytest.mark.parametrize(
    ("was", "becomes", "code"),
    [
        (">1.5<", ">-1.5<", "R./SubmitWorkItems/Item[1]/Factor"),
        (">1.5<", ">1.234<", "T./SubmitWorkItems/Item[1]/Factor"),
        (">20/11/2026<", ">2026-11-20<", "T./SubmitWorkItems/Item[2]/Excused/Day"),
        (">20/11/2026<", ">31/11/2026<", "T./SubmitWorkItems/Item[2]/Excused/Day"),
        ('day="2026-11-21"', 'day="2026-11-20"', "M./SubmitWorkItems/Item[1]"),
        (">20/11/2026<", ">20/11/1026<", "R./SubmitWorkItems/Item[2]/Excused/Day"),
        ("<Code>V2<", f"<Code>{'V' * 256}<", "R./SubmitWorkItems/Item[2]/Code"),
        ("<Code>V2<", "<Code> <", "N./SubmitWorkItems/Item[2]/Code"),
        ('day="2026-11-21"', 'day="2026-11-25"', "R./SubmitWorkItems/Item[1]/Returned[2]"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_its_place(read, was, becomes, code):
    with pytest.raises(Rejected) as refused:
        read(message(ITEMS.replace(was, becomes)))
    assert refused.value.problems[0].code == code


def test_a_thousand_wrong_items_name_twenty(read):
    item = "<Item><Code>V{}</Code><OrganId>H55.13</OrganId><Kind>x</Kind><Factor>-1</Factor><Assigned>2026-11-16</Assigned></Item>"
    with pytest.raises(Rejected) as refused:
        read(message("".join(item.format(number) for number in range(1000))))
    assert len(refused.value.problems) == 20


def test_too_many_items_are_refused(read, monkeypatch):
    monkeypatch.setattr("hub.services.defined.reading.MOST_ITEMS", 1)
    with pytest.raises(Rejected, match="too-many-facts"):
        read(message(ITEMS))


def test_each_telling_counts_where_the_service_says_so(made):
    rule = made.services["work"].messages[0]
    counting = make_defined_service(
        attrs.evolve(made.services["work"], messages=(attrs.evolve(rule, repetition=Repetition.EACH),))
    )
    first, second = (counting.read(message(ITEMS, identity=name), AT, name) for name in ("1", "2"))
    assert not {fact.key for fact in first.facts} & {fact.key for fact in second.facts}


def test_who_may_report_about_any_unit_may_tell_of_work_and_no_other_system_gets_it(made):
    service = made.every_service["work"]
    assert service.may_report_any_unit
    assert service.undelivered_kinds == {"items"}
