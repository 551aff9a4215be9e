"""Parses the PKCS#11 URI (RFC 7512) of a key in a token. Opens nothing, and never holds a PIN."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote_to_bytes

import attrs

from hub.language.phrases import Phrase, phrase

SCHEME = "pkcs11:"
EXPECTED = phrase('"pkcs11:token=NAME;object=NAME?module-path=FILE&pin-source=FILE"')
EXPECTED_APART = phrase("pin-source, a file that holds the PIN and nothing else")
_TOKEN = ("token", "serial", "manufacturer", "model")


class Pkcs11UriUnfit(ValueError):
    """The text is not an accepted URI. The arguments say what is wrong and what is expected.

    They never contain the PIN.
    """


@attrs.frozen(kw_only=True)
class KeyPlace:
    """The location of a private key.

    An attribute that is None matches anything, but exactly one token and one key must match.
    """

    module: Path  #: the PKCS#11 library of the token's manufacturer
    pin_file: Path  #: file with the user PIN of the token; read each time the token is opened
    token: str | None = None  #: label of the token
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot: int | None = None
    object: str | None = None  #: label of the key
    id: bytes | None = None  #: CKA_ID of the key

    @property
    def shown(self) -> str:
        """Return a description of the token for people."""
        named = [f"{name}={value}" for name in _TOKEN if (value := getattr(self, name)) is not None]
        return ";".join([*named, *([f"slot-id={self.slot}"] if self.slot is not None else [])]) or "token"

    @property
    def key_shown(self) -> str:
        """Return a description of the key for people."""
        named = [f"object={self.object}"] if self.object is not None else []
        return ";".join([*named, *([f"id={self.id.hex()}"] if self.id is not None else [])])


def parse_pkcs11_uri(uri: str, home: Path, module: str = "") -> KeyPlace:
    """Return the place that *uri* names. Relative paths are relative to *home*. *module* replaces module-path.

    Raises Pkcs11UriUnfit. Unknown attributes are refused and never ignored, since otherwise the URI could match more
    than its author meant.
    """
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    asked = dict(_read_pairs(query.split("&")))
    if "pin-value" in asked:
        raise Pkcs11UriUnfit(phrase("it contains a PIN"), EXPECTED_APART)
    named = dict(_read_pairs(path.split(";")))
    for name in asked.keys() - {"module-path", "pin-source"}:
        raise Pkcs11UriUnfit(phrase("{name} is not known", name=name), phrase("one of module-path, pin-source"))
    for name in named.keys() - {*_TOKEN, "slot-id", "object", "id", "type"}:
        raise Pkcs11UriUnfit(
            phrase("{name} is not known", name=name),
            phrase("one of {token}, slot-id, object, id, type", token=", ".join(_TOKEN)),
        )
    if named.get("type", b"private") != b"private":
        raise Pkcs11UriUnfit(phrase("its type is not private"), EXPECTED)
    if not named.keys() & {"object", "id"}:
        raise Pkcs11UriUnfit(phrase("it names no key"), phrase("object or id"))
    if bool(module) == ("module-path" in asked):
        wrong = phrase("it contains module-path, and pki.module is set too") if module else phrase("it names no module")
        raise Pkcs11UriUnfit(wrong, phrase("module-path in it, or pki.module"))
    if "pin-source" not in asked:
        raise Pkcs11UriUnfit(phrase("it has no pin-source"), EXPECTED_APART)
    texts = {name: _decode_text(value) for name, value in named.items() if name != "id"}
    if not texts.get("slot-id", "0").isdecimal():
        raise Pkcs11UriUnfit(phrase("slot-id={slot_id} is not a number", slot_id=texts["slot-id"]), EXPECTED)
    return KeyPlace(
        module=home / (module or _decode_text(asked["module-path"])),
        pin_file=home / _read_pin_path(_decode_text(asked["pin-source"])),
        slot=int(texts["slot-id"]) if "slot-id" in texts else None,
        object=texts.get("object"),
        id=named.get("id"),
        **{name: texts.get(name) for name in _TOKEN},
    )


def _read_pairs(attributes: Iterable[str]) -> Iterable[tuple[str, bytes]]:
    """Yield name and value of each attribute.

    Raises Pkcs11UriUnfit for a repeated name, which would hide one of its values.
    """
    seen = set()
    for attribute in filter(None, attributes):
        name, equals, value = attribute.partition("=")
        if not equals or not value or name in seen:
            raise Pkcs11UriUnfit(phrase("an attribute has no value, or is repeated"), EXPECTED)
        seen.add(name)
        yield name, unquote_to_bytes(value)


def _decode_text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise Pkcs11UriUnfit(phrase("an attribute is not UTF-8"), EXPECTED) from None


def _read_pin_path(source: str) -> str:
    """Return the path of a pin-source, which may be a `file:` URI. A program (`|…`) is not run but refused."""
    if source.startswith("|"):
        raise Pkcs11UriUnfit(phrase("its pin-source is a program"), EXPECTED_APART)
    return source.removeprefix("file://").removeprefix("file:")


class TokenTrouble(Exception):
    """A key in a token cannot be used. States what is wrong and what is expected."""

    def __init__(self, wrong: Phrase, expected: Phrase) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.expected = expected


class PinRefused(TokenTrouble):
    """The token refuses the PIN. The same PIN is not tried again, because a token locks itself after a few attempts."""
