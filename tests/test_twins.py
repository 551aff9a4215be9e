"""Each page that clerks, officials, auditors, operators and partners read stands in Vietnamese too, and says the same."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pages import DOCS, fenced, links, outside_fences, quoted, rows

VIETNAMESE = DOCS / "vi"
TWINS = sorted(path.relative_to(VIETNAMESE) for path in VIETNAMESE.rglob("*.md"))
#: For those who change the program itself.
ENGLISH_ONLY = ("explanation",)
#: Languages of blocks that are the same on both pages but for comments; a `text` is what a program says.
CODE = ("sh", "toml", "ini", "yaml", "xml", "haproxy", "java", "js", "php", "csharp", "python")
#: A run of words that no Vietnamese sentence has; terms and names of standards are shorter.
ENGLISH = re.compile(
    r"\b(?:the|and|which|with|from|that|this|are|is|of)\b(?: \w+)* \b(?:the|and|which|with|that|this|are|is|of)\b"
)


def headings(page: Path) -> list[int]:
    """Return the levels of a page's headings, in order."""
    return [len(marks) for marks in re.findall(r"^(#+) ", outside_fences(page), flags=re.MULTILINE)]


def code(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language without their comments."""
    return [
        re.sub(r"(^|\s)(#|//|;).*$", "", block, flags=re.MULTILINE)
        for block in fenced(page.read_text("utf-8"), language)
    ]


def prose(page: Path) -> str:
    """Return what is neither code nor a link's address."""
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", outside_fences(page))


def test_every_page_for_readers_has_its_twin() -> None:
    pages = {path.relative_to(DOCS) for path in DOCS.rglob("*.md")} - {Path("vi") / each for each in TWINS}
    assert {page for page in pages if page.parts[0] not in ENGLISH_ONLY} == set(TWINS)


@pytest.mark.parametrize("page", TWINS, ids=str)
def test_the_two_pages_name_each_other(page: Path) -> None:
    for here, there in ((DOCS / page, VIETNAMESE / page), (VIETNAMESE / page, DOCS / page)):
        named = re.match(r"# .+\n\n\[(?:Tiếng Việt|English)\]\(([^)]+)\)\n", here.read_text("utf-8"))
        assert named is not None, here
        assert (here.parent / named[1]).resolve() == there, here


@pytest.mark.parametrize("page", TWINS, ids=str)
def test_both_have_the_same_headings_tables_and_commands(page: Path) -> None:
    english, vietnamese = DOCS / page, VIETNAMESE / page
    assert headings(vietnamese) == headings(english)
    assert len(list(rows(vietnamese.read_text("utf-8")))) == len(list(rows(english.read_text("utf-8"))))
    for language in CODE:
        pairs = zip(code(vietnamese, language), code(english, language), strict=True)
        assert [
            (one, other) for one, other in pairs if one.replace("vi_VN", "en_US") != other.replace("vi_VN", "en_US")
        ] == []


@pytest.mark.parametrize("page", TWINS, ids=str)
def test_both_name_the_same_commands_keys_and_codes(page: Path) -> None:
    english, vietnamese = (set(quoted(outside_fences(folder / page))) for folder in (DOCS, VIETNAMESE))
    assert {each for each in english - vietnamese if " " not in each} == set()


@pytest.mark.parametrize("page", TWINS, ids=str)
def test_both_show_the_same_pictures_each_in_its_language(page: Path) -> None:
    english, vietnamese = (
        [link for link in links(folder / page) if link.endswith(".png")] for folder in (DOCS, VIETNAMESE)
    )
    assert vietnamese == english
    for link in vietnamese:
        assert ((VIETNAMESE / page).parent / link).resolve().is_relative_to(VIETNAMESE / "pictures")


def test_every_picture_is_shown_by_a_page() -> None:
    for folder in (DOCS, VIETNAMESE):
        shown = {(page.parent / link).resolve() for page in folder.rglob("*.md") for link in links(page)}
        assert set((folder / "pictures").iterdir()) - shown == set()


@pytest.mark.parametrize("page", TWINS, ids=str)
def test_a_vietnamese_page_holds_no_english_sentence(page: Path) -> None:
    lines = [line for line in prose(VIETNAMESE / page).splitlines() if not line.startswith("|")]
    assert [line for line in lines if ENGLISH.search(line)] == []


def test_links_within_the_vietnamese_pages_stay_in_them() -> None:
    wrong = []
    for page in TWINS:
        for link in links(VIETNAMESE / page):
            there = ((VIETNAMESE / page).parent / link.partition("#")[0]).resolve()
            if there.is_relative_to(DOCS) and not there.is_relative_to(VIETNAMESE) and there.suffix == ".md":
                english = there.relative_to(DOCS)
                if english in TWINS and english != page:
                    wrong.append(f"{page}: {link}")
    assert wrong == []
    assert ROOT.exists()
