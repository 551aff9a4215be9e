"""Deeds of succession as they are recorded: a unit that is split, and a deed that is undone. What is open is in one unit's hand."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import attrs
import pytest
import sqlalchemy as sa

from hub.delivery.hand_over import HandOver
from hub.domain.local_time import find_local_day
from hub.domain.model import DeliveryState, Fact, Unit
from hub.journal import facts, unit_registry
from hub.journal.fact_reading import fact_rows
from hub.journal.sequels import handovers
from hub.journal.sequels.handovers import Handover
from hub.keeping import dossier_moves, successions
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.store.tables import fact, message
from hub.units.deeds import PART, WORK, Deed, DeedOrder, Estate, Share, ShareKind, find_order_mistakes
from hub.workload import closing, closing_plan, row_revisions
from tests.dossiers import progress, sync, tiendo
from tests.journal.test_one_dossier import Books, day, finished, province, received
from tests.journal.test_succession import AFTER, BEFORE, MERGER, SPLIT, UNITS, MergedProvince, move, numbers
from tests.province import document, status

OLD, MAIN, OTHER = "H55.81", "H55.83", "H55.84"
SPLIT_ON = date(2027, 2, 1)
COMMUNES = (Unit("H55", "Tỉnh"), *(Unit(code, code, "H55") for code in (OLD, MAIN, OTHER)))
MAY = {"old": (OLD,), "main": (MAIN,), "other": (OTHER,)}


class Dossiers(Books):
    """A province whose registry changes by deeds, each of which the hub goes by from the next moment on."""

    def __init__(self, tx):
        super().__init__(tx, province(COMMUNES, MAY), COMMUNES)
        self.now = day("2027-01-20")

    def reload(self) -> None:
        today = find_local_day(self.now)
        self.known = province(unit_registry.read_unit_index(self.tx, today), MAY)

    def split(self, *shares: Share) -> str:
        order = DeedOrder(units=(OLD,), successors=(MAIN, OTHER), on=SPLIT_ON, shares=shares)
        deed = successions.record_deed(self.tx, order, by="an", now=self.now)
        self.now = day("2027-02-01", 0)
        self.reload()
        return deed

    def part(self, *shares: Share, on: date = SPLIT_ON, units: tuple[str, ...] = (OLD,)) -> str:
        successors = tuple(dict.fromkeys(share.successor for share in shares))
        order = DeedOrder(units=units, successors=successors, on=on, estates=PART, shares=shares, part=True)
        deed = successions.record_deed(self.tx, order, by="an", now=self.now)
        self.now = max(self.now, day(SPLIT_ON.isoformat(), 0), day(on.isoformat(), 0) if on.day < 20 else self.now)
        self.reload()
        return deed

    def facts(self) -> list[Fact]:
        rows = self.tx.execute(fact_rows.RAW_FACT.where(fact.c.service == "dossiers"))
        return [fact_rows.read_raw_fact(row) for row in rows]

    def move(self) -> None:
        for of in handovers.list_handovers(self.tx, find_local_day(self.now), Estate.DOSSIERS)[Estate.DOSSIERS]:
            keys, _ = dossier_moves.list_dossiers_to_move(self.tx, of)
            dossier_moves.move_dossiers(self.tx, of, keys, self.now)

    def undo(self, deed: str) -> None:
        successions.undo_deed(self.tx, deed, by="an", now=self.now)
        self.reload()

    def close(self, text: str) -> None:
        self.now = closing_plan.find_earliest_closing_time(parse_period(text))
        closing.close_month(self.tx, read_shipped_book(), "ii06a", parse_period(text), self.now, "an")
        self.now += timedelta(days=1)

    def told_as(self, unit: str, *keys: str, on: str = "2027-02-03") -> None:
        """Let the system of *unit* end dossiers: of one it tells all, of the others a step."""
        partner = {OLD: "old", MAIN: "main", OTHER: "other"}[unit]
        self.now = max(self.now, day(on))
        self.bring(partner, sync(finished(keys[0], on), organ=unit))
        for key in keys[1:]:
            self.bring(partner, progress(tiendo(key, "9", f"{on.replace('-', '')}100000"), organ=unit))


@pytest.fixture
def dossiers(tx):
    made = Dossiers(tx)
    for number in (1, 2, 3):
        made.bring("old", sync(received(f"{OLD}-270120-000{number}"), organ=OLD))
    return made


class TestASplit:
    """A deed names two successors, of which the first is the main one."""

    @pytest.mark.parametrize("moved", [True, False], ids=["after-the-move", "before-the-move"])
    def test_what_the_other_successor_reports_as_its_own_counts_there_and_the_rest_with_the_main_one(
        self, dossiers, moved
    ):
        dossiers.split()
        if moved:
            dossiers.move()
        dossiers.told_as(OTHER, f"{OLD}-270120-0001", f"{OLD}-270120-0002")
        dossiers.move()
        assert dossiers.cells(OTHER, "2027-02") == {
            "received": 2, "taken_over": 2, "settled": 2, "settled_early": 2
        }  # fmt: skip
        assert dossiers.cells(MAIN, "2027-02") == {
            "received": 1, "taken_over": 1, "pending": 1, "pending_overdue": 1
        }  # fmt: skip
        assert dossiers.cells(OLD, "2027-02") == {"received_online": 3, "taken_over": -3}

    def test_a_dossier_that_the_old_unit_never_told_of_belongs_to_the_successor_that_tells_of_it(self, dossiers):
        dossiers.split()
        dossiers.told_as(OTHER, f"{OLD}-270120-0009")
        assert dossiers.cells(OTHER, "2027-02")["settled"] == 1
        assert dossiers.told("dossier-claimed") == []

    def test_what_is_told_under_the_old_code_is_the_main_ones(self, dossiers):
        dossiers.split()
        dossiers.told_as(OLD, f"{OLD}-270120-0001")
        assert dossiers.cells(MAIN, "2027-02")["settled"] == 1


def rule(successor: str, kind: str, *values: str) -> Share:
    return Share(successor, ShareKind(kind), frozenset(values))


FIELD = rule(OTHER, "field", "DD")


class TestASplitByRules:
    """The rules of the deed say which dossiers the other successor gets; what none fits is the main one's."""

    @pytest.fixture
    def land(self, dossiers):
        """Of five dossiers in hand, two are of the field of land (DD): one of them, and one other, named within the unit."""
        for code, field in ((f"{OLD}-270120-0004", "DD"), ("HS-7", "dd")):
            dossiers.bring("old", sync(received(code) | {"MaLinhVuc": field}, organ=OLD))
        return dossiers

    def in_hand(self, dossiers: Dossiers) -> list[int]:
        return [dossiers.cells(unit, "2027-02").get("pending", 0) for unit in (OLD, MAIN, OTHER)]

    @pytest.mark.parametrize(
        ("shares", "goes"),
        [
            ([FIELD], [0, 3, 2]),
            ([rule(OTHER, "procedure", "2.000815.000.00.00.H55")], [0, 0, 5]),
            ([rule(MAIN, "keys", f"{OLD}-270120-0004"), FIELD], [0, 4, 1]),
            ([FIELD, rule(MAIN, "keys", f"{OLD}-270120-0004")], [0, 3, 2]),
            ([rule(OTHER, "keys", "HS-7", f"{OLD}-270120-0001")], [0, 3, 2]),
            ([rule(OTHER, "field", "D")], [0, 5, 0]),
        ],
        ids=["field", "procedure", "keys-first", "field-first", "keys", "nothing-fits"],
    )
    def test_the_first_rule_that_fits_decides_and_the_plan_counts_what_the_move_does(self, land, shares, goes):
        passing = dossier_moves.list_heirs(land.tx, Handover(OLD, SPLIT_ON, (MAIN, OTHER)), shares)
        planned = Counter(heir for _, heir in passing)
        land.split(*shares)
        land.move()
        assert self.in_hand(land) == goes
        assert [planned[unit] for unit in (OLD, MAIN, OTHER)] == goes

    def test_the_competent_unit_decides_where_a_rule_names_it(self, dossiers):
        dossiers.bring("old", sync(received(f"{OLD}-270120-0004") | {"DonViXuLy": OTHER}, organ=OLD))
        dossiers.split(rule(OTHER, "competent", OTHER))
        dossiers.move()
        assert self.in_hand(dossiers) == [0, 3, 1]

    def test_what_another_successor_reports_as_its_own_is_its_own_whatever_the_rules_say(self, land):
        land.split(FIELD)
        land.told_as(MAIN, f"{OLD}-270120-0004")
        land.move()
        assert self.in_hand(land) == [0, 3, 1]
        assert land.cells(MAIN, "2027-02")["settled"] == 1

    @pytest.mark.parametrize("moved", [True, False], ids=["after-the-move", "before-the-move"])
    @pytest.mark.parametrize("code", [f"{OLD}-270120-0004", "HS-7"])
    def test_what_the_old_unit_tells_of_a_dossier_counts_with_the_successor_that_the_rules_say(self, land, moved, code):
        land.split(FIELD)
        if moved:
            land.move()
        land.now = day("2027-02-03")
        land.bring("old", progress(tiendo(code, "9", "20270203100000"), organ=OLD))
        land.move()
        assert self.in_hand(land) == [0, 3, 1]
        assert land.cells(OTHER, "2027-02")["settled"] == 1
        assert "settled" not in land.cells(MAIN, "2027-02")

    @pytest.mark.parametrize("code", [f"{OLD}-270203-0009", "HS-9"])
    def test_what_the_old_unit_receives_in_the_days_of_grace_goes_by_the_rules_and_is_corrected_there(self, land, code):
        land.split(FIELD)
        land.move()
        for due in ("2027-02-20", "2027-03-20"):
            land.now += timedelta(days=3)
            land.bring("old", sync(received(code, "2027-02-03", due) | {"MaLinhVuc": "DD"}, organ=OLD))
        cells = land.cells(OTHER, "2027-02")
        assert (cells["received_online"], cells["pending"], cells["pending_in_time"]) == (1, 3, 1)
        assert land.told("dossier-claimed") == []

    def test_what_the_portal_takes_of_such_a_message_counts_with_the_dossier(self, land):
        land.split(FIELD)
        land.move()
        land.now = day("2027-02-03")
        told = sync(received(f"{OLD}-270203-0009", "2027-02-03", "2027-03-20") | {"MaLinhVuc": "DD"}, organ=OLD)
        name = land.bring("old", told)
        row = land.tx.execute(sa.select(message).where(message.c.id == name)).mappings().one()
        facts.record_facts(land.tx, facts.make_synced_facts(row, "synced", "dvcqg", land.now))
        assert [each.unit for each in fact_rows.read_facts(land.tx) if each.milestone == "synced"] == [OTHER]
        assert land.told("dossier-claimed") == []

    def test_a_step_that_another_unit_may_tell_of_takes_a_dossier_from_nobody(self, tx):
        land = Dossiers(tx)
        land.bring("old", sync(received(f"{OLD}-270120-0004") | {"MaLinhVuc": "DD"}, organ=OLD))
        land.split(FIELD)
        land.move()
        land.known = province(unit_registry.read_unit_index(tx, find_local_day(land.now)), MAY | {"centre": ("*",)})
        land.now = day("2027-02-03")
        land.bring("centre", progress(tiendo(f"{OLD}-270120-0004", "9", "20270203100000"), organ="H55"))
        assert land.cells(OTHER, "2027-02")["settled"] == 1
        assert land.cells(MAIN, "2027-02") == {}

    def test_a_successor_that_has_ended_gives_way_to_its_own_under_the_rules_too(self, land):
        land.split(FIELD)
        land.move()
        order = DeedOrder(units=(OTHER,), successors=("H55",), on=date(2027, 2, 5))
        successions.record_deed(land.tx, order, by="an", now=land.now)
        land.now = day("2027-02-05", 0)
        land.reload()
        land.bring("old", sync(received(f"{OLD}-270205-0001", "2027-02-05") | {"MaLinhVuc": "DD"}, organ=OLD))
        land.move()
        assert self.in_hand(land) == [0, 3, 0]
        assert land.cells("H55", "2027-02")["pending"] == 3

    def test_an_undone_deed_leaves_no_rule_and_all_is_the_old_units_again(self, land):
        deed = land.split(FIELD)
        assert [each.order.shares for each in successions.list_recorded_deeds(land.tx)] == [(FIELD,)]
        land.move()
        land.undo(deed)
        assert self.in_hand(land) == [5, 0, 0]
        order = DeedOrder(units=(OLD,), successors=(OTHER, MAIN), on=date(2027, 2, 8))
        successions.record_deed(land.tx, order, by="an", now=land.now)
        land.now = day("2027-02-08", 0)
        land.reload()
        land.move()
        assert self.in_hand(land) == [0, 0, 5]

    def test_a_deed_that_replaces_another_replaces_its_rules(self, land):
        land.split(FIELD)
        land.now = day("2027-01-21")
        land.split(rule(OTHER, "keys", "HS-7"))
        land.move()
        assert self.in_hand(land) == [0, 4, 1]


