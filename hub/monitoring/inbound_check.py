"""Tells how the calls of one partner come in: its certificates, its rights, its last call, what was refused today and why.

Reads the configuration and the journal, a bounded number of rows. Opens no connection. A caller that fails in the TLS
handshake leaves only a line of the log (`client-refused`), because it never became a call.
"""

from collections.abc import Iterator
from datetime import datetime, time

from hub.config import Config, Partner
from hub.domain.errors import find_error_sentence
from hub.domain.local_time import HANOI, find_local_day, write_local_time
from hub.domain.model import MessageState, Receive
from hub.intake import grants
from hub.journal.queue import partner_state
from hub.language.phrases import Phrase, phrase, phrases
from hub.language.terms import describe_reason
from hub.monitoring import partner_traffic
from hub.monitoring.connection_steps import (
    CallDirection,
    ConnectionStep,
    ConnectionStepName,
    StepVerdict,
    judge_certificate,
)
from hub.monitoring.partner_traffic import RefusalCount
from hub.partner.circuit_breaker import BreakerPosition
from hub.security.anchors import Purpose, Untrusted
from hub.store.transactions import Transaction

#: Codes of refusals, and unknown certificates, that are told one by one.
_TOLD = 10


def check_inbound(tx: Transaction, partner: Partner, config: Config, now: datetime) -> Iterator[ConnectionStep]:
    """Yield each step of the way from *partner* to the hub, and the state of the sending to it."""
    since = datetime.combine(find_local_day(now), time(), HANOI)
    yield from _judge_certificates(partner, config, now)
    yield _judge_grants(partner, config)
    yield _tell_last_call(tx, partner)
    yield from _tell_refusals(partner_traffic.count_refusals(tx, partner.code, since))
    yield from _tell_strangers(tx, since)
    if partner.receive is Receive.PUSH:
        yield _tell_sending(tx, partner)


def _make_step(
    name: ConnectionStepName, verdict: StepVerdict, found: Phrase, do: Phrase | None = None
) -> ConnectionStep:
    return ConnectionStep(direction=CallDirection.IN, name=name, verdict=verdict, found=found, do=do)


def _judge_certificates(partner: Partner, config: Config, now: datetime) -> Iterator[ConnectionStep]:
    name = ConnectionStepName.CALLER_CERTIFICATE
    if not partner.certificates:
        said = phrase("the partner has no certificate here, so it cannot call")
        yield _make_step(name, StepVerdict.SKIPPED, said, phrase("If it should: `lienthong partners certificate add`"))
    for certificate in partner.certificates:
        try:
            config.anchors.check(certificate, now, purpose=Purpose.CLIENT, unknown=partner.policy.revocation)
        except Untrusted as untrusted:
            yield judge_certificate(CallDirection.IN, name, certificate, untrusted.problems, now)
        else:
            yield judge_certificate(CallDirection.IN, name, certificate, (), now)


def _judge_grants(partner: Partner, config: Config) -> ConnectionStep:
    granted = grants.list_granted(partner, config)
    if granted:
        return _make_step(
            ConnectionStepName.GRANTS, StepVerdict.GOOD, phrase("it may call {names}", names=", ".join(granted))
        )
    return _make_step(
        ConnectionStepName.GRANTS,
        StepVerdict.WARNING,
        phrase("it may call nothing"),
        phrase("Grant it what it needs: `lienthong partners set {code} calls=…`, or give it units", code=partner.code),
    )


def _tell_last_call(tx: Transaction, partner: Partner) -> ConnectionStep:
    """Tell of the last call that the journal knows."""
    name = ConnectionStepName.LAST_CALL
    last, refused = (
        partner_traffic.read_last_message(tx, partner.code),
        partner_traffic.read_last_refused_call(tx, partner.code),
    )
    refused_at = None if refused is None else datetime.fromisoformat(str(refused.fields["at"]))
    if refused_at is not None and (last is None or last.at < refused_at):
        assert refused is not None
        said = phrase(
            "{at}: refused before it brought a message, {code}",
            at=write_local_time(refused_at),
            code=refused.fields.get("code", ""),
        )
        return _make_step(name, StepVerdict.WARNING, said, phrase("See what was refused, below"))
    if last is None:
        said = phrase("none that brought a message or was refused")
        do = phrase(
            "If the partner has called: its TLS handshake failed, which the log tells (client-refused); or it has only asked"
        )
        return _make_step(name, StepVerdict.WARNING, said, do)
    verdict = StepVerdict.GOOD if last.state is MessageState.ACCEPTED else StepVerdict.WARNING
    template = (
        phrase("{at}: accepted, {service}/{kind}", at=write_local_time(last.at), service=last.service, kind=last.kind)
        if verdict is StepVerdict.GOOD
        else phrase(
            "{at}: refused, {service}/{kind}", at=write_local_time(last.at), service=last.service, kind=last.kind
        )
    )
    return _make_step(name, verdict, template)


def _tell_refusals(found: list[RefusalCount]) -> Iterator[ConnectionStep]:
    """Tell what was refused today, and what the sentence of each code asks the partner to do."""
    if not found:
        yield _make_step(ConnectionStepName.REFUSALS, StepVerdict.GOOD, phrase("nothing"))
    for each in found[:_TOLD]:
        said = phrases(
            "{code}: {count} time, last at {at} [{detail}]",
            "{code}: {count} times, last at {at} [{detail}]",
            count=each.count,
            code=each.code,
            at=write_local_time(each.last),
            detail=each.detail[:100] or "–",
        )
        try:
            do: Phrase | None = find_error_sentence(each.code)
        except KeyError:
            do = None
        yield _make_step(ConnectionStepName.REFUSALS, StepVerdict.WARNING, said, do)


def _tell_strangers(tx: Transaction, since: datetime) -> Iterator[ConnectionStep]:
    """Tell which unknown certificates called today: one of them may be a new one of this partner."""
    found = partner_traffic.count_unknown_certificates(tx, since)
    for sha256, count in list(found.items())[:_TOLD]:
        said = phrases(
            "a certificate of no partner, SHA-256 {sha256}, called {count} time",
            "a certificate of no partner, SHA-256 {sha256}, called {count} times",
            count=count,
            sha256=sha256,
        )
        do = phrase("If it is a new one of this partner: `lienthong partners certificate add`")
        yield _make_step(ConnectionStepName.STRANGERS, StepVerdict.WARNING, said, do)


def _tell_sending(tx: Transaction, partner: Partner) -> ConnectionStep:
    name, standing = ConnectionStepName.SENDING, partner_state.read_partner_standing(tx, partner.code)
    if standing.pause is not None:
        said = phrase("paused by {by}: {reason}", by=standing.pause.by, reason=standing.pause.reason)
        return _make_step(
            name, StepVerdict.WARNING, said, phrase("`lienthong resume {code}` goes on", code=partner.code)
        )
    if standing.breaker.position is BreakerPosition.CLOSED:
        return _make_step(name, StepVerdict.GOOD, phrase("the hub sends"))
    said = phrase("the hub has cut the partner off: {reason}", reason=describe_reason(standing.breaker.reason or "–"))
    do = phrase("When the partner answers again: `lienthong resume {code}` tries it at once", code=partner.code)
    return _make_step(name, StepVerdict.FAILED, said, do)
