"""Holds the rules of a defined service to its schema: is each element there, and does its type say what the rule wants.

Knows the model of a schema (`hub.formats.models.xsd_model`). That of an operator's schema is derived with xmlschema,
which takes a third of a second at its first use in a process: only `lienthong check`, the start and a reload do it, and
only if a service is defined.
"""

from collections.abc import Iterator, Mapping

import attrs

from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.sanitize import show_value
from hub.formats.models.xsd_model import (
    INTEGERS,
    ModelElement,
    ModelValue,
    SchemaModel,
    ValueVariety,
    find_binary_elements,
    list_elements,
)
from hub.formats.xsd_patterns import is_too_hard
from hub.language.phrases import Phrase, phrase
from hub.services.defined import (
    AmountValue,
    DayFormat,
    DayValue,
    DefinedService,
    FactRule,
    MessageRule,
    ValuePath,
    load_defined_model,
)

_LISTED = 20
_DAYS = frozenset({"date", "dateTime"})
#: The built-in types that are made of xs:decimal (XSD 1.0 part 2, 3).
_NUMBERS = INTEGERS | {"decimal"}
_BOOLEAN = frozenset({"true", "false", "1", "0"})
_IS_VALUE = phrase("an element or attribute with a value")
_IS_ELEMENT = phrase("an element")


@attrs.frozen
class CheckedService:
    """A service with what its schema says, and the mistakes that were found."""

    service: DefinedService
    mistakes: tuple[Mistake, ...]


def check_service(service: DefinedService) -> CheckedService:
    """Check the rules of *service* by its schema, and say what the schema describes."""
    place = f"services/{service.name}"
    try:
        model = load_defined_model(service)
        _ = find_binary_elements(model)
    except ConfigurationFault as fault:
        return CheckedService(
            service, tuple(attrs.evolve(each, path=f"{place}/{each.path}") for each in fault.mistakes)
        )
    mistakes = list(_find_hard_patterns(model, f"{place}/{service.schema.main}"))
    for number, rule in enumerate(service.messages):
        root = model.elements.get(rule.element)
        message = f"{place}/service.toml: message[{number}]"
        if root is None:  # libxml2 and the model do not agree
            wrong = phrase("the schema has no element {name} in a namespace", name=rule.operation)
            mistakes.append(Mistake(f"{message}.element", wrong, phrase("an element that is declared by itself")))
        else:
            _RuleCheck(message, mistakes, model, root).check_message(rule)
    return CheckedService(attrs.evolve(service, model=model), tuple(mistakes))


def _find_hard_patterns(model: SchemaModel, place: str) -> Iterator[Mistake]:
    """Yield the first pattern for which one value of a message would take a third of a second, or be refused."""
    values = [each.value for each in model.types.values() if each.value is not None]
    values += [each.value for of in model.types.values() for each in of.attributes]
    for pattern in dict.fromkeys(each for value in values for group in value.patterns for each in group):
        if is_too_hard(pattern):
            wrong = phrase("the pattern {pattern} can match a text in too many ways", pattern=pattern[:200])
            yield Mistake(place, wrong, phrase("a pattern in which each letter has one place, such as a+ for (a|aa)+"))
            return


def check_services(services: Mapping[str, DefinedService]) -> tuple[dict[str, DefinedService], list[Mistake]]:
    """Check all *services*. Return them with what their schemas say, and all mistakes."""
    checked = [check_service(each) for each in services.values()]
    found = [one for each in checked for one in each.mistakes]
    for each in services.values():  # the same rules must fit each edition
        for name, _ in each.editions:
            other = check_service(each.choose_edition(name)).mistakes
            found += [attrs.evolve(one, path=f"{one.path} (edition {name})") for one in other]
    return {each.service.name: each.service for each in checked}, found


#: The elements from the root down to one, which it is the last of.
_Line = tuple[ModelElement, ...]


@attrs.define
class _PathEnd:
    """What a path leads to: elements, each with those above it, or an attribute of such."""

    lines: list[_Line]
    value: ModelValue | None  #: its type; None: it has elements inside


