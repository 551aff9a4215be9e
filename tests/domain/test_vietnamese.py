"""A mistake is told in Vietnamese, with what it quotes."""

from hub.domain import translations
from hub.domain.errors import Mistake


def test_what_is_quoted_stays() -> None:
    assert translations.find_vietnamese("there is no partner vpcp") == "không có đối tác vpcp"
    assert translations.find_vietnamese("'x{}' does not fit") == "'x{}' không hợp lệ"
    assert translations.find_vietnamese("a key is not the key of b.crt") == "a key không phải khóa của b.crt"


def test_names_and_values_need_no_translation() -> None:
    assert translations.find_vietnamese("none or fetch or push") is None
    kept = Mistake("hub.toml: x", "something new", "none or push")
    assert translations.translate_mistake(kept) == kept


def test_every_sentence_finds_itself_and_quotes_as_much() -> None:
    for shape, text in translations._SENTENCES.items():
        assert shape.count("{}") == text.count("{}")
        assert translations.find_vietnamese(shape.replace("{}", "Q")) == text.replace("{}", "Q")
