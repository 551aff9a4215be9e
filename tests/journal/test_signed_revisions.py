"""A report's life: closed when it is given out, signed by an official, handed in, accepted or returned; all of it read back from the journal."""

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.config import Partner
from hub.config.officials import SignaturePlace
from hub.config.reports import ReportSettings
from hub.domain import lifecycle
from hub.domain.errors import Rejected
from hub.domain.lifecycle import ReportEvent
from hub.domain.model import HUB, Fact, Receive, ReportState
from hub.intake.admission import judge_record
from hub.journal import blobs, events, messages
from hub.journal.queue import deliveries
from hub.report.counting import counting, evidence
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.report.signed import sealed, signed
from hub.services import list_services
from hub.services.verdicts import ReportVerdict, write_verdict_message
from hub.store import transactions
from hub.units.province import Province
from hub.workload import closing, revisions, submission
from tests.journal.test_closing import put
from tests.officials import AN, BINH, TWO, Tool, by_signxml, by_xmlsec, official, officials
from tests.officials import HUB as SEAL
from tests.pki import DAY, NOW
from tests.province import ROUTES

FORMS = read_shipped_book().forms
EDOC = next(form for form in FORMS if form.id == "edoc")
UNIT, PERIOD = "H55.13", parse_period("2026-11")
GOV = Partner(code="baocao", name="", certificates=(), receive=Receive.PUSH, services=("reports",))
MINUTE = timedelta(minutes=1)


def province(required=True, people=None):
    config = SimpleNamespace(
        partners={"baocao": GOV},
        identity=SEAL,
        reports=ReportSettings(),
        province="H55",
        officials=people or officials(official(), official("binh", BINH, units=("H55.14",)), required=required),
    )
    return cast("Province", SimpleNamespace(config=config, routes=ROUTES))


def counted(sent=1, now=NOW):
    facts = [
        Fact(unit=UNIT, service="documents", key=str(each), milestone="sent", at=PERIOD.start, message=f"m{each}")
        for each in range(sent)
    ]
    return submission.CountedReport(
        report=counting.count_report(EDOC, facts, PERIOD, now, (UNIT,)),
        names={UNIT: "Sở"},
        lines=evidence.gather_evidence(EDOC, facts, PERIOD, now, (UNIT,)),
    )


def give_out(tx, sent=1, reason="", now=NOW):
    """Return the revision and the octets that a person gets."""
    kept = submission.issue_report(tx, province(), counted(sent, now), reason=reason, by="clerk", now=now)
    return kept, blobs.read_blob(tx, kept.message.sha256)


def take_back(tx, kept, document, now=NOW, required=True):
    return submission.accept_signed_report(tx, province(required), kept, document, by="clerk", now=now)


def hand_in(tx, sent=1, reason="", now=NOW, required=True):
    return submission.submit_report(
        tx, province(required), counted(sent, now), "baocao", reason=reason, by="clerk", now=now
    )


def told_there(tx, result, revision=1, at=NOW, reasons=(), number=0):
    said = ReportVerdict(
        form="edoc", unit=UNIT, period="2026-11", revision=revision, result=result, by="baocao", reasons=reasons
    )
    name = f"v{revision}-{number}"
    entry = judge_record(list_services()["verdicts"], write_verdict_message(said), name, HUB, province(), at, name)
    assert messages.record_message(tx, entry, ROUTES).problems == ()


def standing(tx):
    return revisions.list_revisions(tx, UNIT, "edoc", "2026-11")


def going(tx, message):
    return [each.recipient for each in deliveries.read_message_deliveries(tx, message.id)]


def told(tx, message):
    return [each["event"] for each in events.read_message_events(tx, message.id)]


def test_the_same_revision_is_the_same_octets_each_time_and_goes_to_nobody(tx):
    first, octets = give_out(tx)
    again, same = give_out(tx, now=NOW + MINUTE)
    assert octets == same
    assert (first.fresh, again.fresh) == (True, False)
    assert going(tx, first.message) == []
    assert told(tx, first.message) == ["message-accepted", "report-closed"]
    assert [each.state for each in standing(tx)] == [ReportState.CLOSED]


