"""Both catalogues have every text, and nothing else."""

import re

import pytest
from babel.messages import Catalog, Message

from hub.language.languages import Language
from hub.language.terms import read_terms
from tests import words
from tests.conftest import ROOT

#: `{name}`, `{name!r}` or `%(name)s` in a sentence.
PLACEHOLDERS = re.compile(r"(?<!\{)\{[a-z_0-9]*(?:![rs])?(?::[^}]*)?\}(?!\})|%\([a-z_]+\)s")

#: A page of the manual in a text, and its chapter after a comma.
PAGES = re.compile(r"(docs/[\w/-]*howto/[\w-]+\.md)(?:, ([^.;\n]+))?")


@pytest.fixture(scope="module")
def today() -> Catalog:
    return words.extracted()


@pytest.mark.parametrize("language", [*Language])
@pytest.mark.slow
def test_the_catalogues_hold_the_texts_of_today_and_no_others(today: Catalog, language: Language) -> None:
    kept = words.read(language)
    ids = {(message.context, message.id) for message in today if message.id}
    assert {(message.context, message.id) for message in kept if message.id} == ids, "run ./dev words"


@pytest.mark.parametrize("language", [*Language])
@pytest.mark.slow
def test_every_text_is_translated(language: Language) -> None:
    assert words.untranslated(words.read(language)) == []


def test_babel_finds_nothing_wrong_with_a_translation() -> None:
    """It takes “90 % of” for a placeholder; those are compared below."""
    for message, errors in words.read(Language.VI).check():
        assert [each for each in errors if "placeholder" not in str(each)] == [], message.id


def test_a_translation_names_what_its_text_names() -> None:
    wrong = []
    for message in words.read(Language.VI):
        if message.id:
            ids, said = _sentences(message.id), _sentences(message.string)
            named = [set(PLACEHOLDERS.findall(each)) for each in ids]
            wrong += [message.id for each in said if set(PLACEHOLDERS.findall(each)) not in named]
    assert wrong == []


def test_vietnamese_is_written_in_whole_letters() -> None:
    """NFC: a letter with its marks is one character, as every keyboard writes it."""
    import unicodedata

    texts = [each for message in words.read(Language.VI) if message.id for each in _sentences(message.string)]
    assert [each for each in texts if unicodedata.normalize("NFC", each) != each] == []


def test_no_literal_escapes_the_catalogues() -> None:
    """Babel passes over a first argument in parentheses of its own, and over an f-string."""
    pattern = re.compile(r"\b(?:phrase|phrases|t)\(\s*(?:\(|f\")")
    found = [
        str(path)
        for folder in words.SOURCES
        for path in (words.ROOT / folder).rglob("*.py")
        if pattern.search(path.read_text("utf-8"))
    ]
    assert found == []


def _sentences(said: Message | str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [said] if isinstance(said, str) else [str(each) for each in said or ()]  # type: ignore[union-attr]


@pytest.mark.parametrize("language", [*Language])
def test_the_page_of_words_is_that_of_the_terms(language: Language) -> None:
    assert {key.partition("/")[0] for key in read_terms()} == set(words.SCOPES)
    assert words.PAGES[language].read_text("utf-8") == words.page_of_words(language), "run ./dev words"


def test_a_text_leads_to_a_page_of_its_own_language_that_is_there() -> None:
    """Also to its chapter, where one is named: `docs/howto/install.md, Under systemd`."""
    wrong = []
    for language, folder in ((Language.EN, ROOT / "docs"), (Language.VI, ROOT / "docs/vi")):
        for message in words.read(language):
            said = "\n".join(_sentences(message.string))
            for page, chapter in PAGES.findall(said):
                file = ROOT / page
                there = file.is_relative_to(folder) and file.is_file()
                if not there or (chapter and f"## {chapter}\n" not in file.read_text("utf-8")):
                    wrong.append((language.value, page, chapter))
    assert wrong == []
