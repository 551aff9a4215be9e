"""Plans to trust a CA no longer: which files change, and which partners would no longer be verified. Writes nothing itself."""

import tomllib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config import Config, read_config
from hub.config.editing import FileEdit, edit_toml, read_text, write_difference
from hub.config.files import parse_certificates
from hub.config.partner_edit import find_certificate
from hub.config.revocation_cache import load_revocation_answers, set_revocation_answers
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import phrase
from hub.node.consistency import find_identity_mistakes, find_partner_certificate_flaws
from hub.security.certificates import Anchors, hash_certificate, load_crls


@attrs.frozen(kw_only=True)
class TrustRemoval:
    """A planned removal of one CA from the trusted ones."""

    authority: x509.Certificate
    files: tuple[FileEdit, ...]
    diff: tuple[str, ...]  #: of `hub.toml`, if it names the CA's file
    lost: tuple[Mistake, ...]  #: each certificate of a partner that would prove nothing any more
    partners: tuple[str, ...]  #: the partners that they belong to


def plan_trust_removal(path: Path, wanted: str, now: datetime) -> TrustRemoval:
    """Return the plan to trust one CA no longer. *path*: `hub.toml`. *wanted*: the beginning of its SHA-256, or its file.

    Raises CertificateNotFound, and ConfigurationFault where the hub's own certificate would no longer be verified, or
    where the CA stands in a file that only its owner may edit.
    """
    config, home = read_config(path), path.absolute().parent
    places = dict(_find_files(config, home))
    sha256 = find_certificate({each: str(file.relative_to(home)) for each, file in places.items()}, wanted)
    authority = next(each for each in config.authorities if hash_certificate(each) == sha256)
    after = _without(config, authority)
    set_revocation_answers(config, load_revocation_answers(config, now))
    set_revocation_answers(after, load_revocation_answers(after, now))
    if mistakes := _find_new(find_identity_mistakes(config, now), find_identity_mistakes(after, now)):
        raise ConfigurationFault(mistakes)
    lost = _find_new(
        (each for each, _ in find_partner_certificate_flaws(config, now)),
        (each for each, _ in find_partner_certificate_flaws(after, now)),
    )
    files, diff = _list_edits(home, path, places[sha256], authority, after)
    return TrustRemoval(
        authority=authority,
        files=tuple(files),
        diff=tuple(diff),
        lost=tuple(lost),
        partners=tuple(dict.fromkeys(each.path.removeprefix("partners/").partition(".toml")[0] for each in lost)),
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


def _without(config: Config, authority: x509.Certificate) -> Config:
    """Return *config* without that CA."""
    authorities = tuple(each for each in config.authorities if each != authority)
    issuers = {each.subject for each in authorities}
    crls = tuple(each for each in config.crls if each.issuer != authority.subject or each.issuer in issuers)
    sources = tuple(each for each in config.sources if each.issuer != authority)
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
