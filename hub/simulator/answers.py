"""What a simulated partner is told to answer: one answer, or a script of them. Pure.

Knows how answers are written: `accept`, `refuse:CODE:DETAIL`, `slow:5`, `down`, `garbage`, `timeout`. Does not know calls
or how an answer is sent.
"""

import re
from collections import deque
from enum import StrEnum

import attrs

from hub.language.phrases import Phrase, phrase

#: Maximum lines of a script, and maximum calls of one line.
MOST_LINES, MOST_TIMES = 1_000, 1_000_000
#: Maximum seconds of `slow`.
LONGEST = 3_600.0

_CODE = re.compile(r"[^\s:]{1,100}")
_DETAIL = 500
_LINE = re.compile(r"(?P<answer>.*?)(?:\s+x(?P<times>[0-9]{1,7}))?", re.ASCII)


class AnswerKind(StrEnum):
    """What the partner does with a call."""

    ACCEPT = "accept"  #: accepts it, with a signed receipt
    REFUSE = "refuse"  #: refuses it with a code (IsSuccess=false)
    SLOW = "slow"  #: accepts it after some seconds
    DOWN = "down"  #: closes the connection at once, as if nothing listened
    GARBAGE = "garbage"  #: answers 200 with something that is not SOAP
    TIMEOUT = "timeout"  #: takes the call and never answers


class AnswerUnfit(ValueError):
    """The text is not an answer or not a script."""

    def __init__(self, reason: Phrase) -> None:
        super().__init__(str(reason))
        self.reason = reason


@attrs.frozen
class ToldAnswer:
    """One answer that the partner is told to give."""

    kind: AnswerKind = AnswerKind.ACCEPT
    code: str = ""  #: of a refusal
    detail: str = ""  #: of a refusal
    seconds: float = 0.0  #: before a slow answer

    def __str__(self) -> str:
        match self.kind:
            case AnswerKind.REFUSE:
                return f"{self.kind}:{self.code}:{self.detail}" if self.detail else f"{self.kind}:{self.code}"
            case AnswerKind.SLOW:
                return f"{self.kind}:{self.seconds:g}"
        return str(self.kind)


@attrs.frozen
class ScriptLine:
    """One line of a script."""

    answer: ToldAnswer
    times: int = 1  #: calls that get this answer


def parse_answer(text: str) -> ToldAnswer:
    """Return the answer that *text* names. Raises `AnswerUnfit`."""
    name, _, rest = text.strip().partition(":")
    match name:
        case AnswerKind.REFUSE:
            code, _, detail = rest.partition(":")
            if not _CODE.fullmatch(code):
                raise AnswerUnfit(phrase("{text} names no code; write refuse:CODE or refuse:CODE:DETAIL", text=text))
            return ToldAnswer(AnswerKind.REFUSE, code, detail.strip()[:_DETAIL])
        case AnswerKind.SLOW:
            return ToldAnswer(AnswerKind.SLOW, seconds=_parse_seconds(text, rest))
        case _ if name in {*AnswerKind} and not rest:
            return ToldAnswer(AnswerKind(name))
    raise AnswerUnfit(
        phrase(
            "{text} is not an answer; write accept, refuse:CODE:DETAIL, slow:SECONDS, down, garbage or timeout",
            text=text[:100],
        )
    )


def _parse_seconds(text: str, written: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise AnswerUnfit(phrase("{text}: write a number of seconds up to {most}", text=text, most=f"{LONGEST:g}"))
    return seconds


def parse_script(text: str) -> tuple[ScriptLine, ...]:
    """Return the lines of a script. A line is an answer, and `xN` behind it if it is for N calls.

    Empty lines and lines that begin with `#` are passed over. Raises `AnswerUnfit`, which names the line.
    """
    found: list[ScriptLine] = []
    for number, line in enumerate(text.splitlines(), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        if len(found) == MOST_LINES:
            raise AnswerUnfit(phrase("a script has at most {most} lines", most=MOST_LINES))
        parsed = _LINE.fullmatch(said)
        assert parsed is not None
        times = int(parsed["times"] or 1)
        if not 0 < times <= MOST_TIMES:
            raise AnswerUnfit(phrase("line {number}: from 1 to {most} calls", number=number, most=MOST_TIMES))
        try:
            found.append(ScriptLine(parse_answer(parsed["answer"]), times))
        except AnswerUnfit as unfit:
            raise AnswerUnfit(phrase("line {number}: {reason}", number=number, reason=unfit.reason)) from None
    return tuple(found)


class AnswerPlan:
    """The answers to the next calls: those of a script in order, then the *usual* one."""

    def __init__(self, usual: ToldAnswer, script: tuple[ScriptLine, ...] = ()) -> None:
        self.usual = usual
        self._script = deque(script)
        self._given = 0  # calls that got the first line of the script

    @property
    def next(self) -> ToldAnswer:
        """The answer to the next call."""
        return self._script[0].answer if self._script else self.usual

    def take(self) -> ToldAnswer:
        """Return the answer to a call, and go on to the next one."""
        answer = self.next
        if self._script:
            self._given += 1
            if self._given >= self._script[0].times:
                self._script.popleft()
                self._given = 0
        return answer

    def change(self, answer: ToldAnswer) -> None:
        """Give *answer* to all further calls. The rest of a script is dropped."""
        self.usual = answer
        self._script.clear()
        self._given = 0
