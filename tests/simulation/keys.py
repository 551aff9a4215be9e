"""RSA keys that follow from a seed: the same on every machine. Far too weak in how they are drawn for anything but tests."""

import hashlib
import os
import random
from functools import cache
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

_EXPONENT = 65537
_BITS = 1024  #: of each prime
#: Where they are kept from one run to the next: a prime takes a fifth of a second to find.
_KEPT = Path(__file__).resolve().parents[2] / ".pytest_cache" / "simulated-keys"


@cache
def make_key(label: str) -> rsa.RSAPrivateKey:
    """Return the key of that label."""
    place = _KEPT / hashlib.sha256(label.encode()).hexdigest()[:32]
    try:
        kept = load_der_private_key(place.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    except FileNotFoundError:
        made = _derive(label)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_suffix(f".{os.getpid()}")
        beside.write_bytes(made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        beside.replace(place)
        return made
    assert isinstance(kept, rsa.RSAPrivateKey)
    return kept


def _derive(label: str) -> rsa.RSAPrivateKey:
    chance = random.Random(f"key {label}")
    p, q = _find_prime(chance), _find_prime(chance)
    d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(_EXPONENT, p * q)
    )
    return numbers.private_key()


def _find_prime(chance: random.Random) -> int:
    small = [each for each in range(3, 2000, 2) if all(each % by for by in range(3, int(each**0.5) + 1, 2))]
    start = chance.getrandbits(_BITS) | 3 << (_BITS - 2) | 1
    for number in count(start, 2):
        if all(number % each for each in small) and number % _EXPONENT != 1 and pow(2, number - 1, number) == 1:
            return number
    raise AssertionError
