"""What a report prints as its legal basis: the text in force in its period, and what `lienthong check` says of the others."""

import re
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

from hub.cli import lienthong
from hub.domain import legal_texts
from hub.domain.errors import ConfigurationFault
from hub.domain.legal_texts import LEGAL_TEXTS, choose_legal_text
from hub.node.check import check_config
from hub.node.doctor.diagnosis import DiagnosisState
from hub.node.doctor.examination import judge_configuration
from hub.report.form import basis_check, toml
from hub.report.form.book import read_shipped_book
from hub.report.form.folder import read_form_folder
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from tests import homes

ROOT = Path(__file__).parents[2]
FORMS = read_form_folder()
FORMS_BY_ID = {form.id: form for form in FORMS}
NUMBER = re.compile(r"\b\d+/(?:\d{4}/)?(?:NĐ-CP|QĐ-TTg|TT-\w+|QH\d+)")


@pytest.mark.parametrize(
    ("form", "period", "number"),
    [
        ("lookups", "2025-10", "47/2020/NĐ-CP"),  # ends on 14 October 2025, eight days before the decree does
        ("lookups", "2025-11", "278/2025/NĐ-CP"),
        ("lookups", "2026-11", "278/2025/NĐ-CP"),
        ("lookups", "2025", "278/2025/NĐ-CP"),  # as the form of a year is that of its last day
        ("dossiers", "2025-06", "61/2018/NĐ-CP"),
        ("dossiers", "2025-07", "118/2025/NĐ-CP"),
        ("edoc", "2026-11", "28/2018/QĐ-TTg"),
    ],
)
def test_a_report_prints_the_text_in_force_on_the_last_day_of_its_period(form: str, period: str, number: str) -> None:
    basis = choose_form(FORMS, form, parse_period(period)).basis
    assert [each[0] for each in (NUMBER.findall(basis.vi), NUMBER.findall(basis.en))] == [number, number]


def test_what_a_form_says_beside_the_text_stays() -> None:
    said = choose_form(FORMS, "dossiers", parse_period("2026-11")).basis
    assert "quy tắc đếm theo Biểu II.06a, Thông tư số 01/2020/TT-VPCP" in said.vi
    assert "{" not in said.vi + said.en


@pytest.mark.parametrize("form", FORMS, ids=[form.id for form in FORMS])
def test_no_shipped_form_writes_the_number_of_a_text_out(form) -> None:
    assert NUMBER.findall((form.citing or form.basis).vi) == []
    assert "{" not in form.basis.vi + form.basis.en


def test_no_shipped_layout_of_a_workbook_does_either() -> None:
    layouts = read_shipped_book().layouts
    assert layouts
    assert not any(NUMBER.search(layout.paper.basis) for layout in layouts)


def test_a_closed_month_keeps_its_basis_whatever_the_list_says_later(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = choose_form(FORMS, "lookups", parse_period("2025-10"))
    changed = attrs.evolve(LEGAL_TEXTS["nd-47-2020"], vi="Nghị định khác", en="Another", until=date(2020, 12, 31))
    for module in (legal_texts, toml):
        monkeypatch.setattr(module, "LEGAL_TEXTS", {**LEGAL_TEXTS, changed.id: changed})
    read = read_form_toml(closed.written.encode(), "closing", None)
    assert read.basis == closed.basis
    assert choose_form([read], "lookups", parse_period("2025-10")).written == closed.written
    assert choose_form(FORMS, "lookups", parse_period("2025-10")).basis != closed.basis


def test_a_month_closed_before_texts_were_cited_by_ids_prints_what_it_printed() -> None:
    was = FORMS_BY_ID["lookups"].written.replace("{nd-47-2020}", "Nghị định số 47/2020/NĐ-CP")
    form = read_form_toml(was.encode(), "closing", None)
    assert choose_form([form], "lookups", parse_period("2026-01")).basis.vi.startswith("Nghị định số 47/2020/NĐ-CP (")


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch):
    """Let a text end on a day, replaced by nothing or by another."""

    def do(text: str, until: date, replaced_by: str | None = None) -> None:
        changed = attrs.evolve(LEGAL_TEXTS[text], until=until, replaced_by=replaced_by)
        for module in (legal_texts, basis_check):
            monkeypatch.setattr(module, "LEGAL_TEXTS", {**LEGAL_TEXTS, text: changed})

    return do


