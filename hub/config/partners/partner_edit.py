"""A planned change of one partner: which files become what, what that means in words, and what a person may not change.

Whoever has no shell names no place outside the partner's own folders. A secret in the folder of a partner's secrets was
laid for its address: with another address each one in use is given anew. Pure: reads and writes no file.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from hub.config.editing import FileEdit, Value
from hub.config.partners.partner_files import is_secret_name
from hub.config.partners.partner_settings import LISTS, SETTINGS, TEXTS, AssignmentUnfit
from hub.config.table import IN_CREDENTIALS
from hub.config.urls import find_url_directory, names_own_machine
from hub.config.values import Config, Partner
from hub.domain.errors import Mistake
from hub.language.phrases import Phrase, phrase
from hub.partner.adapter_settings import MAPPING, SECRET_FILE, Setting
from hub.partner.kept_exchange import CUT
from hub.partner.policy import write_policy
from hub.security.certificates import hash_certificate

#: Maximum characters of a secret.
LARGEST_SECRET = 64 << 10
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
    any_unit: bool = False  #: it may send for any unit, which it may not do now


@attrs.frozen(kw_only=True)
class PartnerOrder:
    """What a person asks to change of one partner: settings, one certificate, that it comes, or that it goes."""

    assignments: tuple[str, ...] = ()  #: `KEY=VALUE`, as after `partners set`
    unset: tuple[str, ...] = ()  #: keys to remove
    #: secrets to write into the folder of the partner's secrets, by the name of the setting, without `-file`
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)
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
    secrets: tuple[str, ...] = ()  #: names of the secrets that lie in the folder of its secrets
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
    """Return one line for each setting that differs. Of a secret that is another one, `***` stands for both."""
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
            lines.append(f"{key}: {_show_setting(was)} → {_show_setting(becomes)}")
    return (*lines, *_describe_secrets(old, new))


def _describe_secrets(old: Partner | None, new: Partner | None) -> Iterator[str]:
    was, becomes = ({} if each is None else each.secrets for each in (old, new))
    for name in dict.fromkeys((*was, *becomes)):
        if was.get(name) != becomes.get(name):
            sides = (CUT if name in each else "–" for each in (was, becomes))
            yield f"{SETTINGS}.{name}: {' → '.join(sides)}"


def describe_file_edits(home: Path, files: Iterable[FileEdit]) -> tuple[str, ...]:
    """Return one line for each file below *home* that comes (`+`), goes (`-`) or changes (`~`)."""
    signs = {(True, False): "+", (False, True): "-", (False, False): "~"}
    return tuple(
        f"{signs[each.before is None, each.after is None]} {each.path.relative_to(home)}"
        for each in files
        if each.before != each.after
    )


# --- what a person without a shell may not change ---------------------------------------------------------------------


def require_secrets(given: Mapping[str, str]) -> None:
    """Check names and lengths of the secrets *given*. Raises AssignmentUnfit."""
    for name, value in given.items():
        if not is_secret_name(name) or not value.strip() or "\0" in value or len(value) > LARGEST_SECRET:
            raise AssignmentUnfit(phrase("the secret {name} does not fit", name=repr(name)))


def require_own_places(
    code: str, changes: Mapping[str, Value], before: Mapping[str, object], others: Collection[str]
) -> None:
    """Check that *changes* of the partner's file name no place that is not the partner's.

    *before*: the content of the file. *others*: codes of partners. It is called before anything is read, so that a
    refusal does not tell what there is. Raises AssignmentUnfit.
    """
    settings, held = (each.get(SETTINGS) for each in (changes, before))
    settings, held = (each if isinstance(each, Mapping) else {} for each in (settings, held))
    for value in (*changes.values(), *settings.values()):
        if isinstance(value, str) and value.startswith(IN_CREDENTIALS[:2]):
            raise AssignmentUnfit(phrase("{value} may stand only in a file that is edited by hand", value=value))
    mapping = settings.get(MAPPING)
    if isinstance(mapping, str) and mapping != held.get(MAPPING) and not _is_own_folder(code, mapping, others):
        raise AssignmentUnfit(phrase("{key} names a file in the partner's own folder", key=f"{SETTINGS}.{MAPPING}"))


def _is_own_folder(code: str, place: str, others: Collection[str]) -> bool:
    """Tell whether *place* is in a folder that `partners add` makes for the partner: `CODE`, `CODE-2` and so on."""
    folder = place.partition("/")[0]
    return folder == code or (folder not in others and re.fullmatch(rf"{code}-[0-9]+", folder) is not None)


def is_called_elsewhere(old: Partner | None, new: Partner, known: Sequence[Setting]) -> bool:
    """Tell whether *new* may be called at another address or in another way. *known*: the settings of its adapter."""
    return old is None or _list_ways(old, known) != _list_ways(new, known)


def _list_ways(partner: Partner, known: Sequence[Setting]) -> tuple[object, ...]:
    """Return all that may say where the partner's secrets are sent, and how."""
    inert = set[str]() if partner.files else {each.name for each in known if not each.may_direct}
    texts = {key: value for key, value in partner.settings.items() if key not in inert or "/" in value}
    return partner.url, partner.adapter, partner.policy.transport, texts


