"""What a reader is told of a problem: the sentence and the detail, each in the reader's languages; JSON is English."""

import json

import attrs
import pytest

from hub.domain.errors import (
    SENTENCES,
    Rejected,
    Unready,
    describe_problem,
    find_error_sentence,
    read_problem_json,
    shorten_detail,
    write_problem_json,
)
from hub.domain.model import ElementPlace, Problem
from hub.language.catalogues import say_both
from hub.language.languages import Language
from hub.language.phrases import phrase

CODE = "packet-unreadable"
VIETNAMESE, ENGLISH = say_both(SENTENCES[CODE])
WORDS = Problem(CODE, phrase("line {line}: more than {most}", line=4, most=2))


@pytest.mark.parametrize(
    ("problem", "languages", "said"),
    [
        (Problem(CODE), (), f"{VIETNAMESE}. / {ENGLISH}."),
        (Problem(CODE, "H55.1"), (), f"{VIETNAMESE}. / {ENGLISH}. [H55.1]"),
        (Problem(CODE, "H55.1"), (Language.VI,), f"{VIETNAMESE}. [H55.1]"),
        (WORDS, (), f"{VIETNAMESE}. [dòng 4: nhiều hơn 2] / {ENGLISH}. [line 4: more than 2]"),
        (WORDS, (Language.VI,), f"{VIETNAMESE}. [dòng 4: nhiều hơn 2]"),
        (WORDS, (Language.EN,), f"{ENGLISH}. [line 4: more than 2]"),
    ],
)
def test_the_sentence_and_a_detail_with_words_are_said_in_each_language(problem, languages, said):
    assert describe_problem(problem, *languages) == said


def test_a_detail_inside_another_is_said_in_the_same_language():
    inner = phrase("line {line}", line=7)
    problem = Problem(CODE, phrase("{line}: {text} is not a date", line=inner, text="2014/02/30"))
    assert describe_problem(problem, Language.VI).endswith("[dòng 7: 2014/02/30 không phải ngày]")


def test_json_and_the_texts_of_the_errors_are_english():
    told = write_problem_json(WORDS)
    assert told == {"code": CODE, "detail": "line 4: more than 2", "detail_vi": "dòng 4: nhiều hơn 2"}
    assert write_problem_json(Problem(CODE)) == {"code": CODE, "detail": ""}
    assert str(Rejected(WORDS, Problem(CODE, "x"))) == f"{CODE}: line 4: more than 2; {CODE}: x"
    unready = Unready("hub-busy", phrase("the hub stops"))
    assert (str(unready), unready.problem) == ("hub-busy: the hub stops", Problem("hub-busy", phrase("the hub stops")))


def test_what_the_journal_keeps_of_a_problem_is_read_again_in_both_languages():
    place = ElementPlace("/SyncDossiers/HoSo[3]/MaHoSo", 5, 172, "Mã hồ sơ")
    for written in (WORDS, Problem(CODE, "H55.1"), Problem(CODE), attrs.evolve(WORDS, place=place)):
        read = read_problem_json(json.loads(json.dumps(write_problem_json(written))))
        assert (read.code, read.place, say_both(read.detail)) == (CODE, written.place, say_both(written.detail))
        assert describe_problem(read) == describe_problem(written)
    assert read_problem_json({"code": CODE, "detail": "line 4"}) == Problem(CODE, "line 4"), "before there were two"


def test_problems_with_words_are_compared_and_hashed_like_others():
    same = Problem(CODE, phrase("line {line}: more than {most}", line=4, most=2))
    other = Problem(CODE, phrase("line {line}: more than {most}", line=5, most=2))
    assert same == WORDS != other
    assert len({same, WORDS, other}) == 2


def test_a_long_detail_is_cut_and_a_short_one_keeps_its_languages():
    short, long = phrase("line {line}", line=1), phrase("{name}: no rows", name="a" * 50)
    assert shorten_detail(short, 10) is short
    assert str(shorten_detail(long, 10)) == "a" * 10
    assert shorten_detail("b" * 11, 10) == "b" * 10


def test_a_code_with_a_path_has_the_sentence_of_its_prefix():
    assert find_error_sentence("N.MessageHeader.Code") is SENTENCES["N."]
