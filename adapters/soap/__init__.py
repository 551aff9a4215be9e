"""A partner by its WSDL: the conversations that a mapping describes.

Knows the order of steps, what is kept, when to log in again, and what an answer means where the mapping does not say.
Knows no partner, no HTTP and no journal. README.md says where the dialects come from.
"""

import base64
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache

import attrs
from lxml import etree

from adapters.soap.tokens import ask_token
from hub.domain.errors import ConfigurationFault, Mistake, Rejected
from hub.domain.model import (
    Accepted,
    Answer,
    Consignment,
    Conversation,
    Inquest,
    Outcome,
    Postponed,
    Query,
    Refused,
    Reply,
    Request,
    Unavailable,
)
from hub.formats import safe_xml
from hub.formats.streamed_xml import Loads
from hub.language.phrases import phrase
from hub.partner.adapter_settings import Setting, Terms
from hub.partner.mapping_values import Found, Sources, Unfit, Value, evaluate_value, list_items, write_text
from hub.partner.reply_parsing import may_have_taken, retry_after
from hub.partner.soap_mapping import (
    IDENTIFYING,
    KeptValues,
    MappedStep,
    OutcomeRule,
    SoapMapping,
    Then,
    find_file_mistakes,
    read_mapping,
)
from hub.security.username_token import build_username_token
from hub.soap import attachments, envelope
from hub.soap.attachments import Carriage, Manner
from hub.soap.envelope import SOAP12
from hub.soap.partner_answers import NO_ANSWER, PartnerAnswer, read_answer
from hub.soap.partner_calls import CallNode, PartnerOperation, load_service

SETTINGS = (
    Setting("mapping", file=True, like=r"[^\s/][^\s]*\.toml", expected=phrase("a mapping, such as CODE/mapping.toml")),
)

#: A kept value is dropped this long before its time, because the call that carries it takes time too.
_MARGIN = timedelta(seconds=30)
#: Maximum life of a kept value, whatever the partner says.
_LONGEST = timedelta(days=30)
_REPLY_LIMIT, _CONTENT_LIMIT = 4 << 20, 48 << 20
_LONGEST_REASON = 2000
_DENIED = {401, 403}


