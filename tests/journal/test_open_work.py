"""What units still have to do: kept beside the facts, equal to the cells of the forms, and made anew when its rules change."""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, seed, settings

from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import Fact
from hub.journal import events, facts
from hub.journal.sequels.open_work import following, listing
from hub.journal.sequels.open_work.listing import make_filter
from hub.report.counting import open_work as rules
from hub.report.counting.counting import count_report
from hub.report.counting.open_work import WorkState
from hub.report.form.form import choose_form
from hub.report.form.period import find_month_containing
from hub.store import transactions
from hub.store.tables import message, search_progress
from hub.store.tables import open_work as table
from hub.workload import unit_report
from tests import databases
from tests.histories import office
from tests.histories.duties import Duties
from tests.histories.months import months
from tests.recount import places

AT = datetime(2026, 11, 24, 3, tzinfo=UTC)
TODAY = date(2026, 11, 24)


def settle(tx) -> None:
    """Chain all events and take them into the list."""
    while events.chain_events(tx):
        pass
    while (step := following.read_step(tx)) is not None:
        assert following.write_step(tx, step)


def tell(tx, unit: str, service: str, key: str, milestone: str, at: datetime = AT, **more: Any) -> str:
    """Let a message tell of one milestone. Returns the id of the message."""
    name = make_id(at)
    row: dict[str, Any] = {"id": name, "partner": "p", "message_id": name, "service": service, "kind": "k"}
    row |= {"state": "accepted", "received_at": at, "sha256": "0" * 64, "size": 1, "code": more.pop("code", None)}
    tx.execute(sa.insert(message), [row])
    one = Fact(unit=unit, service=service, key=key, milestone=milestone, at=at, message=name, **more)
    facts.record_facts(tx, [one])
    return name


def listed(tx, **wanted: Any) -> list[tuple[str, str, str]]:
    settle(tx)
    found = listing.list_open_work(tx, make_filter(TODAY, wanted.pop("days", 5), **wanted), 100)
    return [(each.work.unit, each.number, each.work.due.isoformat()) for each in found]


def test_what_is_open_is_listed_by_its_due_day_with_the_message_by_which_it_began(tx):
    began = tell(tx, "H55.13", "documents", '["H55","1"]', "received", due=date(2026, 11, 20), code="15/UBND-VP")
    tell(tx, "H55.13", "documents", '["H55","2"]', "received", due=date(2026, 11, 26), code="16/UBND-VP")
    tell(tx, "H55.30", "documents", '["H55","3"]', "received", due=date(2026, 12, 30))
    tell(tx, "H55.30", "documents", '["H55","4"]', "received")
    assert listed(tx) == [
        ("H55.13", "15/UBND-VP", "2026-11-20"),
        ("H55.13", "16/UBND-VP", "2026-11-26"),
    ]
    assert listed(tx, state=WorkState.LATE) == [("H55.13", "15/UBND-VP", "2026-11-20")]
    assert listed(tx, state=WorkState.SOON) == [("H55.13", "16/UBND-VP", "2026-11-26")]
    (late,) = listing.list_open_work(tx, make_filter(TODAY, 0), 10)
    assert (late.work.message, late.work.told, late.work.since) == (began, began, TODAY)


def test_it_is_late_from_the_day_after_its_due_day_on(tx):
    tell(tx, "H55.13", "documents", '["H55","1"]', "received", due=TODAY)
    settle(tx)
    late = [
        [each.work.find_state(day) for each in listing.list_open_work(tx, make_filter(day, 3), 10)]
        for day in (TODAY, TODAY + timedelta(days=1))
    ]
    assert late == [[WorkState.SOON], [WorkState.LATE]]


def test_what_has_ended_is_not_listed_whichever_came_first(tx):
    for key, order in (("a", ("received", "finished")), ("b", ("finished", "received"))):
        for number, milestone in enumerate(order):
            due = date(2026, 11, 20) if milestone == "received" else None
            tell(tx, "H55.13", "dossiers", key, milestone, AT + timedelta(minutes=number), day=TODAY, due=due)
            settle(tx)
    assert listed(tx) == []


def test_a_dossier_that_waits_for_papers_is_not_late_and_is_again_when_work_goes_on(tx):
    tell(tx, "H55.13", "dossiers", "D1", "received", day=date(2026, 11, 2), due=date(2026, 11, 20))
    tell(tx, "H55.13", "dossiers", "D1", "waiting", AT + timedelta(hours=1), day=date(2026, 11, 18))
    assert listed(tx, state=WorkState.LATE) == []
    assert listed(tx, state=WorkState.WAITING) == [("H55.13", "D1", "2026-11-20")]
    tell(tx, "H55.13", "dossiers", "D1", "resumed", AT + timedelta(hours=2), day=date(2026, 11, 23))
    assert listed(tx, state=WorkState.LATE) == [("H55.13", "D1", "2026-11-20")]


