"""Plans to trust a CA, or one no longer: which files change, and which partners it concerns. Writes nothing itself."""

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config import Config, read_config
from hub.config.editing import FileEdit, edit_toml, read_text, write_difference
from hub.config.files import parse_certificates
from hub.config.partners.partner_edit import find_certificate
from hub.config.revocation_cache import load_revocation_answers, set_revocation_answers
from hub.config.trust_edit import TrustEdit, TrustOrder
from hub.config.trusting import judge_authorities
from hub.config.urls import PLAIN_SCHEMES, PLAIN_URL, find_url_flaw, names_own_machine
from hub.config.values import RevocationSource
from hub.config.writing import write_source_toml
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import phrase
from hub.node.consistency import find_identity_mistakes, find_partner_certificate_flaws
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate, load_crls

_TRUSTED = frozenset({".crt", ".pem", ".crl", ".toml"})
_CRL = b"-----BEGIN X509 CRL-----"


def hash_trusted_files(path: Path) -> str:
    """Return a hash of the files that say which CAs are trusted. *path*: `hub.toml`."""
    found = hashlib.sha256(path.read_bytes())
    for file in sorted((path.absolute().parent / "trust").glob("*")):
        if file.suffix in _TRUSTED:
            found.update(file.name.encode("utf-8", "surrogateescape") + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def plan_trust_order(path: Path, order: TrustOrder, now: datetime) -> TrustEdit:
    """Return the plan of *order*, which comes from a page or the API. *path*: `hub.toml`. Raises what the plan of its kind raises."""
    own = [url for url in (*order.crl_urls, *order.ocsp_urls) if names_own_machine(url)]
    if own:
        wrong = phrase("{url} is an address of the hub's own machine", url=repr(own[0]))
        raise ConfigurationFault([Mistake("trust", wrong, PLAIN_URL)])
    if order.removed is not None:
        return plan_trust_removal(path, order.removed, now)
    try:
        authorities = tuple(parse_certificates(order.added))
        crls = load_crls(order.added) if _CRL in order.added else ()
    except (ValueError, TypeError) as error:
        wrong = phrase("it cannot be used: {error}", error=error)
        expected = phrase("certificates of CAs, PEM or DER, and in PEM their CRLs")
        raise ConfigurationFault([Mistake("trust", wrong, expected)]) from error
    return plan_trust_addition(path, authorities, crls, order.crl_urls, order.ocsp_urls, now)


def plan_trust_addition(
    path: Path,
    authorities: Sequence[x509.Certificate],
    crls: Sequence[x509.CertificateRevocationList],
    crl_urls: Sequence[str],
    ocsp_urls: Sequence[str],
    now: datetime,
) -> TrustEdit:
    """Return the plan to trust *authorities* with *crls*, and to ask the URLs for revocations. *path*: `hub.toml`.

    Raises ConfigurationFault.
    """
    config = read_config(path)
    edits, diff = plan_trust_files(path.absolute().parent, authorities, crls, crl_urls, ocsp_urls, now, config.crls)
    after = _add_trust(config, authorities, crls)
    set_revocation_answers(config, load_revocation_answers(config, now))
    set_revocation_answers(after, load_revocation_answers(after, now))
    gained = _find_new(
        (each for each, _ in find_partner_certificate_flaws(after, now)),
        (each for each, _ in find_partner_certificate_flaws(config, now)),
    )
    return TrustEdit(
        authorities=tuple(authorities),
        files=tuple(edits),
        diff=tuple(diff),
        partners=_name_partners(each.path for each in gained),
    )


def plan_trust_files(
    home: Path,
    authorities: Sequence[x509.Certificate],
    crls: Sequence[x509.CertificateRevocationList],
    crl_urls: Sequence[str],
    ocsp_urls: Sequence[str],
    now: datetime,
    known: Sequence[x509.CertificateRevocationList] = (),
) -> tuple[list[FileEdit], list[str]]:
    """Return the files in `trust/` of the directory *home* that make it trust *authorities*, and the difference of the
    one that people write. *known*: the CRLs that are there. Raises ConfigurationFault.
    """
    mistakes = list(judge_authorities(authorities, crls, known, now))
    if not authorities:
        mistakes.append(Mistake("trust", phrase("there is no certificate in it"), phrase("certificates of CAs")))
    flaws = (find_url_flaw(url, PLAIN_SCHEMES) for url in (*crl_urls, *ocsp_urls))
    mistakes += [Mistake("trust", flaw, PLAIN_URL) for flaw in flaws if flaw]
    if (crl_urls or ocsp_urls) and len(authorities) > 1:
        wrong = phrase("{count} CAs were given with URLs", count=len(authorities))
        mistakes.append(Mistake("trust", wrong, phrase("one CA a file, where URLs are given: they are of one CA")))
    if mistakes:
        raise ConfigurationFault(mistakes)
    stem = home / "trust" / hash_certificate(authorities[0])[:16]
    edits = [
        _plan_replacement(stem.with_suffix(".crt"), b"".join(each.public_bytes(Encoding.PEM) for each in authorities))
    ]
    if crls:
        edits.append(
            _plan_replacement(stem.with_suffix(".crl"), b"".join(each.public_bytes(Encoding.PEM) for each in crls))
        )
    diff: list[str] = []
    if crl_urls or ocsp_urls:
        edit, diff = _plan_source(stem.with_suffix(".toml"), crl_urls, ocsp_urls)
        edits.append(edit)
    return [each for each in edits if each.before != each.after], diff


def _plan_replacement(path: Path, content: bytes) -> FileEdit:
    return FileEdit(path, path.read_bytes() if path.exists() else None, content)


def _plan_source(path: Path, crl_urls: Sequence[str], ocsp_urls: Sequence[str]) -> tuple[FileEdit, list[str]]:
    """Return the edit of the file that says where revocations of a CA are, and its difference."""
    shown, issuer = f"trust/{path.name}", f"trust/{path.stem}.crt"
    before = read_text(path, shown) if path.exists() else ""
    urls = {key: tuple(given) for key, given in (("crl-urls", crl_urls), ("ocsp-urls", ocsp_urls)) if given}
    made = before or write_source_toml(issuer, crl_urls=(), ocsp_urls=())
    after = edit_toml(made, {"issuer": issuer, **urls}, shown)
    return FileEdit(path, before.encode() if before else None, after.encode()), write_difference(before, after, shown)


def _name_partners(places: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.removeprefix("partners/").partition(".toml")[0] for each in places))


