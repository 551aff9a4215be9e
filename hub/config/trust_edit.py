"""A planned change of the trusted CAs: which files become what, and which partners it concerns. Reads and writes no file."""

import attrs
from cryptography import x509

from hub.config.editing import FileEdit
from hub.domain.errors import Mistake


@attrs.frozen(kw_only=True)
class TrustOrder:
    """What a person asks to change: CAs to trust, or one to trust no longer."""

    added: bytes = attrs.field(default=b"", repr=False)  #: certificates and CRLs in PEM, or one certificate in DER
    crl_urls: tuple[str, ...] = ()  #: from which the hub fetches the CRL of the one CA that is added
    ocsp_urls: tuple[str, ...] = ()
    removed: str | None = None  #: the beginning of the SHA-256 of a CA, or its file


@attrs.frozen(kw_only=True)
class TrustEdit:
    """A change of the trusted CAs that was judged and is not written yet."""

    authorities: tuple[x509.Certificate, ...]  #: that are added, or the one that goes
    files: tuple[FileEdit, ...]  #: empty: nothing changes
    diff: tuple[str, ...] = ()  #: of a file that people write, line by line
    removed: bool = False
    lost: tuple[Mistake, ...] = ()  #: each certificate of a partner that would prove nothing any more
    partners: tuple[
        str, ...
    ] = ()  #: of a removal: those they belong to; else those whose certificates are proved by it