class TestAPart:
    """A deed hands the dossiers over that its rules name; the unit goes on with the others."""

    @pytest.fixture
    def land(self, dossiers):
        """Of five dossiers in hand, two are of the field of land (DD): one of them, and one other, named within the unit."""
        for code, field in ((f"{OLD}-270120-0004", "DD"), ("HS-7", "dd")):
            dossiers.bring("old", sync(received(code) | {"MaLinhVuc": field}, organ=OLD))
        return dossiers

    @pytest.fixture
    def parted(self, land):
        self.deed = land.part(FIELD)
        land.move()
        return land

    def in_hand(self, dossiers: Dossiers) -> list[int]:
        return [dossiers.cells(unit, "2027-02").get("pending", 0) for unit in (OLD, MAIN, OTHER)]

    def test_what_is_open_of_it_passes_and_the_unit_keeps_the_rest(self, parted):
        assert self.in_hand(parted) == [3, 0, 2]
        assert parted.cells(OTHER, "2027-02") == {
            "received": 2, "taken_over": 2, "pending": 2, "pending_overdue": 2
        }  # fmt: skip
        parted.move()
        assert self.in_hand(parted) == [3, 0, 2]

    def test_what_the_unit_receives_of_it_from_then_on_counts_with_the_successor(self, parted):
        parted.now = day("2027-02-03")
        for number, field in ((5, "DD"), (6, "HT")):
            told = received(f"{OLD}-270203-000{number}", "2027-02-03") | {"MaLinhVuc": field}
            parted.bring("old", sync(told, organ=OLD))
        assert self.in_hand(parted) == [4, 0, 3]
        assert parted.cells(OTHER, "2027-02")["received_online"] == 1

    def test_what_has_a_code_within_the_unit_passes_by_a_move_whatever_the_successor_calls_its_own(self, parted):
        parted.now = day("2027-02-03")
        for partner, unit in (("other", OTHER), ("old", OLD)):
            parted.bring(partner, sync(received("HS-8", "2027-02-03") | {"MaLinhVuc": "DD"}, organ=unit))
        parted.move()
        assert self.in_hand(parted) == [3, 0, 4]
        parted.told_as(OLD, "HS-8", "HS-7", on="2027-02-04")
        assert parted.cells(OTHER, "2027-02")["settled"] == 2
        parted.told_as(OTHER, "HS-8", on="2027-02-05")
        assert (self.in_hand(parted), parted.cells(OTHER, "2027-02")["settled"]) == ([3, 0, 1], 3)

    def test_before_its_day_nothing_passes(self, land):
        land.part(FIELD, on=date(2027, 2, 20))
        land.bring("old", sync(received(f"{OLD}-270201-0005", "2027-02-01") | {"MaLinhVuc": "DD"}, organ=OLD))
        land.move()
        assert self.in_hand(land) == [6, 0, 0]

    def test_what_the_unit_goes_on_telling_of_such_a_dossier_counts_with_the_successor(self, parted):
        parted.told_as(OLD, f"{OLD}-270120-0004", "HS-7", f"{OLD}-270120-0001")
        assert self.in_hand(parted) == [2, 0, 0]
        assert parted.cells(OTHER, "2027-02")["settled"] == 2
        assert parted.cells(OLD, "2027-02")["settled"] == 1

    @pytest.mark.parametrize("moved", [True, False], ids=["after-the-move", "before-the-move"])
    def test_what_the_successor_tells_of_it_counts_and_of_what_stays_nothing(self, land, moved):
        land.part(FIELD)
        if moved:
            land.move()
        land.told_as(OTHER, f"{OLD}-270120-0004", f"{OLD}-270120-0001")
        land.move()
        assert land.cells(OTHER, "2027-02")["settled"] == 1
        assert self.in_hand(land) == [3, 0, 1]
        assert "settled" not in land.cells(OLD, "2027-02")

    def test_a_part_of_several_units_passes_to_one(self, land):
        land.bring("main", sync(received(f"{MAIN}-270120-0001") | {"MaLinhVuc": "DD"}, organ=MAIN))
        land.part(FIELD, units=(OLD, MAIN))
        land.move()
        assert self.in_hand(land) == [3, 0, 3]

    def test_two_parts_of_a_unit_each_pass_on_their_day(self, parted):
        parted.part(rule(MAIN, "keys", f"{OLD}-270120-0002"), on=date(2027, 2, 9))
        parted.move()
        assert self.in_hand(parted) == [2, 1, 2]
        days = {fact.day for fact in parted.facts() if fact.milestone == "handed-over"}
        assert days == {SPLIT_ON, date(2027, 2, 9)}

    def test_what_a_unit_received_after_that_day_passes_on_the_day_of_its_receipt(self, land):
        land.bring("old", sync(received(f"{OLD}-270120-0005", "2027-02-03") | {"MaLinhVuc": "DD"}, organ=OLD))
        land.part(FIELD)
        land.move()
        passed = {fact.key: fact.day for fact in land.facts() if fact.milestone == "handed-over"}
        assert passed[f"{OLD}-270120-0005"] == date(2027, 2, 3)

    def test_undoing_it_gives_back_what_is_open_of_it_and_nothing_else(self, parted):
        other = parted.part(rule(MAIN, "keys", f"{OLD}-270120-0002"), on=date(2027, 2, 9))
        parted.move()
        parted.told_as(OTHER, "HS-7", on="2027-02-10")
        parted.undo(self.deed)
        assert self.in_hand(parted) == [3, 1, 0]
        parted.bring("old", sync(received(f"{OLD}-270211-0009", "2027-02-11") | {"MaLinhVuc": "DD"}, organ=OLD))
        assert self.in_hand(parted) == [4, 1, 0]
        parted.undo(other)
        assert self.in_hand(parted) == [5, 0, 0]
        assert successions.list_recorded_deeds(parted.tx) == []

    def test_a_successor_that_has_ended_gives_way_to_its_own(self, parted):
        order = DeedOrder(units=(OTHER,), successors=(MAIN,), on=date(2027, 2, 5))
        successions.record_deed(parted.tx, order, by="an", now=parted.now)
        parted.now = day("2027-02-05", 0)
        parted.reload()
        parted.bring("old", sync(received(f"{OLD}-270205-0009", "2027-02-05") | {"MaLinhVuc": "DD"}, organ=OLD))
        parted.move()
        assert self.in_hand(parted) == [3, 3, 0]

    def test_when_the_unit_ends_later_its_rest_passes_and_what_it_has_given_stays(self, parted):
        order = DeedOrder(units=(OLD,), successors=(MAIN,), on=date(2027, 2, 5))
        successions.record_deed(parted.tx, order, by="an", now=parted.now)
        parted.now = day("2027-02-05", 0)
        parted.reload()
        parted.move()
        assert self.in_hand(parted) == [0, 3, 2]
        parted.told_as(OLD, f"{OLD}-270120-0004", f"{OLD}-270120-0001", on="2027-02-06")
        assert self.in_hand(parted) == [0, 2, 1]

    def test_the_plan_counts_what_the_move_does(self, land):
        order = DeedOrder(units=(OLD,), successors=(OTHER,), on=SPLIT_ON, estates=PART, shares=(FIELD,), part=True)
        (touched,) = successions.list_touched_things(land.tx, order, SPLIT_ON)
        assert (touched.sort, touched.count, dict(touched.to)) == ("dossiers", 2, {OTHER: 2})
        assert touched.names == (f"{OLD}-270120-0004", "HS-7")


