"""A mistake is told in Vietnamese, with what it quotes."""

from hub import vietnamese
from hub.errors import Mistake


def test_what_is_quoted_stays() -> None:
    assert vietnamese.of("there is no partner vpcp") == "không có đối tác vpcp"
    assert vietnamese.of("'x{}' does not fit") == "'x{}' không hợp lệ"
    assert vietnamese.of("a key is not the key of b.crt") == "a key không phải khóa của b.crt"


def test_names_and_values_need_no_translation() -> None:
    assert vietnamese.of("none or fetch or push") is None
    kept = Mistake("hub.toml: x", "something new", "none or push")
    assert vietnamese.mistake(kept) == kept


def test_every_sentence_finds_itself_and_quotes_as_much() -> None:
    for shape, text in vietnamese._SENTENCES.items():
        assert shape.count("{}") == text.count("{}")
        assert vietnamese.of(shape.replace("{}", "Q")) == text.replace("{}", "Q")
