"""Reads a message of a service that the configuration defines into its record, by the rules of its `service.toml`.

Every message is validated by the service's schema first: a call at the port, any other message here. Does not know who
may send it, or what earlier messages said.

The cost is bounded: by the schema check (`hub.soap.wsdl`), by `MOST_ITEMS` items and by `MOST_FACTS` facts.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from functools import partial

import attrs
from lxml import etree

from hub.domain.errors import Rejected, shorten_detail
from hub.domain.local_time import HANOI
from hub.domain.model import Fact, Problem, Record
from hub.formats import safe_xml, xsd_types
from hub.language.phrases import Phrase, phrase
from hub.services import Service
from hub.services.defined import (
    AmountValue,
    DayFormat,
    DayValue,
    DefinedService,
    FactRule,
    MessageRule,
    Repetition,
    ValueCondition,
    ValuePath,
    load_defined_contract,
)

MOST_ITEMS = 2_000  #: items of one message
MOST_FACTS = 50_000  #: facts of one message: `hub.journal.duties.MOST_FACTS`
#: Characters of a key, a unit, a counterpart and the value of an attribute: PostgreSQL indexes no longer ones.
LONGEST = 255
_LARGEST = 999_999_999  #: the largest amount
_PROBLEMS = 20  #: maximum problems that one refusal names
_FEW = 16  #: children that may be looked through again
#: The days that a fact may state: no system of today wrote any before 2000, and others are mistakes of typing.
_FIRST_DAY, _LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)
_LONGEST_SUBJECT = 300
_DAYS = {
    DayFormat.XSD: re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?", re.ASCII),
    DayFormat.COMPACT: re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})[0-9]{0,6}", re.ASCII),
}
#: A number as `xs:decimal` writes it: where the schema lets any element in (`xs:any`), it has not judged the text.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)
_DIGITS = 100  #: the most characters of a number
_EXACT = Context(prec=2 * _DIGITS)
_SLASHED = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", re.ASCII)

_Element = etree._Element  # noqa: SLF001 - lxml has no other name


def read_defined_message(
    defined: DefinedService, content: bytes, at: datetime, message: str, *, validated: bool = False
) -> Record:
    """Read a message of *defined* into its record. *validated*: the call that brought it was valid by the schema.

    Raises Rejected with `contract-broken` for each mistake that the schema shows, else with every problem by its path
    (`N.` empty, `T.` of the wrong type, `R.` out of range). Raises as `parse_safe_xml` does if the content is not sound
    XML.
    """
    root = safe_xml.parse_safe_xml(content)
    rule = defined.find_rule(root.tag)
    if rule is None:
        raise Rejected(Problem("contract-broken", str(root.tag)[:200]))
    if not validated:
        _validate_any(defined, root)
    return _Reading(defined, rule, root, content, at, message).read()


def _validate_any(defined: DefinedService, root: _Element) -> None:
    """Validate a message by the main edition of the schema, or else by another. Raises what the main one finds."""
    try:
        _ = load_defined_contract(defined).validate(root)
    except Rejected:
        for name, _ in defined.editions:
            try:
                _ = load_defined_contract(defined.choose_edition(name)).validate(root)
            except Rejected:
                continue
            return
        raise


@attrs.define
class _Reading:
    """One message and the problems found in it."""

    defined: DefinedService
    rule: MessageRule
    root: _Element
    content: bytes
    at: datetime
    message: str
    problems: list[Problem] = attrs.field(factory=list)
    suffix: str = ""  #: of each key that counts beside what was told before
    constant: dict[str, list[tuple[_Element, str]]] = attrs.field(factory=dict)  #: what paths from the root lead to
    #: what paths that go up first lead to, by the element that they go up to: the same for all items below it
    above: dict[tuple[_Element, str], list[tuple[_Element, str]]] = attrs.field(factory=dict)
    #: the element whose children were looked for last, its children by local name, and those of each large element, so
    #: that no step of a path looks at many children again
    nearest: _Element | None = None
    children: dict[str, list[_Element]] = attrs.field(factory=dict)
    large: dict[_Element, dict[str, list[_Element]]] = attrs.field(factory=dict)

    def read(self) -> Record:
        rule = self.rule
        corrects = rule.corrects is not None and bool(self.find(self.root, rule.corrects))
        if corrects or rule.repetition is Repetition.EACH:
            self.suffix = f"#{hashlib.sha256(self.content).hexdigest()[:16]}"
        sender = self.code(self.root, rule.sender)
        items = [self.root] if rule.item is None else list(self.select(self.root, rule.item))
        if len(items) > MOST_ITEMS:
            raise Rejected(
                Problem("too-many-facts", phrase("{count} items; at most {most}", count=len(items), most=MOST_ITEMS))
            )
        facts: dict[tuple[str, str, str], Fact] = {}
        keys: dict[str, None] = {}
        for item in items:
            key = self.key(item, rule.key)
            keys[key] = None
            unit = sender if rule.unit is None else self.code(item, rule.unit)
            for fact in self.read_facts(item, unit, key, corrects=corrects):
                name = (fact.unit, fact.key, fact.milestone)
                if name in facts:
                    self.refuse(
                        "M", item, None, phrase("{key} is told twice as {milestone}", key=key, milestone=fact.milestone)
                    )
                facts[name] = fact
                if len(facts) > MOST_FACTS:
                    raise Rejected(Problem("too-many-facts", f"> {MOST_FACTS}"))
            if len(self.problems) >= _PROBLEMS:
                break
        recipients = self.read_recipients()
        if self.problems:
            raise Rejected(*self.problems)
        return Record(
            kind=rule.kind,
            sender=sender,
            keys=tuple(keys),
            subject=self.describe(tuple(keys)),
            facts=tuple(facts.values()),
            recipients=recipients,
        )

    def read_facts(self, item: _Element, unit: str, key: str, *, corrects: bool) -> Iterator[Fact]:
        rules = [rule for rule in self.rule.facts if rule.amount is not None] if corrects else self.rule.facts
        for rule in rules:  # a correction is a difference between numbers; what has none cannot be corrected
            for each in [item] if rule.each is None else list(self.select(item, rule.each)):
                fact = self.read_fact(each, rule, unit, key, corrects=corrects)
                if fact is not None:
                    yield fact

    def read_fact(self, item: _Element, rule: FactRule, unit: str, key: str, *, corrects: bool) -> Fact | None:
        if not all(self.holds(item, each) for each in rule.conditions):
            return None
        day, due = self.day(item, rule.day), self.day(item, rule.due, later=True)
        amount = 1 if rule.amount is None else self.amount(item, rule.amount, corrects=corrects)
        if amount is None or (rule.day is not None and day is None):
            return None
        attributes = ((name, self.text(item, path)) for name, path in rule.attributes)
        return Fact(
            unit=unit if rule.unit is None else self.code(item, rule.unit),
            service=self.defined.name,
            key=(key if rule.key is None else self.key(item, rule.key)) + self.suffix,
            milestone=rule.milestone,
            at=self.at,
            message=self.message,
            day=day,
            due=due,
            amount=amount,
            counterpart="" if rule.counterpart is None else self.text(item, rule.counterpart),
            attributes=tuple(sorted((name, text) for name, text in attributes if text)),
        )

    def read_recipients(self) -> tuple[str, ...] | None:
        """Return the units that the message is for. Return None if the service does not name them."""
        path = self.rule.recipient
        if path is None:
            return None
        found = tuple(dict.fromkeys(text for _, text in self.find(self.root, path) if text))
        if not found:
            self.refuse("N", self.root, path, phrase("it is empty"))
        return found

    def describe(self, keys: tuple[str, ...]) -> str:
        """Return the subject of the message, for lists and searches."""
        said = self.text(self.root, self.rule.subject) if self.rule.subject is not None else ""
        if not said:
            said = keys[0] if len(keys) == 1 else f"{self.rule.name.vi}: {len(keys)}"
        return said[:_LONGEST_SUBJECT]

    # --- values ---

    def select(self, start: _Element, path: ValuePath) -> Iterator[_Element]:
        """Yield the elements at *path* from *start*, in document order."""
        found = [self.root if path.from_root else start]
        for step in path.steps:
            if step == "..":
                above = (self.root if each is self.root else each.getparent() for each in found)
                found = [each for each in dict.fromkeys(above) if each is not None]
            else:
                found = [child for each in found for child in self.list_children(each, step)]
        yield from found

    def list_children(self, element: _Element, name: str) -> Sequence[_Element]:
        """Return the children of *element* with the local *name*."""
        if element is not self.nearest:
            found = self.large.get(element)
            if found is None:
                found = {}
                for child in element.iterchildren("*"):
                    tag: str = child.tag
                    found.setdefault(tag[tag.find("}") + 1 :], []).append(child)
                if len(element) > _FEW:
                    self.large[element] = found
            self.nearest, self.children = element, found
        return self.children.get(name, ())

    def find(self, start: _Element, path: ValuePath) -> list[tuple[_Element, str]]:
        """Return the elements at *path* and the text of each, without white space around it."""
        if path.only:
            return [(each, xsd_types.read_xs_token(each)) for each in self.list_children(start, path.only)]
        if path.from_root:
            if path.written not in self.constant:
                self.constant[path.written] = self.read_all(start, path)
            return self.constant[path.written]
        if path.steps[:1] != ("..",):
            return self.read_all(start, path)
        top = (self.climb(start, path.steps.count("..")), path.written)
        if top not in self.above:
            self.above[top] = self.read_all(start, path)
        return self.above[top]

    def climb(self, start: _Element, steps: int) -> _Element:
        """Return the element that is *steps* above *start*, at most the root."""
        for _ in range(steps):
            above = start.getparent()
            if start is self.root or above is None:
                break
            start = above
        return start

    def read_all(self, start: _Element, path: ValuePath) -> list[tuple[_Element, str]]:
        """Return the elements at *path* and the text of each, as `find` does that keeps some."""
        found = []
        for each in self.select(start, path):
            if not path.attribute:
                found.append((each, xsd_types.read_xs_token(each)))
            elif (value := _get_attribute(each, path.attribute)) is not None:
                found.append((each, " ".join(value.split())))
        return found

    def find_first(self, start: _Element, path: ValuePath) -> tuple[_Element, str]:
        """Return the first element at *path* and its text. Return *start* and an empty text if there is none."""
        found = self.find(start, path)
        return found[0] if found else (start, "")

    def text(self, start: _Element, path: ValuePath) -> str:
        """Return the first text at *path*; empty if there is none. One that is too long is a problem."""
        element, text = self.find_first(start, path)
        if len(text) > LONGEST:
            self.refuse("R", element, None, phrase("longer than {most} characters", most=LONGEST))
        return text[:LONGEST]

    def code(self, start: _Element, path: ValuePath) -> str:
        """Return the text at *path*, which must not be empty."""
        text = self.text(start, path)
        if not text:
            self.refuse("N", start, path, phrase("it is empty"))
        return text

    def key(self, start: _Element, paths: tuple[ValuePath, ...]) -> str:
        """Return the values at *paths* as one key: a single value as it is, several as a list in JSON."""
        texts = [self.code(start, path) for path in paths]
        key = texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
        if len(key) > LONGEST:
            self.refuse("R", start, paths[0], phrase("longer than {most} characters", most=LONGEST))
        return key

    def holds(self, item: _Element, condition: ValueCondition) -> bool:
        texts = [text for _, text in self.find(item, condition.path)]
        met = bool(texts) if condition.values is None else any(text in condition.values for text in texts)
        return met is condition.holds

    def day(self, item: _Element, value: DayValue | None, *, later: bool = False) -> date | None:
        """Return the day at *value*, None if there is none. Only with *later* it may be in the future."""
        if value is None:
            return None
        element, text = self.find_first(item, value.path)
        if not text:
            return None
        day = parse_day(text, value.format)
        if day is None:
            self.refuse("T", element, None, phrase("{text} is not a day", text=text[:50]))
            return None
        if not _FIRST_DAY <= day <= _LAST_DAY:
            outside = phrase("{day} is not from {first} to {last}", day=day, first=_FIRST_DAY, last=_LAST_DAY)
            self.refuse("R", element, None, outside)
            return None
        if not later and day > self.at.astimezone(HANOI).date():
            self.refuse("R", element, None, phrase("it is in the future"))
        return day

    def amount(self, item: _Element, value: AmountValue, *, corrects: bool) -> int | None:
        """Return the amount at *value*, None if there is none."""
        element, text = self.find_first(item, value.path)
        if not text:
            return None
        whole = None
        if len(text) <= _DIGITS and _NUMBER.fullmatch(text):
            number = _EXACT.multiply(Decimal(text), Decimal(value.times))
            whole = int(number) if abs(number) <= _LARGEST and number == int(number) else None
        if whole is None:
            reason = phrase(
                "{text} times {times} is no whole number of at most nine digits", text=text[:50], times=value.times
            )
            self.refuse("T", element, None, reason)
        elif whole < 0 and not corrects:
            self.refuse("R", element, None, phrase("negative; only a correction may have negative figures"))
        return whole

    def refuse(self, letter: str, start: _Element, path: ValuePath | None, why: Phrase) -> None:
        """Note a problem of the element *start*, or of what should be at *path* from it."""
        if len(self.problems) >= _PROBLEMS:
            return
        place = self.place(start)
        if path is not None:
            place = path.written if path.from_root else f"{place}/{path.written}"
        self.problems.append(Problem(f"{letter}.{place}", shorten_detail(why, 300)))

    def place(self, element: _Element) -> str:
        """Return the path of *element*, with an index where several of its name stand side by side."""
        steps: list[str] = []
        while element is not self.root and (parent := element.getparent()) is not None:
            alike = list(parent.iterchildren(str(element.tag)))
            index = f"[{alike.index(element) + 1}]" if len(alike) > 1 else ""
            steps.append(etree.QName(element).localname + index)
            element = parent
        return "/".join(["", self.rule.operation, *reversed(steps)])


def _get_attribute(element: _Element, name: str) -> str | None:
    """Return the attribute of *element* with the local *name*: that without a namespace, or else the first."""
    value = element.get(name)
    if value is None:
        value = next((str(each) for key, each in element.attrib.items() if str(key).rpartition("}")[2] == name), None)
    return value


def parse_day(text: str, form: DayFormat) -> date | None:
    """Return the day that *text* says. Return None if it says none.

    A time with an offset means its day in Hà Nội; an `xs:date` is the day as it is written.
    """
    try:
        if form is DayFormat.SLASHED:
            found = _SLASHED.fullmatch(text)
            return None if found is None else date(int(found[3]), int(found[2]), int(found[1]))
        if form is DayFormat.XSD and "T" in text:
            moment = datetime.fromisoformat(text)
            return moment.date() if moment.tzinfo is None else moment.astimezone(UTC).astimezone(HANOI).date()
        found = _DAYS[form].fullmatch(text)
        return None if found is None else date(*map(int, found.groups()))
    except (ValueError, OverflowError):  # no such calendar day
        return None


def make_defined_service(defined: DefinedService, *, validated: bool = False) -> Service:
    """Return *defined* as the hub reads services. *validated*: what is read was validated by the contract already."""
    return Service(
        name=defined.name,
        read=partial(read_defined_message, defined, validated=validated),
        milestones=frozenset(dict(defined.milestones)),
        attributes=defined.attributes,
        undelivered_kinds=frozenset(each.kind for each in defined.messages if not each.delivered),
        operations_by_name=frozenset(each.operation for each in defined.messages if each.by_name),
        may_report_any_unit=defined.tells,
    )
