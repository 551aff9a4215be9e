"""Writes the letter that invites a partner's developers to integrate, as a text in two languages. Pure.

It says what the kit says and what is to be sent back. It sends nothing, issues no certificate and contains no secret.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from hub.domain.model import Receive
from hub.domain.sanitize import replace_controls
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.monitoring.integration.facts import IntegrationFacts
from hub.monitoring.integration.kit import PAGES
from hub.security.certificates import hash_certificate

#: The files of the letter.
LETTERS = {Language.VI: "thu-moi.txt", Language.EN: "letter.txt"}
#: The last piece of the address of a kit with a letter.
INVITATION = "invitation.zip"
#: Characters of what the operator adds.
LONGEST = 200


@attrs.frozen
class PartnerInvitation:
    """What the operator adds to the letter."""

    contact: str = ""  #: who answers questions
    window: str = ""  #: when to test

    @classmethod
    def of(cls, contact: str, window: str) -> "PartnerInvitation":
        """Return what was typed, each on one line."""
        return cls(*(replace_controls(" ".join(each.split()))[:LONGEST] for each in (contact, window)))


def name_invitation(code: str) -> str:
    """Return the file name of the kit with a letter for the partner *code*."""
    return f"lienthong-{code}-invitation.zip"


def write_letters(facts: IntegrationFacts, invitation: PartnerInvitation) -> Mapping[str, bytes]:
    """Return the letter in each language, by file name."""
    return {name: _write_letter(facts, invitation, language).encode() for language, name in LETTERS.items()}


def _write_letter(facts: IntegrationFacts, invitation: PartnerInvitation, language: Language) -> str:
    partner = facts.partner
    parts: Sequence[tuple[Phrase, Iterable[Phrase | str]]] = (
        (phrase("Address and contract"), _list_addresses(facts, PAGES[language])),
        (phrase("The hub's certificate; compare its SHA-256 by telephone before you trust it"), _list_own(facts)),
        (phrase("Please send back"), _list_wanted(facts)),
        (phrase("Test"), _list_test(invitation)),
        (phrase("Contact"), [invitation.contact or phrase("The person who sent you this file")]),
    )
    lines: list[Phrase | str] = [
        phrase("To the developers of {name} ({code})", name=partner.name, code=partner.code),
        "",
        phrase(
            "{hub} invites your system to exchange with it. All that you need is beside this letter.", hub=facts.hub
        ),
    ]
    for number, (heading, items) in enumerate(parts, 1):
        lines += ["", f"{number}. {translate(heading, language)}"]
        lines += [f"   - {each if isinstance(each, str) else translate(each, language)}" for each in items]
    return "".join(f"{line if isinstance(line, str) else translate(line, language)}\n" for line in lines)


def _list_addresses(facts: IntegrationFacts, guide: str) -> Iterator[Phrase | str]:
    for service in facts.services:
        yield f"{service.address} ({service.contract.name}.wsdl): {', '.join(service.operations)}"
    if not facts.services:
        yield phrase("Your system calls nothing here; the hub calls it")
    yield phrase("Begin with {guide}; the folder samples has a signed sample of each call", guide=guide)


def _list_own(facts: IntegrationFacts) -> Iterator[str]:
    for name, certificate in facts.own:
        yield f"certificates/{name}: {hash_certificate(certificate)}"


def _list_wanted(facts: IntegrationFacts) -> Iterator[Phrase]:
    partner = facts.partner
    yield phrase(
        "The certificate of your system with its chain (PEM; RSA of 2048 bits or more, or ECDSA on P-256 or P-384); or, "
        "if the province's CA is to issue it, a certificate request (PKCS #10). Never the private key"
    )
    for each in partner.certificates:
        until = f"{each.not_valid_after_utc:%d/%m/%Y}"
        yield phrase("We have {sha256}…, valid until {until}", sha256=hash_certificate(each)[:16], until=until)
    yield phrase("The certificate of the CA that issued it, and the address of its CRL")
    units = ", ".join(code for code, _ in facts.units)
    yield phrase("The codes of your units; we have: {units}", units=units or "–")
    if partner.receive is Receive.PUSH:
        yield phrase("That the hub reaches {url}, to which it sends your messages", url=partner.url or "–")
    elif partner.receive is Receive.FETCH:
        yield phrase("That you will fetch your messages yourselves")
    else:
        yield phrase("Whether you fetch messages or get them sent, and then to which URL")
    yield phrase("Who answers for your system: name, telephone, mail")


def _list_test(invitation: PartnerInvitation) -> Iterator[Phrase]:
    if invitation.window:
        yield phrase("We suggest: {window}", window=invitation.window)
    else:
        yield phrase("Please suggest a day and hours")
    yield phrase("The checklist on our side ticks itself as your first messages come")
