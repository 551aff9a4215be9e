"""A partner by its WSDL: the conversations that a mapping describes.

Knows the order of steps, what is kept, when to log in again, and what an answer means where the mapping does not say.
Knows no partner, no HTTP and no journal. README.md says where the dialects come from.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

import attrs
from lxml import etree

from adapters.soap.by_hand import build_by_hand, call_by_hand, rehearse_delivery
from adapters.soap.collecting import collect_open_documents
from hub.domain.conversations import Accepted, Collection, Conversation, Inquest, Query, Refused, Request, Unavailable
from hub.domain.errors import ConfigurationFault, Mistake, Rejected
from hub.domain.model import Consignment
from hub.formats import safe_xml
from hub.language.phrases import phrase
from hub.partner.adapter_settings import MAPPING, Setting, Terms
from hub.partner.hand_calls import HandCall, HandValues, RehearsalFlaw
from hub.partner.mapped_conversation import LONGEST_REASON, STEP_COST, PartnerConversation, PartnerCourse, applies
from hub.partner.mapping_check import find_mapping_mistakes
from hub.partner.mapping_reading import read_mapping
from hub.partner.mapping_values import Found, Sources, Unfit
from hub.partner.secret_trials import SecretTrial
from hub.partner.soap_mapping import IDENTIFYING

ANY_SERVICE = True  #: see `adapters.carries_any_service`
SETTINGS = (
    Setting(MAPPING, file=True, like=r"[^\s/][^\s]*\.toml", expected=phrase("a mapping, such as CODE/mapping.toml")),
)


def list_settings(given: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[Setting, ...]:
    """Return the settings that the mapping names. A mapping with mistakes names none."""
    try:
        texts, secrets = read_mapping(*_find_mapping(given, files)).names
    except ConfigurationFault:
        return ()
    return (
        *(Setting(name, expected=phrase("a text, which the mapping uses")) for name in texts if name != MAPPING),
        *(
            Setting(name, secret=True, expected=phrase("a file that holds the secret and nothing else"))
            for name in secrets
        ),
    )


def find_mistakes(given: Mapping[str, str], files: Mapping[str, bytes]) -> Sequence[Mistake]:
    """Return the mistakes in the mapping, and what of it does not fit the WSDL."""
    try:
        content, name = _find_mapping(given, files)
        mapping = read_mapping(content, name)
    except ConfigurationFault as fault:
        return fault.mistakes
    return find_mapping_mistakes(mapping, name, files)


def list_conversations(given: Mapping[str, str], files: Mapping[str, bytes]) -> frozenset[str] | None:
    """Return which conversations the mapping describes, None if it cannot be read. See `adapters.list_conversations`."""
    try:
        mapping = read_mapping(*_find_mapping(given, files))
    except ConfigurationFault:
        return None
    named = [("deliver", mapping.deliver), ("collect", mapping.collect)]
    held = {name for name, steps in named if steps}
    return frozenset(held | {f"ask.{operation}" for operation, steps in mapping.ask.items() if steps})


def _find_mapping(given: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[bytes, str]:
    name = given.get(MAPPING, "mapping.toml").rpartition("/")[2]
    if name not in files:
        raise ConfigurationFault([Mistake(name, phrase("is missing"), phrase("the file that settings.mapping names"))])
    return files[name], name


@attrs.frozen
class SoapPartner:
    """One partner with a mapping."""

    talk: PartnerConversation
    step_cost: int = STEP_COST

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Hold the conversation of `[[deliver]]`. Repetitions give the partner the same `message.id`."""
        sources = self._make_sources(consignment, now)
        steps = self.talk.mapping.deliver
        unsure = consignment.unsure is not None
        course = PartnerCourse(steps, sources, now, message=consignment.message.id, unsure=unsure)
        if not steps:
            return Unavailable("the mapping has no [[deliver]]")
        if not any(step.hands_over and applies(step, sources) for step in steps):
            return Refused(
                f"no step of the mapping sends a {consignment.message.kind} of {consignment.message.service}"
            )
        taken = [value for step in steps if applies(step, sources) for value in step.values]
        if len(consignment.recipients) > 1 and any(value.uses("recipient") for value in taken):
            return Refused("the mapping names one recipient in each call", consignment.recipients[1:])
        try:
            ended = yield from self.talk.hold(course)
        except Unfit as unfit:
            return Refused(f"the message does not fit the partner: {unfit}"[:LONGEST_REASON])
        if isinstance(ended, Unavailable):
            return ended
        outcome = ended[0].outcome(now)
        if isinstance(outcome, Accepted | Refused):  # a person who replays it wants all steps again
            self.talk.forget_message(course, items=isinstance(outcome, Accepted))
        named = any(value.uses(*IDENTIFYING) for step in steps if step.hands_over for value in step.values)
        if isinstance(outcome, Accepted) and course.repeated and not named:
            return attrs.evolve(outcome, twice=True)
        return outcome

    def ask(self, query: Query, now: datetime) -> Inquest:
        """Hold the conversation of `[[ask.OPERATION]]`."""
        return self.talk.ask(query, now)

    def build_by_hand(self, operation: str, values: HandValues, now: datetime) -> Request:
        """Return the request of *operation*. Raises UnfitCall."""
        return build_by_hand(self.talk, operation, values, now)

    def call_by_hand(self, operation: str, values: HandValues, now: datetime) -> HandCall:
        """Hold the conversation of one call. Raises UnfitCall."""
        return call_by_hand(self.talk, operation, values, now)

    def try_secret(self, now: datetime) -> SecretTrial | None:
        """Request a token, if the mapping has `[security.oauth2]`. A login of its own may end a session: it is not tried."""
        return self.talk.try_token(now)

    def rehearse(self, consignment: Consignment, now: datetime) -> list[RehearsalFlaw]:
        """Return what is wrong with the requests that a delivery of *consignment* would make. Sends nothing."""
        _, name = _find_mapping(self.talk.terms.settings, self.talk.terms.files)
        sources = self._make_sources(consignment, now)
        return rehearse_delivery(self.talk, sources, name, now)

    def _make_sources(self, consignment: Consignment, now: datetime) -> Sources:
        sources = self.talk.make_sources(now, _describe_message(consignment))
        sources.root = cache(lambda: _parse_reply(consignment.content))
        return sources


