"""An inspector's drill: the hub's reports equal the inspector's own list, each broken rule is found, and real totals stay."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cached_property, partial
from io import BytesIO
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from hub.audit.drill.compared_columns import COUNTED, SUMS
from hub.audit.drill.comparing import Reconciled
from hub.audit.drill.desk import SentStep
from hub.audit.drill.drawing import draw_plan, find_period, make_units, name_drill
from hub.audit.drill.expecting import FORMS, expect_numbers
from hub.audit.drill.plan import Does, PlanUnreadable, Trap, list_traps, read_plan, write_plan
from hub.audit.drill.protocol import DrillRecord, sign_protocol
from hub.audit.sealed_file import audit_file
from hub.intake import admission
from hub.journal import decisions, facts
from hub.journal.queue import deliveries
from hub.journal.sequels import corrected_figures
from hub.report.counting import column_rules, counting, family, posting
from hub.report.form.book import read_shipped_book
from hub.report.form.column import ColumnKind, Timing
from hub.report.form.workdays import Workdays
from hub.report.glance.sheet import list_province_family
from hub.report.signed.sealed import read_sealed_report
from hub.services.dossiers import states
from hub.store import transactions
from hub.workload import submission
from hub.workload.submission import CountedReport
from tests import databases, drilling
from tests.drilling import DrillHub

unsigned = partial(draw_plan, province="H55", sign=bytes)


# --- the plan


def test_a_seed_gives_one_plan_and_another_seed_another() -> None:
    today = date(2026, 11, 24)
    assert unsigned(7, today=today) == unsigned(7, today=today)
    assert unsigned(7, today=today) != unsigned(8, today=today)


def test_a_plan_is_read_as_it_was_written() -> None:
    plan = drilling.draw()
    assert read_plan(write_plan(plan)) == plan


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"drill": 2}', b'{"drill": 1}', b'{"drill": 1, "first": 3}'])
def test_what_is_no_plan_is_refused(content: bytes) -> None:
    with pytest.raises(PlanUnreadable):
        read_plan(content)


def test_every_plan_has_every_trap() -> None:
    for seed in range(20):
        plan = unsigned(seed, today=date(2026, 11, 15) + timedelta(days=seed))
        assert list_traps(plan.steps) == tuple(trap.value for trap in Trap if trap)


@pytest.mark.parametrize(
    ("today", "cut_off", "period"),
    [
        (date(2026, 2, 14), 15, ("2026-02", date(2026, 1, 15), date(2026, 2, 14))),
        (date(2026, 2, 15), 15, ("2026-03", date(2026, 2, 15), date(2026, 3, 14))),
        (date(2026, 12, 15), 15, ("2027-01", date(2026, 12, 15), date(2027, 1, 14))),
        (date(2026, 2, 14), 1, ("2026-02", date(2026, 2, 1), date(2026, 2, 28))),
        (date(2026, 12, 31), 1, ("2026-12", date(2026, 12, 1), date(2026, 12, 31))),
    ],
)
def test_the_period_is_the_one_with_the_day(today: date, cut_off: int, period: tuple[str, date, date]) -> None:
    assert find_period(today, cut_off) == period


def test_the_units_of_two_drills_are_others() -> None:
    assert {name_drill(seed) for seed in range(1296)} == {name_drill(seed) for seed in range(1296, 2592)}
    assert len({name_drill(seed) for seed in range(1296)}) == 1296
    assert [unit.code for unit in make_units("K07", "H55")] == ["H55.K07", "H55.K07.1", "H55.K07.1.1", "H55.K07.2"]


def test_the_list_knows_every_number_of_the_forms() -> None:
    book = read_shipped_book()
    for name in COUNTED:
        (form,) = [form for form in book.forms if form.id == name]
        numbers = {column.key for column in form.columns if column.kind is not ColumnKind.TIME}
        assert {*COUNTED[name], *SUMS.get(name, {})} == numbers, name


def test_every_number_that_test_units_can_have_is_tried() -> None:
    """No column of the list is 0 in all plans, but those of what cannot come from test units."""
    seen = set()
    for seed in range(8):
        plan = unsigned(seed, today=drilling.TODAY)
        sent = [SentStep(number=step.number, at=drilling.NOW, accepted=not step.refusal) for step in plan.steps]
        expected = expect_numbers(plan, sent, dict.fromkeys(FORMS, drilling.NOW), {})
        seen |= {(form, column) for (form, _, column), number in expected.numbers.items() if number}
    never = {(form, column) for form in FORMS for column in (*COUNTED[form], *SUMS.get(form, {}))} - seen
    assert {column for _, column in never} == {
        *("sent_outside", "received_outside", "failed"),  # of documents
        *("taken_over", "received_unstated", "synced", "received_synced"),  # of dossiers
        "handed_over",  # of mail: no test unit ends
        "done_unmatched",  # an item that is told as done is told as assigned
    }


# --- the drill


@attrs.frozen(slots=False)
class Drilled:
    hub: DrillHub
    sent: list[SentStep]

    def reconcile(self, form: str = "") -> Reconciled:
        return self.hub.reconcile(self.sent, form)

    @cached_property
    def octets(self) -> dict[tuple[str, str], bytes]:
        """The sealed reports, fetched once."""
        return self.hub.octets()

    def sign(self, **changed: Any) -> tuple[bytes, Reconciled]:
        said: dict[str, Any] = {
            "plan": self.hub.plan,
            "sent": self.sent,
            "reports": self.hub.octets(),
            "floors": self.hub.floors(),
        }
        record = DrillRecord(**said | changed)
        return sign_protocol(record, drilling.identity("kiemtra"), self.hub.now)


@pytest.fixture(scope="module", name="drilled")
def _drilled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drilled]:
    """A drill that was sent to a hub without a mistake."""
    engine = transactions.open_journal(databases.sqlite(tmp_path_factory.mktemp("drill") / "hub.db"))
    hub = DrillHub(engine, drilling.draw())
    yield Drilled(hub, hub.send())
    engine.dispose()


@pytest.fixture(name="journal")
def _journal(tmp_path) -> Iterator[sa.Engine]:
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield made
    made.dispose()


@pytest.mark.slow
def test_the_reports_say_what_the_inspector_expects(drilled: Drilled) -> None:
    found = drilled.reconcile()
    assert found.differences == ()
    assert found.unknown == ()
    assert found.cells == 1384


def shifted(days: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Move every due day."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        by = timedelta(days=days)
        timing = Timing.of
        patch.setattr(Timing, "of", lambda day, due: timing(day, due and due + by))
        for module in (counting, column_rules):
            patch.setattr(module, "is_date_passed", lambda due, day: due is not None and due + by < day)

    return mutate


def by_receipt_of_the_hub(patch: pytest.MonkeyPatch) -> None:
    """Count a result when the hub heard of it, not on its day."""
    for module in (column_rules, posting):
        patch.setattr(module, "find_fact_time", lambda _form, fact: fact.at)


def without_holidays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Workdays, "is_working", lambda self, day: day.weekday() not in self._off(day))


def with_another_parent(patch: pytest.MonkeyPatch) -> None:
    listed = family.list_unit_family

    def mixed(units, code, on=None):
        moved = [attrs.evolve(unit, parent="H55.K07.2") if unit.code == "H55.K07.1.1" else unit for unit in units]
        return listed(moved, code, on)

    patch.setattr("hub.workload.unit_report.list_unit_family", mixed)


def without_order(patch: pytest.MonkeyPatch) -> None:
    def last(form, history):
        rank = {name for step in form.steps for name in step}
        return max((fact for fact in history if fact.milestone in rank), key=lambda fact: fact.at, default=None)

    patch.setattr(column_rules, "find_reached_fact", last)


COUNTING_MUTATIONS = [
    pytest.param(by_receipt_of_the_hub, "ii06a H55.K07.1.1 carried_over", id="period by receipt instead of result"),
    pytest.param(shifted(1), "ii06a H55.K07", id="due day +1"),
    pytest.param(shifted(-1), "ii06a H55.K07", id="due day -1"),
    pytest.param(without_holidays, "ii06a H55.K07", id="a holiday ignored"),
    pytest.param(with_another_parent, "edoc H55.K07.1", id="another unit's parent"),
    pytest.param(without_order, "edoc H55.K07.1 processing", id="status order ignored"),
]


@pytest.mark.parametrize(("mutate", "place"), COUNTING_MUTATIONS)
def test_a_mistake_in_counting_is_found(drilled: Drilled, monkeypatch: pytest.MonkeyPatch, mutate, place: str) -> None:
    mutate(monkeypatch)
    found = drilled.reconcile(place.partition(" ")[0])
    assert not found.agrees
    assert any(place in each.place for each in found.differences)


# --- mistakes in what is recorded


def by_result_of_the_unit(patch: pytest.MonkeyPatch) -> None:
    """Count a document on the day that its sender writes, not when the hub received it."""
    made = facts.make_sent_fact

    def dated(row, recipients, *, outside):
        day = row["promulgation_date"].replace("/", "-")
        fact = made(row, recipients, outside=outside)
        return attrs.evolve(fact, at=fact.at.fromisoformat(f"{day}T03:00:00+00:00"))

    patch.setattr(facts, "make_sent_fact", dated)


def without_a_repeats_key(patch: pytest.MonkeyPatch) -> None:
    made = facts.make_sent_fact

    def anew(row, recipients, *, outside):
        fact = made(row, recipients, outside=outside)
        return attrs.evolve(fact, key=f"{fact.key} {row['id']}")

    patch.setattr(facts, "make_sent_fact", anew)


def with_refused_ones(patch: pytest.MonkeyPatch) -> None:
    refuse = decisions._refuse_message

    def count(entry, routing):
        effects = refuse(entry, routing)
        if entry.packet is None or effects.message is None:
            return effects
        return attrs.evolve(effects, facts=(facts.make_sent_fact(effects.message, [], outside=False),))

    patch.setattr(decisions, "_refuse_message", count)


def with_recalled_ones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deliveries, "plan_stops", lambda *_said: deliveries.DeliveryStops())


def with_corrections_added(patch: pytest.MonkeyPatch) -> None:
    def added(_tx, told):
        return [
            attrs.evolve(fact, key=f"{fact.key}#{fact.message}") if fact.milestone.startswith("declared") else fact
            for fact in told
        ], []

    patch.setattr(corrected_figures, "place_corrections", added)


def without_aliases(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "resolve_record_units", lambda record, _routes: record)


def ended_when_received(patch: pytest.MonkeyPatch) -> None:
    """Count an end in the period of the receipt."""
    days = states._Days.of

    def same(item):
        found = days(item)
        return attrs.evolve(found, ended=found.ended and found.received)

    patch.setattr(states._Days, "of", same)


RECORDING_MUTATIONS = [
    pytest.param(without_a_repeats_key, "documents", "edoc H55.K07.1.1 sent_inside", id="a repeat's key dropped"),
    pytest.param(with_refused_ones, "documents", "edoc H55.K07.2 sent_inside", id="a refused one counted"),
    pytest.param(by_result_of_the_unit, "documents", "edoc H55.K07.2 sent_inside", id="period by result, not receipt"),
    pytest.param(ended_when_received, "dossiers", "ii06a H55.K07", id="an end in the period of the receipt"),
    pytest.param(with_recalled_ones, "documents", "edoc H55.K07.2 received", id="a recalled one still counted"),
    pytest.param(with_corrections_added, "dossiers", "dossiers H55.K07.1 declared_received", id="a correction added"),
    pytest.param(without_aliases, "mail", "mail H55.K07.1", id="an alias not followed"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("mutate", "service", "place"), RECORDING_MUTATIONS)
def test_a_mistake_in_recording_is_found(journal, monkeypatch, mutate, service: str, place: str) -> None:
    mutate(monkeypatch)
    hub = DrillHub(journal, drilling.draw(services=[service], usual=0))
    rounds = [step.number for step in hub.plan.steps if step.does is Does.FETCH] or [len(hub.plan.steps) + 1]
    sent = hub.send(*range(1, rounds[len(hub.plan.units) - 1 if len(rounds) > 1 else 0] + 1))
    found = hub.reconcile(sent, place.partition(" ")[0])
    assert any(place in each.place for each in found.differences), found.differences
    assert all(each.messages for each in found.differences if each.what == "cell" and each.expected != "0")


# --- real totals


@pytest.mark.slow
def test_a_drill_leaves_real_totals_as_they_were_to_the_octet(engine) -> None:
    """The sealed reports of the province, closed and open, are the same octets before the drill and after it."""
    plan, later = drilling.draw(services=["documents", "dossiers"], usual=0), drilling.NOW + timedelta(hours=9)
    hub = DrillHub(engine, plan)
    hub.send_real_messages()
    before = hub.real_reports(later)
    assert any(b">1<" in content for content in before.values())
    hub.now = drilling.NOW + timedelta(hours=1)
    sent = hub.send()
    assert hub.real_reports(later) == before
    assert hub.reconcile(sent).agrees


@pytest.mark.slow
def test_what_is_told_of_a_closed_month_counts_in_the_open_one(journal) -> None:
    hub = DrillHub(journal, drilling.draw(services=["dossiers"], usual=0))
    hub.send_real_messages()
    sent = hub.send()
    found = hub.reconcile(sent)
    assert found.differences == ()
    assert {*hub.floors().values()} == {date(2026, 1, 15)}


# --- the protocol


@pytest.fixture(scope="module", name="protocol")
def _protocol(drilled: Drilled) -> bytes:
    content, found = drilled.sign()
    assert found.agrees
    return content


def audited(content: bytes) -> list[tuple[bool | None, str, str]]:
    return [(each.holds, each.check, each.place) for each in audit_file(BytesIO(content), drilling.TRUST)]


@pytest.mark.slow
def test_the_protocol_is_verified_without_a_hub(protocol: bytes) -> None:
    found = audited(protocol)
    assert all(holds is not False for holds, _, _ in found), found
    assert {(True, "seal", ""), (True, "receipt", "Sent"), (True, "drill", "Verdict"), (True, "sealer", "")} <= {*found}


def test_a_protocol_of_another_signer_or_changed_is_false(protocol: bytes) -> None:
    assert audited(protocol.replace(b'agrees="true"', b'agrees="false"'))[0][0] is False
    assert audited(protocol[:-300])[0][0] is False


@pytest.mark.slow
def test_an_inspector_cannot_invent_what_the_hub_said(drilled: Drilled) -> None:
    """A receipt and a report keep the hub's own seal: changed ones are false."""
    other = attrs.evolve(drilled.sent[0], receipt=drilled.sent[0].receipt.replace("K07-0001", "K07-0002"))
    reports = {asked: found.replace(b">0<", b">1<", 1) for asked, found in drilled.octets.items() if asked[0] == "mail"}
    content, _ = drilled.sign(sent=[other, *drilled.sent[1:]], reports=reports)
    found = audited(content)
    assert (False, "receipt", "K07-0001") in found
    assert (False, "seal", "mail H55.K07") in found