def test_the_report_of_a_unit_is_no_other_unit_s_whose_code_is_written_alike(tx):
    give_out(tx)
    for unit, period in (("h55.13", "2026-11"), ("H55.1%", "2026-11"), ("H55_13", "2026-11")):
        assert submission.read_newest_revision(tx, unit, "edoc", period) is None
        assert revisions.list_revisions(tx, unit, "edoc", period) == []


def test_facts_that_came_since_are_told_and_change_nothing_until_somebody_says_why(tx):
    _, octets = give_out(tx)
    kept, same = give_out(tx, sent=2)
    assert (kept.behind, same) == (True, octets)
    second, other = give_out(tx, sent=2, reason="gói tin đến muộn")
    assert (second.said.revision, second.behind, other == octets) == (2, False, False)
    assert [(each.revision, each.reason, each.by) for each in standing(tx)] == [
        (1, "", ""),
        (2, "gói tin đến muộn", "clerk"),
    ]


def test_nothing_is_given_out_of_a_period_that_is_not_over(tx):
    with pytest.raises(submission.Unended):
        give_out(tx, now=PERIOD.end - MINUTE)


def test_where_months_are_closed_only_what_is_closed_is_given_out(tx):
    fact = Fact(
        unit=UNIT, service="documents", key="1", milestone="sent", at=parse_period("2026-10").start, message="m"
    )
    put(tx, fact)
    assert submission.find_open_month(tx, EDOC, parse_period("2026-11")) == "", "closings are not in use"
    closing.close_month(tx, read_shipped_book(), "edoc", parse_period("2026-10"), PERIOD.end + DAY, "hub")
    found = {
        text: submission.find_open_month(tx, EDOC, parse_period(text))
        for text in ("2026-09", "2026-10", "2026-11", "2026-Q4")
    }
    assert found == {"2026-09": "", "2026-10": "", "2026-11": "2026-11", "2026-Q4": "2026-11"}
    derived = next(form for form in FORMS if "edoc" in form.bases)
    assert submission.find_open_month(tx, derived, parse_period("2026-11")) == "2026-11", (
        "closed with those it takes from"
    )
    with pytest.raises(submission.Unclosed, match="2026-11"):
        submission.issue_report(
            tx, province(), attrs.evolve(counted(), open_month="2026-11"), reason="", by="clerk", now=NOW
        )
    assert standing(tx) == []


@pytest.mark.parametrize("sign", [by_xmlsec, by_signxml])
def test_the_signed_report_is_kept_as_it_came_and_tells_who_signed(tx, sign):
    kept, octets = give_out(tx)
    document = sign(octets)
    taken = take_back(tx, kept, document)
    assert blobs.read_blob(tx, taken.message.sha256) == document
    assert taken.message.message_id == "reports/edoc/H55.13/2026-11/1/signed"
    assert going(tx, taken.message) == []
    (event,) = (each for each in events.read_message_events(tx, taken.message.id) if each["event"] == "report-signed")
    assert (event["official"], event["subject"]) == ("an", AN.certificate.subject.rfc4514_string())
    assert event["serial"] == f"{AN.certificate.serial_number:x}"
    (one,) = standing(tx)
    assert (one.state, one.signing.name, one.signing.sha256) == (
        ReportState.SIGNED,
        "Nguyễn Văn An",
        taken.message.sha256,
    )


def test_the_same_document_again_is_the_same_message_and_another_is_refused(tx):
    kept, octets = give_out(tx)
    document = by_xmlsec(octets)
    first, again = take_back(tx, kept, document), take_back(tx, kept, document)
    assert (first.message, first.fresh, again.fresh) == (again.message, True, False)
    with pytest.raises(Rejected, match="report-already-signed"):
        take_back(tx, kept, by_signxml(octets))


