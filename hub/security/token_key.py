"""Holds the hub's key in a PKCS#11 token: opens it at first use and again after it was lost.

Knows when to open it, and which thread is next.

Does not know how to use a token. PKCS#11 state, logins included, belongs to the whole process. So there is one vault,
which holds one key at a time, and one thread at a time uses it.
"""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from functools import cached_property
from threading import Lock
from typing import Any, Protocol

import attrs
from cryptography import x509

from hub.domain.errors import Unready
from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import name_system_error
from hub.security import algorithms, certificates
from hub.security.algorithms import METHODS, Method, Unverified
from hub.security.pkcs11_uri import EXPECTED_APART, KeyPlace, PinRefused, TokenTrouble

#: Seconds during which a token that could not be opened is not tried again. A result of `flaw` is reused for as long.
PATIENCE = 5.0
#: Seconds that a thread waits for the token. After that it gets Trouble: the token does not return from the previous
#: call.
TURN = 10.0
_CONTENT = b"lienthong: is this the key of the certificate?"  #: signed to test whether the key can sign


class OpenKey(Protocol):
    """A key that can be used until its token is lost."""

    @property
    def is_exportable(self) -> bool: ...
    def sign(self, method: Method, content: bytes) -> bytes: ...
    def close(self) -> None: ...


@attrs.frozen
class _Held:
    """The key that is open."""

    place: KeyPlace
    pin: str = attrs.field(repr=False)
    key: OpenKey


@attrs.frozen
class _KeyTrouble:
    """The last failure: what, when, and with which PIN."""

    place: KeyPlace
    pin: str = attrs.field(repr=False)
    at: float
    trouble: TokenTrouble

    def holds(self, place: KeyPlace, pin: str, now: float) -> bool:
        refused = isinstance(self.trouble, PinRefused)
        return place == self.place and pin == self.pin and (refused or now < self.at + PATIENCE)

    def again(self) -> TokenTrouble:
        return type(self.trouble)(self.trouble.wrong, self.trouble.expected)


@attrs.define(eq=False)
class Vault:
    """The one open key of this process."""

    _open: Callable[[KeyPlace, str], OpenKey]
    _seconds: Callable[[], float]
    _lock: Lock = attrs.field(factory=Lock, init=False)
    _held: _Held | None = attrs.field(default=None, init=False)
    _trouble: _KeyTrouble | None = attrs.field(default=None, init=False)
    _signed_at: float = attrs.field(default=float("-inf"), init=False)

    def sign(self, place: KeyPlace, method: Method, content: bytes) -> bytes:
        """Sign *content* with the key at *place*.

        Raises TokenTrouble, without waiting if the token was found missing just before.
        """
        with self._turn():
            return self._sign(place, method, content)

    def prove(self, place: KeyPlace, method: Method, content: bytes) -> tuple[bytes, bool]:
        """Open the key again, with its PIN, and sign. Return the value, and whether the token would export the key.

        If that fails, the key that was open before is opened again with its former PIN, so that a refused reload stops
        nothing.
        """
        with self._turn():
            before = self._held
            self._let_go()
            self._trouble = None
            try:
                value = self._sign(place, method, content)
            except TokenTrouble:
                if before is not None:
                    with suppress(TokenTrouble):
                        self._hold(before.place, before.pin)
                raise
            assert self._held is not None
            return value, self._held.key.is_exportable

    def flaw(self, place: KeyPlace, method: Method) -> str:
        """Return why the key at *place* cannot sign. A result found within `PATIENCE` is reused."""
        try:
            with self._turn():
                if self._held is None or self._held.place != place or self._seconds() >= self._signed_at + PATIENCE:
                    self._sign(place, method, _CONTENT)
        except TokenTrouble as trouble:
            return str(trouble.wrong)
        return ""

    def close(self) -> None:
        """Log out. Must be called before a fork: a child inherits no session and opens its own when it first signs."""
        with suppress(TokenTrouble), self._turn():
            self._let_go()

    @contextmanager
    def _turn(self) -> Generator[None]:
        if not self._lock.acquire(timeout=TURN):
            raise TokenTrouble(
                phrase("the token has not returned from the previous call"), phrase("a token that answers")
            )
        try:
            yield
        finally:
            self._lock.release()

    def _sign(self, place: KeyPlace, method: Method, content: bytes) -> bytes:
        if self._held is not None and self._held.place == place:
            try:
                return self._made(self._held.key, method, content)
            except TokenTrouble:  # the session, the login or the token is gone; if the token is back, this is no error
                self._let_go()
        pin = _read_pin(place)
        now = self._seconds()
        if self._trouble is not None and self._trouble.holds(place, pin, now):
            raise self._trouble.again()
        self._let_go()
        try:
            return self._made(self._hold(place, pin), method, content)
        except TokenTrouble as trouble:
            self._let_go()
            self._trouble = _KeyTrouble(place, pin, self._seconds(), trouble)
            raise

    def _hold(self, place: KeyPlace, pin: str) -> OpenKey:
        self._held = _Held(place, pin, self._open(place, pin))
        return self._held.key

    def _made(self, key: OpenKey, method: Method, content: bytes) -> bytes:
        value = key.sign(method, content)
        self._signed_at = self._seconds()
        return value

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.key.close()
        self._held = None