def find_kept_secrets(new: Partner, given: Collection[str]) -> Iterator[Mistake]:
    """Yield each secret of *new*, which is called elsewhere, that is not *given* anew."""
    for name in new.secret_files:
        if name not in given:
            wrong = phrase("the address, the transport or what may name one changes")
            expected = phrase("the secret itself, written again with this change")
            yield Mistake(f"partners/{new.code}.toml: {SETTINGS}.{name}{SECRET_FILE}", wrong, expected)


def find_own_hosts(old: Partner | None, new: Partner) -> Iterator[Mistake]:
    """Yield each URL of *new* that names the hub's own machine and that *old* has not."""
    held = set() if old is None else {old.url, *old.settings.values()}
    urls = {"url": new.url or "", **{f"{SETTINGS}.{key}": value for key, value in new.settings.items()}}
    for key, url in urls.items():
        if url not in held and names_own_machine(url):
            wrong = phrase("{url} is an address of the hub's own machine", url=repr(url))
            expected = phrase("an address of another machine; this one may stand only in a file that is edited by hand")
            yield Mistake(f"partners/{new.code}.toml: {key}", wrong, expected)


def find_foreign_directory(old: Partner | None, new: Partner) -> Iterator[Mistake]:
    """Yield a mistake if the directory of *new* is another one, and not in the folder of the partner's own."""
    place = find_url_directory(new.url or "")
    if place is None or new.exchange is None or (old is not None and old.url == new.url):
        return
    own = new.exchange / new.code
    if not place.is_relative_to(own):
        wrong = phrase("it is not the partner's own directory")
        yield Mistake(f"partners/{new.code}.toml: url", wrong, phrase("{url}, or one below it", url=own.as_uri()))


def _list_values(partner: Partner) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    yield "certificates", tuple(f"{hash_certificate(each)[:16]}…" for each in partner.certificates)
    yield "chain", tuple(f"{hash_certificate(each)[:16]}…" for each in partner.chain)
    for name in TEXTS:
        value = getattr(partner, name)
        yield name, ("*" if value else "") if isinstance(value, bool) else str(value or "")
    for name in LISTS:
        value = getattr(partner, name)
        yield name, "" if value is None else tuple(value)
    yield from ((f"policy.{key}", value) for key, value in write_policy(partner.policy).items())
    yield from ((f"settings.{key}", value) for key, value in partner.settings.items())
    yield from ((f"settings.{name}{SECRET_FILE}", file) for name, file in partner.secret_files.items())
    yield (
        "files",
        tuple(f"{name} {hashlib.sha256(content).hexdigest()[:16]}…" for name, content in partner.files.items()),
    )


def _show_setting(value: str | tuple[str, ...]) -> str:
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
