"""What a form may say, and how every mistake in it is told at once (docs/reference/reports.md)."""

import pickle
import re
from datetime import date

import pytest

from hub.domain.errors import ConfigurationFault
from hub.domain.lifecycle import FINAL_STATUSES, STATUS_RANK
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.report.form.column import ATTRIBUTES, HANDED_OVER, IN_WORK, ColumnKind, Wording
from hub.report.form.folder import FOLDER, read_form_folder
from hub.report.form.form import FormMissing, choose_form
from hub.report.form.layout import read_layout_toml
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.report.form.toml_column import RULES
from hub.report.form.workdays import read_workdays
from hub.report.glance.settings import read_glance
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "reference" / "reports.md"

SMALL = """
id = "small"
service = "documents"
title = { vi = "Nhỏ", en = "Small" }
basis = { vi = "Không", en = "None" }
counted = { vi = "văn bản", en = "documents" }
[[column]]
key = "a"
kind = "flow"
vi = "A"
en = "A"
milestones = ["sent"]
"""
HEAD = SMALL.partition("[[column]]")[0]


def mistakes(content: str) -> list[tuple[str, str]]:
    """Return (place, what is wrong) of every mistake of *content*."""
    with pytest.raises(ConfigurationFault) as fault:
        read_form_toml(content.encode(), "f.toml")
    return [(mistake.path.removeprefix("f.toml: "), str(mistake.wrong)) for mistake in fault.value.mistakes]


def test_the_form_edoc_has_the_columns_of_the_standard_in_its_order():
    edoc = next(form for form in read_form_folder() if form.id == "edoc")
    assert " ".join(column.key for column in edoc.columns) == (
        "sent_inside sent_outside sent received_inside received_outside received total recalls updates replacements signed "
        "not_signed on_paper acknowledged acknowledged_in_time refused completed completed_on_time completed_unmatched "
        "results_unmatched processing overdue failed last_update"
    )
    assert edoc.parameters == {"acknowledge_within_hours": 24}


def test_the_form_edoc_moves_documents_forward_as_deliveries_move():
    edoc = next(form for form in read_form_folder() if form.id == "edoc")
    ranks = {milestone.removeprefix("status-"): rank for rank, step in enumerate(edoc.steps, 1) for milestone in step}
    moved = {IN_WORK: STATUS_RANK["04"], HANDED_OVER: len(edoc.steps)}  # to the unit that continues the work of another
    assert ranks == {**STATUS_RANK, **moved}
    assert edoc.final == {*(f"status-{code}" for code in FINAL_STATUSES), HANDED_OVER}


def test_a_heading_shows_the_value_of_its_parameter():
    edoc = next(form for form in read_form_folder() if form.id == "edoc")
    assert edoc.column("acknowledged_in_time").heading.vi == "Tiếp nhận trong 24 giờ"
    other = (
        (FOLDER / "edoc.toml")
        .read_text(encoding="utf-8")
        .replace("acknowledge_within_hours = 24", "acknowledge_within_hours = 8")
    )
    assert read_form_toml(other.encode(), "edoc.toml").column("acknowledged_in_time").heading == Wording(
        "Tiếp nhận trong 8 giờ", "Acknowledged within 8 hours"
    )


def test_a_small_form_is_read():
    form = read_form_toml(SMALL.encode(), "f.toml")
    assert (form.id, form.service, form.title.say(Language.VI), form.title.say(Language.EN)) == (
        "small",
        "documents",
        "Nhỏ",
        "Small",
    )
    assert form.parts("a") == form.columns


def test_a_form_may_have_manual_lines_that_are_no_columns():
    (line,) = read_form_toml(f'{SMALL}[[manual]]\nkey = "b"\nvi = "B"\nen = "B in English"\n'.encode(), "f.toml").manual
    assert (line.key, line.heading) == ("b", Wording("B", "B in English"))
    twice = f'{SMALL}[[manual]]\nkey = "a"\nvi = "A"\nen = "A"\nsum = 1\n'
    assert mistakes(twice) == [("manual[0].sum", "is not a word of this table"), ("manual[0].key", "is 'a'")]


def test_what_a_column_asks_for_and_excludes_at_once_is_a_mistake():
    asked = SMALL.replace("milestones =", 'having = ["received"]\nlacking = ["received", "failed"]\nmilestones =')
    assert mistakes(asked) == [("column[0].lacking", "names what having names")]


def test_a_peak_counts_until_what_a_flow_of_the_form_counts():
    counted = '[[column]]\nkey="b"\nkind="peak"\nvi="B"\nen="B"\nmilestones=["sent"]\nuntil="a"\n'
    assert read_form_toml(f"{SMALL}{counted}".encode(), "f.toml").column("b").until == "a"
    for other in ("b", "c"):
        wrong = [("column[1].until", f"is '{other}'")]
        assert mistakes(f"{SMALL}{counted}".replace('until="a"', f'until="{other}"')) == wrong


def test_an_unknown_column_is_answered_with_those_there_are():
    with pytest.raises(KeyError, match="no column b; the columns of small are: a"):
        read_form_toml(SMALL.encode(), "f.toml").column("b")


