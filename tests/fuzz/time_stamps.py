"""Tokens of time-stamping authorities: one that is taken says what its authority said, over what it was said of."""

import warnings
from collections.abc import Iterator

from cryptography.hazmat.primitives.hashes import SHA256

from hub.domain.errors import Rejected
from hub.security.certificates import Identity
from hub.security.time_stamps import judge_time_stamp, verify_time_stamp
from tests import pki
from tests.fuzz import der
from tests.fuzz.identities import ANCHORS, PARTNER, authority, key
from tests.fuzz.told import gist, tell
from tests.pki import DAY, NOW
from tests.stamps import STAMPS, stamp

LONGEST = 4096
OCTETS = b"<ds:SignatureValue/>"
CODES = {"stamp-invalid", "stamp-untrusted", "stamp-time"}

change = der.changer([key("authority"), key("stranger")])


def _issue(name: str, serial: int, signer: str) -> Identity:
    """Return a certificate for time stamps; the key *signer* signs it."""
    builder = pki._builder(pki._name(name), authority().certificate.subject, key(name), NOW - DAY, NOW + DAY)
    builder = builder.serial_number(serial).add_extension(STAMPS, critical=True)
    builder = builder.add_extension(pki.usage(digital_signature=True), critical=True)
    return Identity(key(name), builder.sign(key(signer), SHA256()))


TSA, FORGED = _issue("partner", 7, "authority"), _issue("stranger", 7, "stranger")


def seeds() -> Iterator[bytes]:
    yield stamp(OCTETS, TSA, serial=1)
    yield stamp(OCTETS, TSA, NOW + DAY, serial=2, names=("v1",))
    yield stamp(OCTETS, FORGED, serial=3, signed="sha384", digest="sha512")
    yield stamp(OCTETS, PARTNER, serial=4)
    yield stamp(b"other", TSA, serial=5)


#: The statements of the seeds over `OCTETS`, by the number of the token.
SAID = {1: (NOW, TSA), 2: (NOW + DAY, TSA), 3: (NOW, FORGED)}


def judge(content: bytes) -> None:
    with warnings.catch_warnings(action="ignore"):  # `cryptography` warns of names and numbers that it will refuse
        _judge(content)


def _judge(content: bytes) -> None:
    try:
        found = verify_time_stamp(content, OCTETS)
        assert (found.at, found.certificate) == (SAID[found.serial][0], SAID[found.serial][1].certificate)
        judge_time_stamp(found, ANCHORS, NOW)
    except Rejected as refused:
        (problem,) = refused.problems
        assert problem.code in CODES, problem
        tell(problem.code, gist(str(problem.detail)))
        return
    assert found.serial == 1, "the other is of tomorrow, or of nobody"
    tell("taken", len(found.chain))
