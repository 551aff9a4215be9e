"""Opens a call: its body unpacked, its signature verified, its contract kept; what comes out may be believed.

Knows the order of those steps, whose certificates may sign, and what a policy tolerates; not what is called, nor any packet.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import attrs
from cryptography import x509
from lxml import etree

from hub import calls, carriage, envelope, grants, signature
from hub.carriage import Carriage, Manner
from hub.certificates import SIGN
from hub.config import Partner
from hub.contract import Contract
from hub.errors import CallRefused, Rejected
from hub.model import Problem
from hub.province import Province
from hub.spool import Drawer, Octets
from hub.window import Mark

#: Reads a validated element and the octets of its binary values.
Read = Callable[[etree._Element, Sequence[bytes | Octets]], Any]  # noqa: SLF001 - lxml has no other name for its elements

#: Refusals that may only mean that another of the callers signed: the more, the less they tell.
_VAGUE = {"algorithm-refused": 1, "certificate-unknown": 2}


@attrs.frozen
class Opened:
    """A call that has passed every step up to the contract: read from the verified element and nothing else."""

    partner: Partner  #: who signed it; or whose connection it came over, where no signature is asked for
    call: Any  #: as the reader that was given returned it
    operation: str
    sha1: x509.Certificate | None  #: whose signature used SHA-1, as the partner's policy tolerates
    unknown: str  #: what of a certificate's revocation could not be learned, as the partner's policy tolerates
    mark: Mark | None  #: what tells this signed call from every other; None where there is no signature


def open_call(
    body: bytes | Octets,
    manner: Manner,
    callers: Sequence[Partner],
    shown: x509.Certificate,
    province: Province,
    contract: Contract,
    now: datetime,
    drawer: Drawer | None = None,
    read: Read = calls.read,
) -> Opened:
    """Parse, verify and validate a call of one of *callers*, the first of whom showed that certificate; return what its
    verified Body says: the call that *read* makes of the validated element and the octets of its binary values.

    Raises `Rejected` with the code of the step that refused it; `NotGranted`, before the call is validated and read, for an operation
    that whoever signed it may not call.
    """
    names = frozenset(etree.QName(name).localname for name in contract.binary)
    octets = Octets.of(body) if isinstance(body, bytes) else body
    unpacked = carriage.unpack(octets, manner, names, drawer or Drawer())
    root = unpacked.root
    opened = envelope.open_envelope(root)
    if opened.soap != manner.soap:
        raise CallRefused(Problem("soap-version", f"{envelope.MEDIA[manner.soap]} ≠ {opened.soap}"))
    believed = believe(unpacked, opened, callers, shown, province, now)
    (child,) = believed.body.iterchildren("*")
    operation = contract.operation(child)
    grants.require_granted(believed.partner, province.routes.upstream, contract.name, operation.name)
    for action in (manner.action, unpacked.action):
        if not envelope.action_matches(action, operation.action):
            raise CallRefused(Problem("action-mismatch", f"{action} ≠ {operation.action}"))
    if manner.carriage is Carriage.SWA:
        carriage.attach(child, contract.binary, unpacked.attached, believed.attached, unpacked.loads)
    call = read(child, contract.validate(child, unpacked.loads))
    return Opened(believed.partner, call, operation.name, believed.sha1, believed.unknown, believed.mark)


@attrs.frozen(eq=False)
class Believed:
    """What of a call may be read, whose it is, and what the partner's policy tolerated for it."""

    partner: Partner
    body: etree._Element
    sha1: x509.Certificate | None = None
    unknown: str = ""
    mark: Mark | None = None
    attached: frozenset[str] | None = (
        None  #: the content ids of the parts that are as good as the Body; None: all, TLS answers for them
    )


def believe(
    unpacked: carriage.Unpacked,
    opened: envelope.Envelope,
    callers: Sequence[Partner],
    shown: x509.Certificate,
    province: Province,
    now: datetime,
) -> Believed:
    """Return what may be read.  Raises `Unverified`, `Untrusted`.

    It is the Body that the WS-Security signature covers, made by one of *callers*, each by its own certificates and policy.  Under
    `signature=packet` there may be no such signature, and then the certificate that TLS showed answers for the Body, which is of
    the first of *callers*; a signature that is there must verify all the same.
    """
    refused: list[Rejected] = []
    for partner in callers:
        try:
            return _believe(unpacked, opened, partner, shown, province, now)
        except Rejected as error:
            refused.append(error)
    raise min(refused, key=lambda each: _VAGUE.get(each.problems[0].code, 0))


def _believe(
    unpacked: carriage.Unpacked,
    opened: envelope.Envelope,
    partner: Partner,
    shown: x509.Certificate,
    province: Province,
    now: datetime,
) -> Believed:
    policy, anchors = partner.policy, province.config.anchors
    try:
        verified = signature.verify(
            unpacked.root,
            partner.certificates,
            now,
            max_age=policy.max_age,
            skew=policy.clock_skew,
            sha1=policy.sha1,
            loads=unpacked.loads,
            attached=unpacked.attached or None,
        )
    except signature.Unverified as error:
        if policy.signature != "packet" or error.problems[0].code != "unsigned" or envelope.is_signed(opened):
            raise
        return Believed(partner, opened.body, unknown=anchors.check(shown, now, unknown=policy.revocation))
    unknown = anchors.check(verified.certificate, now, verified.chain, purpose=SIGN, unknown=policy.revocation)
    name = hashlib.sha256(f"{partner.code}\n".encode() + verified.signed).hexdigest()
    mark = Mark(name, verified.expires + policy.clock_skew)
    sha1 = verified.certificate if verified.sha1 else None
    return Believed(partner, verified.body, sha1, unknown, mark, verified.attached)