def test_a_revision_that_somebody_else_made_meanwhile_is_not_passed_by(tx):
    """Who verified beside the transaction may find another revision in it."""
    kept, octets = give_out(tx)
    document = by_xmlsec(octets)
    found = signed.verify_official_signature(octets, document)
    give_out(tx, sent=2, reason="gói tin đến muộn")
    with pytest.raises(Rejected, match="report-other-revision"):
        submission.accept_signed_report(tx, province(), kept, document, by="clerk", now=NOW, found=found)
    assert [each.state for each in standing(tx)] == [ReportState.CLOSED] * 2


def test_what_was_verified_before_is_taken_like_the_rest(tx):
    kept, octets = give_out(tx)
    document = by_xmlsec(octets)
    found = signed.verify_official_signature(octets, document)
    by, over = "clerk", kept.message.sha256
    taken = submission.accept_signed_report(tx, province(), kept, document, by=by, now=NOW, found=found, over=over)
    assert take_back(tx, kept, document) == attrs.evolve(taken, fresh=False)


def test_what_is_handed_in_is_the_signed_document_and_only_that(tx):
    kept, octets = give_out(tx)
    with pytest.raises(submission.Unsigned):
        hand_in(tx)
    taken = take_back(tx, kept, by_xmlsec(octets))
    gone = hand_in(tx)
    assert gone.message == taken.message
    assert (going(tx, taken.message), going(tx, kept.message)) == (["baocao"], [])
    hand_in(tx)
    assert going(tx, taken.message) == ["baocao"], "once"
    (one,) = standing(tx)
    assert (one.state, [each.partner for each in one.handed_in]) == (ReportState.SUBMITTED, ["baocao", "baocao"][:1])


def test_what_was_signed_goes_though_facts_have_come_since(tx):
    kept, octets = give_out(tx)
    taken = take_back(tx, kept, by_xmlsec(octets))
    gone = hand_in(tx, sent=2)
    assert (gone.message, gone.behind) == (taken.message, True)


def test_no_unsigned_report_goes_where_a_signature_is_required_whatever_the_reason(tx):
    for reason in ("", "gấp"):
        with pytest.raises(submission.Unsigned):
            hand_in(tx, reason=reason)
    assert standing(tx) == []
    assert hand_in(tx, required=False).message.message_id == "reports/edoc/H55.13/2026-11/1"


def test_what_went_unsigned_is_not_signed_afterwards(tx):
    kept, octets = give_out(tx)
    hand_in(tx, required=False)
    with pytest.raises(Rejected, match="report-not-closed"):
        take_back(tx, kept, by_xmlsec(octets), required=False)


def test_a_returned_report_is_signed_again_as_another_revision(tx):
    kept, octets = give_out(tx)
    take_back(tx, kept, by_xmlsec(octets))
    hand_in(tx)
    told_there(tx, "returned", reasons=("thiếu thuyết minh",))
    (one,) = standing(tx)
    assert (one.state, one.verdicts[0].reasons) == (ReportState.RETURNED, ("thiếu thuyết minh",))
    second, other = give_out(tx, reason="đã bổ sung", now=NOW + MINUTE)
    assert second.said.revision == 2
    with pytest.raises(Rejected, match="report-other-revision"):
        take_back(tx, second, by_xmlsec(octets), now=NOW + MINUTE)
    take_back(tx, second, by_xmlsec(other, at=NOW + MINUTE), now=NOW + MINUTE)
    gone = hand_in(tx, now=NOW + MINUTE)
    assert gone.message.message_id == "reports/edoc/H55.13/2026-11/2/signed"
    told_there(tx, "accepted", revision=2)
    assert [each.state for each in standing(tx)] == [ReportState.RETURNED, ReportState.ACCEPTED]