def list_settings(given: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[Setting, ...]:
    """Return the settings that the mapping names. A mapping with mistakes names none."""
    try:
        texts, secrets = read_mapping(*_find_mapping(given, files)).names
    except ConfigurationFault:
        return ()
    return (
        *(Setting(name, expected=phrase("a text, which the mapping uses")) for name in texts if name != "mapping"),
        *(
            Setting(name, secret=True, expected=phrase("a file that holds the secret and nothing else"))
            for name in secrets
        ),
    )


def find_mistakes(given: Mapping[str, str], files: Mapping[str, bytes]) -> Sequence[Mistake]:
    """Return the mistakes in the mapping and in the hashes of the files beside it."""
    try:
        mapping = read_mapping(*_find_mapping(given, files))
    except ConfigurationFault as fault:
        return fault.mistakes
    return find_file_mistakes(mapping, files)


def _find_mapping(given: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[bytes, str]:
    name = given.get("mapping", "mapping.toml").rpartition("/")[2]
    if name not in files:
        raise ConfigurationFault([Mistake(name, phrase("is missing"), phrase("the file that settings.mapping names"))])
    return files[name], name


@attrs.define
class _Course:
    """One conversation: its steps, and what is known in it."""

    steps: tuple[MappedStep, ...]
    sources: Sources
    now: datetime
    message: str = ""  #: the id of the message that is delivered
    unsure: bool = False  #: an earlier attempt may have arrived, and the partner cannot tell
    discreet: bool = False  #: reasons never quote the partner
    done: set[str] = attrs.field(factory=set)  #: steps that hand over and have succeeded
    relied: bool = False  #: a value was used that an earlier conversation kept
    again: bool = False  #: the conversation began again with new values


@attrs.frozen(kw_only=True)
class _Judgement:
    """What an answer means."""

    then: Then
    reason: str = ""
    after: float | None = None
    unknown: bool = False
    at: datetime | None = None  #: when the answer came

    def outcome(self, now: datetime) -> Outcome:
        match self.then:
            case Then.ACCEPTED | Then.NEXT:
                return Accepted(self.reason)
            case Then.REFUSED:
                return Refused(self.reason or "refused, without a reason")
            case Then.POSTPONED:
                return Postponed((self.at or now) + timedelta(seconds=self.after or 0), self.reason)
            case Then.CREDENTIALS | Then.LOGIN:
                return Unavailable(self.reason or "our credentials are not accepted", self.after, credentials=True)
        return Unavailable(self.reason or "unavailable, without a reason", self.after, unknown=self.unknown)


@attrs.frozen
class SoapPartner:
    """One partner with a mapping."""

    terms: Terms
    mapping: SoapMapping
    #: cost of each step of a conversation, in octets of ordinary XML: types, XML and signatures, so none of it belongs
    #: on the reactor's thread
    step_cost: int = 1 << 20

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Hold the conversation of `[[deliver]]`. Repetitions give the partner the same `message.id`."""
        sources = self._sources(now, _describe_message(consignment))
        sources.root = cache(lambda: _parse(consignment.content))
        steps = self.mapping.deliver
        course = _Course(steps, sources, now, message=consignment.message.id)
        if not any(step.hands_over and _applies(step, sources) for step in steps):
            return Refused(
                f"no step of the mapping sends a {consignment.message.kind} of {consignment.message.service}"
            )
        try:
            ended = yield from self._hold(course)
        except Unfit as unfit:
            return Refused(f"the message does not fit the partner: {unfit}"[:_LONGEST_REASON])
        if isinstance(ended, Unavailable):
            return ended
        outcome = ended[0].outcome(now)
        named = any(value.uses(*IDENTIFYING) for step in steps if step.hands_over for value in step.values)
        if isinstance(outcome, Accepted) and consignment.unsure is not None and not named:
            return attrs.evolve(outcome, twice=True)
        return outcome

    def ask(self, query: Query, now: datetime) -> Inquest:
        """Hold the conversation of `[[ask.OPERATION]]`. The reasons of outcomes quote nothing, unless a rule says so."""
        steps = self.mapping.ask.get(query.operation)
        if not steps:
            return Refused(f"the mapping answers no {query.operation}")
        fields = {f"query.{name}": text for name, text in query.fields.items()}
        sources = self._sources(now, {"query.id": query.id, **fields})
        try:
            ended = yield from self._hold(_Course(steps, sources, now, discreet=True))
            if isinstance(ended, Unavailable):
                return ended
            judged, answer = ended
            if judged.then in {Then.ACCEPTED, Then.NEXT} and answer is not None:
                tables = self.mapping.tables
                read = [(name, answer.read_all(path, tables)) for name, path in steps[-1].answer]
                return Answer(tuple((name, text) for name, texts in read for text in texts if text))
        except Unfit:
            return Refused("the question or the answer does not fit the mapping")
        outcome = judged.outcome(now)
        return outcome if isinstance(outcome, Refused | Unavailable) else Unavailable("no answer")

    def _sources(self, now: datetime, more: Mapping[str, Found]) -> Sources:
        terms = self.terms
        fixed: dict[str, Found] = {"url": terms.url, "partner": terms.partner, "now": now}
        fixed |= {f"settings.{name}": text for name, text in terms.settings.items()}
        fixed |= {f"secrets.{name}": text for name, text in terms.secrets.items()}
        return Sources({**fixed, **more}, tables=self.mapping.tables)

    def _hold(
        self, course: _Course
    ) -> Generator[Request, Reply, tuple[_Judgement, PartnerAnswer | None] | Unavailable]:
        """Take the steps in order. Return the last judgement with its answer. Raises Unfit."""
        answer: PartnerAnswer | None = None
        judged = _Judgement(then=Then.NEXT)
        waiting = list(course.steps)
        while waiting:
            step = waiting.pop(0)
            if step.place in course.done or not _applies(step, course.sources) or self._recall(step, course):
                continue
            made = yield from self._make_request(step, course)
            if isinstance(made, Unavailable):
                return made
            reply = yield made
            answer = self._read(step, reply, reply.at or course.now)
            judged = attrs.evolve(self._judge(step, answer, course, reply.at or course.now), at=reply.at)
            if judged.then is Then.LOGIN and course.relied and not course.again:
                self._forget(course)
                course.again, course.relied = True, False
                waiting = list(course.steps)
                continue
            if judged.then is not Then.NEXT:
                break
            missing = self._keep(step, answer, course, reply.at or course.now)
            if missing:
                return Unavailable(f"{step.operation}: the answer has no {missing}")
            if step.hands_over:
                course.done.add(step.place)
        return judged, answer

    # Kept values

    def _note(self, step: MappedStep, name: str, course: _Course) -> str:
        of = f" {course.message}" if step.keep and step.keep.of_message else ""
        return f"kept {step.operation} {name}{of}"

    def _recall(self, step: MappedStep, course: _Course) -> bool:
        """Tell whether all that *step* keeps is kept still, so that it need not be taken."""
        if step.keep is None or step.keep.life is None or not step.keep.values:
            return False
        kept = {name: self.terms.notes.recall(self._note(step, name, course), course.now) for name in step.keep.values}
        if any(text is None for text in kept.values()):
            return False
        course.sources.fixed |= {f"kept.{name}": text for name, text in kept.items() if text is not None}
        course.relied = course.relied or not step.keep.of_message
        return True

    def _keep(self, step: MappedStep, answer: PartnerAnswer, course: _Course, now: datetime) -> str:
        """Keep what the mapping says. Return the path of a value that the answer does not have, or ""."""
        if step.keep is None:
            return ""
        life = self._life(step.keep, answer)
        for name, path in step.keep.values.items():
            text = answer.read(path, self.mapping.tables)
            if not text:
                return path.written
            course.sources.fixed[f"kept.{name}"] = text
            if life is not None:
                self.terms.notes.keep(self._note(step, name, course), text, now + life)
        return ""

    def _life(self, keep: KeptValues, answer: PartnerAnswer) -> timedelta | None:
        life = keep.life
        if life is not None and not isinstance(life, timedelta):
            seconds = _read_seconds(answer.read(life, self.mapping.tables))
            life = None if seconds is None else timedelta(seconds=seconds)
        return None if life is None else min(life, _LONGEST) - (_MARGIN if life > 2 * _MARGIN else timedelta())

    def _forget(self, course: _Course) -> None:
        self.terms.notes.drop("oauth2")
        for step in course.steps:
            if step.keep is not None and not step.keep.of_message:
                for name in step.keep.values:
                    self.terms.notes.drop(self._note(step, name, course))

    # One call

    def _make_request(self, step: MappedStep, course: _Course) -> Generator[Request, Reply, Request | Unavailable]:
        security, sources = self.mapping.security, course.sources
        headers = [(name, _text(value, sources)) for name, value in (*security.http, *step.http)]
        if security.basic is not None:
            pair = f"{_text(security.basic.username, sources)}:{_text(security.basic.password, sources)}"
            headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
        if security.oauth2 is not None:
            kept = self.terms.notes.recall("oauth2", course.now)
            token = kept or (yield from ask_token(security.oauth2, sources, self.terms.notes, course.now))
            if isinstance(token, Unavailable):
                return token
            course.relied = course.relied or kept is not None
            headers.append(("Authorization", f"Bearer {token}"))
        body, more = self.build_call(step, sources, course.now)
        limit = _CONTENT_LIMIT if step.content is not None else _REPLY_LIMIT
        for name, text in headers:
            if not text.isascii() or not text.isprintable():
                raise Unfit(f"http.{name}: not printable ASCII")
        return Request(self.terms.url, body, (*more, *headers), reply_limit=limit, hands_over=step.hands_over)

    def build_call(
        self, step: MappedStep, sources: Sources, now: datetime
    ) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        """Return the body of the call of *step*, and its header fields Content-Type and SOAPAction.

        Raises Unfit for a value of the message that the schema does not allow, Misplaced for a path that it does not
        have, and ConfigurationFault for a WSDL that cannot be used.
        """
        operation, security = self._operation(step), self.mapping.security
        root, blocks = CallNode(), dict[str, CallNode]()
        for field in step.input:
            root.put(field.path, evaluate_value(field.value, sources))
        _put_lists(step, root, sources)
        for field in step.header:
            blocks.setdefault(field.path[0].name, CallNode()).put(field.path[1:], evaluate_value(field.value, sources))
        loads = Loads()
        made = operation.build(root, blocks, self.mapping.namespaces, loads, mtom=step.mtom)
        if security.username_token is not None:
            named = security.username_token
            token = build_username_token(
                _text(named.username, sources), _text(named.password, sources), now, digest=named.digest
            )
            envelope.add_header_block(made, token)
        how = Manner(operation.soap, carriage=Carriage.MTOM if step.mtom and loads else Carriage.INLINE)
        unsigned = etree.tostring(made, encoding="UTF-8", xml_declaration=True)
        if security.sign:
            sent = attachments.pack_envelope(unsigned, loads, how, self.terms.identity, now)
        else:
            sent = attachments.pack_unsigned_envelope(unsigned, loads, how)
        action = operation.action if step.action is None else step.action
        if operation.soap == SOAP12:
            media = f'{sent.content_type}; action="{action}"' if action else sent.content_type
            return sent.read(), (("Content-Type", media),)
        return sent.read(), (("Content-Type", sent.content_type), ("SOAPAction", f'"{action}"'))

    def _operation(self, step: MappedStep) -> PartnerOperation:
        mapping = self.mapping
        files = {name: self.terms.files[name] for name in mapping.hashes}
        return load_service(files, mapping.file, mapping.service, mapping.port).operation(step.operation)

    def _read(self, step: MappedStep, reply: Reply, now: datetime) -> PartnerAnswer:
        terms, path = self.terms, step.content
        binary = frozenset({path.steps[-1].name}) if path is not None and path.steps else frozenset[str]()
        certificates = tuple(terms.certificates) if self.mapping.security.verify else None
        return read_answer(reply, now, certificates=certificates, max_age=terms.max_age, skew=terms.skew, binary=binary)

    # What an answer means

    def _judge(self, step: MappedStep, answer: PartnerAnswer, course: _Course, now: datetime) -> _Judgement:
        """Return what *answer* means: the first rule that fits, or else what docs/reference/soap-partners.md says."""
        asked = retry_after(answer.headers, now)
        unread = bool(answer.trouble)
        for rule in step.outcomes:
            if (not unread or all(each.path.part == "http" for each in rule.when)) and self._fits(rule, answer):
                return self._apply(rule, answer, asked)
        denied = Then.LOGIN if course.relied and not course.again else Then.CREDENTIALS
        fault = answer.fault
        if answer.status in _DENIED and (unread or fault is not None):
            return _Judgement(then=denied, reason=f"HTTP {answer.status}: access denied")
        if fault is not None:
            code = ".".join(each for each in (fault.code, fault.subcode) if each)[:100]
            told = f"a fault, {code}" if course.discreet or not fault.text else fault.text[:_LONGEST_REASON]
            if fault.denies:
                return _Judgement(then=denied, reason=told)
            if fault.sender and (step.hands_over or step is course.steps[-1]):
                return _Judgement(then=Then.REFUSED, reason=told)
            if fault.sender and step.keep is not None:
                return _Judgement(then=Then.CREDENTIALS, reason=told)
            return _Judgement(then=Then.UNAVAILABLE, reason=f"HTTP {answer.status}: {told}", after=asked)
        if unread and self._is_silent(step, answer):
            return _Judgement(then=Then.NEXT)
        lost = step.hands_over and may_have_taken(answer.status)
        if unread:
            why = f"HTTP {answer.status}: {answer.trouble}"
            return _Judgement(then=Then.UNAVAILABLE, reason=why[:_LONGEST_REASON], after=asked, unknown=lost)
        if step.outcomes and (step.hands_over or step is course.steps[-1]):
            why = f"HTTP {answer.status}: the answer fits no outcome of the mapping"
            return _Judgement(then=Then.UNAVAILABLE, reason=why, after=asked, unknown=lost)
        return _Judgement(then=Then.NEXT)

    def _is_silent(self, step: MappedStep, answer: PartnerAnswer) -> bool:
        """Tell whether *answer* is the empty one of an operation without an answer."""
        if answer.trouble != NO_ANSWER or answer.length:
            return False
        return answer.status in {202, 204} or (answer.status == 200 and self._operation(step).one_way)

    def _fits(self, rule: OutcomeRule, answer: PartnerAnswer) -> bool:
        for condition in rule.when:
            text = answer.read(condition.path, self.mapping.tables)
            if text not in condition.texts and not (text and "*" in condition.texts):
                return False
        return True

    def _apply(self, rule: OutcomeRule, answer: PartnerAnswer, asked: float | None) -> _Judgement:
        texts = [answer.read(path, self.mapping.tables) for path in rule.reasons]
        after: float | None
        if isinstance(rule.after, timedelta):
            after = rule.after.total_seconds()
        else:
            after = asked if rule.after is None else _read_seconds(answer.read(rule.after, self.mapping.tables))
        return _Judgement(then=rule.then, reason=": ".join(filter(None, texts))[:_LONGEST_REASON], after=after)


def adapter(terms: Terms) -> SoapPartner:
    """Return the adapter of one partner. Raises ConfigurationFault for a mapping that cannot be read."""
    return SoapPartner(terms, read_mapping(*_find_mapping(terms.settings, terms.files)))


def _parse(content: bytes) -> etree._Element:
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


def _applies(step: MappedStep, sources: Sources) -> bool:
    return all(write_text(sources.fixed.get(source)) in texts for source, texts in step.only)


def _put_lists(step: MappedStep, root: CallNode, sources: Sources) -> None:
    """Put the repeated elements of *step* below *root*: one for each item."""
    made: list[tuple[str, list[tuple[CallNode, etree._Element | str]]]] = []
    for field in step.lists:
        outer = next(
            ((parent, places) for parent, places in reversed(made) if field.written.startswith(f"{parent}/")), None
        )
        if outer is None:
            begins: Iterator[tuple[CallNode, etree._Element | str | None]] = iter([(root, None)])
            path = field.path
        else:
            begins, path = iter(outer[1]), field.path[outer[0].count("/") + 1 :]
        places: list[tuple[CallNode, etree._Element | str]] = []
        for node, around in begins:
            items = list_items(field.each, attrs.evolve(sources, item=around))
            named = node.find(path[:-1]).children.setdefault(path[-1].name, {})
            for number, item in enumerate(items, 1):
                element = named.setdefault(number, CallNode())
                places.append((element, item))
                inside = attrs.evolve(sources, item=item)
                for each in field.fields:
                    element.put(each.path, evaluate_value(each.value, inside))
        made.append((field.written, places))


def _text(value: Value, sources: Sources) -> str:
    return write_text(evaluate_value(value, sources))


def _read_seconds(text: str) -> float | None:
    """Return the number of seconds that *text* says, None if it says none."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < 10**8 else None
