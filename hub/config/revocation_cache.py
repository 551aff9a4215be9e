"""Caches fetched CRLs and OCSP responses in `data/revocation`, shared by all processes of this hub.

Knows which ones the configuration requires, and files. Fetches nothing. Cached content is verified again when it is
loaded, because write access to the files does not allow anyone to forge a CA's signature.
"""

import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from hub.config import Config, RevocationSource
from hub.config.writing import write_atomically
from hub.security import crl_ocsp
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from hub.security.crl_ocsp import OcspAnswer, RevocationList, RevocationUnusable

FOLDER = "revocation"


@attrs.frozen
class RevocationQuestion:
    """One item to fetch from a CA: its CRL at one URL, or the OCSP status of one certificate."""

    issuer: x509.Certificate
    urls: tuple[str, ...]  #: tried in this order until one answers
    certificate: x509.Certificate | None = None  #: None: the CRL

    @property
    def name(self) -> str:
        """The name of the file that caches the answer."""
        if self.certificate is None:
            return f"{hashlib.sha256(self.urls[0].encode()).hexdigest()[:32]}.crl"
        return f"{hash_certificate(self.certificate)[:32]}.ocsp"

    def read(self, octets: bytes, now: datetime) -> RevocationList | OcspAnswer:
        """Return the answer in *octets*. It may be overdue. Raises RevocationUnusable."""
        if self.certificate is None:
            return crl_ocsp.read_crl(octets, self.issuer)
        return crl_ocsp.read_answer(octets, self.certificate, self.issuer, now)


@attrs.frozen
class RevocationAnswer:
    """An answer with the time of its arrival."""

    question: RevocationQuestion
    at: datetime
    said: RevocationList | OcspAnswer


def list_revocation_questions(config: Config) -> list[RevocationQuestion]:
    """Return what must be fetched: only from the CAs and URLs that the configuration names."""
    certificates = dict.fromkeys(
        [
            *(one for partner in config.partners.values() for one in (*partner.certificates, *partner.chain)),
            *(config.officials.certificates if config.officials else ()),
            *config.authorities,
            *(one for _, own in config.own for one in (own.certificate, *own.chain)),
        ]
    )
    return [question for source in config.sources for question in _list_source_questions(source, certificates)]


def load_revocation_answers(config: Config, now: datetime) -> list[RevocationAnswer]:
    """Return the cached answers to `list_revocation_questions`.

    An unusable answer is skipped, as if it had never been fetched.
    """
    found = []
    for question in list_revocation_questions(config):
        path = config.data / FOLDER / question.name
        try:
            at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            found.append(RevocationAnswer(question, at, question.read(path.read_bytes(), now)))
        except (OSError, RevocationUnusable):
            continue
    return found


def keep_revocation_answer(data: Path, question: RevocationQuestion, octets: bytes, at: datetime) -> None:
    """Store the answer *octets* that arrived at the time *at*. Raises OSError."""
    path = data / FOLDER / question.name
    write_atomically(path, octets)
    os.utime(path, (at.timestamp(), at.timestamp()))


def set_revocation_answers(config: Config, heard: Iterable[RevocationAnswer]) -> None:
    """Apply the answers to all anchors of *config*: those of partners, of officials and of time stamps."""
    known = list(heard)
    apply_revocation_answers(config.anchors, known)
    if config.officials is not None:
        apply_revocation_answers(config.officials.anchors, known)
        if config.officials.stamping is not None:
            apply_revocation_answers(config.officials.stamping.anchors, known)


def apply_revocation_answers(anchors: Anchors, heard: Iterable[RevocationAnswer]) -> None:
    """Apply the answers to *anchors*."""
    lists, answers = [], {}
    for one in heard:
        if isinstance(one.said, RevocationList):
            lists.append(one.said)
        elif one.question.certificate is not None:
            answers[one.question.certificate] = one.said
    anchors.set_revocations(lists, answers)


def _list_source_questions(
    source: RevocationSource, certificates: Iterable[x509.Certificate]
) -> Iterable[RevocationQuestion]:
    for url in source.crl_urls:
        yield RevocationQuestion(source.issuer, (url,))
    if source.ocsp_urls:
        for certificate in certificates:
            if certificate != source.issuer and _has_issued(source.issuer, certificate):
                yield RevocationQuestion(source.issuer, source.ocsp_urls, certificate)


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
