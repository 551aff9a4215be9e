"""Whose key it is: tokens, KeyInfo and certificates that lead a verifier to the attacker's key, and TLS that belongs to somebody else.

Knows the forms of KeyInfo (XMLDSig 1.1, X.509 token profile 1.1) and the advisories in which a signature chose its own judge.
"""

import itertools
import ssl
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives import serialization

from tests.attacker.campaign import SAME, Attack, Case, Shot
from tests.attacker.honest import (
    BASE64,
    DS,
    SKI,
    WSSE,
    X509V3,
    Form,
    Identity,
    Sealing,
    b64,
    frame,
    issuer_serial,
    key_info,
    plain_call,
    rsa_value,
    seal,
    x509_data,
)
from tests.attacker.wire import Line, context

WINS = "a signature of a key that is not the partner's counts"
TOKEN_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0"
STYLES = ("selfsigned", "twin", "otherca", "stranger", "namesake", "expired", "early")


def reference(inner: str, attributes: str = "") -> str:
    return f"<ds:KeyInfo><wsse:SecurityTokenReference{attributes}>{inner}</wsse:SecurityTokenReference></ds:KeyInfo>"


def direct(token: str, kind: str = X509V3) -> str:
    return f'<wsse:Reference URI="{token}" ValueType="{kind}"/>'


def token(identity: Identity, name: str = "X509", kind: str = X509V3) -> str:
    kinds = f'ValueType="{kind}" EncodingType="{BASE64}"'
    return f'<wsse:BinarySecurityToken wsu:Id="{name}" {kinds}>{b64(identity.der)}</wsse:BinarySecurityToken>'


def key_value(identity: Identity) -> str:
    public = identity.key.public_key().public_numbers()
    modulus, exponent = b64(public.n.to_bytes(256, "big")), b64(public.e.to_bytes(3, "big"))
    return f"<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{modulus}</ds:Modulus><ds:Exponent>{exponent}</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>"


def der_value(identity: Identity) -> str:
    spki = identity.key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f'<dsig11:DEREncodedKeyValue xmlns:dsig11="http://www.w3.org/2009/xmldsig11#">{b64(spki)}</dsig11:DEREncodedKeyValue>'


def certificate(identity: Identity) -> str:
    return f"<ds:X509Certificate>{b64(identity.der)}</ds:X509Certificate>"