def plan_trust_removal(path: Path, wanted: str, now: datetime) -> TrustEdit:
    """Return the plan to trust one CA no longer. *path*: `hub.toml`. *wanted*: the beginning of its SHA-256, or its file.

    Raises CertificateNotFound, and ConfigurationFault where the hub's own certificate would no longer be verified, or
    where the CA stands in a file that only its owner may edit.
    """
    config, home = read_config(path), path.absolute().parent
    places = dict(_find_files(config, home))
    sha256 = find_certificate({each: str(file.relative_to(home)) for each, file in places.items()}, wanted)
    authority = next(each for each in config.authorities if hash_certificate(each) == sha256)
    after = _drop_authority(config, authority)
    set_revocation_answers(config, load_revocation_answers(config, now))
    set_revocation_answers(after, load_revocation_answers(after, now))
    if mistakes := _find_new(find_identity_mistakes(config, now), find_identity_mistakes(after, now)):
        raise ConfigurationFault(mistakes)
    lost = _find_new(
        (each for each, _ in find_partner_certificate_flaws(config, now)),
        (each for each, _ in find_partner_certificate_flaws(after, now)),
    )
    files, diff = _list_edits(home, path, places[sha256], authority, after)
    return TrustEdit(
        authorities=(authority,),
        files=tuple(files),
        diff=tuple(diff),
        removed=True,
        lost=tuple(lost),
        partners=_name_partners(each.path for each in lost),
    )


def _find_new(before: Iterable[Mistake], after: Iterable[Mistake]) -> list[Mistake]:
    known = {each.path + str(each.wrong) for each in before}
    return [each for each in after if each.path + str(each.wrong) not in known]


