"""What a partner's developers must know of the hub: addresses, contracts, rights, codes, certificates. Pure.

Everything comes from the configuration and from the registry of units. Contains no private key, and nothing of the
journal.
"""

from collections.abc import Iterable, Sequence

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config import ANY, Config, Partner
from hub.intake import grants
from hub.security.certificates import describe_owner, hash_certificate
from hub.soap.wsdl import Contract


@attrs.frozen(kw_only=True)
class IntegrationService:
    """One service that the partner may call."""

    contract: Contract
    address: str
    operations: tuple[str, ...]  #: those that it may call


@attrs.frozen(kw_only=True)
class IntegrationFacts:
    """What the page and the kit say."""

    hub: str  #: the displayed name of the hub
    partner: Partner
    services: Sequence[IntegrationService]
    own: Sequence[tuple[str, x509.Certificate]]  #: the hub's certificates, the one that signs first, by file name
    anchors: Sequence[x509.Certificate]  #: the CAs that the hub trusts
    units: Sequence[tuple[str, str]]  #: code and name of the partner's units
    others: Sequence[str]  #: a unit of another partner, to send to; or nothing
    limit: int  #: maximum octets of a call
    sample: bool  #: a certificate of the hub is one of a sample PKI

    @property
    def sends_for_any(self) -> bool:
        """Whether the partner may send for any unit."""
        return ANY in self.partner.units


def gather_facts(config: Config, partner: Partner, names: Iterable[tuple[str, str]]) -> IntegrationFacts:
    """Return the facts for *partner*. *names*: code and name of the units of the registry."""
    known = dict(names)
    mine = [(code, known.get(code, "")) for code in partner.units if code != ANY]
    theirs = (code for each in config.partners.values() if each.code != partner.code for code in each.units)
    signer, *others = (each.certificate for _, each in config.own)
    return IntegrationFacts(
        hub=config.name,
        partner=partner,
        services=list(_list_services(config, partner)),
        own=[
            ("hub.crt", signer),
            *(("hub-tls.crt", each) for each in others),
            *(("hub-next.crt", each) for each in (config.rotation.next,) if each is not None),
            *(("hub-previous.crt", each) for each in (config.rotation.previous,) if each is not None),
        ],
        anchors=config.authorities,
        units=mine,
        others=[code for code in theirs if code != ANY][:1],
        limit=config.soap.body_limit,
        sample=config.sample,
    )


def _list_services(config: Config, partner: Partner) -> Iterable[IntegrationService]:
    for name, operations in grants.list_grantable_operations(config).items():
        allowed = tuple(each for each in operations if grants.is_granted(partner, config, name, each))
        if allowed:
            address = f"{config.name_soap_address()}/soap/{name}"
            yield IntegrationService(
                contract=grants.load_service_contract(config, name, partner.find_edition(name)),
                address=address,
                operations=allowed,
            )


def write_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return *certificates* in PEM."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def describe_shown_certificate(certificate: x509.Certificate) -> dict[str, object]:
    """Return what the page says of a certificate."""
    return {
        "owner": describe_owner(certificate),
        "sha256": hash_certificate(certificate),
        "until": certificate.not_valid_after_utc,
    }