def key_infos(victim: Identity, mallory: Identity, canary: str) -> dict[str, tuple[str, str]]:
    """(token in the header, KeyInfo); the signature is Mallory's."""
    theirs, ours = token(victim), token(mallory)
    both = token(victim) + token(mallory, "Mallory")
    ski = key_info(victim, "ski")
    return {
        "his token": (ours, key_info(mallory)),
        "his token, our issuer and serial": (ours, key_info(victim, "issuer-serial")),
        "his token, our SKI": (ours, ski),
        "his token, our thumbprint": (ours, key_info(victim, "thumbprint")),
        "our token, his issuer and serial": (theirs, key_info(mallory, "issuer-serial")),
        "our token, his SKI": (theirs, key_info(mallory, "ski")),
        "our token, his thumbprint": (theirs, key_info(mallory, "thumbprint")),
        "our token": (theirs, key_info(victim)),
        "two tokens, his referred to": (both, reference(direct("#Mallory"))),
        "two tokens of one id, ours first": (theirs + ours, key_info(victim)),
        "two tokens of one id, his first": (ours + theirs, key_info(victim)),
        "two references, ours first": (both, reference(direct("#X509") + direct("#Mallory"))),
        "two references, his first": (both, reference(direct("#Mallory") + direct("#X509"))),
        "two STRs, ours first": (both, f"<ds:KeyInfo>{strip(reference(direct('#X509')))}{strip(reference(direct('#Mallory')))}</ds:KeyInfo>"),
        "two KeyInfos, ours first": (both, reference(direct("#X509")) + reference(direct("#Mallory"))),
        "two KeyInfos, his first": (both, reference(direct("#Mallory")) + reference(direct("#X509"))),
        "KeyValue": (theirs, f"<ds:KeyInfo>{key_value(mallory)}</ds:KeyInfo>"),
        "KeyValue beside our reference": (theirs, key_info(victim).replace("</ds:KeyInfo>", f"{key_value(mallory)}</ds:KeyInfo>")),
        "KeyValue before our reference": (theirs, key_info(victim).replace("<ds:KeyInfo>", f"<ds:KeyInfo>{key_value(mallory)}")),
        "DEREncodedKeyValue": (theirs, f"<ds:KeyInfo>{der_value(mallory)}</ds:KeyInfo>"),
        "KeyName": (theirs, "<ds:KeyInfo><ds:KeyName>sender</ds:KeyName></ds:KeyInfo>"),
        "X509Data": (theirs, x509_data(mallory)),
        "X509Data beside our reference": (theirs, key_info(victim).replace("</ds:KeyInfo>", f"<ds:X509Data>{certificate(mallory)}</ds:X509Data></ds:KeyInfo>")),
        "X509Data, ours and his": (theirs, f"<ds:KeyInfo><ds:X509Data>{certificate(victim)}{certificate(mallory)}</ds:X509Data></ds:KeyInfo>"),
        "X509Data, our serial, his certificate": (theirs, x509_data(mallory).replace("<ds:X509Data>", issuer_serial(victim.certificate).removesuffix("</ds:X509Data>"))),
        "X509Data in the STR": (theirs, reference(f"<ds:X509Data>{certificate(mallory)}</ds:X509Data>")),
        "embedded token": (theirs, reference(f"<wsse:Embedded>{token(mallory, 'Mallory')}</wsse:Embedded>")),
        "KeyIdentifier with the certificate": (
            theirs,
            reference(f'<wsse:KeyIdentifier ValueType="{X509V3}" EncodingType="{BASE64}">{b64(mallory.der)}</wsse:KeyIdentifier>'),
        ),
        "KeyIdentifier empty": (theirs, reference(f'<wsse:KeyIdentifier ValueType="{SKI}" EncodingType="{BASE64}"></wsse:KeyIdentifier>')),
        "RetrievalMethod by http": (theirs, f'<ds:KeyInfo><ds:RetrievalMethod URI="{canary}/key" Type="{DS}X509Data"/></ds:KeyInfo>'),
        "RetrievalMethod to a token": (both, f'<ds:KeyInfo><ds:RetrievalMethod URI="#Mallory" Type="{DS}rawX509Certificate"/></ds:KeyInfo>'),
        "RetrievalMethod by file": (theirs, f'<ds:KeyInfo><ds:RetrievalMethod URI="file:///etc/passwd" Type="{DS}rawX509Certificate"/></ds:KeyInfo>'),
        "KeyInfoReference": (both, '<ds:KeyInfo><d:KeyInfoReference xmlns:d="http://www.w3.org/2009/xmldsig11#" URI="#Mallory"/></ds:KeyInfo>'),
        "reference by http": (theirs, reference(direct(f"{canary}/token"))),
        "reference by file": (theirs, reference(direct("file:///etc/passwd"))),
        "reference to nothing": (theirs, reference(direct("#Nothing"))),
        "reference to Body": (theirs, reference(direct("#Body"))),
        "reference empty": (theirs, reference(direct(""))),
        "a SAML assertion": (theirs, reference('<wsse:KeyIdentifier ValueType="http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.0#SAMLAssertionID">x</wsse:KeyIdentifier>')),
        "EncryptedKey": (theirs, '<ds:KeyInfo><e:EncryptedKey xmlns:e="http://www.w3.org/2001/04/xmlenc#"/></ds:KeyInfo>'),
        "none": (theirs, ""),
        "empty": (theirs, "<ds:KeyInfo/>"),
        "a path, ours then his": (path(victim, mallory), key_info(victim)),
        "a path, his then ours": (path(mallory, victim), key_info(victim)),
        "PKCS7": (token(mallory, kind=f"{TOKEN_PROFILE}#PKCS7"), reference(direct("#X509", f"{TOKEN_PROFILE}#PKCS7"))),
        "X509v1": (token(mallory, kind=f"{TOKEN_PROFILE}#X509v1"), key_info(mallory)),
        "two certificates in one token": (theirs.replace(b64(victim.der), b64(victim.der + mallory.der)), key_info(victim)),
        "his certificate before ours in one token": (theirs.replace(b64(victim.der), b64(mallory.der + victim.der)), key_info(victim)),
        "a comment between the two": (theirs.replace(b64(victim.der), f"{b64(mallory.der)}<!-- -->{b64(victim.der)}"), key_info(victim)),
    }  # fmt: skip


