"""Reads the formula of a column, such as `min(100 * done / assigned, 100)`, works it out exactly, and writes it for readers
and programs. Knows a small closed grammar: whole and decimal numbers, names, + - * / (also − × ÷), brackets, `min` and
`max`. Knows neither columns nor parameters, and never runs what it reads as a program.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache

import attrs

from hub.language.phrases import Phrase, phrase

LONGEST = 400  #: the maximum characters of a formula
MOST_PARTS = 60  #: the maximum numbers and names in it
DEEPEST = 6  #: the maximum depth of brackets, and of `min` and `max`
#: The maximum parts of a `min` or `max`, and how deep they may stand within one another: XPath 1.0 has neither, and the
#: formula in it grows with the square of the parts at each depth.
MOST_CHOSEN, DEEPEST_CHOICE = 4, 2

_TOKEN = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]+)?)|([a-z][a-z0-9_]*)|([-+*/(),;−×÷]))", re.ASCII)
_SIGNS = {"−": "-", "×": "*", "÷": "/", ";": ","}
_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2}
CHOICES = ("min", "max")


@attrs.frozen
class FormulaMistake(Exception):
    """A formula that cannot be read: the place in its text, what is there, and what is expected."""

    at: int  #: the number of the character, from 1
    found: Phrase
    expected: Phrase


@attrs.frozen
class Literal:
    """A number as it is written."""

    value: Fraction
    written: str


@attrs.frozen
class Name:
    """A column or a parameter."""

    name: str
    at: int = attrs.field(eq=False)  #: the number of its first character, from 1


@attrs.frozen
class FormulaOperation:
    """Two parts and the sign between them: one of + - * /."""

    sign: str
    left: "Formula"
    right: "Formula"


@attrs.frozen
class Choice:
    """The smallest or the greatest of its parts."""

    which: str  #: `min` or `max`
    parts: tuple["Formula", ...]


Formula = Literal | Name | FormulaOperation | Choice


@lru_cache(512)
def parse_formula(text: str) -> Formula:
    """Return the formula written in *text*. Raises FormulaMistake for the first mistake."""
    if len(text) > LONGEST:
        raise FormulaMistake(
            LONGEST + 1, phrase("has {count} characters", count=len(text)), phrase("at most {most}", most=LONGEST)
        )
    reading = _FormulaReading(list(_read_tokens(text)), len(text) + 1)
    found = reading.sum(0)
    if reading.place < len(reading.tokens):
        raise reading.mistake(phrase("one of + - * / or the end"))
    return found


@attrs.frozen
class _Token:
    at: int
    kind: str  #: `number`, `name` or `sign`
    text: str


def _read_tokens(text: str) -> Iterator[_Token]:
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            raise FormulaMistake(
                at + 1, phrase("has {sign}", sign=repr(text[at])), phrase("numbers, names, + - * / ( ) , min and max")
            )
        kind = ("number", "name", "sign")[(found.lastindex or 1) - 1]
        said = found[found.lastindex or 1]
        yield _Token(found.end() - len(said) + 1, kind, _SIGNS.get(said, said))
        place = found.end()


@attrs.define
class _FormulaReading:
    """The tokens of a formula, and how far they are read."""

    tokens: list[_Token]
    end: int  #: the place behind the last character
    place: int = 0
    parts: int = 0
    choices: int = 0  #: the number of `min` and `max` around what is read

    def mistake(self, expected: Phrase) -> FormulaMistake:
        if self.place >= len(self.tokens):
            return FormulaMistake(self.end, phrase("ends"), expected)
        token = self.tokens[self.place]
        return FormulaMistake(token.at, phrase("has {sign}", sign=repr(token.text)), expected)

    def is_at(self, *signs: str) -> str:
        """Return the sign that comes next and is one of *signs*, and pass it; "" if it is another."""
        if self.place < len(self.tokens) and self.tokens[self.place].kind == "sign":
            sign = self.tokens[self.place].text
            if sign in signs:
                self.place += 1
                return sign
        return ""

    def must(self, sign: str) -> None:
        if not self.is_at(sign):
            raise self.mistake(phrase("an opening bracket") if sign == "(" else phrase("a closing bracket"))

    def sum(self, depth: int) -> Formula:
        found = self.product(depth)
        while sign := self.is_at("+", "-"):
            found = FormulaOperation(sign, found, self.product(depth))
        return found

    def product(self, depth: int) -> Formula:
        found = self.part(depth)
        while sign := self.is_at("*", "/"):
            at = self.place
            right = self.part(depth)
            if sign == "/" and isinstance(right, Literal) and not right.value:
                self.place = at
                raise self.mistake(phrase("a divisor that is not 0"))
            found = FormulaOperation(sign, found, right)
        return found

    def part(self, depth: int) -> Formula:
        if depth > DEEPEST:
            raise self.mistake(phrase("at most {most} brackets within one another", most=DEEPEST))
        if self.is_at("("):
            found = self.sum(depth + 1)
            self.must(")")
            return found
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise self.mistake(phrase("at most {most} numbers and names", most=MOST_PARTS))
        if self.place >= len(self.tokens) or self.tokens[self.place].kind == "sign":
            raise self.mistake(phrase("a number, a column, a parameter, ( or min or max"))
        token = self.tokens[self.place]
        self.place += 1
        if token.kind == "number":
            return Literal(Fraction(token.text), token.text)
        if token.text in CHOICES:
            return self.choice(token.text, depth)
        return Name(token.text, token.at)

    def choice(self, which: str, depth: int) -> Formula:
        self.choices += 1
        if self.choices > DEEPEST_CHOICE:
            self.place -= 1
            raise self.mistake(phrase("at most {most} min or max within one another", most=DEEPEST_CHOICE))
        self.must("(")
        parts = [self.sum(depth + 1)]
        while self.is_at(","):
            if len(parts) == MOST_CHOSEN:
                raise self.mistake(phrase("at most {most} numbers in {which}", most=MOST_CHOSEN, which=which))
            parts.append(self.sum(depth + 1))
        self.choices -= 1
        if len(parts) < 2:
            raise self.mistake(phrase("a comma: {which} chooses between two numbers or more", which=which))
        self.must(")")
        return Choice(which, tuple(parts))


def list_names(formula: Formula) -> tuple[Name, ...]:
    """Return the names in *formula*, each once, in the order of its text."""
    match formula:
        case Name():
            return (formula,)
        case FormulaOperation(_, left, right):
            parts: tuple[Formula, ...] = (left, right)
        case Choice(_, parts):
            pass
        case _:
            parts = ()
    found: dict[str, Name] = {}
    for part in parts:
        for each in list_names(part):
            found.setdefault(each.name, each)
    return tuple(found.values())


def list_divisors(formula: Formula) -> tuple[Formula, ...]:
    """Return each part of *formula* by which it divides and that could be 0."""
    match formula:
        case FormulaOperation(sign, left, right):
            own = (right,) if sign == "/" and not isinstance(right, Literal) else ()
            return tuple(dict.fromkeys((*own, *list_divisors(left), *list_divisors(right))))
        case Choice(_, parts):
            return tuple(dict.fromkeys(each for part in parts for each in list_divisors(part)))
        case _:
            return ()


def work_out(formula: Formula, values: Mapping[str, Fraction]) -> Fraction | None:
    """Return the exact value of *formula* by the *values* of its names; None where it divides by 0 or a value is missing."""
    try:
        return _work_out(formula, values)
    except (ZeroDivisionError, KeyError):
        return None


def _work_out(formula: Formula, values: Mapping[str, Fraction]) -> Fraction:
    match formula:
        case Literal(value):
            return value
        case Name(name):
            return values[name]
        case Choice(which, parts):
            worked = [_work_out(part, values) for part in parts]
            return min(worked) if which == "min" else max(worked)
        case FormulaOperation(sign, left, right):
            one, other = _work_out(left, values), _work_out(right, values)
            match sign:
                case "+":
                    return one + other
                case "-":
                    return one - other
                case "*":
                    return one * other
                case _:
                    return one / other


@attrs.frozen(kw_only=True)
class Notation:
    """How a formula is written."""

    signs: Mapping[str, str]  #: by the sign of the grammar
    number: Callable[[str], str]
    choose: Callable[[str, tuple[str, ...]], str]


#: For readers: `min(100 × done / assigned; 100)`.
READERS = Notation(
    signs={"+": " + ", "-": " − ", "*": " × ", "/": " / "},
    number=lambda text: text,
    choose=lambda which, parts: f"{which}({'; '.join(parts)})",
)
#: For spreadsheets (OOXML, ISO/IEC 29500-1, 18.17): `MIN(100*D5/E5,100)`.
SPREADSHEET = Notation(
    signs={"+": "+", "-": "-", "*": "*", "/": "/"},
    number=lambda text: text,
    choose=lambda which, parts: f"{which.upper()}({','.join(parts)})",
)


def _choose_by_xpath(which: str, parts: tuple[str, ...]) -> str:
    """Return the smallest or greatest of *parts*: XPath 1.0 has neither, but counts a truth as 0 or 1. The first of equal
    parts is chosen.
    """
    strict, sign = ("<", "<=") if which == "min" else (">", ">=")

    def is_chosen(place: int) -> str:
        others = [(other, strict if other < place else sign) for other in range(len(parts)) if other != place]
        return " and ".join(f"({parts[place]}) {sign} ({parts[other]})" for other, sign in others)

    return f"({' + '.join(f'({part}) * ({is_chosen(place)})' for place, part in enumerate(parts))})"


#: For XPath 1.0.
XPATH = Notation(
    signs={"+": " + ", "-": " - ", "*": " * ", "/": " div "}, number=lambda text: text, choose=_choose_by_xpath
)


def write_formula(formula: Formula, names: Callable[[str], str], notation: Notation) -> str:
    """Return *formula* in *notation*, with only the brackets that it needs. *names* returns the text of a name."""
    return _write_formula(formula, names, notation, 0)


def _write_formula(formula: Formula, names: Callable[[str], str], notation: Notation, around: int) -> str:
    match formula:
        case Literal(_, written):
            return notation.number(written)
        case Name(name):
            return names(name)
        case Choice(which, parts):
            return notation.choose(which, tuple(_write_formula(part, names, notation, 0) for part in parts))
        case FormulaOperation(sign, left, right):
            level = _LEVEL[sign]
            one = _write_formula(left, names, notation, level - 1)
            other = _write_formula(right, names, notation, level if sign in "-/" else level - 1)
            said = f"{one}{notation.signs[sign]}{other}"
            return f"({said})" if level <= around else said
