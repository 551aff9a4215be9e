"""Checks, hashes and compares passwords with scrypt. Contains no users and no journal.

Source: RFC 7914 and the OWASP Password Storage Cheat Sheet (scrypt with N=2^15, r=8, p=3: 32 MiB).
"""

import base64
import hashlib
import hmac
import unicodedata

import attrs

from hub.language.phrases import Phrase, phrase

SHORTEST, LONGEST = 12, 256  #: characters
#: Maximum memory of one hash in octets. A manipulated row in the database must not make the hub use more.
_MEMORY = 256 << 20


class PasswordUnfit(ValueError):
    """The password is not acceptable. `reason` says why."""

    def __init__(self, reason: Phrase) -> None:
        super().__init__(str(reason))
        self.reason = reason


@attrs.frozen
class HashCost:
    """The cost of one guess: 128 · r · 2^n octets of memory, p times."""

    n: int = 15  #: the exponent
    r: int = 8  #: the block size
    p: int = 3  #: the parallelisation


USUAL = HashCost()


def check_password(password: str, name: str) -> None:
    """Raise `PasswordUnfit` if *password* is too short, too long, too repetitive, or the user's own *name*."""
    if len(password) < SHORTEST:
        raise PasswordUnfit(phrase("A password has at least {shortest} characters", shortest=SHORTEST))
    if len(password) > LONGEST:
        raise PasswordUnfit(phrase("A password has at most {longest} characters", longest=LONGEST))
    if len(set(password)) < 5:
        raise PasswordUnfit(phrase("The password repeats too few characters"))
    if password.casefold() in {name.casefold(), name.casefold() * 2}:
        raise PasswordUnfit(phrase("The password must not be the user's name"))


def write_one_time_password(octets: bytes) -> str:
    """Return 16 random *octets* as a password that people read to each other: 25 letters and digits in groups of five."""
    letters = base64.b32encode(octets).decode("ascii")[:25].lower()
    return "-".join(letters[place : place + 5] for place in range(0, len(letters), 5))


def hash_password(password: str, salt: bytes, cost: HashCost = USUAL) -> str:
    """Return the hash of *password* for storage: `scrypt$n$r$p$salt$hash`, the last two in base64.

    *salt* must be random and used for this password only.
    """
    words = (
        "scrypt",
        str(cost.n),
        str(cost.r),
        str(cost.p),
        _encode_text(salt),
        _encode_text(_derive_key(password, salt, cost)),
    )
    return "$".join(words)


def matches_hash(password: str, kept: str) -> bool:
    """Tell whether *kept* is the hash of *password*. Raises `ValueError` if *kept* is not a hash."""
    name, n, r, p, salt, expected = kept.split("$")
    if name != "scrypt":
        raise ValueError(f"no hash of a password: {name[:20]}")
    cost = HashCost(int(n), int(r), int(p))
    return hmac.compare_digest(_derive_key(password, base64.b64decode(salt), cost), base64.b64decode(expected))


#: A hash that no password matches. A sign-in with an unknown name takes as long as any other.
NOBODY = "scrypt$15$8$3$" + "A" * 22 + "==$" + "A" * 43 + "="


def _derive_key(password: str, salt: bytes, cost: HashCost) -> bytes:
    # Vietnamese input methods may encode the same letters with different code points.
    octets = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(octets, salt=salt, n=1 << cost.n, r=cost.r, p=cost.p, maxmem=_MEMORY, dklen=32)


def _encode_text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
