"""The operations on the trusted CAs: list them, trust one more, or one no longer.

As with partners, an order without `apply` is only judged and shown, and its `seen` is what the list told.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

import attrs

from hub.api.operation import ApiCall, ApiOperation, answer_value, find_answer, order_once
from hub.api.partners import clean_reason
from hub.api.problems import ApiProblem
from hub.api.schemas import At, Projected
from hub.config.trust_edit import TrustEdit, TrustOrder
from hub.domain.errors import Mistake
from hub.language.phrases import Phrase, phrase
from hub.monitoring.partner_view import TrustedAuthority, describe_authority
from hub.operations.accounts.permissions import Permission
from hub.operations.operation import LONG
from hub.operations.partners.partner_orders import CERTIFICATE
from hub.operations.parts import OperationParts
from hub.web.answers import ConsoleResponse

_SEEN = phrase("seen of the list, as listTrusted tells it")
_APPLY = phrase("true: make the change; else it is only judged and shown")
_REASON = phrase("needed with apply; it is recorded")


@attrs.frozen(kw_only=True)
class ApiTrusted:
    """The trusted CAs, by the end of their certificates."""

    items: Sequence[TrustedAuthority]
    seen: Annotated[str, phrase("changes whenever a file changes that says which CAs are trusted")]


@attrs.frozen(kw_only=True)
class ApiTrustAddition:
    """CAs to trust."""

    asked = True
    seen: Annotated[str, _SEEN]
    pem: Annotated[str, phrase("certificates of CAs and their CRLs, PEM"), LONG]
    crl_urls: Annotated[tuple[str, ...], phrase("from which the hub fetches the CRL of the one CA")] = ()
    ocsp_urls: Annotated[tuple[str, ...], phrase("of the OCSP responder of the one CA")] = ()
    reason: Annotated[str, _REASON] = ""
    apply: Annotated[bool, _APPLY] = False


@attrs.frozen(kw_only=True)
class ApiTrustRemoval:
    """That a CA is trusted no longer."""

    asked = True
    seen: Annotated[str, _SEEN]
    reason: Annotated[str, _REASON] = ""
    apply: Annotated[bool, _APPLY] = False


@attrs.frozen(kw_only=True)
class ApiLostCertificate(Projected[Mistake]):
    """A certificate of a partner that would prove nothing any more."""

    place: Annotated[str, At("path")]
    detail: Annotated[Phrase, At("wrong")]


@attrs.frozen(kw_only=True)
class ApiTrustEdit(Projected[TrustEdit]):
    """A change of the trusted CAs."""

    applied: Annotated[bool, phrase("whether it is made; else it is only judged")]
    authorities: Sequence[TrustedAuthority]
    files: Annotated[Sequence[str], phrase("files in trust/, and hub.toml; none: nothing changes")]
    diff: Annotated[Sequence[str], phrase("of a file that people write")]
    partners: Annotated[Sequence[str], phrase("whose certificates it verifies, or after a removal no longer")]
    lost: Sequence[ApiLostCertificate]

    @classmethod
    def of(cls, edit: TrustEdit, now: datetime, *, applied: bool) -> "ApiTrustEdit":
        """Return the change as its page shows it."""
        return cls.project(
            edit,
            applied=applied,
            authorities=[describe_authority(each, now) for each in edit.authorities],
            files=[each.path.name for each in edit.files],
        )


async def list_trusted(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with the trusted CAs."""
    said = ApiTrusted(items=await parts.trust.list_authorities(call.now), seen=await parts.trust.see())
    return answer_value(said, call)


async def add_trusted(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Trust a CA."""
    wanted: ApiTrustAddition = call.body
    content = wanted.pem.encode("utf-8", "replace")
    if len(content) > CERTIFICATE:
        raise ApiProblem("too-large")
    order = TrustOrder(added=content, crl_urls=wanted.crl_urls, ocsp_urls=wanted.ocsp_urls)
    return await _judge_trust_order(parts, call, order)


async def remove_trusted(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Trust a CA no longer."""
    return await _judge_trust_order(parts, call, TrustOrder(removed=call.text("fingerprint")))


async def _judge_trust_order(parts: OperationParts, call: ApiCall, order: TrustOrder) -> ConsoleResponse:
    """Judge an order, make it if it says so, and answer with what changes. Raises `ApiProblem`."""
    if kept := await find_answer(parts, call):
        return kept
    edit = await parts.trust.judge(order, call.body.seen, call.now)
    if not call.body.apply:
        return answer_value(ApiTrustEdit.of(edit, call.now, applied=False), call)
    reason = clean_reason(call.body.reason)
    await parts.trust.make(edit, by=call.token.by, reason=reason, now=call.now)
    return await order_once(parts, call, lambda _tx: ApiTrustEdit.of(edit, call.now, applied=True))


_changing = partial(
    ApiOperation, method="POST", tag="trust", scopes=(Permission.MANAGE_PARTNERS,), whole=True, unlimited=True
)
OPERATIONS = (
    ApiOperation(
        name="listTrusted",
        path="/trust",
        tag="trust",
        about=phrase("List the trusted CAs, and whose certificates they issued."),
        scopes=(Permission.MANAGE_PARTNERS,),
        whole=True,
        unlimited=True,
        answers=ApiTrusted,
        run=list_trusted,
    ),
    _changing(
        name="addTrusted",
        path="/trust",
        about=phrase("Trust a CA, or take a newer CRL of one; without apply only judge and show it."),
        takes=ApiTrustAddition,
        answers=ApiTrustEdit,
        run=add_trusted,
    ),
    _changing(
        name="removeTrusted",
        path="/trust/{fingerprint}/remove",
        about=phrase("Trust a CA no longer; without apply only show whose certificates would not be verified."),
        means={"fingerprint": phrase("the beginning of its SHA-256, at least 8 digits")},
        takes=ApiTrustRemoval,
        answers=ApiTrustEdit,
        run=remove_trusted,
    ),
)