class TestAnOrderForAPart:
    """What the registry, and the deeds before it, do not allow."""

    UNITS: ClassVar = {unit.code: unit for unit in COMMUNES}

    def wrong(self, *before: DeedOrder, **changes: Any) -> list[str]:
        order = DeedOrder(units=(OLD,), successors=(OTHER,), on=SPLIT_ON, estates=PART, shares=(FIELD,), part=True)
        return [each.path for each in find_order_mistakes(attrs.evolve(order, **changes), self.UNITS, before)]

    def test_it_is_allowed_with_a_rule_for_each_successor(self):
        assert self.wrong() == []
        assert self.wrong(successors=(OTHER, MAIN)) == [MAIN]
        assert self.wrong(shares=()) == [OTHER]

    def test_it_hands_over_dossiers_alone(self):
        assert "--what" in self.wrong(estates=WORK)

    def test_its_units_go_on(self):
        ended = attrs.evolve(self.UNITS[OLD], until=date(2027, 1, 1))
        order = DeedOrder(units=(OLD,), successors=(OTHER,), on=SPLIT_ON, estates=PART, shares=(FIELD,), part=True)
        assert [each.path for each in find_order_mistakes(order, self.UNITS | {OLD: ended})] == [OLD]

    def test_what_a_deed_before_has_handed_over_is_not_handed_over_again_nor_back(self):
        before = DeedOrder(units=(OLD,), successors=(OTHER,), on=SPLIT_ON, estates=PART, shares=(FIELD,), part=True)
        assert self.wrong(before, shares=(rule(OTHER, "field", "DD"),)) == [OLD]
        assert self.wrong(before, shares=(rule(OTHER, "field", "HT"),)) == []
        back = {"units": (OTHER,), "successors": (OLD,)}
        assert self.wrong(before, shares=(rule(OLD, "field", "HT"),), **back) == [OTHER]
        further = attrs.evolve(before, units=(OTHER,), successors=(MAIN,), shares=(rule(MAIN, "field", "DD"),))
        assert self.wrong(before, further, units=(MAIN,), successors=(OLD,), shares=(rule(OLD, "field", "X"),)) == [
            MAIN
        ]