def _read_pin(place: KeyPlace) -> str:
    try:
        return place.pin_file.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise TokenTrouble(
            phrase("{pin_file} cannot be read: {strerror}", pin_file=place.pin_file, strerror=name_system_error(error)),
            EXPECTED_APART,
        ) from None
    except ValueError as error:
        raise TokenTrouble(
            phrase("{pin_file} cannot be read: {error}", pin_file=place.pin_file, error=error), EXPECTED_APART
        ) from None


def _open_token_key(place: KeyPlace, pin: str) -> OpenKey:
    try:
        from hub.security import pkcs11
    except ImportError as error:
        wrong = phrase("a key in a token needs python-pkcs11: {error}", error=error)
        raise TokenTrouble(wrong, phrase("pip install 'lienthong[hsm]'")) from None
    return pkcs11.open_key(place, pin)


VAULT = Vault(_open_token_key, time.monotonic)


@attrs.frozen
class TokenIdentity:
    """A `Signer` whose key never leaves its token."""

    place: KeyPlace
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()
    _vault: Vault = attrs.field(default=VAULT, eq=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenIdentity, (self.place, self.certificate, self.chain)  # another process opens the token itself

    @cached_property
    def token(self) -> str:
        """Return the certificate as base64 of its DER on one line."""
        return certificates.encode_certificate(self.certificate)

    @cached_property
    def method(self) -> str:
        """Return the signature method of the certificate's key."""
        return algorithms.choose_signature_method(self.certificate)

    @property
    def waits(self) -> bool:
        """Return True: signing waits for a device."""
        return True

    def sign(self, content: bytes) -> bytes:
        """Return the octets of the SignatureValue over *content*. Raises Unready while the token cannot be used."""
        try:
            return self._vault.sign(self.place, METHODS[self.method], content)
        except TokenTrouble as trouble:
            raise Unready("key-unavailable", str(trouble.wrong)) from None

    def flaw(self) -> str:
        """Return why it cannot sign now. Return an empty text if it can."""
        return self._vault.flaw(self.place, METHODS[self.method])

    def prove(self) -> Iterable[tuple[Phrase, Phrase, bool]]:
        """Yield what is wrong with the key, what is expected, and whether it is grave. Uses the token and its PIN."""
        method = METHODS[self.method]
        try:
            value, loose = self._vault.prove(self.place, method, _CONTENT)
            algorithms.check_signature_value(method, self.certificate, value, _CONTENT)
        except TokenTrouble as trouble:
            yield trouble.wrong, trouble.expected, True
            return
        except Unverified:
            wrong = phrase(
                "the key {key_shown} is not the key of {name}",
                key_shown=self.place.key_shown,
                name=self.certificate.subject.rfc4514_string(),
            )
            yield wrong, phrase("the key that the certificate was made for"), True
            return
        if loose:
            yield (
                phrase("the token would export the key {key_shown}", key_shown=self.place.key_shown),
                phrase("a key made in the token, sensitive and not extractable"),
                False,
            )
