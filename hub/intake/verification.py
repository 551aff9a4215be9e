"""Opens a call: unpacks its body, verifies its signature, validates it against its contract. The result can be trusted.

Knows the order of these steps, whose certificates may sign, and what a policy tolerates. Does not know the operations
or packets.
"""

import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import attrs
from cryptography import x509
from lxml import etree

from hub.config import Config, Partner
from hub.domain.errors import CallRefused, Rejected
from hub.domain.model import Detail, Problem
from hub.formats import markup_memory, xsd_types
from hub.formats.markup_memory import Texts
from hub.formats.spool import Drawer, Octets
from hub.intake import grants, known_calls
from hub.intake.known_calls import KnownCalls
from hub.journal.replay_guard import ReplayMark
from hub.partner.policy import RequiredSignature
from hub.security import kept_envelopes, tls, wss_verify
from hub.security.anchors import Purpose
from hub.security.certificates import hash_certificate
from hub.security.kept_envelopes import KeptEnvelope
from hub.soap import attachments, documents_requests, envelope
from hub.soap.attachments import Carriage, Manner
from hub.soap.wsdl import Contract
from hub.units.province import Province

#: Reads a validated element and the octets of its binary values.
Read = Callable[[etree._Element, Sequence[bytes | Octets]], Any]  # noqa: SLF001 - lxml has no other name

#: Refusals that do not spend the call's mark: they may be temporary, or result from missing CA certificates that were
#: not signed.
_SPARED = {"revocation-unknown", "certificate-untrusted"}
#: Latest time for a mark. Some calls claim to be valid until the end of time.
_LATEST = datetime(9999, 12, 1, tzinfo=UTC)

#: Refusals that may only mean that another caller signed. A higher number is less informative.
_VAGUE = {"algorithm-refused": 1, "certificate-unknown": 2}
_KNOWN = KnownCalls()


@attrs.frozen
class VerifiedCall:
    """A call that has passed every step up to the contract. It was read only from the verified element."""

    partner: Partner  #: the signer, or the owner of the connection where no signature is required
    call: Any  #: the return value of the reader
    operation: str  #: its name in the contract
    sha1: x509.Certificate | None  #: the signer's certificate if the signature used SHA-1, as the policy tolerates
    unknown: Detail  #: the revocation status that was not available, as the policy tolerates; "" if all was
    mark: ReplayMark | None  #: identifies this signed call; None without a signature
    #: what is kept of its envelope with the message that it brings; None without a signature or a message
    envelope: KeptEnvelope | None = None
    signer: str | None = None  #: SHA-256 of the certificate of its signature, in hex; None without one


def open_call(
    body: bytes | Octets,
    manner: Manner,
    callers: Sequence[Partner],
    shown: x509.Certificate,
    province: Province,
    contract: Contract,
    now: datetime,
    drawer: Drawer | None = None,
    read: Read = documents_requests.read_documents_call,
) -> VerifiedCall:
    """Parse, verify and validate a call of one of *callers*, the first of which showed the TLS certificate *shown*.

    Returns what *read* makes of the validated element in the verified Body and of the octets of its binary values.
    Raises `Rejected` with the code of the step that refused the call. Raises `NotGranted`, before validation, for an
    operation that the signer may not call.
    """
    octets = Octets.of(body) if isinstance(body, bytes) else body
    small = octets.read() if len(octets) <= markup_memory.SMALL and manner.carriage is Carriage.INLINE else None
    if small is not None and read is documents_requests.read_documents_call:
        known = _find_known_call(small, manner, callers, province, contract, now)
        if known is not None:
            return known
    unpacked = attachments.unpack_body(octets, manner, contract.binary_names, drawer or Drawer())
    root = unpacked.root
    opened = envelope.open_envelope(root)
    if opened.soap != manner.soap:
        raise CallRefused(Problem("soap-version", f"{envelope.MEDIA[manner.soap]} ≠ {opened.soap}"))
    believed = authenticate_call(unpacked, opened, callers, shown, province, now)
    (child,) = believed.body.iterchildren("*")
    operation = contract.operation(child)
    with _spend_refused_call(believed.mark):
        grants.require_granted(believed.partner, province.config, contract.name, operation.name)
    _require_action(operation.action, manner.action, unpacked.action)
    detached = None
    if manner.carriage is Carriage.SWA:  # the Body is signed without them
        detached = _keep_envelope(believed, unpacked, None, b"")
        attachments.attach_parts(child, contract.binary, unpacked.attached, believed.attached, unpacked.loads)
    values = contract.validate(child, unpacked.loads, unpacked.document)
    if small is not None:  # it is in memory already, and what a known form says is compared with it
        values = [each.read() if isinstance(each, Octets) else each for each in values]
    call = read(child, values)
    kept = detached if detached and _brings_message(call) else _keep_envelope(believed, unpacked, child, call)
    verified = _describe_call(believed, call, operation.name, kept)
    if small is not None and verified.mark is not None and verified.sha1 is None:
        _learn_form(small, verified, manner, province, contract, now)
    return verified