def test_another_unit_s_official_is_refused_and_the_journal_says_why(tx):
    kept, octets = give_out(tx)
    with pytest.raises(Rejected) as rejected:
        take_back(tx, kept, by_xmlsec(octets, BINH))
    submission.record_signature_refusal(tx, kept, rejected.value, "ab" * 32, by="clerk", now=NOW)
    event = events.read_message_events(tx, kept.message.id)[-1]
    assert event["event"] == "report-signature-refused"
    assert [each["code"] for each in cast("list[dict[str, str]]", event["problems"])] == ["official-not-for-unit"]
    assert [each.state for each in standing(tx)] == [ReportState.CLOSED]


def test_without_officials_nobody_signs(tx):
    kept, octets = give_out(tx)
    nobody = attrs.evolve(officials(), people={})
    with pytest.raises(Rejected, match="official-unknown"):
        submission.accept_signed_report(tx, province(people=nobody), kept, by_xmlsec(octets), by="clerk", now=NOW)


def sign_in_turn(tx, kept, document, people=TWO):
    return submission.accept_signed_report(tx, province(people=people), kept, document, by="clerk", now=NOW)


def test_where_two_sign_the_head_signs_what_the_drafter_has_signed(tx):
    kept, octets = give_out(tx)
    assert submission.read_signing_base(tx, kept) == kept.message
    with pytest.raises(Rejected, match="signature-order"):
        sign_in_turn(tx, kept, by_xmlsec(octets))
    drafted = by_xmlsec(octets, BINH, tool=Tool(name="1"))
    taken = sign_in_turn(tx, kept, drafted)
    assert (taken.place, taken.official.code, taken.fresh) == (SignaturePlace.DRAFTER, "binh", True)
    assert sign_in_turn(tx, kept, drafted) == attrs.evolve(taken, fresh=False)
    assert taken.message.message_id == "reports/edoc/H55.13/2026-11/1/drafted"
    assert told(tx, taken.message) == ["message-accepted", "report-drafted"]
    (one,) = standing(tx)
    assert (one.state, one.drafting.name, one.signing) == (ReportState.DRAFTED, "Trần Thị Bình", None)
    base = submission.read_signing_base(tx, kept)
    assert base == taken.message
    with pytest.raises(submission.Unsigned):
        hand_in(tx)
    for wrong in (by_xmlsec(octets), by_xmlsec(drafted, BINH, tool=Tool(name="2"))):
        with pytest.raises(Rejected, match="signature-order"):
            sign_in_turn(tx, kept, wrong)
    found = signed.verify_official_signature(octets, by_xmlsec(octets))
    with pytest.raises(Rejected, match="signature-order"):  # what was verified over other octets is verified again
        submission.accept_signed_report(
            tx, province(people=TWO), kept, by_xmlsec(octets), by="x", now=NOW, found=found, over=kept.message.sha256
        )
    both = by_signxml(drafted)
    done = sign_in_turn(tx, kept, both)
    assert (done.place, done.official.code) == (SignaturePlace.HEAD, "an")
    assert sign_in_turn(tx, kept, both) == attrs.evolve(done, fresh=False)
    assert hand_in(tx).message == done.message
    (one,) = standing(tx)
    assert (one.state, one.drafting.official, one.signing.official) == (ReportState.SUBMITTED, "binh", "an")
    assert going(tx, taken.message) == []
    with pytest.raises(Rejected, match="report-already-signed"):
        sign_in_turn(tx, kept, by_xmlsec(drafted, tool=Tool(name="2")))


def test_one_person_does_not_sign_at_both_places(tx):
    both = frozenset(SignaturePlace)
    people = officials(official(signs_as=both), drafted=["edoc"])
    kept, octets = give_out(tx)
    drafted = by_xmlsec(octets, tool=Tool(name="1"))
    sign_in_turn(tx, kept, drafted, people)
    with pytest.raises(Rejected, match="signature-order: an is the drafter"):
        sign_in_turn(tx, kept, by_xmlsec(drafted, tool=Tool(name="2")), people)
    assert [each.state for each in standing(tx)] == [ReportState.DRAFTED]


