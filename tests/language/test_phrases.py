"""A phrase is made where something is found, and said where it is read."""

import json

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import pack_phrase, phrase, phrases, unpack_phrase, verbatim

VI, EN = Language.VI, Language.EN


def test_logs_and_json_have_the_english_sentence() -> None:
    assert str(phrase("there is no partner {code}", code="vpcp")) == "there is no partner vpcp"


def test_a_phrase_is_said_in_the_language_of_its_reader() -> None:
    said = phrase("there is no partner {code}", code="vpcp")
    assert translate(said, VI) == "không có đối tác vpcp"
    assert translate(said, EN) == "there is no partner vpcp"


def test_what_is_quoted_is_never_taken_for_a_placeholder() -> None:
    assert translate(phrase("{value} does not fit", value="'x{code}'"), VI) == "'x{code}' không hợp lệ"


def test_a_phrase_within_a_phrase_is_said_in_the_same_language() -> None:
    within = phrase("{value}, or a list of them", value=phrase("true or false"))
    assert translate(within, EN) == "true or false, or a list of them"
    assert "true or false" not in translate(within, VI)


def test_a_sentence_without_arguments_may_hold_braces() -> None:
    assert str(phrase("a path with {cursor} in it")) == "a path with {cursor} in it"


def test_a_number_chooses_the_form_of_the_language() -> None:
    assert str(phrases("{count} fact", "{count} facts", count=1)) == "1 fact"
    assert str(phrases("{count} fact", "{count} facts", count=2)) == "2 facts"


def test_what_only_a_value_is_stays_as_it_is() -> None:
    assert translate(verbatim("ECONNREFUSED {0}"), VI) == "ECONNREFUSED {0}"


def test_another_process_makes_the_same_sentence() -> None:
    said = phrase("{url} shows {wrong}", url="https://x", wrong=phrase("is missing"))
    taken = unpack_phrase(json.loads(json.dumps(pack_phrase(said))))
    assert [translate(taken, each) for each in Language] == [translate(said, each) for each in Language]
