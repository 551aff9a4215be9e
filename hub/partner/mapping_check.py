"""Compares a mapping with the WSDL that it is for: operations, paths, and what is not mapped.

Knows both. Builds nothing: a request of a sample message shows what only values show. Does not know a partner.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import phrase
from hub.partner.call_nodes import Misplaced
from hub.partner.mapping_values import AnswerPath, Step
from hub.partner.soap_mapping import MappedStep, SoapMapping

if TYPE_CHECKING:
    from hub.partner.partner_calls import PartnerOperation

#: The steps of a path that lead into a text, which no schema describes.
_INNER = {"xml()", "json()"}


def find_mapping_mistakes(mapping: SoapMapping, name: str, files: Mapping[str, bytes]) -> list[Mistake]:
    """Return every place of the *mapping*, whose file is *name*, that does not fit its WSDL among *files*.

    Named are operations that there are not, paths that the request, the header or the answer cannot have, and required
    elements for which nothing is given. Takes 0.2 s and more the first time: call it in a thread.
    """
    from hub.partner.partner_calls import load_service  # zeep: 0.2 s and 11 MB

    needed = {each: files[each] for each in mapping.files}
    try:
        service = load_service(needed, mapping.file, mapping.service, mapping.port)
    except ConfigurationFault as fault:
        return list(fault.mistakes)
    found: list[Mistake] = []
    for step in mapping.steps:
        try:
            operation = service.operation(step.operation)
        except Misplaced as misplaced:
            found.append(Mistake(f"{name}: {step.place}.operation", misplaced.wrong, misplaced.expected))
            continue
        found += _find_misplaced(step, operation, f"{name}: {step.place}")
        found += _find_unmapped(step, operation, f"{name}: {step.place}")
    return found


def _find_misplaced(step: MappedStep, operation: "PartnerOperation", place: str) -> Iterator[Mistake]:
    """Yield each path of *step* that the operation does not have."""
    for field in step.input:
        yield from _judge_place(f'{place}.input."{field.written}"', operation.require_input, field.path)
    for field in step.header:
        yield from _judge_place(f'{place}.header."{field.written}"', operation.require_header, field.path)
    for each in step.lists:
        yield from _judge_place(f'{place}.list."{each.written}"', operation.require_input, each.path)
        for field in each.fields:
            path = (*each.path, *field.path)
            yield from _judge_place(
                f'{place}.list."{each.written}".input."{field.written}"', operation.require_input, path
            )
    for key, read in _list_answer_paths(step):
        if read.part == "body" and step.list is None:
            described = list(takewhile(lambda each: each.name not in _INNER, read.steps))
            yield from _judge_place(f"{place}.{key}", operation.require_answer, described)


def _judge_place(place: str, require: Callable[[Sequence[Step]], None], path: Sequence[Step]) -> Iterator[Mistake]:
    try:
        require(path)
    except Misplaced as misplaced:
        yield Mistake(place, misplaced.wrong, misplaced.expected)


def _list_answer_paths(step: MappedStep) -> Iterator[tuple[str, AnswerPath]]:
    """Yield each path of *step* in the answer, with its key."""
    if step.keep is not None:
        for name, path in step.keep.values.items():
            yield f"keep.{name}", path
        if isinstance(step.keep.life, AnswerPath):
            yield "keep.for-seconds", step.keep.life
    for number, rule in enumerate(step.outcomes, 1):
        for condition in rule.when:
            yield f'outcome[{number}].when."{condition.path.written}"', condition.path
        for path in rule.reasons:
            yield f"outcome[{number}].reason", path
        if isinstance(rule.after, AnswerPath):
            yield f"outcome[{number}].after", rule.after
    for name, path in step.answer:
        yield f"answer.{name}", path
    for key in ("list", "cursor", "content"):
        path_of = getattr(step, key)
        if path_of is not None:
            yield key, path_of


def _find_unmapped(step: MappedStep, operation: "PartnerOperation", place: str) -> Iterator[Mistake]:
    """Yield each required part of the request that *step* gives no value."""
    given = [_write_unnumbered(field.path) for field in step.input]
    given += [_write_unnumbered((*each.path, *field.path)) for each in step.lists for field in each.fields]
    given += [_write_unnumbered(each.path) for each in step.lists]
    for field in operation.list_fields():
        if field.required and not any(_covers_needed(each, field.path) for each in given):
            wrong = phrase("nothing is given for {path}, which is required", path=field.path)
            yield Mistake(f'{place}.input."{field.path}"', wrong, phrase("a value: {type}", type=field.type))


def _write_unnumbered(path: Sequence[Step]) -> str:
    """Return *path* without numbers."""
    return "/".join(each.name for each in path) or "."


def _covers_needed(given: str, needed: str) -> bool:
    """Tell whether a value at *given* is a value for *needed*: the text of an element may be written with or without `/.`"""
    return given == needed or given.removesuffix("/.") == needed.removesuffix("/.")
