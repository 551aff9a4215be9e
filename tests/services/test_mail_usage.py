"""`SubmitMailUsage`: what a report of mail says, what is wrong with it, and how a correction stands beside what it corrects."""

from datetime import date

import pytest
from lxml import etree

from hub.domain.errors import CallRefused, Rejected
from hub.services import list_services
from hub.services.mail import FIGURES, HANDED_OVER, NAMESPACE, read_usage_report
from hub.soap import wsdl
from tests.pki import NOW

USAGE = "<Usage><OrganId>H55.14</OrganId><AccountsIssued>30</AccountsIssued><SentInternal>0</SentInternal></Usage>"


def content(usage=USAGE, day="2026-11-23", before="", after="", organ="H55.14"):
    return (
        f'<SubmitMailUsage xmlns="{NAMESPACE}">{before}<OrganId>{organ}</OrganId><Day>{day}</Day>{after}{usage}</SubmitMailUsage>'
    ).encode()


def problems(octets):
    with pytest.raises(Rejected) as refused:
        read_usage_report(octets, NOW, "m-1")
    return [problem.code for problem in refused.value.problems]


def test_each_figure_is_a_fact_of_its_unit_and_day_a_zero_too():
    found = read_usage_report(content(), NOW, "m-1")
    assert (found.kind, found.sender, found.subject) == ("usage", "H55.14", "2026-11-23")
    assert [(fact.unit, fact.service, fact.key, fact.milestone, fact.amount) for fact in found.facts] == [
        ("H55.14", "mail", "2026-11-23", "accounts-issued", 30),
        ("H55.14", "mail", "2026-11-23", "sent-internal", 0),
    ]
    assert {(fact.day, fact.at, fact.message) for fact in found.facts} == {(date(2026, 11, 23), NOW, "m-1")}


def test_a_day_has_the_same_keys_however_often_it_is_told_so_that_it_counts_once():
    one, other = (read_usage_report(content(USAGE.replace("30", number)), NOW, "m") for number in ("30", "31"))
    assert [fact.key for fact in one.facts] == [fact.key for fact in other.facts]


def test_a_correction_is_a_difference_and_has_a_key_of_its_own():
    less = USAGE.replace("30", "-2")
    found = read_usage_report(content(less, after="<Correction>đếm thừa</Correction>"), NOW, "m-2")
    assert found.kind == "correction"
    assert found.facts[0].amount == -2
    assert found.facts[0].key.startswith("2026-11-23#")
    again = read_usage_report(content(less, after="<Correction>đếm thừa nữa</Correction>"), NOW, "m-3")
    assert found.facts[0].key != again.facts[0].key
    assert problems(content(less)) == ["R.Usage[1].AccountsIssued"]


def test_several_days_are_told_under_both_their_ends():
    found = read_usage_report(content(after="<Since>2026-11-01</Since>"), NOW, "m-1")
    assert {fact.key for fact in found.facts} == {"2026-11-01/2026-11-23"}
    assert problems(content(after="<Since>2026-11-24</Since>")) == ["R.Since"]


@pytest.mark.parametrize(
    ("octets", "codes"),
    [
        (content(day="2026-11-25"), ["R.Day"]),
        (content(day="1026-11-24"), ["R.Day"]),
        (content(day="2026-02-30"), ["T.Day"]),
        (content(day="24/11/2026"), ["T.Day"]),
        (content(day=""), ["N.Day"]),
        (content(organ=""), ["N.OrganId"]),
        (content(""), ["N.Usage"]),
        (content(USAGE * 2), ["M.Usage[2].OrganId"]),
        (content(USAGE.replace("30", "ba mươi")), ["T.Usage[1].AccountsIssued"]),
        (content(USAGE.replace("30", "1e3")), ["T.Usage[1].AccountsIssued"]),
        (content(USAGE.replace("30", "99999999999")), ["T.Usage[1].AccountsIssued"]),
        (content("<Usage><SentInternal>1</SentInternal></Usage>", day="x"), ["T.Day", "N.Usage[1].OrganId"]),
        (b"<SubmitMailUsage/>", ["contract-broken"]),
        (b"<!DOCTYPE a><a/>", ["doctype-refused"]),
        (b"so lieu", ["not-well-formed"]),
    ],
)
def test_what_is_wrong_is_named_by_its_place_all_at_once(octets, codes):
    assert problems(octets) == codes


def test_the_contract_takes_what_can_be_read_and_has_no_place_for_anything_else():
    kept = wsdl.load_contract("mail")
    every = "".join(f"<{name}>1</{name}>" for name in FIGURES)
    full = content(f"<Usage><OrganId>H55.14</OrganId>{every}</Usage>", before="<MessageId>m</MessageId>")
    assert kept.validate(etree.fromstring(full)) == []
    assert len(read_usage_report(full, NOW, "m").facts) == len(FIGURES)
    for more in ("<Address>a@b.vn</Address>", "<Subject>x</Subject>"):
        with pytest.raises(CallRefused):
            kept.validate(etree.fromstring(content(USAGE.replace("</Usage>", f"{more}</Usage>"))))


def test_every_fact_it_shows_may_be_counted():
    assert list_services()["mail"].milestones - {HANDED_OVER} == set(FIGURES.values())
