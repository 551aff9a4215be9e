"""All units at once: how the report of each stands, as the single report of each says it."""

from datetime import timedelta

import attrs
import pytest
from sqlalchemy import event

from hub.domain.ids import make_id
from hub.domain.model import Fact, ReportState, Unit
from hub.journal import unit_registry
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.store.tables import message
from hub.workload import closing, declarations, revisions, unit_report
from hub.workload.many import report_round
from hub.workload.many.report_round import DeclarationStanding, RoundFilter
from hub.workload.revisions import EarlyStep
from tests.declaring import declaration
from tests.journal import test_declarations
from tests.journal.test_closing import put
from tests.journal.test_signed_revisions import MINUTE, PERIOD, UNIT, give_out, hand_in, take_back, told_there
from tests.officials import by_xmlsec
from tests.pki import NOW
from tests.province import UNITS

BOOK = read_shipped_book()
CODES = ["H55", "H55.01", "H55.13", "H55.13.1", "H55.30"]  # one ended before the month began


def read(tx, now=NOW, **named):
    return report_round.read_report_round(tx, BOOK, "edoc", PERIOD.text, now, **named)


def of_unit(found, unit=UNIT):
    return next(each for each in found.units if each.unit.code == unit)


def sent(unit, number, at=PERIOD.start):
    return Fact(
        unit=unit, service="documents", key=f"{unit} {number}", milestone="sent", at=at, message=f"m{unit}{number}"
    )


def close(tx):
    """Close the month, in which one document was sent by the department, and two by its centre."""
    put(tx, sent(UNIT, 1), sent("H55.13.1", 1), sent("H55.13.1", 2))
    closing.close_month(tx, BOOK, "edoc", PERIOD, PERIOD.end + timedelta(hours=1), "an")


def declare(tx, cells, unit=UNIT, later=0):
    said = declaration(cells, unit=unit)
    assert not test_declarations.take(tx, said, name=f"d{unit}{later}", later=later).problems


def test_each_unit_of_the_period_has_a_line_parents_first_and_one_that_ended_before_has_none(tx):
    unit_registry.write_registry_units(tx, UNITS)
    found = read(tx)
    assert [each.unit.code for each in found.units] == CODES
    assert {each.step for each in found.units} == {EarlyStep.READY}
    assert (found.ended, found.open_month, found.unfinished) == (True, "", 5)
    assert {each.step for each in read(tx, PERIOD.end - MINUTE).units} == {EarlyStep.RUNNING}


def test_a_month_that_waits_for_its_closing_is_said_of_all(tx):
    unit_registry.write_registry_units(tx, UNITS)
    put(tx, sent(UNIT, 0, PERIOD.start - timedelta(days=3)))
    october = parse_period("2026-10")
    closing.close_month(tx, BOOK, "edoc", october, PERIOD.end + timedelta(hours=1), "an")
    found = read(tx)
    assert (found.open_month, {each.step for each in found.units}) == (PERIOD.text, {EarlyStep.MONTH_OPEN})


def test_at_each_step_of_a_report_the_round_says_what_the_report_alone_says(tx):
    unit_registry.write_registry_units(tx, UNITS)

    def steps():
        yield None
        kept, octets = give_out(tx)
        yield ReportState.CLOSED
        take_back(tx, kept, by_xmlsec(octets), NOW + MINUTE)
        yield ReportState.SIGNED
        hand_in(tx, now=NOW + 2 * MINUTE)
        yield ReportState.SUBMITTED
        told_there(tx, "returned", at=NOW + 3 * MINUTE, reasons=("thiếu phụ lục",))
        yield ReportState.RETURNED
        kept, octets = give_out(tx, sent=2, reason="bổ sung", now=NOW + 4 * MINUTE)
        yield ReportState.CLOSED
        take_back(tx, kept, by_xmlsec(octets), NOW + 5 * MINUTE)
        hand_in(tx, sent=2, now=NOW + 6 * MINUTE)
        told_there(tx, "accepted", revision=2, at=NOW + 7 * MINUTE, number=1)
        yield ReportState.ACCEPTED

    for number, state in enumerate(steps()):
        standing = of_unit(read(tx))
        alone = revisions.list_revisions(tx, UNIT, "edoc", PERIOD.text)
        assert standing.revision == (alone[-1] if alone else None), number
        assert standing.step == (state or EarlyStep.READY)
        assert [each.step for each in read(tx).units if each.unit.code != UNIT] == [EarlyStep.READY] * 4
    assert of_unit(read(tx)).since == NOW + 7 * MINUTE
    assert read(tx).unfinished == 4