def _describe_call(believed: "TrustedCall", call: Any, operation: str, kept: KeptEnvelope | None) -> VerifiedCall:
    return VerifiedCall(
        believed.partner,
        call,
        operation,
        believed.sha1,
        believed.unknown,
        believed.mark,
        kept,
        None if believed.verified is None else hash_certificate(believed.verified.certificate),
    )


def _require_action(meant: str, *said: str | None) -> None:
    """Raise `CallRefused` (`action-mismatch`) if an action that the call has *said* is not that of its operation."""
    for action in said:
        if not envelope.action_matches(action, meant):
            raise CallRefused(Problem("action-mismatch", f"{action} ≠ {meant}"))


def _learn_form(
    small: bytes, verified: VerifiedCall, manner: Manner, province: Province, contract: Contract, now: datetime
) -> None:
    """Remember the form of the call *small*, if a call of that form is opened to the same as it was in the usual way."""
    learned = _KNOWN.learn(small, contract, verified.partner.certificates)
    if learned is not None:
        form, texts, _ = learned
        if _open_known(form, texts, manner, (verified.partner,), province, contract, now) == verified:
            _KNOWN.keep(learned)


def _find_known_call(
    small: bytes, manner: Manner, callers: Sequence[Partner], province: Province, contract: Contract, now: datetime
) -> VerifiedCall | None:
    """Return the call *small* if its form is known. None: it must be opened in the usual way."""
    found = _KNOWN.find(small, contract)
    return None if found is None else _open_known(*found, manner, callers, province, contract, now)


def _open_known(
    form: known_calls.CallForm,
    texts: Texts,
    manner: Manner,
    callers: Sequence[Partner],
    province: Province,
    contract: Contract,
    now: datetime,
) -> VerifiedCall | None:
    """Verify a call of a known *form* with these *texts*. Return None if it must be opened in the usual way.

    That includes every call that is to be refused.
    """
    partner, operation = callers[0], form.operation
    policy = partner.policy
    if (
        form.soap != manner.soap
        or form.envelope.certificates != partner.certificates
        or not envelope.action_matches(manner.action, operation.action)
    ):
        return None
    call = form.read(texts)
    if call is None:
        return None
    try:
        grants.require_granted(partner, province.config, contract.name, operation.name)
        signature = form.envelope.verify(texts, now, policy.max_age, policy.clock_skew)
        if signature is None:
            return None
        certificate, chain = form.envelope.certificate, form.envelope.chain
        unknown = _judge_signer(certificate, chain, form.addressees, partner, province, now)
    except Rejected:
        return None
    mark = _make_replay_mark(partner, signature.signed, signature.expires)
    kept = form.keep(texts, signature)
    return VerifiedCall(partner, call, operation.name, None, unknown, mark, kept, form.envelope.fingerprint)


def _brings_message(call: Any) -> bool:
    return getattr(call, "packet", None) is not None or getattr(call, "content", None) is not None


def _keep_envelope(
    believed: "TrustedCall", unpacked: attachments.Unpacked, child: etree._Element | None, call: Any
) -> KeptEnvelope | None:
    """Return the signed parts of a call, unless nobody signed it or it brings no message.

    *child*: the element of its Body with the packet in it; None: the packet is a part beside it, whatever the *call*.
    """
    if believed.verified is None or not (child is None or _brings_message(call)):
        return None
    packet = getattr(call, "packet", None)
    leaf = None if child is None or packet is None else child.find(documents_requests.PACKET)
    size = 0 if packet is None else len(packet)
    return kept_envelopes.keep_verified_envelope(believed.verified, leaf, size, unpacked.loads)


def _judge_signer(
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    addressees: Iterable[str],
    partner: Partner,
    province: Province,
    now: datetime,
) -> Detail:
    """Check the signer's *certificate* and the signed *addressees*. Return the revocation status that is unknown."""
    unknown = province.config.anchors.check(
        certificate, now, chain, purpose=Purpose.SIGN, unknown=partner.policy.revocation
    )
    require_audience(addressees, province.config)
    return unknown


@contextmanager
def _spend_refused_call(mark: ReplayMark | None) -> Generator[None]:
    """Attach *mark* to a refusal, so that the call is spent with it and no attacker can make it take effect later.

    To be used only for reasons that lie in the signed content and in what the hub knows. Otherwise an attacker in
    between could change something unsigned, such as SOAPAction or the URL, and send that first, and the sender's own
    call would be refused.
    """
    try:
        yield
    except Rejected as rejected:
        if rejected.problems[0].code not in _SPARED:
            rejected.mark = mark
        raise


