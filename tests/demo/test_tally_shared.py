"""What the shared mail's and the officers' own files say happened; a day of the mailboxes; the calls of the officers."""

import random
from collections import Counter
from datetime import date
from itertools import chain
from typing import Any

import pytest

from lienthong_demo.partners import mailusage, officer
from lienthong_demo.tally import tallyshared
from lienthong_demo.tally.tally import TalliedResult, count_results_once, sum_results

UNITS = ("H55.13", "H55.14", "H55.15")


def usage(unit, **figures):
    return {"what": "usage", "unit": unit, "day": "2026-11-24", "figures": figures}


def answered(message_id, lookup, *, operation="VerifyCitizen", does="", accepted=True):
    named = {"unit": "H55.13", "operation": operation, "message_id": message_id, "does": does}
    return {"what": "answered", **named, "accepted": accepted, "lookup": lookup, "codes": []}


def test_the_mail_counts_by_its_books_none_too_and_not_by_what_it_sent():
    lines: list[dict[str, Any]] = [
        usage("H55.13", SentInternal=5, OverQuota=0),
        usage("H55.14", AccountsIssued=7),
        {"what": "sent", "message_id": "m1", "accepted": True},
    ]
    day = ("2026-11-24",)
    assert list(tallyshared.tally_mail(lines)) == [
        TalliedResult("H55.13", "mail", day, "sent-internal", 5),
        TalliedResult("H55.13", "mail", day, "over-quota", 0),
        TalliedResult("H55.14", "mail", day, "accounts-issued", 7),
    ]


def test_a_lookup_counts_once_for_its_message_and_only_if_it_was_answered():
    lines = [
        {"what": "started"},
        answered("m1", "L1"),
        answered("m1", "L1"),
        answered("m2", "L2", operation="LookupCategory"),
        answered("m3", "L3", accepted=False),
    ]
    found = sum_results(count_results_once(tallyshared.tally_lookups(lines)).values())
    assert found == {("H55.13", "lookups", "verify-citizen"): 1, ("H55.13", "lookups", "lookup-category"): 1}


def test_a_second_id_of_the_same_message_is_none_of_the_results():
    found = count_results_once(tallyshared.tally_lookups([answered("m1", "L1"), answered("m1", "L9")]))
    assert [result.key for result in found.values()] == [("L1",)]


def test_what_does_something_counts_once_for_what_it_does_whatever_the_message():
    lines = [answered(each, each, operation="OrderPostalReturn", does="HS-1") for each in ("m1", "m2")]
    (result,) = count_results_once(tallyshared.tally_lookups(lines)).values()
    assert (result.key, result.milestone, result.amount) == (("HS-1",), "postal-ordered", 1)


@pytest.mark.parametrize(
    ("placed", "told"),
    [
        (["order:TNG01/HS-1"], []),
        ([], ["postal-ordered of HS-1: an officer's, taken 0 times"]),
        (["order:TNG01/HS-1"] * 2, ["postal-ordered of HS-1: an officer's, taken 2 times"]),
        (["order:TNG01/HS-1", "record:HS-1"], ["judicial-record-requested of HS-1: no officer's, taken 1 times"]),
    ],
)
def test_what_was_placed_is_what_the_officers_had_done_and_once(placed, told):
    officers = [answered("m1", "L1", operation="OrderPostalReturn", does="HS-1"), answered("m2", "L2")]
    services = [{"what": "asked"}, *({"what": "placed", "key": key} for key in placed)]
    assert list(tallyshared.compare_orders(officers, services)) == told


def test_a_day_of_the_mailboxes_is_the_same_again_and_what_is_sent_inside_is_received_there():
    def played():
        chance = random.Random("2026-11-24")
        accounts = mailusage.spread_accounts(UNITS, 300, chance)
        return accounts, mailusage.simulate_mail_day(accounts, chance)

    accounts, books = played()
    assert (accounts, books) == played()
    assert Counter(accounts) == {unit: book["AccountsIssued"] for unit, book in books.items()}
    whole: Counter[str] = sum(books.values(), Counter())
    assert whole["AccountsIssued"] == 300
    assert set(whole) == set(mailusage.FIGURES)  # there is some of everything
    assert whole["AccountsActive"] < 300
    assert whole["ReceivedInternal"] >= whole["SentInternal"]


def test_with_fewer_accounts_than_units_some_units_have_none():
    assert mailusage.spread_accounts(UNITS, 2, random.Random(1)) == ["H55.13", "H55.14"]


def test_officers_make_every_call_that_there_is():
    asked = chain(officer.list_officer_calls(0), officer.list_dossier_orders("HS-1", date(2026, 11, 24)))
    assert [operation for operation, _ in asked] == [
        *("LookupEnterprise", "LookupCategory", "VerifyCitizen"),
        *("OrderPostalReturn", "RegisterCivilStatus", "RequestJudicialRecord"),
    ]
