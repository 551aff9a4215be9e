"""Holds the conversations that a mapping describes, step by step.

Knows the order of steps, what is kept and for how long, when to log in again, and what an answer means where the mapping
does not say. Does not know what a conversation is for.
"""

import base64
import hashlib
import json
import re
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import attrs

from hub.domain.conversations import (
    Accepted,
    Answer,
    Inquest,
    Outcome,
    Postponed,
    Query,
    Refused,
    Reply,
    Request,
    Unavailable,
)
from hub.partner.adapter_settings import Terms
from hub.partner.call_nodes import Misplaced
from hub.partner.client_credentials import TokenClient, request_token
from hub.partner.kept_exchange import hide_secrets
from hub.partner.mapped_calls import write_mapped_call
from hub.partner.mapping_values import Found, Sources, Unfit, Value, list_mapped_items, write_mapped_value, write_text
from hub.partner.partner_answers import NO_ANSWER, PartnerAnswer, read_partner_answer
from hub.partner.reply_parsing import may_have_taken, retry_after
from hub.partner.secret_trials import SecretTrial
from hub.partner.soap_mapping import (
    IDENTIFYING,
    ClientCredentials,
    KeptValues,
    MappedStep,
    OutcomeRule,
    SoapMapping,
    Then,
)

if TYPE_CHECKING:
    from hub.partner.partner_calls import PartnerOperation, PartnerService

#: A kept value is dropped this long before its time, because the call that carries it takes time too.
_MARGIN = timedelta(seconds=30)
#: Maximum life of a kept value, whatever the partner says.
_LONGEST = timedelta(days=30)
#: How long it is remembered which items of a message a partner has, and how many refusals of items a reason tells.
_ITEM_LIFE, _MOST_TOLD = timedelta(days=1), 20
#: After this time no call for a further item begins: the next conversation goes on, before this one is cut off.
_LONG_ENOUGH = timedelta(seconds=15)
_REPLY_LIMIT, _CONTENT_LIMIT = 4 << 20, 48 << 20
LONGEST_REASON = 2000
#: Cost of each step of a conversation, in octets of ordinary XML: types, XML and signatures, so none of it belongs on the
#: reactor's thread.
STEP_COST = 1 << 20
_DENIED = {401, 403}
#: Sources of the input of a step that do not tell for whom it is.
_PASSING = (*IDENTIFYING, "now", "again", "content", "xml", "item")
_SUCCESS = {Then.ACCEPTED, Then.NEXT}
_ENDING = {*_SUCCESS, Then.REFUSED}
#: What looks like a fault code. Anything else may be words, and these may name a person.
_CODE = re.compile(r"[A-Za-z0-9._-]+")


@attrs.define
class PartnerCourse:
    """One conversation: its steps, and what is known in it."""

    steps: tuple[MappedStep, ...]
    sources: Sources
    now: datetime
    message: str = ""  #: the id of the message that is delivered
    discreet: bool = False  #: reasons never quote the partner
    #: steps that have succeeded and are not taken again: those that hand over; of several conversations in one, logins
    done: set[str] = attrs.field(factory=set)
    lasting: bool = False  #: what a step keeps is kept for further calls of `hold`
    relied: bool = False  #: a value was used that an earlier conversation kept
    again: bool = False  #: the conversation began again with new values
    token: str = ""  #: the OAuth2 token that the last call had
    unsure: bool = False  #: an earlier attempt may have handed the message, or a part of it, over
    repeated: bool = False  #: something was handed over again that it may have


@attrs.frozen(kw_only=True)
class AnswerJudgement:
    """What an answer means."""

    then: Then
    reason: str = ""
    after: float | None = None
    unknown: bool = False
    of_recipient: bool = False  #: a refusal of one of several recipients
    at: datetime | None = None  #: when the answer came

    def outcome(self, now: datetime) -> Outcome:
        """Return the outcome of a delivery that ends with this. *now* is used if no answer came."""
        match self.then:
            case Then.ACCEPTED | Then.NEXT:
                return Accepted(self.reason)
            case Then.REFUSED:
                return Refused(self.reason or "refused, without a reason", () if self.of_recipient else None)
            case Then.POSTPONED:
                until = (self.at or now) + timedelta(seconds=self.after or 0)
                return Postponed(until, self.reason, unknown=self.unknown)
            case Then.CREDENTIALS | Then.LOGIN:
                return Unavailable(self.reason or "our credentials are not accepted", self.after, credentials=True)
        return Unavailable(self.reason or "unavailable, without a reason", self.after, unknown=self.unknown)


