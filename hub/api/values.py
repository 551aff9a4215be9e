"""The answers of the API as values: messages, deliveries, attempts, events, plans, partners, reports.

Where the hub has a value of its own that says the same (`Delivery`, `MessageLink`, `DeliveryStage`), that is used; where
it has one that says more, or says it by another name, the answer is projected from it (`Projected`).
Contains no HTTP and no journal.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any

import attrs
from cryptography import x509

from hub.api.schemas import At, Projected
from hub.config import Partner
from hub.domain.alert_severity import AlertSeverity
from hub.domain.model import Delivery, DeliveryState, Detail, ElementPlace, Fact, Message, Receive, Unit
from hub.edxml.readable import ListedAttachment, PacketFinding, PacketLine, ReadablePacket
from hub.formats.line_difference import DifferentLine, LineDifference
from hub.journal.event_index import ListedEvent
from hub.journal.lineage import MessageLink
from hub.journal.queue.exchanges import AttemptRecord
from hub.journal.queue.partner_state import PartnerStanding, Pause
from hub.journal.queue.timeline import DeliveryStage
from hub.journal.replays.plan_rows import PlannedItem
from hub.journal.replays.replay_rules import ItemState
from hub.journal.searching.refused_calls import RefusedCall
from hub.journal.searching.search import DeliverySummary
from hub.language.phrases import Phrase, phrase
from hub.monitoring.connection_steps import ConnectionStep
from hub.monitoring.failures import FailureGroup
from hub.monitoring.late_work import LateView
from hub.monitoring.overview import BoundedCount, Concern, Overview, PartnerOverview
from hub.operations.accounts.tokens import ApiToken
from hub.operations.messages.shown_reasons import ReportCell, ShownReason
from hub.operations.messages.visible_messages import ShownCall, ShownMessage
from hub.operations.operation import Cursor
from hub.operations.reports.reading import FactsPage
from hub.operations.reports.standing import ReportStanding
from hub.operations.watching.visible_alerts import ShownAlert, ShownAlerts
from hub.partner.circuit_breaker import Breaker, BreakerPosition
from hub.report.counting.open_work import ListedWork, OpenWork, WorkCount, WorkState
from hub.report.form.form import Form
from hub.report.form.period import Period
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
class ApiReason(Projected[ShownReason]):
    """One reason of a refusal."""

    code: str
    sentence: Annotated[Phrase | None, phrase("what the caller was told")]
    detail: Annotated[Detail, phrase("what was found, what is allowed, and what to do")]
    place: Annotated[ElementPlace | None, phrase("the element with the mistake, if the schema found it")]


@attrs.frozen(kw_only=True)
class ApiAttempt(Projected[AttemptRecord]):
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


@attrs.frozen(kw_only=True)
class ApiHeader:
    """A header field of HTTP."""

    name: str
    value: str


@attrs.frozen(kw_only=True)
class ApiExchange(Projected[AttemptRecord]):
    """One attempt with its request and reply, without secrets."""

    attempt: Annotated[ApiAttempt, At("")]
    method: Annotated[str | None, At("head.method")]
    url: Annotated[str | None, At("head.url")]
    sent: Annotated[Sequence[ApiHeader], phrase("header fields of the request")]
    status: Annotated[int | None, At("head.status")]
    heard: Annotated[Sequence[ApiHeader], phrase("header fields of the reply")]
    size: Annotated[int | None, At("head.size"), phrase("octets of the reply's body")]
    body: Annotated[str | None, phrase("the beginning of the reply's body, at most 64 KiB; null: it is not kept")]

    @classmethod
    def of(cls, found: AttemptRecord, body: str | None) -> "ApiExchange":
        """Return the attempt *found* with the *body* of its reply."""
        head = found.head
        heard = () if head is None else (*head.heard, *found.varying.items())
        return cls.project(
            found, sent=[] if head is None else list_headers(head.sent), heard=list_headers(heard), body=body
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
class ApiCell(Projected[ReportCell]):
    """A cell of a monthly report in which a fact is counted."""

    form: Annotated[str, At("form.id")]
    unit: str
    period: str
    column: Annotated[str, At("column.key")]


@attrs.frozen(kw_only=True)
class ApiFact:
    """A fact that a message made."""

    fact: Annotated[Mapping[str, Any], phrase("as its event says it; of a lookup only unit, service and milestone")]
    cells: Annotated[Sequence[ApiCell], phrase("where monthly reports count it, at most 8")]


@attrs.frozen(kw_only=True)
class ApiFinding(Projected[PacketFinding]):
    """What was found in a packet."""

    code: str
    detail: Detail
    refuses: Annotated[bool, phrase("whether it is a reason of the refusal")]
    line: Annotated[int | None, phrase("of the packet")]


@attrs.frozen(kw_only=True)
class ApiMessageDetails(Projected[ShownMessage]):
    """One message, with all that happened to it but its events."""

    message: Message
    content: Annotated[bool, At("kept"), phrase("whether its bytes are kept and may be opened")]
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
        return cls.project(
            opened,
            message=attrs.evolve(opened.message, code=opened.code),
            reasons=list(map(ApiReason.project, reasons)),
            deliveries=[
                ApiStagedDelivery.with_stages(each, opened.stages.get(each.id, ())) for each in opened.deliveries
            ],
            facts=[
                ApiFact(
                    fact={key: value for key, value in fact.items() if not opened.private or key in _BARE_FACT},
                    cells=list(map(ApiCell.project, found)),
                )
                for fact, found in zip(opened.facts, cells, strict=True)
            ],
            archives=[each.name for each in opened.archives],
        )


@attrs.frozen(kw_only=True)
class ApiPacketLine(Projected[PacketLine]):
    """One line of a packet as people read it."""

    number: int | None
    depth: int
    text: str
    hidden: Annotated[int, phrase("letters that are not shown")]
    attachment: Annotated[int | None, phrase("number of the attachment whose content stands here")]
    findings: Sequence[ApiFinding]


@attrs.frozen(kw_only=True)
class ApiPacket(Projected[ReadablePacket]):
    """A packet as people read it."""

    lines: Sequence[ApiPacketLine]
    more: Annotated[bool, phrase("whether it has more lines than these")]
    attachments: Sequence[ListedAttachment]
    elsewhere: Annotated[Sequence[ApiFinding], phrase("findings at none of these lines")]
    is_xml: bool


@attrs.frozen(kw_only=True)
class ApiDifference(Projected[LineDifference]):
    """What differs between two texts."""

    part: Annotated[str | None, phrase("request or reply; null: the packets")]
    equal: Annotated[bool, At("is_equal")]
    lines: Sequence[DifferentLine]
    cut: Annotated[bool, phrase("whether so much differs that the rest was not compared")]


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
class ApiPlanItem(Projected[PlannedItem]):
    """One delivery of a plan, with its state before and now."""

    number: int
    message: Annotated[str, At("message.id")]
    code: Annotated[str | None, At("message.code"), phrase("number and notation of the document")]
    delivery: Annotated[str, At("delivery.id")]
    recipient: Annotated[str, At("delivery.recipient")]
    partner: Annotated[str, At("delivery.partner")]
    item: Annotated[ItemState, At("state"), phrase("what became of it in the plan")]
    why: Annotated[str | None, phrase("why it was excluded or left alone")]
    was: Annotated[DeliveryState, phrase("its state when it was chosen")]
    was_reason: str | None
    queued_at: datetime | None
    state: Annotated[DeliveryState, At("delivery.state"), phrase("its state now")]
    reason: Annotated[str | None, At("delivery.reason")]
    attempts: Annotated[int, At("delivery.attempts")]


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
class ApiPause(Projected[Pause]):
    """A pause of the sending to a partner."""

    at: datetime
    by: str
    reason: str


@attrs.frozen(kw_only=True)
class ApiBreaker(Projected[Breaker]):
    """The circuit breaker of a partner."""

    position: BreakerPosition
    until: datetime | None
    reason: str | None


@attrs.frozen(kw_only=True)
class ApiPartner(Projected[Partner]):
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
        return cls.project(
            partner,
            upstream=partner.code == upstream,
            certificates=list(map(ApiCertificate.of, partner.certificates)),
            pause=None if standing.pause is None else ApiPause.project(standing.pause),
            breaker=ApiBreaker.project(standing.breaker),
        )


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
class ApiCount(Projected[BoundedCount]):
    """A number that is exact up to 10,000."""

    number: int
    more: Annotated[bool, phrase("whether there are more than number")]


@attrs.frozen(kw_only=True)
class ApiPartnerStatus(Projected[PartnerOverview]):
    """How the exchange with one partner stands."""

    code: str
    name: str
    receive: Receive
    deliveries: Annotated[Mapping[str, ApiCount], phrase("those that are not delivered, by state")]
    refused_today: Annotated[ApiCount, At("refused_messages")]
    calls_refused_today: Annotated[ApiCount, At("refused_calls")]
    oldest_since: Annotated[datetime | None, At("oldest")]
    pause: ApiPause | None
    breaker: Annotated[ApiBreaker, At("standing.breaker")]
    link: Annotated[str | None, At("link.state")]
    link_reason: Annotated[str | None, At("link.reason")]
    certificate_days_left: Annotated[int | None, At("days_left")]
    concerns: Annotated[Sequence[Concern], phrase("what needs attention")]

    @classmethod
    def of(cls, found: PartnerOverview) -> "ApiPartnerStatus":
        """Return what the overview says of a partner."""
        counts = {str(state): ApiCount.project(each.count) for state, each in found.deliveries.items()}
        return cls.project(found, deliveries=counts)


@attrs.frozen(kw_only=True)
class ApiPendingRestart:
    """A node that must be restarted, because a changed setting takes effect only then."""

    node: str
    settings: Annotated[Sequence[str], phrase("keys of hub.toml")]
    since: Annotated[datetime | None, phrase("when the first of them was changed")]


@attrs.frozen(kw_only=True)
class ApiStatus(Projected[Overview]):
    """How the whole exchange stands."""

    name: str
    at: datetime
    nodes: Annotated[int, phrase("nodes of the hub that run")]
    accepted_per_minute: Annotated[int, At("accepted.number")]
    refused_per_minute: Annotated[int, At("refused.number")]
    delivered_per_minute: Annotated[int, At("delivered.number")]
    estimated: Annotated[bool, At("accepted.estimated"), phrase("whether these three are projected")]
    strangers_refused_today: Annotated[ApiCount, At("strangers")]
    concerns: Sequence[Concern]
    restarts: Annotated[Sequence[ApiPendingRestart], phrase("nodes that must be restarted for a changed setting")]
    awaited_receipts: Annotated[
        ApiCount, At("awaited"), phrase("messages with a receipt that are missing since the journal was put back")
    ]
    partners: Sequence[ApiPartnerStatus]

    @classmethod
    def of(cls, name: str, found: Overview) -> "ApiStatus":
        """Return the overview of the hub *name*."""
        return cls.project(
            found,
            name=name,
            restarts=[
                ApiPendingRestart(node=name, settings=pending.settings, since=pending.since)
                for name, pending in found.restarts.items()
            ],
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
class ApiWork(Projected[OpenWork]):
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
        days, state = view.count_days(item.work.due), item.work.find_state(view.today)
        return cls.project(
            item.work, days=days, state=state, name=view.names.get(item.work.unit, ""), number=item.number
        )


@attrs.frozen(kw_only=True)
class ApiLate(Projected[LateView]):
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
        return cls.project(
            view,
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
class ApiAlert(Projected[ShownAlert]):
    """An alert to operators."""

    condition: Annotated[str, At("alert.key.kind")]
    about: Annotated[str, At("alert.key.about"), phrase("a partner, a certificate, a form …; empty: the hub")]
    node: Annotated[str, At("alert.key.node"), phrase("the node that has the condition; empty: all")]
    severity: Annotated[AlertSeverity, At("alert.severity"), phrase("the gravest since it began")]
    text: Detail
    since: Annotated[datetime, At("alert.since")]
    ended_at: Annotated[datetime | None, At("alert.ended_at")]
    acknowledged_at: Annotated[datetime | None, At("alert.acknowledged_at")]
    acknowledged_by: Annotated[str, At("alert.acknowledged_by")]
    note: Annotated[str, At("alert.acknowledged_note")]


@attrs.frozen(kw_only=True)
class ApiAlertList(Projected[ShownAlerts]):
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
class ApiForm(Projected[Form]):
    """A form of reports."""

    id: str
    title: str
    service: str
    since: date | None
    until: date | None


@attrs.frozen(kw_only=True)
class ApiPeriod(Projected[Period]):
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
class ApiReportStanding(Projected[ReportStanding]):
    """The state of a report."""

    step: Annotated[str, phrase("the state of the newest revision, or what comes before there is one")]
    revision: Annotated[int | None, At("newest.revision")]
    message: Annotated[str | None, At("newest.message"), phrase("the hub's id of the sealed report")]
    sha256: Annotated[str | None, At("newest.sha256")]
    closed_at: Annotated[datetime | None, At("newest.closed_at")]
    month: Annotated[str, phrase("the first month that is not closed yet")]


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
class ApiCountedFact(Projected[Fact]):
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
                ApiCountedFact.project(
                    fact,
                    key=None if fact.service in hidden else fact.key,
                    message_id=named.message_id if (named := page.messages.get(fact.message)) else None,
                    code=named.code if named else None,
                    subject=named.subject if named else None,
                )
                for fact in page.facts
            ],
            next=None if page.more is None else page.more.text(),
        )


# --- the token --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ApiTokenInfo(Projected[ApiToken]):
    """The token of the request."""

    name: str
    prefix: str
    owner: str
    scopes: Sequence[str]
    units: Sequence[str]
    partners: Sequence[str]
    until: datetime