def judge(day: date) -> tuple[list[str], list[str]]:
    """Return what is said of the forms while the month of *day*, December 2026, runs: what is refused, what is told."""
    month, forms = parse_period("2026-12"), [FORMS_BY_ID["edoc"], FORMS_BY_ID["lookups"]]
    refused, told = basis_check.find_lapsed_bases(forms, month), basis_check.find_ending_bases(forms, month, day)
    return [f"{each}" for each in refused], [f"{each}" for each in told]


DAY = date(2026, 12, 2)


def test_nothing_is_said_of_texts_in_force() -> None:
    assert judge(DAY) == ([], [])


def test_a_form_whose_basis_ended_before_the_period_without_a_replacement_is_refused(ending) -> None:
    ending("qd-28-2018", date(2026, 11, 15))  # the month begins on this day
    (refused,), told = judge(DAY)
    assert "edoc" in refused
    assert "Decision 28/2018/QĐ-TTg is in force until the day before 2026-11-15" in refused
    assert told == []


def test_a_text_that_ends_within_the_period_or_a_month_ahead_is_told(ending) -> None:
    for until, count in ((date(2026, 11, 16), 1), (date(2027, 1, 2), 1), (date(2027, 1, 3), 0)):
        ending("qd-28-2018", until)
        refused, told = judge(DAY)
        assert (refused, len(told)) == ([], count), until


def test_what_replaces_a_text_that_ends_is_told_with_it(ending) -> None:
    ending("qd-28-2018", date(2026, 12, 20), "nd-331-2026")
    refused, (told,) = judge(DAY)
    assert refused == []
    assert "Decree 331/2026/NĐ-CP from 2026-08-19 on, cited as {qd-28-2018}" in told


def test_a_form_that_writes_out_the_number_of_an_ended_text_is_told_the_one_in_force() -> None:
    old = read_form_toml(FORMS_BY_ID["lookups"].written.replace("{nd-47-2020}", "47/2020/NĐ-CP").encode(), "own", None)
    (told,) = basis_check.find_ending_bases([old], parse_period("2026-12"), DAY)
    assert "Decree 278/2025/NĐ-CP from 2025-10-22 on, cited as {nd-47-2020}" in str(told)
    over = attrs.evolve(old, until=date(2025, 10, 15))
    assert list(basis_check.find_ending_bases([over], parse_period("2026-12"), DAY)) == []


def test_a_form_cites_only_texts_of_the_list() -> None:
    wrong = FORMS_BY_ID["lookups"].written.replace("{nd-47-2020}", "{nd-47-1920}")
    with pytest.raises(ConfigurationFault, match="nd-47-1920"):
        read_form_toml(wrong.encode(), "own.toml")


@pytest.mark.parametrize("text", LEGAL_TEXTS.values(), ids=list(LEGAL_TEXTS))
def test_the_list_of_texts_agrees_with_itself(text) -> None:
    assert text.number in text.vi
    assert text.number in text.en
    assert text.about.keys() == {"vi", "en"}
    assert text.source
    if text.replaced_by is not None:
        after = LEGAL_TEXTS[text.replaced_by]
        assert text.until is not None
        assert after.since is not None, "nobody knows from when on it is printed"
        assert after.since >= text.until
        assert choose_legal_text(text.id, after.since) == choose_legal_text(after.id, after.since)
    if text.since and text.until:
        assert text.since < text.until


