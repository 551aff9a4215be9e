"""Passwords: what one must be, how it is hashed and compared.  Knows scrypt; neither users nor the journal.

Source: RFC 7914 and the OWASP Password Storage Cheat Sheet (scrypt with N=2^15, r=8, p=3: 32 MiB).
"""

import base64
import hashlib
import hmac
import unicodedata

import attrs

SHORTEST, LONGEST = 12, 256  #: characters
#: What a hash takes at most: a row from elsewhere must not make the hub use more.
_MEMORY = 256 << 20
_SALT = 16


class PasswordUnfit(ValueError):
    """The password will not do; the sentences say why, in Vietnamese and in English."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(f"{vi} / {en}")
        self.vi, self.en = vi, en


@attrs.frozen
class Cost:
    """What one guess costs: 128 · r · 2^n octets of memory, p times."""

    n: int = 15  #: the exponent
    r: int = 8
    p: int = 3


USUAL = Cost()


def check_password(password: str, name: str) -> None:
    """Raise `PasswordUnfit` for a *password* that is too short, too long, or the user's own *name*."""
    if len(password) < SHORTEST:
        raise PasswordUnfit(f"Mật khẩu cần ít nhất {SHORTEST} ký tự", f"A password has at least {SHORTEST} characters")
    if len(password) > LONGEST:
        raise PasswordUnfit(f"Mật khẩu có nhiều nhất {LONGEST} ký tự", f"A password has at most {LONGEST} characters")
    if len(set(password)) < 5:
        raise PasswordUnfit("Mật khẩu lặp lại quá ít ký tự", "The password repeats too few characters")
    if password.casefold() in {name.casefold(), name.casefold() * 2}:
        raise PasswordUnfit("Mật khẩu không được là tên người dùng", "The password must not be the user's name")


def hash_password(password: str, salt: bytes, cost: Cost = USUAL) -> str:
    """Return the hash of *password* as it is kept: `scrypt$n$r$p$salt$hash`, the last two in base64.

    *salt* is random and of this password alone.
    """
    words = ("scrypt", str(cost.n), str(cost.r), str(cost.p), _text(salt), _text(_scrypt(password, salt, cost)))
    return "$".join(words)


def matches_hash(password: str, kept: str) -> bool:
    """Tell whether *kept* is the hash of *password*.  ValueError when it is no hash."""
    name, n, r, p, salt, expected = kept.split("$")
    if name != "scrypt":
        raise ValueError(f"no hash of a password: {name[:20]}")
    cost = Cost(int(n), int(r), int(p))
    return hmac.compare_digest(_scrypt(password, base64.b64decode(salt), cost), base64.b64decode(expected))


#: The hash of no password: who gives the name of nobody waits as long as the others.
NOBODY = "scrypt$15$8$3$" + "A" * 22 + "==$" + "A" * 43 + "="


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    # The same letters typed by another Vietnamese input method may be other code points.
    octets = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(octets, salt=salt, n=1 << cost.n, r=cost.r, p=cost.p, maxmem=_MEMORY, dklen=32)


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
