"""The checklist of a new partner ticks itself from the journal, and costs the same however much there is."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from hub import config
from hub.domain.ids import make_id
from hub.domain.model import DeliveryState, Event, Problem, Receive
from hub.journal import events, messages
from hub.journal.queue import pickup
from hub.monitoring.integration import first_messages
from hub.monitoring.integration.first_messages import FirstStep, list_expected_steps, read_first_steps
from hub.store.tables import delivery
from tests import pki
from tests.province import GRANTING, NOW, ROUTES, document, entry, status


def make_partner(code, receive, units=("H55.13",)):
    certificates = (pki.partner(code).certificate,)
    return config.Partner(code=code, name=code, certificates=certificates, receive=receive, units=units)


SOTTTT = make_partner("sotttt", Receive.FETCH)
VPUB = make_partner("vpub", Receive.PUSH, ("H55.01",))


def take(tx, number, packet=None, partner="sotttt", **fields):
    at = NOW + timedelta(minutes=number)
    made = entry(packet or document(document_id=f"D{number}"), number, at=at, id=make_id(at), partner=partner, **fields)
    messages.record_message(tx, made, ROUTES)
    return made.id


def refuse_call(tx, number, code, partner="sotttt"):
    at = NOW + timedelta(minutes=number)
    events.append_events(
        tx, Event("call-refused", at, body={"partner": partner, "code": code, "tracking": make_id(at)})
    )


def taken(tx, partner=SOTTTT):
    """Return the steps that were taken, with the number of minutes after which."""
    return {
        str(each.step): round((each.at - NOW) / timedelta(minutes=1))
        for each in read_first_steps(tx, partner, GRANTING)
        if each.at is not None
    }


def test_each_kind_of_partner_has_the_steps_that_it_will_take():
    fetching, pushed = list_expected_steps(SOTTTT, GRANTING), list_expected_steps(VPUB, GRANTING)
    assert set(fetching) == set(FirstStep) - {FirstStep.PUSHED}
    assert set(pushed) == set(FirstStep) - {FirstStep.FETCHED, FirstStep.CONFIRMED}
    teller = make_partner("any", Receive.NONE, ())
    assert not {FirstStep.DOCUMENT, FirstStep.STATUS, FirstStep.PUSHED} & set(list_expected_steps(teller, GRANTING))


def test_nothing_is_ticked_before_the_first_call(tx):
    take(tx, 1, partner="vpub", packet=document("H55.01", "H55.13"))
    refuse_call(tx, 2, "unsigned", partner="vpub")
    assert taken(tx) == {}


def test_the_steps_are_ticked_as_the_messages_come(tx):
    refuse_call(tx, 1, "certificate-expired")
    assert taken(tx) == {"called": 1, "refused": 1}
    refuse_call(tx, 2, "unsigned")
    assert taken(tx) == {"called": 1, "certificate": 2, "refused": 1}
    refused = take(tx, 3, problems=(Problem("unit-unknown", "H55.99"),))
    assert taken(tx) == {"called": 1, "certificate": 2, "signed": 3, "refused": 3}
    (shown,) = [each for each in read_first_steps(tx, SOTTTT, GRANTING) if each.step is FirstStep.REFUSED]
    assert (shown.message, shown.code) == (refused, "unit-unknown")
    take(tx, 4)
    take(tx, 5, status("03", "H55.13", "H55.01"))
    take(tx, 6)
    found = taken(tx)
    assert (found["document"], found["status"], found["corrected"]) == (4, 5, 4)


@pytest.mark.parametrize("code", ["call-not-granted", "not-yours", "replayed"])
def test_some_refusals_show_that_the_signature_was_right(tx, code):
    refuse_call(tx, 1, code)
    assert taken(tx) == {"called": 1, "certificate": 1, "signed": 1, "refused": 1}


def test_fetching_and_confirming_are_seen(tx):
    message = take(tx, 1, document("H55.01", "H55.13"), partner="vpub")
    at = NOW + timedelta(minutes=2)
    pickup.fetch_message(tx, "sotttt", message, at)
    assert taken(tx) == {"called": 2, "certificate": 2, "signed": 2, "fetched": 2}
    pickup.confirm_receipt(tx, "sotttt", message, None, at + timedelta(minutes=1))
    assert taken(tx)["confirmed"] == 3


def test_a_push_that_was_accepted_is_seen_and_is_no_call_of_the_partner(tx):
    take(tx, 1, document("H55.13", "H55.01"))
    assert taken(tx, VPUB) == {}
    tx.execute(sa.update(delivery).values(state=DeliveryState.DELIVERED.value, changed_at=NOW + timedelta(minutes=7)))
    assert taken(tx, VPUB) == {"pushed": 7}


def test_it_looks_at_both_ends_and_reads_no_table_as_a_whole(tx, monkeypatch):
    monkeypatch.setattr(first_messages, "LOOKED_AT", 3)
    for number in range(1, 9):
        take(tx, number)
        refuse_call(tx, number, "unsigned")
    take(tx, 10, status("03", "H55.13", "H55.01"))
    said = []
    sa.event.listen(tx, "before_cursor_execute", lambda *words: said.append((words[2], words[3])))
    found = taken(tx)
    assert (found["document"], found["status"]) == (1, 10)
    assert len(said) <= 16
    if tx.dialect.name == "sqlite":
        for statement, values in tuple(said):
            plan = [each.detail for each in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            scanned = [each for each in plan if each.startswith("SCAN") and not each.endswith("anon_1")]
            assert scanned == [], statement
