"""The form `mail`: accounts are those of the fullest day, mails add up, and corrections are in both."""

from datetime import UTC, date, datetime

from hub.report.counting.counting import count_report, find_counted_facts
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.services.mail import NAMESPACE, read_usage_report

MAIL = next(form for form in read_form_folder() if form.id == "mail")
DECEMBER, AFTER = parse_period("2026-12"), datetime(2027, 1, 1, tzinfo=UTC)


def told(day, correction="", since="", **units):
    """Return the facts of one report; `H55_14={"SentInternal": 3}` are a unit's figures."""
    usages = "".join(
        f"<Usage><OrganId>{unit.replace('_', '.')}</OrganId>{''.join(f'<{n}>{v}</{n}>' for n, v in figures.items())}</Usage>"
        for unit, figures in units.items()
    )
    why = f"<Correction>{correction}</Correction>" if correction else ""
    why = f"<Since>{since}</Since>{why}" if since else why
    text = f'<SubmitMailUsage xmlns="{NAMESPACE}"><OrganId>H55</OrganId><Day>{day}</Day>{why}{usages}</SubmitMailUsage>'
    return list(
        read_usage_report(text.encode(), datetime.fromisoformat(f"{day}T20:00:00+07:00"), f"m-{day}{correction}").facts
    )


FACTS = [
    *told("2026-11-14", H55_14={"AccountsIssued": 99, "AccountsActive": 99, "SentInternal": 99}),  # the period before
    *told(
        "2026-11-16",
        H55_14={"AccountsIssued": 30, "AccountsActive": 12, "SentInternal": 5, "SentExternal": 1, "OverQuota": 2},
    ),
    *told("2026-11-17", H55_14={"AccountsIssued": 31, "AccountsActive": 20, "SentInternal": 7, "OverQuota": 0}),
    *told("2026-11-17", "đếm thừa", H55_14={"AccountsActive": -9, "SentInternal": -1}),
    *told("2026-11-17", H55_13={"AccountsIssued": 10, "AccountsActive": 4, "RefusedSize": 3, "ReceivedExternal": 8}),
]


def test_accounts_are_those_of_the_fullest_day_and_mails_are_added_up():
    report = count_report(MAIL, FACTS, DECEMBER, AFTER, ["H55", "H55.13", "H55.14"])
    rows = {row.unit: dict(row.numbers) for row in report.rows}
    of_health = {"accounts": 31, "active": 12, "over_quota": 2, "sent_internal": 11, "sent_external": 1, "sent": 12}
    assert {key: number for key, number in rows["H55.14"].items() if number} == of_health
    others = {"accounts": 10, "active": 4, "refused_size": 3, "received_external": 8, "received": 8}
    assert {key: number for key, number in rows["H55.13"].items() if number} == others
    together = {key: of_health.get(key, 0) + others.get(key, 0) for key in rows["H55"]}
    assert dict(report.total.numbers) == together


def test_behind_a_peak_stand_the_facts_of_its_day_corrections_too():
    found = find_counted_facts(MAIL, "accounts", FACTS, DECEMBER, AFTER, ["H55.14"])
    assert [(fact.day, fact.amount) for fact in found] == [(date(2026, 11, 17), 31)]
    assert sum(fact.amount for fact in find_counted_facts(MAIL, "active", FACTS, DECEMBER, AFTER)) == 16
    assert [fact.amount for fact in find_counted_facts(MAIL, "sent_internal", FACTS, DECEMBER, AFTER)] == [5, 7, -1]


def test_more_active_accounts_than_issued_and_mails_below_nought_are_findings_before_the_closing():
    told_wrong = [
        *told("2026-11-16", H55_14={"AccountsIssued": 10, "AccountsActive": 12, "SentInternal": 5, "SentExternal": 5}),
        *told("2026-11-17", "đếm thừa", H55_14={"SentInternal": -9}),
    ]
    report = count_report(MAIL, told_wrong, DECEMBER, AFTER, ["H55.14"])
    assert {(each.unit, each.said.en) for each in report.findings if each.unit} == {
        ("H55.14", "Active accounts are at most those issued: 12 > 10"),
        ("H55.14", "Not below 0: mails sent inside: 0 > -4"),
    }
    assert count_report(MAIL, FACTS, DECEMBER, AFTER, ["H55.14"]).findings == ()


def test_where_corrections_alone_were_told_there_is_no_fullest_day():
    alone = told("2026-11-20", "đếm thừa", H55_14={"AccountsActive": -9})
    assert count_report(MAIL, alone, DECEMBER, AFTER, ["H55.14"]).total.numbers["active"] == 0
    assert find_counted_facts(MAIL, "active", alone, DECEMBER, AFTER) == ()


def test_accounts_active_in_the_period_are_those_told_for_all_of_its_days():
    whole = told("2026-11-17", since="2026-11-15", H55_14={"AccountsActive": 17})
    corrected = told("2026-11-17", "đếm thừa", since="2026-11-15", H55_14={"AccountsActive": -1})
    numbers = count_report(MAIL, [*FACTS, *whole, *corrected], DECEMBER, AFTER, ["H55.14"]).total.numbers
    assert (numbers["active"], numbers["accounts"]) == (16, 31), "not with the 11 of its last day"
