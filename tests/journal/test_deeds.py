"""Deeds of succession as they are recorded: a unit that is split, and a deed that is undone. What is open is in one unit's hand."""

from datetime import UTC, date, datetime

import pytest

from hub.domain.local_time import find_local_day
from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.journal.upkeep import dossier_moves, ended_units, successions
from hub.units.deeds import Deed, DeedOrder, Estate
from tests.dossiers import progress, sync, tiendo
from tests.journal.test_one_dossier import Books, day, finished, province, received
from tests.journal.test_succession import AFTER, BEFORE, MERGER, SPLIT, MergedProvince, move, numbers
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

    def split(self) -> str:
        order = DeedOrder(units=(OLD,), successors=(MAIN, OTHER), on=SPLIT_ON)
        deed = successions.record_deed(self.tx, order, by="an", now=self.now)
        self.now = day("2027-02-01", 0)
        self.reload()
        return deed

    def move(self) -> None:
        for ended in ended_units.list_ended_units(self.tx, find_local_day(self.now), Estate.DOSSIERS):
            keys = dossier_moves.list_open_dossiers(self.tx, ended.unit)
            dossier_moves.move_dossiers(self.tx, ended, keys, self.now)

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
