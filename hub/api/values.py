"""The answers of the API as values: messages, deliveries, attempts, events, plans, partners, reports.

Where the hub has a value of its own that says the same (`Delivery`, `MessageLink`, `DeliveryStage`), that is used.
Contains no HTTP and no journal.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any

import attrs
from cryptography import x509

from hub.config import Partner
from hub.domain.alert_severity import AlertSeverity
from hub.domain.model import Delivery, DeliveryState, Detail, ElementPlace, Message, Receive, Unit
from hub.edxml.readable import ListedAttachment, PacketFinding, PacketLine, ReadablePacket
from hub.formats.line_difference import DifferentLine, LineDifference
from hub.journal.event_index import ListedEvent
from hub.journal.lineage import MessageLink
from hub.journal.queue.exchanges import AttemptRecord
from hub.journal.queue.partner_state import PartnerStanding
from hub.journal.queue.replay_plans import PlannedItem
from hub.journal.queue.replay_rules import ItemState
from hub.journal.queue.timeline import DeliveryStage
from hub.journal.search import DeliverySummary, RefusedCall
from hub.language.phrases import Phrase, phrase
from hub.monitoring.connection_steps import ConnectionStep
from hub.monitoring.failures import FailureGroup
from hub.monitoring.late_work import LateView
from hub.monitoring.overview import BoundedCount, Concern, Overview, PartnerOverview
from hub.operations.messages.shown_reasons import ReportCell, ShownReason
from hub.operations.messages.visible_messages import ShownCall, ShownMessage
from hub.operations.operation import Cursor
from hub.operations.reports.reading import FactsPage
from hub.operations.reports.standing import ReportStanding
from hub.operations.watching.visible_alerts import ShownAlert
from hub.partner.circuit_breaker import BreakerPosition
from hub.report.counting.open_work import ListedWork, WorkCount, WorkState
from hub.security.certificates import hash_certificate

#: What is shown of a fact whose message is private.
_BARE_FACT = frozenset({"at", "event", "message", "unit", "service", "milestone"})


# --- messages ---------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ApiMessageRow(Message):
    """A message in a list."""

    deliveries: Annotated[Sequence[DeliverySummary], phrase("its deliveries by state")]

    @classmethod
    def of(cls, message: Message, deliveries: Sequence[DeliverySummary]) -> "ApiMessageRow":
        """Return the row of *message*."""
        return cls(**attrs.asdict(message, recurse=False), deliveries=deliveries)


@attrs.frozen(kw_only=True)
class ApiMessageList:
    """A page of messages, newest first."""

    items: Sequence[ApiMessageRow]
    next: Cursor
    newer: Annotated[str | None, phrase("the value of after for the page of newer messages; null: there are none")]
    count: Annotated[int, phrase("how many messages the search finds, at most most")]
    most: int
    behind: Annotated[bool, phrase("whether the hub still indexes words of older messages")]


@attrs.frozen(kw_only=True)
class ApiReason:
    """One reason of a refusal."""

    code: str
    sentence: Annotated[Phrase | None, phrase("what the caller was told")]
    detail: Annotated[Detail, phrase("what was found, what is allowed, and what to do")]
    place: Annotated[ElementPlace | None, phrase("the element with the mistake, if the schema found it")]

    @classmethod
    def of(cls, reason: ShownReason) -> "ApiReason":
        """Return the reason as the page shows it."""
        return cls(code=reason.code, sentence=reason.sentence, detail=reason.detail, place=reason.place)


@attrs.frozen(kw_only=True)
class ApiAttempt:
    """One attempt to deliver a message."""

    id: str
    partner: str
    number: int
    recipients: Sequence[str]
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    detail: str | None
    request_sha256: str | None
    reply_sha256: str | None
    reply_status: int | None
    call_ms: Annotated[int | None, phrase("from the request to the reply, in milliseconds")]
    kept: Annotated[bool, phrase("whether its request and reply are kept")]

    @classmethod
    def of(cls, found: AttemptRecord) -> "ApiAttempt":
        """Return the attempt without its exchange."""
        names = {each.name for each in attrs.fields(cls)} - {"kept"}
        said: dict[str, Any] = {name: getattr(found, name) for name in names}
        return cls(**said, kept=found.head is not None)


@attrs.frozen(kw_only=True)
class ApiHeader:
    """A header field of HTTP."""

    name: str
    value: str


@attrs.frozen(kw_only=True)
class ApiExchange:
    """One attempt with its request and reply, without secrets."""

    attempt: ApiAttempt
    method: str | None
    url: str | None
    sent: Annotated[Sequence[ApiHeader], phrase("header fields of the request")]
    status: int | None
    heard: Annotated[Sequence[ApiHeader], phrase("header fields of the reply")]
    size: Annotated[int | None, phrase("octets of the reply's body")]
    body: Annotated[str | None, phrase("the beginning of the reply's body, at most 64 KiB; null: it is not kept")]

    @classmethod
    def of(cls, found: AttemptRecord, body: str | None) -> "ApiExchange":
        """Return the attempt *found* with the *body* of its reply."""
        head = found.head
        heard = () if head is None else (*head.heard, *found.varying.items())
        return cls(
            attempt=ApiAttempt.of(found),
            method=None if head is None else head.method,
            url=None if head is None else head.url,
            sent=[] if head is None else list_headers(head.sent),
            status=None if head is None else head.status,
            heard=list_headers(heard),
            size=None if head is None else head.size,
            body=body,
        )


def list_headers(pairs: Sequence[tuple[str, str]]) -> list[ApiHeader]:
    """Return header fields."""
    return [ApiHeader(name=name, value=value) for name, value in pairs]


@attrs.frozen(kw_only=True)
class ApiStagedDelivery(Delivery):
    """A delivery, with the periods in which it was in one state."""

    stages: Sequence[DeliveryStage]

    @classmethod
    def with_stages(cls, delivery: Delivery, stages: Sequence[DeliveryStage]) -> "ApiStagedDelivery":
        """Return *delivery* with its *stages*."""
        return cls(**attrs.asdict(delivery, recurse=False), stages=stages)


@attrs.frozen(kw_only=True)
class ApiEvent:
    """An event of the journal."""

    at: str
    event: Annotated[str, phrase("its name")]
    message: Annotated[str | None, phrase("the hub's id of the message it is about")]
    number: Annotated[int | None, phrase("its place in the hash chain")]
    fields: Annotated[Mapping[str, Any], phrase("what else it says")]

    @classmethod
    def of(cls, said: Mapping[str, Any], number: int | None = None) -> "ApiEvent":
        """Return the event with the fields *said*, as stored."""
        apart = {"at", "event", "message"}
        fields = {name: value for name, value in said.items() if name not in apart}
        return cls(at=said["at"], event=said["event"], message=said.get("message"), number=number, fields=fields)


@attrs.frozen(kw_only=True)
class ApiEventList:
    """A page of events, newest first."""

    items: Sequence[ApiEvent]
    next: Cursor
    reached: Annotated[datetime | None, phrase("the time down to which the page looked, if it is not full")]

    @classmethod
    def of(cls, found: Sequence[ListedEvent], more: str | None, reached: datetime | None) -> "ApiEventList":
        """Return a page."""
        return cls(items=[ApiEvent.of(each.fields, each.number) for each in found], next=more, reached=reached)


@attrs.frozen(kw_only=True)
class ApiMessageEvents:
    """The events of one message, in order."""

    items: Sequence[ApiEvent]
    more: Annotated[int, phrase("how many further ones there are")]


@attrs.frozen(kw_only=True)
class ApiCell:
    """A cell of a monthly report in which a fact is counted."""

    form: str
    unit: str
    period: str
    column: str

    @classmethod
    def of(cls, cell: ReportCell) -> "ApiCell":
        """Return the cell by its keys."""
        return cls(form=cell.form.id, unit=cell.unit, period=cell.period, column=cell.column.key)


@attrs.frozen(kw_only=True)
class ApiFact:
    """A fact that a message made."""

    fact: Annotated[Mapping[str, Any], phrase("as its event says it; of a lookup only unit, service and milestone")]
    cells: Annotated[Sequence[ApiCell], phrase("where monthly reports count it, at most 8")]


@attrs.frozen(kw_only=True)
class ApiFinding:
    """What was found in a packet."""

    code: str
    detail: Detail
    refuses: Annotated[bool, phrase("whether it is a reason of the refusal")]
    line: Annotated[int | None, phrase("of the packet")]

    @classmethod
    def of(cls, found: PacketFinding) -> "ApiFinding":
        """Return the finding with its line."""
        return cls(code=found.code, detail=found.detail, refuses=found.refuses, line=found.line)


@attrs.frozen(kw_only=True)
class ApiMessageDetails:
    """One message, with all that happened to it but its events."""

    message: Message
    content: Annotated[bool, phrase("whether its bytes are kept and may be opened")]
    receipt: Annotated[bool, phrase("whether the hub gave a signed receipt")]
    reasons: Annotated[Sequence[ApiReason], phrase("why it was refused")]
    findings: Sequence[ApiFinding]
    signature: Annotated[Mapping[str, Any] | None, phrase("the event about the packet's own signature")]
    deliveries: Sequence[ApiStagedDelivery]
    attempts: Annotated[Sequence[ApiAttempt], phrase("at most 500")]
    links: Annotated[Sequence[MessageLink], phrase("messages that it is linked to")]
    facts: Annotated[Sequence[ApiFact], phrase("at most 500")]
    more_facts: Annotated[int, phrase("how many further ones there are")]
    archives: Annotated[Sequence[str], phrase("names of the archive files that have a part of it")]
    absent: Annotated[
        str | None, phrase("name of the archive file that is not there, so that its part is missing here")
    ]

    @classmethod
    def of(
        cls, opened: ShownMessage, reasons: Sequence[ShownReason], cells: Sequence[Sequence[ReportCell]]
    ) -> "ApiMessageDetails":
        """Return the message as its page shows it. *cells*: of each of its facts."""
        return cls(
            message=attrs.evolve(opened.message, code=opened.code),
            content=opened.kept,
            receipt=opened.receipt,
            reasons=list(map(ApiReason.of, reasons)),
            findings=list(map(ApiFinding.of, opened.findings)),
            signature=opened.signature,
            deliveries=[
                ApiStagedDelivery.with_stages(each, opened.stages.get(each.id, ())) for each in opened.deliveries
            ],
            attempts=list(map(ApiAttempt.of, opened.attempts)),
            links=opened.links,
            facts=[
                ApiFact(
                    fact={key: value for key, value in fact.items() if not opened.private or key in _BARE_FACT},
                    cells=list(map(ApiCell.of, found)),
                )
                for fact, found in zip(opened.facts, cells, strict=True)
            ],
            more_facts=opened.more_facts,
            archives=[each.name for each in opened.archives],
            absent=opened.absent,
        )


@attrs.frozen(kw_only=True)
class ApiPacketLine:
    """One line of a packet as people read it."""

    number: int | None
    depth: int
    text: str
    hidden: Annotated[int, phrase("letters that are not shown")]
    attachment: Annotated[int | None, phrase("number of the attachment whose content stands here")]
    findings: Sequence[ApiFinding]

    @classmethod
    def of(cls, line: PacketLine) -> "ApiPacketLine":
        """Return the line."""
        return cls(
            number=line.number,
            depth=line.depth,
            text=line.text,
            hidden=line.hidden,
            attachment=line.attachment,
            findings=list(map(ApiFinding.of, line.findings)),
        )


@attrs.frozen(kw_only=True)
class ApiPacket:
    """A packet as people read it."""

    lines: Sequence[ApiPacketLine]
    more: Annotated[bool, phrase("whether it has more lines than these")]
    attachments: Sequence[ListedAttachment]
    elsewhere: Annotated[Sequence[ApiFinding], phrase("findings at none of these lines")]
    is_xml: bool

    @classmethod
    def of(cls, packet: ReadablePacket) -> "ApiPacket":
        """Return the packet."""
        return cls(
            lines=list(map(ApiPacketLine.of, packet.lines)),
            more=packet.more,
            attachments=packet.attachments,
            elsewhere=list(map(ApiFinding.of, packet.elsewhere)),
            is_xml=packet.is_xml,
        )


@attrs.frozen(kw_only=True)
class ApiDifference:
    """What differs between two texts."""

    part: Annotated[str | None, phrase("request or reply; null: the packets")]
    equal: bool
    lines: Sequence[DifferentLine]
    cut: Annotated[bool, phrase("whether so much differs that the rest was not compared")]

    @classmethod
    def of(cls, part: str | None, found: LineDifference) -> "ApiDifference":
        """Return a difference."""
        return cls(part=part, equal=found.is_equal, lines=found.lines, cut=found.cut)


@attrs.frozen(kw_only=True)
class ApiComparison:
    """Two packets, or two attempts, compared."""

    parts: Sequence[ApiDifference]


@attrs.frozen(kw_only=True)
class ApiRefusedCalls:
    """A page of refused calls, newest first."""

    items: Sequence[RefusedCall]
    next: Cursor


@attrs.frozen(kw_only=True)
class ApiCallDetails:
    """A call that was refused before it brought a message."""

    call: RefusedCall
    sentence: Annotated[Phrase | None, phrase("what the caller was told")]
    events: Sequence[ApiEvent]

    @classmethod
    def of(cls, shown: ShownCall, sentence: Phrase | None) -> "ApiCallDetails":
        """Return the call as its page shows it."""
        return cls(call=shown.call, sentence=sentence, events=[ApiEvent.of(each) for each in shown.happened])


# --- replay plans -----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ApiPlanItem:
    """One delivery of a plan, with its state before and now."""

    number: int
    message: str
    code: Annotated[str | None, phrase("number and notation of the document")]
    delivery: str
    recipient: str
    partner: str
    item: Annotated[ItemState, phrase("what became of it in the plan")]
    why: Annotated[str | None, phrase("why it was excluded or left alone")]
    was: Annotated[DeliveryState, phrase("its state when it was chosen")]
    was_reason: str | None
    queued_at: datetime | None
    state: Annotated[DeliveryState, phrase("its state now")]
    reason: str | None
    attempts: int

    @classmethod
    def of(cls, item: PlannedItem) -> "ApiPlanItem":
        """Return the delivery."""
        return cls(
            number=item.number,
            message=item.message.id,
            code=item.message.code,
            delivery=item.delivery.id,
            recipient=item.delivery.recipient,
            partner=item.delivery.partner,
            item=item.state,
            why=item.why,
            was=item.was,
            was_reason=item.was_reason,
            queued_at=item.queued_at,
            state=item.delivery.state,
            reason=item.delivery.reason,
            attempts=item.delivery.attempts,
        )


@attrs.frozen(kw_only=True)
class ApiPlanItems:
    """Some deliveries of a plan, in order."""

    items: Sequence[ApiPlanItem]
    next: Cursor


# --- partners and units -----------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ApiCertificate:
    """A certificate of a partner."""

    sha256: str
    subject: str
    issuer: str
    since: datetime
    until: datetime

    @classmethod
    def of(cls, found: x509.Certificate) -> "ApiCertificate":
        """Return the certificate by its names and times."""
        return cls(
            sha256=hash_certificate(found),
            subject=found.subject.rfc4514_string(),
            issuer=found.issuer.rfc4514_string(),
            since=found.not_valid_before_utc,
            until=found.not_valid_after_utc,
        )


@attrs.frozen(kw_only=True)
class ApiPause:
    """A pause of the sending to a partner."""

    at: datetime
    by: str
    reason: str


@attrs.frozen(kw_only=True)
class ApiBreaker:
    """The circuit breaker of a partner."""

    position: BreakerPosition
    until: datetime | None
    reason: str | None


@attrs.frozen(kw_only=True)
class ApiPartner:
    """A partner of the configuration."""

    code: str
    name: str
    receive: Receive
    adapter: str
    upstream: Annotated[bool, phrase("whether all that leaves the province goes to it")]
    units: Sequence[str]
    services: Sequence[str]
    certificates: Sequence[ApiCertificate]
    pause: ApiPause | None
    breaker: ApiBreaker

    @classmethod
    def of(cls, partner: Partner, standing: PartnerStanding, upstream: str) -> "ApiPartner":
        """Return the partner as it is configured and stands."""
        return cls(
            code=partner.code,
            name=partner.name,
            receive=partner.receive,
            adapter=partner.adapter,
            upstream=partner.code == upstream,
            units=partner.units,
            services=partner.services,
            certificates=list(map(ApiCertificate.of, partner.certificates)),
            pause=make_pause(standing),
            breaker=make_breaker(standing),
        )


def make_pause(standing: PartnerStanding) -> ApiPause | None:
    """Return the pause of a partner."""
    pause = standing.pause
    return None if pause is None else ApiPause(at=pause.at, by=pause.by, reason=pause.reason)


def make_breaker(standing: PartnerStanding) -> ApiBreaker:
    """Return the breaker of a partner."""
    found = standing.breaker
    return ApiBreaker(position=found.position, until=found.until, reason=found.reason)


@attrs.frozen(kw_only=True)
class ApiPartnerList:
    """The partners, sorted by code."""

    items: Sequence[ApiPartner]


@attrs.frozen(kw_only=True)
class ApiConnectionTest:
    """What a connection test has found."""

    works: Annotated[bool, phrase("whether no step failed")]
    steps: Sequence[ConnectionStep]


@attrs.frozen(kw_only=True)
class ApiPauseResult:
    """What a pause or its end has changed."""

    code: str
    paused: bool
    changed: Annotated[bool, phrase("false: it was so before")]


@attrs.frozen(kw_only=True)
class ApiUnitList:
    """Units that match a search."""

    items: Sequence[Unit]
    next: Cursor
    count: Annotated[int, phrase("how many units match")]


# --- the overview -----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ApiCount:
    """A number that is exact up to 10,000."""

    number: int
    more: Annotated[bool, phrase("whether there are more than number")]

    @classmethod
    def of(cls, count: BoundedCount) -> "ApiCount":
        """Return the number."""
        return cls(number=count.number, more=count.more)


@attrs.frozen(kw_only=True)
class ApiPartnerStatus:
    """How the exchange with one partner stands."""

    code: str
    name: str
    receive: Receive
    deliveries: Annotated[Mapping[str, ApiCount], phrase("those that are not delivered, by state")]
    refused_today: ApiCount
    calls_refused_today: ApiCount
    oldest_since: datetime | None
    pause: ApiPause | None
    breaker: ApiBreaker
    link: str | None
    link_reason: str | None
    certificate_days_left: int | None
    concerns: Annotated[Sequence[Concern], phrase("what needs attention")]

    @classmethod
    def of(cls, found: PartnerOverview) -> "ApiPartnerStatus":
        """Return what the overview says of a partner."""
        return cls(
            code=found.code,
            name=found.name,
            receive=found.receive,
            deliveries={str(state): ApiCount.of(each.count) for state, each in found.deliveries.items()},
            refused_today=ApiCount.of(found.refused_messages),
            calls_refused_today=ApiCount.of(found.refused_calls),
            oldest_since=found.oldest,
            pause=make_pause(found.standing),
            breaker=make_breaker(found.standing),
            link=None if found.link is None else str(found.link.state),
            link_reason=None if found.link is None else found.link.reason,
            certificate_days_left=found.days_left,
            concerns=found.concerns,
        )


@attrs.frozen(kw_only=True)
class ApiPendingRestart:
    """A node that must be restarted, because a changed setting takes effect only then."""

    node: str
    settings: Annotated[Sequence[str], phrase("keys of hub.toml")]
    since: Annotated[datetime | None, phrase("when the first of them was changed")]


@attrs.frozen(kw_only=True)
class ApiStatus:
    """How the whole exchange stands."""

    name: str
    at: datetime
    nodes: Annotated[int, phrase("nodes of the hub that run")]
    accepted_per_minute: int
    refused_per_minute: int
    delivered_per_minute: int
    estimated: Annotated[bool, phrase("whether these three are projected")]
    strangers_refused_today: ApiCount
    concerns: Sequence[Concern]
    restarts: Annotated[Sequence[ApiPendingRestart], phrase("nodes that must be restarted for a changed setting")]
    awaited_receipts: Annotated[
        ApiCount, phrase("messages with a receipt that are missing since the journal was put back")
    ]
    partners: Sequence[ApiPartnerStatus]

    @classmethod
    def of(cls, name: str, found: Overview) -> "ApiStatus":
        """Return the overview of the hub *name*."""
        return cls(
            name=name,
            at=found.at,
            nodes=found.nodes,
            accepted_per_minute=found.accepted.number,
            refused_per_minute=found.refused.number,
            delivered_per_minute=found.delivered.number,
            estimated=found.accepted.estimated,
            strangers_refused_today=ApiCount.of(found.strangers),
            concerns=found.concerns,
            restarts=[
                ApiPendingRestart(node=name, settings=pending.settings, since=pending.since)
                for name, pending in found.restarts.items()
            ],
            awaited_receipts=ApiCount.of(found.awaited),
            partners=list(map(ApiPartnerStatus.of, found.partners)),
        )


@attrs.frozen(kw_only=True)
class ApiFailureList:
    """Groups of failures by cause; the one with the latest failure is the first."""

    items: Sequence[FailureGroup]
    others: Annotated[int, phrase("number of groups that are not listed")]
    unread: Annotated[Sequence[str], phrase("partners that have more causes than are read")]


@attrs.frozen(kw_only=True)
class ApiWorkCount:
    """The open work of one unit and service, or of one of its fields."""

    unit: str
    name: Annotated[str, phrase("name of the unit; empty: not in the registry")]
    service: str
    field: str
    field_name: str
    late: int
    soon: int
    waiting: Annotated[int, phrase("things that wait for somebody else, or are excused")]
    oldest: Annotated[date | None, phrase("the earliest due day that has passed")]

    @classmethod
    def of(cls, count: WorkCount, names: Mapping[str, str]) -> "ApiWorkCount":
        """Return the value of *count*. *names*: of the units."""
        return cls(name=names.get(count.unit, ""), **attrs.asdict(count))


@attrs.frozen(kw_only=True)
class ApiWork:
    """Something open with a due day."""

    due: date
    days: Annotated[int, phrase("working days until the due day; below 0: since it")]
    state: WorkState
    unit: str
    name: Annotated[str, phrase("name of the unit; empty: not in the registry")]
    service: str
    number: Annotated[str, phrase("number and notation, or code; empty: of a message that the token does not see")]
    field: str
    field_name: str
    officer: Annotated[str, phrase("code of the officer who has it; empty: not told")]
    counterpart: Annotated[str, phrase("the unit that it came from; empty: not told")]
    since: date
    message: Annotated[str, phrase("id of the message by which it began")]
    told: Annotated[str, phrase("id of the newest message behind its state")]

    @classmethod
    def of(cls, item: ListedWork, view: LateView) -> "ApiWork":
        """Return the value of *item* of *view*."""
        work = item.work
        same = ("due", "unit", "service", "field", "field_name", "officer", "counterpart", "since", "message", "told")
        return cls(
            days=view.count_days(work.due),
            state=work.find_state(view.today),
            name=view.names.get(work.unit, ""),
            number=item.number,
            **{name: getattr(work, name) for name in same},
        )


@attrs.frozen(kw_only=True)
class ApiLate:
    """Who is late on a day, and one page of the things."""

    today: date
    until: Annotated[date, phrase("what is due up to this day is due soon")]
    unread: Annotated[int, phrase("events that are not in the list yet")]
    units: Annotated[
        Sequence[ApiWorkCount], phrase("numbers by unit and service; the unit with the most that is late first")
    ]
    fields: Annotated[Sequence[ApiWorkCount], phrase("of the unit that was asked for: numbers by field")]
    items: Sequence[ApiWork]
    next: Cursor

    @classmethod
    def of(cls, view: LateView, following: str | None) -> "ApiLate":
        """Return the value of *view*. *following*: the cursor of the next page."""
        return cls(
            today=view.today,
            until=view.until,
            unread=view.unread,
            units=[ApiWorkCount.of(one, view.names) for each in view.units for one in each.counts],
            fields=[ApiWorkCount.of(each, view.names) for each in view.fields],
            items=[ApiWork.of(each, view) for each in view.items],
            next=following,
        )


@attrs.frozen(kw_only=True)
class ApiCheck:
    """One check of the readiness."""

    name: str
    code: Annotated[str, phrase("ok, or the code of what fails")]
    detail: Detail


@attrs.frozen(kw_only=True)
class ApiReadiness:
    """The checks of the readiness."""

    items: Sequence[ApiCheck]


@attrs.frozen(kw_only=True)
class ApiAlert:
    """An alert to operators."""

    condition: str
    about: Annotated[str, phrase("a partner, a certificate, a form …; empty: the hub")]
    node: Annotated[str, phrase("the node that has the condition; empty: all")]
    severity: Annotated[AlertSeverity, phrase("the gravest since it began")]
    text: Detail
    since: datetime
    ended_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    note: str

    @classmethod
    def of(cls, shown: ShownAlert) -> "ApiAlert":
        """Return the alert as the page shows it."""
        alert = shown.alert
        return cls(
            condition=alert.key.kind,
            about=alert.key.about,
            node=alert.key.node,
            severity=alert.severity,
            text=shown.text,
            since=alert.since,
            ended_at=alert.ended_at,
            acknowledged_at=alert.acknowledged_at,
            acknowledged_by=alert.acknowledged_by,
            note=alert.acknowledged_note,
        )


@attrs.frozen(kw_only=True)
class ApiAlertList:
    """The alerts: those that are raised, the gravest first, and at most 50 that have ended, the latest first."""

    raised: Sequence[ApiAlert]
    ended: Sequence[ApiAlert]


@attrs.frozen(kw_only=True)
class ApiAlertKey:
    """Which alert."""

    asked = True
    condition: str
    about: str = ""
    node: str = ""


@attrs.frozen(kw_only=True)
class ApiAcknowledgement:
    """Alerts that a person or program knows of and sees to."""

    asked = True
    alerts: Annotated[tuple[ApiAlertKey, ...], phrase("as listAlerts tells them")]
    note: Annotated[str, phrase("what is done about them; it is recorded")] = ""


@attrs.frozen(kw_only=True)
class ApiAcknowledged:
    """What was acknowledged."""

    items: Annotated[Sequence[ApiAlert], phrase("those that nobody had acknowledged before")]


# --- reports ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ApiForm:
    """A form of reports."""

    id: str
    title: str
    service: str
    since: date | None
    until: date | None


@attrs.frozen(kw_only=True)
class ApiPeriod:
    """A period of reports."""

    text: str
    first: date
    last: date


@attrs.frozen(kw_only=True)
class ApiReportList:
    """The forms and periods of which there are reports, for each unit that the token sees."""

    forms: Sequence[ApiForm]
    periods: Annotated[Sequence[ApiPeriod], phrase("those that have begun, of this year and the year before")]


@attrs.frozen(kw_only=True)
class ApiReportStanding:
    """The state of a report."""

    step: Annotated[str, phrase("the state of the newest revision, or what comes before there is one")]
    revision: int | None
    message: Annotated[str | None, phrase("the hub's id of the sealed report")]
    sha256: str | None
    closed_at: datetime | None
    month: Annotated[str, phrase("the first month that is not closed yet")]

    @classmethod
    def of(cls, found: ReportStanding) -> "ApiReportStanding":
        """Return the state by its newest revision."""
        newest = found.newest
        return cls(
            step=str(found.step),
            revision=None if newest is None else newest.revision,
            message=None if newest is None else newest.message,
            sha256=None if newest is None else newest.sha256,
            closed_at=None if newest is None else newest.closed_at,
            month=found.month,
        )


@attrs.frozen(kw_only=True)
class ApiReport:
    """A counted report."""

    form: str
    unit: str
    period: str
    complete: Annotated[bool, phrase("whether all of its period is closed")]
    revision: int
    standing: ApiReportStanding
    report: Annotated[Mapping[str, Any], phrase("the report, as lienthong report --format json writes it")]


@attrs.frozen(kw_only=True)
class ApiGlance:
    """The units of a class beside one another."""

    form: str
    period: str
    glance: Annotated[Mapping[str, Any], phrase("the ranking, as lienthong report glance --format json writes it")]


@attrs.frozen(kw_only=True)
class ApiCountedFact:
    """A fact behind a number of a report."""

    unit: str
    service: str
    key: str | None
    milestone: str
    at: datetime
    message: str
    message_id: str | None
    code: str | None
    subject: str | None
    counterpart: str
    amount: int
    signature: str


@attrs.frozen(kw_only=True)
class ApiFactList:
    """A page of the facts behind a number."""

    value: Annotated[float | str | None, phrase("the number, or the time; null: it would take too long to count")]
    count: Annotated[int | None, phrase("of all facts behind the number; null: there are too many to be counted")]
    items: Sequence[ApiCountedFact]
    next: Cursor

    @classmethod
    def of(cls, page: FactsPage, hidden: Collection[str]) -> "ApiFactList":
        """Return the page. *hidden*: services whose keys are not shown."""
        value = page.value.isoformat() if isinstance(page.value, datetime) else page.value
        return cls(
            value=None if value is None else value if isinstance(value, str) else float(value),
            count=page.count,
            items=[
                ApiCountedFact(
                    unit=fact.unit,
                    service=fact.service,
                    key=None if fact.service in hidden else fact.key,
                    milestone=fact.milestone,
                    at=fact.at,
                    message=fact.message,
                    message_id=named.message_id if (named := page.messages.get(fact.message)) else None,
                    code=named.code if named else None,
                    subject=named.subject if named else None,
                    counterpart=fact.counterpart,
                    amount=fact.amount,
                    signature=fact.signature,
                )
                for fact in page.facts
            ],
            next=None if page.more is None else page.more.text(),
        )


# --- the token --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ApiTokenInfo:
    """The token of the request."""

    name: str
    prefix: str
    owner: str
    scopes: Sequence[str]
    units: Sequence[str]
    partners: Sequence[str]
    until: datetime