@attrs.frozen(eq=False)
class TrustedCall:
    """The trusted part of a call, its partner, and what the partner's policy tolerated."""

    partner: Partner  #: the signer, or the owner of the connection
    body: etree._Element  #: the verified Body
    sha1: x509.Certificate | None = None  #: the signer's certificate if the signature used SHA-1
    unknown: Detail = ""  #: the revocation status that was not available; "" if all was
    mark: ReplayMark | None = None  #: identifies the signed call; None without a signature
    #: content ids of the MIME parts that are authenticated like the Body; None: all of them, by TLS
    attached: frozenset[str] | None = None
    verified: wss_verify.Verified | None = None  #: None without a signature


def authenticate_call(
    unpacked: attachments.Unpacked,
    opened: envelope.Envelope,
    callers: Sequence[Partner],
    shown: x509.Certificate,
    province: Province,
    now: datetime,
) -> TrustedCall:
    """Return the trusted part of a call. Raises `Unverified`, `Untrusted`.

    That is the Body covered by the WS-Security signature of one of *callers*, each checked with its own certificates
    and policy. Under `signature=packet` the signature may be absent. Then the TLS certificate authenticates the Body,
    which belongs to the first of *callers*. A signature that is present must verify even then.
    """
    frame: wss_verify.Frame | wss_verify.Unverified
    try:
        frame = wss_verify.Frame.of(unpacked.root)
    except wss_verify.Unverified as error:
        frame = error
    refused: list[Rejected] = []
    for partner in callers:
        try:
            return _believe_call(unpacked, frame, opened, partner, shown, province, now)
        except Rejected as error:
            refused.append(error)
    raise min(refused, key=lambda each: _VAGUE.get(each.problems[0].code, 0))


def _believe_call(
    unpacked: attachments.Unpacked,
    frame: wss_verify.Frame | wss_verify.Unverified,
    opened: envelope.Envelope,
    partner: Partner,
    shown: x509.Certificate,
    province: Province,
    now: datetime,
) -> TrustedCall:
    policy, anchors = partner.policy, province.config.anchors
    try:
        if isinstance(frame, wss_verify.Unverified):
            raise frame
        verified = wss_verify.verify_envelope(
            frame,
            partner.certificates,
            now,
            max_age=policy.max_age,
            skew=policy.clock_skew,
            sha1=policy.sha1,
            loads=unpacked.loads,
            attached=unpacked.attached or None,
        )
    except wss_verify.Untimely as untimely:
        untimely.mark = _make_replay_mark(partner, untimely.signed, untimely.expires)
        raise
    except wss_verify.Unverified as error:
        if (
            policy.signature != RequiredSignature.PACKET
            or error.problems[0].code != "unsigned"
            or envelope.is_signed(opened)
        ):
            raise
        return TrustedCall(partner, opened.body, unknown=anchors.check(shown, now, unknown=policy.revocation))
    mark = _make_replay_mark(partner, verified.signed, verified.expires)
    with _spend_refused_call(mark):
        addressees = envelope.list_addressees((block.tag, xsd_types.read_xs_token(block)) for block in verified.headers)
        unknown = _judge_signer(verified.certificate, verified.chain, addressees, partner, province, now)
    sha1 = verified.certificate if verified.sha1 else None
    return TrustedCall(partner, verified.body, sha1, unknown, mark, verified.attached, verified)


def _make_replay_mark(partner: Partner, signed: bytes, expires: datetime) -> ReplayMark:
    name = hashlib.sha256(f"{partner.code}\n".encode() + signed).hexdigest()
    return ReplayMark(name, min(expires, _LATEST) + partner.policy.clock_skew)


def require_audience(addressees: Iterable[str], config: Config) -> None:
    """Refuse a call whose signed addressee is not this hub: it was sent to another hub and copied here.

    *addressees*: `envelope.list_addressees`. The host of a signed wsa:To must be a name of this hub: the host of
    `public-url` or of the SOAP port, a name in the hub's TLS certificate, or a loopback name. Port and path may be those
    of a gateway in front of the hub.
    """
    for said in addressees:
        try:
            host = urlsplit(said).hostname or ""
        except ValueError:
            host = ""
        if host not in _list_own_names(config) and not _is_certified(config, host):
            raise CallRefused(Problem("audience-mismatch", said[:200]))


def _list_own_names(config: Config) -> set[str | None]:
    return {"localhost", "127.0.0.1", "::1", config.soap.host, urlsplit(config.public_url or "").hostname} - {None}


def _is_certified(config: Config, host: str) -> bool:
    try:
        tls.check_host(config.tls.certificate, host)
    except (Rejected, ValueError):
        return False
    return True