@attrs.define
class _RuleCheck:
    """The check of one [[message]]."""

    place: str
    mistakes: list[Mistake]
    model: SchemaModel
    root: ModelElement

    def check_message(self, rule: MessageRule) -> None:
        top: list[_Line] = [(self.root,)]
        values = (
            ("id", rule.message_id),
            ("sender", rule.sender),
            ("subject", rule.subject),
            ("recipient", rule.recipient),
        )
        for key, path in values:
            self.check_value(key, path, top)
        if rule.corrects is not None:
            self.find("corrects", rule.corrects, top)
        items = top if rule.item is None else self.check_element("item", rule.item, top)
        self.check_value("unit", rule.unit, items)
        for path in rule.key:
            self.check_value("key", path, items)
        for number, fact in enumerate(rule.facts):
            self.check_fact(f"fact[{number}].", fact, items)

    def check_fact(self, place: str, rule: FactRule, items: list[_Line]) -> None:
        starts = items if rule.each is None else self.check_element(f"{place}each", rule.each, items)
        for key, path in (("unit", rule.unit), ("counterpart", rule.counterpart)):
            self.check_value(f"{place}{key}", path, starts)
        for path in rule.key or ():
            self.check_value(f"{place}key", path, starts)
        for name, path in rule.attributes:
            self.check_value(f"{place}attributes.{name}", path, starts)
        for condition in rule.conditions:
            key = f"{place}{'when' if condition.holds else 'unless'}"
            if condition.values is None:
                self.find(key, condition.path, starts)
            else:
                self.check_values(key, condition.path, condition.values, starts)
        self.check_day(f"{place}day", rule.day, starts)
        self.check_day(f"{place}due", rule.due, starts)
        self.check_amount(f"{place}amount", rule.amount, starts)

    def check_value(self, key: str, path: ValuePath | None, starts: list[_Line]) -> ModelValue | None:
        """Return the type of the value at *path*. Return None if there is none, which is a mistake."""
        found = self.find(key, path, starts) if path is not None else None
        if found is None or path is None:
            return None
        if found.value is None:
            self.wrong(key, phrase("{path} has elements inside", path=path.written), _IS_VALUE)
        return found.value

    def check_values(self, key: str, path: ValuePath, values: frozenset[str], starts: list[_Line]) -> None:
        """Find those of *values* that the value at *path* never is: its type lists others."""
        of = self.check_value(key, path, starts)
        known = None if of is None else _list_values(of)
        for value in () if known is None else sorted(values - known):
            self.wrong(
                key,
                phrase("{path} is never {value}", path=path.written, value=show_value(value)),
                phrase("one of {names}", names=", ".join(sorted(known or ())[:_LISTED])),
            )

    def check_day(self, key: str, value: DayValue | None, starts: list[_Line]) -> None:
        if value is None or (of := self.check_value(key, value.path, starts)) is None:
            return
        as_typed, typed = value.format is DayFormat.XSD, _name_type(of) in _DAYS
        if as_typed and not typed:
            expected = phrase("a value of xs:date or xs:dateTime, or a text and how it is written: { at = …, as = … }")
            self.wrong_type(key, value.path, of, expected)
        if typed and not as_typed:
            self.wrong_type(key, value.path, of, phrase("only the path: the type says how the day is written"))

    def check_amount(self, key: str, value: AmountValue | None, starts: list[_Line]) -> None:
        if value is None or (of := self.check_value(key, value.path, starts)) is None:
            return
        if _name_type(of) not in _NUMBERS:
            expected = phrase("a number: xs:integer, xs:decimal or a type that is made of them")
            self.wrong_type(key, value.path, of, expected)

    def check_element(self, key: str, path: ValuePath, starts: list[_Line]) -> list[_Line]:
        """Return the elements at *path*, none if it leads to an attribute or nowhere, which is a mistake."""
        if path.attribute:
            self.wrong(key, phrase("{path} is an attribute", path=path.written), _IS_ELEMENT)
            return []
        found = self.find(key, path, starts)
        return [] if found is None else found.lines

    def find(self, key: str, path: ValuePath, starts: list[_Line]) -> _PathEnd | None:
        """Return what *path* leads to from *starts*. Return None if it leads nowhere, which is a mistake."""
        if not starts:
            return None  # the element from which it begins is a mistake already
        lines: list[_Line] = [(self.root,)] if path.from_root else starts
        for step in path.steps:
            if step == "..":
                found = [line[:-1] for line in lines if len(line) > 1]
            else:
                found = [(*line, child) for line in lines for child in self.list_children(line[-1], step)]
            if not found:
                inside = sorted({each.name for line in lines for each in self.list_children(line[-1])})
                self.wrong(
                    key,
                    phrase("{path}: there is no {step}", path=path.written, step=step),
                    phrase("one of {names}", names=", ".join(inside[:_LISTED]) or "–"),
                )
                return None
            lines = found
        types = [self.model.type_of(line[-1]) for line in lines]
        if not path.attribute:
            return _PathEnd(lines, types[0].value)
        attributes = {each.name.rpartition("}")[2]: each.value for of in types for each in of.attributes}
        if path.attribute in attributes:
            return _PathEnd(lines, attributes[path.attribute])
        known = sorted(attributes)
        self.wrong(
            key,
            phrase("{path}: there is no such attribute", path=path.written),
            phrase("one of {names}", names=", ".join(known[:_LISTED]) or "–"),
        )
        return None

    def list_children(self, element: ModelElement, name: str | None = None) -> Iterator[ModelElement]:
        """Yield the elements that *element* may contain; with *name* those with this local name."""
        group = self.model.type_of(element).group
        for each in list_elements(group) if group is not None else ():
            if name is None or each.name == name:
                yield each

    def wrong_type(self, key: str, path: ValuePath, of: ModelValue, expected: Phrase) -> None:
        self.wrong(key, phrase("{path} is of the type {name}", path=path.written, name=_name_type(of)), expected)

    def wrong(self, key: str, wrong: Phrase, expected: Phrase) -> None:
        self.mistakes.append(Mistake(f"{self.place}.{key}", wrong, expected))


def _name_type(of: ModelValue) -> str:
    """Return the name of the built-in type that the type *of* is made of; `list` or `union` if it is made of several."""
    return of.builtin if of.variety is ValueVariety.ATOMIC else str(of.variety)


def _list_values(of: ModelValue) -> frozenset[str] | None:
    """Return the only values that the type *of* allows. Return None if it has no list of them."""
    return _BOOLEAN if of.builtin == "boolean" else of.values
