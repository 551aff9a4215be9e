"""Uses a token over PKCS#11: finds the token, logs in, finds the key, signs. Knows python-pkcs11.

Does not decide when a token is opened. python-pkcs11 tells a module that there is only one thread
(`C_Initialize(NULL)`), so two threads must never call this module at the same time.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import attrs
import pkcs11
from cryptography.hazmat.primitives.asymmetric.padding import PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import PinIncorrect, PinInvalid, PinLenRange, PinLocked, PKCS11Error

from hub.language.phrases import Phrase, phrase
from hub.security.algorithms import Method
from hub.security.pkcs11_uri import KeyPlace, PinRefused, TokenTrouble


@attrs.frozen
class Pkcs11Key:
    """A private key in a token, and the session in which it is used."""

    _place: KeyPlace
    _module: Any
    _session: Any
    _key: Any

    @property
    def is_exportable(self) -> bool:
        """Tell whether the token would export the key."""
        try:
            return bool(self._key[Attribute.EXTRACTABLE]) or not self._key[Attribute.SENSITIVE]
        except PKCS11Error:  # a token that does not report these attributes
            return False

    def sign(self, method: Method, content: bytes) -> bytes:
        """Return the octets of the SignatureValue over *content*. Raises TokenTrouble.

        For RSA the token computes the hash. For ECDSA it is computed here, because many tokens sign only a digest.
        PKCS#11 encodes an ECDSA value like XMLDSig.
        """
        rsa, hash_ = method.kind is RSAPublicKey, method.hash.name.upper()
        if self._key.key_type is not (KeyType.RSA if rsa else KeyType.EC):
            raise TokenTrouble(
                phrase(
                    "the key {key_shown} is of another type than the certificate's key", key_shown=self._place.key_shown
                ),
                phrase("the key of both"),
            )
        try:
            if isinstance(method.padding, PSS):
                parameters = (Mechanism[hash_], MGF[hash_], method.hash.digest_size)
                mechanism = Mechanism[f"{hash_}_RSA_PKCS_PSS"]
                return bytes(self._key.sign(content, mechanism=mechanism, mechanism_param=parameters))
            if rsa:
                return bytes(self._key.sign(content, mechanism=Mechanism[f"{hash_}_RSA_PKCS"]))
            digest = hashlib.new(hash_, content).digest()
            return bytes(self._key.sign(digest, mechanism=Mechanism.ECDSA))
        except PKCS11Error as error:
            raise TokenTrouble(
                phrase(
                    "the token {shown} does not sign: {reason}",
                    shown=self._place.shown,
                    reason=_say_pkcs11_error(error),
                ),
                phrase("a token that signs"),
            ) from None

    def close(self) -> None:
        """Log out and finalise the module. Errors at this point are ignored."""
        with suppress(PKCS11Error):
            self._session.close()
        _leave_module(self._module)


def open_key(place: KeyPlace, pin: str) -> Pkcs11Key:
    """Initialise the module, log in to the one token and find the one key that *place* names.

    Raises TokenTrouble, PinRefused.
    """
    try:
        module = pkcs11.lib(str(place.module))
    except PKCS11Error as error:
        raise TokenTrouble(
            phrase("{module} does not load: {reason}", module=place.module, reason=_say_pkcs11_error(error)),
            phrase("the PKCS#11 library of the token's manufacturer"),
        ) from None
    try:
        session = _log_in(_find_token(module, place), place, pin)
        return Pkcs11Key(place, module, session, _key(session, place))
    except PKCS11Error as error:
        _leave_module(module)
        raise TokenTrouble(
            phrase("the token {shown} does not open: {reason}", shown=place.shown, reason=_say_pkcs11_error(error)),
            phrase("a token that opens"),
        ) from None
    except TokenTrouble:
        _leave_module(module)
        raise


def _find_token(module: Any, place: KeyPlace) -> Any:
    there = []
    for slot in module.get_slots(token_present=True):
        with suppress(PKCS11Error):  # a slot whose token cannot be read is skipped
            there.append(slot.get_token())
    fit = [token for token in there if _is_meant(token, place)]
    if len(fit) > 1:
        raise TokenTrouble(
            phrase("{count} tokens are {shown}", count=len(fit), shown=place.shown),
            phrase("a URI that matches only one token: add serial"),
        )
    if not fit:
        labels = sorted({token.label for token in there if token.label})
        raise TokenTrouble(
            phrase("there is no token {shown}", shown=place.shown),
            _one_of(labels, phrase("a token in a slot of that module")),
        )
    return fit[0]


def _is_meant(token: Any, place: KeyPlace) -> bool:
    pairs = (
        (place.token, token.label),
        (place.serial, token.serial.decode("utf-8", "replace")),
        (place.manufacturer, token.manufacturer_id),
        (place.model, token.model),
        (place.slot, token.slot.slot_id),
    )
    return all(asked is None or asked == found for asked, found in pairs)


def _log_in(token: Any, place: KeyPlace, pin: str) -> Any:
    try:
        return token.open(user_pin=pin)
    except (PinIncorrect, PinInvalid, PinLenRange):
        expected = phrase("the PIN of the token's user; after a few wrong ones the token locks itself")
        raise PinRefused(
            phrase("the token {shown} refuses the PIN in {pin_file}", shown=place.shown, pin_file=place.pin_file),
            expected,
        ) from None
    except PinLocked:
        expected = phrase("a PIN that the token's security officer has reset")
        raise PinRefused(phrase("the PIN of the token {shown} is locked", shown=place.shown), expected) from None


def _key(session: Any, place: KeyPlace) -> Any:
    wanted: dict[Attribute, object] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    if place.object is not None:
        wanted[Attribute.LABEL] = place.object
    if place.id is not None:
        wanted[Attribute.ID] = place.id
    found = list(session.get_objects(wanted))
    if len(found) > 1:
        expected = phrase("a URI that matches only one key: add id")
        raise TokenTrouble(
            phrase(
                "{count} private keys in the token {shown} are {key_shown}",
                count=len(found),
                shown=place.shown,
                key_shown=place.key_shown,
            ),
            expected,
        )
    if not found:
        keys = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
        names = sorted(f"object={key.label};id={key.id.hex()}" for key in keys)
        wrong = phrase(
            "the token {shown} holds no private key {key_shown}", shown=place.shown, key_shown=place.key_shown
        )
        raise TokenTrouble(wrong, _one_of(names, phrase("a private key in the token")))
    return found[0]


def _one_of(names: Iterable[str], otherwise: Phrase) -> Phrase:
    listed = ", ".join(names)
    return phrase("one of {listed}", listed=listed) if listed else otherwise


def _leave_module(module: Any) -> None:
    with suppress(PKCS11Error):
        module.finalize()


def _say_pkcs11_error(error: PKCS11Error) -> str:
    return f"{type(error).__name__} {error}".strip()