# The forms of `key_infos`, by name; a slip between the two is a KeyError.
NAMES = (
    "his token",
    "his token, our issuer and serial",
    "his token, our SKI",
    "his token, our thumbprint",
    "our token, his issuer and serial",
    "our token, his SKI",
    "our token, his thumbprint",
    "our token",
    "two tokens, his referred to",
    "two tokens of one id, ours first",
    "two tokens of one id, his first",
    "two references, ours first",
    "two references, his first",
    "two STRs, ours first",
    "two KeyInfos, ours first",
    "two KeyInfos, his first",
    "KeyValue",
    "KeyValue beside our reference",
    "KeyValue before our reference",
    "DEREncodedKeyValue",
    "KeyName",
    "X509Data",
    "X509Data beside our reference",
    "X509Data, ours and his",
    "X509Data, our serial, his certificate",
    "X509Data in the STR",
    "embedded token",
    "KeyIdentifier with the certificate",
    "KeyIdentifier empty",
    "RetrievalMethod by http",
    "RetrievalMethod to a token",
    "RetrievalMethod by file",
    "KeyInfoReference",
    "reference by http",
    "reference by file",
    "reference to nothing",
    "reference to Body",
    "reference empty",
    "a SAML assertion",
    "EncryptedKey",
    "none",
    "empty",
    "a path, ours then his",
    "a path, his then ours",
    "PKCS7",
    "X509v1",
    "two certificates in one token",
    "his certificate before ours in one token",
    "a comment between the two",
)


def strip(text: str) -> str:
    return text.removeprefix("<ds:KeyInfo>").removesuffix("</ds:KeyInfo>")


def path(first: Identity, second: Identity) -> str:
    """An X509PKIPathv1: a DER sequence of certificates."""
    body = first.der + second.der
    head = b"\x30\x82" + len(body).to_bytes(2, "big")
    kind = f"{TOKEN_PROFILE}#X509PKIPathv1"
    return f'<wsse:BinarySecurityToken wsu:Id="X509" ValueType="{kind}" EncodingType="{BASE64}">{b64(head + body)}</wsse:BinarySecurityToken>'


def confused(style: str, form_name: str) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        mallory = case.campaign.extras["counterfeits"][style]
        held, info = key_infos(case.sender, mallory, case.campaign.canary.url)[form_name]
        text = frame(case.form, case.sender, case.evil, token=held)
        return Shot(
            seal(
                text,
                case.form,
                case.sender,
                Sealing(key_info=info, value=lambda octets: rsa_value(mallory.key, octets)),
            )
        )

    return shoot


def by_second(signer: str, carrier: str, unit: str = "sender") -> Callable[[Case], Shot]:
    """One partner signs, another one's TLS carries."""

    def shoot(case: Case) -> Shot:
        who = case.role(signer)
        return Shot(seal(frame(case.form, who, case.honest), case.form, who), via=case.role(carrier))

    return shoot