@attrs.frozen
class CollectingSoapPartner(SoapPartner):
    """One partner with a mapping that collects."""

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Hold the conversation of `[[collect]]`: list, fetch, confirm. See `collect_open_documents`."""
        return collect_open_documents(self.talk, cursor, now)


def adapter(terms: Terms) -> SoapPartner:
    """Return the adapter of one partner. Raises ConfigurationFault for a mapping that cannot be read."""
    mapping = read_mapping(*_find_mapping(terms.settings, terms.files))
    kind = CollectingSoapPartner if mapping.collect else SoapPartner
    return kind(PartnerConversation(terms, mapping))


def _parse_reply(content: bytes) -> etree._Element:
    try:
        return safe_xml.parse_safe_xml(content, limits=safe_xml.Limits(plain=frozenset()))
    except Rejected as rejected:
        raise Unfit(f"xml: {rejected}") from rejected


def _describe_message(consignment: Consignment) -> dict[str, Found]:
    message, named = consignment.message, consignment.written
    said: dict[str, Found | None] = {
        "message.id": message.id,
        "message.message-id": message.message_id,
        "message.service": message.service,
        "message.kind": message.kind,
        "message.partner": message.partner,
        "message.sender": message.sender,
        "message.document-id": message.document_id,
        "message.code": message.code,
        "message.subject": message.subject,
        "message.received-at": message.received_at,
        "message.sha256": message.sha256,
        "message.size": str(message.size),
        "recipient": named[0] if named else None,
        "recipients": tuple(named),
        "again": "true" if consignment.again else "false",
        "content": consignment.content,
    }
    return {source: found for source, found in said.items() if found is not None}