RATIO = '[[column]]\nkey="b"\nkind="ratio"\nvi="B"\nen="B"\npart=["a"]\n'
SCORE = '[[column]]\nkey="s"\nkind="score"\nvi="S"\nen="S"\nof="b"\nfull_at=50\npoints=10\n'


def test_every_mistake_of_a_form_is_told_at_once_with_its_place():
    content = """
id = "Bad Id"
service = "documents"
since = "soon"
colour = "red"
title = { vi = "Có" }
counted = { vi = "văn bản", en = "documents" }
parameters = { hours = 0, days = "x" }
progress = { steps = [["status-01"], ["status-01", "status-99"]], final = ["status-05"] }
[[column]]
key = "a"
kind = "flow"
vi = "A {weeks}"
en = "A"
where = { outside = "no", colour = "red" }
within_hours = "weeks"
due_passed = true
[[column]]
key = "a"
kind = "stock"
vi = "B"
en = "B"
[[column]]
key = "c"
kind = "formula"
vi = "C"
en = "C"
sum = ["c", "d", "t"]
[[column]]
key = "t"
kind = "time"
vi = "T"
en = "T"
milestones = "sent"
[[column]]
key = "unit"
kind = "guess"
milestones = ["sent"]
vi = "U"
en = "U"
"""
    assert sorted(mistakes(content)) == sorted([
        ("colour", "is not a word of this table"),
        ("parameters.hours", "is 0"),
        ("parameters.days", "is 'x'"),
        ("since", "is 'soon'"),
        ("progress.steps[1]", "is 'status-99'"),
        ("progress.steps", "has a milestone twice"),
        ("column[0].due_passed", "is not a word of this table"),
        ("column[0].vi", "has {weeks}"),
        ("column[0].where.colour", "is not a word of this table"),
        ("column[0].where.outside", "is 'no'"),
        ("column[0].within_hours", "is 'weeks'"),
        ("column[0].milestones", "is empty or missing"),
        ("column[1]", "has neither or both of milestones and furthest"),
        ("column[3].milestones", "is 'sent'"),
        ("column[4].kind", "is 'guess'"),
        ("column[4].key", "is 'unit'"),
        ("column[1].key", "is 'a'"),
        ("column[2].sum", "has 'd'"),
        ("column[2].sum", "has 't'"),
        ("column[2].sum", "contains a column twice, or itself"),
        ("id", "is 'Bad Id'"),
        ("title.en", "is missing"),
        ("basis.vi", "is missing"),
        ("basis.en", "is missing"),
        ("progress.final", "is 'status-05'"),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("content", "place", "wrong"),
    [
        (SMALL.replace('"documents"', '"faxes"', 1), "service", "is 'faxes'"),
        (HEAD, "column", "is missing"),
        (HEAD + "column = 3", "column", "is 3"),
        (SMALL.replace("[[column]]", "since = 2026-01-01\nuntil = 2026-01-01\n[[column]]"), "until", "is 2026-01-01"),
        (SMALL + "where = 3", "column[0].where", "is 3"),
        (SMALL + "by_due = 1", "column[0].by_due", "is 1"),
        (SMALL + 'timing = "soon"', "column[0].timing", "is 'soon'"),
        (SMALL + "timing = 1", "column[0].timing", "is 1"),
        (SMALL + 'extended_by = ["posted"]', "column[0].extended_by", "is 'posted'"),
        (SMALL.replace("[[column]]", "by_day = 1\n[[column]]"), "by_day", "is 1"),
        (SMALL.replace('"flow"', '"stock"') + "due_passed = 1", "column[0].due_passed", "is 1"),
        (SMALL + "opening = true", "column[0].opening", "is not a word of this table"),
        (SMALL + "unless = { signature = [] }", "column[0].unless.signature", "is []"),
        (SMALL.replace('["sent"]', '["sent", "sent"]'), "column[0].milestones", "is ['sent', 'sent']"),
        (SMALL.replace('["sent"]', '["posted"]'), "column[0].milestones", "is 'posted'"),
        (SMALL.replace("[[column]]", "progress = { steps = 1 }\n[[column]]"), "progress.steps", "is 1"),
        (SMALL + RATIO, "column[1].whole", "is missing"),
        (SMALL + RATIO + 'whole=["z"]', "column[1].whole", "has 'z'"),
        (SMALL + RATIO + 'whole=["a"]\nempty="nil"', "column[1].empty", "is 'nil'"),
        (SMALL + RATIO + 'whole=["a"]\n' + SCORE.replace("50", "0"), "column[2].full_at", "is 0"),
        (SMALL + SCORE, "column[1].of", "is 'b'"),
        (
            SMALL + '[[column]]\nkey="b"\nkind="taken"\nvi="B"\nen="B"\nform="f"\ncolumn="c"',
            "column[1].kind",
            "is 'taken'",
        ),
        (SMALL.replace('service = "documents"', ""), "column[0].kind", "is 'flow'"),
        (
            SMALL + '[[column.also]]\nmilestones=["received"]\nkey="c"',
            "column[0].also[0].key",
            "is not a word of this table",
        ),
        (SMALL.replace('"flow"', '"end"'), "progress", "lacks begins or ends"),
        (
            SMALL.replace('"flow"', '"end"').replace(
                "[[column]]", 'progress = { begins = ["received"], ends = ["failed"] }\n[[column]]'
            ),
            "column[0].milestones",
            "has a milestone that is not in ends",
        ),
        (SMALL + '[[check]]\nvi="B"\nen="B"\nleft=["a"]', "check[0].right", "is empty or missing"),
        (SMALL + '[[check]]\nvi="B"\nen="B"\nleft=["a"]\nright=["b"]', "check[0].right", "is 'b'"),
        (SMALL + '[[section]]\nvi="B"\nen="B"\n' * 2, "section[0].starts", "is empty or missing"),
        (
            SMALL + 'rules = "x"' * 0 + '[rule_set.x]\nvi="X"\nen="X"\n[[rule_set.x.column]]\nkey="b"',
            "rule_set.x.column[0].key",
            "is 'b'",
        ),
        (SMALL.replace("[[column]]", 'rules = "x"\n[[column]]'), "rules", "is 'x'"),
        (SMALL.replace("[[column]]", 'late = "never"\n[[column]]'), "late", "is 'never'"),
        (SMALL + '[[column]]\nkey="b"\nkind="formula"\nvi="B"\nen="B"', "column[1].sum", "is empty or missing"),
        (
            SMALL + '[[column]]\nkey="b"\nkind="formula"\nvi="B"\nen="B"\nsum=["a"]\n'
            '[[column]]\nkey="c"\nkind="formula"\nvi="C"\nen="C"\nsum=["a","b"]',
            "column[2].sum",
            "contains a column twice, or itself",
        ),
    ],
)
def test_a_single_mistake_is_told_with_its_place(content, place, wrong):
    assert mistakes(content) == [(place, wrong)]


def test_a_file_that_is_no_toml_is_told_so():
    with pytest.raises(ConfigurationFault, match=r"f\.toml: .*\(TOML in UTF-8\)"):
        read_form_toml(b"id = ", "f.toml")
    with pytest.raises(ConfigurationFault, match=r"TOML in UTF-8"):
        read_form_toml(b"\xff", "f.toml")


@pytest.mark.parametrize("content", [b"a = " + b"9" * 5_000, b"a = " + b"[" * 50_000], ids=["digits", "brackets"])
def test_endless_numbers_and_brackets_are_mistakes_of_a_file(content, tmp_path):
    file = tmp_path / "f.toml"
    file.write_bytes(content)
    for read in (
        lambda: read_form_toml(content, "f.toml"),
        lambda: read_workdays(content, "f.toml"),
        lambda: read_layout_toml(content, "f.toml", ()),
        lambda: read_glance(file),
    ):
        with pytest.raises(ConfigurationFault):
            read()


def test_the_form_in_force_on_the_last_day_of_the_period_is_chosen(tmp_path):
    (tmp_path / "old.toml").write_text(SMALL.replace("[[column]]", "until = 2026-11-15\n[[column]]"), encoding="utf-8")
    (tmp_path / "new.toml").write_text(SMALL.replace("[[column]]", "since = 2026-11-15\n[[column]]"), encoding="utf-8")
    found = read_form_folder(tmp_path)
    assert choose_form(found, "small", parse_period("2026-11")).until == date(2026, 11, 15)
    assert choose_form(found, "small", parse_period("2026-12")).since == date(2026, 11, 15)
    with pytest.raises(FormMissing, match=r"There is no form “big” for 2026-11; there are: small\.") as missing:
        choose_form(found, "big", parse_period("2026-11"))
    assert isinstance(missing.value, LookupError)
    assert translate(missing.value.said, Language.VI) == "Không có biểu mẫu “big” cho kỳ 2026-11; có: small."
    assert missing.value.detail == "big 2026-11: small"
    assert pickle.loads(pickle.dumps(missing.value)).detail == missing.value.detail


def test_two_forms_of_one_id_at_once_and_the_mistakes_of_every_file_are_told(tmp_path):
    (tmp_path / "a.toml").write_text(SMALL, encoding="utf-8")
    (tmp_path / "b.toml").write_text(SMALL.replace("[[column]]", "since = 2026-11-15\n[[column]]"), encoding="utf-8")
    (tmp_path / "c.toml").write_text("x")
    (tmp_path / "d.toml").write_text(SMALL + "by_due = 1", encoding="utf-8")
    with pytest.raises(ConfigurationFault) as fault:
        read_form_folder(tmp_path)
    assert [mistake.path for mistake in fault.value.mistakes] == ["b.toml: since", "c.toml", "d.toml: column[0].by_due"]


def test_the_reference_names_every_word_a_form_may_use_and_every_column_of_edoc():
    named = set(re.findall(r"`([^`]+)`", PAGE.read_text(encoding="utf-8")))
    edoc = next(form for form in read_form_folder() if form.id == "edoc")
    words = {word for rule in RULES.values() for word in rule} | set(ATTRIBUTES) | {kind.value for kind in ColumnKind}
    assert not (words | {column.key for column in edoc.columns}) - named