def test_papers_that_were_supplemented_state_a_later_due_day(tx):
    tell(tx, "H55.13", "dossiers", "D1", "received", day=date(2026, 11, 2), due=date(2026, 11, 20))
    later = AT + timedelta(hours=1)
    tell(tx, "H55.13", "dossiers", "D1", "supplemented", later, day=date(2026, 11, 10), due=date(2026, 11, 25))
    assert listed(tx) == [("H55.13", "D1", "2026-11-25")]
    (one,) = listing.list_open_work(tx, make_filter(TODAY, 5), 10)
    assert one.work.due_told_at == later


def test_a_work_item_says_which_officer_has_it_and_an_excused_one_is_not_late(tx):
    known = (("kind", "bao-cao"), ("officer", "CB-07"))
    for key in ("V1", "V2"):
        tell(tx, "H55.13", "work", key, "assigned", day=date(2026, 11, 2), due=date(2026, 11, 20), attributes=known)
    tell(tx, "H55.13", "work", "V2", "excused", AT + timedelta(hours=1), day=date(2026, 11, 20), counterpart="CB-01")
    assert listed(tx, state=WorkState.LATE, officer="CB-07") == [("H55.13", "V1", "2026-11-20")]
    assert listed(tx, state=WorkState.WAITING, field="bao-cao") == [("H55.13", "V2", "2026-11-20")]


def test_numbers_by_unit_and_by_field_say_the_oldest_due_day(tx):
    for key, field, due in (("1", "TP", 18), ("2", "TP", 20), ("3", "DD", 27), ("4", "DD", 10)):
        known = (("field", field), ("field_name", f"Lĩnh vực {field}"))
        tell(tx, "H55.13", "dossiers", key, "received", day=TODAY, due=date(2026, 11, due), attributes=known)
    tell(tx, "H55.13", "dossiers", "4", "waiting", AT + timedelta(hours=1), day=TODAY)
    tell(tx, "H55.30", "documents", '["H55","9"]', "received", due=date(2026, 11, 24))
    settle(tx)
    wanted = make_filter(TODAY, 5)
    found = listing.count_open_work(tx, wanted)
    assert [(each.unit, each.service, each.late, each.soon, each.waiting, each.oldest) for each in found] == [
        ("H55.13", "dossiers", 2, 1, 1, date(2026, 11, 18)),
        ("H55.30", "documents", 0, 1, 0, None),
    ]
    fields = listing.count_open_work(tx, attrs.evolve(wanted, units=["H55.13"]), by_field=True)
    assert [(each.field, each.field_name, each.late, each.soon, each.waiting) for each in fields] == [
        ("DD", "Lĩnh vực DD", 0, 1, 1),
        ("TP", "Lĩnh vực TP", 2, 0, 0),
    ]


