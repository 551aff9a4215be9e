"""Units found by what people write in their workbooks: without diacritics, shortened, by names of before the mergers."""

from datetime import date

import pytest

from hub.domain.model import Unit, UnitChange
from hub.units.deeds import Deed
from hub.units.sample_units import list_sample_units
from hub.units.unit_names import UnitNames

SAMPLE = list_sample_units()
PERIOD = date(2026, 10, 15), date(2026, 11, 14)
NAMES = UnitNames.of(SAMPLE, (), [unit.code for unit in SAMPLE], *PERIOD)


def unit(code, name, **more):
    return Unit(code, name, **more)


def names(*units, deeds=(), members=None, period=PERIOD):
    return UnitNames.of(units, deeds, members or [each.code for each in units], *period)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Sở Y tế", "H55.14"),
        ("SO Y TE", "H55.14"),
        ("  sở   y-tế ", "H55.14"),
        ("H55.14", "H55.14"),
        ("h55.14", "H55.14"),
        ("Sở GD&ĐT", "H55.15"),
        ("UBND thành phố Sông Xanh", "H55.32"),
        ("Sông Xanh", "H55.32"),
        ("Sở NN&MT", "H55.6"),
        ("Sở Nông nghiệp và Môi trường (mẫu)", "H55.6"),
    ],
)
def test_a_unit_is_found_by_its_code_and_by_its_name_however_it_is_typed(text, code):
    assert NAMES.find_named_unit(text).unit == code


@pytest.mark.parametrize(
    ("text", "named", "unit"),
    [
        ("Sở Thông tin và Truyền thông", "H55.13", "H55.13"),  # its name until 1 March 2025
        ("Sở TT&TT", "H55.13", "H55.13"),
        ("Sở Nông nghiệp và Phát triển nông thôn", "H55.6", "H55.6"),
        ("Sở Lao động - Thương binh và Xã hội", "H55.16", "H55.12"),  # it ended, and another continues its work
        ("Sở LĐ-TB&XH", "H55.16", "H55.12"),
    ],
)
def test_a_name_of_before_the_mergers_leads_to_the_unit_that_has_the_work_now(text, named, unit):
    found = NAMES.find_named_unit(text)
    assert (found.named, found.unit, found.wrong) == (named, unit, None)


def test_a_field_of_procedures_is_no_department():
    assert [NAMES.find_named_unit(field).unit for field in ("Y tế", "Tư pháp", "Nội vụ", "Xây dựng")] == [""] * 4


def test_a_unit_that_still_worked_in_the_period_stands_for_itself():
    before = UnitNames.of(SAMPLE, (), [each.code for each in SAMPLE], date(2025, 2, 15), date(2025, 3, 14))
    assert before.find_named_unit("Sở Lao động - Thương binh và Xã hội").unit == "H55.16"
    assert NAMES.find_named_unit("Sở Khoa học và Công nghệ").unit == "H55.13", "of today's two names the one in force"


def test_among_units_of_the_same_name_the_place_in_the_list_decides():
    north, south = unit("H1", "Huyện Bắc"), unit("H2", "Huyện Nam")
    both = unit("H1.1", "Xã Tân Lập", parent="H1"), unit("H2.1", "Xã Tân Lập", parent="H2")
    found = names(north, south, *both)
    assert found.find_named_unit("UBND xã Tân Lập", under="H2").unit == "H2.1"
    lost = found.find_named_unit("xã Tân Lập")
    assert lost.unit == ""
    assert "Xã Tân Lập (H1.1), Xã Tân Lập (H2.1)" in str(lost.wrong)


def test_diacritics_decide_only_where_the_words_alone_do_not():
    found = names(unit("H1", "Xã Tân Lập"), unit("H2", "Xã Tân Lạp"))
    assert found.find_named_unit("xã tân lạp").unit == "H2"
    assert "several units" in str(found.find_named_unit("xa tan lap").wrong)


def test_a_unit_divided_among_several_is_asked_about_unless_a_deed_names_the_main_one():
    ended = unit("H1", "Huyện Cũ", until=date(2025, 7, 1), successors=("H2", "H3"))
    parts = unit("H2", "Xã Một"), unit("H3", "Xã Hai")
    assert "several units continue its work: Xã Một (H2), Xã Hai (H3)" in str(
        names(ended, *parts).find_named_unit("huyện Cũ").wrong
    )
    main = names(ended, *parts, deeds=[Deed("H1", "H3", main=True)])
    assert main.find_named_unit("huyện Cũ").unit == "H3"
    alone = names(unit("H1", "Huyện Cũ", until=date(2025, 7, 1)))
    assert "no unit continues its work" in str(alone.find_named_unit("Huyện Cũ").wrong)


def test_a_unit_that_is_not_of_the_report_is_none_of_its_rows():
    found = names(unit("H1", "Sở Một"), unit("H2", "Sở Hai"), members=["H1"])
    assert "Sở Hai (H2) is not a unit of this report" in str(found.find_named_unit("Sở Hai").wrong)
    assert "no unit of the report is called" in str(found.find_named_unit("Sở Ba").wrong)


def test_a_renamed_unit_is_found_by_each_of_its_names_and_suggested_by_that_of_today():
    renamed = unit("H1", "Ban Dân tộc", changes=(UnitChange(date(2025, 3, 1), "Sở Dân tộc và Tôn giáo"),))
    found = names(renamed, unit("H2", "Sở Y tế"))
    assert [found.find_named_unit(text).unit for text in ("ban dan toc", "Sở DT&TG")] == ["H1", "H1"]
    assert found.suggest_names("Sở Dân tộc, Tôn giao") == ("Sở Dân tộc và Tôn giáo (H1)",)


def test_every_unit_of_the_sample_is_found_by_its_name_of_today_and_by_that_of_before():
    """A row that names another unit than it means would be figures at the wrong unit."""
    lost = []
    for each in SAMPLE:
        now = each.at(PERIOD[1])
        if each.until is None and NAMES.find_named_unit(now.name, now.parent or "").unit != each.code:
            lost.append((each.code, now.name, NAMES.find_named_unit(now.name, now.parent or "")))
        before = NAMES.find_named_unit(each.name, each.parent or "")
        if not (before.unit or before.wrong):
            lost.append((each.code, each.name, before))
    assert lost == []