@pytest.fixture
def split(tx):
    """Xã A is split: Xã B goes on with its work beside the new Phường, which is the main successor. A has a and b in hand."""
    made = MergedProvince(tx, SPLIT, (Deed("H55.41", "H55.43", main=True), Deed("H55.41", "H55.42")))
    order = DeedOrder(units=("H55.41",), successors=("H55.43", "H55.42"), on=MERGER)
    successions.record_deed(tx, order, by="an", now=datetime(2026, 11, 1, tzinfo=UTC))
    for name in "ab":
        packet = document("H55.13", "H55.41", document_id=name, due=date(2026, 12, 5))
        made.deliver(made.take(packet, "so", BEFORE).id, "xa-a", BEFORE)
    made.take(status("04", "H55.41", "H55.13", document_id="a"), "xa-a", BEFORE)
    return made


STOCK = ("processing", "overdue")


class TestDocumentsOfASplitUnit:
    @pytest.mark.parametrize("moved", [True, False], ids=["after-the-move", "before-the-move"])
    def test_what_the_other_successor_completes_is_completed_there_and_in_nobodys_stock(self, split, moved):
        if moved:
            assert move(split, MERGER) == 2
            assert numbers(split, *STOCK) == {"H55.43": (1, 2)}
        split.take(status("06", "H55.42", "H55.13", document_id="a"), "xa-b", MERGER)
        move(split, AFTER)
        assert numbers(split, *STOCK) == {"H55.43": (0, 1)}
        assert numbers(split, "completed", "completed_on_time") == {"H55.42": (1, 1)}
        assert numbers(split, "results_unmatched", "completed_unmatched") == {}

    def test_what_the_other_successor_takes_up_is_in_its_hand_and_comes_back_to_nobody(self, split):
        move(split, MERGER)
        split.take(status("04", "H55.42", "H55.13", document_id="b"), "xa-b", MERGER)
        assert numbers(split, *STOCK) == {"H55.43": (1, 1), "H55.42": (1, 1)}
        split.take(status("06", "H55.43", "H55.13", document_id="b"), "phuong", AFTER)
        assert numbers(split, *STOCK) == {"H55.43": (1, 1)}, "the main one has handed it over, so it ends where it is"
        assert numbers(split, "completed") == {"H55.42": (1,)}

    def test_a_status_that_both_successors_write_is_counted_once(self, split):
        move(split, MERGER)
        split.take(status("06", "H55.43", "H55.13", document_id="a"), "phuong", MERGER)
        split.take(status("06", "H55.42", "H55.13", document_id="a"), "xa-b", AFTER)
        assert numbers(split, "completed") == {"H55.43": (1,)}

    def test_a_document_on_its_way_at_the_end_is_the_main_ones_until_the_other_takes_it_up(self, tx):
        late = MergedProvince(tx, SPLIT, (Deed("H55.41", "H55.43", main=True), Deed("H55.41", "H55.42")))
        order = DeedOrder(units=("H55.41",), successors=("H55.43", "H55.42"), on=MERGER)
        successions.record_deed(tx, order, by="an", now=datetime(2026, 11, 1, tzinfo=UTC))
        sent = late.take(document("H55.13", "H55.41", document_id="c", due=date(2026, 12, 5)), "so", BEFORE).id
        late.deliver(sent, "xa-a", AFTER)
        assert numbers(late, *STOCK) == {"H55.43": (0, 1)}
        late.take(status("04", "H55.42", "H55.13", document_id="c"), "xa-b", AFTER)
        assert numbers(late, *STOCK) == {"H55.42": (1, 1)}