def test_a_list_goes_on_behind_the_last_one_on_the_page(tx):
    for number in range(7):
        key = json.dumps(["H55", str(number)])
        tell(tx, f"H55.{13 + number % 2}", "documents", key, "received", due=TODAY - timedelta(days=number // 3))
    settle(tx)
    wanted, found, after = make_filter(TODAY, 0), [], None
    while some := listing.list_open_work(tx, wanted, 2, after):
        found += [each.place for each in some]
        after = some[-1].place
    assert found == sorted(found)
    assert len(set(found)) == 7


def test_the_list_is_made_anew_for_other_rules_and_left_alone_by_an_earlier_version(tx, monkeypatch):
    tell(tx, "H55.13", "documents", '["H55","1"]', "received", due=TODAY)
    assert len(listed(tx)) == 1
    tx.execute(sa.update(table).values(officer="đổi"))
    revision = rules.read_revision()
    monkeypatch.setattr(rules, "read_revision", lambda: revision + 1)
    monkeypatch.setattr(following, "_CLEARED", 1)
    settle(tx)
    assert tx.scalars(sa.select(table.c.officer)).all() == [""]
    assert following.count_unread(tx) == 0
    monkeypatch.setattr(rules, "read_revision", lambda: revision)
    tell(tx, "H55.13", "documents", '["H55","2"]', "received", due=TODAY)
    settle(tx)
    assert len(tx.scalars(sa.select(table.c.key)).all()) == 1
    assert len(tx.scalars(sa.select(search_progress.c.name)).all()) == 1


def test_of_two_nodes_that_read_the_same_step_one_writes_it(tx):
    settle(tx)
    tell(tx, "H55.13", "documents", '["H55","1"]', "received", due=TODAY)
    events.chain_events(tx)
    step = following.read_step(tx)
    assert step is not None
    assert [following.write_step(tx, step), following.write_step(tx, step)] == [True, False]


def test_the_rules_have_another_revision_when_they_change():
    """Whoever changes the rules raises `revision`, and writes the new pair here."""
    said = sorted((attrs.asdict(rule) for rule in rules.read_rules().values()), key=lambda rule: rule["service"])
    text = json.dumps(said, default=sorted, sort_keys=True)
    assert (rules.read_revision(), hashlib.sha256(text.encode()).hexdigest()[:12]) == (2, "cfd81c453229")


def test_what_is_late_is_found_without_what_has_ended(tmp_path):
    """No step of a list reads the table of facts, and each uses an index of open work."""
    url = databases.sqlite(tmp_path / "hub.db")
    for step in (
        lambda tx: listing.list_open_work(tx, make_filter(TODAY, 3), 100),
        lambda tx: listing.count_open_work(tx, make_filter(TODAY, 3)),
        lambda tx: listing.count_open_work(tx, make_filter(TODAY, 3, officer="CB-07")),
        lambda tx: listing.count_open_work(tx, make_filter(TODAY, 3, units=["H55.13"]), by_field=True),
    ):
        *_, (_, plan) = databases.plans(url, step)
        assert not any("fact" in each for each in plan)
        assert any("USING" in each and "INDEX ix_open_work" in each for each in plan), plan


DRAWN = {
    "edoc": ("documents", "overdue", (), ("status-03", "status-04"), ("status-02", "status-06", "handed-over")),
    "congviec": ("work", "overdue", ("extended", "extended-2"), ("returned", "excused"), ("done", "withdrawn")),
    "ii06a": (
        "dossiers",
        "pending_overdue",
        ("supplemented", "supplemented-again"),
        ("supplement-requested", "returned"),
        ("finished", "refused", "handed-over"),
    ),
}


def draw_history(random: Random, form: str, key: str) -> list[Fact]:
    """Draw the facts of one business key, in any order, before `AT`."""
    service, _, extends, others, ends = DRAWN[form]
    begins = ("assigned",) if form == "congviec" else ("received", "received", "taken-over")
    names = [random.choice(begins)] if random.random() < 0.9 else []
    names += [name for name in extends if random.random() < 0.3]
    names += [name for name in others if random.random() < 0.3]
    names += [random.choice(ends)] if random.random() < 0.3 else []
    if form == "ii06a":
        waits = [f"{word}-{number}" for number in (1, 2, 3) for word in ("waiting", "resumed")]
        names += waits[: random.choice((0, 0, 1, 2, 3, 4, 5, 6))]
        if "received" in names:
            names += [f"received-corrected-{number}" for number in range(1, random.choice((1, 1, 2, 3, 7)))]
        names += [f"{name}-corrected-1" for name in ("taken-over", "supplemented") if name in names]
    dated = {"received", "taken-over", "assigned", *extends}
    found = []
    for number, name in enumerate(names):
        at = AT - timedelta(days=random.randrange(8), minutes=random.randrange(1000) - number)
        day = (at - timedelta(days=random.randrange(5))).date() if form != "edoc" and random.random() < 0.8 else None
        due = None
        if (name in dated or "corrected" in name) and (random.random() < 0.8 or "corrected" in name):
            due = TODAY + timedelta(days=random.randrange(-9, 4))
        made = Fact(
            unit="H55.13", service=service, key=key, milestone=name, at=at, message=f"m{number}", day=day, due=due
        )
        found.append(made)
    random.shuffle(found)
    return found


@pytest.mark.parametrize("form", DRAWN)
@pytest.mark.slow
def test_what_is_late_is_what_the_form_counts_as_overdue(form):
    """The cells of the forms equal a second count from bytes (test_every_cell); here 2,000 drawn keys, one by one."""
    service, column, *_ = DRAWN[form]
    random, rule = Random(23), rules.read_rules()[service]
    one = choose_form(office.book().forms, form, find_month_containing(AT))
    counts = {0: 0, 1: 0}
    for number in range(2_000):
        history = draw_history(random, form, f"k{number}")
        work = rules.read_open_work(rule, history)
        late = int(work is not None and work.find_state(TODAY) is WorkState.LATE)
        report = count_report(one, history, find_month_containing(AT), AT, ["H55.13"])
        assert report.total.numbers[column] == late, history
        counts[late] += 1
    assert min(counts.values()) > 200


def test_it_follows_a_drawn_history_of_documents(engine):
    found = {}

    @seed(7)
    @settings(
        max_examples=2, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,)
    )
    @given(drawn=months("edoc", 20, 25))
    def they_are_equal(drawn):
        province = Duties(engine, ("node",))
        with transactions.write_transaction(engine) as tx:
            tx.execute(sa.delete(table))
            tx.execute(sa.delete(search_progress))
        for number, step in enumerate(drawn):
            step.does(province, **step.said)
            if number % 5 == 4:
                with transactions.write_transaction(engine) as tx:
                    settle(tx)
        with transactions.write_transaction(engine) as tx:
            settle(tx)
        now = province.history.now
        with transactions.read_transaction(engine) as tx:
            counted = listing.count_open_work(tx, make_filter(find_local_day(now), 0, service="documents"))
            report = unit_report.resolve_report_sources(
                tx, places.PROVINCE, find_month_containing(now).text, "edoc", office.book()
            ).count(now)
        cells = {row.unit: row.numbers["overdue"] for row in report.rows}
        late = {each.unit: each.late for each in counted if each.unit in cells and each.late}
        assert late == {unit: count for unit, count in cells.items() if count}
        found.update(late)

    they_are_equal()
    assert found