def _find_files(config: Config, home: Path) -> Iterator[tuple[str, Path]]:
    """Yield the SHA-256 of each CA and the file that holds it; those that `hub.toml` names last, so that they count."""
    trust = sorted(each for each in (home / "trust").glob("*") if each.suffix in {".crt", ".pem"})
    named = tomllib.loads(config.path.read_text("utf-8")).get("pki", {}).get("anchors", [])
    for file in (*trust, *(home / each for each in named)):
        yield from ((hash_certificate(each), file) for each in parse_certificates(file.read_bytes()))


def _drop_authority(config: Config, authority: x509.Certificate) -> Config:
    """Return *config* without that CA."""
    authorities = tuple(each for each in config.authorities if each != authority)
    issuers = {each.subject for each in authorities}
    crls = tuple(each for each in config.crls if each.issuer != authority.subject or each.issuer in issuers)
    sources = tuple(each for each in config.sources if each.issuer != authority)
    return _replace_trust(config, authorities, crls, sources)


def _add_trust(
    config: Config, authorities: Sequence[x509.Certificate], crls: Sequence[x509.CertificateRevocationList]
) -> Config:
    """Return *config* with these CAs, too."""
    new = tuple(each for each in authorities if each not in config.authorities)
    return _replace_trust(config, (*config.authorities, *new), (*config.crls, *crls), config.sources)


def _replace_trust(
    config: Config,
    authorities: tuple[x509.Certificate, ...],
    crls: tuple[x509.CertificateRevocationList, ...],
    sources: tuple[RevocationSource, ...],
) -> Config:
    anchors = Anchors(
        authorities,
        crls,
        intermediates=[link for partner in config.partners.values() for link in partner.chain],
        sourced=[source.issuer for source in sources],
    )
    return attrs.evolve(config, authorities=authorities, crls=crls, sources=sources, anchors=anchors)


def _list_edits(
    home: Path, path: Path, file: Path, authority: x509.Certificate, after: Config
) -> tuple[list[FileEdit], list[str]]:
    """Return the files to change, and the difference of `hub.toml`."""
    content = file.read_bytes()
    rest = [each for each in parse_certificates(content) if each != authority]
    edits, diff = [], list[str]()
    if file.parent == home / "trust":
        kept = b"".join(each.public_bytes(Encoding.PEM) for each in rest) or None
        edits.append(FileEdit(file, content, kept))
        edits += _list_revocation_edits(home, authority, after)
    else:
        text, shown = (
            read_text(path, path.name),
            str(file.relative_to(home)) if file.is_relative_to(home) else str(file),
        )
        named = tomllib.loads(text)["pki"]["anchors"]
        if rest:
            wrong = phrase("{file} holds {count} CAs, and stands outside trust/", file=shown, count=len(rest) + 1)
            expected = phrase("the CA taken out of that file by hand")
            raise ConfigurationFault([Mistake(f"{path.name}: pki.anchors", wrong, expected)])
        changed = edit_toml(text, {"pki": {"anchors": tuple(each for each in named if home / each != file)}}, path.name)
        edits.append(FileEdit(path.absolute(), text.encode(), changed.encode()))
        edits += _list_revocation_edits(home, authority, after)
        diff = write_difference(text, changed, path.name)
    return edits, diff


def _list_revocation_edits(home: Path, authority: x509.Certificate, after: Config) -> Iterator[FileEdit]:
    """Yield the files in `trust/` that only say where revocations of *authority* are, or which there are."""
    others = {each.subject for each in after.authorities}
    for file in sorted((home / "trust").glob("*.crl")):
        if {each.issuer for each in load_crls(file)} == {authority.subject} and authority.subject not in others:
            yield FileEdit(file, file.read_bytes(), None)
    for file in sorted((home / "trust").glob("*.toml")):
        issuer = tomllib.loads(file.read_text("utf-8")).get("issuer", "")
        if issuer and parse_certificates((home / issuer).read_bytes())[0] == authority:
            yield FileEdit(file, file.read_bytes(), None)