@attrs.frozen
class PartnerConversation:
    """Holds the conversations with one partner."""

    terms: Terms
    mapping: SoapMapping

    def make_sources(self, now: datetime, more: Mapping[str, Found]) -> Sources:
        """Return what every conversation with the partner may write, and *more*, by source."""
        terms = self.terms
        fixed: dict[str, Found] = {"url": terms.url, "partner": terms.partner, "now": now}
        fixed |= {f"settings.{name}": text for name, text in terms.settings.items()}
        fixed |= {f"secrets.{name}": text for name, text in terms.secrets.items()}
        return Sources({**fixed, **more}, tables=self.mapping.tables)

    def hold(
        self, course: PartnerCourse
    ) -> Generator[Request, Reply, tuple[AnswerJudgement, PartnerAnswer | None] | Unavailable]:
        """Take the steps in order. Return the last judgement with its answer. Raises Unfit."""
        answer: PartnerAnswer | None = None
        judged = AnswerJudgement(then=Then.NEXT)
        waiting = list(course.steps)
        while waiting:
            step = waiting.pop(0)
            if step.place in course.done or not applies(step, course.sources) or self._recall(step, course):
                continue
            course.repeated |= course.unsure and step.hands_over and step.each is None
            taken = yield from (
                self._take(step, course) if step.each is None else self._take_each(step, step.each, course)
            )
            if isinstance(taken, Unavailable):
                return taken
            judged, answer = taken
            if judged.then is Then.LOGIN and course.relied and not course.again:
                self._forget(course)
                course.again, course.relied = True, False
                waiting = list(course.steps)
                continue
            if judged.then is not Then.NEXT:
                break
            missing = "" if answer is None else self._keep(step, answer, course, judged.at or course.now)
            if missing:
                return Unavailable(f"{step.operation}: the answer has no {missing}", unknown=step.hands_over)
            if step.hands_over or (course.lasting and step.keep is not None):
                course.done.add(step.place)
        return judged, answer

    def ask(self, query: Query, now: datetime) -> Inquest:
        """Hold the conversation of `[[ask.OPERATION]]`. The reasons of outcomes quote nothing, unless a rule says so."""
        steps = self.mapping.ask.get(query.operation)
        if not steps:
            return Refused(f"the mapping answers no {query.operation}")
        fields = {f"query.{name}": text for name, text in query.fields.items()}
        sources = self.make_sources(now, {"query.id": query.id, **fields})
        try:
            ended = yield from self.hold(PartnerCourse(steps, sources, now, discreet=True))
        except Unfit:
            return Refused("the question does not fit the mapping")
        if isinstance(ended, Unavailable):
            return ended
        judged, answer = ended
        if judged.then in {Then.ACCEPTED, Then.NEXT} and answer is not None:
            try:
                read = [(name, answer.read_all(path, self.mapping.tables)) for name, path in steps[-1].answer]
            except Unfit:
                return Unavailable("the answer does not fit the mapping")
            return Answer(tuple((name, text) for name, texts in read for text in texts if text))
        outcome = judged.outcome(now)
        return outcome if isinstance(outcome, Refused | Unavailable) else Unavailable("no answer")

    def try_token(self, now: datetime) -> SecretTrial | None:
        """Return the request for a token; None if the mapping asks for none."""
        asked = self.mapping.security.oauth2
        if asked is None:
            return None
        return SecretTrial(
            asked.secrets, self._request_token(asked, PartnerCourse((), self.make_sources(now, {}), now))
        )

    def forget_message(self, course: PartnerCourse, *, items: bool) -> None:
        """Drop what was kept of the message, whose delivery has ended; with *items* what was noted of its items, too."""
        for step in course.steps:
            if step.keep is not None and step.keep.of_message:
                for name in step.keep.values:
                    self.terms.notes.drop(self._note(step, name, course))
            if items and step.each is not None:
                for number in range(len(list_mapped_items(step.each, course.sources)) + 1):
                    self.terms.notes.drop(_item_note(step, course, number))

    def _take(
        self, step: MappedStep, course: PartnerCourse
    ) -> Generator[Request, Reply, tuple[AnswerJudgement, PartnerAnswer] | Unavailable]:
        """Make the call of *step*, and judge its answer. Raises Unfit."""
        made = yield from self._make_request(step, course)
        if isinstance(made, Unavailable):
            return made
        reply = yield made
        answer = self._read(step, reply, reply.at or course.now)
        judged = self._judge(step, answer, course, reply.at or course.now)
        return attrs.evolve(judged, at=reply.at), answer

    def _take_each(
        self, step: MappedStep, each: Value, course: PartnerCourse
    ) -> Generator[Request, Reply, tuple[AnswerJudgement, PartnerAnswer | None] | Unavailable]:
        """Make the call of *step* for each item of *each*, but those that an earlier attempt has brought there.

        An item that is refused does not keep the others back: the message is refused at the end, with their reasons.
        """
        refusals, answer = list[str](), None
        items = list_mapped_items(each, course.sources)
        asked = _item_note(step, course, 0)
        before = self.terms.notes.recall(asked, course.now)  # None: what was sent is not remembered
        if not items:
            return AnswerJudgement(then=Then.REFUSED, reason=f"the message has nothing for {step.operation}"), None
        for number, item in enumerate(items, 1):
            note = _item_note(step, course, number)
            if self.terms.notes.recall(note, course.now) is not None:
                continue
            course.repeated |= course.unsure and step.hands_over and before in (None, str(number))
            self.terms.notes.keep(asked, str(number), course.now + _ITEM_LIFE)
            course.sources.item = item
            taken = yield from self._take(step, course)
            course.sources.item = None
            if isinstance(taken, Unavailable):
                return taken
            judged, answer = taken
            if not judged.unknown:
                self.terms.notes.keep(asked, "", course.now + _ITEM_LIFE)
            if judged.then is Then.REFUSED:
                refusals.append(f"{number}: {judged.reason or 'without a reason'}")
            elif judged.then in {Then.ACCEPTED, Then.NEXT}:
                self.terms.notes.keep(note, "", (judged.at or course.now) + _ITEM_LIFE)
                if number < len(items) and (judged.at or course.now) - course.now >= _LONG_ENOUGH:
                    said = f"{number} of {len(items)} are sent"
                    # which these are is kept in memory only
                    return AnswerJudgement(
                        then=Then.POSTPONED, reason=said, after=0, unknown=step.hands_over, at=judged.at
                    ), answer
            else:
                return judged, answer
        if not refusals:
            return AnswerJudgement(then=Then.NEXT), answer
        more = f"; and {len(refusals) - _MOST_TOLD} more" if len(refusals) > _MOST_TOLD else ""
        said = f"{len(refusals)} of {len(items)} refused: {'; '.join(refusals[:_MOST_TOLD])}{more}"
        return AnswerJudgement(then=Then.REFUSED, reason=said[:LONGEST_REASON]), answer

    # Kept values

    def _note(self, step: MappedStep, name: str, course: PartnerCourse) -> str:
        """Return the name under which *name* is kept: another one for each message, or for each login."""
        of = course.message if step.keep and step.keep.of_message else _digest_login(step, course.sources)
        return f"kept {step.operation} {name} {of}"

    def _recall(self, step: MappedStep, course: PartnerCourse) -> bool:
        """Tell whether all that *step* keeps is kept still, so that it need not be taken."""
        if step.keep is None or step.keep.life is None or not step.keep.values:
            return False
        kept = {name: self.terms.notes.recall(self._note(step, name, course), course.now) for name in step.keep.values}
        if any(text is None for text in kept.values()):
            return False
        course.sources.fixed |= {f"kept.{name}": text for name, text in kept.items() if text is not None}
        course.relied = course.relied or not step.keep.of_message
        return True

    def _keep(self, step: MappedStep, answer: PartnerAnswer, course: PartnerCourse, now: datetime) -> str:
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

    def _forget(self, course: PartnerCourse) -> None:
        """Drop what logins kept, unless another conversation has logged in since: then its values are there."""
        if self.terms.notes.recall("oauth2", course.now) == course.token:
            self.terms.notes.drop("oauth2")
        for step in course.steps:
            if step.keep is None or step.keep.of_message or not applies(step, course.sources):
                continue
            if not step.hands_over:
                course.done.discard(step.place)
            for name in step.keep.values:
                note = self._note(step, name, course)
                if self.terms.notes.recall(note, course.now) == course.sources.fixed.get(f"kept.{name}"):
                    self.terms.notes.drop(note)

    # One call

    def _make_request(
        self, step: MappedStep, course: PartnerCourse
    ) -> Generator[Request, Reply, Request | Unavailable]:
        security, sources = self.mapping.security, course.sources
        headers = [(name, write_mapped_value(value, sources)) for name, value in (*security.http, *step.http)]
        if security.basic is not None:
            pair = f"{write_mapped_value(security.basic.username, sources)}:{write_mapped_value(security.basic.password, sources)}"
            headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
        if security.oauth2 is not None:
            recalled = self.terms.notes.recall("oauth2", course.now)
            token = recalled or (yield from self._request_token(security.oauth2, course))
            if isinstance(token, Unavailable):
                return token
            course.token, course.relied = token, course.relied or recalled is not None
            headers.append(("Authorization", f"Bearer {token}"))
        try:
            operation = self._operation(step)
            body, more = write_mapped_call(self.mapping, step, operation, sources, self.terms.identity, course.now)
        except Misplaced as wrong:  # `check` names it, unless only this message shows it
            return Unavailable(f"{step.place}: the mapping does not fit the WSDL: {wrong}"[:LONGEST_REASON], ours=True)
        limit = _CONTENT_LIMIT if step.content is not None else _REPLY_LIMIT
        for name, text in headers:
            if not text.isascii() or not text.isprintable():
                raise Unfit(f"http.{name}: not printable ASCII")
        kept = [text for source, text in sources.fixed.items() if source.startswith("kept.") and isinstance(text, str)]
        return Request(
            self.terms.url,
            body,
            (*more, *headers),
            reply_limit=limit,
            hands_over=step.hands_over,
            secrets=tuple(kept),
        )

    @cached_property
    def service(self) -> "PartnerService":
        """Return the port of the mapping. Raises ConfigurationFault. The first time takes long: see `load_service`."""
        from hub.partner.partner_calls import load_service  # zeep: 0.2 s and 11 MB

        mapping = self.mapping
        files = {name: self.terms.files[name] for name in mapping.files}
        return load_service(files, mapping.file, mapping.service, mapping.port)

    def _request_token(
        self, asked: ClientCredentials, course: PartnerCourse
    ) -> Generator[Request, Reply, str | Unavailable]:
        said = (asked.url, asked.client_id, asked.client_secret, *((asked.scope,) if asked.scope else ()))
        client = TokenClient(*(write_mapped_value(each, course.sources) for each in said))
        return request_token(client, self.terms.notes, "oauth2", course.now)

    def _operation(self, step: MappedStep) -> "PartnerOperation":
        return self.service.operation(step.operation)

    def _read(self, step: MappedStep, reply: Reply, now: datetime) -> PartnerAnswer:
        terms, path = self.terms, step.content
        binary = frozenset({path.steps[-1].name}) if path is not None and path.steps else frozenset[str]()
        certificates = tuple(terms.certificates) if self.mapping.security.verify else None
        return read_partner_answer(
            reply, now, certificates=certificates, max_age=terms.max_age, skew=terms.skew, binary=binary
        )

    # What an answer means

    def _judge(self, step: MappedStep, answer: PartnerAnswer, course: PartnerCourse, now: datetime) -> AnswerJudgement:
        """Return what *answer* means: the first rule that fits, or else what docs/reference/soap-partners.md says."""
        asked = retry_after(answer.headers, now)
        unread = bool(answer.trouble)
        for rule in step.outcomes:
            if (not unread or all(each.path.part == "http" for each in rule.when)) and self._fits(rule, answer):
                judged = self._apply(rule, answer, course, asked)
                # who names a fault knows what it means; a proxy's page says as little under a rule as without
                lost = step.hands_over and answer.fault is None and unread and may_have_taken(answer.status)
                return attrs.evolve(judged, unknown=lost)
        denied = Then.LOGIN if course.relied and not course.again else Then.CREDENTIALS
        fault = answer.fault
        if answer.status in _DENIED and (unread or fault is not None):
            return AnswerJudgement(then=denied, reason=f"HTTP {answer.status}: access denied")
        if fault is not None:
            code = ".".join(each for each in (fault.code, fault.subcode) if each)[:100]
            code = code if _CODE.fullmatch(code) else "without a code"
            told = f"a fault, {code}" if course.discreet or not fault.text else self._quote(fault.text, course)
            if fault.denies:
                return AnswerJudgement(then=denied, reason=told)
            if fault.sender and (step.hands_over or step is course.steps[-1]):
                return AnswerJudgement(then=Then.REFUSED, reason=told)
            if fault.sender and step.keep is not None:
                return AnswerJudgement(then=Then.CREDENTIALS, reason=told)
            # a fault of the service itself, such as a timeout behind it, does not say what was done before
            why = f"HTTP {answer.status}: {told}"
            return AnswerJudgement(then=Then.UNAVAILABLE, reason=why, after=asked, unknown=step.hands_over)
        if unread and self._is_silent(step, answer):
            return AnswerJudgement(then=Then.NEXT)
        lost = step.hands_over and may_have_taken(answer.status)
        if unread:
            trouble = "not a valid SOAP answer" if course.discreet else self._quote(answer.trouble, course)
            why = f"HTTP {answer.status}: {trouble}"
            return AnswerJudgement(then=Then.UNAVAILABLE, reason=why[:LONGEST_REASON], after=asked, unknown=lost)
        if step.outcomes and _decides_course(step, course):
            why = f"HTTP {answer.status}: the answer fits no outcome of the mapping"
            return AnswerJudgement(then=Then.UNAVAILABLE, reason=why, after=asked, unknown=lost)
        return AnswerJudgement(then=Then.NEXT)

    def _is_silent(self, step: MappedStep, answer: PartnerAnswer) -> bool:
        """Tell whether *answer* is the empty one of an operation without an answer."""
        if answer.trouble != NO_ANSWER or answer.length:
            return False
        one_way = self._operation(step).one_way
        if self.mapping.security.verify and not one_way:
            return False  # there is an answer, and it is not signed
        return answer.status in {202, 204} or (answer.status == 200 and one_way)

    def _fits(self, rule: OutcomeRule, answer: PartnerAnswer) -> bool:
        if not self._may_say(rule, answer):
            return False
        for condition in rule.when:
            if condition.path.part == ("body" if answer.fault else "fault"):
                return False  # of a fault the answer's element is not there, and yet not empty
            text = answer.read(condition.path, self.mapping.tables)
            if text not in condition.texts and not (text and "*" in condition.texts):
                return False
        return True

    def _may_say(self, rule: OutcomeRule, answer: PartnerAnswer) -> bool:
        """Tell whether *rule* may judge *answer*.

        A rule that does not ask for a fault, or for HTTP, takes no fault and no page of a proxy for a success; under
        `verify` an answer that nobody signed ends no delivery.
        """
        parts = {condition.path.part for condition in rule.when}
        if answer.trouble and self.mapping.security.verify:
            return rule.then not in _ENDING
        if rule.then not in _SUCCESS:
            return True
        return bool(parts) if answer.trouble else (answer.fault is None or "fault" in parts)

    def _quote(self, text: str, course: PartnerCourse) -> str:
        """Return what the partner said, as a reason. A partner may repeat our password in it."""
        return hide_secrets(text, [*self.terms.secrets.values(), course.token])[:LONGEST_REASON]

    def _apply(
        self, rule: OutcomeRule, answer: PartnerAnswer, course: PartnerCourse, asked: float | None
    ) -> AnswerJudgement:
        texts = [answer.read(path, self.mapping.tables) for path in rule.reasons]
        after: float | None
        if isinstance(rule.after, timedelta):
            after = rule.after.total_seconds()
        else:
            after = asked if rule.after is None else _read_seconds(answer.read(rule.after, self.mapping.tables))
        reason = self._quote(": ".join(filter(None, texts)), course)
        return AnswerJudgement(then=rule.then, reason=reason, after=after, of_recipient=rule.of_recipient)


def _decides_course(step: MappedStep, course: PartnerCourse) -> bool:
    """Tell whether an answer to *step* must be understood: nothing after it would show that it was none."""
    return step.hands_over or step.confirm or (not course.lasting and step is course.steps[-1])


def _digest_login(step: MappedStep, sources: Sources) -> str:
    """Return what tells apart for whom *step* is taken: a digest of its input, without what differs in every call."""
    inputs = [each for each in step.input if not each.value.uses(*_PASSING)]
    written = json.dumps([(each.written, write_mapped_value(each.value, sources)) for each in inputs])
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def _item_note(step: MappedStep, course: PartnerCourse, number: int) -> str:
    """Return the name under which it is noted that item *number* is there; with 0, for which the answer is awaited."""
    return f"item {step.operation} {course.message} {number}"


def applies(step: MappedStep, sources: Sources) -> bool:
    """Tell whether *step* is taken for this message: all its conditions `only` hold."""
    return all(write_text(sources.fixed.get(source)) in texts for source, texts in step.only)


def _read_seconds(text: str) -> float | None:
    """Return the number of seconds that *text* says, None if it says none."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < 10**8 else None