class TestAnUndoneDeed:
    """The hub has handed everything over already, and then the deed is undone: what is open is the old unit's again."""

    @pytest.fixture
    def undone(self, dossiers):
        """The old unit had a dossier that waits for papers and one that is only handed in, too; the main successor has ended
        the first one.
        """
        dossiers.bring("old", sync(received(f"{OLD}-270120-0004") | {"TrangThaiHoSo": "5"}, organ=OLD))
        dossiers.bring("old", sync(received("HS-7"), organ=OLD))
        dossiers.bring("old", sync(received(f"{OLD}-270120-0005") | {"TrangThaiHoSo": "1"}, organ=OLD))
        deed = dossiers.split()
        dossiers.move()
        dossiers.told_as(MAIN, f"{OLD}-270120-0001", on="2027-02-02")
        dossiers.undo(deed)
        return dossiers

    def test_its_open_dossiers_are_the_old_units_again_and_what_the_successor_has_ended_counts_there(self, undone):
        assert undone.cells(OLD, "2027-02") == {
            "received": 4, "received_online": 5, "taken_over": -1,
            "pending": 4, "pending_in_time": 1, "pending_overdue": 3,
        }  # fmt: skip
        assert undone.cells(MAIN, "2027-02") == {"received": 1, "taken_over": 1, "settled": 1, "settled_early": 1}
        assert undone.cells(OLD, "2027-02", "btp07a")["awaiting"] == 1
        assert "awaiting" not in undone.cells(MAIN, "2027-02", "btp07a")

    def test_what_the_old_unit_finishes_then_is_finished_there_and_nothing_stays_open(self, undone):
        undone.told_as(OLD, "HS-7", *(f"{OLD}-270120-000{number}" for number in (2, 3, 4)), on="2027-02-05")
        undone.bring("old", sync(received(f"{OLD}-270120-0002"), organ=OLD))  # again, which changes nothing
        assert undone.cells(OLD, "2027-02") == {
            "received": 4, "received_online": 5, "taken_over": -1, "settled": 4, "settled_early": 4
        }  # fmt: skip
        assert "pending" not in undone.cells("", "2027-02")
        assert undone.cells("", "2027-02")["settled"] == 5

    def test_a_dossier_that_was_handed_in_is_received_there(self, undone):
        undone.now = day("2027-02-05")
        undone.bring("old", sync(received(f"{OLD}-270120-0005", "2027-02-05", "2027-03-20"), organ=OLD))
        assert undone.cells(OLD, "2027-02")["received_online"] == 6
        assert "awaiting" not in undone.cells("", "2027-02", "btp07a")

    def test_a_receipt_that_is_told_again_where_a_dossier_comes_a_second_time_is_not_counted_again(self, undone):
        order = DeedOrder(units=(OLD,), successors=(OTHER, MAIN), on=date(2027, 2, 8))
        successions.record_deed(undone.tx, order, by="an", now=undone.now)
        undone.now = day("2027-02-08", 0)
        undone.reload()
        undone.move()
        undone.told_as(MAIN, f"{OLD}-270120-0002", on="2027-02-09")  # tells its receipt, too
        assert "received_online" not in undone.cells(MAIN, "2027-02")
        assert undone.cells("", "2027-02")["received_online"] == 5

    def test_the_due_day_that_the_successor_states_comes_back_and_the_old_unit_can_state_another(self, dossiers):
        key, deed = f"{OLD}-270120-0001", dossiers.split()
        dossiers.move()
        dossiers.now = day("2027-02-02")
        dossiers.bring("main", sync(received(key, due="2027-03-20"), organ=MAIN))
        dossiers.undo(deed)
        stocks = ("pending_in_time", "pending_overdue")
        assert [dossiers.cells(OLD, "2027-02")[each] for each in stocks] == [1, 2]
        dossiers.bring("old", sync(received(key, due="2027-02-09"), organ=OLD))
        assert dossiers.cells(OLD, "2027-02")["pending_overdue"] == 3
        assert [(each["due"], each["held_due"]) for each in dossiers.told("dossier-corrected")] == [
            ("2027-03-20", "2027-02-10"),
            ("2027-02-09", "2027-03-20"),
        ]

    @pytest.mark.parametrize("code", [f"{OLD}-270120-0006", "HS-7"])
    def test_what_the_old_unit_tells_as_it_told_it_before_corrects_nothing_where_a_dossier_comes_back(
        self, dossiers, code
    ):
        papers = {"NgayBoSung": "20270121090000", "NgayTiepNhanBoSung": "20270122090000"}
        told = received(code) | {"DanhSachHoSoBoSung": [papers | {"NgayHenTraMoi": "20270320170000"}]}
        dossiers.bring("old", sync(told, organ=OLD))
        deed = dossiers.split()
        dossiers.move()
        dossiers.undo(deed)
        dossiers.now = day("2027-02-03")
        dossiers.bring("old", sync(told | {"TrangThaiHoSo": "8"}, organ=OLD))
        assert dossiers.told("dossier-corrected") == []
        assert dossiers.cells(OLD, "2027-02")["pending_in_time"] == 1, "the due day of the supplement holds"

    def test_undoing_it_again_or_moving_again_changes_nothing(self, undone):
        before = undone.cells(OLD, "2027-02")
        undone.move()
        assert undone.cells(OLD, "2027-02") == before

    @pytest.mark.parametrize("right", [(MAIN,), (OTHER,)], ids=["to-the-same", "to-another"])
    def test_the_right_deed_after_it_hands_all_over_again_and_can_be_undone_again(self, undone, right):
        for on in ("2027-02-08", "2027-02-10"):
            order = DeedOrder(units=(OLD,), successors=right, on=date.fromisoformat(on))
            deed = successions.record_deed(undone.tx, order, by="an", now=undone.now)
            undone.now = day(on, 0)
            undone.reload()
            undone.move()
            assert undone.cells(OLD, "2027-02") == {"received_online": 5, "taken_over": -5}
            if on == "2027-02-08":
                undone.undo(deed)
                assert undone.cells(OLD, "2027-02")["pending"] == 4
        undone.told_as(right[0], "HS-7", *(f"{OLD}-270120-000{number}" for number in (2, 3, 4)), on="2027-02-11")
        ended = undone.cells(right[0], "2027-02")
        assert (ended["settled"], ended["taken_over"]) == ((5, 5) if right == (MAIN,) else (4, 4))
        assert "pending" not in undone.cells("", "2027-02")

    def test_a_month_that_was_closed_meanwhile_stays(self, dossiers):
        deed = dossiers.split()
        dossiers.move()
        dossiers.close("2027-02")
        before = dossiers.cells(MAIN, "2027-02")
        dossiers.undo(deed)
        assert list(row_revisions.find_differing_units(dossiers.tx, "ii06a", "2027-02")) == []
        assert dossiers.cells(MAIN, "2027-02") == before
        assert dossiers.cells(MAIN, "2027-03") == {"carried_over": 3, "taken_over": -3}
        assert dossiers.cells(OLD, "2027-03")["pending"] == 3

    def test_two_units_that_had_one_code_for_two_dossiers_each_get_their_own_back(self, tx):
        merger = Dossiers(tx)
        for partner, unit in (("old", OLD), ("other", OTHER)):
            merger.bring(partner, sync(received("HS-7"), organ=unit))
        order = DeedOrder(units=(OLD, OTHER), successors=(MAIN,), on=SPLIT_ON)
        deed = successions.record_deed(tx, order, by="an", now=merger.now)
        merger.now = day("2027-02-01", 0)
        merger.reload()
        merger.move()
        assert merger.cells(MAIN, "2027-02")["pending"] == 2
        merger.undo(deed)
        merger.told_as(OTHER, "HS-7")
        assert "pending" not in merger.cells(OTHER, "2027-02")
        assert merger.cells(OLD, "2027-02")["pending"] == 1

    def test_a_deed_back_gives_back_as_undoing_does(self, dossiers):
        dossiers.split()
        dossiers.move()
        again = [attrs.evolve(COMMUNES[1], until=None)]
        unit_registry.write_registry_units(dossiers.tx, again, at=dossiers.now)
        for successor in (MAIN, OTHER):
            order = DeedOrder(units=(successor,), successors=(OLD,), on=date(2027, 2, 4))
            successions.record_deed(dossiers.tx, order, by="an", now=dossiers.now)
        dossiers.now = day("2027-02-04", 0)
        dossiers.reload()
        dossiers.move()
        dossiers.told_as(OLD, *(f"{OLD}-270120-000{number}" for number in (1, 2)), on="2027-02-05")
        cells = dossiers.cells(OLD, "2027-02")
        assert (cells["pending"], cells["settled"]) == (1, 2)
        assert dossiers.cells("", "2027-02")["pending"] == 1


