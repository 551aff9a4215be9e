"""What a simulated partner is told: answers as they are written, scripts, and the order in which they are given."""

import pytest

from hub.simulator.answers import (
    LONGEST,
    MOST_LINES,
    AnswerKind,
    AnswerPlan,
    AnswerUnfit,
    ScriptLine,
    ToldAnswer,
    parse_answer,
    parse_script,
)

ACCEPT, DOWN = ToldAnswer(), ToldAnswer(AnswerKind.DOWN)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("accept", ACCEPT),
        (" down ", DOWN),
        ("garbage", ToldAnswer(AnswerKind.GARBAGE)),
        ("timeout", ToldAnswer(AnswerKind.TIMEOUT)),
        ("refuse:E-17", ToldAnswer(AnswerKind.REFUSE, "E-17")),
        ("refuse:unit-unknown:H55.99: lạ", ToldAnswer(AnswerKind.REFUSE, "unit-unknown", "H55.99: lạ")),
        ("slow:2.5", ToldAnswer(AnswerKind.SLOW, seconds=2.5)),
    ],
)
def test_an_answer_is_read_and_written_alike(text, answer):
    assert parse_answer(text) == answer
    assert parse_answer(str(answer)) == answer


@pytest.mark.parametrize(
    "text", ["", "no", "accept:x", "refuse", "refuse:", "refuse:two words", "slow", "slow:0", "slow:x", "slow:nan"]
)
def test_anything_else_is_no_answer(text):
    with pytest.raises(AnswerUnfit):
        parse_answer(text)
    with pytest.raises(AnswerUnfit):
        parse_answer(f"slow:{LONGEST + 1}")


def test_a_script_gives_its_answers_in_order_and_then_the_usual_one_holds():
    script = parse_script("# ba ngày\naccept\n\nrefuse:E1:x3 là gì x2\ndown x2\n")
    assert script == (
        ScriptLine(ACCEPT),
        ScriptLine(ToldAnswer(AnswerKind.REFUSE, "E1", "x3 là gì"), 2),
        ScriptLine(DOWN, 2),
    )
    plan = AnswerPlan(ACCEPT, script)
    assert [str(plan.take().kind) for _ in range(6)] == ["accept", "refuse", "refuse", "down", "down", "accept"]


def test_a_typed_answer_ends_a_script():
    plan = AnswerPlan(ACCEPT, (ScriptLine(DOWN, 9), ScriptLine(DOWN)))
    assert plan.take() == DOWN
    plan.change(ToldAnswer(AnswerKind.TIMEOUT))
    assert {plan.take().kind for _ in range(3)} == {AnswerKind.TIMEOUT}


def test_a_mistake_in_a_script_names_its_line():
    with pytest.raises(AnswerUnfit, match="line 3: maybe is not an answer"):
        parse_script("accept\n# x\nmaybe\n")
    with pytest.raises(AnswerUnfit, match="line 1"):
        parse_script("accept x0")
    with pytest.raises(AnswerUnfit, match=str(MOST_LINES)):
        parse_script("accept\n" * (MOST_LINES + 1))