class Bare:
    """TLS identities that no registered partner has."""

    @staticmethod
    def shoot(style: str) -> Callable[[Case], Shot]:
        def made(case: Case) -> Shot:
            identity = None if style == "none" else case.campaign.extras["counterfeits"].get(style)
            if style != "none" and identity is None:
                return Shot(case.base, expect=SAME)
            return Shot(case.base, via=identity or nobody(case), may_close=True)

        return made


def nobody(case: Case) -> Identity:
    """TLS without a certificate, filed under a name of its own."""
    sender = case.sender
    missing = Identity(
        "nobody", sender.key, sender.certificate, sender.key_file, sender.certificate_file.with_suffix(".none")
    )
    key = (missing.name, str(missing.certificate_file))
    case.campaign.lines.setdefault(key, Line(case.campaign.url, context(case.campaign.ca)))
    return missing


def old_tls(version: Any) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        sender = case.sender
        tls = context(case.campaign.ca, sender.certificate_file, sender.key_file)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if version == "compression":
            tls.options &= ~ssl.OP_NO_COMPRESSION
        elif version == "weak":
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
            tls.set_ciphers("ALL:eNULL:@SECLEVEL=0")
        called = Identity(f"tls-{version}", sender.key, sender.certificate, sender.key_file, sender.certificate_file)
        case.campaign.lines[called.name, str(called.certificate_file)] = Line(case.campaign.url, tls)
        return Shot(case.base, via=called, may_close=True)

    return shoot


def attacks() -> Iterator[Attack]:
    source = "xml-crypto CVE-2024-32962; pysaml2 CVE-2021-21239; libdigidocpp CVE-2026-103902; X.509 token profile 1.1"
    turn = itertools.cycle((Form("1.1"), Form("1.2")))
    for style, name in itertools.product(STYLES, NAMES):
        yield Attack("keys", f"{name} ({style})", source, WINS, confused(style, name), form=next(turn))
    identity = "McIntosh & Austel 2005; WS-I BSP 1.1"
    for version in ("1.1", "1.2"):
        form = Form(version)
        for reference_kind in ("direct", "issuer-serial", "ski", "thumbprint"):
            form = Form(version, reference=reference_kind)
            wins = "one partner speaks over another's TLS"
            for signer, carrier in (
                ("sender", "second"),
                ("second", "sender"),
                ("elliptic", "second"),
                ("sender", "packet"),
                ("second", "packet"),
            ):
                name = f"{signer} signs, {carrier} carries, {reference_kind}"
                yield Attack("identities", name, identity, wins, by_second(signer, carrier), form=form)
        for style in (
            "none",
            "selfsigned",
            "twin",
            "otherca",
            "stranger",
            "namesake",
            "expired",
            "early",
            "serveronly",
            "fakeca",
        ):
            wins = "TLS that is no partner's carries a partner's message"
            yield Attack("identities", f"TLS {style}", "RFC 5280; RFC 8446", wins, Bare.shoot(style), form=form)
        yield Attack(
            "identities",
            "TLS with weak ciphers offered",
            "RFC 9325",
            "nothing but the honest message",
            old_tls("weak"),
            SAME,
            form=form,
        )
        yield Attack(
            "identities",
            "unsigned",
            identity,
            "an unsigned call counts",
            lambda case: Shot(plain_call(case.honest, case.form)),
            form=form,
        )
        yield Attack(
            "identities",
            "a token and a Timestamp without signature",
            identity,
            "an unsigned call counts",
            lambda case: Shot(frame(case.form, case.sender, case.honest).replace("<!--sign-->", "").encode()),
            form=form,
        )
        yield Attack(
            "identities",
            "a user name instead",
            "UsernameToken profile 1.1",
            "a password counts as a signature",
            lambda case: Shot(
                frame(case.form, case.sender, case.honest)
                .replace(
                    "<!--sign-->",
                    f'<wsse:UsernameToken xmlns:wsse="{WSSE}"><wsse:Username>sender</wsse:Username></wsse:UsernameToken>',
                )
                .encode()
            ),
            form=form,
        )