class TestDocumentsOfAnUndoneDeed:
    @pytest.fixture
    def undone(self, split):
        """The old unit sent nothing meanwhile; one document arrived after its end, and the main successor completed b."""
        packet = document("H55.13", "H55.41", document_id="c", due=date(2026, 12, 5))
        late = split.take(packet, "so", BEFORE).id
        move(split, MERGER)
        split.deliver(late, "xa-a", MERGER)
        split.take(status("06", "H55.43", "H55.13", document_id="b"), "phuong", MERGER)
        (deed,) = successions.list_recorded_deeds(split.tx)
        undone = successions.undo_deed(split.tx, deed.id, by="an", now=datetime(2026, 12, 2, tzinfo=UTC))
        assert (undone.dossiers, undone.documents) == (0, 2)
        split.units = tuple(unit_registry.list_unit_histories(split.tx))
        split.deeds = ()
        return split

    def test_the_old_unit_has_what_is_open_again_and_what_it_completes_is_in_nobodys_stock(self, undone):
        assert numbers(undone, *STOCK) == {"H55.41": (1, 2)}
        for name in "ac":
            undone.take(status("06", "H55.41", "H55.13", document_id=name), "xa-a", date(2026, 12, 3))
        assert numbers(undone, *STOCK) == {}
        assert numbers(undone, "completed", "completed_on_time") == {"H55.41": (2, 2), "H55.43": (1, 1)}
        assert numbers(undone, "results_unmatched", "completed_unmatched") == {}

    def test_a_status_that_it_had_written_before_is_not_counted_again(self, undone):
        undone.take(status("04", "H55.41", "H55.13", document_id="a"), "xa-a", date(2026, 12, 3))
        assert undone.counted("status-04") == ["H55.41"]

    def test_the_right_deed_after_it_hands_it_over_again(self, undone):
        order = DeedOrder(units=("H55.41",), successors=("H55.42",), on=date(2026, 12, 4))
        successions.record_deed(undone.tx, order, by="an", now=datetime(2026, 12, 3, tzinfo=UTC))
        undone.units = tuple(unit_registry.list_unit_histories(undone.tx))
        assert move(undone, date(2026, 12, 4)) == 2
        assert numbers(undone, *STOCK) == {"H55.42": (1, 2)}
        undone.take(status("06", "H55.42", "H55.13", document_id="a"), "xa-b", AFTER)
        assert numbers(undone, *STOCK) == {"H55.42": (0, 1)}

    def test_after_documents_went_under_the_old_code_it_is_not_undone_and_they_are_named(self, split):
        sent = split.take(document("H55.41", "H55.13", document_id="n"), "xa-a", MERGER).id
        (deed,) = successions.list_recorded_deeds(split.tx)
        with pytest.raises(successions.DeedCrossedError) as caught:
            successions.undo_deed(split.tx, deed.id, by="an", now=datetime(2026, 12, 2, tzinfo=UTC))
        assert caught.value.args == (1, [sent])
        assert [deed.id for deed in successions.list_recorded_deeds(split.tx)] == [deed.id]

    def test_what_two_merged_units_both_had_is_both_theirs_again(self, tx):
        both = MergedProvince(tx, UNITS)
        packet = document("H55.13", "H55.41", "H55.42", document_id="a", due=date(2026, 12, 5))
        sent = both.take(packet, "so", BEFORE).id
        for partner in ("xa-a", "xa-b"):
            both.deliver(sent, partner, BEFORE)
        order = DeedOrder(units=("H55.41", "H55.42"), successors=("H55.43",), on=MERGER)
        deed = successions.record_deed(tx, order, by="an", now=datetime(2026, 11, 1, tzinfo=UTC))
        move(both, MERGER)
        assert numbers(both, *STOCK) == {"H55.43": (0, 1)}
        successions.undo_deed(tx, deed, by="an", now=datetime(2026, 12, 2, tzinfo=UTC))
        assert numbers(both, *STOCK) == {"H55.41": (0, 1), "H55.42": (0, 1)}

    def test_what_comes_back_has_the_earliest_due_day_that_held_in_the_successor(self, tx):
        both = MergedProvince(tx, UNITS)
        for partner, unit, due in (("xa-a", "H55.41", 25), ("xa-b", "H55.42", 5)):
            packet = document("H55.13", unit, document_id="a", due=date(2026, 12, due))
            both.deliver(both.take(packet, "so", BEFORE).id, partner, BEFORE)
        order = DeedOrder(units=("H55.41", "H55.42"), successors=("H55.43",), on=MERGER)
        deed = successions.record_deed(tx, order, by="an", now=datetime(2026, 11, 1, tzinfo=UTC))
        assert numbers(both, *STOCK) == {"H55.42": (0, 1)}
        move(both, MERGER)
        assert numbers(both, *STOCK) == {"H55.43": (0, 1)}
        successions.undo_deed(tx, deed, by="an", now=datetime(2026, 12, 2, tzinfo=UTC))
        assert numbers(both, *STOCK) == {"H55.41": (0, 1), "H55.42": (0, 1)}

    def test_a_hub_that_learns_of_it_later_gives_back_what_it_has_handed_over_meanwhile(self, tx):
        town = MergedProvince(tx, UNITS)
        sent = town.take(document("H55.13", "H55.41"), "so", BEFORE).id
        live = SimpleNamespace(province=SimpleNamespace(routes=town.routes(MERGER)))
        now = datetime(MERGER.year, MERGER.month, MERGER.day, 1, tzinfo=UTC)
        hub = HandOver(cast("Any", live), cast("Any", OneTransaction(tx)), cast("Any", None), lambda: now)
        for going_on, partner in ((False, "phuong"), (True, "xa-a"), (True, "xa-a")):
            if going_on:
                town.units = tuple(attrs.evolve(unit, until=None, successors=()) for unit in UNITS)
                live.province.routes = town.routes(MERGER)
            with pytest.raises(StopIteration):
                hub.work().send(None)
            assert town.goes(sent) == {"H55.41": (partner, DeliveryState.HELD)}


class OneTransaction:
    """A journal that writes in one transaction."""

    def __init__(self, tx):
        self.tx = tx

    async def write(self, step, *args):
        return step(self.tx, *args)
