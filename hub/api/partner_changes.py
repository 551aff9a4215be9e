"""The operations that add, change or remove a partner, and those for its developers: the checklist and the kit.

An order is the page's (`hub.operations.partners.partner_orders`): without `apply` it is only judged and shown. Its `seen` is
the SHA-256 of the partner's file as the caller read it, so that of two editors the second is told.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import attrs

from hub.api.operation import ApiCall, ApiOperation, ApiParameter, answer_value, find_answer, order_once
from hub.api.partner_values import ApiIntegration, ApiPartnerEdit, ApiPartnerSettings
from hub.api.partners import clean_reason, find_partner
from hub.api.problems import ApiProblem, NamedFlaw
from hub.config.partners.partner_edit import PartnerOrder
from hub.domain.local_time import find_local_day
from hub.language.phrases import Phrase, phrase
from hub.monitoring.integration.facts import IntegrationFacts, gather_facts
from hub.monitoring.integration.first_messages import StepState
from hub.monitoring.integration.kit import KIT, make_kit, name_kit
from hub.monitoring.integration.letter import INVITATION, PartnerInvitation, name_invitation, write_letters
from hub.monitoring.integration.reading import read_integration
from hub.operations.accounts.permissions import Permission
from hub.operations.operation import LONG
from hub.operations.partners.partner_orders import CERTIFICATE, JudgedOrder
from hub.operations.parts import OperationParts
from hub.web.answers import ConsoleResponse
from hub.web.layout import render_kit_page

_SEEN = phrase("sha256 of the partner's file, as getPartnerSettings tells it")
_APPLY = phrase("true: make the change; else it is only judged and shown")
_REASON = phrase("needed with apply; it is recorded")
_ANY_UNIT = phrase("true: also where the partner may send for any unit from then on")
_MAY_SEND_FOR_ALL = phrase("the partner may send for any unit from then on: send any_unit: true, or name its units")
_PEM = phrase("certificate and its chain, PEM")
_SECRETS = phrase("secrets to write; with another address or transport every one that the adapter uses")


@attrs.frozen(kw_only=True)
class ApiSecret:
    """A secret to write into the folder of the partner's secrets. No operation reads one."""

    asked = True
    name: Annotated[str, phrase("name of the setting without `-file`, such as password")]
    value: Annotated[str, phrase("the secret itself"), LONG] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class ApiPartnerAddition:
    """A new partner."""

    asked = True
    code: str
    set: Annotated[tuple[str, ...], phrase("KEY=VALUE, as after `partners set`")] = ()
    secrets: Annotated[tuple[ApiSecret, ...], _SECRETS] = ()
    certificate: Annotated[str | None, _PEM, LONG] = None
    any_unit: Annotated[bool, _ANY_UNIT] = False
    reason: Annotated[str, _REASON] = ""
    apply: Annotated[bool, _APPLY] = False


@attrs.frozen(kw_only=True)
class ApiPartnerChange:
    """Settings of a partner to set and to unset."""

    asked = True
    seen: Annotated[str, _SEEN]
    set: Annotated[tuple[str, ...], phrase("KEY=VALUE; of a list also KEY+=VALUE and KEY-=VALUE")] = ()
    unset: Annotated[tuple[str, ...], phrase("keys to remove, so that their default holds")] = ()
    secrets: Annotated[tuple[ApiSecret, ...], _SECRETS] = ()
    any_unit: Annotated[bool, _ANY_UNIT] = False
    reason: Annotated[str, _REASON] = ""
    apply: Annotated[bool, _APPLY] = False


@attrs.frozen(kw_only=True)
class ApiCertificateAddition:
    """A certificate that the partner may use too."""

    asked = True
    seen: Annotated[str, _SEEN]
    certificate: Annotated[str, _PEM, LONG]
    reason: Annotated[str, _REASON] = ""
    apply: Annotated[bool, _APPLY] = False


@attrs.frozen(kw_only=True)
class ApiCertificateRemoval:
    """A certificate that the partner may use no longer."""

    asked = True
    seen: Annotated[str, _SEEN]
    last: Annotated[bool, phrase("true: even if it is the last one that is valid")] = False
    reason: Annotated[str, _REASON] = ""
    apply: Annotated[bool, _APPLY] = False