def test_a_declaration_is_compared_once_the_month_is_closed_the_total_with_the_units_below(tx):
    unit_registry.write_registry_units(tx, UNITS)
    declare(tx, {("", "sent"): 2, ("H55.13", "sent"): 1})
    assert of_unit(read(tx)).declared is DeclarationStanding.DECLARED
    close(tx)
    wrong = of_unit(read(tx))
    assert (wrong.declared, wrong.differing) == (DeclarationStanding.DIFFERS, 1)
    declare(tx, {("", "sent"): 3, ("000.00.13.H55", "sent"): 1, ("H55.13.1", "sent"): 2}, later=1)
    right = of_unit(read(tx))
    assert (right.declared, right.differing) == (DeclarationStanding.EQUAL, 0)
    assert of_unit(read(tx), "H55.13.1").declared is DeclarationStanding.NONE
    alone = unit_report.resolve_report_sources(tx, UNIT, PERIOD.text, "edoc", BOOK, now=NOW)
    assert declarations.compare_declaration(tx, alone, NOW).found.differing == ()


def test_days_are_left_until_the_due_day_and_are_negative_after_it(tx):
    unit_registry.write_registry_units(tx, UNITS)
    found = report_round.read_report_round(tx, BOOK, "ii06a", PERIOD.text, PERIOD.end + timedelta(hours=1))
    assert found.due is not None
    assert found.days_left == (found.due.day - PERIOD.last).days - 1
    late = report_round.read_report_round(tx, BOOK, "ii06a", PERIOD.text, PERIOD.end + timedelta(days=30))
    assert late.days_left == (found.due.day - PERIOD.last).days - 31


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        (RoundFilter(below="H55.13"), ["H55.13", "H55.13.1"]),
        (RoundFilter(units=frozenset({"H55.30"})), ["H55.30"]),
        (RoundFilter(levels=frozenset({"commune"})), ["H55.30"]),
        (RoundFilter(kinds=frozenset({"department"}), below="H55"), ["H55.13"]),
        (RoundFilter(steps=frozenset({"closed"})), ["H55.13"]),
        (RoundFilter(declared=frozenset({"declared"})), ["H55.13"]),
        (RoundFilter(steps=frozenset({"ready"}), below="H55.13"), ["H55.13.1"]),
        (RoundFilter(), CODES),
    ],
)
def test_units_are_chosen_by_place_level_kind_step_and_declaration(tx, wanted, codes):
    *units, lowest = UNITS
    units[2] = attrs.evolve(units[2], kind="department")
    unit_registry.write_registry_units(tx, [*units, attrs.evolve(lowest, level="commune")])
    declare(tx, {("", "sent"): 2})
    give_out(tx)
    assert [each.unit.code for each in wanted.choose(read(tx)).units] == codes


def test_a_province_of_a_thousand_units_takes_a_fixed_number_of_statements_for_each_two_hundred(tx):
    units = [Unit("H55", "Tỉnh"), *(Unit(f"H55.{number}", f"Xã {number}", "H55") for number in range(989))]
    unit_registry.write_registry_units(tx, units)
    row = {"partner": "hub", "service": "reports", "kind": "report", "state": "accepted", "received_at": NOW}
    tx.execute(
        message.insert(),
        [
            row
            | {"id": make_id(NOW), "message_id": f"reports/edoc/{unit.code}/2026-11/1", "sha256": "0" * 64, "size": 1}
            for unit in units[::2]
        ],
    )
    statements: list[str] = []

    def see(_connection, _cursor, statement, _parameters, _context, _many):
        statements.append(statement)

    event.listen(tx, "before_cursor_execute", see)
    found = read(tx)
    assert found.count_steps() == {"ready": 495, "closed": 495}
    assert len(statements) <= 60
    assert not [one for one in statements if "FROM fact" in one and "IN (" not in one]