@pytest.mark.slow
def test_an_inspector_cannot_leave_out_what_the_hub_said(drilled: Drilled) -> None:
    """Neither a report that would differ, nor the receipt of what was never sent."""
    first = attrs.evolve(drilled.sent[0], receipt="")
    reports = {asked: found for asked, found in drilled.octets.items() if asked != ("mail", "H55.K07")}
    content, found = drilled.sign(sent=[first, *drilled.sent[1:]], reports=reports)
    assert [(each.what, each.place) for each in found.differences if each.what == "report"] == [
        ("report", "mail H55.K07")
    ]
    assert (False, "receipt", drilled.hub.plan.steps[0].message_id) in audited(content)


@pytest.mark.slow
def test_a_failed_drill_is_a_true_protocol_of_what_differs(drilled: Drilled, monkeypatch: pytest.MonkeyPatch) -> None:
    without_order(monkeypatch)
    content, found = drilled.sign(reports=drilled.hub.octets("edoc"))
    assert not found.agrees
    findings = list(audit_file(BytesIO(content), drilling.TRUST))
    assert all(each.holds is not False for each in findings)
    said = [(each.place, str(each.text)) for each in findings if each.check == "drill"]
    assert ("edoc H55.K07.1 processing", "expected 0, found 1; messages: K07-0045, K07-0046") in said or len(said) > 1


# --- what a test unit is kept out of


def test_the_report_of_a_test_unit_is_neither_handed_in_nor_published(drilled: Drilled) -> None:
    content = drilled.octets["mail", "H55.K07"]
    counted = CountedReport(report=read_sealed_report(content).report, names={}, lines=[])
    with transactions.read_transaction(drilled.hub.engine) as tx:
        said: dict[str, Any] = {"reason": "", "by": "an", "now": drilled.hub.now}
        with pytest.raises(submission.OfDrill):
            submission.publish_report(tx, drilled.hub.province, counted, **said)
        with pytest.raises(submission.OfDrill):
            submission.submit_report(tx, drilled.hub.province, counted, "vpcp", **said)


def test_test_units_are_in_no_ranking_of_the_province() -> None:
    units = [*drilling.REAL, *drilling.drill_units(drilling.draw(services=[]))]
    members, parents = list_province_family(units, date(2026, 2, 15))
    assert {*members} == {*parents} == {unit.code for unit in drilling.REAL}
