"""A planned change of one partner: which files become what, and what that means in words. Pure: reads and writes no file."""

import hashlib
from collections.abc import Iterator, Mapping

import attrs

from hub.config.editing import FileEdit
from hub.config.partner_settings import LISTS, TEXTS
from hub.config.values import Config, Partner
from hub.domain.errors import Mistake
from hub.language.phrases import Phrase, phrase
from hub.partner.policy import write_policy
from hub.security.certificates import hash_certificate

#: Digits of a fingerprint that are enough to name a certificate.
_FEWEST = 8


@attrs.frozen(kw_only=True)
class PartnerEdit:
    """A change of one partner that was judged and is not written yet."""

    code: str
    files: tuple[FileEdit, ...]  #: the partner's own file is the last; empty: nothing changes
    diff: tuple[str, ...]  #: of the partner's file, line by line
    changes: tuple[str, ...]  #: one line for each setting that changes, such as `policy.timeout: 30s → 5s`
    warnings: tuple[Mistake, ...] = ()
    units: tuple[str, ...] = ()  #: units of the partner that the registry lacks; they are added with it
    removed: bool = False  #: the partner goes


@attrs.frozen(kw_only=True)
class PartnerOrder:
    """What a person asks to change of one partner: settings, one certificate, that it comes, or that it goes."""

    assignments: tuple[str, ...] = ()  #: `KEY=VALUE`, as after `partners set`
    unset: tuple[str, ...] = ()  #: keys to remove
    added: bytes | None = None  #: a certificate to accept, with its chain
    removed: str | None = None  #: the SHA-256 of a certificate to accept no longer
    last: bool = False  #: even if it is the last one that is valid
    leaves: bool = False  #: the partner goes
    new: bool = False  #: the partner comes, with `assignments`, and `added` if it has a certificate


@attrs.frozen(kw_only=True)
class PartnerLook:
    """A partner as its file says, which may be ahead of what the running hub uses."""

    config: Config  #: the configuration that the files say; the one in force where they are wrong
    sha256: str  #: of the partner's file
    pending: tuple[str, ...] = ()  #: changes of the file that are not in force yet
    mistakes: tuple[Mistake, ...] = ()  #: why the files could not be read


class LastCertificate(Exception):
    """The certificate is the last one of the partner that is valid. `why` says what that means."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


class PartnerExists(Exception):
    """There is a partner of that code already. `why` says so."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


class CertificateNotFound(LookupError):
    """No certificate, or more than one, has that fingerprint or file. `why` says so."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


def describe_partner_change(old: Partner | None, new: Partner | None) -> tuple[str, ...]:
    """Return one line for each setting that differs; a file of a secret is never read for it."""
    before, after = ({} if each is None else dict(_list_values(each)) for each in (old, new))
    lines = []
    for key in dict.fromkeys((*before, *after)):
        was, becomes = before.get(key, ()), after.get(key, ())
        if was == becomes:
            continue
        if isinstance(was, tuple) and isinstance(becomes, tuple):
            signs = [*(f"- {each}" for each in was if each not in becomes)]
            signs += [f"+ {each}" for each in becomes if each not in was]
            lines.append(f"{key}: {', '.join(signs) or ', '.join(becomes)}")
        else:
            lines.append(f"{key}: {_show(was)} → {_show(becomes)}")
    return tuple(lines)


def _list_values(partner: Partner) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    yield "certificates", tuple(f"{hash_certificate(each)[:16]}…" for each in partner.certificates)
    for name in TEXTS:
        value = getattr(partner, name)
        yield name, ("*" if value else "") if isinstance(value, bool) else str(value or "")
    for name in LISTS:
        value = getattr(partner, name)
        yield name, "" if value is None else tuple(value)
    yield from ((f"policy.{key}", value) for key, value in write_policy(partner.policy).items())
    yield from ((f"settings.{key}", value) for key, value in partner.settings.items())
    yield (
        "files",
        tuple(f"{name} {hashlib.sha256(content).hexdigest()[:16]}…" for name, content in partner.files.items()),
    )


def _show(value: str | tuple[str, ...]) -> str:
    return (", ".join(value) if isinstance(value, tuple) else value) or "–"


def find_certificate(named: Mapping[str, str], wanted: str) -> str:
    """Return the SHA-256 of the one certificate that *wanted* names: the beginning of its SHA-256, or its file.

    *named*: the file of each certificate, by SHA-256. Raises CertificateNotFound.
    """
    digits = wanted.lower().replace(":", "").replace(" ", "").removesuffix("…")
    fits = len(digits) >= _FEWEST and all(each in "0123456789abcdef" for each in digits)
    found = [sha256 for sha256, file in named.items() if file == wanted or (fits and sha256.startswith(digits))]
    if len(found) == 1:
        return found[0]
    if found:
        raise CertificateNotFound(phrase("{wanted} fits several certificates; write more digits", wanted=wanted))
    known = ", ".join(f"{sha256[:16]} ({file})" if file else sha256[:16] for sha256, file in named.items()) or "–"
    raise CertificateNotFound(
        phrase(
            "no certificate has the SHA-256 or the file {wanted} (at least {count} digits); there are {known}",
            wanted=wanted,
            count=_FEWEST,
            known=known,
        )
    )