def test_in_the_gap_before_its_replacement_begins_a_text_has_ended() -> None:
    found = choose_legal_text("tt-12-2022", date(2026, 7, 15))
    assert (found.id, found.is_ended(date(2026, 7, 15))) == ("tt-12-2022", True)
    assert choose_legal_text("tt-12-2022", date(2026, 8, 19)).id == "nd-331-2026"


def test_check_refuses_a_lapsed_form_and_the_hub_starts_all_the_same(province_home: Path, ending) -> None:
    ending("qd-28-2018", date(2020, 1, 1))
    found = check_config(province_home / "hub.toml", datetime(2026, 12, 2, tzinfo=UTC))
    assert [each.path for each in found.lapsed] == ["form edoc: basis"]
    assert not any("basis" in each.path for each in (*found.mistakes, *found.warnings))
    assert found.province is not None, "what a start and a reload ask for"
    said = CliRunner(env={"LANG": "vi"}).invoke(lienthong, ["-c", str(province_home / "hub.toml"), "check"])
    assert said.exit_code == 78
    assert "Quyết định số 28/2018/QĐ-TTg có hiệu lực đến hết ngày trước 2020-01-01" in said.output
    failed = [str(each.found) for each in judge_configuration(found) if each.verdict is DiagnosisState.FAILED]
    assert len([each for each in failed if "form edoc: basis" in each]) == 1


def test_what_is_about_to_end_is_a_warning_of_check(province_home: Path, ending) -> None:
    ending("qd-28-2018", date(2026, 12, 20), "nd-331-2026")
    found = check_config(province_home / "hub.toml", datetime(2026, 12, 2, tzinfo=UTC))
    assert [each.path for each in found.warnings if "basis" in each.path] == ["form edoc: basis"]
    assert found.lapsed == ()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return homes.begin(tmp_path_factory.mktemp("home") / "tinh")


@pytest.fixture
def province_home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tinh"))


#: The short way in which people name a text: “Decree 61/2018”.
SHORT = re.compile(r"(?:Decree|Decision|Circular|Law|Nghị định|Quyết định|Thông tư|NĐ|QĐ|TT)\s+(?:số\s+)?(\d+/\d{4})\b")


def list_cited(text: str) -> set[str]:
    """Return the texts that *text* names, each as number and year."""
    return {each.rpartition("/")[0] for each in NUMBER.findall(text)} | set(SHORT.findall(text))


PAGES = sorted(
    path
    for folder in ("hub", "demo", "docs", "adapters", "packaging")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".md", ".py", ".toml", ".jinja", ".typ"} and path.name != "legal_texts.toml"
)


def test_every_text_that_code_or_docs_name_is_in_the_list_and_an_ended_one_beside_its_replacement() -> None:
    numbers = {text.id: text.number.rpartition("/")[0] for text in LEGAL_TEXTS.values()}
    assert len(set(numbers.values())) == len(LEGAL_TEXTS)
    after = {numbers[text.id]: text.replaced_by and numbers[text.replaced_by] for text in LEGAL_TEXTS.values()}
    for page in [*PAGES, ROOT / "README.md"]:
        cited = list_cited(page.read_text("utf-8"))
        assert cited <= after.keys(), page
        assert {after[each] for each in cited} - {None} <= cited, f"{page}: without what replaced them"


@pytest.mark.parametrize(("page", "language"), [("docs/reference", "en"), ("docs/vi/reference", "vi")])
def test_the_manual_lists_the_texts_as_the_data_does(page: str, language: str) -> None:
    rows = [line for line in (ROOT / page / "legal-texts.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{text.id}` | {getattr(text, language)} | {text.about[language]} | {text.since or '–'} | {text.until or '–'} "
        f"| {LEGAL_TEXTS[text.replaced_by].number if text.replaced_by else '–'} | {text.certainty} |"
        for text in LEGAL_TEXTS.values()
    ]