def test_where_one_signs_a_drafter_is_not_enough_and_what_was_drafted_goes_on(tx):
    kept, octets = give_out(tx)
    alone = attrs.evolve(TWO, drafted=frozenset({"mail"}))
    with pytest.raises(Rejected, match="signature-order"):
        sign_in_turn(tx, kept, by_xmlsec(octets, BINH), alone)
    drafted = by_xmlsec(octets, BINH, tool=Tool(name="1"))
    sign_in_turn(tx, kept, drafted)
    assert sign_in_turn(tx, kept, by_xmlsec(drafted, tool=Tool(name="2")), alone).place is SignaturePlace.HEAD
    assert [each.state for each in standing(tx)] == [ReportState.SIGNED]


def test_a_new_revision_of_what_was_drafted_begins_with_the_drafter(tx):
    kept, octets = give_out(tx)
    sign_in_turn(tx, kept, by_xmlsec(octets, BINH))
    second, other = give_out(tx, sent=2, reason="gói tin đến muộn")
    assert submission.read_signing_base(tx, second) == second.message
    with pytest.raises(Rejected, match="signature-order"):
        sign_in_turn(tx, second, by_xmlsec(other))
    assert hand_in(tx, sent=2, required=False).message == second.message
    assert [each.state for each in standing(tx)] == [ReportState.DRAFTED, ReportState.SUBMITTED]


def signing(tx, kept, octets, latest, now):
    """Sign, where the table lets anyone; return where the report stands then."""
    document = by_xmlsec(octets, at=now)
    if (latest, ReportEvent.SIGN) in lifecycle.REPORT:
        take_back(tx, kept, document, now=now)
        return lifecycle.move_report(latest, ReportEvent.SIGN)
    with pytest.raises(Rejected):
        take_back(tx, kept, document, now=now)
    return latest


def submitting(tx, kept, octets, latest, now):
    """Hand in what is signed; return where the report stands then."""
    if revisions.find_signed_message(tx, kept.said) is None:
        with pytest.raises(submission.Unsigned):
            hand_in(tx, now=now)
        return latest
    hand_in(tx, now=now)
    return lifecycle.move_report(latest, ReportEvent.SUBMIT)


STEPS = st.lists(st.sampled_from(["give out", "revise", "sign", "submit", "accept", "return"]), min_size=1, max_size=12)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS)
@pytest.mark.slow
def test_whatever_is_done_each_revision_stands_where_the_table_leads(engine, steps):
    """The deeds of the journal against the table alone: nothing happens that is not in it, and nothing in it is lost."""
    with transactions.write_transaction(engine) as tx:
        states: list[ReportState] = []
        kept, octets = None, b""
        for number, step in enumerate(steps):
            now = NOW + number * MINUTE
            latest = states[-1] if states else ReportState.OPEN
            if step in {"give out", "revise"}:
                kept, octets = give_out(tx, sent=number if step == "revise" else len(states), reason=step, now=now)
                if kept.fresh:
                    states.append(lifecycle.move_report(ReportState.OPEN, ReportEvent.CLOSE))
            elif kept is None:
                continue
            elif step in {"sign", "submit"}:
                states[-1] = (signing if step == "sign" else submitting)(tx, kept, octets, latest, now)
            elif latest in {ReportState.SUBMITTED, ReportState.ACCEPTED, ReportState.RETURNED}:
                result = {"accept": "accepted", "return": "returned"}[step]
                known = [each.result for each in standing(tx)[-1].verdicts]
                told_there(tx, result, kept.said.revision, now, number=number)
                if result not in known:  # a fact has a key: the same word again is no other fact
                    states[-1] = lifecycle.move_report(latest, step)
        assert [each.state for each in standing(tx)] == states
        for each in standing(tx):
            assert sealed.read_sealed_report(blobs.read_blob(tx, each.sha256)).revision == each.revision
        tx.rollback()