@attrs.frozen(kw_only=True)
class ApiPartnerRemoval:
    """That the partner goes."""

    asked = True
    seen: Annotated[str, _SEEN]
    leave: Annotated[bool, phrase("true: deliveries that are not delivered stay in the journal")] = False
    reason: Annotated[str, _REASON] = ""
    apply: Annotated[bool, _APPLY] = False


async def read_settings(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the settings and certificates of a partner, as its file says now."""
    code = find_partner(parts, call).code
    look = await parts.partners.look(code, call.now)
    view = await parts.partners.view(look, code, call.now)
    return answer_value(ApiPartnerSettings.of(look, view), call)


async def add_partner(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Add a partner."""
    wanted: ApiPartnerAddition = call.body
    if not call.user.sees_partner(wanted.code):
        raise ApiProblem("not-found")
    added = None if wanted.certificate is None else _read_certificate(wanted.certificate)
    order = PartnerOrder(new=True, assignments=wanted.set, secrets=_read_secrets(wanted.secrets), added=added)
    return await _judge_partner_order(parts, call, wanted.code, order, "", any_unit=wanted.any_unit)


async def change_partner(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Change the settings of a partner."""
    wanted: ApiPartnerChange = call.body
    if not wanted.set and not wanted.unset and not wanted.secrets:
        raise ApiProblem("order-unfit", flaws=[NamedFlaw("set", phrase("say what to change: set, unset, or secrets"))])
    order = PartnerOrder(assignments=wanted.set, unset=wanted.unset, secrets=_read_secrets(wanted.secrets))
    code = find_partner(parts, call).code
    return await _judge_partner_order(parts, call, code, order, wanted.seen, any_unit=wanted.any_unit)


async def add_certificate(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Accept one more certificate of a partner."""
    wanted: ApiCertificateAddition = call.body
    order = PartnerOrder(added=_read_certificate(wanted.certificate))
    return await _judge_partner_order(parts, call, find_partner(parts, call).code, order, wanted.seen)


async def remove_certificate(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Accept a certificate of a partner no longer."""
    wanted: ApiCertificateRemoval = call.body
    order = PartnerOrder(removed=call.text("fingerprint"), last=wanted.last)
    return await _judge_partner_order(parts, call, find_partner(parts, call).code, order, wanted.seen)


async def remove_partner(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Remove a partner."""
    return await _judge_partner_order(
        parts, call, find_partner(parts, call).code, PartnerOrder(leaves=True), call.body.seen, leave=call.body.leave
    )


def _read_secrets(secrets: Sequence[ApiSecret]) -> dict[str, str]:
    return {each.name: each.value for each in secrets}


def _read_certificate(text: str) -> bytes:
    content = text.encode("utf-8", "replace")
    if len(content) > CERTIFICATE:
        raise ApiProblem("too-large")
    return content


async def _judge_partner_order(
    parts: OperationParts,
    call: ApiCall,
    code: str,
    order: PartnerOrder,
    seen: str,
    *,
    leave: bool = True,
    any_unit: bool = True,
) -> ConsoleResponse:
    """Judge an order, make it if it says so, and answer with what changes. Raises `ApiProblem`."""
    if kept := await find_answer(parts, call):
        return kept
    judged = await parts.partners.judge(code, order, seen, call.now)
    if not call.body.apply:
        return answer_value(ApiPartnerEdit.of(judged, applied=False), call)
    if judged.left and not leave:
        raise ApiProblem("order-unfit", flaws=[NamedFlaw("leave", _say_left(judged))])
    if judged.edit.any_unit and not any_unit:
        raise ApiProblem("order-unfit", flaws=[NamedFlaw("any_unit", _MAY_SEND_FOR_ALL)])
    reason = clean_reason(call.body.reason)
    await parts.partners.make(judged, by=call.token.by, reason=reason, now=call.now)
    return await order_once(parts, call, lambda _tx: ApiPartnerEdit.of(judged, applied=True))


def _say_left(judged: JudgedOrder) -> Phrase:
    return phrase(
        "{count} deliveries to the partner are not delivered: send leave: true, or replay them first",
        count=sum(judged.left.values()),
    )


# --- for its developers -----------------------------------------------------------------------------------------------


async def read_checklist(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the addresses, the rights and the first messages of a partner."""
    facts, steps = await _gather_integration_facts(parts, call)
    return answer_value(ApiIntegration.of(facts, steps), call)


async def read_kit(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the file for the developers of a partner."""
    facts, steps = await _gather_integration_facts(parts, call)
    kit = await parts.turns.alone(make_kit, facts, steps, call.now, render_kit_page)
    return ConsoleResponse(content=kit, content_type="application/octet-stream", filename=name_kit(facts.partner.code))


async def read_invitation(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the kit and a letter."""
    facts, steps = await _gather_integration_facts(parts, call)
    letters = write_letters(facts, PartnerInvitation.of(call.text("contact"), call.text("window")))
    kit = await parts.turns.alone(make_kit, facts, steps, call.now, render_kit_page, letters)
    name = name_invitation(facts.partner.code)
    return ConsoleResponse(content=kit, content_type="application/octet-stream", filename=name)


async def _gather_integration_facts(parts: OperationParts, call: ApiCall) -> tuple[IntegrationFacts, list[StepState]]:
    partner, config = find_partner(parts, call), parts.live.config
    units, steps = await parts.turns.look(read_integration, partner, config, find_local_day(call.now))
    return gather_facts(config, partner, units), list(steps)


_changing = partial(ApiOperation, method="POST", tag="partners", scopes=(Permission.MANAGE_PARTNERS,), whole=True)
_reading = partial(ApiOperation, tag="partners", scopes=(Permission.SEE_PARTNERS,), whole=True)
OPERATIONS = (
    _changing(
        name="addPartner",
        path="/partners",
        about=phrase("Add a partner: its settings and its certificate. Without apply it is only judged and shown."),
        takes=ApiPartnerAddition,
        answers=ApiPartnerEdit,
        run=add_partner,
    ),
    _reading(
        name="getPartnerSettings",
        path="/partners/{partner}/settings",
        about=phrase("Read every setting and certificate of a partner as its file says, and the file's SHA-256."),
        answers=ApiPartnerSettings,
        run=read_settings,
    ),
    _changing(
        name="changePartner",
        path="/partners/{partner}/settings",
        about=phrase("Change the settings of a partner. Every other word of its file stays."),
        takes=ApiPartnerChange,
        answers=ApiPartnerEdit,
        run=change_partner,
    ),
    _changing(
        name="addPartnerCertificate",
        path="/partners/{partner}/certificates",
        about=phrase("Accept one more certificate of a partner, for TLS and for signatures."),
        takes=ApiCertificateAddition,
        answers=ApiPartnerEdit,
        run=add_certificate,
    ),
    _changing(
        name="removePartnerCertificate",
        path="/partners/{partner}/certificates/{fingerprint}/removal",
        about=phrase("Accept a certificate of a partner no longer."),
        takes=ApiCertificateRemoval,
        answers=ApiPartnerEdit,
        run=remove_certificate,
    ),
    _changing(
        name="removePartner",
        path="/partners/{partner}/removal",
        about=phrase("Remove a partner. Its messages stay."),
        takes=ApiPartnerRemoval,
        answers=ApiPartnerEdit,
        run=remove_partner,
    ),
    _reading(
        name="getIntegration",
        path="/partners/{partner}/integration",
        about=phrase(
            "Read the addresses and contracts for a partner's developers, and which first messages have come."
        ),
        answers=ApiIntegration,
        run=read_checklist,
    ),
    _reading(
        name="getPartnerKit",
        path=f"/partners/{{partner}}/{KIT}",
        about=phrase("Download the kit for the developers of a partner: a ZIP file without any private key."),
        media=("application/octet-stream",),
        run=read_kit,
    ),
    _reading(
        name="getInvitation",
        path=f"/partners/{{partner}}/{INVITATION}",
        about=phrase("Download the kit with a letter that says what the partner sends back, in both languages."),
        query=(
            ApiParameter("contact", phrase("who answers questions")),
            ApiParameter("window", phrase("when to test")),
        ),
        media=("application/octet-stream",),
        run=read_invitation,
    ),
)
