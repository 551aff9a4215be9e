"""Calls one operation of a mapped partner by hand, and tries the requests of a delivery without sending them.

Knows how a step is made of what a person gives. How a conversation is held, `hub.partner.mapped_conversation` knows.
"""

from datetime import datetime

import attrs

from hub.domain.conversations import Request, Unavailable
from hub.domain.errors import Mistake
from hub.formats import safe_xml
from hub.language.phrases import phrase, verbatim
from hub.partner.call_nodes import Misplaced
from hub.partner.hand_calls import HandAnswer, HandCall, HandValues, RehearsalFlaw, UnfitCall
from hub.partner.mapped_calls import write_mapped_call
from hub.partner.mapped_conversation import PartnerConversation, PartnerCourse, applies
from hub.partner.mapping_values import Found, Placeholder, Sources, Unfit, Unwritten, Value, read_path, read_value
from hub.partner.soap_mapping import Field, MappedStep, SoapMapping, Then
from hub.soap.wsdl_validation import find_schema_flaws

#: What a value may use without a message.
_SOURCES = ("settings.", "secrets.", "url", "partner", "now")
_SHOWN = 300  #: maximum characters of zeep's own words in a mistake
#: What stands in the place of a value that an earlier step would have kept.
_MADE_UP = "1"


def build_by_hand(talk: PartnerConversation, operation: str, values: HandValues, now: datetime) -> Request:
    """Return the request of *operation*, without what a token server gives. Raises UnfitCall."""
    step, files = _make_step(talk.mapping, operation, values)
    body, headers = _write_call(talk, step, talk.make_sources(now, files), now)
    return Request(talk.terms.url, body, headers)


def call_by_hand(talk: PartnerConversation, operation: str, values: HandValues, now: datetime) -> HandCall:
    """Hold the conversation of one call. Raises UnfitCall, before anything is sent."""
    step, files = _make_step(talk.mapping, operation, values)
    last = next((each.operation for each in reversed(talk.mapping.deliver)), operation)
    course = PartnerCourse((step,), talk.make_sources(now, files), now, lasting=operation != last)
    _ = _write_call(talk, step, course.sources, now)
    try:
        ended = yield from talk.hold(course)
    except Unfit as unfit:
        raise UnfitCall(verbatim(unfit)) from None
    if isinstance(ended, Unavailable):
        return HandAnswer(status=0, trouble=ended.detail)
    judged, answer = ended
    if answer is None:  # the step was not taken
        return HandAnswer(status=0, trouble="no answer")
    said = [] if answer.fault is None else [answer.fault.code, answer.fault.subcode, answer.fault.text]
    delivers = any(each.operation == operation for each in talk.mapping.deliver)
    return HandAnswer(
        status=answer.status,
        fault=" ".join(filter(None, said)),
        trouble="" if judged.then in {Then.NEXT, Then.ACCEPTED} else answer.trouble,
        verified=talk.mapping.security.verify and answer.child is not None,
        then=judged.then.value if delivers else "",
    )


def rehearse_delivery(talk: PartnerConversation, sources: Sources, name: str, now: datetime) -> list[RehearsalFlaw]:
    """Return what is wrong with the requests that the steps of a delivery would make of *sources*.

    *name* is the name of the mapping's file. A value that an earlier step would have kept is made up, so what a schema
    says of it is not told.
    """
    found = list[RehearsalFlaw]()

    def tell(step: MappedStep, error: object, *, always: bool) -> None:
        wrong = phrase("the request of a sample message: {error}", error=error)
        mistake = Mistake(f"{name}: {step.place}", wrong, phrase("a request that the WSDL allows"))
        found.append(RehearsalFlaw(mistake, always))

    for step in talk.mapping.deliver:
        sources.fixed |= {f"kept.{each}": _MADE_UP for each in (step.keep.values if step.keep else ())}
    files = {each: talk.terms.files[each] for each in talk.mapping.files}
    for step in talk.mapping.deliver:
        if not applies(step, sources):
            continue
        try:
            body, _ = _write_call(talk, attrs.evolve(step, mtom=False), sources, now)
        except UnfitCall as unfit:
            tell(step, unfit.why, always=unfit.misplaced)
            continue
        except Exception as error:  # noqa: BLE001 - what zeep makes of a schema that it does not expect stops no hub
            tell(step, f"{type(error).__name__}: {error}"[:_SHOWN], always=False)
            continue
        made_up = {each.path[-1].name for each in step.input if each.value.uses("kept")}
        called = safe_xml.parse_safe_xml(body).find("{*}Body/*")
        for flaw in [] if called is None else find_schema_flaws(files, called):
            if flaw.name not in made_up:
                tell(step, flaw.said, always=False)
    return found


def _write_call(
    talk: PartnerConversation, step: MappedStep, sources: Sources, now: datetime
) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """Return the body and the header fields of the call of *step*. Raises UnfitCall for what does not fit the WSDL."""
    try:
        operation = talk.service.operation(step.operation)
        return write_mapped_call(talk.mapping, step, operation, sources, talk.terms.identity, now)
    except Misplaced as misplaced:
        why = phrase("{wrong} ({expected})", wrong=misplaced.wrong, expected=misplaced.expected)
        raise UnfitCall(why, misplaced=True) from None
    except Unfit as unfit:
        raise UnfitCall(verbatim(unfit)) from None


def _make_step(mapping: SoapMapping, operation: str, values: HandValues) -> tuple[MappedStep, dict[str, Found]]:
    """Return the step that calls *operation* with *values*, and what their files stand for, by source.

    Of the mapping's own step for the operation stays what needs no message, unless a value is given for its path.
    Raises UnfitCall for a path or a value that cannot be read.
    """
    mapped = next((each for each in mapping.steps if each.operation == operation), None)
    files: dict[str, Found] = {}
    given: list[Field] = []
    for number, (key, value) in enumerate(values.items()):
        try:
            path = read_path(key, wildcard=True)
            if isinstance(value, bytes):
                files[f"file.{number}"] = value
                read = Value((Placeholder(f"file.{number}"),))
            else:
                read = read_value(value, _SOURCES)
        except Unwritten as unwritten:
            why = phrase("{key}: {wrong} ({expected})", key=key, wrong=unwritten.wrong, expected=unwritten.expected)
            raise UnfitCall(why) from None
        given.append(Field(path, read, key))
    if mapped is None:
        return MappedStep(place="call", operation=operation, input=tuple(given)), files
    paths = {each.path for each in given}
    kept = [each for each in mapped.input if each.path not in paths and _is_known(each.value)]
    step = attrs.evolve(
        mapped,
        input=(*kept, *given),
        header=tuple(each for each in mapped.header if _is_known(each.value)),
        http=tuple((name, value) for name, value in mapped.http if _is_known(value)),
        lists=(),
        only=(),
        keep=None,
    )
    return step, files


def _is_known(value: Value) -> bool:
    """Tell whether *value* is known without a message."""
    return all(place.source.startswith(_SOURCES) for place in value.placeholders)
